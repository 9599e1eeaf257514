// SPDX-License-Identifier: MIT
#include "device/vulkan.h"

#include <string.h>

#include "common/thread.h"

PFN_vkGetInstanceProcAddr vulkan_loader(void) {
    // written once, under process_lock; volk keeps the library open
    static PFN_vkGetInstanceProcAddr loader;
    PFN_vkGetInstanceProcAddr found;

    process_lock();
    if (!loader && volkInitialize() == VK_SUCCESS) loader = vkGetInstanceProcAddr;
    found = loader;
    process_unlock();
    return found;
}

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
    vk->matrix_properties = get(instance, "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR");
    return TULLE_OK;
}

tulle_result vulkan_load_device(struct vulkan *vk, VkDevice device, tulle_error *error) {
    PFN_vkGetDeviceProcAddr before;

    // volkLoadDeviceTable asks volk's global vkGetDeviceProcAddr, which belongs to no instance in
    // particular: it is ours while we hold the lock.
    process_lock();
    before = vkGetDeviceProcAddr;
    vkGetDeviceProcAddr = vk->vkGetDeviceProcAddr;
    volkLoadDeviceTable(&vk->device, device);
    vkGetDeviceProcAddr = before;
    process_unlock();

    // Of Vulkan 1.0's functions one stands for all: a device has them together or is no device of
    // this instance.
    if (!vk->device.vkQueueSubmit || !vk->device.vkCreateBuffer || !vk->device.vkCmdDispatch)
        return tulle_fail(
            error, TULLE_ERROR_NO_VULKAN,
            "vkGetDeviceProcAddr of the instance does not know the device's functions");
    return TULLE_OK;
}
