// SPDX-License-Identifier: MIT
//
// Greedy, as AETG does it (Cohen, Dalal, Fredman, Patton 1997): of several candidates for the next
// row, each started from a pair that is not covered yet and completed factor by factor with the
// level that covers most, the best is taken.

#include "pairwise.h"

#include <stdlib.h>
#include <string.h>

#include "harness.h"

#define CANDIDATES 12  // tried for each row
#define ATTEMPTS 60    // candidates refused before a pair counts as impossible

struct state {
    const size_t *levels;
    size_t factors;
    size_t first[PAIRWISE_FACTORS + 1];  // index of a factor's level 0 among all levels
    uint8_t *open;  // [all][all]: the pair is not covered yet (kept for the lower factor first)
    struct rng rng;
};

static uint8_t *pair_of(const struct state *state, size_t f, size_t a, size_t g, size_t b) {
    const size_t all = state->first[state->factors];
    return f < g ? &state->open[(state->first[f] + a) * all + state->first[g] + b]
                 : &state->open[(state->first[g] + b) * all + state->first[f] + a];
}

// Completes a row in which `fixed` factors have their level.
static void complete(struct state *state, uint8_t row[PAIRWISE_FACTORS],
                     bool fixed[PAIRWISE_FACTORS]) {
    size_t order[PAIRWISE_FACTORS];
    for (size_t n = 0; n < state->factors; n++) {  // Fisher-Yates, inside out
        const size_t at = (size_t)rng_between(&state->rng, 0, (int64_t)n);
        order[n] = order[at];
        order[at] = n;
    }
    for (size_t n = 0; n < state->factors; n++) {
        const size_t f = order[n];
        if (fixed[f]) {
            continue;
        }
        size_t best = 0, best_gain = 0, ties = 0;
        for (size_t level = 0; level < state->levels[f]; level++) {
            size_t gain = 1;
            for (size_t g = 0; g < state->factors; g++) {
                gain += g != f && fixed[g] && *pair_of(state, f, level, g, row[g]);
            }
            ties = gain > best_gain ? 1 : gain == best_gain ? ties + 1 : ties;
            if (gain > best_gain ||
                (gain == best_gain && rng_between(&state->rng, 1, (int64_t)ties) == 1)) {
                best = level;
                best_gain = gain;
            }
        }
        row[f] = (uint8_t)best;
        fixed[f] = true;
    }
}

static size_t gain_of(const struct state *state, const uint8_t row[PAIRWISE_FACTORS]) {
    size_t gain = 0;
    for (size_t f = 0; f < state->factors; f++) {
        for (size_t g = f + 1; g < state->factors; g++) {
            gain += *pair_of(state, f, row[f], g, row[g]);
        }
    }
    return gain;
}

static void close_pairs(const struct state *state, const uint8_t row[PAIRWISE_FACTORS]) {
    for (size_t f = 0; f < state->factors; f++) {
        for (size_t g = f + 1; g < state->factors; g++) {
            *pair_of(state, f, row[f], g, row[g]) = 0;
        }
    }
}

// The best allowed row that holds this pair; false where none of the attempts is allowed.
static bool next_row(struct state *state, size_t f, size_t a, size_t g, size_t b,
                     pairwise_allowed allowed, void *user, uint8_t best[PAIRWISE_FACTORS]) {
    size_t best_gain = 0, found = 0;
    for (int attempt = 0; attempt < ATTEMPTS && found < CANDIDATES; attempt++) {
        uint8_t row[PAIRWISE_FACTORS] = { 0 };
        bool fixed[PAIRWISE_FACTORS] = { false };
        row[f] = (uint8_t)a;
        row[g] = (uint8_t)b;
        fixed[f] = fixed[g] = true;
        // From the second half of the attempts on, other factors start at random: a greedy choice
        // may keep being refused.
        for (size_t h = 0; attempt >= ATTEMPTS / 2 && h < state->factors; h++) {
            if (!fixed[h] && rng_chance(&state->rng, 70)) {
                row[h] = (uint8_t)rng_between(&state->rng, 0, (int64_t)state->levels[h] - 1);
                fixed[h] = true;
            }
        }
        complete(state, row, fixed);
        if (!allowed(user, row)) {
            continue;
        }
        found++;
        const size_t gain = gain_of(state, row);
        if (gain > best_gain) {
            best_gain = gain;
            memcpy(best, row, PAIRWISE_FACTORS);
        }
    }
    return found > 0;
}

void pairwise_make(const size_t *levels, size_t factors, uint64_t seed, pairwise_allowed allowed,
                   void *user, struct pairwise_rows *rows) {
    struct state state = { .levels = levels, .factors = factors, .rng = { seed } };
    for (size_t f = 0; f < factors; f++) {
        state.first[f + 1] = state.first[f] + levels[f];
    }
    const size_t all = state.first[factors];
    state.open = calloc(all * all, 1);
    memset(rows, 0, sizeof *rows);
    for (size_t f = 0; f < factors; f++) {
        for (size_t g = f + 1; g < factors; g++) {
            rows->pairs += levels[f] * levels[g];
            for (size_t a = 0; a < levels[f]; a++) {
                memset(pair_of(&state, f, a, g, 0), 1, levels[g]);
            }
        }
    }
    // a row covers at least the pair that it is made for
    rows->levels = calloc(rows->pairs, sizeof *rows->levels);
    if (state.open == NULL || rows->levels == NULL) {
        abort();
    }
    for (size_t f = 0; f < factors; f++) {
        for (size_t g = f + 1; g < factors; g++) {
            for (size_t a = 0; a < levels[f]; a++) {
                for (size_t b = 0; b < levels[g]; b++) {
                    if (!*pair_of(&state, f, a, g, b)) {
                        continue;
                    }
                    if (next_row(&state, f, a, g, b, allowed, user, rows->levels[rows->count])) {
                        close_pairs(&state, rows->levels[rows->count++]);
                    } else {
                        *pair_of(&state, f, a, g, b) = 0;
                        rows->impossible++;
                    }
                }
            }
        }
    }
    free(state.open);
}
