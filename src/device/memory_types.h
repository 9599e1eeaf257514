// SPDX-License-Identifier: MIT
//
// Which of a device's memory types serve a use, and memory of one of them.
#ifndef TULLE_SRC_DEVICE_MEMORY_TYPES_H
#define TULLE_SRC_DEVICE_MEMORY_TYPES_H

#include "device/memory.h"

/// Fills types with the indices among `allowed` (a bit each) that serve, best first; returns how
/// many there are.
uint32_t memory_types(const tulle_context *context, enum memory_use use, uint32_t allowed,
                      uint32_t types[VK_MAX_MEMORY_TYPES]);

/// Mapped where the use wants it and the type can be. On failure *memory and *mapped are empty.
VkResult memory_allocate(const tulle_context *context, VkDeviceSize size, uint32_t type,
                         enum memory_use use, VkDeviceMemory *memory, void **mapped);

#endif
