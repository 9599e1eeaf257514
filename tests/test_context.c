// SPDX-License-Identifier: MIT
//
// The device: chosen, refused, imported, clamped, validated; and what is left when it is gone. Memory has test_memory.c.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "caps.h"
#include "context.h"
#include "gpu.h"
#include "instance.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

// ---------------------------------------------------------------------------------------------------------------------
// What the library says

struct journal {
    int messages[TULLE_LOG_DEBUG + 1];
    char errors[4000];
};

static void note(void *user, tulle_log_level level, const char *message) {
    struct journal *journal = user;
    size_t length = strlen(journal->errors);
    journal->messages[level]++;
    if (level == TULLE_LOG_ERROR)
        snprintf(journal->errors + length, sizeof journal->errors - length, "%s\n", message);
}

static tulle_context *make(const tulle_context_params *params) {
    tulle_context *context = NULL;
    tulle_error error = {0};
    if (tulle_context_create(params, &context, &error) != TULLE_OK)
        fail_msg("tulle_context_create: %s", error.message);
    assert_non_null(context);
    return context;
}

/// The call must fail with `result`, a message that holds every one of the words, and the same message in the log.
static void refuse(tulle_context_params params, tulle_result result, const char *const *words, size_t count) {
    tulle_context *context = (tulle_context *)&params;   // anything but NULL
    tulle_error error = {0};
    struct journal journal = {{0}, ""};
    params.log = note;
    params.log_user = &journal;
    assert_int_equal(tulle_context_create(&params, &context, &error), result);
    assert_null(context);
    assert_int_equal(error.result, result);
    for (size_t i = 0; i < count; i++)
        if (!strstr(error.message, words[i]))
            fail_msg("\"%s\" does not name \"%s\"", error.message, words[i]);
    assert_int_equal(journal.messages[TULLE_LOG_ERROR], 1);
    assert_memory_equal(journal.errors, error.message, strlen(error.message));
    assert_int_equal(tulle_context_create(&params, &context, NULL), result);   // and without a tulle_error
}
#define REFUSE(params, result, ...) refuse(params, result, (const char *const[]){__VA_ARGS__}, COUNT(((const char *const[]){__VA_ARGS__})))

static uint32_t list_devices(tulle_device_info **out) {
    uint32_t count = 0;
    tulle_error error = {0};
    if (tulle_devices(&count, NULL, &error) != TULLE_OK)
        fail_msg("tulle_devices: %s", error.message);
    *out = calloc(count + 1, sizeof **out);
    assert_non_null(*out);
    assert_int_equal(tulle_devices(&count, *out, &error), TULLE_OK);
    return count;
}

/// The device that all tests here use.
static tulle_device_info default_device(void) {
    tulle_device_info info;
    tulle_context *context = make(NULL);
    tulle_context_info(context, &info);
    tulle_context_destroy(context);
    return info;
}

static void open_gpu(struct gpu *gpu, bool bare) {
    tulle_device_info info = default_device();
    char why[300];
    if (!gpu_open(gpu, info.uuid, bare, NULL, why, sizeof why))
        fail_msg("%s", why);
}

/// Does the device still work? A buffer is filled by a submitted command and read back.
static void use_gpu(const struct gpu *gpu) {
    struct gpu_buffer buffer = gpu_buffer_create(gpu, 1024, VK_BUFFER_USAGE_TRANSFER_DST_BIT);
    PFN_vkCmdFillBuffer fill = (PFN_vkCmdFillBuffer)gpu->GetDeviceProcAddr(gpu->device, "vkCmdFillBuffer");
    VkCommandBuffer cmd = gpu_begin(gpu);
    fill(cmd, buffer.buffer, 0, VK_WHOLE_SIZE, UINT32_C(0x1234567));
    gpu_finish(gpu, cmd);
    for (int i = 0; i < 256; i++)
        assert_int_equal(((const uint32_t *)(const void *)buffer.mapped)[i], 0x1234567);
    gpu_buffer_destroy(gpu, &buffer);
}

/// The same through a context's own functions. Used from threads, where cmocka's assertions may not be: so it says bool.
static bool use_context(tulle_context *context, uint32_t value) {
    const struct VolkDeviceTable *vk = &context->vk.device;
    VkCommandPoolCreateInfo pool_info = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO, .queueFamilyIndex = context->queue_family};
    VkCommandBufferAllocateInfo cmd_info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO, .commandBufferCount = 1};
    VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    VkFenceCreateInfo fence_info = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    VkMemoryBarrier barrier = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER, .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
        .dstAccessMask = VK_ACCESS_HOST_READ_BIT};
    VkCommandPool pool = VK_NULL_HANDLE;
    VkCommandBuffer cmd = VK_NULL_HANDLE;
    VkFence fence = VK_NULL_HANDLE;
    struct device_buffer buffer = {0};
    bool good = device_buffer_create(context, 4096, VK_BUFFER_USAGE_TRANSFER_DST_BIT, MEMORY_DOWNLOAD, &buffer, NULL) == TULLE_OK;
    good = good && vk->vkCreateCommandPool(context->device, &pool_info, context->allocator, &pool) == VK_SUCCESS;
    cmd_info.commandPool = pool;
    good = good && vk->vkAllocateCommandBuffers(context->device, &cmd_info, &cmd) == VK_SUCCESS;
    good = good && vk->vkCreateFence(context->device, &fence_info, context->allocator, &fence) == VK_SUCCESS;
    good = good && vk->vkBeginCommandBuffer(cmd, &begin) == VK_SUCCESS;
    if (good) {
        vk->vkCmdFillBuffer(cmd, buffer.buffer, 0, VK_WHOLE_SIZE, value);
        vk->vkCmdPipelineBarrier(cmd, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &barrier, 0, NULL, 0, NULL);
        good = vk->vkEndCommandBuffer(cmd) == VK_SUCCESS && context_submit_and_wait(context, cmd, fence, NULL) == TULLE_OK;
        good = good && context_submit_and_wait(context, cmd, fence, NULL) == TULLE_OK;   // the fence is reset
        for (int i = 0; good && i < 1024; i++)
            good = ((const uint32_t *)buffer.mapped)[i] == value;
    }
    vk->vkDestroyFence(context->device, fence, context->allocator);
    vk->vkDestroyCommandPool(context->device, pool, context->allocator);
    device_buffer_destroy(context, &buffer);
    return good;
}

// ---------------------------------------------------------------------------------------------------------------------
// Own devices

static void test_version(void **state) {
    char expected[32];
    (void)state;
    snprintf(expected, sizeof expected, "%d.%d.%d", TULLE_VERSION_MAJOR, TULLE_VERSION_MINOR, TULLE_VERSION_PATCH);
    assert_string_equal(tulle_version(), expected);
}

static void test_own_best(void **state) {
    static const int rank[] = {3, 1, 0, 2, 4};   // by VkPhysicalDeviceType
    struct journal journal = {{0}, ""};
    tulle_context_params params = {.log = note, .log_user = &journal};
    tulle_context *context = make(&params);
    tulle_device_info info, *devices;
    uint32_t count = list_devices(&devices);
    (void)state;

    tulle_context_info(context, &info);
    assert_true(info.index < count);
    assert_memory_equal(&info, &devices[info.index], sizeof info);   // what is offered is what an own device enables
    for (uint32_t i = 0; i < count; i++)
        if (devices[i].api_version >= VK_API_VERSION_1_1 && rank[devices[i].type] < rank[info.type])
            fail_msg("device %u is of a better kind than %u", i, info.index);
    assert_true(info.api_version >= VK_API_VERSION_1_1);
    assert_true(info.name[0] != 0);
    assert_true(info.max_workgroup_invocations >= 128 && info.max_shared_memory >= 16384 && info.max_storage_buffers >= 4);
    assert_true(info.max_storage_range >= UINT64_C(1) << 27 && info.max_texel_elements >= 65536);
    assert_true(context->own_device);
    assert_true(use_context(context, 7));
    assert_int_equal(journal.messages[TULLE_LOG_ERROR], 0);
    assert_true(journal.messages[TULLE_LOG_INFO] >= 1);
    tulle_context_destroy(context);
    tulle_context_destroy(NULL);
    free(devices);
}

static void test_own_by(void **state) {
    tulle_device_info *devices, info;
    uint32_t count = list_devices(&devices);
    (void)state;

    for (uint32_t i = 0; i < count; i++) {
        tulle_context_params params = {.device_by = TULLE_DEVICE_BY_INDEX, .device_index = i};
        tulle_context *context;
        char part[8] = "";
        if (devices[i].api_version < VK_API_VERSION_1_1)
            continue;
        context = make(&params);
        tulle_context_info(context, &info);
        assert_int_equal(info.index, i);
        tulle_context_destroy(context);

        params = (tulle_context_params){.device_by = TULLE_DEVICE_BY_UUID};
        memcpy(params.device_uuid, devices[i].uuid, VK_UUID_SIZE);
        context = make(&params);
        tulle_context_info(context, &info);
        assert_memory_equal(info.uuid, devices[i].uuid, VK_UUID_SIZE);
        tulle_context_destroy(context);

        for (size_t n = 0; n < sizeof part - 1 && devices[i].name[n + 1]; n++) {   // from the second letter on, case turned over
            char c = devices[i].name[n + 1];
            part[n] = (char)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
        }
        params = (tulle_context_params){.device_by = TULLE_DEVICE_BY_NAME, .device_name = part};
        context = make(&params);
        tulle_context_info(context, &info);
        assert_true(info.index <= i);   // the first that has it
        tulle_context_destroy(context);
    }
    free(devices);
}

static void test_devices(void **state) {
    tulle_device_info *devices, room[2];
    tulle_error error = {0};
    uint32_t count = list_devices(&devices), given = 0;
    (void)state;

    assert_true(count >= 1);
    assert_int_equal(tulle_devices(NULL, NULL, &error), TULLE_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "count"));
    memset(room, 0xa5, sizeof room);
    assert_int_equal(tulle_devices(&given, room, NULL), TULLE_OK);   // room for none: nothing is written
    assert_int_equal(given, 0);
    assert_int_equal(room[0].index, UINT32_C(0xa5a5a5a5));
    given = 1;
    assert_int_equal(tulle_devices(&given, room, NULL), TULLE_OK);
    assert_int_equal(given, 1);
    assert_memory_equal(&room[0], &devices[0], sizeof room[0]);
    assert_int_equal(room[1].index, UINT32_C(0xa5a5a5a5));
    free(devices);
}

static void test_refusals(void **state) {
    VkAllocationCallbacks half = {0};
    tulle_memory_callbacks no_free = {0};
    tulle_context_params params;
    tulle_error error = {0};
    (void)state;

    assert_int_equal(tulle_context_create(NULL, NULL, &error), TULLE_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "out"));
    params = (tulle_context_params){.device_by = TULLE_DEVICE_BY_INDEX, .device_index = 12345};
    REFUSE(params, TULLE_ERROR_NO_DEVICE, "device_index", "12345", "allowed: 0 to ");
    params = (tulle_context_params){.device_by = TULLE_DEVICE_BY_UUID};
    memset(params.device_uuid, 0xab, VK_UUID_SIZE);
    REFUSE(params, TULLE_ERROR_NO_DEVICE, "device_uuid", "abababababababababababababababab");
    params = (tulle_context_params){.device_by = TULLE_DEVICE_BY_NAME, .device_name = "no such card"};
    REFUSE(params, TULLE_ERROR_NO_DEVICE, "device_name", "\"no such card\"");
    params = (tulle_context_params){.device_by = TULLE_DEVICE_BY_NAME};
    REFUSE(params, TULLE_ERROR_INVALID_ARGUMENT, "device_name", "NULL");
    params.device_name = "";
    REFUSE(params, TULLE_ERROR_INVALID_ARGUMENT, "device_name", "\"\"");
    params = (tulle_context_params){.device_by = (tulle_device_by)4};
    REFUSE(params, TULLE_ERROR_INVALID_ARGUMENT, "device_by", "4", "allowed: 0 ");
    params = (tulle_context_params){.clamp = (tulle_clamp)2};
    REFUSE(params, TULLE_ERROR_INVALID_ARGUMENT, "clamp", "2", "TULLE_CLAMP_VULKAN_1_1 (1)");
    params = (tulle_context_params){.allocator = &half};
    REFUSE(params, TULLE_ERROR_INVALID_ARGUMENT, "allocator", "pfnAllocation");
    params = (tulle_context_params){.memory = &no_free};
    REFUSE(params, TULLE_ERROR_INVALID_ARGUMENT, "memory->allocate");
}

// ---------------------------------------------------------------------------------------------------------------------
// Imported devices

static void test_import_refusals(void **state) {
    struct gpu gpu;
    VkPhysicalDeviceFeatures2 wrong = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO};
    tulle_vulkan_import import;
    tulle_context_params params = {.import = &import};
    (void)state;

    open_gpu(&gpu, false);
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
    import = (import = gpu_import(&gpu), import.extensions = NULL, import.extension_count = 3, import);
    REFUSE(params, TULLE_ERROR_INVALID_ARGUMENT, "import.extensions", "3");
    import = (import = gpu_import(&gpu), import.lock_queue = free, import);
    REFUSE(params, TULLE_ERROR_INVALID_ARGUMENT, "import.unlock_queue");
    use_gpu(&gpu);   // and after all of these the device is as it was
    gpu_close(&gpu);
}

static void test_import_intact(void **state) {
    struct gpu gpu;
    VkPipelineCacheCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO};
    VkPipelineCache cache;
    (void)state;

    for (int bare = 0; bare < 2; bare++) {
        tulle_vulkan_import import;
        tulle_context_params params = {.import = &import};
        tulle_device_info shown;
        open_gpu(&gpu, bare);
        assert_int_equal(gpu.CreatePipelineCache(gpu.device, &info, NULL, &cache), VK_SUCCESS);
        for (int round = 0; round < 3; round++) {
            tulle_context *context;
            import = gpu_import(&gpu);
            import.pipeline_cache = round == 1 ? cache : VK_NULL_HANDLE;
            if (round == 2)
                import.get_instance_proc_addr = NULL;   // then from the loader that Tulle opens
            context = make(&params);
            tulle_context_info(context, &shown);
            assert_int_equal(shown.index, UINT32_MAX);
            assert_false(context->own_device);
            assert_ptr_equal(context->device, gpu.device);
            if (round == 1)
                assert_ptr_equal(context->vk_pipeline_cache, cache);
            if (bare) {   // nothing was enabled: nothing is used
                assert_false(shown.buffer_device_address || shown.subgroup_size_control || shown.executable_properties);
                assert_int_equal(shown.api_version, VK_API_VERSION_1_1);
            } else {
                assert_int_equal(shown.buffer_device_address, gpu.features.buffer_device_address.bufferDeviceAddress);
            }
            assert_true(use_context(context, 99));
            tulle_context_destroy(context);
            use_gpu(&gpu);
        }
        gpu.DestroyPipelineCache(gpu.device, cache, NULL);   // the caller's, and still there
        gpu_close(&gpu);
    }
}

static int locks, held, user_seen;
static void lock(void *user) { locks++, held++, user_seen += user == &locks; }
static void unlock(void *user) { held--, user_seen += user == &locks; }

static void test_import_queue_lock(void **state) {
    struct gpu gpu;
    tulle_vulkan_import import;
    tulle_context_params params = {.import = &import};
    tulle_context *context;
    (void)state;

    open_gpu(&gpu, true);
    import = gpu_import(&gpu);
    import.lock_queue = lock;
    import.unlock_queue = unlock;
    import.queue_user = &locks;
    context = make(&params);
    assert_int_equal(locks, 0);   // making a context submits nothing
    assert_true(use_context(context, 5));
    assert_int_equal(locks, 2);
    assert_int_equal(held, 0);
    assert_int_equal(user_seen, 4);
    tulle_context_destroy(context);
    gpu_close(&gpu);
}

static void test_import_features(void **state) {
    static const char *const extensions[] = {"VK_KHR_buffer_device_address", "VK_EXT_subgroup_size_control",
                                             "VK_KHR_pipeline_executable_properties"};
    VkPhysicalDeviceVulkan13Features v13 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES, .subgroupSizeControl = VK_TRUE};
    VkPhysicalDeviceVulkan12Features v12 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES, .pNext = &v13,
        .bufferDeviceAddress = VK_TRUE};
    VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR executable = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR, .pipelineExecutableInfo = VK_TRUE};
    VkPhysicalDeviceSubgroupSizeControlFeatures size = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES,
        .pNext = &executable, .subgroupSizeControl = VK_TRUE};
    VkPhysicalDeviceBufferDeviceAddressFeatures address = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES,
        .pNext = &size, .bufferDeviceAddress = VK_TRUE};
    VkPhysicalDeviceFeatures2 by_version = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = &v12};
    VkPhysicalDeviceFeatures2 by_struct = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = &address};
    tulle_vulkan_import import = {.features = &by_version};
    struct device_features found;
    (void)state;

    caps_imported_features(&import, VK_API_VERSION_1_3, &found);
    assert_true(found.buffer_device_address && found.subgroup_size_control && !found.executable_properties);
    caps_imported_features(&import, VK_API_VERSION_1_2, &found);
    assert_true(found.buffer_device_address && !found.subgroup_size_control);
    import.features = &by_struct;
    caps_imported_features(&import, VK_API_VERSION_1_1, &found);   // named, but without the extensions that bring them
    assert_true(!found.buffer_device_address && !found.subgroup_size_control && !found.executable_properties);
    import.extensions = extensions;
    import.extension_count = 3;
    caps_imported_features(&import, VK_API_VERSION_1_1, &found);
    assert_true(found.buffer_device_address && found.subgroup_size_control && found.executable_properties);
    address.bufferDeviceAddress = VK_FALSE;
    caps_imported_features(&import, VK_API_VERSION_1_3, &found);
    assert_true(!found.buffer_device_address && found.subgroup_size_control);
    import.features = NULL;
    caps_imported_features(&import, VK_API_VERSION_1_3, &found);
    assert_true(!found.buffer_device_address && !found.subgroup_size_control && !found.executable_properties);
}

static void test_required_features(void **state) {
    struct gpu gpu;
    tulle_features features;
    tulle_error error = {0};
    tulle_vulkan_import import;
    tulle_context_params params = {.import = &import};
    tulle_context *context;
    tulle_device_info offered = default_device(), shown;
    bool address = false, size = false;
    (void)state;

    assert_int_equal(tulle_required_features(NULL, VK_NULL_HANDLE, VK_NULL_HANDLE, NULL, &error), TULLE_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "features"));
    assert_int_equal(tulle_required_features(NULL, VK_NULL_HANDLE, VK_NULL_HANDLE, &features, &error), TULLE_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "instance"));

    open_gpu(&gpu, false);   // which makes its device from them
    assert_int_equal(tulle_required_features(NULL, gpu.instance, VK_NULL_HANDLE, &features, &error), TULLE_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "physical_device"));
    assert_int_equal(tulle_required_features(NULL, gpu.instance, gpu.physical_device, &features, &error), TULLE_OK);
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
    context = make(&params);
    tulle_context_info(context, &shown);
    assert_int_equal(shown.buffer_device_address, offered.buffer_device_address);
    assert_int_equal(shown.subgroup_size_control, offered.subgroup_size_control);
    tulle_context_destroy(context);

    import.api_version = 0;   // 1.1: the extensions must carry it
    context = make(&params);
    tulle_context_info(context, &shown);
    assert_int_equal(shown.api_version, VK_API_VERSION_1_1);
    for (uint32_t i = 0; i < features.extension_count; i++)
        if (strcmp(features.extensions[i], "VK_KHR_buffer_device_address") == 0)
            assert_int_equal(shown.buffer_device_address, offered.buffer_device_address);
    if (shown.buffer_device_address) {
        struct device_buffer buffer;
        assert_int_equal(device_buffer_create(context, 64, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT,
                                              MEMORY_DEVICE, &buffer, NULL), TULLE_OK);
        assert_true(buffer.address != 0);
        device_buffer_destroy(context, &buffer);
    }
    tulle_context_destroy(context);
    gpu_close(&gpu);
}

// ---------------------------------------------------------------------------------------------------------------------
// Two instances, two threads

struct worker {
    pthread_t thread;
    struct gpu *gpu;   // NULL: own devices
    uint32_t value;
    bool good;
};

static void *work(void *user) {
    struct worker *worker = user;
    worker->good = true;
    for (int i = 0; i < 6 && worker->good; i++) {
        tulle_vulkan_import import;
        tulle_context_params params = {0};
        tulle_context *context = NULL;
        if (worker->gpu) {
            import = gpu_import(worker->gpu);
            params.import = &import;
        }
        worker->good = tulle_context_create(&params, &context, NULL) == TULLE_OK;
        for (int n = 0; n < 3 && worker->good; n++)
            worker->good = use_context(context, worker->value + (uint32_t)n);
        tulle_context_destroy(context);
    }
    return NULL;
}

static void test_two_instances(void **state) {
    struct gpu gpus[2];
    struct worker workers[4] = {{.gpu = &gpus[0], .value = 100}, {.gpu = &gpus[1], .value = 200}, {.value = 300}, {.value = 400}};
    (void)state;

    open_gpu(&gpus[0], false);
    open_gpu(&gpus[1], true);
    assert_ptr_not_equal(gpus[0].instance, gpus[1].instance);
    for (size_t i = 0; i < COUNT(workers); i++)
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    for (size_t i = 0; i < COUNT(workers); i++)
        pthread_join(workers[i].thread, NULL);
    for (size_t i = 0; i < COUNT(workers); i++)
        assert_true(workers[i].good);
    use_gpu(&gpus[0]);
    use_gpu(&gpus[1]);
    gpu_close(&gpus[0]);
    gpu_close(&gpus[1]);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL other_get(VkDevice device, const char *name) {
    (void)device;
    (void)name;
    return NULL;
}

/// Loading a device's functions asks the context's instance, whatever volk's global says, and leaves the global as it was.
static void test_volk_global(void **state) {
    tulle_context *context = make(NULL);
    struct vulkan vk = context->vk;
    PFN_vkGetDeviceProcAddr before = vkGetDeviceProcAddr;
    tulle_error error = {0};
    (void)state;

    vkGetDeviceProcAddr = other_get;
    memset(&vk.device, 0, sizeof vk.device);
    assert_int_equal(vulkan_load_device(&vk, context->device, &error), TULLE_OK);
    assert_memory_equal(&vk.device, &context->vk.device, sizeof vk.device);
    assert_true(vkGetDeviceProcAddr == other_get);
    vkGetDeviceProcAddr = before;
    vk.vkGetDeviceProcAddr = other_get;   // an instance that does not know the device
    assert_int_equal(vulkan_load_device(&vk, context->device, &error), TULLE_ERROR_NO_VULKAN);
    tulle_context_destroy(context);
}

// ---------------------------------------------------------------------------------------------------------------------
// Clamp, quirks, queues

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
    for (int i = 0; i < 3; i++)
        assert_int_equal(caps->max_workgroups[i], 65535);
    assert_false(caps->subgroup_shuffle || caps->subgroup_vote || caps->buffer_device_address || caps->subgroup_size_control);
    assert_false(caps->executable_properties || caps->unified_memory);
    assert_int_equal(caps->timestamp_bits, 0);
    assert_true(caps->name[0] != 0);
}

static void test_clamp(void **state) {
    struct gpu gpu;
    tulle_vulkan_import import;
    tulle_context_params params = {.clamp = TULLE_CLAMP_VULKAN_1_1};
    tulle_context *context = make(&params);
    (void)state;

    check_floor(context);
    assert_true(use_context(context, 3));
    tulle_context_destroy(context);

    open_gpu(&gpu, false);
    import = gpu_import(&gpu);
    params.import = &import;
    context = make(&params);
    check_floor(context);
    assert_true(use_context(context, 4));
    tulle_context_destroy(context);
    gpu_close(&gpu);
}

static uint32_t loop_limit(VkDriverId driver, const char *name, const char *driver_info) {
    struct caps caps = {.driver_id = driver, .max_loop_iterations = UINT32_MAX};
    snprintf(caps.name, sizeof caps.name, "%s", name);
    snprintf(caps.driver_info, sizeof caps.driver_info, "%s", driver_info);
    quirks_apply(&caps);
    return caps.max_loop_iterations;
}

static void test_quirks(void **state) {
    const char *name = "llvmpipe (LLVM 15.0.6, 256 bits)";
    (void)state;
    assert_int_equal(loop_limit(VK_DRIVER_ID_MESA_LLVMPIPE, name, "Mesa 22.3.6 (LLVM 15.0.6)"), 65535);
    assert_int_equal(loop_limit(VK_DRIVER_ID_MESA_LLVMPIPE, name, "Mesa 25.0.7-2 (LLVM 19.1.7)"), 65535);
    assert_int_equal(loop_limit(VK_DRIVER_ID_MESA_LLVMPIPE, name, "Mesa 26.0.0"), 65535);
    assert_int_equal(loop_limit(VK_DRIVER_ID_MESA_LLVMPIPE, name, "Mesa 26.1.6-1~bpo13+1 (LLVM 19.1.7)"), UINT32_MAX);
    assert_int_equal(loop_limit(VK_DRIVER_ID_MESA_LLVMPIPE, name, "Mesa 27.0.0-devel (git-0123456789)"), UINT32_MAX);
    assert_int_equal(loop_limit(VK_DRIVER_ID_MESA_LLVMPIPE, name, "of my own making"), 65535);
    assert_int_equal(loop_limit((VkDriverId)0, name, ""), 65535);
    assert_int_equal(loop_limit(VK_DRIVER_ID_MESA_RADV, "AMD RADV NAVI21", "Mesa 22.3.6"), UINT32_MAX);
    assert_int_equal(loop_limit((VkDriverId)0, "Mali-G76", ""), UINT32_MAX);
}

static void test_queue_family(void **state) {
    const VkQueueFlags all = VK_QUEUE_GRAPHICS_BIT | VK_QUEUE_COMPUTE_BIT | VK_QUEUE_TRANSFER_BIT;
    const VkQueueFamilyProperties families[] = {
        {.queueFlags = VK_QUEUE_TRANSFER_BIT, .queueCount = 1, .timestampValidBits = 64},
        {.queueFlags = all, .queueCount = 1, .timestampValidBits = 64},
        {.queueFlags = VK_QUEUE_COMPUTE_BIT, .queueCount = 0, .timestampValidBits = 64},
        {.queueFlags = VK_QUEUE_COMPUTE_BIT, .queueCount = 2},
        {.queueFlags = VK_QUEUE_COMPUTE_BIT | VK_QUEUE_TRANSFER_BIT, .queueCount = 2, .timestampValidBits = 36},
        {.queueFlags = VK_QUEUE_COMPUTE_BIT, .queueCount = 2, .timestampValidBits = 64},
    };
    (void)state;
    assert_int_equal(caps_choose_queue_family(families, 0), UINT32_MAX);
    assert_int_equal(caps_choose_queue_family(families, 1), UINT32_MAX);
    assert_int_equal(caps_choose_queue_family(families, 2), 1);
    assert_int_equal(caps_choose_queue_family(families, 3), 1);
    assert_int_equal(caps_choose_queue_family(families, 4), 3);
    assert_int_equal(caps_choose_queue_family(families, 6), 4);
}

// ---------------------------------------------------------------------------------------------------------------------
// Validation

/// A context with validation, or NULL after saying why it is skipped.
static tulle_context *make_validated(struct journal *journal, tulle_clamp clamp) {
    tulle_context_params params = {.validation = true, .clamp = clamp, .log = note, .log_user = journal};
    tulle_context *context = NULL;
    tulle_error error = {0};
    tulle_result result = tulle_context_create(&params, &context, &error);
    if (result == TULLE_ERROR_UNSUPPORTED) {
        print_message("skip: %s\n", error.message);
        return NULL;
    }
    if (result != TULLE_OK)
        fail_msg("tulle_context_create: %s", error.message);
    return context;
}

static void test_validation_clean(void **state) {
    (void)state;
    for (int clamp = 0; clamp < 2; clamp++) {
        struct journal journal = {{0}, ""};
        tulle_context *context = make_validated(&journal, (tulle_clamp)clamp);
        if (!context)
            skip();
        for (int use = MEMORY_PLAN; use <= MEMORY_DOWNLOAD; use++) {
            struct device_buffer buffer;
            VkBufferUsageFlags usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT;
            if (context->caps.buffer_device_address)
                usage |= VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT;
            assert_int_equal(device_buffer_create(context, 5000, usage, (enum memory_use)use, &buffer, NULL), TULLE_OK);
            device_buffer_destroy(context, &buffer);
        }
        assert_true(use_context(context, 8));
        tulle_context_destroy(context);
        assert_string_equal(journal.errors, "");
        assert_int_equal(journal.messages[TULLE_LOG_WARNING], 0);
    }
}

/// The clamp's device has no feature: the layer objects to memory with addresses, which it accepts on an unclamped one.
static void test_validation_reports(void **state) {
    (void)state;
    for (int clamp = 0; clamp < 2; clamp++) {
        struct journal journal = {{0}, ""};
        tulle_context *context = make_validated(&journal, (tulle_clamp)clamp);
        VkMemoryAllocateFlagsInfo flags = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
            .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT};
        VkMemoryAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO, .pNext = &flags, .allocationSize = 4096};
        VkDeviceMemory memory = VK_NULL_HANDLE;
        if (!context)
            skip();
        if (clamp == 0 && !context->caps.buffer_device_address)
            info.pNext = NULL;
        if (context->vk.device.vkAllocateMemory(context->device, &info, context->allocator, &memory) == VK_SUCCESS)
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

/// Two copies into one place without a barrier between them: only synchronization validation sees that.
static void test_validation_synchronization(void **state) {
    struct journal journal = {{0}, ""};
    tulle_context *context = make_validated(&journal, TULLE_CLAMP_NONE);
    const struct VolkDeviceTable *vk;
    VkCommandPoolCreateInfo pool_info = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO};
    VkCommandBufferAllocateInfo cmd_info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO, .commandBufferCount = 1};
    VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    VkBufferCopy region = {.size = 64};
    VkCommandPool pool;
    VkCommandBuffer cmd;
    struct device_buffer from, to;
    (void)state;

    if (!context)
        skip();
    vk = &context->vk.device;
    pool_info.queueFamilyIndex = context->queue_family;
    assert_int_equal(device_buffer_create(context, 64, VK_BUFFER_USAGE_TRANSFER_SRC_BIT, MEMORY_UPLOAD, &from, NULL), TULLE_OK);
    assert_int_equal(device_buffer_create(context, 64, VK_BUFFER_USAGE_TRANSFER_DST_BIT, MEMORY_DEVICE, &to, NULL), TULLE_OK);
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
    struct journal journal = {{0}, ""};
    tulle_vulkan_import import;
    tulle_context_params params = {.import = &import, .validation = true, .log = note, .log_user = &journal};
    (void)state;
    open_gpu(&gpu, true);
    import = gpu_import(&gpu);
    tulle_context_destroy(make(&params));
    assert_int_equal(journal.messages[TULLE_LOG_WARNING], 1);   // that it has no effect
    gpu_close(&gpu);
}

// ---------------------------------------------------------------------------------------------------------------------
// The host's allocator

struct ledger {
    pthread_mutex_t mutex;
    long live, total;
};

struct ledger_entry {
    size_t size;
    size_t back;   // from the address handed out to the start of the malloc
};

static void *VKAPI_PTR ledger_allocate(void *user, size_t size, size_t alignment, VkSystemAllocationScope scope) {
    struct ledger *ledger = user;
    size_t before = sizeof(struct ledger_entry) + alignment;
    unsigned char *start = malloc(size + before), *address;
    struct ledger_entry entry = {.size = size};
    (void)scope;
    if (!start)
        return NULL;
    address = start + before;
    address -= (uintptr_t)address % alignment;
    entry.back = (size_t)(address - start);
    memcpy(address - sizeof entry, &entry, sizeof entry);
    pthread_mutex_lock(&ledger->mutex);
    ledger->live++;
    ledger->total++;
    pthread_mutex_unlock(&ledger->mutex);
    return address;
}

static void VKAPI_PTR ledger_free(void *user, void *address) {
    struct ledger *ledger = user;
    struct ledger_entry entry;
    if (!address)
        return;
    memcpy(&entry, (unsigned char *)address - sizeof entry, sizeof entry);
    free((unsigned char *)address - entry.back);
    pthread_mutex_lock(&ledger->mutex);
    ledger->live--;
    pthread_mutex_unlock(&ledger->mutex);
}

static void *VKAPI_PTR ledger_reallocate(void *user, void *address, size_t size, size_t alignment, VkSystemAllocationScope scope) {
    struct ledger_entry entry;
    void *moved;
    if (size == 0) {
        ledger_free(user, address);
        return NULL;
    }
    moved = ledger_allocate(user, size, alignment, scope);
    if (moved && address) {
        memcpy(&entry, (unsigned char *)address - sizeof entry, sizeof entry);
        memcpy(moved, address, entry.size < size ? entry.size : size);
        ledger_free(user, address);
    }
    return moved;
}

static void test_allocator_balanced(void **state) {
    struct ledger ledger = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    VkAllocationCallbacks allocator = {.pUserData = &ledger, .pfnAllocation = ledger_allocate, .pfnReallocation = ledger_reallocate,
        .pfnFree = ledger_free};
    struct gpu gpu;
    tulle_vulkan_import import;
    (void)state;

    open_gpu(&gpu, false);
    for (int imported = 0; imported < 2; imported++) {
        tulle_context_params params = {.allocator = &allocator};
        tulle_context *context;
        import = gpu_import(&gpu);
        params.import = imported ? &import : NULL;
        ledger.total = 0;
        context = make(&params);
        memset(&allocator, 0, sizeof allocator);   // it was copied
        for (int use = MEMORY_PLAN; use <= MEMORY_DOWNLOAD; use++) {
            struct device_buffer buffer;
            assert_int_equal(device_buffer_create(context, 5000, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT, (enum memory_use)use, &buffer, NULL),
                             TULLE_OK);
            device_buffer_destroy(context, &buffer);
        }
        assert_true(use_context(context, 6));
        allocator = context->allocator_copy;
        tulle_context_destroy(context);
        assert_true(ledger.total > 0);
        assert_int_equal(ledger.live, 0);
    }
    // A creation that fails halfway gives everything back too.
    {
        tulle_context_params params = {.allocator = &allocator, .device_by = TULLE_DEVICE_BY_INDEX, .device_index = 777};
        REFUSE(params, TULLE_ERROR_NO_DEVICE, "777");
        assert_int_equal(ledger.live, 0);
        import = gpu_import(&gpu);
        import.queue_family = 1000;
        params.import = &import;
        REFUSE(params, TULLE_ERROR_INVALID_ARGUMENT, "1000");
        assert_int_equal(ledger.live, 0);
    }
    gpu_close(&gpu);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version),
        cmocka_unit_test(test_own_best),
        cmocka_unit_test(test_own_by),
        cmocka_unit_test(test_devices),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_import_refusals),
        cmocka_unit_test(test_import_intact),
        cmocka_unit_test(test_import_queue_lock),
        cmocka_unit_test(test_import_features),
        cmocka_unit_test(test_required_features),
        cmocka_unit_test(test_two_instances),
        cmocka_unit_test(test_volk_global),
        cmocka_unit_test(test_clamp),
        cmocka_unit_test(test_quirks),
        cmocka_unit_test(test_queue_family),
        cmocka_unit_test(test_validation_clean),
        cmocka_unit_test(test_validation_reports),
        cmocka_unit_test(test_validation_synchronization),
        cmocka_unit_test(test_validation_of_import),
        cmocka_unit_test(test_allocator_balanced),
    };
    // What the layer leaves behind can be told from what we do only while it is loaded (leaks.supp).
    (void)dlopen("libVkLayer_khronos_validation.so", RTLD_NOW | RTLD_NODELETE);
    return cmocka_run_group_tests_name("context", tests, NULL, NULL);
}
