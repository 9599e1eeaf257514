// SPDX-License-Identifier: MIT
//
// Tokens as labels: a text file of words, one a position.
#ifndef TULLE_TOOLS_PICTURES_LABELS_H
#define TULLE_TOOLS_PICTURES_LABELS_H

#include <stddef.h>
#include <stdint.h>

#include "common/message.h"

struct labels {
    char *text;  ///< one block that the words point into
    const char **words;
    size_t count;
};

/// Reads words separated by white space. What is not valid UTF-8 or not printable is replaced by
/// '?'.
bool labels_read(struct labels *labels, const char *path, struct message *message);

/// Label of a position: its word, or its number written into buffer where there is none (labels may
/// be NULL).
const char *labels_at(const struct labels *labels, int64_t position, char *buffer, size_t size);

/// Writes at most `most` characters of text, the last one '…' (or '.', not UTF-8) where some are
/// left out. ascii: every other character becomes '?'.
const char *label_short(const char *text, size_t most, bool ascii, char *buffer, size_t size);

void labels_free(struct labels *labels);

#endif
