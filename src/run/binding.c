// SPDX-License-Identifier: MIT
#include "run/binding.h"

#include <stdlib.h>

static tulle_result bind_tensor(struct tulle_binding *b, int t, const tulle_buffer *from,
                                tulle_error *error) {
    const tulle_plan *plan = b->plan;
    const tulle_context *context = plan->context;
    const struct caps *caps = &context->caps;
    bool workspace = t == BOUND_WORKSPACE;
    const char *name = workspace ? "workspace" : tensor_names[t];
    uint64_t span = workspace ? plan->info.workspace_bytes : plan->attention.span[t];
    uint64_t unit = workspace         ? caps_storage_unit(caps)
                    : t == TENSOR_LSE ? 4
                                      : 4 * attention_element(&plan->attention, t);
    uint64_t align = caps_storage_unit(caps);
    struct bound *to = &b->bound[t];
    if (!from->buffer)
        return context_fail(context, error, TULLE_ERROR_INVALID_ARGUMENT,
                            "buffers: %s's buffer is VK_NULL_HANDLE", name);
    if (from->offset % unit)
        return context_fail(context, error, TULLE_ERROR_INVALID_ARGUMENT,
                            "buffers: %s's offset is %llu; it must be a multiple of %llu bytes",
                            name, (unsigned long long)from->offset, (unsigned long long)unit);
    if (from->size && from->size < span)
        return context_fail(context, error, TULLE_ERROR_INVALID_ARGUMENT,
                            "buffers: %s's size is %llu bytes; the plan needs at least %llu", name,
                            (unsigned long long)from->size, (unsigned long long)span);
    to->buffer = from->buffer;
    to->base = from->offset / align * align;
    to->delta = from->offset - to->base;
    to->total = to->delta + span;
    to->range = to->total;
    if (to->range > caps->max_storage_range) {
        // the longest range from which the last window ends just where the tensor does
        to->range = caps->max_storage_range / align * align + to->total % align;
        while (to->range > caps->max_storage_range) to->range -= align;
    }
    if (variant_by_address(plan->variant))
        to->address = buffer_address(context, from->buffer) + from->offset;
    return TULLE_OK;
}

uint64_t texel_offset(const struct tulle_binding *b, int t) {
    // both are powers of two, and a piece has 16 bytes or 8: so what is skipped is whole pieces
    uint64_t align = caps_texel_unit(&b->plan->context->caps);
    return (b->bound[t].base + b->bound[t].delta) / align * align;
}

static tulle_result make_views(struct tulle_binding *b, tulle_error *error) {
    const tulle_plan *plan = b->plan;
    const tulle_context *context = plan->context;
    static const VkFormat formats[] = { VK_FORMAT_R32G32B32A32_SFLOAT,
                                        VK_FORMAT_R16G16B16A16_SFLOAT, VK_FORMAT_R32G32_UINT };
    const struct bound spare = { .buffer = plan->spare.buffer, .total = plan->spare.size };
    for (int i = 0; i < BOUND_VIEWS; i++) {
        int t = i == VIEW_WORKSPACE ? (int)BOUND_WORKSPACE : i;
        const struct bound *bound = &b->bound[t];
        if (!bound->buffer) bound = &spare;  // nothing of a workspace is read
        // from the aligned place before the tensor; record.c adds what lies between
        // 0 of the spare
        uint64_t offset = texel_offset(b, t), skipped = bound->base + bound->delta - offset;
        VkBufferViewCreateInfo view = {
            VK_STRUCTURE_TYPE_BUFFER_VIEW_CREATE_INFO,
            NULL,
            0,
            bound->buffer,
            formats[t == BOUND_WORKSPACE ? TULLE_F32 : plan->attention.dtype],
            offset,
            skipped + bound->total - bound->delta
        };
        VkResult result = context->vk.device.vkCreateBufferView(context->device, &view,
                                                                context->allocator, &b->texels[i]);
        if (result) {
            b->texels[i] = VK_NULL_HANDLE;
            return context_fail_vk(context, error, result, "vkCreateBufferView");
        }
    }
    return TULLE_OK;
}

int storage_tensor(enum layout layout, uint32_t i) {
    static const int tile[] = {
        TENSOR_Q, TENSOR_K, TENSOR_V, BOUND_WORKSPACE, TENSOR_O, TENSOR_LSE
    };
    static const int outputs[] = { BOUND_WORKSPACE, TENSOR_O, TENSOR_LSE };
    if (layout == LAYOUT_COMBINE_TEXEL) return outputs[i + 1];
    return layout == LAYOUT_BASE || layout == LAYOUT_BASE_DIRECT ? tile[i] : outputs[i];
}

static void write_set(struct tulle_binding *b, VkDescriptorSet set, enum layout layout,
                      uint32_t segment) {
    const tulle_plan *plan = b->plan;
    const struct layout_shape *shape = &layout_shapes[layout];
    VkDescriptorBufferInfo buffers[6];
    VkBufferView views[5];
    VkWriteDescriptorSet writes[10];
    uint32_t count = 0;
    for (uint32_t i = 0; i < shape->storage_count; i++) {
        const struct bound *bound = &b->bound[storage_tensor(layout, i)];
        buffers[i] = (VkDescriptorBufferInfo){ bound->buffer, bound->base, bound->range };
        // what the plan never touches still needs a buffer: O stands in for LSE, and something that
        // nobody writes for the workspace, which combine could read
        if (!bound->buffer && storage_tensor(layout, i) == BOUND_WORKSPACE)
            buffers[i] = (VkDescriptorBufferInfo){ plan->spare.buffer, 0, plan->spare.size };
        else if (!bound->buffer)
            buffers[i] =
                (VkDescriptorBufferInfo){ b->bound[TENSOR_O].buffer, b->bound[TENSOR_O].base,
                                          b->bound[TENSOR_O].range };
        writes[count++] = (VkWriteDescriptorSet){ VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                                                  NULL,
                                                  set,
                                                  shape->storage[i],
                                                  0,
                                                  1,
                                                  VK_DESCRIPTOR_TYPE_STORAGE_BUFFER_DYNAMIC,
                                                  NULL,
                                                  &buffers[i],
                                                  NULL };
    }
    for (uint32_t i = 0; i < shape->texel_count; i++) {
        views[i] = i == 0 ? plan->views[segment]
                          : b->texels[layout == LAYOUT_COMBINE_TEXEL ? VIEW_WORKSPACE : (int)i - 1];
        writes[count++] = (VkWriteDescriptorSet){
            VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,  NULL, set,  shape->texel[i], 0, 1,
            VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER, NULL, NULL, &views[i]
        };
    }
    plan->context->vk.device.vkUpdateDescriptorSets(plan->context->device, count, writes, 0, NULL);
}

static tulle_result make_sets(struct tulle_binding *b, tulle_error *error) {
    const tulle_plan *plan = b->plan;
    const tulle_context *context = plan->context;
    const enum layout layouts[2] = { plan->layout, plan->combine_layout };
    const bool wanted[2] = { plan->layout != LAYOUT_ADDRESS,
                             plan->combine && plan->combine_layout != LAYOUT_COMBINE_ADDRESS };
    uint32_t storage = 0, texels = 0, sets = 0;
    for (int i = 0; i < 2; i++) {
        if (!wanted[i]) continue;
        sets += plan->segment_count;
        storage += plan->segment_count * layout_shapes[layouts[i]].storage_count;
        texels += plan->segment_count * layout_shapes[layouts[i]].texel_count;
    }
    b->sets = calloc(2 * (size_t)plan->segment_count, sizeof *b->sets);
    if (!b->sets)
        return context_fail(context, error, TULLE_ERROR_OUT_OF_HOST_MEMORY,
                            "no host memory for the binding");
    if (!sets) return TULLE_OK;
    VkDescriptorPoolSize sizes[] = { { VK_DESCRIPTOR_TYPE_STORAGE_BUFFER_DYNAMIC, storage },
                                     { VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER, texels } };
    VkDescriptorPoolCreateInfo pool = {
        VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO, NULL, 0, sets, 2, sizes
    };
    VkResult result = context->vk.device.vkCreateDescriptorPool(context->device, &pool,
                                                                context->allocator, &b->pool);
    if (result) {
        b->pool = VK_NULL_HANDLE;
        return context_fail_vk(context, error, result, "vkCreateDescriptorPool");
    }
    for (int i = 0; i < 2; i++) {
        VkDescriptorSetLayout layout =
            wanted[i] ? pipeline_set_layout(context, layouts[i]) : VK_NULL_HANDLE;
        for (uint32_t s = 0; s < plan->segment_count && wanted[i]; s++) {
            VkDescriptorSet *set = &b->sets[(uint32_t)i * plan->segment_count + s];
            VkDescriptorSetAllocateInfo info = { VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
                                                 NULL, b->pool, 1, &layout };
            result = context->vk.device.vkAllocateDescriptorSets(context->device, &info, set);
            if (result) return context_fail_vk(context, error, result, "vkAllocateDescriptorSets");
            write_set(b, *set, layouts[i], s);
        }
    }
    return TULLE_OK;
}

tulle_result tulle_binding_create(tulle_plan *plan, const tulle_buffers *buffers,
                                  tulle_binding **out, tulle_error *error) {
    tulle_context *context = plan ? plan->context : NULL;
    if (!out) return context_fail(context, error, TULLE_ERROR_INVALID_ARGUMENT, "out is NULL");
    *out = NULL;
    if (!plan || !buffers)
        return context_fail(context, error, TULLE_ERROR_INVALID_ARGUMENT, "%s is NULL",
                            plan ? "buffers" : "plan");
    struct tulle_binding *b = calloc(1, sizeof *b);
    if (!b)
        return context_fail(context, error, TULLE_ERROR_OUT_OF_HOST_MEMORY,
                            "no host memory for the binding");
    b->plan = plan;
    const tulle_buffer *given[] = { &buffers->q, &buffers->k, &buffers->v, &buffers->o,
                                    &buffers->lse };
    tulle_result result = TULLE_OK;
    for (int t = 0; t < TENSOR_COUNT && !result; t++)
        if (t != TENSOR_LSE || plan->attention.lse) result = bind_tensor(b, t, given[t], error);
    if (!result && plan->info.workspace_bytes) {
        tulle_buffer workspace = buffers->workspace;
        if (!workspace.buffer) {
            VkBufferUsageFlags usage =
                VK_BUFFER_USAGE_STORAGE_BUFFER_BIT |
                (variant_by_address(plan->variant) ? VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT
                                                   : 0) |
                (plan->layout == LAYOUT_TEXEL ? VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT : 0);
            result = device_buffer_create(context, plan->info.workspace_bytes, usage, MEMORY_DEVICE,
                                          &b->workspace, error);
            workspace = (tulle_buffer){ b->workspace.buffer, 0, 0 };
        }
        if (!result) result = bind_tensor(b, BOUND_WORKSPACE, &workspace, error);
    }
    if (!result && plan->layout == LAYOUT_TEXEL) result = make_views(b, error);
    if (!result) result = make_sets(b, error);
    if (result) {
        tulle_binding_destroy(b);
        return result;
    }
    *out = b;
    return TULLE_OK;
}

void tulle_binding_destroy(tulle_binding *b) {
    if (!b) return;
    tulle_context *context = b->plan->context;
    context->vk.device.vkDestroyDescriptorPool(context->device, b->pool, context->allocator);
    for (int i = BOUND_VIEWS - 1; i >= 0; i--)
        context->vk.device.vkDestroyBufferView(context->device, b->texels[i], context->allocator);
    device_buffer_destroy(context, &b->workspace);
    free(b->sets);
    free(b);
}
