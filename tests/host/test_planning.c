// SPDX-License-Identifier: MIT
//
// What planning costs: it follows the query tiles and the runs, not the numbers in a pattern. And
// that what makes it fast, tiles that repeat the one before, changes nothing.
//
// TULLE_TEST_SEED: the run's seed; TULLE_TEST_CASE: one trial alone, by its index;
// TULLE_TEST_TRIALS: how many.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/thread.h"
#include "schedule_machine.h"
#include "schedule_trial.h"
#include "times.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct schedule_limits gpu_limits(void) {
    return (struct schedule_limits){ .tile_rows = 32,
                                     .chunk = 32,
                                     .direct = true,
                                     .segment_texels = 1 << 24,
                                     .segment_alignment = 1,
                                     .max_workgroups_x = 65535,
                                     .max_workgroups_y = 65535,
                                     .item_chunks_most = 1 << 20,
                                     .item_chunks_least = 16,
                                     .items_wanted = 2048,
                                     .dispatch_pairs = UINT64_C(1) << 50,
                                     .workspace_rows = 1 << 22 };
}

/// The fastest of several: other processes take their share of this one's time.
#define TIMES 5

static double plan_ms(const struct ref_term *terms, size_t count, int64_t q_len, int64_t kv_len,
                      uint64_t *bytes) {
    static const struct pm_header header;
    struct pm_entry entry = { 0 };
    tulle_pattern *pattern = trial_pattern(terms, count, NULL);
    const struct group group = { .site = { .pattern = pattern,
                                           .at = { 0, 1, 1, kv_len, true },
                                           .q_len = q_len,
                                           .q_length = q_len,
                                           .q_offset = kv_len - q_len },
                                 .entries = &entry,
                                 .entry_count = 1 };
    const struct schedule_input input = { .limits = gpu_limits(),
                                          .header = &header,
                                          .heads = 1,
                                          .kv_heads = 1,
                                          .groups = &group,
                                          .group_count = 1 };
    double best = 1e30;
    struct schedule_room *room = schedule_room_create();
    for (int i = 0; i < TIMES; i++) {
        struct schedule s = { 0 };
        const double start = clock_ms();
        assert_int_equal(schedule_build(&input, room, &s, NULL), TULLE_OK);
        const double took = clock_ms() - start;
        if (took < best) best = took;
        *bytes = s.host_bytes;
        schedule_free(&s);
    }
    schedule_room_destroy(room);
    tulle_pattern_destroy(pattern);
    return best;
}

static int64_t random_magnitude(struct rng *rng, int bits) {
    const int64_t most = (INT64_C(1) << rng_between(rng, 1, bits)) - 1;
    return rng_between(rng, most / 2 + 1, most);
}

/// A few queries at a step: their own keys count, not those that the step passes by.
static void test_steps(void **state) {
    (void)state;
    const char *one = getenv("TULLE_TEST_CASE"), *many = getenv("TULLE_TEST_TRIALS");
    const int64_t trials = one ? 1 : many ? atoll(many) : 100, first = one ? atoll(one) : 0;
    double longest = 0;
    for (trial_index = first; trial_index < first + trials; trial_index++) {
        struct rng rng = { rng_hash(run_seed, (uint64_t)trial_index) };
        const int64_t
            kv_len = random_magnitude(&rng, 31),
            q_len = rng_between(&rng, 1, kv_len < 100 ? kv_len : 100),
            // at a lesser step rows of several classes make a tile, and bits of their keys
            step = q_len + random_magnitude(&rng, 30);
        const struct ref_term strided = { .kind = REF_STRIDED, .step = step },
                              window = { .kind = REF_WINDOW,
                                         .left = random_magnitude(&rng, 31) - 1 },
                              near = { .kind = REF_WINDOW, .left = rng_between(&rng, 0, 500) },
                              dilated = { .kind = REF_DILATED, .left = 3, .step = step };
        struct ref_term both = strided;
        both.factors = &window, both.n_factors = 1;
        const struct ref_term unions[][2] = {
            { strided }, { dilated }, { near, strided }, { both }
        };
        const size_t of = (size_t)rng_between(&rng, 0, COUNT(unions) - 1);
        uint64_t bytes;
        trial_begin();
        trial_say("union %zu, step %lld, window %lld, near %lld, q %lld kv %lld", of,
                  (long long)step, (long long)window.left, (long long)near.left, (long long)q_len,
                  (long long)kv_len);
        const double ms = plan_ms(unions[of], of == 2 ? 2 : 1, q_len, kv_len, &bytes);
        if (ms > longest) longest = ms;
        CHECK(!times_count() || ms < 50, "planning takes %.1f ms", ms);
        CHECK(bytes < 1 << 20, "planning takes %llu bytes", (unsigned long long)bytes);
    }
    print_message("%lld plans, the longest %.3f ms\n", (long long)trials, longest);
}

// -------------------------------------------------------------------------------------------------
// Tiles that are the one before, moved

/// A million tokens: what stands at the sequence's start costs planning no more than a window does.
static void test_million(void **state) {
    (void)state;
    const struct ref_term window = { .kind = REF_WINDOW, .left = 255 },
                          unions[][2] = { { window },
                                          { window, { .kind = REF_GLOBAL, .count = 64 } },
                                          { window, { .kind = REF_SINK, .count = 4 } },
                                          { { .kind = REF_A_SHAPE, .count = 64, .block = 256 } } };
    static const size_t terms[] = { 1, 2, 2, 1 };
    for (size_t i = 0; i < COUNT(unions); i++) {
        uint64_t bytes;
        trial_begin();
        trial_say("union %zu", i);
        const double ms = plan_ms(unions[i], terms[i], 1000000, 1000000, &bytes);
        print_message("union %zu: %.2f ms, %.1f bytes a tile\n", i, ms, (double)bytes / 31250);
        CHECK(!times_count() || ms < 50, "planning takes %.1f ms", ms);
    }
}

static struct ref_term draw_moving(struct rng *rng) {
    const struct ref_term terms[] = {
        { .kind = REF_WINDOW, .left = rng_between(rng, 0, 60), .right = rng_between(rng, 0, 60) },
        { .kind = REF_DILATED,
          .left = rng_between(rng, 0, 9),
          .right = rng_between(rng, 0, 9),
          .step = rng_between(rng, 1, 4) },
        { .kind = REF_A_SHAPE, .count = rng_between(rng, 1, 70), .block = rng_between(rng, 1, 80) },
    };
    return terms[rng_between(rng, 0, 2)];
}

static struct ref_term draw_fixed(struct rng *rng) {
    return (struct ref_term){ .kind = rng_chance(rng, 50) ? REF_SINK : REF_GLOBAL,
                              .count = rng_between(rng, 1, 150) };
}

/// Plans the trial's only pattern and checks every pair by the machine.
static void run_moving(struct trial *t) {
    t->patterns[0] = trial_pattern(t->terms[0], t->term_count[0], NULL);
    trial_group(t);
    trial_want(t);
    t->input.header = &t->header;
    t->input.heads = t->input.kv_heads = 1;
    struct schedule s = { 0 };
    tulle_error error = { 0 };
    CHECK(schedule_build(&t->input, NULL, &s, &error) == TULLE_OK, "%s", error.message);
    machine_run(t, &s);
    schedule_free(&s);
    trial_free(t);
}

/// Long enough for windows to leave what stands at the start.
static void run_repeats(struct rng *rng) {
    struct trial t = { .batch = 1, .heads = 1, .kv_heads = 1, .pattern_count = 1 };
    t.q_len = t.q_length[0] = rng_between(rng, 1, 1500);
    t.kv_len = t.kv_length[0] = rng_between(rng, 1000, 1800);
    t.q_offset[0] = rng_chance(rng, 50) ? t.kv_len - t.q_len : rng_between(rng, -300, 900);
    t.kv_start[0] = rng_chance(rng, 70) ? 0 : rng_between(rng, 0, 200);
    t.causal = rng_chance(rng, 50);
    t.term_count[0] = (size_t)rng_between(rng, 1, 3);
    for (size_t i = 0; i < t.term_count[0]; i++)
        t.terms[0][i] = rng_chance(rng, 50) ? draw_moving(rng) : draw_fixed(rng);
    trial_begin();
    trial_say("q %lld kv %lld from %lld offset %lld causal %d", (long long)t.q_len,
              (long long)t.kv_len, (long long)t.kv_start[0], (long long)t.q_offset[0], t.causal);
    for (size_t i = 0; i < t.term_count[0]; i++)
        trial_say("; kind %d: %lld %lld, %lld, %lld %lld", (int)t.terms[0][i].kind,
                  (long long)t.terms[0][i].left, (long long)t.terms[0][i].right,
                  (long long)t.terms[0][i].step, (long long)t.terms[0][i].count,
                  (long long)t.terms[0][i].block);
    t.input.limits = gpu_limits();
    t.input.limits.tile_rows = 8 << rng_between(rng, 0, 2);
    t.input.limits.chunk = 4 << rng_between(rng, 0, 3);
    if (rng_chance(rng, 30)) {  // K in windows, which may hold some of the tiles
        t.input.limits.window_bytes = 16 * (uint64_t)rng_between(rng, 300, 1500);
        t.input.tensors[TENSOR_K] =
            (struct tensor_shape){ .row = 16, .row_bytes = 16, .windowed = true };
    }
    run_moving(&t);
}

/// Tiles before position 0 select the first columns alone, all the same; those from there on are
/// global rows, or causal ones that see their own part of the columns.
static void test_before_the_start(void **state) {
    (void)state;
    for (int causal = 0; causal < 2; causal++)
        for (int64_t offset = -70; offset <= -8; offset++) {
            struct trial t = { .batch = 1,
                               .heads = 1,
                               .kv_heads = 1,
                               .pattern_count = 1,
                               .q_len = 128,
                               .q_length = { 128 },
                               .kv_len = 1000,
                               .kv_length = { 1000 },
                               .q_offset = { offset },
                               .causal = causal,
                               .terms = { { { .kind = REF_GLOBAL, .count = 20 } } },
                               .term_count = { 1 } };
            trial_begin();
            trial_say("global:20 from %lld on, causal %d", (long long)offset, causal);
            t.input.limits = gpu_limits();
            t.input.limits.tile_rows = 8;
            run_moving(&t);
        }
}

static void test_repeats(void **state) {
    (void)state;
    const char *one = getenv("TULLE_TEST_CASE"), *many = getenv("TULLE_TEST_TRIALS");
    const int64_t trials = one ? 1 : many ? atoll(many) : 200, first = one ? atoll(one) : 0;
    for (trial_index = first; trial_index < first + trials; trial_index++) {
        struct rng rng = { rng_hash(run_seed, UINT64_C(1000000) + (uint64_t)trial_index) };
        run_repeats(&rng);
    }
}

int main(void) {
    trial_take_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_million),
        cmocka_unit_test(test_repeats),
        cmocka_unit_test(test_before_the_start),
    };
    return cmocka_run_group_tests_name("planning", tests, NULL, NULL);
}
