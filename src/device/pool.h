// SPDX-License-Identifier: MIT
//
// The device's pool of memory for plans. Any thread.
#ifndef TULLE_SRC_DEVICE_POOL_H
#define TULLE_SRC_DEVICE_POOL_H

#include "device/memory.h"

struct memory_pool;

tulle_result memory_pool_create(tulle_context *context, struct memory_pool **out,
                                tulle_error *error);
void memory_pool_destroy(tulle_context *context, struct memory_pool *pool);

/// Memory for a buffer, of the first of these types that has some.
VkResult pool_take(const tulle_context *context, const VkMemoryRequirements *needs,
                   const uint32_t *types, uint32_t type_count, struct device_buffer *buffer);
void pool_give_back(const tulle_context *context, const struct device_buffer *buffer);
/// What a buffer from the pool is bound to, from its block_offset on.
VkDeviceMemory pool_memory(const struct device_buffer *buffer);

/// The device's maxBufferSize; UINT64_MAX where it does not tell.
VkDeviceSize pool_largest_buffer(const struct memory_pool *pool);

#endif
