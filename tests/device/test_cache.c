// SPDX-License-Identifier: MIT
//
// What a context keeps between processes: it comes back as it was written, the driver sees no byte
// that is damaged or of others, and a cache that is of no use is no reason to fail.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "kernel/blob.h"
#include "kernel/pipeline.h"
#include "run/shared.h"

// -------------------------------------------------------------------------------------------------
// The host's side: bytes in memory, a log, and what the driver is handed

struct store {
    uint8_t *data;
    size_t size;
    int reads, writes;
    bool full;  // takes nothing
    uint8_t uuid[VK_UUID_SIZE];
    int warnings, infos, errors;
    char said[1000];
};

static bool store_read(void *user, const tulle_device_info *info, const void **data, size_t *size) {
    struct store *store = user;
    store->reads++;
    memcpy(store->uuid, info->uuid, sizeof store->uuid);
    *data = store->data;
    *size = store->size;
    return store->data != NULL;
}

static bool store_write(void *user, const tulle_device_info *info, const void *data, size_t size) {
    struct store *store = user;
    store->writes++;
    if (store->full || memcmp(info->uuid, harness_device()->uuid, VK_UUID_SIZE) != 0) {
        return false;
    }
    free(store->data);
    store->data = malloc(size);
    store->size = size;
    memcpy(store->data, data, size);
    return true;
}

static void store_log(void *user, tulle_log_level level, const char *message) {
    struct store *store = user;
    if (strstr(message, "cache") == NULL) {
        return;
    }
    store->warnings += level == TULLE_LOG_WARNING;
    store->errors += level == TULLE_LOG_ERROR;
    store->infos += level == TULLE_LOG_INFO;
    if (level <= TULLE_LOG_INFO) {
        snprintf(store->said, sizeof store->said, "%s", message);
    }
}

static PFN_vkGetDeviceProcAddr real_get_device;
static PFN_vkCreatePipelineCache real_create;
static size_t handed;    // bytes that vkCreatePipelineCache got last
static int cache_calls;  // of it
static bool refuses;     // whatever has bytes

static VKAPI_ATTR VkResult VKAPI_CALL watched_create(VkDevice device,
                                                     const VkPipelineCacheCreateInfo *info,
                                                     const VkAllocationCallbacks *allocator,
                                                     VkPipelineCache *out) {
    cache_calls++;
    handed = info->initialDataSize;
    return refuses && handed > 0 ? VK_ERROR_OUT_OF_HOST_MEMORY
                                 : real_create(device, info, allocator, out);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL watched_get_device(VkDevice device,
                                                                   const char *name) {
    PFN_vkVoidFunction real = real_get_device(device, name);
    if (strcmp(name, "vkCreatePipelineCache") == 0) {
        real_create = (PFN_vkCreatePipelineCache)real;
        return (PFN_vkVoidFunction)watched_create;
    }
    return real;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL watched_get(VkInstance instance, const char *name) {
    PFN_vkVoidFunction real = gpu_loader()(instance, name);
    if (strcmp(name, "vkGetDeviceProcAddr") == 0) {
        real_get_device = (PFN_vkGetDeviceProcAddr)real;
        return (PFN_vkVoidFunction)watched_get_device;
    }
    return real;
}

static struct gpu gpu;

static int open_device(void **state) {
    (void)state;
    harness_open_gpu(&gpu, false, NULL);
    return 0;
}

static int close_device(void **state) {
    (void)state;
    gpu_close(&gpu);
    harness_silent();
    return 0;
}

static tulle_context *open_context(struct store *store, VkPipelineCache given) {
    tulle_vulkan_import import = gpu_import(&gpu);
    import.get_instance_proc_addr = watched_get;
    import.pipeline_cache = given;
    const tulle_cache cache = { .read = store_read, .write = store_write, .user = store };
    const tulle_context_params params = {
        .import = &import, .cache = &cache, .log = store_log, .log_user = store
    };
    tulle_context *context = NULL;
    tulle_error error = { 0 };
    handed = 0;
    cache_calls = 0;
    store->reads = store->writes = store->warnings = store->infos = store->errors = 0;
    harness_ok(tulle_context_create(&params, &context, &error), &error, "tulle_context_create");
    if (store->reads != 1 || memcmp(store->uuid, harness_device()->uuid, VK_UUID_SIZE) != 0) {
        harness_fail("the cache was asked for %d times, or for another device", store->reads);
    }
    return context;
}

// Compiles something, and saves.
static void use(tulle_context *context) {
    const tulle_attention_desc desc = {
        .heads = 1, .q_len = 8, .kv_len = 8, .head_dim = 8, .buffer_usage = TULLE_USAGE_HOST
    };
    float q[64] = { 0 }, o[64];
    const tulle_host_arrays arrays = { .q = q, .k = q, .v = q, .o = o };
    tulle_plan *plan = NULL;
    tulle_error error = { 0 };
    harness_ok(tulle_plan_create(context, &desc, &plan, &error), &error, "tulle_plan_create");
    harness_ok(tulle_attention(plan, &arrays, NULL, &error), &error, "tulle_attention");
    tulle_plan_destroy(plan);
    harness_ok(tulle_cache_save(context, &error), &error, "tulle_cache_save");
}

static void filled(struct store *store) {
    tulle_context *context = open_context(store, VK_NULL_HANDLE);
    use(context);
    tulle_context_destroy(context);
    if (store->size < 80) {
        harness_fail("a cache of %zu bytes was saved", store->size);
    }
}

// -------------------------------------------------------------------------------------------------

static void test_round_trip(void **state) {
    (void)state;
    struct store store = { 0 };
    filled(&store);
    if (handed != 0 || store.warnings + store.infos + store.errors != 0) {
        harness_fail("of nothing the driver got %zu bytes, and the log says %s", handed,
                     store.said);
    }
    const size_t size = store.size;
    tulle_context *context = open_context(&store, VK_NULL_HANDLE);
    if (handed < sizeof(VkPipelineCacheHeaderVersionOne) || handed > size || cache_calls != 1 ||
        store.warnings + store.infos + store.errors != 0) {
        harness_fail("of a cache of %zu bytes the driver got %zu, and the log says %s", size,
                     handed, store.said);
    }
    // what was read is not lost where nothing is compiled
    tulle_error error = { 0 };
    harness_ok(tulle_cache_save(context, &error), &error, "tulle_cache_save");
    if (store.size < size) {
        harness_fail("a cache of %zu bytes came back as %zu", size, store.size);
    }
    tulle_context_destroy(context);
    free(store.data);
}

// The driver gets nothing, the log has a line, all works, and the next save mends it.
static void check_ignored(struct store *store, const char *what, bool warned) {
    tulle_context *context = open_context(store, VK_NULL_HANDLE);
    if (handed != 0 || cache_calls != 1) {
        harness_fail("%s: the driver got %zu of its bytes", what, handed);
    }
    if ((warned ? store->warnings : store->infos) != 1 ||
        store->warnings + store->infos + store->errors != 1) {
        harness_fail("%s: %d warnings, %d infos, %d errors: %s", what, store->warnings,
                     store->infos, store->errors, store->said);
    }
    tulle_error error = { 0 };
    harness_ok(tulle_cache_save(context, &error), &error, "tulle_cache_save");
    tulle_context_destroy(context);
    context = open_context(store, VK_NULL_HANDLE);
    if (handed == 0 || store->warnings + store->infos + store->errors != 0) {
        harness_fail("%s: the next save did not mend it: %s", what, store->said);
    }
    tulle_context_destroy(context);
}

static void test_damaged(void **state) {
    (void)state;
    struct store store = { 0 };
    struct rng rng = { rng_hash(harness_seed(), 3) };
    filled(&store);
    for (int trial = 0; trial < 40; trial++) {
        char what[100];
        const size_t at = (size_t)rng_between(&rng, 0, (int64_t)store.size - 1);
        if (trial % 2) {
            store.data[at] ^= (uint8_t)(1u << rng_between(&rng, 0, 7));
            snprintf(what, sizeof what, "byte %zu of %zu is another", at, store.size);
        } else {
            snprintf(what, sizeof what, "%zu of %zu bytes", at, store.size);
            store.size = at;
        }
        check_ignored(&store, what, true);
    }
    free(store.data);
}

// Blobs that are whole, and written elsewhere.
static void replace(struct store *store, const struct blob_key *key, const void *code,
                    size_t size) {
    const struct blob_section section = { BLOB_PIPELINES, 1, code, size };
    free(store->data);
    store->data = blob_make(key, &section, 1, &store->size);
    assert_non_null(store->data);
}

static void test_foreign(void **state) {
    (void)state;
    struct store store = { 0 };
    tulle_context *context = open_context(&store, VK_NULL_HANDLE);
    const struct blob_key here = blob_key_of(&context->caps);
    void *code = NULL;
    size_t size = 0;
    tulle_error error = { 0 };
    harness_ok(pipeline_cache_code(context->shared->pipelines, &code, &size, &error), &error,
               "pipeline_cache_code");
    tulle_context_destroy(context);
    struct blob_key key = here;
    key.driver_version++;
    replace(&store, &key, code, size);
    check_ignored(&store, "another driver version's", false);
    key = here;
    key.patch++;
    replace(&store, &key, code, size);
    check_ignored(&store, "a later library's", false);
    key = here;
    key.device_uuid[0] ^= 1;
    replace(&store, &key, code, size);
    check_ignored(&store, "another device's", false);
    // the driver's own head is looked at too
    for (size_t at = 0; at < sizeof(VkPipelineCacheHeaderVersionOne); at++) {
        char what[60];
        ((uint8_t *)code)[at] ^= 0x80;
        snprintf(what, sizeof what, "byte %zu of the driver's head is another", at);
        replace(&store, &here, code, size);
        check_ignored(&store, what, true);
        ((uint8_t *)code)[at] ^= 0x80;
    }
    replace(&store, &here, code, sizeof(VkPipelineCacheHeaderVersionOne) - 1);
    check_ignored(&store, "the driver's head is cut off", true);
    free(code);
    free(store.data);
}

static void test_driver_refuses(void **state) {
    (void)state;
    struct store store = { 0 };
    filled(&store);
    refuses = true;
    tulle_context *context = open_context(&store, VK_NULL_HANDLE);
    refuses = false;
    if (cache_calls != 2 || handed != 0 || store.warnings != 1) {
        harness_fail("a driver that refuses its own bytes: %d calls, %d warnings", cache_calls,
                     store.warnings);
    }
    use(context);
    tulle_context_destroy(context);
    free(store.data);
}

// The host's own VkPipelineCache stays the host's: nothing is put into it, nothing of it is kept.
static void test_host_pipeline_cache(void **state) {
    (void)state;
    struct store store = { 0 };
    const VkPipelineCacheCreateInfo info = { .sType =
                                                 VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO };
    VkPipelineCache given = VK_NULL_HANDLE;
    filled(&store);
    assert_int_equal(gpu.CreatePipelineCache(gpu.device, &info, NULL, &given), VK_SUCCESS);
    tulle_context *context = open_context(&store, given);
    assert_int_equal(cache_calls, 0);
    use(context);
    struct blob_section code = { BLOB_PIPELINES, 1, NULL, 0 };
    blob_find(store.data, &code);
    assert_int_equal(code.size, 0);
    tulle_context_destroy(context);
    gpu.DestroyPipelineCache(gpu.device, given, NULL);
    free(store.data);
}

static void test_callbacks(void **state) {
    (void)state;
    struct store store = { .full = true };
    tulle_context *context = open_context(&store, VK_NULL_HANDLE);
    tulle_error error = { 0 };
    assert_int_equal(tulle_cache_save(context, &error), TULLE_ERROR_CALLBACK);
    assert_non_null(strstr(error.message, "params.cache->write"));
    assert_int_equal(store.writes, 1);
    assert_int_equal(tulle_cache_save(NULL, &error), TULLE_ERROR_INVALID_ARGUMENT);
    tulle_context_destroy(context);
    // one of the two alone, and none
    tulle_context_params params = harness_own_params();
    tulle_cache cache = { .read = store_read, .user = &store };
    params.cache = &cache;
    harness_ok(tulle_context_create(&params, &context, &error), &error, "tulle_context_create");
    assert_int_equal(tulle_cache_save(context, &error), TULLE_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "params.cache->write"));
    tulle_context_destroy(context);
    cache = (tulle_cache){ .write = store_write, .user = &store };
    store.full = false;
    harness_ok(tulle_context_create(&params, &context, &error), &error, "tulle_context_create");
    harness_ok(tulle_cache_save(context, &error), &error, "tulle_cache_save");
    tulle_context_destroy(context);
    cache = (tulle_cache){ .user = &store };
    assert_int_equal(tulle_context_create(&params, &context, &error), TULLE_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "params.cache->read"));
    free(store.data);
    harness_silent();
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, open_device, close_device)

int main(int argc, char **argv) {
    (void)argc;
    const struct CMUnitTest tests[] = {
        CASE(test_round_trip),     CASE(test_damaged),   CASE(test_foreign),
        CASE(test_driver_refuses), CASE(test_callbacks), CASE(test_host_pipeline_cache),
    };
    return HARNESS_RUN(argv, "cache", tests);
}
