// SPDX-License-Identifier: MIT
//
// Cooperative matrices: what of VK_KHR_cooperative_matrix, VK_NV_cooperative_matrix2 and
// VK_KHR_shader_bfloat16 the library uses. Debian 12's Vulkan headers (1.3.239) are older than they are, so their few words are declared
// here under names of our own; the values and layouts are the registry's.
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

/// VkPhysicalDeviceCooperativeMatrixFeaturesKHR
struct matrix_features {
    VkStructureType type;
    void *next;
    VkBool32 matrix, robust_access;
};

/// VkPhysicalDeviceCooperativeMatrix2FeaturesNV
struct matrix2_features {
    VkStructureType type;
    void *next;
    VkBool32 workgroup_scope, flexible_dimensions, reductions, conversions, per_element,
        tensor_addressing, block_loads;
};

/// VkPhysicalDeviceShaderBfloat16FeaturesKHR
struct bfloat16_features {
    VkStructureType type;
    void *next;
    VkBool32 type_, dot_product, matrix;
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

/// The structs of what matrix kernels need, to ask a device for or to enable on one.
struct matrix_chain {
    struct matrix_features matrix;
    VkPhysicalDeviceVulkanMemoryModelFeatures memory_model;
    VkPhysicalDeviceShaderFloat16Int8Features float16;
    struct bfloat16_features bfloat16;
    struct matrix2_features matrix2;
    VkPhysicalDeviceMaintenance4Features maintenance4;
};

/// Chains them, all features off, before `next`, and returns the first: those of bf16 matrices and
/// of reductions only where these are wanted.
void *matrix_chain(struct matrix_chain *chain, bool bf16, bool reduce, void *next);

/// Turns on what matrix kernels use.
void matrix_chain_enable(struct matrix_chain *chain);

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
