// SPDX-License-Identifier: MIT
//
// All pairs: rows of levels, one for each factor, such that any two levels of any two factors meet
// in some row.
#ifndef TESTS_PAIRWISE_H
#define TESTS_PAIRWISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAIRWISE_FACTORS 32

struct pairwise_rows {
    size_t count;
    uint8_t (*levels)[PAIRWISE_FACTORS];
    size_t pairs;       // all there are
    size_t impossible;  // pairs that no row tried with them was allowed to have
};

// Whether a row may be used. Rows are asked about before they are taken.
typedef bool (*pairwise_allowed)(void *user, const uint8_t levels[PAIRWISE_FACTORS]);

// levels[f]: how many levels factor f has (at most 64). rows->levels is to be freed. The same seed
// gives the same rows.
void pairwise_make(const size_t *levels, size_t factors, uint64_t seed, pairwise_allowed allowed,
                   void *user, struct pairwise_rows *rows);

#endif
