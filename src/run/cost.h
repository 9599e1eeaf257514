// SPDX-License-Identifier: MIT
//
// What the parts of a pattern visit and select at a site: counted on all their tiles, or on some of
// them, as planning has no time for all.
#ifndef TULLE_SRC_RUN_COST_H
#define TULLE_SRC_RUN_COST_H

#include "schedule/parts.h"

struct cost {
    double tiles, runs;
    double visited;   ///< rows × keys that a kernel's loops run over
    double existing;  ///< the same without rows of a tile that a query of fewer rows does not have
    double selected;  ///< pairs
};

/// What is counted: of each part's tiles one of every so many, and no more than `most` of them. Each
/// stands for those between it and the next.
struct counting {
    struct tiling tiling;
    bool may_list;  ///< as for row_sets_make
    int64_t every;  ///< 1: all
    int64_t most;
};

/// listed: of rows from a list.
typedef void (*part_cost_callback)(void *user, const struct part *part, uint32_t index, bool listed,
                                   const struct cost *cost);

/// Calls `each` for every part of the site's pattern, row set after row set. False: out of memory.
bool site_cost(const struct site *site, const struct counting *counting, part_cost_callback each,
               void *user);

/// The same of one of its terms alone, summed over its parts.
bool term_cost(const struct site *site, const struct product *term, const struct counting *counting,
               struct cost *cost);

/// A number below `count` for the n-th of many choices: spread evenly, in step with no period.
int64_t spread_choice(int64_t n, int64_t count);

#endif
