// SPDX-License-Identifier: MIT
//
// Validation, as a context offers it: silent about what the library does, heard where there is a
// fault, and without effect on an imported device.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <string.h>

#include "device/context.h"
#include "context_use.h"
#include "device/memory.h"

/// A context with validation, or NULL after saying why it is skipped.
static tulle_context *make_validated(struct journal *journal, tulle_clamp clamp) {
    tulle_context_params params = {
        .validation = true, .clamp = clamp, .log = journal_note, .log_user = journal
    };
    tulle_context *context = NULL;
    tulle_error error = { 0 };
    tulle_result result = tulle_context_create(&params, &context, &error);
    if (result == TULLE_ERROR_UNSUPPORTED) {
        print_message("skip: %s\n", error.message);
        return NULL;
    }
    if (result != TULLE_OK) fail_msg("tulle_context_create: %s", error.message);
    return context;
}

static void test_validation_clean(void **state) {
    (void)state;
    for (int clamp = 0; clamp < 2; clamp++) {
        struct journal journal = { { 0 }, "" };
        tulle_context *context = make_validated(&journal, (tulle_clamp)clamp);
        if (!context) skip();
        for (int use = MEMORY_POOLED; use <= MEMORY_DOWNLOAD; use++) {
            struct device_buffer buffer;
            VkBufferUsageFlags usage =
                VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT;
            if (context->caps.buffer_device_address)
                usage |= VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT;
            assert_int_equal(
                device_buffer_create(context, 5000, usage, (enum memory_use)use, &buffer, NULL),
                TULLE_OK);
            device_buffer_destroy(context, &buffer);
        }
        assert_true(context_use(context, 8));
        tulle_context_destroy(context);
        assert_string_equal(journal.errors, "");
        assert_int_equal(journal.messages[TULLE_LOG_WARNING], 0);
    }
}

/// The clamp's device has no feature: the layer objects to memory with addresses, which it accepts
/// on an unclamped one.
static void test_validation_reports(void **state) {
    (void)state;
    for (int clamp = 0; clamp < 2; clamp++) {
        struct journal journal = { { 0 }, "" };
        tulle_context *context = make_validated(&journal, (tulle_clamp)clamp);
        VkMemoryAllocateFlagsInfo flags = { .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
                                            .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT };
        VkMemoryAllocateInfo info = { .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                      .pNext = &flags,
                                      .allocationSize = 4096 };
        VkDeviceMemory memory = VK_NULL_HANDLE;
        if (!context) skip();
        if (clamp == 0 && !context->caps.buffer_device_address) info.pNext = NULL;
        if (context->vk.device.vkAllocateMemory(context->device, &info, context->allocator,
                                                &memory) == VK_SUCCESS)
            context->vk.device.vkFreeMemory(context->device, memory, context->allocator);
        if (clamp) {
            assert_true(journal.messages[TULLE_LOG_ERROR] > 0);
            assert_non_null(strstr(journal.errors, "Vulkan validation: "));
            assert_non_null(strstr(journal.errors, "VUID-VkMemoryAllocateInfo-flags-0333"));
        } else {
            assert_string_equal(journal.errors, "");
        }
        tulle_context_destroy(context);
    }
}

/// Two copies into one place without a barrier between them: only synchronization validation sees
/// that.
static void test_validation_synchronization(void **state) {
    struct journal journal = { { 0 }, "" };
    tulle_context *context = make_validated(&journal, TULLE_CLAMP_NONE);
    const struct VolkDeviceTable *vk;
    VkCommandPoolCreateInfo pool_info = { .sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO };
    VkCommandBufferAllocateInfo cmd_info = { .sType =
                                                 VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                             .commandBufferCount = 1 };
    VkCommandBufferBeginInfo begin = { .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO };
    VkBufferCopy region = { .size = 64 };
    VkCommandPool pool;
    VkCommandBuffer cmd;
    struct device_buffer from, to;
    (void)state;

    if (!context) skip();
    vk = &context->vk.device;
    pool_info.queueFamilyIndex = context->queue_family;
    assert_int_equal(device_buffer_create(context, 64, VK_BUFFER_USAGE_TRANSFER_SRC_BIT,
                                          MEMORY_UPLOAD, &from, NULL),
                     TULLE_OK);
    assert_int_equal(device_buffer_create(context, 64, VK_BUFFER_USAGE_TRANSFER_DST_BIT,
                                          MEMORY_DEVICE, &to, NULL),
                     TULLE_OK);
    assert_int_equal(vk->vkCreateCommandPool(context->device, &pool_info, NULL, &pool), VK_SUCCESS);
    cmd_info.commandPool = pool;
    assert_int_equal(vk->vkAllocateCommandBuffers(context->device, &cmd_info, &cmd), VK_SUCCESS);
    assert_int_equal(vk->vkBeginCommandBuffer(cmd, &begin), VK_SUCCESS);
    vk->vkCmdCopyBuffer(cmd, from.buffer, to.buffer, 1, &region);
    vk->vkCmdCopyBuffer(cmd, from.buffer, to.buffer, 1, &region);
    assert_int_equal(vk->vkEndCommandBuffer(cmd), VK_SUCCESS);
    assert_non_null(strstr(journal.errors, "SYNC-HAZARD-WRITE"));
    vk->vkDestroyCommandPool(context->device, pool, NULL);
    device_buffer_destroy(context, &to);
    device_buffer_destroy(context, &from);
    tulle_context_destroy(context);
}

static void test_validation_of_import(void **state) {
    struct gpu gpu;
    struct journal journal = { { 0 }, "" };
    tulle_vulkan_import import;
    tulle_context_params params = {
        .import = &import, .validation = true, .log = journal_note, .log_user = &journal
    };
    (void)state;
    context_open_gpu(&gpu, true);
    import = gpu_import(&gpu);
    tulle_context_destroy(context_make(&params));
    assert_int_equal(journal.messages[TULLE_LOG_WARNING], 1);  // that it has no effect
    gpu_close(&gpu);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_validation_clean),
        cmocka_unit_test(test_validation_reports),
        cmocka_unit_test(test_validation_synchronization),
        cmocka_unit_test(test_validation_of_import),
    };
    // What the layer leaves behind can be told from what we do only while it is loaded
    // (leaks.supp).
    (void)dlopen("libVkLayer_khronos_validation.so", RTLD_NOW | RTLD_NODELETE);
    return cmocka_run_group_tests_name("validation", tests, NULL, NULL);
}
