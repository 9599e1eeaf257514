// SPDX-License-Identifier: MIT
//
// What planning costs: it follows the query tiles and the runs, not the numbers in a pattern.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/thread.h"
#include "schedule_trial.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

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
    const struct schedule_input input = { .limits = { .tile_rows = 32,
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
                                                      .workspace_rows = 1 << 22 },
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
    const char *many = getenv("TULLE_TEST_TRIALS");
    const int64_t trials = many ? atoll(many) : 100;
    double longest = 0;
    for (trial_index = 0; trial_index < trials; trial_index++) {
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
        CHECK(ms < 10, "planning takes %.1f ms", ms);
        CHECK(bytes < 1 << 20, "planning takes %llu bytes", (unsigned long long)bytes);
    }
    print_message("%lld plans, the longest %.3f ms\n", (long long)trials, longest);
}

int main(void) {
    const char *given = getenv("TULLE_TEST_SEED");
    run_seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    printf("# TULLE_TEST_SEED=%llu\n", (unsigned long long)run_seed);
    fflush(stdout);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps),
    };
    return cmocka_run_group_tests_name("planning", tests, NULL, NULL);
}
