// SPDX-License-Identifier: MIT
#include "device/instance.h"

#include <stdlib.h>
#include <string.h>

#include "device/caps.h"
#include "common/thread.h"

#define VALIDATION_LAYER "VK_LAYER_KHRONOS_validation"

/// Does the loader (layer NULL) or the layer have the instance extension?
static VkResult has_extension(PFN_vkEnumerateInstanceExtensionProperties enumerate,
                              const char *layer, const char *name, bool *has) {
    VkExtensionProperties *list = NULL;
    uint32_t count = 0;
    VkResult result;

    *has = false;
    do {
        result = enumerate(layer, &count, NULL);
        if (result != VK_SUCCESS) break;
        free(list);
        list = malloc((count + 1) * sizeof *list);
        if (!list) return VK_ERROR_OUT_OF_HOST_MEMORY;
        result = enumerate(layer, &count, list);
    } while (result == VK_INCOMPLETE);
    for (uint32_t i = 0; result == VK_SUCCESS && i < count; i++)
        if (strcmp(list[i].extensionName, name) == 0) *has = true;
    free(list);
    return result;
}

static VkResult has_layer(PFN_vkEnumerateInstanceLayerProperties enumerate, const char *name,
                          bool *has) {
    VkLayerProperties *list = NULL;
    uint32_t count = 0;
    VkResult result;

    *has = false;
    do {
        result = enumerate(&count, NULL);
        if (result != VK_SUCCESS) break;
        free(list);
        list = malloc((count + 1) * sizeof *list);
        if (!list) return VK_ERROR_OUT_OF_HOST_MEMORY;
        result = enumerate(&count, list);
    } while (result == VK_INCOMPLETE);
    for (uint32_t i = 0; result == VK_SUCCESS && i < count; i++)
        if (strcmp(list[i].layerName, name) == 0) *has = true;
    free(list);
    return result;
}

/// Is the validation layer there, with the extensions that turn synchronization on and bring its
/// messages to us?
static tulle_result check_validation(PFN_vkGetInstanceProcAddr get,
                                     PFN_vkEnumerateInstanceExtensionProperties extensions,
                                     tulle_error *error) {
    static const char *const needed[] = { VK_EXT_DEBUG_UTILS_EXTENSION_NAME,
                                          VK_EXT_VALIDATION_FEATURES_EXTENSION_NAME };
    PFN_vkEnumerateInstanceLayerProperties layers = (PFN_vkEnumerateInstanceLayerProperties)get(
        VK_NULL_HANDLE, "vkEnumerateInstanceLayerProperties");
    bool has = false;
    VkResult result = layers ? has_layer(layers, VALIDATION_LAYER, &has) : VK_SUCCESS;

    if (result != VK_SUCCESS)
        return tulle_fail_vk(error, result, "vkEnumerateInstanceLayerProperties");
    if (!has)
        return tulle_fail(error, TULLE_ERROR_UNSUPPORTED,
                          "params.validation is true, but " VALIDATION_LAYER " is not installed");
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        result = has_extension(extensions, VALIDATION_LAYER, needed[i], &has);
        if (result == VK_SUCCESS && !has) result = has_extension(extensions, NULL, needed[i], &has);
        if (result != VK_SUCCESS)
            return tulle_fail_vk(error, result, "vkEnumerateInstanceExtensionProperties");
        if (!has)
            return tulle_fail(error, TULLE_ERROR_UNSUPPORTED,
                              "params.validation is true, but " VALIDATION_LAYER " here lacks %s",
                              needed[i]);
    }
    return TULLE_OK;
}

/// What there is before an instance.
struct loader {
    PFN_vkGetInstanceProcAddr get;
    PFN_vkCreateInstance create;
    PFN_vkEnumerateInstanceExtensionProperties extensions;
    uint32_t version;
};

static tulle_result find_loader(struct loader *loader, tulle_error *error) {
    PFN_vkEnumerateInstanceVersion version;
    VkResult result;
    loader->get = vulkan_loader();
    loader->version = VK_API_VERSION_1_0;  // a loader of 1.0 has no function to say so
    if (!loader->get)
        return tulle_fail(error, TULLE_ERROR_NO_VULKAN,
                          "no Vulkan loader could be opened (libvulkan or vulkan-1)");
    loader->create = (PFN_vkCreateInstance)loader->get(VK_NULL_HANDLE, "vkCreateInstance");
    version =
        (PFN_vkEnumerateInstanceVersion)loader->get(VK_NULL_HANDLE, "vkEnumerateInstanceVersion");
    loader->extensions = (PFN_vkEnumerateInstanceExtensionProperties)loader->get(
        VK_NULL_HANDLE, "vkEnumerateInstanceExtensionProperties");
    if (!loader->create || !loader->extensions)
        return tulle_fail(error, TULLE_ERROR_NO_VULKAN,
                          "the Vulkan loader has no vkCreateInstance");
    if (version && (result = version(&loader->version)) != VK_SUCCESS)
        return tulle_fail_vk(error, result, "vkEnumerateInstanceVersion");
    if (loader->version < VK_API_VERSION_1_1)
        return tulle_fail(error, TULLE_ERROR_NO_VULKAN,
                          "the Vulkan loader offers Vulkan %u.%u, Tulle needs 1.1 or later",
                          VK_API_VERSION_MAJOR(loader->version),
                          VK_API_VERSION_MINOR(loader->version));
    return TULLE_OK;
}

static tulle_result make_instance(const struct loader *loader, const VkInstanceCreateInfo *info,
                                  const VkAllocationCallbacks *allocator, VkInstance *out,
                                  tulle_error *error) {
    VkResult result;
    // Loaders and the layers that systems put in keep globals of their own, and died while two
    // threads made instances (docs/drivers.md). One at a time costs nothing.
    process_lock();
    result = loader->create(info, allocator, out);
    process_unlock();
    if (result == VK_SUCCESS) return TULLE_OK;
    *out = VK_NULL_HANDLE;
    if (result == VK_ERROR_INCOMPATIBLE_DRIVER)
        return tulle_fail(error, TULLE_ERROR_NO_DEVICE,
                          "no Vulkan driver is installed (vkCreateInstance: %s)",
                          tulle_vk_result_name(result));
    if (result == VK_ERROR_LAYER_NOT_PRESENT)
        return tulle_fail(error, TULLE_ERROR_UNSUPPORTED,
                          "params.validation is true, but " VALIDATION_LAYER
                          " could not be loaded");
    return tulle_fail_vk(error, result, "vkCreateInstance");
}

/// Its functions; without them it is destroyed.
static tulle_result load_functions(struct vulkan *vk, const struct loader *loader,
                                   const VkAllocationCallbacks *allocator,
                                   struct instance *instance, tulle_error *error) {
    tulle_result code = vulkan_load_instance(vk, loader->get, instance->handle, error);
    if (code == TULLE_OK) return TULLE_OK;
    PFN_vkDestroyInstance destroy =
        (PFN_vkDestroyInstance)loader->get(instance->handle, "vkDestroyInstance");
    process_lock();
    if (destroy) destroy(instance->handle, allocator);
    process_unlock();
    memset(instance, 0, sizeof *instance);
    return code;
}

tulle_result instance_create(uint32_t api_version,
                             const VkDebugUtilsMessengerCreateInfoEXT *messenger,
                             const VkAllocationCallbacks *allocator, struct vulkan *vk,
                             struct instance *out, tulle_error *error) {
    static const VkValidationFeatureEnableEXT synchronization =
        VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT;
    static const char *const layer = VALIDATION_LAYER;
    struct loader loader;
    const char *enabled[4];
    VkApplicationInfo application = { .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                      .pEngineName = "tulle",
                                      .engineVersion =
                                          VK_MAKE_VERSION(TULLE_VERSION_MAJOR, TULLE_VERSION_MINOR,
                                                          TULLE_VERSION_PATCH) };
    VkInstanceCreateInfo info = { .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                  .pApplicationInfo = &application,
                                  .ppEnabledExtensionNames = enabled };
    VkValidationFeaturesEXT features = { .sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT,
                                         .pNext = messenger,
                                         .enabledValidationFeatureCount = 1,
                                         .pEnabledValidationFeatures = &synchronization };
    bool portability = false;
    VkResult result;

    memset(vk, 0, sizeof *vk);
    memset(out, 0, sizeof *out);
    tulle_result code = find_loader(&loader, error);
    if (code != TULLE_OK) return code;
    application.apiVersion = api_version < loader.version ? api_version : loader.version;
    if (messenger) {
        code = check_validation(loader.get, loader.extensions, error);
        if (code != TULLE_OK) return code;
        info.pNext = &features;
        info.enabledLayerCount = 1;
        info.ppEnabledLayerNames = &layer;
        enabled[info.enabledExtensionCount++] = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
        enabled[info.enabledExtensionCount++] = VK_EXT_VALIDATION_FEATURES_EXTENSION_NAME;
    }
    // Loaders hide drivers that are Vulkan only in part (MoltenVK) from those who do not ask.
    result = has_extension(loader.extensions, NULL, VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME,
                           &portability);
    if (result != VK_SUCCESS)
        return tulle_fail_vk(error, result, "vkEnumerateInstanceExtensionProperties");
    if (portability) {
        enabled[info.enabledExtensionCount++] = VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME;
        info.flags |= VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR;
    }
    code = make_instance(&loader, &info, allocator, &out->handle, error);
    if (code != TULLE_OK) return code;
    out->api_version = application.apiVersion;
    return load_functions(vk, &loader, allocator, out, error);
}

void instance_destroy(const struct vulkan *vk, VkInstance instance,
                      const VkAllocationCallbacks *allocator) {
    process_lock();
    vk->vkDestroyInstance(instance, allocator);
    process_unlock();
}

/// Where one of the devices' drivers must stay loaded (quirks.c), sees to it that an instance lives
/// for good: with it the loader keeps every driver. Where none can be had we go without.
static void keep_drivers(const struct vulkan *vk, const VkPhysicalDevice *devices, uint32_t count) {
    static VkInstance keeper;  // under process_lock; never destroyed
    bool wanted = false;

    for (uint32_t i = 0; i < count && !wanted; i++) {
        VkPhysicalDeviceProperties2 properties = {
            .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2
        };
        vk->vkGetPhysicalDeviceProperties2(devices[i], &properties);
        wanted = quirks_driver_must_stay(properties.properties.vendorID);
    }
    process_lock();
    if (wanted && !keeper) {
        // One of its own: the caller's has the host's allocator, and may have validation.
        const VkApplicationInfo application = { .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                                .apiVersion = VK_API_VERSION_1_1 };
        const VkInstanceCreateInfo info = { .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                            .pApplicationInfo = &application };
        const PFN_vkCreateInstance create =
            (PFN_vkCreateInstance)vk->vkGetInstanceProcAddr(VK_NULL_HANDLE, "vkCreateInstance");
        if (create && create(&info, NULL, &keeper) != VK_SUCCESS) keeper = VK_NULL_HANDLE;
    }
    process_unlock();
}

tulle_result instance_physical_devices(const struct vulkan *vk, VkInstance instance,
                                       VkPhysicalDevice **out, uint32_t *count,
                                       tulle_error *error) {
    VkResult result;

    *out = NULL;
    *count = 0;
    do {  // a device may be plugged in between the two calls
        process_lock();
        result = vk->vkEnumeratePhysicalDevices(instance, count, NULL);
        process_unlock();
        if (result != VK_SUCCESS) break;
        free(*out);
        *out = calloc(*count + 1, sizeof **out);
        if (!*out)
            return tulle_fail(error, TULLE_ERROR_OUT_OF_HOST_MEMORY,
                              "no memory for the list of %u devices", *count);
        process_lock();
        if (*count > 0) result = vk->vkEnumeratePhysicalDevices(instance, count, *out);
        process_unlock();
    } while (result == VK_INCOMPLETE);
    if (result == VK_SUCCESS) {
        keep_drivers(vk, *out, *count);
        return TULLE_OK;
    }
    free(*out);
    *out = NULL;
    *count = 0;
    if (result == VK_ERROR_INITIALIZATION_FAILED)  // how loaders say that no driver found a device
        return TULLE_OK;
    return tulle_fail_vk(error, result, "vkEnumeratePhysicalDevices");
}
