// SPDX-License-Identifier: MIT
//
// Every allocation of patterns fails in turn: the error is the one for memory, nothing leaks,
// nothing is written. Needs --wrap for malloc, calloc, realloc and free (failing.c).
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "failing.h"
#include "pattern/pattern.h"

static int arrays_held;

static bool load(void *user, const char *name, tulle_array *array, char *message, size_t size) {
    (void)user, (void)message, (void)size;
    static const int64_t values[] = { 0, 1, 1, 1, 1, 1 };
    *array = (tulle_array){
        .values = values, .dimensions = 1, .shape = { 6 }, .is_integer = true, .is_index = true
    };
    if (name[0] == 'm')
        *array = (tulle_array){
            .values = values, .dimensions = 3, .shape = { 1, 2, 3 }, .is_integer = true
        };
    ++arrays_held;
    return true;
}

static void release(void *user, tulle_array *array) {
    (void)user, (void)array;
    --arrays_held;
}

static tulle_result create(tulle_error *error) {
    static const int64_t offsets[] = { 0, 1, 2 }, columns[] = { 1, 0 }, list[] = { 3, 1, 1 },
                         ends[] = { 0, 2 };
    static const uint8_t mask[] = { 1, 0, 0, 1 };
    static const tulle_term inner[] = {
        { .kind = TULLE_BLOCKS, .block = 1, .mask = mask, .block_rows = 2, .block_cols = 2 }
    };
    static const tulle_term factors[] = {
        { .kind = TULLE_GLOBAL_LIST, .positions = list, .position_count = 3 },
        { .kind = TULLE_DOCUMENTS,
          .positions = ends,
          .position_count = 2,
          .factors = inner,
          .factor_count = 1 },
        { .kind = TULLE_VERTICAL_SLASH, .positions = list, .position_count = 3 },
    };
    const tulle_term terms[] = {
        { .kind = TULLE_WINDOW, .left = 3 },
        { .kind = TULLE_GLOBAL_LIST, .positions = list, .position_count = 3 },
        { .kind = TULLE_GLOBAL_LIST },
        { .kind = TULLE_DOCUMENTS, .positions = ends, .position_count = 2 },
        { .kind = TULLE_BLOCKS, .block = 1, .mask = mask, .block_rows = 2, .block_cols = 2 },
        { .kind = TULLE_BLOCKS,
          .block = 1,
          .row_offsets = offsets,
          .columns = columns,
          .block_rows = 2,
          .block_cols = 2 },
        { .kind = TULLE_VERTICAL_SLASH,
          .positions = list,
          .position_count = 3,
          .diagonals = ends,
          .diagonal_count = 2 },
        { .kind = TULLE_NEIGHBORHOOD,
          .axes = 2,
          .grid = { 8, 8 },
          .kernel = { 3, 3 },
          .factors = factors,
          .factor_count = 3 },
    };
    tulle_pattern *pattern = (tulle_pattern *)error;
    tulle_result result =
        tulle_pattern_create(terms, sizeof terms / sizeof *terms, &pattern, error);
    if (result) assert_null(pattern);
    tulle_pattern_destroy(pattern);
    return result;
}

static tulle_result parse(tulle_error *error) {
    const tulle_array_loader loader = { load, release, NULL };
    tulle_pattern **patterns = (tulle_pattern **)error;
    uint32_t count = 9;
    tulle_result result = tulle_pattern_parse(
        // more terms than a pattern has room for at first
        "window:1,0+sink:1+sink:2+sink:3+sink:4+sink:5+sink:6+sink:7+sink:8+sink:9+sink:10+sink:11+sink:12+"
        "sink:13+sink:14+sink:15+global:list;blocks:1,mask+documents:\"a\"\"b\";dense;"
        "vertical_slash:list,other&sink:1&sink:2&sink:3&sink:4&sink:5&sink:6&sink:7&sink:8&sink:9&global:list&"
        "blocks:1,mask+neighborhood:8x8,3x3&documents:ends",
        &loader, &patterns, &count, error);
    if (result) assert_null(patterns);
    if (result) assert_int_equal(count, 0);
    tulle_patterns_free(patterns, count);
    return result;
}

static void each_in_turn(tulle_result (*work)(tulle_error *error), long least) {
    failing_reset();
    long n = 1;
    for (;; ++n) {
        tulle_error error = { 0 };
        failing_arm(FAILING_ALLOCATIONS, n);
        failing_enter();
        tulle_result result = work(&error);
        failing_leave();
        assert_int_equal(failing_pieces(), 0);
        assert_int_equal(arrays_held, 0);
        if (!result) break;
        assert_true(failing_struck());
        assert_int_equal(result, TULLE_ERROR_OUT_OF_HOST_MEMORY);
        assert_int_equal(error.result, TULLE_ERROR_OUT_OF_HOST_MEMORY);
        assert_non_null(strstr(error.message, "no memory for "));
    }
    // it went on to its end without reaching the one that would fail
    assert_false(failing_struck());
    assert_true(n > least);  // and the wrapping is in place
}

static void test_create(void **state) {
    (void)state;
    each_in_turn(create, 10);
}

static void test_parse(void **state) {
    (void)state;
    each_in_turn(parse, 18);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_create),
                                        cmocka_unit_test(test_parse) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
