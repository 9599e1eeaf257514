// SPDX-License-Identifier: MIT
//
// Contexts on devices of the library's own: which device is chosen, what is refused, how its
// functions are loaded; and what of the host's allocator is left when any context is gone. Imported
// devices have test_import.c, features and limits test_caps.c, validation test_validation.c, memory
// test_memory.c.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/context.h"
#include "context_use.h"
#include "device/memory.h"
#include "device/instance.h"

// -------------------------------------------------------------------------------------------------
// Which device

static uint32_t list_devices(tulle_device_info **out) {
    uint32_t count = 0;
    tulle_error error = { 0 };
    if (tulle_devices(&count, NULL, &error) != TULLE_OK)
        fail_msg("tulle_devices: %s", error.message);
    *out = calloc(count + 1, sizeof **out);
    assert_non_null(*out);
    assert_int_equal(tulle_devices(&count, *out, &error), TULLE_OK);
    return count;
}

static void test_version(void **state) {
    char expected[32];
    (void)state;
    snprintf(expected, sizeof expected, "%d.%d.%d", TULLE_VERSION_MAJOR, TULLE_VERSION_MINOR,
             TULLE_VERSION_PATCH);
    assert_string_equal(tulle_version(), expected);
}

static void test_own_best(void **state) {
    static const int rank[] = { 3, 1, 0, 2, 4 };  // by VkPhysicalDeviceType
    struct journal journal = { { 0 }, "" };
    tulle_context_params params = { .log = journal_note, .log_user = &journal };
    tulle_context *context = context_make(&params);
    tulle_device_info info, *devices;
    uint32_t count = list_devices(&devices);
    (void)state;

    tulle_context_info(context, &info);
    assert_true(info.index < count);
    // what is offered is what an own device enables
    assert_memory_equal(&info, &devices[info.index], sizeof info);
    for (uint32_t i = 0; i < count; i++)
        if (devices[i].api_version >= VK_API_VERSION_1_1 && rank[devices[i].type] < rank[info.type])
            fail_msg("device %u is of a better kind than %u", i, info.index);
    assert_true(info.api_version >= VK_API_VERSION_1_1);
    assert_true(info.name[0] != 0);
    assert_true(info.max_workgroup_invocations >= 128 && info.max_shared_memory >= 16384 &&
                info.max_storage_buffers >= 4);
    assert_true(info.max_storage_range >= UINT64_C(1) << 27 && info.max_texel_elements >= 65536);
    assert_true(context->own_device);
    assert_true(context_use(context, 7));
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
        tulle_context_params params = { .device_by = TULLE_DEVICE_BY_INDEX, .device_index = i };
        tulle_context *context;
        char part[8] = "";
        if (devices[i].api_version < VK_API_VERSION_1_1) continue;
        context = context_make(&params);
        tulle_context_info(context, &info);
        assert_int_equal(info.index, i);
        tulle_context_destroy(context);

        params = (tulle_context_params){ .device_by = TULLE_DEVICE_BY_UUID };
        memcpy(params.device_uuid, devices[i].uuid, VK_UUID_SIZE);
        context = context_make(&params);
        tulle_context_info(context, &info);
        assert_memory_equal(info.uuid, devices[i].uuid, VK_UUID_SIZE);
        tulle_context_destroy(context);

        // from the second letter on, case turned over
        for (size_t n = 0; n < sizeof part - 1 && devices[i].name[n + 1]; n++) {
            char c = devices[i].name[n + 1];
            part[n] = (char)(c >= 'a' && c <= 'z'   ? c - 'a' + 'A'
                             : c >= 'A' && c <= 'Z' ? c - 'A' + 'a'
                                                    : c);
        }
        params = (tulle_context_params){ .device_by = TULLE_DEVICE_BY_NAME, .device_name = part };
        context = context_make(&params);
        tulle_context_info(context, &info);
        assert_true(info.index <= i);  // the first that has it
        tulle_context_destroy(context);
    }
    free(devices);
}

static void test_devices(void **state) {
    tulle_device_info *devices, room[2];
    tulle_error error = { 0 };
    uint32_t count = list_devices(&devices), given = 0;
    (void)state;

    assert_true(count >= 1);
    assert_int_equal(tulle_devices(NULL, NULL, &error), TULLE_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "count"));
    memset(room, 0xa5, sizeof room);
    // room for none: nothing is written
    assert_int_equal(tulle_devices(&given, room, NULL), TULLE_OK);
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
    VkAllocationCallbacks half = { 0 };
    tulle_memory_callbacks no_free = { 0 };
    tulle_context_params params;
    tulle_error error = { 0 };
    (void)state;

    assert_int_equal(tulle_context_create(NULL, NULL, &error), TULLE_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "out"));
    params = (tulle_context_params){ .device_by = TULLE_DEVICE_BY_INDEX, .device_index = 12345 };
    REFUSE(params, TULLE_ERROR_NO_DEVICE, "device_index", "12345", "allowed: 0 to ");
    params = (tulle_context_params){ .device_by = TULLE_DEVICE_BY_UUID };
    memset(params.device_uuid, 0xab, VK_UUID_SIZE);
    REFUSE(params, TULLE_ERROR_NO_DEVICE, "device_uuid", "abababababababababababababababab");
    params =
        (tulle_context_params){ .device_by = TULLE_DEVICE_BY_NAME, .device_name = "no such card" };
    REFUSE(params, TULLE_ERROR_NO_DEVICE, "device_name", "\"no such card\"");
    params = (tulle_context_params){ .device_by = TULLE_DEVICE_BY_NAME };
    REFUSE(params, TULLE_ERROR_INVALID_ARGUMENT, "device_name", "NULL");
    params.device_name = "";
    REFUSE(params, TULLE_ERROR_INVALID_ARGUMENT, "device_name", "\"\"");
    params = (tulle_context_params){ .device_by = (tulle_device_by)4 };
    REFUSE(params, TULLE_ERROR_INVALID_ARGUMENT, "device_by", "4", "allowed: 0 ");
    params = (tulle_context_params){ .clamp = (tulle_clamp)2 };
    REFUSE(params, TULLE_ERROR_INVALID_ARGUMENT, "clamp", "2", "TULLE_CLAMP_VULKAN_1_1 (1)");
    params = (tulle_context_params){ .allocator = &half };
    REFUSE(params, TULLE_ERROR_INVALID_ARGUMENT, "allocator", "pfnAllocation");
    params = (tulle_context_params){ .memory = &no_free };
    REFUSE(params, TULLE_ERROR_INVALID_ARGUMENT, "memory->allocate");
}

// -------------------------------------------------------------------------------------------------
// Its functions

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL other_get(VkDevice device, const char *name) {
    (void)device;
    (void)name;
    return NULL;
}

/// Loading a device's functions asks the context's instance, whatever volk's global says, and
/// leaves the global as it was.
static void test_volk_global(void **state) {
    tulle_context *context = context_make(NULL);
    struct vulkan vk = context->vk;
    PFN_vkGetDeviceProcAddr before = vkGetDeviceProcAddr;
    tulle_error error = { 0 };
    (void)state;

    vkGetDeviceProcAddr = other_get;
    memset(&vk.device, 0, sizeof vk.device);
    assert_int_equal(vulkan_load_device(&vk, context->device, &error), TULLE_OK);
    assert_memory_equal(&vk.device, &context->vk.device, sizeof vk.device);
    assert_true(vkGetDeviceProcAddr == other_get);
    vkGetDeviceProcAddr = before;
    vk.vkGetDeviceProcAddr = other_get;  // an instance that does not know the device
    assert_int_equal(vulkan_load_device(&vk, context->device, &error), TULLE_ERROR_NO_VULKAN);
    tulle_context_destroy(context);
}

// -------------------------------------------------------------------------------------------------
// The host's allocator

struct ledger {
    pthread_mutex_t mutex;
    long live, total;
};

struct ledger_entry {
    size_t size;
    size_t back;  // from the address handed out to the start of the malloc
};

static void *VKAPI_PTR ledger_allocate(void *user, size_t size, size_t alignment,
                                       VkSystemAllocationScope scope) {
    struct ledger *ledger = user;
    size_t before = sizeof(struct ledger_entry) + alignment;
    unsigned char *start = malloc(size + before), *address;
    struct ledger_entry entry = { .size = size };
    (void)scope;
    if (!start) return NULL;
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
    if (!address) return;
    memcpy(&entry, (unsigned char *)address - sizeof entry, sizeof entry);
    free((unsigned char *)address - entry.back);
    pthread_mutex_lock(&ledger->mutex);
    ledger->live--;
    pthread_mutex_unlock(&ledger->mutex);
}

static void *VKAPI_PTR ledger_reallocate(void *user, void *address, size_t size, size_t alignment,
                                         VkSystemAllocationScope scope) {
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
    struct ledger ledger = { .mutex = PTHREAD_MUTEX_INITIALIZER };
    VkAllocationCallbacks allocator = { .pUserData = &ledger,
                                        .pfnAllocation = ledger_allocate,
                                        .pfnReallocation = ledger_reallocate,
                                        .pfnFree = ledger_free };
    struct gpu gpu;
    tulle_vulkan_import import;
    (void)state;

    context_open_gpu(&gpu, false);
    for (int imported = 0; imported < 2; imported++) {
        tulle_context_params params = { .allocator = &allocator };
        tulle_context *context;
        import = gpu_import(&gpu);
        params.import = imported ? &import : NULL;
        ledger.total = 0;
        context = context_make(&params);
        memset(&allocator, 0, sizeof allocator);  // it was copied
        for (int use = MEMORY_POOLED; use <= MEMORY_DOWNLOAD; use++) {
            struct device_buffer buffer;
            assert_int_equal(device_buffer_create(context, 5000, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT,
                                                  (enum memory_use)use, &buffer, NULL),
                             TULLE_OK);
            device_buffer_destroy(context, &buffer);
        }
        assert_true(context_use(context, 6));
        allocator = context->allocator_copy;
        tulle_context_destroy(context);
        assert_true(ledger.total > 0 || gpu_by_wine());
        assert_int_equal(ledger.live, 0);
    }
    // A creation that fails halfway gives everything back too.
    {
        tulle_context_params params = { .allocator = &allocator,
                                        .device_by = TULLE_DEVICE_BY_INDEX,
                                        .device_index = 777 };
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
        cmocka_unit_test(test_volk_global),
        cmocka_unit_test(test_allocator_balanced),
    };
    return cmocka_run_group_tests_name("context", tests, NULL, NULL);
}
