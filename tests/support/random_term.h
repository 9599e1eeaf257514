// SPDX-License-Identifier: MIT
//
// Terms of every kind and intersections of them, drawn so that edges fall inside, on and outside of
// what a problem has: windows past both ends, grids larger and smaller than the keys, steps whose
// common multiple no number of 31 bits holds, factors that share no pair.
#ifndef TESTS_RANDOM_TERM_H
#define TESTS_RANDOM_TERM_H

#include "harness.h"
#include "reference.h"

// The problem that a term is for.
struct random_site {
    int64_t heads, kv_heads, q_len, kv_len;
    // the fewest keys of a batch entry that has queries and keys: what a neighbourhood on one axis
    // must fit; at least 1
    int64_t keys_least;
    int64_t furthest;  // the largest position of a query, which masks must cover; at least 0
    // zeroed memory that lives as long as the problem
    void *(*own)(void *user, size_t count, size_t size);
    void *user;
};

struct ref_term random_term(const struct random_site *site, enum ref_kind kind, struct rng *rng);
// Two or three factors of any kinds; the third is perhaps the second's own.
enum { RANDOM_FACTORS_MOST = 3 };
struct ref_term random_intersection(const struct random_site *site, struct rng *rng);

// Many small pieces: a few keys side by side at most, some of them cut by a window or a step.
struct ref_term random_scattered(const struct random_site *site, struct rng *rng);

// Small numbers often, large ones too.
int64_t random_skewed(struct rng *rng, int64_t low, int64_t high);

#endif
