// SPDX-License-Identifier: MIT
//
// Specs: what reads and what it means, what prints reads back, and how loaders are dealt with. What is
// refused: test_pattern_spec_refused.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"
#include "spec_shelf.h"

static void test_reads_and_prints(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        { "dense", "dense" },
        { "window:511,0", "window:511,0" },
        { " \t window :\n511 ,\r 0 ", "window:511,0" },
        { "window:inf,inf", "window:inf,inf" },
        { "window:inf,0007", "window:inf,7" },
        { "window:-0,2147483647", "window:0,2147483647" },
        { "dilated:4,inf,2147483647", "dilated:4,inf,2147483647" },
        { "global:0", "global:0" },
        { "global:128", "global:128" },
        { "global:list.npy", "global:list.npy" },
        { "global:empty.npy", "global:empty.npy" },
        { "global:\"list.npy\"", "global:list.npy" },
        { "global:\"12\"", "global:\"12\"" },
        { "global:\"inf\"", "global:\"inf\"" },
        { "global: \"a+b;c,d.npy\" ", "global:\"a+b;c,d.npy\"" },
        { "global:\"say \"\"hi\"\".npy\"", "global:\"say \"\"hi\"\".npy\"" },
        { "global:\"\"\"\"", "global:\"\"\"\"" },
        { "global:\" spaces both ends \"", "global:\" spaces both ends \"" },
        { "global: two words.npy ", "global:\"two words.npy\"" },
        { "global:C:\\data\\m.npy", "global:\"C:\\data\\m.npy\"" },
        { "global:\"<odd\"", "global:\"<odd\"" },
        { "global:h\xc3\xa9.npy", "global:\"h\xc3\xa9.npy\"" },
        { "global:../dir/x-1_2.npy", "global:../dir/x-1_2.npy" },
        { "sink:4", "sink:4" },
        { "strided:64", "strided:64" },
        { "fixed:64,8", "fixed:64,8" },
        { "blocks:16,mask2.npy", "blocks:16,mask2.npy" },
        { "blocks:16,mask3.npy", "blocks:16,mask3.npy" },
        { "blocks:16,maskint.npy", "blocks:16,maskint.npy" },
        { "random:64,3,18446744073709551615", "random:64,3,18446744073709551615" },
        { "documents:lengths.npy", "documents:lengths.npy" },
        { "random:64,3,0 + window:191,0+ global:2", "random:64,3,0+window:191,0+global:2" },
        { "global:list.npy+global:6+blocks:2,mask2.npy+blocks:2,maskint.npy",
          "global:list.npy+global:6+blocks:2,mask2.npy+blocks:2,maskint.npy" },
        { "prefix:0", "prefix:0" },
        { " prefix : 2147483647 ", "prefix:2147483647" },
        { "chunked:8192", "chunked:8192" },
        { "a_shape:4,64", "a_shape:4,64" },
        { "a_shape : 0 ,\t1", "a_shape:0,1" },
        { "vertical_slash:v.npy,d.npy", "vertical_slash:v.npy,d.npy" },
        { "vertical_slash: v2.npy , \"d2.npy\" ", "vertical_slash:v2.npy,d2.npy" },
        { "vertical_slash:one.npy,d.npy", "vertical_slash:one.npy,d.npy" },
        { "vertical_slash:\"12\",\"a+b;c,d.npy\"", "vertical_slash:\"12\",\"a+b;c,d.npy\"" },
        { "vertical_slash:empty.npy,d.npy", "vertical_slash:empty.npy,d.npy" },
        { "neighborhood:7", "neighborhood:7" },
        { "neighborhood:7,2", "neighborhood:7,2" },
        { " neighborhood : 07 , 2 ", "neighborhood:7,2" },
        { "neighborhood:7,2,c1", "neighborhood:7,2,c1" },
        { "neighborhood:7,c1", "neighborhood:7,c1" },
        { "neighborhood:8x8,3x3", "neighborhood:8x8,3x3" },
        { "neighborhood:16x8,3x4,5x2", "neighborhood:16x8,3x4,5x2" },
        { "neighborhood:8x8,3x3,2x2,c10", "neighborhood:8x8,3x3,2x2,c10" },
        { "neighborhood:8x8,3x3,c01", "neighborhood:8x8,3x3,c01" },
        { "neighborhood:1x2147483647,1x7", "neighborhood:1x2147483647,1x7" },
        { "neighborhood:4x8x16,3x3x5", "neighborhood:4x8x16,3x3x5" },
        { "neighborhood:4x8x16,1x3x5,1x2x3,c100", "neighborhood:4x8x16,1x3x5,1x2x3,c100" },
        // intersections
        { "window:3,0&strided:2", "window:3,0&strided:2" },
        { "strided:2\n& \twindow:3,0 ", "strided:2&window:3,0" },
        { "sink:1 + window:3,0 & strided:2 & fixed:4,1+dense & global:3",
          "sink:1+window:3,0&strided:2&fixed:4,1+dense&global:3" },
        { "global:list.npy&sink:3", "global:list.npy&sink:3" },
        { "global: two words.npy & dense", "global:\"two words.npy\"&dense" },
        { "dense & global: two words.npy", "dense&global:\"two words.npy\"" },
        { "blocks:16,mask2.npy&documents:lengths.npy&global:\"12\"",
          "blocks:16,mask2.npy&documents:lengths.npy&global:\"12\"" },
        { "global:\"a&b.npy\"", "global:\"a&b.npy\"" },
        { "vertical_slash:v.npy,d.npy&neighborhood:8x8,3x3,c10&prefix:5",
          "vertical_slash:v.npy,d.npy&neighborhood:8x8,3x3,c10&prefix:5" },
    };
    for (size_t i = 0; i < COUNT(cases); ++i) {
        tulle_pattern *pattern = parse_one(cases[i][0]);
        char text[200], again[200];
        assert_int_equal(tulle_pattern_print(pattern, text, sizeof text), strlen(cases[i][1]));
        assert_string_equal(text, cases[i][1]);
        tulle_pattern *second = parse_one(text);
        tulle_pattern_print(second, again, sizeof again);
        assert_string_equal(again, text);
        assert_int_equal(second->term_count, pattern->term_count);
        assert_int_equal(second->canonical_count, pattern->canonical_count);
        tulle_pattern_destroy(pattern);
        tulle_pattern_destroy(second);
    }
}

static void test_values(void **state) {
    (void)state;
    tulle_pattern *pattern = parse_one(
        "dilated:7,inf,3+fixed:9,2+random:5,6,12345678901234567890+global:12+sink:3+global:\"12\"");
    const struct term *t = pattern->terms;
    assert_int_equal(pattern->term_count, 6);
    assert_true(t[0].kind == TULLE_DILATED && t[0].left == 7 && t[0].right == TULLE_INFINITE &&
                t[0].step == 3);
    assert_true(t[1].kind == TULLE_FIXED && t[1].step == 9 && t[1].count == 2);
    assert_true(t[2].kind == TULLE_RANDOM && t[2].block == 5 && t[2].count == 6 &&
                t[2].seed == UINT64_C(12345678901234567890));
    assert_true(t[3].kind == TULLE_GLOBAL && t[3].count == 12);
    assert_true(t[4].kind == TULLE_SINK && t[4].count == 3);
    assert_true(t[5].kind == TULLE_GLOBAL_LIST && t[5].position_count == 2 &&
                t[5].positions[0] == 3);
    assert_string_equal(t[5].names[0], "12");
    tulle_pattern_destroy(pattern);

    pattern = parse_one("blocks:16,mask3.npy");
    t = pattern->terms;
    assert_true(t->block == 16 && t->layouts == 2 && t->block_rows == 2 && t->block_cols == 3);
    assert_memory_equal(t->row_offsets, ((int64_t[]){ 0, 1, 3, 3, 4 }), 5 * sizeof(int64_t));
    assert_memory_equal(t->columns, ((int32_t[]){ 0, 0, 1, 2 }), 4 * sizeof(int32_t));
    tulle_pattern_destroy(pattern);
    pattern = parse_one("blocks:16,mask2.npy");
    assert_true(pattern->terms->layouts == 1 && pattern->terms->block_rows == 4 &&
                pattern->terms->block_cols == 3);
    tulle_pattern_destroy(pattern);
    pattern = parse_one("documents:lengths.npy");
    assert_memory_equal(pattern->terms->positions, lengths, sizeof lengths);
    tulle_pattern_destroy(pattern);
}

// What a spec says is what these fields of a term say.
static void test_means(void **state) {
    (void)state;
    static const int64_t listed[] = { 40, 1, -1, 9 }, slashes[] = { 0, 3, 17, -1, 5, 2 };
    static const tulle_term strided = { .kind = TULLE_STRIDED, .step = 2 };
    static const struct {
        const char *spec;
        tulle_term term;
    } cases[] = {
        { "prefix:5", { .kind = TULLE_PREFIX, .count = 5 } },
        { "chunked:7", { .kind = TULLE_CHUNKED, .step = 7 } },
        { "a_shape:4,9", { .kind = TULLE_A_SHAPE, .count = 4, .block = 9 } },
        { "vertical_slash:v.npy,d.npy",
          { .kind = TULLE_VERTICAL_SLASH,
            .positions = listed,
            .position_count = 4,
            .diagonals = slashes,
            .diagonal_count = 3 } },
        { "vertical_slash:v2.npy,d2.npy",
          { .kind = TULLE_VERTICAL_SLASH,
            .positions = listed,
            .position_count = 4,
            .diagonals = slashes,
            .diagonal_count = 6,
            .layouts = 2 } },
        { "neighborhood:7,3",
          { .kind = TULLE_NEIGHBORHOOD, .axes = 1, .kernel = { 7 }, .dilation = { 3 } } },
        { "neighborhood:6,c1",
          { .kind = TULLE_NEIGHBORHOOD, .axes = 1, .kernel = { 6 }, .causal_axis = { true } } },
        { "neighborhood:6x10,2x4,3x1,c01",
          { .kind = TULLE_NEIGHBORHOOD,
            .axes = 2,
            .grid = { 6, 10 },
            .kernel = { 2, 4 },
            .dilation = { 3, 1 },
            .causal_axis = { false, true } } },
        { "neighborhood:2x4x8,1x2x3,2x1x2,c100",
          { .kind = TULLE_NEIGHBORHOOD,
            .axes = 3,
            .grid = { 2, 4, 8 },
            .kernel = { 1, 2, 3 },
            .dilation = { 2, 1, 2 },
            .causal_axis = { true, false, false } } },
        { "window:5,3&strided:2",
          { .kind = TULLE_WINDOW, .left = 5, .right = 3, .factors = &strided, .factor_count = 1 } },
    };
    for (size_t i = 0; i < COUNT(cases); ++i) {
        tulle_pattern *read = parse_one(cases[i].spec), *made = NULL;
        assert_int_equal(tulle_pattern_create(&cases[i].term, 1, &made, NULL), TULLE_OK);
        for (int64_t n = 0; n < 2 * 80 * 64; ++n) {
            const tulle_pattern_site site = { .head = n % 2, .heads = 2, .kv_len = 64 };
            const int64_t p = n / 2 / 64 - 8, j = n / 2 % 64;
            if (tulle_pattern_selects(read, &site, p, j) !=
                tulle_pattern_selects(made, &site, p, j))
                fail_msg("\"%s\": head %lld, p %lld, j %lld", cases[i].spec, (long long)n % 2,
                         (long long)p, (long long)j);
        }
        tulle_pattern_destroy(read);
        tulle_pattern_destroy(made);
    }
}

static void test_several_patterns(void **state) {
    (void)state;
    struct shelf shelf;
    tulle_pattern **patterns;
    uint32_t count;
    char text[64];
    assert_int_equal(
        parse("window:3,0 ; strided:4+sink:1;dense; dense", &shelf, &patterns, &count, NULL),
        TULLE_OK);
    assert_int_equal(count, 4);
    static const char *const expected[] = { "window:3,0", "strided:4+sink:1", "dense", "dense" };
    for (uint32_t i = 0; i < 4; ++i) {
        tulle_pattern_print(patterns[i], text, sizeof text);
        assert_string_equal(text, expected[i]);
    }
    tulle_patterns_free(patterns, count);
}

static void test_many_terms(void **state) {
    (void)state;
    enum { MANY = 500 };
    char *spec = malloc(MANY * 16), *text = malloc(MANY * 16), *to = spec;
    assert_true(spec && text);
    for (int i = 0; i < MANY; ++i) to += sprintf(to, "%ssink:%d", i ? "+" : "", i);
    tulle_pattern *pattern = parse_one(spec);
    assert_int_equal(pattern->term_count, MANY);
    assert_int_equal(tulle_pattern_print(pattern, text, MANY * 16), strlen(spec));
    assert_string_equal(text, spec);
    tulle_pattern_destroy(pattern);
    for (char *plus = spec; (plus = strchr(plus, '+')) != NULL;) *plus = '&';
    pattern = parse_one(spec);  // one term of as many factors
    assert_int_equal(pattern->term_count, 1);
    assert_int_equal(tulle_pattern_print(pattern, text, MANY * 16), strlen(spec));
    assert_string_equal(text, spec);
    tulle_pattern_destroy(pattern);
    free(spec);
    free(text);
}

static void test_print_sizes(void **state) {
    (void)state;
    tulle_pattern *pattern = parse_one("window:12,0+global:list.npy");
    const char *whole = "window:12,0+global:list.npy";
    size_t length = strlen(whole);
    assert_int_equal(tulle_pattern_print(pattern, NULL, 0), length);
    for (size_t size = 0; size < length + 4; ++size) {
        char text[64];
        memset(text, '#', sizeof text);
        assert_int_equal(tulle_pattern_print(pattern, text, size), length);
        size_t kept = size == 0 ? 0 : size - 1 < length ? size - 1 : length;
        if (size) assert_int_equal(strlen(text), kept);
        assert_memory_equal(text, whole, kept);
        assert_int_equal(text[size], '#');
    }
    tulle_pattern_destroy(pattern);
}

// A term that repeats another is a union like any other: it selects what one of them does, and is
// printed once.
static void test_repeats(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        { "dense+dense", "dense" },
        { "sink:1 + window:1,0 + sink:01", "sink:1+window:1,0" },
        { "global:list.npy+global:\"list.npy\"", "global:list.npy" },
        { "window:3,0&strided:2 + strided:2&window:3,0", "window:3,0&strided:2" },
        { "neighborhood:7 + neighborhood:7,1,c0", "neighborhood:7" },
        { "neighborhood:7,c1 + neighborhood:7,1,c1", "neighborhood:7,c1" },
        { "neighborhood:8x8,3x3 + neighborhood:8x8,3x3,1x1 + neighborhood:8x8,3x3,c00 + sink:1",
          "neighborhood:8x8,3x3+sink:1" },
    };
    for (size_t i = 0; i < COUNT(cases); ++i) {
        tulle_pattern *pattern = parse_one(cases[i][0]), *once = parse_one(cases[i][1]);
        char text[100];
        tulle_pattern_print(pattern, text, sizeof text);
        assert_string_equal(text, cases[i][1]);
        assert_true(pattern->term_count > once->term_count);
        assert_int_equal(pattern->canonical_count, once->canonical_count);
        tulle_pattern_destroy(pattern);
        tulle_pattern_destroy(once);
    }
}

// Patterns from terms: arrays without a name cannot be read back, and a term given twice is printed
// once.
static void test_print_created(void **state) {
    (void)state;
    const uint8_t mask[12] = { 1 };
    const tulle_term terms[] = {
        { .kind = TULLE_BLOCKS,
          .block = 64,
          .mask = mask,
          .layouts = 2,
          .block_rows = 2,
          .block_cols = 3 },
        { .kind = TULLE_SINK, .count = 2 },
        { .kind = TULLE_GLOBAL_LIST, .positions = zero_to_five, .position_count = 3 },
        { .kind = TULLE_SINK, .count = 2 },
        { .kind = TULLE_DOCUMENTS, .positions = lengths, .position_count = 4 },
    };
    tulle_pattern *pattern = NULL;
    assert_int_equal(tulle_pattern_create(terms, COUNT(terms), &pattern, NULL), TULLE_OK);
    char text[100];
    tulle_pattern_print(pattern, text, sizeof text);
    assert_string_equal(
        text, "blocks:64,<blocks 2x2x3>+sink:2+global:<positions 3>+documents:<lengths 4>");
    tulle_pattern_destroy(pattern);
    // Lists of a term that stands without names, and of a factor, likewise.
    const tulle_term slash = { .kind = TULLE_VERTICAL_SLASH,
                               .positions = zero_to_five,
                               .position_count = 4,
                               .diagonals = zero_to_five,
                               .diagonal_count = 2,
                               .factors = &terms[1],
                               .factor_count = 1 };
    assert_int_equal(tulle_pattern_create(&slash, 1, &pattern, NULL), TULLE_OK);
    tulle_pattern_print(pattern, text, sizeof text);
    if (!message_like(text, "vertical_slash:<*4>,<*2>&sink:2")) fail_msg("printed: %s", text);
    tulle_pattern_destroy(pattern);
}

static void test_arguments(void **state) {
    (void)state;
    tulle_error error;
    uint32_t count = 5;
    tulle_pattern **patterns = (tulle_pattern **)&count;
    assert_int_equal(tulle_pattern_parse(NULL, NULL, &patterns, &count, &error),
                     TULLE_ERROR_INVALID_ARGUMENT);
    assert_string_equal(error.message, "spec is NULL; it must not be");
    assert_null(patterns);
    assert_int_equal(count, 0);
    assert_int_equal(tulle_pattern_parse("dense", NULL, NULL, &count, &error),
                     TULLE_ERROR_INVALID_ARGUMENT);
    assert_string_equal(error.message, "out is NULL; it must not be");
    assert_int_equal(tulle_pattern_parse("dense", NULL, &patterns, NULL, &error),
                     TULLE_ERROR_INVALID_ARGUMENT);
    assert_string_equal(error.message, "count is NULL; it must not be");

    // Without a loader: fine where no FILE occurs.
    assert_int_equal(tulle_pattern_parse("dense", NULL, &patterns, &count, &error), TULLE_OK);
    tulle_patterns_free(patterns, count);
    assert_int_equal(tulle_pattern_parse("global:x.npy", NULL, &patterns, &count, &error),
                     TULLE_ERROR_INVALID_ARGUMENT);
    assert_string_equal(
        error.message,
        "term 1 (global): FILE \"x.npy\" needs a loader, but loader is NULL (column 8)");
    tulle_array_loader none = { 0 };
    assert_int_equal(tulle_pattern_parse("global:x.npy", &none, &patterns, &count, &error),
                     TULLE_ERROR_INVALID_ARGUMENT);
    assert_string_equal(
        error.message,
        "term 1 (global): FILE \"x.npy\" needs a loader, but loader->load is NULL (column 8)");

    // A loader that has nothing to release.
    struct shelf shelf = { 0 };
    tulle_array_loader keeps = { shelf_load, NULL, &shelf };
    assert_int_equal(tulle_pattern_parse("global:list.npy", &keeps, &patterns, &count, &error),
                     TULLE_OK);
    tulle_patterns_free(patterns, count);
}

static void test_releases_once_each(void **state) {
    (void)state;
    struct shelf shelf;
    tulle_pattern **patterns;
    uint32_t count;
    assert_int_equal(parse("global:list.npy+documents:lengths.npy;blocks:4,mask2.npy+sink:1",
                           &shelf, &patterns, &count, NULL),
                     TULLE_OK);
    assert_int_equal(shelf.loads, 3);
    assert_int_equal(shelf.releases, 3);
    tulle_patterns_free(patterns, count);
    assert_int_equal(
        parse("vertical_slash:v.npy,d.npy&global:list.npy", &shelf, &patterns, &count, NULL),
        TULLE_OK);
    assert_int_equal(shelf.loads, 3);
    assert_int_equal(shelf.releases, 3);
    tulle_patterns_free(patterns, count);
    assert_int_equal(
        parse("dense&vertical_slash:v.npy,nothere.npy", &shelf, &patterns, &count, NULL),
        TULLE_ERROR_CALLBACK);
    assert_int_equal(shelf.loads, 2);
    assert_int_equal(shelf.releases, 1);
    assert_int_equal(parse("global:list.npy+documents:falling.npy;blocks:4,mask2.npy", &shelf,
                           &patterns, &count, NULL),
                     TULLE_ERROR_INVALID_ARGUMENT);
    assert_int_equal(shelf.loads, 2);
    assert_int_equal(shelf.releases, 2);
    assert_int_equal(parse("global:list.npy+global:nothere.npy", &shelf, &patterns, &count, NULL),
                     TULLE_ERROR_CALLBACK);
    assert_int_equal(shelf.loads, 2);
    assert_int_equal(shelf.releases, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_and_prints),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_means),
        cmocka_unit_test(test_several_patterns),
        cmocka_unit_test(test_many_terms),
        cmocka_unit_test(test_print_sizes),
        cmocka_unit_test(test_repeats),
        cmocka_unit_test(test_print_created),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_releases_once_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
