// SPDX-License-Identifier: MIT

#include "gpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef _WIN32
#include <windows.h>
#else
#include <dlfcn.h>
#endif

#define LAYER "VK_LAYER_KHRONOS_validation"

static void must(VkResult result, const char *what) {
    if (result != VK_SUCCESS) {
        fprintf(stderr, "tests: %s gave VkResult %d\n", what, (int)result);
        abort();
    }
}

bool gpu_by_wine(void) {
#ifdef _WIN32
    return GetProcAddress(GetModuleHandleA("ntdll.dll"), "wine_get_version") != NULL;
#else
    return false;
#endif
}

PFN_vkGetInstanceProcAddr gpu_loader(void) {
    static PFN_vkGetInstanceProcAddr entry;
    if (entry == NULL) {  // the loader stays open
#ifdef _WIN32
        const HMODULE library = LoadLibraryA("vulkan-1.dll");
        const FARPROC symbol =
            library != NULL ? GetProcAddress(library, "vkGetInstanceProcAddr") : NULL;
#else
        void *library = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
        void *symbol = library != NULL ? dlsym(library, "vkGetInstanceProcAddr") : NULL;
#endif
        memcpy(&entry, &symbol, sizeof entry);
    }
    return entry;
}

static VKAPI_ATTR VkBool32 VKAPI_CALL on_debug_message(
    VkDebugUtilsMessageSeverityFlagBitsEXT severity, VkDebugUtilsMessageTypeFlagsEXT types,
    const VkDebugUtilsMessengerCallbackDataEXT *data, void *user) {
    (void)severity;
    (void)types;
    gpu_message on_message;
    memcpy(&on_message, user, sizeof on_message);
    on_message(data->pMessage);
    return VK_FALSE;
}

static bool has_layer(PFN_vkGetInstanceProcAddr get) {
    PFN_vkEnumerateInstanceLayerProperties enumerate = (PFN_vkEnumerateInstanceLayerProperties)get(
        VK_NULL_HANDLE, "vkEnumerateInstanceLayerProperties");
    uint32_t count = 0;
    if (enumerate == NULL || enumerate(&count, NULL) != VK_SUCCESS || count == 0) {
        return false;
    }
    VkLayerProperties *layers = calloc(count, sizeof *layers);
    bool found = false;
    if (layers != NULL && enumerate(&count, layers) == VK_SUCCESS) {
        for (uint32_t n = 0; n < count; n++) {
            found = found || strcmp(layers[n].layerName, LAYER) == 0;
        }
    }
    free(layers);
    return found;
}

static VkResult create_instance(struct gpu *gpu, gpu_message on_message) {
    // what the messenger's user pointer leads to; one function serves the whole program
    static gpu_message keep;
    keep = on_message;
    PFN_vkEnumerateInstanceVersion enumerate_version =
        (PFN_vkEnumerateInstanceVersion)gpu->GetInstanceProcAddr(VK_NULL_HANDLE,
                                                                 "vkEnumerateInstanceVersion");
    uint32_t offered = VK_API_VERSION_1_0;
    if (enumerate_version != NULL) {
        enumerate_version(&offered);
    }
    gpu->api_version =
        gpu->bare || offered < VK_API_VERSION_1_3 ? VK_API_VERSION_1_1 : VK_API_VERSION_1_3;

    static const char *const layers[] = { LAYER };
    static const char *const extensions[] = { VK_EXT_DEBUG_UTILS_EXTENSION_NAME };
    static const VkValidationFeatureEnableEXT enabled[] = {
        VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT
    };
    VkDebugUtilsMessengerCreateInfoEXT messenger = {
        .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
        .messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT |
                           VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT,
        .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT,
        .pfnUserCallback = on_debug_message,
        .pUserData = &keep,
    };
    VkValidationFeaturesEXT features = { .sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT,
                                         .pNext = &messenger,
                                         .enabledValidationFeatureCount = 1,
                                         .pEnabledValidationFeatures = enabled };
    VkApplicationInfo application = { .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                      .pApplicationName = "tulle tests",
                                      .apiVersion = gpu->api_version };
    VkInstanceCreateInfo info = { .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                  .pApplicationInfo = &application };
    if (on_message != NULL) {
        info.pNext = &features;
        info.enabledLayerCount = 1;
        info.ppEnabledLayerNames = layers;
        info.enabledExtensionCount = 1;
        info.ppEnabledExtensionNames = extensions;
    }
    PFN_vkCreateInstance create =
        (PFN_vkCreateInstance)gpu->GetInstanceProcAddr(VK_NULL_HANDLE, "vkCreateInstance");
    VkResult result = create(&info, NULL, &gpu->instance);
    if (result != VK_SUCCESS) {
        gpu->instance = VK_NULL_HANDLE;
        return result;
    }
#define X(name) gpu->name = (PFN_vk##name)gpu->GetInstanceProcAddr(gpu->instance, "vk" #name);
    GPU_INSTANCE_FUNCTIONS(X)
#undef X
    if (on_message != NULL) {
        PFN_vkCreateDebugUtilsMessengerEXT create_messenger =
            (PFN_vkCreateDebugUtilsMessengerEXT)gpu->GetInstanceProcAddr(
                gpu->instance, "vkCreateDebugUtilsMessengerEXT");
        result = create_messenger(gpu->instance, &messenger, NULL, &gpu->messenger);
    }
    return result;
}

static bool find_device(struct gpu *gpu, const uint8_t uuid[VK_UUID_SIZE]) {
    VkPhysicalDevice devices[16];
    uint32_t count = 16;
    VkResult result = gpu->EnumeratePhysicalDevices(gpu->instance, &count, devices);
    if (result != VK_SUCCESS && result != VK_INCOMPLETE) {
        return false;
    }
    for (uint32_t n = 0; n < count; n++) {
        VkPhysicalDeviceIDProperties id = { .sType =
                                                VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES };
        VkPhysicalDeviceProperties2 properties = {
            .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &id
        };
        gpu->GetPhysicalDeviceProperties2(devices[n], &properties);
        if (memcmp(id.deviceUUID, uuid, VK_UUID_SIZE) == 0) {
            gpu->physical_device = devices[n];
            if (properties.properties.apiVersion < gpu->api_version) {
                gpu->api_version = properties.properties.apiVersion;
            }
            return true;
        }
    }
    return false;
}

static VkResult create_device(struct gpu *gpu) {
    VkQueueFamilyProperties families[16];
    uint32_t count = 16;
    gpu->GetPhysicalDeviceQueueFamilyProperties(gpu->physical_device, &count, families);
    for (gpu->queue_family = 0; gpu->queue_family < count; gpu->queue_family++) {
        if ((families[gpu->queue_family].queueFlags & VK_QUEUE_COMPUTE_BIT) != 0) {
            break;
        }
    }
    if (gpu->queue_family == count) {
        return VK_ERROR_FEATURE_NOT_PRESENT;
    }
    const float priority = 1.0f;
    VkDeviceQueueCreateInfo queue = { .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                      .queueFamilyIndex = gpu->queue_family,
                                      .queueCount = 1,
                                      .pQueuePriorities = &priority };
    VkDeviceCreateInfo info = { .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                .queueCreateInfoCount = 1,
                                .pQueueCreateInfos = &queue };
    if (!gpu->bare) {
        info.pNext = &gpu->features.recommended;
        info.enabledExtensionCount = gpu->features.extension_count;
        info.ppEnabledExtensionNames = gpu->features.extensions;
    }
    VkResult result = gpu->CreateDevice(gpu->physical_device, &info, NULL, &gpu->device);
    if (result != VK_SUCCESS) {
        gpu->device = VK_NULL_HANDLE;
        return result;
    }
#define X(name) gpu->name = (PFN_vk##name)gpu->GetDeviceProcAddr(gpu->device, "vk" #name);
    GPU_DEVICE_FUNCTIONS(X)
#undef X
    gpu->GetDeviceQueue(gpu->device, gpu->queue_family, 0, &gpu->queue);
    VkCommandPoolCreateInfo pool = { .sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                     .queueFamilyIndex = gpu->queue_family };
    return gpu->CreateCommandPool(gpu->device, &pool, NULL, &gpu->pool);
}

bool gpu_open(struct gpu *gpu, const uint8_t uuid[VK_UUID_SIZE], bool bare, gpu_message on_message,
              char *why, size_t size) {
    memset(gpu, 0, sizeof *gpu);
    gpu->bare = bare;
    gpu->GetInstanceProcAddr = gpu_loader();
    if (gpu->GetInstanceProcAddr == NULL) {
        snprintf(why, size, "no Vulkan loader");
        return false;
    }
    if (on_message != NULL && !has_layer(gpu->GetInstanceProcAddr)) {
        snprintf(why, size, LAYER " is not installed");
        return false;
    }
    VkResult result = create_instance(gpu, on_message);
    if (result != VK_SUCCESS) {
        snprintf(why, size, "vkCreateInstance gave VkResult %d", (int)result);
        gpu_close(gpu);
        return false;
    }
    if (!find_device(gpu, uuid)) {
        snprintf(why, size, "the device is not there");
        gpu_close(gpu);
        return false;
    }
    tulle_error error = { 0 };
    if (!bare &&
        tulle_required_features(gpu->GetInstanceProcAddr, gpu->instance, gpu->physical_device,
                                &gpu->features, &error) != TULLE_OK) {
        snprintf(why, size, "tulle_required_features: %s", error.message);
        gpu_close(gpu);
        return false;
    }
    result = create_device(gpu);
    if (result != VK_SUCCESS) {
        snprintf(why, size, "vkCreateDevice gave VkResult %d", (int)result);
        gpu_close(gpu);
        return false;
    }
    gpu->GetPhysicalDeviceMemoryProperties(gpu->physical_device, &gpu->memory);
    return true;
}

void gpu_close(struct gpu *gpu) {
    if (gpu->device != VK_NULL_HANDLE) {
        gpu->DestroyCommandPool(gpu->device, gpu->pool, NULL);
        gpu->DestroyDevice(gpu->device, NULL);
    }
    if (gpu->messenger != VK_NULL_HANDLE) {
        PFN_vkDestroyDebugUtilsMessengerEXT destroy =
            (PFN_vkDestroyDebugUtilsMessengerEXT)gpu->GetInstanceProcAddr(
                gpu->instance, "vkDestroyDebugUtilsMessengerEXT");
        destroy(gpu->instance, gpu->messenger, NULL);
    }
    if (gpu->instance != VK_NULL_HANDLE) {
        gpu->DestroyInstance(gpu->instance, NULL);
    }
    memset(gpu, 0, sizeof *gpu);
}

tulle_vulkan_import gpu_import(const struct gpu *gpu) {
    return (tulle_vulkan_import){
        .get_instance_proc_addr = gpu->GetInstanceProcAddr,
        .instance = gpu->instance,
        .physical_device = gpu->physical_device,
        .device = gpu->device,
        .queue = gpu->queue,
        .queue_family = gpu->queue_family,
        .api_version = gpu->api_version,
        .features = gpu->bare ? NULL : &gpu->features.recommended,
        .extensions = gpu->bare ? NULL : gpu->features.extensions,
        .extension_count = gpu->bare ? 0 : gpu->features.extension_count,
    };
}

struct gpu_buffer gpu_buffer_create(const struct gpu *gpu, VkDeviceSize size,
                                    VkBufferUsageFlags usage) {
    struct gpu_buffer buffer = { .size = size };
    VkBufferCreateInfo info = { .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                                .size = size,
                                .usage = usage };
    must(gpu->CreateBuffer(gpu->device, &info, NULL, &buffer.buffer), "vkCreateBuffer");
    VkMemoryRequirements requirements;
    gpu->GetBufferMemoryRequirements(gpu->device, buffer.buffer, &requirements);
    const VkMemoryPropertyFlags wanted =
        VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    uint32_t type = 0;
    while ((requirements.memoryTypeBits >> type & 1) == 0 ||
           (gpu->memory.memoryTypes[type].propertyFlags & wanted) != wanted) {
        type++;
        if (type == gpu->memory.memoryTypeCount) {
            must(VK_ERROR_FEATURE_NOT_PRESENT, "the search for host-visible memory");
        }
    }
    VkMemoryAllocateFlagsInfo flags = { .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
                                        .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT };
    VkMemoryAllocateInfo allocate = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
        .pNext = (usage & VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT) != 0 ? &flags : NULL,
        .allocationSize = requirements.size,
        .memoryTypeIndex = type
    };
    must(gpu->AllocateMemory(gpu->device, &allocate, NULL, &buffer.memory), "vkAllocateMemory");
    must(gpu->BindBufferMemory(gpu->device, buffer.buffer, buffer.memory, 0), "vkBindBufferMemory");
    void *mapped = NULL;
    must(gpu->MapMemory(gpu->device, buffer.memory, 0, VK_WHOLE_SIZE, 0, &mapped), "vkMapMemory");
    buffer.mapped = mapped;
    return buffer;
}

void gpu_buffer_destroy(const struct gpu *gpu, struct gpu_buffer *buffer) {
    gpu->DestroyBuffer(gpu->device, buffer->buffer, NULL);
    gpu->FreeMemory(gpu->device, buffer->memory, NULL);
    memset(buffer, 0, sizeof *buffer);
}

VkCommandBuffer gpu_begin(const struct gpu *gpu) {
    VkCommandBufferAllocateInfo allocate = { .sType =
                                                 VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                             .commandPool = gpu->pool,
                                             .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                             .commandBufferCount = 1 };
    VkCommandBuffer cmd = VK_NULL_HANDLE;
    must(gpu->AllocateCommandBuffers(gpu->device, &allocate, &cmd), "vkAllocateCommandBuffers");
    VkCommandBufferBeginInfo begin = { .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                       .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT };
    must(gpu->BeginCommandBuffer(cmd, &begin), "vkBeginCommandBuffer");
    return cmd;
}

void gpu_barrier(const struct gpu *gpu, VkCommandBuffer cmd) {
    VkMemoryBarrier barrier = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
        .srcAccessMask = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT,
        .dstAccessMask =
            VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_HOST_READ_BIT,
    };
    gpu->CmdPipelineBarrier(cmd, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
                            VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_HOST_BIT, 0, 1,
                            &barrier, 0, NULL, 0, NULL);
}

void gpu_finish(const struct gpu *gpu, VkCommandBuffer cmd) {
    must(gpu->EndCommandBuffer(cmd), "vkEndCommandBuffer");
    VkSubmitInfo submit = { .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                            .commandBufferCount = 1,
                            .pCommandBuffers = &cmd };
    must(gpu->QueueSubmit(gpu->queue, 1, &submit, VK_NULL_HANDLE), "vkQueueSubmit");
    must(gpu->QueueWaitIdle(gpu->queue), "vkQueueWaitIdle");
    gpu->FreeCommandBuffers(gpu->device, gpu->pool, 1, &cmd);
}
