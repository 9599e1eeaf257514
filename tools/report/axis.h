// SPDX-License-Identifier: MIT
//
// An axis of a chart: from values to places, and the values that are written beside it.
#ifndef TULLE_TOOLS_REPORT_AXIS_H
#define TULLE_TOOLS_REPORT_AXIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MOST_TICKS 32

struct axis {
    bool logarithmic;
    double low, high;  ///< values at the ends
    double from, to;   ///< where these are, in units of the drawing
    double ticks[MOST_TICKS];
    size_t tick_count;
};

/// Logarithmic, from a round value to another that hold least … most (both above 0).
struct axis axis_logarithmic(double least, double most, double from, double to);

/// Linear from 0 on, to a round value that holds most.
struct axis axis_linear(double most, double from, double to);

/// Logarithmic over these lengths, which are the ticks as far as they have room. Sorted in place.
struct axis axis_lengths(uint64_t *lengths, size_t count, double from, double to);

double axis_at(const struct axis *axis, double value);

#endif
