// SPDX-License-Identifier: MIT

#include "spec_shelf.h"

#include <stdio.h>
#include <string.h>

const int64_t zero_to_five[] = { 0, 1, 2, 3, 4, 5 };
const int64_t lengths[] = { 0, 4, 4, 9 };
static const int64_t falling[] = { 0, 4, 3 };
static const int64_t cells[] = { 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1 };
static const int64_t bad_cells[] = { 1, 0, 0, 1, 257, 0 };
static const int64_t negative[] = { 3, -1 };
static const int64_t below[] = { 3, -2 };
static const int64_t columns[] = { 40, 1, -1, 9 };
static const int64_t diagonals[] = { 0, 3, 17, -1, 5, 2 };

#define INT64_FILE .is_integer = true, .is_index = true
static const struct file {
    const char *name;
    tulle_array array;
} files[] = {
    { "list.npy", { zero_to_five, 1, { 6 }, INT64_FILE } },
    { "empty.npy", { NULL, 1, { 0 }, INT64_FILE } },
    { "12", { zero_to_five + 3, 1, { 2 }, INT64_FILE } },
    { "inf", { zero_to_five + 3, 1, { 2 }, INT64_FILE } },
    { "a+b;c,d.npy", { zero_to_five, 1, { 2 }, INT64_FILE } },
    { "say \"hi\".npy", { zero_to_five, 1, { 3 }, INT64_FILE } },
    { "\"", { zero_to_five, 1, { 3 }, INT64_FILE } },
    { " spaces both ends ", { zero_to_five, 1, { 4 }, INT64_FILE } },
    { "two words.npy", { zero_to_five, 1, { 5 }, INT64_FILE } },
    { "C:\\data\\m.npy", { zero_to_five, 1, { 1 }, INT64_FILE } },
    { "<odd", { zero_to_five, 1, { 1 }, INT64_FILE } },
    { "h\xc3\xa9.npy", { zero_to_five, 1, { 1 }, INT64_FILE } },
    { "../dir/x-1_2.npy", { zero_to_five, 1, { 1 }, INT64_FILE } },
    { "lengths.npy", { lengths, 1, { 4 }, INT64_FILE } },
    { "falling.npy", { falling, 1, { 3 }, INT64_FILE } },
    { "short.npy", { lengths, 1, { 1 }, INT64_FILE } },
    { "negative.npy", { negative, 1, { 2 }, INT64_FILE } },
    { "floats.npy", { zero_to_five, 1, { 6 }, .is_integer = false } },
    { "int16.npy", { zero_to_five, 1, { 6 }, .is_integer = true, .type = "int16" } },
    { "bools.npy", { zero_to_five, 1, { 2 }, .is_bool = true } },
    { "mask2.npy", { cells, 2, { 4, 3 }, .is_bool = true } },
    { "mask3.npy", { cells, 3, { 2, 2, 3 }, .is_integer = true } },
    { "maskint.npy", { cells, 2, { 4, 3 }, INT64_FILE } },
    { "maskfloat.npy", { cells, 2, { 4, 3 }, .is_integer = false } },
    { "mask1.npy", { cells, 1, { 4 }, INT64_FILE } },
    { "mask0.npy", { cells, 0, { 0 }, INT64_FILE } },
    { "mask4.npy", { cells, 4, { 1, 1, 1 }, INT64_FILE } },
    { "maskbad.npy", { bad_cells, 2, { 2, 3 }, INT64_FILE } },
    { "norows.npy", { NULL, 2, { 0, 3 }, INT64_FILE } },
    { "nocols.npy", { NULL, 2, { 3, 0 }, INT64_FILE } },
    { "nolayouts.npy", { NULL, 3, { 0, 3, 3 }, INT64_FILE } },
    { "hollow.npy", { NULL, 1, { 3 }, INT64_FILE } },
    { "hollowmask.npy", { NULL, 2, { 3, 3 }, INT64_FILE } },
    { "a&b.npy", { zero_to_five, 1, { 2 }, INT64_FILE } },
    { "v.npy", { columns, 1, { 4 }, INT64_FILE } },
    { "v2.npy", { columns, 2, { 2, 2 }, INT64_FILE } },
    { "d.npy", { diagonals, 1, { 3 }, INT64_FILE } },
    { "d2.npy", { diagonals, 2, { 2, 3 }, INT64_FILE } },
    { "d3.npy", { diagonals, 2, { 3, 2 }, INT64_FILE } },
    { "one.npy", { diagonals, 2, { 1, 3 }, INT64_FILE } },
    { "cube.npy", { columns, 3, { 2, 2, 1 }, INT64_FILE } },
    { "below.npy", { below, 1, { 2 }, INT64_FILE } },
    { "nolists.npy", { NULL, 2, { 0, 3 }, INT64_FILE } },
    { "minus.npy", { zero_to_five, 1, { -3 }, INT64_FILE } },
};

bool shelf_load(void *user, const char *name, tulle_array *array, char *message, size_t size) {
    struct shelf *shelf = user;
    ++shelf->loads;
    if (!strcmp(name, "silent.npy")) return false;
    if (!strcmp(name, "chatty.npy")) {
        memset(message, 'x', size);  // not even terminated
        message[3] = '\n';
        return false;
    }
    for (size_t i = 0; i < COUNT(files); ++i)
        if (!strcmp(files[i].name, name)) {
            *array = files[i].array;
            array->owner = shelf;
            ++shelf->held;
            return true;
        }
    snprintf(message, size, "there is no file '%s'", name);
    return false;
}

void shelf_release(void *user, tulle_array *array) {
    struct shelf *shelf = user;
    assert_ptr_equal(array->owner, shelf);
    array->owner = NULL;
    --shelf->held;
    ++shelf->releases;
}

tulle_result parse(const char *spec, struct shelf *shelf, tulle_pattern ***out, uint32_t *count,
                   tulle_error *error) {
    *shelf = (struct shelf){ 0 };
    tulle_array_loader loader = { shelf_load, shelf_release, shelf };
    tulle_result result = tulle_pattern_parse(spec, &loader, out, count, error);
    if (shelf->held)
        fail_msg("%s: %d of %d arrays were not released", spec, shelf->held, shelf->loads);
    return result;
}

tulle_pattern *parse_one(const char *spec) {
    struct shelf shelf;
    tulle_pattern **patterns;
    uint32_t count;
    tulle_error error = { 0 };
    if (parse(spec, &shelf, &patterns, &count, &error)) fail_msg("%s: %s", spec, error.message);
    assert_int_equal(count, 1);
    assert_int_equal(shelf.loads, shelf.releases);
    tulle_pattern *pattern = pattern_retain(patterns[0]);
    tulle_patterns_free(patterns, count);
    return pattern;
}
