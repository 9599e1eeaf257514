// SPDX-License-Identifier: MIT
//
// Patterns: their life, their canonical order, and the plain answer to "does it select (p, j)?".
#include "pattern/pattern.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/arithmetic.h"
#include "common/error.h"
#include "common/search.h"
#include "pattern/pattern_build.h"

// p = i + q_offset with i and q_offset below 2³¹: nothing computed here overflows, and a query
// block fits 32 bits.
#define FURTHEST_POSITION INT64_C(0xFFFFFFFE)

// -------------------------------------------------------------------------------------------------
// Canonical order

int64_t term_step(const struct term *term) {
    return term->kind == TULLE_DILATED || term->kind == TULLE_STRIDED ? term->step : 1;
}

static int compare_int64(int64_t a, int64_t b) { return (a > b) - (a < b); }

static int compare_arrays(const struct term *a, const struct term *b) {
    int order = 0;
    for (size_t i = 0; i < a->position_count && !order; ++i)
        order = compare_int64(a->positions[i], b->positions[i]);
    if (order || a->kind != TULLE_BLOCKS) return order;
    int64_t rows = a->layouts * a->block_rows;
    for (int64_t i = 0; i <= rows && !order; ++i)
        order = compare_int64(a->row_offsets[i], b->row_offsets[i]);
    if (order) return order;
    for (int64_t i = 0; i < a->row_offsets[rows] && !order; ++i)
        order = compare_int64(a->columns[i], b->columns[i]);
    return order;
}

int term_compare(const struct term *a, const struct term *b) {
    int order = compare_int64(term_step(a), term_step(b));
    if (!order) order = compare_int64((int64_t)a->kind, (int64_t)b->kind);
    if (!order) order = compare_int64(a->left, b->left);
    if (!order) order = compare_int64(a->right, b->right);
    if (!order) order = compare_int64(a->step, b->step);
    if (!order) order = compare_int64(a->count, b->count);
    if (!order) order = compare_int64(a->block, b->block);
    if (!order) order = (a->seed > b->seed) - (a->seed < b->seed);
    if (!order)
        order = (a->position_count > b->position_count) - (a->position_count < b->position_count);
    if (!order) order = compare_int64(a->layouts, b->layouts);
    if (!order) order = compare_int64(a->block_rows, b->block_rows);
    if (!order) order = compare_int64(a->block_cols, b->block_cols);
    return order ? order : compare_arrays(a, b);
}

static int compare_pointers(const void *a, const void *b) {
    return term_compare(*(const struct term *const *)a, *(const struct term *const *)b);
}

// -------------------------------------------------------------------------------------------------
// Life

static void free_terms(struct term *terms, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) term_clear(&terms[i]);
    free(terms);
}

tulle_result pattern_assemble(struct term *terms, uint32_t count, tulle_pattern **out,
                              tulle_error *error) {
    tulle_pattern *pattern = malloc(sizeof *pattern);
    const struct term **canonical = calloc(count, sizeof *canonical);
    if (!pattern || !canonical) {
        free(pattern);
        free(canonical);
        free_terms(terms, count);
        return tulle_fail(error, TULLE_ERROR_OUT_OF_HOST_MEMORY,
                          "no memory for a pattern of %" PRIu32 " terms", count);
    }
    for (uint32_t i = 0; i < count; ++i) canonical[i] = &terms[i];
    qsort(canonical, count, sizeof *canonical, compare_pointers);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; ++i)
        if (!kept || term_compare(canonical[kept - 1], canonical[i]))
            canonical[kept++] = canonical[i];

    atomic_init(&pattern->references, 1);
    pattern->term_count = count;
    pattern->terms = terms;
    pattern->canonical_count = kept;
    pattern->canonical = canonical;
    *out = pattern;
    return TULLE_OK;
}

tulle_result tulle_pattern_create(const tulle_term *terms, uint32_t term_count, tulle_pattern **out,
                                  tulle_error *error) {
    if (!out)
        return tulle_fail(error, TULLE_ERROR_INVALID_ARGUMENT,
                          "out is NULL; it must point to a tulle_pattern *");
    *out = NULL;
    if (!term_count)
        return tulle_fail(error, TULLE_ERROR_INVALID_ARGUMENT,
                          "term_count is 0; a pattern is a union of at least one term");
    if (!terms)
        return tulle_fail(error, TULLE_ERROR_INVALID_ARGUMENT,
                          "terms is NULL; it must point to term_count, %" PRIu32 ", terms",
                          term_count);
    struct term *copies = calloc(term_count, sizeof *copies);
    if (!copies)
        return tulle_fail(error, TULLE_ERROR_OUT_OF_HOST_MEMORY, "no memory for %" PRIu32 " terms",
                          term_count);
    for (uint32_t i = 0; i < term_count; ++i) {
        tulle_result result = term_build(&copies[i], &terms[i], NULL, i + 1, error);
        if (result) {
            free_terms(copies, i);
            return result;
        }
    }
    return pattern_assemble(copies, term_count, out, error);
}

tulle_pattern *pattern_retain(const tulle_pattern *pattern) {
    // The count is not part of what a pattern says, so a const pattern may be shared too.
    tulle_pattern *shared = (tulle_pattern *)(uintptr_t)pattern;
    if (shared) atomic_fetch_add_explicit(&shared->references, 1, memory_order_relaxed);
    return shared;
}

void tulle_pattern_destroy(tulle_pattern *pattern) {
    if (!pattern || atomic_fetch_sub_explicit(&pattern->references, 1, memory_order_acq_rel) != 1)
        return;
    free_terms(pattern->terms, pattern->term_count);
    free(pattern->canonical);
    free(pattern);
}

void tulle_patterns_free(tulle_pattern **patterns, uint32_t count) {
    if (!patterns) return;
    for (uint32_t i = 0; i < count; ++i) tulle_pattern_destroy(patterns[i]);
    free(patterns);
}

// -------------------------------------------------------------------------------------------------
// What it selects

int64_t blocks_layout(const struct term *term, int64_t head, int64_t heads, int64_t kv_heads) {
    if (term->layouts == 1) return 0;
    if (term->layouts == heads) return head;
    return term->layouts == kv_heads && heads > 0 ? head * kv_heads / heads : -1;
}

static bool listed(const struct term *term, int64_t position) {
    size_t at = count_below(term->positions, term->position_count, position);
    return at < term->position_count && term->positions[at] == position;
}

// Which interval of the cumulative lengths a position lies in; 0: none. Equal neighbours hold
// nothing.
static size_t document(const struct term *term, int64_t position) {
    size_t count = count_below(term->positions, term->position_count, position + 1);
    return count == term->position_count ? 0 : count;
}

static bool blocks_select(const struct term *term, const tulle_pattern_site *site, int64_t p,
                          int64_t j) {
    int64_t layout = blocks_layout(term, site->head, site->heads, site->kv_heads);
    int64_t row = floor_div(p, term->block), column = floor_div(j, term->block);
    if (layout < 0 || layout >= term->layouts || row < 0 || row >= term->block_rows) return false;
    const int64_t *ends = &term->row_offsets[layout * term->block_rows + row];
    const int32_t *columns = term->columns + ends[0];
    size_t count = (size_t)(ends[1] - ends[0]), at = count_below32(columns, count, column);
    return at < count && columns[at] == column;
}

bool term_selects(const struct term *term, const tulle_pattern_site *site, int64_t p, int64_t j) {
    int64_t distance = p - j;  // 0: the key at the query's own position; > 0: to its left
    switch (term->kind) {
    case TULLE_DENSE: return true;
    case TULLE_WINDOW:
        return (term->left == TULLE_INFINITE || distance <= term->left) &&
               (term->right == TULLE_INFINITE || -distance <= term->right);
    case TULLE_DILATED:
        return distance % term->step == 0 &&
               (term->left == TULLE_INFINITE || distance <= term->left * term->step) &&
               (term->right == TULLE_INFINITE || -distance <= term->right * term->step);
    case TULLE_GLOBAL: return j < term->count || (p >= 0 && p < term->count);
    case TULLE_GLOBAL_LIST: return listed(term, j) || listed(term, p);
    case TULLE_SINK: return j < term->count;
    case TULLE_STRIDED: return distance % term->step == 0;
    case TULLE_FIXED: {
        int64_t key_block = floor_div(j, term->step);
        return floor_div(p, term->step) == key_block ||
               j - key_block * term->step >= term->step - term->count;
    }
    case TULLE_BLOCKS: return blocks_select(term, site, p, j);
    case TULLE_RANDOM:
        return p >= 0 && random_selects(term, site, p / term->block, floor_div(j, term->block));
    case TULLE_DOCUMENTS: return document(term, p) != 0 && document(term, p) == document(term, j);
    }
    return false;
}

bool tulle_pattern_selects(const tulle_pattern *pattern, const tulle_pattern_site *site, int64_t p,
                           int64_t j) {
    if (!pattern || !site || j < 0 || j >= site->kv_len || j > FURTHEST_POSITION) return false;
    if (p < -FURTHEST_POSITION || p > FURTHEST_POSITION || (site->causal && j > p)) return false;
    tulle_pattern_site at = *site;
    if (!at.heads) at.heads = 1;
    if (!at.kv_heads) at.kv_heads = at.heads;
    if (at.head < 0 || at.head >= at.heads) return false;
    for (uint32_t i = 0; i < pattern->canonical_count; ++i)
        if (term_selects(pattern->canonical[i], &at, p, j)) return true;
    return false;
}

bool pattern_by_head(const tulle_pattern *pattern) {
    for (uint32_t i = 0; i < pattern->canonical_count; ++i) {
        const struct term *term = pattern->canonical[i];
        if (term->kind == TULLE_RANDOM || (term->kind == TULLE_BLOCKS && term->layouts > 1))
            return true;
    }
    return false;
}
