// SPDX-License-Identifier: MIT
//
// Where a value stands in a rising array.
#ifndef TULLE_SRC_COMMON_SEARCH_H
#define TULLE_SRC_COMMON_SEARCH_H

#include <stddef.h>
#include <stdint.h>

#define SEARCH_COUNT_BELOW(values, count, x)          \
    size_t low = 0, high = (count);                   \
    while (low < high) {                              \
        const size_t middle = low + (high - low) / 2; \
        if ((values)[middle] < (x)) low = middle + 1; \
        else high = middle;                           \
    }                                                 \
    return low

/// How many of the values are below x: the index of the first that is not, or count.
static inline size_t count_below(const int64_t *values, size_t count, int64_t x) {
    SEARCH_COUNT_BELOW(values, count, x);
}

/// The same of 32-bit values.
static inline size_t count_below32(const int32_t *values, size_t count, int64_t x) {
    SEARCH_COUNT_BELOW(values, count, x);
}

/// The same of unsigned ones; x: 0 or above.
static inline size_t count_below_unsigned(const uint32_t *values, size_t count, int64_t x) {
    SEARCH_COUNT_BELOW(values, count, x);
}

#undef SEARCH_COUNT_BELOW

#endif
