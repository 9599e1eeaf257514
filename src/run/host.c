// SPDX-License-Identifier: MIT
#include "run/host.h"

#include <stdlib.h>
#include <string.h>

#include "common/thread.h"
#include "device/submit.h"
#include "problem/footprint.h"
#include "run/binding.h"
#include "run/shared.h"

/// Buffers only grow: a call with the shapes of the last one allocates nothing.
struct host_path {
    VkQueryPool queries;  ///< two timestamps; VK_NULL_HANDLE: the queue has none
    struct device_buffer tensors[BOUND_COUNT];
    struct device_buffer staging[BOUND_COUNT];  ///< none where device memory is the host's
};

void host_path_destroy(tulle_context *context, struct host_path *path) {
    if (!path) return;
    const struct VolkDeviceTable *vk = &context->vk.device;
    for (int t = 0; t < BOUND_COUNT; t++) device_buffer_destroy(context, &path->tensors[t]);
    for (int t = 0; t < BOUND_COUNT; t++) device_buffer_destroy(context, &path->staging[t]);
    vk->vkDestroyQueryPool(context->device, path->queries, context->allocator);
    free(path);
}

/// Under the context's submitter_mutex.
static tulle_result host_path_get(tulle_context *context, struct host_path **out,
                                  tulle_error *error) {
    if (context->shared->host_path) {
        *out = context->shared->host_path;
        return TULLE_OK;
    }
    struct host_path *path = calloc(1, sizeof *path);
    if (!path)
        return context_fail(context, error, TULLE_ERROR_OUT_OF_HOST_MEMORY,
                            "no host memory for tulle_attention");
    VkQueryPoolCreateInfo queries = {
        VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO, NULL, 0, VK_QUERY_TYPE_TIMESTAMP, 2, 0
    };
    VkResult result = VK_SUCCESS;
    if (context->caps.timestamp_period > 0)
        result = context->vk.device.vkCreateQueryPool(context->device, &queries, context->allocator,
                                                      &path->queries);
    if (result) {
        free(path);
        return context_fail_vk(context, error, result, "vkCreateQueryPool");
    }
    context->shared->host_path = *out = path;
    return TULLE_OK;
}

static tulle_result grown(tulle_context *context, struct device_buffer *buffer, uint64_t size,
                          VkBufferUsageFlags usage, enum memory_use use, tulle_error *error) {
    if (buffer->size >= size) return TULLE_OK;
    device_buffer_destroy(context, buffer);
    return device_buffer_create(context, size, usage, use, buffer, error);
}

/// Of tensor t of the caller's arrays, in elements: all zero means the plan's, or one row for all.
static tulle_strides array_strides(const struct attention *a, int t,
                                   const tulle_host_arrays *arrays) {
    const tulle_strides *given[] = { &arrays->q_strides, &arrays->k_strides, &arrays->v_strides,
                                     &arrays->o_strides };
    const bool literal[] = { arrays->q_broadcast, arrays->k_broadcast, arrays->v_broadcast, false };
    if (t < TENSOR_LSE && (literal[t] || given[t]->batch || given[t]->head || given[t]->row))
        return *given[t];
    return a->given_strides[t];
}

static const void *array_of(int t, const tulle_host_arrays *arrays) {
    const void *of[] = { arrays->q, arrays->k, arrays->v, arrays->o, arrays->lse };
    return of[t];
}

/// O and LSE share no byte with another array, nor O's rows with each other. O may be Q, row for
/// row: Q is copied before.
static tulle_result check_arrays_apart(const tulle_plan *plan, const tulle_host_arrays *arrays,
                                       tulle_error *error) {
    const struct attention *a = &plan->attention;
    struct footprint prints[TENSOR_COUNT];
    for (int t = 0; t < TENSOR_COUNT; t++) {
        tulle_strides strides = array_strides(a, t, arrays);
        if (t < TENSOR_O) {  // of an axis that the plan shares one index is read
            if (!a->strides[t].batch) strides.batch = 0;
            if (!a->strides[t].head) strides.head = 0;
            if (!a->strides[t].row) strides.row = 0;
        }
        prints[t] = footprint_of(a, t, &strides, (int64_t)(uintptr_t)array_of(t, arrays));
    }
    if (footprint_overlaps_itself(&prints[TENSOR_O])) {
        tulle_strides o = array_strides(a, TENSOR_O, arrays);
        return context_fail(
            plan->context, error, TULLE_ERROR_INVALID_ARGUMENT,
            "arrays: o_strides are %lld (batch), %lld (head) and %lld (row) elements; rows of O would overlap, which they may not",
            (long long)o.batch, (long long)o.head, (long long)o.row);
    }
    const struct footprint table = { (int64_t)(uintptr_t)arrays->page_table,
                                     { 0 },
                                     { 1, 1, 1 },
                                     (int64_t)attention_table_bytes(a) };
    for (int written = TENSOR_O; written <= (a->lse ? TENSOR_LSE : TENSOR_O); written++)
        if (a->page_size && footprints_meet(&table, &prints[written]))
            return context_fail(
                plan->context, error, TULLE_ERROR_INVALID_ARGUMENT,
                "arrays: %s at %p shares bytes with page_table at %p; O and LSE share none with it",
                tensor_names[written], array_of(written, arrays), (const void *)arrays->page_table);
    for (int written = TENSOR_O; written < TENSOR_COUNT; written++)
        for (int t = 0; t < written; t++) {
            if ((written == TENSOR_LSE && !a->lse) ||
                (t == TENSOR_Q && footprints_equal(&prints[t], &prints[written])) ||
                !footprints_meet(&prints[t], &prints[written]))
                continue;
            return context_fail(
                plan->context, error, TULLE_ERROR_INVALID_ARGUMENT,
                "arrays: %s at %p shares bytes with %s at %p; O may be Q, row for row, and else O and LSE share none with another array",
                tensor_names[written], array_of(written, arrays), tensor_names[t],
                array_of(t, arrays));
        }
    return TULLE_OK;
}

/// One row to the device, with zeros behind it where the device's is longer; or back.
static void copy_row(char *device, char *mine, uint64_t device_bytes, uint64_t my_bytes,
                     bool to_device) {
    memcpy(to_device ? device : mine, to_device ? mine : device, my_bytes);
    if (to_device) memset(device + my_bytes, 0, device_bytes - my_bytes);
}

/// Copies every row between the caller's array of tensor t and the plan's layout of it, where rows
/// that all entries of an axis share are there once. to_device: which way.
static void copy_rows(const tulle_plan *plan, int t, const tulle_host_arrays *arrays, void *mapped,
                      bool to_device) {
    const struct attention *a = &plan->attention;
    int64_t lengths[3];
    attention_lengths(a, t, lengths);
    uint64_t element = attention_element(a, t), all_heads = (uint64_t)lengths[1],
             all_rows = (uint64_t)lengths[2], my_bytes = a->given_dim[t] * element;
    const struct tensor_shape *shape = &a->tensors[t];
    const tulle_strides host = array_strides(a, t, arrays);
    void *array = (void *)(uintptr_t)array_of(t, arrays);  // an input's is only read
    bool same = host.batch == a->strides[t].batch && host.head == a->strides[t].head &&
                host.row == a->strides[t].row && my_bytes == shape->row_bytes;
    if (same && shape->row == shape->row_bytes && shape->head == all_rows * shape->row &&
        shape->batch == all_heads * shape->head) {
        uint64_t bytes = a->span[t];  // no gaps
        memcpy(to_device ? mapped : array, to_device ? array : mapped, bytes);
        return;
    }
    uint64_t batch = shape->batch ? (uint64_t)lengths[0] : 1, heads = shape->head ? all_heads : 1,
             rows = shape->row ? all_rows : 1;
    for (uint64_t b = 0; b < batch; b++)
        for (uint64_t h = 0; h < heads; h++)
            for (uint64_t r = 0; r < rows; r++) {
                char *device = (char *)mapped + b * shape->batch + h * shape->head + r * shape->row;
                char *mine = (char *)array + ((int64_t)b * host.batch + (int64_t)h * host.head +
                                              (int64_t)r * host.row) *
                                                 (int64_t)element;
                copy_row(device, mine, shape->row_bytes, my_bytes, to_device);
            }
}

/// Dispatches per submission: few where a watchdog counts, all on a CPU driver, one where someone
/// follows.
static uint32_t dispatches_each(const tulle_plan *plan, bool followed) {
    return followed                                                  ? 1
           : plan->context->caps.type == VK_PHYSICAL_DEVICE_TYPE_CPU ? plan->dispatch_count
                                                                     : 8;
}

/// Run number `run` of 1 + timing->repeat.
static tulle_result run_once(tulle_plan *plan, struct host_path *path, const tulle_binding *binding,
                             const tulle_timing *timing, uint32_t run, double *ms,
                             tulle_error *error) {
    bool timestamps = run > 0 && path->queries;
    uint64_t done = 0;
    tulle_context *context = plan->context;
    const struct VolkDeviceTable *vk = &context->vk.device;
    // repeats are timed as ever
    uint32_t each = dispatches_each(plan, timing->progress && run == 0);
    *ms = 0;
    for (uint32_t first = 0; first < plan->dispatch_count; first += each) {
        uint32_t count = plan->dispatch_count - first < each ? plan->dispatch_count - first : each;
        VkCommandBuffer cmd;
        tulle_result result = submitter_begin(context, &cmd, error);
        if (result) return result;
        if (timestamps) {
            vk->vkCmdResetQueryPool(cmd, path->queries, 0, 2);
            vk->vkCmdWriteTimestamp(cmd, VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT, path->queries, 0);
        }
        result = tulle_cmd_attention(cmd, plan, binding, first, count, error);
        if (result) return result;
        if (timestamps)
            vk->vkCmdWriteTimestamp(cmd, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, path->queries, 1);
        // to whoever is next: the host (mapped memory), a copy to staging, or the next range or
        // repeat
        VkMemoryBarrier barrier = { VK_STRUCTURE_TYPE_MEMORY_BARRIER, NULL,
                                    VK_ACCESS_SHADER_WRITE_BIT,
                                    VK_ACCESS_HOST_READ_BIT | VK_ACCESS_TRANSFER_READ_BIT |
                                        VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT };
        vk->vkCmdPipelineBarrier(cmd, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
                                 VK_PIPELINE_STAGE_HOST_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT |
                                     VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
                                 0, 1, &barrier, 0, NULL, 0, NULL);
        double start = clock_ms();
        result = submitter_end(context, error);
        if (result) return result;
        double wall = clock_ms() - start;
        if (timestamps) {
            uint64_t ticks[2];
            VkResult got =
                vk->vkGetQueryPoolResults(context->device, path->queries, 0, 2, sizeof ticks, ticks,
                                          8, VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT);
            if (got) return context_fail_vk(context, error, got, "vkGetQueryPoolResults");
            uint64_t mask = context->caps.timestamp_bits >= 64
                                ? UINT64_MAX
                                : (1ull << context->caps.timestamp_bits) - 1;
            wall = (double)((ticks[1] - ticks[0]) & mask) * context->caps.timestamp_period * 1e-6;
        }
        *ms += wall;
        for (uint32_t i = first; i < first + count; i++) done += plan->dispatches[i].visited;
        if (timing->progress)
            timing->progress(
                timing->progress_user,
                (run + (plan->info.visited ? (double)done / (double)plan->info.visited : 1)) /
                    (1.0 + timing->repeat));
    }
    return TULLE_OK;
}

/// Is it the host's to write? The others are the device's.
static bool is_input(int t) { return t <= TENSOR_V || t == BOUND_PAGE_TABLE; }

/// Copies between tensors and staging, for devices whose memory is their own: what is read goes up.
static tulle_result transfer(tulle_context *context, struct host_path *path, const tulle_plan *plan,
                             bool up, tulle_error *error) {
    VkCommandBuffer cmd;
    tulle_result result = submitter_begin(context, &cmd, error);
    if (result) return result;
    for (int t = 0; t < BOUND_COUNT; t++) {
        const uint64_t bytes = bound_bytes(plan, t);
        if (!bytes || t == BOUND_WORKSPACE || is_input(t) != up) continue;
        VkBufferCopy copy = { 0, 0, bytes };
        context->vk.device.vkCmdCopyBuffer(
            cmd, up ? path->staging[t].buffer : path->tensors[t].buffer,
            up ? path->tensors[t].buffer : path->staging[t].buffer, 1, &copy);
    }
    if (up) {
        VkMemoryBarrier barrier = { VK_STRUCTURE_TYPE_MEMORY_BARRIER, NULL,
                                    VK_ACCESS_TRANSFER_WRITE_BIT, VK_ACCESS_SHADER_READ_BIT };
        context->vk.device.vkCmdPipelineBarrier(cmd, VK_PIPELINE_STAGE_TRANSFER_BIT,
                                                VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, 0, 1,
                                                &barrier, 0, NULL, 0, NULL);
    } else {
        VkMemoryBarrier barrier = { VK_STRUCTURE_TYPE_MEMORY_BARRIER, NULL,
                                    VK_ACCESS_TRANSFER_WRITE_BIT, VK_ACCESS_HOST_READ_BIT };
        context->vk.device.vkCmdPipelineBarrier(cmd, VK_PIPELINE_STAGE_TRANSFER_BIT,
                                                VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &barrier, 0, NULL,
                                                0, NULL);
    }
    return submitter_end(context, error);
}

static tulle_result prepare_buffers(tulle_plan *plan, struct host_path *path, tulle_error *error) {
    tulle_context *context = plan->context;
    // every usage that a variant could ask for; the descriptor's buffer_usage speaks of the
    // caller's buffers, and what it lists must be true of these as well
    VkBufferUsageFlags usage =
        VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT |
        VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT |
        (context->caps.buffer_device_address ? VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT : 0);
    for (int t = 0; t < BOUND_COUNT; t++) {
        uint64_t size = bound_bytes(plan, t);
        if (!size) continue;
        tulle_result result =
            grown(context, &path->tensors[t], (size + 3) / 4 * 4, usage, MEMORY_DEVICE, error);
        if (!result && t != BOUND_WORKSPACE && !path->tensors[t].mapped)
            result = grown(context, &path->staging[t], (size + 3) / 4 * 4,
                           is_input(t) ? VK_BUFFER_USAGE_TRANSFER_SRC_BIT
                                       : VK_BUFFER_USAGE_TRANSFER_DST_BIT,
                           is_input(t) ? MEMORY_UPLOAD : MEMORY_DOWNLOAD, error);
        if (result) return result;
    }
    return TULLE_OK;
}

static tulle_result attend(tulle_plan *plan, const tulle_host_arrays *arrays,
                           const tulle_timing *timing, struct host_path *path, tulle_error *error) {
    tulle_context *context = plan->context;
    tulle_result result = prepare_buffers(plan, path, error);
    if (result) return result;
    bool staged = !path->tensors[TENSOR_Q].mapped;
    for (int t = TENSOR_Q; t <= TENSOR_V; t++)
        copy_rows(plan, t, arrays, staged ? path->staging[t].mapped : path->tensors[t].mapped,
                  true);
    if (plan->attention.page_size)
        memcpy(staged ? path->staging[BOUND_PAGE_TABLE].mapped
                      : path->tensors[BOUND_PAGE_TABLE].mapped,
               arrays->page_table, bound_bytes(plan, BOUND_PAGE_TABLE));
    if (staged && (result = transfer(context, path, plan, true, error))) return result;
    // An imported device: the caller may not have run tulle_cmd_prepare; once more does no harm.
    if (plan->staging.buffer && (result = plan_prepare(plan, error))) return result;
    tulle_buffers buffers = { { path->tensors[TENSOR_Q].buffer, 0, 0 },
                              { path->tensors[TENSOR_K].buffer, 0, 0 },
                              { path->tensors[TENSOR_V].buffer, 0, 0 },
                              { path->tensors[TENSOR_O].buffer, 0, 0 },
                              { path->tensors[TENSOR_LSE].buffer, 0, 0 },
                              { path->tensors[BOUND_WORKSPACE].buffer, 0, 0 },
                              { path->tensors[BOUND_PAGE_TABLE].buffer, 0, 0 } };
    tulle_binding *binding;
    if ((result = binding_make(plan, &buffers, &binding, error))) return result;
    double ms, start = clock_ms();
    result = run_once(plan, path, binding, timing, 0, &ms, error);
    if (!result && timing->first_ms) *timing->first_ms = clock_ms() - start;
    for (uint32_t i = 0; i < timing->repeat && !result; i++) {
        result = run_once(plan, path, binding, timing, i + 1, &ms, error);
        if (!result && timing->repeat_ms) timing->repeat_ms[i] = ms;
    }
    tulle_binding_destroy(binding);
    if (result) return result;
    if (staged && (result = transfer(context, path, plan, false, error))) return result;
    for (int t = TENSOR_O; t <= TENSOR_LSE; t++)
        if (t != TENSOR_LSE || plan->attention.lse)
            copy_rows(plan, t, arrays, staged ? path->staging[t].mapped : path->tensors[t].mapped,
                      false);
    return TULLE_OK;
}

tulle_result tulle_attention(tulle_plan *plan, const tulle_host_arrays *arrays,
                             const tulle_timing *timing, tulle_error *error) {
    static const tulle_timing once;
    if (!timing) timing = &once;
    tulle_context *context = plan ? plan->context : NULL;
    if (!plan || !arrays)
        return context_fail(context, error, TULLE_ERROR_INVALID_ARGUMENT, "%s is NULL",
                            plan ? "arrays" : "plan");
    const char *missing = !arrays->q                                         ? "q"
                          : !arrays->k                                       ? "k"
                          : !arrays->v                                       ? "v"
                          : !arrays->o                                       ? "o"
                          : plan->attention.lse && !arrays->lse              ? "lse"
                          : plan->attention.page_size && !arrays->page_table ? "page_table"
                                                                             : NULL;
    if (missing)
        return context_fail(context, error, TULLE_ERROR_INVALID_ARGUMENT, "arrays: %s is NULL",
                            missing);
    tulle_result result = check_arrays_apart(plan, arrays, error);
    if (result) return result;
    struct host_path *path = NULL;
    mutex_lock(&context->submitter_mutex);
    result = host_path_get(context, &path, error);
    if (!result) result = attend(plan, arrays, timing, path, error);
    mutex_unlock(&context->submitter_mutex);
    return result;
}
