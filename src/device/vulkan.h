// SPDX-License-Identifier: MIT
//
// Vulkan's functions, per context: volk opens the loader and fills its device table; instance
// functions are ours. volk's own globals are used only under process_lock, and are compiled as
// tulle_internal_* (meson.build).
#ifndef TULLE_SRC_DEVICE_VULKAN_H
#define TULLE_SRC_DEVICE_VULKAN_H

#ifndef VK_NO_PROTOTYPES
#define VK_NO_PROTOTYPES
#endif
#include <vulkan/vulkan_core.h>
#define VULKAN_H_ 1  // volk.h would pull in vulkan.h with the window systems' headers
#include <volk.h>

#include "common/error.h"

#define TULLE_INSTANCE_FUNCTIONS(X)             \
    X(vkDestroyInstance)                        \
    X(vkEnumeratePhysicalDevices)               \
    X(vkGetPhysicalDeviceProperties2)           \
    X(vkGetPhysicalDeviceFeatures2)             \
    X(vkGetPhysicalDeviceMemoryProperties)      \
    X(vkGetPhysicalDeviceQueueFamilyProperties) \
    X(vkEnumerateDeviceExtensionProperties)     \
    X(vkGetPhysicalDeviceFormatProperties)      \
    X(vkCreateDevice)                           \
    X(vkGetDeviceProcAddr)

struct vulkan {
    PFN_vkGetInstanceProcAddr vkGetInstanceProcAddr;
#define X(name) PFN_##name name;
    TULLE_INSTANCE_FUNCTIONS(X)
#undef X
    /// NULL without the extension
    PFN_vkCreateDebugUtilsMessengerEXT vkCreateDebugUtilsMessengerEXT;
    PFN_vkDestroyDebugUtilsMessengerEXT vkDestroyDebugUtilsMessengerEXT;
    /// vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR (matrix.h has its type); NULL where no
    /// driver knows it
    PFN_vkVoidFunction matrix_properties;
    struct VolkDeviceTable device;  ///< vk->device.vkCmdDispatch and so on
};

/// Opens the loader once per process; NULL where there is none. Any thread.
PFN_vkGetInstanceProcAddr vulkan_loader(void);

/// Fills the instance's functions. Fails with NO_VULKAN where one is missing.
tulle_result vulkan_load_instance(struct vulkan *vk, PFN_vkGetInstanceProcAddr get,
                                  VkInstance instance, tulle_error *error);

/// Fills vk->device through vk->vkGetDeviceProcAddr, safe against other contexts on other
/// instances.
tulle_result vulkan_load_device(struct vulkan *vk, VkDevice device, tulle_error *error);

#endif
