// SPDX-License-Identifier: MIT
#include "bench/vulkan.h"

#include <stdlib.h>
#include <string.h>

#include "common/system.h"

#define TRY(call)                                                                    \
    do {                                                                             \
        const VkResult try_result = b->call;                                         \
        if (try_result)                                                              \
            return refuse(message, "measuring the device's peak: %s gave %d", #call, \
                          (int)try_result);                                          \
    } while (0)

static bool load(struct bench_device *b, struct message *message) {
    PFN_vkCreateInstance create = NULL;
    PFN_vkVoidFunction entry = NULL;
    b->loader = vulkan_loader_open(&entry);
    if (!b->loader)
        return refuse(message, "measuring the device's peak: there is no Vulkan loader");
    memcpy(&b->vkGetInstanceProcAddr, &entry, sizeof entry);
    const PFN_vkVoidFunction function = b->vkGetInstanceProcAddr(NULL, "vkCreateInstance");
    memcpy(&create, &function, sizeof create);
    const VkApplicationInfo application = { .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                            .pApplicationName = "tulle bench",
                                            .apiVersion = VK_API_VERSION_1_1 };
    // Drivers that are Vulkan only in part (MoltenVK) are for who asks, where the loader can be asked.
    static const char *const portability = VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME;
    VkInstanceCreateInfo info = { .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                  .flags = VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR,
                                  .pApplicationInfo = &application,
                                  .enabledExtensionCount = 1,
                                  .ppEnabledExtensionNames = &portability };
    VkResult result = create ? create(&info, NULL, &b->instance) : VK_ERROR_INITIALIZATION_FAILED;
    if (result == VK_ERROR_EXTENSION_NOT_PRESENT) {
        info.flags = 0;
        info.enabledExtensionCount = 0;
        result = create(&info, NULL, &b->instance);
    }
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

static bool open_device_of_loader(struct bench_device *b, uint32_t index, const char *name,
                                  struct message *message) {
    uint32_t count = 0, families = 16;
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
    b->vkGetPhysicalDeviceProperties(b->physical, &b->properties);
    b->vkGetPhysicalDeviceMemoryProperties(b->physical, &b->memory);
    if (strcmp(b->properties.deviceName, name))
        return refuse(message, "measuring the device's peak: device %u is %s, not %s",
                      (unsigned)index, b->properties.deviceName, name);
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
    // such a driver's device wants it enabled, and others do not have it
    static const char *const subset = "VK_KHR_portability_subset";
    VkDeviceCreateInfo info = { .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                .queueCreateInfoCount = 1,
                                .pQueueCreateInfos = &queue,
                                .enabledExtensionCount = 1,
                                .ppEnabledExtensionNames = &subset };
    if (b->vkCreateDevice(b->physical, &info, NULL, &b->device)) {
        info.enabledExtensionCount = 0;
        TRY(vkCreateDevice(b->physical, &info, NULL, &b->device));
    }
#define LOAD(function)                                                          \
    b->function = (PFN_##function)b->vkGetDeviceProcAddr(b->device, #function); \
    if (!b->function)                                                           \
        return refuse(message, "measuring the device's peak: the driver has no " #function);
    DEVICE_FUNCTIONS(LOAD)
#undef LOAD
    b->vkGetDeviceQueue(b->device, b->family, 0, &b->queue);
    return true;
}

uint32_t bench_memory_type(const struct bench_device *b, uint32_t allowed) {
    uint32_t chosen = UINT32_MAX;
    for (uint32_t type = 0; type < b->memory.memoryTypeCount; type++) {
        const bool fits = allowed >> type & 1u;
        if (fits && b->memory.memoryTypes[type].propertyFlags & VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT)
            return type;
        if (fits && chosen == UINT32_MAX) chosen = type;
    }
    return chosen;
}

static bool make_buffer(struct bench_device *b, struct bench_buffer *buffer, VkDeviceSize size,
                        struct message *message) {
    const VkBufferCreateInfo info = { .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                                      .size = size,
                                      .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT |
                                               VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                                               VK_BUFFER_USAGE_TRANSFER_DST_BIT };
    VkMemoryRequirements needs;
    TRY(vkCreateBuffer(b->device, &info, NULL, &buffer->buffer));
    b->vkGetBufferMemoryRequirements(b->device, buffer->buffer, &needs);
    const VkMemoryAllocateInfo allocate = { .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                            .allocationSize = needs.size,
                                            .memoryTypeIndex =
                                                bench_memory_type(b, needs.memoryTypeBits) };
    TRY(vkAllocateMemory(b->device, &allocate, NULL, &buffer->memory));
    TRY(vkBindBufferMemory(b->device, buffer->buffer, buffer->memory, 0));
    return true;
}

static bool make_pipeline(struct bench_device *b, const uint32_t *spirv, size_t spirv_bytes,
                          uint32_t buffers, struct message *message) {
    struct bench_kernel *kernel = &b->kernel;
    const VkShaderModuleCreateInfo module = { .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                              .codeSize = spirv_bytes,
                                              .pCode = spirv };
    VkDescriptorSetLayoutBinding bindings[BENCH_BUFFERS];
    for (uint32_t i = 0; i < buffers; i++)
        bindings[i] =
            (VkDescriptorSetLayoutBinding){ .binding = i,
                                            .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                            .descriptorCount = 1,
                                            .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT };
    const VkDescriptorSetLayoutCreateInfo set_layout = {
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
        .bindingCount = buffers,
        .pBindings = bindings
    };
    const VkPushConstantRange push = { .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT, .size = 8 };
    TRY(vkCreateShaderModule(b->device, &module, NULL, &kernel->module));
    TRY(vkCreateDescriptorSetLayout(b->device, &set_layout, NULL, &kernel->set_layout));
    const VkPipelineLayoutCreateInfo layout = { .sType =
                                                    VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                                .setLayoutCount = 1,
                                                .pSetLayouts = &kernel->set_layout,
                                                .pushConstantRangeCount = 1,
                                                .pPushConstantRanges = &push };
    TRY(vkCreatePipelineLayout(b->device, &layout, NULL, &kernel->layout));
    const VkComputePipelineCreateInfo pipeline = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .stage = { .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                   .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                   .module = kernel->module,
                   .pName = "main" },
        .layout = kernel->layout,
    };
    TRY(vkCreateComputePipelines(b->device, VK_NULL_HANDLE, 1, &pipeline, NULL, &kernel->pipeline));
    return true;
}

static bool make_set(struct bench_device *b, uint32_t buffers, struct message *message) {
    struct bench_kernel *kernel = &b->kernel;
    const VkDescriptorPoolSize size = { VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, buffers };
    const VkDescriptorPoolCreateInfo pool = { .sType =
                                                  VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
                                              .maxSets = 1,
                                              .poolSizeCount = 1,
                                              .pPoolSizes = &size };
    TRY(vkCreateDescriptorPool(b->device, &pool, NULL, &kernel->descriptors));
    const VkDescriptorSetAllocateInfo allocate = {
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
        .descriptorPool = kernel->descriptors,
        .descriptorSetCount = 1,
        .pSetLayouts = &kernel->set_layout
    };
    TRY(vkAllocateDescriptorSets(b->device, &allocate, &kernel->set));
    for (uint32_t i = 0; i < buffers; i++) {
        const VkDescriptorBufferInfo buffer = { .buffer = b->buffers[i].buffer,
                                                .range = VK_WHOLE_SIZE };
        const VkWriteDescriptorSet write = { .sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                                             .dstSet = kernel->set,
                                             .dstBinding = i,
                                             .descriptorCount = 1,
                                             .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                             .pBufferInfo = &buffer };
        b->vkUpdateDescriptorSets(b->device, 1, &write, 0, NULL);
    }
    return true;
}

static void free_kernel(struct bench_device *b) {
    struct bench_kernel *kernel = &b->kernel;
    // Any of these may be VK_NULL_HANDLE; a table that was not loaded has made nothing.
    if (kernel->descriptors) b->vkDestroyDescriptorPool(b->device, kernel->descriptors, NULL);
    if (kernel->pipeline) b->vkDestroyPipeline(b->device, kernel->pipeline, NULL);
    if (kernel->layout) b->vkDestroyPipelineLayout(b->device, kernel->layout, NULL);
    if (kernel->set_layout) b->vkDestroyDescriptorSetLayout(b->device, kernel->set_layout, NULL);
    if (kernel->module) b->vkDestroyShaderModule(b->device, kernel->module, NULL);
    *kernel = (struct bench_kernel){ 0 };
    for (size_t i = 0; i < BENCH_BUFFERS; i++) {
        struct bench_buffer *buffer = &b->buffers[i];
        if (buffer->buffer) b->vkDestroyBuffer(b->device, buffer->buffer, NULL);
        if (buffer->memory) b->vkFreeMemory(b->device, buffer->memory, NULL);
        *buffer = (struct bench_buffer){ 0 };
    }
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

static bool submit(struct bench_device *b, double *seconds, struct message *message) {
    const VkSubmitInfo submit_info = { .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                                       .commandBufferCount = 1,
                                       .pCommandBuffers = &b->commands };
    TRY(vkEndCommandBuffer(b->commands));
    const double start = now_seconds();
    TRY(vkQueueSubmit(b->queue, 1, &submit_info, b->fence));
    TRY(vkWaitForFences(b->device, 1, &b->fence, VK_TRUE, UINT64_C(20000000000)));
    *seconds = now_seconds() - start;
    TRY(vkResetFences(b->device, 1, &b->fence));
    return true;
}

static const VkCommandBufferBeginInfo begin = { .sType =
                                                    VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO };

bool bench_kernel_make(struct bench_device *b, const uint32_t *spirv, size_t spirv_bytes,
                       uint32_t buffers, VkDeviceSize size, struct message *message) {
    double seconds;
    free_kernel(b);
    for (uint32_t i = 0; i < buffers; i++)
        if (!make_buffer(b, &b->buffers[i], size, message)) return false;
    if (!make_pipeline(b, spirv, spirv_bytes, buffers, message) || !make_set(b, buffers, message))
        return false;
    // Pages that nobody has written are all one page on a CPU, and read from its cache. 1.1 in fp32
    TRY(vkBeginCommandBuffer(b->commands, &begin));
    for (uint32_t i = 0; i < buffers; i++)
        b->vkCmdFillBuffer(b->commands, b->buffers[i].buffer, 0, VK_WHOLE_SIZE, 0x3f8ccccd);
    return submit(b, &seconds, message);
}

bool bench_dispatch(struct bench_device *b, uint32_t workgroups, uint32_t times,
                    const uint32_t push[2], double *seconds, struct message *message) {
    const VkMemoryBarrier barrier = { .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                      .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT,
                                      .dstAccessMask =
                                          VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT };
    TRY(vkBeginCommandBuffer(b->commands, &begin));
    b->vkCmdBindPipeline(b->commands, VK_PIPELINE_BIND_POINT_COMPUTE, b->kernel.pipeline);
    b->vkCmdBindDescriptorSets(b->commands, VK_PIPELINE_BIND_POINT_COMPUTE, b->kernel.layout, 0, 1,
                               &b->kernel.set, 0, NULL);
    b->vkCmdPushConstants(b->commands, b->kernel.layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, 8, push);
    for (uint32_t i = 0; i < times; i++) {
        if (i > 0)
            b->vkCmdPipelineBarrier(b->commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
                                    VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, 0, 1, &barrier, 0, NULL,
                                    0, NULL);
        b->vkCmdDispatch(b->commands, workgroups, 1, 1);
    }
    return submit(b, seconds, message);
}

bool bench_copy(struct bench_device *b, VkDeviceSize size, uint32_t times, double *seconds,
                struct message *message) {
    const VkMemoryBarrier barrier = { .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                      .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
                                      .dstAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT };
    const VkBufferCopy region = { .size = size };
    TRY(vkBeginCommandBuffer(b->commands, &begin));
    for (uint32_t i = 0; i < times; i++) {
        if (i > 0)
            b->vkCmdPipelineBarrier(b->commands, VK_PIPELINE_STAGE_TRANSFER_BIT,
                                    VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 1, &barrier, 0, NULL, 0,
                                    NULL);
        b->vkCmdCopyBuffer(b->commands, b->buffers[0].buffer, b->buffers[1].buffer, 1, &region);
    }
    return submit(b, seconds, message);
}

void bench_device_close(struct bench_device *b) {
    if (b->device) {
        free_kernel(b);
        if (b->fence) b->vkDestroyFence(b->device, b->fence, NULL);
        if (b->pool) b->vkDestroyCommandPool(b->device, b->pool, NULL);
        if (b->vkDestroyDevice) b->vkDestroyDevice(b->device, NULL);
    }
    if (b->instance && b->vkDestroyInstance) b->vkDestroyInstance(b->instance, NULL);
    if (b->loader) vulkan_loader_close(b->loader);
}

bool bench_device_open(struct bench_device *b, uint32_t index, const char *name,
                       struct message *message) {
    *b = (struct bench_device){ 0 };
    return load(b, message) && open_device_of_loader(b, index, name, message) &&
           make_commands(b, message);
}
