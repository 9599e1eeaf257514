// SPDX-License-Identifier: MIT
//
// What a reader or helper says when it refuses something: one line that a person can act on.
#ifndef TULLE_TOOLS_COMMON_MESSAGE_H
#define TULLE_TOOLS_COMMON_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>

#if defined(__MINGW32__)
#include <stdio.h>  // says which printf is in force: C99's, by a flag of the build
#define TOOL_PRINTF(text, first) __attribute__((format(__MINGW_PRINTF_FORMAT, text, first)))
#elif defined(__GNUC__)
#define TOOL_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define TOOL_PRINTF(text, first)
#endif

struct message {
    char text[1400];
};

/// Writes the line and returns false, so that a refusal is one statement: `return refuse(m, "…")`.
bool refuse(struct message *message, const char *format, ...) TOOL_PRINTF(2, 3);

#endif
