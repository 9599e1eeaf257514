// SPDX-License-Identifier: MIT
//
// Printing a pattern as the spec that reads back to it.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "pattern/pattern_build.h"
#include "pattern/pattern_names.h"

// Counts every byte, keeps those that fit.
struct writer {
    char *text;
    size_t size, length;
};

static void put_char(struct writer *writer, char c) {
    if (writer->length < writer->size) writer->text[writer->length] = c;
    ++writer->length;
}

static void put_text(struct writer *writer, const char *text) {
    for (; *text; ++text) put_char(writer, *text);
}

static void put_number(struct writer *writer, char before, int64_t number) {
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, number);
    put_char(writer, before);
    put_text(writer, number == TULLE_INFINITE ? "inf" : text);
}

// The file, or where there is none what tells how large the array is: "<blocks 4x4x64>", which is
// never read as a name.
static void put_array(struct writer *writer, char before, const struct term *term) {
    put_char(writer, before);
    if (!term->name) {
        char text[96];
        if (term->kind == TULLE_BLOCKS)
            snprintf(text, sizeof text, "<blocks %" PRId64 "x%" PRId64 "x%" PRId64 ">",
                     term->layouts, term->block_rows, term->block_cols);
        else
            snprintf(text, sizeof text, "<%s %zu>",
                     term->kind == TULLE_DOCUMENTS ? "lengths" : "positions", term->position_count);
        put_text(writer, text);
    } else if (name_stands_bare(term->name)) {
        put_text(writer, term->name);
    } else {
        put_char(writer, '"');
        for (const char *c = term->name; *c; ++c) {
            if (*c == '"') put_char(writer, '"');
            put_char(writer, *c);
        }
        put_char(writer, '"');
    }
}

static void put_term(struct writer *writer, const struct term *term) {
    char seed[24];
    put_text(writer, term_kind_name(term->kind));
    switch (term->kind) {
    case TULLE_DENSE: break;
    case TULLE_WINDOW:
    case TULLE_DILATED:
        put_number(writer, ':', term->left);
        put_number(writer, ',', term->right);
        if (term->kind == TULLE_DILATED) put_number(writer, ',', term->step);
        break;
    case TULLE_GLOBAL:
    case TULLE_SINK: put_number(writer, ':', term->count); break;
    case TULLE_STRIDED: put_number(writer, ':', term->step); break;
    case TULLE_FIXED:
        put_number(writer, ':', term->step);
        put_number(writer, ',', term->count);
        break;
    case TULLE_BLOCKS:
        put_number(writer, ':', term->block);
        put_array(writer, ',', term);
        break;
    case TULLE_RANDOM:
        put_number(writer, ':', term->block);
        put_number(writer, ',', term->count);
        snprintf(seed, sizeof seed, ",%" PRIu64, term->seed);
        put_text(writer, seed);
        break;
    case TULLE_GLOBAL_LIST:
    case TULLE_DOCUMENTS: put_array(writer, ':', term); break;
    }
}

// Would a spec say the same thing twice? Equal, and of one name or none.
static bool repeats(const struct term *a, const struct term *b) {
    if (term_compare(a, b)) return false;
    if (!a->name || !b->name) return a->name == b->name;
    return !strcmp(a->name, b->name);
}

// What a union says twice selects no more than once, and is printed once.
static bool printed_before(const tulle_pattern *pattern, uint32_t index) {
    if (pattern->canonical_count == pattern->term_count) return false;
    for (uint32_t i = 0; i < index; ++i)
        if (repeats(&pattern->terms[i], &pattern->terms[index])) return true;
    return false;
}

size_t tulle_pattern_print(const tulle_pattern *pattern, char *text, size_t size) {
    struct writer writer = { text, text ? size : 0, 0 };
    for (uint32_t i = 0; pattern && i < pattern->term_count; ++i) {
        if (printed_before(pattern, i)) continue;
        if (writer.length) put_char(&writer, '+');
        put_term(&writer, &pattern->terms[i]);
    }
    if (writer.size) text[writer.length < writer.size ? writer.length : writer.size - 1] = '\0';
    return writer.length;
}
