// SPDX-License-Identifier: MIT
//
// Checking and copying a term: what the files share that do so, each for some kinds.
#ifndef TULLE_SRC_PATTERN_PATTERN_CHECK_H
#define TULLE_SRC_PATTERN_PATTERN_CHECK_H

#include "pattern/pattern_build.h"

/// Where a check happens: every message begins with the term's number and kind.
struct check {
    uint32_t number;
    tulle_term_kind kind;
    tulle_error *error;
};

tulle_result fail_term(const struct check *check, const char *format, ...) TULLE_PRINTF(2, 3);
tulle_result fail_value(const struct check *check, const char *field, int64_t value,
                        const char *rule);
tulle_result fail_memory(const struct check *check, const char *what, uint64_t count);

tulle_result from_0(const struct check *check, const char *field, int64_t value);
tulle_result from_1(const struct check *check, const char *field, int64_t value);

/// Room for `count` elements; NULL only where memory ran out, also where the bytes do not fit a
/// size_t.
void *allocate(uint64_t count, size_t element);

/// For qsort, of int64_t.
int compare_rising(const void *a, const void *b);

/// pattern_blocks.c
tulle_result build_blocks(const struct check *check, struct term *out, const tulle_term *given,
                          const int64_t *wide_mask);

/// pattern_slashes.c
tulle_result build_vertical_slash(const struct check *check, struct term *out,
                                  const tulle_term *given);

/// pattern_axes.c
tulle_result build_neighborhood(const struct check *check, struct term *out,
                                const tulle_term *given);

#endif
