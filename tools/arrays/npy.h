// SPDX-License-Identifier: MIT
//
// NumPy's .npy files, format versions 1 and 2: little-endian, C order.
#ifndef TULLE_TOOLS_ARRAYS_NPY_H
#define TULLE_TOOLS_ARRAYS_NPY_H

#include <stdio.h>

#include "arrays/array.h"

/// Reads fp32, fp16, bool and integer arrays; everything else (other types, big-endian, Fortran
/// order, a header that is not exactly what the format says, too little or too much data) is
/// refused. array_free releases it.
bool npy_read(const char *path, struct array *out, struct message *message);

/// Writes an fp32 or fp16 array as format version 1; false with errno set where the stream does not
/// take it.
bool npy_write(FILE *to, enum element element, const int64_t *shape, uint32_t dimensions,
               const void *data);

#endif
