// SPDX-License-Identifier: MIT
//
// Random attentions for the planner: small enough to ask the reference about every pair, with
// limits as awkward as a device may have them. And failures that say which one it was.
//
// Lengths, positions and strides of a trial count elements of their axis; limits and tensors are in
// the units of schedule.h.
#ifndef TESTS_SCHEDULE_TRIAL_H
#define TESTS_SCHEDULE_TRIAL_H

#include "harness.h"
#include "reference.h"

#include "plan_memory.h"
#include "schedule/schedule.h"

// -------------------------------------------------------------------------------------------------
// What is being tried, and failures that say it

extern uint64_t run_seed;

// Takes it from TULLE_TEST_SEED, or from the time, and says it: each test's first step.
void trial_take_seed(void);
extern int64_t trial_index;  // of the run's trials: what TULLE_TEST_CASE names

// A new trial: nothing is said of it yet.
void trial_begin(void);
// Adds to what a failure prints of the trial (4000 bytes of it are kept).
void trial_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
// Fails the test, with the seed and the index that have this trial again.
void trial_failed(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define FAIL(...) trial_failed(__FILE__, __LINE__, __VA_ARGS__)
#define CHECK(condition, ...)                                            \
    do {                                                                 \
        if (!(condition)) trial_failed(__FILE__, __LINE__, __VA_ARGS__); \
    } while (0)

// -------------------------------------------------------------------------------------------------
// One trial

// The most of each that a trial has: terms of a pattern, patterns, batch entries, query heads.
enum { TERMS = 4, PATTERNS = 2, BATCH = 3, HEADS = 6 };

struct trial {
    int64_t batch, heads, kv_heads, q_len, kv_len;
    bool causal;
    struct ref_term terms[PATTERNS][TERMS];
    size_t term_count[PATTERNS];
    size_t pattern_count;
    size_t head_pattern[HEADS];
    int64_t q_length[BATCH], kv_length[BATCH], kv_start[BATCH], q_offset[BATCH];
    struct schedule_input input;  // points into the trial, so that no copy can be made of it
    // by batch entry: a bit for each query row and key of a query row, 0: none (tulle.h: trees)
    uint32_t *trees[BATCH];
    uint32_t tree_rows;
    struct pm_header header;
    float slopes[HEADS], sinks[HEADS];
    tulle_pattern *patterns[PATTERNS];
    struct group groups[BATCH * HEADS];
    // by group: [q_len][kv_len], 1 where the reference takes the key, else 0
    uint8_t *want[BATCH * HEADS];
    uint32_t group_of[BATCH * HEADS];        // by batch · heads + head
    struct pm_entry entries[BATCH * HEADS];  // the same
    void *owned[200];                        // freed with it
    size_t owned_count;
};

// Begins a trial and makes all of it: up to 900 rows and 1200 keys.
void trial_make(struct trial *t, struct rng *rng);
// The same of terms that are many small pieces, most of them (random_scattered),
void trial_make_scattered(struct trial *t, struct rng *rng);
// of patterns whose rows may come from lists,
void trial_make_listed(struct trial *t, struct rng *rng);
// and of neighbourhoods alone.
void trial_make_planes(struct trial *t, struct rng *rng);
void trial_free(struct trial *t);

// Its steps, for a trial made by hand: The library's pattern of these terms, in their order or in
// `order`, with factors from last to first (NULL: as they are); to be destroyed.
tulle_pattern *trial_pattern(const struct ref_term *terms, size_t count, const size_t *order);
// Gathers (batch, head) that share everything into groups, as the plan does: `groups`, `group_of`
// and the input's.
void trial_group(struct trial *t);
// Asks the reference about every pair of every group: `want`.
void trial_want(struct trial *t);

// One group of 8 heads, on a device whose limits are in nobody's way.
struct schedule_input trial_plain_input(const struct pm_header *header, const struct group *group,
                                        int32_t tile_rows, int32_t chunk);

#endif
