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

static int64_t term_step(const struct term *term) {
    if (term->kind == TULLE_NEIGHBORHOOD && term->axes == 1) return term->axis[0].dilation;
    return term->kind == TULLE_DILATED || term->kind == TULLE_STRIDED ? term->step : 1;
}

int64_t product_step(const struct product *product) {
    int64_t step = 1;
    for (uint32_t i = 0; i < product->count; ++i) {
        const int64_t own = term_step(product->factors[i]),
                      both = common_multiple(step, own, (int64_t)INT32_MAX + 1);
        step = both <= INT32_MAX ? both : most(step, own);  // any is right
    }
    return step;
}

static int compare_int64(int64_t a, int64_t b) { return (a > b) - (a < b); }

/// Of equally many.
static int compare_many(const int64_t *a, const int64_t *b, int64_t count) {
    int order = 0;
    for (int64_t i = 0; i < count && !order; ++i) order = compare_int64(a[i], b[i]);
    return order;
}

static int compare_arrays(const struct term *a, const struct term *b) {
    int order = compare_many(a->positions, b->positions, (int64_t)a->position_count);
    if (!order) order = compare_many(a->diagonals, b->diagonals, (int64_t)a->diagonal_count);
    if (!order && a->kind == TULLE_VERTICAL_SLASH) {
        order = compare_many(a->row_offsets, b->row_offsets, a->layouts + 1);
        if (!order) order = compare_many(a->diagonal_offsets, b->diagonal_offsets, a->layouts + 1);
    }
    if (order || a->kind != TULLE_BLOCKS) return order;
    int64_t rows = a->layouts * a->block_rows;
    order = compare_many(a->row_offsets, b->row_offsets, rows + 1);
    if (order) return order;
    for (int64_t i = 0; i < a->row_offsets[rows] && !order; ++i)
        order = compare_int64(a->columns[i], b->columns[i]);
    return order;
}

static int compare_axes(const struct term *a, const struct term *b) {
    int order = compare_int64(a->axes, b->axes);
    for (uint32_t i = 0; i < a->axes && !order; ++i) {
        const struct grid_axis *x = &a->axis[i], *y = &b->axis[i];
        order = compare_int64(x->length, y->length);
        if (!order) order = compare_int64(x->kernel, y->kernel);
        if (!order) order = compare_int64(x->dilation, y->dilation);
        if (!order) order = compare_int64(x->causal, y->causal);
    }
    return order;
}

int term_compare(const struct term *a, const struct term *b) {
    int order = compare_int64((int64_t)a->kind, (int64_t)b->kind);
    if (!order) order = compare_int64(a->left, b->left);
    if (!order) order = compare_int64(a->right, b->right);
    if (!order) order = compare_int64(a->step, b->step);
    if (!order) order = compare_int64(a->count, b->count);
    if (!order) order = compare_int64(a->block, b->block);
    if (!order) order = (a->seed > b->seed) - (a->seed < b->seed);
    if (!order)
        order = (a->position_count > b->position_count) - (a->position_count < b->position_count);
    if (!order)
        order = (a->diagonal_count > b->diagonal_count) - (a->diagonal_count < b->diagonal_count);
    if (!order) order = compare_axes(a, b);
    if (!order) order = compare_int64(a->layouts, b->layouts);
    if (!order) order = compare_int64(a->block_rows, b->block_rows);
    if (!order) order = compare_int64(a->block_cols, b->block_cols);
    return order ? order : compare_arrays(a, b);
}

static int compare_factors(const void *a, const void *b) {
    return term_compare(*(const struct term *const *)a, *(const struct term *const *)b);
}

int product_compare(const struct product *a, const struct product *b) {
    int order = compare_int64(product_step(a), product_step(b));
    for (uint32_t i = 0; i < a->count && i < b->count && !order; ++i)
        order = term_compare(a->factors[i], b->factors[i]);
    return order ? order : compare_int64(a->count, b->count);
}

static int compare_products(const void *a, const void *b) {
    return product_compare(*(const struct product *const *)a, *(const struct product *const *)b);
}

struct product product_of(const struct term *term, const struct term **factors) {
    uint32_t count = 0, kept = 0;
    factors[count++] = term;
    for (uint32_t i = 0; i < term->factor_count; ++i) factors[count++] = &term->factors[i];
    qsort(factors, count, sizeof *factors, compare_factors);
    for (uint32_t i = 0; i < count; ++i) {
        if (kept && factors[0]->kind == TULLE_DENSE)
            kept = 0;  // sorted first; it restricts nothing
        if (!kept || term_compare(factors[kept - 1], factors[i])) factors[kept++] = factors[i];
    }
    return (struct product){ factors, kept };
}

// -------------------------------------------------------------------------------------------------
// Life

static void free_terms(struct term *terms, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) term_clear(&terms[i]);
    free(terms);
}

/// Fills the canonical order.
static void put_in_order(tulle_pattern *pattern) {
    const struct term **room = pattern->factors;
    const struct product **canonical = pattern->canonical;
    for (uint32_t i = 0; i < pattern->term_count; ++i) {
        pattern->products[i] = product_of(&pattern->terms[i], room);
        canonical[i] = &pattern->products[i];
        room += 1 + pattern->terms[i].factor_count;
    }
    qsort(canonical, pattern->term_count, sizeof *canonical, compare_products);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < pattern->term_count; ++i)
        if (!kept || product_compare(canonical[kept - 1], canonical[i]))
            canonical[kept++] = canonical[i];
    pattern->canonical_count = kept;
}

const struct term *product_term(const tulle_pattern *pattern, const struct product *product) {
    return &pattern->terms[product - pattern->products];
}

static void free_pattern(tulle_pattern *pattern) {
    if (!pattern) return;
    free_terms(pattern->terms, pattern->term_count);
    free(pattern->canonical);
    free(pattern->products);
    free(pattern->factors);
    free(pattern);
}

tulle_result pattern_assemble(struct term *terms, uint32_t count, tulle_pattern **out,
                              tulle_error *error) {
    tulle_pattern *pattern = calloc(1, sizeof *pattern);
    size_t factor_count = 0;
    for (uint32_t i = 0; i < count; ++i) factor_count += 1 + (size_t)terms[i].factor_count;
    if (pattern) {
        atomic_init(&pattern->references, 1);
        pattern->term_count = count;
        pattern->terms = terms;
        pattern->canonical = calloc(count, sizeof *pattern->canonical);
        pattern->products = calloc(count, sizeof *pattern->products);
        pattern->factors = calloc(factor_count, sizeof *pattern->factors);
    } else {
        free_terms(terms, count);
    }
    if (!pattern || !pattern->canonical || !pattern->products || !pattern->factors) {
        free_pattern(pattern);
        return tulle_fail(error, TULLE_ERROR_OUT_OF_HOST_MEMORY,
                          "no memory for a pattern of %" PRIu32 " terms", count);
    }
    put_in_order(pattern);
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
    free_pattern(pattern);
}

void tulle_patterns_free(tulle_pattern **patterns, uint32_t count) {
    if (!patterns) return;
    for (uint32_t i = 0; i < count; ++i) tulle_pattern_destroy(patterns[i]);
    free(patterns);
}

// -------------------------------------------------------------------------------------------------
// What it selects

int64_t term_layout(const struct term *term, int64_t head, int64_t heads, int64_t kv_heads) {
    if (term->layouts == 1) return 0;
    if (term->layouts == heads) return head;
    return term->layouts == kv_heads && heads > 0 ? head * kv_heads / heads : -1;
}

static bool is_among(struct rising list, int64_t sought) {
    size_t at = count_below(list.values, list.count, sought);
    return at < list.count && list.values[at] == sought;
}

/// A layout's part of a list; nothing where the head has no layout.
static struct rising layout_of(const struct term *term, const tulle_pattern_site *site,
                               const int64_t *values, const int64_t *offsets) {
    const int64_t layout = term_layout(term, site->head, site->heads, site->kv_heads);
    if (layout < 0) return (struct rising){ NULL, 0 };
    return (struct rising){ values + offsets[layout],
                            (size_t)(offsets[layout + 1] - offsets[layout]) };
}

struct rising columns_of(const struct term *term, const tulle_pattern_site *site) {
    if (term->kind == TULLE_VERTICAL_SLASH)
        return layout_of(term, site, term->positions, term->row_offsets);
    return (struct rising){ term->positions, term->position_count };
}

struct rising diagonals_of(const struct term *term, const tulle_pattern_site *site) {
    return layout_of(term, site, term->diagonals, term->diagonal_offsets);
}

// Which interval of the cumulative lengths a position lies in; 0: none. Equal neighbours hold
// nothing.
static size_t document(const struct term *term, int64_t position) {
    size_t count = count_below(term->positions, term->position_count, position + 1);
    return count == term->position_count ? 0 : count;
}

static bool blocks_select(const struct term *term, const tulle_pattern_site *site, int64_t p,
                          int64_t j) {
    int64_t layout = term_layout(term, site->head, site->heads, site->kv_heads);
    int64_t row = floor_div(p, term->block), column = floor_div(j, term->block);
    if (layout < 0 || layout >= term->layouts || row < 0 || row >= term->block_rows) return false;
    const int64_t *ends = &term->row_offsets[layout * term->block_rows + row];
    const int32_t *columns = term->columns + ends[0];
    size_t count = (size_t)(ends[1] - ends[0]), at = count_below32(columns, count, column);
    return at < count && columns[at] == column;
}

int64_t axis_length(const struct grid_axis *axis, int64_t kv_len) {
    return axis->length ? axis->length : kv_len;
}

struct axis_keys axis_keys(const struct grid_axis *axis, int64_t length, int64_t x) {
    const int64_t d = axis->dilation, residue = x % d, at = x / d;
    if (axis->causal) {
        const int64_t first = most(0, at - axis->kernel + 1);
        return (struct axis_keys){ residue + d * first, at - first + 1 };
    }
    const int64_t members = ceil_div(length - residue, d),
                  first = most(0, least(at - axis->kernel / 2, members - axis->kernel));
    return (struct axis_keys){ residue + d * first, axis->kernel };
}

static bool neighborhood_selects(const struct term *term, int64_t kv_len, int64_t p, int64_t j) {
    if (p < 0 || j < 0) return false;
    for (uint32_t i = term->axes; i-- > 0;) {
        const struct grid_axis *axis = &term->axis[i];
        const int64_t length = axis_length(axis, kv_len);
        if (axis->kernel * axis->dilation > length) return false;
        if (i == 0 && (p >= length || j >= length)) return false;
        const struct axis_keys keys = axis_keys(axis, length, p % length);
        const int64_t behind = j % length - keys.first;
        if (behind < 0 || behind % axis->dilation || behind / axis->dilation >= keys.count)
            return false;
        p /= length;
        j /= length;
    }
    return true;
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
    case TULLE_GLOBAL_LIST:
        return is_among(columns_of(term, site), j) || is_among(columns_of(term, site), p);
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
    case TULLE_PREFIX: return j <= p || (p < term->count && j < term->count);
    case TULLE_CHUNKED: return floor_div(p, term->step) == floor_div(j, term->step);
    case TULLE_A_SHAPE: return j < term->count || (distance >= 0 && distance < term->block);
    case TULLE_VERTICAL_SLASH:
        return is_among(columns_of(term, site), j) || is_among(diagonals_of(term, site), distance);
    case TULLE_NEIGHBORHOOD: return neighborhood_selects(term, site->kv_len, p, j);
    }
    return false;
}

static bool product_selects(const struct product *product, const tulle_pattern_site *site,
                            int64_t p, int64_t j) {
    for (uint32_t i = 0; i < product->count; ++i)
        if (!term_selects(product->factors[i], site, p, j)) return false;
    return true;
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
        if (product_selects(pattern->canonical[i], &at, p, j)) return true;
    return false;
}

bool term_by_head(const struct term *term) {
    return term->kind == TULLE_RANDOM || term->layouts > 1;
}

bool pattern_by_head(const tulle_pattern *pattern) {
    for (uint32_t i = 0; i < pattern->canonical_count; ++i)
        for (uint32_t k = 0; k < pattern->canonical[i]->count; ++k)
            if (term_by_head(pattern->canonical[i]->factors[k])) return true;
    return false;
}
