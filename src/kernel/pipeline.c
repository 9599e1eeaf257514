// SPDX-License-Identifier: MIT
#include "kernel/pipeline.h"

#include <stdlib.h>
#include <string.h>

struct pipeline_cache {
    tulle_context *context;
    VkPipelineCache handle;  ///< ours, or the host's
    bool own;
    struct mutex mutex;      ///< of both lists; not held while a pipeline is made
    struct condition ended;  ///< a pipeline is made, or could not be
    struct pipeline *first;
    struct pipeline_layout *layouts;
};

/// Did this driver write it for this device? It would say so itself; but drivers crashed on data of
/// others.
static bool code_fits(const struct caps *caps, const void *code, size_t size) {
    VkPipelineCacheHeaderVersionOne head;
    if (size < sizeof head) return false;
    memcpy(&head, code, sizeof head);  // wherever it lies
    return head.headerSize >= sizeof head && head.headerSize <= size &&
           head.headerVersion == VK_PIPELINE_CACHE_HEADER_VERSION_ONE &&
           head.vendorID == caps->vendor_id && head.deviceID == caps->device_id &&
           !memcmp(head.pipelineCacheUUID, caps->pipeline_cache_uuid, VK_UUID_SIZE);
}

static VkResult make_cache(const tulle_context *context, const void *code, size_t size,
                           VkPipelineCache *out) {
    const VkPipelineCacheCreateInfo info = { VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO, NULL, 0,
                                             size, code };
    return context->vk.device.vkCreatePipelineCache(context->device, &info, context->allocator,
                                                    out);
}

/// The driver's cache, with what it wrote once where that is of use.
static VkResult make_own(const tulle_context *context, const void *code, size_t size,
                         VkPipelineCache *out) {
    const char *why = "its code is not of this driver's, or not for this device";
    if (size && code_fits(&context->caps, code, size)) {
        void *aligned = malloc(size);  // as malloc aligns: no driver is asked to read less
        VkResult result = VK_ERROR_OUT_OF_HOST_MEMORY;
        if (aligned) {
            memcpy(aligned, code, size);
            result = make_cache(context, aligned, size, out);
            free(aligned);
        }
        if (!result) return result;
        why = tulle_vk_result_name(result);  // which is no reason to have no context
    }
    if (size) context_log(context, TULLE_LOG_WARNING, "the cache's kernels are ignored: %s", why);
    return make_cache(context, NULL, 0, out);
}

tulle_result pipeline_cache_create(tulle_context *context, VkPipelineCache given, const void *code,
                                   size_t size, struct pipeline_cache **out, tulle_error *error) {
    struct pipeline_cache *cache = calloc(1, sizeof *cache);
    *out = NULL;
    if (!cache)
        return context_fail(context, error, TULLE_ERROR_OUT_OF_HOST_MEMORY,
                            "no host memory for the context");
    cache->context = context;
    cache->handle = given;
    cache->own = !given;
    if (cache->own) {
        VkResult result = make_own(context, code, size, &cache->handle);
        if (result) {
            free(cache);
            return context_fail_vk(context, error, result, "vkCreatePipelineCache");
        }
    }
    mutex_init(&cache->mutex);
    condition_init(&cache->ended);
    *out = cache;
    return TULLE_OK;
}

static void layout_destroy(const tulle_context *context, struct pipeline_layout *layout) {
    context->vk.device.vkDestroyPipelineLayout(context->device, layout->handle, context->allocator);
    context->vk.device.vkDestroyDescriptorSetLayout(context->device, layout->set,
                                                    context->allocator);
    free(layout);
}

void pipeline_cache_destroy(struct pipeline_cache *cache) {
    if (!cache) return;
    const tulle_context *context = cache->context;
    for (struct pipeline *p = cache->first, *next; p; p = next) {
        next = p->next;
        context->vk.device.vkDestroyPipeline(context->device, p->handle, context->allocator);
        free(p);
    }
    for (struct pipeline_layout *l = cache->layouts, *next; l; l = next) {
        next = l->next;
        layout_destroy(context, l);
    }
    if (cache->own)
        context->vk.device.vkDestroyPipelineCache(context->device, cache->handle,
                                                  context->allocator);
    condition_destroy(&cache->ended);
    mutex_destroy(&cache->mutex);
    free(cache);
}

VkPipelineCache pipeline_cache_handle(const struct pipeline_cache *cache) { return cache->handle; }

tulle_result pipeline_cache_code(const struct pipeline_cache *cache, void **out, size_t *size,
                                 tulle_error *error) {
    const tulle_context *context = cache->context;
    VkResult result;
    *out = NULL;
    *size = 0;
    if (!cache->own) return TULLE_OK;
    do {  // it may grow between the two calls
        free(*out);
        *out = NULL;
        result =
            context->vk.device.vkGetPipelineCacheData(context->device, cache->handle, size, NULL);
        if (result) break;
        *out = malloc(*size + 1);
        if (!*out)
            return context_fail(context, error, TULLE_ERROR_OUT_OF_HOST_MEMORY,
                                "no host memory for %zu bytes of compiled kernels", *size);
        result =
            context->vk.device.vkGetPipelineCacheData(context->device, cache->handle, size, *out);
    } while (result == VK_INCOMPLETE);
    if (!result) return TULLE_OK;
    free(*out);
    *out = NULL;
    return context_fail_vk(context, error, result, "vkGetPipelineCacheData");
}

// -------------------------------------------------------------------------------------------------
// Layouts

static tulle_result make_layout(const tulle_context *context, struct pipeline_layout *out,
                                tulle_error *error) {
    const struct layout *layout = out->of;
    VkDescriptorSetLayoutBinding bindings[DESCRIPTORS_MOST];
    for (uint32_t i = 0; i < layout->count; i++) {
        const struct descriptor *d = &layout->descriptors[i];
        VkDescriptorType type = d->reach == REACH_TEXELS ? VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER
                                : layout->dynamic        ? VK_DESCRIPTOR_TYPE_STORAGE_BUFFER_DYNAMIC
                                                         : VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
        bindings[i] = (VkDescriptorSetLayoutBinding){ d->binding, type, 1,
                                                      VK_SHADER_STAGE_COMPUTE_BIT, NULL };
    }
    VkDescriptorSetLayoutCreateInfo set = { VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
                                            NULL, 0, layout->count, bindings };
    VkResult result = context->vk.device.vkCreateDescriptorSetLayout(context->device, &set,
                                                                     context->allocator, &out->set);
    if (result) {  // what a failed call leaves in its output is undefined, here and everywhere
        out->set = VK_NULL_HANDLE;
        return context_fail_vk(context, error, result, "vkCreateDescriptorSetLayout");
    }
    VkPushConstantRange push = { VK_SHADER_STAGE_COMPUTE_BIT, 0, layout->push_bytes };
    VkPipelineLayoutCreateInfo info = { VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                        NULL,
                                        0,
                                        layout->count ? 1 : 0,
                                        &out->set,
                                        1,
                                        &push };
    result = context->vk.device.vkCreatePipelineLayout(context->device, &info, context->allocator,
                                                       &out->handle);
    if (!result) return TULLE_OK;
    out->handle = VK_NULL_HANDLE;
    return context_fail_vk(context, error, result, "vkCreatePipelineLayout");
}

/// Under the cache's mutex.
static tulle_result layout_get(struct pipeline_cache *cache, const struct pipeline_key *key,
                               const struct pipeline_layout **out, tulle_error *error) {
    const tulle_context *context = cache->context;
    struct pipeline_layout *l = cache->layouts;
    uint32_t buffers = layout_count(key->layout, REACH_STORAGE);
    *out = NULL;
    if (buffers > context->caps.max_storage_buffers)
        return context_fail(context, error, TULLE_ERROR_UNSUPPORTED,
                            "module %s needs %u storage buffers; this device has %u", key->module,
                            buffers, context->caps.max_storage_buffers);
    while (l && l->of != key->layout) l = l->next;
    if (!l) {
        l = calloc(1, sizeof *l);
        if (!l)
            return context_fail(context, error, TULLE_ERROR_OUT_OF_HOST_MEMORY,
                                "no host memory for a pipeline");
        l->of = key->layout;
        tulle_result result = make_layout(context, l, error);
        if (result) {
            layout_destroy(context, l);
            return result;
        }
        l->next = cache->layouts;
        cache->layouts = l;
    }
    *out = l;
    return TULLE_OK;
}

// -------------------------------------------------------------------------------------------------
// Pipelines

/// known: what the driver may take code from; VK_NULL_HANDLE: it compiles.
static tulle_result make_pipeline(const tulle_context *context, VkPipelineCache known,
                                  const struct pipeline_key *key,
                                  const struct pipeline_layout *layout, VkPipelineCreateFlags flags,
                                  VkPipeline *out, tulle_error *error) {
    const char *absent = module_absent(key->module);
    VkSpecializationMapEntry entries[PM_CONSTANTS];
    *out = VK_NULL_HANDLE;
    if (absent)
        return context_fail(context, error, TULLE_ERROR_UNSUPPORTED,
                            "kernel module %s was not built: %s", key->module, absent);
    const struct module *module = module_find(key->module);
    for (uint32_t i = 0; i < PM_CONSTANTS; i++)
        entries[i] = (VkSpecializationMapEntry){ i, i * 4, 4 };
    VkSpecializationInfo constants = { PM_CONSTANTS, entries, sizeof key->constants,
                                       key->constants };
    VkShaderModuleCreateInfo shader = { VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO, NULL, 0,
                                        module->size, module->words };
    VkShaderModule handle;
    VkResult result = context->vk.device.vkCreateShaderModule(context->device, &shader,
                                                              context->allocator, &handle);
    if (result) return context_fail_vk(context, error, result, "vkCreateShaderModule");
    // A kernel that names its subgroups' size has full ones, of that size (which a driver of
    // one size need not be asked for).
    VkPipelineShaderStageRequiredSubgroupSizeCreateInfo size = {
        VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO, NULL,
        key->constants[PM_CONSTANT_SUBGROUP]
    };
    const bool full = size.requiredSubgroupSize != 0;
    VkComputePipelineCreateInfo info = {
        VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        NULL,
        flags,
        { VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
          full && context->caps.subgroup_size_control ? &size : NULL,
          full ? VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT : 0,
          VK_SHADER_STAGE_COMPUTE_BIT, handle, "main", &constants },
        layout->handle,
        VK_NULL_HANDLE,
        -1
    };
    result = context->vk.device.vkCreateComputePipelines(context->device, known, 1, &info,
                                                         context->allocator, out);
    context->vk.device.vkDestroyShaderModule(context->device, handle, context->allocator);
    if (result) {
        *out = VK_NULL_HANDLE;
        return context_fail_vk(context, error, result, "vkCreateComputePipelines");
    }
    return TULLE_OK;
}

/// By key, also one that is still being made: it has no handle. Under the cache's mutex.
static struct pipeline *find_pipeline(const struct pipeline_cache *cache,
                                      const struct pipeline_key *key) {
    struct pipeline *p = cache->first;
    while (p && memcmp(&p->key, key, sizeof *key)) p = p->next;
    return p;
}

static void unlist(struct pipeline_cache *cache, const struct pipeline *p) {
    struct pipeline **at = &cache->first;
    while (*at != p) at = &(*at)->next;
    *at = p->next;
}

/// A new one. It stands in the list while it is made, so that nobody makes it twice. Under the
/// cache's mutex, but for the time that the driver takes.
static tulle_result create_pipeline(struct pipeline_cache *cache, const struct pipeline_key *key,
                                    struct pipeline **out, tulle_error *error) {
    struct pipeline *p = calloc(1, sizeof *p);
    VkPipeline handle = VK_NULL_HANDLE;
    *out = NULL;
    if (!p)
        return context_fail(cache->context, error, TULLE_ERROR_OUT_OF_HOST_MEMORY,
                            "no host memory for a pipeline");
    p->key = *key;
    tulle_result result = layout_get(cache, key, &p->layout, error);
    if (result) {
        free(p);
        return result;
    }
    p->next = cache->first;
    cache->first = p;
    mutex_unlock(&cache->mutex);
    result = make_pipeline(cache->context, cache->handle, key, p->layout, 0, &handle, error);
    mutex_lock(&cache->mutex);
    p->handle = handle;
    condition_wake(&cache->ended);
    if (result) {
        unlist(cache, p);
        free(p);
        return result;
    }
    *out = p;
    return TULLE_OK;
}

bool pipeline_ready(struct pipeline_cache *cache, const struct pipeline_key *key,
                    const struct pipeline **out) {
    mutex_lock(&cache->mutex);
    const struct pipeline *p = find_pipeline(cache, key);
    *out = p && p->handle ? p : NULL;
    mutex_unlock(&cache->mutex);
    return *out != NULL;
}

tulle_result pipeline_get(struct pipeline_cache *cache, const struct pipeline_key *key,
                          const struct pipeline **out, tulle_error *error) {
    tulle_result result = TULLE_OK;
    mutex_lock(&cache->mutex);
    struct pipeline *p = find_pipeline(cache, key);
    while (p && !p->handle) {
        condition_wait(&cache->ended, &cache->mutex);
        p = find_pipeline(cache, key);  // where making it failed it is gone: this thread tries
    }
    if (!p) result = create_pipeline(cache, key, &p, error);
    *out = p;
    mutex_unlock(&cache->mutex);
    return result;
}

// -------------------------------------------------------------------------------------------------
// Reports

static double statistic_value(const VkPipelineExecutableStatisticKHR *s) {
    switch (s->format) {
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_BOOL32_KHR: return s->value.b32;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_INT64_KHR: return (double)s->value.i64;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_UINT64_KHR: return (double)s->value.u64;
    default: return s->value.f64;
    }
}

/// What the driver says of each of a pipeline's executables; of those that say nothing, nothing.
static tulle_result report_statistics(const tulle_context *context, VkPipeline pipeline,
                                      const char *name, tulle_statistic_callback each, void *user,
                                      tulle_error *error) {
    const PFN_vkGetPipelineExecutableStatisticsKHR get =
        context->vk.device.vkGetPipelineExecutableStatisticsKHR;
    uint32_t executables = 0;
    VkPipelineInfoKHR info = { VK_STRUCTURE_TYPE_PIPELINE_INFO_KHR, NULL, pipeline };
    if (context->vk.device.vkGetPipelineExecutablePropertiesKHR(context->device, &info,
                                                                &executables, NULL))
        return TULLE_OK;
    for (uint32_t e = 0; e < executables; e++) {
        VkPipelineExecutableInfoKHR executable = { VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR,
                                                   NULL, pipeline, e };
        uint32_t count = 0;
        if (get(context->device, &executable, &count, NULL) || !count) continue;
        VkPipelineExecutableStatisticKHR *statistics = calloc(count, sizeof *statistics);
        if (!statistics)
            return context_fail(context, error, TULLE_ERROR_OUT_OF_HOST_MEMORY,
                                "no host memory for statistics");
        for (uint32_t i = 0; i < count; i++)
            statistics[i].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR;
        VkResult got = get(context->device, &executable, &count, statistics);
        for (uint32_t i = 0; i < count && got >= 0; i++)
            each(user, name, statistics[i].name, statistic_value(&statistics[i]));
        free(statistics);
    }
    return TULLE_OK;
}

tulle_result pipeline_report(struct pipeline_cache *cache, const struct pipeline_key *key,
                             const char *name, tulle_statistic_callback each, void *user,
                             tulle_error *error) {
    const tulle_context *context = cache->context;
    const bool reports = context->caps.executable_properties;
    const struct pipeline_layout *layout;
    VkPipeline pipeline;
    mutex_lock(&cache->mutex);
    tulle_result result = layout_get(cache, key, &layout, error);
    mutex_unlock(&cache->mutex);
    if (result) return result;
    double start = clock_ms();
    result = make_pipeline(context, VK_NULL_HANDLE, key, layout,
                           reports ? VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR : 0, &pipeline,
                           error);
    if (result) return result;
    each(user, name, "compiled, ms", clock_ms() - start);
    if (reports) result = report_statistics(context, pipeline, name, each, user, error);
    context->vk.device.vkDestroyPipeline(context->device, pipeline, context->allocator);
    return result;
}
