// SPDX-License-Identifier: MIT
//
// That what stands in plan memory's entries is what kernels follow: where an entry's rows and keys
// lie, and where its queries stand. The entries of two batches are made each other's here: every
// address is then reached by another entry, and O and LSE must be the same bits.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "plan_memory.h"
#include "run/plan.h"

enum { BATCH = 2, HEADS = 4, KV_HEADS = 2, Q_LEN = 70, KV_LEN = 300, DIM = 36 };
enum { Q_ROWS = HEADS * Q_LEN, K_ROWS = KV_HEADS * KV_LEN };  // of a batch
enum { Q_COUNT = BATCH * Q_ROWS * DIM, K_COUNT = BATCH * K_ROWS * DIM, L_COUNT = BATCH * Q_ROWS };

static float q[Q_COUNT], k[K_COUNT], v[K_COUNT];
static float o[Q_COUNT], lse[L_COUNT], plain_o[Q_COUNT], plain_lse[L_COUNT];

static void fill(void) {
    struct rng rng = { rng_hash(harness_seed(), 1) };
    for (size_t i = 0; i < Q_COUNT; i++) q[i] = (float)rng_normal(&rng);
    for (size_t i = 0; i < K_COUNT; i++) k[i] = (float)rng_normal(&rng);
    for (size_t i = 0; i < K_COUNT; i++) v[i] = (float)rng_normal(&rng);
}

static void run(tulle_plan *plan, const float *keys, const float *values) {
    tulle_error error;
    const tulle_host_arrays arrays = { .q = q, .k = keys, .v = values, .o = o, .lse = lse };
    memset(o, 0xff, sizeof o);
    memset(lse, 0xff, sizeof lse);
    harness_ok(tulle_attention(plan, &arrays, NULL, &error), &error, "tulle_attention");
}

/// Makes every entry's rows, or keys, those of the other batch.
static void exchange(tulle_plan *plan, bool rows, bool keys) {
    for (uint32_t n = 0; n < plan->dispatch_count; n++) {
        const struct dispatch *d = &plan->dispatches[n];
        struct pm_entry *entries =
            (struct pm_entry *)(void *)((char *)plan->memory.mapped +
                                        16 * ((size_t)plan->segments[d->segment].first_texel +
                                              d->entries));
        for (uint32_t y = d->entry_first; y < d->entry_first + d->entry_count; y++) {
            const bool second = entries[y].index >= HEADS;
            if (rows) entries[y].first_row = second ? -(uint32_t)Q_ROWS : Q_ROWS;
            if (keys) entries[y].first_key = second ? -(uint32_t)K_ROWS : K_ROWS;
        }
    }
}

static tulle_plan *make_plan(tulle_context *context, const tulle_pattern *pattern,
                             const char *kernel) {
    const tulle_attention_desc desc = { .batch = BATCH,
                                        .heads = HEADS,
                                        .kv_heads = KV_HEADS,
                                        .q_len = Q_LEN,
                                        .kv_len = KV_LEN,
                                        .head_dim = DIM,
                                        .causal = true,
                                        .lse = true,
                                        .patterns = &pattern,
                                        .pattern_count = 1,
                                        .kernel = kernel,
                                        .dispatch_pairs = 40000,  // rows are split
                                        .buffer_usage = TULLE_USAGE_HOST };
    tulle_plan *plan = NULL;
    tulle_error error;
    harness_ok(tulle_plan_create(context, &desc, &plan, &error), &error, kernel);
    return plan;
}

/// The halves of a [BATCH, …] array exchanged.
static float *swapped(const float *array, size_t count) {
    float *other = malloc(count * sizeof *other);
    assert_non_null(other);
    memcpy(other, array + count / 2, count / 2 * sizeof *other);
    memcpy(other + count / 2, array, count / 2 * sizeof *other);
    return other;
}

static void check_kernel(tulle_context *context, const tulle_pattern *pattern, const char *kernel) {
    tulle_plan *plan = make_plan(context, pattern, kernel);
    if (!plan->memory.mapped) {
        printf("skip: plan memory is not mapped on this device\n");
        tulle_plan_destroy(plan);
        return;
    }
    run(plan, k, v);
    memcpy(plain_o, o, sizeof o);
    memcpy(plain_lse, lse, sizeof lse);

    // both: each entry does the other's work, where the other would
    exchange(plan, true, true);
    run(plan, k, v);
    if (memcmp(o, plain_o, sizeof o))
        harness_fail("%s: O differs with rows and keys exchanged", kernel);
    if (memcmp(lse, plain_lse, sizeof lse))
        harness_fail("%s: LSE differs with rows and keys exchanged", kernel);
    tulle_plan_destroy(plan);

    // keys alone: as if K and V lay the other way round
    float *other_k = swapped(k, K_COUNT), *other_v = swapped(v, K_COUNT);
    plan = make_plan(context, pattern, kernel);
    run(plan, other_k, other_v);
    memcpy(plain_o, o, sizeof o);
    exchange(plan, false, true);
    run(plan, k, v);
    if (memcmp(o, plain_o, sizeof o)) harness_fail("%s: O differs with keys exchanged", kernel);
    tulle_plan_destroy(plan);
    free(other_k);
    free(other_v);
}

static void test_first_row_and_key(void **state) {
    (void)state;
    // of three steps: written at once, resumed, and combined
    static const char *const specs[] = { "window:40,0", "window:9,0+strided:16",
                                         "window:9,0+strided:16+dilated:9,0,7" };
    fill();
    for (int mode = MODE_OWN; mode <= MODE_OWN_FLOOR; mode++) {
        tulle_context *context = harness_mode((enum mode)mode)->tulle;
        struct variants all;
        const tulle_attention_desc desc = { .heads = HEADS,
                                            .q_len = Q_LEN,
                                            .kv_len = KV_LEN,
                                            .head_dim = DIM,
                                            .buffer_usage = TULLE_USAGE_HOST };
        harness_variants(context, &desc, &all);
        for (size_t s = 0; s < sizeof specs / sizeof *specs; s++) {
            tulle_pattern **patterns = NULL;
            uint32_t count;
            tulle_error error;
            harness_ok(tulle_pattern_parse(specs[s], NULL, &patterns, &count, &error), &error,
                       specs[s]);
            for (uint32_t i = 0; i < all.count; i++)
                if (all.serves[i]) check_kernel(context, patterns[0], all.names[i]);
            tulle_patterns_free(patterns, count);
        }
    }
    harness_silent();
}

/// Batch entries whose queries stand elsewhere: one group of all of them where the runs do not
/// depend on it, one dispatch in any case, and each has the bits that it has alone.
static void check_positions(bool causal, const char *spec, bool shared) {
    static const float slopes[HEADS] = { 0.5f, 0.25f, 0.125f, 0.0625f };
    static const int32_t offsets[BATCH] = { 230, 117 };
    tulle_context *context = harness_mode(MODE_OWN)->tulle;
    tulle_pattern **patterns = NULL;
    uint32_t count;
    tulle_plan *plan = NULL;
    tulle_plan_info info;
    tulle_error error;
    harness_ok(tulle_pattern_parse(spec, NULL, &patterns, &count, &error), &error, spec);
    tulle_attention_desc desc = { .batch = BATCH,
                                  .heads = HEADS,
                                  .kv_heads = KV_HEADS,
                                  .q_len = Q_LEN,
                                  .kv_len = KV_LEN,
                                  .head_dim = DIM,
                                  .causal = causal,
                                  .lse = true,
                                  .alibi_slopes = slopes,
                                  .patterns = (const tulle_pattern *const *)patterns,
                                  .pattern_count = count,
                                  .q_align = TULLE_ALIGN_GIVEN,
                                  .q_offsets = offsets,
                                  .q_offset_count = BATCH,
                                  .buffer_usage = TULLE_USAGE_HOST };
    harness_ok(tulle_plan_create(context, &desc, &plan, &error), &error, "both");
    tulle_plan_get_info(plan, &info);
    if ((plan->attention.group_count == 1) != shared || info.dispatches != 1)
        harness_fail("%s, causal %d: %u groups, %u dispatches", spec, causal,
                     plan->attention.group_count, info.dispatches);
    run(plan, k, v);
    tulle_plan_destroy(plan);
    memcpy(plain_o, o, sizeof o);
    memcpy(plain_lse, lse, sizeof lse);
    desc.q_offset_count = 1;
    for (int b = 0; b < BATCH; b++) {
        desc.q_offsets = &offsets[b];
        harness_ok(tulle_plan_create(context, &desc, &plan, &error), &error, "one");
        run(plan, k, v);
        tulle_plan_destroy(plan);
        const size_t at = (size_t)b * Q_ROWS * DIM, lse_at = (size_t)b * Q_ROWS;
        if (memcmp(o + at, plain_o + at, sizeof o / BATCH) ||
            memcmp(lse + lse_at, plain_lse + lse_at, sizeof lse / BATCH))
            harness_fail("%s, causal %d: entry %d has other bits alone", spec, causal, b);
    }
    tulle_patterns_free(patterns, count);
}

static void test_positions(void **state) {
    (void)state;
    fill();
    check_positions(false, "dense", true);
    check_positions(false, "sink:9", true);
    check_positions(true, "dense", false);
    check_positions(false, "window:20,3", false);
    harness_silent();
}

/// Dispatches of a step of decoding over keys of such lengths.
static uint32_t decode_dispatches(const int32_t *lengths, uint32_t batch, int32_t longest) {
    const tulle_attention_desc desc = { .batch = batch,
                                        .heads = HEADS,
                                        .kv_heads = KV_HEADS,
                                        .q_len = 1,
                                        .kv_len = (uint32_t)longest,
                                        .kv_lengths = lengths,
                                        .head_dim = DIM,
                                        .q_align = TULLE_ALIGN_LAST_KEY,
                                        .causal = true,
                                        .buffer_usage = TULLE_USAGE_HOST };
    tulle_plan *plan = NULL;
    tulle_plan_info info;
    tulle_error error;
    harness_ok(tulle_plan_create(harness_mode(MODE_OWN)->tulle, &desc, &plan, &error), &error,
               "decode");
    tulle_plan_get_info(plan, &info);
    tulle_plan_destroy(plan);
    return info.dispatches;
}

/// A batch takes no more dispatches where each sequence has a length of its own.
static void test_lengths(void **state) {
    (void)state;
    enum { MOST = 256 };
    int32_t equal[MOST], distinct[MOST];
    for (int32_t longest = 4999; longest <= 9998; longest *= 2)
        for (uint32_t batch = 2; batch <= MOST; batch *= 2) {
            for (uint32_t b = 0; b < batch; b++) {
                equal[b] = longest;
                distinct[b] = longest - 17 * (int32_t)b;
            }
            const uint32_t one = decode_dispatches(equal, batch, longest),
                           many = decode_dispatches(distinct, batch, longest);
            if (many > one)
                harness_fail(
                    "%u sequences of %d keys and fewer: %u dispatches, of equal lengths %u", batch,
                    longest, many, one);
        }
    harness_silent();
}

int main(int argc, char **argv) {
    (void)argc;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_row_and_key),
        cmocka_unit_test(test_positions),
        cmocka_unit_test(test_lengths),
    };
    return HARNESS_RUN(argv, "entries", tests);
}
