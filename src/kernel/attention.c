// SPDX-License-Identifier: MIT
#include "kernel/attention.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LENGTH_MOST INT32_MAX

const char *const tensor_names[TENSOR_COUNT] = { "Q", "K", "V", "O", "LSE" };

size_t tulle_dtype_size(tulle_dtype dtype) { return dtype == TULLE_F32 ? 4 : 2; }

size_t attention_element(const struct attention *a, int t) {
    if (t == TENSOR_LSE) return 4;
    return tulle_dtype_size(t == TENSOR_O ? a->o_dtype : a->dtype);
}

void attention_free(struct attention *a) {
    for (uint32_t i = 0; i < a->group_count && a->groups; i++) free(a->groups[i].entries);
    free(a->groups);
    for (uint32_t i = 0; i < a->pattern_count && a->patterns; i++)
        tulle_pattern_destroy(a->patterns[i]);
    free(a->patterns);
    free(a->slopes);
    free(a->sinks);
    memset(a, 0, sizeof *a);
}

#define INVALID(...) return tulle_fail(error, TULLE_ERROR_INVALID_ARGUMENT, __VA_ARGS__)

/// Finite in fp32 in the kernels' units too.
static bool scales_finitely(float x) { return isfinite((float)(x * LOG2_E)); }

static tulle_result check_sizes(const tulle_attention_desc *d, struct attention *a,
                                tulle_error *error) {
    a->batch = d->batch ? d->batch : 1;
    a->heads = d->heads;
    a->kv_heads = d->kv_heads ? d->kv_heads : d->heads;
    a->q_len = d->q_len;
    a->kv_len = d->kv_len;
    a->head_dim = d->head_dim;
    a->v_head_dim = d->v_head_dim ? d->v_head_dim : d->head_dim;
    if (a->batch > LENGTH_MOST) INVALID("batch is %u; it must be below 2147483648", a->batch);
    if (a->heads < 1 || a->heads > LENGTH_MOST)
        INVALID("heads is %u; it must be at least 1 and below 2147483648", a->heads);
    if (a->heads % a->kv_heads)
        INVALID("kv_heads is %u; it must divide heads, which is %u", a->kv_heads, a->heads);
    if ((uint64_t)a->batch * a->heads > LENGTH_MOST)
        INVALID("batch times heads is %llu; it must be below 2147483648",
                (unsigned long long)a->batch * a->heads);
    if (a->q_len < 1 || a->q_len > LENGTH_MOST)
        INVALID("q_len is %u; it must be at least 1 and below 2147483648", a->q_len);
    if (a->kv_len < 1 || a->kv_len > LENGTH_MOST)
        INVALID("kv_len is %u; it must be at least 1 and below 2147483648", a->kv_len);
    const char *names[] = { "head_dim", "v_head_dim" };
    uint32_t dims[] = { a->head_dim, a->v_head_dim };
    for (int i = 0; i < 2; i++)
        if (dims[i] < 4 || dims[i] > 256 || dims[i] % 4)
            INVALID("%s is %u; it must be a multiple of 4 from 4 to 256", names[i], dims[i]);
    if ((unsigned)d->dtype > TULLE_BF16)
        INVALID("dtype is %d; it must be TULLE_F32, TULLE_F16 or TULLE_BF16", (int)d->dtype);
    if ((unsigned)d->o_dtype > TULLE_O_F32)
        INVALID("o_dtype is %d; it must be TULLE_O_AS_INPUT or TULLE_O_F32", (int)d->o_dtype);
    a->dtype = d->dtype;
    a->o_dtype = d->o_dtype == TULLE_O_F32 ? TULLE_F32 : d->dtype;
    if (!scales_finitely(d->scale))
        INVALID("scale is %g; it must be finite and below 2.35e38 (0: 1/sqrt(head_dim))",
                (double)d->scale);
    if (!scales_finitely(d->softcap) || d->softcap < 0)
        INVALID("softcap is %g; it must be finite, below 2.35e38 and at least 0 (0: none)",
                (double)d->softcap);
    a->scale = d->scale != 0 ? d->scale : 1 / sqrtf((float)a->head_dim);
    a->softcap = d->softcap;
    if (a->softcap > 0 && !isfinite(a->scale / a->softcap))
        INVALID("scale is %g and softcap %g; scale / softcap must be finite in fp32",
                (double)a->scale, (double)a->softcap);
    a->causal = d->causal;
    a->lse = d->lse;
    a->workspace_limit = d->workspace_limit;
    a->dispatch_pairs = d->dispatch_pairs;
    a->buffer_usage = d->buffer_usage ? d->buffer_usage : VK_BUFFER_USAGE_STORAGE_BUFFER_BIT;
    if (!(a->buffer_usage & VK_BUFFER_USAGE_STORAGE_BUFFER_BIT))
        INVALID("buffer_usage is 0x%x; it must have VK_BUFFER_USAGE_STORAGE_BUFFER_BIT",
                a->buffer_usage);
    if (d->kernel && strlen(d->kernel) >= sizeof a->kernel)
        INVALID("kernel is \"%.80s...\"; no variant has so long a name", d->kernel);
    if (d->kernel) strcpy(a->kernel, d->kernel);
    return TULLE_OK;
}

static tulle_result check_strides(const tulle_attention_desc *d, struct attention *a,
                                  tulle_error *error) {
    const tulle_strides *given[] = { &d->q, &d->k, &d->v, &d->o };
    const bool literal[] = { d->q_broadcast, d->k_broadcast, d->v_broadcast, false };
    for (int t = 0; t < TENSOR_COUNT; t++) {
        bool keys = t == TENSOR_K || t == TENSOR_V;
        int64_t dim = t == TENSOR_LSE                  ? 1
                      : t == TENSOR_V || t == TENSOR_O ? a->v_head_dim
                                                       : a->head_dim;
        int64_t rows = keys ? a->kv_len : a->q_len, heads = keys ? a->kv_heads : a->heads;
        tulle_strides s = t < TENSOR_LSE ? *given[t] : (tulle_strides){ 0, 0, 0 };
        if (t == TENSOR_LSE || (!literal[t] && s.batch == 0 && s.head == 0 && s.row == 0))
            s = (tulle_strides){ heads * rows * dim, rows * dim, dim };
        if (t < TENSOR_LSE) {
            const char *axes[] = { "batch", "head", "row" };
            int64_t values[] = { s.batch, s.head, s.row }, lengths[] = { a->batch, heads, rows };
            for (int i = 0; i < 3; i++) {
                if (values[i] < 0 || values[i] % 4 ||
                    values[i] > INT64_MAX / 64 / (lengths[i] ? lengths[i] : 1))
                    INVALID(
                        "%s's %s stride is %lld elements; it must be a multiple of 4, at least 0, and the tensor below 2^57 bytes",
                        tensor_names[t], axes[i], (long long)values[i]);
                if (t == TENSOR_O && values[i] == 0 && lengths[i] > 1)
                    INVALID("O's %s stride is 0; rows of O may not overlap", axes[i]);
            }
            // distinct rows must be distinct memory: axes by stride, each past the one before
            if (t == TENSOR_O) {
                struct axis {
                    int64_t stride, length;
                    const char *name;
                } axis[3] = { { s.row, rows, "row" },
                              { s.head, heads, "head" },
                              { s.batch, a->batch, "batch" } };
                for (int i = 0; i < 2; i++)
                    for (int k = 0; k < 2 - i; k++)
                        if (axis[k].stride > axis[k + 1].stride) {
                            struct axis swap = axis[k];
                            axis[k] = axis[k + 1];
                            axis[k + 1] = swap;
                        }
                int64_t extent = dim;
                for (int i = 0; i < 3; i++) {
                    if (axis[i].length <= 1) continue;
                    if (axis[i].stride < extent)
                        INVALID(
                            "O's %s stride is %lld elements; rows of O would overlap (it must be at least %lld)",
                            axis[i].name, (long long)axis[i].stride, (long long)extent);
                    extent = (axis[i].length - 1) * axis[i].stride + extent;
                }
            }
        }
        uint64_t element = attention_element(a, t);
        a->strides[t] = s;
        a->tensors[t] =
            (struct tensor_shape){ (uint64_t)s.batch * element, (uint64_t)s.head * element,
                                   (uint64_t)s.row * element, (uint64_t)dim * element, false };
        a->span[t] =
            ((uint64_t)s.batch * (a->batch - 1) + (uint64_t)s.head * (uint64_t)(heads - 1) +
             (uint64_t)s.row * (uint64_t)(rows - 1) + (uint64_t)dim) *
            element;
    }
    return TULLE_OK;
}

static tulle_result copy_floats(const float *from, uint32_t count, const char *name, float **to,
                                tulle_error *error) {
    if (!from) return TULLE_OK;
    for (uint32_t i = 0; i < count; i++)
        if (!scales_finitely(from[i]))
            INVALID("%s[%u] is %g; it must be finite and below 2.35e38", name, i, (double)from[i]);
    *to = malloc(count * sizeof **to);
    if (!*to)
        return tulle_fail(error, TULLE_ERROR_OUT_OF_HOST_MEMORY, "no host memory for %s", name);
    memcpy(*to, from, count * sizeof **to);
    return TULLE_OK;
}

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
        int64_t rows = position_last / term->block + 1,
                cols = (kv_most + term->block - 1) / term->block;
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

/// Do the runs depend on where the queries stand? Where not, batch entries whose queries stand
/// elsewhere share them.
static bool runs_depend_on_position(const struct attention *a) {
    if (a->causal) return true;
    for (uint32_t i = 0; i < a->pattern_count; i++)
        for (uint32_t k = 0; k < a->patterns[i]->term_count; k++) {
            tulle_term_kind kind = a->patterns[i]->terms[k].kind;
            if (kind != TULLE_DENSE && kind != TULLE_SINK) return true;
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
        uint32_t pattern = pattern_of(a, head_pattern, h), k = 0;
        for (; k < c->heads; k++) {
            uint32_t first = c->first_head[k];
            if (pattern_of(a, head_pattern, first) == pattern &&
                head_key(a, a->patterns[pattern], first) == head_key(a, a->patterns[pattern], h))
                break;
        }
        if (k == c->heads) c->first_head[c->heads++] = h;
        c->of_head[h] = k;
    }
}

static tulle_result read_lengths_all(const tulle_attention_desc *d, const struct attention *a,
                                     struct lengths *lengths, tulle_error *error) {
    int64_t position_last = -1, kv_most = 0;
    for (uint32_t b = 0; b < a->batch; b++) {
        struct lengths *e = &lengths[b];
        tulle_result result = read_lengths(d, a, b, e, error);
        if (result) return result;
        if (e->q_length && e->q_length - 1 + e->q_offset > position_last)
            position_last = e->q_length - 1 + e->q_offset;
        if (e->kv_length > kv_most) kv_most = e->kv_length;
    }
    for (uint32_t i = 0; i < a->pattern_count; i++) {
        tulle_result result = check_pattern(a, a->patterns[i], i, position_last, kv_most, error);
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

static tulle_result make_groups(const tulle_attention_desc *d, struct attention *a,
                                tulle_error *error) {
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

tulle_result attention_resolve(const tulle_attention_desc *d, struct attention *a,
                               tulle_error *error) {
    memset(a, 0, sizeof *a);
    if (!d) INVALID("desc is NULL");
    tulle_result result = check_sizes(d, a, error);
    if (!result) result = check_strides(d, a, error);
    if (!result) result = copy_floats(d->alibi_slopes, a->heads, "alibi_slopes", &a->slopes, error);
    if (!result) result = copy_floats(d->sink_logits, a->heads, "sink_logits", &a->sinks, error);
    if (!result && d->pattern_count && !d->patterns)
        result = tulle_fail(error, TULLE_ERROR_INVALID_ARGUMENT,
                            "patterns is NULL and pattern_count is %u", d->pattern_count);
    if (!result && !d->head_pattern && d->pattern_count > a->heads)
        result = tulle_fail(
            error, TULLE_ERROR_INVALID_ARGUMENT,
            "pattern_count is %u; without head_pattern at most one pattern a head is used (heads: %u)",
            d->pattern_count, a->heads);
    if (!result && (unsigned)d->q_align > TULLE_ALIGN_GIVEN)
        result = tulle_fail(error, TULLE_ERROR_INVALID_ARGUMENT,
                            "q_align is %d; it must be one of TULLE_ALIGN_*", (int)d->q_align);
    if (!result && d->q_align != TULLE_ALIGN_GIVEN && d->q_offsets)
        result = tulle_fail(
            error, TULLE_ERROR_INVALID_ARGUMENT,
            "q_offsets are given and q_align is %d; it must then be TULLE_ALIGN_GIVEN (%d)",
            (int)d->q_align, (int)TULLE_ALIGN_GIVEN);
    if (!result && d->q_align == TULLE_ALIGN_GIVEN &&
        (!d->q_offsets || (d->q_offset_count != 1 && d->q_offset_count != a->batch)))
        result = tulle_fail(
            error, TULLE_ERROR_INVALID_ARGUMENT,
            "q_offset_count is %u%s; q_offsets must have 1 entry or one per batch entry (%u)",
            d->q_offset_count, d->q_offsets ? "" : " and q_offsets is NULL", a->batch);
    if (!result) {
        uint32_t count = d->pattern_count ? d->pattern_count : 1;
        a->patterns = calloc(count, sizeof *a->patterns);
        if (!a->patterns)
            result = tulle_fail(error, TULLE_ERROR_OUT_OF_HOST_MEMORY,
                                "no host memory for the patterns");
        for (uint32_t i = 0; i < count && !result; i++) {
            if (d->pattern_count && !d->patterns[i]) {
                result = tulle_fail(error, TULLE_ERROR_INVALID_ARGUMENT, "patterns[%u] is NULL", i);
                break;
            }
            if (d->pattern_count) a->patterns[i] = pattern_retain(d->patterns[i]);
            else
                result = tulle_pattern_create(&(tulle_term){ .kind = TULLE_DENSE }, 1,
                                              &a->patterns[i], error);
            if (!result) a->pattern_count = i + 1;
        }
    }
    for (uint32_t h = 0; h < a->heads && !result && d->head_pattern; h++)
        if (d->head_pattern[h] >= a->pattern_count)
            result = tulle_fail(error, TULLE_ERROR_INVALID_ARGUMENT,
                                "head_pattern[%u] is %u; there are %u patterns", h,
                                d->head_pattern[h], a->pattern_count);
    if (!result) result = make_groups(d, a, error);
    if (result) attention_free(a);
    return result;
}

const struct group *attention_group(const struct attention *a, uint32_t batch, uint32_t head) {
    for (uint32_t g = 0; g < a->group_count; g++)
        for (uint32_t i = 0; i < a->groups[g].entry_count; i++)
            if (a->groups[g].entries[i].index == batch * a->heads + head) return &a->groups[g];
    return NULL;
}
