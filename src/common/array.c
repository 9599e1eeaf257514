// SPDX-License-Identifier: MIT
#include "common/array.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

bool array_grow(void *array, size_t *capacity, size_t needed, size_t element) {
    // by half: plan memory is one of these, and may be most of what a host has
    size_t more = *capacity < 16 ? 16 : *capacity + *capacity / 2;
    if (more < needed) more = needed;
    if (more > SIZE_MAX / element) return false;
    void *old;
    memcpy(&old, array, sizeof old);
    void *grown = realloc(old, more * element);
    if (!grown) return false;
    memcpy(array, &grown, sizeof grown);
    *capacity = more;
    return true;
}
