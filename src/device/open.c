// SPDX-License-Identifier: MIT
#include "device/open.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/thread.h"
#include "device/instance.h"

// -------------------------------------------------------------------------------------------------
// Parameters

static tulle_result check_import(const tulle_vulkan_import *import, tulle_error *error) {
    const struct {
        const char *name;
        bool given;
    } handles[] = { { "instance", import->instance != VK_NULL_HANDLE },
                    { "physical_device", import->physical_device != VK_NULL_HANDLE },
                    { "device", import->device != VK_NULL_HANDLE },
                    { "queue", import->queue != VK_NULL_HANDLE } };
    for (size_t i = 0; i < sizeof handles / sizeof handles[0]; i++)
        if (!handles[i].given)
            return tulle_fail(error, TULLE_ERROR_INVALID_ARGUMENT,
                              "import.%s is VK_NULL_HANDLE; a valid handle is needed",
                              handles[i].name);
    if (import->api_version != 0 && import->api_version < VK_API_VERSION_1_1)
        return tulle_fail(error, TULLE_ERROR_INVALID_ARGUMENT,
                          "import.api_version is %u.%u; allowed: VK_API_VERSION_1_1 or later, or 0",
                          VK_API_VERSION_MAJOR(import->api_version),
                          VK_API_VERSION_MINOR(import->api_version));
    if (import->features && import->features->sType != VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2)
        return tulle_fail(
            error, TULLE_ERROR_INVALID_ARGUMENT,
            "import.features->sType is %d; allowed: VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2 (%d)",
            (int)import->features->sType, (int)VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2);
    if (import->extension_count > 0 && !import->extensions)
        return tulle_fail(error, TULLE_ERROR_INVALID_ARGUMENT,
                          "import.extensions is NULL while import.extension_count is %u",
                          import->extension_count);
    if (!import->lock_queue != !import->unlock_queue)
        return tulle_fail(error, TULLE_ERROR_INVALID_ARGUMENT,
                          "import.%s is NULL while import.%s is not; give both or neither",
                          import->lock_queue ? "unlock_queue" : "lock_queue",
                          import->lock_queue ? "lock_queue" : "unlock_queue");
    return TULLE_OK;
}

static tulle_result check_params(const tulle_context_params *params, tulle_error *error) {
    if (params->clamp != TULLE_CLAMP_NONE && params->clamp != TULLE_CLAMP_VULKAN_1_1)
        return tulle_fail(
            error, TULLE_ERROR_INVALID_ARGUMENT,
            "params.clamp is %d; allowed: TULLE_CLAMP_NONE (0), TULLE_CLAMP_VULKAN_1_1 (1)",
            (int)params->clamp);
    if (params->allocator && (!params->allocator->pfnAllocation ||
                              !params->allocator->pfnReallocation || !params->allocator->pfnFree))
        return tulle_fail(
            error, TULLE_ERROR_INVALID_ARGUMENT,
            "params.allocator lacks pfnAllocation, pfnReallocation or pfnFree; Vulkan needs all three");
    if (params->memory && (!params->memory->allocate || !params->memory->free))
        return tulle_fail(error, TULLE_ERROR_INVALID_ARGUMENT,
                          "params.memory->%s is NULL; both callbacks are needed",
                          params->memory->allocate ? "free" : "allocate");
    if (params->cache && !params->cache->read && !params->cache->write)
        return tulle_fail(error, TULLE_ERROR_INVALID_ARGUMENT,
                          "params.cache->read and params.cache->write are NULL; one is needed");
    if (params->import) return check_import(params->import, error);
    if ((int)params->device_by < (int)TULLE_DEVICE_BEST ||
        (int)params->device_by > (int)TULLE_DEVICE_BY_NAME)
        return tulle_fail(
            error, TULLE_ERROR_INVALID_ARGUMENT,
            "params.device_by is %d; allowed: 0 (TULLE_DEVICE_BEST) to 3 (TULLE_DEVICE_BY_NAME)",
            (int)params->device_by);
    if (params->device_by == TULLE_DEVICE_BY_NAME &&
        (!params->device_name || !params->device_name[0]))
        return tulle_fail(
            error, TULLE_ERROR_INVALID_ARGUMENT,
            "params.device_name is %s with TULLE_DEVICE_BY_NAME; allowed: a part of a device's name",
            params->device_name ? "\"\"" : "NULL");
    return TULLE_OK;
}

// -------------------------------------------------------------------------------------------------
// An own device

static VKAPI_ATTR VkBool32 VKAPI_CALL validation_message(
    VkDebugUtilsMessageSeverityFlagBitsEXT severity, VkDebugUtilsMessageTypeFlagsEXT types,
    const VkDebugUtilsMessengerCallbackDataEXT *data, void *user) {
    char message[1900];
    (void)types;
    // Newer layers write several lines, and leave the name of the rule to the caller.
    snprintf(message, sizeof message, "%s: %s",
             data->pMessageIdName ? data->pMessageIdName : "no id", data->pMessage);
    for (char *c = message; *c; c++)
        if (*c == '\n') *c = ' ';
    context_log(user,
                severity & VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT ? TULLE_LOG_ERROR
                                                                         : TULLE_LOG_WARNING,
                "Vulkan validation: %s", message);
    return VK_FALSE;  // the call goes on as without the layer
}

/// Creates the device with what is offered and of use, or with nothing where the caller clamps.
static tulle_result create_device(tulle_context *context, const struct device_offer *offer,
                                  tulle_clamp clamp, struct device_features *enabled,
                                  tulle_error *error) {
    const float priority = 1.0f;
    VkPhysicalDeviceBufferDeviceAddressFeatures address = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES,
        .bufferDeviceAddress = VK_TRUE
    };
    VkPhysicalDeviceSubgroupSizeControlFeatures size = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES,
        .subgroupSizeControl = VK_TRUE
    };
    VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR executable = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR,
        .pipelineExecutableInfo = VK_TRUE
    };
    tulle_matrix_features matrix;
    VkDeviceQueueCreateInfo queue = { .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                      .queueFamilyIndex = context->queue_family,
                                      .queueCount = 1,
                                      .pQueuePriorities = &priority };
    const char *extensions[8];
    VkDeviceCreateInfo info = { .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                .queueCreateInfoCount = 1,
                                .pQueueCreateInfos = &queue,
                                .ppEnabledExtensionNames = extensions };
    VkResult result;

    memset(enabled, 0, sizeof *enabled);
    enabled->api_version = offer->features.api_version;
    // Vulkan demands that it is enabled wherever it is listed (MoltenVK)
    if (offer->portability_subset)
        extensions[info.enabledExtensionCount++] = "VK_KHR_portability_subset";
    if (clamp == TULLE_CLAMP_NONE) {
        *enabled = offer->features;
        if (enabled->buffer_device_address) {
            address.pNext = (void *)info.pNext;
            info.pNext = &address;
            if (enabled->api_version < VK_API_VERSION_1_2)
                extensions[info.enabledExtensionCount++] =
                    VK_KHR_BUFFER_DEVICE_ADDRESS_EXTENSION_NAME;
        }
        if (enabled->subgroup_size_control) {
            size.pNext = (void *)info.pNext;
            info.pNext = &size;
            if (enabled->api_version < VK_API_VERSION_1_3)
                extensions[info.enabledExtensionCount++] =
                    VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME;
        }
        if (enabled->matrix) {
            size.computeFullSubgroups = VK_TRUE;
            info.pNext = matrix_chain(&matrix, enabled->matrix_bf16, enabled->matrix_reduce,
                                      (void *)info.pNext);
            matrix_chain_enable(&matrix, enabled->matrix_bf16, enabled->matrix_reduce);
            extensions[info.enabledExtensionCount++] = MATRIX_EXTENSION;
            if (enabled->matrix_bf16) extensions[info.enabledExtensionCount++] = BFLOAT16_EXTENSION;
            if (enabled->matrix_reduce)
                extensions[info.enabledExtensionCount++] = MATRIX2_EXTENSION;
        }
        if (enabled->executable_properties) {
            executable.pNext = (void *)info.pNext;
            info.pNext = &executable;
            extensions[info.enabledExtensionCount++] =
                VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME;
        }
    }
    // The loader finds a device's functions by walking its lists of instances and devices without a
    // lock, so nothing of ours changes them meanwhile (docs/drivers.md).
    process_lock();
    result = context->vk.vkCreateDevice(context->physical_device, &info, context->allocator,
                                        &context->device);
    process_unlock();
    if (result != VK_SUCCESS) {
        context->device = VK_NULL_HANDLE;
        return tulle_fail_vk(error, result, "vkCreateDevice");
    }
    return TULLE_OK;
}

static tulle_result open_own(tulle_context *context, const tulle_context_params *params,
                             struct device_offer *offer, struct device_features *enabled,
                             tulle_error *error) {
    // With the clamp we are a program of Vulkan 1.1, so that the validation layer sees what is not.
    uint32_t api_version =
        params->clamp == TULLE_CLAMP_VULKAN_1_1 ? VK_API_VERSION_1_1 : VK_API_VERSION_1_3;
    VkDebugUtilsMessengerCreateInfoEXT messenger = {
        .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
        .messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT |
                           VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT,
        // Not GENERAL: the loader's own messages about other people's drivers are no errors of
        // ours.
        .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT |
                       VK_DEBUG_UTILS_MESSAGE_TYPE_PERFORMANCE_BIT_EXT,
        .pfnUserCallback = validation_message,
        .pUserData = context
    };
    struct instance instance;
    VkPhysicalDevice *devices;
    uint32_t count;
    tulle_result code;

    context->own_device = true;
    code = instance_create(api_version, params->validation ? &messenger : NULL, context->allocator,
                           &context->vk, &instance, error);
    if (code != TULLE_OK) return code;
    context->instance = instance.handle;
    if (params->validation) {  // also without a log: a layer that nobody listens to prints
        VkResult result;
        if (!context->vk.vkCreateDebugUtilsMessengerEXT ||
            !context->vk.vkDestroyDebugUtilsMessengerEXT)
            return tulle_fail(
                error, TULLE_ERROR_UNSUPPORTED,
                "params.validation is true, but the instance has no vkCreateDebugUtilsMessengerEXT");
        result = context->vk.vkCreateDebugUtilsMessengerEXT(
            context->instance, &messenger, context->allocator, &context->messenger);
        if (result != VK_SUCCESS) {
            context->messenger = VK_NULL_HANDLE;
            return tulle_fail_vk(error, result, "vkCreateDebugUtilsMessengerEXT");
        }
    }
    code = instance_physical_devices(&context->vk, context->instance, &devices, &count, error);
    if (code != TULLE_OK) return code;
    code = device_choose(context, params, devices, count, error);
    free(devices);
    if (code == TULLE_OK)
        code =
            caps_offer(&context->vk, context->physical_device, instance.api_version, offer, error);
    if (code == TULLE_OK) code = create_device(context, offer, params->clamp, enabled, error);
    if (code == TULLE_OK) code = vulkan_load_device(&context->vk, context->device, error);
    if (code == TULLE_OK)
        context->vk.device.vkGetDeviceQueue(context->device, context->queue_family, 0,
                                            &context->queue);
    return code;
}

// -------------------------------------------------------------------------------------------------
// An imported device

static tulle_result open_import(tulle_context *context, const tulle_vulkan_import *import,
                                struct device_offer *offer, struct device_features *enabled,
                                tulle_error *error) {
    PFN_vkGetInstanceProcAddr get =
        import->get_instance_proc_addr ? import->get_instance_proc_addr : vulkan_loader();
    uint32_t api_version = import->api_version ? import->api_version : VK_API_VERSION_1_1;
    tulle_result code;

    context->instance = import->instance;
    context->physical_device = import->physical_device;
    context->device = import->device;
    context->queue = import->queue;
    context->queue_family = import->queue_family;
    context->index = UINT32_MAX;
    context->lock_queue = import->lock_queue;
    context->unlock_queue = import->unlock_queue;
    context->queue_user = import->queue_user;
    if (!get)
        return tulle_fail(
            error, TULLE_ERROR_NO_VULKAN,
            "import.get_instance_proc_addr is NULL and no Vulkan loader could be opened");
    code = vulkan_load_instance(&context->vk, get, import->instance, error);
    if (code == TULLE_OK) code = vulkan_load_device(&context->vk, import->device, error);
    if (code == TULLE_OK)
        code = caps_offer(&context->vk, import->physical_device, api_version, offer, error);
    if (code != TULLE_OK) return code;
    if (offer->features.api_version < VK_API_VERSION_1_1)
        return tulle_fail(error, TULLE_ERROR_NO_DEVICE,
                          "import.physical_device offers Vulkan 1.0, Tulle needs 1.1 or later");
    char passed_over[600];
    caps_imported_features(import, offer->features.api_version, &offer->features, enabled,
                           passed_over, sizeof passed_over);
    if (passed_over[0])
        context_log(context, TULLE_LOG_WARNING,
                    "import.features says what is taken as not enabled: %s", passed_over);
    return TULLE_OK;
}

// -------------------------------------------------------------------------------------------------
// Both

/// The device's caps, from its offer and from what is enabled.
static tulle_result learn_caps(tulle_context *context, const struct device_offer *offer,
                               const struct device_features *enabled, tulle_clamp clamp,
                               tulle_error *error) {
    uint32_t count;
    VkQueueFamilyProperties *families =
        caps_queue_families(&context->vk, context->physical_device, &count);
    const char *wrong = NULL;
    if (!families)
        return tulle_fail(error, TULLE_ERROR_OUT_OF_HOST_MEMORY,
                          "no memory for the list of queue families");
    if (context->queue_family >= count) wrong = "is not there";
    else if (!(families[context->queue_family].queueFlags & VK_QUEUE_COMPUTE_BIT))
        wrong = "lacks VK_QUEUE_COMPUTE_BIT";
    if (!wrong)
        caps_fill(&context->vk, context->physical_device, offer, enabled,
                  &families[context->queue_family], &context->caps);
    free(families);
    if (wrong)
        return tulle_fail(error, TULLE_ERROR_INVALID_ARGUMENT,
                          "import.queue_family is %u, which %s; the device has %u families",
                          context->queue_family, wrong, count);
    // An import may say more than is true; a feature whose functions are not there is not enabled.
    if (!context->vk.device.vkGetBufferDeviceAddress &&
        !context->vk.device.vkGetBufferDeviceAddressKHR)
        context->caps.buffer_device_address = false;
    if (!context->vk.device.vkGetPipelineExecutablePropertiesKHR ||
        !context->vk.device.vkGetPipelineExecutableStatisticsKHR)
        context->caps.executable_properties = false;
    quirks_apply(&context->caps);
    caps_clamp(&context->caps, clamp);
    context->vk.vkGetPhysicalDeviceMemoryProperties(context->physical_device,
                                                    &context->memory_properties);
    return TULLE_OK;
}

tulle_result device_open(tulle_context *context, const tulle_context_params *params,
                         tulle_error *error) {
    struct device_offer offer;
    struct device_features enabled;
    tulle_result code = check_params(params, error);
    if (code == TULLE_OK)
        code = params->import ? open_import(context, params->import, &offer, &enabled, error)
                              : open_own(context, params, &offer, &enabled, error);
    return code != TULLE_OK ? code : learn_caps(context, &offer, &enabled, params->clamp, error);
}

void device_close(tulle_context *context) {
    if (!context->own_device) return;
    // Where loading its functions failed there is nothing to destroy it with but the instance's way
    // of asking.
    PFN_vkDestroyDevice destroy = context->vk.device.vkDestroyDevice;
    process_lock();  // see vkCreateDevice
    if (context->device && !destroy)
        destroy = (PFN_vkDestroyDevice)context->vk.vkGetDeviceProcAddr(context->device,
                                                                       "vkDestroyDevice");
    if (context->device && destroy) destroy(context->device, context->allocator);
    process_unlock();
    if (context->messenger)
        context->vk.vkDestroyDebugUtilsMessengerEXT(context->instance, context->messenger,
                                                    context->allocator);
    if (context->instance) instance_destroy(&context->vk, context->instance, context->allocator);
}
