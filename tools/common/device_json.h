// SPDX-License-Identifier: MIT
//
// A Vulkan device as JSON and in words: what `info` and `bench` say of it alike.
#ifndef TULLE_TOOLS_COMMON_DEVICE_JSON_H
#define TULLE_TOOLS_COMMON_DEVICE_JSON_H

#include <cjson/cJSON.h>

#include "tulle/tulle.h"

/// "discrete GPU", "CPU" and so on.
const char *device_type_name(VkPhysicalDeviceType type);

/// Every field of tulle_device_info.
cJSON *device_json(const tulle_device_info *device);

#endif
