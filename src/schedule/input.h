// SPDX-License-Identifier: MIT
//
// What a schedule is made of.
#ifndef TULLE_SRC_SCHEDULE_INPUT_H
#define TULLE_SRC_SCHEDULE_INPUT_H

#include "plan_memory.h"
#include "problem/group.h"
#include "problem/tensor.h"

/// What the variant and the device ask of a schedule.
struct schedule_limits {
    int32_t tile_rows, chunk;  ///< rows of a full item; keys per chunk, a power of 2 up to 64
    /// the kernel can write O and LSE of rows that were not split, and begin them with a partial
    /// result
    bool direct;
    uint32_t segment_texels;     ///< of plan memory that one dispatch can see
    uint32_t segment_alignment;  ///< texels
    uint32_t max_workgroups_x, max_workgroups_y;
    int64_t item_chunks_most;   ///< loop iterations of an item's chunk loops
    int64_t item_chunks_least;  ///< below this splitting does not pay
    /// items that a tile is cut into, over all parts; more only where runs and windows ask for it.
    /// One invocation merges them in a loop, and twice as many are refused; 0: no limit
    int64_t splits_most;
    int64_t items_wanted;     ///< work items, counted over heads, that fill the device
    uint64_t dispatch_pairs;  ///< rows × keys visited by one dispatch
    uint64_t workspace_rows;  ///< rows of partial results that fit the limit
    /// what a dispatch may reach of a tensor that is too large to be bound whole
    uint64_t window_bytes;
};

/// Pairs that one chunk of an item visits.
static inline uint64_t chunk_pairs(const struct schedule_limits *limits) {
    return (uint64_t)limits->tile_rows * (uint64_t)limits->chunk;
}

struct schedule_input {
    struct schedule_limits limits;
    const struct pm_header *header;  ///< where slopes and sink logits lie is filled in per segment
    const float *slopes, *sinks;     ///< heads entries each, in log2 units; NULL: none
    uint32_t heads, kv_heads;
    struct tensor_shape tensors[TENSOR_COUNT];
    const struct group *groups;
    uint32_t group_count;
};

#endif
