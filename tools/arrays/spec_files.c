// SPDX-License-Identifier: MIT
#include "arrays/spec_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arrays/made_up.h"
#include "arrays/npy.h"

static bool load(void *user, const char *name, tulle_array *out, char *message,
                 size_t message_size) {
    (void)user;
    struct array array;
    struct message reason;
    if (name[0] == '@') return made_up_array(name, out, message, message_size);
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
