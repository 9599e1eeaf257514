// SPDX-License-Identifier: MIT
//
// Vulkan's functions that the library calls, as pointers of each context: the instance's and the
// device's own, past the loader's dispatch.
#ifndef TULLE_SRC_DEVICE_VULKAN_H
#define TULLE_SRC_DEVICE_VULKAN_H

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

#define TULLE_DEVICE_FUNCTIONS(X)    \
    X(vkAllocateCommandBuffers)      \
    X(vkAllocateDescriptorSets)      \
    X(vkAllocateMemory)              \
    X(vkBeginCommandBuffer)          \
    X(vkBindBufferMemory)            \
    X(vkCmdBindDescriptorSets)       \
    X(vkCmdBindPipeline)             \
    X(vkCmdCopyBuffer)               \
    X(vkCmdDispatch)                 \
    X(vkCmdPipelineBarrier)          \
    X(vkCmdPushConstants)            \
    X(vkCmdResetQueryPool)           \
    X(vkCmdWriteTimestamp)           \
    X(vkCreateBuffer)                \
    X(vkCreateBufferView)            \
    X(vkCreateCommandPool)           \
    X(vkCreateComputePipelines)      \
    X(vkCreateDescriptorPool)        \
    X(vkCreateDescriptorSetLayout)   \
    X(vkCreateFence)                 \
    X(vkCreatePipelineCache)         \
    X(vkCreatePipelineLayout)        \
    X(vkCreateQueryPool)             \
    X(vkCreateShaderModule)          \
    X(vkDestroyBuffer)               \
    X(vkDestroyBufferView)           \
    X(vkDestroyCommandPool)          \
    X(vkDestroyDescriptorPool)       \
    X(vkDestroyDescriptorSetLayout)  \
    X(vkDestroyDevice)               \
    X(vkDestroyFence)                \
    X(vkDestroyPipeline)             \
    X(vkDestroyPipelineCache)        \
    X(vkDestroyPipelineLayout)       \
    X(vkDestroyQueryPool)            \
    X(vkDestroyShaderModule)         \
    X(vkEndCommandBuffer)            \
    X(vkFreeMemory)                  \
    X(vkGetBufferMemoryRequirements) \
    X(vkGetDeviceQueue)              \
    X(vkGetQueryPoolResults)         \
    X(vkMapMemory)                   \
    X(vkQueueSubmit)                 \
    X(vkQueueWaitIdle)               \
    X(vkResetCommandBuffer)          \
    X(vkResetFences)                 \
    X(vkUpdateDescriptorSets)        \
    X(vkWaitForFences)

/// Those of later versions and of extensions: NULL where the device has them not.
#define TULLE_DEVICE_OPTIONAL_FUNCTIONS(X)  \
    X(vkGetBufferDeviceAddress)             \
    X(vkGetBufferDeviceAddressKHR)          \
    X(vkGetPipelineExecutablePropertiesKHR) \
    X(vkGetPipelineExecutableStatisticsKHR)

struct device_functions {
#define X(name) PFN_##name name;
    TULLE_DEVICE_FUNCTIONS(X)
    TULLE_DEVICE_OPTIONAL_FUNCTIONS(X)
#undef X
};

struct vulkan {
    PFN_vkGetInstanceProcAddr vkGetInstanceProcAddr;
#define X(name) PFN_##name name;
    TULLE_INSTANCE_FUNCTIONS(X)
#undef X
    /// NULL without the extension
    PFN_vkCreateDebugUtilsMessengerEXT vkCreateDebugUtilsMessengerEXT;
    PFN_vkDestroyDebugUtilsMessengerEXT vkDestroyDebugUtilsMessengerEXT;
    struct device_functions device;  ///< vk->device.vkCmdDispatch and so on
};

/// Opens the loader once per process; NULL where there is none. Any thread. loader.c
PFN_vkGetInstanceProcAddr vulkan_loader(void);

/// Fills the instance's functions. Fails with NO_VULKAN where one is missing.
tulle_result vulkan_load_instance(struct vulkan *vk, PFN_vkGetInstanceProcAddr get,
                                  VkInstance instance, tulle_error *error);

/// Fills vk->device through vk->vkGetDeviceProcAddr, safe against other contexts on other
/// instances.
tulle_result vulkan_load_device(struct vulkan *vk, VkDevice device, tulle_error *error);

#endif
