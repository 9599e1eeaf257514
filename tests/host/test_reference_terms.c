// SPDX-License-Identifier: MIT
//
// Checks the reference itself: a table for each term, worked out by hand from docs/semantics.md.
// Neighbourhoods have a file of their own.

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "reference_table.h"

#include <string.h>

static void test_dense(void **state) {
    (void)state;
    struct ref_term term = { .kind = REF_DENSE };
    const char *rows[] = { "####", "####", "####", "####", "####", "####" };
    TABLE(term, -2, rows);
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
    TABLE(term, -2, rows);

    struct ref_term itself = { .kind = REF_WINDOW, .left = 0, .right = 0 };
    const char *diagonal[] = { "...", "#..", ".#.", "..#", "..." };
    TABLE(itself, -1, diagonal);

    struct ref_term past = { .kind = REF_WINDOW, .left = -1, .right = 0 };
    const char *lower[] = { "...", "#..", "##.", "###", "###" };
    TABLE(past, -1, lower);

    struct ref_term future = { .kind = REF_WINDOW, .left = 1, .right = -1 };
    const char *upper[] = { "###", "###", "###", ".##", "..#", "..." };
    TABLE(future, -1, upper);

    struct ref_term all = { .kind = REF_WINDOW, .left = -1, .right = -1 };
    const char *full[] = { "###", "###", "###", "###", "###" };
    TABLE(all, -1, full);
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
    TABLE(term, -3, rows);

    struct ref_term past = { .kind = REF_DILATED, .left = -1, .right = 0, .step = 3 };
    const char *lower[] = { ".......", "#......", ".#.....", "..#....", "#..#...",
                            ".#..#..", "..#..#.", "#..#..#", ".#..#.." };
    TABLE(past, -1, lower);

    struct ref_term future = { .kind = REF_DILATED, .left = 0, .right = -1, .step = 3 };
    const char *upper[] = { ".#..#..", "..#..#.", "#..#..#", ".#..#..",
                            "..#..#.", "...#..#", "....#.." };
    TABLE(future, -2, upper);
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
    TABLE(term, -1, rows);

    struct ref_term none = { .kind = REF_GLOBAL, .count = 0 };
    const char *empty[] = { "...", "...", "..." };
    TABLE(none, -1, empty);
}

static void test_global_list(void **state) {
    (void)state;
    const int64_t list[] = { 3, 1, 9, 3 };
    struct ref_term term = { .kind = REF_GLOBAL_LIST, .list = list, .list_len = TABLE_COUNT(list) };
    const char *rows[] = {
        ".#.#.",  // p = -1
        ".#.#.",  // p = 0
        "#####",  //
        ".#.#.",  //
        "#####",  //
        ".#.#.",  // p = 4
    };
    TABLE(term, -1, rows);
    const char *late[] = { ".#.#.", "#####", ".#.#." };
    TABLE(term, 8, late);

    struct ref_term none = { .kind = REF_GLOBAL_LIST };
    const char *empty[] = { "...", "...", "..." };
    TABLE(none, -1, empty);
}

static void test_sink(void **state) {
    (void)state;
    struct ref_term term = { .kind = REF_SINK, .count = 2 };
    const char *rows[] = { "##...", "##...", "##...", "##...", "##..." };
    TABLE(term, -1, rows);
    struct ref_term none = { .kind = REF_SINK, .count = 0 };
    const char *empty[] = { "...", "..." };
    TABLE(none, 0, empty);
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
    TABLE(term, -2, rows);
    struct ref_term every = { .kind = REF_STRIDED, .step = 1 };
    const char *full[] = { "###", "###" };
    TABLE(every, -1, full);
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
    TABLE(term, -5, rows);

    struct ref_term two = { .kind = REF_FIXED, .step = 3, .count = 2 };
    const char *wider[] = { ".##.##.", "###.##.", "###.##.", "###.##.",
                            ".#####.", ".#####.", ".#####.", ".##.###" };
    TABLE(two, -1, wider);
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
    TABLE(one, -2, first);
    TABLE_OF(one, 3, 4, 2, false, -2, first);

    struct ref_term two = one;
    two.layouts = 2;
    // Two of two heads: one layout each.
    TABLE_OF(two, 0, 2, 1, false, -2, first);
    TABLE_OF(two, 1, 2, 1, false, -2, second);
    // Two of two kv heads under four heads: heads 0 and 1, then 2 and 3.
    TABLE_OF(two, 0, 4, 2, false, -2, first);
    TABLE_OF(two, 1, 4, 2, true, -2, first);
    TABLE_OF(two, 2, 4, 2, true, -2, second);
    TABLE_OF(two, 3, 4, 2, false, -2, second);

    // Not square: 1 row, 3 columns.
    struct ref_term flat = one;
    flat.block_rows = 1;
    const char *short_rows[] = { ".....", "##..#", "##..#" };
    TABLE(flat, -1, short_rows);
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
    TABLE_OF(many, 0, 1, 1, false, -1, all);
    const char *some[] = { ".....", "##...", "##...", "####.", "####.", "#####", "#####" };
    TABLE_OF(many, 0, 1, 1, true, -1, some);

    // Through ref_attention: a prefill, whose cached draws must not go stale between rows, and two
    // heads.
    static double zeros[2 * TABLE_MOST], unit[16 * 16], o[2 * 16 * 16], lse[2 * 16];
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
    struct ref_term term = { .kind = REF_DOCUMENTS,
                             .list = lengths,
                             .list_len = TABLE_COUNT(lengths) };
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
    TABLE(term, -1, rows);
    const int64_t nothing[] = { 0, 0 };
    struct ref_term none = { .kind = REF_DOCUMENTS,
                             .list = nothing,
                             .list_len = TABLE_COUNT(nothing) };
    const char *empty[] = { "...", "...", "..." };
    TABLE(none, -1, empty);
}

static void test_prefix(void **state) {
    (void)state;
    struct ref_term term = { .kind = REF_PREFIX, .count = 3 };
    const char *rows[] = {
        "###...",  // p = -2, below N like the others
        "###...",  //
        "###...",  // p = 0
        "###...",  //
        "###...",  //
        "####..",  // p = 3
        "#####.",  //
        "######",  //
        "######",  // p = 6
    };
    TABLE(term, -2, rows);
    struct ref_term none = { .kind = REF_PREFIX, .count = 0 };
    const char *lower[] = { "....", "....", "#...", "##..", "###.", "####", "####" };
    TABLE(none, -2, lower);
    struct ref_term more = { .kind = REF_PREFIX, .count = 9 };
    const char *full[] = { "####", "####", "####", "####", "####", "####" };
    TABLE(more, -1, full);
    TABLE(more, 7, full);
}

static void test_chunked(void **state) {
    (void)state;
    struct ref_term term = { .kind = REF_CHUNKED, .step = 3 };
    const char *rows[] = {
        ".......",  // p = -4
        ".......",  //
        ".......",  //
        ".......",  // p = -1
        "###....",  // p = 0
        "###....",  //
        "###....",  //
        "...###.",  // p = 3
        "...###.",  //
        "...###.",  //
        "......#",  // p = 6
        "......#",  //
        "......#",  //
        ".......",  // p = 9
    };
    TABLE(term, -4, rows);
    struct ref_term itself = { .kind = REF_CHUNKED, .step = 1 };
    const char *diagonal[] = { "...", "#..", ".#.", "..#", "..." };
    TABLE(itself, -1, diagonal);
    struct ref_term one = { .kind = REF_CHUNKED, .step = 4 };
    const char *whole[] = { "...", "###", "###", "###", "###", "..." };
    TABLE(one, -1, whole);
}

static void test_a_shape(void **state) {
    (void)state;
    struct ref_term term = { .kind = REF_A_SHAPE, .count = 2, .block = 3 };
    const char *rows[] = {
        "##.....",  // p = -1
        "##.....",  // p = 0
        "##.....",  //
        "###....",  //
        "####...",  // p = 3
        "#####..",  //
        "##.###.",  //
        "##..###",  // p = 6
        "##...##",  //
        "##....#",  //
        "##.....",  // p = 9
    };
    TABLE(term, -1, rows);
    struct ref_term itself = { .kind = REF_A_SHAPE, .count = 0, .block = 1 };
    const char *diagonal[] = { "...", "#..", ".#.", "..#", "..." };
    TABLE(itself, -1, diagonal);
}

static void test_vertical_slash(void **state) {
    (void)state;
    const int64_t columns[] = { 4, 1, -1, 9, 4 }, diagonals[] = { 0, -1, 3 };
    struct ref_term term = { .kind = REF_VERTICAL_SLASH,
                             .list = columns,
                             .list_len = TABLE_COUNT(columns),
                             .diagonals = diagonals,
                             .diagonals_len = TABLE_COUNT(diagonals),
                             .layouts = 1 };
    const char *rows[] = {
        ".#..#.",  // p = -2
        ".#..#.",  // p = -1; p - j = -1 is no diagonal
        "##..#.",  // p = 0
        ".#..#.",  //
        ".##.#.",  //
        "##.##.",  // p = 3
        ".#..#.",  //
        ".##.##",  //
        ".#.##.",  // p = 6
        ".#..#.",  //
        ".#..##",  // p = 8
        ".#..#.",  //
    };
    TABLE(term, -2, rows);

    // Two layouts: column 2 alone, then diagonal 1 alone.
    const int64_t by_head[] = { 2, -1, -1, -1 }, slashes[] = { -1, 1 };
    struct ref_term two = { .kind = REF_VERTICAL_SLASH,
                            .list = by_head,
                            .list_len = TABLE_COUNT(by_head),
                            .diagonals = slashes,
                            .diagonals_len = TABLE_COUNT(slashes),
                            .layouts = 2 };
    const char *first[] = { "..#.", "..#.", "..#.", "..#.", "..#.", "..#." };
    const char *second[] = { "....", "....", "#...", ".#..", "..#.", "...#" };
    TABLE_OF(two, 0, 2, 1, false, -1, first);
    TABLE_OF(two, 1, 2, 1, true, -1, second);
    TABLE_OF(two, 0, 4, 2, true, -1, first);
    TABLE_OF(two, 1, 4, 2, false, -1, first);
    TABLE_OF(two, 2, 4, 2, false, -1, second);
    TABLE_OF(two, 3, 4, 2, true, -1, second);

    struct ref_term none = { .kind = REF_VERTICAL_SLASH, .layouts = 1 };
    const char *empty[] = { "...", "...", "..." };
    TABLE(none, -1, empty);
    struct ref_term slash = { .kind = REF_VERTICAL_SLASH,
                              .diagonals = diagonals,
                              .diagonals_len = TABLE_COUNT(diagonals),
                              .layouts = 1 };
    const char *lines[] = { "....", "#...", ".#..", "..#.", "#..#", ".#..", "..#.", "...#" };
    TABLE(slash, -1, lines);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dense),          cmocka_unit_test(test_window),
        cmocka_unit_test(test_dilated),        cmocka_unit_test(test_global),
        cmocka_unit_test(test_global_list),    cmocka_unit_test(test_sink),
        cmocka_unit_test(test_strided),        cmocka_unit_test(test_fixed),
        cmocka_unit_test(test_blocks),         cmocka_unit_test(test_random),
        cmocka_unit_test(test_documents),      cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_chunked),        cmocka_unit_test(test_a_shape),
        cmocka_unit_test(test_vertical_slash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
