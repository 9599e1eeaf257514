// SPDX-License-Identifier: MIT
//
// What the library takes a device for: the features that an imported one was given, the limits of
// Vulkan 1.1 where they are clamped, what a driver is known to get wrong, and which of its queues
// is used.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "device/caps.h"
#include "device/context.h"
#include "context_use.h"

static void test_import_features(void **state) {
    static const char *const extensions[] = { "VK_KHR_buffer_device_address",
                                              "VK_EXT_subgroup_size_control",
                                              "VK_KHR_pipeline_executable_properties" };
    VkPhysicalDeviceVulkan13Features v13 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES,
        .subgroupSizeControl = VK_TRUE
    };
    VkPhysicalDeviceVulkan12Features v12 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
        .pNext = &v13,
        .bufferDeviceAddress = VK_TRUE
    };
    VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR executable = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR,
        .pipelineExecutableInfo = VK_TRUE
    };
    VkPhysicalDeviceSubgroupSizeControlFeatures size = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES,
        .pNext = &executable,
        .subgroupSizeControl = VK_TRUE
    };
    VkPhysicalDeviceBufferDeviceAddressFeatures address = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES,
        .pNext = &size,
        .bufferDeviceAddress = VK_TRUE
    };
    VkPhysicalDeviceFeatures2 by_version = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                             .pNext = &v12 };
    VkPhysicalDeviceFeatures2 by_struct = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                            .pNext = &address };
    tulle_vulkan_import import = { .features = &by_version };
    struct device_features offered = { .buffer_device_address = true,
                                       .subgroup_size_control = true,
                                       .executable_properties = true },
                           found;
    char passed_over[600];
    (void)state;

    caps_imported_features(&import, VK_API_VERSION_1_3, &offered, &found, passed_over,
                           sizeof passed_over);
    assert_true(found.buffer_device_address && found.subgroup_size_control &&
                !found.executable_properties);
    caps_imported_features(&import, VK_API_VERSION_1_2, &offered, &found, passed_over,
                           sizeof passed_over);
    assert_true(found.buffer_device_address && !found.subgroup_size_control);
    assert_string_equal(passed_over, "subgroupSizeControl needs import.api_version 1.3, or "
                                     "VK_EXT_subgroup_size_control in import.extensions");
    import.features = &by_struct;
    // named, but without the extensions that bring them
    caps_imported_features(&import, VK_API_VERSION_1_1, &offered, &found, passed_over,
                           sizeof passed_over);
    assert_true(!found.buffer_device_address && !found.subgroup_size_control &&
                !found.executable_properties);
    assert_true(strstr(passed_over, "bufferDeviceAddress needs") &&
                strstr(passed_over, "; subgroupSizeControl needs") &&
                strstr(passed_over, "; pipelineExecutableInfo needs"));
    import.extensions = extensions;
    import.extension_count = 3;
    caps_imported_features(&import, VK_API_VERSION_1_1, &offered, &found, passed_over,
                           sizeof passed_over);
    assert_true(found.buffer_device_address && found.subgroup_size_control &&
                found.executable_properties);
    assert_string_equal(passed_over, "");
    offered.subgroup_size_control = false;  // said, and cannot be
    caps_imported_features(&import, VK_API_VERSION_1_1, &offered, &found, passed_over,
                           sizeof passed_over);
    assert_true(found.buffer_device_address && !found.subgroup_size_control);
    assert_string_equal(passed_over, "subgroupSizeControl is not offered by the device");
    offered.subgroup_size_control = true;
    address.bufferDeviceAddress = VK_FALSE;
    caps_imported_features(&import, VK_API_VERSION_1_3, &offered, &found, passed_over,
                           sizeof passed_over);
    assert_true(!found.buffer_device_address && found.subgroup_size_control);
    import.features = NULL;
    caps_imported_features(&import, VK_API_VERSION_1_3, &offered, &found, passed_over,
                           sizeof passed_over);
    assert_true(!found.buffer_device_address && !found.subgroup_size_control &&
                !found.executable_properties);
    assert_string_equal(passed_over, "");
}

static void check_floor(const tulle_context *context) {
    const struct caps *caps = &context->caps;
    assert_int_equal(caps->api_version, VK_API_VERSION_1_1);
    assert_int_equal(caps->max_workgroup_invocations, 128);
    assert_int_equal(caps->max_workgroup_size_x, 128);
    assert_int_equal(caps->max_shared_memory, 16384);
    assert_int_equal(caps->max_storage_buffers, 4);
    assert_int_equal(caps->max_storage_range, 134217728);
    assert_int_equal(caps->max_texel_elements, 65536);
    assert_int_equal(caps->storage_alignment, 256);
    assert_int_equal(caps->texel_alignment, 256);
    for (int i = 0; i < 3; i++) assert_int_equal(caps->max_workgroups[i], 65535);
    assert_false(caps->subgroup_shuffle || caps->subgroup_vote || caps->buffer_device_address ||
                 caps->subgroup_size_control);
    assert_false(caps->executable_properties || caps->unified_memory);
    assert_int_equal(caps->timestamp_bits, 0);
    assert_true(caps->name[0] != 0);
}

static void test_clamp(void **state) {
    struct gpu gpu;
    tulle_vulkan_import import;
    tulle_context_params params = { .clamp = TULLE_CLAMP_VULKAN_1_1 };
    tulle_context *context = context_make(&params);
    (void)state;

    check_floor(context);
    assert_true(context_use(context, 3));
    tulle_context_destroy(context);

    context_open_gpu(&gpu, false);
    import = gpu_import(&gpu);
    params.import = &import;
    context = context_make(&params);
    check_floor(context);
    assert_true(context_use(context, 4));
    tulle_context_destroy(context);
    gpu_close(&gpu);
}

static uint32_t loop_limit(VkDriverId driver, const char *name, const char *driver_info) {
    struct caps caps = { .driver_id = driver, .max_loop_iterations = UINT32_MAX };
    snprintf(caps.name, sizeof caps.name, "%s", name);
    snprintf(caps.driver_info, sizeof caps.driver_info, "%s", driver_info);
    quirks_apply(&caps);
    return caps.max_loop_iterations;
}

static void test_quirks(void **state) {
    const char *name = "llvmpipe (LLVM 15.0.6, 256 bits)";
    (void)state;
    assert_int_equal(loop_limit(VK_DRIVER_ID_MESA_LLVMPIPE, name, "Mesa 22.3.6 (LLVM 15.0.6)"),
                     65535);
    assert_int_equal(loop_limit(VK_DRIVER_ID_MESA_LLVMPIPE, name, "Mesa 25.0.7-2 (LLVM 19.1.7)"),
                     65535);
    assert_int_equal(loop_limit(VK_DRIVER_ID_MESA_LLVMPIPE, name, "Mesa 26.0.0"), 65535);
    assert_int_equal(
        loop_limit(VK_DRIVER_ID_MESA_LLVMPIPE, name, "Mesa 26.1.6-1~bpo13+1 (LLVM 19.1.7)"),
        UINT32_MAX);
    assert_int_equal(
        loop_limit(VK_DRIVER_ID_MESA_LLVMPIPE, name, "Mesa 27.0.0-devel (git-0123456789)"),
        UINT32_MAX);
    assert_int_equal(loop_limit(VK_DRIVER_ID_MESA_LLVMPIPE, name, "of my own making"), 65535);
    assert_int_equal(loop_limit((VkDriverId)0, name, ""), 65535);
    assert_int_equal(loop_limit(VK_DRIVER_ID_MESA_RADV, "AMD RADV NAVI21", "Mesa 22.3.6"),
                     UINT32_MAX);
    assert_int_equal(loop_limit((VkDriverId)0, "Mali-G76", ""), UINT32_MAX);
}

static uint32_t matrix_rows(VkDriverId driver, uint32_t subgroup_size) {
    struct caps caps = { .driver_id = driver,
                         .subgroup_size = subgroup_size,
                         .driver_info = "Mesa 26.1.6-1~bpo13+1 (LLVM 19.1.7)",
                         .matrix_reduce = true,
                         .matrix_f16 = { 8, 8, 8 },
                         .matrix_bf16 = { 8, 8, 8 } };
    quirks_apply(&caps);
    assert_int_equal(caps.matrix_bf16.m, caps.matrix_f16.m);
    assert_int_equal(caps.matrix_reduce, caps.matrix_f16.m > 0);
    return caps.matrix_f16.m;
}

static void test_matrix_quirk(void **state) {
    (void)state;
    assert_int_equal(matrix_rows(VK_DRIVER_ID_MESA_LLVMPIPE, 8), 8);
    assert_int_equal(matrix_rows(VK_DRIVER_ID_MESA_LLVMPIPE, 16), 0);
    assert_int_equal(matrix_rows(VK_DRIVER_ID_MESA_LLVMPIPE, 4), 0);
    assert_int_equal(matrix_rows(VK_DRIVER_ID_MESA_RADV, 64), 8);
}

static void test_queue_family(void **state) {
    const VkQueueFlags all = VK_QUEUE_GRAPHICS_BIT | VK_QUEUE_COMPUTE_BIT | VK_QUEUE_TRANSFER_BIT;
    const VkQueueFamilyProperties families[] = {
        { .queueFlags = VK_QUEUE_TRANSFER_BIT, .queueCount = 1, .timestampValidBits = 64 },
        { .queueFlags = all, .queueCount = 1, .timestampValidBits = 64 },
        { .queueFlags = VK_QUEUE_COMPUTE_BIT, .queueCount = 0, .timestampValidBits = 64 },
        { .queueFlags = VK_QUEUE_COMPUTE_BIT, .queueCount = 2 },
        { .queueFlags = VK_QUEUE_COMPUTE_BIT | VK_QUEUE_TRANSFER_BIT,
          .queueCount = 2,
          .timestampValidBits = 36 },
        { .queueFlags = VK_QUEUE_COMPUTE_BIT, .queueCount = 2, .timestampValidBits = 64 },
    };
    (void)state;
    assert_int_equal(caps_choose_queue_family(families, 0), UINT32_MAX);
    assert_int_equal(caps_choose_queue_family(families, 1), UINT32_MAX);
    assert_int_equal(caps_choose_queue_family(families, 2), 1);
    assert_int_equal(caps_choose_queue_family(families, 3), 1);
    assert_int_equal(caps_choose_queue_family(families, 4), 3);
    assert_int_equal(caps_choose_queue_family(families, 6), 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_import_features), cmocka_unit_test(test_clamp),
        cmocka_unit_test(test_quirks),          cmocka_unit_test(test_matrix_quirk),
        cmocka_unit_test(test_queue_family),
    };
    return cmocka_run_group_tests_name("caps", tests, NULL, NULL);
}
