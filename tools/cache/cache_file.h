// SPDX-License-Identifier: MIT
//
// What a context learns, kept in a file: the one that --cache names, or one a device in the user's
// cache folder.
#ifndef TULLE_TOOLS_CACHE_CACHE_FILE_H
#define TULLE_TOOLS_CACHE_CACHE_FILE_H

#include "common/message.h"
#include "common/system.h"
#include "tulle/tulle.h"

struct cache_file {
    // what the command line says
    const char *given;  ///< of --cache; NULL: in the user's cache folder
    bool none;          ///< --no-cache
    // while it is in use
    tulle_cache callbacks;
    void *data;  ///< what was read
    size_t size;
    struct message failure;
};

#define CACHE_FILE_OPTIONS(cache, no_cache) \
    { "cache", required_argument, NULL, cache }, { "no-cache", no_argument, NULL, no_cache }
#define HELP_CACHE_FILE                                                                                         \
    "  --cache FILE         keep compiled kernels and tuning in FILE; default: a file a device in the folder\n" \
    "                       " CACHE_FOLDER_NAME ". What cannot be read or written fails nothing\n"              \
    "  --no-cache           neither read nor write one\n"

/// What open_device takes; NULL where there is to be none. The file is read when the context is
/// made. file stays where it is while the context lives.
const tulle_cache *cache_file_use(struct cache_file *file);

/// Saves what the context has learned, if it differs from what was read: at once and whole, or not
/// at all. Where it cannot be written a line on standard error says so; false.
bool cache_file_save(struct cache_file *file, tulle_context *context, const char *command);

void cache_file_free(struct cache_file *file);

#endif
