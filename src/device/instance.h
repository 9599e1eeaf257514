// SPDX-License-Identifier: MIT
//
// An instance of our own: for a context, and for the time of a tulle_devices.
#ifndef TULLE_SRC_DEVICE_INSTANCE_H
#define TULLE_SRC_DEVICE_INSTANCE_H

#include "device/vulkan.h"

struct instance {
    VkInstance handle;
    /// what it was made for: the lower of the loader's and the one asked for
    uint32_t api_version;
};

/// Opens the loader and makes an instance, with its functions in *vk. messenger: NULL, or
/// validation with its messages there. Errors: NO_VULKAN, NO_DEVICE where no driver is installed,
/// UNSUPPORTED where validation is not.
tulle_result instance_create(uint32_t api_version,
                             const VkDebugUtilsMessengerCreateInfoEXT *messenger,
                             const VkAllocationCallbacks *allocator, struct vulkan *vk,
                             struct instance *out, tulle_error *error);

void instance_destroy(const struct vulkan *vk, VkInstance instance,
                      const VkAllocationCallbacks *allocator);

/// The physical devices, to be freed by the caller. There may be none. Where one's driver must stay
/// loaded, makes the process keep it: a bare instance, made once, which outlives this one.
tulle_result instance_physical_devices(const struct vulkan *vk, VkInstance instance,
                                       VkPhysicalDevice **out, uint32_t *count, tulle_error *error);

#endif
