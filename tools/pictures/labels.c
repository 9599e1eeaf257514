// SPDX-License-Identifier: MIT
#include "pictures/labels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arrays/file.h"
#include "common/cli.h"

// Bytes of the character at text (NUL-terminated), 0 where it is not valid UTF-8: overlong forms
// and surrogates too.
static size_t character_bytes(const unsigned char *text) {
    const unsigned c = text[0];
    const size_t bytes = c < 0x80                ? 1
                         : c >= 0xc2 && c < 0xe0 ? 2
                         : c >= 0xe0 && c < 0xf0 ? 3
                         : c >= 0xf0 && c < 0xf5 ? 4
                                                 : 0;
    for (size_t i = 1; i < bytes; i++)
        if ((text[i] & 0xc0) != 0x80) return 0;
    if ((c == 0xe0 && text[1] < 0xa0) || (c == 0xed && text[1] >= 0xa0) ||
        (c == 0xf0 && text[1] < 0x90) || (c == 0xf4 && text[1] >= 0x90))
        return 0;
    return bytes;
}

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

bool labels_read(struct labels *labels, const char *path, struct message *message) {
    size_t size, count = 0;
    *labels = (struct labels){ 0 };
    char *text = input_text(path, (size_t)1 << 30, &size, message);
    if (!text) return false;
    for (size_t i = 0; i < size;) {
        const size_t bytes = character_bytes((unsigned char *)text + i);
        if (!bytes || ((unsigned char)text[i] < ' ' && !is_space(text[i])) || text[i] == 0x7f)
            text[i] = '?';
        i += bytes ? bytes : 1;
    }
    for (size_t i = 0; i < size; i++)
        count += !is_space(text[i]) && (i == 0 || is_space(text[i - 1]));
    const char **words = calloc(count ? count : 1, sizeof *words);
    if (!words) {
        free(text);
        return refuse(message, "out of memory for '%s'", path);
    }
    count = 0;
    for (size_t i = 0; i < size; i++)
        if (!is_space(text[i]) && (i == 0 || !text[i - 1] || is_space(text[i - 1])))
            words[count++] = text + i;
        else if (is_space(text[i])) text[i] = 0;
    *labels = (struct labels){ text, words, count };
    return true;
}

const char *labels_at(const struct labels *labels, int64_t position, char *buffer, size_t size) {
    if (labels && position >= 0 && (uint64_t)position < labels->count)
        return labels->words[position];
    snprintf(buffer, size, "%lld", (long long)position);
    return buffer;
}

const char *label_short(const char *text, size_t most, bool ascii, char *buffer, size_t size) {
    const bool cut = utf8_length(text) > most;
    size_t at = 0, left = cut ? most - 1 : most;
    while (*text && left-- && at + 8 < size) {
        const size_t bytes = character_bytes((const unsigned char *)text), step = bytes ? bytes : 1;
        if (!bytes || (ascii && step > 1)) buffer[at++] = '?';
        else
            for (size_t i = 0; i < step; i++) buffer[at++] = text[i];
        text += step;
    }
    buffer[at] = 0;
    if (cut && most) snprintf(buffer + at, size - at, "%s", ascii ? "." : "…");
    return buffer;
}

void labels_free(struct labels *labels) {
    free(labels->text);
    free(labels->words);
    *labels = (struct labels){ 0 };
}
