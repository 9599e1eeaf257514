// SPDX-License-Identifier: MIT
//
// Pattern specs with numbers that depend on the length.
#ifndef TULLE_TOOLS_BENCH_SPEC_TEMPLATE_H
#define TULLE_TOOLS_BENCH_SPEC_TEMPLATE_H

#include <stddef.h>
#include <stdint.h>

struct template_values {
    uint32_t n;     ///< the length
    uint32_t side;  ///< of a square image of n pixels
    uint32_t x;     ///< what a search varies
};

/// Writes the spec of a template, in which {n}, {s} and {x} stand for these values, {n/64} for one
/// divided and rounded up, {x-1} for one less a number (0 at least). Templates are of the program's
/// own tables: anything else in braces is copied as it is, and no spec.
void spec_of_template(const char *text, const struct template_values *values, char *spec,
                      size_t size);

#endif
