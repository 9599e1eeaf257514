// SPDX-License-Identifier: MIT
//
// Tensors larger than what one descriptor shows: how many dispatches go over them. Large ones are
// only planned; small ones in small windows are also run (schedule_machine.h), layouts, patterns
// and windows at random.
//
// TULLE_TEST_SEED: the run's seed; TULLE_TEST_CASE: one trial alone, by its index;
// TULLE_TEST_TRIALS: how many.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "schedule_machine.h"
#include "schedule_trial.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/// Which axes lie side by side in memory, from the outermost in; those of a row's elements always do.
enum layout { BHSD, BSHD, HBSD, SBHD, LAYOUTS };
static const char *const layout_names[] = { "bhsd", "bshd", "hbsd", "sbhd" };

static struct tensor_shape shape_of(enum layout layout, uint64_t batch, uint64_t heads,
                                    uint64_t rows, uint64_t row_bytes) {
    struct tensor_shape s = { .row_bytes = row_bytes };
    switch (layout) {
    case BSHD: s.head = row_bytes, s.row = s.head * heads, s.batch = s.row * rows; break;
    case HBSD: s.row = row_bytes, s.batch = s.row * rows, s.head = s.batch * batch; break;
    case SBHD: s.head = row_bytes, s.batch = s.head * heads, s.row = s.batch * batch; break;
    default: s.row = row_bytes, s.head = s.row * rows, s.batch = s.head * heads; break;
    }
    return s;
}

static uint64_t span_of(const struct tensor_shape *s, uint64_t batch, uint64_t heads,
                        uint64_t rows) {
    return s->batch * (batch - 1) + s->head * (heads - 1) + s->row * (rows - 1) + s->row_bytes;
}

// -------------------------------------------------------------------------------------------------
// Problems that are only planned

/// One pattern for all heads, everything causal, the last query at the last key.
struct problem_size {
    struct ref_term terms[2];
    size_t term_count;
    int64_t batch, heads, kv_heads, q_len, kv_len;
    uint64_t row_bytes, head_dim;
    enum layout layout;
};

static void plan_size(const struct problem_size *p, const struct schedule_limits *limits,
                      struct schedule *s, uint64_t *q_windows, uint64_t *k_windows) {
    static const struct pm_header header;
    const int64_t entry_count = p->batch * p->heads;
    struct pm_entry *entries = calloc((size_t)entry_count, sizeof *entries);
    assert_non_null(entries);
    for (int64_t i = 0; i < entry_count; i++) entries[i].index = (uint32_t)i;
    tulle_pattern *pattern = trial_pattern(p->terms, p->term_count, NULL);
    const struct group group = { .site = { .pattern = pattern,
                                           .at = { 0, (uint32_t)p->heads, (uint32_t)p->kv_heads,
                                                   p->kv_len, true },
                                           .q_len = p->q_len,
                                           .q_length = p->q_len,
                                           .q_offset = p->kv_len - p->q_len },
                                 .entries = entries,
                                 .entry_count = (uint32_t)entry_count };
    struct schedule_input input = { .limits = *limits,
                                    .header = &header,
                                    .heads = (uint32_t)p->heads,
                                    .kv_heads = (uint32_t)p->kv_heads,
                                    .groups = &group,
                                    .group_count = 1 };
    *q_windows = *k_windows = 1;
    for (int t = 0; t < TENSOR_COUNT; t++) {
        const bool keys = tensor_has_keys(t);
        const uint64_t batch = (uint64_t)p->batch,
                       heads = (uint64_t)(keys ? p->kv_heads : p->heads),
                       rows = (uint64_t)(keys ? p->kv_len : p->q_len);
        struct tensor_shape *shape = &input.tensors[t];
        *shape = shape_of(p->layout, batch, heads, rows, t == TENSOR_LSE ? 4 : p->row_bytes);
        const uint64_t span = span_of(shape, batch, heads, rows);
        shape->windowed = span > limits->window_bytes;
        if (t == TENSOR_Q) *q_windows = span / limits->window_bytes + 1;
        if (t == TENSOR_K) *k_windows = span / limits->window_bytes + 1;
    }
    tulle_error error = { 0 };
    CHECK(schedule_build(&input, NULL, s, &error) == TULLE_OK, "%s", error.message);
    tulle_pattern_destroy(pattern);
    free(entries);
}

/// As limits_of has them for a discrete GPU whose storage buffers reach over 128 MiB.
static struct schedule_limits gpu_limits(uint64_t head_dim) {
    const uint64_t range = (UINT64_C(1) << 27) - 128;
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
                                     .dispatch_pairs = 1500000000,
                                     .workspace_rows = range / (4 * head_dim + 8),
                                     .window_bytes = range };
}

#define WINDOW(l) { .kind = REF_WINDOW, .left = (l) }
#define GLOBAL(g) { .kind = REF_GLOBAL, .count = (g) }
#define STRIDED(s) { .kind = REF_STRIDED, .step = (s) }

/// 32 heads on 8 of 131,072 positions and others like it, with the workspace that the library has
/// by default. What a dispatch may visit, and how many entries' partial results the workspace
/// holds, are in the bounds.
static void test_large(void **state) {
    (void)state;
    const struct {
        struct problem_size size;
        uint32_t most[2];  // dispatches: BHSD, BSHD
    } all[] = {
        { { { WINDOW(255) }, 1, 1, 32, 8, 131072, 131072, 256, 128, 0 }, { 16, 16 } },
        { { { { .kind = REF_DENSE } }, 1, 1, 40, 40, 1024, 131072, 256, 128, 0 }, { 20, 40 } },
        { { { { .kind = REF_DENSE } }, 1, 1, 32, 8, 131072, 131072, 256, 128, 0 }, { 220, 350 } },
        { { { STRIDED(512) }, 1, 1, 32, 8, 131072, 131072, 256, 128, 0 }, { 16, 700 } },
        { { { STRIDED(128) }, 1, 1, 32, 8, 131072, 131072, 256, 128, 0 }, { 16, 100 } },
        { { { WINDOW(255), STRIDED(512) }, 2, 1, 32, 8, 131072, 131072, 256, 128, 0 },
          { 70, 900 } },
        { { { WINDOW(255), GLOBAL(64) }, 2, 1, 32, 8, 131072, 131072, 256, 128, 0 }, { 16, 100 } },
        { { { WINDOW(60000) }, 1, 1, 32, 8, 131072, 131072, 256, 128, 0 }, { 160, 200 } },
        { { { WINDOW(3), STRIDED(50000) }, 2, 1, 1, 1, 1000000, 1000000, 256, 64, 0 }, { 30, 30 } },
    };
    for (size_t i = 0; i < COUNT(all); i++)
        for (int layout = BHSD; layout <= BSHD; layout++) {
            struct problem_size size = all[i].size;
            struct schedule s = { 0 };
            uint64_t q_windows, k_windows;
            const struct schedule_limits limits = gpu_limits(size.head_dim);
            size.layout = (enum layout)layout;
            trial_begin();
            trial_say("problem %zu in %s", i, layout_names[layout]);
            plan_size(&size, &limits, &s, &q_windows, &k_windows);
            CHECK(s.dispatch_count <= all[i].most[layout], "%u dispatches; %u will do",
                  s.dispatch_count, all[i].most[layout]);
            schedule_free(&s);
        }
}

/// Sizes, layouts and windows at random. A dispatch reaches over a window of Q's rows and one of
/// K's keys; batch entries of a head lie apart in some layouts, and what begins off a window's ends
/// takes another one: a small multiple of all their combinations will do, where neither workspace
/// nor pairs are short.
static void test_layouts(void **state) {
    (void)state;
    const char *one = getenv("TULLE_TEST_CASE"), *many = getenv("TULLE_TEST_TRIALS");
    const int64_t trials = one ? 1 : many ? atoll(many) : 200, first = one ? atoll(one) : 0;
    uint64_t planned = 0;
    for (trial_index = first; trial_index < first + trials; trial_index++) {
        struct rng rng = { rng_hash(run_seed, (uint64_t)trial_index) };
        struct problem_size p = { .term_count = 1 };
        p.batch = rng_between(&rng, 1, 3);
        p.kv_heads = rng_between(&rng, 1, 4);
        p.heads = p.kv_heads * rng_between(&rng, 1, 4);
        p.kv_len = rng_between(&rng, 1000, 60000);
        p.q_len = rng_chance(&rng, 60) ? p.kv_len : rng_between(&rng, 1, p.kv_len);
        p.row_bytes = (uint64_t)rng_between(&rng, 2, 8) * 16;
        p.layout = (enum layout)rng_between(&rng, 0, LAYOUTS - 1);
        const int64_t left = rng_between(&rng, 0, p.kv_len), step = rng_between(&rng, 2, p.kv_len);
        const struct ref_term terms[] = { WINDOW(left),
                                          STRIDED(step),
                                          { .kind = REF_DENSE },
                                          { .kind = REF_SINK,
                                            .count = rng_between(&rng, 1, 100) } };
        const size_t term = (size_t)rng_between(&rng, 0, 3);
        p.terms[0] = terms[term];
        if (rng_chance(&rng, 40)) {
            p.terms[1] = (struct ref_term)WINDOW(rng_between(&rng, 0, 300));
            p.term_count = 2;
        }
        struct schedule_limits limits = gpu_limits(64);
        limits.tile_rows = 8 << rng_between(&rng, 0, 2);
        limits.dispatch_pairs = UINT64_C(1) << 50;
        limits.workspace_rows = 1 << 30;
        limits.window_bytes = (uint64_t)rng_between(&rng, 200000, 4000000);
        struct schedule s = { 0 };
        uint64_t q_windows, k_windows;
        trial_begin();
        trial_say(
            "%s, batch %lld heads %lld/%lld q %lld kv %lld row %llu window %llu tiles %d; term %zu left %lld step %lld, %zu terms",
            layout_names[p.layout], (long long)p.batch, (long long)p.heads, (long long)p.kv_heads,
            (long long)p.q_len, (long long)p.kv_len, (unsigned long long)p.row_bytes,
            (unsigned long long)limits.window_bytes, limits.tile_rows, term, (long long)left,
            (long long)step, p.term_count);
        plan_size(&p, &limits, &s, &q_windows, &k_windows);
        const uint64_t combinations = q_windows * k_windows * (uint64_t)p.batch;
        CHECK(s.dispatch_count <= 4 * combinations + 4, "%u dispatches, for %llu × %llu windows",
              s.dispatch_count, (unsigned long long)q_windows, (unsigned long long)k_windows);
        planned += s.dispatch_count;
        schedule_free(&s);
    }
    print_message("%lld problems, %llu dispatches\n", (long long)trials,
                  (unsigned long long)planned);
}

// -------------------------------------------------------------------------------------------------
// Problems that are run

/// What trial_make draws, with every tensor in windows.
static void windowed_trial(struct trial *t, struct rng *rng) {
    trial_make(t, rng);
    struct schedule_limits *l = &t->input.limits;
    l->max_workgroups_x = l->max_workgroups_y = 65535;
    l->dispatch_pairs = UINT64_C(1) << 40;
    l->segment_texels = 1 << 24;
    const uint64_t row_bytes = 16 * (uint64_t)rng_between(rng, 1, 3);
    l->window_bytes = row_bytes * (uint64_t)rng_between(rng, 8, 2000);
    const enum layout layout = (enum layout)rng_between(rng, 0, LAYOUTS - 1);
    for (int i = 0; i < TENSOR_COUNT; i++) {
        const bool keys = tensor_has_keys(i);
        struct tensor_shape *shape = &t->input.tensors[i];
        *shape = shape_of(layout, (uint64_t)t->batch, (uint64_t)(keys ? t->kv_heads : t->heads),
                          (uint64_t)(keys ? t->kv_len : t->q_len), i == TENSOR_LSE ? 4 : row_bytes);
        shape->windowed = true;
    }
    trial_say("\n  all in %s, windows of %llu, rows of %llu bytes", layout_names[layout],
              (unsigned long long)l->window_bytes, (unsigned long long)row_bytes);
}

static void test_small(void **state) {
    (void)state;
    const char *one = getenv("TULLE_TEST_CASE"), *many = getenv("TULLE_TEST_TRIALS");
    const int64_t trials = one ? 1 : many ? atoll(many) : 200, first = one ? atoll(one) : 0;
    for (trial_index = first; trial_index < first + trials; trial_index++) {
        struct rng rng = { rng_hash(run_seed, UINT64_C(1000000) + (uint64_t)trial_index) };
        struct trial t;
        struct schedule s = { 0 };
        tulle_error error = { 0 };
        windowed_trial(&t, &rng);
        tulle_result result = schedule_build(&t.input, NULL, &s, &error);
        if (result == TULLE_ERROR_WORKSPACE_LIMIT) {
            t.input.limits.workspace_rows = s.workspace_rows_least;
            trial_say(", workspace %llu", (unsigned long long)s.workspace_rows_least);
            schedule_free(&s);
            result = schedule_build(&t.input, NULL, &s, &error);
        }
        CHECK(result == TULLE_OK, "%s", error.message);
        machine_run(&t, &s);
        schedule_free(&s);
        trial_free(&t);
    }
}

int main(void) {
    trial_take_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_layouts),
        cmocka_unit_test(test_small),
    };
    return cmocka_run_group_tests_name("schedule_windows", tests, NULL, NULL);
}
