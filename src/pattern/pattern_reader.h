// SPDX-License-Identifier: MIT
//
// Walking through a spec, and saying where in it something is wrong. pattern_parse.c has the
// grammar.
#ifndef TULLE_SRC_PATTERN_PATTERN_READER_H
#define TULLE_SRC_PATTERN_PATTERN_READER_H

#include "pattern/pattern_build.h"

struct reader {
    const char *spec;
    size_t at;
    const tulle_array_loader *loader;
    tulle_error *error;
    uint32_t number;  // of the term within its pattern, from 1
};

// What ends a word that is no name in double quotes.
#define WORD_ENDS "+&;|,:\""

/// Counts characters of UTF-8, from 1.
size_t reader_column(const struct reader *reader, size_t place);

void skip_space(struct reader *reader);

bool at_end_of_factor(const struct reader *reader);

/// The word from `at` on: up to a separator, without the white space before that.
size_t word_length(const struct reader *reader, size_t at, const char *separators);

/// What the word says; false: it is no whole number. `too_large`: for 64 bits.
bool whole_number(const char *word, size_t length, uint64_t *number, bool *too_large);

/// "column 8: expected …, as in …, found …"; as_in is "" where nothing is to be shown.
tulle_result fail_expected(const struct reader *reader, size_t place, const char *expected,
                           const char *as_in);

/// Says where, in a message that speaks of a term: its number alone would leave open which pattern
/// of the spec it is in.
tulle_result with_column(const struct reader *reader, size_t place, tulle_result result);

/// Behind "neighborhood": its axes. pattern_grid.c
tulle_result read_grid(struct reader *reader, const char *usage, tulle_term *given);

/// The names of a term's FILEs, and where they stand in the spec.
struct names {
    char *text[2];
    size_t place[2];
    uint32_t count;
};

/// Loads the term's FILEs and builds the term from them, which copies the arrays. pattern_files.c
tulle_result build_from_files(const struct reader *reader, tulle_term *given,
                              const struct names *names, struct term *out);

#endif
