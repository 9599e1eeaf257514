// SPDX-License-Identifier: MIT
//
// A context from its creation to its end: the device, what all plans on it share, and all of it in
// reverse. And what version this is.
#include <stdlib.h>

#include "device/open.h"
#include "device/pool.h"
#include "device/submit.h"
#include "kernel/variant.h"
#include "run/cache.h"
#include "run/context.h"
#include "run/host.h"
#include "run/shared.h"

#define TEXT_OF(value) #value
#define TEXT(value) TEXT_OF(value)

const char *tulle_version(void) {
    return TEXT(TULLE_VERSION_MAJOR) "." TEXT(TULLE_VERSION_MINOR) "." TEXT(TULLE_VERSION_PATCH);
}

/// Undoes what there is, in reverse; also of a context that is half made.
static void end_context(tulle_context *context) {
    if (context->shared) host_path_destroy(context, context->shared->host_path);
    shared_destroy(context);
    submitter_destroy(context);
    memory_pool_destroy(context, context->pool);
    device_close(context);
    mutex_destroy(&context->submitter_mutex);
    mutex_destroy(&context->queue_mutex);
    free(context);
}

tulle_context *context_retain(tulle_context *context) {
    atomic_fetch_add_explicit(&context->holders, 1, memory_order_relaxed);
    return context;
}

void context_release(tulle_context *context) {
    if (context && atomic_fetch_sub_explicit(&context->holders, 1, memory_order_acq_rel) == 1)
        end_context(context);
}

/// What fails before there is a context reaches the log too.
static tulle_result fail_early(const tulle_context_params *params, tulle_error *error,
                               tulle_result result, const char *message) {
    if (params->log) params->log(params->log_user, TULLE_LOG_ERROR, message);
    return tulle_fail(error, result, "%s", message);
}

static void log_device(const tulle_context *context, const tulle_context_params *params) {
    context_log(context, TULLE_LOG_INFO, "%s device %s (%s%s%s), Vulkan %u.%u, queue family %u%s",
                context->own_device ? "own" : "imported", context->caps.name, context->caps.driver,
                context->caps.driver_info[0] ? ", " : "", context->caps.driver_info,
                VK_API_VERSION_MAJOR(context->caps.api_version),
                VK_API_VERSION_MINOR(context->caps.api_version), context->queue_family,
                params->clamp == TULLE_CLAMP_VULKAN_1_1 ? ", clamped to the floor of Vulkan 1.1"
                                                        : "");
    context_log(
        context, TULLE_LOG_INFO,
        "enabled: bufferDeviceAddress %s, subgroupSizeControl %s, pipelineExecutableInfo %s",
        context->caps.buffer_device_address ? "yes" : "no",
        context->caps.subgroup_size_control ? "yes" : "no",
        context->caps.executable_properties ? "yes" : "no");
    if (context->caps.max_loop_iterations != UINT32_MAX)
        context_log(
            context, TULLE_LOG_INFO,
            "this driver ends an invocation's loops after %u iterations: work items stay below",
            context->caps.max_loop_iterations);
    if (params->import && params->validation)
        context_log(
            context, TULLE_LOG_WARNING,
            "params.validation has no effect on an imported device: its instance is the caller's");
}

tulle_result tulle_context_create(const tulle_context_params *params, tulle_context **out,
                                  tulle_error *error) {
    static const tulle_context_params defaults;
    tulle_context *context;
    tulle_error ours;
    tulle_result code;

    if (!error) error = &ours;
    if (!params) params = &defaults;
    if (!out)
        return fail_early(params, error, TULLE_ERROR_INVALID_ARGUMENT,
                          "out is NULL; it receives the context");
    *out = NULL;
    context = calloc(1, sizeof *context);
    if (!context)
        return fail_early(params, error, TULLE_ERROR_OUT_OF_HOST_MEMORY, "no memory for a context");
    atomic_init(&context->holders, 1);
    mutex_init(&context->queue_mutex);
    mutex_init(&context->submitter_mutex);
    context->log = params->log;
    context->log_user = params->log_user;
    context->compile_threads = params->compile_threads;
    if (params->allocator) {
        context->allocator_copy = *params->allocator;
        context->allocator = &context->allocator_copy;
    }
    if (params->cache) context->cache = *params->cache;
    if (params->memory) {
        context->memory_callbacks = *params->memory;
        context->has_memory_callbacks = true;
    }

    code = device_open(context, params, error);
    if (code != TULLE_OK) context_log(context, TULLE_LOG_ERROR, "%s", error->message);
    else code = memory_pool_create(context, &context->pool, error);
    if (code == TULLE_OK) {
        struct cache_sections cached;
        cache_read(context, &cached);
        code =
            shared_create(context, params->import ? params->import->pipeline_cache : VK_NULL_HANDLE,
                          &cached, error);
    }
    if (code != TULLE_OK) {
        context_release(context);
        return code;
    }
    log_device(context, params);
    *out = context;
    return TULLE_OK;
}

void tulle_context_destroy(tulle_context *context) {
    if (!context) return;
    const unsigned others = atomic_load_explicit(&context->holders, memory_order_relaxed) - 1;
    if (others)
        context_log(
            context, context->own_device ? TULLE_LOG_INFO : TULLE_LOG_WARNING,
            "the context stays until %u of its plans (with their bindings) and mergers are destroyed%s",
            others, context->own_device ? "" : ": so must the imported device");
    context_release(context);
}

void tulle_context_info(const tulle_context *context, tulle_device_info *info) {
    if (context && info) caps_info(&context->caps, context->index, info);
}

VkBufferUsageFlags tulle_buffer_usage(const tulle_context *context) {
    return context ? variants_usage(&context->caps) : VK_BUFFER_USAGE_STORAGE_BUFFER_BIT;
}
