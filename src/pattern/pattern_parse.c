// SPDX-License-Identifier: MIT
//
// Reading a pattern's spec:
//
//     spec    = pattern { ";" pattern }
//     pattern = term { "+" term }
//     term    = name [ ":" value { "," value } ]        which values a term takes: `forms` below
//     value   = a whole number, inf (L and R alone), or FILE
//
// White space around each of these is skipped. FILE stands bare, or in double quotes, where "" is
// one double quote and every other byte is itself (a backslash too, for it separates folders on
// Windows). Bare, it ends at + ; , and cannot hold a double quote, start with <, or look like a
// number or inf: global:12 are the first 12 positions, global:"12" is the list in the file 12.
// Columns in messages count characters of UTF-8 from 1.
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/array.h"
#include "common/error.h"
#include "pattern/pattern_build.h"
#include "pattern/pattern_names.h"

enum value_class { WHOLE, WHOLE_OR_INF, SEED, NAME, WHOLE_OR_NAME };

struct value {
    const char *label;  // as the grammar calls it
    enum value_class class;
    const char *field;  // of tulle_term, for messages that pattern_term.c writes alike
    size_t offset;
    const char *rule;
};

#define FIELD(name) #name, offsetof(tulle_term, name)

static const struct form {
    const char *usage;
    tulle_term_kind kind;
    uint32_t value_count;
    struct value values[3];
} forms[] = {
    { "dense", TULLE_DENSE, 0, { { 0 } } },
    { "window:L,R",
      TULLE_WINDOW,
      2,
      { { "L", WHOLE_OR_INF, FIELD(left), RULE_FROM_0_OR_INFINITE },
        { "R", WHOLE_OR_INF, FIELD(right), RULE_FROM_0_OR_INFINITE } } },
    { "dilated:L,R,S",
      TULLE_DILATED,
      3,
      { { "L", WHOLE_OR_INF, FIELD(left), RULE_FROM_0_OR_INFINITE },
        { "R", WHOLE_OR_INF, FIELD(right), RULE_FROM_0_OR_INFINITE },
        { "S", WHOLE, FIELD(step), RULE_FROM_1 } } },
    { "global:G or global:FILE",
      TULLE_GLOBAL,
      1,
      { { "G", WHOLE_OR_NAME, FIELD(count), RULE_FROM_0 } } },
    { "sink:S", TULLE_SINK, 1, { { "S", WHOLE, FIELD(count), RULE_FROM_0 } } },
    { "strided:S", TULLE_STRIDED, 1, { { "S", WHOLE, FIELD(step), RULE_FROM_1 } } },
    { "fixed:S,C",
      TULLE_FIXED,
      2,
      { { "S", WHOLE, FIELD(step), RULE_FROM_1 }, { "C", WHOLE, FIELD(count), RULE_FROM_1 } } },
    { "blocks:B,FILE",
      TULLE_BLOCKS,
      2,
      { { "B", WHOLE, FIELD(block), RULE_FROM_1 }, { "FILE", NAME, "", 0, "" } } },
    { "random:B,R,SEED",
      TULLE_RANDOM,
      3,
      { { "B", WHOLE, FIELD(block), RULE_FROM_1 },
        { "R", WHOLE, FIELD(count), RULE_FROM_1 },
        { "SEED", SEED, FIELD(seed), RULE_SEED } } },
    { "documents:FILE", TULLE_DOCUMENTS, 1, { { "FILE", NAME, "", 0, "" } } },
};

struct reader {
    const char *spec;
    size_t at;
    const tulle_array_loader *loader;
    tulle_error *error;
    uint32_t number;  // of the term within its pattern, from 1
};

// -------------------------------------------------------------------------------------------------
// Places and words

static size_t column(const struct reader *reader, size_t place) {
    size_t result = 1;
    for (size_t i = 0; i < place; ++i) result += ((unsigned char)reader->spec[i] & 0xC0) != 0x80;
    return result;
}

static void skip_space(struct reader *reader) {
    while (name_is_space(reader->spec[reader->at])) ++reader->at;
}

static bool at_end_of_term(const struct reader *reader) {
    char c = reader->spec[reader->at];
    return c == '\0' || c == '+' || c == ';';
}

// The word from `at` on: up to a separator, without the white space before that.
static size_t word_length(const struct reader *reader, size_t at, const char *separators) {
    size_t length = strcspn(reader->spec + at, separators);
    while (length && name_is_space(reader->spec[at + length - 1])) --length;
    return length;
}

// "column 8: expected …, found …". `expected` may hold a usage as its second part; "" where it has
// none.
static tulle_result fail_expected(const struct reader *reader, size_t place, const char *expected,
                                  const char *as_in) {
    const char *found = reader->spec + place;
    size_t length = word_length(reader, place, "+;,:\"");
    char text[NAME_SHOWN];
    name_show(text, found, length ? length : 1);
    const char *quote = *found == '\0' ? "" : *found == '\'' ? "\"" : "'";
    return tulle_fail(reader->error, TULLE_ERROR_SYNTAX,
                      "column %zu: expected %s%s%s, found %s%s%s", column(reader, place), expected,
                      *as_in ? ", as in " : "", as_in, quote, *found == '\0' ? "the end" : text,
                      quote);
}

// Says where, in a message that speaks of a term: its number alone would leave open which pattern
// of the spec it is in.
static tulle_result with_column(const struct reader *reader, size_t place, tulle_result result) {
    if (result && reader->error) {
        size_t length = strlen(reader->error->message);
        snprintf(reader->error->message + length, sizeof reader->error->message - length,
                 " (column %zu)", column(reader, place));
    }
    return result;
}

// -------------------------------------------------------------------------------------------------
// Values

static tulle_result read_number(struct reader *reader, tulle_term *term, const struct form *form,
                                const struct value *value) {
    size_t place = reader->at, length = word_length(reader, place, "+;,:\"");
    const char *word = reader->spec + place;
    void *field = (char *)term + value->offset;
    if (value->class == WHOLE_OR_INF && length == 3 && !memcmp(word, "inf", 3)) {
        *(int64_t *)field = TULLE_INFINITE;
        reader->at += length;
        return TULLE_OK;
    }

    bool negative = *word == '-', too_large = false, any = false;
    uint64_t number = 0;
    for (size_t i = negative; i < length; ++i) {
        if (word[i] < '0' || word[i] > '9') {
            any = false;
            break;
        }
        unsigned digit = (unsigned)(word[i] - '0');
        too_large = too_large || number > (UINT64_MAX - digit) / 10;
        number = number * 10 + digit;
        any = true;
    }
    if (!any) {
        char expected[64];
        snprintf(expected, sizeof expected, "%s, a whole number%s", value->label,
                 value->class == WHOLE_OR_INF    ? " or inf"
                 : value->class == WHOLE_OR_NAME ? " or a FILE"
                                                 : "");
        return fail_expected(reader, place, expected, form->usage);
    }
    // Here and not in pattern_term.c, since the term's field could not hold it, or would take −1
    // for infinite.
    too_large = too_large || (value->class != SEED && number > INT32_MAX);
    if (too_large || (negative && number)) {
        char text[NAME_SHOWN];
        name_show(text, word, length);
        return with_column(reader, place,
                           term_fail_number(reader->error, reader->number, form->kind, value->field,
                                            text, value->rule));
    }
    if (value->class == SEED) *(uint64_t *)field = number;
    else *(int64_t *)field = (int64_t)number;
    reader->at += length;
    return TULLE_OK;
}

// FILE, into memory of its own.
static tulle_result read_name(struct reader *reader, const struct form *form, char **out) {
    size_t place = reader->at;
    const char *from = reader->spec + place;
    bool quoted = *from == '"';
    size_t length = 0;
    if (quoted) {
        for (++from; from[length] != '"' || from[length + 1] == '"';
             length += from[length] == '"' ? 2 : 1)
            if (!from[length])
                return tulle_fail(
                    reader->error, TULLE_ERROR_SYNTAX,
                    "column %zu: the double quote that opens FILE here is never closed",
                    column(reader, place));
    } else {
        length = word_length(reader, place, "+;,\"");
    }
    if (quoted && !length)
        return tulle_fail(reader->error, TULLE_ERROR_SYNTAX,
                          "column %zu: expected FILE, a name, found \"\"", column(reader, place));
    if (!length) return fail_expected(reader, place, "FILE, a name", form->usage);
    if (!quoted && *from == '<')
        return tulle_fail(
            reader->error, TULLE_ERROR_SYNTAX,
            "column %zu: expected FILE, a name, found '<', which stands for an array that was given without a name; "
            "a name that starts with it must stand in double quotes",
            column(reader, place));
    if (!quoted && name_like_number(from, length))
        return fail_expected(reader, place,
                             "FILE, a name (in double quotes where it looks like a number)",
                             form->usage);
    if (!quoted && from[length] == '"')
        return tulle_fail(
            reader->error, TULLE_ERROR_SYNTAX,
            "column %zu: found a double quote within FILE; a name that holds one must stand in double quotes, and it twice",
            column(reader, place + length));

    char *name = malloc(length + 1);
    if (!name)
        return tulle_fail(reader->error, TULLE_ERROR_OUT_OF_HOST_MEMORY,
                          "no memory for a name of %zu bytes", length);
    size_t kept = 0;
    for (size_t i = 0; i < length; ++i) {
        name[kept++] = from[i];
        if (quoted && from[i] == '"') ++i;  // its twin
    }
    name[kept] = '\0';
    reader->at = (size_t)(from - reader->spec) + length + quoted;
    *out = name;
    return TULLE_OK;
}

// -------------------------------------------------------------------------------------------------
// Arrays

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

// Takes from a loaded array what the term's kind needs. The term then points into the array, or
// *wide_mask does.
static tulle_result use_array(const struct reader *reader, const tulle_array *array,
                              const char *shown, tulle_term *term, const int64_t **wide_mask) {
    tulle_term_kind kind = term->kind;
    bool mask = kind == TULLE_BLOCKS;
    if (mask ? !array->is_bool && !array->is_integer : !array->is_index)
        return fail_file(reader, TULLE_ERROR_INVALID_ARGUMENT, kind, shown,
                         "holds %s; it must hold %s", array->type ? array->type : "another type",
                         mask ? "bool or integers" : "int32 or int64");
    if (mask ? array->dimensions != 2 && array->dimensions != 3 : array->dimensions != 1)
        return fail_file(reader, TULLE_ERROR_INVALID_ARGUMENT, kind, shown,
                         "has %" PRIu32 " dimensions; it must have %s", array->dimensions,
                         mask ? "2, of query blocks and key blocks, or 3, with layouts before them"
                              : "1");
    bool empty = false;
    for (uint32_t i = 0; i < array->dimensions; ++i) {
        if (array->shape[i] < 0 || (uint64_t)array->shape[i] > SIZE_MAX)
            return fail_file(reader, TULLE_ERROR_CALLBACK, kind, shown,
                             "was loaded with shape[%" PRIu32 "] = %" PRId64, i, array->shape[i]);
        empty = empty || !array->shape[i];
    }
    if (!array->values && !empty)
        return fail_file(reader, TULLE_ERROR_CALLBACK, kind, shown, "was loaded without values");

    if (!mask) {
        term->positions = array->values;
        term->position_count = (size_t)array->shape[0];
        return TULLE_OK;
    }
    const int64_t *shape = array->shape + (array->dimensions - 2);
    term->layouts = array->dimensions == 3 ? array->shape[0] : 1;
    term->block_rows = shape[0];
    term->block_cols = shape[1];
    if (!term->layouts)  // which tulle_term would take for one shared layout
        return term_fail_number(reader->error, reader->number, kind, "layouts", "0", RULE_FROM_1);
    *wide_mask = array->values;
    return TULLE_OK;
}

// Loads the term's FILE and builds the term from it, which copies the array.
static tulle_result build_from_file(const struct reader *reader, tulle_term *given,
                                    const char *name, struct term *out) {
    const tulle_array_loader *loader = reader->loader;
    char shown[NAME_SHOWN], message[400] = "";
    name_show(shown, name, strlen(name));
    if (!loader || !loader->load)
        return fail_file(reader, TULLE_ERROR_INVALID_ARGUMENT, given->kind, shown,
                         "needs a loader, but loader%s is NULL", loader ? "->load" : "");
    tulle_array array = { 0 };
    if (!loader->load(loader->user, name, &array, message, sizeof message)) {
        message[sizeof message - 1] = '\0';
        for (char *c = message; *c; ++c)
            if ((unsigned char)*c < ' ') *c = ' ';  // a tulle_error is one line
        return fail_file(reader, TULLE_ERROR_CALLBACK, given->kind, shown,
                         "could not be loaded: %s",
                         *message ? message : "the loader gave no reason");
    }
    const int64_t *wide_mask = NULL;
    tulle_result result = use_array(reader, &array, shown, given, &wide_mask);
    if (!result) result = term_build(out, given, wide_mask, reader->number, reader->error);
    if (loader->release) loader->release(loader->user, &array);
    return result;
}

// -------------------------------------------------------------------------------------------------
// Terms, patterns, specs

static const struct form *find_form(const char *word, size_t length) {
    for (size_t i = 0; i < sizeof forms / sizeof *forms; ++i) {
        const char *name = term_kind_name(forms[i].kind);
        if (strlen(name) == length && !memcmp(name, word, length)) return &forms[i];
    }
    return NULL;
}

// Numbers into *given, the name of a FILE into *name.
static tulle_result read_values(struct reader *reader, const struct form *form, tulle_term *given,
                                char **name, size_t *name_place) {
    for (uint32_t i = 0; i < form->value_count; ++i) {
        const struct value *value = &form->values[i];
        char expected[32];
        snprintf(expected, sizeof expected, "'%c' and %s", i ? ',' : ':', value->label);
        skip_space(reader);
        if (reader->spec[reader->at] != (i ? ',' : ':'))
            return fail_expected(reader, reader->at, expected, form->usage);
        ++reader->at;
        skip_space(reader);

        size_t length = word_length(reader, reader->at, "+;,\"");
        bool named = value->class == NAME;
        if (value->class == WHOLE_OR_NAME)
            named = reader->spec[reader->at] == '"' ||
                    (length && !name_like_number(reader->spec + reader->at, length));
        if (named) *name_place = reader->at;
        tulle_result result =
            named ? read_name(reader, form, name) : read_number(reader, given, form, value);
        if (result) return result;
    }
    skip_space(reader);
    return at_end_of_term(reader)
               ? TULLE_OK
               : fail_expected(reader, reader->at, "'+', ';' or the end", form->usage);
}

static tulle_result read_term(struct reader *reader, struct term *out) {
    skip_space(reader);
    size_t place = reader->at, length = word_length(reader, place, "+;,:\"");
    const struct form *form = find_form(reader->spec + place, length);
    if (!form)
        return length
                   ? fail_expected(
                         reader, place,
                         "a term (dense, window, dilated, global, sink, strided, fixed, blocks, random or documents)",
                         "")
                   : fail_expected(reader, place, "a term", "window:L,R");
    reader->at += length;

    tulle_term given = { .kind = form->kind };
    char *name = NULL;
    size_t name_place = place;
    tulle_result result = read_values(reader, form, &given, &name, &name_place);
    if (!result && !name)
        result = with_column(reader, place,
                             term_build(out, &given, NULL, reader->number, reader->error));
    if (!result && name) {
        if (given.kind == TULLE_GLOBAL) given.kind = TULLE_GLOBAL_LIST;
        result = with_column(reader, name_place, build_from_file(reader, &given, name, out));
    }
    if (result || !name) free(name);
    else out->name = name;
    return result;
}

// Room for one more than `count` (of terms or patterns, as many as 32 bits say).
static tulle_result reserve_next(void *array, size_t *capacity, uint32_t count, size_t element,
                                 const char *what, tulle_error *error) {
    if (count < UINT32_MAX && array_reserve(array, capacity, (size_t)count + 1, element))
        return TULLE_OK;
    return tulle_fail(error, TULLE_ERROR_OUT_OF_HOST_MEMORY, "no memory for %" PRIu64 " %s",
                      (uint64_t)count + 1, what);
}

// One pattern, up to ';' or the end.
static tulle_result read_pattern(struct reader *reader, tulle_pattern **out) {
    struct term *terms = NULL;
    size_t capacity = 0;
    uint32_t count = 0;
    tulle_result result;
    for (;; ++reader->at) {
        reader->number = count + 1;
        result = reserve_next(&terms, &capacity, count, sizeof *terms, "terms", reader->error);
        if (result || (result = read_term(reader, &terms[count]))) break;
        ++count;
        if (reader->spec[reader->at] != '+') break;
    }
    if (!result) return pattern_assemble(terms, count, out, reader->error);
    for (uint32_t i = 0; i < count; ++i) term_clear(&terms[i]);
    free(terms);
    return result;
}

tulle_result tulle_pattern_parse(const char *spec, const tulle_array_loader *loader,
                                 tulle_pattern ***out, uint32_t *count, tulle_error *error) {
    if (out) *out = NULL;
    if (count) *count = 0;
    if (!spec || !out || !count)
        return tulle_fail(error, TULLE_ERROR_INVALID_ARGUMENT, "%s is NULL; it must not be",
                          !spec  ? "spec"
                          : !out ? "out"
                                 : "count");
    struct reader reader = { spec, 0, loader, error, 1 };
    tulle_pattern **patterns = NULL;
    size_t capacity = 0;
    uint32_t read = 0;
    tulle_result result;
    for (;; ++reader.at) {
        result = reserve_next(&patterns, &capacity, read, sizeof *patterns, "patterns", error);
        if (result || (result = read_pattern(&reader, &patterns[read]))) break;
        ++read;
        if (spec[reader.at] != ';') break;
    }
    if (result) {
        tulle_patterns_free(patterns, read);
        return result;
    }
    *out = patterns;
    *count = read;
    return TULLE_OK;
}
