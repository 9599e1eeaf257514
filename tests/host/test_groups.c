// SPDX-License-Identifier: MIT
//
// Who shares a schedule: sequences of the same lengths and patterns, and they alone; groups in the
// order of their first entries. And that finding out takes no time for each pair of sequences.
//
// TULLE_TEST_SEED: the run's seed; TULLE_TEST_CASE: one trial alone, by its index;
// TULLE_TEST_TRIALS: how many.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/thread.h"
#include "problem/attention.h"
#include "schedule_trial.h"
#include "times.h"

enum { SEQUENCES_MOST = 60, HEADS_MOST = 4, PATTERNS_MOST = 3 };

/// Sequences packed into one batch entry.
struct packed {
    uint32_t sequences, heads;
    int32_t cu_q[SEQUENCES_MOST + 1], cu_kv[SEQUENCES_MOST + 1];
    uint32_t pattern[SEQUENCES_MOST * HEADS_MOST];
};

static int64_t rows_of(const struct packed *p, uint32_t s) { return p->cu_q[s + 1] - p->cu_q[s]; }
static int64_t keys_of(const struct packed *p, uint32_t s) { return p->cu_kv[s + 1] - p->cu_kv[s]; }

/// Is all the same that their schedules depend on? Sequences share by all of their heads or none.
static bool may_share(const struct packed *p, uint32_t s, uint32_t h, uint32_t t, uint32_t k) {
    return rows_of(p, s) == rows_of(p, t) && keys_of(p, s) == keys_of(p, t) &&
           !memcmp(p->pattern + s * p->heads, p->pattern + t * p->heads,
                   p->heads * sizeof *p->pattern) &&
           p->pattern[s * p->heads + h] == p->pattern[t * p->heads + k];
}

static tulle_pattern *window_of(int64_t left) {
    return trial_pattern(&(struct ref_term){ .kind = REF_WINDOW, .left = left }, 1, NULL);
}

/// Of a few lengths, and heads mostly as in another sequence: so that many are the same.
static void draw_packed(struct packed *p, struct rng *rng) {
    const int64_t lengths = rng_between(rng, 1, 6);
    memset(p, 0, sizeof *p);
    p->sequences = (uint32_t)rng_between(rng, 1, SEQUENCES_MOST);
    p->heads = (uint32_t)rng_between(rng, 1, HEADS_MOST);
    for (uint32_t s = 0; s < p->sequences; s++) {
        p->cu_q[s + 1] = p->cu_q[s] + (int32_t)rng_between(rng, 0, lengths);
        p->cu_kv[s + 1] = p->cu_kv[s] + (int32_t)rng_between(rng, 0, lengths);
    }
    p->cu_q[p->sequences] += p->cu_q[p->sequences] == 0;
    p->cu_kv[p->sequences] += p->cu_kv[p->sequences] == 0;
    for (uint32_t i = 0; i < p->sequences * p->heads; i++)
        p->pattern[i] = rng_chance(rng, 80) ? i % p->heads % PATTERNS_MOST
                                            : (uint32_t)rng_between(rng, 0, PATTERNS_MOST - 1);
    trial_begin();
    trial_say("%u sequences of up to %lld, %u heads", p->sequences, (long long)lengths, p->heads);
}

static void check_groups(const struct packed *p, const struct attention *a,
                         tulle_pattern *const *patterns) {
    const struct group *of[SEQUENCES_MOST * HEADS_MOST];
    uint32_t entries = 0, begun = 0;  // groups that an entry so far belongs to
    for (uint32_t g = 0; g < a->group_count; g++) entries += a->groups[g].entry_count;
    for (uint32_t i = 0; i < p->sequences * p->heads; i++) {
        const uint32_t s = i / p->heads, h = i % p->heads;
        of[i] = attention_group(a, s, h);
        CHECK(!of[i] == !rows_of(p, s), "sequence %u of %lld rows: %p", s, (long long)rows_of(p, s),
              (const void *)of[i]);
        if (!of[i]) continue;
        const struct site *site = &of[i]->site;
        CHECK(site->q_length == rows_of(p, s) && site->at.kv_len == keys_of(p, s) &&
                  site->q_offset == keys_of(p, s) - rows_of(p, s) &&
                  site->pattern == patterns[p->pattern[i]],
              "sequence %u head %u is in a group that is not for it", s, h);
        for (uint32_t k = 0; k < i; k++)
            CHECK((of[i] == of[k]) == (of[k] && may_share(p, s, h, k / p->heads, k % p->heads)),
                  "sequence %u head %u, and %u, %u", s, h, k / p->heads, k % p->heads);
        CHECK(of[i] <= a->groups + begun, "sequence %u head %u begins a group out of order", s, h);
        begun += of[i] == a->groups + begun;
        entries--;
    }
    CHECK(entries == 0 && begun == a->group_count, "%u entries too many, %u groups of %u", entries,
          begun, a->group_count);
}

static void groups_trial(struct rng *rng) {
    struct packed p;
    struct attention a;
    tulle_error error = { 0 };
    tulle_pattern *patterns[PATTERNS_MOST];
    for (int i = 0; i < PATTERNS_MOST; i++) patterns[i] = window_of(i);
    draw_packed(&p, rng);
    const tulle_attention_desc desc = { .heads = p.heads,
                                        .q_len = (uint32_t)p.cu_q[p.sequences],
                                        .kv_len = (uint32_t)p.cu_kv[p.sequences],
                                        .head_dim = 4,
                                        .patterns = (const tulle_pattern *const *)patterns,
                                        .pattern_count = PATTERNS_MOST,
                                        .entry_pattern = p.pattern,
                                        .sequences = p.sequences,
                                        .cu_q = p.cu_q,
                                        .cu_kv = p.cu_kv };
    CHECK(attention_resolve(&desc, &a, &error) == TULLE_OK, "%s", error.message);
    check_groups(&p, &a, patterns);
    attention_free(&a);
    for (int i = 0; i < PATTERNS_MOST; i++) tulle_pattern_destroy(patterns[i]);
}

static void test_groups(void **state) {
    (void)state;
    const char *one = getenv("TULLE_TEST_CASE"), *many = getenv("TULLE_TEST_TRIALS");
    const int64_t trials = one ? 1 : many ? atoll(many) : 300, first = one ? atoll(one) : 0;
    for (trial_index = first; trial_index < first + trials; trial_index++) {
        struct rng rng = { rng_hash(run_seed, (uint64_t)trial_index) };
        groups_trial(&rng);
    }
}

/// What a pattern asks of the lengths, it asks of the sequences that any head deals it to.
static void test_lengths_asked(void **state) {
    (void)state;
    static const int32_t cumulative[] = { 0, 6, 9, 18 };
    tulle_pattern *patterns[] = { window_of(1),
                                  trial_pattern(&(struct ref_term){ .kind = REF_NEIGHBORHOOD,
                                                                    .axes = 1,
                                                                    .kernel = { 5 },
                                                                    .dilation = { 1 } },
                                                1, NULL) };
    for (uint32_t dealt = 0; dealt <= 6; dealt++) {  // to that sequence and head; 6: to no one
        uint32_t entry_pattern[7] = { 0 };
        struct attention a;
        tulle_error error = { 0 };
        entry_pattern[dealt] = 1;
        const tulle_attention_desc desc = { .heads = 2,
                                            .q_len = 18,
                                            .kv_len = 18,
                                            .head_dim = 4,
                                            .patterns = (const tulle_pattern *const *)patterns,
                                            .pattern_count = 2,
                                            .entry_pattern = entry_pattern,
                                            .sequences = 3,
                                            .cu_q = cumulative };
        const tulle_result result = attention_resolve(&desc, &a, &error);
        const char *fault =
            dealt / 2 == 1 ? "kernel x dilation is 5 x 1; it must be at most the keys there are, 3"
                           : "";
        assert_int_equal(result, *fault ? TULLE_ERROR_INVALID_ARGUMENT : TULLE_OK);
        assert_true(!*fault || strstr(error.message, fault));
        if (!result) attention_free(&a);
    }
    for (int i = 0; i < 2; i++) tulle_pattern_destroy(patterns[i]);
}

/// 65,536 sequences, no two of the same lengths, with a pattern each or one for all.
static void test_many(void **state) {
    (void)state;
    enum { SIDE = 256, SEQUENCES = SIDE * SIDE };
    int32_t *cu_q = malloc((SEQUENCES + 1) * sizeof *cu_q),
            *cu_kv = malloc((SEQUENCES + 1) * sizeof *cu_kv);
    uint32_t *own = malloc(SEQUENCES * sizeof *own);
    const tulle_pattern **patterns = malloc(SEQUENCES * sizeof *patterns);
    assert_true(cu_q && cu_kv && own && patterns);
    tulle_pattern *window = window_of(3);
    cu_q[0] = cu_kv[0] = 0;
    for (int32_t s = 0; s < SEQUENCES; s++) {
        cu_q[s + 1] = cu_q[s] + 1 + s % SIDE;
        cu_kv[s + 1] = cu_kv[s] + 1 + s / SIDE;
        own[s] = (uint32_t)s;
        patterns[s] = window;
    }
    tulle_attention_desc desc = { .heads = 1,
                                  .q_len = (uint32_t)cu_q[SEQUENCES],
                                  .kv_len = (uint32_t)cu_kv[SEQUENCES],
                                  .head_dim = 4,
                                  .patterns = patterns,
                                  .pattern_count = 1,
                                  .sequences = SEQUENCES,
                                  .cu_q = cu_q,
                                  .cu_kv = cu_kv };
    for (int by_entry = 0; by_entry < 2; by_entry++) {
        desc.pattern_count = by_entry ? SEQUENCES : 1;
        desc.entry_pattern = by_entry ? own : NULL;
        double best = 1e30;
        for (int i = 0; i < 5; i++) {
            struct attention a;
            const double start = clock_ms();
            assert_int_equal(attention_resolve(&desc, &a, NULL), TULLE_OK);
            const double took = clock_ms() - start;
            assert_int_equal(a.group_count, SEQUENCES);
            if (took < best) best = took;
            attention_free(&a);
        }
        print_message("%d sequences of their own lengths%s: %.1f ms\n", SEQUENCES,
                      by_entry ? " and patterns" : "", best);
        if (times_count() && best > 200) fail_msg("%.0f ms", best);
    }
    tulle_pattern_destroy(window);
    free(cu_q);
    free(cu_kv);
    free(own);
    free(patterns);
}

int main(void) {
    trial_take_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_lengths_asked),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests_name("groups", tests, NULL, NULL);
}
