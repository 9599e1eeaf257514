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
    int64_t keys_apart;  ///< positions from its first to its last key
    uint64_t texels;     ///< of plan memory
};

/// The share of the tile's runs from *at on, which moves past it; at least some keys, where there
/// are any. False: out of memory.
bool split_next(struct tiler *t, struct split_place *at, const struct split_limits *limits,
                struct split *split);

#endif
