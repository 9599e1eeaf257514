// SPDX-License-Identifier: MIT
#define _XOPEN_SOURCE 700
#include "arrays/output.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// What a signal handler has to remove. A pointer is set before the file exists and cleared after it
// is gone.
static char *volatile at_signal[2 * OUTPUT_MOST];

static void remove_and_die(int number) {
    for (size_t i = 0; i < sizeof at_signal / sizeof at_signal[0]; i++)
        if (at_signal[i]) unlink(at_signal[i]);
    signal(number, SIG_DFL);
    raise(number);
}

static void watch_signals(void) {
    // the last: who reads what is printed may go first
    static const int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGPIPE };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct sigaction action;
        // What the caller's shell ignores (nohup) stays ignored.
        if (sigaction(numbers[i], NULL, &action) || action.sa_handler != SIG_DFL) continue;
        memset(&action, 0, sizeof action);
        action.sa_handler = remove_and_die;
        sigaction(numbers[i], &action, NULL);
    }
}

static void forget(char *path) {
    for (size_t i = 0; i < sizeof at_signal / sizeof at_signal[0]; i++)
        if (at_signal[i] == path) at_signal[i] = NULL;
}

static void remember(char *path) {
    for (size_t i = 0; i < sizeof at_signal / sizeof at_signal[0]; i++) {
        if (!at_signal[i]) {
            at_signal[i] = path;
            return;
        }
    }
}

static void drop(struct output *output) {
    if (output->file) fclose(output->file);
    if (output->temporary) {
        unlink(output->temporary);
        forget(output->temporary);
    }
    if (output->backup) {
        unlink(output->backup);
        forget(output->backup);
    }
    free(output->target);
    free(output->temporary);
    free(output->backup);
    memset(output, 0, sizeof *output);
}

static char *beside(const char *target, const char *suffix) {
    const size_t size = strlen(target) + strlen(suffix) + 1;
    char *path = malloc(size);
    if (path) snprintf(path, size, "%s%s", target, suffix);
    return path;
}

FILE *outputs_add(struct outputs *outputs, const char *path, struct message *message) {
    struct output *output = &outputs->each[outputs->count];
    struct stat status;
    mode_t mode;
    memset(output, 0, sizeof *output);
    if (outputs->count == OUTPUT_MOST) {
        refuse(message, "more than %d outputs", OUTPUT_MOST);
        return NULL;
    }
    // A temporary file could be made for it, and only its last step would fail.
    if (!*path) {
        refuse(message, "'' is no name; a file's name is wanted");
        return NULL;
    }
    const bool exists = stat(path, &status) == 0;
    if (exists && !S_ISREG(status.st_mode)) {
        refuse(message, "'%s' is there and is not a regular file", path);
        return NULL;
    }
    if (exists) {
        mode = status.st_mode & 0777;
    } else {
        const mode_t mask = umask(0);
        umask(mask);
        mode = 0666 & ~mask;
    }
    // Through a symbolic link the file it points to is replaced, not the link.
    output->target = exists ? realpath(path, NULL) : strdup(path);
    output->temporary = output->target ? beside(output->target, ".tulle-XXXXXX") : NULL;
    if (!output->temporary) {
        refuse(message, "cannot write '%s': %s", path, strerror(errno));
        drop(output);
        return NULL;
    }
    for (int i = 0; i < outputs->count; i++) {
        struct stat other;
        if (strcmp(outputs->each[i].target, output->target) &&
            !(exists && !stat(outputs->each[i].target, &other) && other.st_dev == status.st_dev &&
              other.st_ino == status.st_ino))
            continue;
        refuse(message, "'%s' is named for two outputs", path);
        drop(output);
        return NULL;
    }
    const int descriptor = mkstemp(output->temporary);
    if (descriptor < 0) {
        refuse(message, "cannot write beside '%s': %s", path, strerror(errno));
        free(output->temporary);
        output->temporary = NULL;
        drop(output);
        return NULL;
    }
    if (!outputs->count) watch_signals();
    remember(output->temporary);
    fchmod(descriptor, mode);
    output->file = fdopen(descriptor, "wb");
    if (!output->file) {
        refuse(message, "cannot write '%s': %s", path, strerror(errno));
        close(descriptor);
        drop(output);
        return NULL;
    }
    outputs->count++;
    return output->file;
}

// Puts one target in place; with more than one output the old file is kept under a second name
// until all are there.
static bool place(struct output *output, bool keep, struct message *message) {
    if (keep && access(output->target, F_OK) == 0) {
        output->backup = beside(output->temporary, ".old");
        if (!output->backup) return refuse(message, "out of memory");
        remember(output->backup);
        if (link(output->target, output->backup)) {
            // No hard links here (FAT, some network shares): renaming is still all or nothing for
            // each file.
            forget(output->backup);
            free(output->backup);
            output->backup = NULL;
        }
    }
    if (rename(output->temporary, output->target))
        return refuse(message, "cannot replace '%s': %s", output->target, strerror(errno));
    forget(output->temporary);
    free(output->temporary);
    output->temporary = NULL;
    return true;
}

bool outputs_commit(struct outputs *outputs, struct message *message) {
    bool good = true;
    int placed = 0;
    for (int i = 0; i < outputs->count && good; i++) {
        FILE *file = outputs->each[i].file;
        outputs->each[i].file = NULL;
        if (fclose(file))
            good =
                refuse(message, "cannot write '%s': %s", outputs->each[i].target, strerror(errno));
    }
    while (good && placed < outputs->count) {
        good = place(&outputs->each[placed], outputs->count > 1, message);
        placed += good;
    }
    for (int i = 0; !good && i < placed; i++) {
        struct output *output = &outputs->each[i];
        if (output->backup) rename(output->backup, output->target);
        else unlink(output->target);
    }
    outputs_discard(outputs);
    return good;
}

void outputs_discard(struct outputs *outputs) {
    for (int i = 0; i < outputs->count; i++) drop(&outputs->each[i]);
    outputs->count = 0;
}
