// SPDX-License-Identifier: MIT
//
// Who shares a schedule: sequences (batch entries, or packed into one) of the same lengths, heads of
// the same pattern that select the same by it.
#include "problem/group.h"

#include <stdlib.h>
#include <string.h>

#include "common/arithmetic.h"
#include "problem/attention.h"

#define INVALID(...) return tulle_fail(error, TULLE_ERROR_INVALID_ARGUMENT, __VA_ARGS__)

/// What may differ from one sequence to the next.
struct lengths {
    int64_t q_len, q_length, kv_length, kv_start, q_offset;
    int64_t first_row, first_key;  ///< where it begins, if packed
    const uint32_t *tree;
};

static tulle_result read_batch_lengths(const tulle_attention_desc *d, const struct attention *a,
                                       uint32_t b, struct lengths *e, tulle_error *error) {
    const struct {
        const int32_t *values;
        const char *name;
        uint32_t most;
    } list[] = { { d->q_lengths, "q_lengths", a->q_len },
                 { d->kv_lengths, "kv_lengths", a->kv_len },
                 { d->kv_starts, "kv_starts", a->kv_len } };
    int64_t value[3] = { a->q_len, a->kv_len, 0 };
    for (int i = 0; i < 3; i++) {
        if (!list[i].values) continue;
        value[i] = list[i].values[b];
        if (value[i] < 0 || value[i] > list[i].most)
            INVALID("%s[%u] is %lld; it must be from 0 to %u", list[i].name, b, (long long)value[i],
                    list[i].most);
    }
    *e = (struct lengths){
        .q_len = a->q_len, .q_length = value[0], .kv_length = value[1], .kv_start = value[2]
    };
    return TULLE_OK;
}

static void read_packed_lengths(const tulle_attention_desc *d, uint32_t s, struct lengths *e) {
    const int32_t *q = d->cu_q + s, *kv = (d->cu_kv ? d->cu_kv : d->cu_q) + s;
    *e = (struct lengths){ .q_len = q[1] - q[0],
                           .q_length = q[1] - q[0],
                           .kv_length = kv[1] - kv[0],
                           .first_row = q[0],
                           .first_key = kv[0] };
}

static tulle_result read_lengths(const tulle_attention_desc *d, const struct attention *a,
                                 uint32_t s, struct lengths *e, tulle_error *error) {
    if (d->cu_q) {
        read_packed_lengths(d, s, e);
    } else {
        tulle_result result = read_batch_lengths(d, a, s, e, error);
        if (result) return result;
    }
    if (d->q_align == TULLE_ALIGN_LAST_KEY) e->q_offset = e->kv_length - e->q_length;
    if (d->q_align == TULLE_ALIGN_GIVEN) e->q_offset = d->q_offsets[d->q_offset_count > 1 ? s : 0];
    if (a->trees && e->q_length > a->tree_rows)
        INVALID("tree_rows is %u; %s %u has %lld query rows, so it must be at least that",
                a->tree_rows, d->cu_q ? "sequence" : "batch entry", s, (long long)e->q_length);
    if (a->trees) e->tree = a->trees + (size_t)s * a->tree_rows * attention_tree_words(a);
    if (e->q_offset + e->q_len > INT32_MAX)
        INVALID("q_offset is %lld for %s %u; the last query's position must stay below 2147483648",
                (long long)e->q_offset, d->cu_q ? "sequence" : "batch entry", s);
    return TULLE_OK;
}

/// How far the queries and keys of the sequences reach that a pattern is for.
struct extent {
    int64_t position_last;       ///< of a query; −1 or less: none at 0 or above
    int64_t kv_most, kv_fewest;  ///< keys of an entry that has queries and keys; 0: there is none
};

static tulle_result check_blocks(const struct term *factor, const struct extent *extent,
                                 uint32_t pattern, uint32_t term, tulle_error *error) {
    int64_t rows = extent->position_last / factor->block + 1,
            cols = (extent->kv_most + factor->block - 1) / factor->block;
    if (extent->position_last >= 0 && factor->block_rows < rows)
        INVALID(
            "pattern %u, term %u (blocks): its mask has %lld block rows of %lld; the last query stands at position %lld, so it needs at least %lld",
            pattern, term, (long long)factor->block_rows, (long long)factor->block,
            (long long)extent->position_last, (long long)rows);
    if (factor->block_cols < cols)
        INVALID(
            "pattern %u, term %u (blocks): its mask has %lld block columns of %lld; %lld keys need at least %lld",
            pattern, term, (long long)factor->block_cols, (long long)factor->block,
            (long long)extent->kv_most, (long long)cols);
    return TULLE_OK;
}

/// Numbers count from 1, as those of specs do.
static tulle_result check_factor(const struct attention *a, const struct term *factor,
                                 const struct extent *extent, uint32_t pattern, uint32_t term,
                                 tulle_error *error) {
    const bool blocks = factor->kind == TULLE_BLOCKS, by_layout = factor->layouts > 1;
    const struct grid_axis *axis = &factor->axis[0];
    if (by_layout && factor->layouts != a->kv_heads && factor->layouts != a->heads)
        INVALID(
            "pattern %u, term %u (%s): its %s %lld layouts; there must be 1, one per kv head (%u) or one per head (%u)",
            pattern, term, blocks ? "blocks" : "vertical_slash", blocks ? "mask has" : "lists have",
            (long long)factor->layouts, a->kv_heads, a->heads);
    if (blocks) return check_blocks(factor, extent, pattern, term, error);
    if (factor->axes == 1 && extent->kv_fewest && axis->kernel * axis->dilation > extent->kv_fewest)
        INVALID(
            "pattern %u, term %u (neighborhood): kernel x dilation is %lld x %lld; it must be at most the keys there are, %lld",
            pattern, term, (long long)axis->kernel, (long long)axis->dilation,
            (long long)extent->kv_fewest);
    return TULLE_OK;
}

static tulle_result check_pattern(const struct attention *a, const tulle_pattern *pattern,
                                  uint32_t number, const struct extent *extent,
                                  tulle_error *error) {
    for (uint32_t i = 0; i < pattern->term_count; i++) {
        const struct term *term = &pattern->terms[i];
        tulle_result result = check_factor(a, term, extent, number, i + 1, error);
        for (uint32_t k = 0; k < term->factor_count && !result; k++)
            result = check_factor(a, &term->factors[k], extent, number, i + 1, error);
        if (result) return result;
    }
    return TULLE_OK;
}

/// Do the runs depend on where the queries stand? Where not, batch entries whose queries stand
/// elsewhere share them.
static bool runs_depend_on_position(const struct attention *a) {
    if (a->causal) return true;
    for (uint32_t i = 0; i < a->pattern_count; i++)
        for (uint32_t k = 0; k < a->patterns[i]->canonical_count; k++) {
            const struct product *term = a->patterns[i]->canonical[k];
            for (uint32_t f = 0; f < term->count; f++) {
                const tulle_term_kind kind = term->factors[f]->kind;
                if (kind != TULLE_DENSE && kind != TULLE_SINK) return true;
            }
        }
    return false;
}

/// Words of a tree's rows that exist.
static size_t tree_words(const struct attention *a, const struct lengths *e) {
    return e->tree ? (size_t)e->q_length * attention_tree_words(a) : 0;
}

static bool same_tree(const struct attention *of, const struct lengths *a,
                      const struct lengths *b) {
    const size_t words = tree_words(of, a);
    return !words || !memcmp(a->tree, b->tree, words * sizeof *a->tree);
}

static bool same_runs(const struct lengths *a, const struct lengths *b, bool by_position) {
    return a->q_len == b->q_len && a->q_length == b->q_length && a->kv_length == b->kv_length &&
           a->kv_start == b->kv_start && (!by_position || a->q_offset == b->q_offset);
}

/// Which heads may share a schedule under a pattern: those with the same key.
static uint32_t head_key(const struct attention *a, const tulle_pattern *pattern, uint32_t head) {
    uint32_t key = 0;
    for (uint32_t i = 0; i < pattern->canonical_count; i++) {
        const struct product *term = pattern->canonical[i];
        for (uint32_t k = 0; k < term->count; k++) {
            const struct term *factor = term->factors[k];
            if (!term_by_head(factor)) continue;
            if (factor->kind == TULLE_RANDOM ||
                (factor->layouts == a->heads && a->heads != a->kv_heads))
                return head;
            // its first head stands for all
            key = (uint32_t)term_layout(factor, head, a->heads, a->kv_heads) *
                  (a->heads / a->kv_heads);
        }
    }
    return key;
}

/// The index of the pattern that a head of a sequence uses.
static uint32_t pattern_of(const tulle_attention_desc *d, const struct attention *a,
                           uint32_t sequence, uint32_t head) {
    if (d->entry_pattern) return d->entry_pattern[(size_t)sequence * a->heads + head];
    return d->head_pattern ? d->head_pattern[head] : head % a->pattern_count;
}

static bool same_patterns(const tulle_attention_desc *d, const struct attention *a, uint32_t s,
                          uint32_t t) {
    return !d->entry_pattern ||
           !memcmp(d->entry_pattern + (size_t)s * a->heads, d->entry_pattern + (size_t)t * a->heads,
                   a->heads * sizeof *d->entry_pattern);
}

/// Sequences whose runs are the same make a class; a group is some heads of one.
struct dealing {
    const tulle_attention_desc *desc;
    struct lengths *lengths;  ///< of each sequence
    uint32_t *first;          ///< of each class: its first sequence,
    uint32_t *groups;         ///< and its heads' groups, as offsets into a->groups: [class][heads]
    uint32_t *of_sequence;
    uint32_t classes;
};

static uint64_t mixed(uint64_t hash, uint64_t value) {
    hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 32;
}

/// The same for sequences whose runs and patterns are.
static uint64_t hash_of(const struct attention *a, const struct dealing *deal, uint32_t s,
                        bool by_position) {
    const struct lengths *e = &deal->lengths[s];
    const uint32_t *patterns = deal->desc->entry_pattern;
    uint64_t hash = mixed(mixed(0, (uint64_t)e->q_len), (uint64_t)e->q_length);
    hash = mixed(mixed(hash, (uint64_t)e->kv_length), (uint64_t)e->kv_start);
    if (by_position) hash = mixed(hash, (uint64_t)e->q_offset);
    for (size_t i = 0; i < tree_words(a, e); i++) hash = mixed(hash, e->tree[i]);
    for (uint32_t h = 0; h < a->heads && patterns; h++)
        hash = mixed(hash, patterns[(size_t)s * a->heads + h]);
    return hash;
}

/// Classes in the order of their first sequences. False: out of memory.
static bool classify_sequences(const struct attention *a, struct dealing *deal) {
    const bool by_position = runs_depend_on_position(a);
    size_t room = 2;  // a power of 2, at most half of it taken
    while (room < 2 * (size_t)a->sequences) room *= 2;
    uint32_t *class_at = calloc(room, sizeof *class_at);  // by hash, or behind: class + 1; 0: none
    if (!class_at) return false;
    for (uint32_t s = 0; s < a->sequences; s++) {
        size_t at = hash_of(a, deal, s, by_position) & (room - 1);
        for (; class_at[at]; at = (at + 1) & (room - 1)) {
            const uint32_t first = deal->first[class_at[at] - 1];
            if (same_runs(&deal->lengths[first], &deal->lengths[s], by_position) &&
                same_tree(a, &deal->lengths[first], &deal->lengths[s]) &&
                same_patterns(deal->desc, a, first, s))
                break;
        }
        if (!class_at[at]) {
            deal->first[deal->classes++] = s;
            class_at[at] = deal->classes;
        }
        deal->of_sequence[s] = class_at[at] - 1;
    }
    free(class_at);
    return true;
}

static tulle_result read_lengths_all(struct attention *a, struct dealing *deal,
                                     tulle_error *error) {
    for (uint32_t s = 0; s < a->sequences; s++) {
        tulle_result result = read_lengths(deal->desc, a, s, &deal->lengths[s], error);
        if (result) return result;
    }
    return TULLE_OK;
}

static void extend(struct extent *extent, const struct lengths *e) {
    if (!e->q_length) return;
    extent->position_last = most(extent->position_last, e->q_length - 1 + e->q_offset);
    extent->kv_most = most(extent->kv_most, e->kv_length);
    if (e->kv_length)
        extent->kv_fewest =
            extent->kv_fewest ? least(extent->kv_fewest, e->kv_length) : e->kv_length;
}

/// *memory: false where it is out.
static tulle_result check_patterns(const struct attention *a, const struct dealing *deal,
                                   bool *memory, tulle_error *error) {
    const uint32_t *patterns = deal->desc->entry_pattern;
    struct extent *extents = malloc(a->pattern_count * sizeof *extents);
    tulle_result result = TULLE_OK;
    *memory = extents != NULL;
    if (!extents) return TULLE_OK;
    for (uint32_t i = 0; i < a->pattern_count; i++) extents[i] = (struct extent){ -1, 0, 0 };
    for (uint32_t k = 0; k < deal->classes; k++) {
        const uint32_t s = deal->first[k];
        // each for all sequences, or an entry for those that it is dealt to
        const uint32_t count = patterns ? a->heads : a->pattern_count;
        for (uint32_t i = 0; i < count; i++)
            extend(&extents[patterns ? patterns[(size_t)s * a->heads + i] : i], &deal->lengths[s]);
    }
    for (uint32_t i = 0; i < a->pattern_count && !result; i++)
        result = check_pattern(a, a->patterns[i], i + 1, &extents[i], error);
    free(extents);
    return result;
}

/// The group of a class of sequences and a head: one of the class's that the head may share, or a
/// new one.
static uint32_t group_of(const struct dealing *deal, struct attention *a, uint32_t class,
                         uint32_t head, uint32_t class_first) {
    const uint32_t sequence = deal->first[class], i = pattern_of(deal->desc, a, sequence, head);
    const tulle_pattern *pattern = a->patterns[i];
    const struct lengths *e = &deal->lengths[sequence];
    uint32_t g = class_first;
    for (; g < a->group_count; g++) {
        const struct site *site = &a->groups[g].site;
        if (site->pattern == pattern &&
            head_key(a, pattern, (uint32_t)site->at.head) == head_key(a, pattern, head))
            return g;
    }
    a->groups[a->group_count++].site =
        (struct site){ .pattern = pattern,
                       .at = { head, a->heads, a->kv_heads, e->kv_length, a->causal },
                       .q_len = e->q_len,
                       .q_length = e->q_length,
                       .kv_start = e->kv_start,
                       .q_offset = e->q_offset,
                       .tree = e->tree,
                       .tree_rows = e->q_length,
                       .tree_words = attention_tree_words(a) };
    return g;
}

static void add_entry(const struct attention *a, struct group *group, const struct lengths *e,
                      uint32_t index, uint32_t sequence) {
    group->entries[group->entry_count++] =
        (struct pm_entry){ .index = index,
                           .q_offset = (int32_t)e->q_offset,
                           .first_row = (uint32_t)e->first_row,
                           .first_key = (uint32_t)e->first_key,
                           .q_length = (uint32_t)e->q_length,
                           .kv_length = (uint32_t)e->kv_length,
                           .page_table = sequence * a->table_columns,
                           .sequence = sequence };
}

/// False: out of memory.
static bool fill_groups(struct dealing *deal, struct attention *a) {
    a->groups = calloc((size_t)deal->classes * a->heads, sizeof *a->groups);
    deal->groups = malloc((size_t)deal->classes * a->heads * sizeof *deal->groups);
    if (!a->groups || !deal->groups) return false;
    for (uint32_t k = 0; k < deal->classes; k++) {
        const uint32_t first = a->group_count;
        if (!deal->lengths[deal->first[k]].q_len) continue;  // packed, and without a row
        for (uint32_t h = 0; h < a->heads; h++)
            deal->groups[(size_t)k * a->heads + h] = group_of(deal, a, k, h, first);
    }
    for (int counted = 0; counted < 2; counted++) {  // how many entries, then which
        for (uint32_t s = 0; s < a->sequences; s++) {
            const struct lengths *e = &deal->lengths[s];
            for (uint32_t h = 0; h < a->heads && e->q_len; h++) {
                const size_t at = (size_t)deal->of_sequence[s] * a->heads + h;
                struct group *group = &a->groups[deal->groups[at]];
                if (counted) add_entry(a, group, e, (a->batch > 1 ? s * a->heads : 0) + h, s);
                else group->entry_count++;
            }
        }
        for (uint32_t g = 0; g < a->group_count && !counted; g++) {
            struct group *group = &a->groups[g];
            group->entries = malloc(group->entry_count * sizeof *group->entries);
            if (!group->entries) return false;
            group->entry_count = 0;
        }
    }
    return true;
}

tulle_result groups_make(const tulle_attention_desc *d, struct attention *a, tulle_error *error) {
    struct dealing deal = { .desc = d,
                            .lengths = malloc(a->sequences * sizeof *deal.lengths),
                            .first = malloc(a->sequences * sizeof *deal.first),
                            .of_sequence = malloc(a->sequences * sizeof *deal.of_sequence) };
    bool memory = deal.lengths && deal.first && deal.of_sequence;
    tulle_result result = memory ? read_lengths_all(a, &deal, error) : TULLE_OK;
    memory = memory && (result || classify_sequences(a, &deal));
    if (memory && !result) result = check_patterns(a, &deal, &memory, error);
    if (memory && !result) memory = fill_groups(&deal, a);
    free(deal.lengths);
    free(deal.first);
    free(deal.of_sequence);
    free(deal.groups);
    if (!memory)
        return tulle_fail(error, TULLE_ERROR_OUT_OF_HOST_MEMORY,
                          "no host memory for the descriptor");
    return result;
}

void groups_free(struct attention *a) {
    for (uint32_t i = 0; i < a->group_count && a->groups; i++) free(a->groups[i].entries);
    free(a->groups);
    a->groups = NULL;
    a->group_count = 0;
}

const struct group *attention_group(const struct attention *a, uint32_t sequence, uint32_t head) {
    for (uint32_t g = 0; g < a->group_count; g++)
        for (uint32_t i = 0; i < a->groups[g].entry_count; i++) {
            const struct pm_entry *entry = &a->groups[g].entries[i];
            if (entry->sequence == sequence && entry->index % a->heads == head)
                return &a->groups[g];
        }
    return NULL;
}
