// SPDX-License-Identifier: MIT
//
// A pattern as the planner sees it: checked, copied, its terms in one canonical order.
#ifndef TULLE_SRC_PATTERN_PATTERN_H
#define TULLE_SRC_PATTERN_PATTERN_H

#include <stdatomic.h>

#include "common/error.h"
#include "tulle/inspect.h"

/// One checked term. Numbers are those of tulle_term; what a kind does not use is 0.
struct term {
    tulle_term_kind kind;
    int64_t left, right;  ///< TULLE_INFINITE or ≥ 0
    int64_t step, count, block;
    uint64_t seed;
    // GLOBAL_LIST: positions sorted, each once. DOCUMENTS: cumulative lengths.
    int64_t *positions;
    size_t position_count;
    // BLOCKS, as CSR whatever it was given as: columns rising within a row.
    int64_t layouts, block_rows, block_cols;
    int64_t *row_offsets;  ///< layouts · block_rows + 1
    int32_t *columns;
    char *name;  ///< the FILE it was read from, for printing; NULL: none
};

struct tulle_pattern {
    atomic_uint references;
    uint32_t term_count;
    struct term *terms;        ///< as the caller gave them, for printing
    uint32_t canonical_count;  ///< equal terms once
    /// by planner step (term_step), then kind, then numbers, then array contents
    const struct term **canonical;
};

/// The step in which the planner would tile a term: dilated and strided their own, all others 1.
int64_t term_step(const struct term *term);

/// Does it select (p, j)? Causality and lengths are not applied, except as the draw of random
/// blocks needs them.
bool term_selects(const struct term *term, const tulle_pattern_site *site, int64_t p, int64_t j);

/// Which layout of a BLOCKS term a query head uses.
int64_t blocks_layout(const struct term *term, int64_t head, int64_t heads, int64_t kv_heads);

/// The key blocks that a RANDOM term selects for (head, query block I ≥ 0), rising, into blocks;
/// returns how many, at most term->count, and never more than there are to draw from. `blocks` must
/// hold random_most(term, site) entries.
size_t random_blocks(const struct term *term, const tulle_pattern_site *site, int64_t query_block,
                     int64_t *blocks);

/// Upper bound of what random_blocks returns for query blocks up to `last_query_block`.
size_t random_most(const struct term *term, const tulle_pattern_site *site,
                   int64_t last_query_block);

/// One reference more; tulle_pattern_destroy gives it back.
tulle_pattern *pattern_retain(const tulle_pattern *pattern);

/// Does a term depend on the query head (RANDOM, BLOCKS with more than one layout)?
bool pattern_by_head(const tulle_pattern *pattern);

#endif
