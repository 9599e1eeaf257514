// SPDX-License-Identifier: MIT
//
// What is refused of a pattern's terms, and with which words.

#include "pattern_use.h"

#include <string.h>

#include "message.h"

// The term as the second of a union; the message must be exactly this.
static void refuse(const tulle_term *term, const char *message) {
    tulle_term terms[2] = { { .kind = TULLE_DENSE }, *term };
    tulle_pattern *pattern = (tulle_pattern *)terms;
    tulle_error error = { 0 };
    tulle_result result = tulle_pattern_create(terms, 2, &pattern, &error);
    if (result != TULLE_ERROR_INVALID_ARGUMENT)
        fail_msg("accepted, where \"%s\" was expected", message);
    assert_int_equal(error.result, TULLE_ERROR_INVALID_ARGUMENT);
    assert_string_equal(error.message, message);
    assert_null(pattern);
    assert_int_equal(tulle_pattern_create(terms, 2, &pattern, NULL), TULLE_ERROR_INVALID_ARGUMENT);
}

#define FROM_0 "it must be at least 0 and below 2147483648"
#define FROM_1 "it must be at least 1 and below 2147483648"
#define OR_INF FROM_0 ", or inf (TULLE_INFINITE)"

static void test_invalid(void **state) {
    (void)state;
    const struct {
        tulle_term term;
        const char *message;
    } cases[] = {
        { { .kind = (tulle_term_kind)16 },
          "term 2 (unknown): kind is 16; it must be one of tulle_term_kind, 0 to 15" },
        { { .kind = (tulle_term_kind)255 },
          "term 2 (unknown): kind is 255; it must be one of tulle_term_kind, 0 to 15" },
        { { .kind = TULLE_WINDOW, .left = -2 }, "term 2 (window): left is -2; " OR_INF },
        { { .kind = TULLE_WINDOW, .left = OVER }, "term 2 (window): left is 2147483648; " OR_INF },
        { { .kind = TULLE_WINDOW, .right = INT64_MIN },
          "term 2 (window): right is -9223372036854775808; " OR_INF },
        { { .kind = TULLE_WINDOW, .right = INT64_MAX },
          "term 2 (window): right is 9223372036854775807; " OR_INF },
        { { .kind = TULLE_DILATED, .left = -2, .step = 1 },
          "term 2 (dilated): left is -2; " OR_INF },
        { { .kind = TULLE_DILATED, .right = OVER, .step = 1 },
          "term 2 (dilated): right is 2147483648; " OR_INF },
        { { .kind = TULLE_DILATED }, "term 2 (dilated): step is 0; " FROM_1 },
        { { .kind = TULLE_DILATED, .step = -1 }, "term 2 (dilated): step is -1; " FROM_1 },
        { { .kind = TULLE_DILATED, .step = OVER },
          "term 2 (dilated): step is 2147483648; " FROM_1 },
        { { .kind = TULLE_GLOBAL, .count = -1 }, "term 2 (global): count is -1; " FROM_0 },
        { { .kind = TULLE_GLOBAL, .count = OVER },
          "term 2 (global): count is 2147483648; " FROM_0 },
        { { .kind = TULLE_GLOBAL_LIST, .position_count = 3 },
          "term 2 (global): positions is NULL, but position_count is 3" },
        { { .kind = TULLE_GLOBAL_LIST, LIST(4, -1) },
          "term 2 (global): positions[1] is -1; " FROM_0 },
        { { .kind = TULLE_GLOBAL_LIST, LIST(OVER) },
          "term 2 (global): positions[0] is 2147483648; " FROM_0 },
        { { .kind = TULLE_SINK, .count = -1 }, "term 2 (sink): count is -1; " FROM_0 },
        { { .kind = TULLE_SINK, .count = OVER }, "term 2 (sink): count is 2147483648; " FROM_0 },
        { { .kind = TULLE_STRIDED }, "term 2 (strided): step is 0; " FROM_1 },
        { { .kind = TULLE_STRIDED, .step = -7 }, "term 2 (strided): step is -7; " FROM_1 },
        { { .kind = TULLE_STRIDED, .step = OVER },
          "term 2 (strided): step is 2147483648; " FROM_1 },
        { { .kind = TULLE_FIXED, .count = 1 }, "term 2 (fixed): step is 0; " FROM_1 },
        { { .kind = TULLE_FIXED, .step = OVER, .count = 1 },
          "term 2 (fixed): step is 2147483648; " FROM_1 },
        { { .kind = TULLE_FIXED, .step = 4 },
          "term 2 (fixed): count is 0; it must be at least 1 and at most step, 4" },
        { { .kind = TULLE_FIXED, .step = 4, .count = 5 },
          "term 2 (fixed): count is 5; it must be at least 1 and at most step, 4" },
        { { .kind = TULLE_RANDOM, .count = 1 }, "term 2 (random): block is 0; " FROM_1 },
        { { .kind = TULLE_RANDOM, .block = OVER, .count = 1 },
          "term 2 (random): block is 2147483648; " FROM_1 },
        { { .kind = TULLE_RANDOM, .block = 1 }, "term 2 (random): count is 0; " FROM_1 },
        { { .kind = TULLE_RANDOM, .block = 1, .count = OVER },
          "term 2 (random): count is 2147483648; " FROM_1 },
        { { .kind = TULLE_DOCUMENTS },
          "term 2 (documents): position_count is 0; it must be at least 2: cumulative lengths are 0 and then each document's end" },
        { { .kind = TULLE_DOCUMENTS, LIST(0) },
          "term 2 (documents): position_count is 1; it must be at least 2: cumulative lengths are 0 and then each document's end" },
        { { .kind = TULLE_DOCUMENTS, .position_count = 2 },
          "term 2 (documents): positions is NULL, but position_count is 2" },
        { { .kind = TULLE_DOCUMENTS, LIST(1, 2) },
          "term 2 (documents): positions[0] is 1; it must be 0: the first cumulative length always is" },
        { { .kind = TULLE_DOCUMENTS, LIST(0, -2) },
          "term 2 (documents): positions[1] is -2; " FROM_0 },
        { { .kind = TULLE_DOCUMENTS, LIST(0, OVER) },
          "term 2 (documents): positions[1] is 2147483648; " FROM_0 },
        { { .kind = TULLE_DOCUMENTS, LIST(0, 5, 3) },
          "term 2 (documents): positions[2] is 3, after 5; cumulative lengths must not fall" },
    };
    for (size_t i = 0; i < COUNT(cases); ++i) refuse(&cases[i].term, cases[i].message);
}

static void test_invalid_blocks(void **state) {
    (void)state;
    static const uint8_t twos[] = { 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 2, 1 };
#define BLOCKS(...) { .kind = TULLE_BLOCKS, .block = 1, __VA_ARGS__ }
#define CSR(offsets, indices, ...) \
    .row_offsets = (const int64_t[])offsets, .columns = (const int64_t[])indices, __VA_ARGS__
#define A(...) { __VA_ARGS__ }
#define SHAPE .block_rows = 2, .block_cols = 3
    const struct {
        tulle_term term;
        const char *message;
    } cases[] = {
        { { .kind = TULLE_BLOCKS, .mask = mask, SHAPE }, "term 2 (blocks): block is 0; " FROM_1 },
        { { .kind = TULLE_BLOCKS, .block = OVER, .mask = mask, SHAPE },
          "term 2 (blocks): block is 2147483648; " FROM_1 },
        { BLOCKS(.mask = mask, .layouts = -1, SHAPE), "term 2 (blocks): layouts is -1; " FROM_0 },
        { BLOCKS(.mask = mask, .layouts = OVER, SHAPE),
          "term 2 (blocks): layouts is 2147483648; " FROM_0 },
        { BLOCKS(.mask = mask, .block_cols = 3), "term 2 (blocks): block_rows is 0; " FROM_1 },
        { BLOCKS(.mask = mask, .block_rows = 2), "term 2 (blocks): block_cols is 0; " FROM_1 },
        { BLOCKS(.mask = mask, .block_rows = OVER, .block_cols = 3),
          "term 2 (blocks): block_rows is 2147483648; " FROM_1 },
        { BLOCKS(.mask = mask, .block_rows = 2, .block_cols = OVER),
          "term 2 (blocks): block_cols is 2147483648; " FROM_1 },
        { BLOCKS(.mask = mask, .layouts = TOP, .block_rows = TOP, .block_cols = TOP),
          "term 2 (blocks): no memory holds a mask of 2147483647 x 2147483647 x 2147483647 cells" },
        { BLOCKS(SHAPE), "term 2 (blocks): mask and row_offsets are both NULL; one is needed" },
        { BLOCKS(.mask = mask, .row_offsets = csr_offsets, SHAPE),
          "term 2 (blocks): a mask and CSR arrays are given; it must be one of them" },
        { BLOCKS(.mask = mask, .columns = csr_columns, SHAPE),
          "term 2 (blocks): a mask and CSR arrays are given; it must be one of them" },
        { BLOCKS(.mask = twos, .layouts = 2, SHAPE),
          "term 2 (blocks): mask[1][1][1] is 2; it must be 0 or 1" },
        { BLOCKS(CSR(A(1, 1, 1), A(0), SHAPE)),
          "term 2 (blocks): row_offsets[0] is 1; it must be 0" },
        { BLOCKS(CSR(A(0, 2, 1), A(0, 1), SHAPE)),
          "term 2 (blocks): row_offsets[2] is 1, after 2; row offsets must not fall" },
        { BLOCKS(CSR(A(0, 4, 4), A(0), SHAPE)),
          "term 2 (blocks): row_offsets[1] is 4, after 0; a row holds at most block_cols, 3, columns" },
        { BLOCKS(.row_offsets = csr_offsets, SHAPE),
          "term 2 (blocks): columns is NULL, but row_offsets[1] is 1" },
        { BLOCKS(CSR(A(0, 1, 2), A(0, 3), SHAPE)),
          "term 2 (blocks): columns[1] is 3; it must be at least 0 and below block_cols, 3" },
        { BLOCKS(CSR(A(0, 1, 2), A(-1, 0), SHAPE)),
          "term 2 (blocks): columns[0] is -1; it must be at least 0 and below block_cols, 3" },
        { BLOCKS(CSR(A(0, 1, 3), A(0, 2, 1), SHAPE)),
          "term 2 (blocks): columns[2] is 1, after 2; columns must rise within a row" },
        { BLOCKS(CSR(A(0, 2, 2), A(1, 1), SHAPE)),
          "term 2 (blocks): columns[1] is 1, after 1; columns must rise within a row" },
    };
    for (size_t i = 0; i < COUNT(cases); ++i) refuse(&cases[i].term, cases[i].message);
}

// -------------------------------------------------------------------------------------------------
// Of other terms what a message must have: the term, what it got, what is allowed

static void refuse_with(const tulle_term *term, const char *const *parts) {
    tulle_term terms[2] = { { .kind = TULLE_DENSE }, *term };
    tulle_pattern *pattern = (tulle_pattern *)terms;
    tulle_error error = { 0 };
    tulle_result result = tulle_pattern_create(terms, 2, &pattern, &error);
    if (result != TULLE_ERROR_INVALID_ARGUMENT)
        fail_msg("%s, where a message with \"%s\", \"%s\" was expected", tulle_result_name(result),
                 parts[0], parts[1]);
    assert_int_equal(error.result, TULLE_ERROR_INVALID_ARGUMENT);
    const char *lacking = message_lacks(error.message, parts);
    if (lacking || !strstr(error.message, "term 2"))
        fail_msg("\"%s\" lacks \"%s\"", error.message, lacking ? lacking : "term 2");
    assert_null(pattern);
    assert_int_equal(tulle_pattern_create(terms, 2, &pattern, NULL), TULLE_ERROR_INVALID_ARGUMENT);
}

#define PARTS 6  // NULL behind the last included
struct refusal {
    tulle_term term;
    const char *parts[PARTS];
};

static void refuse_each(const struct refusal *cases, size_t count) {
    for (size_t i = 0; i < count; ++i) refuse_with(&cases[i].term, cases[i].parts);
}

static void test_invalid_prefix_chunked_a_shape(void **state) {
    (void)state;
    static const struct refusal cases[] = {
        { { .kind = TULLE_PREFIX, .count = -1 }, { "prefix", "count", "-1", "2147483648" } },
        { { .kind = TULLE_PREFIX, .count = OVER }, { "prefix", "count", "is 2147483648" } },
        { { .kind = TULLE_CHUNKED }, { "chunked", "step", "0", "at least 1" } },
        { { .kind = TULLE_CHUNKED, .step = -5 }, { "chunked", "step", "-5", "at least 1" } },
        { { .kind = TULLE_CHUNKED, .step = OVER }, { "chunked", "step", "is 2147483648" } },
        { { .kind = TULLE_A_SHAPE, .count = -1, .block = 1 }, { "a_shape", "count", "-1" } },
        { { .kind = TULLE_A_SHAPE, .count = OVER, .block = 1 },
          { "a_shape", "count", "is 2147483648" } },
        { { .kind = TULLE_A_SHAPE, .count = 4 }, { "a_shape", "block", "0", "at least 1" } },
        { { .kind = TULLE_A_SHAPE, .count = 4, .block = OVER },
          { "a_shape", "block", "is 2147483648" } },
    };
    refuse_each(cases, COUNT(cases));
}

static void test_invalid_vertical_slash(void **state) {
    (void)state;
#define SLASH(...) { .kind = TULLE_VERTICAL_SLASH, __VA_ARGS__ }
    const struct refusal cases[] = {
        { SLASH(.position_count = 3, DIAGONALS(0)),
          { "vertical_slash", "positions", "NULL", "3" } },
        { SLASH(LIST(0), .diagonal_count = 4), { "vertical_slash", "diagonals", "NULL", "4" } },
        { SLASH(LIST(4, -2), DIAGONALS(0)), { "vertical_slash", "positions[1]", "-2", "-1" } },
        { SLASH(LIST(OVER), DIAGONALS(0)), { "vertical_slash", "positions[0]", "is 2147483648" } },
        { SLASH(LIST(4), DIAGONALS(0, 1, -2)), { "vertical_slash", "diagonals[2]", "-2", "-1" } },
        { SLASH(LIST(4), DIAGONALS(OVER)), { "vertical_slash", "diagonals[0]", "is 2147483648" } },
        { SLASH(LIST(4, 5), DIAGONALS(0, 1), .layouts = -1),
          { "vertical_slash", "layouts", "-1" } },
        { SLASH(LIST(4, 5), DIAGONALS(0, 1), .layouts = OVER),
          { "vertical_slash", "layouts", "2147483648" } },
        // lists of unequal length
        { SLASH(LIST(4, 5, 6), DIAGONALS(0, 1), .layouts = 2),
          { "vertical_slash", "layouts", "3", "2" } },
        { SLASH(LIST(4, 5), DIAGONALS(0, 1, 2), .layouts = 2),
          { "vertical_slash", "layouts", "3", "2" } },
    };
    refuse_each(cases, COUNT(cases));
}

static void test_invalid_neighborhood(void **state) {
    (void)state;
#define NEAR(...) { .kind = TULLE_NEIGHBORHOOD, __VA_ARGS__ }
    static const struct refusal cases[] = {
        { NEAR(.kernel = { 3 }), { "neighborhood", "axes", "0", "3" } },
        { NEAR(.axes = 4, .grid = { 8, 8, 8 }, .kernel = { 3, 3, 3 }),
          { "neighborhood", "axes", "4", "3" } },
        { NEAR(.axes = UINT32_MAX, .grid = { 8, 8, 8 }, .kernel = { 3, 3, 3 }),
          { "neighborhood", "axes", "4294967295", "3" } },
        { NEAR(.axes = 1), { "neighborhood", "kernel", "0", "at least 1" } },
        { NEAR(.axes = 1, .kernel = { -3 }), { "neighborhood", "kernel", "-3", "at least 1" } },
        { NEAR(.axes = 1, .kernel = { OVER }), { "neighborhood", "kernel", "2147483648" } },
        { NEAR(.axes = 1, .kernel = { 3 }, .dilation = { -1 }),
          { "neighborhood", "dilation", "-1" } },
        { NEAR(.axes = 1, .kernel = { 3 }, .dilation = { OVER }),
          { "neighborhood", "dilation", "2147483648" } },
        { NEAR(.axes = 1, .grid = { -8 }, .kernel = { 3 }), { "neighborhood", "grid", "-8" } },
        { NEAR(.axes = 2, .grid = { 8, 8 }, .kernel = { 3, 0 }),
          { "neighborhood", "kernel", "0", "at least 1" } },
        { NEAR(.axes = 2, .grid = { 0, 8 }, .kernel = { 1, 1 }),
          { "neighborhood", "grid", "0", "at least 1" } },
        { NEAR(.axes = 2, .grid = { 8, 0 }, .kernel = { 1, 1 }),
          { "neighborhood", "grid", "0", "at least 1" } },
        { NEAR(.axes = 2, .grid = { 8, -7 }, .kernel = { 1, 1 }),
          { "neighborhood", "grid", "-7", "at least 1" } },
        { NEAR(.axes = 3, .grid = { 8, 8, 0 }, .kernel = { 1, 1, 1 }),
          { "neighborhood", "grid", "0", "at least 1" } },
        // larger than the grid
        { NEAR(.axes = 1, .grid = { 8 }, .kernel = { 9 }), { "neighborhood", "9", "8" } },
        { NEAR(.axes = 2, .grid = { 16, 8 }, .kernel = { 3, 9 }), { "neighborhood", "9", "8" } },
        { NEAR(.axes = 2, .grid = { 16, 8 }, .kernel = { 6, 3 }, .dilation = { 3 }),
          { "neighborhood", "6", "3", "16" } },
        { NEAR(.axes = 3, .grid = { 4, 5, 6 }, .kernel = { 4, 5, 3 }, .dilation = { 1, 1, 3 }),
          { "neighborhood", "3", "6" } },
        { NEAR(.axes = 2, .grid = { 8, 8 }, .kernel = { 1, TOP }, .dilation = { 1, TOP }),
          { "neighborhood", "2147483647", "8" } },
        // more positions than a number of 31 bits counts
        { NEAR(.axes = 2, .grid = { 65536, 32768 }, .kernel = { 1, 1 }),
          { "neighborhood", "2147483648" } },
        { NEAR(.axes = 2, .grid = { TOP, 2 }, .kernel = { 1, 1 }),
          { "neighborhood", "2147483648" } },
        { NEAR(.axes = 3, .grid = { TOP, TOP, TOP }, .kernel = { 1, 1, 1 }),
          { "neighborhood", "2147483648" } },
        { NEAR(.axes = 2, .grid = { 1, OVER }, .kernel = { 1, 1 }),
          { "neighborhood", "2147483648" } },
    };
    refuse_each(cases, COUNT(cases));
}

static void test_invalid_factors(void **state) {
    (void)state;
    const struct refusal cases[] = {
        { { .kind = TULLE_SINK, .factor_count = 2 }, { "factors", "NULL", "2" } },
        { { .kind = TULLE_SINK, .factor_count = UINT32_MAX }, { "factors", "NULL", "4294967295" } },
        // the term itself, where its factors are well
        { { .kind = TULLE_SINK, .count = -3, FACTORS({ .kind = TULLE_DENSE }) },
          { "sink", "count", "-3" } },
        { { .kind = TULLE_SINK, FACTORS({ .kind = TULLE_DENSE }, { .kind = TULLE_STRIDED }) },
          { "strided", "step", "0", "at least 1" } },
        { { .kind = TULLE_SINK, FACTORS({ .kind = TULLE_WINDOW, .left = -2 }) },
          { "window", "left", "-2" } },
        { { .kind = TULLE_SINK, FACTORS({ .kind = (tulle_term_kind)99 }) }, { "kind", "99" } },
        { { .kind = TULLE_SINK, FACTORS({ .kind = TULLE_GLOBAL_LIST, LIST(3, -1) }) },
          { "global", "positions[1]", "-1" } },
        { { .kind = TULLE_SINK, FACTORS({ .kind = TULLE_DOCUMENTS, LIST(0, 4, 3) }) },
          { "documents", "positions[2]", "3", "4" } },
        { { .kind = TULLE_SINK, FACTORS(NEAR(.axes = 2, .grid = { 8, 8 }, .kernel = { 3, 9 })) },
          { "neighborhood", "9", "8" } },
        // a factor's own factors
        { { .kind = TULLE_SINK, FACTORS({ .kind = TULLE_DENSE, .factor_count = 3 }) },
          { "factors", "NULL", "3" } },
        { { .kind = TULLE_SINK,
            FACTORS({ .kind = TULLE_DENSE, FACTORS({ .kind = TULLE_CHUNKED, .step = -4 }) }) },
          { "chunked", "step", "-4" } },
    };
    refuse_each(cases, COUNT(cases));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_invalid),
        cmocka_unit_test(test_invalid_blocks),
        cmocka_unit_test(test_invalid_prefix_chunked_a_shape),
        cmocka_unit_test(test_invalid_vertical_slash),
        cmocka_unit_test(test_invalid_neighborhood),
        cmocka_unit_test(test_invalid_factors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
