// SPDX-License-Identifier: MIT
//
// Tiles → work items. Their runs go to the open segment at once; the items themselves wait, until
// all of a part (or of a segment) are there and can be written behind the runs in their order
// (order.c).
#ifndef TULLE_SRC_SCHEDULE_ITEMS_H
#define TULLE_SRC_SCHEDULE_ITEMS_H

#include "schedule/room.h"
#include "schedule/segments.h"
#include "schedule/splits.h"
#include "schedule/tables.h"

/// Items that one dispatch takes, for any of the group's entries.
struct stretch {
    uint32_t segment, items, item_count, step, entries;
    uint32_t does;  ///< as in struct dispatch
    struct reach reach;
};

struct items {
    const struct schedule_input *input;
    struct segments *segments;
    tulle_error *error;
    int64_t chunks_most;  ///< of an item, where its tile can be split
    // of the part at hand
    int64_t step;
    int64_t first;                       ///< row of the range
    int32_t tile_rows;                   ///< of a whole tile in it
    bool listed;                         ///< rows come from a list
    bool resume;                         ///< may take up partial results
    const struct window_extent *window;  ///< of the group
    // waiting
    struct schedule_room *room;  ///< where they are
    size_t waiting, waiting_most;
    // written
    struct stretch *stretches;
    size_t stretch_count, stretch_capacity;
    uint64_t written;
    struct split split;  ///< scratch
};

// What follows is false where memory is out or a limit is met: the error says which.

/// Tiles of one part in a range of rows, while they become items.
struct part_tiles {
    struct items *items;
    struct tiler *tiler;
    struct tables *tables;
    /// whose partial results its items may take up; NULL: none
    const struct tile_table *resumed;
    /// of the group; where it is the only one or resumes the other, rows that are not split may be
    /// direct
    uint32_t part_count;
    bool dry;       ///< only count slots
    int64_t tiles;  ///< of this range
    /// of this range's tiles: a whole tile's, or what the range or a window leaves of it
    int32_t tile_rows;
    /// the tile before, where the next may repeat it
    struct repeated {
        bool able;
        int64_t row;
        int32_t rows;
        uint32_t runs, segment;  ///< texel offset of its runs, in which segment
        size_t count;            ///< of them
        struct reach reach;
        int64_t moves_from;  ///< as in struct tiler
    } before;
};

/// The next tile's items (a tile_callback; user: struct part_tiles).
bool items_of_tile(void *part_tiles, int64_t row, int32_t rows, int64_t index);

/// An item of rows that do not exist.
bool items_dead(struct items *items, struct tiler *t, int64_t row, int32_t rows);

/// Writes the waiting items behind their runs, and cuts them into stretches.
bool items_flush(struct items *items);

/// For taking back what was added since.
struct items_mark {
    size_t waiting, stretches;
    uint64_t written;
};
struct items_mark items_mark(const struct items *items);
void items_return(struct items *items, const struct items_mark *mark);
void items_free(struct items *items);  ///< all but the room

#endif
