// SPDX-License-Identifier: MIT
//
// Packed sequences, and patterns that differ by batch entry: the same bits as from a plan for each
// sequence alone, in every kernel that serves, with sequences of no row or no key between them.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"

enum { HEADS = 4, KV_HEADS = 2, DIM = 36, SEQUENCES_MOST = 9, ROWS_MOST = 700 };
enum { TREE_ROWS = ROWS_MOST / SEQUENCES_MOST, TREE_WORDS = (TREE_ROWS + 31) / 32 };

struct packed {
    uint32_t sequences;
    int32_t cu_q[SEQUENCES_MOST + 1], cu_kv[SEQUENCES_MOST + 1], offsets[SEQUENCES_MOST];
    bool bshd;  // [rows, heads, dim]; else [heads, rows, dim]
    uint32_t trees[SEQUENCES_MOST][TREE_ROWS][TREE_WORDS];
    float *q, *k, *v, *o, *lse;
};

static float *some(size_t count, struct rng *rng) {
    float *array = malloc((count + 1) * sizeof *array);
    assert_non_null(array);
    for (size_t i = 0; i < count; i++) array[i] = (float)rng_normal(rng);
    return array;
}

static void draw(struct packed *p, struct rng *rng) {
    p->sequences = (uint32_t)rng_between(rng, 1, SEQUENCES_MOST);
    p->bshd = rng_chance(rng, 50);
    const bool alike = rng_chance(rng, 50);
    for (uint32_t s = 0; s < p->sequences; s++) {
        const int64_t most = rng_chance(rng, 30) ? 3 : ROWS_MOST / SEQUENCES_MOST;
        p->cu_q[s + 1] =
            p->cu_q[s] + (int32_t)(rng_chance(rng, 10) ? 0 : rng_between(rng, 1, most));
        p->cu_kv[s + 1] =
            p->cu_kv[s] + (int32_t)(rng_chance(rng, 10) ? 0 : rng_between(rng, 1, 3 * most));
        if (s && alike) {
            p->cu_q[s + 1] = p->cu_q[s] + p->cu_q[1];
            p->cu_kv[s + 1] = p->cu_kv[s] + p->cu_kv[1];
        }
        p->offsets[s] = (int32_t)rng_between(rng, -5, 90);
        for (int i = 0; i < TREE_ROWS * TREE_WORDS; i++)
            p->trees[s][i / TREE_WORDS][i % TREE_WORDS] = (uint32_t)rng_next(rng);
    }
    if (!p->cu_q[p->sequences]) p->cu_q[p->sequences] = 1;
    if (!p->cu_kv[p->sequences]) p->cu_kv[p->sequences] = 1;
    const size_t rows = (size_t)p->cu_q[p->sequences], keys = (size_t)p->cu_kv[p->sequences];
    p->q = some(rows * HEADS * DIM, rng);
    p->k = some(keys * KV_HEADS * DIM, rng);
    p->v = some(keys * KV_HEADS * DIM, rng);
    p->o = some(rows * HEADS * DIM, rng);
    p->lse = some(rows * HEADS, rng);
}

static void forget(struct packed *p) {
    free(p->q);
    free(p->k);
    free(p->v);
    free(p->o);
    free(p->lse);
}

static tulle_strides strides_of(const struct packed *p, int64_t heads, int64_t rows) {
    return p->bshd ? (tulle_strides){ rows * heads * DIM, DIM, heads * DIM }
                   : (tulle_strides){ rows * heads * DIM, rows * DIM, DIM };
}

static void run(tulle_context *context, const tulle_attention_desc *desc,
                const tulle_host_arrays *arrays) {
    tulle_plan *plan = NULL;
    tulle_error error;
    harness_ok(tulle_plan_create(context, desc, &plan, &error), &error, desc->kernel);
    harness_ok(tulle_attention(plan, arrays, NULL, &error), &error, desc->kernel);
    tulle_plan_destroy(plan);
}

static void check_rows(const struct packed *p, uint32_t s, const float *o, const float *lse,
                       const char *kernel) {
    const int64_t rows = p->cu_q[p->sequences], first = p->cu_q[s], count = p->cu_q[s + 1] - first;
    for (int64_t h = 0; h < HEADS; h++)
        for (int64_t i = 0; i < count; i++) {
            const float *all =
                p->o + (p->bshd ? ((first + i) * HEADS + h) * DIM : (h * rows + first + i) * DIM);
            if (memcmp(all, o + (h * count + i) * DIM, DIM * sizeof *all) ||
                memcmp(&p->lse[h * rows + first + i], &lse[h * count + i], sizeof *lse))
                harness_fail("%s: sequence %u of %u, head %lld, row %lld differs from it alone",
                             kernel, s, p->sequences, (long long)h, (long long)i);
        }
}

/// One sequence by a plan of its own, on copies that lie densely.
static void check_alone(tulle_context *context, const struct packed *p, uint32_t s,
                        tulle_attention_desc desc, const uint32_t *head_pattern) {
    const int64_t first = p->cu_q[s], rows = p->cu_q[s + 1] - first, key = p->cu_kv[s],
                  keys = p->cu_kv[s + 1] - key, none = 0;
    if (!rows) return;
    const int64_t key_rows = keys ? keys : 1;
    const int32_t kv_length = (int32_t)keys;
    struct rng rng = { 1 };
    float *o = some((size_t)(HEADS * rows * DIM), &rng), *lse = some((size_t)(HEADS * rows), &rng);
    const tulle_strides q = strides_of(p, HEADS, p->cu_q[p->sequences]),
                        kv = strides_of(p, KV_HEADS, p->cu_kv[p->sequences]);
    desc.cu_q = desc.cu_kv = NULL;
    desc.sequences = 0;
    if (desc.trees) desc.trees = &p->trees[s][0][0];
    desc.entry_pattern = NULL;
    desc.head_pattern = head_pattern;
    desc.q_len = (uint32_t)rows;
    desc.kv_len = (uint32_t)key_rows;
    desc.kv_lengths = &kv_length;
    desc.q = desc.k = desc.v = desc.o = (tulle_strides){ none, none, none };
    if (desc.q_align == TULLE_ALIGN_GIVEN) desc.q_offsets += desc.q_offset_count > 1 ? s : 0;
    desc.q_offset_count = desc.q_offset_count ? 1 : 0;
    const tulle_host_arrays arrays = {
        .q = p->q + first * q.row,
        .k = p->k + (keys ? key * kv.row : 0),
        .v = p->v + (keys ? key * kv.row : 0),
        .o = o,
        .lse = lse,
        .q_strides = q,
        .k_strides = kv,
        .v_strides = kv,
    };
    run(context, &desc, &arrays);
    check_rows(p, s, o, lse, desc.kernel);
    free(o);
    free(lse);
}

static const char *const specs[] = { "window:20,3",  "window:9,0+strided:16",
                                     "dense",        "sink:4+dilated:5,0,3",
                                     "random:8,2,7", "strided:5+dilated:9,0,7+window:3,3" };
enum { SPECS = sizeof specs / sizeof *specs };

static void check(tulle_context *context, const char *kernel, uint64_t seed) {
    struct rng rng = { rng_hash(harness_seed(), seed) };
    struct packed p = { 0 };
    tulle_pattern *patterns[SPECS] = { NULL };
    uint32_t entry_pattern[SEQUENCES_MOST * HEADS], head_pattern[HEADS];
    tulle_error error;
    draw(&p, &rng);
    for (int i = 0; i < SPECS; i++) {
        tulle_pattern **read = NULL;
        uint32_t count;
        harness_ok(tulle_pattern_parse(specs[i], NULL, &read, &count, &error), &error, specs[i]);
        patterns[i] = read[0];
        free(read);
    }
    for (size_t i = 0; i < SEQUENCES_MOST * HEADS; i++)
        entry_pattern[i] = (uint32_t)rng_between(&rng, 0, SPECS - 1);
    memcpy(head_pattern, entry_pattern, sizeof head_pattern);
    const bool by_entry = rng_chance(&rng, 60), given = rng_chance(&rng, 30),
               one = rng_chance(&rng, 30), trees = !given && rng_chance(&rng, 60);
    const tulle_attention_desc desc = {
        .heads = HEADS,
        .kv_heads = KV_HEADS,
        .q_len = (uint32_t)p.cu_q[p.sequences],
        .kv_len = (uint32_t)p.cu_kv[p.sequences],
        .head_dim = DIM,
        .q = strides_of(&p, HEADS, p.cu_q[p.sequences]),
        .k = strides_of(&p, KV_HEADS, p.cu_kv[p.sequences]),
        .v = strides_of(&p, KV_HEADS, p.cu_kv[p.sequences]),
        .o = strides_of(&p, HEADS, p.cu_q[p.sequences]),
        .causal = rng_chance(&rng, 50),
        .lse = true,
        .patterns = (const tulle_pattern *const *)patterns,
        .pattern_count = SPECS,
        .head_pattern = by_entry ? NULL : head_pattern,
        .entry_pattern = by_entry ? entry_pattern : NULL,
        .q_align = given ? TULLE_ALIGN_GIVEN : TULLE_ALIGN_LAST_KEY,
        .q_offsets = given ? p.offsets : NULL,
        .q_offset_count = !given ? 0
                          : one  ? 1
                                 : p.sequences,
        .trees = trees ? &p.trees[0][0][0] : NULL,
        .tree_rows = trees ? TREE_ROWS : 0,
        .sequences = p.sequences,
        .cu_q = p.cu_q,
        .cu_kv = p.cu_kv,
        .kernel = kernel,
        .buffer_usage = TULLE_USAGE_HOST,
    };
    const tulle_host_arrays arrays = { .q = p.q, .k = p.k, .v = p.v, .o = p.o, .lse = p.lse };
    run(context, &desc, &arrays);
    for (uint32_t s = 0; s < p.sequences; s++)
        check_alone(context, &p, s, desc, by_entry ? &entry_pattern[s * HEADS] : head_pattern);
    for (int i = 0; i < SPECS; i++) tulle_pattern_destroy(patterns[i]);
    forget(&p);
}

static void test_as_alone(void **state) {
    (void)state;
    for (int mode = MODE_OWN; mode <= MODE_OWN_FLOOR; mode++) {
        tulle_context *context = harness_mode((enum mode)mode)->tulle;
        struct variants all;
        const tulle_attention_desc desc = { .heads = HEADS,
                                            .kv_heads = KV_HEADS,
                                            .q_len = 50,
                                            .kv_len = 50,
                                            .head_dim = DIM,
                                            .lse = true,
                                            .buffer_usage = TULLE_USAGE_HOST };
        harness_variants(context, &desc, &all);
        for (uint32_t i = 0; i < all.count; i++)
            for (uint64_t n = 0; n < 2 && all.serves[i]; n++)
                check(context, all.names[i], 1000 * (uint64_t)mode + 10 * i + n);
    }
    harness_silent();
}

static void expect(const tulle_attention_desc *desc, const char *part) {
    tulle_plan *plan = NULL;
    tulle_error error;
    const tulle_result result =
        tulle_plan_create(harness_mode(MODE_OWN)->tulle, desc, &plan, &error);
    assert_int_equal(result, TULLE_ERROR_INVALID_ARGUMENT);
    assert_null(plan);
    if (!strstr(error.message, part)) harness_fail("'%s' does not hold '%s'", error.message, part);
}

static void test_refused(void **state) {
    (void)state;
    static const int32_t good[] = { 0, 3, 10 }, falling[] = { 0, 11, 10 }, late[] = { 1, 3, 10 },
                         longer[] = { 0, 3, 11 };
    static const uint32_t past[] = { 0, 0, 0, 1 };
    const tulle_attention_desc fine = {
        .heads = 2, .q_len = 10, .kv_len = 10, .head_dim = 8, .sequences = 2, .cu_q = good
    };
    tulle_attention_desc desc = fine;
    desc.cu_q = falling;
    expect(&desc, "cu_q[2] is 10, after 11");
    desc.cu_q = late;
    expect(&desc, "cu_q[0] is 1; it must be 0");
    desc.cu_q = longer;
    expect(&desc, "cu_q[2] is 11; the last must be q_len, 10");
    desc = fine;
    desc.cu_kv = longer;
    expect(&desc, "cu_kv[2] is 11; the last must be kv_len, 10");
    desc = fine;
    desc.kv_len = 12;
    expect(&desc, "the last must be kv_len, 12");
    desc = fine;
    desc.batch = 2;
    expect(&desc, "batch is 2");
    desc = fine;
    desc.sequences = 0;
    expect(&desc, "sequences is 0");
    desc = fine;
    desc.q_lengths = good;
    expect(&desc, "q_lengths is given with cu_q");
    desc = fine;
    desc.cu_q = NULL;
    expect(&desc, "cu_q is NULL");
    desc = fine;
    static const uint32_t tree[2 * 6];
    desc.trees = tree;
    desc.tree_rows = 6;
    expect(&desc, "tree_rows is 6; sequence 1 has 7 query rows");
    desc = fine;
    desc.entry_pattern = past;
    expect(&desc, "entry_pattern[1][1] is 1; there are 1 patterns");
    desc.head_pattern = past;
    expect(&desc, "head_pattern and entry_pattern are both given");
}

int main(int argc, char **argv) {
    (void)argc;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_alone),
        cmocka_unit_test(test_refused),
    };
    return HARNESS_RUN(argv, "packed", tests);
}
