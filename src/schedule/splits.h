// SPDX-License-Identifier: MIT
//
// A tile's runs, cut into splits: one item's share each.
#ifndef TULLE_SRC_SCHEDULE_SPLITS_H
#define TULLE_SRC_SCHEDULE_SPLITS_H

#include "schedule/tiler.h"
#include "schedule/windows.h"

/// What some runs of a tile come to.
struct run_totals {
    struct reach reach;
    uint64_t
        texels;   ///< of plan memory: the runs, their bits, their keys where the tile lists them
    size_t full;  ///< runs
    bool from_list, gathered, bits;  ///< some of them
};

struct split {
    const struct run *runs;  ///< the tile's own, where it is whole; else those of `cut`
    size_t count;
    struct run_totals totals;
    struct run *cut;
    size_t cut_capacity;
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

struct run_totals run_totals(const struct tiler *t, const struct run *runs, size_t count);

/// The share of the tile's runs from *at on, which moves past it; at least some keys, where there
/// are any. all: of the tile. False: out of memory.
bool split_next(struct tiler *t, const struct run_totals *all, const struct split_limits *limits,
                struct split_place *at, struct split *split);

#endif
