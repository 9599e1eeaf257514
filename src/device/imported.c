// SPDX-License-Identifier: MIT
//
// What the caller of an import says is enabled on its device, and what of it counts.
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "device/caps.h"

enum feature {
    ADDRESS,
    SUBGROUP_SIZE,
    FULL_SUBGROUPS,
    EXECUTABLE_INFO,
    MEMORY_MODEL,
    FLOAT16,
    MAINTENANCE4,
    MATRIX,
    REDUCTIONS,
    CONVERSIONS,
    PER_ELEMENT,
    BFLOAT16_TYPE,
    BFLOAT16_MATRIX,
    FEATURES
};

/// In a struct that tulle_matrix_features declares without a name.
#define AT(member, field) \
    (offsetof(tulle_matrix_features, member.field) - offsetof(tulle_matrix_features, member))
#define OF(type) VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_##type##_FEATURES
/// Where in a chain a feature may stand: in a struct of its own, or in its version's. `at`: bytes
/// to the VkBool32. type is an int since headers may not know it (matrix.h).
static const struct home {
    int type;
    size_t at;
    enum feature feature;
} homes[] = {
    { OF(BUFFER_DEVICE_ADDRESS),
      offsetof(VkPhysicalDeviceBufferDeviceAddressFeatures, bufferDeviceAddress), ADDRESS },
    { OF(VULKAN_1_2), offsetof(VkPhysicalDeviceVulkan12Features, bufferDeviceAddress), ADDRESS },
    { OF(SUBGROUP_SIZE_CONTROL),
      offsetof(VkPhysicalDeviceSubgroupSizeControlFeatures, subgroupSizeControl), SUBGROUP_SIZE },
    { OF(VULKAN_1_3), offsetof(VkPhysicalDeviceVulkan13Features, subgroupSizeControl),
      SUBGROUP_SIZE },
    { OF(SUBGROUP_SIZE_CONTROL),
      offsetof(VkPhysicalDeviceSubgroupSizeControlFeatures, computeFullSubgroups), FULL_SUBGROUPS },
    { OF(VULKAN_1_3), offsetof(VkPhysicalDeviceVulkan13Features, computeFullSubgroups),
      FULL_SUBGROUPS },
    { VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR,
      offsetof(VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR, pipelineExecutableInfo),
      EXECUTABLE_INFO },
    { OF(VULKAN_MEMORY_MODEL),
      offsetof(VkPhysicalDeviceVulkanMemoryModelFeatures, vulkanMemoryModel), MEMORY_MODEL },
    { OF(VULKAN_1_2), offsetof(VkPhysicalDeviceVulkan12Features, vulkanMemoryModel), MEMORY_MODEL },
    { OF(SHADER_FLOAT16_INT8), offsetof(VkPhysicalDeviceShaderFloat16Int8Features, shaderFloat16),
      FLOAT16 },
    { OF(VULKAN_1_2), offsetof(VkPhysicalDeviceVulkan12Features, shaderFloat16), FLOAT16 },
    { OF(MAINTENANCE_4), offsetof(VkPhysicalDeviceMaintenance4Features, maintenance4),
      MAINTENANCE4 },
    { OF(VULKAN_1_3), offsetof(VkPhysicalDeviceVulkan13Features, maintenance4), MAINTENANCE4 },
    { MATRIX_FEATURES_TYPE, AT(cooperative_matrix, cooperativeMatrix), MATRIX },
    { MATRIX2_FEATURES_TYPE, AT(cooperative_matrix2, cooperativeMatrixReductions), REDUCTIONS },
    { MATRIX2_FEATURES_TYPE, AT(cooperative_matrix2, cooperativeMatrixConversions), CONVERSIONS },
    { MATRIX2_FEATURES_TYPE, AT(cooperative_matrix2, cooperativeMatrixPerElementOperations),
      PER_ELEMENT },
    { BFLOAT16_FEATURES_TYPE, AT(bfloat16, shaderBFloat16Type), BFLOAT16_TYPE },
    { BFLOAT16_FEATURES_TYPE, AT(bfloat16, shaderBFloat16CooperativeMatrix), BFLOAT16_MATRIX },
};
#undef OF
#undef AT

static void read_chain(const VkBaseInStructure *next, bool said[FEATURES]) {
    for (; next; next = next->pNext)
        for (size_t i = 0; i < sizeof homes / sizeof homes[0]; i++) {
            VkBool32 value = VK_FALSE;
            if ((int)next->sType != homes[i].type) continue;
            memcpy(&value, (const char *)next + homes[i].at, sizeof value);
            said[homes[i].feature] |= value != VK_FALSE;
        }
}

static bool import_has(const tulle_vulkan_import *import, const char *name) {
    for (uint32_t i = 0; i < import->extension_count; i++)
        if (import->extensions[i] && strcmp(import->extensions[i], name) == 0) return true;
    return false;
}

static void add(char *text, size_t size, const char *name, const char *why) {
    const size_t used = strlen(text);
    snprintf(text + used, size - used, "%s%s %s", used ? "; " : "", name, why);
}

/// A feature that was said counts where the device has it (or nobody asked) and where its functions
/// are: `brought`. Else `passed_over` is told, with `without`: what would bring it.
static bool counts(bool said, bool offered, bool brought, const char *name, const char *without,
                   char *passed_over, size_t size) {
    if (said && !offered) add(passed_over, size, name, "is not offered by the device");
    else if (said && !brought) add(passed_over, size, name, without);
    return said && offered && brought;
}

void caps_imported_features(const tulle_vulkan_import *import, uint32_t api_version,
                            const struct device_features *offered, struct device_features *out,
                            char *passed_over, size_t size) {
    bool said[FEATURES] = { false };
    if (import->features) read_chain(import->features->pNext, said);
    passed_over[0] = '\0';
    memset(out, 0, sizeof *out);
    out->api_version = api_version;
    out->buffer_device_address =
        counts(said[ADDRESS], offered->buffer_device_address,
               api_version >= VK_API_VERSION_1_2 ||
                   import_has(import, VK_KHR_BUFFER_DEVICE_ADDRESS_EXTENSION_NAME),
               "bufferDeviceAddress",
               "needs import.api_version 1.2, or VK_KHR_buffer_device_address in import.extensions",
               passed_over, size);
    out->subgroup_size_control =
        counts(said[SUBGROUP_SIZE], offered->subgroup_size_control,
               api_version >= VK_API_VERSION_1_3 ||
                   import_has(import, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME),
               "subgroupSizeControl",
               "needs import.api_version 1.3, or VK_EXT_subgroup_size_control in import.extensions",
               passed_over, size);
    out->executable_properties = counts(
        said[EXECUTABLE_INFO], offered->executable_properties,
        import_has(import, VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME),
        "pipelineExecutableInfo",
        "needs VK_KHR_pipeline_executable_properties in import.extensions", passed_over, size);
    out->matrix = counts(
        said[MATRIX], offered->matrix,
        api_version >= VK_API_VERSION_1_3 && import_has(import, MATRIX_EXTENSION) &&
            said[MEMORY_MODEL] && said[FLOAT16] && said[FULL_SUBGROUPS] &&
            out->subgroup_size_control,
        "cooperativeMatrix",
        "needs import.api_version 1.3, " MATRIX_EXTENSION
        " in import.extensions, vulkanMemoryModel, shaderFloat16, subgroupSizeControl and computeFullSubgroups",
        passed_over, size);
    out->matrix_bf16 =
        out->matrix &&
        counts(said[BFLOAT16_TYPE] && said[BFLOAT16_MATRIX], offered->matrix_bf16,
               import_has(import, BFLOAT16_EXTENSION), "shaderBFloat16CooperativeMatrix",
               "needs " BFLOAT16_EXTENSION " in import.extensions", passed_over, size);
    out->matrix_reduce =
        out->matrix &&
        counts(said[REDUCTIONS] && said[CONVERSIONS] && said[PER_ELEMENT], offered->matrix_reduce,
               said[MAINTENANCE4] && import_has(import, MATRIX2_EXTENSION),
               "cooperativeMatrixReductions",
               "needs maintenance4 and " MATRIX2_EXTENSION " in import.extensions", passed_over,
               size);
}
