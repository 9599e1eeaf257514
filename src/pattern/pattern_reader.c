// SPDX-License-Identifier: MIT
#include "pattern/pattern_reader.h"

#include <stdio.h>
#include <string.h>

#include "pattern/pattern_names.h"

size_t reader_column(const struct reader *reader, size_t place) {
    size_t result = 1;
    for (size_t i = 0; i < place; ++i) result += ((unsigned char)reader->spec[i] & 0xC0) != 0x80;
    return result;
}

void skip_space(struct reader *reader) {
    while (name_is_space(reader->spec[reader->at])) ++reader->at;
}

bool at_end_of_factor(const struct reader *reader) {
    char c = reader->spec[reader->at];
    return c == '\0' || c == '&' || c == '+' || c == ';' || c == '|';
}

size_t word_length(const struct reader *reader, size_t at, const char *separators) {
    size_t length = strcspn(reader->spec + at, separators);
    while (length && name_is_space(reader->spec[at + length - 1])) --length;
    return length;
}

tulle_result fail_expected(const struct reader *reader, size_t place, const char *expected,
                           const char *as_in) {
    const char *found = reader->spec + place;
    size_t length = word_length(reader, place, WORD_ENDS);
    char text[NAME_SHOWN];
    name_show(text, found, length ? length : 1);
    const char *quote = *found == '\0' ? "" : *found == '\'' ? "\"" : "'";
    return tulle_fail(reader->error, TULLE_ERROR_SYNTAX,
                      "column %zu: expected %s%s%s, found %s%s%s", reader_column(reader, place),
                      expected, *as_in ? ", as in " : "", as_in, quote,
                      *found == '\0' ? "the end" : text, quote);
}

tulle_result with_column(const struct reader *reader, size_t place, tulle_result result) {
    if (result && reader->error) {
        size_t length = strlen(reader->error->message);
        snprintf(reader->error->message + length, sizeof reader->error->message - length,
                 " (column %zu)", reader_column(reader, place));
    }
    return result;
}

bool whole_number(const char *word, size_t length, uint64_t *number, bool *too_large) {
    const size_t digits = strspn(word, "0123456789");
    *number = 0;
    *too_large = false;
    for (size_t i = 0; i < length && i < digits; ++i) {
        const unsigned digit = (unsigned)(word[i] - '0');
        *too_large = *too_large || *number > (UINT64_MAX - digit) / 10;
        *number = *number * 10 + digit;
    }
    return length > 0 && digits >= length;
}
