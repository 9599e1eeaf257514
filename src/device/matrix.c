// SPDX-License-Identifier: MIT
#include "device/matrix.h"

#include <string.h>

void *matrix_chain(tulle_matrix_features *chain, bool bf16, bool reduce, void *next) {
    memset(chain, 0, sizeof *chain);
    chain->cooperative_matrix.sType = (VkStructureType)MATRIX_FEATURES_TYPE;
    chain->cooperative_matrix.pNext = next;
    chain->memory_model.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES;
    chain->memory_model.pNext = &chain->cooperative_matrix;
    chain->float16.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES;
    chain->float16.pNext = &chain->memory_model;
    chain->bfloat16.sType = (VkStructureType)BFLOAT16_FEATURES_TYPE;
    chain->cooperative_matrix2.sType = (VkStructureType)MATRIX2_FEATURES_TYPE;
    chain->maintenance4.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_FEATURES;
    void *first = &chain->float16;
    if (bf16) {
        chain->bfloat16.pNext = first;
        first = &chain->bfloat16;
    }
    if (reduce) {
        chain->cooperative_matrix2.pNext = first;
        chain->maintenance4.pNext = &chain->cooperative_matrix2;
        first = &chain->maintenance4;
    }
    return first;
}

void matrix_chain_enable(tulle_matrix_features *chain, bool bf16, bool reduce) {
    chain->cooperative_matrix.cooperativeMatrix = VK_TRUE;
    chain->memory_model.vulkanMemoryModel = VK_TRUE;
    chain->float16.shaderFloat16 = VK_TRUE;
    chain->bfloat16.shaderBFloat16Type = chain->bfloat16.shaderBFloat16CooperativeMatrix = bf16;
    chain->cooperative_matrix2.cooperativeMatrixReductions = reduce;
    chain->cooperative_matrix2.cooperativeMatrixConversions = reduce;
    chain->cooperative_matrix2.cooperativeMatrixPerElementOperations = reduce;
    chain->maintenance4.maintenance4 = reduce;
}

#define PROPERTIES_MOST 128  // devices list some 10 to 40

/// matrix.comp takes keys in chunks of 32 or 64 and head sizes in steps of 32.
static bool usable(const struct matrix_properties *p, int element) {
    return p->a_type == element && p->b_type == element && p->c_type == MATRIX_FLOAT32 &&
           p->result_type == MATRIX_FLOAT32 && p->scope == MATRIX_SCOPE_SUBGROUP &&
           (p->m == 8 || p->m == 16) && (p->n == 8 || p->n == 16 || p->n == 32) &&
           (p->k == 8 || p->k == 16 || p->k == 32);
}

struct matrix_shape matrix_shape_of(matrix_properties_function get,
                                    VkPhysicalDevice physical_device, int element) {
    struct matrix_shape best = { 0, 0, 0 };
    struct matrix_properties properties[PROPERTIES_MOST];
    uint32_t count = PROPERTIES_MOST;
    for (uint32_t i = 0; i < PROPERTIES_MOST; i++)
        properties[i] =
            (struct matrix_properties){ .type = (VkStructureType)MATRIX_PROPERTIES_TYPE };
    // One call, not one for the count before: AMD's Windows driver faults on the second
    // (GPUOpen-Drivers/AMDVLK#422).
    if (!get || get(physical_device, &count, properties) < 0) return best;
    for (uint32_t i = 0; i < count; i++) {
        const struct matrix_properties *p = &properties[i];
        if (usable(p, element) && p->m * p->n * p->k > best.m * best.n * best.k)
            best = (struct matrix_shape){ p->m, p->n, p->k };
    }
    return best;
}
