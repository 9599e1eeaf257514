// SPDX-License-Identifier: MIT
//
// The bench's own few Vulkan calls: it measures the device, not the library, and so goes past it.
#ifndef TULLE_TOOLS_BENCH_VULKAN_H
#define TULLE_TOOLS_BENCH_VULKAN_H

#define VK_NO_PROTOTYPES
#include <vulkan/vulkan_core.h>

#include <stdint.h>

#include "common/message.h"

#define BENCH_BUFFERS 2

#define INSTANCE_FUNCTIONS(X)                   \
    X(vkDestroyInstance)                        \
    X(vkEnumeratePhysicalDevices)               \
    X(vkGetPhysicalDeviceProperties)            \
    X(vkGetPhysicalDeviceQueueFamilyProperties) \
    X(vkGetPhysicalDeviceMemoryProperties)      \
    X(vkCreateDevice)                           \
    X(vkGetDeviceProcAddr)
#define DEVICE_FUNCTIONS(X)          \
    X(vkDestroyDevice)               \
    X(vkGetDeviceQueue)              \
    X(vkCreateBuffer)                \
    X(vkDestroyBuffer)               \
    X(vkGetBufferMemoryRequirements) \
    X(vkAllocateMemory)              \
    X(vkFreeMemory)                  \
    X(vkBindBufferMemory)            \
    X(vkCreateShaderModule)          \
    X(vkDestroyShaderModule)         \
    X(vkCreateDescriptorSetLayout)   \
    X(vkDestroyDescriptorSetLayout)  \
    X(vkCreatePipelineLayout)        \
    X(vkDestroyPipelineLayout)       \
    X(vkCreateComputePipelines)      \
    X(vkDestroyPipeline)             \
    X(vkCreateDescriptorPool)        \
    X(vkDestroyDescriptorPool)       \
    X(vkAllocateDescriptorSets)      \
    X(vkUpdateDescriptorSets)        \
    X(vkCreateCommandPool)           \
    X(vkDestroyCommandPool)          \
    X(vkAllocateCommandBuffers)      \
    X(vkBeginCommandBuffer)          \
    X(vkEndCommandBuffer)            \
    X(vkCmdBindPipeline)             \
    X(vkCmdBindDescriptorSets)       \
    X(vkCmdPushConstants)            \
    X(vkCmdDispatch)                 \
    X(vkCmdCopyBuffer)               \
    X(vkCmdFillBuffer)               \
    X(vkCmdPipelineBarrier)          \
    X(vkCreateFence)                 \
    X(vkDestroyFence)                \
    X(vkResetFences)                 \
    X(vkQueueSubmit)                 \
    X(vkWaitForFences)

struct bench_buffer {
    VkBuffer buffer;
    VkDeviceMemory memory;
};

/// A compute shader over storage buffers, bound from 0 on.
struct bench_kernel {
    VkShaderModule module;
    VkDescriptorSetLayout set_layout;
    VkPipelineLayout layout;
    VkPipeline pipeline;
    VkDescriptorPool descriptors;
    VkDescriptorSet set;
};

/// A device with one queue, one kernel at a time and its buffers.
struct bench_device {
    void *loader;
    PFN_vkGetInstanceProcAddr vkGetInstanceProcAddr;
#define DECLARE(name) PFN_##name name;
    INSTANCE_FUNCTIONS(DECLARE)
    DEVICE_FUNCTIONS(DECLARE)
#undef DECLARE
    VkInstance instance;
    VkPhysicalDevice physical;
    uint32_t family;
    VkDevice device;
    VkQueue queue;
    VkPhysicalDeviceProperties properties;
    VkPhysicalDeviceMemoryProperties memory;
    struct bench_buffer buffers[BENCH_BUFFERS];
    struct bench_kernel kernel;
    VkCommandPool pool;
    VkCommandBuffer commands;
    VkFence fence;
};

/// Opens the index-th of vkEnumeratePhysicalDevices, which must have this name. `device` is closed
/// whether or not it could be opened.
bool bench_device_open(struct bench_device *device, uint32_t index, const char *name,
                       struct message *message);
void bench_device_close(struct bench_device *device);

/// The memory type that buffers go to: the first that is the device's own, or else the first.
uint32_t bench_memory_type(const struct bench_device *device, uint32_t allowed);

/// Makes a kernel of SPIR-V with `buffers` buffers of `size` bytes each, filled with numbers; what
/// was made before is gone.
bool bench_kernel_make(struct bench_device *device, const uint32_t *spirv, size_t spirv_bytes,
                       uint32_t buffers, VkDeviceSize size, struct message *message);

/// Dispatches `times` times, one after the other; *seconds from submission to the fence.
bool bench_dispatch(struct bench_device *device, uint32_t workgroups, uint32_t times,
                    const uint32_t push[2], double *seconds, struct message *message);

/// Copies the first buffer to the second, `size` bytes, `times` times by the driver's own means.
bool bench_copy(struct bench_device *device, VkDeviceSize size, uint32_t times, double *seconds,
                struct message *message);

#endif
