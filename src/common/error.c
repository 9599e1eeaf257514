// SPDX-License-Identifier: MIT
#include "common/error.h"

#include <stdarg.h>
#include <stdio.h>

tulle_result tulle_fail(tulle_error *error, tulle_result result, const char *format, ...) {
    if (error) {
        va_list arguments;
        error->result = result;
        va_start(arguments, format);
        vsnprintf(error->message, sizeof error->message, format, arguments);
        va_end(arguments);
    }
    return result;
}

const char *tulle_vk_result_name(VkResult result) {
    switch (result) {
#define NAME(value) \
    case value: return #value;
        NAME(VK_SUCCESS)
        NAME(VK_NOT_READY)
        NAME(VK_TIMEOUT)
        NAME(VK_INCOMPLETE)
        NAME(VK_ERROR_OUT_OF_HOST_MEMORY)
        NAME(VK_ERROR_OUT_OF_DEVICE_MEMORY)
        NAME(VK_ERROR_INITIALIZATION_FAILED)
        NAME(VK_ERROR_DEVICE_LOST)
        NAME(VK_ERROR_MEMORY_MAP_FAILED)
        NAME(VK_ERROR_LAYER_NOT_PRESENT)
        NAME(VK_ERROR_EXTENSION_NOT_PRESENT)
        NAME(VK_ERROR_FEATURE_NOT_PRESENT)
        NAME(VK_ERROR_INCOMPATIBLE_DRIVER)
        NAME(VK_ERROR_TOO_MANY_OBJECTS)
        NAME(VK_ERROR_FORMAT_NOT_SUPPORTED)
        NAME(VK_ERROR_FRAGMENTED_POOL)
        NAME(VK_ERROR_UNKNOWN)
        NAME(VK_ERROR_OUT_OF_POOL_MEMORY)
        NAME(VK_ERROR_INVALID_EXTERNAL_HANDLE)
        NAME(VK_ERROR_FRAGMENTATION)
        NAME(VK_ERROR_INVALID_OPAQUE_CAPTURE_ADDRESS)
#undef NAME
    default: return "an unknown VkResult";
    }
}

tulle_result tulle_fail_vk(tulle_error *error, VkResult result, const char *call) {
    tulle_result code = TULLE_ERROR_VULKAN;
    if (result == VK_ERROR_OUT_OF_HOST_MEMORY) code = TULLE_ERROR_OUT_OF_HOST_MEMORY;
    if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY || result == VK_ERROR_OUT_OF_POOL_MEMORY ||
        result == VK_ERROR_FRAGMENTED_POOL)
        code = TULLE_ERROR_OUT_OF_DEVICE_MEMORY;
    if (result == VK_ERROR_DEVICE_LOST) code = TULLE_ERROR_DEVICE_LOST;
    return tulle_fail(error, code, "%s failed: %s (%d)", call, tulle_vk_result_name(result),
                      (int)result);
}

const char *tulle_result_name(tulle_result result) {
    switch (result) {
    case TULLE_OK: return "TULLE_OK";
    case TULLE_ERROR_INVALID_ARGUMENT: return "TULLE_ERROR_INVALID_ARGUMENT";
    case TULLE_ERROR_SYNTAX: return "TULLE_ERROR_SYNTAX";
    case TULLE_ERROR_UNSUPPORTED: return "TULLE_ERROR_UNSUPPORTED";
    case TULLE_ERROR_WORKSPACE_LIMIT: return "TULLE_ERROR_WORKSPACE_LIMIT";
    case TULLE_ERROR_NO_VULKAN: return "TULLE_ERROR_NO_VULKAN";
    case TULLE_ERROR_NO_DEVICE: return "TULLE_ERROR_NO_DEVICE";
    case TULLE_ERROR_OUT_OF_HOST_MEMORY: return "TULLE_ERROR_OUT_OF_HOST_MEMORY";
    case TULLE_ERROR_OUT_OF_DEVICE_MEMORY: return "TULLE_ERROR_OUT_OF_DEVICE_MEMORY";
    case TULLE_ERROR_DEVICE_LOST: return "TULLE_ERROR_DEVICE_LOST";
    case TULLE_ERROR_VULKAN: return "TULLE_ERROR_VULKAN";
    case TULLE_ERROR_CALLBACK: return "TULLE_ERROR_CALLBACK";
    }
    return "an unknown tulle_result";
}
