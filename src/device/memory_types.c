// SPDX-License-Identifier: MIT
#include "device/memory_types.h"

#include "device/context.h"

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
    case MEMORY_POOLED: return plan_preferences;
    case MEMORY_DEVICE:
        return context->caps.unified_memory ? unified_preferences : device_preferences;
    case MEMORY_POOLED_UPLOAD:
    case MEMORY_UPLOAD: return upload_preferences;
    case MEMORY_DOWNLOAD: return download_preferences;
    }
    return plan_preferences;
}

uint32_t memory_types(const tulle_context *context, enum memory_use use, uint32_t allowed,
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

VkResult memory_allocate(const tulle_context *context, VkDeviceSize size, uint32_t type,
                         enum memory_use use, VkDeviceMemory *memory, void **mapped) {
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
    result =
        context->vk.device.vkAllocateMemory(context->device, &info, context->allocator, memory);
    if (result != VK_SUCCESS) {
        *memory = VK_NULL_HANDLE;
        return result;
    }
    if (wants_mapping(context, use, type)) {
        result =
            context->vk.device.vkMapMemory(context->device, *memory, 0, VK_WHOLE_SIZE, 0, mapped);
        if (result != VK_SUCCESS) {
            context->vk.device.vkFreeMemory(context->device, *memory, context->allocator);
            *memory = VK_NULL_HANDLE;
            *mapped = NULL;
        }
    }
    return result;
}
