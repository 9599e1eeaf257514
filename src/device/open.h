// SPDX-License-Identifier: MIT
//
// A context's device: made with an instance of its own, or taken over from the caller.
#ifndef TULLE_SRC_DEVICE_OPEN_H
#define TULLE_SRC_DEVICE_OPEN_H

#include "device/context.h"

/// Checks the parameters and fills what the context has of Vulkan: functions, handles, caps.
/// allocator, log and mutexes are set. Fails without the log. What was made is there for
/// device_close also where it fails.
tulle_result device_open(tulle_context *context, const tulle_context_params *params,
                         tulle_error *error);

/// Destroys what device_open made, and nothing of an imported device.
void device_close(tulle_context *context);

/// Sets physical_device, index and queue_family. Only TULLE_DEVICE_BEST looks past a device that
/// will not do. choose.c
tulle_result device_choose(tulle_context *context, const tulle_context_params *params,
                           const VkPhysicalDevice *devices, uint32_t count, tulle_error *error);

#endif
