// SPDX-License-Identifier: MIT
//
// What the tests of patterns share: numbers at the edges, arrays, a pattern that must be made.
#ifndef TESTS_PATTERN_USE_H
#define TESTS_PATTERN_USE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "pattern/pattern.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define INF TULLE_INFINITE
#define TOP INT64_C(2147483647)
#define OVER INT64_C(2147483648)

#define LIST(...)                                  \
    .positions = (const int64_t[]){ __VA_ARGS__ }, \
    .position_count = COUNT(((const int64_t[]){ __VA_ARGS__ }))
#define DIAGONALS(...)                             \
    .diagonals = (const int64_t[]){ __VA_ARGS__ }, \
    .diagonal_count = COUNT(((const int64_t[]){ __VA_ARGS__ }))
#define FACTORS(...)                                \
    .factors = (const tulle_term[]){ __VA_ARGS__ }, \
    .factor_count = COUNT(((const tulle_term[]){ __VA_ARGS__ }))

static const uint8_t mask[] = { 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1 };  // [2][2][3]
static const int64_t csr_offsets[] = { 0, 1, 3, 3, 4 };
static const int64_t csr_columns[] = { 0, 0, 1, 2 };

static inline tulle_pattern *make(const tulle_term *terms, uint32_t count) {
    tulle_pattern *pattern = NULL;
    tulle_error error = { 0 };
    tulle_result result = tulle_pattern_create(terms, count, &pattern, &error);
    if (result) fail_msg("refused: %s", error.message);
    assert_non_null(pattern);
    return pattern;
}

#endif
