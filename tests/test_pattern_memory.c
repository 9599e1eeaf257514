// SPDX-License-Identifier: MIT
//
// Every allocation of patterns fails in turn: the error is the one for memory, nothing leaks, nothing is written.
// Linked with -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=free and the library's objects (static).
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "pattern.h"

#include <stdlib.h>
#include <string.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void __wrap_free(void *memory);

static long asked, held, fails_at;   // fails_at 0: none

static bool fails(void) {
    return ++asked == fails_at;
}

void *__wrap_malloc(size_t size) {
    void *memory = fails() ? NULL : __real_malloc(size);
    held += memory != NULL;
    return memory;
}

void *__wrap_calloc(size_t count, size_t size) {
    void *memory = fails() ? NULL : __real_calloc(count, size);
    held += memory != NULL;
    return memory;
}

void *__wrap_realloc(void *memory, size_t size) {
    void *moved = fails() ? NULL : __real_realloc(memory, size);
    held += moved && !memory;
    return moved;
}

void __wrap_free(void *memory) {
    held -= memory != NULL;
    __real_free(memory);
}

static int arrays_held;

static bool load(void *user, const char *name, tulle_array *array, char *message, size_t size) {
    (void)user, (void)message, (void)size;
    static const int64_t values[] = {0, 1, 1, 1, 1, 1};
    *array = (tulle_array){.values = values, .dimensions = 1, .shape = {6}, .is_integer = true, .is_index = true};
    if (name[0] == 'm') *array = (tulle_array){.values = values, .dimensions = 3, .shape = {1, 2, 3}, .is_integer = true};
    ++arrays_held;
    return true;
}

static void release(void *user, tulle_array *array) {
    (void)user, (void)array;
    --arrays_held;
}

static tulle_result create(tulle_error *error) {
    static const int64_t offsets[] = {0, 1, 2}, columns[] = {1, 0}, list[] = {3, 1, 1}, ends[] = {0, 2};
    static const uint8_t mask[] = {1, 0, 0, 1};
    const tulle_term terms[] = {
        {.kind = TULLE_WINDOW, .left = 3},
        {.kind = TULLE_GLOBAL_LIST, .positions = list, .position_count = 3},
        {.kind = TULLE_GLOBAL_LIST},
        {.kind = TULLE_DOCUMENTS, .positions = ends, .position_count = 2},
        {.kind = TULLE_BLOCKS, .block = 1, .mask = mask, .block_rows = 2, .block_cols = 2},
        {.kind = TULLE_BLOCKS, .block = 1, .row_offsets = offsets, .columns = columns, .block_rows = 2, .block_cols = 2},
    };
    tulle_pattern *pattern = (tulle_pattern *)error;
    tulle_result result = tulle_pattern_create(terms, sizeof terms / sizeof *terms, &pattern, error);
    if (result) assert_null(pattern);
    tulle_pattern_destroy(pattern);
    return result;
}

static tulle_result parse(tulle_error *error) {
    const tulle_array_loader loader = {load, release, NULL};
    tulle_pattern **patterns = (tulle_pattern **)error;
    uint32_t count = 9;
    tulle_result result =
        tulle_pattern_parse("window:1,0+sink:1+sink:2+sink:3+global:list;blocks:1,mask+documents:\"a\"\"b\";dense", &loader,
                            &patterns, &count, error);
    if (result) assert_null(patterns);
    if (result) assert_int_equal(count, 0);
    tulle_patterns_free(patterns, count);
    return result;
}

static void each_in_turn(tulle_result (*work)(tulle_error *error), long least) {
    for (fails_at = 1;; ++fails_at) {
        tulle_error error = {0};
        long before = held;
        asked = 0;
        tulle_result result = work(&error);
        assert_int_equal(held, before);
        assert_int_equal(arrays_held, 0);
        if (!result) break;
        assert_int_equal(result, TULLE_ERROR_OUT_OF_HOST_MEMORY);
        assert_int_equal(error.result, TULLE_ERROR_OUT_OF_HOST_MEMORY);
        assert_non_null(strstr(error.message, "no memory for "));
    }
    assert_int_equal(asked, fails_at - 1);   // it went on to its end without reaching the one that would fail
    assert_true(fails_at > least);           // and the wrapping is in place
    fails_at = 0;
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_create), cmocka_unit_test(test_parse)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
