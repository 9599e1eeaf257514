// SPDX-License-Identifier: MIT
//
// The problem: a descriptor, checked and with every default filled in. What schedule, kernels and
// plan work from.
#ifndef TULLE_SRC_PROBLEM_ATTENTION_H
#define TULLE_SRC_PROBLEM_ATTENTION_H

#include "common/error.h"
#include "problem/group.h"
#include "problem/tensor.h"

#define LOG2_E 1.44269504088896340736  // kernels keep scores in log2 units (plan_memory.h)

#define HEAD_DIM_MOST 576u  // of Q and K: multi-head latent attention, absorbed
#define V_HEAD_DIM_MOST 512u
#define PAGE_SIZE_MOST 1024u
#define PAGES_MOST (PM_PAGES_LAST_MASK + 1u)
#define PIECE 4u  // elements that kernels load and store at a time
#define TREE_ROWS_MOST 256u

struct attention {
    uint32_t batch, heads, kv_heads, q_len, kv_len;
    uint32_t head_dim, v_head_dim;  ///< on the device: the descriptor's, rounded up to whole pieces
    /// that are attended to apart: the batch entries, or those packed into the only one
    uint32_t sequences;
    tulle_dtype dtype, o_dtype;  ///< o_dtype: F32, or dtype
    /// elements; LSE's are those of a contiguous [batch, heads, q_len]
    tulle_strides strides[TENSOR_COUNT];
    struct tensor_shape tensors[TENSOR_COUNT];  ///< the same in bytes; `windowed` is left false
    uint64_t span[TENSOR_COUNT];  ///< bytes from a tensor's first to past its last element
    /// Of the caller's rows: as on the device, but of a tensor whose rows are no whole pieces. That
    /// has rows on the device that are padded with zeros, in C order; its strides in the descriptor
    /// are those of arrays in host memory.
    uint32_t given_dim[TENSOR_COUNT];
    tulle_strides given_strides[TENSOR_COUNT];
    uint32_t page_size, pages, table_columns;  ///< of paged K and V; 0: they are not
    bool lse, causal;
    float scale, softcap;
    float *slopes, *sinks;  ///< heads entries each, as given; NULL: none
    uint32_t *trees;        ///< [sequences][tree_rows][attention_tree_words]; NULL: none
    uint32_t tree_rows;
    VkBufferUsageFlags buffer_usage;  ///< of the buffers that it will run on
    bool host_arrays_only;            ///< the descriptor names no usage: no buffers of the caller's
    char kernel[64];                  ///< "": the best
    char tuned[64];                   ///< the best by a tuning (kernel/tuning.h); "": none
    uint64_t workspace_limit, dispatch_pairs;  ///< 0: default
    tulle_pattern **patterns;                  ///< retained
    uint32_t pattern_count;
    struct group *groups;  ///< who shares a schedule
    uint32_t group_count;
};

/// Bytes of a row of partial results (plan_memory.h, "Workspace").
static inline uint64_t attention_partial_bytes(const struct attention *a) {
    return (uint64_t)(a->v_head_dim / 4 + 1) * 16;
}

/// Words of a row of a tree.
static inline uint32_t attention_tree_words(const struct attention *a) {
    return (a->tree_rows + 31) / 32;
}

/// Bytes of an element of tensor t.
size_t attention_element(const struct attention *a, int t);

/// What a tensor's strides are of: batch entries, heads, rows; of paged K and V pages, kv heads, rows
/// of a page.
void attention_lengths(const struct attention *a, int t, int64_t lengths[3]);

/// Bytes of the page table; 0: K and V are not paged.
static inline uint64_t attention_table_bytes(const struct attention *a) {
    return a->page_size ? (uint64_t)a->batch * a->table_columns * 4 : 0;
}

/// Are there rows that only tulle_attention can pad?
static inline bool attention_padded(const struct attention *a) {
    return a->given_dim[TENSOR_K] != a->head_dim || a->given_dim[TENSOR_V] != a->v_head_dim;
}

/// Checks and copies. On failure *out is zeroed.
tulle_result attention_resolve(const tulle_attention_desc *desc, struct attention *out,
                               tulle_error *error);
void attention_free(struct attention *a);

#endif
