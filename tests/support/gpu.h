// SPDX-License-Identifier: MIT
//
// A Vulkan device of the tests' own: the host that imports its device into Tulle. It opens the
// loader itself (dlopen) and shares nothing with the library but the handles it hands over.
#ifndef TESTS_GPU_H
#define TESTS_GPU_H

#ifndef VK_NO_PROTOTYPES
#define VK_NO_PROTOTYPES
#endif
#include "tulle/tulle.h"

// Does Wine run us? It hands drivers no allocation callbacks.
bool gpu_by_wine(void);

#define GPU_INSTANCE_FUNCTIONS(X)             \
    X(DestroyInstance)                        \
    X(EnumeratePhysicalDevices)               \
    X(GetPhysicalDeviceProperties2)           \
    X(GetPhysicalDeviceMemoryProperties)      \
    X(GetPhysicalDeviceQueueFamilyProperties) \
    X(CreateDevice)                           \
    X(GetDeviceProcAddr)
#define GPU_DEVICE_FUNCTIONS(X)    \
    X(DestroyDevice)               \
    X(GetDeviceQueue)              \
    X(CreateBuffer)                \
    X(DestroyBuffer)               \
    X(GetBufferMemoryRequirements) \
    X(AllocateMemory)              \
    X(FreeMemory)                  \
    X(BindBufferMemory)            \
    X(MapMemory)                   \
    X(CreateCommandPool)           \
    X(DestroyCommandPool)          \
    X(AllocateCommandBuffers)      \
    X(FreeCommandBuffers)          \
    X(BeginCommandBuffer)          \
    X(EndCommandBuffer)            \
    X(QueueSubmit)                 \
    X(QueueWaitIdle)               \
    X(CmdPipelineBarrier)          \
    X(CreatePipelineCache)         \
    X(DestroyPipelineCache)

struct gpu {
    PFN_vkGetInstanceProcAddr GetInstanceProcAddr;
#define X(name) PFN_vk##name name;
    GPU_INSTANCE_FUNCTIONS(X)
    GPU_DEVICE_FUNCTIONS(X)
#undef X
    VkInstance instance;
    VkPhysicalDevice physical_device;
    VkDevice device;
    VkQueue queue;
    uint32_t queue_family;
    uint32_t api_version;
    bool bare;                // no feature and no extension is enabled
    tulle_features features;  // what was enabled where not bare
    VkDebugUtilsMessengerEXT messenger;
    VkPhysicalDeviceMemoryProperties memory;
    VkCommandPool pool;
};

// The loader's entry point, opened once per process; NULL where there is no loader.
PFN_vkGetInstanceProcAddr gpu_loader(void);

// Called with each message of the validation layer.
typedef void (*gpu_message)(const char *text);

// Opens the device with this UUID. bare: with no feature and no extension, as a Vulkan 1.1
// application. on_message: not NULL: with the validation layer, core and synchronisation checks.
// Returns false, with the reason in why, where that cannot be had.
bool gpu_open(struct gpu *gpu, const uint8_t uuid[VK_UUID_SIZE], bool bare, gpu_message on_message,
              char *why, size_t size);
void gpu_close(struct gpu *gpu);

// What tulle_context_create is told about it.
tulle_vulkan_import gpu_import(const struct gpu *gpu);

struct gpu_buffer {
    VkBuffer buffer;
    VkDeviceMemory memory;
    VkDeviceSize size;
    uint8_t *mapped;
};

// Host-visible, coherent and mapped. Aborts where memory runs out: a test without its buffers
// proves nothing.
struct gpu_buffer gpu_buffer_create(const struct gpu *gpu, VkDeviceSize size,
                                    VkBufferUsageFlags usage);
void gpu_buffer_destroy(const struct gpu *gpu, struct gpu_buffer *buffer);

// One command buffer: begun, and later ended, submitted, waited for and freed. The barrier makes
// all that was written before it visible to all after it, the host included.
VkCommandBuffer gpu_begin(const struct gpu *gpu);
void gpu_barrier(const struct gpu *gpu, VkCommandBuffer cmd);
void gpu_finish(const struct gpu *gpu, VkCommandBuffer cmd);

#endif
