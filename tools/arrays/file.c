// SPDX-License-Identifier: MIT
#include "arrays/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/system.h"

bool input_exists(const char *name, size_t length) {
    struct file_state state;
    char *path = malloc(length + 1);
    if (!path) return false;
    memcpy(path, name, length);
    path[length] = 0;
    const bool exists = path_inspect(path, &state) && state.regular;
    free(path);
    return exists;
}

bool input_open(struct input_file *file, const char *path, struct message *message) {
    struct file_state state;
    *file = (struct input_file){ .descriptor = file_open(path), .path = path };
    if (file->descriptor < 0) return refuse(message, "cannot open '%s': %s", path, strerror(errno));
    if (!file_inspect(file->descriptor, &state)) {
        refuse(message, "cannot inspect '%s': %s", path, strerror(errno));
        input_close(file);
        return false;
    }
    if (!state.regular) {
        refuse(message, "'%s' is not a regular file", path);
        input_close(file);
        return false;
    }
    file->size = state.size;
    return true;
}

bool input_read(const struct input_file *file, uint64_t offset, void *to, size_t size,
                struct message *message) {
    unsigned char *at = to;
    while (size > 0) {
        const int64_t got = file_read(file->descriptor, at, size, offset);
        if (got < 0) return refuse(message, "cannot read '%s': %s", file->path, strerror(errno));
        if (got == 0)
            return refuse(message, "'%s' ends early: it was cut off while it was read", file->path);
        at += got;
        offset += (uint64_t)got;
        size -= (size_t)got;
    }
    return true;
}

void input_close(struct input_file *file) {
    if (file->descriptor >= 0) file_close(file->descriptor);
    file->descriptor = -1;
}

char *input_text(const char *path, size_t most, size_t *size, struct message *message) {
    struct input_file file;
    char *text = NULL;
    if (!input_open(&file, path, message)) return NULL;
    if (file.size > most) {
        refuse(message, "'%s' has %llu bytes; at most %zu are read", path,
               (unsigned long long)file.size, most);
    } else if (!(text = malloc((size_t)file.size + 1))) {
        refuse(message, "out of memory for '%s'", path);
    } else if (!input_read(&file, 0, text, (size_t)file.size, message)) {
        free(text);
        text = NULL;
    } else {
        text[file.size] = 0;
        *size = (size_t)file.size;
    }
    input_close(&file);
    return text;
}
