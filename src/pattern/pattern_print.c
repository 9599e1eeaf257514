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

// A FILE, or where there is none what tells how large the array is: "<blocks 4x4x64>", which is
// never read as a name.
static void put_array(struct writer *writer, char before, const char *name, const char *otherwise) {
    put_char(writer, before);
    if (!name) {
        put_text(writer, otherwise);
    } else if (name_stands_bare(name)) {
        put_text(writer, name);
    } else {
        put_char(writer, '"');
        for (const char *c = name; *c; ++c) {
            if (*c == '"') put_char(writer, '"');
            put_char(writer, *c);
        }
        put_char(writer, '"');
    }
}

static void put_blocks(struct writer *writer, const struct term *term) {
    char text[96];
    snprintf(text, sizeof text, "<blocks %" PRId64 "x%" PRId64 "x%" PRId64 ">", term->layouts,
             term->block_rows, term->block_cols);
    put_number(writer, ':', term->block);
    put_array(writer, ',', term->names[0], text);
}

static void put_list(struct writer *writer, char before, const char *name, const char *what,
                     size_t count) {
    char text[64];
    snprintf(text, sizeof text, "<%s %zu>", what, count);
    put_array(writer, before, name, text);
}

// Numbers joined by x, one an axis.
static void put_axes(struct writer *writer, char before, const struct term *term,
                     int64_t (*number)(const struct grid_axis *axis)) {
    for (uint32_t i = 0; i < term->axes; ++i)
        put_number(writer, i ? 'x' : before, number(&term->axis[i]));
}

static int64_t length_of(const struct grid_axis *axis) { return axis->length; }
static int64_t kernel_of(const struct grid_axis *axis) { return axis->kernel; }
static int64_t dilation_of(const struct grid_axis *axis) { return axis->dilation; }

static void put_neighborhood(struct writer *writer, const struct term *term) {
    const bool grid = term->axis[0].length > 0;
    bool dilated = false, causal = false;
    for (uint32_t i = 0; i < term->axes; ++i) {
        dilated = dilated || term->axis[i].dilation > 1;
        causal = causal || term->axis[i].causal;
    }
    if (grid) put_axes(writer, ':', term, length_of);
    put_axes(writer, grid ? ',' : ':', term, kernel_of);
    if (dilated) put_axes(writer, ',', term, dilation_of);
    if (!causal) return;
    put_text(writer, ",c");
    for (uint32_t i = 0; i < term->axes; ++i) put_char(writer, term->axis[i].causal ? '1' : '0');
}

static void put_factor(struct writer *writer, const struct term *term) {
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
    case TULLE_PREFIX:
    case TULLE_SINK: put_number(writer, ':', term->count); break;
    case TULLE_CHUNKED:
    case TULLE_STRIDED: put_number(writer, ':', term->step); break;
    case TULLE_FIXED:
        put_number(writer, ':', term->step);
        put_number(writer, ',', term->count);
        break;
    case TULLE_BLOCKS: put_blocks(writer, term); break;
    case TULLE_RANDOM:
        put_number(writer, ':', term->block);
        put_number(writer, ',', term->count);
        snprintf(seed, sizeof seed, ",%" PRIu64, term->seed);
        put_text(writer, seed);
        break;
    case TULLE_GLOBAL_LIST:
        put_list(writer, ':', term->names[0], "positions", term->position_count);
        break;
    case TULLE_DOCUMENTS:
        put_list(writer, ':', term->names[0], "lengths", term->position_count);
        break;
    case TULLE_A_SHAPE:
        put_number(writer, ':', term->count);
        put_number(writer, ',', term->block);
        break;
    case TULLE_VERTICAL_SLASH:
        put_list(writer, ':', term->names[0], "columns", term->position_count);
        put_list(writer, ',', term->names[1], "diagonals", term->diagonal_count);
        break;
    case TULLE_NEIGHBORHOOD: put_neighborhood(writer, term); break;
    }
}

static bool same_name(const char *a, const char *b) { return a && b ? !strcmp(a, b) : a == b; }

// Would a spec say the same factor twice? Equal, and of one name or none.
static bool factor_repeats(const struct term *a, const struct term *b) {
    return !term_compare(a, b) && same_name(a->names[0], b->names[0]) &&
           same_name(a->names[1], b->names[1]);
}

static const struct term *factor_at(const struct term *term, uint32_t i) {
    return i ? &term->factors[i - 1] : term;
}

// Does b name every factor of a?
static bool names_all(const struct term *a, const struct term *b) {
    for (uint32_t i = 0; i <= a->factor_count; ++i) {
        bool named = false;
        for (uint32_t k = 0; k <= b->factor_count && !named; ++k)
            named = factor_repeats(factor_at(a, i), factor_at(b, k));
        if (!named) return false;
    }
    return true;
}

static bool repeats(const struct term *a, const struct term *b) {
    return names_all(a, b) && names_all(b, a);
}

// What a union says twice selects no more than once, and is printed once.
static bool printed_before(const tulle_pattern *pattern, uint32_t index) {
    if (pattern->canonical_count == pattern->term_count) return false;
    for (uint32_t i = 0; i < index; ++i)
        if (repeats(&pattern->terms[i], &pattern->terms[index])) return true;
    return false;
}

static void put_term(struct writer *writer, const struct term *term) {
    for (uint32_t i = 0; i <= term->factor_count; ++i) {
        bool before = false;
        for (uint32_t k = 0; k < i && !before; ++k)
            before = factor_repeats(factor_at(term, k), factor_at(term, i));
        if (before) continue;
        if (i) put_char(writer, '&');
        put_factor(writer, factor_at(term, i));
    }
}

static size_t end_text(const struct writer *writer) {
    if (writer->size)
        writer->text[writer->length < writer->size ? writer->length : writer->size - 1] = '\0';
    return writer->length;
}

size_t term_print(const struct term *term, char *text, size_t size) {
    struct writer writer = { text, size, 0 };
    put_term(&writer, term);
    return end_text(&writer);
}

size_t tulle_pattern_print(const tulle_pattern *pattern, char *text, size_t size) {
    struct writer writer = { text, text ? size : 0, 0 };
    for (uint32_t i = 0; pattern && i < pattern->term_count; ++i) {
        if (printed_before(pattern, i)) continue;
        if (writer.length) put_char(&writer, '+');
        put_term(&writer, &pattern->terms[i]);
    }
    return end_text(&writer);
}
