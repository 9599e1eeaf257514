// SPDX-License-Identifier: MIT
#include "device/memory.h"

#include <stdio.h>
#include <string.h>

#include "device/context.h"
#include "device/memory_types.h"
#include "device/pool.h"

static tulle_result fail_allocate(const tulle_context *context, tulle_error *error, VkResult result,
                                  VkDeviceSize size) {
    char call[64];
    snprintf(call, sizeof call, "vkAllocateMemory of %llu bytes", (unsigned long long)size);
    return context_fail_vk(context, error, result, call);
}

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
            memory_allocate(context, needs->size, types[i], out->use, &out->memory, &out->mapped);
        if (result == VK_SUCCESS) return TULLE_OK;
    }
    return fail_allocate(context, error, result, needs->size);
}

VkDeviceAddress buffer_address(const tulle_context *context, VkBuffer buffer) {
    const struct VolkDeviceTable *vk = &context->vk.device;
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
    const struct VolkDeviceTable *vk = &context->vk.device;
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
    if (size > pool_largest_buffer(context->pool))
        return context_fail(context, error, TULLE_ERROR_OUT_OF_DEVICE_MEMORY,
                            "a device buffer of %llu bytes; the device allows at most %llu",
                            (unsigned long long)size,
                            (unsigned long long)pool_largest_buffer(context->pool));
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

    if (use == MEMORY_POOLED && context->has_memory_callbacks) {
        code = take_from_callback(context, &needs, out, error);
    } else {
        type_count = memory_types(context, use, needs.memoryTypeBits, types);
        if (type_count == 0) {
            code = context_fail(context, error, TULLE_ERROR_UNSUPPORTED,
                                "the device has no memory type of use %d among 0x%x", (int)use,
                                (unsigned)needs.memoryTypeBits);
        } else if (use == MEMORY_POOLED || use == MEMORY_POOLED_UPLOAD) {
            result = pool_take(context, &needs, types, type_count, out);
            if (result != VK_SUCCESS) code = fail_allocate(context, error, result, needs.size);
        } else {
            code = take_dedicated(context, &needs, types, type_count, out, error);
        }
    }
    if (code == TULLE_OK) {
        result =
            vk->vkBindBufferMemory(context->device, out->buffer,
                                   out->block ? pool_memory(out) : out->memory, out->block_offset);
        if (result != VK_SUCCESS)
            code = context_fail_vk(context, error, result, "vkBindBufferMemory");
    }
    if (code == TULLE_OK && (usage & VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT))
        out->address = buffer_address(context, out->buffer);
    if (code != TULLE_OK) device_buffer_destroy(context, out);
    return code;
}

void device_buffer_destroy(tulle_context *context, struct device_buffer *buffer) {
    const struct VolkDeviceTable *vk = &context->vk.device;
    if (buffer->buffer) vk->vkDestroyBuffer(context->device, buffer->buffer, context->allocator);
    if (buffer->block) {
        pool_give_back(context, buffer);
    } else if (buffer->memory && buffer->use == MEMORY_POOLED && context->has_memory_callbacks) {
        context->memory_callbacks.free(context->memory_callbacks.user, buffer->callback_id);
    } else if (buffer->memory) {
        vk->vkFreeMemory(context->device, buffer->memory, context->allocator);
    }
    memset(buffer, 0, sizeof *buffer);
}
