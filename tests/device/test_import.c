// SPDX-License-Identifier: MIT
//
// Contexts on the host's device: what is refused, what of the device is used, whose lock is taken,
// which features the host is told to enable; that it is left as it was; and several of them at
// once, beside the library's own.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "device/context.h"
#include "context_use.h"
#include "device/memory.h"
#include "kernel/pipeline.h"
#include "run/shared.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

// -------------------------------------------------------------------------------------------------
// One at a time

/// Does the device still work? A buffer is filled by a submitted command and read back.
static void use_gpu(const struct gpu *gpu) {
    struct gpu_buffer buffer = gpu_buffer_create(gpu, 1024, VK_BUFFER_USAGE_TRANSFER_DST_BIT);
    PFN_vkCmdFillBuffer fill =
        (PFN_vkCmdFillBuffer)gpu->GetDeviceProcAddr(gpu->device, "vkCmdFillBuffer");
    VkCommandBuffer cmd = gpu_begin(gpu);
    fill(cmd, buffer.buffer, 0, VK_WHOLE_SIZE, UINT32_C(0x1234567));
    gpu_finish(gpu, cmd);
    for (int i = 0; i < 256; i++)
        assert_int_equal(((const uint32_t *)(const void *)buffer.mapped)[i], 0x1234567);
    gpu_buffer_destroy(gpu, &buffer);
}

static void test_import_refusals(void **state) {
    struct gpu gpu;
    VkPhysicalDeviceFeatures2 wrong = { .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO };
    tulle_vulkan_import import;
    tulle_context_params params = { .import = &import };
    (void)state;

    context_open_gpu(&gpu, false);
    import = (import = gpu_import(&gpu), import.instance = VK_NULL_HANDLE, import);
    REFUSE(params, TULLE_ERROR_INVALID_ARGUMENT, "import.instance");
    import = (import = gpu_import(&gpu), import.physical_device = VK_NULL_HANDLE, import);
    REFUSE(params, TULLE_ERROR_INVALID_ARGUMENT, "import.physical_device");
    import = (import = gpu_import(&gpu), import.device = VK_NULL_HANDLE, import);
    REFUSE(params, TULLE_ERROR_INVALID_ARGUMENT, "import.device");
    import = (import = gpu_import(&gpu), import.queue = VK_NULL_HANDLE, import);
    REFUSE(params, TULLE_ERROR_INVALID_ARGUMENT, "import.queue");
    import = (import = gpu_import(&gpu), import.queue_family = 99, import);
    REFUSE(params, TULLE_ERROR_INVALID_ARGUMENT, "import.queue_family", "99");
    import = (import = gpu_import(&gpu), import.api_version = VK_API_VERSION_1_0, import);
    REFUSE(params, TULLE_ERROR_INVALID_ARGUMENT, "import.api_version", "1.0", "VK_API_VERSION_1_1");
    import = (import = gpu_import(&gpu), import.features = &wrong, import);
    REFUSE(params, TULLE_ERROR_INVALID_ARGUMENT, "import.features", "sType");
    import =
        (import = gpu_import(&gpu), import.extensions = NULL, import.extension_count = 3, import);
    REFUSE(params, TULLE_ERROR_INVALID_ARGUMENT, "import.extensions", "3");
    import = (import = gpu_import(&gpu), import.lock_queue = free, import);
    REFUSE(params, TULLE_ERROR_INVALID_ARGUMENT, "import.unlock_queue");
    use_gpu(&gpu);  // and after all of these the device is as it was
    gpu_close(&gpu);
}

static void test_import_intact(void **state) {
    struct gpu gpu;
    VkPipelineCacheCreateInfo info = { .sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO };
    VkPipelineCache cache;
    (void)state;

    for (int bare = 0; bare < 2; bare++) {
        tulle_vulkan_import import;
        tulle_context_params params = { .import = &import };
        tulle_device_info shown;
        context_open_gpu(&gpu, bare);
        assert_int_equal(gpu.CreatePipelineCache(gpu.device, &info, NULL, &cache), VK_SUCCESS);
        for (int round = 0; round < 3; round++) {
            tulle_context *context;
            import = gpu_import(&gpu);
            import.pipeline_cache = round == 1 ? cache : VK_NULL_HANDLE;
            if (round == 2)
                import.get_instance_proc_addr = NULL;  // then from the loader that Tulle opens
            context = context_make(&params);
            tulle_context_info(context, &shown);
            assert_int_equal(shown.index, UINT32_MAX);
            assert_false(context->own_device);
            assert_ptr_equal(context->device, gpu.device);
            if (round == 1)
                assert_ptr_equal(pipeline_cache_handle(context->shared->pipelines), cache);
            if (bare) {  // nothing was enabled: nothing is used
                assert_false(shown.buffer_device_address || shown.subgroup_size_control ||
                             shown.executable_properties);
                assert_int_equal(shown.api_version, VK_API_VERSION_1_1);
            } else {
                assert_int_equal(shown.buffer_device_address,
                                 gpu.features.buffer_device_address.bufferDeviceAddress);
            }
            assert_true(context_use(context, 99));
            tulle_context_destroy(context);
            use_gpu(&gpu);
        }
        gpu.DestroyPipelineCache(gpu.device, cache, NULL);  // the caller's, and still there
        gpu_close(&gpu);
    }
}

static int locks, held, user_seen;
static void lock(void *user) { locks++, held++, user_seen += user == &locks; }
static void unlock(void *user) { held--, user_seen += user == &locks; }

static void test_import_queue_lock(void **state) {
    struct gpu gpu;
    tulle_vulkan_import import;
    tulle_context_params params = { .import = &import };
    tulle_context *context;
    (void)state;

    context_open_gpu(&gpu, true);
    import = gpu_import(&gpu);
    import.lock_queue = lock;
    import.unlock_queue = unlock;
    import.queue_user = &locks;
    context = context_make(&params);
    assert_int_equal(locks, 0);  // making a context submits nothing
    assert_true(context_use(context, 5));
    assert_int_equal(locks, 2);
    assert_int_equal(held, 0);
    assert_int_equal(user_seen, 4);
    tulle_context_destroy(context);
    gpu_close(&gpu);
}

// The device as a driver lists it that is Vulkan only in part (MoltenVK).
static PFN_vkEnumerateDeviceExtensionProperties list_extensions;

static VKAPI_ATTR VkResult VKAPI_CALL list_with_subset(VkPhysicalDevice device, const char *layer,
                                                       uint32_t *count,
                                                       VkExtensionProperties *out) {
    VkResult result;
    if (out) --*count;
    result = list_extensions(device, layer, count, out);
    if (out && result == VK_SUCCESS)
        out[*count] = (VkExtensionProperties){ "VK_KHR_portability_subset", 1 };
    ++*count;
    return result;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_with_subset(VkInstance instance,
                                                                const char *name) {
    const PFN_vkVoidFunction function = gpu_loader()(instance, name);
    if (strcmp(name, "vkEnumerateDeviceExtensionProperties")) return function;
    list_extensions = (PFN_vkEnumerateDeviceExtensionProperties)function;
    return (PFN_vkVoidFunction)list_with_subset;
}

static uint32_t subsets(const tulle_features *features) {
    uint32_t found = 0;
    for (uint32_t i = 0; i < features->extension_count; i++)
        found += !strcmp(features->extensions[i], "VK_KHR_portability_subset");
    return found;
}

static void test_portability_subset(void **state) {
    struct gpu gpu;
    tulle_features plain, in_part;
    tulle_error error;
    (void)state;
    context_open_gpu(&gpu, false);
    assert_int_equal(
        tulle_required_features(NULL, gpu.instance, gpu.physical_device, &plain, &error), TULLE_OK);
    assert_int_equal(tulle_required_features(get_with_subset, gpu.instance, gpu.physical_device,
                                             &in_part, &error),
                     TULLE_OK);
    assert_int_equal(subsets(&in_part), 1);
    // on a driver that lists it by itself, twice listed is once enabled
    assert_int_equal(in_part.extension_count - plain.extension_count, 1 - subsets(&plain));
    gpu_close(&gpu);
}

static void test_required_features(void **state) {
    struct gpu gpu;
    tulle_features features;
    tulle_error error = { 0 };
    tulle_vulkan_import import;
    tulle_context_params params = { .import = &import };
    tulle_context *context;
    tulle_device_info offered = context_default_device(), shown;
    bool address = false, size = false;
    (void)state;

    assert_int_equal(tulle_required_features(NULL, VK_NULL_HANDLE, VK_NULL_HANDLE, NULL, &error),
                     TULLE_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "features"));
    assert_int_equal(
        tulle_required_features(NULL, VK_NULL_HANDLE, VK_NULL_HANDLE, &features, &error),
        TULLE_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "instance"));

    context_open_gpu(&gpu, false);  // which makes its device from them
    assert_int_equal(tulle_required_features(NULL, gpu.instance, VK_NULL_HANDLE, &features, &error),
                     TULLE_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "physical_device"));
    assert_int_equal(
        tulle_required_features(NULL, gpu.instance, gpu.physical_device, &features, &error),
        TULLE_OK);
    assert_null(features.required.pNext);
    for (const VkBaseInStructure *next = features.recommended.pNext; next; next = next->pNext) {
        address |= next == (const void *)&features.buffer_device_address;
        size |= next == (const void *)&features.subgroup_size_control;
    }
    assert_int_equal(address, offered.buffer_device_address);
    assert_int_equal(address, features.buffer_device_address.bufferDeviceAddress);
    assert_int_equal(size, features.subgroup_size_control.subgroupSizeControl);
    assert_int_equal(features.extension_count, gpu.features.extension_count);

    import = gpu_import(&gpu);
    context = context_make(&params);
    tulle_context_info(context, &shown);
    assert_int_equal(shown.buffer_device_address, offered.buffer_device_address);
    assert_int_equal(shown.subgroup_size_control, offered.subgroup_size_control);
    tulle_context_destroy(context);

    import.api_version = 0;  // 1.1: the extensions must carry it
    context = context_make(&params);
    tulle_context_info(context, &shown);
    assert_int_equal(shown.api_version, VK_API_VERSION_1_1);
    for (uint32_t i = 0; i < features.extension_count; i++)
        if (strcmp(features.extensions[i], "VK_KHR_buffer_device_address") == 0)
            assert_int_equal(shown.buffer_device_address, offered.buffer_device_address);
    if (shown.buffer_device_address) {
        struct device_buffer buffer;
        assert_int_equal(device_buffer_create(context, 64,
                                              VK_BUFFER_USAGE_STORAGE_BUFFER_BIT |
                                                  VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT,
                                              MEMORY_DEVICE, &buffer, NULL),
                         TULLE_OK);
        assert_true(buffer.address != 0);
        device_buffer_destroy(context, &buffer);
    }
    tulle_context_destroy(context);
    gpu_close(&gpu);
}

// -------------------------------------------------------------------------------------------------
// Two instances, two threads

struct worker {
    pthread_t thread;
    struct gpu *gpu;  // NULL: own devices
    uint32_t value;
    bool good;
};

static void *work(void *user) {
    struct worker *worker = user;
    worker->good = true;
    for (int i = 0; i < 6 && worker->good; i++) {
        tulle_vulkan_import import;
        tulle_context_params params = { 0 };
        tulle_context *context = NULL;
        if (worker->gpu) {
            import = gpu_import(worker->gpu);
            params.import = &import;
        }
        worker->good = tulle_context_create(&params, &context, NULL) == TULLE_OK;
        for (int n = 0; n < 3 && worker->good; n++)
            worker->good = context_use(context, worker->value + (uint32_t)n);
        tulle_context_destroy(context);
    }
    return NULL;
}

static void test_two_instances(void **state) {
    struct gpu gpus[2];
    struct worker workers[4] = { { .gpu = &gpus[0], .value = 100 },
                                 { .gpu = &gpus[1], .value = 200 },
                                 { .value = 300 },
                                 { .value = 400 } };
    (void)state;

    context_open_gpu(&gpus[0], false);
    context_open_gpu(&gpus[1], true);
    assert_ptr_not_equal(gpus[0].instance, gpus[1].instance);
    for (size_t i = 0; i < COUNT(workers); i++)
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    for (size_t i = 0; i < COUNT(workers); i++) pthread_join(workers[i].thread, NULL);
    for (size_t i = 0; i < COUNT(workers); i++) assert_true(workers[i].good);
    use_gpu(&gpus[0]);
    use_gpu(&gpus[1]);
    gpu_close(&gpus[0]);
    gpu_close(&gpus[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_import_refusals),    cmocka_unit_test(test_import_intact),
        cmocka_unit_test(test_import_queue_lock),  cmocka_unit_test(test_required_features),
        cmocka_unit_test(test_portability_subset), cmocka_unit_test(test_two_instances),
    };
    return cmocka_run_group_tests_name("import", tests, NULL, NULL);
}
