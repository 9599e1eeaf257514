// SPDX-License-Identifier: MIT
//
// A plan: a descriptor's schedule in device memory, its pipelines, and its dispatches. Immutable
// once made.
#ifndef TULLE_SRC_RUN_PLAN_H
#define TULLE_SRC_RUN_PLAN_H

#include <stdatomic.h>

#include "device/memory.h"
#include "kernel/variant.h"
#include "schedule/parts.h"
#include "schedule/schedule.h"

/// What a plan's pipelines are for. Those for attention share a layout, and so do the others.
enum plan_use {
    USE_ATTENTION,  ///< items that resume nothing
    USE_RESUME,
    USE_LISTED,  ///< rows from a list
    USE_COMBINE,
    USE_COMBINE_LISTED,
    USES_APART,
    PLAN_USES = 2 * USES_APART  ///< and the same of dispatches over several groups
};

static inline int plan_use(const struct dispatch *d) {
    const bool listed = d->does & PM_FLAG_LISTED_ROWS, resumes = d->does & PM_FLAG_RESUME;
    int use = listed ? USE_LISTED : resumes ? USE_RESUME : USE_ATTENTION;
    if (d->kind == DISPATCH_COMBINE) use = listed ? USE_COMBINE_LISTED : USE_COMBINE;
    return use + (d->does & PM_FLAG_JOINED ? USES_APART : 0);
}

static inline bool use_combines(int use) { return use % USES_APART >= USE_COMBINE; }

struct tulle_plan {
    atomic_uint holders;     ///< the caller until tulle_plan_destroy, and each binding
    tulle_context *context;  ///< held
    struct attention attention;
    const struct variant *variant;
    uint32_t tile_rows;
    const struct pipeline *pipelines[PLAN_USES];  ///< the context's; NULL: no dispatch needs it
    struct segment *segments;
    uint32_t segment_count;
    VkBufferView *views;  ///< one a segment; none (all VK_NULL_HANDLE) by address
    struct dispatch *dispatches;
    uint32_t dispatch_count;
    struct device_buffer memory;  ///< plan memory
    /// bound where kernels expect a workspace and the plan has none; holds nothing
    struct device_buffer spare;
    /// what tulle_cmd_prepare copies; none where memory is mapped, or once an own device has it
    struct device_buffer staging;
    /// tulle_cmd_prepare was recorded, or tulle_attention has run it: what `staging` holds may be
    /// expected in `memory`
    atomic_bool prepared;
    uint64_t workspace_row_bytes;
    tulle_plan_info info;
};

/// How its patterns are tiled where nothing is left out: every list of keys is made.
static inline struct tiling plan_tiling(const tulle_plan *plan) {
    return (struct tiling){ (int32_t)plan->tile_rows, (int32_t)plan->variant->keys, INT32_MAX };
}

/// Which of the descriptor's patterns a group has, from 0.
static inline uint32_t plan_pattern(const tulle_plan *plan, const struct group *group) {
    uint32_t i = 0;
    while (plan->attention.patterns[i] != group->site.pattern) i++;
    return i;
}

/// One holder more. Any thread.
tulle_plan *plan_retain(tulle_plan *plan);
/// One less. Any thread. NULL is accepted.
void plan_release(tulle_plan *plan);

/// As tulle_plan_create, but that a workspace_limit that is too little is not logged: a tuning goes
/// on with other kernels.
tulle_result plan_try(tulle_context *context, const tulle_attention_desc *desc, tulle_plan **out,
                      tulle_error *error);

/// Runs what tulle_cmd_prepare records, by the context's submitter: under its mutex.
tulle_result plan_prepare(tulle_plan *plan, tulle_error *error);

#endif
