// SPDX-License-Identifier: MIT
//
// The bench's own few Vulkan calls: it measures the device, not the library, and so goes past it.
#include "bench/peak.h"

#define VK_NO_PROTOTYPES
#include <vulkan/vulkan_core.h>

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "common/cli.h"

static const uint32_t peak_spv[] =
#include "peak.spv.inc"
    ;

// As the shader has them.
#define LANES 64
#define FLOPS_PER_ITERATION (64.0 * 12 * 2)
#define ITERATIONS 512  // Mesa 22.3 stops an invocation after 65,535
#define ELEMENTS 65536
// a virtual machine may take tens of milliseconds to give threads that slept a core each
#define WANTED_SECONDS 0.1
#define RUNS 8

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
    X(vkCreateFence)                 \
    X(vkDestroyFence)                \
    X(vkResetFences)                 \
    X(vkQueueSubmit)                 \
    X(vkWaitForFences)

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
    VkBuffer buffer;
    VkDeviceMemory memory;
    VkShaderModule module;
    VkDescriptorSetLayout set_layout;
    VkPipelineLayout layout;
    VkPipeline pipeline;
    VkDescriptorPool descriptors;
    VkDescriptorSet set;
    VkCommandPool pool;
    VkCommandBuffer commands;
    VkFence fence;
};

#define TRY(call)                                                                    \
    do {                                                                             \
        const VkResult try_result = b->call;                                         \
        if (try_result)                                                              \
            return refuse(message, "measuring the device's peak: %s gave %d", #call, \
                          (int)try_result);                                          \
    } while (0)

static bool load(struct bench_device *b, struct message *message) {
    PFN_vkCreateInstance create = NULL;
    b->loader = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
    void *symbol = b->loader ? dlsym(b->loader, "vkGetInstanceProcAddr") : NULL;
    if (!symbol)
        return refuse(message,
                      "measuring the device's peak: there is no Vulkan loader (libvulkan.so.1)");
    // POSIX makes this copy right where ISO C has no conversion from an object's to a function's
    // address.
    memcpy(&b->vkGetInstanceProcAddr, &symbol, sizeof symbol);
    const PFN_vkVoidFunction function = b->vkGetInstanceProcAddr(NULL, "vkCreateInstance");
    memcpy(&create, &function, sizeof create);
    const VkApplicationInfo application = { .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                            .pApplicationName = "tulle bench",
                                            .apiVersion = VK_API_VERSION_1_1 };
    const VkInstanceCreateInfo info = { .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                        .pApplicationInfo = &application };
    const VkResult result =
        create ? create(&info, NULL, &b->instance) : VK_ERROR_INITIALIZATION_FAILED;
    if (result)
        return refuse(message, "measuring the device's peak: vkCreateInstance gave %d",
                      (int)result);
#define LOAD(name)                                                      \
    b->name = (PFN_##name)b->vkGetInstanceProcAddr(b->instance, #name); \
    if (!b->name) return refuse(message, "measuring the device's peak: the loader has no " #name);
    INSTANCE_FUNCTIONS(LOAD)
#undef LOAD
    return true;
}

static bool open_bench_device(struct bench_device *b, uint32_t index, const char *name,
                              struct message *message) {
    uint32_t count = 0, families = 16;
    VkPhysicalDeviceProperties properties;
    VkQueueFamilyProperties family[16];
    TRY(vkEnumeratePhysicalDevices(b->instance, &count, NULL));
    VkPhysicalDevice *devices = calloc(count ? count : 1, sizeof *devices);
    if (!devices) return refuse(message, "out of memory");
    const VkResult result = b->vkEnumeratePhysicalDevices(b->instance, &count, devices);
    if (result == VK_SUCCESS && index < count) b->physical = devices[index];
    free(devices);
    if (!b->physical)
        return refuse(message, "measuring the device's peak: device %u is not there",
                      (unsigned)index);
    b->vkGetPhysicalDeviceProperties(b->physical, &properties);
    if (strcmp(properties.deviceName, name))
        return refuse(message, "measuring the device's peak: device %u is %s, not %s",
                      (unsigned)index, properties.deviceName, name);
    b->vkGetPhysicalDeviceQueueFamilyProperties(b->physical, &families, family);
    while (b->family < families && !(family[b->family].queueFlags & VK_QUEUE_COMPUTE_BIT))
        b->family++;
    if (b->family == families)
        return refuse(message, "measuring the device's peak: the device has no compute queue");
    const float priority = 1;
    const VkDeviceQueueCreateInfo queue = { .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                            .queueFamilyIndex = b->family,
                                            .queueCount = 1,
                                            .pQueuePriorities = &priority };
    const VkDeviceCreateInfo info = { .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                      .queueCreateInfoCount = 1,
                                      .pQueueCreateInfos = &queue };
    TRY(vkCreateDevice(b->physical, &info, NULL, &b->device));
#define LOAD(function)                                                          \
    b->function = (PFN_##function)b->vkGetDeviceProcAddr(b->device, #function); \
    if (!b->function)                                                           \
        return refuse(message, "measuring the device's peak: the driver has no " #function);
    DEVICE_FUNCTIONS(LOAD)
#undef LOAD
    b->vkGetDeviceQueue(b->device, b->family, 0, &b->queue);
    return true;
}

static bool make_buffer(struct bench_device *b, struct message *message) {
    const VkBufferCreateInfo info = { .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                                      .size = ELEMENTS * sizeof(float),
                                      .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT };
    VkPhysicalDeviceMemoryProperties memory;
    VkMemoryRequirements needs;
    uint32_t type = 0, chosen = UINT32_MAX;
    TRY(vkCreateBuffer(b->device, &info, NULL, &b->buffer));
    b->vkGetBufferMemoryRequirements(b->device, b->buffer, &needs);
    b->vkGetPhysicalDeviceMemoryProperties(b->physical, &memory);
    for (; type < memory.memoryTypeCount; type++) {
        const bool fits = needs.memoryTypeBits >> type & 1u;
        const bool local =
            memory.memoryTypes[type].propertyFlags & VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
        if (fits && (local || chosen == UINT32_MAX)) chosen = type;
        if (fits && local) break;
    }
    const VkMemoryAllocateInfo allocate = { .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                            .allocationSize = needs.size,
                                            .memoryTypeIndex = chosen };
    TRY(vkAllocateMemory(b->device, &allocate, NULL, &b->memory));
    TRY(vkBindBufferMemory(b->device, b->buffer, b->memory, 0));
    return true;
}

static bool make_pipeline(struct bench_device *b, struct message *message) {
    const VkShaderModuleCreateInfo module = { .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                              .codeSize = sizeof peak_spv,
                                              .pCode = peak_spv };
    const VkDescriptorSetLayoutBinding binding = { .descriptorType =
                                                       VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                                   .descriptorCount = 1,
                                                   .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT };
    const VkDescriptorSetLayoutCreateInfo set_layout = {
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
        .bindingCount = 1,
        .pBindings = &binding
    };
    const VkPushConstantRange push = { .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT, .size = 8 };
    TRY(vkCreateShaderModule(b->device, &module, NULL, &b->module));
    TRY(vkCreateDescriptorSetLayout(b->device, &set_layout, NULL, &b->set_layout));
    const VkPipelineLayoutCreateInfo layout = { .sType =
                                                    VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                                .setLayoutCount = 1,
                                                .pSetLayouts = &b->set_layout,
                                                .pushConstantRangeCount = 1,
                                                .pPushConstantRanges = &push };
    TRY(vkCreatePipelineLayout(b->device, &layout, NULL, &b->layout));
    const VkComputePipelineCreateInfo pipeline = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .stage = { .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                   .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                   .module = b->module,
                   .pName = "main" },
        .layout = b->layout,
    };
    TRY(vkCreateComputePipelines(b->device, VK_NULL_HANDLE, 1, &pipeline, NULL, &b->pipeline));

    const VkDescriptorPoolSize size = { VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1 };
    const VkDescriptorPoolCreateInfo pool = { .sType =
                                                  VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
                                              .maxSets = 1,
                                              .poolSizeCount = 1,
                                              .pPoolSizes = &size };
    TRY(vkCreateDescriptorPool(b->device, &pool, NULL, &b->descriptors));
    const VkDescriptorSetAllocateInfo allocate = {
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
        .descriptorPool = b->descriptors,
        .descriptorSetCount = 1,
        .pSetLayouts = &b->set_layout
    };
    TRY(vkAllocateDescriptorSets(b->device, &allocate, &b->set));
    const VkDescriptorBufferInfo buffer = { .buffer = b->buffer, .range = VK_WHOLE_SIZE };
    const VkWriteDescriptorSet write = { .sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                                         .dstSet = b->set,
                                         .descriptorCount = 1,
                                         .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                         .pBufferInfo = &buffer };
    b->vkUpdateDescriptorSets(b->device, 1, &write, 0, NULL);
    return true;
}

static bool make_commands(struct bench_device *b, struct message *message) {
    const VkCommandPoolCreateInfo pool = { .sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                           .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
                                           .queueFamilyIndex = b->family };
    TRY(vkCreateCommandPool(b->device, &pool, NULL, &b->pool));
    const VkCommandBufferAllocateInfo allocate = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
        .commandPool = b->pool,
        .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
        .commandBufferCount = 1
    };
    TRY(vkAllocateCommandBuffers(b->device, &allocate, &b->commands));
    const VkFenceCreateInfo fence = { .sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO };
    TRY(vkCreateFence(b->device, &fence, NULL, &b->fence));
    return true;
}

// Seconds from submission to the fence.
static bool dispatch(struct bench_device *b, uint32_t workgroups, double *seconds,
                     struct message *message) {
    const uint32_t push[2] = { ITERATIONS, ELEMENTS - 1 };
    const VkCommandBufferBeginInfo begin = { .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO };
    TRY(vkBeginCommandBuffer(b->commands, &begin));
    b->vkCmdBindPipeline(b->commands, VK_PIPELINE_BIND_POINT_COMPUTE, b->pipeline);
    b->vkCmdBindDescriptorSets(b->commands, VK_PIPELINE_BIND_POINT_COMPUTE, b->layout, 0, 1,
                               &b->set, 0, NULL);
    b->vkCmdPushConstants(b->commands, b->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof push,
                          push);
    b->vkCmdDispatch(b->commands, workgroups, 1, 1);
    TRY(vkEndCommandBuffer(b->commands));
    const VkSubmitInfo submit = { .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                                  .commandBufferCount = 1,
                                  .pCommandBuffers = &b->commands };
    const double start = now_seconds();
    TRY(vkQueueSubmit(b->queue, 1, &submit, b->fence));
    TRY(vkWaitForFences(b->device, 1, &b->fence, VK_TRUE, UINT64_C(20000000000)));
    *seconds = now_seconds() - start;
    TRY(vkResetFences(b->device, 1, &b->fence));
    return true;
}

static bool run(struct bench_device *b, double *gflops, struct message *message) {
    uint32_t workgroups = 16;
    double seconds;
    // Once to compile, then twice as many until it takes long enough for the submission not to
    // count.
    if (!dispatch(b, workgroups, &seconds, message)) return false;
    do {
        workgroups *= 2;
        if (!dispatch(b, workgroups, &seconds, message)) return false;
    } while (seconds < WANTED_SECONDS && workgroups < 32768);
    double best = seconds;
    for (int i = 0; i < RUNS; i++) {
        if (!dispatch(b, workgroups, &seconds, message)) return false;
        if (seconds < best) best = seconds;
    }
    *gflops = FLOPS_PER_ITERATION * ITERATIONS * LANES * workgroups / best * 1e-9;
    return true;
}

static void close_bench_device(struct bench_device *b) {
    if (b->device) {
        // Everything but the device itself may be VK_NULL_HANDLE; a table that was not loaded has
        // made nothing.
        if (b->fence) b->vkDestroyFence(b->device, b->fence, NULL);
        if (b->pool) b->vkDestroyCommandPool(b->device, b->pool, NULL);
        if (b->descriptors) b->vkDestroyDescriptorPool(b->device, b->descriptors, NULL);
        if (b->pipeline) b->vkDestroyPipeline(b->device, b->pipeline, NULL);
        if (b->layout) b->vkDestroyPipelineLayout(b->device, b->layout, NULL);
        if (b->set_layout) b->vkDestroyDescriptorSetLayout(b->device, b->set_layout, NULL);
        if (b->module) b->vkDestroyShaderModule(b->device, b->module, NULL);
        if (b->buffer) b->vkDestroyBuffer(b->device, b->buffer, NULL);
        if (b->memory) b->vkFreeMemory(b->device, b->memory, NULL);
        if (b->vkDestroyDevice) b->vkDestroyDevice(b->device, NULL);
    }
    if (b->instance && b->vkDestroyInstance) b->vkDestroyInstance(b->instance, NULL);
    if (b->loader) dlclose(b->loader);
}

bool peak_measure(uint32_t index, const char *name, double *gflops, struct message *message) {
    struct bench_device b = { 0 };
    const bool good = load(&b, message) && open_bench_device(&b, index, name, message) &&
                      make_buffer(&b, message) && make_pipeline(&b, message) &&
                      make_commands(&b, message) && run(&b, gflops, message);
    close_bench_device(&b);
    return good;
}
