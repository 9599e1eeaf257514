// SPDX-License-Identifier: MIT
//
// Who shares a schedule: what of an attention is the same for several (batch, head) is planned
// once.
#ifndef TULLE_SRC_PROBLEM_GROUP_H
#define TULLE_SRC_PROBLEM_GROUP_H

#include "pattern/pattern.h"
#include "plan_memory.h"

/// Where a schedule is made: one (pattern, batch entry or packed sequence), and the head where the
/// pattern depends on it.
struct site {
    const tulle_pattern *pattern;
    tulle_pattern_site at;  ///< head, heads, kv_heads, kv_len (of this batch entry), causal
    int64_t q_len;          ///< rows of Q and O that are this entry's
    int64_t q_length;       ///< rows that exist; the others are empty
    int64_t kv_start;       ///< first key that exists; at.kv_len is the end
    int64_t q_offset;       ///< p = i + q_offset
    const uint32_t
        *tree;            ///< which of the keys from q_offset on each query row sees; NULL: as ever
    int64_t tree_rows;    ///< query rows that it has
    uint32_t tree_words;  ///< of a row of it
    // Where a schedule takes rows apart (schedule/row_sets.h); else NULL.
    const uint32_t *rows;   ///< row n is the listed row rows[n] (plan_memory.h); as many as q_len
    const uint32_t *apart;  ///< query rows that are another set's, rising
    size_t apart_count;
};

/// Where the keys end that patterns select from: behind them are the tree's.
static inline int64_t site_pattern_end(const struct site *site) {
    return site->tree ? site->q_offset : site->at.kv_len;
}

/// What of an attention has the same runs: (pattern, lengths[, head]), and its entries.
struct group {
    struct site site;
    struct pm_entry *entries;  ///< by sequence and head, rising
    uint32_t entry_count;
};

struct attention;

/// Fills a->groups from the descriptor's lengths, offsets and deal of the patterns, and checks the
/// patterns against them. Of *a, all else is there. What it made is freed by groups_free, on failure
/// too.
tulle_result groups_make(const tulle_attention_desc *desc, struct attention *a, tulle_error *error);
void groups_free(struct attention *a);

/// The group that (batch entry or packed sequence, head) belongs to; NULL: a sequence without rows.
const struct group *attention_group(const struct attention *a, uint32_t sequence, uint32_t head);

#endif
