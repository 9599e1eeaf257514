// SPDX-License-Identifier: MIT
#define _POSIX_C_SOURCE 200809L
#include "arrays/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool input_open(struct input_file *file, const char *path, struct message *message) {
    struct stat status;
    // O_NONBLOCK: opening a named pipe that nobody writes to must end in the message below, not
    // hang.
    *file = (struct input_file){ .descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK),
                                 .path = path };
    if (file->descriptor < 0) return refuse(message, "cannot open '%s': %s", path, strerror(errno));
    if (fstat(file->descriptor, &status)) {
        refuse(message, "cannot inspect '%s': %s", path, strerror(errno));
        input_close(file);
        return false;
    }
    if (!S_ISREG(status.st_mode)) {
        refuse(message, "'%s' is not a regular file", path);
        input_close(file);
        return false;
    }
    file->size = (uint64_t)status.st_size;
    return true;
}

bool input_read(const struct input_file *file, uint64_t offset, void *to, size_t size,
                struct message *message) {
    unsigned char *at = to;
    while (size > 0) {
        // One call moves at most 1 GiB: Linux reads no more than about 2 GiB at once.
        const size_t step = size < ((size_t)1 << 30) ? size : (size_t)1 << 30;
        const ssize_t got = pread(file->descriptor, at, step, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
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
    if (file->descriptor >= 0) close(file->descriptor);
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
