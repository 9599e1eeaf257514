// SPDX-License-Identifier: MIT
//
// An array in host memory, as a file held it: C order, little-endian.
#ifndef TULLE_TOOLS_ARRAYS_ARRAY_H
#define TULLE_TOOLS_ARRAYS_ARRAY_H

#include <stddef.h>
#include <stdint.h>

#include "common/message.h"

enum element {
    ELEMENT_F32,
    ELEMENT_F16,
    ELEMENT_BF16,
    ELEMENT_BOOL,
    ELEMENT_I8,
    ELEMENT_I16,
    ELEMENT_I32,
    ELEMENT_I64,
    ELEMENT_U8,
    ELEMENT_U16,
    ELEMENT_U32,
    ELEMENT_U64,
};

#define ARRAY_MOST_DIMENSIONS 8

struct array {
    enum element element;
    uint32_t dimensions;
    int64_t shape[ARRAY_MOST_DIMENSIONS];
    size_t count;  ///< of elements: the product of the shape
    void *data;    ///< from malloc; never NULL in an array that was read
};

/// "float32" and so on, as NumPy says it.
const char *element_name(enum element element);

size_t element_size(enum element element);

/// Sets *count to the product of the shape and *bytes to its size; false where either does not fit
/// in half of size_t.
bool array_size(enum element element, const int64_t *shape, uint32_t dimensions, size_t *count,
                size_t *bytes);

/// Writes "[12, 512, 32]"; returns text.
const char *array_shape_text(const int64_t *shape, uint32_t dimensions, char *text, size_t size);

bool array_is_integer(const struct array *array);  ///< an integer type or bool

/// The integer at an index; *fits is set to false where a uint64 is too large for int64.
int64_t array_integer(const struct array *array, size_t index, bool *fits);

void array_free(struct array *array);

/// IEEE binary16 and bfloat16 bits. To bits: nearest, ties to even; overflow to infinity; NaN stays
/// NaN.
float half_to_float(uint16_t bits);
float bf16_to_float(uint16_t bits);
uint16_t float_to_half(float value);
uint16_t float_to_bf16(float value);

/// Element at an index of an fp32, fp16 or bf16 array.
float array_real(const struct array *array, size_t index);

#endif
