// SPDX-License-Identifier: MIT
//
// Blocks of device memory, oldest first, each with its free ranges. A request goes to the
// first free range of the first block that has room for it; so the same requests in the same order
// find the same places again, and a plan made and destroyed in a loop allocates nothing after the
// first. Blocks that are empty are kept for that.
#include "device/pool.h"

#include <stdlib.h>
#include <string.h>

#include "device/context.h"
#include "device/memory_types.h"

#define SMALLEST_BLOCK ((VkDeviceSize)1 << 20)
#define LARGEST_BLOCK ((VkDeviceSize)1 << 26)  // larger requests get a block of their own

struct pool_range {
    VkDeviceSize offset, size;
};

struct pool_block {
    struct pool_block *next;
    VkDeviceMemory memory;
    VkDeviceSize size;
    uint32_t type;
    void *mapped;
    struct pool_range *free;  ///< by rising offset, none touching the next
    size_t free_count;
    /// at least used_count + 1, the most that there can be: so giving back cannot fail
    size_t free_capacity;
    size_t used_count;
};

struct memory_pool {
    struct mutex mutex;
    struct pool_block *blocks;
    VkDeviceSize next_size[VK_MAX_MEMORY_TYPES];  ///< of the next block of the type
    VkDeviceSize largest_buffer;
};

static VkDeviceSize align_up(VkDeviceSize value, VkDeviceSize alignment) {
    return (value + alignment - 1) & ~(alignment - 1);
}

static void block_destroy(const tulle_context *context, struct pool_block *block) {
    // which also unmaps it
    context->vk.device.vkFreeMemory(context->device, block->memory, context->allocator);
    free(block->free);
    free(block);
}

static VkResult block_create(const tulle_context *context, VkDeviceSize size, uint32_t type,
                             struct pool_block **out) {
    struct pool_block *block = calloc(1, sizeof *block);
    VkResult result = VK_ERROR_OUT_OF_HOST_MEMORY;

    *out = NULL;
    if (!block) return result;
    block->free_capacity = 16;
    block->free = malloc(block->free_capacity * sizeof *block->free);
    if (block->free)
        result =
            memory_allocate(context, size, type, MEMORY_POOLED, &block->memory, &block->mapped);
    if (result != VK_SUCCESS) {
        free(block->free);
        free(block);
        return result;
    }
    block->size = size;
    block->type = type;
    block->free[0] = (struct pool_range){ 0, size };
    block->free_count = 1;
    *out = block;
    return VK_SUCCESS;
}

/// Takes size bytes; false where no free range has room, or *result where host memory is out.
static bool block_take(struct pool_block *block, VkDeviceSize size, VkDeviceSize alignment,
                       VkDeviceSize *offset, VkResult *result) {
    for (size_t i = 0; i < block->free_count; i++) {
        struct pool_range range = block->free[i];
        VkDeviceSize start = align_up(range.offset, alignment);
        VkDeviceSize before = start - range.offset, after;
        if (before > range.size || range.size - before < size) continue;
        after = range.size - before - size;
        if (block->used_count + 2 > block->free_capacity) {
            size_t capacity = 2 * block->free_capacity;
            struct pool_range *grown = realloc(block->free, capacity * sizeof *grown);
            if (!grown) {
                *result = VK_ERROR_OUT_OF_HOST_MEMORY;
                return false;
            }
            block->free = grown;
            block->free_capacity = capacity;
        }
        if (before > 0 && after > 0) {
            memmove(&block->free[i + 2], &block->free[i + 1],
                    (block->free_count - i - 1) * sizeof *block->free);
            block->free[i] = (struct pool_range){ range.offset, before };
            block->free[i + 1] = (struct pool_range){ start + size, after };
            block->free_count++;
        } else if (before > 0) {
            block->free[i].size = before;
        } else if (after > 0) {
            block->free[i] = (struct pool_range){ start + size, after };
        } else {
            memmove(&block->free[i], &block->free[i + 1],
                    (block->free_count - i - 1) * sizeof *block->free);
            block->free_count--;
        }
        block->used_count++;
        *offset = start;
        return true;
    }
    return false;
}

static void block_give_back(struct pool_block *block, VkDeviceSize offset, VkDeviceSize size) {
    size_t low = 0, high = block->free_count;
    bool joins_before, joins_after;
    while (low < high) {  // the first free range after offset
        size_t middle = low + (high - low) / 2;
        if (block->free[middle].offset < offset) low = middle + 1;
        else high = middle;
    }
    joins_before = low > 0 && block->free[low - 1].offset + block->free[low - 1].size == offset;
    joins_after = low < block->free_count && offset + size == block->free[low].offset;
    if (joins_before && joins_after) {
        block->free[low - 1].size += size + block->free[low].size;
        memmove(&block->free[low], &block->free[low + 1],
                (block->free_count - low - 1) * sizeof *block->free);
        block->free_count--;
    } else if (joins_before) {
        block->free[low - 1].size += size;
    } else if (joins_after) {
        block->free[low].offset = offset;
        block->free[low].size += size;
    } else {
        memmove(&block->free[low + 1], &block->free[low],
                (block->free_count - low) * sizeof *block->free);
        block->free[low] = (struct pool_range){ offset, size };
        block->free_count++;
    }
    block->used_count--;
}

/// Frees the blocks that hold nothing and are larger than `above`.
static void pool_trim(const tulle_context *context, struct memory_pool *pool, VkDeviceSize above) {
    struct pool_block **link = &pool->blocks;
    while (*link) {
        struct pool_block *block = *link;
        if (block->used_count == 0 && block->size > above) {
            *link = block->next;
            block_destroy(context, block);
        } else {
            link = &block->next;
        }
    }
}

static VkResult pool_grow(const tulle_context *context, struct memory_pool *pool, VkDeviceSize size,
                          uint32_t type, struct pool_block **out) {
    struct pool_block **link;
    VkDeviceSize block_size = pool->next_size[type];
    VkResult result;

    while (block_size < size && block_size < LARGEST_BLOCK) block_size *= 2;
    if (block_size < size) {
        // The empty blocks of this kind were too small. Without this, plans that grow would leave
        // each size behind.
        pool_trim(context, pool, LARGEST_BLOCK);
        result = block_create(context, size, type, out);
    } else {
        result = block_create(context, block_size, type, out);
        if (result == VK_SUCCESS)
            pool->next_size[type] = block_size < LARGEST_BLOCK ? 2 * block_size : LARGEST_BLOCK;
        // with the heap nearly full: what is needed, and no more
        else if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY && size < block_size)
            result = block_create(context, size, type, out);
    }
    if (result != VK_SUCCESS) return result;
    for (link = &pool->blocks; *link; link = &(*link)->next)  // at the end: oldest first
        ;
    *link = *out;
    return VK_SUCCESS;
}

static VkResult pool_take_of_types(const tulle_context *context, struct memory_pool *pool,
                                   const VkMemoryRequirements *needs, const uint32_t *types,
                                   uint32_t type_count, struct pool_block **out,
                                   VkDeviceSize *offset) {
    VkResult result = VK_ERROR_OUT_OF_DEVICE_MEMORY;
    for (uint32_t i = 0; i < type_count; i++) {
        VkResult found = VK_SUCCESS;
        for (*out = pool->blocks; *out; *out = (*out)->next) {
            if ((*out)->type == types[i] &&
                block_take(*out, needs->size, needs->alignment, offset, &found))
                return VK_SUCCESS;
            if (found != VK_SUCCESS) return found;
        }
        result = pool_grow(context, pool, needs->size, types[i], out);
        if (result == VK_SUCCESS) {
            if (block_take(*out, needs->size, needs->alignment, offset, &found)) return VK_SUCCESS;
            // a new block has room: only realloc can fail
            return found != VK_SUCCESS ? found : VK_ERROR_UNKNOWN;
        }
    }
    return result;
}

VkResult pool_take(const tulle_context *context, const VkMemoryRequirements *needs,
                   const uint32_t *types, uint32_t type_count, struct device_buffer *buffer) {
    struct memory_pool *pool = context->pool;
    struct pool_block *block = NULL;
    VkDeviceSize offset = 0;
    VkResult result;

    mutex_lock(&pool->mutex);
    result = pool_take_of_types(context, pool, needs, types, type_count, &block, &offset);
    if (result != VK_SUCCESS) {  // what the pool keeps for later may be what is missing now
        pool_trim(context, pool, 0);
        result = pool_take_of_types(context, pool, needs, types, type_count, &block, &offset);
    }
    mutex_unlock(&pool->mutex);
    if (result != VK_SUCCESS) return result;
    buffer->block = block;
    buffer->block_offset = offset;
    buffer->block_size = needs->size;
    buffer->mapped = block->mapped ? (unsigned char *)block->mapped + offset : NULL;
    return VK_SUCCESS;
}

tulle_result memory_pool_create(tulle_context *context, struct memory_pool **out,
                                tulle_error *error) {
    struct memory_pool *pool = calloc(1, sizeof *pool);

    *out = NULL;
    if (!pool)
        return context_fail(context, error, TULLE_ERROR_OUT_OF_HOST_MEMORY,
                            "no memory for the pool of device memory");
    mutex_init(&pool->mutex);
    for (uint32_t i = 0; i < VK_MAX_MEMORY_TYPES; i++) pool->next_size[i] = SMALLEST_BLOCK;
    pool->largest_buffer = UINT64_MAX;
    if (context->caps.api_version >= VK_API_VERSION_1_3) {
        VkPhysicalDeviceMaintenance4Properties limits = {
            .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_PROPERTIES
        };
        VkPhysicalDeviceProperties2 properties = {
            .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &limits
        };
        context->vk.vkGetPhysicalDeviceProperties2(context->physical_device, &properties);
        if (limits.maxBufferSize > 0) pool->largest_buffer = limits.maxBufferSize;
    }
    *out = pool;
    return TULLE_OK;
}

void memory_pool_destroy(tulle_context *context, struct memory_pool *pool) {
    if (!pool) return;
    while (pool->blocks) {
        struct pool_block *block = pool->blocks;
        pool->blocks = block->next;
        block_destroy(context, block);
    }
    mutex_destroy(&pool->mutex);
    free(pool);
}

void pool_give_back(const tulle_context *context, const struct device_buffer *buffer) {
    mutex_lock(&context->pool->mutex);
    block_give_back(buffer->block, buffer->block_offset, buffer->block_size);
    mutex_unlock(&context->pool->mutex);
}

VkDeviceMemory pool_memory(const struct device_buffer *buffer) { return buffer->block->memory; }

VkDeviceSize pool_largest_buffer(const struct memory_pool *pool) { return pool->largest_buffer; }
