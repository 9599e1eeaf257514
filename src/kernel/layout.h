// SPDX-License-Identifier: MIT
//
// How a kernel reaches what it reads and writes, as data: its descriptors, or addresses, and its
// push constants. Whoever makes, binds or records a pipeline asks this and nothing else of it.
#ifndef TULLE_SRC_KERNEL_LAYOUT_H
#define TULLE_SRC_KERNEL_LAYOUT_H

#include "problem/attention.h"

/// What a kernel may reach: a tensor (enum tensor), or one of these. The first BOUND_COUNT are
/// buffers of a binding; plan memory is the plan's own, a segment of it at a time.
enum { BOUND_WORKSPACE = TENSOR_COUNT, BOUND_PAGE_TABLE, BOUND_COUNT, BOUND_PLAN = BOUND_COUNT };

enum reached_as {
    REACH_STORAGE,  ///< a storage buffer
    REACH_TEXELS,   ///< a uniform texel buffer
};

struct descriptor {
    uint32_t binding;  ///< its number in the kernel
    enum reached_as reach;
    int of;  ///< enum tensor or BOUND_
};

#define DESCRIPTORS_MOST 9

/// Pipelines with the same address of this share one VkPipelineLayout.
struct layout {
    /// Those of storage buffers in the order of their numbers, as dynamic offsets are
    struct descriptor descriptors[DESCRIPTORS_MOST];
    uint32_t count;
    bool dynamic;         ///< storage buffers are windows, which dynamic offsets move
    bool by_address;      ///< all through addresses, which stand behind the push constants' words
    uint32_t push_bytes;  ///< of push constants; 128 are guaranteed
};

/// How many descriptors of this kind there are.
uint32_t layout_count(const struct layout *layout, enum reached_as reach);

/// Is this reached so?
bool layout_has(const struct layout *layout, int of, enum reached_as reach);

#endif
