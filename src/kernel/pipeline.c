// SPDX-License-Identifier: MIT
#include "kernel/pipeline.h"

#include <stdlib.h>
#include <string.h>

#include "plan_memory.h"

#define ATTENTION_WORDS sizeof(struct pm_attention_push)
#define COMBINE_WORDS sizeof(struct pm_combine_push)

const struct layout_shape layout_shapes[LAYOUT_COUNT] = {
    [LAYOUT_BASE] = { { 0, 1, 2, 3 }, 4, { 4 }, 1, true, ATTENTION_WORDS },
    [LAYOUT_BASE_DIRECT] = { { 0, 1, 2, 3, 5, 6 }, 6, { 4 }, 1, true, ATTENTION_WORDS },
    [LAYOUT_ADDRESS] = { { 0 },
                         0,
                         { 0 },
                         0,
                         true,
                         ATTENTION_WORDS + sizeof(struct pm_attention_addresses) },
    [LAYOUT_TEXEL] = { { 3, 5, 6 }, 3, { 4, 7, 8, 9, 10 }, 5, true, ATTENTION_WORDS },
    [LAYOUT_COMBINE] = { { 0, 1, 2 }, 3, { 4 }, 1, true, COMBINE_WORDS },
    [LAYOUT_COMBINE_ADDRESS] = { { 0 },
                                 0,
                                 { 0 },
                                 0,
                                 true,
                                 COMBINE_WORDS + sizeof(struct pm_combine_addresses) },
    [LAYOUT_COMBINE_TEXEL] = { { 1, 2 }, 2, { 4, 0 }, 2, true, COMBINE_WORDS },
    [LAYOUT_MERGE] = { { 0, 1, 2, 3 }, 4, { 0 }, 0, false, sizeof(struct pm_merge_push) },
};

struct pipeline_cache {
    struct mutex mutex;
    struct pipeline *first;
    VkDescriptorSetLayout sets[LAYOUT_COUNT];
    VkPipelineLayout layouts[LAYOUT_COUNT];
};

static bool offers(const tulle_context *context, enum layout layout) {
    return layout_shapes[layout].storage_count <= context->caps.max_storage_buffers;
}

static tulle_result make_layout(tulle_context *context, struct pipeline_cache *cache,
                                enum layout layout, tulle_error *error) {
    const struct layout_shape *shape = &layout_shapes[layout];
    VkDescriptorSetLayoutBinding bindings[10];
    uint32_t count = 0;
    for (uint32_t i = 0; i < shape->storage_count; i++)
        bindings[count++] =
            (VkDescriptorSetLayoutBinding){ shape->storage[i],
                                            shape->dynamic
                                                ? VK_DESCRIPTOR_TYPE_STORAGE_BUFFER_DYNAMIC
                                                : VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                            1, VK_SHADER_STAGE_COMPUTE_BIT, NULL };
    for (uint32_t i = 0; i < shape->texel_count; i++)
        bindings[count++] = (VkDescriptorSetLayoutBinding){ shape->texel[i],
                                                            VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER,
                                                            1, VK_SHADER_STAGE_COMPUTE_BIT, NULL };
    VkDescriptorSetLayoutCreateInfo set = { VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
                                            NULL, 0, count, bindings };
    VkResult result = context->vk.device.vkCreateDescriptorSetLayout(
        context->device, &set, context->allocator, &cache->sets[layout]);
    if (result) {  // what a failed call leaves in its output is undefined, here and everywhere
        cache->sets[layout] = VK_NULL_HANDLE;
        return context_fail_vk(context, error, result, "vkCreateDescriptorSetLayout");
    }
    VkPushConstantRange push = { VK_SHADER_STAGE_COMPUTE_BIT, 0, shape->push_bytes };
    VkPipelineLayoutCreateInfo info = { VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                        NULL,
                                        0,
                                        count ? 1 : 0,
                                        &cache->sets[layout],
                                        1,
                                        &push };
    result = context->vk.device.vkCreatePipelineLayout(context->device, &info, context->allocator,
                                                       &cache->layouts[layout]);
    if (!result) return TULLE_OK;
    cache->layouts[layout] = VK_NULL_HANDLE;
    return context_fail_vk(context, error, result, "vkCreatePipelineLayout");
}

tulle_result pipeline_cache_create(tulle_context *context, struct pipeline_cache **out,
                                   tulle_error *error) {
    struct pipeline_cache *cache = calloc(1, sizeof *cache);
    *out = NULL;
    if (!cache)
        return context_fail(context, error, TULLE_ERROR_OUT_OF_HOST_MEMORY,
                            "no host memory for the context");
    mutex_init(&cache->mutex);
    for (int i = 0; i < LAYOUT_COUNT; i++) {
        tulle_result result = offers(context, (enum layout)i)
                                  ? make_layout(context, cache, (enum layout)i, error)
                                  : TULLE_OK;
        if (result) {
            pipeline_cache_destroy(context, cache);
            return result;
        }
    }
    *out = cache;
    return TULLE_OK;
}

void pipeline_cache_destroy(tulle_context *context, struct pipeline_cache *cache) {
    if (!cache) return;
    for (struct pipeline *p = cache->first, *next; p; p = next) {
        next = p->next;
        context->vk.device.vkDestroyPipeline(context->device, p->handle, context->allocator);
        free(p);
    }
    for (int i = LAYOUT_COUNT - 1; i >= 0; i--) {
        context->vk.device.vkDestroyPipelineLayout(context->device, cache->layouts[i],
                                                   context->allocator);
        context->vk.device.vkDestroyDescriptorSetLayout(context->device, cache->sets[i],
                                                        context->allocator);
    }
    mutex_destroy(&cache->mutex);
    free(cache);
}

VkDescriptorSetLayout pipeline_set_layout(const tulle_context *context, enum layout layout) {
    return context->pipelines->sets[layout];
}
VkPipelineLayout pipeline_layout(const tulle_context *context, enum layout layout) {
    return context->pipelines->layouts[layout];
}

static tulle_result make(tulle_context *context, const struct pipeline_key *key,
                         VkPipelineCreateFlags flags, VkPipeline *out, tulle_error *error) {
    const struct module *module = module_find(key->module);
    VkSpecializationMapEntry entries[CONSTANTS_MOST];
    *out = VK_NULL_HANDLE;
    if (!module)
        return context_fail(context, error, TULLE_ERROR_UNSUPPORTED,
                            "kernel module %s was not built in", key->module);
    if (!context->pipelines->layouts[key->layout])
        return context_fail(context, error, TULLE_ERROR_UNSUPPORTED,
                            "module %s needs %u storage buffers; this device has %u", key->module,
                            layout_shapes[key->layout].storage_count,
                            context->caps.max_storage_buffers);
    for (uint32_t i = 0; i < CONSTANTS_MOST; i++)
        entries[i] = (VkSpecializationMapEntry){ i, i * 4, 4 };
    VkSpecializationInfo constants = { CONSTANTS_MOST, entries, sizeof key->constants,
                                       key->constants };
    VkShaderModuleCreateInfo shader = { VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO, NULL, 0,
                                        module->size, module->words };
    VkShaderModule handle;
    VkResult result = context->vk.device.vkCreateShaderModule(context->device, &shader,
                                                              context->allocator, &handle);
    if (result) return context_fail_vk(context, error, result, "vkCreateShaderModule");
    VkComputePipelineCreateInfo info = { VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
                                         NULL,
                                         flags,
                                         { VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                                           NULL, 0, VK_SHADER_STAGE_COMPUTE_BIT, handle, "main",
                                           &constants },
                                         context->pipelines->layouts[key->layout],
                                         VK_NULL_HANDLE,
                                         -1 };
    result = context->vk.device.vkCreateComputePipelines(
        context->device, context->vk_pipeline_cache, 1, &info, context->allocator, out);
    context->vk.device.vkDestroyShaderModule(context->device, handle, context->allocator);
    if (result) {
        *out = VK_NULL_HANDLE;
        return context_fail_vk(context, error, result, "vkCreateComputePipelines");
    }
    return TULLE_OK;
}

tulle_result pipeline_get(tulle_context *context, const struct pipeline_key *key, VkPipeline *out,
                          double *compile_ms, tulle_error *error) {
    struct pipeline_cache *cache = context->pipelines;
    tulle_result result = TULLE_OK;
    mutex_lock(&cache->mutex);
    struct pipeline *p = cache->first;
    while (p && memcmp(&p->key, key, sizeof *key)) p = p->next;
    if (!p) {
        double start = clock_ms();
        p = calloc(1, sizeof *p);
        result = p ? make(context, key, 0, &p->handle, error)
                   : context_fail(context, error, TULLE_ERROR_OUT_OF_HOST_MEMORY,
                                  "no host memory for a pipeline");
        if (result) {
            free(p);
            p = NULL;
        } else {
            p->key = *key;
            p->next = cache->first;
            cache->first = p;
        }
        *compile_ms += clock_ms() - start;
    }
    *out = p ? p->handle : VK_NULL_HANDLE;
    mutex_unlock(&cache->mutex);
    return result;
}

static double statistic_value(const VkPipelineExecutableStatisticKHR *s) {
    switch (s->format) {
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_BOOL32_KHR: return s->value.b32;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_INT64_KHR: return (double)s->value.i64;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_UINT64_KHR: return (double)s->value.u64;
    default: return s->value.f64;
    }
}

tulle_result pipeline_report(tulle_context *context, const struct pipeline_key *key,
                             const char *name, tulle_statistic_callback each, void *user,
                             tulle_error *error) {
    bool reports = context->caps.executable_properties;
    VkPipeline pipeline;
    double start = clock_ms();
    tulle_result result =
        make(context, key, reports ? VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR : 0, &pipeline,
             error);
    if (result) return result;
    each(user, name, "compiled, ms", clock_ms() - start);
    uint32_t executables = 0;
    VkPipelineInfoKHR info = { VK_STRUCTURE_TYPE_PIPELINE_INFO_KHR, NULL, pipeline };
    if (reports && context->vk.device.vkGetPipelineExecutablePropertiesKHR(context->device, &info,
                                                                           &executables, NULL))
        executables = 0;
    for (uint32_t e = 0; e < executables; e++) {
        VkPipelineExecutableInfoKHR executable = { VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR,
                                                   NULL, pipeline, e };
        uint32_t count = 0;
        if (context->vk.device.vkGetPipelineExecutableStatisticsKHR(context->device, &executable,
                                                                    &count, NULL) ||
            !count)
            continue;
        VkPipelineExecutableStatisticKHR *statistics = calloc(count, sizeof *statistics);
        if (!statistics) {
            result = context_fail(context, error, TULLE_ERROR_OUT_OF_HOST_MEMORY,
                                  "no host memory for statistics");
            break;
        }
        for (uint32_t i = 0; i < count; i++)
            statistics[i].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR;
        VkResult got = context->vk.device.vkGetPipelineExecutableStatisticsKHR(
            context->device, &executable, &count, statistics);
        for (uint32_t i = 0; i < count && got >= 0; i++)
            each(user, name, statistics[i].name, statistic_value(&statistics[i]));
        free(statistics);
    }
    context->vk.device.vkDestroyPipeline(context->device, pipeline, context->allocator);
    return result;
}
