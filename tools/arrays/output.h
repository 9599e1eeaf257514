// SPDX-License-Identifier: MIT
//
// Files that are written: all of them, or none. Each is written beside its target under a temporary
// name and takes the target's place only when everything has succeeded, so an input may also be an
// output.
#ifndef TULLE_TOOLS_ARRAYS_OUTPUT_H
#define TULLE_TOOLS_ARRAYS_OUTPUT_H

#include <stdio.h>

#include "common/message.h"

#define OUTPUT_MOST 4

struct outputs {
    int count;
    struct output {
        char *target, *temporary, *backup;
        FILE *file;
    } each[OUTPUT_MOST];
};

/// Opens one more; the stream is in outputs->each[…].file and returned. NULL with a message where
/// the folder cannot be written, the target is not a regular file, or it is one of the outputs
/// already. Removed too when a signal ends us.
FILE *outputs_add(struct outputs *outputs, const char *path, struct message *message);

/// Closes and renames all; where one fails, those that were renamed are put back. Then as after
/// outputs_discard.
bool outputs_commit(struct outputs *outputs, struct message *message);

/// Removes what was written; safe on an empty set and after a commit.
void outputs_discard(struct outputs *outputs);

#endif
