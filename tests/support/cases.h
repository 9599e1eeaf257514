// SPDX-License-Identifier: MIT
//
// The factors of a case of test_attention, and how a case becomes a problem: levels name what is
// tried, a seed makes the rest (how wide the window is, which blocks are set, the numbers).
#ifndef TESTS_CASES_H
#define TESTS_CASES_H

#include "pairwise.h"
#include "problem.h"

enum factor {
    F_PATTERN,
    F_SHAPE,
    F_HEADS,
    F_DIM,
    F_DTYPE,
    F_O_DTYPE,
    F_CAUSAL,
    F_ALIGN,
    F_LENGTHS,
    F_LAYOUT,
    F_SCALE,
    F_SOFTCAP,
    F_BIAS,
    F_LSE,
    F_DATA,
    F_SPOILED,
    F_WORKSPACE,
    F_DISPATCH,
    F_USAGE,
    F_WAY,
    F_KERNEL,
    FACTOR_COUNT
};

// How many levels each factor has; the kernels are those that case_kernels found.
void cases_levels(size_t levels[FACTOR_COUNT]);

// The kernels to be tried: "best", and every variant's name with its dtype left open
// ("base_*_q32k32"). From what tulle_explain lists on the contexts of this run.
enum { CASES_KERNELS_MOST = 24 };  // "best" included
void cases_find_kernels(void);
size_t cases_kernel_count(void);
const char *cases_kernel(size_t level);

// A case as text ("seed=7 pattern=window dtype=f16 ...") and back; false, with the word that is not
// understood, else.
struct attention_case {
    uint64_t seed;
    uint8_t levels[PAIRWISE_FACTORS];
};
void case_print(const struct attention_case *from, char *text, size_t size);
bool case_parse(const char *text, struct attention_case *to, char *wrong, size_t size);

// Where and how it runs.
enum mode case_mode(const struct attention_case *from);
enum problem_way case_way(const struct attention_case *from);
// Rows that are no whole pieces are for host arrays alone.
bool case_can_be(const struct attention_case *from);

// States the problem (without inputs: problem_fill makes these).
void case_state(const struct attention_case *from, struct problem *problem);

// A tree for each batch entry, whose queries stand at the last keys: with ancestors alone or at
// random, and noise past its rows. Longer queries than may have one stand there without.
void case_trees(struct problem *problem, struct rng *rng);

// case_patterns.c: the terms of the pattern level, for shapes that are already set.
size_t case_pattern_count(void);
const char *case_pattern_name(size_t level);
void case_pattern(size_t level, struct problem *problem, struct rng *rng);

#endif
