// SPDX-License-Identifier: MIT
//
// The fp64 CPU reference the tests compare against. It is written from docs/semantics.md alone,
// shares no code with the library, and prefers the obvious to the fast: every pair (row, key) is
// asked about one by one.
//
// Units: everything is counted in elements and positions (never bytes); logits, LSE, scale,
// softcap, slopes and sink logits are in natural-log units. Arrays are contiguous, last axis
// fastest. No global state: calls from several threads at once are fine as long as their outputs
// differ.
//
// The caller passes valid input (the reference is not where bad input is refused). What would make
// an answer meaningless (a block mask that does not cover a position, a pattern index out of range,
// a neighbourhood larger than its axis, no memory) aborts with a message, so that a test never passes by comparing two guesses.

#ifndef REFERENCE_H
#define REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// p: position of the query row (row + offset, may be negative); j: position of the key (0 <= j <
// kv_len).
enum ref_kind {
    REF_DENSE,        // every pair
    REF_WINDOW,       // -right <= p - j <= left
    REF_DILATED,      // -right * step <= p - j <= left * step and (p - j) mod step = 0
    REF_GLOBAL,       // j < count or 0 <= p < count
    REF_GLOBAL_LIST,  // j in list or p in list
    REF_SINK,         // j < count
    REF_STRIDED,      // (p - j) mod step = 0
    REF_FIXED,        // floor(p / step) = floor(j / step) or j mod step >= step - count
    REF_BLOCKS,       // mask[layout][floor(p / block)][floor(j / block)], nothing for p < 0
    // floor(j / block) among the blocks drawn for (head, floor(p / block)), nothing for p < 0
    REF_RANDOM,
    REF_DOCUMENTS,       // p and j in the same document of the cumulative lengths
    REF_PREFIX,          // (p < count and j < count) or j <= p
    REF_CHUNKED,         // floor(p / step) = floor(j / step)
    REF_A_SHAPE,         // j < count or 0 <= p - j < block
    REF_VERTICAL_SLASH,  // j in list or p - j in diagonals, those of the head's layout
    REF_NEIGHBORHOOD  // on each axis among the kernel's positions that are nearest to the query's
};
#define REF_KINDS (REF_NEIGHBORHOOD + 1)
#define REF_AXES 3  // the most that a neighbourhood has

// One term of a union. Only the fields that the kind's line above (or here) names are read, and the
// factors.
struct ref_term {
    enum ref_kind kind;
    // WINDOW, DILATED: how many keys to either side (DILATED: in steps); -1 = infinite
    int64_t left, right;
    int64_t step;   // DILATED, STRIDED, FIXED: s >= 1; CHUNKED: c >= 1
    int64_t count;  // GLOBAL: g; SINK, A_SHAPE: s; FIXED: c; RANDOM: r; PREFIX: n
    int64_t block;  // BLOCKS, RANDOM: positions per block, B >= 1; A_SHAPE: w >= 1
    uint64_t seed;  // RANDOM
    // GLOBAL_LIST: positions, any order; DOCUMENTS: c_0 = 0 <= c_1 <= ... <= c_D;
    // VERTICAL_SLASH: columns, [layouts][list_len / layouts], -1: none
    const int64_t *list;
    size_t list_len;           // entries of list (DOCUMENTS: D + 1)
    const int64_t *diagonals;  // VERTICAL_SLASH: [layouts][diagonals_len / layouts], -1: none
    size_t diagonals_len;
    const uint8_t *mask;  // BLOCKS: 0/1, [layouts][block_rows][block_cols]
    // BLOCKS, VERTICAL_SLASH: 1, kv_heads or heads: head h takes layout 0, floor(h * kv_heads /
    // heads) or h
    int64_t layouts;
    int64_t block_rows, block_cols;
    // NEIGHBORHOOD: the axes, the slowest first, and of each: positions (0 on an only axis:
    // kv_len), keys, the step between them, whether it is causal. kernel * dilation <= grid.
    int axes;
    int64_t grid[REF_AXES], kernel[REF_AXES], dilation[REF_AXES];
    bool causal_axis[REF_AXES];
    // What all else must select the pair too, each with factors of its own if it has some.
    const struct ref_term *factors;
    size_t n_factors;
};

// A union of terms: selects what any of them selects; no terms select nothing.
struct ref_pattern {
    const struct ref_term *terms;
    size_t n_terms;
};

struct ref_problem {
    int64_t batch, heads, kv_heads, q_len, kv_len, head_dim, v_head_dim;
    const double *q;  // [batch][heads][q_len][head_dim]
    const double *k;  // [batch][kv_heads][kv_len][head_dim]; only keys of selected pairs are read
    // [batch][kv_heads][kv_len][v_head_dim]; only values of selected pairs are read
    const double *v;
    // Paged where page_size is not 0: k and v are then [pages][kv_heads][page_size][...], and
    // page_table is [batch][table_columns], of which only cells of selected pairs are read.
    int64_t page_size, pages, table_columns;
    const int32_t *page_table;
    double scale;                        // 0: 1 / sqrt(head_dim)
    double softcap;                      // 0: none
    bool causal;                         // keep j <= p only
    const struct ref_pattern *patterns;  // [n_patterns], at least one
    size_t n_patterns;
    const int32_t *head_pattern;  // [heads], indices into patterns; NULL: all 0
    const int64_t *q_offset;      // [n_q_offset], p = row + q_offset
    // 0: kv length - q length of each batch entry; 1: one for all; batch: one each
    size_t n_q_offset;
    const int64_t *q_lengths;   // [batch], rows that exist; NULL: q_len
    const int64_t *kv_lengths;  // [batch], keys that exist; NULL: kv_len
    const int64_t *kv_starts;   // [batch], first key that exists; NULL: 0
    // [batch][q_len][q_len], 0/1: of a batch entry with T = q length rows, row r sees key
    // kv length - T + c, c >= 0, where trees[r][c] is 1, whatever pattern and causal say; keys before
    // as ever. n_q_offset is 0. NULL: none
    const uint8_t *trees;
    const double *slopes;  // [heads], ALiBi: adds -slope * |p - j| after the softcap; NULL: none
    // [heads], one more logit of the denominator, with no value; NULL: none
    const double *sink_logits;

    // [batch][heads][q_len][v_head_dim]; 0 in rows without a key and rows past the q length
    double *o;
    // [batch][heads][q_len]; -INFINITY in those rows (a row that exists, has no key and a sink
    // logit: the sink logit)
    double *lse;
    // NULL or as o: sum over j of p_ij * |v_j|, what rounding errors of o are measured against
    double *absolute;
    // NULL or as lse: the largest |scale| * sum over d of |q_d * k_jd|, plus |bias_ij|, over the
    // selected j; 0 without one
    double *score_bound;
    // NULL or one number, set to the count of selected pairs (after causal, lengths and starts)
    // over batch and heads
    uint64_t *pairs;
};

// Attention by exact two-pass softmax in double; every output is overwritten in full.
void ref_attention(const struct ref_problem *problem);

// Whether the pattern selects (p, j) for this query head, before causal and lengths are intersected
// with it. kv_len (the batch entry's kv length) matters to REF_RANDOM, whose candidates it gives,
// and to a neighbourhood on one axis, whose length it is; causal to REF_RANDOM alone.
bool ref_selects(const struct ref_pattern *pattern, int64_t p, int64_t j, int64_t head,
                 int64_t heads, int64_t kv_heads, int64_t kv_len, bool causal);

// IEEE binary16 and bfloat16, as bits. To bits: one rounding, to nearest, ties to even; subnormals
// kept; overflow to infinity; NaN to a quiet NaN of the same sign.
double ref_half_to_double(uint16_t bits);
uint16_t ref_double_to_half(double value);
double ref_bf16_to_double(uint16_t bits);
uint16_t ref_double_to_bf16(double value);

// Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011). out may be counter.
void ref_philox4x32_10(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

#endif
