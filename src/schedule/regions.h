// SPDX-License-Identifier: MIT
//
// Terms → regions: what a term selects on one tile.
#ifndef TULLE_SRC_SCHEDULE_REGIONS_H
#define TULLE_SRC_SCHEDULE_REGIONS_H

#include "common/arithmetic.h"
#include "common/array.h"
#include "common/sort.h"
#include "schedule/tiler.h"

/// In class coordinates (tiler.h).
struct region {
    int64_t v0, v1;       ///< keys [v0, v1)
    int32_t r0, r1;       ///< rows [r0, r1)
    int64_t left, right;  ///< u − v ≤ left, v − u ≤ right; TILE_FAR: no bound
    int64_t period;       ///< (u − v) mod period = 0
};

#define TILE_FAR (INT64_MAX / 4)

/// Where regions go: to what the tile takes, or to what is taken from that; or, as they are, into a
/// list.
struct region_target {
    struct tiler *t;
    bool exclude;
    struct region_list *list;  ///< NULL: to the tile
    bool listed;               ///< columns come from the part's list
    bool fixed;                ///< keys that are the same for every tile
};

/// The regions of a term on the tile; columns chosen one by one are left out where the part's list
/// has them. Out of memory: t->out_of_memory, as everywhere below.
void term_regions(struct region_target to, const struct product *term);

/// What the site's tree selects on a tile of the part of step 1.
void tree_regions(struct tiler *t);

/// The regions of one factor on the tile, at least those at keys [j0, j1). regions_factor.c
void factor_regions(struct region_target to, const struct term *factor, int64_t j0, int64_t j1);

/// Of a NEIGHBORHOOD; p0, p1: the tile's rows lie within. regions_grid.c
void grid_regions(struct region_target to, const struct term *factor, int64_t p0, int64_t p1,
                  int64_t j0, int64_t j1);

/// Keys [j0, j1) that lie in the columns that every row takes one by one.
void column_regions(struct region_target to, const struct term *factor, int64_t j0, int64_t j1);

/// By first key.
void regions_sort(struct tiler *t, struct region_list *list);

/// Has the factor columns that every row takes one by one, and stands it alone in its term?
bool term_lists(const struct product *term);

/// Are its regions the same for every tile, but for where that stands, or keys that are the same too?
bool term_moves(const struct product *term);

/// Pairs of rows at positions [p0, p1) and keys at [j0, j1) with p − j ≤ left, j − p ≤ right and
/// (p − j) mod period = 0; TILE_FAR and beyond, and below −TILE_FAR: no bound.
void add_shape(struct region_target to, int64_t p0, int64_t p1, int64_t j0, int64_t j1,
               int64_t left, int64_t right, int64_t period);

/// The tile's rows at positions [p0, p1): [*r0, *r1). False: none.
bool rows_at(const struct tiler *t, int64_t p0, int64_t p1, int32_t *r0, int32_t *r1);

/// Rows [r0, r1) of the tile, all keys at positions [j0, j1).
void add_rows(struct region_target to, int32_t r0, int32_t r1, int64_t j0, int64_t j1);

/// Rows of the tile that take many blocks of keys, whole.
struct block_rows {
    struct region_target to;
    int32_t r0, r1;
    int64_t size;        ///< of a block, in positions
    int64_t keys;        ///< and of a class
    int64_t begin, end;  ///< blocks [begin, end) go to t->rectangles as they are
};

/// Those of one block of rows. False: none.
bool block_rows_at(struct region_target to, int64_t size, int64_t block, struct block_rows *out);

/// The position of the tile's first row at or after position x, which may be past its last.
int64_t next_row_at(const struct tiler *t, int64_t x);

/// Room in one of a tiler's arrays.
#define TILER_RESERVE(t, array, capacity, needed) \
    (ARRAY_RESERVE((t)->array, (t)->capacity, (needed)) || ((t)->out_of_memory = true, false))

/// Keys [v0, v1) of rows [r0, r1), within the tile.
static inline void push_rectangle(struct tiler *t, int64_t v0, int64_t v1, int32_t r0, int32_t r1) {
    struct rectangle_list *list = &t->rectangles;
    if (TILER_RESERVE(t, rectangles.rectangles, rectangles.capacity, list->count + 1))
        list->rectangles[list->count++] =
            (struct rectangle){ v0, (int32_t)(v1 - v0), (uint8_t)r0, (uint8_t)r1 };
}

/// Key blocks [first, end).
static inline void add_blocks(const struct block_rows *rows, int64_t first, int64_t end) {
    if (first < rows->begin || end > rows->end)
        add_rows(rows->to, rows->r0, rows->r1, first * rows->size, end * rows->size);
    else push_rectangle(rows->to.t, first * rows->keys, end * rows->keys, rows->r0, rows->r1);
}

/// Sorts elements that begin with an int64_t by it, rising.
static inline bool tiler_sort(struct tiler *t, void *elements, size_t count, size_t size) {
    if (count < 2) return true;
    if (!TILER_RESERVE(t, sorted, sorted_capacity, count * size)) return false;
    sort_rising(elements, t->sorted, count, size);
    return true;
}

#endif
