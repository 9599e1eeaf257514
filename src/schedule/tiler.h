// SPDX-License-Identifier: MIT
//
// Pattern → runs, for one tile of query rows: terms → regions (regions.c); what of these is a run as
// it stands, or few keys (strips.c), others → cells (cells.c); few keys → a list of them (gather.c);
// → runs (runs.c).
//
// A tile's rows are i, i + step, i + 2·step …; its keys lie in the queries' residue class modulo
// step. Within a class a position is counted in steps: with a = p mod step, query u = (p − a)/step
// and key v = (j − a)/step. There every term is a union of REGIONS (an interval of keys, an
// interval of rows, two diagonal bounds, a period), and the keys of a tile fall into a few CELLS in
// which the same regions apply: full, band, or neither (bits).
//
// Rows from a list (row_sets.h) stand anywhere, at step 1: their regions have no diagonals, for
// add_region cuts them into rectangles.
#ifndef TULLE_SRC_SCHEDULE_TILER_H
#define TULLE_SRC_SCHEDULE_TILER_H

#include "plan_memory.h"
#include "schedule/parts.h"

#define TILE_ROWS_MOST 128  // a run names its first and last row in 7 bits (plan_memory.h)

/// Where a run's keys are: side by side, in the part's list, in the tile's own (t->gathered).
enum run_source { RUN_RANGE, RUN_LIST, RUN_GATHERED };

struct run {
    tulle_run_kind kind;
    enum run_source source;
    int64_t first;                ///< RANGE: first key position j; else: index into the list
    int64_t count;                ///< keys
    int32_t row_first, row_last;  ///< BAND
    int64_t lo, hi;  ///< BAND: row r takes keys r + lo ≤ c ≤ r + hi, for row_first ≤ r ≤ row_last
    size_t bits;     ///< BITS: index of its first word in tiler.bits; word (c/32)·tile_rows + r
};

/// The bounds of a band that has none: row r takes every key.
#define RUN_LOOSE_LO (-INT32_MAX / 2)
#define RUN_LOOSE_HI (INT32_MAX / 2)

struct region;
struct cell;
struct outlines;

struct region_list {
    struct region *regions;
    size_t count, capacity;
};

/// A region that no diagonal bounds, of rows [r0, r1), in class coordinates.
struct rectangle {
    int64_t v;     ///< first key
    int32_t keys;  ///< side by side
    uint8_t r0, r1;
};

struct rectangle_list {
    struct rectangle *rectangles;
    size_t count, capacity;
};

struct cell_list {
    struct cell *cells;
    size_t count, capacity;
};

/// Regions of a list that lie on the keys at hand: cells.h.
struct sweep {
    size_t *active;
    size_t count, next;
};

/// Scratch that many tiles share, and one tile's result.
struct tiler {
    const struct site *site;
    const struct part *part;
    int32_t tile_rows;  ///< the variant's; row stride of bits
    int32_t chunk;      ///< keys per chunk, a power of 2 up to 64:
    int chunk_bits;     ///< 2^chunk_bits
    /// only what runs cost: their bits are left out, which may be many, and none is cut for its length
    bool counts;
    // the tile at hand
    int64_t row, u0, residue, v_begin, v_end;
    int32_t rows;
    int64_t listed[TILE_ROWS_MOST];  ///< positions of rows from a list, rising
    // result
    struct run *runs;
    size_t run_count, run_capacity;
    uint32_t *bits;
    size_t bit_words, bits_capacity;
    /// positions of keys that the tile lists itself: `gathered_full` that every row takes, whole
    /// chunks; then others, with their bits from gathered_bits on. Both rise.
    int32_t *gathered;
    size_t gathered_count, gathered_full, gathered_capacity, gathered_bits;
    /// the next tile's runs are this one's: those at positions from moves_from on move with it, for no
    /// end of the keys cuts them; the others stay, and too far from those to share a run
    bool shiftable;
    int64_t moves_from;
    // scratch
    struct region_list include, exclude;
    /// of what is included, where the part has neither a list nor terms to leave out; those of them
    /// that are runs as they stand: strips.h
    struct rectangle_list rectangles, plain;
    int64_t thin_keys,
        thin_ranges;  ///< of the rectangles: each key once; chunks as ranges, at least
    struct region_list factors[3];  ///< of a term of several: regions.c
    struct cell_list cells, rounded;
    struct cell_list wide, narrow, ranges;  ///< gather.c
    struct sweep in, out;                   ///< of include and exclude
    size_t *active;                         ///< theirs
    size_t active_capacity;
    char *sorted;  ///< tiler_sort
    size_t sorted_capacity;
    struct outlines *outlines;  ///< tiles before: outlines.h
    uint32_t *blocks;           ///< drawn
    size_t blocks_capacity;
    bool clipped;
    int64_t fixed_end, moving_begin;  ///< the last key of regions that stay, the first of others
    bool out_of_memory;
};

struct tiler tiler_of(const struct site *site, const struct part *part,
                      const struct tiling *tiling);
void tiler_free(struct tiler *t);

/// Fills t->runs for the tile whose first row is `row`, with `rows` rows at the part's step. False:
/// out of memory.
bool tile_runs(struct tiler *t, int64_t row, int32_t rows);

/// Where row r of the tile stands, in class coordinates.
static inline int64_t row_place(const struct tiler *t, int64_t r) {
    return t->site->rows ? t->listed[r] : t->u0 + r;
}

/// The query row that row r of the tile is.
static inline int64_t tile_row(const struct tiler *t, int64_t r) {
    return t->site->rows ? (int64_t)(t->site->rows[t->row + r] & PM_ROW_MASK)
                         : t->row + r * t->part->step;
}

/// Words of bits that a run of so many keys takes.
static inline size_t bit_words(const struct tiler *t, int64_t keys) {
    return (size_t)((keys + 31) / 32) * (size_t)t->tile_rows;
}

/// Texels of plan memory that so many keys of a run take with their bits and the tile's list of
/// them, at most.
static inline uint64_t run_texels(const struct tiler *t, const struct run *run, int64_t keys) {
    return 1 + (run->kind == TULLE_RUN_BITS ? bit_words(t, keys) / 4 + 1 : 0) +
           (run->source == RUN_GATHERED ? (uint64_t)keys / 4 + 1 : 0);
}

/// Chunks that so many keys take.
static inline int64_t chunks_of(const struct tiler *t, int64_t keys) {
    return (keys + t->chunk - 1) >> t->chunk_bits;
}

/// The positions of a run's keys, where a list has them: not of a range.
static inline const int32_t *run_list(const struct tiler *t, const struct run *run) {
    return (run->source == RUN_LIST ? t->part->list : t->gathered) + run->first;
}

/// The position of a run's key c.
static inline int64_t run_key(const struct tiler *t, const struct run *run, int64_t c) {
    return run->source == RUN_RANGE ? run->first + c * t->part->step : run_list(t, run)[c];
}

/// Chunks that the tile's runs take: its cost.
int64_t tile_chunks(const struct tiler *t);

/// Pairs that the tile's runs select, of rows that are no other set's.
uint64_t tile_pairs(const struct tiler *t);

#endif
