// SPDX-License-Identifier: MIT
//
// Patterns as made from terms: what is refused and with which words, what is selected, the
// canonical order, and the draws of random blocks against a plain restatement of docs/semantics.md.
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
#define INF TULLE_INFINITE
#define TOP INT64_C(2147483647)
#define OVER INT64_C(2147483648)

static tulle_pattern *make(const tulle_term *terms, uint32_t count) {
    tulle_pattern *pattern = NULL;
    tulle_error error = { 0 };
    tulle_result result = tulle_pattern_create(terms, count, &pattern, &error);
    if (result) fail_msg("refused: %s", error.message);
    assert_non_null(pattern);
    return pattern;
}

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

static const int64_t list_unsorted[] = { 9, 2, 2, 0, TOP, 5 };
static const int64_t lengths[] = { 0, 3, 3, 7 };
static const uint8_t mask[] = { 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1 };  // [2][2][3]
static const int64_t csr_offsets[] = { 0, 1, 3, 3, 4 };
static const int64_t csr_columns[] = { 0, 0, 1, 2 };

static const tulle_term valid[] = {
    { .kind = TULLE_DENSE },
    { .kind = TULLE_WINDOW, .left = 0, .right = 0 },
    { .kind = TULLE_WINDOW, .left = INF, .right = INF },
    { .kind = TULLE_WINDOW, .left = TOP, .right = TOP },
    { .kind = TULLE_DILATED, .left = 0, .right = 0, .step = 1 },
    { .kind = TULLE_DILATED, .left = INF, .right = INF, .step = TOP },
    { .kind = TULLE_DILATED, .left = TOP, .right = TOP, .step = TOP },
    { .kind = TULLE_GLOBAL, .count = 0 },
    { .kind = TULLE_GLOBAL, .count = TOP },
    { .kind = TULLE_GLOBAL_LIST,
      .positions = list_unsorted,
      .position_count = COUNT(list_unsorted) },
    { .kind = TULLE_GLOBAL_LIST },
    { .kind = TULLE_SINK, .count = 0 },
    { .kind = TULLE_SINK, .count = TOP },
    { .kind = TULLE_STRIDED, .step = 1 },
    { .kind = TULLE_STRIDED, .step = TOP },
    { .kind = TULLE_FIXED, .step = 1, .count = 1 },
    { .kind = TULLE_FIXED, .step = TOP, .count = TOP },
    { .kind = TULLE_BLOCKS,
      .block = TOP,
      .mask = mask,
      .layouts = 2,
      .block_rows = 2,
      .block_cols = 3 },
    { .kind = TULLE_BLOCKS, .block = 1, .mask = mask, .block_rows = 2, .block_cols = 3 },
    { .kind = TULLE_BLOCKS,
      .block = 1,
      .row_offsets = csr_offsets,
      .columns = csr_columns,
      .layouts = 2,
      .block_rows = 2,
      .block_cols = 3 },
    { .kind = TULLE_BLOCKS,
      .block = 1,
      .row_offsets = (const int64_t[]){ 0, 0 },
      .block_rows = 1,
      .block_cols = TOP },
    { .kind = TULLE_RANDOM, .block = 1, .count = 1, .seed = UINT64_MAX },
    { .kind = TULLE_RANDOM, .block = TOP, .count = TOP },
    { .kind = TULLE_DOCUMENTS, .positions = lengths, .position_count = COUNT(lengths) },
    { .kind = TULLE_DOCUMENTS, .positions = (const int64_t[]){ 0, 0 }, .position_count = 2 },
    { .kind = TULLE_DOCUMENTS, .positions = (const int64_t[]){ 0, TOP }, .position_count = 2 },
};

static void test_valid(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(valid); ++i) {
        tulle_pattern *pattern = make(&valid[i], 1);
        assert_int_equal(pattern->term_count, 1);
        assert_int_equal(pattern->terms[0].kind, valid[i].kind);
        assert_null(pattern->terms[0].names[0]);
        tulle_pattern_destroy(pattern);
    }
    tulle_pattern *all = make(valid, COUNT(valid));
    assert_int_equal(all->term_count, COUNT(valid));
    assert_int_equal(all->canonical_count, COUNT(valid));
    tulle_pattern_destroy(all);
    tulle_pattern_destroy(NULL);
    tulle_patterns_free(NULL, 0);
}

#define FROM_0 "it must be at least 0 and below 2147483648"
#define FROM_1 "it must be at least 1 and below 2147483648"
#define OR_INF FROM_0 ", or inf (TULLE_INFINITE)"
#define LIST(...)                                  \
    .positions = (const int64_t[]){ __VA_ARGS__ }, \
    .position_count = COUNT(((const int64_t[]){ __VA_ARGS__ }))

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

static void test_arguments(void **state) {
    (void)state;
    tulle_error error;
    tulle_term dense = { 0 };
    tulle_pattern *pattern = (tulle_pattern *)&dense;
    assert_int_equal(tulle_pattern_create(&dense, 1, NULL, &error), TULLE_ERROR_INVALID_ARGUMENT);
    assert_string_equal(error.message, "out is NULL; it must point to a tulle_pattern *");
    assert_int_equal(tulle_pattern_create(&dense, 0, &pattern, &error),
                     TULLE_ERROR_INVALID_ARGUMENT);
    assert_string_equal(error.message,
                        "term_count is 0; a pattern is a union of at least one term");
    assert_null(pattern);
    assert_int_equal(tulle_pattern_create(NULL, 3, &pattern, &error), TULLE_ERROR_INVALID_ARGUMENT);
    assert_string_equal(error.message, "terms is NULL; it must point to term_count, 3, terms");
}

// What the caller gave may change and go; a retained pattern outlives its maker's destroy.
static void test_copies_and_references(void **state) {
    (void)state;
    int64_t list[] = { 5, 1, 5, 3 }, ends[] = { 0, 2, 4 }, offsets[] = { 0, 1, 2 },
            columns[] = { 1, 0 };
    uint8_t cells[] = { 0, 1, 1, 0 };
    tulle_term terms[] = {
        { .kind = TULLE_GLOBAL_LIST, .positions = list, .position_count = 4 },
        { .kind = TULLE_DOCUMENTS, .positions = ends, .position_count = 3 },
        { .kind = TULLE_BLOCKS, .block = 4, .mask = cells, .block_rows = 2, .block_cols = 2 },
        { .kind = TULLE_BLOCKS,
          .block = 4,
          .row_offsets = offsets,
          .columns = columns,
          .layouts = 1,
          .block_rows = 2,
          .block_cols = 2 },
    };
    tulle_pattern *pattern = make(terms, 4);
    memset(list, 0x55, sizeof list);
    memset(ends, 0x55, sizeof ends);
    memset(offsets, 0x55, sizeof offsets);
    memset(columns, 0x55, sizeof columns);
    memset(cells, 0x55, sizeof cells);
    memset(terms, 0x55, sizeof terms);

    tulle_pattern *second = pattern_retain(pattern);
    assert_ptr_equal(second, pattern);
    assert_null(pattern_retain(NULL));
    tulle_pattern_destroy(pattern);
    const struct term *t = second->terms;
    assert_int_equal(t[0].position_count, 3);
    assert_memory_equal(t[0].positions, ((int64_t[]){ 1, 3, 5 }), 3 * sizeof(int64_t));
    assert_memory_equal(t[1].positions, ((int64_t[]){ 0, 2, 4 }), 3 * sizeof(int64_t));
    for (int i = 2; i < 4; ++i) {
        assert_int_equal(t[i].layouts, 1);
        assert_memory_equal(t[i].row_offsets, ((int64_t[]){ 0, 1, 2 }), 3 * sizeof(int64_t));
        assert_memory_equal(t[i].columns, ((int32_t[]){ 1, 0 }), 2 * sizeof(int32_t));
    }
    assert_int_equal(second->canonical_count, 3);  // the mask and the CSR say the same
    tulle_pattern_destroy(second);
}

// Fields that a kind does not use say nothing: not even nonsense in them is refused, nor does it
// tell terms apart.
static void test_unused_fields(void **state) {
    (void)state;
    tulle_term terms[] = {
        { .kind = TULLE_SINK, .count = 4 },
        { .kind = TULLE_SINK, .count = 4, .left = -9, .step = -9, .block = -9, .seed = 9 }
    };
    tulle_pattern *pattern = make(terms, 2);
    assert_int_equal(pattern->canonical_count, 1);
    tulle_pattern_destroy(pattern);
}

static void assert_same_term(const struct term *a, const struct term *b) {
    assert_int_equal(a->kind, b->kind);
    assert_true(a->left == b->left && a->right == b->right && a->step == b->step &&
                a->count == b->count && a->block == b->block);
    assert_true(a->seed == b->seed && a->position_count == b->position_count &&
                a->layouts == b->layouts);
    assert_true(a->block_rows == b->block_rows && a->block_cols == b->block_cols);
    if (a->position_count)
        assert_memory_equal(a->positions, b->positions, a->position_count * sizeof *a->positions);
}

static void test_canonical_order(void **state) {
    (void)state;
    enum { TERMS = COUNT(valid), SHUFFLES = 200 };
    tulle_pattern *first = make(valid, TERMS);
    for (uint32_t i = 1; i < first->canonical_count; ++i) {
        int64_t before = product_step(first->canonical[i - 1]),
                here = product_step(first->canonical[i]);
        assert_true(before < here || (before == here && first->canonical[i - 1]->factors[0]->kind <=
                                                            first->canonical[i]->factors[0]->kind));
    }
    uint32_t random = 1;
    for (int round = 0; round < SHUFFLES; ++round) {
        tulle_term terms[TERMS + 8];
        memcpy(terms, valid, sizeof valid);
        for (uint32_t i = 0; i < 8; ++i)
            terms[TERMS + i] = valid[(random = random * 1664525 + 1013904223) >> 16 & 15];
        for (uint32_t i = TERMS + 7; i > 0; --i) {
            uint32_t k = ((random = random * 1664525 + 1013904223) >> 8) % (i + 1);
            tulle_term swap = terms[i];
            terms[i] = terms[k];
            terms[k] = swap;
        }
        tulle_pattern *shuffled = make(terms, TERMS + 8);
        assert_int_equal(shuffled->term_count, TERMS + 8);
        assert_int_equal(shuffled->canonical_count, first->canonical_count);
        for (uint32_t i = 0; i < first->canonical_count; ++i)
            assert_same_term(first->canonical[i]->factors[0], shuffled->canonical[i]->factors[0]);
        tulle_pattern_destroy(shuffled);
    }
    tulle_pattern_destroy(first);
}

static void test_term_step(void **state) {
    (void)state;
    const tulle_term terms[] = { { .kind = TULLE_DILATED, .step = 3 },
                                 { .kind = TULLE_STRIDED, .step = 5 },
                                 { .kind = TULLE_FIXED, .step = 7, .count = 1 } };
    tulle_pattern *pattern = make(terms, 3);
    assert_int_equal(product_step(pattern->canonical[0]), 1);
    assert_int_equal(product_step(pattern->canonical[1]), 3);
    assert_int_equal(product_step(pattern->canonical[2]), 5);
    assert_int_equal(pattern->canonical[0]->factors[0]->kind, TULLE_FIXED);
    assert_int_equal(pattern->canonical[1]->factors[0]->kind, TULLE_DILATED);
    tulle_pattern_destroy(pattern);
}

static void test_by_head(void **state) {
    (void)state;
    const tulle_term one = { .kind = TULLE_BLOCKS,
                             .block = 1,
                             .mask = mask,
                             .layouts = 1,
                             .block_rows = 4,
                             .block_cols = 3 };
    const tulle_term two = { .kind = TULLE_BLOCKS,
                             .block = 1,
                             .mask = mask,
                             .layouts = 2,
                             .block_rows = 2,
                             .block_cols = 3 };
    const tulle_term random[] = { { .kind = TULLE_DENSE },
                                  { .kind = TULLE_RANDOM, .block = 1, .count = 1 } };
    tulle_pattern *pattern = make(&one, 1);
    assert_false(pattern_by_head(pattern));
    assert_int_equal(term_layout(&pattern->terms[0], 5, 6, 2), 0);
    tulle_pattern_destroy(pattern);
    pattern = make(&two, 1);
    assert_true(pattern_by_head(pattern));
    assert_int_equal(term_layout(&pattern->terms[0], 1, 2, 2), 1);  // per query head
    assert_int_equal(term_layout(&pattern->terms[0], 1, 2, 1), 1);
    assert_int_equal(term_layout(&pattern->terms[0], 2, 6, 2), 0);  // per kv head
    assert_int_equal(term_layout(&pattern->terms[0], 3, 6, 2), 1);
    // neither: the plan refuses it
    assert_int_equal(term_layout(&pattern->terms[0], 3, 6, 3), -1);
    tulle_pattern_destroy(pattern);
    pattern = make(random, 2);
    assert_true(pattern_by_head(pattern));
    tulle_pattern_destroy(pattern);
    pattern = make(random, 1);
    assert_false(pattern_by_head(pattern));
    tulle_pattern_destroy(pattern);
}

// -------------------------------------------------------------------------------------------------
// Selection, by a table of which keys of 0 … 11 each position sees

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
// Random blocks

static void philox4x32_10(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    uint32_t c[4] = { counter[0], counter[1], counter[2], counter[3] }, k[2] = { key[0], key[1] };
    for (int round = 0; round < 10; ++round) {
        if (round) k[0] += 0x9E3779B9u, k[1] += 0xBB67AE85u;
        uint64_t a = (uint64_t)0xD2511F53u * c[0], b = (uint64_t)0xCD9E8D57u * c[2];
        uint32_t next[4] = { (uint32_t)(b >> 32) ^ c[1] ^ k[0], (uint32_t)b,
                             (uint32_t)(a >> 32) ^ c[3] ^ k[1], (uint32_t)a };
        memcpy(c, next, sizeof c);
    }
    memcpy(out, c, sizeof c);
}

// Known answers of Random123 (kat_vectors).
static void test_philox(void **state) {
    (void)state;
    uint32_t out[4];
    philox4x32_10((uint32_t[]){ 0, 0, 0, 0 }, (uint32_t[]){ 0, 0 }, out);
    assert_memory_equal(out, ((uint32_t[]){ 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 }),
                        sizeof out);
    philox4x32_10((uint32_t[]){ 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 },
                  (uint32_t[]){ 0xa4093822, 0x299f31d0 }, out);
    assert_memory_equal(out, ((uint32_t[]){ 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 }),
                        sizeof out);
}

// docs/semantics.md word for word, with one flag per candidate.
static size_t floyd(uint64_t seed, int64_t head, int64_t block, int64_t n, int64_t r, bool *taken) {
    memset(taken, 0, (size_t)n);
    if (r >= n) {
        memset(taken, 1, (size_t)n);
        return (size_t)n;
    }
    for (int64_t t = n - r; t < n; ++t) {
        uint32_t out[4];
        philox4x32_10((uint32_t[]){ (uint32_t)t, (uint32_t)block, (uint32_t)head, 0 },
                      (uint32_t[]){ (uint32_t)seed, (uint32_t)(seed >> 32) }, out);
        int64_t u = (int64_t)((uint64_t)out[0] * (uint64_t)(t + 1) >> 32);
        taken[taken[u] ? t : u] = true;
    }
    return (size_t)r;
}

static void check_draw(int64_t block, int64_t r, uint64_t seed, const tulle_pattern_site *site,
                       int64_t query_block) {
    tulle_term given = { .kind = TULLE_RANDOM, .block = block, .count = r, .seed = seed };
    tulle_pattern *pattern = make(&given, 1);
    const struct term *term = &pattern->terms[0];
    int64_t n = site->causal ? query_block + 1 : (site->kv_len + block - 1) / block;
    bool *taken = malloc((size_t)n + 1);
    size_t most = random_most(term, site, query_block);
    assert_true(most == (size_t)(r < n ? r : n));
    int64_t *blocks = malloc((most + 1) * sizeof *blocks);
    assert_true(taken && blocks);
    blocks[most] = -12345;
    size_t expected = floyd(seed, site->head, query_block, n, r, taken),
           drawn = random_blocks(term, site, query_block, blocks);
    assert_int_equal(drawn, expected);
    assert_int_equal(blocks[most], -12345);
    for (size_t i = 0; i < drawn; ++i) {
        assert_true(blocks[i] >= 0 && blocks[i] < n && taken[blocks[i]]);
        assert_true(!i || blocks[i - 1] < blocks[i]);
    }
    for (int64_t j = 0; n <= 4096 && j < n; ++j)  // the walk backwards through the draws agrees
        assert_int_equal(term_selects(term, site, query_block * block + block - 1, j * block),
                         taken[j]);
    free(taken);
    free(blocks);
    tulle_pattern_destroy(pattern);
}

static void test_random(void **state) {
    (void)state;
    static const uint64_t seeds[] = { 0, 1, 42, UINT64_C(0x123456789abcdef0), UINT64_MAX };
    for (size_t s = 0; s < COUNT(seeds); ++s)
        for (int64_t head = 0; head < 3; ++head) {
            tulle_pattern_site causal = { .head = head,
                                          .heads = 3,
                                          .kv_heads = 3,
                                          .kv_len = 100,
                                          .causal = true },
                               open = causal;
            open.causal = false;
            for (int64_t query_block = 0; query_block < 40; ++query_block)
                for (int64_t r = 1; r < 12; ++r) {
                    check_draw(16, r, seeds[s], &causal, query_block);
                    check_draw(16, r, seeds[s], &open, query_block);
                    check_draw(1, 3 * r, seeds[s], &open, query_block);
                }
            check_draw(1, 999, seeds[s], &causal, 999);
            check_draw(1, 998, seeds[s], &causal, 999);
            check_draw(1, 500, seeds[s], &causal, 999);
            check_draw(1, TOP, seeds[s], &causal, 999);
        }
}

// Large draws: right, and by their time not quadratic (2 million blocks would take minutes).
static void test_random_large(void **state) {
    (void)state;
    tulle_pattern_site open = { .head = 5, .heads = 8, .kv_heads = 8, .kv_len = 3000000 };
    check_draw(1, 2000000, 7, &open, 123456);
    check_draw(1, 2999999, 7, &open, 123456);
    check_draw(1, 1000, 7, &open, INT64_C(0xFFFFFFFE));
    // The largest query block there can be draws from all below it; N no longer fits 32 bits as a
    // signed number.
    tulle_pattern_site causal = {
        .head = 5, .heads = 8, .kv_heads = 8, .kv_len = 100, .causal = true
    };
    tulle_term given = { .kind = TULLE_RANDOM, .block = 1, .count = 3000, .seed = 11 };
    tulle_pattern *pattern = make(&given, 1);
    int64_t *blocks = malloc(3000 * sizeof *blocks);
    assert_non_null(blocks);
    assert_int_equal(random_blocks(&pattern->terms[0], &causal, INT64_C(0xFFFFFFFE), blocks), 3000);
    for (size_t i = 0; i < 3000; ++i) {
        assert_true(blocks[i] >= 0 && blocks[i] <= INT64_C(0xFFFFFFFE) &&
                    (!i || blocks[i - 1] < blocks[i]));
        if (i % 100 == 0)
            assert_true(term_selects(&pattern->terms[0], &causal, INT64_C(0xFFFFFFFE), blocks[i]));
    }
    free(blocks);
    tulle_pattern_destroy(pattern);
}

// With causal a draw ignores kv_len, so decode and prefill agree; no keys and no position draw
// nothing.
static void test_random_edges(void **state) {
    (void)state;
    tulle_term given = { .kind = TULLE_RANDOM, .block = 4, .count = 2, .seed = 3 };
    tulle_pattern *pattern = make(&given, 1);
    const struct term *term = &pattern->terms[0];
    tulle_pattern_site site = { .heads = 1, .kv_heads = 1, .kv_len = 0, .causal = true };
    int64_t a[2], b[2];
    assert_int_equal(random_blocks(term, &site, 9, a), 2);
    site.kv_len = 1000;
    assert_int_equal(random_blocks(term, &site, 9, b), 2);
    assert_memory_equal(a, b, sizeof a);
    assert_int_equal(random_blocks(term, &site, 0, a), 1);
    assert_int_equal(random_blocks(term, &site, -1, a), 0);
    assert_int_equal(random_most(term, &site, -1), 0);
    site.causal = false;
    site.kv_len = 0;
    assert_int_equal(random_blocks(term, &site, 9, a), 0);
    assert_int_equal(random_most(term, &site, 9), 0);
    tulle_pattern_destroy(pattern);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid),
        cmocka_unit_test(test_invalid),
        cmocka_unit_test(test_invalid_blocks),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_copies_and_references),
        cmocka_unit_test(test_unused_fields),
        cmocka_unit_test(test_canonical_order),
        cmocka_unit_test(test_term_step),
        cmocka_unit_test(test_by_head),
        cmocka_unit_test(test_selects),
        cmocka_unit_test(test_selects_union_and_site),
        cmocka_unit_test(test_philox),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_random_large),
        cmocka_unit_test(test_random_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
