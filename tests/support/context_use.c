// SPDX-License-Identifier: MIT

#include "context_use.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "device/memory.h"
#include "device/submit.h"

void journal_note(void *user, tulle_log_level level, const char *message) {
    struct journal *journal = user;
    size_t length = strlen(journal->errors);
    journal->messages[level]++;
    if (level == TULLE_LOG_ERROR)
        snprintf(journal->errors + length, sizeof journal->errors - length, "%s\n", message);
}

tulle_context *context_make(const tulle_context_params *params) {
    tulle_context *context = NULL;
    tulle_error error = { 0 };
    if (tulle_context_create(params, &context, &error) != TULLE_OK)
        fail_msg("tulle_context_create: %s", error.message);
    assert_non_null(context);
    return context;
}

void context_refuse(tulle_context_params params, tulle_result result, const char *const *words,
                    size_t count) {
    tulle_context *context = (tulle_context *)&params;  // anything but NULL
    tulle_error error = { 0 };
    struct journal journal = { { 0 }, "" };
    params.log = journal_note;
    params.log_user = &journal;
    assert_int_equal(tulle_context_create(&params, &context, &error), result);
    assert_null(context);
    assert_int_equal(error.result, result);
    for (size_t i = 0; i < count; i++)
        if (!strstr(error.message, words[i]))
            fail_msg("\"%s\" does not name \"%s\"", error.message, words[i]);
    assert_int_equal(journal.messages[TULLE_LOG_ERROR], 1);
    assert_memory_equal(journal.errors, error.message, strlen(error.message));
    // and without a tulle_error
    assert_int_equal(tulle_context_create(&params, &context, NULL), result);
}

tulle_device_info context_default_device(void) {
    tulle_device_info info;
    tulle_context *context = context_make(NULL);
    tulle_context_info(context, &info);
    tulle_context_destroy(context);
    return info;
}

void context_open_gpu(struct gpu *gpu, bool bare) {
    tulle_device_info info = context_default_device();
    char why[300];
    if (!gpu_open(gpu, info.uuid, bare, NULL, why, sizeof why)) fail_msg("%s", why);
}

bool context_use(tulle_context *context, uint32_t value) {
    const struct device_functions *vk = &context->vk.device;
    const PFN_vkCmdFillBuffer fill =
        (PFN_vkCmdFillBuffer)context->vk.vkGetDeviceProcAddr(context->device, "vkCmdFillBuffer");
    VkCommandPoolCreateInfo pool_info = { .sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                          .queueFamilyIndex = context->queue_family };
    VkCommandBufferAllocateInfo cmd_info = { .sType =
                                                 VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                             .commandBufferCount = 1 };
    VkCommandBufferBeginInfo begin = { .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO };
    VkFenceCreateInfo fence_info = { .sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO };
    VkMemoryBarrier barrier = { .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
                                .dstAccessMask = VK_ACCESS_HOST_READ_BIT };
    VkCommandPool pool = VK_NULL_HANDLE;
    VkCommandBuffer cmd = VK_NULL_HANDLE;
    VkFence fence = VK_NULL_HANDLE;
    struct device_buffer buffer = { 0 };
    bool good = fill && device_buffer_create(context, 4096, VK_BUFFER_USAGE_TRANSFER_DST_BIT,
                                             MEMORY_DOWNLOAD, &buffer, NULL) == TULLE_OK;
    good = good && vk->vkCreateCommandPool(context->device, &pool_info, context->allocator,
                                           &pool) == VK_SUCCESS;
    cmd_info.commandPool = pool;
    good = good && vk->vkAllocateCommandBuffers(context->device, &cmd_info, &cmd) == VK_SUCCESS;
    good = good && vk->vkCreateFence(context->device, &fence_info, context->allocator, &fence) ==
                       VK_SUCCESS;
    good = good && vk->vkBeginCommandBuffer(cmd, &begin) == VK_SUCCESS;
    if (good) {
        fill(cmd, buffer.buffer, 0, VK_WHOLE_SIZE, value);
        vk->vkCmdPipelineBarrier(cmd, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_HOST_BIT, 0,
                                 1, &barrier, 0, NULL, 0, NULL);
        good = vk->vkEndCommandBuffer(cmd) == VK_SUCCESS &&
               submit_and_wait(context, cmd, fence, NULL) == TULLE_OK;
        // the fence is reset
        good = good && submit_and_wait(context, cmd, fence, NULL) == TULLE_OK;
        for (int i = 0; good && i < 1024; i++) good = ((const uint32_t *)buffer.mapped)[i] == value;
    }
    vk->vkDestroyFence(context->device, fence, context->allocator);
    vk->vkDestroyCommandPool(context->device, pool, context->allocator);
    device_buffer_destroy(context, &buffer);
    return good;
}
