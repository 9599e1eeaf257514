// SPDX-License-Identifier: MIT
//
// Patterns as made from terms: what is valid, what is copied, the canonical order, and what depends on
// the head.

#include "pattern_use.h"

#include <string.h>

static const int64_t list_unsorted[] = { 9, 2, 2, 0, TOP, 5 };
static const int64_t lengths[] = { 0, 3, 3, 7 };

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
    { .kind = TULLE_PREFIX, .count = 0 },
    { .kind = TULLE_PREFIX, .count = TOP },
    { .kind = TULLE_CHUNKED, .step = 1 },
    { .kind = TULLE_CHUNKED, .step = TOP },
    { .kind = TULLE_A_SHAPE, .count = 0, .block = 1 },
    { .kind = TULLE_A_SHAPE, .count = TOP, .block = TOP },
    { .kind = TULLE_VERTICAL_SLASH, LIST(7, -1, 0, TOP), DIAGONALS(-1, TOP, 3) },
    { .kind = TULLE_VERTICAL_SLASH, LIST(7, -1, 0, TOP), DIAGONALS(-1, 3), .layouts = 2 },
    { .kind = TULLE_VERTICAL_SLASH, LIST(7), .layouts = 1 },
    { .kind = TULLE_VERTICAL_SLASH, DIAGONALS(7), .layouts = 1 },
    { .kind = TULLE_NEIGHBORHOOD, .axes = 1, .kernel = { 1 } },
    { .kind = TULLE_NEIGHBORHOOD, .axes = 1, .kernel = { TOP }, .dilation = { 1 } },
    { .kind = TULLE_NEIGHBORHOOD, .axes = 1, .kernel = { 3 }, .causal_axis = { true } },
    { .kind = TULLE_NEIGHBORHOOD, .axes = 1, .grid = { 6 }, .kernel = { 3 }, .dilation = { 2 } },
    { .kind = TULLE_NEIGHBORHOOD, .axes = 2, .grid = { TOP, 1 }, .kernel = { TOP, 1 } },
    { .kind = TULLE_NEIGHBORHOOD, .axes = 2, .grid = { 65535, 32768 }, .kernel = { 3, 4 } },
    { .kind = TULLE_NEIGHBORHOOD,
      .axes = 3,
      .grid = { 4, 6, 9 },
      .kernel = { 2, 2, 9 },
      .dilation = { 1, 3, 0 },
      .causal_axis = { true, false, true } },
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

// A term's factors, and theirs, are copied too; there may be many.
static void test_factors(void **state) {
    (void)state;
    enum { MANY = 300 };
    static tulle_term many[MANY], inner[1], terms[2];
    inner[0] = (tulle_term){ .kind = TULLE_WINDOW, .left = 5, .right = 0 };
    for (int64_t i = 0; i < MANY; ++i)
        many[i] = (tulle_term){ .kind = TULLE_GLOBAL, .count = i + 4 };
    many[MANY - 1].factors = inner;
    many[MANY - 1].factor_count = 1;
    terms[0] =
        (tulle_term){ .kind = TULLE_STRIDED, .step = 2, .factors = many, .factor_count = MANY };
    terms[1] = (tulle_term){ .kind = TULLE_SINK, .count = 1 };
    tulle_pattern *pattern = make(terms, 2);
    memset(inner, 0x55, sizeof inner);
    memset(many, 0x55, sizeof many);
    memset(terms, 0x55, sizeof terms);
    tulle_pattern_site site = { .kv_len = 12 };
    for (int64_t p = 0; p < 12; ++p)
        for (int64_t j = 0; j < 12; ++j) {
            bool near = (p - j) % 2 == 0 && p - j >= 0 && p - j <= 5 && (j < 4 || p < 4);
            assert_int_equal(tulle_pattern_selects(pattern, &site, p, j), near || j < 1);
        }
    tulle_pattern_destroy(pattern);
}

// A term that repeats another counts once, in whatever order its factors stand.
static void test_repeated_factors(void **state) {
    (void)state;
    const tulle_term a = { .kind = TULLE_WINDOW, .left = 9 },
                     b = { .kind = TULLE_STRIDED, .step = 2 },
                     c = { .kind = TULLE_SINK, .count = 7 };
    tulle_term terms[3] = { a, c, b };
    const tulle_term after_a[] = { b, c }, after_c[] = { a, b };
    tulle_term nested = c;  // b & (c & a)
    nested.factors = &a;
    nested.factor_count = 1;
    terms[0].factors = after_a, terms[0].factor_count = 2;
    terms[1].factors = after_c, terms[1].factor_count = 2;
    terms[2].factors = &nested, terms[2].factor_count = 1;
    tulle_pattern *pattern = make(terms, 3);
    assert_int_equal(pattern->term_count, 3);
    assert_int_equal(pattern->canonical_count, 1);
    tulle_pattern_destroy(pattern);
    terms[2].factor_count = 0;  // b alone is another
    terms[2].factors = NULL;
    pattern = make(terms, 3);
    assert_int_equal(pattern->canonical_count, 2);
    tulle_pattern_destroy(pattern);
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
    // lists by head, and what a factor asks
    const tulle_term slash = { .kind = TULLE_VERTICAL_SLASH, LIST(3, 4), .layouts = 2 },
                     shared = { .kind = TULLE_VERTICAL_SLASH, LIST(3, 4) },
                     factor = { .kind = TULLE_WINDOW, FACTORS(slash) },
                     drawn = {
                         .kind = TULLE_WINDOW, .left = 3, .factors = random + 1, .factor_count = 1
                     };
    const struct {
        tulle_term term;
        bool by_head;
    } cases[] = { { slash, true }, { shared, false }, { factor, true }, { drawn, true } };
    for (size_t i = 0; i < COUNT(cases); ++i) {
        pattern = make(&cases[i].term, 1);
        assert_int_equal(pattern_by_head(pattern), cases[i].by_head);
        tulle_pattern_destroy(pattern);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_copies_and_references),
        cmocka_unit_test(test_factors),
        cmocka_unit_test(test_repeated_factors),
        cmocka_unit_test(test_unused_fields),
        cmocka_unit_test(test_canonical_order),
        cmocka_unit_test(test_term_step),
        cmocka_unit_test(test_by_head),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
