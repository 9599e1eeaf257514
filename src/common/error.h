// SPDX-License-Identifier: MIT
//
// Filling a tulle_error: every failure goes through here, or through a context's messages
// (device/context.h).
#ifndef TULLE_SRC_COMMON_ERROR_H
#define TULLE_SRC_COMMON_ERROR_H

#ifndef VK_NO_PROTOTYPES
// the library calls Vulkan through pointers only (device/vulkan.h): nothing else compiles
#define VK_NO_PROTOTYPES
#endif
#include "tulle/tulle.h"

#if defined(__MINGW32__)
#include <stdio.h>  // says which printf is in force: C99's, by a flag of the build
#define TULLE_PRINTF(text, first) __attribute__((__format__(__MINGW_PRINTF_FORMAT, text, first)))
#elif defined(__GNUC__)
#define TULLE_PRINTF(text, first) __attribute__((__format__(__printf__, text, first)))
#else
#define TULLE_PRINTF(text, first)
#endif

/// Writes result and message into *error (may be NULL) and returns result.
tulle_result tulle_fail(tulle_error *error, tulle_result result, const char *format, ...)
    TULLE_PRINTF(3, 4);

/// The same for a failed Vulkan call: maps memory and device-lost codes, else TULLE_ERROR_VULKAN.
/// `call` is its name.
tulle_result tulle_fail_vk(tulle_error *error, VkResult result, const char *call);

/// The name of a VkResult, "VK_ERROR_DEVICE_LOST" and so on; "VkResult -12345" has no name: "an
/// unknown VkResult".
const char *tulle_vk_result_name(VkResult result);

#endif
