// SPDX-License-Identifier: MIT
//
// Who shares a schedule: batch entries of the same lengths, heads of the same pattern that select
// the same by it.
#include "problem/group.h"

#include <stdlib.h>
#include <string.h>

#include "problem/attention.h"

#define INVALID(...) return tulle_fail(error, TULLE_ERROR_INVALID_ARGUMENT, __VA_ARGS__)

/// What may differ from one batch entry to the next.
struct lengths {
    int64_t q_length, kv_length, kv_start, q_offset;
};

static tulle_result read_lengths(const tulle_attention_desc *d, const struct attention *a,
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
    *e = (struct lengths){ value[0], value[1], value[2], 0 };
    if (d->q_align == TULLE_ALIGN_LAST_KEY) e->q_offset = e->kv_length - e->q_length;
    if (d->q_align == TULLE_ALIGN_GIVEN) e->q_offset = d->q_offsets[d->q_offset_count > 1 ? b : 0];
    if (e->q_offset + a->q_len > INT32_MAX)
        INVALID(
            "q_offset is %lld for batch entry %u; the last query's position must stay below 2147483648",
            (long long)e->q_offset, b);
    return TULLE_OK;
}

/// How far a plan's queries and keys reach.
struct reach {
    int64_t position_last;       ///< of a query; −1 or less: none at 0 or above
    int64_t kv_most, kv_fewest;  ///< keys of an entry that has queries and keys; 0: there is none
};

static tulle_result check_blocks(const struct term *factor, const struct reach *reach,
                                 uint32_t pattern, uint32_t term, tulle_error *error) {
    int64_t rows = reach->position_last / factor->block + 1,
            cols = (reach->kv_most + factor->block - 1) / factor->block;
    if (reach->position_last >= 0 && factor->block_rows < rows)
        INVALID(
            "pattern %u, term %u (blocks): its mask has %lld block rows of %lld; the last query stands at position %lld, so it needs at least %lld",
            pattern, term, (long long)factor->block_rows, (long long)factor->block,
            (long long)reach->position_last, (long long)rows);
    if (factor->block_cols < cols)
        INVALID(
            "pattern %u, term %u (blocks): its mask has %lld block columns of %lld; %lld keys need at least %lld",
            pattern, term, (long long)factor->block_cols, (long long)factor->block,
            (long long)reach->kv_most, (long long)cols);
    return TULLE_OK;
}

/// Numbers count from 1, as those of specs do.
static tulle_result check_factor(const struct attention *a, const struct term *factor,
                                 const struct reach *reach, uint32_t pattern, uint32_t term,
                                 tulle_error *error) {
    const bool blocks = factor->kind == TULLE_BLOCKS, by_layout = factor->layouts > 1;
    const struct grid_axis *axis = &factor->axis[0];
    if (by_layout && factor->layouts != a->kv_heads && factor->layouts != a->heads)
        INVALID(
            "pattern %u, term %u (%s): its %s %lld layouts; there must be 1, one per kv head (%u) or one per head (%u)",
            pattern, term, blocks ? "blocks" : "vertical_slash", blocks ? "mask has" : "lists have",
            (long long)factor->layouts, a->kv_heads, a->heads);
    if (blocks) return check_blocks(factor, reach, pattern, term, error);
    if (factor->axes == 1 && reach->kv_fewest && axis->kernel * axis->dilation > reach->kv_fewest)
        INVALID(
            "pattern %u, term %u (neighborhood): kernel x dilation is %lld; it must be at most the keys there are, %lld",
            pattern, term, (long long)(axis->kernel * axis->dilation), (long long)reach->kv_fewest);
    return TULLE_OK;
}

static tulle_result check_pattern(const struct attention *a, const tulle_pattern *pattern,
                                  uint32_t number, const struct reach *reach, tulle_error *error) {
    for (uint32_t i = 0; i < pattern->term_count; i++) {
        const struct term *term = &pattern->terms[i];
        tulle_result result = check_factor(a, term, reach, number, i + 1, error);
        for (uint32_t k = 0; k < term->factor_count && !result; k++)
            result = check_factor(a, &term->factors[k], reach, number, i + 1, error);
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

static bool same_runs(const struct lengths *a, const struct lengths *b, bool by_position) {
    return a->q_length == b->q_length && a->kv_length == b->kv_length &&
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

/// Classes of batch entries whose runs are the same, and of heads. A group is one of each.
struct classes {
    struct lengths *lengths;  ///< of each batch entry
    uint32_t *of_batch, *of_head;
    uint32_t *first_batch, *first_head;  ///< of each class: its first
    uint32_t batches, heads;             ///< how many classes
};

static bool classes_create(const struct attention *a, struct classes *c) {
    *c = (struct classes){ .lengths = malloc(a->batch * sizeof *c->lengths),
                           .of_batch = malloc(a->batch * sizeof *c->of_batch),
                           .of_head = malloc(a->heads * sizeof *c->of_head),
                           .first_batch = malloc(a->batch * sizeof *c->first_batch),
                           .first_head = malloc(a->heads * sizeof *c->first_head) };
    return c->lengths && c->of_batch && c->of_head && c->first_batch && c->first_head;
}

static void classes_free(struct classes *c) {
    free(c->lengths);
    free(c->of_batch);
    free(c->of_head);
    free(c->first_batch);
    free(c->first_head);
}

static void classify_batch(const struct attention *a, struct classes *c) {
    const bool by_position = runs_depend_on_position(a);
    for (uint32_t b = 0; b < a->batch; b++) {
        uint32_t k = 0;
        while (k < c->batches &&
               !same_runs(&c->lengths[c->first_batch[k]], &c->lengths[b], by_position))
            k++;
        if (k == c->batches) c->first_batch[c->batches++] = b;
        c->of_batch[b] = k;
    }
}

static uint32_t pattern_of(const struct attention *a, const uint32_t *head_pattern, uint32_t head) {
    return head_pattern ? head_pattern[head] : head % a->pattern_count;
}

static void classify_heads(const struct attention *a, const uint32_t *head_pattern,
                           struct classes *c) {
    for (uint32_t h = 0; h < a->heads; h++) {
        const uint32_t pattern = pattern_of(a, head_pattern, h),
                       key = head_key(a, a->patterns[pattern], h);
        uint32_t k = 0;
        for (; k < c->heads; k++) {
            const uint32_t first = c->first_head[k];
            if (pattern_of(a, head_pattern, first) == pattern &&
                head_key(a, a->patterns[pattern], first) == key)
                break;
        }
        if (k == c->heads) c->first_head[c->heads++] = h;
        c->of_head[h] = k;
    }
}

static tulle_result read_lengths_all(const tulle_attention_desc *d, const struct attention *a,
                                     struct lengths *lengths, tulle_error *error) {
    struct reach reach = { -1, 0, 0 };
    for (uint32_t b = 0; b < a->batch; b++) {
        struct lengths *e = &lengths[b];
        tulle_result result = read_lengths(d, a, b, e, error);
        if (result) return result;
        if (e->q_length && e->q_length - 1 + e->q_offset > reach.position_last)
            reach.position_last = e->q_length - 1 + e->q_offset;
        if (e->kv_length > reach.kv_most) reach.kv_most = e->kv_length;
        if (e->q_length && e->kv_length && (!reach.kv_fewest || e->kv_length < reach.kv_fewest))
            reach.kv_fewest = e->kv_length;
    }
    for (uint32_t i = 0; i < a->pattern_count; i++) {
        tulle_result result = check_pattern(a, a->patterns[i], i + 1, &reach, error);
        if (result) return result;
    }
    return TULLE_OK;
}

/// False: out of memory.
static bool fill_groups(const uint32_t *head_pattern, const struct classes *c,
                        struct attention *a) {
    a->groups = calloc((size_t)c->batches * c->heads, sizeof *a->groups);
    if (!a->groups) return false;
    a->group_count = c->batches * c->heads;
    for (uint32_t i = 0; i < a->batch * a->heads; i++)
        a->groups[c->of_batch[i / a->heads] * c->heads + c->of_head[i % a->heads]].entry_count++;
    for (uint32_t g = 0; g < a->group_count; g++) {
        struct group *group = &a->groups[g];
        const struct lengths *e = &c->lengths[c->first_batch[g / c->heads]];
        uint32_t head = c->first_head[g % c->heads];
        group->site = (struct site){ a->patterns[pattern_of(a, head_pattern, head)],
                                     { head, a->heads, a->kv_heads, e->kv_length, a->causal },
                                     a->q_len,
                                     e->q_length,
                                     e->kv_start,
                                     e->q_offset };
        group->entries = malloc(group->entry_count * sizeof *group->entries);
        if (!group->entries) return false;
        group->entry_count = 0;
    }
    for (uint32_t i = 0; i < a->batch * a->heads; i++) {
        uint32_t b = i / a->heads;
        struct group *group = &a->groups[c->of_batch[b] * c->heads + c->of_head[i % a->heads]];
        const struct lengths *e = &c->lengths[b];
        group->entries[group->entry_count++] =
            (struct pm_entry){ .index = i,
                               .q_offset = (int32_t)e->q_offset,
                               .q_length = (uint32_t)e->q_length,
                               .kv_length = (uint32_t)e->kv_length };
    }
    return true;
}

tulle_result groups_make(const tulle_attention_desc *d, struct attention *a, tulle_error *error) {
    struct classes c;
    bool memory = classes_create(a, &c);
    tulle_result result = memory ? read_lengths_all(d, a, c.lengths, error) : TULLE_OK;
    if (memory && !result) {
        classify_batch(a, &c);
        classify_heads(a, d->head_pattern, &c);
        memory = fill_groups(d->head_pattern, &c, a);
    }
    classes_free(&c);
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

const struct group *attention_group(const struct attention *a, uint32_t batch, uint32_t head) {
    for (uint32_t g = 0; g < a->group_count; g++)
        for (uint32_t i = 0; i < a->groups[g].entry_count; i++)
            if (a->groups[g].entries[i].index == batch * a->heads + head) return &a->groups[g];
    return NULL;
}
