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

/// The greatest divisor of both; a, b > 0.
static inline int64_t common_divisor(int64_t a, int64_t b) {
    while (b) {
        const int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/// The least multiple of both, or `limit` where it is more; a, b and limit > 0.
static inline int64_t common_multiple(int64_t a, int64_t b, int64_t limit) {
    const int64_t times = a / common_divisor(a, b);
    return times > limit / b ? limit : times * b;
}

#endif
