// SPDX-License-Identifier: MIT
//
// Arrays that grow: a pointer, how many elements are in use, and how many there is room for.
#ifndef TULLE_SRC_COMMON_ARRAY_H
#define TULLE_SRC_COMMON_ARRAY_H

#include <stdbool.h>
#include <stddef.h>

/// Room for `needed` elements. `array` is the pointer itself, `capacity` a size_t: both change
/// where there was less. False: out of memory, and nothing changed.
#define ARRAY_RESERVE(array, capacity, needed) \
    array_reserve(&(array), &(capacity), (needed), sizeof *(array))

/// What ARRAY_RESERVE does once there is too little room. `array` points to the pointer, of any
/// type.
bool array_grow(void *array, size_t *capacity, size_t needed, size_t element);

static inline bool array_reserve(void *array, size_t *capacity, size_t needed, size_t element) {
    return needed <= *capacity || array_grow(array, capacity, needed, element);
}

#endif
