// SPDX-License-Identifier: MIT
//
// A pattern as the planner sees it: checked, copied, its terms in one canonical order.
#ifndef TULLE_SRC_PATTERN_PATTERN_H
#define TULLE_SRC_PATTERN_PATTERN_H

#include <stdatomic.h>

#include "common/error.h"
#include "tulle/inspect.h"

/// One checked factor, and the others of its term. Numbers are those of tulle_term; what a kind does
/// not use is 0.
struct term {
    tulle_term_kind kind;
    int64_t left, right;  ///< TULLE_INFINITE or ≥ 0
    int64_t step, count, block;
    uint64_t seed;
    // GLOBAL_LIST: positions sorted, each once. DOCUMENTS: cumulative lengths. VERTICAL_SLASH: as
    // GLOBAL_LIST within each layout, which are row_offsets[layout] …
    int64_t *positions;
    size_t position_count;
    // VERTICAL_SLASH: as the columns, their layouts diagonal_offsets[layout] …
    int64_t *diagonals;
    size_t diagonal_count;
    int64_t *diagonal_offsets;  ///< layouts + 1
    // BLOCKS, as CSR whatever it was given as: columns rising within a row.
    int64_t layouts, block_rows, block_cols;
    int64_t *row_offsets;  ///< layouts · block_rows + 1
    int32_t *columns;
    // NEIGHBORHOOD
    uint32_t axes;
    struct grid_axis {
        int64_t length;  ///< 0: kv_len
        int64_t kernel, dilation;
        bool causal;
    } axis[TULLE_AXES_MOST];  ///< the last one's positions are neighbours
    char *names[2];           ///< the FILEs it was read from, for printing; NULL: none
    struct term *factors;     ///< the term's others, as given; they have none themselves
    uint32_t factor_count;
};

/// A term as the planner sees it: its factors in canonical order, each once; DENSE alone or not at
/// all.
struct product {
    const struct term **factors;
    uint32_t count;
};

struct tulle_pattern {
    atomic_uint references;
    uint32_t term_count;
    struct term *terms;        ///< as the caller gave them, for printing
    uint32_t canonical_count;  ///< equal terms once
    /// by planner step (product_step), then by factors: kind, numbers, array contents
    const struct product **canonical;
    struct product *products;     ///< what these lie in,
    const struct term **factors;  ///< and their factors
};

/// The step in which the planner would tile a term: dilated and strided their own, all others 1;
/// several together the least that serves all.
int64_t product_step(const struct product *product);

/// Does the factor, of its own, select (p, j)? Causality and lengths are not applied, except as the
/// draw of random blocks needs them.
bool term_selects(const struct term *term, const tulle_pattern_site *site, int64_t p, int64_t j);

/// Which layout of a BLOCKS or VERTICAL_SLASH term a query head uses; −1: it has none for that head.
int64_t term_layout(const struct term *term, int64_t head, int64_t heads, int64_t kv_heads);

/// Numbers that rise, each once.
struct rising {
    const int64_t *values;
    size_t count;
};

/// The columns that a GLOBAL_LIST or VERTICAL_SLASH selects for the head whatever the query, and
/// the diagonals of the latter.
struct rising columns_of(const struct term *term, const tulle_pattern_site *site);
struct rising diagonals_of(const struct term *term, const tulle_pattern_site *site);

/// Does what a factor selects depend on the query head?
bool term_by_head(const struct term *term);

/// An axis as long as it is with so many keys.
int64_t axis_length(const struct grid_axis *axis, int64_t kv_len);

/// The positions that `x` selects on an axis of `length` positions, 0 ≤ x < length: `count` of
/// them, `dilation` apart, from `first` on.
struct axis_keys {
    int64_t first, count;
};
struct axis_keys axis_keys(const struct grid_axis *axis, int64_t length, int64_t x);

/// The key blocks in [first, end) that a RANDOM term selects for (head, query block I ≥ 0), each once
/// and in an order that all but rises, into blocks; returns how many, at most term->count, and never
/// more than there are to draw from. `blocks` must hold, however narrow the range, twice as many as
/// random_most(term, site, query_block), for the drawing.
size_t random_blocks(const struct term *term, const tulle_pattern_site *site, int64_t query_block,
                     int64_t first, int64_t end, uint32_t *blocks);

/// Upper bound of what random_blocks returns for query blocks up to `last_query_block`.
size_t random_most(const struct term *term, const tulle_pattern_site *site,
                   int64_t last_query_block);

/// What a term in canonical order was given as.
const struct term *product_term(const tulle_pattern *pattern, const struct product *product);

/// As tulle_pattern_print, of one term.
size_t term_print(const struct term *term, char *text, size_t size);

/// One reference more; tulle_pattern_destroy gives it back.
tulle_pattern *pattern_retain(const tulle_pattern *pattern);

/// Does one of its factors depend on the query head?
bool pattern_by_head(const tulle_pattern *pattern);

#endif
