// SPDX-License-Identifier: MIT
//
// Specs read with arrays by name from a shelf that stands in memory; what is loaded must be released.
#ifndef TESTS_SPEC_SHELF_H
#define TESTS_SPEC_SHELF_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "pattern/pattern.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

extern const int64_t zero_to_five[6];
extern const int64_t lengths[4];

struct shelf {
    int loads, held, releases;
};

// A loader's functions, `user` a shelf.
bool shelf_load(void *user, const char *name, tulle_array *array, char *message, size_t size);
void shelf_release(void *user, tulle_array *array);

// Reads the spec with the shelf's arrays, from an empty shelf on; fails where one is still held.
tulle_result parse(const char *spec, struct shelf *shelf, tulle_pattern ***out, uint32_t *count,
                   tulle_error *error);
// The only pattern of a spec that must read; to be destroyed.
tulle_pattern *parse_one(const char *spec);

#endif
