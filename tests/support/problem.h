// SPDX-License-Identifier: MIT
//
// One attention problem as a test states it, neutral between the library and the reference: its
// shapes and patterns, its tensors in storage (guarded and poisoned), what the reference says, and
// what the library answered.
//
//     problem_init, fill in the fields  →  problem_fill (inputs, reference)  →  problem_run  →
//     problem_check
//
// A tensor lies in one block of bytes: a guard, the elements with whatever gaps the strides leave,
// a guard. All of it is NaN in every dtype until it is written, and everything but a tensor's own
// elements stays so: guards, gaps, rows of K and V that no query selects, rows of Q past a length.
#ifndef TESTS_PROBLEM_H
#define TESTS_PROBLEM_H

#include "harness.h"
#include "reference.h"

#define PROBLEM_PATTERNS 4
#define PROBLEM_TERMS 12
#define PROBLEM_HEADS 64
#define POISON 0xFFEB  // as two bytes a quiet NaN in fp16 and bf16, twice in a row one in fp32

struct tensor {
    int64_t batch, heads, rows, dim;
    tulle_dtype dtype;
    tulle_strides strides;  // in elements
    size_t lead;            // bytes before the first element
    size_t bytes;           // from the first element to the last, inclusive
    size_t size;            // with both guards
    uint8_t *memory;
};

enum problem_data {
    DATA_NORMAL,
    DATA_RISING,  // keys grow along the sequence, and so does the running maximum
    DATA_SPIKY,   // a few large entries: sharp rows, logits of some tens
    DATA_HUGE     // V near the largest number, most of one sign: a sum of two is infinite
};

enum problem_way {
    WAY_HOST,   // tulle_attention
    WAY_RECORD  // tulle_cmd_attention, on a device of the tests' own
};

struct problem {
    uint64_t seed;
    int64_t batch, heads, kv_heads, q_len, kv_len, head_dim, v_head_dim;
    tulle_dtype dtype;
    tulle_o_dtype o_dtype;
    float scale, softcap;
    bool causal, lse;

    struct ref_term terms[PROBLEM_PATTERNS][PROBLEM_TERMS];
    size_t term_count[PROBLEM_PATTERNS];
    size_t pattern_count;          // 0: none given, which is dense
    bool csr;                      // hand block masks over as CSR
    const uint32_t *head_pattern;  // [heads], or NULL: dealt in turn

    tulle_q_align align;
    const int32_t *q_offsets;
    uint32_t q_offset_count;
    const int32_t *q_lengths, *kv_lengths, *kv_starts;
    const uint8_t *trees;       // [batch][q_len][q_len], 0/1, or NULL
    const uint32_t *tree_bits;  // the same as the descriptor has them, tree_rows ≥ q_len
    uint32_t tree_rows;
    // paged K and V: K, V and their doubles are then [pages, kv_heads, page_size, dim]; 0: they are not
    int64_t page_size, pages, table_columns;
    const int32_t *page_table;  // [batch, table_columns]
    const float *slopes, *sinks;

    const char *kernel;
    uint64_t workspace_limit, dispatch_pairs;
    // bytes of its buffer before a workspace of the tests' own; 0: whether it is theirs is the
    // seed's choice
    uint64_t workspace_at;
    VkBufferUsageFlags usage;  // 0: for host arrays alone
    bool ranges;               // record each dispatch alone, one submission each
    bool sized_buffers;        // say how large each buffer is (else 0)
    bool strides_in_arrays;    // host arrays: strides there and not in the descriptor

    tulle_strides q_strides, k_strides, v_strides, o_strides;  // all zero and no broadcast: C order
    bool q_broadcast, k_broadcast, v_broadcast;
    int64_t q_lead, k_lead, v_lead, o_lead, lse_lead;  // elements before the first, 16 or more

    enum problem_data data;
    // so many selected keys are NaN or Inf too; rows that select one are not compared
    int spoiled_keys;

    // the most that reading subnormal fp16 as 0 changes a logit, a value (problem_fill makes none)
    double value_most;  // the largest finite |V|
    double logit_flush, value_flush;

    // Made by problem_fill.
    struct tensor q, k, v, o, l;
    double *q64, *k64, *v64;                             // as stored, contiguous
    double *want_o, *want_lse, *absolute, *score_bound;  // the reference's
    int64_t *keys;         // [batch, heads, q_len]: how many each row selects
    uint8_t *unspecified;  // [batch, heads, q_len]: selects a spoiled key
    uint64_t pairs;
    // Filled by problem_run.
    tulle_plan_info info;

    void *owned[160];  // freed by problem_free
    size_t owned_count;
};

// Zeroes it and sets what most tests want: batch 1, one head, fp32, guards.
void problem_init(struct problem *problem, uint64_t seed);
void problem_free(struct problem *problem);
// Zeroed memory that lives as long as the problem.
void *problem_own(struct problem *problem, size_t count, size_t size);
struct ref_term *problem_term(struct problem *problem, size_t pattern, struct ref_term term);

// The library's side of it: descriptor and patterns. The descriptor points into `build`.
struct problem_build {
    tulle_attention_desc desc;
    tulle_pattern *patterns[PROBLEM_PATTERNS];
};
void problem_build(const struct problem *problem, struct problem_build *build);
void problem_unbuild(struct problem_build *build);
tulle_pattern *problem_pattern(const struct ref_pattern *pattern, bool csr);

// Inputs from the seed; then the reference.
void problem_fill(struct problem *problem);
// Computes the reference anew, after a test has changed the inputs' doubles or the patterns (not
// the shapes).
void problem_reference(struct problem *problem);
// Writes the doubles q64, k64, v64 into storage again (rows that are selected), after a test has
// changed them.
void problem_store(struct problem *problem);
// Where in K and V a key of a batch entry lies: of which batch entry or page, and which row.
struct key_place {
    int64_t batch, row;
};
struct key_place problem_key(const struct problem *problem, int64_t b, int64_t j);
bool problem_selects(const struct problem *problem, int64_t b, int64_t head, int64_t row,
                     int64_t j);
int64_t problem_offset(const struct problem *problem, int64_t b);

// Poisons O and LSE, then runs. TULLE_OK: they hold what the library wrote, and guards, gaps and
// inputs have been checked. Another result: that of the call that refused, its message in *error;
// nothing else happened.
tulle_result problem_run(struct problem *problem, const struct mode_context *context,
                         enum problem_way way, tulle_error *error);
// Does the problem's kernel, which is named whole, serve it there?
bool problem_serves(const struct problem *problem, const struct mode_context *context);
// As problem_run, where anything but TULLE_OK fails the test.
void problem_must_run(struct problem *problem, const struct mode_context *context,
                      enum problem_way way);

// The steps of a recorded run, for tests that record themselves: a plan (info is filled; a
// workspace_limit of UINT64_MAX takes the least that will do), its buffers and binding (prepared;
// workspace NULL: as the seed says), reading back, the end.
struct problem_session {
    const struct gpu *gpu;
    tulle_binding *binding;
    struct gpu_buffer q, k, v, o, l, workspace, page_table;
};
// Q, K and V, with answers that lie in memory like the problem's O and LSE: those, or copies of
// them (o, l: with their guards).
tulle_host_arrays problem_arrays(const struct problem *problem, uint8_t *o, uint8_t *l);
tulle_result problem_plan(struct problem *problem, tulle_context *context, tulle_plan **plan,
                          tulle_error *error);
tulle_result problem_bind(struct problem *problem, const struct gpu *gpu, tulle_plan *plan,
                          const tulle_buffer *workspace, struct problem_session *session,
                          tulle_error *error);
void problem_read(struct problem *problem, struct problem_session *session);
void problem_unbind(struct problem_session *session);

// Compares with the reference and fails the test at the first difference. what: for the message.
void problem_check(const struct problem *problem, const char *what);
// The output's elements as doubles.
double problem_o(const struct problem *problem, int64_t b, int64_t head, int64_t row, int64_t d);
double problem_lse(const struct problem *problem, int64_t b, int64_t head, int64_t row);
// Within what both may be off by; for the same shapes.
void problem_check_same(const struct problem *a, const struct problem *b, const char *what);
// Bit for bit.
void problem_check_identical(const struct problem *a, const struct problem *b, const char *what);
// The largest error so far as a share of what is allowed, by O's dtype (LSE as fp32).
double problem_worst_share(tulle_dtype o_dtype);
tulle_dtype problem_o_dtype(const struct problem *problem);

// Tensors.
void tensor_make(struct problem *problem, struct tensor *tensor, int64_t batch, int64_t heads,
                 int64_t rows, int64_t dim, tulle_dtype dtype, tulle_strides strides, bool literal,
                 int64_t lead);
uint8_t *tensor_at(const struct tensor *tensor, int64_t b, int64_t head, int64_t row, int64_t d);
void tensor_poison(struct tensor *tensor);
double dtype_decode(tulle_dtype dtype, const void *from);
void dtype_encode(tulle_dtype dtype, double value, void *to);

#endif
