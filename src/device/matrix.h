// SPDX-License-Identifier: MIT
//
// Cooperative matrices: what of VK_KHR_cooperative_matrix, VK_NV_cooperative_matrix2 and
// VK_KHR_shader_bfloat16 the library uses. Debian 12's Vulkan headers (1.3.239) are older than they
// are, so their few words are declared here under names of our own (their features in tulle.h); the
// values and layouts are the registry's.
#ifndef TULLE_SRC_DEVICE_MATRIX_H
#define TULLE_SRC_DEVICE_MATRIX_H

#include "device/vulkan.h"

#define MATRIX_EXTENSION "VK_KHR_cooperative_matrix"
#define MATRIX2_EXTENSION "VK_NV_cooperative_matrix2"
#define BFLOAT16_EXTENSION "VK_KHR_shader_bfloat16"

// Values of VkStructureType, VkComponentTypeKHR and VkScopeKHR.
enum {
    MATRIX_FEATURES_TYPE = 1000506000,    ///< ..._COOPERATIVE_MATRIX_FEATURES_KHR
    MATRIX_PROPERTIES_TYPE = 1000506001,  ///< ..._COOPERATIVE_MATRIX_PROPERTIES_KHR
    MATRIX2_FEATURES_TYPE = 1000593000,   ///< ..._COOPERATIVE_MATRIX_2_FEATURES_NV
    BFLOAT16_FEATURES_TYPE = 1000141000,  ///< ..._SHADER_BFLOAT16_FEATURES_KHR
    MATRIX_FLOAT16 = 0,
    MATRIX_FLOAT32 = 1,
    MATRIX_BFLOAT16 = 1000141000,
    MATRIX_SCOPE_SUBGROUP = 3,
};

/// VkCooperativeMatrixPropertiesKHR: A is M × K, B is K × N
struct matrix_properties {
    VkStructureType type;
    void *next;
    uint32_t m, n, k;
    int a_type, b_type, c_type, result_type;
    VkBool32 saturating;
    int scope;
};

/// Chains the structs of what matrix kernels need, all features off, before `next`, and returns the
/// first: to ask a device for them or to enable them on one. Those of bf16 matrices and of
/// reductions only where these are wanted; the others are left out, with their types set.
void *matrix_chain(tulle_matrix_features *chain, bool bf16, bool reduce, void *next);

/// Turns on what matrix kernels use of it.
void matrix_chain_enable(tulle_matrix_features *chain, bool bf16, bool reduce);

typedef VkResult(VKAPI_PTR *matrix_properties_function)(VkPhysicalDevice, uint32_t *count,
                                                        struct matrix_properties *properties);

/// A size of matrix that a subgroup multiplies, fp32 accumulated. m is 0: none.
struct matrix_shape {
    uint32_t m, n, k;
};

/// The size to take for elements of this type (MATRIX_FLOAT16, MATRIX_BFLOAT16), out of those that
/// the device lists: the largest that kernels can use. get: NULL where the instance has no such
/// function.
struct matrix_shape matrix_shape_of(matrix_properties_function get,
                                    VkPhysicalDevice physical_device, int element);

#endif
