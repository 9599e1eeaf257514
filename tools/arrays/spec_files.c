// SPDX-License-Identifier: MIT
#include "arrays/spec_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arrays/npy.h"

// SplitMix64's finaliser: enough to scatter blocks.
static uint64_t scatter(uint64_t x) {
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static bool make_up(const char *name, tulle_array *out, char *message, size_t message_size) {
    int rows, cols, percent, used = 0;
    if (sscanf(name, "@%5dx%5dp%3d%n", &rows, &cols, &percent, &used) != 3 || name[used] ||
        rows < 1 || cols < 1 || percent < 0 || percent > 100) {
        snprintf(message, message_size,
                 "'%s' is not of the form @ROWSxCOLSpPERCENT, such as @64x64p25", name);
        return false;
    }
    int64_t *values = malloc((size_t)rows * (size_t)cols * sizeof *values);
    if (!values) {
        snprintf(message, message_size, "out of memory for '%s'", name);
        return false;
    }
    for (int64_t row = 0; row < rows; row++)
        for (int64_t col = 0; col < cols; col++)
            values[row * cols + col] =
                row == col ||
                scatter((uint64_t)row << 32 | (uint64_t)(col + 1)) % 100 < (uint64_t)percent;
    *out = (tulle_array){ .values = values,
                          .dimensions = 2,
                          .shape = { rows, cols },
                          .is_integer = true,
                          .is_bool = true,
                          .owner = values };
    return true;
}

static bool load(void *user, const char *name, tulle_array *out, char *message,
                 size_t message_size) {
    (void)user;
    struct array array;
    struct message reason;
    if (name[0] == '@') return make_up(name, out, message, message_size);
    if (!npy_read(name, &array, &reason)) {
        snprintf(message, message_size, "%s", reason.text);
        return false;
    }
    if (array.dimensions < 1 || array.dimensions > 3) {
        char shape[256];
        snprintf(message, message_size, "'%s' has shape %s; one to three axes are wanted", name,
                 array_shape_text(array.shape, array.dimensions, shape, sizeof shape));
        array_free(&array);
        return false;
    }
    // Where it is not of whole numbers the term refuses it: the values are then never looked at.
    int64_t *values = calloc(array.count ? array.count : 1, sizeof *values);
    bool fits = true;
    if (values && array_is_integer(&array))
        for (size_t i = 0; i < array.count; i++) values[i] = array_integer(&array, i, &fits);
    if (!values || !fits) {
        if (!values) snprintf(message, message_size, "out of memory for '%s'", name);
        else snprintf(message, message_size, "'%s' holds a number that is not below 2^63", name);
        free(values);
        array_free(&array);
        return false;
    }
    *out = (tulle_array){ .values = values,
                          .dimensions = array.dimensions,
                          .is_integer = array_is_integer(&array),
                          .is_bool = array.element == ELEMENT_BOOL,
                          .is_index = array.element == ELEMENT_I32 || array.element == ELEMENT_I64,
                          .type = element_name(array.element),
                          .owner = values };
    for (uint32_t axis = 0; axis < array.dimensions; axis++) out->shape[axis] = array.shape[axis];
    array_free(&array);
    return true;
}

static void release(void *user, tulle_array *array) {
    (void)user;
    free(array->owner);
    array->owner = NULL;
}

const tulle_array_loader spec_files = { .load = load, .release = release };
