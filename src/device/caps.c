// SPDX-License-Identifier: MIT
#include "device/caps.h"

#include <stdlib.h>
#include <string.h>

// -------------------------------------------------------------------------------------------------
// What is offered

static uint32_t lower(uint32_t a, uint32_t b) { return a < b ? a : b; }
static uint32_t higher(uint32_t a, uint32_t b) { return a > b ? a : b; }

static bool extension_listed(const VkExtensionProperties *extensions, uint32_t count,
                             const char *name) {
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(extensions[i].extensionName, name) == 0) return true;
    return false;
}

static tulle_result device_extensions(const struct vulkan *vk, VkPhysicalDevice physical_device,
                                      VkExtensionProperties **out, uint32_t *count,
                                      tulle_error *error) {
    VkResult result;
    *out = NULL;
    do {  // the list may grow between the two calls
        result = vk->vkEnumerateDeviceExtensionProperties(physical_device, NULL, count, NULL);
        if (result != VK_SUCCESS) break;
        free(*out);
        *out = malloc((*count + 1) * sizeof **out);
        if (!*out)
            return tulle_fail(error, TULLE_ERROR_OUT_OF_HOST_MEMORY,
                              "no memory for the list of %u device extensions", *count);
        result = vk->vkEnumerateDeviceExtensionProperties(physical_device, NULL, count, *out);
    } while (result == VK_INCOMPLETE);
    if (result != VK_SUCCESS) {
        free(*out);
        *out = NULL;
        return tulle_fail_vk(error, result, "vkEnumerateDeviceExtensionProperties");
    }
    return TULLE_OK;
}

/// What a device with full subgroups answered.
static void offer_matrix(const tulle_matrix_features *chain, struct device_features *out) {
    out->matrix = chain->cooperative_matrix.cooperativeMatrix &&
                  chain->memory_model.vulkanMemoryModel && chain->float16.shaderFloat16;
    out->matrix_bf16 = out->matrix && chain->bfloat16.shaderBFloat16Type &&
                       chain->bfloat16.shaderBFloat16CooperativeMatrix;
    out->matrix_reduce = out->matrix && chain->maintenance4.maintenance4 &&
                         chain->cooperative_matrix2.cooperativeMatrixReductions &&
                         chain->cooperative_matrix2.cooperativeMatrixConversions &&
                         chain->cooperative_matrix2.cooperativeMatrixPerElementOperations;
}

tulle_result caps_offer(const struct vulkan *vk, VkPhysicalDevice physical_device,
                        uint32_t api_version, struct device_offer *out, tulle_error *error) {
    VkPhysicalDeviceProperties2 properties = { .sType =
                                                   VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2 };
    VkPhysicalDeviceFeatures2 features = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2 };
    VkPhysicalDeviceBufferDeviceAddressFeatures address = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES
    };
    VkPhysicalDeviceSubgroupSizeControlFeatures size = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES
    };
    VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR executable = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR
    };
    tulle_matrix_features matrix = { 0 };
    VkExtensionProperties *extensions;
    uint32_t count;
    tulle_result result;

    memset(out, 0, sizeof *out);
    result = device_extensions(vk, physical_device, &extensions, &count, error);
    if (result != TULLE_OK) return result;
    vk->vkGetPhysicalDeviceProperties2(physical_device, &properties);
    out->features.api_version = lower(api_version, properties.properties.apiVersion);
    // its macro is in vulkan_beta.h
    out->portability_subset = extension_listed(extensions, count, "VK_KHR_portability_subset");
    out->buffer_device_address_extension =
        extension_listed(extensions, count, VK_KHR_BUFFER_DEVICE_ADDRESS_EXTENSION_NAME);
    out->subgroup_size_control_extension =
        extension_listed(extensions, count, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME);
    out->driver_properties =
        out->features.api_version >= VK_API_VERSION_1_2 ||
        extension_listed(extensions, count, VK_KHR_DRIVER_PROPERTIES_EXTENSION_NAME);

    // A struct may be asked for only where the device knows it: by its version or by the extension
    // that it came from.
    if (out->features.api_version >= VK_API_VERSION_1_2 || out->buffer_device_address_extension) {
        address.pNext = features.pNext;
        features.pNext = &address;
    }
    if (out->features.api_version >= VK_API_VERSION_1_3 || out->subgroup_size_control_extension) {
        size.pNext = features.pNext;
        features.pNext = &size;
    }
    if (extension_listed(extensions, count, VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME)) {
        executable.pNext = features.pNext;
        features.pNext = &executable;
    }
    // Every driver that has matrices is one of Vulkan 1.3, whose core has what they need besides.
    if (out->features.api_version >= VK_API_VERSION_1_3 &&
        extension_listed(extensions, count, MATRIX_EXTENSION))
        features.pNext =
            matrix_chain(&matrix, extension_listed(extensions, count, BFLOAT16_EXTENSION),
                         extension_listed(extensions, count, MATRIX2_EXTENSION), features.pNext);
    free(extensions);
    vk->vkGetPhysicalDeviceFeatures2(physical_device, &features);
    out->features.buffer_device_address = address.bufferDeviceAddress;
    out->features.subgroup_size_control = size.subgroupSizeControl;
    out->features.executable_properties = executable.pipelineExecutableInfo;
    if (size.subgroupSizeControl && size.computeFullSubgroups)
        offer_matrix(&matrix, &out->features);
    return TULLE_OK;
}

// -------------------------------------------------------------------------------------------------
// Queues

VkQueueFamilyProperties *caps_queue_families(const struct vulkan *vk,
                                             VkPhysicalDevice physical_device, uint32_t *count) {
    VkQueueFamilyProperties *families;
    vk->vkGetPhysicalDeviceQueueFamilyProperties(physical_device, count, NULL);
    families = calloc(*count + 1, sizeof *families);
    if (families) vk->vkGetPhysicalDeviceQueueFamilyProperties(physical_device, count, families);
    return families;
}

// A family that computes and does not draw comes first: a long dispatch on the graphics queue holds
// up the desktop, and systems kill graphics work sooner than compute work. Of two alike the one
// with timestamps, then the first.
uint32_t caps_choose_queue_family(const VkQueueFamilyProperties *families, uint32_t count) {
    uint32_t best = UINT32_MAX;
    int best_score = -1;
    for (uint32_t i = 0; i < count; i++) {
        int score;
        if (!(families[i].queueFlags & VK_QUEUE_COMPUTE_BIT) || families[i].queueCount == 0)
            continue;
        score = (families[i].queueFlags & VK_QUEUE_GRAPHICS_BIT ? 0 : 2) +
                (families[i].timestampValidBits > 0 ? 1 : 0);
        if (score > best_score) {
            best = i;
            best_score = score;
        }
    }
    return best;
}

// -------------------------------------------------------------------------------------------------
// struct caps

/// Is all device-local memory host-visible and coherent, and the host's own? A discrete card whose
/// whole memory the host can reach over the bus is not meant: reading there is slow.
static bool unified_memory(const VkPhysicalDeviceMemoryProperties *memory,
                           VkPhysicalDeviceType type) {
    const VkMemoryPropertyFlags visible =
        VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    bool only_device_heaps = true;
    for (uint32_t heap = 0; heap < memory->memoryHeapCount; heap++) {
        bool reachable = false;
        if (!(memory->memoryHeaps[heap].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT)) {
            only_device_heaps = false;
            continue;
        }
        for (uint32_t i = 0; i < memory->memoryTypeCount; i++)
            if (memory->memoryTypes[i].heapIndex == heap &&
                (memory->memoryTypes[i].propertyFlags & visible) == visible)
                reachable = true;
        if (!reachable) return false;
    }
    return only_device_heaps || type == VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU ||
           type == VK_PHYSICAL_DEVICE_TYPE_CPU;
}

static void fill_subgroups(const VkPhysicalDeviceSubgroupProperties *subgroup,
                           const VkPhysicalDeviceSubgroupSizeControlProperties *size,
                           const struct device_features *enabled, struct caps *out) {
    const bool in_compute = (subgroup->supportedStages & VK_SHADER_STAGE_COMPUTE_BIT) != 0;
    const VkSubgroupFeatureFlags can = in_compute ? subgroup->supportedOperations : 0;
    out->subgroup_size = subgroup->subgroupSize;
    out->subgroup_shuffle = (can & VK_SUBGROUP_FEATURE_SHUFFLE_BIT) != 0;
    out->subgroup_vote = (can & VK_SUBGROUP_FEATURE_VOTE_BIT) != 0;
    out->subgroup_ballot = (can & VK_SUBGROUP_FEATURE_BALLOT_BIT) != 0;
    // Of use to us only where a compute pipeline may ask for its size.
    out->subgroup_size_control = enabled->subgroup_size_control &&
                                 (size->requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT);
}

/// Where there is one size of subgroups only, a driver need not let a pipeline ask for it (NVK).
/// Intel's registers are a thread's, whatever its lanes are: with the fewest of them most is left for
/// matrices, and with 32 a kernel compiles for minutes (docs/measurements/2026-11-28-matrix.md).
static void fill_matrices(const struct vulkan *vk, VkPhysicalDevice physical_device,
                          const VkPhysicalDeviceSubgroupSizeControlProperties *size,
                          const struct device_features *enabled, struct caps *out) {
    matrix_properties_function get = (matrix_properties_function)vk->matrix_properties;
    if (!out->subgroup_size_control &&
        (!enabled->subgroup_size_control || size->minSubgroupSize != size->maxSubgroupSize))
        return;
    out->matrix_lanes = out->subgroup_size;
    if (out->vendor_id == 0x8086 && out->subgroup_size_control)
        out->matrix_lanes = higher(size->minSubgroupSize, 8);
    if (enabled->matrix) out->matrix_f16 = matrix_shape_of(get, physical_device, MATRIX_FLOAT16);
    if (enabled->matrix_bf16)
        out->matrix_bf16 = matrix_shape_of(get, physical_device, MATRIX_BFLOAT16);
    out->matrix_reduce = enabled->matrix_reduce;
}

void caps_fill(const struct vulkan *vk, VkPhysicalDevice physical_device,
               const struct device_offer *offer, const struct device_features *enabled,
               const VkQueueFamilyProperties *family, struct caps *out) {
    VkPhysicalDeviceSubgroupSizeControlProperties size = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES
    };
    VkPhysicalDeviceDriverProperties driver = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES
    };
    VkPhysicalDeviceSubgroupProperties subgroup = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES
    };
    VkPhysicalDeviceIDProperties id = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES,
                                        .pNext = &subgroup };
    VkPhysicalDeviceProperties2 properties = { .sType =
                                                   VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                               .pNext = &id };
    const VkPhysicalDeviceLimits *limits = &properties.properties.limits;
    VkPhysicalDeviceMemoryProperties memory;

    if (offer->driver_properties) {
        driver.pNext = properties.pNext;
        properties.pNext = &driver;
    }
    if (offer->features.subgroup_size_control) {
        size.pNext = properties.pNext;
        properties.pNext = &size;
    }
    vk->vkGetPhysicalDeviceProperties2(physical_device, &properties);
    vk->vkGetPhysicalDeviceMemoryProperties(physical_device, &memory);

    memset(out, 0, sizeof *out);
    out->type = properties.properties.deviceType;
    out->api_version = enabled->api_version;
    out->vendor_id = properties.properties.vendorID;
    out->device_id = properties.properties.deviceID;
    out->driver_id = driver.driverID;
    memcpy(out->name, properties.properties.deviceName, sizeof out->name);
    memcpy(out->driver, driver.driverName, sizeof out->driver);
    memcpy(out->driver_info, driver.driverInfo, sizeof out->driver_info);
    memcpy(out->uuid, id.deviceUUID, sizeof out->uuid);
    out->driver_version = properties.properties.driverVersion;
    memcpy(out->pipeline_cache_uuid, properties.properties.pipelineCacheUUID,
           sizeof out->pipeline_cache_uuid);
    fill_subgroups(&subgroup, &size, enabled, out);
    fill_matrices(vk, physical_device, &size, enabled, out);
    out->buffer_device_address = enabled->buffer_device_address;
    out->executable_properties = enabled->executable_properties;
    out->unified_memory = unified_memory(&memory, out->type);
    out->max_workgroup_invocations = limits->maxComputeWorkGroupInvocations;
    out->max_workgroup_size_x = limits->maxComputeWorkGroupSize[0];
    out->max_shared_memory = limits->maxComputeSharedMemorySize;
    // Descriptors are dynamic ones of one set in one stage, so the lowest of the three limits
    // decides.
    out->max_storage_buffers = lower(limits->maxPerStageDescriptorStorageBuffers,
                                     lower(limits->maxDescriptorSetStorageBuffers,
                                           limits->maxDescriptorSetStorageBuffersDynamic));
    memcpy(out->max_workgroups, limits->maxComputeWorkGroupCount, sizeof out->max_workgroups);
    out->max_storage_range = limits->maxStorageBufferRange;
    out->max_texel_elements = limits->maxTexelBufferElements;
    out->storage_alignment = (uint32_t)limits->minStorageBufferOffsetAlignment;  // at most 256
    out->texel_alignment = (uint32_t)limits->minTexelBufferOffsetAlignment;
    out->timestamp_bits = family ? family->timestampValidBits : 0;
    out->timestamp_period = out->timestamp_bits > 0 ? limits->timestampPeriod : 0;
    out->max_loop_iterations = UINT32_MAX;
}

// The numbers are the table "Required Limits" of Vulkan 1.1. Lowered, not set: a limit that a
// device breaks stays broken.
void caps_without_matrices(struct caps *caps) {
    caps->matrix_f16 = caps->matrix_bf16 = (struct matrix_shape){ 0, 0, 0 };
    caps->matrix_reduce = false;
}

void caps_clamp(struct caps *caps, tulle_clamp clamp) {
    if (clamp == TULLE_CLAMP_NONE) return;
    caps->api_version = VK_API_VERSION_1_1;
    caps->subgroup_size = 1;
    caps->subgroup_shuffle = false;
    caps->subgroup_vote = false;
    caps->subgroup_ballot = false;
    caps_without_matrices(caps);
    caps->buffer_device_address = false;
    caps->subgroup_size_control = false;
    caps->executable_properties = false;
    caps->unified_memory = false;  // so that the host path stages, as it must on any discrete card
    caps->max_workgroup_invocations = lower(caps->max_workgroup_invocations, 128);
    caps->max_workgroup_size_x = lower(caps->max_workgroup_size_x, 128);
    caps->max_shared_memory = lower(caps->max_shared_memory, 16384);
    caps->max_storage_buffers = lower(caps->max_storage_buffers, 4);
    for (int i = 0; i < 3; i++) caps->max_workgroups[i] = lower(caps->max_workgroups[i], 65535);
    if (caps->max_storage_range > UINT64_C(134217728))  // 2²⁷
        caps->max_storage_range = UINT64_C(134217728);
    caps->max_texel_elements = lower(caps->max_texel_elements, 65536);
    caps->storage_alignment = higher(caps->storage_alignment, 256);
    caps->texel_alignment = higher(caps->texel_alignment, 256);
    caps->timestamp_period = 0;  // a queue need not have any
    caps->timestamp_bits = 0;
}

void caps_info(const struct caps *caps, uint32_t index, tulle_device_info *out) {
    memset(out, 0, sizeof *out);
    out->index = index;
    memcpy(out->name, caps->name, sizeof out->name);
    memcpy(out->driver, caps->driver, sizeof out->driver);
    memcpy(out->driver_info, caps->driver_info, sizeof out->driver_info);
    memcpy(out->uuid, caps->uuid, sizeof out->uuid);
    out->type = caps->type;
    out->api_version = caps->api_version;
    out->vendor_id = caps->vendor_id;
    out->device_id = caps->device_id;
    out->subgroup_size = caps->subgroup_size;
    out->max_workgroup_invocations = caps->max_workgroup_invocations;
    out->max_shared_memory = caps->max_shared_memory;
    out->max_storage_buffers = caps->max_storage_buffers;
    out->max_storage_range = caps->max_storage_range;
    out->max_texel_elements = caps->max_texel_elements;
    out->unified_memory = caps->unified_memory;
    out->buffer_device_address = caps->buffer_device_address;
    out->subgroup_shuffle = caps->subgroup_shuffle;
    out->subgroup_size_control = caps->subgroup_size_control;
    out->timestamps = caps->timestamp_bits > 0;
    out->executable_properties = caps->executable_properties;
    out->matrix_f16 =
        (tulle_matrix_shape){ caps->matrix_f16.m, caps->matrix_f16.n, caps->matrix_f16.k };
    out->matrix_bf16 =
        (tulle_matrix_shape){ caps->matrix_bf16.m, caps->matrix_bf16.n, caps->matrix_bf16.k };
}
