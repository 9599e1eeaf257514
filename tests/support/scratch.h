// SPDX-License-Identifier: MIT
//
// A folder of its own for a test of the program's readers, and files written into it byte by byte.
#ifndef TULLE_TESTS_SCRATCH_H
#define TULLE_TESTS_SCRATCH_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef _WIN32
#include <io.h>
#endif

static char scratch_folder[256], scratch_path[300];

static int scratch_make(void **state) {
#ifdef _WIN32
    const char *parent = getenv("TEMP");
#else
    const char *parent = getenv("TMPDIR");
#endif
    (void)state;
    snprintf(scratch_folder, sizeof scratch_folder, "%s/tulle-test-XXXXXX",
             parent && *parent ? parent : "/tmp");
#ifdef _WIN32
    return _mktemp(scratch_folder) && !mkdir(scratch_folder) ? 0 : -1;
#else
    return mkdtemp(scratch_folder) ? 0 : -1;
#endif
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
