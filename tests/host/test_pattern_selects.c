// SPDX-License-Identifier: MIT
//
// What patterns select: by a table of which keys of 0 … 11 each position sees, and against the
// reference.

#include "pattern_use.h"

#include <stdlib.h>
#include <string.h>

#include "library_term.h"
#include "problem.h"
#include "random_term.h"

static const struct {
    tulle_term term;
    int64_t p;
    const char *keys;  // one character per key: '#' selected
} rows[] = {
    { { .kind = TULLE_DENSE }, 3, "############" },
    { { .kind = TULLE_DENSE }, -5, "############" },
    { { .kind = TULLE_WINDOW, .left = 2, .right = 1 }, 5, "...####....." },
    { { .kind = TULLE_WINDOW, .left = 2, .right = 1 }, 0, "##.........." },
    { { .kind = TULLE_WINDOW, .left = 2, .right = 1 }, -1, "#..........." },
    { { .kind = TULLE_WINDOW, .left = 2, .right = 1 }, 13, "...........#" },
    { { .kind = TULLE_WINDOW, .left = INF, .right = 0 }, 4, "#####......." },
    { { .kind = TULLE_WINDOW, .left = 0, .right = INF }, 4, "....########" },
    { { .kind = TULLE_WINDOW, .left = 0, .right = INF }, -4, "############" },
    { { .kind = TULLE_DILATED, .left = 2, .right = 1, .step = 3 }, 7, ".#..#..#..#." },
    { { .kind = TULLE_DILATED, .left = INF, .right = 0, .step = 3 }, 11, "..#..#..#..#" },
    { { .kind = TULLE_DILATED, .left = 0, .right = INF, .step = 4 }, -3, ".#...#...#.." },
    { { .kind = TULLE_DILATED, .left = TOP, .right = TOP, .step = TOP }, 4, "....#......." },
    { { .kind = TULLE_GLOBAL, .count = 2 }, 1, "############" },
    { { .kind = TULLE_GLOBAL, .count = 2 }, 2, "##.........." },
    { { .kind = TULLE_GLOBAL, .count = 2 }, -1, "##.........." },
    { { .kind = TULLE_GLOBAL, .count = 0 }, 0, "............" },
    { { .kind = TULLE_GLOBAL_LIST, LIST(9, 2, 2) }, 2, "############" },
    { { .kind = TULLE_GLOBAL_LIST, LIST(9, 2, 2) }, 3, "..#......#.." },
    { { .kind = TULLE_GLOBAL_LIST }, 3, "............" },
    { { .kind = TULLE_SINK, .count = 3 }, 1, "###........." },
    { { .kind = TULLE_STRIDED, .step = 5 }, 7, "..#....#...." },
    { { .kind = TULLE_STRIDED, .step = 5 }, -1, "....#....#.." },
    { { .kind = TULLE_FIXED, .step = 4, .count = 1 }, 5, "...#####...#" },
    { { .kind = TULLE_FIXED, .step = 4, .count = 2 }, -1, "..##..##..##" },
    { { .kind = TULLE_FIXED, .step = 4, .count = 4 }, 30, "############" },
    { { .kind = TULLE_BLOCKS, .block = 4, .mask = mask, .block_rows = 2, .block_cols = 3 },
      3,
      "####........" },
    { { .kind = TULLE_BLOCKS, .block = 4, .mask = mask, .block_rows = 2, .block_cols = 3 },
      4,
      "########...." },
    { { .kind = TULLE_BLOCKS, .block = 4, .mask = mask, .block_rows = 2, .block_cols = 3 },
      8,
      "............" },
    { { .kind = TULLE_BLOCKS, .block = 4, .mask = mask, .block_rows = 2, .block_cols = 3 },
      -1,
      "............" },
    { { .kind = TULLE_BLOCKS,
        .block = 4,
        .row_offsets = csr_offsets,
        .columns = csr_columns,
        .layouts = 2,
        .block_rows = 2,
        .block_cols = 3 },
      7,
      "........####" },  // evaluated at head 1 of 2
    { { .kind = TULLE_RANDOM, .block = 5, .count = 3 }, 0, "############" },
    { { .kind = TULLE_RANDOM, .block = 5, .count = 3 }, -1, "............" },
    { { .kind = TULLE_DOCUMENTS, LIST(0, 3, 3, 7) }, 0, "###........." },
    { { .kind = TULLE_DOCUMENTS, LIST(0, 3, 3, 7) }, 3, "...####....." },
    { { .kind = TULLE_DOCUMENTS, LIST(0, 3, 3, 7) }, 6, "...####....." },
    { { .kind = TULLE_DOCUMENTS, LIST(0, 3, 3, 7) }, 7, "............" },
    { { .kind = TULLE_DOCUMENTS, LIST(0, 3, 3, 7) }, -1, "............" },
    { { .kind = TULLE_DOCUMENTS, LIST(0, 0, 2, 12, 12) }, 2, "..##########" },
    { { .kind = TULLE_PREFIX, .count = 3 }, 1, "###........." },
    { { .kind = TULLE_PREFIX, .count = 3 }, 4, "#####......." },
    { { .kind = TULLE_PREFIX, .count = 3 }, -2, "###........." },
    { { .kind = TULLE_PREFIX, .count = 0 }, 0, "#..........." },
    { { .kind = TULLE_PREFIX, .count = TOP }, 3, "############" },
    { { .kind = TULLE_CHUNKED, .step = 5 }, 4, "#####......." },
    { { .kind = TULLE_CHUNKED, .step = 5 }, 11, "..........##" },
    { { .kind = TULLE_CHUNKED, .step = 5 }, 14, "..........##" },
    { { .kind = TULLE_CHUNKED, .step = 5 }, 15, "............" },
    { { .kind = TULLE_CHUNKED, .step = 5 }, -1, "............" },
    { { .kind = TULLE_A_SHAPE, .count = 2, .block = 3 }, 7, "##...###...." },
    { { .kind = TULLE_A_SHAPE, .count = 2, .block = 3 }, 1, "##.........." },
    { { .kind = TULLE_A_SHAPE, .count = 2, .block = 3 }, -1, "##.........." },
    { { .kind = TULLE_A_SHAPE, .count = 0, .block = 1 }, 4, "....#......." },
    { { .kind = TULLE_VERTICAL_SLASH, LIST(9, 1, -1, 1), DIAGONALS(-1, 0, 4) }, 6, ".##...#..#.." },
    { { .kind = TULLE_VERTICAL_SLASH, LIST(9, 1, -1, 1), DIAGONALS(-1, 0, 4) },
      -1,
      ".#.......#.." },
    { { .kind = TULLE_VERTICAL_SLASH, LIST(0, -1, 5, 6), DIAGONALS(0, 1), .layouts = 2 },
      3,
      "..#..##....." },  // of head 1
    { { .kind = TULLE_NEIGHBORHOOD, .axes = 1, .kernel = { 4 } }, 0, "####........" },
    { { .kind = TULLE_NEIGHBORHOOD, .axes = 1, .kernel = { 4 } }, 5, "...####....." },
    { { .kind = TULLE_NEIGHBORHOOD, .axes = 1, .kernel = { 4 } }, 11, "........####" },
    { { .kind = TULLE_NEIGHBORHOOD, .axes = 1, .kernel = { 4 } }, 12, "............" },
    { { .kind = TULLE_NEIGHBORHOOD, .axes = 1, .kernel = { 4 } }, -1, "............" },
    // residues 0 and 1 have three positions of 12, residues 2, 3 and 4 two
    { { .kind = TULLE_NEIGHBORHOOD, .axes = 1, .kernel = { 2 }, .dilation = { 5 } },
      10,
      ".....#....#." },
    { { .kind = TULLE_NEIGHBORHOOD, .axes = 1, .kernel = { 2 }, .dilation = { 5 } },
      4,
      "....#....#.." },
    { { .kind = TULLE_NEIGHBORHOOD,
        .axes = 1,
        .kernel = { 2 },
        .dilation = { 5 },
        .causal_axis = { true } },
      4,
      "....#......." },
    // three rows of four: x = 3, y = 1
    { { .kind = TULLE_NEIGHBORHOOD, .axes = 2, .grid = { 3, 4 }, .kernel = { 2, 3 } },
      7,
      ".###.###...." },
    { { .kind = TULLE_NEIGHBORHOOD,
        .axes = 2,
        .grid = { 3, 4 },
        .kernel = { 1, 2 },
        .dilation = { 1, 2 } },
      7,
      ".....#.#...." },
    { { .kind = TULLE_NEIGHBORHOOD,
        .axes = 2,
        .grid = { 3, 4 },
        .kernel = { 2, 3 },
        .causal_axis = { true, false } },
      2,
      ".###........" },
    { { .kind = TULLE_NEIGHBORHOOD,
        .axes = 3,
        .grid = { 2, 2, 3 },
        .kernel = { 2, 1, 2 },
        .causal_axis = { true, false, false } },
      10,
      "...##....##." },
    // a grid that ends before the keys
    { { .kind = TULLE_NEIGHBORHOOD, .axes = 2, .grid = { 2, 4 }, .kernel = { 2, 4 } },
      7,
      "########...." },
    { { .kind = TULLE_NEIGHBORHOOD, .axes = 2, .grid = { 2, 4 }, .kernel = { 2, 4 } },
      8,
      "............" },
    // intersections
    { { .kind = TULLE_WINDOW,
        .left = 6,
        .right = 2,
        FACTORS({ .kind = TULLE_STRIDED, .step = 3 }) },
      7,
      ".#..#..#...." },
    { { .kind = TULLE_STRIDED,
        .step = 3,
        FACTORS({ .kind = TULLE_WINDOW, .left = 6, .right = 2 }) },
      7,
      ".#..#..#...." },
    { { .kind = TULLE_GLOBAL,
        .count = 6,
        FACTORS({ .kind = TULLE_STRIDED, .step = 2 }, { .kind = TULLE_CHUNKED, .step = 4 }) },
      5,
      ".....#.#...." },
    { { .kind = TULLE_DENSE,
        FACTORS({ .kind = TULLE_SINK, .count = 9, FACTORS({ .kind = TULLE_WINDOW, .left = 3 }) }) },
      10,
      ".......##..." },
    { { .kind = TULLE_WINDOW, .left = 1, FACTORS({ .kind = TULLE_SINK, .count = 2 }) },
      9,
      "............" },
    { { .kind = TULLE_SINK,
        .count = 10,
        FACTORS({ .kind = TULLE_BLOCKS,
                  .block = 4,
                  .row_offsets = csr_offsets,
                  .columns = csr_columns,
                  .layouts = 2,
                  .block_rows = 2,
                  .block_cols = 3 }) },
      7,
      "........##.." },  // of head 1
};

static void test_selects(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(rows); ++i) {
        tulle_pattern *pattern = make(&rows[i].term, 1);
        for (int causal = 0; causal < 2; ++causal) {
            tulle_pattern_site site = {
                .head = 1, .heads = 2, .kv_heads = 2, .kv_len = 12, .causal = causal
            };
            // draws by itself, see below
            if (rows[i].term.kind == TULLE_RANDOM && causal) continue;
            char keys[13] = "", expected[13];
            for (int64_t j = 0; j < 12; ++j) {
                keys[j] = tulle_pattern_selects(pattern, &site, rows[i].p, j) ? '#' : '.';
                expected[j] = rows[i].keys[j] == '#' && (!causal || j <= rows[i].p) ? '#' : '.';
            }
            expected[12] = '\0';
            if (strcmp(keys, expected))
                fail_msg("row %zu, causal %d: %s instead of %s", i, causal, keys, expected);
            assert_false(tulle_pattern_selects(pattern, &site, rows[i].p, -1));
            assert_false(tulle_pattern_selects(pattern, &site, rows[i].p, 12));
        }
        tulle_pattern_destroy(pattern);
    }
}

static void test_selects_union_and_site(void **state) {
    (void)state;
    const tulle_term terms[] = { { .kind = TULLE_WINDOW, .left = 1 },
                                 { .kind = TULLE_STRIDED, .step = 4 } };
    tulle_pattern *pattern = make(terms, 2);
    tulle_pattern_site site = { .kv_len = 12 };  // one head, where nothing is said of heads
    char keys[13] = "";
    for (int64_t j = 0; j < 12; ++j)
        keys[j] = tulle_pattern_selects(pattern, &site, 6, j) ? '#' : '.';
    assert_string_equal(keys, "..#..##...#.");
    site.head = 1;
    assert_false(tulle_pattern_selects(pattern, &site, 6, 6));
    site.head = 0;
    assert_false(tulle_pattern_selects(NULL, &site, 6, 6));
    assert_false(tulle_pattern_selects(pattern, NULL, 6, 6));
    assert_false(tulle_pattern_selects(pattern, &site, INT64_MAX, 6));
    assert_false(tulle_pattern_selects(pattern, &site, INT64_MIN, 6));
    tulle_pattern_destroy(pattern);
    // A mask for three heads, asked for two: no layout is head 1's.
    const tulle_term three = { .kind = TULLE_BLOCKS,
                               .block = 12,
                               .mask = (const uint8_t[]){ 1, 1, 1 },
                               .layouts = 3,
                               .block_rows = 1,
                               .block_cols = 1 };
    pattern = make(&three, 1);
    assert_false(tulle_pattern_selects(
        pattern, &(tulle_pattern_site){ .head = 1, .heads = 2, .kv_len = 12 }, 0, 0));
    assert_true(tulle_pattern_selects(
        pattern, &(tulle_pattern_site){ .head = 1, .heads = 3, .kv_len = 12 }, 0, 0));
    tulle_pattern_destroy(pattern);
}

// -------------------------------------------------------------------------------------------------
// Selection, against the reference: terms of every kind and intersections

static void *own(void *user, size_t count, size_t size) { return problem_own(user, count, size); }

static void check_trial(uint64_t trial) {
    struct rng rng = { rng_hash(harness_seed(), trial) };
    struct problem problem;  // for what it owns alone
    problem_init(&problem, 0);
    const int64_t kv_heads = rng_between(&rng, 1, 2), group = rng_between(&rng, 1, 3);
    const int64_t queries = rng_between(&rng, 1, 40), keys = rng_between(&rng, 1, 60);
    const int64_t first = rng_between(&rng, -queries, keys);
    const struct random_site at = { .heads = kv_heads * group,
                                    .kv_heads = kv_heads,
                                    .q_len = queries,
                                    .kv_len = keys,
                                    .keys_least = keys,
                                    .furthest = first + queries > 0 ? first + queries - 1 : 0,
                                    .own = own,
                                    .user = &problem };
    const struct ref_term term =
        trial % 2 == 1 ? random_intersection(&at, &rng)
                       : random_term(&at, (enum ref_kind)(trial / 2 % REF_KINDS), &rng);
    const struct ref_pattern reference = { &term, 1 };
    const tulle_term given = library_term(&term, rng_chance(&rng, 50));
    tulle_pattern *pattern = make(&given, 1);
    library_term_free(&given);
    const tulle_pattern_site site = { .head = rng_between(&rng, 0, at.heads - 1),
                                      .heads = at.heads,
                                      .kv_heads = at.kv_heads,
                                      .kv_len = keys,
                                      .causal = trial % 3 == 0 };
    for (int64_t p = first; p < first + queries; ++p)
        for (int64_t j = 0; j < keys; ++j) {
            const bool want =
                (!site.causal || j <= p) &&
                ref_selects(&reference, p, j, site.head, at.heads, at.kv_heads, keys, site.causal);
            if (tulle_pattern_selects(pattern, &site, p, j) != want)
                fail_msg(
                    "TULLE_TEST_SEED=%llu, trial %llu, kind %d with %zu factors: p %lld, j %lld: want %d",
                    (unsigned long long)harness_seed(), (unsigned long long)trial, term.kind,
                    term.n_factors, (long long)p, (long long)j, want);
        }
    tulle_pattern_destroy(pattern);
    problem_free(&problem);
}

static void test_against_reference(void **state) {
    (void)state;
    const char *many = getenv("TULLE_TEST_TRIALS");
    const uint64_t trials = many ? strtoull(many, NULL, 0) : 3000;
    for (uint64_t trial = 0; trial < trials; ++trial) check_trial(trial);
}

int main(int argc, char **argv) {
    (void)argc;
    harness_start(argv[0]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_selects),
        cmocka_unit_test(test_selects_union_and_site),
        cmocka_unit_test(test_against_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
