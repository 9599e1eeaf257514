// SPDX-License-Identifier: MIT
//
// Checks the reference itself: neighbourhoods of one to three axes, against tables and pictures
// worked out by hand from docs/semantics.md.

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "reference_table.h"

#include <string.h>

static struct ref_term one_axis(int64_t kernel, int64_t dilation, bool causal) {
    return (struct ref_term){ .kind = REF_NEIGHBORHOOD,
                              .axes = 1,
                              .kernel = { kernel },
                              .dilation = { dilation },
                              .causal_axis = { causal } };
}

static void test_one_axis(void **state) {
    (void)state;
    struct ref_term three = one_axis(3, 1, false);
    const char *rows[] = {
        ".......",  // p = -1
        "###....",  // p = 0
        "###....",  //
        ".###...",  //
        "..###..",  // p = 3
        "...###.",  //
        "....###",  //
        "....###",  // p = 6
        ".......",  //
    };
    TABLE(three, -1, rows);

    // An even number of keys: one more before the query than behind it.
    struct ref_term four = one_axis(4, 1, false);
    const char *even[] = { ".......", "####...", "####...", "####...", ".####..",
                           "..####.", "...####", "...####", "......." };
    TABLE(four, -1, even);
    struct ref_term two = one_axis(2, 1, false);
    const char *pairs[] = { "....", "##..", "##..", ".##.", "..##", "...." };
    TABLE(two, -1, pairs);

    struct ref_term itself = one_axis(1, 1, false);
    const char *diagonal[] = { "...", "#..", ".#.", "..#", "..." };
    TABLE(itself, -1, diagonal);
    struct ref_term all = one_axis(4, 1, false);
    const char *full[] = { "....", "####", "####", "####", "####", "...." };
    TABLE(all, -1, full);
}

static void test_one_axis_dilated(void **state) {
    (void)state;
    // Residues 0 and 1 have three positions of the eight, residue 2 has two.
    struct ref_term term = one_axis(2, 3, false);
    const char *rows[] = {
        "........",  // p = -1
        "#..#....",  // p = 0
        ".#..#...",  //
        "..#..#..",  //
        "#..#....",  // p = 3
        ".#..#...",  //
        "..#..#..",  //
        "...#..#.",  // p = 6
        "....#..#",  //
        "........",  // p = 8
    };
    TABLE(term, -1, rows);

    struct ref_term three = one_axis(3, 2, false);
    const char *whole[] = { "#.#.#.", ".#.#.#", "#.#.#.", ".#.#.#", "#.#.#.", ".#.#.#", "......" };
    TABLE(three, 0, whole);  // K·D = n
    const char *longer[] = { "#.#.#....", ".#.#.#...", "#.#.#....", ".#.#.#...", "..#.#.#..",
                             "...#.#.#.", "....#.#.#", "...#.#.#.", "....#.#.#" };
    TABLE(three, 0, longer);  // five positions of the even, four of the odd

    struct ref_term apart = one_axis(1, 4, false);
    const char *diagonal[] = { "#....", ".#...", "..#..", "...#.", "....#" };
    TABLE(apart, 0, diagonal);
}

static void test_one_axis_causal(void **state) {
    (void)state;
    struct ref_term three = one_axis(3, 1, true);
    const char *rows[] = { "......", "#.....", "##....", "###...",
                           ".###..", "..###.", "...###", "......" };
    TABLE(three, -1, rows);
    struct ref_term dilated = one_axis(2, 3, true);
    const char *apart[] = { "........", "#.......", ".#......", "..#.....", "#..#....",
                            ".#..#...", "..#..#..", "...#..#.", "....#..#", "........" };
    TABLE(dilated, -1, apart);
    struct ref_term full = one_axis(3, 2, true);
    const char *lower[] = { "#......", ".#.....", "#.#....", ".#.#...",
                            "#.#.#..", ".#.#.#.", "..#.#.#" };
    TABLE(full, 0, lower);
}

// An axis whose length is given: shorter than the keys, and longer.
static void test_one_axis_given(void **state) {
    (void)state;
    struct ref_term term = one_axis(3, 1, false);
    term.grid[0] = 5;
    const char *shorter[] = { ".......", "###....", "###....", ".###...",
                              "..###..", "..###..", ".......", "......." };
    TABLE(term, -1, shorter);
    term.grid[0] = 9;
    const char *longer[] = { "....###", ".....##", "......#", "......#", "......." };
    TABLE(term, 5, longer);
}

// -------------------------------------------------------------------------------------------------
// Several axes: what one query selects, as a picture of the grid. `lines` are the grid's, in raster
// order, as far as there are keys.

static void check_picture(struct ref_term term, int64_t p, const char *const *lines, size_t n_lines,
                          int line) {
    char keys[TABLE_MOST + 1] = "";
    for (size_t n = 0; n < n_lines; n++) {
        assert_true(strlen(keys) + strlen(lines[n]) <= TABLE_MOST);
        strcat(keys, lines[n]);
    }
    const char *row = keys;
    for (int causal = 0; causal < 2; causal++) {
        table_check((struct ref_pattern){ &term, 1 }, 0, 1, 1, causal == 1, p, &row, 1, line);
    }
}

#define PICTURE(term, p, ...)                                        \
    do {                                                             \
        const char *const lines[] = { __VA_ARGS__ };                 \
        check_picture(term, p, lines, TABLE_COUNT(lines), __LINE__); \
    } while (0)

// H rows of W.
static struct ref_term two_axes(int64_t h, int64_t w, int64_t kernel_h, int64_t kernel_w) {
    return (struct ref_term){ .kind = REF_NEIGHBORHOOD,
                              .axes = 2,
                              .grid = { h, w },
                              .kernel = { kernel_h, kernel_w },
                              .dilation = { 1, 1 } };
}

static void test_two_axes(void **state) {
    (void)state;
    struct ref_term term = two_axes(4, 5, 3, 3);
    PICTURE(term, -1, ".....", ".....", ".....", ".....");
    PICTURE(term, 0, "###..", "###..", "###..", ".....");
    PICTURE(term, 4, "..###", "..###", "..###", ".....");
    PICTURE(term, 7, ".###.", ".###.", ".###.", ".....");   // y = 1, x = 2
    PICTURE(term, 13, ".....", "..###", "..###", "..###");  // y = 2, x = 3
    PICTURE(term, 15, ".....", "###..", "###..", "###..");  // y = 3, x = 0
    PICTURE(term, 19, ".....", "..###", "..###", "..###");
    PICTURE(term, 20, ".....", ".....", ".....", ".....");

    struct ref_term uneven = two_axes(4, 5, 2, 4);
    PICTURE(uneven, 0, "####.", "####.", ".....", ".....");
    PICTURE(uneven, 12, ".....", "####.", "####.", ".....");  // y = 2, x = 2
    PICTURE(uneven, 13, ".....", ".####", ".####", ".....");  // y = 2, x = 3
    PICTURE(uneven, 19, ".....", ".....", ".####", ".####");

    struct ref_term row = two_axes(1, 7, 1, 3);  // as neighborhood:3 of seven keys
    const char *rows[] = { ".......", "###....", "###....", ".###...", "..###..",
                           "...###.", "....###", "....###", "......." };
    TABLE(row, -1, rows);
    struct ref_term column = two_axes(7, 1, 3, 1);
    TABLE(column, -1, rows);
}

static void test_two_axes_dilated(void **state) {
    (void)state;
    struct ref_term term = two_axes(4, 5, 2, 3);
    term.dilation[0] = 2;                                   // K·D is H: both of the query's parity
    PICTURE(term, 5, ".....", "###..", ".....", "###..");   // y = 1, x = 0
    PICTURE(term, 14, "..###", ".....", "..###", ".....");  // y = 2, x = 4
    term = two_axes(4, 5, 2, 2);
    term.dilation[1] = 2;
    PICTURE(term, 0, "#.#..", "#.#..", ".....", ".....");
    PICTURE(term, 6, ".#.#.", ".#.#.", ".....", ".....");   // y = 1, x = 1
    PICTURE(term, 14, ".....", "..#.#", "..#.#", ".....");  // y = 2, x = 4
    PICTURE(term, 17, ".....", ".....", "#.#..", "#.#..");  // y = 3, x = 2
}

static void test_two_axes_causal(void **state) {
    (void)state;
    struct ref_term first = two_axes(4, 5, 2, 3);
    first.causal_axis[0] = true;
    PICTURE(first, 1, "###..", ".....", ".....", ".....");
    PICTURE(first, 13, ".....", "..###", "..###", ".....");  // y = 2, x = 3
    PICTURE(first, 19, ".....", ".....", "..###", "..###");
    struct ref_term second = two_axes(4, 5, 2, 3);
    second.causal_axis[1] = true;
    PICTURE(second, 1, "##...", "##...", ".....", ".....");
    PICTURE(second, 13, ".....", ".###.", ".###.", ".....");
    struct ref_term both = first;
    both.causal_axis[1] = true;
    PICTURE(both, 0, "#....", ".....", ".....", ".....");
    PICTURE(both, 13, ".....", ".###.", ".###.", ".....");
    PICTURE(both, 16, ".....", ".....", "##...", "##...");  // y = 3, x = 1
    both.dilation[0] = 2;
    PICTURE(both, 8, ".....", ".###.", ".....", ".....");   // y = 1, x = 3
    PICTURE(both, 18, ".....", ".###.", ".....", ".###.");  // y = 3, x = 3
}

// The grid ends before the keys do, and after them.
static void test_grid_and_keys(void **state) {
    (void)state;
    struct ref_term small = two_axes(2, 3, 2, 2);
    PICTURE(small, 0, "##.", "##.", "..");
    PICTURE(small, 5, ".##", ".##", "..");
    PICTURE(small, 6, "...", "...", "..");
    PICTURE(small, 7, "...", "...", "..");
    struct ref_term large = two_axes(3, 3, 2, 2);
    PICTURE(large, 4, "##.", "##.", ".");
    PICTURE(large, 6, "...", "##.", "#");  // y = 2, x = 0: the key at y = 2, x = 1 is not there
    PICTURE(large, 8, "...", ".##", ".");
    PICTURE(large, 9, "...", "...", ".");
}

static void test_three_axes(void **state) {
    (void)state;
    struct ref_term term = { .kind = REF_NEIGHBORHOOD,
                             .axes = 3,
                             .grid = { 2, 3, 3 },
                             .kernel = { 1, 2, 2 },
                             .dilation = { 1, 1, 1 } };
    PICTURE(term, -1, "...", "...", "...", "...", "...", "...");
    PICTURE(term, 0, "##.", "##.", "...", "...", "...", "...");
    PICTURE(term, 5, ".##", ".##", "...", "...", "...", "...");   // t = 0, y = 1, x = 2
    PICTURE(term, 12, "...", "...", "...", "##.", "##.", "...");  // t = 1, y = 1, x = 0
    PICTURE(term, 17, "...", "...", "...", "...", ".##", ".##");
    PICTURE(term, 18, "...", "...", "...", "...", "...", "...");

    // As video models have it: causal in time.
    struct ref_term video = { .kind = REF_NEIGHBORHOOD,
                              .axes = 3,
                              .grid = { 2, 3, 3 },
                              .kernel = { 2, 3, 1 },
                              .dilation = { 1, 1, 2 },
                              .causal_axis = { true, false, false } };
    PICTURE(video, 4, ".#.", ".#.", ".#.", "...", "...", "...");
    PICTURE(video, 15, "#..", "#..", "#..", "#..", "#..", "#..");  // t = 1, y = 2, x = 0
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_axis),        cmocka_unit_test(test_one_axis_dilated),
        cmocka_unit_test(test_one_axis_causal), cmocka_unit_test(test_one_axis_given),
        cmocka_unit_test(test_two_axes),        cmocka_unit_test(test_two_axes_dilated),
        cmocka_unit_test(test_two_axes_causal), cmocka_unit_test(test_grid_and_keys),
        cmocka_unit_test(test_three_axes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
