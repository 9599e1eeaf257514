// SPDX-License-Identifier: MIT
//
// A plan: a descriptor's schedule in device memory, its pipelines, and its dispatches. Immutable
// once made.
#ifndef TULLE_SRC_RUN_PLAN_H
#define TULLE_SRC_RUN_PLAN_H

#include "device/memory.h"
#include "kernel/variant.h"
#include "schedule/schedule.h"

struct tulle_plan {
    tulle_context *context;
    struct attention attention;
    const struct variant *variant;
    uint32_t tile_rows;
    // The context's; NULL: no dispatch needs it. resume: of attention, for dispatches whose items
    // resume; its layout is the pipeline's.
    const struct pipeline *pipeline, *resume, *combine;
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
    uint64_t workspace_row_bytes;
    tulle_plan_info info;
};

/// Records tulle_cmd_prepare and runs it, by the context's submitter: under its mutex.
tulle_result plan_prepare(tulle_plan *plan, tulle_error *error);

#endif
