// SPDX-License-Identifier: MIT
//
// A plan's tensors: descriptor sets and views for one set of buffers. Where a tensor exceeds what
// one descriptor reaches, the descriptor is a window that dynamic offsets move along it.
#ifndef TULLE_SRC_RUN_BINDING_H
#define TULLE_SRC_RUN_BINDING_H

#include "run/plan.h"

/// A tensor, the workspace or the page table in its buffer. Descriptors begin at `base` (aligned) and reach `range` bytes.
struct bound {
    VkBuffer buffer;
    uint64_t base;   ///< bytes from the buffer's start
    uint64_t delta;  ///< bytes from base to the tensor's first element
    uint64_t total;  ///< bytes from base to the tensor's end
    uint64_t range;
    VkDeviceAddress address;  ///< of the tensor's first element; 0: none
};

struct tulle_binding {
    tulle_plan *plan;  ///< held
    struct bound bound[BOUND_COUNT];
    struct device_buffer workspace;    ///< our own; none where the caller's
    VkBufferView texels[BOUND_COUNT];  ///< of what a kernel reaches as texels
    VkDescriptorPool pool;
    VkDescriptorSet *sets;  ///< attention's, one a segment, then combine's, one a segment
};

/// Bytes of what a binding has of t: a tensor, the workspace or the page table; 0: the plan has none.
uint64_t bound_bytes(const tulle_plan *plan, int t);

/// tulle_binding_create, for buffers that have what the plan's kernel needs, padded rows too.
tulle_result binding_make(tulle_plan *plan, const tulle_buffers *buffers, tulle_binding **out,
                          tulle_error *error);

/// Where the texel view of a tensor or the workspace begins, in bytes of its buffer: at or just
/// before the tensor.
uint64_t texel_offset(const struct tulle_binding *binding, int t);

#endif
