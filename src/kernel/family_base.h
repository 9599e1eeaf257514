// SPDX-License-Identifier: MIT
//
// What the families of GPUs share: what their kernels reach, and the kernel that combines partial
// results (combine.comp).
#ifndef TULLE_SRC_KERNEL_FAMILY_BASE_H
#define TULLE_SRC_KERNEL_FAMILY_BASE_H

#include "kernel/family.h"

/// All tensors and the workspace as storage buffers: items write O and LSE themselves.
extern const struct layout base_six_buffers;
extern const struct layout base_combine_layout;

uint32_t base_combine_rounds(uint32_t v_pieces, uint32_t lanes);

#endif
