// SPDX-License-Identifier: MIT
//
// What samples of one time say: the middle, how far they scatter, and between what the middle lies.
#ifndef TULLE_TOOLS_COMMON_STATISTICS_H
#define TULLE_TOOLS_COMMON_STATISTICS_H

#include <stdint.h>

struct summary {
    double median, min, max;
    double mad;  ///< median of the samples' distances from the median, not scaled
    /// the median's 95 % interval, NaN for a single sample. From six samples on of order
    /// statistics: the closest two samples of equal rank from either end that hold the median of
    /// whatever the samples are drawn from with at least that probability. Of two to five there are
    /// none, and it is Student's about the mean; low is then at least 0
    double low, high;
};

/// Of count (≥ 1) numbers, which are sorted in place.
struct summary summarize(double *numbers, uint32_t count);

/// The median alone; the same.
double median(double *numbers, uint32_t count);

#endif
