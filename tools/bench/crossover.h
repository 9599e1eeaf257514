// SPDX-License-Identifier: MIT
//
// Where a kind of pattern begins to be faster than Tulle's dense attention of the same shape on a
// device: below which density at a length, and from which length on with its numbers fixed.
#ifndef TULLE_TOOLS_BENCH_CROSSOVER_H
#define TULLE_TOOLS_BENCH_CROSSOVER_H

#include "bench/workload.h"

#define CROSSOVER_SEARCHES 15
#define MOST_POINTS 24

/// One measurement: the pattern beside dense attention.
struct crossover_point {
    char spec[sizeof((struct workload *)0)->spec];
    uint32_t n;            ///< queries and keys
    double density;        ///< its pairs over dense attention's
    double ms, low, high;  ///< median and its 95 % interval
    double dense_ms, dense_low, dense_high;
};

enum crossover_verdict {
    CROSSOVER_AT,       ///< there is one
    CROSSOVER_ALWAYS,   ///< faster at the densest (or shortest) that was looked at
    CROSSOVER_NEVER,    ///< not faster at the sparsest (or longest)
    CROSSOVER_UNKNOWN,  ///< time was over before both ends were measured
};

struct crossover {
    const char *name;     ///< of the kind of pattern
    const char *pattern;  ///< its template (spec_template.h)
    bool by_length;       ///< else by density
    uint32_t n;           ///< the length; by_length: the longest
    enum crossover_verdict verdict;
    bool complete;  ///< false: time was over before it was closer
    /// AT: a density, or a length. ALWAYS, NEVER: the last that was looked at. UNKNOWN: NaN
    double value;
    /// surely faster and surely slower than dense attention: the nearest densities (lengths) where
    /// the two intervals lie apart. NaN: there is none
    double faster, slower;
    struct crossover_point points[MOST_POINTS];
    size_t point_count;
};

/// Search number `index` (below CROSSOVER_SEARCHES) for workloads of this shape, up to `length`
/// queries and keys. No measurement begins after now_seconds() `end`.
tulle_result crossover_search(struct bench *bench, const struct workload *shape, size_t index,
                              uint32_t length, double end, struct crossover *out,
                              tulle_error *error);

/// Of search number `index`, for a progress bar.
const char *crossover_name(size_t index);

#endif
