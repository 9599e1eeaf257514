// SPDX-License-Identifier: MIT
#include "kernel/layout.h"

uint32_t layout_count(const struct layout *layout, enum reached_as reach) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < layout->count; i++) count += layout->descriptors[i].reach == reach;
    return count;
}

bool layout_has(const struct layout *layout, int of, enum reached_as reach) {
    for (uint32_t i = 0; i < layout->count; i++)
        if (layout->descriptors[i].of == of && layout->descriptors[i].reach == reach) return true;
    return false;
}
