// SPDX-License-Identifier: MIT
//
// Dispatches and the barriers between them, into the caller's command buffer. Nothing is allocated
// here.
#include <string.h>

#include "run/binding.h"

/// Where a dispatch's descriptor of a tensor begins, from bound->base: as low as its first byte
/// asks, as high as the end allows.
static uint64_t window_offset(const tulle_binding *b, int t, const struct dispatch *dispatch) {
    const struct bound *bound = &b->bound[t];
    if (bound->range >= bound->total) return 0;
    uint64_t align = caps_storage_unit(&b->plan->context->caps);
    uint64_t low = (bound->delta + (t < TENSOR_COUNT ? dispatch->window[t] : 0)) / align * align,
             last = bound->total - bound->range;
    return low < last ? low : last;
}

/// Address of a tensor's first element from its descriptor's start, in units of `unit` bytes,
/// modulo 2³².
static uint32_t base(const tulle_binding *b, int t, uint64_t window, uint64_t unit) {
    return (uint32_t)(((int64_t)b->bound[t].delta - (int64_t)window) / (int64_t)unit);
}

static uint64_t piece_bytes(const tulle_binding *b, int t) {
    return t == TENSOR_LSE ? 4 : 4 * attention_element(&b->plan->attention, t);
}

static void bind_sets(VkCommandBuffer cmd, const tulle_binding *b, enum layout layout, uint32_t set,
                      const uint64_t *window) {
    uint32_t offsets[6];
    if (!layout_shapes[layout].storage_count) return;  // all by address
    for (uint32_t i = 0; i < layout_shapes[layout].storage_count; i++) {
        int t = storage_tensor(layout, i);
        offsets[i] = b->bound[t].buffer ? (uint32_t)window[t] : 0;
    }
    b->plan->context->vk.device.vkCmdBindDescriptorSets(
        cmd, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline_layout(b->plan->context, layout), 0, 1,
        &b->sets[set], layout_shapes[layout].storage_count, offsets);
}

static void push_addresses(uint32_t *push, const VkDeviceAddress *addresses, int count) {
    for (int i = 0; i < count; i++)
        push[2 * i] = (uint32_t)addresses[i], push[2 * i + 1] = (uint32_t)(addresses[i] >> 32);
}

/// Of what a texel view begins before the tensor, in texels.
static uint32_t texel_base(const tulle_binding *b, int t, uint64_t bytes) {
    return (uint32_t)((b->bound[t].base + b->bound[t].delta - texel_offset(b, t)) / bytes);
}

static void record(VkCommandBuffer cmd, const tulle_binding *b, const struct dispatch *d) {
    const tulle_plan *plan = b->plan;
    const struct VolkDeviceTable *vk = &plan->context->vk.device;
    bool combine = d->kind == DISPATCH_COMBINE, by_address = plan->layout == LAYOUT_ADDRESS,
         texel = plan->layout == LAYOUT_TEXEL;
    enum layout layout = combine ? plan->combine_layout : plan->layout;
    uint64_t window[BOUND_COUNT];
    uint32_t push[28] = { 0 }, segment = plan->segments[d->segment].first_texel;
    const VkDeviceAddress addresses[] = {
        b->bound[TENSOR_Q].address, b->bound[TENSOR_K].address,   b->bound[TENSOR_V].address,
        b->bound[TENSOR_O].address, b->bound[TENSOR_LSE].address, b->bound[BOUND_WORKSPACE].address,
        plan->memory.address
    };
    for (int t = 0; t < BOUND_COUNT; t++) window[t] = window_offset(b, t, d);
    if (combine) {
        const uint32_t words[] = { d->items,       texel ? texel_base(b, BOUND_WORKSPACE, 16) : 0,
                                   d->parts,       d->part_count,
                                   d->bh_list,     d->bh_first,
                                   d->ws_row_base, d->ws_rows,
                                   d->range_first, d->range_rows };
        memcpy(push, words, sizeof words);
        for (int t = TENSOR_O; t < TENSOR_COUNT && !by_address; t++)
            push[10 + t - TENSOR_O] = base(b, t, window[t], piece_bytes(b, t));
        push[12] = segment;
        if (by_address) push_addresses(push + 14, addresses + 3, 4);
    } else {
        const uint32_t words[] = { d->items,   d->step,     (uint32_t)d->q_offset,
                                   d->bh_list, d->bh_first, d->ws_row_base,
                                   d->ws_rows };
        memcpy(push, words, sizeof words);
        for (int t = TENSOR_Q; t < TENSOR_COUNT && !by_address; t++)
            push[7 + t] = texel && t <= TENSOR_V ? texel_base(b, t, piece_bytes(b, t))
                                                 : base(b, t, window[t], piece_bytes(b, t));
        push[13] = by_address ? segment : texel ? texel_base(b, BOUND_WORKSPACE, 16) : 0;
        if (by_address) push_addresses(push + 14, addresses, 7);
    }
    vk->vkCmdBindPipeline(cmd, VK_PIPELINE_BIND_POINT_COMPUTE,
                          combine                    ? plan->combine
                          : d->does & PM_FLAG_RESUME ? plan->resume
                                                     : plan->pipeline);
    bind_sets(cmd, b, layout, (combine ? plan->segment_count : 0) + d->segment, window);
    vk->vkCmdPushConstants(cmd, pipeline_layout(plan->context, layout), VK_SHADER_STAGE_COMPUTE_BIT,
                           0, layout_shapes[layout].push_bytes, push);
    vk->vkCmdDispatch(cmd, d->item_count, d->bh_count, 1);
}

tulle_result tulle_cmd_attention(VkCommandBuffer cmd, const tulle_plan *plan,
                                 const tulle_binding *binding, uint32_t first, uint32_t count,
                                 tulle_error *error) {
    const tulle_context *context = plan ? plan->context : NULL;
    if (!cmd || !plan || !binding)
        return context_fail(context, error, TULLE_ERROR_INVALID_ARGUMENT, "%s is NULL",
                            !cmd    ? "cmd"
                            : !plan ? "plan"
                                    : "binding");
    if (binding->plan != plan)
        return context_fail(context, error, TULLE_ERROR_INVALID_ARGUMENT,
                            "binding was made for another plan");
    if (first > plan->dispatch_count || count > plan->dispatch_count - first)
        return context_fail(context, error, TULLE_ERROR_INVALID_ARGUMENT,
                            "first is %u and count %u: the plan has %u dispatches", first, count,
                            plan->dispatch_count);
    const struct VolkDeviceTable *vk = &context->vk.device;
    uint32_t end = count ? first + count : plan->dispatch_count;
    for (uint32_t i = first; i < end; i++) {
        const struct dispatch *d = &plan->dispatches[i];
        if (d->barrier_before) {
            VkMemoryBarrier barrier = { VK_STRUCTURE_TYPE_MEMORY_BARRIER, NULL,
                                        VK_ACCESS_SHADER_WRITE_BIT,
                                        VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT };
            vk->vkCmdPipelineBarrier(cmd, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
                                     VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, 0, 1, &barrier, 0, NULL,
                                     0, NULL);
        }
        record(cmd, binding, d);
    }
    return TULLE_OK;
}
