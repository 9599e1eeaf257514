// SPDX-License-Identifier: MIT
//
// A tile's runs, cut into splits: one item's share each.
#ifndef TULLE_SRC_SCHEDULE_SPLITS_H
#define TULLE_SRC_SCHEDULE_SPLITS_H

#include "schedule/tiler.h"
#include "schedule/windows.h"

struct split {
    struct run *runs;
    size_t count, capacity;
    struct reach reach;
};

/// Where in a tile's runs the next split begins.
struct split_place {
    size_t run;
    int64_t key;
};

/// What one may take.
struct split_limits {
    int64_t chunks;
    int64_t cell;     ///< positions: no split has keys of two such cells, from 0 on; 0: any
    uint64_t texels;  ///< of plan memory
};

/// Positions from the first to the last key of the tile's runs, both included; 0: none.
int64_t tile_positions(const struct tiler *t);

/// The share of the tile's runs from *at on, which moves past it; at least some keys, where there
/// are any. False: out of memory.
bool split_next(struct tiler *t, struct split_place *at, const struct split_limits *limits,
                struct split *split);

#endif
