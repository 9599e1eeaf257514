// SPDX-License-Identifier: MIT
//
// Small arithmetic of positions and counts.
#ifndef TULLE_SRC_COMMON_ARITHMETIC_H
#define TULLE_SRC_COMMON_ARITHMETIC_H

#include <stdint.h>

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
/// Of counts that a caller may have given as large as he likes.
static inline uint64_t least_unsigned(uint64_t a, uint64_t b) { return a < b ? a : b; }

/// Floor division and its remainder, for any sign of a; b > 0.
static inline int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }
static inline int64_t floor_mod(int64_t a, int64_t b) {
    int64_t m = a % b;
    return m < 0 ? m + b : m;
}
static inline int64_t ceil_div(int64_t a, int64_t b) { return -floor_div(-a, b); }

#endif
