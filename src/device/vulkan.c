// SPDX-License-Identifier: MIT
#include "device/vulkan.h"

#include <string.h>

#include "common/thread.h"

tulle_result vulkan_load_instance(struct vulkan *vk, PFN_vkGetInstanceProcAddr get,
                                  VkInstance instance, tulle_error *error) {
    memset(vk, 0, sizeof *vk);
    vk->vkGetInstanceProcAddr = get;
#define X(name)                                                                                   \
    vk->name = (PFN_##name)get(instance, #name);                                                  \
    if (!vk->name)                                                                                \
        return tulle_fail(error, TULLE_ERROR_NO_VULKAN,                                           \
                          "the Vulkan instance has no %s: Tulle needs an instance of Vulkan 1.1", \
                          #name);
    TULLE_INSTANCE_FUNCTIONS(X)
#undef X
    vk->vkCreateDebugUtilsMessengerEXT =
        (PFN_vkCreateDebugUtilsMessengerEXT)get(instance, "vkCreateDebugUtilsMessengerEXT");
    vk->vkDestroyDebugUtilsMessengerEXT =
        (PFN_vkDestroyDebugUtilsMessengerEXT)get(instance, "vkDestroyDebugUtilsMessengerEXT");
    return TULLE_OK;
}

tulle_result vulkan_load_device(struct vulkan *vk, VkDevice device, tulle_error *error) {
    struct device_functions *to = &vk->device;
    bool complete = true;

    process_lock();  // what the loader walks to find them changes under the same lock: open.c
#define X(name) to->name = (PFN_##name)vk->vkGetDeviceProcAddr(device, #name);
    TULLE_DEVICE_FUNCTIONS(X)
    TULLE_DEVICE_OPTIONAL_FUNCTIONS(X)
#undef X
    process_unlock();

#define X(name) complete = complete && to->name;
    TULLE_DEVICE_FUNCTIONS(X)
#undef X
    if (!complete)
        return tulle_fail(
            error, TULLE_ERROR_NO_VULKAN,
            "vkGetDeviceProcAddr of the instance does not know the device's functions");
    return TULLE_OK;
}
