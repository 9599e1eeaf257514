// SPDX-License-Identifier: MIT
//
// Runs → work items → dispatches, in plan memory.
//
// The schedule of one attention: what of it is the same for several (batch, head) is made once and
// dispatched over its entries (a GROUP). Host only: nothing here touches Vulkan.
#ifndef TULLE_SRC_SCHEDULE_SCHEDULE_H
#define TULLE_SRC_SCHEDULE_SCHEDULE_H

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

enum dispatch_kind { DISPATCH_ATTENTION, DISPATCH_COMBINE };

struct dispatch {
    enum dispatch_kind kind;
    bool barrier_before;  ///< its inputs or its workspace rows were touched by dispatches before it
    uint32_t segment;
    uint32_t items, item_count;  ///< texel offset in the segment; workgroups in x
    uint32_t step;
    /// PM_FLAG_DIRECT, _PARTIAL, _RESUME: what some of its items do (attention); RESUME and PARTIAL
    /// exclude each other
    uint32_t does;
    uint32_t entries, entry_first, entry_count;  ///< texel offset in the segment; workgroups in y
    uint32_t ws_row_base, ws_rows;
    uint32_t parts, part_count, range_first, range_rows;  ///< combine
    uint64_t window[TENSOR_COUNT];  ///< lowest byte that it touches of a windowed tensor
    uint64_t visited;
};

struct segment {
    uint32_t first_texel, texels;
};

struct schedule_room;

struct schedule {
    uint32_t *words;             ///< plan memory
    struct schedule_room *room;  ///< that the words go back to; NULL: none
    size_t word_count, word_capacity;
    struct segment *segments;
    uint32_t segment_count;
    size_t segment_capacity;
    struct dispatch *dispatches;
    uint32_t dispatch_count;
    size_t dispatch_capacity;
    uint64_t workspace_rows;        ///< that it uses
    uint64_t workspace_rows_least;  ///< the smallest limit that will do
    uint64_t visited;
    uint64_t items;
    /// of the words, and of the most items that ever waited to be among them; smaller arrays are
    /// not counted
    uint64_t host_bytes;
};

struct schedule_input {
    struct schedule_limits limits;
    const struct pm_header *header;  ///< where slopes and sink logits lie is filled in per segment
    const float *slopes, *sinks;     ///< heads entries each, in log2 units; NULL: none
    uint32_t heads, kv_heads;
    struct tensor_shape tensors[TENSOR_COUNT];
    const struct group *groups;
    uint32_t group_count;
};

/// The large arrays of planning, kept from one plan to the next: for a window over a million tokens
/// the operating system takes twice as long to hand out fresh pages as planning takes to fill them.
/// One schedule at a time has it, from schedule_build to schedule_free.
struct schedule_room *schedule_room_create(void);        ///< empty; NULL: out of memory
void schedule_room_destroy(struct schedule_room *room);  ///< accepts NULL
size_t schedule_room_bytes(const struct schedule_room *room);

/// Fills *out (zeroed by the caller). On failure it is left for schedule_free. `room` may be NULL:
/// fresh arrays. Errors: WORKSPACE_LIMIT (out->workspace_rows_least is set), OUT_OF_HOST_MEMORY,
/// UNSUPPORTED (a single row and key do not fit a binding window; a row of more keys than 2 ·
/// splits_most items take).
tulle_result schedule_build(const struct schedule_input *input, struct schedule_room *room,
                            struct schedule *out, tulle_error *error);
void schedule_free(struct schedule *schedule);

#endif
