// SPDX-License-Identifier: MIT
#include "arrays/tensor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arrays/npy.h"
#include "arrays/safetensors.h"

tulle_strides tensor_strides(uint32_t heads, uint32_t length, uint32_t dim, bool bshd) {
    const int64_t h = heads, n = length, d = dim;
    if (bshd) return (tulle_strides){ .batch = n * h * d, .head = d, .row = h * d };
    return (tulle_strides){ .batch = h * n * d, .head = n * d, .row = d };
}

bool tensor_read(struct tensor *tensor, const char *option, const char *name, bool bshd,
                 struct message *message) {
    struct message reason;
    char shape[256];
    memset(tensor, 0, sizeof *tensor);
    struct array *array = &tensor->array;
    const bool read = safetensors_named(name) ? safetensors_read(name, array, &reason)
                                              : npy_read(name, array, &reason);
    if (!read) return refuse(message, "%s: %s", option, reason.text);
    array_shape_text(array->shape, array->dimensions, shape, sizeof shape);
    bool good = true;
    switch (array->element) {
    case ELEMENT_F32: tensor->dtype = TULLE_F32; break;
    case ELEMENT_F16: tensor->dtype = TULLE_F16; break;
    case ELEMENT_BF16: tensor->dtype = TULLE_BF16; break;
    default:
        good = refuse(message, "%s: '%s' holds %s; float32 or float16 is wanted", option, name,
                      element_name(array->element));
    }
    if (good && (array->dimensions < 2 || array->dimensions > 4))
        good = refuse(message, "%s: '%s' has shape %s; %s is wanted", option, name, shape,
                      bshd ? "[n,d], [n,h,d] or [b,n,h,d] (--layout bshd)"
                           : "[n,d], [h,n,d] or [b,h,n,d]");
    for (uint32_t axis = 0; good && axis < array->dimensions; axis++)
        if (array->shape[axis] < 1 || array->shape[axis] > INT32_MAX)
            good = refuse(message,
                          "%s: '%s' has shape %s; every axis must be at least 1 and below 2^31",
                          option, name, shape);
    if (!good) {
        tensor_free(tensor);
        return false;
    }
    const uint32_t axes = array->dimensions;
    const int64_t *last = array->shape + axes;
    tensor->has_batch = axes == 4;
    tensor->has_heads = axes >= 3;
    tensor->dim = (uint32_t)last[-1];
    tensor->batch = axes == 4 ? (uint32_t)last[-4] : 1;
    // Of the two axes before the last, bhsd has heads first and bshd the length.
    tensor->length = (uint32_t)(bshd && axes >= 3 ? last[-3] : last[-2]);
    tensor->heads = axes < 3 ? 1 : (uint32_t)(bshd ? last[-2] : last[-3]);
    tensor->strides = tensor_strides(tensor->heads, tensor->length, tensor->dim, bshd);
    return true;
}

uint32_t tensor_shape(const struct tensor *like, uint32_t dim, bool bshd, int64_t shape[4]) {
    uint32_t axes = 0;
    if (like->has_batch) shape[axes++] = like->batch;
    if (like->has_heads && !bshd) shape[axes++] = like->heads;
    shape[axes++] = like->length;
    if (like->has_heads && bshd) shape[axes++] = like->heads;
    shape[axes++] = dim;
    return axes;
}

void tensor_free(struct tensor *tensor) { array_free(&tensor->array); }

/// A .npy file of one axis. *count: of how many numbers; 0: of any, and receives how many.
static bool read_list(const char *option, const char *path, uint32_t *count, const char *what,
                      struct array *array, struct message *message) {
    struct message reason;
    char shape[256], wanted[32] = "n";
    if (!npy_read(path, array, &reason)) return refuse(message, "%s: %s", option, reason.text);
    if (array->dimensions == 1 && array->count < UINT32_MAX &&
        (!*count || array->count == *count)) {
        *count = (uint32_t)array->count;
        return true;
    }
    if (*count) snprintf(wanted, sizeof wanted, "%u", *count);
    refuse(message, "%s: '%s' has shape %s; [%s] is wanted, one number a %s", option, path,
           array_shape_text(array->shape, array->dimensions, shape, sizeof shape), wanted, what);
    array_free(array);
    return false;
}

/// All numbers of the array, which it frees.
static int32_t *take_integers(const char *option, const char *path, struct array *array,
                              struct message *message) {
    int32_t *numbers = NULL;
    if (!array_is_integer(array) || array->element == ELEMENT_BOOL) {
        refuse(message, "%s: '%s' holds %s; whole numbers are wanted", option, path,
               element_name(array->element));
    } else if (!(numbers = malloc((array->count + 1) * sizeof *numbers))) {
        refuse(message, "out of memory");
    }
    for (size_t i = 0; numbers && i < array->count; i++) {
        bool fits = true;
        const int64_t value = array_integer(array, i, &fits);
        if (!fits || value < INT32_MIN || value > INT32_MAX) {
            refuse(message, "%s: number %zu of '%s' is %s%lld, beyond 32 bits", option, i, path,
                   fits ? "" : "above ", (long long)value);
            free(numbers);
            numbers = NULL;
        } else {
            numbers[i] = (int32_t)value;
        }
    }
    array_free(array);
    return numbers;
}

static int32_t *read_any_integers(const char *option, const char *path, uint32_t *count,
                                  const char *what, struct message *message) {
    struct array array;
    return read_list(option, path, count, what, &array, message)
               ? take_integers(option, path, &array, message)
               : NULL;
}

int32_t *read_integers(const char *option, const char *path, uint32_t count, const char *what,
                       struct message *message) {
    return read_any_integers(option, path, &count, what, message);
}

int32_t *read_integer_rows(const char *option, const char *path, uint32_t rows, const char *what,
                           uint32_t *columns, struct message *message) {
    struct message reason;
    struct array array;
    char shape[256];
    if (!npy_read(path, &array, &reason)) {
        refuse(message, "%s: %s", option, reason.text);
        return NULL;
    }
    if (array.dimensions != 2 || array.shape[0] != rows || array.shape[1] < 1 ||
        array.shape[1] > INT32_MAX) {
        refuse(message, "%s: '%s' has shape %s; [%u,n] is wanted, a row for each %s", option, path,
               array_shape_text(array.shape, array.dimensions, shape, sizeof shape), rows, what);
        array_free(&array);
        return NULL;
    }
    *columns = (uint32_t)array.shape[1];
    return take_integers(option, path, &array, message);
}

int32_t *read_cumulative(const char *option, const char *path, uint32_t *sequences,
                         struct message *message) {
    uint32_t count = *sequences ? *sequences + 1 : 0;
    int32_t *lengths =
        read_any_integers(option, path, &count, "sequence, and 0 before them", message);
    if (lengths && count < 2) {
        refuse(message,
               "%s: '%s' holds %u numbers; cumulative lengths are 0 and each sequence's end",
               option, path, count);
        free(lengths);
        return NULL;
    }
    if (lengths) *sequences = count - 1;
    return lengths;
}

float *read_reals(const char *option, const char *path, uint32_t count, const char *what,
                  struct message *message) {
    struct array array;
    float *numbers = NULL;
    if (!read_list(option, path, &count, what, &array, message)) return NULL;
    if (array.element != ELEMENT_F32 && array.element != ELEMENT_F16)
        refuse(message, "%s: '%s' holds %s; float32 or float16 is wanted", option, path,
               element_name(array.element));
    else if (!(numbers = malloc(count * sizeof *numbers))) refuse(message, "out of memory");
    for (uint32_t i = 0; numbers && i < count; i++) numbers[i] = array_real(&array, i);
    array_free(&array);
    return numbers;
}

uint32_t *read_trees(const char *option, const char *path, uint32_t entries, uint32_t *rows,
                     struct message *message) {
    struct message reason;
    struct array array;
    char shape[256];
    uint32_t *trees = NULL;
    if (!npy_read(path, &array, &reason)) {
        refuse(message, "%s: %s", option, reason.text);
        return NULL;
    }
    const uint32_t axes = array.dimensions;
    const int64_t side = axes ? array.shape[axes - 1] : 0;
    const size_t words = (size_t)(side + 31) / 32;
    if ((axes != 2 && axes != 3) || array.shape[axes - 2] != side || side < 1 || side > 256 ||
        (axes == 3 && array.shape[0] != entries))
        refuse(message,
               "%s: '%s' has shape %s; [t,t] or [%u,t,t] is wanted, of up to 256 query rows",
               option, path, array_shape_text(array.shape, axes, shape, sizeof shape), entries);
    else if (!array_is_integer(&array))
        refuse(message, "%s: '%s' holds %s; 0 and 1 are wanted", option, path,
               element_name(array.element));
    else if (!(trees = calloc((size_t)entries * (size_t)side * words, sizeof *trees)))
        refuse(message, "out of memory");
    for (size_t i = 0; trees && i < (size_t)entries * (size_t)(side * side); i++) {
        bool fits = true;
        const size_t at = axes == 3 ? i : i % (size_t)(side * side), row = i / (size_t)side,
                     column = i % (size_t)side;
        const int64_t value = array_integer(&array, at, &fits);
        if (!fits || value < 0 || value > 1) {
            refuse(message, "%s: number %zu of '%s' is neither 0 nor 1", option, at, path);
            free(trees);
            trees = NULL;
        } else {
            trees[row * words + column / 32] |= (uint32_t)value << column % 32;
        }
    }
    *rows = (uint32_t)side;
    array_free(&array);
    return trees;
}
