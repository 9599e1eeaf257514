// SPDX-License-Identifier: MIT
#include "run/binding.h"

#include <stdlib.h>

#include "problem/footprint.h"

/// With an article where messages begin or go on with it.
static const char *bound_name(int t, bool article) {
    const char *names[] = { "workspace", "page table", "the workspace", "the page table" };
    return t < TENSOR_COUNT ? tensor_names[t] : names[t - BOUND_WORKSPACE + (article ? 2 : 0)];
}

uint64_t bound_bytes(const tulle_plan *plan, int t) {
    if (t == BOUND_WORKSPACE) return plan->info.workspace_bytes;
    if (t == BOUND_PAGE_TABLE) return attention_table_bytes(&plan->attention);
    return t == TENSOR_LSE && !plan->attention.lse ? 0 : plan->attention.span[t];
}

/// What its offset in a buffer is a multiple of.
static uint64_t offset_unit(const tulle_plan *plan, int t) {
    const struct caps *caps = &plan->context->caps;
    if (t == BOUND_WORKSPACE) return caps_storage_unit(caps);
    if (t == BOUND_PAGE_TABLE) return caps_texel_unit(caps);
    return t == TENSOR_LSE ? 4 : 4 * attention_element(&plan->attention, t);
}

static tulle_result bind_tensor(struct tulle_binding *b, int t, const tulle_buffer *from,
                                tulle_error *error) {
    const tulle_plan *plan = b->plan;
    const tulle_context *context = plan->context;
    const struct caps *caps = &context->caps;
    const char *name = bound_name(t, false);
    VkMemoryRequirements needs;
    uint64_t span = bound_bytes(plan, t), unit = offset_unit(plan, t),
             align = caps_storage_unit(caps);
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
    // the buffer's own size, rounded up as the driver likes: all that Vulkan tells
    context->vk.device.vkGetBufferMemoryRequirements(context->device, from->buffer, &needs);
    if (from->offset > needs.size || span > needs.size - from->offset)
        return context_fail(
            context, error, TULLE_ERROR_INVALID_ARGUMENT,
            "buffers: %s's buffer has %llu bytes; from offset %llu on the plan needs %llu", name,
            (unsigned long long)needs.size, (unsigned long long)from->offset,
            (unsigned long long)span);
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
    if (variant_by_address(plan->variant, caps))
        to->address = buffer_address(context, from->buffer) + from->offset;
    return TULLE_OK;
}

static struct footprint bound_footprint(const struct tulle_binding *b, int t) {
    const struct bound *bound = &b->bound[t];
    const struct attention *a = &b->plan->attention;
    int64_t first = (int64_t)(bound->base + bound->delta);
    if (t >= TENSOR_COUNT)
        return (
            struct footprint){ first, { 0 }, { 1, 1, 1 }, (int64_t)(bound->total - bound->delta) };
    return footprint_of(a, t, &a->strides[t], first);
}

/// What is written shares no byte with another tensor. Not even O with Q, row for row: some kernels read Q as texels, and
/// within a dispatch nothing orders that with what is written through another descriptor.
static tulle_result check_buffers_apart(const struct tulle_binding *b, tulle_error *error) {
    for (int written = TENSOR_O; written <= BOUND_WORKSPACE; written++)
        for (int t = 0; t < BOUND_COUNT; t++) {
            // itself, or what is written too and asks for this one when its turn comes
            const bool seen = t >= written && t <= BOUND_WORKSPACE;
            if (seen || !b->bound[t].buffer || b->bound[t].buffer != b->bound[written].buffer)
                continue;
            struct footprint here = bound_footprint(b, written), there = bound_footprint(b, t);
            if (footprints_meet(&here, &there))
                return context_fail(
                    b->plan->context, error, TULLE_ERROR_INVALID_ARGUMENT,
                    "buffers: %s at offset %lld shares bytes with %s at offset %lld; what is written (O, LSE, the workspace) must share none with another tensor",
                    bound_name(written, true), (long long)here.first, bound_name(t, true),
                    (long long)there.first);
        }
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
    for (int t = 0; t < BOUND_COUNT; t++) {
        if (!variant_reaches(plan->variant, &context->caps, t, REACH_TEXELS)) continue;
        const struct bound *bound = &b->bound[t];
        if (t == BOUND_PAGE_TABLE && !bound->buffer) continue;  // write_set
        if (!bound->buffer) bound = &spare;                     // nothing of a workspace is read
        // from the aligned place before the tensor; record.c adds what lies between
        // 0 of the spare
        uint64_t offset = texel_offset(b, t), skipped = bound->base + bound->delta - offset;
        VkBufferViewCreateInfo view = {
            VK_STRUCTURE_TYPE_BUFFER_VIEW_CREATE_INFO,
            NULL,
            0,
            bound->buffer,
            t == BOUND_PAGE_TABLE
                ? VK_FORMAT_R32_UINT
                : formats[t == BOUND_WORKSPACE ? TULLE_F32 : plan->attention.dtype],
            offset,
            skipped + bound->total - bound->delta
        };
        VkResult result = context->vk.device.vkCreateBufferView(context->device, &view,
                                                                context->allocator, &b->texels[t]);
        if (result) {
            b->texels[t] = VK_NULL_HANDLE;
            return context_fail_vk(context, error, result, "vkCreateBufferView");
        }
    }
    return TULLE_OK;
}

/// What a storage descriptor shows. What the plan never touches still needs a buffer: O stands in
/// for LSE, and something that nobody writes for the workspace, which combine could read.
static VkDescriptorBufferInfo storage_info(const struct tulle_binding *b, int of) {
    const struct bound *bound = &b->bound[of];
    if (!bound->buffer && of == BOUND_WORKSPACE)
        return (VkDescriptorBufferInfo){ b->plan->spare.buffer, 0, b->plan->spare.size };
    if (!bound->buffer) bound = &b->bound[TENSOR_O];
    return (VkDescriptorBufferInfo){ bound->buffer, bound->base, bound->range };
}

static void write_set(struct tulle_binding *b, VkDescriptorSet set, const struct layout *layout,
                      uint32_t segment) {
    const tulle_plan *plan = b->plan;
    VkDescriptorBufferInfo buffers[DESCRIPTORS_MOST];
    VkBufferView views[DESCRIPTORS_MOST];
    VkWriteDescriptorSet writes[DESCRIPTORS_MOST];
    for (uint32_t i = 0; i < layout->count; i++) {
        const struct descriptor *d = &layout->descriptors[i];
        writes[i] = (VkWriteDescriptorSet){ .sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                                            .dstSet = set,
                                            .dstBinding = d->binding,
                                            .descriptorCount = 1 };
        if (d->reach == REACH_STORAGE) {
            buffers[i] = storage_info(b, d->of);
            writes[i].descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER_DYNAMIC;
            writes[i].pBufferInfo = &buffers[i];
        } else {
            // plan memory stands in for a page table that no kernel reads
            const bool own = d->of != BOUND_PLAN && b->texels[d->of];
            views[i] = own ? b->texels[d->of] : plan->views[segment];
            writes[i].descriptorType = VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER;
            writes[i].pTexelBufferView = &views[i];
        }
    }
    plan->context->vk.device.vkUpdateDescriptorSets(plan->context->device, layout->count, writes, 0,
                                                    NULL);
}

static tulle_result make_pool(struct tulle_binding *b, const struct pipeline *const *stages,
                              tulle_error *error) {
    const tulle_context *context = b->plan->context;
    const uint32_t segments = b->plan->segment_count;
    VkDescriptorPoolSize sizes[] = { { VK_DESCRIPTOR_TYPE_STORAGE_BUFFER_DYNAMIC, 0 },
                                     { VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER, 0 } };
    VkDescriptorPoolCreateInfo pool = {
        VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO, NULL, 0, 0, 2, sizes
    };
    for (int i = 0; i < 2; i++) {
        if (!stages[i]) continue;
        pool.maxSets += segments;
        sizes[0].descriptorCount += segments * layout_count(stages[i]->key.layout, REACH_STORAGE);
        sizes[1].descriptorCount += segments * layout_count(stages[i]->key.layout, REACH_TEXELS);
    }
    if (!pool.maxSets) return TULLE_OK;
    VkResult result = context->vk.device.vkCreateDescriptorPool(context->device, &pool,
                                                                context->allocator, &b->pool);
    if (!result) return TULLE_OK;
    b->pool = VK_NULL_HANDLE;
    return context_fail_vk(context, error, result, "vkCreateDescriptorPool");
}

static tulle_result make_sets(struct tulle_binding *b, tulle_error *error) {
    const tulle_plan *plan = b->plan;
    const tulle_context *context = plan->context;
    const struct pipeline *stages[2] = { NULL };
    for (int use = 0; use < PLAN_USES; use++)  // by address there is nothing to bind
        if (plan->pipelines[use] && plan->pipelines[use]->key.layout->count)
            stages[use_combines(use)] = plan->pipelines[use];
    b->sets = calloc(2 * (size_t)plan->segment_count, sizeof *b->sets);
    if (!b->sets)
        return context_fail(context, error, TULLE_ERROR_OUT_OF_HOST_MEMORY,
                            "no host memory for the binding");
    tulle_result made = make_pool(b, stages, error);
    if (made) return made;
    for (uint32_t i = 0; i < 2; i++)
        for (uint32_t s = 0; s < plan->segment_count && stages[i]; s++) {
            VkDescriptorSet *set = &b->sets[i * plan->segment_count + s];
            VkDescriptorSetAllocateInfo info = { VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
                                                 NULL, b->pool, 1, &stages[i]->layout->set };
            VkResult result =
                context->vk.device.vkAllocateDescriptorSets(context->device, &info, set);
            if (result) return context_fail_vk(context, error, result, "vkAllocateDescriptorSets");
            write_set(b, *set, stages[i]->key.layout, s);
        }
    return TULLE_OK;
}

tulle_result binding_make(tulle_plan *plan, const tulle_buffers *buffers, tulle_binding **out,
                          tulle_error *error) {
    tulle_context *context = plan->context;
    *out = NULL;
    struct tulle_binding *b = calloc(1, sizeof *b);
    if (!b)
        return context_fail(context, error, TULLE_ERROR_OUT_OF_HOST_MEMORY,
                            "no host memory for the binding");
    b->plan = plan_retain(plan);
    const tulle_buffer *given[] = { &buffers->q, &buffers->k, &buffers->v, &buffers->o,
                                    &buffers->lse };
    tulle_result result = TULLE_OK;
    for (int t = 0; t < TENSOR_COUNT && !result; t++)
        if (t != TENSOR_LSE || plan->attention.lse) result = bind_tensor(b, t, given[t], error);
    if (!result && plan->info.workspace_bytes) {
        tulle_buffer workspace = buffers->workspace;
        if (!workspace.buffer) {
            result = device_buffer_create(context, plan->info.workspace_bytes,
                                          variant_usage(plan->variant, &context->caps),
                                          MEMORY_DEVICE, &b->workspace, error);
            workspace = (tulle_buffer){ b->workspace.buffer, 0, 0 };
        }
        if (!result) result = bind_tensor(b, BOUND_WORKSPACE, &workspace, error);
    }
    if (!result && plan->attention.page_size)
        result = bind_tensor(b, BOUND_PAGE_TABLE, &buffers->page_table, error);
    if (!result) result = check_buffers_apart(b, error);
    if (!result) result = make_views(b, error);
    if (!result) result = make_sets(b, error);
    if (result) {
        tulle_binding_destroy(b);
        return result;
    }
    *out = b;
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
    if (plan->attention.host_arrays_only)
        return context_fail(
            context, error, TULLE_ERROR_INVALID_ARGUMENT,
            "plan: its buffer_usage was 0, which is for host arrays alone; for buffers it must be what all of them were created with (tulle_buffer_usage: what serves the fastest kernels)");
    const struct attention *a = &plan->attention;
    if (attention_padded(a)) {
        const bool v = a->given_dim[TENSOR_K] == a->head_dim;
        return context_fail(
            context, error, TULLE_ERROR_INVALID_ARGUMENT,
            "the plan's %s is %u; kernels read and write rows of buffers 4 elements at a time, so it must be a multiple of 4 (tulle_attention pads host arrays)",
            v ? "v_head_dim" : "head_dim", a->given_dim[v ? TENSOR_V : TENSOR_K]);
    }
    return binding_make(plan, buffers, out, error);
}

void tulle_binding_destroy(tulle_binding *b) {
    if (!b) return;
    tulle_context *context = b->plan->context;
    context->vk.device.vkDestroyDescriptorPool(context->device, b->pool, context->allocator);
    for (int i = BOUND_COUNT - 1; i >= 0; i--)
        context->vk.device.vkDestroyBufferView(context->device, b->texels[i], context->allocator);
    device_buffer_destroy(context, &b->workspace);
    free(b->sets);
    plan_release(b->plan);
    free(b);
}
