// SPDX-License-Identifier: MIT
#include "run/plan.h"

#include <math.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/thread.h"
#include "device/submit.h"
#include "kernel/compile.h"
#include "kernel/tuning.h"
#include "run/context.h"
#include "run/limits.h"
#include "run/regret.h"
#include "run/shared.h"

static uint32_t pieces(int64_t elements) { return (uint32_t)((uint64_t)elements / 4); }

static struct pm_strides piece_strides(const struct attention *a, int t, uint32_t with) {
    const tulle_strides *s = &a->strides[t];
    return (struct pm_strides){ pieces(s->batch), pieces(s->head), pieces(s->row), with };
}

/// 2^-k, the largest that is below 1 over the keys times the largest weight: 1, and 2^P_GROWTH in
/// matrix_tiles.glsl. fp16's V is far from what fp32 holds.
static float weight_unit(const struct attention *a) {
    if (a->dtype == TULLE_F16) return 1;
    int k = a->dtype == TULLE_BF16 ? 4 : 0;
    for (uint32_t keys = a->kv_len; keys; keys >>= 1) k++;
    return ldexpf(1, -k);
}

static uint32_t pages_word(const struct attention *a) {
    uint32_t shift = 0;
    if (!a->page_size) return 0;
    while (1u << shift < a->page_size) shift++;
    return (a->pages - 1) | shift << PM_PAGES_SIZE_SHIFT;
}

static void fill_header(const struct attention *a, struct pm_header *header) {
    *header = (struct pm_header){
        .heads = a->heads,
        .kv_heads = a->kv_heads,
        .q_len = a->q_len,
        .pages = pages_word(a),
        .q = piece_strides(a, TENSOR_Q, a->head_dim / 4),
        .k = piece_strides(a, TENSOR_K, a->v_head_dim / 4),
        .v = piece_strides(a, TENSOR_V, 0),
        .o = piece_strides(a, TENSOR_O, 0),
        .scale = (float)(a->scale * LOG2_E),
        .scale_by_softcap = a->softcap > 0 ? (float)((double)a->scale / a->softcap) : 0,
        .softcap = a->softcap > 0 ? (float)(a->softcap * LOG2_E) : 0,
        .weight_unit = weight_unit(a),
    };
}

static tulle_result build_schedule(tulle_plan *plan, struct schedule_room *room,
                                   struct schedule *schedule, tulle_error *error) {
    const struct attention *a = &plan->attention;
    const struct caps *caps = &plan->context->caps;
    struct pm_header header;
    struct schedule_input input = { .header = &header,
                                    .heads = a->heads,
                                    .kv_heads = a->kv_heads,
                                    .groups = a->groups,
                                    .group_count = a->group_count };
    float *scaled = NULL;
    fill_header(a, &header);
    limits_of(a, plan->variant, caps, &input.limits);
    memcpy(input.tensors, a->tensors, sizeof input.tensors);
    if (a->slopes || a->sinks) {
        scaled = malloc(2 * (size_t)a->heads * sizeof *scaled);
        if (!scaled)
            return context_fail(plan->context, error, TULLE_ERROR_OUT_OF_HOST_MEMORY,
                                "no host memory for the plan");
        for (uint32_t h = 0; h < a->heads; h++) {
            scaled[h] = a->slopes ? (float)(a->slopes[h] * LOG2_E) : 0;
            scaled[a->heads + h] = a->sinks ? (float)(a->sinks[h] * LOG2_E) : 0;
        }
        input.slopes = a->slopes ? scaled : NULL;
        input.sinks = a->sinks ? scaled + a->heads : NULL;
    }
    tulle_error local;
    tulle_result result = schedule_build(&input, room, schedule, &local);
    free(scaled);
    plan->info.workspace_minimum = schedule->workspace_rows_least * plan->workspace_row_bytes;
    if (result == TULLE_ERROR_WORKSPACE_LIMIT) {
        uint64_t most = limits_workspace(a, plan->variant, caps);
        return tulle_fail(
            error, result, "workspace_limit is %llu bytes%s; this plan needs at least %llu",
            (unsigned long long)most, most < limits_asked_workspace(a) ? ", the device's own" : "",
            (unsigned long long)plan->info.workspace_minimum);
    }
    return result ? context_pass(plan->context, error, &local) : TULLE_OK;
}

/// Plan memory on the device: written in place where it is mapped, else by way of staging and
/// tulle_cmd_prepare.
static tulle_result place_memory(tulle_plan *plan, const struct schedule *schedule,
                                 tulle_error *error) {
    tulle_context *context = plan->context;
    VkDeviceSize size = schedule->word_count * 4;
    VkBufferUsageFlags usage =
        VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT;
    if (context->caps.buffer_device_address) usage |= VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT;
    tulle_result result =
        device_buffer_create(context, size, usage, MEMORY_POOLED, &plan->memory, error);
    if (result) return result;
    if (plan->memory.mapped) {
        memcpy(plan->memory.mapped, schedule->words, size);
    } else {
        result = device_buffer_create(context, size, VK_BUFFER_USAGE_TRANSFER_SRC_BIT,
                                      MEMORY_POOLED_UPLOAD, &plan->staging, error);
        if (result) return result;
        memcpy(plan->staging.mapped, schedule->words, size);
        plan->info.prepare = true;
    }
    if (!schedule->workspace_rows) {
        result = device_buffer_create(context, 256,
                                      VK_BUFFER_USAGE_STORAGE_BUFFER_BIT |
                                          VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT,
                                      MEMORY_POOLED, &plan->spare, error);
        if (result) return result;
    }
    plan->views = calloc(plan->segment_count, sizeof *plan->views);
    if (!plan->views)
        return context_fail(context, error, TULLE_ERROR_OUT_OF_HOST_MEMORY,
                            "no host memory for the plan");
    if (!variant_reaches(plan->variant, &context->caps, BOUND_PLAN, REACH_TEXELS)) return TULLE_OK;
    for (uint32_t i = 0; i < plan->segment_count; i++) {
        VkBufferViewCreateInfo view = { VK_STRUCTURE_TYPE_BUFFER_VIEW_CREATE_INFO,
                                        NULL,
                                        0,
                                        plan->memory.buffer,
                                        VK_FORMAT_R32G32B32A32_UINT,
                                        (VkDeviceSize)plan->segments[i].first_texel * 16,
                                        (VkDeviceSize)plan->segments[i].texels * 16 };
        VkResult made = context->vk.device.vkCreateBufferView(context->device, &view,
                                                              context->allocator, &plan->views[i]);
        if (made) {
            plan->views[i] = VK_NULL_HANDLE;
            return context_fail_vk(context, error, made, "vkCreateBufferView");
        }
    }
    return TULLE_OK;
}

static tulle_result make_pipelines(tulle_plan *plan, const struct schedule *schedule,
                                   tulle_error *error) {
    const struct variant *v = plan->variant;
    const struct attention *a = &plan->attention;
    const struct caps *caps = &plan->context->caps;
    static_assert(PLAN_USES <= COMPILE_MOST, "a pipeline for each use");
    struct wanted wanted[COMPILE_MOST];
    uint32_t count = 0;
    // one pipeline a use: each takes a second or so to compile
    uint32_t does[PLAN_USES] = { 0 };
    bool used[PLAN_USES] = { false };
    for (uint32_t i = 0; i < schedule->dispatch_count; i++) {
        const int use = plan_use(&schedule->dispatches[i]);
        used[use] = true;
        does[use] |= schedule->dispatches[i].does;
    }
    for (int use = 0; use < PLAN_USES; use++) {
        if (!used[use]) continue;
        if (use_combines(use)) combine_pipeline_key(v, a, caps, does[use], &wanted[count].key);
        else variant_pipeline_key(v, a, caps, does[use], &wanted[count].key);
        wanted[count++].out = &plan->pipelines[use];
    }
    return compile_wanted(plan->context->shared->pipelines, wanted, count,
                          plan->context->compile_threads, &plan->info.compile_ms, error);
}

static void record_copy(VkCommandBuffer cmd, const tulle_plan *plan) {
    const struct VolkDeviceTable *vk = &plan->context->vk.device;
    VkBufferCopy copy = { 0, 0, plan->memory.size };
    // a second time: after what the first wrote, and after the kernels that read it
    const VkMemoryBarrier before = { VK_STRUCTURE_TYPE_MEMORY_BARRIER, NULL,
                                     VK_ACCESS_TRANSFER_WRITE_BIT, VK_ACCESS_TRANSFER_WRITE_BIT };
    vk->vkCmdPipelineBarrier(cmd,
                             VK_PIPELINE_STAGE_TRANSFER_BIT | VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
                             VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 1, &before, 0, NULL, 0, NULL);
    vk->vkCmdCopyBuffer(cmd, plan->staging.buffer, plan->memory.buffer, 1, &copy);
    VkMemoryBarrier barrier = { VK_STRUCTURE_TYPE_MEMORY_BARRIER, NULL,
                                VK_ACCESS_TRANSFER_WRITE_BIT, VK_ACCESS_SHADER_READ_BIT };
    vk->vkCmdPipelineBarrier(cmd, VK_PIPELINE_STAGE_TRANSFER_BIT,
                             VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, 0, 1, &barrier, 0, NULL, 0,
                             NULL);
}

tulle_result tulle_cmd_prepare(VkCommandBuffer cmd, tulle_plan *plan, tulle_error *error) {
    if (!cmd || !plan)
        return context_fail(plan ? plan->context : NULL, error, TULLE_ERROR_INVALID_ARGUMENT,
                            "%s is NULL", cmd ? "plan" : "cmd");
    if (!plan->staging.buffer) return TULLE_OK;  // mapped, or prepared already
    record_copy(cmd, plan);
    atomic_store_explicit(&plan->prepared, true, memory_order_relaxed);
    return TULLE_OK;
}

tulle_result plan_prepare(tulle_plan *plan, tulle_error *error) {
    VkCommandBuffer cmd = VK_NULL_HANDLE;
    tulle_result result = submitter_begin(plan->context, &cmd, error);
    if (result) return result;
    record_copy(cmd, plan);
    result = submitter_end(plan->context, error);
    if (!result) atomic_store_explicit(&plan->prepared, true, memory_order_relaxed);
    return result;
}

/// Says which kernel would be taken, had the caller's buffers what it needs.
static void warn_of_usage(const tulle_plan *plan) {
    static const struct {
        VkBufferUsageFlags flag;
        const char *name;
    } flags[] = {
        { VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT, "VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT" },
        { VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT, "VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT" }
    };
    const struct caps *caps = &plan->context->caps;
    struct attention wished = plan->attention;  // whose arrays it shares
    char missing[120] = "";
    if (!(TULLE_USAGE_HOST & ~wished.buffer_usage)) return;
    wished.buffer_usage |= TULLE_USAGE_HOST;
    tuning_apply(plan->context->shared->tuning, caps, &wished);
    const struct variant *v = variant_choose(&wished, caps, NULL);
    if (!v) return;
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        if (variant_usage(v, caps) & ~plan->attention.buffer_usage & flags[i].flag) {
            size_t used = strlen(missing);
            snprintf(missing + used, sizeof missing - used, "%s%s", used ? " and " : "",
                     flags[i].name);
        }
    if (missing[0])
        context_log(
            plan->context, TULLE_LOG_WARNING,
            "plan: buffer_usage is 0x%x, without %s: so %s is taken and not %s, which is faster here (tulle_buffer_usage says what to create buffers with)",
            plan->attention.buffer_usage, missing, plan->variant->name, v->name);
}

/// The descriptor with its defaults, and the kernel that serves it.
static tulle_result choose_kernel(tulle_plan *plan, const tulle_attention_desc *desc,
                                  tulle_error *error) {
    const struct caps *caps = &plan->context->caps;
    tulle_error local = { 0 };
    tulle_result result = attention_resolve(desc, &plan->attention, &local);
    if (!result) {
        tuning_apply(plan->context->shared->tuning, caps, &plan->attention);
        plan->variant = variant_choose(&plan->attention, caps, &local);
        if (!plan->variant) result = local.result;
    }
    if (result) return context_pass(plan->context, error, &local);
    warn_of_usage(plan);
    plan->tile_rows = variant_tile_rows(plan->variant, caps);
    plan->workspace_row_bytes = attention_partial_bytes(&plan->attention);
    limits_find_windowed(&plan->attention, plan->variant, caps);
    return TULLE_OK;
}

/// What recording needs stays, the words do not.
static void keep_dispatches(tulle_plan *plan, struct schedule *schedule) {
    plan->segments = schedule->segments;
    plan->segment_count = schedule->segment_count;
    plan->dispatches = schedule->dispatches;
    plan->dispatch_count = schedule->dispatch_count;
    schedule->segments = NULL;
    schedule->dispatches = NULL;
}

static void fill_info(tulle_plan *plan, const struct schedule *schedule) {
    strncpy(plan->info.kernel, plan->variant->name, sizeof plan->info.kernel - 1);
    plan->info.tuned =
        !plan->attention.kernel[0] && !strcmp(plan->variant->name, plan->attention.tuned);
    plan->info.tile_rows = plan->tile_rows;
    plan->info.chunk_keys = plan->variant->keys;
    plan->info.workspace_bytes = schedule->workspace_rows * plan->workspace_row_bytes;
    plan->info.visited = schedule->visited;
    plan->info.dispatches = plan->dispatch_count;
    plan->info.items = schedule->items;
    plan->info.device_bytes = plan->memory.size;
    plan->info.host_bytes = schedule->host_bytes;
}

/// All but the copy to a device whose memory is not mapped.
static tulle_result make_plan(tulle_plan *plan, const tulle_attention_desc *desc,
                              tulle_error *error) {
    struct shared *shared = plan->context->shared;
    struct schedule schedule = { 0 };
    tulle_result result = choose_kernel(plan, desc, error);
    if (result) return result;
    struct schedule_room *room = shared_room_take(shared);
    if (!room)
        return context_fail(plan->context, error, TULLE_ERROR_OUT_OF_HOST_MEMORY,
                            "no host memory for the plan");
    result = build_schedule(plan, room, &schedule, error);
    if (!result) result = make_pipelines(plan, &schedule, error);
    if (!result) {
        keep_dispatches(plan, &schedule);
        result = place_memory(plan, &schedule, error);
    }
    if (!result) fill_info(plan, &schedule);
    schedule_free(&schedule);
    shared_room_give(shared, room);
    return result;
}

/// On a device of our own, at once.
static tulle_result prepare_own(tulle_plan *plan, tulle_error *error) {
    tulle_context *context = plan->context;
    if (!plan->info.prepare || !context->own_device) return TULLE_OK;
    mutex_lock(&context->submitter_mutex);
    tulle_result result = plan_prepare(plan, error);
    mutex_unlock(&context->submitter_mutex);
    if (result) return result;
    plan->info.prepared = true;
    device_buffer_destroy(context, &plan->staging);
    return TULLE_OK;
}

tulle_result plan_try(tulle_context *context, const tulle_attention_desc *desc, tulle_plan **out,
                      tulle_error *error) {
    double start = clock_ms();
    *out = NULL;
    tulle_plan *plan = calloc(1, sizeof *plan);
    if (!plan)
        return context_fail(context, error, TULLE_ERROR_OUT_OF_HOST_MEMORY,
                            "no host memory for the plan");
    atomic_init(&plan->holders, 1);
    atomic_init(&plan->prepared, false);
    plan->context = context_retain(context);
    tulle_result result = make_plan(plan, desc, error);
    plan->info.plan_ms = clock_ms() - start - plan->info.compile_ms;
    if (!result) result = prepare_own(plan, error);
    if (result) {
        plan_release(plan);
        return result;
    }
    context_log(context, TULLE_LOG_DEBUG,
                "plan: %s, %u dispatches, %llu items, %llu bytes of plan memory, %llu of workspace",
                plan->info.kernel, plan->info.dispatches, (unsigned long long)plan->info.items,
                (unsigned long long)plan->info.device_bytes,
                (unsigned long long)plan->info.workspace_bytes);
    *out = plan;
    return TULLE_OK;
}

tulle_result tulle_plan_create(tulle_context *context, const tulle_attention_desc *desc,
                               tulle_plan **out, tulle_error *error) {
    tulle_error ours;
    if (!error) error = &ours;
    if (!out) return context_fail(context, error, TULLE_ERROR_INVALID_ARGUMENT, "out is NULL");
    *out = NULL;
    if (!context) return tulle_fail(error, TULLE_ERROR_INVALID_ARGUMENT, "context is NULL");
    tulle_result result = plan_try(context, desc, out, error);
    if (result == TULLE_ERROR_WORKSPACE_LIMIT)
        context_log(context, TULLE_LOG_ERROR, "%s", error->message);
    if (!result) regret_warn(*out);
    return result;
}

static void end_plan(tulle_plan *plan) {
    tulle_context *context = plan->context;
    for (uint32_t i = 0; i < plan->segment_count && plan->views; i++)
        context->vk.device.vkDestroyBufferView(context->device, plan->views[i], context->allocator);
    free(plan->views);
    device_buffer_destroy(context, &plan->staging);
    device_buffer_destroy(context, &plan->spare);
    device_buffer_destroy(context, &plan->memory);
    free(plan->segments);
    free(plan->dispatches);
    attention_free(&plan->attention);
    free(plan);
    context_release(context);
}

tulle_plan *plan_retain(tulle_plan *plan) {
    atomic_fetch_add_explicit(&plan->holders, 1, memory_order_relaxed);
    return plan;
}

void plan_release(tulle_plan *plan) {
    if (plan && atomic_fetch_sub_explicit(&plan->holders, 1, memory_order_acq_rel) == 1)
        end_plan(plan);
}

void tulle_plan_destroy(tulle_plan *plan) { plan_release(plan); }

void tulle_plan_get_info(const tulle_plan *plan, tulle_plan_info *info) {
    if (plan && info) *info = plan->info;
}
