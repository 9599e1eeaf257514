// SPDX-License-Identifier: MIT
//
// On the device: what tulle_cmd_merge records.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run/context.h"
#include "run/merge.h"
#include "run/shared.h"

#define MERGE_WORKGROUP 128u

/// into_o, into_lse, from_o, from_lse: bound whole, none of them a plan's.
enum { MERGE_BUFFERS = 4 };
static const struct layout merge_layout = {
    .descriptors = { { 0, REACH_STORAGE, TENSOR_O },
                     { 1, REACH_STORAGE, TENSOR_LSE },
                     { 2, REACH_STORAGE, TENSOR_O },
                     { 3, REACH_STORAGE, TENSOR_LSE } },
    .count = MERGE_BUFFERS,
    .push_bytes = sizeof(struct pm_merge_push),
};

void merge_pipeline_key(tulle_dtype dtype, struct pipeline_key *key) {
    static const char *const modules[] = { "merge_f32", "merge_f16", "merge_bf16" };
    memset(key, 0, sizeof *key);
    snprintf(key->module, sizeof key->module, "%s", modules[dtype]);
    key->layout = &merge_layout;
    key->constants[PM_CONSTANT_WORKGROUP] = MERGE_WORKGROUP;
}

struct tulle_merger {
    tulle_context *context;  ///< held
    const struct pipeline *pipeline;
    VkDescriptorPool pool;
    VkDescriptorSet set;
    uint32_t rows, v_pieces, groups_x, groups_y;
    /// of each tensor from its descriptor's start, in its units (pieces, floats)
    uint32_t base[MERGE_BUFFERS];
};

static const char *const names[MERGE_BUFFERS] = { "into_o", "into_lse", "from_o", "from_lse" };

/// Checks buffer number i, and finds what its descriptor is: from the aligned place before the
/// tensor to its end.
static tulle_result place_buffer(tulle_merger *merger, int i, uint32_t v_head_dim,
                                 tulle_dtype dtype, const tulle_buffer *buffer,
                                 VkDescriptorBufferInfo *out, tulle_error *error) {
    const tulle_context *context = merger->context;
    const bool lse = merge_layout.descriptors[i].of == TENSOR_LSE;
    const uint64_t rows = merger->rows, unit = lse ? 4 : 4 * tulle_dtype_size(dtype),
                   bytes = lse ? rows * 4 : rows * v_head_dim * tulle_dtype_size(dtype);
    if (!buffer || !buffer->buffer)
        return context_fail(context, error, TULLE_ERROR_INVALID_ARGUMENT, "%s has no buffer",
                            names[i]);
    if (buffer->offset % unit)
        return context_fail(context, error, TULLE_ERROR_INVALID_ARGUMENT,
                            "%s's offset is %llu; it must be a multiple of %llu bytes", names[i],
                            (unsigned long long)buffer->offset, (unsigned long long)unit);
    uint64_t skipped = buffer->offset % caps_storage_unit(&context->caps);
    if (skipped + bytes > context->caps.max_storage_range)
        return context_fail(
            context, error, TULLE_ERROR_UNSUPPORTED,
            "%s takes %llu bytes; this device binds at most %llu (merge fewer rows at a time)",
            names[i], (unsigned long long)bytes,
            (unsigned long long)context->caps.max_storage_range);
    if (buffer->size && buffer->size < bytes)
        return context_fail(context, error, TULLE_ERROR_INVALID_ARGUMENT,
                            "%s's size is %llu bytes; it must be at least %llu", names[i],
                            (unsigned long long)buffer->size, (unsigned long long)bytes);
    VkMemoryRequirements needs;  // the buffer's own size, rounded up: all that Vulkan tells
    context->vk.device.vkGetBufferMemoryRequirements(context->device, buffer->buffer, &needs);
    if (buffer->offset > needs.size || bytes > needs.size - buffer->offset)
        return context_fail(context, error, TULLE_ERROR_INVALID_ARGUMENT,
                            "%s's buffer has %llu bytes; from offset %llu on the merger needs %llu",
                            names[i], (unsigned long long)needs.size,
                            (unsigned long long)buffer->offset, (unsigned long long)bytes);
    merger->base[i] = (uint32_t)(skipped / unit);
    *out = (VkDescriptorBufferInfo){ buffer->buffer, buffer->offset - skipped, skipped + bytes };
    return TULLE_OK;
}

/// What is written shares no byte with another tensor, as far as one VkBuffer shows it.
static tulle_result check_apart(const tulle_merger *merger, const tulle_buffer *const *buffers,
                                const VkDescriptorBufferInfo *infos, tulle_error *error) {
    for (int written = 0; written < 2; written++)
        for (int i = written + 1; i < MERGE_BUFFERS; i++) {
            const tulle_buffer *a = buffers[written], *b = buffers[i];
            if (a->buffer == b->buffer && a->offset < infos[i].offset + infos[i].range &&
                b->offset < infos[written].offset + infos[written].range)
                return context_fail(
                    merger->context, error, TULLE_ERROR_INVALID_ARGUMENT,
                    "%s at offset %llu shares bytes with %s at offset %llu; what is written (into_o, into_lse) must share none with another tensor",
                    names[written], (unsigned long long)a->offset, names[i],
                    (unsigned long long)b->offset);
        }
    return TULLE_OK;
}

static tulle_result make_set(tulle_merger *merger, const VkDescriptorBufferInfo *infos,
                             tulle_error *error) {
    const tulle_context *context = merger->context;
    VkDescriptorPoolSize size = { VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, MERGE_BUFFERS };
    VkDescriptorPoolCreateInfo pool = {
        VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO, NULL, 0, 1, 1, &size
    };
    VkResult made = context->vk.device.vkCreateDescriptorPool(context->device, &pool,
                                                              context->allocator, &merger->pool);
    if (made) {
        merger->pool = VK_NULL_HANDLE;
        return context_fail_vk(context, error, made, "vkCreateDescriptorPool");
    }
    VkDescriptorSetAllocateInfo info = { VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO, NULL,
                                         merger->pool, 1, &merger->pipeline->layout->set };
    made = context->vk.device.vkAllocateDescriptorSets(context->device, &info, &merger->set);
    if (made) return context_fail_vk(context, error, made, "vkAllocateDescriptorSets");
    // consecutive bindings of one type: one write runs over all of them
    VkWriteDescriptorSet write = {
        VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET, NULL, merger->set, 0,   0, MERGE_BUFFERS,
        VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,      NULL, infos,       NULL
    };
    context->vk.device.vkUpdateDescriptorSets(context->device, 1, &write, 0, NULL);
    return TULLE_OK;
}

tulle_result tulle_merger_create(tulle_context *context, uint32_t rows, uint32_t v_head_dim,
                                 tulle_dtype dtype, const tulle_buffer *into_o,
                                 const tulle_buffer *into_lse, const tulle_buffer *from_o,
                                 const tulle_buffer *from_lse, tulle_merger **out,
                                 tulle_error *error) {
    const tulle_buffer *buffers[] = { into_o, into_lse, from_o, from_lse };
    if (!out) return context_fail(context, error, TULLE_ERROR_INVALID_ARGUMENT, "out is NULL");
    *out = NULL;
    if (!context) return tulle_fail(error, TULLE_ERROR_INVALID_ARGUMENT, "context is NULL");
    tulle_error local;
    tulle_result result = merge_check(rows, v_head_dim, dtype, &local);
    if (result) return context_pass(context, error, &local);
    if (v_head_dim % 4)
        return context_fail(
            context, error, TULLE_ERROR_INVALID_ARGUMENT,
            "v_head_dim is %u; on the device rows are read 4 elements at a time, so it must be a multiple of 4 (tulle_merge takes any)",
            v_head_dim);
    tulle_merger *merger = calloc(1, sizeof *merger);
    if (!merger)
        return context_fail(context, error, TULLE_ERROR_OUT_OF_HOST_MEMORY,
                            "no host memory for the merger");
    merger->context = context_retain(context);
    merger->rows = rows;
    merger->v_pieces = v_head_dim / 4;
    uint32_t each = MERGE_WORKGROUP / merger->v_pieces, groups = rows / each + (rows % each != 0),
             most = 65535;
    merger->groups_x = groups < most ? groups : most;
    merger->groups_y = groups / merger->groups_x + (groups % merger->groups_x != 0);
    VkDescriptorBufferInfo infos[MERGE_BUFFERS];
    for (int i = 0; i < MERGE_BUFFERS && !result; i++)
        result = place_buffer(merger, i, v_head_dim, dtype, buffers[i], &infos[i], error);
    if (!result) result = check_apart(merger, buffers, infos, error);
    if (!result) {
        struct pipeline_key key;
        merge_pipeline_key(dtype, &key);
        result = pipeline_get(context->shared->pipelines, &key, &merger->pipeline, error);
    }
    if (!result) result = make_set(merger, infos, error);
    if (result) {
        tulle_merger_destroy(merger);
        return result;
    }
    *out = merger;
    return TULLE_OK;
}

void tulle_merger_destroy(tulle_merger *merger) {
    if (!merger) return;
    merger->context->vk.device.vkDestroyDescriptorPool(merger->context->device, merger->pool,
                                                       merger->context->allocator);
    context_release(merger->context);
    free(merger);
}

tulle_result tulle_cmd_merge(VkCommandBuffer cmd, const tulle_merger *merger, tulle_error *error) {
    if (!cmd || !merger)
        return context_fail(merger ? merger->context : NULL, error, TULLE_ERROR_INVALID_ARGUMENT,
                            "%s is NULL", cmd ? "merger" : "cmd");
    const struct VolkDeviceTable *vk = &merger->context->vk.device;
    VkPipelineLayout layout = merger->pipeline->layout->handle;
    const struct pm_merge_push push = { merger->rows,    merger->v_pieces, merger->base[0],
                                        merger->base[1], merger->base[2],  merger->base[3] };
    vk->vkCmdBindPipeline(cmd, VK_PIPELINE_BIND_POINT_COMPUTE, merger->pipeline->handle);
    vk->vkCmdBindDescriptorSets(cmd, VK_PIPELINE_BIND_POINT_COMPUTE, layout, 0, 1, &merger->set, 0,
                                NULL);
    vk->vkCmdPushConstants(cmd, layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof push, &push);
    vk->vkCmdDispatch(cmd, merger->groups_x, merger->groups_y, 1);
    return TULLE_OK;
}
