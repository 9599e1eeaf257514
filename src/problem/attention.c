// SPDX-License-Identifier: MIT
//
// A descriptor, resolved: checked, copied, every default filled in.
#include "problem/attention.h"

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

void attention_lengths(const struct attention *a, int t, int64_t lengths[3]) {
    const bool keys = tensor_has_keys(t), paged = keys && a->page_size;
    lengths[0] = paged ? a->pages : a->batch;
    lengths[1] = keys ? a->kv_heads : a->heads;
    lengths[2] = paged ? a->page_size : keys ? a->kv_len : a->q_len;
}

void attention_free(struct attention *a) {
    groups_free(a);
    for (uint32_t i = 0; i < a->pattern_count && a->patterns; i++)
        tulle_pattern_destroy(a->patterns[i]);
    free(a->patterns);
    free(a->slopes);
    free(a->sinks);
    free(a->trees);
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
    const uint32_t dims[] = { d->head_dim, d->v_head_dim ? d->v_head_dim : d->head_dim };
    const char *names[] = { "head_dim", "v_head_dim" };
    const uint32_t dims_most[] = { HEAD_DIM_MOST, V_HEAD_DIM_MOST };
    for (int i = 0; i < 2; i++)
        if (dims[i] < 1 || dims[i] > dims_most[i])
            INVALID("%s is %u; it must be from 1 to %u", names[i], dims[i], dims_most[i]);
    a->head_dim = (dims[0] + PIECE - 1) / PIECE * PIECE;
    a->v_head_dim = (dims[1] + PIECE - 1) / PIECE * PIECE;
    for (int t = 0; t < TENSOR_COUNT; t++)
        a->given_dim[t] = t == TENSOR_LSE ? 1 : dims[t == TENSOR_V || t == TENSOR_O];
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
    a->scale = d->scale != 0 ? d->scale : 1 / sqrtf((float)d->head_dim);
    a->softcap = d->softcap;
    if (a->softcap > 0 && !isfinite(a->scale / a->softcap))
        INVALID("scale is %g and softcap %g; scale / softcap must be finite in fp32",
                (double)a->scale, (double)a->softcap);
    a->causal = d->causal;
    a->lse = d->lse;
    a->workspace_limit = d->workspace_limit;
    a->dispatch_pairs = d->dispatch_pairs;
    a->host_arrays_only = !d->buffer_usage;
    a->buffer_usage = d->buffer_usage ? d->buffer_usage : TULLE_USAGE_HOST;
    if (!(a->buffer_usage & VK_BUFFER_USAGE_STORAGE_BUFFER_BIT))
        INVALID(
            "buffer_usage is 0x%x; it must have VK_BUFFER_USAGE_STORAGE_BUFFER_BIT (0: for host arrays alone)",
            a->buffer_usage);
    if (d->kernel && strlen(d->kernel) >= sizeof a->kernel)
        INVALID("kernel is \"%.80s...\"; no variant has so long a name", d->kernel);
    if (d->kernel) strcpy(a->kernel, d->kernel);
    return TULLE_OK;
}

static tulle_result check_pages(const tulle_attention_desc *d, struct attention *a,
                                tulle_error *error) {
    const uint32_t size = d->page_size;
    if (!size) {
        if (d->pages || d->table_columns)
            INVALID("page_size is 0 and %s %u; without pages it must be 0",
                    d->pages ? "pages" : "table_columns", d->pages ? d->pages : d->table_columns);
        return TULLE_OK;
    }
    if (size > PAGE_SIZE_MOST || size & (size - 1))
        INVALID("page_size is %u; it must be a power of two from 1 to %u (0: not paged)", size,
                PAGE_SIZE_MOST);
    if (!d->pages || d->pages > PAGES_MOST)
        INVALID("pages is %u; it must be from 1 to %u", d->pages, PAGES_MOST);
    if ((uint64_t)d->table_columns * size < a->kv_len)
        INVALID("table_columns is %u; pages of %u hold kv_len, %u keys, in at least %u",
                d->table_columns, size, a->kv_len, (a->kv_len - 1) / size + 1);
    if ((uint64_t)a->batch * d->table_columns > LENGTH_MOST)
        INVALID("batch times table_columns is %llu; it must be below 2147483648",
                (unsigned long long)a->batch * d->table_columns);
    if (d->cu_q)
        INVALID("page_size is %u and cu_q is given; sequences that are packed are not paged", size);
    a->page_size = size;
    a->pages = d->pages;
    a->table_columns = d->table_columns;
    return TULLE_OK;
}

/// Distinct rows of O must be distinct memory: axes by stride, each past the one before.
static tulle_result check_overlap(const struct attention *a, const tulle_strides *s,
                                  const int64_t lengths[3], tulle_error *error) {
    struct axis {
        int64_t stride, length;
        const char *name;
    } axis[3] = { { s->row, lengths[2], "row" },
                  { s->head, lengths[1], "head" },
                  { s->batch, lengths[0], "batch" } };
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 2 - i; k++)
            if (axis[k].stride > axis[k + 1].stride) {
                struct axis swap = axis[k];
                axis[k] = axis[k + 1];
                axis[k + 1] = swap;
            }
    int64_t extent = a->given_dim[TENSOR_O];
    for (int i = 0; i < 3; i++) {
        if (axis[i].length <= 1) continue;
        if (axis[i].stride < extent)
            INVALID(
                "O's %s stride is %lld elements; rows of O would overlap (it must be at least %lld)",
                axis[i].name, (long long)axis[i].stride, (long long)extent);
        extent = (axis[i].length - 1) * axis[i].stride + extent;
    }
    return TULLE_OK;
}

#define ELEMENTS_MOST (INT64_MAX / 64)

/// C order of [batch, heads, rows, dim]; axes that `like` shares, by a stride of 0, stay shared.
/// NULL: none. False: more elements than there may be.
static bool c_order(const int64_t lengths[3], int64_t dim, const tulle_strides *like,
                    tulle_strides *out) {
    int64_t strides[3], all = dim;
    const int64_t given[] = { like ? like->batch : 1, like ? like->head : 1, like ? like->row : 1 };
    for (int i = 2; i >= 0; i--) {
        const bool shared = given[i] == 0 && lengths[i] > 1;
        strides[i] = shared ? 0 : all;
        if (shared) continue;
        if (all > ELEMENTS_MOST / lengths[i]) return false;
        all *= lengths[i];
    }
    *out = (tulle_strides){ strides[0], strides[1], strides[2] };
    return true;
}

/// Of tensor t as the descriptor gives them; on the device too, unless its rows are padded.
static tulle_result check_given(const struct attention *a, int t, const tulle_strides *s,
                                const int64_t lengths[3], bool padded, tulle_error *error) {
    const char *axes[] = { "batch", "head", "row" };
    const int64_t values[] = { s->batch, s->head, s->row };
    for (int i = 0; i < 3; i++) {
        if (values[i] < 0 || (values[i] % PIECE && !padded) ||
            values[i] > ELEMENTS_MOST / lengths[i])
            INVALID(
                "%s's %s stride is %lld elements; it must be a multiple of 4, at least 0, and the tensor below 2^57 bytes",
                tensor_names[t], axes[i], (long long)values[i]);
        if (t == TENSOR_O && values[i] == 0 && lengths[i] > 1)
            INVALID("O's %s stride is 0; rows of O may not overlap", axes[i]);
    }
    return t == TENSOR_O ? check_overlap(a, s, lengths, error) : TULLE_OK;
}

static tulle_result check_strides(const tulle_attention_desc *d, struct attention *a,
                                  tulle_error *error) {
    const tulle_strides *given[] = { &d->q, &d->k, &d->v, &d->o };
    const bool literal[] = { d->q_broadcast, d->k_broadcast, d->v_broadcast, false };
    for (int t = 0; t < TENSOR_COUNT; t++) {
        const int64_t given_dim = a->given_dim[t], dim = t == TENSOR_LSE ? 1
                                                         : t == TENSOR_V || t == TENSOR_O
                                                             ? a->v_head_dim
                                                             : a->head_dim;
        int64_t lengths[3];
        attention_lengths(a, t, lengths);
        tulle_strides s = t < TENSOR_LSE ? *given[t] : (tulle_strides){ 0, 0, 0 };
        bool fits = true;
        if (t == TENSOR_LSE || (!literal[t] && s.batch == 0 && s.head == 0 && s.row == 0))
            fits = c_order(lengths, given_dim, NULL, &s);
        if (fits && t < TENSOR_LSE) {
            tulle_result result = check_given(a, t, &s, lengths, dim != given_dim, error);
            if (result) return result;
        }
        a->given_strides[t] = s;
        if (fits && dim != given_dim) fits = c_order(lengths, dim, &s, &s);
        if (!fits) INVALID("%s has 2^57 elements or more; it must have fewer", tensor_names[t]);
        uint64_t element = attention_element(a, t);
        a->strides[t] = s;
        a->tensors[t] =
            (struct tensor_shape){ (uint64_t)s.batch * element, (uint64_t)s.head * element,
                                   (uint64_t)s.row * element, (uint64_t)dim * element, false };
        a->span[t] = ((uint64_t)s.batch * (uint64_t)(lengths[0] - 1) +
                      (uint64_t)s.head * (uint64_t)(lengths[1] - 1) +
                      (uint64_t)s.row * (uint64_t)(lengths[2] - 1) + (uint64_t)dim) *
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

/// Cumulative lengths of packed sequences, that end at `length`.
static tulle_result check_cumulative(const int32_t *cu, const char *name, uint32_t sequences,
                                     const char *length_name, uint32_t length, tulle_error *error) {
    if (cu[0]) INVALID("%s[0] is %d; it must be 0", name, cu[0]);
    for (uint32_t s = 0; s < sequences; s++)
        if (cu[s + 1] < cu[s])
            INVALID("%s[%u] is %d, after %d; cumulative lengths must not fall", name, s + 1,
                    cu[s + 1], cu[s]);
    if ((uint32_t)cu[sequences] != length)
        INVALID("%s[%u] is %d; the last must be %s, %u", name, sequences, cu[sequences],
                length_name, length);
    return TULLE_OK;
}

/// How many sequences there are, and where they begin.
static tulle_result check_sequences(const tulle_attention_desc *d, struct attention *a,
                                    tulle_error *error) {
    a->sequences = a->batch;
    if (!d->cu_q) {
        if (d->sequences || d->cu_kv)
            INVALID("cu_q is NULL; %s is given, and packed sequences need it",
                    d->cu_kv ? "cu_kv" : "sequences");
        return TULLE_OK;
    }
    if (a->batch != 1)
        INVALID("batch is %u; packed sequences (cu_q) are those of one batch entry", a->batch);
    if (!d->sequences || (uint64_t)d->sequences * a->heads > LENGTH_MOST)
        INVALID("sequences is %u; it must be at least 1, and times heads below 2147483648",
                d->sequences);
    if (d->q_lengths || d->kv_lengths || d->kv_starts)
        INVALID("%s is given with cu_q, which says where sequences end; it must be NULL",
                d->q_lengths    ? "q_lengths"
                : d->kv_lengths ? "kv_lengths"
                                : "kv_starts");
    a->sequences = d->sequences;
    tulle_result result = check_cumulative(d->cu_q, "cu_q", d->sequences, "q_len", a->q_len, error);
    if (result) return result;
    return d->cu_kv ? check_cumulative(d->cu_kv, "cu_kv", d->sequences, "kv_len", a->kv_len, error)
                    : check_cumulative(d->cu_q, "cu_q (cu_kv is NULL)", d->sequences, "kv_len",
                                       a->kv_len, error);
}

/// Alignment and offsets of the queries, and how patterns are dealt to heads.
static tulle_result check_lists(const tulle_attention_desc *d, const struct attention *a,
                                tulle_error *error) {
    if (d->head_pattern && d->entry_pattern)
        INVALID("head_pattern and entry_pattern are both given; it must be one of them");
    if (d->pattern_count && !d->patterns)
        INVALID("patterns is NULL and pattern_count is %u", d->pattern_count);
    if (!d->head_pattern && !d->entry_pattern && d->pattern_count > a->heads)
        INVALID(
            "pattern_count is %u; without head_pattern at most one pattern a head is used (heads: %u)",
            d->pattern_count, a->heads);
    if ((unsigned)d->q_align > TULLE_ALIGN_GIVEN)
        INVALID("q_align is %d; it must be one of TULLE_ALIGN_*", (int)d->q_align);
    if (d->q_align != TULLE_ALIGN_GIVEN && d->q_offsets)
        INVALID("q_offsets are given and q_align is %d; it must then be TULLE_ALIGN_GIVEN (%d)",
                (int)d->q_align, (int)TULLE_ALIGN_GIVEN);
    if (d->q_align == TULLE_ALIGN_GIVEN &&
        (!d->q_offsets || (d->q_offset_count != 1 && d->q_offset_count != a->sequences)))
        INVALID("q_offset_count is %u%s; q_offsets must have 1 entry or one per %s (%u)",
                d->q_offset_count, d->q_offsets ? "" : " and q_offsets is NULL",
                d->cu_q ? "sequence" : "batch entry", a->sequences);
    return TULLE_OK;
}

static tulle_result copy_trees(const tulle_attention_desc *d, struct attention *a,
                               tulle_error *error) {
    if (!d->trees && !d->tree_rows) return TULLE_OK;
    if (!d->trees) INVALID("trees is NULL and tree_rows is %u", d->tree_rows);
    if (!d->tree_rows || d->tree_rows > TREE_ROWS_MOST)
        INVALID("tree_rows is %u; it must be from 1 to %u", d->tree_rows, TREE_ROWS_MOST);
    if (d->q_align != TULLE_ALIGN_LAST_KEY)
        INVALID(
            "q_align is %d; with trees the queries stand at the last keys, so it must be TULLE_ALIGN_LAST_KEY (%d)",
            (int)d->q_align, (int)TULLE_ALIGN_LAST_KEY);
    a->tree_rows = d->tree_rows;
    const size_t words = (size_t)a->sequences * a->tree_rows * attention_tree_words(a);
    a->trees = malloc(words * sizeof *a->trees);
    if (!a->trees)
        return tulle_fail(error, TULLE_ERROR_OUT_OF_HOST_MEMORY, "no host memory for trees");
    memcpy(a->trees, d->trees, words * sizeof *a->trees);
    return TULLE_OK;
}

/// Retains the descriptor's patterns; without any, one that is dense.
static tulle_result retain_patterns(const tulle_attention_desc *d, struct attention *a,
                                    tulle_error *error) {
    uint32_t count = d->pattern_count ? d->pattern_count : 1;
    a->patterns = calloc(count, sizeof *a->patterns);
    if (!a->patterns)
        return tulle_fail(error, TULLE_ERROR_OUT_OF_HOST_MEMORY, "no host memory for the patterns");
    for (; a->pattern_count < d->pattern_count; a->pattern_count++) {
        uint32_t i = a->pattern_count;
        if (!d->patterns[i]) INVALID("patterns[%u] is NULL", i);
        a->patterns[i] = pattern_retain(d->patterns[i]);
    }
    if (!d->pattern_count) {
        tulle_result result =
            tulle_pattern_create(&(tulle_term){ .kind = TULLE_DENSE }, 1, &a->patterns[0], error);
        if (result) return result;
        a->pattern_count = 1;
    }
    for (uint32_t h = 0; h < a->heads && d->head_pattern; h++)
        if (d->head_pattern[h] >= a->pattern_count)
            INVALID("head_pattern[%u] is %u; there are %u patterns", h, d->head_pattern[h],
                    a->pattern_count);
    for (size_t i = 0; i < (size_t)a->sequences * a->heads && d->entry_pattern; i++)
        if (d->entry_pattern[i] >= a->pattern_count)
            INVALID("entry_pattern[%zu][%zu] is %u; there are %u patterns", i / a->heads,
                    i % a->heads, d->entry_pattern[i], a->pattern_count);
    return TULLE_OK;
}

tulle_result attention_resolve(const tulle_attention_desc *d, struct attention *a,
                               tulle_error *error) {
    memset(a, 0, sizeof *a);
    if (!d) INVALID("desc is NULL");
    tulle_result result = check_sizes(d, a, error);
    if (!result) result = check_pages(d, a, error);
    if (!result) result = check_strides(d, a, error);
    if (!result) result = copy_floats(d->alibi_slopes, a->heads, "alibi_slopes", &a->slopes, error);
    if (!result) result = copy_floats(d->sink_logits, a->heads, "sink_logits", &a->sinks, error);
    if (!result) result = check_sequences(d, a, error);
    if (!result) result = check_lists(d, a, error);
    if (!result) result = copy_trees(d, a, error);
    if (!result) result = retain_patterns(d, a, error);
    if (!result) result = groups_make(d, a, error);
    if (result) attention_free(a);
    return result;
}
