// SPDX-License-Identifier: MIT
//
// Which bytes a tensor covers, and whether two tensors share any.
#ifndef TULLE_SRC_PROBLEM_FOOTPRINT_H
#define TULLE_SRC_PROBLEM_FOOTPRINT_H

#include "problem/attention.h"

/// Rows of `bytes` bytes, in units of one from wherever the caller counts; below 2⁶¹ in all.
struct footprint {
    int64_t first;      ///< where the row of all indices 0 begins
    int64_t stride[3];  ///< batch, head, row; any sign
    int64_t length[3];  ///< at least 1
    int64_t bytes;
};

/// Of tensor t of `a` in memory of the caller's, from `first` on, with strides in elements.
struct footprint footprint_of(const struct attention *a, int t, const tulle_strides *strides,
                              int64_t first);

/// Do they share a byte? Exact for tensors whose strides nest, as those of views of arrays do; of others it may say that
/// they do although they do not.
bool footprints_meet(const struct footprint *a, const struct footprint *b);

/// Do two of its rows share a byte? As exact.
bool footprint_overlaps_itself(const struct footprint *print);

/// Is each row of the one a row of the other, by the same indices?
bool footprints_equal(const struct footprint *a, const struct footprint *b);

#endif
