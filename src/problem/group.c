// SPDX-License-Identifier: MIT
//
// Who shares a schedule: batch entries of the same lengths, heads of the same pattern that select the
// same by it.
#include "problem/group.h"

#include <stdlib.h>
#include <string.h>

#include "common/arithmetic.h"
#include "problem/attention.h"

#define INVALID(...) return tulle_fail(error, TULLE_ERROR_INVALID_ARGUMENT, __VA_ARGS__)

/// Of a batch entry; those that are equal share their schedules.
struct lengths {
    int64_t q_length, kv_length, kv_start, q_offset;
};

static tulle_result read_lengths(const tulle_attention_desc *d, const struct attention *a,
                                 uint32_t b, struct lengths *out, tulle_error *error) {
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
    *out = (struct lengths){ value[0], value[1], value[2], 0 };
    if (d->q_align == TULLE_ALIGN_LAST_KEY) out->q_offset = out->kv_length - out->q_length;
    if (d->q_align == TULLE_ALIGN_GIVEN)
        out->q_offset = d->q_offsets[d->q_offset_count > 1 ? b : 0];
    if (out->q_offset + a->q_len > INT32_MAX)
        INVALID(
            "q_offset is %lld for batch entry %u; the last query's position must stay below 2147483648",
            (long long)out->q_offset, b);
    return TULLE_OK;
}

static tulle_result check_pattern(const struct attention *a, const tulle_pattern *pattern,
                                  uint32_t index, int64_t position_last, int64_t kv_most,
                                  tulle_error *error) {
    // messages count both from 1, as those of specs do
    for (uint32_t i = 0; i < pattern->term_count; i++) {
        const struct term *term = &pattern->terms[i];
        if (term->kind != TULLE_BLOCKS) continue;
        if (term->layouts != 1 && term->layouts != a->kv_heads && term->layouts != a->heads)
            INVALID(
                "pattern %u, term %u (blocks): its mask has %lld layouts; there must be 1, one per kv head (%u) or one per head (%u)",
                index + 1, i + 1, (long long)term->layouts, a->kv_heads, a->heads);
        int64_t rows = position_last / term->block + 1, cols = ceil_div(kv_most, term->block);
        if (position_last >= 0 && term->block_rows < rows)
            INVALID(
                "pattern %u, term %u (blocks): its mask has %lld block rows of %lld; the last query stands at position %lld, so it needs at least %lld",
                index + 1, i + 1, (long long)term->block_rows, (long long)term->block,
                (long long)position_last, (long long)rows);
        if (term->block_cols < cols)
            INVALID(
                "pattern %u, term %u (blocks): its mask has %lld block columns of %lld; %lld keys need at least %lld",
                index + 1, i + 1, (long long)term->block_cols, (long long)term->block,
                (long long)kv_most, (long long)cols);
    }
    return TULLE_OK;
}

/// Which heads may share a schedule under a pattern: those with the same key.
static uint32_t head_key(const struct attention *a, const tulle_pattern *pattern, uint32_t head) {
    uint32_t key = 0;
    for (uint32_t i = 0; i < pattern->term_count; i++) {
        const struct term *term = &pattern->terms[i];
        if (term->kind == TULLE_RANDOM) return head;
        if (term->kind != TULLE_BLOCKS || term->layouts <= 1) continue;
        if (term->layouts == a->heads && a->heads != a->kv_heads) return head;
        // its first head stands for all
        key = (uint32_t)blocks_layout(term, head, a->heads, a->kv_heads) * (a->heads / a->kv_heads);
    }
    return key;
}

/// Classes of batch entries and of heads: a group is one of each.
struct classes {
    struct lengths *lengths;  ///< a class of batch entries each
    uint32_t length_count;
    struct head_class {
        uint32_t pattern, key, first;  ///< first: of its heads
    } *heads;
    uint32_t head_count;
    uint32_t *of_batch, *of_head;  ///< their classes
};

/// Also checks the patterns, which every batch entry's positions and keys must suit.
static tulle_result class_batch(const tulle_attention_desc *d, const struct attention *a,
                                struct classes *c, tulle_error *error) {
    int64_t position_last = -1, kv_most = 0;
    for (uint32_t b = 0; b < a->batch; b++) {
        struct lengths l;
        tulle_result result = read_lengths(d, a, b, &l, error);
        if (result) return result;
        if (l.q_length) position_last = most(position_last, l.q_length - 1 + l.q_offset);
        kv_most = most(kv_most, l.kv_length);
        uint32_t k = 0;
        while (k < c->length_count && memcmp(&c->lengths[k], &l, sizeof l)) k++;
        if (k == c->length_count) c->lengths[c->length_count++] = l;
        c->of_batch[b] = k;
    }
    for (uint32_t i = 0; i < a->pattern_count; i++) {
        tulle_result result = check_pattern(a, a->patterns[i], i, position_last, kv_most, error);
        if (result) return result;
    }
    return TULLE_OK;
}

static void class_heads(const tulle_attention_desc *d, const struct attention *a,
                        struct classes *c) {
    for (uint32_t h = 0; h < a->heads; h++) {
        uint32_t pattern = d->head_pattern ? d->head_pattern[h] : h % a->pattern_count,
                 key = head_key(a, a->patterns[pattern], h), k = 0;
        while (k < c->head_count && (c->heads[k].pattern != pattern || c->heads[k].key != key)) k++;
        if (k == c->head_count) c->heads[c->head_count++] = (struct head_class){ pattern, key, h };
        c->of_head[h] = k;
    }
}

/// Every pair of classes as a group, with its entries. False: out of memory.
static bool fill_groups(struct attention *a, const struct classes *c) {
    a->groups = calloc((size_t)c->length_count * c->head_count, sizeof *a->groups);
    if (!a->groups) return false;
    a->group_count = c->length_count * c->head_count;
    for (uint32_t b = 0; b < a->batch; b++)
        for (uint32_t h = 0; h < a->heads; h++)
            a->groups[c->of_batch[b] * c->head_count + c->of_head[h]].bh_count++;
    for (uint32_t g = 0; g < a->group_count; g++) {
        struct group *group = &a->groups[g];
        const struct lengths *l = &c->lengths[g / c->head_count];
        const struct head_class *head = &c->heads[g % c->head_count];
        group->bh = malloc(group->bh_count * sizeof *group->bh);
        if (!group->bh) return false;
        group->bh_count = 0;
        group->site =
            (struct site){ .pattern = a->patterns[head->pattern],
                           .at = { head->first, a->heads, a->kv_heads, l->kv_length, a->causal },
                           .q_len = a->q_len,
                           .q_length = l->q_length,
                           .kv_start = l->kv_start,
                           .q_offset = l->q_offset };
    }
    for (uint32_t b = 0; b < a->batch; b++)
        for (uint32_t h = 0; h < a->heads; h++) {
            struct group *group = &a->groups[c->of_batch[b] * c->head_count + c->of_head[h]];
            group->bh[group->bh_count++] = b * a->heads + h;
        }
    return true;
}

tulle_result groups_make(const tulle_attention_desc *d, struct attention *a, tulle_error *error) {
    struct classes c = { .lengths = malloc(a->batch * sizeof *c.lengths),
                         .heads = malloc(a->heads * sizeof *c.heads),
                         .of_batch = malloc(a->batch * sizeof *c.of_batch),
                         .of_head = malloc(a->heads * sizeof *c.of_head) };
    bool fine = c.lengths && c.heads && c.of_batch && c.of_head;
    tulle_result result = fine ? class_batch(d, a, &c, error) : TULLE_OK;
    if (fine && !result) {
        class_heads(d, a, &c);
        fine = fill_groups(a, &c);
    }
    free(c.lengths);
    free(c.heads);
    free(c.of_batch);
    free(c.of_head);
    return fine ? result
                : tulle_fail(error, TULLE_ERROR_OUT_OF_HOST_MEMORY,
                             "no host memory for the descriptor");
}

void groups_free(struct attention *a) {
    for (uint32_t i = 0; i < a->group_count && a->groups; i++) free(a->groups[i].bh);
    free(a->groups);
    a->groups = NULL;
    a->group_count = 0;
}

const struct group *attention_group(const struct attention *a, uint32_t batch, uint32_t head) {
    for (uint32_t g = 0; g < a->group_count; g++)
        for (uint32_t i = 0; i < a->groups[g].bh_count; i++)
            if (a->groups[g].bh[i] == batch * a->heads + head) return &a->groups[g];
    return NULL;
}
