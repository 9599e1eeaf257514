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

static void bind_sets(VkCommandBuffer cmd, const tulle_binding *b, const struct pipeline *pipeline,
                      uint32_t set, const uint64_t *window) {
    const struct layout *layout = pipeline->key.layout;
    uint32_t offsets[DESCRIPTORS_MOST], count = 0;
    if (!layout->count) return;  // all by address
    for (uint32_t i = 0; i < layout->count; i++) {
        int of = layout->descriptors[i].of;
        if (layout->descriptors[i].reach == REACH_STORAGE)
            offsets[count++] = b->bound[of].buffer ? (uint32_t)window[of] : 0;
    }
    b->plan->context->vk.device.vkCmdBindDescriptorSets(cmd, VK_PIPELINE_BIND_POINT_COMPUTE,
                                                        pipeline->layout->handle, 0, 1,
                                                        &b->sets[set], count, offsets);
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

/// A tensor's base by the way in which the kernel reaches it; 0 where that is by address.
static uint32_t tensor_base(const tulle_binding *b, const struct layout *layout, int t,
                            const uint64_t *window) {
    if (layout_has(layout, t, REACH_TEXELS)) return texel_base(b, t, piece_bytes(b, t));
    if (layout_has(layout, t, REACH_STORAGE)) return base(b, t, window[t], piece_bytes(b, t));
    return 0;
}

static uint32_t workspace_texels(const tulle_binding *b, const struct layout *layout) {
    return layout_has(layout, BOUND_WORKSPACE, REACH_TEXELS) ? texel_base(b, BOUND_WORKSPACE, 16)
                                                             : 0;
}

static void fill_attention(const tulle_binding *b, const struct layout *layout,
                           const struct dispatch *d, const uint64_t *window, union push *push) {
    push->attention.words = (struct pm_attention_push){
        .items = d->items,
        .step = d->step,
        .entries = d->entries,
        .entry_first = d->entry_first,
        .ws_row_base = d->ws_row_base,
        .ws_rows = d->ws_rows,
        .q_base = tensor_base(b, layout, TENSOR_Q, window),
        .k_base = tensor_base(b, layout, TENSOR_K, window),
        .v_base = tensor_base(b, layout, TENSOR_V, window),
        .o_base = tensor_base(b, layout, TENSOR_O, window),
        .lse_base = tensor_base(b, layout, TENSOR_LSE, window),
        .segment = b->plan->segments[d->segment].first_texel,
        .ws_texels = workspace_texels(b, layout),
    };
    push->attention.address = (struct pm_attention_addresses){
        .q = pm_address(b->bound[TENSOR_Q].address),
        .k = pm_address(b->bound[TENSOR_K].address),
        .v = pm_address(b->bound[TENSOR_V].address),
        .o = pm_address(b->bound[TENSOR_O].address),
        .lse = pm_address(b->bound[TENSOR_LSE].address),
        .workspace = pm_address(b->bound[BOUND_WORKSPACE].address),
        .plan = pm_address(b->plan->memory.address),
        .page_table = pm_address(b->bound[BOUND_PAGE_TABLE].address),
    };
}

static void fill_combine(const tulle_binding *b, const struct layout *layout,
                         const struct dispatch *d, const uint64_t *window, union push *push) {
    push->combine.words = (struct pm_combine_push){
        .items = d->items,
        .ws_texels = workspace_texels(b, layout),
        .parts = d->parts,
        .part_count = d->part_count,
        .entries = d->entries,
        .entry_first = d->entry_first,
        .ws_row_base = d->ws_row_base,
        .ws_rows = d->ws_rows,
        .range_first = d->range_first,
        .range_rows = d->range_rows,
        .o_base = tensor_base(b, layout, TENSOR_O, window),
        .lse_base = tensor_base(b, layout, TENSOR_LSE, window),
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
    const struct VolkDeviceTable *vk = &plan->context->vk.device;
    const bool combine = d->kind == DISPATCH_COMBINE;
    const struct pipeline *pipeline = plan->pipelines[plan_use(d)];
    const struct layout *layout = pipeline->key.layout;
    uint64_t window[BOUND_COUNT];
    union push push;
    for (int t = 0; t < BOUND_COUNT; t++) window[t] = window_offset(b, t, d);
    if (combine) fill_combine(b, layout, d, window, &push);
    else fill_attention(b, layout, d, window, &push);
    vk->vkCmdBindPipeline(cmd, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline->handle);
    bind_sets(cmd, b, pipeline, (combine ? plan->segment_count : 0) + d->segment, window);
    vk->vkCmdPushConstants(cmd, pipeline->layout->handle, VK_SHADER_STAGE_COMPUTE_BIT, 0,
                           layout->push_bytes, &push);
    vk->vkCmdDispatch(cmd, d->item_count, d->entry_count, 1);
}

tulle_result tulle_cmd_attention(VkCommandBuffer cmd, const tulle_plan *plan,
                                 const tulle_binding *binding, uint32_t first, uint32_t count,
                                 tulle_error *error) {
    const tulle_context *context = plan ? plan->context : binding ? binding->plan->context : NULL;
    if (!cmd || !plan || !binding)
        return context_fail(context, error, TULLE_ERROR_INVALID_ARGUMENT, "%s is NULL",
                            !cmd    ? "cmd"
                            : !plan ? "plan"
                                    : "binding");
    if (binding->plan != plan)
        return context_fail(context, error, TULLE_ERROR_INVALID_ARGUMENT,
                            "binding was made for another plan");
    if (plan->staging.buffer && !atomic_load_explicit(&plan->prepared, memory_order_relaxed))
        return context_fail(
            context, error, TULLE_ERROR_INVALID_ARGUMENT,
            "plan: it was not prepared; record tulle_cmd_prepare before, once, and submit that first");
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
