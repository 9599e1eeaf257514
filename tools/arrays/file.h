// SPDX-License-Identifier: MIT
//
// Files that are read: regular files, by position, with every failure said in words.
#ifndef TULLE_TOOLS_ARRAYS_FILE_H
#define TULLE_TOOLS_ARRAYS_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "common/message.h"

struct input_file {
    int descriptor;
    uint64_t size;
    const char *path;  ///< the caller's; for messages
};

/// Is there a regular file whose name is the first `length` bytes of `name`?
bool input_exists(const char *name, size_t length);

/// Opens a regular file. Anything else (a folder, a device, a pipe) is refused: its size is not
/// known.
bool input_open(struct input_file *file, const char *path, struct message *message);

/// Reads exactly `size` bytes from `offset` on.
bool input_read(const struct input_file *file, uint64_t offset, void *to, size_t size,
                struct message *message);

void input_close(struct input_file *file);

/// Reads a whole text file of at most `most` bytes; the result ends in a NUL and is freed by the
/// caller. NULL on failure.
char *input_text(const char *path, size_t most, size_t *size, struct message *message);

#endif
