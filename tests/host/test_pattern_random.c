// SPDX-License-Identifier: MIT
//
// The draws of random blocks, against a plain restatement of docs/semantics.md.

#include "pattern_use.h"

#include <stdlib.h>
#include <string.h>

static void philox4x32_10(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    uint32_t c[4] = { counter[0], counter[1], counter[2], counter[3] }, k[2] = { key[0], key[1] };
    for (int round = 0; round < 10; ++round) {
        if (round) k[0] += 0x9E3779B9u, k[1] += 0xBB67AE85u;
        uint64_t a = (uint64_t)0xD2511F53u * c[0], b = (uint64_t)0xCD9E8D57u * c[2];
        uint32_t next[4] = { (uint32_t)(b >> 32) ^ c[1] ^ k[0], (uint32_t)b,
                             (uint32_t)(a >> 32) ^ c[3] ^ k[1], (uint32_t)a };
        memcpy(c, next, sizeof c);
    }
    memcpy(out, c, sizeof c);
}

// Known answers of Random123 (kat_vectors).
static void test_philox(void **state) {
    (void)state;
    uint32_t out[4];
    philox4x32_10((uint32_t[]){ 0, 0, 0, 0 }, (uint32_t[]){ 0, 0 }, out);
    assert_memory_equal(out, ((uint32_t[]){ 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 }),
                        sizeof out);
    philox4x32_10((uint32_t[]){ 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 },
                  (uint32_t[]){ 0xa4093822, 0x299f31d0 }, out);
    assert_memory_equal(out, ((uint32_t[]){ 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 }),
                        sizeof out);
}

// docs/semantics.md word for word, with one flag per candidate.
static size_t floyd(uint64_t seed, int64_t head, int64_t block, int64_t n, int64_t r, bool *taken) {
    memset(taken, 0, (size_t)n);
    if (r >= n) {
        memset(taken, 1, (size_t)n);
        return (size_t)n;
    }
    for (int64_t t = n - r; t < n; ++t) {
        uint32_t out[4];
        philox4x32_10((uint32_t[]){ (uint32_t)t, (uint32_t)block, (uint32_t)head, 0 },
                      (uint32_t[]){ (uint32_t)seed, (uint32_t)(seed >> 32) }, out);
        int64_t u = (int64_t)((uint64_t)out[0] * (uint64_t)(t + 1) >> 32);
        taken[taken[u] ? t : u] = true;
    }
    return (size_t)r;
}

static int compare_blocks(const void *a, const void *b) {
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

// Draws, and sorts what is drawn.
static size_t draw_sorted(const struct term *term, const tulle_pattern_site *site,
                          int64_t query_block, int64_t first, int64_t end, uint32_t *blocks) {
    const size_t drawn = random_blocks(term, site, query_block, first, end, blocks);
    qsort(blocks, drawn, sizeof *blocks, compare_blocks);
    return drawn;
}

// Of the blocks drawn, those in [first, end).
static void check_range(const struct term *term, const tulle_pattern_site *site,
                        int64_t query_block, int64_t first, int64_t end, const bool *taken,
                        int64_t n, uint32_t *blocks) {
    const size_t drawn = draw_sorted(term, site, query_block, first, end, blocks);
    size_t found = 0;
    for (int64_t j = first > 0 ? first : 0; j < n && j < end; ++j)
        if (taken[j]) assert_true(found < drawn && blocks[found++] == j);
    assert_int_equal(found, drawn);
}

static void check_draw(int64_t block, int64_t r, uint64_t seed, const tulle_pattern_site *site,
                       int64_t query_block) {
    tulle_term given = { .kind = TULLE_RANDOM, .block = block, .count = r, .seed = seed };
    tulle_pattern *pattern = make(&given, 1);
    const struct term *term = &pattern->terms[0];
    int64_t n = site->causal ? query_block + 1 : (site->kv_len + block - 1) / block;
    bool *taken = malloc((size_t)n + 1);
    size_t most = random_most(term, site, query_block);
    assert_true(most == (size_t)(r < n ? r : n));
    uint32_t *blocks = malloc((2 * most + 1) * sizeof *blocks);
    assert_true(taken && blocks);
    blocks[2 * most] = 12345;
    assert_int_equal(floyd(seed, site->head, query_block, n, r, taken), most);
    assert_int_equal(random_blocks(term, site, query_block, 0, n, blocks), most);
    check_range(term, site, query_block, -7, n + 7, taken, n, blocks);
    // a few, in the middle and at both ends; half
    check_range(term, site, query_block, n / 2, n / 2 + 5, taken, n, blocks);
    check_range(term, site, query_block, 0, n / 3 + 1, taken, n, blocks);
    check_range(term, site, query_block, n - n / 5, n, taken, n, blocks);
    check_range(term, site, query_block, n / 4, n / 4 + n / 2, taken, n, blocks);
    check_range(term, site, query_block, n, n + 9, taken, n, blocks);
    check_range(term, site, query_block, 3, 3, taken, n, blocks);
    assert_int_equal(blocks[2 * most], 12345);
    for (int64_t j = 0; n <= 4096 && j < n; ++j)  // the walk backwards through the draws agrees
        assert_int_equal(term_selects(term, site, query_block * block + block - 1, j * block),
                         taken[j]);
    free(taken);
    free(blocks);
    tulle_pattern_destroy(pattern);
}

static void test_random(void **state) {
    (void)state;
    static const uint64_t seeds[] = { 0, 1, 42, UINT64_C(0x123456789abcdef0), UINT64_MAX };
    for (size_t s = 0; s < COUNT(seeds); ++s)
        for (int64_t head = 0; head < 3; ++head) {
            tulle_pattern_site causal = { .head = head,
                                          .heads = 3,
                                          .kv_heads = 3,
                                          .kv_len = 100,
                                          .causal = true },
                               open = causal;
            open.causal = false;
            for (int64_t query_block = 0; query_block < 40; ++query_block)
                for (int64_t r = 1; r < 12; ++r) {
                    check_draw(16, r, seeds[s], &causal, query_block);
                    check_draw(16, r, seeds[s], &open, query_block);
                    check_draw(1, 3 * r, seeds[s], &open, query_block);
                }
            check_draw(1, 999, seeds[s], &causal, 999);
            check_draw(1, 998, seeds[s], &causal, 999);
            check_draw(1, 500, seeds[s], &causal, 999);
            check_draw(1, TOP, seeds[s], &causal, 999);
        }
}

// Large draws: right, and by their time not quadratic (2 million blocks would take minutes).
static void test_random_large(void **state) {
    (void)state;
    tulle_pattern_site open = { .head = 5, .heads = 8, .kv_heads = 8, .kv_len = 3000000 };
    check_draw(1, 2000000, 7, &open, 123456);
    check_draw(1, 2999999, 7, &open, 123456);
    check_draw(1, 1000, 7, &open, INT64_C(0xFFFFFFFE));
    // The largest query block there can be draws from all below it; N no longer fits 32 bits as a
    // signed number.
    tulle_pattern_site causal = {
        .head = 5, .heads = 8, .kv_heads = 8, .kv_len = 100, .causal = true
    };
    tulle_term given = { .kind = TULLE_RANDOM, .block = 1, .count = 3000, .seed = 11 };
    tulle_pattern *pattern = make(&given, 1);
    uint32_t *blocks = malloc(2 * 3000 * sizeof *blocks);
    assert_non_null(blocks);
    assert_int_equal(
        draw_sorted(&pattern->terms[0], &causal, INT64_C(0xFFFFFFFE), 0, INT64_MAX, blocks), 3000);
    for (size_t i = 0; i < 3000; ++i) {
        assert_true(blocks[i] <= UINT32_C(0xFFFFFFFE) && (!i || blocks[i - 1] < blocks[i]));
        if (i % 100 == 0)
            assert_true(term_selects(&pattern->terms[0], &causal, INT64_C(0xFFFFFFFE), blocks[i]));
    }
    free(blocks);
    tulle_pattern_destroy(pattern);
}

// With causal a draw ignores kv_len, so decode and prefill agree; no keys and no position draw
// nothing.
static void test_random_edges(void **state) {
    (void)state;
    tulle_term given = { .kind = TULLE_RANDOM, .block = 4, .count = 2, .seed = 3 };
    tulle_pattern *pattern = make(&given, 1);
    const struct term *term = &pattern->terms[0];
    tulle_pattern_site site = { .heads = 1, .kv_heads = 1, .kv_len = 0, .causal = true };
    uint32_t a[4], b[4];
    assert_int_equal(draw_sorted(term, &site, 9, 0, INT64_MAX, a), 2);
    site.kv_len = 1000;
    assert_int_equal(draw_sorted(term, &site, 9, 0, INT64_MAX, b), 2);
    assert_memory_equal(a, b, 2 * sizeof *a);
    assert_int_equal(draw_sorted(term, &site, 0, 0, INT64_MAX, a), 1);
    assert_int_equal(draw_sorted(term, &site, -1, 0, INT64_MAX, a), 0);
    assert_int_equal(random_most(term, &site, -1), 0);
    site.causal = false;
    site.kv_len = 0;
    assert_int_equal(draw_sorted(term, &site, 9, 0, INT64_MAX, a), 0);
    assert_int_equal(random_most(term, &site, 9), 0);
    tulle_pattern_destroy(pattern);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_philox),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_random_large),
        cmocka_unit_test(test_random_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
