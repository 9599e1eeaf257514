// SPDX-License-Identifier: MIT
#include "cache/cache_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arrays/file.h"
#include "arrays/output.h"
#include "common/cli.h"

enum { PATH_MOST = 4096, FILE_MOST = 1 << 28 };

static bool make_folder(const char *path, struct message *message) {
    if (folder_make(path)) return true;
    return refuse(message, "cannot make the folder '%s': %s", path, strerror(errno));
}

/// The file's name; make: and its folder, which may be new. False: there is none, or message says
/// why not.
static bool locate(const struct cache_file *file, const tulle_device_info *info, bool make,
                   char path[PATH_MOST], struct message *message) {
    char folder[PATH_MOST - 64], uuid[2 * VK_UUID_SIZE + 1];
    int length;
    if (file->given) {
        length = snprintf(path, PATH_MOST, "%s", file->given);
        return length < PATH_MOST ||
               refuse(message, "the name that --cache gives is longer than %d bytes", PATH_MOST);
    }
    length = cache_parent(folder, sizeof folder - 6);
    if (length < 0) return refuse(message, CACHE_FOLDER_VARIABLES);
    if (length >= (int)sizeof folder - 6)
        return refuse(message, "the name of the user's cache folder is too long");
    if (make && !make_folder(folder, message)) return false;
    strcat(folder, "/tulle");
    if (make && !make_folder(folder, message)) return false;
    for (size_t i = 0; i < VK_UUID_SIZE; i++) snprintf(uuid + 2 * i, 3, "%02x", info->uuid[i]);
    snprintf(path, PATH_MOST, "%s/%s.cache", folder, uuid);
    return true;
}

static bool read_file(void *user, const tulle_device_info *info, const void **data, size_t *size) {
    struct cache_file *file = user;
    char path[PATH_MOST];
    struct message ignored;  // no file is the usual case, and what is wrong with one, writing says
    if (!locate(file, info, false, path, &ignored)) return false;
    free(file->data);
    file->data = input_text(path, FILE_MOST, &file->size, &ignored);
    *data = file->data;
    *size = file->size;
    return file->data != NULL;
}

static bool write_file(void *user, const tulle_device_info *info, const void *data, size_t size) {
    struct cache_file *file = user;
    struct outputs outputs = { 0 };
    char path[PATH_MOST];
    if (file->data && file->size == size && !memcmp(file->data, data, size)) return true;
    if (!locate(file, info, true, path, &file->failure)) return false;
    FILE *to = outputs_add(&outputs, path, &file->failure);
    if (!to) return false;
    if (fwrite(data, 1, size, to) != size) {
        refuse(&file->failure, "cannot write '%s': %s", path, strerror(errno));
        outputs_discard(&outputs);
        return false;
    }
    return outputs_commit(&outputs, &file->failure);
}

const tulle_cache *cache_file_use(struct cache_file *file) {
    if (file->none) return NULL;
    file->callbacks = (tulle_cache){ .read = read_file, .write = write_file, .user = file };
    return &file->callbacks;
}

bool cache_file_save(struct cache_file *file, tulle_context *context, const char *command) {
    tulle_error error;
    if (file->none || !tulle_cache_save(context, &error)) return true;
    fail(command, STATUS_OK, "the cache is not kept: %s",
         error.result == TULLE_ERROR_CALLBACK ? file->failure.text : error.message);
    return false;
}

void cache_file_free(struct cache_file *file) {
    free(file->data);
    file->data = NULL;
}
