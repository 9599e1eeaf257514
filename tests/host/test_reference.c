// SPDX-License-Identifier: MIT
//
// Checks the reference itself against small cases worked out by hand from docs/semantics.md.

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "reference.h"

#include <math.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define MOST 20  // the largest q_len and kv_len here

static void check_near(double got, double want, int line) {
    bool same = got == want || fabs(got - want) <= 1e-13 * (1.0 + fabs(want));
    if (!same) {
        fail_msg("line %d: got %.17g, want %.17g", line, got, want);
    }
}

#define NEAR(got, want) check_near(got, want, __LINE__)

// -------------------------------------------------------------------------------------------------
// Selection: rows[i][j] is '#' where the pattern selects (first_p + i, j), else '.'.

static void check_matrix_of(struct ref_pattern pattern, int64_t head, int64_t heads,
                            int64_t kv_heads, bool causal, int64_t first_p, const char *const *rows,
                            size_t n_rows, int line) {
    int64_t kv_len = (int64_t)strlen(rows[0]);
    assert_true(kv_len <= MOST && n_rows <= MOST && heads <= 4 && kv_heads <= heads);
    for (size_t i = 0; i < n_rows; i++) {
        assert_int_equal(strlen(rows[i]), kv_len);
        for (int64_t j = 0; j < kv_len; j++) {
            int64_t p = first_p + (int64_t)i;
            bool got = ref_selects(&pattern, p, j, head, heads, kv_heads, kv_len, causal);
            if (got != (rows[i][j] == '#')) {
                fail_msg("line %d: p = %d, j = %d: got %d", line, (int)p, (int)j, (int)got);
            }
        }
    }

    // The same through ref_attention: with all logits 0 and the values a unit matrix, o_ij = 1 /
    // |A_i| where selected.
    static double zeros[4 * MOST], unit[4 * MOST * MOST], o[4 * MOST * MOST], lse[4 * MOST];
    for (int64_t n = 0; n < kv_heads * kv_len * kv_len; n++) {
        unit[n] = n / kv_len % kv_len == n % kv_len ? 1.0 : 0.0;
    }
    uint64_t pairs = 0;
    struct ref_problem problem = { .batch = 1,
                                   .heads = heads,
                                   .kv_heads = kv_heads,
                                   .q_len = (int64_t)n_rows,
                                   .kv_len = kv_len,
                                   .head_dim = 1,
                                   .v_head_dim = kv_len,
                                   .q = zeros,
                                   .k = zeros,
                                   .v = unit,
                                   .causal = causal,
                                   .patterns = &pattern,
                                   .n_patterns = 1,
                                   .q_offset = &first_p,
                                   .n_q_offset = 1,
                                   .o = o,
                                   .lse = lse,
                                   .pairs = &pairs };
    ref_attention(&problem);
    uint64_t total = 0;
    for (size_t i = 0; i < n_rows; i++) {
        int64_t p = first_p + (int64_t)i;
        int selected = 0;
        for (int64_t j = 0; j < kv_len; j++) {
            selected += rows[i][j] == '#' && (!causal || j <= p);
        }
        total += (uint64_t)selected;
        const size_t row = (size_t)head * n_rows + i;
        check_near(lse[row], selected == 0 ? -INFINITY : log(selected), line);
        for (int64_t j = 0; j < kv_len; j++) {
            bool in = rows[i][j] == '#' && (!causal || j <= p);
            check_near(o[row * (size_t)kv_len + (size_t)j], in ? 1.0 / selected : 0.0, line);
        }
    }
    if (heads == 1) {
        assert_true(pairs == total);
    }
}

#define MATRIX_OF(term, head, heads, kv_heads, causal, first_p, rows)                           \
    check_matrix_of((struct ref_pattern){ &(term), 1 }, head, heads, kv_heads, causal, first_p, \
                    rows, COUNT(rows), __LINE__)

// Either way of calling, since most patterns do not depend on it.
#define MATRIX(term, first_p, rows)                     \
    do {                                                \
        MATRIX_OF(term, 0, 1, 1, false, first_p, rows); \
        MATRIX_OF(term, 0, 1, 1, true, first_p, rows);  \
    } while (0)

static void test_dense(void **state) {
    (void)state;
    struct ref_term term = { .kind = REF_DENSE };
    const char *rows[] = { "####", "####", "####", "####", "####", "####" };
    MATRIX(term, -2, rows);
}

static void test_window(void **state) {
    (void)state;
    struct ref_term term = { .kind = REF_WINDOW, .left = 2, .right = 1 };
    const char *rows[] = {
        "......",  // p = -2
        "#.....",  // p = -1
        "##....",  // p = 0
        "###...",  //
        "####..",  //
        ".####.",  //
        "..####",  //
        "...###",  //
        "....##",  // p = 6
    };
    MATRIX(term, -2, rows);

    struct ref_term itself = { .kind = REF_WINDOW, .left = 0, .right = 0 };
    const char *diagonal[] = { "...", "#..", ".#.", "..#", "..." };
    MATRIX(itself, -1, diagonal);

    struct ref_term past = { .kind = REF_WINDOW, .left = -1, .right = 0 };
    const char *lower[] = { "...", "#..", "##.", "###", "###" };
    MATRIX(past, -1, lower);

    struct ref_term future = { .kind = REF_WINDOW, .left = 1, .right = -1 };
    const char *upper[] = { "###", "###", "###", ".##", "..#", "..." };
    MATRIX(future, -1, upper);

    struct ref_term all = { .kind = REF_WINDOW, .left = -1, .right = -1 };
    const char *full[] = { "###", "###", "###", "###", "###" };
    MATRIX(all, -1, full);
}

static void test_dilated(void **state) {
    (void)state;
    struct ref_term term = { .kind = REF_DILATED, .left = 2, .right = 1, .step = 2 };
    const char *rows[] = {
        ".......",  // p = -3
        "#......",  // p = -2
        ".#.....",  // p = -1
        "#.#....",  // p = 0
        ".#.#...",  //
        "#.#.#..",  //
        ".#.#.#.",  //
        "#.#.#.#",  //
        ".#.#.#.",  //
        "..#.#.#",  // p = 6
    };
    MATRIX(term, -3, rows);

    struct ref_term past = { .kind = REF_DILATED, .left = -1, .right = 0, .step = 3 };
    const char *lower[] = { ".......", "#......", ".#.....", "..#....", "#..#...",
                            ".#..#..", "..#..#.", "#..#..#", ".#..#.." };
    MATRIX(past, -1, lower);

    struct ref_term future = { .kind = REF_DILATED, .left = 0, .right = -1, .step = 3 };
    const char *upper[] = { ".#..#..", "..#..#.", "#..#..#", ".#..#..",
                            "..#..#.", "...#..#", "....#.." };
    MATRIX(future, -2, upper);
}

static void test_global(void **state) {
    (void)state;
    struct ref_term term = { .kind = REF_GLOBAL, .count = 2 };
    const char *rows[] = {
        "##...",  // p = -1
        "#####",  // p = 0
        "#####",  //
        "##...",  //
        "##...",  //
        "##...",  // p = 4
    };
    MATRIX(term, -1, rows);

    struct ref_term none = { .kind = REF_GLOBAL, .count = 0 };
    const char *empty[] = { "...", "...", "..." };
    MATRIX(none, -1, empty);
}

static void test_global_list(void **state) {
    (void)state;
    const int64_t list[] = { 3, 1, 9, 3 };
    struct ref_term term = { .kind = REF_GLOBAL_LIST, .list = list, .list_len = COUNT(list) };
    const char *rows[] = {
        ".#.#.",  // p = -1
        ".#.#.",  // p = 0
        "#####",  //
        ".#.#.",  //
        "#####",  //
        ".#.#.",  // p = 4
    };
    MATRIX(term, -1, rows);
    const char *late[] = { ".#.#.", "#####", ".#.#." };
    MATRIX(term, 8, late);

    struct ref_term none = { .kind = REF_GLOBAL_LIST };
    const char *empty[] = { "...", "...", "..." };
    MATRIX(none, -1, empty);
}

static void test_sink(void **state) {
    (void)state;
    struct ref_term term = { .kind = REF_SINK, .count = 2 };
    const char *rows[] = { "##...", "##...", "##...", "##...", "##..." };
    MATRIX(term, -1, rows);
    struct ref_term none = { .kind = REF_SINK, .count = 0 };
    const char *empty[] = { "...", "..." };
    MATRIX(none, 0, empty);
}

static void test_strided(void **state) {
    (void)state;
    struct ref_term term = { .kind = REF_STRIDED, .step = 3 };
    const char *rows[] = {
        ".#..#..",  // p = -2
        "..#..#.",  // p = -1
        "#..#..#",  // p = 0
        ".#..#..",  //
        "..#..#.",  //
        "#..#..#",  //
        ".#..#..",  // p = 4
    };
    MATRIX(term, -2, rows);
    struct ref_term every = { .kind = REF_STRIDED, .step = 1 };
    const char *full[] = { "###", "###" };
    MATRIX(every, -1, full);
}

static void test_fixed(void **state) {
    (void)state;
    struct ref_term term = { .kind = REF_FIXED, .step = 4, .count = 1 };
    const char *rows[] = {
        "...#...#",  // p = -5
        "...#...#",  // p = -4
        "...#...#",  //
        "...#...#",  //
        "...#...#",  // p = -1
        "####...#",  // p = 0
        "####...#",  //
        "####...#",  //
        "####...#",  // p = 3
        "...#####",  // p = 4
        "...#####",  //
        "...#####",  //
        "...#####",  // p = 7
        "...#...#",  // p = 8
    };
    MATRIX(term, -5, rows);

    struct ref_term two = { .kind = REF_FIXED, .step = 3, .count = 2 };
    const char *wider[] = { ".##.##.", "###.##.", "###.##.", "###.##.",
                            ".#####.", ".#####.", ".#####.", ".##.###" };
    MATRIX(two, -1, wider);
}

static void test_blocks(void **state) {
    (void)state;
    const uint8_t mask[2][3][3] = { { { 1, 0, 1 }, { 0, 1, 0 }, { 0, 0, 1 } },
                                    { { 0, 0, 0 }, { 1, 1, 0 }, { 0, 1, 1 } } };
    const char *first[] = {
        ".....", ".....", "##..#", "##..#", "..##.", "..##.", "....#", "....#"
    };
    const char *second[] = {
        ".....", ".....", ".....", ".....", "####.", "####.", "..###", "..###"
    };

    struct ref_term one = { .kind = REF_BLOCKS,
                            .block = 2,
                            .mask = &mask[0][0][0],
                            .layouts = 1,
                            .block_rows = 3,
                            .block_cols = 3 };
    MATRIX(one, -2, first);
    MATRIX_OF(one, 3, 4, 2, false, -2, first);

    struct ref_term two = one;
    two.layouts = 2;
    // Two of two heads: one layout each.
    MATRIX_OF(two, 0, 2, 1, false, -2, first);
    MATRIX_OF(two, 1, 2, 1, false, -2, second);
    // Two of two kv heads under four heads: heads 0 and 1, then 2 and 3.
    MATRIX_OF(two, 0, 4, 2, false, -2, first);
    MATRIX_OF(two, 1, 4, 2, true, -2, first);
    MATRIX_OF(two, 2, 4, 2, true, -2, second);
    MATRIX_OF(two, 3, 4, 2, false, -2, second);

    // Not square: 1 row, 3 columns.
    struct ref_term flat = one;
    flat.block_rows = 1;
    const char *short_rows[] = { ".....", "##..#", "##..#" };
    MATRIX(flat, -1, short_rows);
}

// The draws below come from a separate few lines of Python after the page's text. Block rows by
// block columns, each block being two positions.
static void check_random(struct ref_term term, int64_t head, bool causal, int64_t kv_len,
                         const char *const blocks[8], int line) {
    struct ref_pattern pattern = { &term, 1 };
    for (int64_t p = -3; p < 16; p++) {
        for (int64_t j = 0; j < kv_len; j++) {
            bool want = p >= 0 && blocks[p / 2][j / 2] == '#';
            if (ref_selects(&pattern, p, j, head, 2, 1, kv_len, causal) != want) {
                fail_msg("line %d: p = %d, j = %d: want %d", line, (int)p, (int)j, (int)want);
            }
        }
    }
}

static void test_random(void **state) {
    (void)state;
    struct ref_term term = { .kind = REF_RANDOM, .block = 2, .count = 3, .seed = 7 };
    const char *const head0[8] = { "..#..#.#", "##....#.", ".#.##...", "..#.##..",
                                   ".###....", ".#.#.#..", "..##.#..", "...##.#." };
    const char *const head1[8] = { "..##..#.", "....###.", "##.#....", "...#..##",
                                   ".##...#.", ".#....##", "#.##....", "..#.#.#." };
    check_random(term, 0, false, 16, head0, __LINE__);
    check_random(term, 1, false, 16, head1, __LINE__);
    // the last, partial block is a candidate like any other
    check_random(term, 0, false, 15, head0, __LINE__);

    struct ref_term wide = {
        .kind = REF_RANDOM, .block = 2, .count = 2, .seed = UINT64_C(0x123456789abcdef0)
    };
    const char *const causal0[8] = { "#.......", "##......", "##......", "#..#....",
                                     "#...#...", "..##....", ".#...#..", "#......#" };
    const char *const causal1[8] = { "#.......", "##......", "#.#.....", "#..#....",
                                     "#...#...", "....##..", "..#..#..", ".....#.#" };
    check_random(wide, 0, true, 16, causal0, __LINE__);
    check_random(wide, 1, true, 16, causal1, __LINE__);
    check_random(wide, 0, true, 6, causal0, __LINE__);  // causal draws do not depend on kv_len
    check_random(wide, 1, true, 1, causal1, __LINE__);

    // As many as there are, or more: all of them (causal: of 0 ... I).
    struct ref_term many = { .kind = REF_RANDOM, .block = 2, .count = 3, .seed = 1 };
    const char *all[] = { ".....", "#####", "#####", "#####", "#####", "#####", "#####", "#####" };
    MATRIX_OF(many, 0, 1, 1, false, -1, all);
    const char *some[] = { ".....", "##...", "##...", "####.", "####.", "#####", "#####" };
    MATRIX_OF(many, 0, 1, 1, true, -1, some);

    // Through ref_attention: a prefill, whose cached draws must not go stale between rows, and two
    // heads.
    static double zeros[2 * MOST], unit[16 * 16], o[2 * 16 * 16], lse[2 * 16];
    memset(unit, 0, sizeof unit);
    for (size_t n = 0; n < 16; n++) {
        unit[n * 17] = 1.0;
    }
    int64_t length = 15;
    uint64_t pairs = 0;
    struct ref_pattern pattern = { &term, 1 };
    int64_t offset = 0;
    struct ref_problem problem = { .batch = 1,
                                   .heads = 2,
                                   .kv_heads = 1,
                                   .q_len = 16,
                                   .kv_len = 16,
                                   .head_dim = 1,
                                   .v_head_dim = 16,
                                   .q = zeros,
                                   .k = zeros,
                                   .v = unit,
                                   .patterns = &pattern,
                                   .n_patterns = 1,
                                   .q_offset = &offset,
                                   .n_q_offset = 1,
                                   .kv_lengths = &length,
                                   .o = o,
                                   .lse = lse,
                                   .pairs = &pairs };
    ref_attention(&problem);
    uint64_t total = 0;
    for (size_t head = 0; head < 2; head++) {
        for (size_t p = 0; p < 16; p++) {
            for (size_t j = 0; j < 16; j++) {
                bool want = j < 15 && (head == 0 ? head0 : head1)[p / 2][j / 2] == '#';
                total += want;
                assert_true((o[(head * 16 + p) * 16 + j] > 0.0) == want);
            }
        }
    }
    assert_true(pairs == total);

    // The candidates are those of the batch entry's length: three blocks under five keys, so all of
    // them.
    length = 5;
    ref_attention(&problem);
    assert_true(pairs == 2 * 16 * 5);
}

static void test_documents(void **state) {
    (void)state;
    const int64_t lengths[] = { 0, 2, 2, 5 };
    struct ref_term term = { .kind = REF_DOCUMENTS, .list = lengths, .list_len = COUNT(lengths) };
    const char *rows[] = {
        ".......",  // p = -1
        "##.....",  // p = 0
        "##.....",  //
        "..###..",  //
        "..###..",  //
        "..###..",  //
        ".......",  // p = 5
        ".......",  //
        ".......",  // p = 7
    };
    MATRIX(term, -1, rows);
    const int64_t nothing[] = { 0, 0 };
    struct ref_term none = { .kind = REF_DOCUMENTS, .list = nothing, .list_len = COUNT(nothing) };
    const char *empty[] = { "...", "...", "..." };
    MATRIX(none, -1, empty);
}

static void test_union(void **state) {
    (void)state;
    // sink(1) + window(1, 0) + strided(4): pairs of several terms count once (check_matrix_of
    // counts them).
    struct ref_term terms[] = { { .kind = REF_SINK, .count = 1 },
                                { .kind = REF_WINDOW, .left = 1, .right = 0 },
                                { .kind = REF_STRIDED, .step = 4 } };
    const char *rows[] = {
        "#..#..",  // p = -1
        "#...#.",  // p = 0
        "##...#",  //
        "###...",  //
        "#.##..",  //
        "#..##.",  //
        "##..##",  // p = 5
    };
    check_matrix_of((struct ref_pattern){ terms, 3 }, 0, 1, 1, false, -1, rows, COUNT(rows),
                    __LINE__);
    check_matrix_of((struct ref_pattern){ terms, 3 }, 0, 1, 1, true, -1, rows, COUNT(rows),
                    __LINE__);
    const char *empty[] = { "..", ".." };
    check_matrix_of((struct ref_pattern){ NULL, 0 }, 0, 1, 1, true, 0, empty, COUNT(empty),
                    __LINE__);
}

// -------------------------------------------------------------------------------------------------
// Numbers. With q = 1, scale 1 and k_j = ln w_j, key j has weight w_j: o = sum w v / sum w, LSE =
// ln sum w.

static const struct ref_term dense_term = { .kind = REF_DENSE };
static const struct ref_pattern dense = { &dense_term, 1 };

static void test_weights(void **state) {
    (void)state;
    const double q[] = { 1.0, 1.0 }, k[] = { log(1.0), log(2.0), log(5.0) };
    const double v[] = { 1.0, -1.0, 10.0, 20.0, 100.0, -300.0 };
    double o[4], lse[2], absolute[4], bound[2];
    uint64_t pairs = 99;
    struct ref_problem problem = { .batch = 1,
                                   .heads = 1,
                                   .kv_heads = 1,
                                   .q_len = 2,
                                   .kv_len = 3,
                                   .head_dim = 1,
                                   .v_head_dim = 2,
                                   .q = q,
                                   .k = k,
                                   .v = v,
                                   .scale = 1.0,
                                   .causal = true,
                                   .patterns = &dense,
                                   .n_patterns = 1,
                                   .o = o,
                                   .lse = lse,
                                   .absolute = absolute,
                                   .score_bound = bound,
                                   .pairs = &pairs };
    ref_attention(&problem);  // default offset 1: the rows sit at 1 and 2
    NEAR(o[0], 21.0 / 3.0);
    NEAR(o[1], 39.0 / 3.0);
    NEAR(absolute[1], 41.0 / 3.0);
    NEAR(lse[0], log(3.0));
    NEAR(bound[0], log(2.0));
    NEAR(o[2], 521.0 / 8.0);
    NEAR(o[3], (39.0 - 1500.0) / 8.0);
    NEAR(absolute[2], 521.0 / 8.0);
    NEAR(absolute[3], 1541.0 / 8.0);
    NEAR(lse[1], log(8.0));
    NEAR(bound[1], log(5.0));
    assert_true(pairs == 5);

    // A sink logit ln 4 joins the denominator alone.
    const double sink = log(4.0);
    problem.sink_logits = &sink;
    ref_attention(&problem);
    NEAR(o[0], 21.0 / 7.0);
    NEAR(absolute[1], 41.0 / 7.0);
    NEAR(lse[0], log(7.0));
    NEAR(o[3], (39.0 - 1500.0) / 12.0);
    NEAR(lse[1], log(12.0));

    // A sink logit far above: no overflow, everything else vanishes.
    const double high = 5000.0;
    problem.sink_logits = &high;
    ref_attention(&problem);
    NEAR(o[2], 0.0);
    NEAR(lse[1], 5000.0);

    // Negative offset, not causal: the rows sit at -4 and -3; ALiBi of slope ln 2 halves a weight
    // for each step.
    const int64_t offset = -4;
    const double slope = log(2.0);
    problem.sink_logits = NULL;
    problem.q_offset = &offset;
    problem.n_q_offset = 1;
    problem.causal = false;
    problem.slopes = &slope;
    ref_attention(&problem);
    // Distances 4, 5, 6, then 3, 4, 5: weights 1/16, 2/32, 5/64 = (4, 4, 5) / 64, then (4, 4, 5) /
    // 32.
    NEAR(o[0], (4.0 + 40.0 + 500.0) / 13.0);
    NEAR(o[1], (-4.0 + 80.0 - 1500.0) / 13.0);
    NEAR(lse[0], log(13.0 / 64.0));
    NEAR(lse[1], log(13.0 / 32.0));
    NEAR(bound[0], log(5.0) + 6.0 * log(2.0));
    assert_true(pairs == 6);

    // The same offset, causal: no row has a key.
    problem.causal = true;
    ref_attention(&problem);
    for (size_t n = 0; n < 4; n++) {
        assert_true(o[n] == 0.0 && absolute[n] == 0.0);
    }
    for (size_t n = 0; n < 2; n++) {
        assert_true(lse[n] == -INFINITY && bound[n] == 0.0);
    }
    assert_true(pairs == 0);
    problem.sink_logits = &sink;
    ref_attention(&problem);
    assert_true(o[0] == 0.0 && lse[0] == sink && lse[1] == sink);

    // ALiBi on both sides of a row at 1: distances 1, 0, 1.
    const int64_t middle = 1;
    problem.sink_logits = NULL;
    problem.q_offset = &middle;
    problem.causal = false;
    ref_attention(&problem);
    NEAR(o[0], (0.5 + 20.0 + 250.0) / 5.0);
    NEAR(lse[0], log(5.0));
}

static void test_scale_and_softcap(void **state) {
    (void)state;
    // 3 + 4 - 2 + 4 = 9; absolutes 13
    const double q[] = { 1.0, -2.0, 1.0, 4.0 }, k[] = { 3.0, -2.0, -2.0, 1.0 };
    const double v[] = { 7.0 };
    double o[1], lse[1], bound[1];
    struct ref_problem problem = { .batch = 1,
                                   .heads = 1,
                                   .kv_heads = 1,
                                   .q_len = 1,
                                   .kv_len = 1,
                                   .head_dim = 4,
                                   .v_head_dim = 1,
                                   .q = q,
                                   .k = k,
                                   .v = v,
                                   .patterns = &dense,
                                   .n_patterns = 1,
                                   .o = o,
                                   .lse = lse,
                                   .score_bound = bound };
    ref_attention(&problem);  // scale 1 / sqrt(4)
    NEAR(o[0], 7.0);
    NEAR(lse[0], 4.5);
    NEAR(bound[0], 6.5);
    problem.scale = -0.25;
    ref_attention(&problem);
    NEAR(lse[0], -2.25);
    NEAR(bound[0], 3.25);

    // tanh(ln 3 / 2) = 1/2: softcap 3 takes 3 ln 3 / 2 to 3/2. The bias comes on top, uncapped.
    problem.scale = 1.5 * log(3.0) / 9.0;
    problem.softcap = 3.0;
    ref_attention(&problem);
    NEAR(lse[0], 1.5);
    const double slope = 10.0;
    const int64_t offset = 2;
    problem.slopes = &slope;
    problem.q_offset = &offset;
    problem.n_q_offset = 1;
    ref_attention(&problem);
    NEAR(lse[0], 1.5 - 20.0);
    NEAR(bound[0], 1.5 * log(3.0) / 9.0 * 13.0 + 20.0);
}

static void test_lengths_and_starts(void **state) {
    (void)state;
    // Two batch entries of 3 rows and 4 keys; dense, causal. NAN stands where nothing may be read.
    //   entry 0: 2 rows, keys 1 and 2, offset 3 - 2 = 1:   p = 1: {1}, p = 2: {1, 2}, past the
    //                                                      length
    //   entry 1: 3 rows, keys 0 and 1, offset 2 - 3 = -1:  p = -1: {}, p = 0: {0}, p = 1: {0, 1}
    const int64_t q_lengths[] = { 2, 3 }, kv_lengths[] = { 3, 2 }, kv_starts[] = { 1, 0 };
    const double q[] = { 1.0, 1.0, NAN, NAN, 1.0, 1.0 };
    const double k[] = { NAN, log(2.0), log(3.0), NAN, log(5.0), log(7.0), NAN, NAN };
    const double v[] = { NAN, 10.0, 100.0, INFINITY, 1.0, 10.0, NAN, -INFINITY };
    double o[6], lse[6], absolute[6], bound[6];
    uint64_t pairs;
    struct ref_problem problem = { .batch = 2,
                                   .heads = 1,
                                   .kv_heads = 1,
                                   .q_len = 3,
                                   .kv_len = 4,
                                   .head_dim = 1,
                                   .v_head_dim = 1,
                                   .q = q,
                                   .k = k,
                                   .v = v,
                                   .scale = 1.0,
                                   .causal = true,
                                   .patterns = &dense,
                                   .n_patterns = 1,
                                   .q_lengths = q_lengths,
                                   .kv_lengths = kv_lengths,
                                   .kv_starts = kv_starts,
                                   .o = o,
                                   .lse = lse,
                                   .absolute = absolute,
                                   .score_bound = bound,
                                   .pairs = &pairs };
    ref_attention(&problem);
    const double want[] = { 10.0, 320.0 / 5.0, 0.0, 0.0, 1.0, 75.0 / 12.0 };
    const double want_lse[] = { log(2.0), log(5.0), -INFINITY, -INFINITY, log(5.0), log(12.0) };
    for (size_t n = 0; n < 6; n++) {
        NEAR(o[n], want[n]);
        NEAR(absolute[n], want[n]);
        NEAR(lse[n], want_lse[n]);
    }
    assert_true(pairs == 6);

    // With a sink logit the empty row shows it, the row past the length does not.
    const double sink = -1.0;
    problem.sink_logits = &sink;
    ref_attention(&problem);
    assert_true(lse[2] == -INFINITY && o[2] == 0.0);
    assert_true(lse[3] == -1.0 && o[3] == 0.0);
    NEAR(lse[4], log(5.0 + exp(-1.0)));
    problem.sink_logits = NULL;

    // An offset each: entry 0 at 0 and 1: {}, {1}; entry 1 at -2, -1, 0: {}, {}, {0}.
    const int64_t offsets[] = { 0, -2 };
    problem.q_offset = offsets;
    problem.n_q_offset = 2;
    ref_attention(&problem);
    const double moved[] = { 0.0, 10.0, 0.0, 0.0, 0.0, 1.0 };
    for (size_t n = 0; n < 6; n++) {
        NEAR(o[n], moved[n]);
    }
    assert_true(pairs == 2);

    // A start past the length, and no keys at all.
    const int64_t late[] = { 3, 4 };
    problem.kv_starts = late;
    problem.causal = false;
    ref_attention(&problem);
    for (size_t n = 0; n < 6; n++) {
        assert_true(o[n] == 0.0 && lse[n] == -INFINITY);
    }
    assert_true(pairs == 0);
}

static void test_heads(void **state) {
    (void)state;
    // Four heads over two kv heads; heads 1 and 2 have window(0, 0), the others are dense. One row,
    // at 1, of two keys.
    struct ref_term window = { .kind = REF_WINDOW, .left = 0, .right = 0 };
    struct ref_pattern patterns[] = { dense, { &window, 1 } };
    const int32_t head_pattern[] = { 0, 1, 1, 0 };
    const double q[] = { 1.0, 1.0, 1.0, 1.0 }, k[] = { log(1.0), log(2.0), log(3.0), log(4.0) };
    const double v[] = { 1.0, 10.0, 100.0, 1000.0 };
    const double slopes[] = { 0.0, 5.0, 6.0, log(2.0) },
                 sinks[] = { 0.0, log(2.0), log(4.0), -INFINITY };
    double o[4], lse[4];
    uint64_t pairs;
    struct ref_problem problem = { .batch = 1,
                                   .heads = 4,
                                   .kv_heads = 2,
                                   .q_len = 1,
                                   .kv_len = 2,
                                   .head_dim = 1,
                                   .v_head_dim = 1,
                                   .q = q,
                                   .k = k,
                                   .v = v,
                                   .scale = 1.0,
                                   .patterns = patterns,
                                   .n_patterns = 2,
                                   .head_pattern = head_pattern,
                                   .slopes = slopes,
                                   .sink_logits = sinks,
                                   .o = o,
                                   .lse = lse,
                                   .pairs = &pairs };
    ref_attention(&problem);
    NEAR(o[0], 21.0 / 4.0);  // weights 1, 2, sink 1
    NEAR(lse[0], log(4.0));
    NEAR(o[1], 20.0 / 4.0);  // weight 2, sink 2
    NEAR(lse[1], log(4.0));
    NEAR(o[2], 4000.0 / 8.0);  // weight 4, sink 4
    NEAR(lse[2], log(8.0));
    NEAR(o[3], 4150.0 / 5.5);  // weights 3/2, 4, no sink
    NEAR(lse[3], log(5.5));
    assert_true(pairs == 6);
}

// One pattern serves a prefill, any chunk of it, and each decode step: the same rows come out bit
// for bit.
static void test_chunks(void **state) {
    (void)state;
    enum { LENGTH = 16, DIM = 3 };
    struct ref_term terms[] = { { .kind = REF_RANDOM, .block = 2, .count = 2, .seed = 5 },
                                { .kind = REF_FIXED, .step = 5, .count = 1 },
                                { .kind = REF_WINDOW, .left = 1, .right = 0 } };
    struct ref_pattern pattern = { terms, 3 };
    double q[LENGTH * DIM], k[LENGTH * DIM], v[LENGTH * DIM], whole[LENGTH * DIM],
        whole_lse[LENGTH];
    for (int n = 0; n < LENGTH * DIM; n++) {
        q[n] = sin(n + 1.0);
        k[n] = cos(2.0 * n);
        v[n] = sin(3.0 * n + 2.0);
    }
    struct ref_problem problem = { .batch = 1,
                                   .heads = 1,
                                   .kv_heads = 1,
                                   .q_len = LENGTH,
                                   .kv_len = LENGTH,
                                   .head_dim = DIM,
                                   .v_head_dim = DIM,
                                   .q = q,
                                   .k = k,
                                   .v = v,
                                   .causal = true,
                                   .patterns = &pattern,
                                   .n_patterns = 1,
                                   .o = whole,
                                   .lse = whole_lse };
    ref_attention(&problem);
    for (int p = 0; p < LENGTH; p++) {
        double o[DIM], lse;
        problem.q_len = 1;
        problem.kv_len = p + 1;
        problem.q = q + p * DIM;
        problem.o = o;
        problem.lse = &lse;
        ref_attention(&problem);
        assert_memory_equal(o, whole + p * DIM, sizeof o);
        assert_true(lse == whole_lse[p]);
    }
}

// -------------------------------------------------------------------------------------------------
// Philox and 16-bit floats

static void test_philox(void **state) {
    (void)state;
    const uint32_t ff = UINT32_MAX;
    const struct {
        uint32_t counter[4], key[2], out[4];
    } known[] = {
        // Random123's kat_vectors, philox4x32 10
        { { 0, 0, 0, 0 }, { 0, 0 }, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
        { { ff, ff, ff, ff }, { ff, ff }, { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
        { { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 },
          { 0xa4093822, 0x299f31d0 },
          { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
    };
    for (size_t n = 0; n < COUNT(known); n++) {
        uint32_t out[4];
        ref_philox4x32_10(known[n].counter, known[n].key, out);
        assert_memory_equal(out, known[n].out, sizeof out);
        memcpy(out, known[n].counter, sizeof out);
        ref_philox4x32_10(out, known[n].key, out);
        assert_memory_equal(out, known[n].out, sizeof out);
    }
}

// Every pattern of bits there and back, and the rounding of every finite neighbour pair: below, at
// and above the middle.
static void check_format(double (*to_double)(uint16_t), uint16_t (*from_double)(double),
                         uint16_t infinity) {
    for (uint32_t bits = 0; bits < 0x10000; bits++) {
        const uint16_t magnitude = (uint16_t)(bits & 0x7fff);
        const double value = to_double((uint16_t)bits);
        if (magnitude > infinity) {
            assert_true(isnan(value));
            assert_true((from_double(value) & 0x7fff) > infinity);
            assert_int_equal(from_double(value) & 0x8000, bits & 0x8000);
            continue;
        }
        assert_int_equal(from_double(value), bits);
        assert_int_equal(signbit(value) != 0, bits >> 15);
        if (magnitude >= infinity - 1) {
            continue;
        }
        const double next = to_double((uint16_t)(bits + 1));
        assert_true(fabs(next) > fabs(value));
        const double middle = (value + next) / 2.0;
        assert_int_equal(from_double(nextafter(middle, value)), bits);
        assert_int_equal(from_double(middle), bits + (bits & 1));
        assert_int_equal(from_double(nextafter(middle, next)), bits + 1);
    }
}

static void test_half(void **state) {
    (void)state;
    check_format(ref_half_to_double, ref_double_to_half, 0x7c00);
    assert_true(ref_half_to_double(0x3c00) == 1.0);
    assert_true(ref_half_to_double(0xc000) == -2.0);
    assert_true(ref_half_to_double(0x3555) == 1365.0 / 4096.0);
    assert_true(ref_half_to_double(0x7bff) == 65504.0);
    assert_true(ref_half_to_double(0x0001) == ldexp(1.0, -24));
    assert_true(ref_half_to_double(0x0400) == ldexp(1.0, -14));
    assert_true(ref_half_to_double(0xfc00) == -INFINITY);
    assert_int_equal(ref_double_to_half(65519.99), 0x7bff);
    assert_int_equal(ref_double_to_half(65520.0), 0x7c00);
    assert_int_equal(ref_double_to_half(-1e300), 0xfc00);
    assert_int_equal(ref_double_to_half(5e-324), 0x0000);
    assert_int_equal(ref_double_to_half(-5e-324), 0x8000);
    // One rounding, not two: just above the middle of 1 and its successor, by less than a float
    // could tell.
    assert_int_equal(ref_double_to_half(1.0 + ldexp(1.0, -11) + ldexp(1.0, -40)), 0x3c01);
}

static void test_bf16(void **state) {
    (void)state;
    check_format(ref_bf16_to_double, ref_double_to_bf16, 0x7f80);
    assert_true(ref_bf16_to_double(0x3f80) == 1.0);
    assert_true(ref_bf16_to_double(0xc049) == -3.140625);
    assert_true(ref_bf16_to_double(0x0001) == ldexp(1.0, -133));
    assert_true(ref_bf16_to_double(0x0080) == ldexp(1.0, -126));
    assert_true(ref_bf16_to_double(0x7f7f) == ldexp(255.0, 120));
    assert_int_equal(ref_double_to_bf16(ldexp(511.0, 119)), 0x7f80);
    assert_int_equal(ref_double_to_bf16(nextafter(ldexp(511.0, 119), 0.0)), 0x7f7f);
    assert_int_equal(ref_double_to_bf16(3.14159265), 0x4049);
    assert_int_equal(ref_double_to_bf16(1.0 + ldexp(1.0, -8) + ldexp(1.0, -40)), 0x3f81);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dense),
        cmocka_unit_test(test_window),
        cmocka_unit_test(test_dilated),
        cmocka_unit_test(test_global),
        cmocka_unit_test(test_global_list),
        cmocka_unit_test(test_sink),
        cmocka_unit_test(test_strided),
        cmocka_unit_test(test_fixed),
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_documents),
        cmocka_unit_test(test_union),
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_scale_and_softcap),
        cmocka_unit_test(test_lengths_and_starts),
        cmocka_unit_test(test_heads),
        cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_philox),
        cmocka_unit_test(test_half),
        cmocka_unit_test(test_bf16),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
