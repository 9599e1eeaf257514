// SPDX-License-Identifier: MIT
//
// volk's own source, compiled here once. Behind vulkan.h, which another file of one unit may have
// brought before (--unity on).
#include "device/vulkan.h"

#define VOLK_IMPLEMENTATION
#include <volk.h>
