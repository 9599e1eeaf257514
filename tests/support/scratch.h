// SPDX-License-Identifier: MIT
//
// A folder of its own for a test of the program's readers, and files written into it byte by byte.
#ifndef TULLE_TESTS_SCRATCH_H
#define TULLE_TESTS_SCRATCH_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char scratch_folder[256], scratch_path[300];

static int scratch_make(void **state) {
    const char *parent = getenv("TMPDIR");
    (void)state;
    snprintf(scratch_folder, sizeof scratch_folder, "%s/tulle-test-XXXXXX",
             parent && *parent ? parent : "/tmp");
    return mkdtemp(scratch_folder) ? 0 : -1;
}

static int scratch_remove(void **state) {
    (void)state;
    unlink(scratch_path);
    return rmdir(scratch_folder);
}

/// (Re)writes the scratch file NAME and returns its path. scratch_remove removes the last one alone.
static const char *scratch_write(const char *name, const void *bytes, size_t size) {
    snprintf(scratch_path, sizeof scratch_path, "%s/%s", scratch_folder, name);
    FILE *file = fopen(scratch_path, "wb");
    if (!file || fwrite(bytes, 1, size, file) != size || fclose(file)) {
        perror(scratch_path);
        abort();
    }
    return scratch_path;
}

#endif
