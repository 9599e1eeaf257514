// SPDX-License-Identifier: MIT
//
// volk's own source, compiled here once. By volk.h's VOLK_IMPLEMENTATION, which finds volk.c beside volk.h: an
// #include <volk.c> would find this file, for src/ is on the include path.
#define VOLK_IMPLEMENTATION
#include "device/vulkan.h"
