// SPDX-License-Identifier: MIT
//
// Stating a problem: its inputs, its descriptor for the library, its reference.

#include "problem.h"

#include "library_term.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *problem_own(struct problem *problem, size_t count, size_t size) {
    if (problem->owned_count == sizeof problem->owned / sizeof problem->owned[0]) {
        fprintf(stderr, "tests: a problem owns too much\n");
        abort();
    }
    void *memory = calloc(count > 0 ? count : 1, size);
    if (memory == NULL) {
        fprintf(stderr, "tests: out of memory\n");
        abort();
    }
    problem->owned[problem->owned_count++] = memory;
    return memory;
}

void problem_init(struct problem *problem, uint64_t seed) {
    memset(problem, 0, sizeof *problem);
    problem->seed = seed;
    problem->batch = problem->heads = problem->kv_heads = 1;
    problem->q_lead = problem->k_lead = problem->v_lead = problem->o_lead = problem->lse_lead = 64;
    problem->lse = true;
    problem->sized_buffers = true;
    problem->usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT;
}

void problem_free(struct problem *problem) {
    for (size_t n = 0; n < problem->owned_count; n++) {
        free(problem->owned[n]);
    }
    problem->owned_count = 0;
}

struct ref_term *problem_term(struct problem *problem, size_t pattern, struct ref_term term) {
    if (pattern >= PROBLEM_PATTERNS || problem->term_count[pattern] == PROBLEM_TERMS) {
        fprintf(stderr, "tests: a problem has too many terms\n");
        abort();
    }
    if (pattern >= problem->pattern_count) {
        problem->pattern_count = pattern + 1;
    }
    struct ref_term *added = &problem->terms[pattern][problem->term_count[pattern]++];
    *added = term;
    return added;
}

// -------------------------------------------------------------------------------------------------
// For the library

tulle_pattern *problem_pattern(const struct ref_pattern *pattern, bool csr) {
    tulle_term terms[PROBLEM_TERMS];
    for (size_t n = 0; n < pattern->n_terms; n++) {
        terms[n] = library_term(&pattern->terms[n], csr);
    }
    tulle_error error = { 0 };
    tulle_pattern *made = NULL;
    const tulle_result result =
        tulle_pattern_create(terms, (uint32_t)pattern->n_terms, &made, &error);
    for (size_t n = 0; n < pattern->n_terms; n++) {
        library_term_free(&terms[n]);
    }
    harness_ok(result, &error, "tulle_pattern_create");
    return made;
}

void problem_build(const struct problem *problem, struct problem_build *build) {
    memset(build, 0, sizeof *build);
    for (size_t n = 0; n < problem->pattern_count; n++) {
        const struct ref_pattern pattern = { problem->terms[n], problem->term_count[n] };
        build->patterns[n] = problem_pattern(&pattern, problem->csr);
    }
    tulle_attention_desc *desc = &build->desc;
    *desc = (tulle_attention_desc){
        .batch = (uint32_t)problem->batch,
        .heads = (uint32_t)problem->heads,
        .kv_heads = (uint32_t)problem->kv_heads,
        .q_len = (uint32_t)problem->q_len,
        .kv_len = (uint32_t)problem->kv_len,
        .head_dim = (uint32_t)problem->head_dim,
        .v_head_dim = (uint32_t)problem->v_head_dim,
        .dtype = problem->dtype,
        .o_dtype = problem->o_dtype,
        .lse = problem->lse,
        .scale = problem->scale,
        .softcap = problem->softcap,
        .causal = problem->causal,
        .patterns = (const tulle_pattern *const *)build->patterns,
        .pattern_count = (uint32_t)problem->pattern_count,
        .head_pattern = problem->head_pattern,
        .q_align = problem->align,
        .q_offsets = problem->q_offsets,
        .q_offset_count = problem->q_offset_count,
        .q_lengths = problem->q_lengths,
        .kv_lengths = problem->kv_lengths,
        .kv_starts = problem->kv_starts,
        .trees = problem->tree_bits,
        .tree_rows = problem->tree_rows,
        .page_size = (uint32_t)problem->page_size,
        .pages = (uint32_t)problem->pages,
        .table_columns = (uint32_t)problem->table_columns,
        .alibi_slopes = problem->slopes,
        .sink_logits = problem->sinks,
        .buffer_usage = problem->usage,
        .kernel = problem->kernel,
        .workspace_limit = problem->workspace_limit,
        .dispatch_pairs = problem->dispatch_pairs,
    };
    if (!problem->strides_in_arrays) {
        desc->q = problem->q_strides;
        desc->k = problem->k_strides;
        desc->v = problem->v_strides;
        desc->o = problem->o_strides;
        desc->q_broadcast = problem->q_broadcast;
        desc->k_broadcast = problem->k_broadcast;
        desc->v_broadcast = problem->v_broadcast;
    }
}

void problem_unbuild(struct problem_build *build) {
    for (size_t n = 0; n < PROBLEM_PATTERNS; n++) {
        tulle_pattern_destroy(build->patterns[n]);
        build->patterns[n] = NULL;
    }
}

// -------------------------------------------------------------------------------------------------
// For the reference

tulle_dtype problem_o_dtype(const struct problem *problem) {
    return problem->o_dtype == TULLE_O_F32 ? TULLE_F32 : problem->dtype;
}

int64_t problem_offset(const struct problem *problem, int64_t b) {
    const int64_t q_length = problem->q_lengths == NULL ? problem->q_len : problem->q_lengths[b];
    const int64_t kv_length =
        problem->kv_lengths == NULL ? problem->kv_len : problem->kv_lengths[b];
    switch (problem->align) {
    case TULLE_ALIGN_LAST_KEY: return kv_length - q_length;
    case TULLE_ALIGN_FIRST_KEY: return 0;
    case TULLE_ALIGN_GIVEN: return problem->q_offsets[problem->q_offset_count == 1 ? 0 : b];
    }
    abort();
}

static const struct ref_term dense_term = { .kind = REF_DENSE };

static struct ref_pattern pattern_of(const struct problem *problem, int64_t head) {
    if (problem->pattern_count == 0) {
        return (struct ref_pattern){ &dense_term, 1 };
    }
    const size_t n = problem->head_pattern == NULL ? (size_t)head % problem->pattern_count
                                                   : problem->head_pattern[head];
    return (struct ref_pattern){ problem->terms[n], problem->term_count[n] };
}

bool problem_selects(const struct problem *problem, int64_t b, int64_t head, int64_t row,
                     int64_t j) {
    const int64_t q_length = problem->q_lengths == NULL ? problem->q_len : problem->q_lengths[b];
    const int64_t kv_length =
        problem->kv_lengths == NULL ? problem->kv_len : problem->kv_lengths[b];
    const int64_t p = row + problem_offset(problem, b);
    if (row >= q_length || j >= kv_length ||
        (problem->kv_starts != NULL && j < problem->kv_starts[b])) {
        return false;
    }
    if (problem->trees != NULL && j >= kv_length - q_length) {
        return problem->trees[(b * problem->q_len + row) * problem->q_len + j -
                              (kv_length - q_length)] != 0;
    }
    if (problem->causal && j > p) {
        return false;
    }
    const struct ref_pattern pattern = pattern_of(problem, head);
    return ref_selects(&pattern, p, j, head, problem->heads, problem->kv_heads, kv_length,
                       problem->causal);
}

struct key_place problem_key(const struct problem *problem, int64_t b, int64_t j) {
    if (problem->page_size == 0) {
        return (struct key_place){ b, j };
    }
    return (
        struct key_place){ problem->page_table[b * problem->table_columns + j / problem->page_size],
                           j % problem->page_size };
}

static int64_t *widened(struct problem *problem, const int32_t *from, int64_t count) {
    if (from == NULL) {
        return NULL;
    }
    int64_t *to = problem_own(problem, (size_t)count, sizeof *to);
    for (int64_t n = 0; n < count; n++) {
        to[n] = from[n];
    }
    return to;
}

static double *doubled(struct problem *problem, const float *from) {
    if (from == NULL) {
        return NULL;
    }
    double *to = problem_own(problem, (size_t)problem->heads, sizeof *to);
    for (int64_t n = 0; n < problem->heads; n++) {
        to[n] = from[n];
    }
    return to;
}

void problem_reference(struct problem *problem) {
    int32_t head_pattern[PROBLEM_HEADS] = { 0 };
    struct ref_pattern patterns[PROBLEM_PATTERNS] = { { &dense_term, 1 } };
    for (int64_t head = 0; head < problem->heads && problem->pattern_count > 0; head++) {
        head_pattern[head] = problem->head_pattern == NULL
                                 ? (int32_t)(head % (int64_t)problem->pattern_count)
                                 : (int32_t)problem->head_pattern[head];
    }
    for (size_t n = 0; n < problem->pattern_count; n++) {
        patterns[n] = (struct ref_pattern){ problem->terms[n], problem->term_count[n] };
    }
    const size_t rows = (size_t)(problem->batch * problem->heads * problem->q_len);
    if (problem->want_o == NULL) {
        problem->want_o = problem_own(problem, rows * (size_t)problem->v_head_dim, sizeof(double));
        problem->absolute =
            problem_own(problem, rows * (size_t)problem->v_head_dim, sizeof(double));
        problem->want_lse = problem_own(problem, rows, sizeof(double));
        problem->score_bound = problem_own(problem, rows, sizeof(double));
    }
    const struct tensor *v = &problem->v;
    const int64_t zero = 0, values = v->batch * v->heads * v->rows * v->dim;
    problem->value_most = 0.0;
    for (int64_t n = 0; n < values; n++) {
        if (isfinite(problem->v64[n])) {
            problem->value_most = fmax(problem->value_most, fabs(problem->v64[n]));
        }
    }
    struct ref_problem reference = {
        .batch = problem->batch,
        .heads = problem->heads,
        .kv_heads = problem->kv_heads,
        .q_len = problem->q_len,
        .kv_len = problem->kv_len,
        .head_dim = problem->head_dim,
        .v_head_dim = problem->v_head_dim,
        .q = problem->q64,
        .k = problem->k64,
        .v = problem->v64,
        .page_size = problem->page_size,
        .pages = problem->pages,
        .table_columns = problem->table_columns,
        .page_table = problem->page_table,
        .scale = problem->scale,
        .softcap = problem->softcap,
        .causal = problem->causal,
        .patterns = patterns,
        .n_patterns = problem->pattern_count == 0 ? 1 : problem->pattern_count,
        .head_pattern = head_pattern,
        .q_lengths = widened(problem, problem->q_lengths, problem->batch),
        .kv_lengths = widened(problem, problem->kv_lengths, problem->batch),
        .kv_starts = widened(problem, problem->kv_starts, problem->batch),
        .trees = problem->trees,
        .slopes = doubled(problem, problem->slopes),
        .sink_logits = doubled(problem, problem->sinks),
        .o = problem->want_o,
        .lse = problem->want_lse,
        .absolute = problem->absolute,
        .score_bound = problem->score_bound,
        .pairs = &problem->pairs,
    };
    if (problem->align == TULLE_ALIGN_FIRST_KEY) {
        reference.q_offset = &zero;
        reference.n_q_offset = 1;
    } else if (problem->align == TULLE_ALIGN_GIVEN) {
        reference.q_offset = widened(problem, problem->q_offsets, problem->q_offset_count);
        reference.n_q_offset = problem->q_offset_count;
    }
    ref_attention(&reference);
}

// -------------------------------------------------------------------------------------------------
// Inputs

// The value of one element: from its place in memory, so that rows which strides of 0 make one
// agree.
static double element_value(const struct problem *problem, const struct tensor *tensor,
                            uint64_t stream, int64_t place, int64_t row) {
    struct rng rng = { rng_hash(problem->seed ^ stream, (uint64_t)place) };
    double value = rng_normal(&rng);
    if (problem->data == DATA_RISING && stream == 2 && tensor->strides.row != 0) {
        value *= 0.1 + 4.0 * (double)row / (double)tensor->rows;
    } else if (problem->data == DATA_SPIKY && rng_chance(&rng, 3)) {
        value *= 8.0;
    }
    if (problem->data == DATA_HUGE && stream == 3) {
        value = (double)rng_between(&rng, 600, 1000) / 1000.0 *
                (rng_chance(&rng, 10) ? -1.0 : 1.0) *
                (tensor->dtype == TULLE_F16 ? 65000.0 : 3.3e38);
    }
    // No subnormal numbers: whether fp16's are read as they are or as 0 is the driver's choice.
    return fabs(value) < 0x1p-14 ? 0.0 : value;
}

static void fill_row(const struct problem *problem, const struct tensor *tensor, uint64_t stream,
                     int64_t b, int64_t head, int64_t row) {
    for (int64_t d = 0; d < tensor->dim; d++) {
        uint8_t *at = tensor_at(tensor, b, head, row, d);
        dtype_encode(tensor->dtype,
                     element_value(problem, tensor, stream, at - tensor->memory, row), at);
    }
}

static void read_back(const struct tensor *tensor, double *to) {
    for (int64_t b = 0; b < tensor->batch; b++) {
        for (int64_t head = 0; head < tensor->heads; head++) {
            for (int64_t row = 0; row < tensor->rows; row++) {
                for (int64_t d = 0; d < tensor->dim; d++) {
                    *to++ = dtype_decode(tensor->dtype, tensor_at(tensor, b, head, row, d));
                }
            }
        }
    }
}

// Counts what each row selects into problem->keys, and marks the K and V rows that any query
// selects.
static void count_selected(struct problem *problem, uint8_t *used) {
    for (int64_t b = 0; b < problem->batch; b++) {
        for (int64_t head = 0; head < problem->heads; head++) {
            const int64_t kv_head = head * problem->kv_heads / problem->heads;
            for (int64_t row = 0; row < problem->q_len; row++) {
                int64_t *keys = &problem->keys[(b * problem->heads + head) * problem->q_len + row];
                *keys = 0;
                for (int64_t j = 0; j < problem->kv_len; j++) {
                    if (problem_selects(problem, b, head, row, j)) {
                        const struct key_place at = problem_key(problem, b, j);
                        used[(at.batch * problem->kv_heads + kv_head) * problem->k.rows + at.row] =
                            1;
                        ++*keys;
                    }
                }
            }
        }
    }
}

// Makes one row of K or V non-finite, where that leaves at least half of the rows that see
// anything.
static void spoil_key(struct problem *problem, struct rng *rng) {
    const int64_t b = rng_between(rng, 0, problem->batch - 1),
                  g = rng_between(rng, 0, problem->kv_heads - 1);
    const int64_t j = rng_between(rng, 0, problem->kv_len - 1);
    const struct tensor *shared[] = { &problem->k, &problem->v };
    for (int n = 0; n < 2; n++) {
        const tulle_strides *strides = &shared[n]->strides;
        if (strides->batch == 0 || strides->head == 0 || strides->row == 0 ||
            problem->page_size != 0) {
            return;  // which rows it reaches would have to be worked out through strides or pages
        }
    }
    const int64_t rows = problem->batch * problem->heads * problem->q_len;
    uint8_t *reached = calloc((size_t)rows, 1);
    int64_t live = 0, lost = 0;
    for (int64_t n = 0; n < rows; n++) {
        const int64_t row = n % problem->q_len, head = n / problem->q_len % problem->heads,
                      at = n / problem->q_len / problem->heads;
        reached[n] =
            problem->unspecified[n] || (at == b && head * problem->kv_heads / problem->heads == g &&
                                        problem_selects(problem, b, head, row, j));
        live += problem->keys[n] > 0;
        lost += reached[n];
    }
    if (2 * lost <= live && lost > 0) {
        memcpy(problem->unspecified, reached, (size_t)rows);
        const struct tensor *tensor = rng_chance(rng, 50) ? &problem->k : &problem->v;
        const int64_t from = rng_chance(rng, 50) ? 0 : rng_between(rng, 0, tensor->dim - 1);
        const double value = rng_chance(rng, 50) ? NAN : rng_chance(rng, 50) ? INFINITY : -INFINITY;
        for (int64_t d = from; d < tensor->dim; d++) {
            dtype_encode(tensor->dtype, value, tensor_at(tensor, b, g, j, d));
        }
    }
    free(reached);
}

// The doubles of what is stored; K and V are read back whole, the poison of unselected rows
// included.
static void read_inputs(struct problem *problem) {
    read_back(&problem->q, problem->q64);
    read_back(&problem->k, problem->k64);
    read_back(&problem->v, problem->v64);
}

void problem_fill(struct problem *problem) {
    if (problem->v_head_dim == 0) {
        problem->v_head_dim = problem->head_dim;
    }
    const int64_t q_rows = problem->batch * problem->heads * problem->q_len;
    const int64_t kv_batch = problem->page_size ? problem->pages : problem->batch,
                  kv_length = problem->page_size ? problem->page_size : problem->kv_len,
                  kv_rows = kv_batch * problem->kv_heads * kv_length;
    tensor_make(problem, &problem->q, problem->batch, problem->heads, problem->q_len,
                problem->head_dim, problem->dtype, problem->q_strides, problem->q_broadcast,
                problem->q_lead);
    tensor_make(problem, &problem->k, kv_batch, problem->kv_heads, kv_length, problem->head_dim,
                problem->dtype, problem->k_strides, problem->k_broadcast, problem->k_lead);
    tensor_make(problem, &problem->v, kv_batch, problem->kv_heads, kv_length, problem->v_head_dim,
                problem->dtype, problem->v_strides, problem->v_broadcast, problem->v_lead);
    tensor_make(problem, &problem->o, problem->batch, problem->heads, problem->q_len,
                problem->v_head_dim, problem_o_dtype(problem), problem->o_strides, false,
                problem->o_lead);
    tensor_make(problem, &problem->l, problem->batch, problem->heads, problem->q_len, 1, TULLE_F32,
                (tulle_strides){ 0, 0, 0 }, false, problem->lse_lead);
    problem->q64 = problem_own(problem, (size_t)(q_rows * problem->head_dim), sizeof(double));
    problem->k64 = problem_own(problem, (size_t)(kv_rows * problem->head_dim), sizeof(double));
    problem->v64 = problem_own(problem, (size_t)(kv_rows * problem->v_head_dim), sizeof(double));
    problem->keys = problem_own(problem, (size_t)q_rows, sizeof *problem->keys);
    problem->unspecified = problem_own(problem, (size_t)q_rows, 1);

    uint8_t *used = calloc((size_t)kv_rows, 1);
    count_selected(problem, used);
    for (int64_t n = 0; n < q_rows; n++) {
        const int64_t row = n % problem->q_len, head = n / problem->q_len % problem->heads,
                      b = n / problem->q_len / problem->heads;
        if (problem->q_lengths == NULL || row < problem->q_lengths[b]) {
            fill_row(problem, &problem->q, 1, b, head, row);
        }
    }
    for (int64_t n = 0; n < kv_rows; n++) {
        const int64_t row = n % kv_length, g = n / kv_length % problem->kv_heads,
                      b = n / kv_length / problem->kv_heads;
        if (used[n]) {
            fill_row(problem, &problem->k, 2, b, g, row);
            fill_row(problem, &problem->v, 3, b, g, row);
        }
    }
    free(used);
    struct rng rng = { rng_hash(problem->seed, 4) };
    for (int n = 0; n < problem->spoiled_keys; n++) {
        spoil_key(problem, &rng);
    }
    read_inputs(problem);
    problem_reference(problem);
}

void problem_store(struct problem *problem) {
    const struct tensor *tensors[] = { &problem->q, &problem->k, &problem->v };
    const double *values[] = { problem->q64, problem->k64, problem->v64 };
    for (int t = 0; t < 3; t++) {
        const double *from = values[t];
        for (int64_t n = 0; n < tensors[t]->batch * tensors[t]->heads * tensors[t]->rows; n++) {
            const int64_t row = n % tensors[t]->rows,
                          head = n / tensors[t]->rows % tensors[t]->heads;
            for (int64_t d = 0; d < tensors[t]->dim; d++, from++) {
                if (!isnan(*from)) {
                    dtype_encode(tensors[t]->dtype, *from,
                                 tensor_at(tensors[t], n / tensors[t]->rows / tensors[t]->heads,
                                           head, row, d));
                }
            }
        }
    }
}
