// SPDX-License-Identifier: MIT
#include "arrays/made_up.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define MOST_VALUES (1 << 28)  // 2 GiB: blocks of 64 of a million tokens

// SplitMix64's finaliser: enough to scatter blocks and lengths.
static uint64_t scatter(uint64_t x) {
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static void fill_scattered(int64_t *values, int64_t rows, int64_t cols, int64_t percent) {
    for (int64_t row = 0; row < rows; row++)
        for (int64_t col = 0; col < cols; col++)
            values[row * cols + col] =
                row == col ||
                scatter((uint64_t)row << 32 | (uint64_t)(col + 1)) % 100 < (uint64_t)percent;
}

// The first of `size` neighbours of `at` among 0 … count − 1: as many on either side, but at an
// edge.
static int64_t first_neighbour(int64_t at, int64_t count, int64_t size) {
    const int64_t first = at - size / 2, last = count - size;
    return first < 0 ? 0 : first > last ? last : first;
}

static void fill_neighbours(int64_t *values, int64_t height, int64_t width, int64_t size) {
    const int64_t pixels = height * width;
    for (int64_t p = 0; p < pixels; p++) {
        const int64_t top = first_neighbour(p / width, height, size),
                      left = first_neighbour(p % width, width, size);
        for (int64_t j = 0; j < pixels; j++) {
            const int64_t y = j / width - top, x = j % width - left;
            values[p * pixels + j] = y >= 0 && y < size && x >= 0 && x < size;
        }
    }
}

static void fill_documents(int64_t *values, int64_t length, int64_t count, int64_t unused) {
    (void)unused;
    int64_t all = 0, before = 0;
    for (int64_t i = 0; i < count; i++) all += 1 + (int64_t)(scatter((uint64_t)i + 1) % 16);
    for (int64_t i = 0; i <= count; i++) {
        values[i] = length * before / all;
        before += 1 + (int64_t)(scatter((uint64_t)i + 1) % 16);
    }
}

static void fill_positions(int64_t *values, int64_t first, int64_t last, int64_t unused) {
    (void)unused;
    for (int64_t i = first; i <= last; i++) values[i - first] = i;
}

// What a name says, and how its array is filled.
struct form {
    void (*fill)(int64_t *values, int64_t, int64_t, int64_t);
    int n[3];
};

// Does name say one of the forms? Then *out is all but its values.
static bool read_form(const char *name, struct form *form, tulle_array *out) {
    int *n = form->n, end = 0;
    if (sscanf(name, "@%9dd%9d%n", &n[0], &n[1], &end) == 2 && !name[end]) {
        form->fill = fill_documents;
        *out = (tulle_array){
            .dimensions = 1, .shape = { (int64_t)n[1] + 1, 1 }, .is_integer = true, .is_index = true
        };
        return n[1] >= 1 && n[1] <= n[0];
    }
    end = 0;
    if (sscanf(name, "@%9d-%9d%n", &n[0], &n[1], &end) == 2 && !name[end]) {
        form->fill = fill_positions;
        *out = (tulle_array){ .dimensions = 1,
                              .shape = { (int64_t)n[1] - n[0] + 1, 1 },
                              .is_integer = true,
                              .is_index = true };
        return n[0] >= 0 && n[1] >= n[0];
    }
    *out = (tulle_array){ .dimensions = 2, .is_integer = true, .is_bool = true };
    if (sscanf(name, "@%5dx%5dk%5d%n", &n[0], &n[1], &n[2], &end) == 3 && !name[end]) {
        form->fill = fill_neighbours;
        out->shape[0] = out->shape[1] = (int64_t)n[0] * n[1];
        return n[2] >= 1 && n[2] % 2 == 1 && n[2] <= n[0] && n[2] <= n[1];
    }
    form->fill = fill_scattered;
    const bool found = sscanf(name, "@%5dx%5dp%3d%n", &n[0], &n[1], &n[2], &end) == 3 && !name[end];
    out->shape[0] = n[0];
    out->shape[1] = n[1];
    return found && n[0] >= 1 && n[1] >= 1 && n[2] >= 0 && n[2] <= 100;
}

bool made_up_array(const char *name, tulle_array *out, char *message, size_t message_size) {
    struct form form = { 0 };
    if (!read_form(name, &form, out)) {
        snprintf(message, message_size,
                 "'%s' is not of the form @ROWSxCOLSpPERCENT, such as @64x64p25, "
                 "@HEIGHTxWIDTHkSIZE, such as @56x56k7 (an odd size, not above the others), "
                 "@LENGTHdCOUNT, such as @4096d9, or @FIRST-LAST, such as @64-127",
                 name);
        return false;
    }
    const int64_t rows = out->shape[0], cols = out->dimensions == 2 ? out->shape[1] : 1;
    if (rows > MOST_VALUES / cols) {
        snprintf(message, message_size,
                 "'%s' has %" PRId64 " x %" PRId64 " values; at most %d are made up", name, rows,
                 cols, MOST_VALUES);
        return false;
    }
    int64_t *values = malloc((size_t)(rows * cols) * sizeof *values);
    if (!values) {
        snprintf(message, message_size, "out of memory for '%s'", name);
        return false;
    }
    form.fill(values, form.n[0], form.n[1], form.n[2]);
    out->values = out->owner = values;
    return true;
}
