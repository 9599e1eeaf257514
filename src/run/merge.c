// SPDX-License-Identifier: MIT
//
// Two attentions of the same queries over disjoint keys become one: on the host, and on the device
// (merge.comp).
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/pipeline.h"
#include "problem/attention.h"

static float half_to_float(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = h >> 10 & 31, mantissa = h & 1023,
             bits;
    if (exponent == 31) bits = sign | 0x7f800000u | mantissa << 13;
    else if (exponent) bits = sign | (exponent + 112) << 23 | mantissa << 13;
    else {
        float value = ldexpf((float)mantissa, -24);
        return sign ? -value : value;
    }
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

/// To nearest, ties to even.
static uint16_t float_to_half(float f) {
    uint32_t bits;
    memcpy(&bits, &f, 4);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
    bits &= 0x7fffffffu;
    if (bits > 0x7f800000u) return sign | 0x7e00u;
    if (bits >= 0x477ff000u) return sign | 0x7c00u;  // 65520 and more round to infinity
    if (bits < 0x38800000u) {                        // subnormal: units of 2^-24
        return sign | (uint16_t)nearbyintf(ldexpf(fabsf(f), 24));
    }
    return sign | (uint16_t)((bits + 0xfffu + (bits >> 13 & 1) - 0x38000000u) >> 13);
}

static float load(const void *array, tulle_dtype dtype, size_t i) {
    if (dtype == TULLE_F32) return ((const float *)array)[i];
    uint16_t word = ((const uint16_t *)array)[i];
    if (dtype == TULLE_F16) return half_to_float(word);
    uint32_t bits = (uint32_t)word << 16;
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

static void store(void *array, tulle_dtype dtype, size_t i, float value) {
    if (dtype == TULLE_F32) {
        ((float *)array)[i] = value;
    } else if (dtype == TULLE_F16) {
        ((uint16_t *)array)[i] = float_to_half(value);
    } else {
        uint32_t bits;
        memcpy(&bits, &value, 4);
        bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
        ((uint16_t *)array)[i] = nan ? (uint16_t)(bits >> 16 | 0x40)
                                     : (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
    }
}

static tulle_result check(uint64_t rows, uint32_t v_head_dim, tulle_dtype dtype,
                          tulle_error *error) {
    if (rows < 1)
        return tulle_fail(error, TULLE_ERROR_INVALID_ARGUMENT, "rows is 0; it must be at least 1");
    if (v_head_dim < 4 || v_head_dim > 256 || v_head_dim % 4)
        return tulle_fail(error, TULLE_ERROR_INVALID_ARGUMENT,
                          "v_head_dim is %u; it must be a multiple of 4 from 4 to 256", v_head_dim);
    if ((unsigned)dtype > TULLE_BF16)
        return tulle_fail(error, TULLE_ERROR_INVALID_ARGUMENT,
                          "dtype is %d; it must be TULLE_F32, TULLE_F16 or TULLE_BF16", (int)dtype);
    return TULLE_OK;
}

tulle_result tulle_merge(size_t rows, uint32_t v_head_dim, tulle_dtype dtype, void *into_o,
                         float *into_lse, const void *from_o, const float *from_lse,
                         tulle_error *error) {
    tulle_result result = check(rows, v_head_dim, dtype, error);
    if (result) return result;
    if (!into_o || !into_lse || !from_o || !from_lse)
        return tulle_fail(error, TULLE_ERROR_INVALID_ARGUMENT, "%s is NULL",
                          !into_o     ? "into_o"
                          : !into_lse ? "into_lse"
                          : !from_o   ? "from_o"
                                      : "from_lse");
    for (size_t r = 0; r < rows; r++) {
        float a = into_lse[r], b = from_lse[r], m = a > b ? a : b;
        if (a == -INFINITY && b == -INFINITY)  // empty: O is 0, whatever stood there
            for (size_t c = 0; c < v_head_dim; c++) store(into_o, dtype, r * v_head_dim + c, 0);
        if (b == -INFINITY) continue;  // nothing to add
        float wa = a == -INFINITY ? 0 : expf(a - m), wb = expf(b - m), sum = wa + wb;
        for (size_t c = 0; c < v_head_dim; c++) {
            size_t i = r * v_head_dim + c;
            // an empty row's O does not count
            float mine = wa > 0 ? load(into_o, dtype, i) * (wa / sum) : 0;
            store(into_o, dtype, i, mine + load(from_o, dtype, i) * (wb / sum));
        }
        into_lse[r] = m + logf(sum);
    }
    return TULLE_OK;
}

struct tulle_merger {
    tulle_context *context;
    VkPipeline pipeline;
    VkDescriptorPool pool;
    VkDescriptorSet set;
    uint32_t rows, v_pieces, groups_x, groups_y;
    /// of each tensor from its descriptor's start, in its units (pieces, floats)
    uint32_t base[4];
};

#define MERGE_WORKGROUP 128u

tulle_result tulle_merger_create(tulle_context *context, uint32_t rows, uint32_t v_head_dim,
                                 tulle_dtype dtype, const tulle_buffer *into_o,
                                 const tulle_buffer *into_lse, const tulle_buffer *from_o,
                                 const tulle_buffer *from_lse, tulle_merger **out,
                                 tulle_error *error) {
    static const char *const modules[] = { "merge_f32", "merge_f16", "merge_bf16" };
    static const char *const names[] = { "into_o", "into_lse", "from_o", "from_lse" };
    const tulle_buffer *buffers[] = { into_o, into_lse, from_o, from_lse };
    if (!out) return context_fail(context, error, TULLE_ERROR_INVALID_ARGUMENT, "out is NULL");
    *out = NULL;
    if (!context) return tulle_fail(error, TULLE_ERROR_INVALID_ARGUMENT, "context is NULL");
    tulle_error local;
    tulle_result result = check(rows, v_head_dim, dtype, &local);
    if (result) return context_pass(context, error, &local);
    VkDescriptorBufferInfo infos[4];
    uint32_t base[4];
    for (int i = 0; i < 4; i++) {
        uint64_t bytes =
            i % 2 ? (uint64_t)rows * 4 : (uint64_t)rows * v_head_dim * tulle_dtype_size(dtype);
        if (!buffers[i] || !buffers[i]->buffer)
            return context_fail(context, error, TULLE_ERROR_INVALID_ARGUMENT, "%s has no buffer",
                                names[i]);
        uint64_t unit = i % 2 ? 4 : 4 * tulle_dtype_size(dtype);
        if (buffers[i]->offset % unit)
            return context_fail(context, error, TULLE_ERROR_INVALID_ARGUMENT,
                                "%s's offset is %llu; it must be a multiple of %llu bytes",
                                names[i], (unsigned long long)buffers[i]->offset,
                                (unsigned long long)unit);
        uint64_t align = caps_storage_unit(&context->caps), skipped = buffers[i]->offset % align;
        base[i] = (uint32_t)(skipped / unit);
        if (skipped + bytes > context->caps.max_storage_range)
            return context_fail(
                context, error, TULLE_ERROR_UNSUPPORTED,
                "%s takes %llu bytes; this device binds at most %llu (merge fewer rows at a time)",
                names[i], (unsigned long long)bytes,
                (unsigned long long)context->caps.max_storage_range);
        if (buffers[i]->size && buffers[i]->size < bytes)
            return context_fail(context, error, TULLE_ERROR_INVALID_ARGUMENT,
                                "%s's size is %llu bytes; it must be at least %llu", names[i],
                                (unsigned long long)buffers[i]->size, (unsigned long long)bytes);
        infos[i] = (VkDescriptorBufferInfo){ buffers[i]->buffer, buffers[i]->offset - skipped,
                                             skipped + bytes };
    }
    tulle_merger *merger = calloc(1, sizeof *merger);
    if (!merger)
        return context_fail(context, error, TULLE_ERROR_OUT_OF_HOST_MEMORY,
                            "no host memory for the merger");
    merger->context = context;
    merger->rows = rows;
    merger->v_pieces = v_head_dim / 4;
    memcpy(merger->base, base, sizeof base);
    uint32_t each = MERGE_WORKGROUP / merger->v_pieces, groups = (rows + each - 1) / each,
             most = 65535;
    merger->groups_x = groups < most ? groups : most;
    merger->groups_y = (groups + merger->groups_x - 1) / merger->groups_x;
    struct pipeline_key key;
    memset(&key, 0, sizeof key);
    snprintf(key.module, sizeof key.module, "%s", modules[dtype]);
    key.layout = LAYOUT_MERGE;
    key.constants[0] = MERGE_WORKGROUP;
    double compile_ms = 0;
    result = pipeline_get(context, &key, &merger->pipeline, &compile_ms, error);
    if (!result) {
        const struct VolkDeviceTable *vk = &context->vk.device;
        VkDescriptorPoolSize size = { VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 4 };
        VkDescriptorPoolCreateInfo pool = {
            VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO, NULL, 0, 1, 1, &size
        };
        VkResult made =
            vk->vkCreateDescriptorPool(context->device, &pool, context->allocator, &merger->pool);
        if (made) {
            merger->pool = VK_NULL_HANDLE;
            result = context_fail_vk(context, error, made, "vkCreateDescriptorPool");
        }
        VkDescriptorSetLayout layout = pipeline_set_layout(context, LAYOUT_MERGE);
        VkDescriptorSetAllocateInfo info = { VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO, NULL,
                                             merger->pool, 1, &layout };
        if (!result && (made = vk->vkAllocateDescriptorSets(context->device, &info, &merger->set)))
            result = context_fail_vk(context, error, made, "vkAllocateDescriptorSets");
        if (!result) {
            VkWriteDescriptorSet write = {
                VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET, NULL, merger->set, 0,   0, 4,
                VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,      NULL, infos,       NULL
            };
            // consecutive bindings of one type: one write runs over all four
            vk->vkUpdateDescriptorSets(context->device, 1, &write, 0, NULL);
        }
    }
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
    free(merger);
}

tulle_result tulle_cmd_merge(VkCommandBuffer cmd, const tulle_merger *merger, tulle_error *error) {
    if (!cmd || !merger)
        return context_fail(merger ? merger->context : NULL, error, TULLE_ERROR_INVALID_ARGUMENT,
                            "%s is NULL", cmd ? "merger" : "cmd");
    const struct VolkDeviceTable *vk = &merger->context->vk.device;
    VkPipelineLayout layout = pipeline_layout(merger->context, LAYOUT_MERGE);
    const struct pm_merge_push push = { merger->rows,    merger->v_pieces, merger->base[0],
                                        merger->base[1], merger->base[2],  merger->base[3] };
    vk->vkCmdBindPipeline(cmd, VK_PIPELINE_BIND_POINT_COMPUTE, merger->pipeline);
    vk->vkCmdBindDescriptorSets(cmd, VK_PIPELINE_BIND_POINT_COMPUTE, layout, 0, 1, &merger->set, 0,
                                NULL);
    vk->vkCmdPushConstants(cmd, layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof push, &push);
    vk->vkCmdDispatch(cmd, merger->groups_x, merger->groups_y, 1);
    return TULLE_OK;
}
