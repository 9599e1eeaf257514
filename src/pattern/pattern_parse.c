// SPDX-License-Identifier: MIT
//
// Reading a pattern's spec:
//
//     entries = spec { "|" spec }
//     spec    = pattern { ";" pattern }
//     pattern = term { "+" term }
//     term    = factor { "&" factor }
//     factor  = name [ ":" value { "," value } ]        which values a kind takes: `forms` below
//     value   = a whole number, inf (L and R alone), or FILE; those of a neighborhood: pattern_grid.c
//
// White space around each of these is skipped. FILE stands bare, or in double quotes, where "" is
// one double quote and every other byte is itself (a backslash too, for it separates folders on
// Windows). Bare, it ends at + & ; | , and cannot hold a double quote, start with <, or look like a
// number or inf: global:12 are the first 12 positions, global:"12" is the list in the file 12.
// Columns in messages count characters of UTF-8 from 1.
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/array.h"
#include "common/error.h"
#include "pattern/pattern_names.h"
#include "pattern/pattern_reader.h"

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
    { "prefix:N", TULLE_PREFIX, 1, { { "N", WHOLE, FIELD(count), RULE_FROM_0 } } },
    { "chunked:C", TULLE_CHUNKED, 1, { { "C", WHOLE, FIELD(step), RULE_FROM_1 } } },
    { "a_shape:S,W",
      TULLE_A_SHAPE,
      2,
      { { "S", WHOLE, FIELD(count), RULE_FROM_0 }, { "W", WHOLE, FIELD(block), RULE_FROM_1 } } },
    { "vertical_slash:FILE,FILE",
      TULLE_VERTICAL_SLASH,
      2,
      { { "FILE", NAME, "", 0, "" }, { "FILE", NAME, "", 0, "" } } },
    { "neighborhood:K[,D][,cX] or neighborhood:HxW,KHxKW[,DHxDW][,cXY]",
      TULLE_NEIGHBORHOOD,
      0,
      { { 0 } } },
};

#define TERM_NAMES \
    "dense, window, dilated, global, sink, strided, fixed, blocks, random, documents, prefix, chunked, a_shape, vertical_slash or neighborhood"

// -------------------------------------------------------------------------------------------------
// Values

static tulle_result read_number(struct reader *reader, tulle_term *term, const struct form *form,
                                const struct value *value) {
    size_t place = reader->at, length = word_length(reader, place, WORD_ENDS);
    const char *word = reader->spec + place;
    void *field = (char *)term + value->offset;
    if (value->class == WHOLE_OR_INF && length == 3 && !memcmp(word, "inf", 3)) {
        *(int64_t *)field = TULLE_INFINITE;
        reader->at += length;
        return TULLE_OK;
    }

    bool negative = length && *word == '-', too_large;
    uint64_t number;
    if (!whole_number(word + negative, length - negative, &number, &too_large)) {
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
                    reader_column(reader, place));
    } else {
        length = word_length(reader, place, "+&;|,\"");
    }
    if (quoted && !length)
        return tulle_fail(reader->error, TULLE_ERROR_SYNTAX,
                          "column %zu: expected FILE, a name, found \"\"",
                          reader_column(reader, place));
    if (!length) return fail_expected(reader, place, "FILE, a name", form->usage);
    if (!quoted && *from == '<')
        return tulle_fail(
            reader->error, TULLE_ERROR_SYNTAX,
            "column %zu: expected FILE, a name, found '<', which stands for an array that was given without a name; "
            "a name that starts with it must stand in double quotes",
            reader_column(reader, place));
    if (!quoted && name_like_number(from, length))
        return fail_expected(reader, place,
                             "FILE, a name (in double quotes where it looks like a number)",
                             form->usage);
    if (!quoted && from[length] == '"')
        return tulle_fail(
            reader->error, TULLE_ERROR_SYNTAX,
            "column %zu: found a double quote within FILE; a name that holds one must stand in double quotes, and it twice",
            reader_column(reader, place + length));

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
// Terms, patterns, specs

static const struct form *find_form(const char *word, size_t length) {
    for (size_t i = 0; i < sizeof forms / sizeof *forms; ++i) {
        const char *name = term_kind_name(forms[i].kind);
        if (strlen(name) == length && !memcmp(name, word, length)) return &forms[i];
    }
    return NULL;
}

// Numbers into *given, the names of FILEs into *names.
static tulle_result read_values(struct reader *reader, const struct form *form, tulle_term *given,
                                struct names *names) {
    for (uint32_t i = 0; i < form->value_count; ++i) {
        const struct value *value = &form->values[i];
        char expected[32];
        snprintf(expected, sizeof expected, "'%c' and %s", i ? ',' : ':', value->label);
        skip_space(reader);
        if (reader->spec[reader->at] != (i ? ',' : ':'))
            return fail_expected(reader, reader->at, expected, form->usage);
        ++reader->at;
        skip_space(reader);

        size_t length = word_length(reader, reader->at, "+&;|,\"");
        bool named = value->class == NAME;
        if (value->class == WHOLE_OR_NAME)
            named = reader->spec[reader->at] == '"' ||
                    (length && !name_like_number(reader->spec + reader->at, length));
        names->place[names->count] = reader->at;
        tulle_result result = named ? read_name(reader, form, &names->text[names->count])
                                    : read_number(reader, given, form, value);
        if (result) return result;
        names->count += named;
    }
    if (form->kind == TULLE_NEIGHBORHOOD) {
        tulle_result result = read_grid(reader, form->usage, given);
        if (result) return result;
    }
    skip_space(reader);
    return at_end_of_factor(reader)
               ? TULLE_OK
               : fail_expected(reader, reader->at, "'&', '+', ';', '|' or the end", form->usage);
}

static tulle_result read_factor(struct reader *reader, struct term *out) {
    skip_space(reader);
    size_t place = reader->at, length = word_length(reader, place, WORD_ENDS);
    const struct form *form = find_form(reader->spec + place, length);
    if (!form)
        return length ? fail_expected(reader, place, "a term (" TERM_NAMES ")", "")
                      : fail_expected(reader, place, "a term", "window:L,R");
    reader->at += length;

    tulle_term given = { .kind = form->kind };
    struct names names = { .place = { place } };
    tulle_result result = read_values(reader, form, &given, &names);
    if (!names.count) names.place[0] = place;
    if (given.kind == TULLE_GLOBAL && names.count) given.kind = TULLE_GLOBAL_LIST;
    if (!result) result = build_from_files(reader, &given, &names, out);
    for (uint32_t i = 0; i < 2; ++i)
        if (result) free(names.text[i]);
        else out->names[i] = names.text[i];
    return result;
}

static tulle_result read_term(struct reader *reader, struct term *out) {
    tulle_result result = read_factor(reader, out);
    if (result) return result;
    while (!result && reader->spec[reader->at] == '&') {
        struct term factor;
        ++reader->at;
        result = read_factor(reader, &factor);
        if (!result) result = term_restrict(out, &factor, reader->number, reader->error);
    }
    if (result) term_clear(out);
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

// Patterns as they are read, and how many belong to each batch entry's spec.
struct patterns {
    tulle_pattern **read;
    size_t capacity;
    uint32_t count;
    uint32_t *spec_ends;  // of each spec: how many patterns it and those before it have
    size_t spec_capacity;
    uint32_t spec_count;
};

// What was read to the caller, or where that failed to nobody.
static tulle_result hand_over(struct patterns *patterns, tulle_result result, tulle_pattern ***out,
                              uint32_t *count) {
    free(patterns->spec_ends);
    if (result) {
        tulle_patterns_free(patterns->read, patterns->count);
        return result;
    }
    *out = patterns->read;
    *count = patterns->count;
    return TULLE_OK;
}

static tulle_result read_patterns(struct reader *reader, struct patterns *into) {
    for (;; ++reader->at) {
        tulle_result result = reserve_next(&into->read, &into->capacity, into->count,
                                           sizeof *into->read, "patterns", reader->error);
        if (result || (result = read_pattern(reader, &into->read[into->count]))) return result;
        ++into->count;
        if (reader->spec[reader->at] == ';') continue;
        result = reserve_next(&into->spec_ends, &into->spec_capacity, into->spec_count,
                              sizeof *into->spec_ends, "specs", reader->error);
        if (result) return result;
        into->spec_ends[into->spec_count++] = into->count;
        if (reader->spec[reader->at] == '\0') return TULLE_OK;
    }
}

static tulle_result fail_null(const char *name, tulle_error *error) {
    return tulle_fail(error, TULLE_ERROR_INVALID_ARGUMENT, "%s is NULL; it must not be", name);
}

tulle_result tulle_pattern_parse(const char *spec, const tulle_array_loader *loader,
                                 tulle_pattern ***out, uint32_t *count, tulle_error *error) {
    if (out) *out = NULL;
    if (count) *count = 0;
    if (!spec || !out || !count) return fail_null(!spec ? "spec" : !out ? "out" : "count", error);
    struct reader reader = { spec, 0, loader, error, 1 };
    struct patterns patterns = { 0 };
    tulle_result result = read_patterns(&reader, &patterns);
    if (!result && patterns.spec_count > 1)
        result = tulle_fail(
            error, TULLE_ERROR_SYNTAX,
            "%" PRIu32
            " specs are joined by '|', one a batch entry; one for all entries is wanted here",
            patterns.spec_count);
    return hand_over(&patterns, result, out, count);
}

// Deals specs to entries in turn, and each one's patterns to heads in turn.
static tulle_result deal(const struct patterns *patterns, uint32_t entries, uint32_t heads,
                         uint32_t *entry_pattern, tulle_error *error) {
    if (patterns->spec_count > entries)
        return tulle_fail(error, TULLE_ERROR_INVALID_ARGUMENT,
                          "%" PRIu32
                          " specs are joined by '|', one a batch entry; there are only %" PRIu32
                          " entries",
                          patterns->spec_count, entries);
    for (uint32_t spec = 0; spec < patterns->spec_count; ++spec) {
        const uint32_t first = spec ? patterns->spec_ends[spec - 1] : 0,
                       count = patterns->spec_ends[spec] - first;
        if (count > heads)
            return tulle_fail(error, TULLE_ERROR_INVALID_ARGUMENT,
                              "spec %" PRIu32 " of those joined by '|' holds %" PRIu32
                              " patterns joined by ';', one a head; there are only %" PRIu32
                              " heads",
                              spec + 1, count, heads);
        for (uint32_t entry = spec; entry < entries; entry += patterns->spec_count)
            for (uint32_t head = 0; head < heads; ++head)
                entry_pattern[(size_t)entry * heads + head] = first + head % count;
    }
    return TULLE_OK;
}

tulle_result tulle_pattern_parse_entries(const char *spec, const tulle_array_loader *loader,
                                         uint32_t entries, uint32_t heads, tulle_pattern ***out,
                                         uint32_t *count, uint32_t *entry_pattern,
                                         tulle_error *error) {
    if (out) *out = NULL;
    if (count) *count = 0;
    if (!spec || !out || !count || !entry_pattern)
        return fail_null(!spec ? "spec" : !out ? "out" : !count ? "count" : "entry_pattern", error);
    struct reader reader = { spec, 0, loader, error, 1 };
    struct patterns patterns = { 0 };
    tulle_result result = read_patterns(&reader, &patterns);
    if (!result) result = deal(&patterns, entries, heads, entry_pattern, error);
    return hand_over(&patterns, result, out, count);
}
