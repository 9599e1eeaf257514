// SPDX-License-Identifier: MIT
#include "device/matrix.h"

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
