// SPDX-License-Identifier: MIT
//
// Checks the reference itself: unions of terms and intersections of factors, against tables worked
// out by hand from docs/semantics.md.

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "reference_table.h"

static void test_union(void **state) {
    (void)state;
    // sink(1) + window(1, 0) + strided(4): pairs of several terms count once (table_check
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
    table_check((struct ref_pattern){ terms, 3 }, 0, 1, 1, false, -1, rows, TABLE_COUNT(rows),
                __LINE__);
    table_check((struct ref_pattern){ terms, 3 }, 0, 1, 1, true, -1, rows, TABLE_COUNT(rows),
                __LINE__);
    const char *empty[] = { "..", ".." };
    table_check((struct ref_pattern){ NULL, 0 }, 0, 1, 1, true, 0, empty, TABLE_COUNT(empty),
                __LINE__);
}

// Both ways round.
#define TABLE_BOTH(a, b, first_p, rows)            \
    do {                                           \
        struct ref_term first = (a), second = (b); \
        first.factors = &(b);                      \
        first.n_factors = 1;                       \
        second.factors = &(a);                     \
        second.n_factors = 1;                      \
        TABLE(first, first_p, rows);               \
        TABLE(second, first_p, rows);              \
    } while (0)

static void test_two_factors(void **state) {
    (void)state;
    const struct ref_term window = { .kind = REF_WINDOW, .left = 2, .right = 0 },
                          even = { .kind = REF_STRIDED, .step = 2 };
    const char *rows[] = {
        "......",  // p = -1
        "#.....",  // p = 0
        ".#....",  //
        "#.#...",  //
        ".#.#..",  //
        "..#.#.",  //
        "...#.#",  // p = 5
        "....#.",  //
        ".....#",  //
        "......",  // p = 8
    };
    TABLE_BOTH(window, even, -1, rows);

    // Steps without a common factor: the least common multiple.
    const struct ref_term three = { .kind = REF_STRIDED, .step = 3 };
    const char *sixth[] = {
        ".....#..", "#.....#.", ".#.....#", "..#.....", "...#....", "....#..."
    };
    TABLE_BOTH(even, three, -1, sixth);

    // One's columns cross the other's rows.
    const int64_t listed[] = { 1 };
    const struct ref_term zero = { .kind = REF_GLOBAL, .count = 1 },
                          one = { .kind = REF_GLOBAL_LIST, .list = listed, .list_len = 1 };
    const char *crossed[] = { "....", ".#..", "#...", "....", "...." };
    TABLE_BOTH(zero, one, -1, crossed);

    // Columns that the window does not reach from far away, and diagonals that it never has.
    const struct ref_term sink = { .kind = REF_SINK, .count = 1 };
    const char *near[] = { "....", "#...", "#...", "#...", "....", "...." };
    TABLE_BOTH(window, sink, -1, near);
    const int64_t far[] = { 3 };
    const struct ref_term slash = {
        .kind = REF_VERTICAL_SLASH, .diagonals = far, .diagonals_len = 1, .layouts = 1
    };
    const char *empty[] = { ".....", ".....", ".....", ".....", ".....", "....." };
    TABLE_BOTH(window, slash, -1, empty);

    const int64_t ends[] = { 0, 2, 5 };
    const struct ref_term documents = { .kind = REF_DOCUMENTS, .list = ends, .list_len = 3 },
                          chunked = { .kind = REF_CHUNKED, .step = 3 };
    const char *pieces[] = { "......", "##....", "##....", "..#...", "...##.", "...##.", "......" };
    TABLE_BOTH(documents, chunked, -1, pieces);

    // a & a is a, a & dense is a.
    const struct ref_term dense = { .kind = REF_DENSE };
    const char *itself[] = { "....", "#...", "##..", "###.", ".###", "..##", "...#", "...." };
    TABLE_BOTH(window, window, -1, itself);
    TABLE_BOTH(window, dense, -1, itself);
}

static void test_more_factors(void **state) {
    (void)state;
    // window:3,0 & chunked:4 & strided:2, and the same in a union with sink:1
    const struct ref_term others[] = { { .kind = REF_CHUNKED, .step = 4 },
                                       { .kind = REF_STRIDED, .step = 2 } };
    struct ref_term term = {
        .kind = REF_WINDOW, .left = 3, .right = 0, .factors = others, .n_factors = 2
    };
    const char *rows[] = { ".........", "#........", ".#.......", "#.#......", ".#.#.....",
                           "....#....", ".....#...", "....#.#..", ".....#.#.", "........#" };
    TABLE(term, -1, rows);
    struct ref_term terms[] = { term, { .kind = REF_SINK, .count = 1 } };
    const char *with_sink[] = { "#........", "#........", "##.......", "#.#......", "##.#.....",
                                "#...#....", "#....#...", "#...#.#..", "#....#.#.", "#.......#" };
    for (int causal = 0; causal < 2; causal++) {
        table_check((struct ref_pattern){ terms, 2 }, 0, 1, 1, causal == 1, -1, with_sink,
                    TABLE_COUNT(with_sink), __LINE__);
    }

    // A factor with one of its own.
    struct ref_term chunked = others[0];
    chunked.factors = &others[1];
    chunked.n_factors = 1;
    term.factors = &chunked;
    term.n_factors = 1;
    TABLE(term, -1, rows);
}

// Factors that ask about the head: the draws of test_reference_terms' random blocks, in the first
// three blocks alone; layouts of a mask.
static void test_factors_by_head(void **state) {
    (void)state;
    const struct ref_term sink = { .kind = REF_SINK, .count = 6 };
    struct ref_term random = {
        .kind = REF_RANDOM, .block = 2, .count = 3, .seed = 7, .factors = &sink, .n_factors = 1
    };
    const char *head0[] = { "....##..........", "....##..........", "####............",
                            "####............", "..##............", "..##............",
                            "....##..........", "....##..........", "..####..........",
                            "..####..........", "..##............", "..##............",
                            "....##..........", "....##..........", "................",
                            "................" };
    const char *head1[] = { "....##..........", "....##..........", "................",
                            "................", "####............", "####............",
                            "................", "................", "..####..........",
                            "..####..........", "..##............", "..##............",
                            "##..##..........", "##..##..........", "....##..........",
                            "....##.........." };
    TABLE_OF(random, 0, 2, 1, false, 0, head0);
    TABLE_OF(random, 1, 2, 1, false, 0, head1);
    struct ref_term turned = sink;
    turned.factors = &random;  // with a factor of its own, which is the sink again
    turned.n_factors = 1;
    TABLE_OF(turned, 0, 2, 1, false, 0, head0);
    TABLE_OF(turned, 1, 2, 1, false, 0, head1);

    const uint8_t mask[] = { 1, 0, 0, 1 };
    const struct ref_term blocks = {
        .kind = REF_BLOCKS, .block = 6, .mask = mask, .layouts = 2, .block_rows = 1, .block_cols = 2
    };
    struct ref_term strided = {
        .kind = REF_STRIDED, .step = 3, .factors = &blocks, .n_factors = 1
    };
    const char *left[] = { "........", "#..#....", ".#..#...", "..#..#.." };
    const char *right[] = { "........", "......#.", ".......#", "........" };
    TABLE_OF(strided, 0, 2, 2, true, -1, left);
    TABLE_OF(strided, 1, 2, 2, false, -1, right);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_union),
        cmocka_unit_test(test_two_factors),
        cmocka_unit_test(test_more_factors),
        cmocka_unit_test(test_factors_by_head),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
