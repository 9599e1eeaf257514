// SPDX-License-Identifier: MIT
#include "arrays/output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/system.h"

// What a signal handler has to remove. A pointer is set before the file exists and cleared after it
// is gone.
static char *volatile unfinished[2 * OUTPUT_MOST];

static void remove_unfinished(void) {
    for (size_t i = 0; i < sizeof unfinished / sizeof unfinished[0]; i++)
        if (unfinished[i]) path_remove(unfinished[i]);
}

static void forget(char *path) {
    for (size_t i = 0; i < sizeof unfinished / sizeof unfinished[0]; i++)
        if (unfinished[i] == path) unfinished[i] = NULL;
}

static void remember(char *path) {
    for (size_t i = 0; i < sizeof unfinished / sizeof unfinished[0]; i++) {
        if (!unfinished[i]) {
            unfinished[i] = path;
            return;
        }
    }
}

static void drop(struct output *output) {
    if (output->file) fclose(output->file);
    if (output->temporary) {
        path_remove(output->temporary);
        forget(output->temporary);
    }
    if (output->backup) {
        path_remove(output->backup);
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
    struct file_state state;
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
    const bool exists = path_inspect(path, &state);
    if (exists && !state.regular) {
        refuse(message, "'%s' is there and is not a regular file", path);
        return NULL;
    }
    // Through a symbolic link the file it points to is replaced, not the link.
    output->target = exists ? path_resolve(path) : beside(path, "");
    output->temporary = output->target ? beside(output->target, ".tulle-XXXXXX") : NULL;
    if (!output->temporary) {
        refuse(message, "cannot write '%s': %s", path, strerror(errno));
        drop(output);
        return NULL;
    }
    for (int i = 0; i < outputs->count; i++) {
        struct file_state other;
        if (strcmp(outputs->each[i].target, output->target) &&
            !(exists && path_inspect(outputs->each[i].target, &other) &&
              other.volume == state.volume && other.number == state.number))
            continue;
        refuse(message, "'%s' is named for two outputs", path);
        drop(output);
        return NULL;
    }
    if (!outputs->count) at_signal(remove_unfinished);
    remember(output->temporary);
    output->file = path_create(output->temporary, exists ? &state : NULL);
    if (!output->file) {
        refuse(message, "cannot write beside '%s': %s", path, strerror(errno));
        forget(output->temporary);
        free(output->temporary);
        output->temporary = NULL;
        drop(output);
        return NULL;
    }
    outputs->count++;
    return output->file;
}

// Puts one target in place; with more than one output the old file is kept under a second name
// until all are there.
static bool place(struct output *output, bool keep, struct message *message) {
    struct file_state state;
    if (keep && path_inspect(output->target, &state)) {
        output->backup = beside(output->temporary, ".old");
        if (!output->backup) return refuse(message, "out of memory");
        remember(output->backup);
        if (!path_link(output->target, output->backup)) {
            // No hard links here (FAT, some network shares): renaming is still all or nothing for
            // each file.
            forget(output->backup);
            free(output->backup);
            output->backup = NULL;
        }
    }
    if (!path_replace(output->temporary, output->target))
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
        if (output->backup) path_replace(output->backup, output->target);
        else path_remove(output->target);
    }
    outputs_discard(outputs);
    return good;
}

void outputs_discard(struct outputs *outputs) {
    for (int i = 0; i < outputs->count; i++) drop(&outputs->each[i]);
    outputs->count = 0;
}
