// SPDX-License-Identifier: MIT
//
// Which of an instance's devices a context takes: by index, UUID or name, or the best.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/open.h"

static unsigned char lower_case(char c) {
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

static bool contains_ignoring_case(const char *text, const char *part) {
    for (; *text; text++) {
        size_t i = 0;
        while (part[i] && lower_case(text[i]) == lower_case(part[i])) i++;
        if (!part[i]) return true;
    }
    return false;
}

/// Lower is better. A device of a kind that Vulkan has no name for still beats the CPU.
static int kind_rank(VkPhysicalDeviceType type) {
    switch ((int)type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU: return 0;
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU: return 1;
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU: return 2;
    case VK_PHYSICAL_DEVICE_TYPE_CPU: return 4;
    default: return 3;
    }
}

/// *family: UINT32_MAX where the device has no queue that computes.
static tulle_result find_family(const tulle_context *context, VkPhysicalDevice device,
                                uint32_t *family, tulle_error *error) {
    uint32_t count;
    VkQueueFamilyProperties *families = caps_queue_families(&context->vk, device, &count);
    *family = UINT32_MAX;
    if (!families)
        return tulle_fail(error, TULLE_ERROR_OUT_OF_HOST_MEMORY,
                          "no memory for the list of queue families");
    *family = caps_choose_queue_family(families, count);
    free(families);
    return TULLE_OK;
}

static tulle_result fail_no_device(const tulle_context_params *params, uint32_t count,
                                   tulle_error *error) {
    char uuid[2 * VK_UUID_SIZE + 1];
    switch (params->device_by) {
    case TULLE_DEVICE_BEST:
        return tulle_fail(error, TULLE_ERROR_NO_DEVICE,
                          "none of the %u devices has Vulkan 1.1 and a queue that computes", count);
    case TULLE_DEVICE_BY_INDEX:
        return tulle_fail(error, TULLE_ERROR_NO_DEVICE,
                          "params.device_index is %u; allowed: 0 to %u", params->device_index,
                          count - 1);
    case TULLE_DEVICE_BY_UUID:
        for (size_t i = 0; i < VK_UUID_SIZE; i++)
            snprintf(uuid + 2 * i, 3, "%02x", (unsigned)params->device_uuid[i]);
        return tulle_fail(error, TULLE_ERROR_NO_DEVICE,
                          "params.device_uuid is %s; none of the %u devices has it", uuid, count);
    case TULLE_DEVICE_BY_NAME: break;
    }
    return tulle_fail(error, TULLE_ERROR_NO_DEVICE,
                      "params.device_name is \"%s\"; none of the %u devices has it in its name",
                      params->device_name, count);
}

tulle_result device_choose(tulle_context *context, const tulle_context_params *params,
                           const VkPhysicalDevice *devices, uint32_t count, tulle_error *error) {
    uint32_t best = UINT32_MAX, best_family = UINT32_MAX, best_version = 0;
    int best_rank = 0;

    if (count == 0) return tulle_fail(error, TULLE_ERROR_NO_DEVICE, "there is no Vulkan device");
    for (uint32_t i = 0; i < count; i++) {
        VkPhysicalDeviceIDProperties id = { .sType =
                                                VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES };
        VkPhysicalDeviceProperties2 properties = {
            .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &id
        };
        uint32_t family, version;
        int rank;
        bool chosen = false;
        tulle_result result = find_family(context, devices[i], &family, error);
        if (result != TULLE_OK) return result;
        context->vk.vkGetPhysicalDeviceProperties2(devices[i], &properties);
        version = properties.properties.apiVersion;
        rank = kind_rank(properties.properties.deviceType);
        switch (params->device_by) {
        case TULLE_DEVICE_BEST:
            chosen = version >= VK_API_VERSION_1_1 && family != UINT32_MAX &&
                     (best == UINT32_MAX || rank < best_rank);
            break;
        case TULLE_DEVICE_BY_INDEX: chosen = i == params->device_index; break;
        case TULLE_DEVICE_BY_UUID:
            chosen =
                best == UINT32_MAX && memcmp(id.deviceUUID, params->device_uuid, VK_UUID_SIZE) == 0;
            break;
        case TULLE_DEVICE_BY_NAME:
            chosen = best == UINT32_MAX &&
                     contains_ignoring_case(properties.properties.deviceName, params->device_name);
            break;
        }
        if (chosen) {
            best = i;
            best_rank = rank;
            best_family = family;
            best_version = version;
        }
    }
    if (best == UINT32_MAX) return fail_no_device(params, count, error);
    if (best_version < VK_API_VERSION_1_1)
        return tulle_fail(error, TULLE_ERROR_NO_DEVICE,
                          "device %u offers Vulkan %u.%u, Tulle needs 1.1 or later", best,
                          VK_API_VERSION_MAJOR(best_version), VK_API_VERSION_MINOR(best_version));
    if (best_family == UINT32_MAX)
        return tulle_fail(error, TULLE_ERROR_NO_DEVICE, "device %u has no queue that computes",
                          best);
    context->physical_device = devices[best];
    context->index = best;
    context->queue_family = best_family;
    return TULLE_OK;
}
