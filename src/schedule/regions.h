// SPDX-License-Identifier: MIT
//
// Terms → regions: what a term selects on one tile.
#ifndef TULLE_SRC_SCHEDULE_REGIONS_H
#define TULLE_SRC_SCHEDULE_REGIONS_H

#include "common/array.h"
#include "schedule/tiler.h"

/// In class coordinates (tiler.h).
struct region {
    int64_t v0, v1;       ///< keys [v0, v1)
    int32_t r0, r1;       ///< rows [r0, r1)
    int64_t left, right;  ///< u − v ≤ left, v − u ≤ right; TILE_FAR: no bound
    int64_t period;       ///< (u − v) mod period = 0
};

#define TILE_FAR (INT64_MAX / 4)

/// Where a term's regions go: to what the tile takes, or to what is taken from that.
struct region_target {
    struct tiler *t;
    bool exclude;
};

/// The regions of a term on the tile; columns chosen one by one are left out where the part's list
/// has them. Out of memory: t->out_of_memory, as everywhere below.
void term_regions(struct region_target to, const struct term *term);

/// Keys [j0, j1) that lie in the columns that every row takes one by one.
void column_regions(struct region_target to, const struct term *term, int64_t j0, int64_t j1);

/// Are its regions the same for every tile, but for where that stands?
bool term_moves(const struct term *term);

/// Room in one of a tiler's arrays.
#define TILER_RESERVE(t, array, capacity, needed) \
    (ARRAY_RESERVE((t)->array, (t)->capacity, (needed)) || ((t)->out_of_memory = true, false))

#endif
