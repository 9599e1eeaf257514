// SPDX-License-Identifier: MIT
//
// Listing devices, and saying what to enable on one that will be imported.
#include <stdlib.h>
#include <string.h>

#include "device/caps.h"
#include "device/instance.h"

static tulle_result describe(const struct vulkan *vk, uint32_t api_version, VkPhysicalDevice device,
                             uint32_t index, tulle_device_info *out, tulle_error *error) {
    struct device_offer offer;
    struct caps caps;
    VkQueueFamilyProperties *families;
    uint32_t count, chosen;
    tulle_result result = caps_offer(vk, device, api_version, &offer, error);

    if (result != TULLE_OK) return result;
    families = caps_queue_families(vk, device, &count);
    if (!families)
        return tulle_fail(error, TULLE_ERROR_OUT_OF_HOST_MEMORY,
                          "no memory for the list of queue families of device %u", index);
    chosen = caps_choose_queue_family(families, count);
    caps_fill(vk, device, &offer, &offer.features, chosen == UINT32_MAX ? NULL : &families[chosen],
              &caps);
    free(families);
    caps_info(&caps, index, out);
    return TULLE_OK;
}

tulle_result tulle_devices(uint32_t *count, tulle_device_info *devices, tulle_error *error) {
    struct vulkan vk;
    struct instance instance;
    VkPhysicalDevice *list;
    uint32_t found, wanted;
    tulle_result result;

    if (!count)
        return tulle_fail(error, TULLE_ERROR_INVALID_ARGUMENT,
                          "count is NULL; it receives the number of devices");
    result = instance_create(VK_API_VERSION_1_3, NULL, NULL, &vk, &instance, error);
    // a loader without drivers: an empty list, not a failure
    if (result == TULLE_ERROR_NO_DEVICE) {
        *count = 0;
        return TULLE_OK;
    }
    if (result != TULLE_OK) return result;
    result = instance_physical_devices(&vk, instance.handle, &list, &found, error);
    if (result == TULLE_OK) {
        wanted = devices && *count < found ? *count : found;
        for (uint32_t i = 0; devices && i < wanted && result == TULLE_OK; i++)
            result = describe(&vk, instance.api_version, list[i], i, &devices[i], error);
        if (result == TULLE_OK) *count = wanted;
        free(list);
    }
    instance_destroy(&vk, instance.handle, NULL);
    return result;
}

/// Chains what matrix kernels need.
static void recommend_matrix(const struct device_features *offer, tulle_features *features) {
    if (!offer->matrix) return;
    features->subgroup_size_control.computeFullSubgroups = VK_TRUE;
    features->recommended.pNext = matrix_chain(&features->matrix, offer->matrix_bf16,
                                               offer->matrix_reduce, features->recommended.pNext);
    matrix_chain_enable(&features->matrix, offer->matrix_bf16, offer->matrix_reduce);
    features->extensions[features->extension_count++] = MATRIX_EXTENSION;
    if (offer->matrix_reduce) features->extensions[features->extension_count++] = MATRIX2_EXTENSION;
    if (offer->matrix_bf16) features->extensions[features->extension_count++] = BFLOAT16_EXTENSION;
}

tulle_result tulle_required_features(PFN_vkGetInstanceProcAddr get_instance_proc_addr,
                                     VkInstance instance, VkPhysicalDevice physical_device,
                                     tulle_features *features, tulle_error *error) {
    PFN_vkGetInstanceProcAddr get = get_instance_proc_addr;
    struct vulkan vk;
    struct device_offer offer;
    tulle_result result;

    if (!features)
        return tulle_fail(error, TULLE_ERROR_INVALID_ARGUMENT,
                          "features is NULL; it receives what to enable");
    memset(features, 0, sizeof *features);
    if (!instance || !physical_device)
        return tulle_fail(error, TULLE_ERROR_INVALID_ARGUMENT,
                          "%s is VK_NULL_HANDLE; a valid handle is needed",
                          instance ? "physical_device" : "instance");
    if (!get && !(get = vulkan_loader()))
        return tulle_fail(error, TULLE_ERROR_NO_VULKAN,
                          "get_instance_proc_addr is NULL and no Vulkan loader could be opened");
    result = vulkan_load_instance(&vk, get, instance, error);
    if (result == TULLE_OK)
        result = caps_offer(&vk, physical_device, VK_API_VERSION_1_3, &offer, error);
    if (result != TULLE_OK) return result;
    if (offer.features.api_version < VK_API_VERSION_1_1)
        return tulle_fail(error, TULLE_ERROR_NO_DEVICE,
                          "physical_device offers Vulkan 1.0, Tulle needs 1.1 or later");

    features->required.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2;
    features->recommended.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2;
    features->buffer_device_address.sType =
        VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES;
    features->subgroup_size_control.sType =
        VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES;
    // An extension is named wherever the device lists it, even where its version has the feature in
    // core: which version the caller's instance was made for cannot be asked, and enabling it twice
    // over does no harm.
    if (offer.features.buffer_device_address) {
        features->buffer_device_address.bufferDeviceAddress = VK_TRUE;
        features->buffer_device_address.pNext = features->recommended.pNext;
        features->recommended.pNext = &features->buffer_device_address;
        if (offer.buffer_device_address_extension)
            features->extensions[features->extension_count++] =
                VK_KHR_BUFFER_DEVICE_ADDRESS_EXTENSION_NAME;
    }
    if (offer.features.subgroup_size_control) {
        features->subgroup_size_control.subgroupSizeControl = VK_TRUE;
        features->subgroup_size_control.pNext = features->recommended.pNext;
        features->recommended.pNext = &features->subgroup_size_control;
        if (offer.subgroup_size_control_extension)
            features->extensions[features->extension_count++] =
                VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME;
    }
    recommend_matrix(&offer.features, features);
    if (offer.portability_subset)  // Vulkan demands that it is enabled wherever it is listed
        features->extensions[features->extension_count++] = "VK_KHR_portability_subset";
    return TULLE_OK;
}
