// SPDX-License-Identifier: MIT
//
// Inside the scheduler: plan memory as it grows. schedule_tile.c makes items of tiles and writes
// them (runs, bits, index lists, items, in segments); schedule.c goes through groups, ranges of
// rows and waves, and dispatches them.
#ifndef TULLE_SRC_SCHEDULE_BUILDER_H
#define TULLE_SRC_SCHEDULE_BUILDER_H

#include "plan_memory.h"
#include "schedule/schedule.h"
#include "schedule/tiler.h"

/// What an item, or several, cost and reach: chunks, key positions, query rows. No keys: key_first
/// > key_last.
struct item_info {
    int64_t chunks, key_first, key_last, row_first, row_last;
};

/// Items that one dispatch takes, for any of the group's (batch, head).
struct span {
    uint32_t segment, items, item_count, step, bh_list;
    uint32_t does;  ///< as in struct dispatch
    int64_t chunks;
    struct item_info reach;
};

/// Which workspace rows hold the partial results of one part, in the range of rows at hand
/// (plan_memory.h, COMBINE).
struct tile_table {
    size_t first;  ///< of its words in builder.tables, two a tile
    int64_t step;
    int32_t tile_rows;
    /// residue classes with a row more than the others; tiles of each of these, and of each other
    int64_t longer, more, less;
};

/// A range of rows of the group, while its tiles become items.
struct range {
    int64_t first, rows;
    const struct part *part;  ///< the one at hand
    /// whose partial results that part's items may take up; NULL: none
    const struct tile_table *resumed;
    struct tile_table table[PM_PARTS_MOST];
    /// words in builder.tables; tiles before them that have none
    size_t table_count, table_waiting;
    uint64_t slots;  ///< rows of partial results so far
};

/// An item that waits to be written behind the runs of its segment. Positions are below 2³¹. A
/// million tokens in tiles of 8 rows have 131,072 of these, 28 bytes each.
struct waiting_item {
    uint32_t words[4];  ///< as plan memory has it
    uint32_t chunks;
    int32_t key_first, key_last;  ///< as in struct item_info; its rows are in the words
};

/// What of a wave waits for its other dispatches, in this order, each stage behind a barrier.
enum stage { STAGE_RESUME, STAGE_COMBINE, STAGES, STAGE_NOW };
struct dispatch_list {
    struct dispatch *dispatches;
    uint32_t count, capacity;
};

struct schedule_room {
    uint32_t *words;  ///< while a schedule has them, NULL here
    size_t word_capacity;
    struct waiting_item *items;
    size_t item_capacity;
};

struct builder {
    const struct schedule_input *input;
    struct schedule *out;
    tulle_error *error;
    // the open segment
    bool segment_open;
    uint32_t segment_used;  ///< texels
    // the group at hand
    const struct group *group;
    bool group_placed;  ///< its bh list is in the open segment
    uint32_t bh_list;
    struct range range;  ///< the one at hand
    uint32_t list_at;    ///< word offset of its part's list in the open segment; 0: not there
    struct schedule_room *room;
    size_t item_count, items_most;  ///< waiting in room->items, and how many ever did
    struct span *spans;
    size_t span_count, span_capacity;
    uint32_t *tables;  ///< two words a tile, of the parts of a range
    size_t table_capacity;
    int64_t item_limit;  ///< chunks
    bool memory_fault;
    /// a group needs more workspace than there is: the others are only asked what they need
    bool refused;
    // the wave at hand
    uint64_t wave_rows;
    /// the next dispatch that writes to the workspace must wait for what the wave before left for
    /// later
    bool wave_begins;
    struct dispatch_list waiting[STAGES];
};

/// Room for `needed` elements in the array whose pointer lies at `array`.
bool builder_reserve(struct builder *b, void *array, size_t *capacity, size_t needed,
                     size_t element);
bool builder_reserve32(struct builder *b, void *array, uint32_t *capacity, size_t needed,
                       size_t element);

/// Room for `texels` more in the open segment; the address of the first.
uint32_t *builder_texels(struct builder *b, size_t texels);
uint32_t *builder_words(struct builder *b, const void *from, size_t words);
bool builder_segment(struct builder *b);  ///< begins one
/// texels that a segment holds before any item of the group
uint64_t builder_preamble(const struct builder *b);
bool builder_place_group(struct builder *b);  ///< its bh list, in the open segment

/// Lowest and one past the highest byte of tensor t that the rows or keys of `reach` touch, for
/// entries [first, end) of the bh list.
void builder_bytes(const struct builder *b, int t, const struct item_info *reach, uint32_t first,
                   uint32_t end, uint64_t *low, uint64_t *high);
bool builder_windowed(const struct builder *b);
/// Do the tensors that such a dispatch touches fit their windows?
bool builder_fits(const struct builder *b, enum dispatch_kind kind, const struct item_info *reach,
                  uint32_t first, uint32_t end);
/// Rows at this step that the windows of Q and O reach over.
int64_t builder_rows_most(const struct builder *b, int64_t step);
uint64_t builder_chunk_pairs(const struct builder *b);  ///< that one chunk of an item visits

/// One item's share of a tile's runs.
struct cut {
    struct run *runs;
    size_t count, capacity;
    struct item_info info;
};

/// The words of the tile that holds row range.first + `offset`: slot of its first partial result,
/// how many there are. *in_tile: which row of it that is.
const uint32_t *builder_partials(const struct builder *b, const struct tile_table *table,
                                 int64_t offset, int64_t *in_tile);
/// How many of rows [row, row + rows) of the range have a partial result there; slots: each row's,
/// or PM_SLOT_NONE. −1: one has several.
int builder_resumed(const struct builder *b, const struct tile_table *table, int64_t row,
                    int64_t rows, uint32_t *slots);

/// Making items of tiles of one part, in a range of rows.
struct emit {
    struct builder *b;
    struct tiler *t;
    struct cut *cut;
    /// of the group; where it is the only one or resumes the other, rows that are not split may be
    /// direct
    uint32_t parts;
    bool dry;       ///< only count slots
    int64_t tiles;  ///< of this range
    /// of this range's tiles: a whole tile's, or what the range or a window leaves of it
    int32_t tile_rows;
    uint64_t slots;  ///< rows of partial results so far
    // the tile before, for repeating it
    int64_t previous_row;
    int32_t previous_rows;
    uint32_t previous_runs, previous_segment;
    size_t previous_count;
    struct item_info previous_info;
    bool repeatable;
};

/// The tile's items (a tile_callback; user: struct emit). Rows of partial results are counted from
/// range.slots + e->slots.
bool builder_tile(void *emit, int64_t row, int32_t rows, int64_t index);
/// An item of dead rows.
bool builder_dead(struct builder *b, struct tiler *t, int64_t row, int32_t rows);
/// Writes the waiting items behind their runs and cuts them into spans.
bool builder_flush(struct builder *b);

#endif
