// SPDX-License-Identifier: MIT
//
// Terms from the arrays that a spec names.
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/error.h"
#include "pattern/pattern_names.h"
#include "pattern/pattern_reader.h"

static tulle_result fail_file(const struct reader *reader, tulle_result result,
                              tulle_term_kind kind, const char *shown, const char *format, ...)
    TULLE_PRINTF(5, 6);

// "term 1 (blocks): FILE "mask.npy" …".
static tulle_result fail_file(const struct reader *reader, tulle_result result,
                              tulle_term_kind kind, const char *shown, const char *format, ...) {
    char rest[600];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(rest, sizeof rest, format, arguments);
    va_end(arguments);
    return tulle_fail(reader->error, result, "term %" PRIu32 " (%s): FILE \"%s\" %s",
                      reader->number, term_kind_name(kind), shown, rest);
}

// What kinds of arrays a term takes, for messages.
struct array_needs {
    const char *elements, *dimensions;
    uint32_t fewest, most;
};

static struct array_needs needs_of(tulle_term_kind kind) {
    if (kind == TULLE_BLOCKS)
        return (struct array_needs){
            "bool or integers", "2, of query blocks and key blocks, or 3, with layouts before them",
            2, 3
        };
    if (kind == TULLE_VERTICAL_SLASH)
        return (struct array_needs){ "int32 or int64", "1, a list, or 2, with layouts before it", 1,
                                     2 };
    return (struct array_needs){ "int32 or int64", "1", 1, 1 };
}

static tulle_result check_array(const struct reader *reader, const tulle_array *array,
                                const char *shown, tulle_term_kind kind) {
    const struct array_needs needs = needs_of(kind);
    if (kind == TULLE_BLOCKS ? !array->is_bool && !array->is_integer : !array->is_index)
        return fail_file(reader, TULLE_ERROR_INVALID_ARGUMENT, kind, shown,
                         "holds %s; it must hold %s", array->type ? array->type : "another type",
                         needs.elements);
    if (array->dimensions < needs.fewest || array->dimensions > needs.most)
        return fail_file(reader, TULLE_ERROR_INVALID_ARGUMENT, kind, shown,
                         "has %" PRIu32 " dimensions; it must have %s", array->dimensions,
                         needs.dimensions);
    bool empty = false;
    for (uint32_t i = 0; i < array->dimensions; ++i) {
        if (array->shape[i] < 0 || (uint64_t)array->shape[i] > SIZE_MAX)
            return fail_file(reader, TULLE_ERROR_CALLBACK, kind, shown,
                             "was loaded with shape[%" PRIu32 "] = %" PRId64, i, array->shape[i]);
        empty = empty || !array->shape[i];
    }
    if (!array->values && !empty)
        return fail_file(reader, TULLE_ERROR_CALLBACK, kind, shown, "was loaded without values");
    if (array->dimensions > needs.fewest && !array->shape[0])
        // which tulle_term would take for one shared layout
        return term_fail_number(reader->error, reader->number, kind, "layouts", "0", RULE_FROM_1);
    return TULLE_OK;
}

// The columns' or, second, the diagonals' lists.
static tulle_result use_slashes(const struct reader *reader, const tulle_array *array,
                                const char *shown, uint32_t index, tulle_term *term) {
    const int64_t layouts = array->dimensions == 2 ? array->shape[0] : 1,
                  each = array->shape[array->dimensions - 1];
    if (index && layouts != term->layouts)
        return fail_file(reader, TULLE_ERROR_INVALID_ARGUMENT, term->kind, shown,
                         "holds %" PRId64 " layouts; there must be as many as of columns, %" PRId64,
                         layouts, term->layouts);
    term->layouts = layouts;
    *(index ? &term->diagonals : &term->positions) = array->values;
    *(index ? &term->diagonal_count : &term->position_count) = (size_t)layouts * (size_t)each;
    return TULLE_OK;
}

// Takes from a loaded array, the term's first or second, what the term's kind needs. The term then
// points into the array, or *wide_mask does.
static tulle_result use_array(const struct reader *reader, const tulle_array *array,
                              const char *shown, uint32_t index, tulle_term *term,
                              const int64_t **wide_mask) {
    tulle_result result = check_array(reader, array, shown, term->kind);
    if (result) return result;
    if (term->kind == TULLE_VERTICAL_SLASH) return use_slashes(reader, array, shown, index, term);
    if (term->kind != TULLE_BLOCKS) {
        term->positions = array->values;
        term->position_count = (size_t)array->shape[0];
        return TULLE_OK;
    }
    const int64_t *shape = array->shape + (array->dimensions - 2);
    term->layouts = array->dimensions == 3 ? array->shape[0] : 1;
    term->block_rows = shape[0];
    term->block_cols = shape[1];
    *wide_mask = array->values;
    return TULLE_OK;
}

static tulle_result load_array(const struct reader *reader, tulle_term_kind kind, const char *name,
                               const char *shown, tulle_array *array) {
    const tulle_array_loader *loader = reader->loader;
    char message[400] = "";
    if (!loader || !loader->load)
        return fail_file(reader, TULLE_ERROR_INVALID_ARGUMENT, kind, shown,
                         "needs a loader, but loader%s is NULL", loader ? "->load" : "");
    if (loader->load(loader->user, name, array, message, sizeof message)) return TULLE_OK;
    message[sizeof message - 1] = '\0';
    for (char *c = message; *c; ++c)
        if ((unsigned char)*c < ' ') *c = ' ';  // a tulle_error is one line
    return fail_file(reader, TULLE_ERROR_CALLBACK, kind, shown, "could not be loaded: %s",
                     *message ? message : "the loader gave no reason");
}

// Loads the term's FILEs from the index-th on and builds the term from them, which copies the
// arrays.
static tulle_result build_from(const struct reader *reader, tulle_term *given,
                               const struct names *names, uint32_t index, const int64_t *wide_mask,
                               struct term *out) {
    if (index == names->count)
        return with_column(reader, names->place[0],
                           term_build(out, given, wide_mask, reader->number, reader->error));
    const tulle_array_loader *loader = reader->loader;
    const char *name = names->text[index];
    char shown[NAME_SHOWN];
    name_show(shown, name, strlen(name));
    tulle_array array = { 0 };
    tulle_result result = load_array(reader, given->kind, name, shown, &array);
    if (result) return with_column(reader, names->place[index], result);
    result = with_column(reader, names->place[index],
                         use_array(reader, &array, shown, index, given, &wide_mask));
    if (!result) result = build_from(reader, given, names, index + 1, wide_mask, out);
    if (loader->release) loader->release(loader->user, &array);
    return result;
}

tulle_result build_from_files(const struct reader *reader, tulle_term *given,
                              const struct names *names, struct term *out) {
    return build_from(reader, given, names, 0, NULL, out);
}
