// SPDX-License-Identifier: MIT
#include "device/submit.h"

static void lock_queue(tulle_context *context) {
    if (context->lock_queue) context->lock_queue(context->queue_user);
    else mutex_lock(&context->queue_mutex);
}

static void unlock_queue(tulle_context *context) {
    if (context->unlock_queue) context->unlock_queue(context->queue_user);
    else mutex_unlock(&context->queue_mutex);
}

tulle_result submit_and_wait(tulle_context *context, VkCommandBuffer cmd, VkFence fence,
                             tulle_error *error) {
    const struct device_functions *vk = &context->vk.device;
    VkSubmitInfo submit = { .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                            .commandBufferCount = 1,
                            .pCommandBuffers = &cmd };
    VkResult result = vk->vkResetFences(context->device, 1, &fence);

    if (result != VK_SUCCESS) return context_fail_vk(context, error, result, "vkResetFences");
    lock_queue(context);
    result = vk->vkQueueSubmit(context->queue, 1, &submit, fence);
    unlock_queue(context);
    if (result != VK_SUCCESS) return context_fail_vk(context, error, result, "vkQueueSubmit");
    result = vk->vkWaitForFences(context->device, 1, &fence, VK_TRUE, UINT64_MAX);
    if (result == VK_SUCCESS) return TULLE_OK;
    // out of memory: it still runs, and what it uses may be freed or begun again
    if (result != VK_ERROR_DEVICE_LOST) {
        lock_queue(context);
        vk->vkQueueWaitIdle(context->queue);
        unlock_queue(context);
    }
    return context_fail_vk(context, error, result, "vkWaitForFences");
}

static tulle_result make_submitter(tulle_context *context, struct submitter *s,
                                   tulle_error *error) {
    const struct device_functions *vk = &context->vk.device;
    VkCommandPoolCreateInfo pool = { .sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                     .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
                                     .queueFamilyIndex = context->queue_family };
    VkFenceCreateInfo fence = { .sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO };
    const char *call = "vkCreateCommandPool";
    VkResult result = vk->vkCreateCommandPool(context->device, &pool, context->allocator, &s->pool);
    if (result) s->pool = VK_NULL_HANDLE;
    if (!result) {
        VkCommandBufferAllocateInfo cmd = { .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                            .commandPool = s->pool,
                                            .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                            .commandBufferCount = 1 };
        call = "vkAllocateCommandBuffers";
        result = vk->vkAllocateCommandBuffers(context->device, &cmd, &s->cmd);
    }
    if (!result) {
        call = "vkCreateFence";
        result = vk->vkCreateFence(context->device, &fence, context->allocator, &s->fence);
        if (result) s->fence = VK_NULL_HANDLE;
    }
    if (!result) return TULLE_OK;
    submitter_destroy(context);
    return context_fail_vk(context, error, result, call);
}

tulle_result submitter_begin(tulle_context *context, VkCommandBuffer *cmd, tulle_error *error) {
    struct submitter *s = &context->submitter;
    VkCommandBufferBeginInfo info = { .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                      .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT };
    tulle_result code = s->pool ? TULLE_OK : make_submitter(context, s, error);
    if (code != TULLE_OK) return code;
    // Where the last one was given up while it was recorded: beginning that again resets nothing.
    VkResult result = context->vk.device.vkResetCommandBuffer(s->cmd, 0);
    if (result != VK_SUCCESS)
        return context_fail_vk(context, error, result, "vkResetCommandBuffer");
    result = context->vk.device.vkBeginCommandBuffer(s->cmd, &info);
    *cmd = s->cmd;
    return result ? context_fail_vk(context, error, result, "vkBeginCommandBuffer") : TULLE_OK;
}

tulle_result submitter_end(tulle_context *context, tulle_error *error) {
    const struct submitter *s = &context->submitter;
    VkResult result = context->vk.device.vkEndCommandBuffer(s->cmd);
    if (result != VK_SUCCESS) return context_fail_vk(context, error, result, "vkEndCommandBuffer");
    return submit_and_wait(context, s->cmd, s->fence, error);
}

void submitter_destroy(tulle_context *context) {
    struct submitter *s = &context->submitter;
    if (!s->pool) return;
    context->vk.device.vkDestroyFence(context->device, s->fence, context->allocator);
    context->vk.device.vkDestroyCommandPool(context->device, s->pool, context->allocator);
    *s = (struct submitter){ 0 };
}
