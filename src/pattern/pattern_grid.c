// SPDX-License-Identifier: MIT
//
// Reading a neighborhood's axes:
//
//     neighborhood:K[,D][,cX]    neighborhood:HxW,KHxKW[,DHxDW][,cXY]    with three axes likewise
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "pattern/pattern_names.h"
#include "pattern/pattern_reader.h"

// Whole numbers joined by x, at most as many as there may be axes, into `values`.
static tulle_result read_extents(struct reader *reader, const char *usage, const char *field,
                                 int64_t values[TULLE_AXES_MOST], uint32_t *count) {
    *count = 0;
    for (;; ++reader->at) {
        const size_t place = reader->at, length = word_length(reader, place, WORD_ENDS "x");
        const char *word = reader->spec + place;
        const bool negative = length && *word == '-';
        bool too_large;
        uint64_t number;
        if (*count == TULLE_AXES_MOST)
            return fail_expected(reader, place, "no more than 3 axes", usage);
        if (!whole_number(word + negative, length - negative, &number, &too_large))
            return fail_expected(reader, place, "whole numbers joined by x", usage);
        if (negative || too_large || number > INT32_MAX) {
            char text[NAME_SHOWN], name[32];
            name_show(text, word, length);
            snprintf(name, sizeof name, "%s[%" PRIu32 "]", field, *count);
            return with_column(reader, place,
                               term_fail_number(reader->error, reader->number, TULLE_NEIGHBORHOOD,
                                                name, text, RULE_FROM_1));
        }
        values[(*count)++] = (int64_t)number;
        reader->at += length;
        if (reader->spec[reader->at] != 'x') return TULLE_OK;
    }
}

static tulle_result read_causal_axes(struct reader *reader, const char *usage, tulle_term *given) {
    const size_t place = reader->at, length = word_length(reader, place, WORD_ENDS);
    const char *digits = reader->spec + place + 1;
    if (length != given->axes + 1 || strspn(digits, "01") < length - 1) {
        char expected[64];
        snprintf(expected, sizeof expected, "c and a 0 or 1 for each axis, %" PRIu32, given->axes);
        return fail_expected(reader, place, expected, usage);
    }
    for (uint32_t i = 0; i < given->axes; ++i) given->causal_axis[i] = digits[i] == '1';
    reader->at += length;
    return TULLE_OK;
}

// Behind "neighborhood": K[,D][,cX], or with a grid before K.
tulle_result read_grid(struct reader *reader, const char *usage, tulle_term *given) {
    static const char *const fields[] = { "grid", "kernel", "dilation" };
    int64_t *const into[] = { given->grid, given->kernel, given->dilation };
    tulle_result result;
    char separator = ':';
    bool causal = false;
    // one axis alone has no grid
    for (uint32_t field = 0; field < 4 && !causal; ++field) {
        int64_t values[TULLE_AXES_MOST];
        uint32_t count;
        skip_space(reader);
        if (reader->spec[reader->at] != separator) break;
        ++reader->at;
        skip_space(reader);
        separator = ',';
        const size_t place = reader->at;
        if ((causal = given->axes && reader->spec[place] == 'c')) {
            if ((result = read_causal_axes(reader, usage, given))) return result;
            continue;
        }
        if (field == 3) return fail_expected(reader, place, "c and digits", usage);
        if (!given->axes && reader->spec[place + word_length(reader, place, WORD_ENDS "x")] != 'x')
            ++field;
        if ((result = read_extents(reader, usage, fields[field], values, &count))) return result;
        if (!given->axes) given->axes = count;
        if (count != given->axes) {
            char expected[64];
            snprintf(expected, sizeof expected,
                     "%" PRIu32 " numbers joined by x, one an axis, not %" PRIu32, given->axes,
                     count);
            return fail_expected(reader, place, expected, usage);
        }
        memcpy(into[field], values, sizeof values[0] * count);
        for (uint32_t i = 0; i < count; ++i)
            if (!values[i])
                return with_column(reader, place,
                                   term_fail_number(reader->error, reader->number,
                                                    TULLE_NEIGHBORHOOD, fields[field], "0",
                                                    RULE_FROM_1));
    }
    if (!given->axes) return fail_expected(reader, reader->at, "':' and K or HxW", usage);
    if (!given->kernel[0]) return fail_expected(reader, reader->at, "',' and KHxKW", usage);
    return TULLE_OK;
}
