// SPDX-License-Identifier: MIT
//
// Dispatches and the barriers between them, into the caller's command buffer. Nothing is allocated
// here.
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

static struct pm_address pm_address(VkDeviceAddress address) {
    return (struct pm_address){ (uint32_t)address, (uint32_t)(address >> 32) };
}

/// Of what a texel view begins before the tensor, in texels.
static uint32_t texel_base(const tulle_binding *b, int t, uint64_t bytes) {
    return (uint32_t)((b->bound[t].base + b->bound[t].delta - texel_offset(b, t)) / bytes);
}

/// What the push constants of a kernel are, and behind them the addresses of one that has such.
union push {
    struct {
        struct pm_attention_push words;
        struct pm_attention_addresses address;
    } attention;
    struct {
        struct pm_combine_push words;
        struct pm_combine_addresses address;
    } combine;
};

/// A tensor's base by the way in which the kernel reaches it.
static uint32_t tensor_base(const tulle_binding *b, int t, uint64_t window) {
    const enum layout layout = b->plan->layout;
    if (layout == LAYOUT_ADDRESS) return 0;
    if (layout == LAYOUT_TEXEL && t <= TENSOR_V) return texel_base(b, t, piece_bytes(b, t));
    return base(b, t, window, piece_bytes(b, t));
}

static uint32_t workspace_texels(const tulle_binding *b) {
    return b->plan->layout == LAYOUT_TEXEL ? texel_base(b, BOUND_WORKSPACE, 16) : 0;
}

static void fill_attention(const tulle_binding *b, const struct dispatch *d, const uint64_t *window,
                           union push *push) {
    push->attention.words = (struct pm_attention_push){
        .items = d->items,
        .step = d->step,
        .entries = d->entries,
        .entry_first = d->entry_first,
        .ws_row_base = d->ws_row_base,
        .ws_rows = d->ws_rows,
        .q_base = tensor_base(b, TENSOR_Q, window[TENSOR_Q]),
        .k_base = tensor_base(b, TENSOR_K, window[TENSOR_K]),
        .v_base = tensor_base(b, TENSOR_V, window[TENSOR_V]),
        .o_base = tensor_base(b, TENSOR_O, window[TENSOR_O]),
        .lse_base = tensor_base(b, TENSOR_LSE, window[TENSOR_LSE]),
        .segment = b->plan->segments[d->segment].first_texel,
        .ws_texels = workspace_texels(b),
    };
    push->attention.address = (struct pm_attention_addresses){
        .q = pm_address(b->bound[TENSOR_Q].address),
        .k = pm_address(b->bound[TENSOR_K].address),
        .v = pm_address(b->bound[TENSOR_V].address),
        .o = pm_address(b->bound[TENSOR_O].address),
        .lse = pm_address(b->bound[TENSOR_LSE].address),
        .workspace = pm_address(b->bound[BOUND_WORKSPACE].address),
        .plan = pm_address(b->plan->memory.address),
    };
}

static void fill_combine(const tulle_binding *b, const struct dispatch *d, const uint64_t *window,
                         union push *push) {
    push->combine.words = (struct pm_combine_push){
        .items = d->items,
        .ws_texels = workspace_texels(b),
        .parts = d->parts,
        .part_count = d->part_count,
        .entries = d->entries,
        .entry_first = d->entry_first,
        .ws_row_base = d->ws_row_base,
        .ws_rows = d->ws_rows,
        .range_first = d->range_first,
        .range_rows = d->range_rows,
        .o_base = tensor_base(b, TENSOR_O, window[TENSOR_O]),
        .lse_base = tensor_base(b, TENSOR_LSE, window[TENSOR_LSE]),
        .segment = b->plan->segments[d->segment].first_texel,
    };
    push->combine.address = (struct pm_combine_addresses){
        .o = pm_address(b->bound[TENSOR_O].address),
        .lse = pm_address(b->bound[TENSOR_LSE].address),
        .workspace = pm_address(b->bound[BOUND_WORKSPACE].address),
        .plan = pm_address(b->plan->memory.address),
    };
}

static void record(VkCommandBuffer cmd, const tulle_binding *b, const struct dispatch *d) {
    const tulle_plan *plan = b->plan;
    const struct device_functions *vk = &plan->context->vk.device;
    const bool combine = d->kind == DISPATCH_COMBINE;
    const enum layout layout = combine ? plan->combine_layout : plan->layout;
    uint64_t window[BOUND_COUNT];
    union push push;
    for (int t = 0; t < BOUND_COUNT; t++) window[t] = window_offset(b, t, d);
    VkPipeline pipeline = d->does & PM_FLAG_RESUME ? plan->resume : plan->pipeline;
    if (combine) {
        pipeline = plan->combine;
        fill_combine(b, d, window, &push);
    } else {
        fill_attention(b, d, window, &push);
    }
    vk->vkCmdBindPipeline(cmd, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
    bind_sets(cmd, b, layout, (combine ? plan->segment_count : 0) + d->segment, window);
    vk->vkCmdPushConstants(cmd, pipeline_layout(plan->context, layout), VK_SHADER_STAGE_COMPUTE_BIT,
                           0, layout_shapes[layout].push_bytes, &push);
    vk->vkCmdDispatch(cmd, d->item_count, d->entry_count, 1);
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
    const struct device_functions *vk = &context->vk.device;
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
