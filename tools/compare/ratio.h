// SPDX-License-Identifier: MIT
//
// The ratio of two medians, and whether noise explains it.
#ifndef TULLE_TOOLS_COMPARE_RATIO_H
#define TULLE_TOOLS_COMPARE_RATIO_H

#include "compare/columns.h"

enum verdict {
    VERDICT_NOISE,  ///< the interval holds 1
    VERDICT_SLOWER,
    VERDICT_FASTER,
    VERDICT_UNKNOWN,  ///< one of the two is a single time: there is no interval
};

struct ratio {
    double value, low, high;  ///< of `time` over `base`; low and high NaN where VERDICT_UNKNOWN
    enum verdict verdict;
};

/// With a 95 % interval by the method of variance estimates recovery (Zou and Donner, 2008), from
/// the medians' own intervals in logarithms: it asks nothing of what the times are drawn from.
/// drift: how far, in logarithms, a time goes from one run to the next, in 95 % of all cases; what
/// no sample of one run shows.
struct ratio ratio_of(const struct time *time, const struct time *base, double drift);

/// Why a workload's time, NULL where its column has none, cannot be put over the base's; NULL: it
/// can.
const char *ratio_lacks(const struct time *time, const struct time *base);

#endif
