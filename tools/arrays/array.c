// SPDX-License-Identifier: MIT
#include "arrays/array.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Files are little-endian and are used as they lie in memory.
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the readers of .npy and .safetensors need a little-endian host"
#endif

static const struct {
    const char *name;
    size_t size;
} elements[] = {
    [ELEMENT_F32] = { "float32", 4 },   [ELEMENT_F16] = { "float16", 2 },
    [ELEMENT_BF16] = { "bfloat16", 2 }, [ELEMENT_BOOL] = { "bool", 1 },
    [ELEMENT_I8] = { "int8", 1 },       [ELEMENT_I16] = { "int16", 2 },
    [ELEMENT_I32] = { "int32", 4 },     [ELEMENT_I64] = { "int64", 8 },
    [ELEMENT_U8] = { "uint8", 1 },      [ELEMENT_U16] = { "uint16", 2 },
    [ELEMENT_U32] = { "uint32", 4 },    [ELEMENT_U64] = { "uint64", 8 },
};

const char *element_name(enum element element) { return elements[element].name; }

size_t element_size(enum element element) { return elements[element].size; }

bool array_size(enum element element, const int64_t *shape, uint32_t dimensions, size_t *count,
                size_t *bytes) {
    const uint64_t most = SIZE_MAX / 2;
    uint64_t product = 1;
    bool empty = false, fits = true;
    // An axis of length 0 makes the array empty, but the others must still be sane.
    for (uint32_t axis = 0; axis < dimensions; axis++) {
        if (shape[axis] == 0) {
            empty = true;
        } else if ((uint64_t)shape[axis] > most / elements[element].size / product) {
            fits = false;
            break;
        } else {
            product *= (uint64_t)shape[axis];
        }
    }
    if (!fits) return false;
    *count = empty ? 0 : (size_t)product;
    *bytes = *count * elements[element].size;
    return true;
}

const char *array_shape_text(const int64_t *shape, uint32_t dimensions, char *text, size_t size) {
    size_t at = (size_t)snprintf(text, size, "[");
    for (uint32_t axis = 0; axis < dimensions && at < size; axis++)
        at += (size_t)snprintf(text + at, size - at, "%s%lld", axis ? ", " : "",
                               (long long)shape[axis]);
    if (at < size) snprintf(text + at, size - at, "]");
    return text;
}

bool array_is_integer(const struct array *array) { return array->element >= ELEMENT_BOOL; }

int64_t array_integer(const struct array *array, size_t index, bool *fits) {
    switch (array->element) {
    case ELEMENT_BOOL:
    case ELEMENT_U8: return ((const uint8_t *)array->data)[index];
    case ELEMENT_I8: return ((const int8_t *)array->data)[index];
    case ELEMENT_I16: return ((const int16_t *)array->data)[index];
    case ELEMENT_I32: return ((const int32_t *)array->data)[index];
    case ELEMENT_I64: return ((const int64_t *)array->data)[index];
    case ELEMENT_U16: return ((const uint16_t *)array->data)[index];
    case ELEMENT_U32: return ((const uint32_t *)array->data)[index];
    case ELEMENT_U64: {
        const uint64_t value = ((const uint64_t *)array->data)[index];
        if (value <= INT64_MAX) return (int64_t)value;
        *fits = false;
        return INT64_MAX;
    }
    default: *fits = false; return 0;
    }
}

void array_free(struct array *array) {
    free(array->data);
    memset(array, 0, sizeof *array);
}

static float float_of_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t bits_of_float(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

float half_to_float(uint16_t bits) {
    const uint32_t sign = (uint32_t)(bits & 0x8000u) << 16, magnitude = bits & 0x7fffu;
    if (magnitude >= 0x7c00u) return float_of_bits(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
    if (magnitude >= 0x400u) return float_of_bits(sign | ((magnitude << 13) + 0x38000000u));
    const float small = (float)magnitude * 0x1p-24f;  // zero and subnormals: exact in fp32
    return sign ? -small : small;
}

float bf16_to_float(uint16_t bits) { return float_of_bits((uint32_t)bits << 16); }

uint16_t float_to_half(float value) {
    const uint32_t bits = bits_of_float(value), magnitude = bits & 0x7fffffffu;
    const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
    if (magnitude > 0x7f800000u) return (uint16_t)(sign | 0x7e00u);
    if (magnitude >= 0x47800000u) return (uint16_t)(sign | 0x7c00u);  // 65536 and above
    if (magnitude < 0x38800000u) {
        // Subnormal in binary16: adding 0.5 leaves the rounded multiple of 2^-24 in the low bits.
        const uint32_t rounded = bits_of_float(float_of_bits(magnitude) + 0.5f) - 0x3f000000u;
        return (uint16_t)(sign | rounded);
    }
    // Rounding may carry into the exponent, up to infinity: that is the right answer.
    const uint32_t rebased = magnitude - 0x38000000u;
    return (uint16_t)(sign | (rebased + 0xfffu + (rebased >> 13 & 1u)) >> 13);
}

uint16_t float_to_bf16(float value) {
    const uint32_t bits = bits_of_float(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

float array_real(const struct array *array, size_t index) {
    switch (array->element) {
    case ELEMENT_F16: return half_to_float(((const uint16_t *)array->data)[index]);
    case ELEMENT_BF16: return bf16_to_float(((const uint16_t *)array->data)[index]);
    default: return ((const float *)array->data)[index];
    }
}
