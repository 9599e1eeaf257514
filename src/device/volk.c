// SPDX-License-Identifier: MIT
//
// volk's own source, compiled here once, by volk.h's VOLK_IMPLEMENTATION.
#define VOLK_IMPLEMENTATION
#include "device/vulkan.h"
