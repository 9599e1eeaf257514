// SPDX-License-Identifier: MIT
//
// Tensors of a problem in storage: guards, gaps, poison, and elements in three dtypes.

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "problem.h"

double dtype_decode(tulle_dtype dtype, const void *from) {
    float single;
    uint16_t bits;
    switch (dtype) {
    case TULLE_F32: memcpy(&single, from, sizeof single); return single;
    case TULLE_F16: memcpy(&bits, from, sizeof bits); return ref_half_to_double(bits);
    case TULLE_BF16: memcpy(&bits, from, sizeof bits); return ref_bf16_to_double(bits);
    }
    abort();
}

void dtype_encode(tulle_dtype dtype, double value, void *to) {
    const float single = (float)value;
    uint16_t bits;
    switch (dtype) {
    case TULLE_F32: memcpy(to, &single, sizeof single); return;
    case TULLE_F16:
        bits = ref_double_to_half(value);
        memcpy(to, &bits, sizeof bits);
        return;
    case TULLE_BF16:
        bits = ref_double_to_bf16(value);
        memcpy(to, &bits, sizeof bits);
        return;
    }
    abort();
}

void tensor_make(struct problem *problem, struct tensor *tensor, int64_t batch, int64_t heads,
                 int64_t rows, int64_t dim, tulle_dtype dtype, tulle_strides strides, bool literal,
                 int64_t lead) {
    const size_t element = tulle_dtype_size(dtype);
    if (!literal && strides.batch == 0 && strides.head == 0 && strides.row == 0) {
        strides = (tulle_strides){ heads * rows * dim, rows * dim, dim };
    }
    const int64_t last =
        (batch - 1) * strides.batch + (heads - 1) * strides.head + (rows - 1) * strides.row + dim;
    *tensor = (struct tensor){ .batch = batch,
                               .heads = heads,
                               .rows = rows,
                               .dim = dim,
                               .dtype = dtype,
                               .strides = strides,
                               .lead = (size_t)lead * element,
                               .bytes = (size_t)last * element };
    // Behind it at least as much as before, and the whole a multiple of 4 bytes.
    tensor->size = (tensor->lead + tensor->bytes + 64 * element + 3) / 4 * 4;
    tensor->memory = problem_own(problem, tensor->size, 1);
    tensor_poison(tensor);
}

void tensor_poison(struct tensor *tensor) {
    const uint16_t word = POISON;
    for (size_t at = 0; at + 2 <= tensor->size; at += 2) {
        memcpy(tensor->memory + at, &word, 2);
    }
}

uint8_t *tensor_at(const struct tensor *tensor, int64_t b, int64_t head, int64_t row, int64_t d) {
    const int64_t element =
        b * tensor->strides.batch + head * tensor->strides.head + row * tensor->strides.row + d;
    return tensor->memory + tensor->lead + (size_t)element * tulle_dtype_size(tensor->dtype);
}
