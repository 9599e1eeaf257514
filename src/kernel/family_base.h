// SPDX-License-Identifier: MIT
//
// What the families of GPUs share: the kernel that combines partial results (combine.comp).
#ifndef TULLE_SRC_KERNEL_FAMILY_BASE_H
#define TULLE_SRC_KERNEL_FAMILY_BASE_H

#include "kernel/family.h"

extern const struct layout base_combine_layout;

uint32_t base_combine_rounds(uint32_t v_pieces, uint32_t lanes);

#endif
