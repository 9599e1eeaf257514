// SPDX-License-Identifier: MIT
//
// Sorting by a number, in time linear in how many there are.
#ifndef TULLE_SRC_COMMON_SORT_H
#define TULLE_SRC_COMMON_SORT_H

#include <stddef.h>
#include <stdint.h>

/// Sorts elements of `size` bytes by the int64_t that each begins with, rising; equal ones stay as
/// they stand. scratch: room for as many.
void sort_rising(void *elements, void *scratch, size_t count, size_t size);

#endif
