// SPDX-License-Identifier: MIT
#include "device/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/context.h"

// -------------------------------------------------------------------------------------------------
// Memory types

#define VISIBLE (VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT)
#define LOCAL VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT
#define CACHED VK_MEMORY_PROPERTY_HOST_CACHED_BIT
// Types that need a feature we do not enable, or are not for buffers that everybody reads.
#define FOREIGN                                                                                \
    (VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT | VK_MEMORY_PROPERTY_PROTECTED_BIT |              \
     VK_MEMORY_PROPERTY_DEVICE_COHERENT_BIT_AMD | VK_MEMORY_PROPERTY_DEVICE_UNCACHED_BIT_AMD | \
     VK_MEMORY_PROPERTY_RDMA_CAPABLE_BIT_NV)

struct preference {
    VkMemoryPropertyFlags required, avoided;
};

// Best first. None of the device-local lists ends in host memory: a plan that does not fit should
// say so, not crawl.
static const struct preference plan_preferences[] = { { LOCAL | VISIBLE, 0 },
                                                      { LOCAL, 0 },
                                                      { 0, 0 } };
static const struct preference device_preferences[] = { { LOCAL, VISIBLE },
                                                        { LOCAL, 0 },
                                                        { 0, 0 } };
static const struct preference unified_preferences[] = { { LOCAL | VISIBLE | CACHED, 0 },
                                                         { LOCAL | VISIBLE, 0 },
                                                         { 0, 0 } };
static const struct preference upload_preferences[] = { { VISIBLE, LOCAL },
                                                        { VISIBLE, 0 },
                                                        { 0, 0 } };
static const struct preference download_preferences[] = { { VISIBLE | CACHED, 0 },
                                                          { VISIBLE, 0 },
                                                          { 0, 0 } };

static const struct preference *preferences_of(const tulle_context *context, enum memory_use use) {
    switch (use) {
    case MEMORY_PLAN: return plan_preferences;
    case MEMORY_DEVICE:
        return context->caps.unified_memory ? unified_preferences : device_preferences;
    case MEMORY_PLAN_STAGING:
    case MEMORY_UPLOAD: return upload_preferences;
    case MEMORY_DOWNLOAD: return download_preferences;
    }
    return plan_preferences;
}

/// Fills types with the indices that serve, best first; returns how many there are.
static uint32_t candidate_types(const tulle_context *context, enum memory_use use, uint32_t allowed,
                                uint32_t types[VK_MAX_MEMORY_TYPES]) {
    const VkPhysicalDeviceMemoryProperties *memory = &context->memory_properties;
    uint32_t count = 0, taken = 0;
    for (const struct preference *wish = preferences_of(context, use); wish->required; wish++) {
        for (uint32_t i = 0; i < memory->memoryTypeCount; i++) {
            VkMemoryPropertyFlags flags = memory->memoryTypes[i].propertyFlags;
            uint32_t bit = UINT32_C(1) << i;
            if (!(allowed & ~taken & bit) || (flags & wish->required) != wish->required ||
                (flags & (wish->avoided | FOREIGN)))
                continue;
            taken |= bit;
            types[count++] = i;
        }
    }
    return count;
}

/// Is memory of this type to be mapped for this use?
static bool wants_mapping(const tulle_context *context, enum memory_use use, uint32_t type) {
    if (use == MEMORY_DEVICE && !context->caps.unified_memory) return false;
    return (context->memory_properties.memoryTypes[type].propertyFlags & VISIBLE) == VISIBLE;
}

static VkResult allocate_memory(const tulle_context *context, VkDeviceSize size, uint32_t type,
                                bool map, VkDeviceMemory *memory, void **mapped) {
    const struct device_functions *vk = &context->vk.device;
    uint32_t heap = context->memory_properties.memoryTypes[type].heapIndex;
    VkMemoryAllocateFlagsInfo flags = { .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
                                        .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT };
    VkMemoryAllocateInfo info = { .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                  .pNext = context->caps.buffer_device_address ? &flags : NULL,
                                  .allocationSize = size,
                                  .memoryTypeIndex = type };
    VkResult result;

    *memory = VK_NULL_HANDLE;
    *mapped = NULL;
    if (size > context->memory_properties.memoryHeaps[heap].size)  // Vulkan forbids even to ask
        return VK_ERROR_OUT_OF_DEVICE_MEMORY;
    result = vk->vkAllocateMemory(context->device, &info, context->allocator, memory);
    if (result != VK_SUCCESS) {
        *memory = VK_NULL_HANDLE;
        return result;
    }
    if (map) {
        result = vk->vkMapMemory(context->device, *memory, 0, VK_WHOLE_SIZE, 0, mapped);
        if (result != VK_SUCCESS) {
            vk->vkFreeMemory(context->device, *memory, context->allocator);
            *memory = VK_NULL_HANDLE;
            *mapped = NULL;
        }
    }
    return result;
}

static tulle_result fail_allocate(const tulle_context *context, tulle_error *error, VkResult result,
                                  VkDeviceSize size) {
    char call[64];
    snprintf(call, sizeof call, "vkAllocateMemory of %llu bytes", (unsigned long long)size);
    return context_fail_vk(context, error, result, call);
}

// -------------------------------------------------------------------------------------------------
// The pool. Blocks of device memory, oldest first, each with its free ranges. A request goes to the
// first free range of the first block that has room for it; so the same requests in the same order
// find the same places again, and a plan made and destroyed in a loop allocates nothing after the
// first. Blocks that are empty are kept for that.

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
    VkDeviceSize largest_buffer;  ///< maxBufferSize; UINT64_MAX where the device does not tell
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
        result = allocate_memory(context, size, type, wants_mapping(context, MEMORY_PLAN, type),
                                 &block->memory, &block->mapped);
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

static VkResult pool_take(const tulle_context *context, struct memory_pool *pool,
                          const VkMemoryRequirements *needs, const uint32_t *types,
                          uint32_t type_count, struct device_buffer *buffer) {
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

// -------------------------------------------------------------------------------------------------
// Buffers

static tulle_result take_from_callback(tulle_context *context, const VkMemoryRequirements *needs,
                                       struct device_buffer *out, tulle_error *error) {
    const tulle_memory_callbacks *callbacks = &context->memory_callbacks;
    out->callback_id =
        callbacks->allocate(callbacks->user, needs, &out->memory, &out->block_offset, &out->mapped);
    if (!out->memory)
        return context_fail(context, error, TULLE_ERROR_CALLBACK,
                            "memory.allocate gave no memory of %llu bytes",
                            (unsigned long long)needs->size);
    if (out->block_offset % needs->alignment != 0)
        return context_fail(context, error, TULLE_ERROR_CALLBACK,
                            "memory.allocate gave offset %llu, which is no multiple of %llu",
                            (unsigned long long)out->block_offset,
                            (unsigned long long)needs->alignment);
    return TULLE_OK;
}

static tulle_result take_dedicated(tulle_context *context, const VkMemoryRequirements *needs,
                                   const uint32_t *types, uint32_t type_count,
                                   struct device_buffer *out, tulle_error *error) {
    VkResult result = VK_ERROR_OUT_OF_DEVICE_MEMORY;
    for (uint32_t i = 0; i < type_count; i++) {
        result =
            allocate_memory(context, needs->size, types[i],
                            wants_mapping(context, out->use, types[i]), &out->memory, &out->mapped);
        if (result == VK_SUCCESS) return TULLE_OK;
    }
    return fail_allocate(context, error, result, needs->size);
}

VkDeviceAddress buffer_address(const tulle_context *context, VkBuffer buffer) {
    const struct device_functions *vk = &context->vk.device;
    VkBufferDeviceAddressInfo info = { .sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO,
                                       .buffer = buffer };
    // Loaders may hand out the core function where only the extension is enabled, so the version
    // decides.
    if (context->caps.api_version >= VK_API_VERSION_1_2 && vk->vkGetBufferDeviceAddress)
        return vk->vkGetBufferDeviceAddress(context->device, &info);
    return vk->vkGetBufferDeviceAddressKHR(context->device, &info);
}

tulle_result device_buffer_create(tulle_context *context, VkDeviceSize size,
                                  VkBufferUsageFlags usage, enum memory_use use,
                                  struct device_buffer *out, tulle_error *error) {
    const struct device_functions *vk = &context->vk.device;
    VkBufferCreateInfo info = { .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                                .size = size,
                                .usage = usage,
                                .sharingMode = VK_SHARING_MODE_EXCLUSIVE };
    VkMemoryRequirements needs;
    uint32_t types[VK_MAX_MEMORY_TYPES], type_count;
    tulle_result code = TULLE_OK;
    VkResult result;

    memset(out, 0, sizeof *out);
    if (size == 0)
        return context_fail(context, error, TULLE_ERROR_INVALID_ARGUMENT,
                            "a device buffer of 0 bytes; at least 1 is needed");
    if ((usage & VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT) && !context->caps.buffer_device_address)
        return context_fail(context, error, TULLE_ERROR_UNSUPPORTED,
                            "bufferDeviceAddress is not enabled on the device");
    if (size > context->pool->largest_buffer)
        return context_fail(context, error, TULLE_ERROR_OUT_OF_DEVICE_MEMORY,
                            "a device buffer of %llu bytes; the device allows at most %llu",
                            (unsigned long long)size,
                            (unsigned long long)context->pool->largest_buffer);
    out->size = size;
    out->use = use;
    result = vk->vkCreateBuffer(context->device, &info, context->allocator, &out->buffer);
    if (result != VK_SUCCESS) {
        char call[64];
        memset(out, 0, sizeof *out);
        snprintf(call, sizeof call, "vkCreateBuffer of %llu bytes", (unsigned long long)size);
        return context_fail_vk(context, error, result, call);
    }
    vk->vkGetBufferMemoryRequirements(context->device, out->buffer, &needs);

    if (use == MEMORY_PLAN && context->has_memory_callbacks) {
        code = take_from_callback(context, &needs, out, error);
    } else {
        type_count = candidate_types(context, use, needs.memoryTypeBits, types);
        if (type_count == 0) {
            code = context_fail(context, error, TULLE_ERROR_UNSUPPORTED,
                                "the device has no memory type of use %d among 0x%x", (int)use,
                                (unsigned)needs.memoryTypeBits);
        } else if (use == MEMORY_PLAN || use == MEMORY_PLAN_STAGING) {
            result = pool_take(context, context->pool, &needs, types, type_count, out);
            if (result != VK_SUCCESS) code = fail_allocate(context, error, result, needs.size);
        } else {
            code = take_dedicated(context, &needs, types, type_count, out, error);
        }
    }
    if (code == TULLE_OK) {
        result = vk->vkBindBufferMemory(context->device, out->buffer,
                                        out->block ? out->block->memory : out->memory,
                                        out->block_offset);
        if (result != VK_SUCCESS)
            code = context_fail_vk(context, error, result, "vkBindBufferMemory");
    }
    if (code == TULLE_OK && (usage & VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT))
        out->address = buffer_address(context, out->buffer);
    if (code != TULLE_OK) device_buffer_destroy(context, out);
    return code;
}

void device_buffer_destroy(tulle_context *context, struct device_buffer *buffer) {
    const struct device_functions *vk = &context->vk.device;
    if (buffer->buffer) vk->vkDestroyBuffer(context->device, buffer->buffer, context->allocator);
    if (buffer->block) {
        mutex_lock(&context->pool->mutex);
        block_give_back(buffer->block, buffer->block_offset, buffer->block_size);
        mutex_unlock(&context->pool->mutex);
    } else if (buffer->memory && buffer->use == MEMORY_PLAN && context->has_memory_callbacks) {
        context->memory_callbacks.free(context->memory_callbacks.user, buffer->callback_id);
    } else if (buffer->memory) {
        vk->vkFreeMemory(context->device, buffer->memory, context->allocator);
    }
    memset(buffer, 0, sizeof *buffer);
}
