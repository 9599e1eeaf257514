// SPDX-License-Identifier: MIT
//
// Two ways to one answer: what must not change the result, or only by rounding. Both sides run
// through the library, and differ by at most what each may differ from the exact answer
// (tolerance.c).
#ifndef TESTS_METAMORPHIC_H
#define TESTS_METAMORPHIC_H

#include "problem.h"

// Each check runs with the best kernel and with each other family on a device of the tests' own,
// and on the floor.
struct setting {
    const struct mode_context *context;
    const char *kernel;
    VkBufferUsageFlags usage;
    uint64_t seed;
};
void for_each_setting(void (*check)(const struct setting *), uint64_t stream);

// The problem of a setting, without a pattern.
void state_problem(struct problem *problem, const struct setting *setting, int64_t batch,
                   int64_t heads, int64_t kv_heads, int64_t q_len, int64_t kv_len,
                   int64_t head_dim);
void run_setting(struct problem *problem, const struct setting *setting);
// Makes the inputs, runs, compares with the reference.
void fill_run_check(struct problem *problem, const struct setting *setting, const char *what);

// A block mask that selects every pair.
struct ref_term ones(struct problem *problem, int64_t block);

// metamorphic_patterns.c: patterns that say the same.
void test_equal_to_dense(void **state);
void test_union_order(void **state);
void test_factor_order(void **state);
void test_neutral_factors(void **state);
void test_equal_patterns(void **state);
void test_dilated_neighborhood(void **state);

#endif
