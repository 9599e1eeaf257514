// SPDX-License-Identifier: MIT
//
// Device memory: buffers with memory behind them. Plan memory comes from a pool of blocks (a plan
// made and destroyed in a loop allocates nothing after the first), or from the caller's callback.
#ifndef TULLE_SRC_DEVICE_MEMORY_H
#define TULLE_SRC_DEVICE_MEMORY_H

#include "common/error.h"

enum memory_use {
    /// from the pool or the caller's callbacks; device-local, host-visible where there is such a
    /// type
    MEMORY_POOLED,
    /// from the pool, whatever callbacks there are; host-visible and coherent: a plan's copy until
    /// it is prepared
    MEMORY_POOLED_UPLOAD,
    /// dedicated allocation; device-local (workspace, host path), host-visible only on unified
    /// memory
    MEMORY_DEVICE,
    MEMORY_UPLOAD,    ///< dedicated; host-visible and coherent, for staging
    MEMORY_DOWNLOAD,  ///< dedicated; host-visible and coherent, cached where there is such a type
};

/// A buffer of its own with memory bound.
struct device_buffer {
    VkBuffer buffer;
    VkDeviceSize size;
    void *mapped;             ///< host address, or NULL; coherent
    VkDeviceAddress address;  ///< where usage has SHADER_DEVICE_ADDRESS; else 0
    enum memory_use use;
    VkDeviceMemory memory;     ///< dedicated allocations
    void *callback_id;         ///< from the caller's callbacks
    struct pool_block *block;  ///< from the pool
    VkDeviceSize block_offset, block_size;
};

/// size > 0. On failure *out is zeroed. usage: VkBufferUsageFlags.
tulle_result device_buffer_create(tulle_context *context, VkDeviceSize size,
                                  VkBufferUsageFlags usage, enum memory_use use,
                                  struct device_buffer *out, tulle_error *error);
/// Accepts a zeroed one, and zeroes it.
void device_buffer_destroy(tulle_context *context, struct device_buffer *buffer);

/// Of a buffer with VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT, on a device where the feature is
/// enabled.
VkDeviceAddress buffer_address(const tulle_context *context, VkBuffer buffer);

#endif
