// SPDX-License-Identifier: MIT
//
// Specs: what reads, what is refused and with which words, what prints reads back, and how loaders
// are dealt with.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "pattern/pattern.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

// -------------------------------------------------------------------------------------------------
// A loader of arrays that stand here

static const int64_t zero_to_five[] = { 0, 1, 2, 3, 4, 5 };
static const int64_t lengths[] = { 0, 4, 4, 9 };
static const int64_t falling[] = { 0, 4, 3 };
static const int64_t cells[] = { 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1 };
static const int64_t bad_cells[] = { 1, 0, 0, 1, 257, 0 };
static const int64_t negative[] = { 3, -1 };

#define INT64_FILE .is_integer = true, .is_index = true
static const struct file {
    const char *name;
    tulle_array array;
} files[] = {
    { "list.npy", { zero_to_five, 1, { 6 }, INT64_FILE } },
    { "empty.npy", { NULL, 1, { 0 }, INT64_FILE } },
    { "12", { zero_to_five + 3, 1, { 2 }, INT64_FILE } },
    { "inf", { zero_to_five + 3, 1, { 2 }, INT64_FILE } },
    { "a+b;c,d.npy", { zero_to_five, 1, { 2 }, INT64_FILE } },
    { "say \"hi\".npy", { zero_to_five, 1, { 3 }, INT64_FILE } },
    { "\"", { zero_to_five, 1, { 3 }, INT64_FILE } },
    { " spaces both ends ", { zero_to_five, 1, { 4 }, INT64_FILE } },
    { "two words.npy", { zero_to_five, 1, { 5 }, INT64_FILE } },
    { "C:\\data\\m.npy", { zero_to_five, 1, { 1 }, INT64_FILE } },
    { "<odd", { zero_to_five, 1, { 1 }, INT64_FILE } },
    { "h\xc3\xa9.npy", { zero_to_five, 1, { 1 }, INT64_FILE } },
    { "../dir/x-1_2.npy", { zero_to_five, 1, { 1 }, INT64_FILE } },
    { "lengths.npy", { lengths, 1, { 4 }, INT64_FILE } },
    { "falling.npy", { falling, 1, { 3 }, INT64_FILE } },
    { "short.npy", { lengths, 1, { 1 }, INT64_FILE } },
    { "negative.npy", { negative, 1, { 2 }, INT64_FILE } },
    { "floats.npy", { zero_to_five, 1, { 6 }, .is_integer = false } },
    { "int16.npy", { zero_to_five, 1, { 6 }, .is_integer = true, .type = "int16" } },
    { "bools.npy", { zero_to_five, 1, { 2 }, .is_bool = true } },
    { "mask2.npy", { cells, 2, { 4, 3 }, .is_bool = true } },
    { "mask3.npy", { cells, 3, { 2, 2, 3 }, .is_integer = true } },
    { "maskint.npy", { cells, 2, { 4, 3 }, INT64_FILE } },
    { "maskfloat.npy", { cells, 2, { 4, 3 }, .is_integer = false } },
    { "mask1.npy", { cells, 1, { 4 }, INT64_FILE } },
    { "mask0.npy", { cells, 0, { 0 }, INT64_FILE } },
    { "mask4.npy", { cells, 4, { 1, 1, 1 }, INT64_FILE } },
    { "maskbad.npy", { bad_cells, 2, { 2, 3 }, INT64_FILE } },
    { "norows.npy", { NULL, 2, { 0, 3 }, INT64_FILE } },
    { "nocols.npy", { NULL, 2, { 3, 0 }, INT64_FILE } },
    { "nolayouts.npy", { NULL, 3, { 0, 3, 3 }, INT64_FILE } },
    { "hollow.npy", { NULL, 1, { 3 }, INT64_FILE } },
    { "hollowmask.npy", { NULL, 2, { 3, 3 }, INT64_FILE } },
    { "minus.npy", { zero_to_five, 1, { -3 }, INT64_FILE } },
};

struct shelf {
    int loads, held, releases;
};

static bool load(void *user, const char *name, tulle_array *array, char *message, size_t size) {
    struct shelf *shelf = user;
    ++shelf->loads;
    if (!strcmp(name, "silent.npy")) return false;
    if (!strcmp(name, "chatty.npy")) {
        memset(message, 'x', size);  // not even terminated
        message[3] = '\n';
        return false;
    }
    for (size_t i = 0; i < COUNT(files); ++i)
        if (!strcmp(files[i].name, name)) {
            *array = files[i].array;
            array->owner = shelf;
            ++shelf->held;
            return true;
        }
    snprintf(message, size, "there is no file '%s'", name);
    return false;
}

static void release(void *user, tulle_array *array) {
    struct shelf *shelf = user;
    assert_ptr_equal(array->owner, shelf);
    array->owner = NULL;
    --shelf->held;
    ++shelf->releases;
}

static tulle_result parse(const char *spec, struct shelf *shelf, tulle_pattern ***out,
                          uint32_t *count, tulle_error *error) {
    *shelf = (struct shelf){ 0 };
    tulle_array_loader loader = { load, release, shelf };
    tulle_result result = tulle_pattern_parse(spec, &loader, out, count, error);
    if (shelf->held)
        fail_msg("%s: %d of %d arrays were not released", spec, shelf->held, shelf->loads);
    return result;
}

static tulle_pattern *parse_one(const char *spec) {
    struct shelf shelf;
    tulle_pattern **patterns;
    uint32_t count;
    tulle_error error = { 0 };
    if (parse(spec, &shelf, &patterns, &count, &error)) fail_msg("%s: %s", spec, error.message);
    assert_int_equal(count, 1);
    assert_int_equal(shelf.loads, shelf.releases);
    tulle_pattern *pattern = pattern_retain(patterns[0]);
    tulle_patterns_free(patterns, count);
    return pattern;
}

// -------------------------------------------------------------------------------------------------
// What reads, and what it prints

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
    };
    for (size_t i = 0; i < COUNT(cases); ++i) {
        tulle_pattern *pattern = parse_one(cases[i][0]), *once = parse_one(cases[i][1]);
        char text[100];
        tulle_pattern_print(pattern, text, sizeof text);
        assert_string_equal(text, cases[i][1]);
        assert_int_equal(pattern->term_count, once->term_count + 1);
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
}

// -------------------------------------------------------------------------------------------------
// What is refused

#define SYNTAX TULLE_ERROR_SYNTAX
#define INVALID TULLE_ERROR_INVALID_ARGUMENT
#define FROM_0 "it must be at least 0 and below 2147483648"
#define FROM_1 "it must be at least 1 and below 2147483648"
#define TERMS \
    "a term (dense, window, dilated, global, sink, strided, fixed, blocks, random, documents, prefix, chunked, a_shape, vertical_slash or neighborhood)"

static const struct {
    const char *spec;
    tulle_result result;
    const char *message;
} malformed[] = {
    { "", SYNTAX, "column 1: expected a term, as in window:L,R, found the end" },
    { "   ", SYNTAX, "column 4: expected a term, as in window:L,R, found the end" },
    { "+", SYNTAX, "column 1: expected a term, as in window:L,R, found '+'" },
    { ";", SYNTAX, "column 1: expected a term, as in window:L,R, found ';'" },
    { "dense+", SYNTAX, "column 7: expected a term, as in window:L,R, found the end" },
    { "dense;", SYNTAX, "column 7: expected a term, as in window:L,R, found the end" },
    { "+dense", SYNTAX, "column 1: expected a term, as in window:L,R, found '+'" },
    { "dense++dense", SYNTAX, "column 7: expected a term, as in window:L,R, found '+'" },
    { "dense ; ;dense", SYNTAX, "column 9: expected a term, as in window:L,R, found ';'" },
    { "dense+;dense", SYNTAX, "column 7: expected a term, as in window:L,R, found ';'" },
    { ":3", SYNTAX, "column 1: expected a term, as in window:L,R, found ':'" },
    { "\"dense\"", SYNTAX, "column 1: expected a term, as in window:L,R, found '\"'" },
    { "Dense", SYNTAX, "column 1: expected " TERMS ", found 'Dense'" },
    { "dens", SYNTAX, "column 1: expected " TERMS ", found 'dens'" },
    { "windows:1,2", SYNTAX, "column 1: expected " TERMS ", found 'windows'" },
    { "sink:1+ windw:1,2", SYNTAX, "column 9: expected " TERMS ", found 'windw'" },
    { "dense dense", SYNTAX, "column 1: expected " TERMS ", found 'dense dense'" },
    { "causal", SYNTAX, "column 1: expected " TERMS ", found 'causal'" },
    { "dense:", SYNTAX, "column 6: expected '&', '+', ';' or the end, as in dense, found ':'" },
    { "dense:1", SYNTAX, "column 6: expected '&', '+', ';' or the end, as in dense, found ':'" },
    { "dense,sink:1", SYNTAX,
      "column 6: expected '&', '+', ';' or the end, as in dense, found ','" },
    { "window", SYNTAX, "column 7: expected ':' and L, as in window:L,R, found the end" },
    { "window,1,2", SYNTAX, "column 7: expected ':' and L, as in window:L,R, found ','" },
    { "window:", SYNTAX,
      "column 8: expected L, a whole number or inf, as in window:L,R, found the end" },
    { "window:3", SYNTAX, "column 9: expected ',' and R, as in window:L,R, found the end" },
    { "window:3,", SYNTAX,
      "column 10: expected R, a whole number or inf, as in window:L,R, found the end" },
    { "window:,3", SYNTAX,
      "column 8: expected L, a whole number or inf, as in window:L,R, found ','" },
    { "window:3+sink:1", SYNTAX, "column 9: expected ',' and R, as in window:L,R, found '+'" },
    { "window:1,2,3", SYNTAX,
      "column 11: expected '&', '+', ';' or the end, as in window:L,R, found ','" },
    { "window:1:2", SYNTAX, "column 9: expected ',' and R, as in window:L,R, found ':'" },
    { "window:1.5,2", SYNTAX,
      "column 8: expected L, a whole number or inf, as in window:L,R, found '1.5'" },
    { "window:1e3,2", SYNTAX,
      "column 8: expected L, a whole number or inf, as in window:L,R, found '1e3'" },
    { "window:0x10,2", SYNTAX,
      "column 8: expected L, a whole number or inf, as in window:L,R, found '0x10'" },
    { "window:+1,2", SYNTAX,
      "column 8: expected L, a whole number or inf, as in window:L,R, found '+'" },
    { "window:-,2", SYNTAX,
      "column 8: expected L, a whole number or inf, as in window:L,R, found '-'" },
    { "window:--1,2", SYNTAX,
      "column 8: expected L, a whole number or inf, as in window:L,R, found '--1'" },
    { "window:1 2,3", SYNTAX,
      "column 8: expected L, a whole number or inf, as in window:L,R, found '1 2'" },
    { "window:1,two", SYNTAX,
      "column 10: expected R, a whole number or inf, as in window:L,R, found 'two'" },
    { "window:Inf,0", SYNTAX,
      "column 8: expected L, a whole number or inf, as in window:L,R, found 'Inf'" },
    { "window:infinity,0", SYNTAX,
      "column 8: expected L, a whole number or inf, as in window:L,R, found 'infinity'" },
    { "window:-inf,0", SYNTAX,
      "column 8: expected L, a whole number or inf, as in window:L,R, found '-inf'" },
    { "window:\"1\",2", SYNTAX,
      "column 8: expected L, a whole number or inf, as in window:L,R, found '\"'" },
    { "window:1\"x\",2", SYNTAX, "column 9: expected ',' and R, as in window:L,R, found '\"'" },
    { "window:1,'2'", SYNTAX,
      "column 10: expected R, a whole number or inf, as in window:L,R, found \"'2'\"" },
    { "window:\x01,2", SYNTAX,
      "column 8: expected L, a whole number or inf, as in window:L,R, found '?'" },
    { "dilated:1,2", SYNTAX, "column 12: expected ',' and S, as in dilated:L,R,S, found the end" },
    { "dilated:1,2,inf", SYNTAX,
      "column 13: expected S, a whole number, as in dilated:L,R,S, found 'inf'" },
    { "strided:inf", SYNTAX, "column 9: expected S, a whole number, as in strided:S, found 'inf'" },
    { "sink:inf", SYNTAX, "column 6: expected S, a whole number, as in sink:S, found 'inf'" },
    { "fixed:3", SYNTAX, "column 8: expected ',' and C, as in fixed:S,C, found the end" },
    { "random:8,2", SYNTAX,
      "column 11: expected ',' and SEED, as in random:B,R,SEED, found the end" },
    { "random:8,2,x", SYNTAX,
      "column 12: expected SEED, a whole number, as in random:B,R,SEED, found 'x'" },
    { "global", SYNTAX,
      "column 7: expected ':' and G, as in global:G or global:FILE, found the end" },
    { "global:", SYNTAX,
      "column 8: expected G, a whole number or a FILE, as in global:G or global:FILE, found the end" },
    { "global:1.5", SYNTAX,
      "column 8: expected G, a whole number or a FILE, as in global:G or global:FILE, found '1.5'" },
    { "global:inf", SYNTAX,
      "column 8: expected G, a whole number or a FILE, as in global:G or global:FILE, found 'inf'" },
    { "global:1,2", SYNTAX,
      "column 9: expected '&', '+', ';' or the end, as in global:G or global:FILE, found ','" },
    { "global:\"\"", SYNTAX, "column 8: expected FILE, a name, found \"\"" },
    { "global:\"list.npy", SYNTAX,
      "column 8: the double quote that opens FILE here is never closed" },
    { "global:\"list.npy\"\"", SYNTAX,
      "column 8: the double quote that opens FILE here is never closed" },
    { "global:\"list.npy\"x", SYNTAX,
      "column 18: expected '&', '+', ';' or the end, as in global:G or global:FILE, found 'x'" },
    { "global:h\xc3\xa9.npy,1", SYNTAX,
      "column 14: expected '&', '+', ';' or the end, as in global:G or global:FILE, found ','" },
    { "global:li\"st", SYNTAX,
      "column 10: found a double quote within FILE; a name that holds one must stand in double quotes, and it twice" },
    { "global:<positions 3>", SYNTAX,
      "column 8: expected FILE, a name, found '<', which stands for an array that was given without a name; a name that starts "
      "with it must "
      "stand in double quotes" },
    { "blocks:16", SYNTAX, "column 10: expected ',' and FILE, as in blocks:B,FILE, found the end" },
    { "blocks:16,", SYNTAX,
      "column 11: expected FILE, a name, as in blocks:B,FILE, found the end" },
    { "blocks:mask2.npy", SYNTAX,
      "column 8: expected B, a whole number, as in blocks:B,FILE, found 'mask2.npy'" },
    { "blocks:16,mask2.npy,1", SYNTAX,
      "column 20: expected '&', '+', ';' or the end, as in blocks:B,FILE, found ','" },
    { "documents:5", SYNTAX,
      "column 11: expected FILE, a name (in double quotes where it looks like a number), as in documents:FILE, found '5'" },
    { "documents:", SYNTAX,
      "column 11: expected FILE, a name, as in documents:FILE, found the end" },
    // Out of range
    { "window:-1,0", INVALID,
      "term 1 (window): left is -1; " FROM_0 ", or inf (TULLE_INFINITE) (column 8)" },
    { "window:0,-1", INVALID,
      "term 1 (window): right is -1; " FROM_0 ", or inf (TULLE_INFINITE) (column 10)" },
    { "window:2147483648,0", INVALID,
      "term 1 (window): left is 2147483648; " FROM_0 ", or inf (TULLE_INFINITE) (column 8)" },
    { "dense;sink:99999999999999999999999", INVALID,
      "term 1 (sink): count is 99999999999999999999999; " FROM_0 " (column 12)" },
    { "sink:-99999999999999999999999", INVALID,
      "term 1 (sink): count is -99999999999999999999999; " FROM_0 " (column 6)" },
    { "sink:18446744073709551616", INVALID,
      "term 1 (sink): count is 18446744073709551616; " FROM_0 " (column 6)" },
    { "global:-1", INVALID, "term 1 (global): count is -1; " FROM_0 " (column 8)" },
    { "dense+dilated:1,2,0", INVALID, "term 2 (dilated): step is 0; " FROM_1 " (column 7)" },
    { "strided:0", INVALID, "term 1 (strided): step is 0; " FROM_1 " (column 1)" },
    { "fixed:4,5", INVALID,
      "term 1 (fixed): count is 5; it must be at least 1 and at most step, 4 (column 1)" },
    { "random:0,1,1", INVALID, "term 1 (random): block is 0; " FROM_1 " (column 1)" },
    { "random:1,1,18446744073709551616", INVALID,
      "term 1 (random): seed is 18446744073709551616; it must be at least 0 and below 18446744073709551616 (column 12)" },
    { "random:1,1,-1", INVALID,
      "term 1 (random): seed is -1; it must be at least 0 and below 18446744073709551616 (column 12)" },
    // Arrays
    { "global:nothere.npy", TULLE_ERROR_CALLBACK,
      "term 1 (global): FILE \"nothere.npy\" could not be loaded: there is no file 'nothere.npy' (column 8)" },
    { "dense+documents:silent.npy", TULLE_ERROR_CALLBACK,
      "term 2 (documents): FILE \"silent.npy\" could not be loaded: the loader gave no reason (column 17)" },
    { "global:hollow.npy", TULLE_ERROR_CALLBACK,
      "term 1 (global): FILE \"hollow.npy\" was loaded without values (column 8)" },
    { "blocks:1,hollowmask.npy", TULLE_ERROR_CALLBACK,
      "term 1 (blocks): FILE \"hollowmask.npy\" was loaded without values (column 10)" },
    { "global:minus.npy", TULLE_ERROR_CALLBACK,
      "term 1 (global): FILE \"minus.npy\" was loaded with shape[0] = -3 (column 8)" },
    { "global:floats.npy", INVALID,
      "term 1 (global): FILE \"floats.npy\" holds another type; it must hold int32 or int64 (column 8)" },
    { "global:int16.npy", INVALID,
      "term 1 (global): FILE \"int16.npy\" holds int16; it must hold int32 or int64 (column 8)" },
    { "documents:bools.npy", INVALID,
      "term 1 (documents): FILE \"bools.npy\" holds another type; it must hold int32 or int64 (column 11)" },
    { "global:mask2.npy", INVALID,
      "term 1 (global): FILE \"mask2.npy\" holds another type; it must hold int32 or int64 (column 8)" },
    { "global:maskint.npy", INVALID,
      "term 1 (global): FILE \"maskint.npy\" has 2 dimensions; it must have 1 (column 8)" },
    { "global:negative.npy", INVALID,
      "term 1 (global): positions[1] is -1; " FROM_0 " (column 8)" },
    { "documents:falling.npy", INVALID,
      "term 1 (documents): positions[2] is 3, after 4; cumulative lengths must not fall (column 11)" },
    { "documents:short.npy", INVALID,
      "term 1 (documents): position_count is 1; it must be at least 2: cumulative lengths are 0 and then each document's end "
      "(column 11)" },
    { "blocks:1,maskfloat.npy", INVALID,
      "term 1 (blocks): FILE \"maskfloat.npy\" holds another type; it must hold bool or integers (column 10)" },
    { "blocks:1,mask1.npy", INVALID,
      "term 1 (blocks): FILE \"mask1.npy\" has 1 dimensions; it must have 2, of query blocks and key blocks, or 3, with layouts "
      "before them "
      "(column 10)" },
    { "blocks:1,mask0.npy", INVALID,
      "term 1 (blocks): FILE \"mask0.npy\" has 0 dimensions; it must have 2, of query blocks and key blocks, or 3, with layouts "
      "before them "
      "(column 10)" },
    { "blocks:1,mask4.npy", INVALID,
      "term 1 (blocks): FILE \"mask4.npy\" has 4 dimensions; it must have 2, of query blocks and key blocks, or 3, with layouts "
      "before them "
      "(column 10)" },
    { "blocks:1,maskbad.npy", INVALID,
      "term 1 (blocks): mask[0][1][1] is 257; it must be 0 or 1 (column 10)" },
    { "blocks:0,mask2.npy", INVALID, "term 1 (blocks): block is 0; " FROM_1 " (column 10)" },
    { "blocks:1,norows.npy", INVALID, "term 1 (blocks): block_rows is 0; " FROM_1 " (column 10)" },
    { "blocks:1,nocols.npy", INVALID, "term 1 (blocks): block_cols is 0; " FROM_1 " (column 10)" },
    { "blocks:1,nolayouts.npy", INVALID, "term 1 (blocks): layouts is 0; " FROM_1 " (column 10)" },
};

static void test_malformed(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(malformed); ++i) {
        struct shelf shelf;
        tulle_error error = { 0 };
        tulle_pattern **patterns = (tulle_pattern **)&shelf;
        uint32_t count = 77;
        tulle_result result = parse(malformed[i].spec, &shelf, &patterns, &count, &error);
        if (!result) fail_msg("\"%s\" was read", malformed[i].spec);
        if (strcmp(error.message, malformed[i].message))
            fail_msg("\"%s\"\n%s\ninstead of\n%s", malformed[i].spec, error.message,
                     malformed[i].message);
        assert_int_equal(result, malformed[i].result);
        assert_int_equal(error.result, malformed[i].result);
        assert_null(patterns);
        assert_int_equal(count, 0);
        assert_int_equal(parse(malformed[i].spec, &shelf, &patterns, &count, NULL),
                         malformed[i].result);

        // The same behind what reads well and holds arrays: those are released and freed too.
        char longer[300];
        snprintf(longer, sizeof longer, "global:list.npy+sink:9;blocks:4,mask3.npy;%s",
                 malformed[i].spec);
        assert_int_equal(parse(longer, &shelf, &patterns, &count, &error), malformed[i].result);
        assert_true(shelf.loads >= 2 && shelf.releases >= 2);
    }
}

static void test_long_words(void **state) {
    (void)state;
    struct shelf shelf;
    tulle_pattern **patterns;
    uint32_t count;
    tulle_error error;
    char spec[3000];
    memset(spec, '9', sizeof spec);
    memcpy(spec, "sink:", 5);
    spec[sizeof spec - 1] = '\0';
    assert_int_equal(parse(spec, &shelf, &patterns, &count, &error), TULLE_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "99...; it must be at least 0"));
    memset(spec, 'y', sizeof spec - 1);
    assert_int_equal(parse(spec, &shelf, &patterns, &count, &error), TULLE_ERROR_SYNTAX);
    assert_non_null(strstr(error.message, "yyy...'"));
    assert_int_equal(parse("global:chatty.npy", &shelf, &patterns, &count, &error),
                     TULLE_ERROR_CALLBACK);
    assert_non_null(strstr(error.message, "could not be loaded: xxx xxxx"));
    assert_non_null(strstr(error.message, "(column 8)"));
    assert_null(strchr(error.message, '\n'));
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
    tulle_array_loader keeps = { load, NULL, &shelf };
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
        cmocka_unit_test(test_several_patterns),
        cmocka_unit_test(test_many_terms),
        cmocka_unit_test(test_print_sizes),
        cmocka_unit_test(test_print_created),
        cmocka_unit_test(test_repeats),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_long_words),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_releases_once_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
