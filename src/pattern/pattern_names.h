// SPDX-License-Identifier: MIT
//
// Names of files in a spec: the rules that reading and printing share, so that what is printed
// reads back.
#ifndef TULLE_SRC_PATTERN_PATTERN_NAMES_H
#define TULLE_SRC_PATTERN_PATTERN_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define NAME_SHOWN 84  ///< bytes that hold a name as messages show it, NUL included

static inline bool name_is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f';
}

/// Would someone who wrote this bare have meant a number? "12", "-1", "1.5", "2e3", "inf".
static inline bool name_like_number(const char *name, size_t length) {
    if (length == 3 && !memcmp(name, "inf", 3)) return true;
    size_t from = length > 1 && (*name == '-' || *name == '.');
    if (from >= length || name[from] < '0' || name[from] > '9') return false;
    for (size_t i = from; i < length; ++i)
        if (!strchr("0123456789.eE-", name[i])) return false;
    return true;
}

/// Can it stand without quotes? Stricter than what reading takes.
static inline bool name_stands_bare(const char *name) {
    size_t length = strlen(name);
    const char *plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./-";
    return length && strspn(name, plain) == length && !name_like_number(name, length);
}

/// For messages: one line, shortened from the middle of no character of UTF-8.
static inline void name_show(char text[NAME_SHOWN], const char *name, size_t length) {
    size_t shown = length < NAME_SHOWN - 4 ? length : NAME_SHOWN - 4;
    if (shown < length)
        while (shown && ((unsigned char)name[shown] & 0xC0) == 0x80) --shown;
    for (size_t i = 0; i < shown; ++i)
        text[i] = (unsigned char)name[i] < ' ' || name[i] == 0x7F ? '?' : name[i];
    snprintf(text + shown, NAME_SHOWN - shown, "%s", shown < length ? "..." : "");
}

#endif
