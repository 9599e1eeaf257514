// SPDX-License-Identifier: MIT
#define _POSIX_C_SOURCE 200809L
#include "arrays/safetensors.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arrays/file.h"
#include "common/system.h"

// The format's own limit for the JSON header.
#define MOST_HEADER ((size_t)100000000)
#define SUFFIX ".safetensors"
#define INDEX_SUFFIX ".safetensors.index.json"

static bool ends_in(const char *name, size_t length, const char *suffix) {
    const size_t size = strlen(suffix);
    return length >= size && !memcmp(name + length - size, suffix, size);
}

static bool is_checkpoint(const char *name, size_t length) {
    return ends_in(name, length, SUFFIX) || ends_in(name, length, INDEX_SUFFIX);
}

// The length of the file's part of FILE:TENSOR; 0 where there is none. Folders, files and tensors
// may all have colons in their names: the file is what exists. Where nothing does, a whole name
// that ends as a file does is one, and else the first that does.
static size_t file_part(const char *name) {
    const size_t whole = strlen(name);
    size_t first = 0;
    if (input_exists(name, whole)) return is_checkpoint(name, whole) ? whole : 0;
    for (const char *colon = strchr(name, ':'); colon; colon = strchr(colon + 1, ':')) {
        const size_t length = (size_t)(colon - name);
        if (!is_checkpoint(name, length)) continue;
        if (input_exists(name, length)) return length;
        if (!first) first = length;
    }
    return is_checkpoint(name, whole) ? whole : first;
}

bool safetensors_named(const char *name) { return file_part(name) > 0; }

// A whole number that a double holds exactly.
static bool whole(const cJSON *item, int64_t *value) {
    if (!cJSON_IsNumber(item)) return false;
    const double number = item->valuedouble;
    if (!(number >= 0 && number <= 9007199254740992.0) || number != floor(number)) return false;
    *value = (int64_t)number;
    return true;
}

// The names in a header, for a message: as many as fit.
static void list_names(const cJSON *header, char *text, size_t size) {
    size_t at = 0;
    const cJSON *entry;
    text[0] = 0;
    cJSON_ArrayForEach(entry, header) {
        if (!entry->string || !strcmp(entry->string, "__metadata__")) continue;
        if (at + strlen(entry->string) + 8 > size) {
            snprintf(text + at, size - at, ", …");
            return;
        }
        at += (size_t)snprintf(text + at, size - at, "%s%s", at ? ", " : "", entry->string);
    }
    if (!at) snprintf(text, size, "no tensor");
}

// What stands beside the tensor's name in a header, or in an index.
static bool find_tensor(const char *path, const cJSON *header, const char *tensor,
                        const cJSON **out, struct message *message) {
    char names[400];
    const cJSON *entry, *found = NULL;
    list_names(header, names, sizeof names);
    if (!tensor)
        return refuse(message, "'%s' needs the tensor's name after it, as in %s:NAME; it holds %s",
                      path, path, names);
    cJSON_ArrayForEach(entry, header) {
        if (!entry->string || strcmp(entry->string, tensor) || !strcmp(tensor, "__metadata__"))
            continue;
        if (found) return refuse(message, "'%s' names the tensor '%s' twice", path, tensor);
        found = entry;
    }
    if (!found) return refuse(message, "'%s' has no tensor '%s'; it holds %s", path, tensor, names);
    *out = found;
    return true;
}

// Are all the tensors of the header in the file? A copy that was cut off is no longer what its
// header says, even where the tensor that is asked for is whole. Entries without positions are left
// alone: parse_entry refuses the one that is asked for.
static bool check_end(const struct input_file *file, const cJSON *header, uint64_t data_size,
                      struct message *message) {
    const cJSON *entry;
    cJSON_ArrayForEach(entry, header) {
        const cJSON *offsets = cJSON_GetObjectItemCaseSensitive(entry, "data_offsets");
        int64_t to;
        if (!strcmp(entry->string, "__metadata__") || cJSON_GetArraySize(offsets) != 2 ||
            !whole(cJSON_GetArrayItem(offsets, 1), &to))
            continue;
        if ((uint64_t)to > data_size)
            return refuse(
                message,
                "'%s': tensor '%s' ends at byte %lld of %llu: the file is cut off or its header is wrong",
                file->path, entry->string, (long long)to, (unsigned long long)data_size);
    }
    return true;
}

// Reads dtype, shape and data_offsets of one entry that check_end has seen; *begin is relative to
// the end of the header.
static bool parse_entry(const struct input_file *file, const char *tensor, const cJSON *entry,
                        struct array *array, uint64_t *begin, size_t *bytes,
                        struct message *message) {
    const cJSON *dtype = cJSON_GetObjectItemCaseSensitive(entry, "dtype"),
                *shape = cJSON_GetObjectItemCaseSensitive(entry, "shape");
    const cJSON *offsets = cJSON_GetObjectItemCaseSensitive(entry, "data_offsets"), *item;
    const char *type = cJSON_IsString(dtype) ? dtype->valuestring : NULL;
    int64_t from, to;
    if (!type || !cJSON_IsArray(shape) || !cJSON_IsArray(offsets))
        return refuse(message, "'%s': tensor '%s' lacks dtype, shape or data_offsets", file->path,
                      tensor);
    if (!strcmp(type, "F32")) array->element = ELEMENT_F32;
    else if (!strcmp(type, "F16")) array->element = ELEMENT_F16;
    else if (!strcmp(type, "BF16")) array->element = ELEMENT_BF16;
    else
        return refuse(message, "'%s': tensor '%s' is of type %.40s; F32, F16 and BF16 are read",
                      file->path, tensor, type);
    cJSON_ArrayForEach(item, shape) {
        if (array->dimensions == ARRAY_MOST_DIMENSIONS)
            return refuse(message, "'%s': tensor '%s' has more than %d axes", file->path, tensor,
                          ARRAY_MOST_DIMENSIONS);
        if (!whole(item, &array->shape[array->dimensions++]))
            return refuse(message, "'%s': tensor '%s' has a shape that is not a list of lengths",
                          file->path, tensor);
    }
    if (cJSON_GetArraySize(offsets) != 2 || !whole(cJSON_GetArrayItem(offsets, 0), &from) ||
        !whole(cJSON_GetArrayItem(offsets, 1), &to) || from > to)
        return refuse(message,
                      "'%s': tensor '%s' has data_offsets that are not a pair of rising positions",
                      file->path, tensor);
    if (!array_size(array->element, array->shape, array->dimensions, &array->count, bytes))
        return refuse(message, "'%s': tensor '%s' has a shape that memory cannot hold", file->path,
                      tensor);
    if ((uint64_t)(to - from) != *bytes)
        return refuse(message, "'%s': tensor '%s' has %lld bytes of data; its shape needs %zu",
                      file->path, tensor, (long long)(to - from), *bytes);
    *begin = (uint64_t)from;
    return true;
}

static bool read_open_file(const struct input_file *file, const char *tensor, struct array *out,
                           struct message *message) {
    unsigned char start[8];
    struct array array = { .data = NULL };
    uint64_t header_size = 0, begin = 0;
    size_t bytes = 0;
    const cJSON *entry = NULL;
    if (file->size < 8)
        return refuse(message, "'%s' has %llu bytes: too short for a .safetensors file", file->path,
                      (unsigned long long)file->size);
    if (!input_read(file, 0, start, 8, message)) return false;
    for (int byte = 7; byte >= 0; byte--) header_size = header_size << 8 | start[byte];
    if (header_size > MOST_HEADER || header_size > file->size - 8)
        return refuse(
            message,
            "'%s' is not a .safetensors file, or cut off: it says that its header has %llu bytes",
            file->path, (unsigned long long)header_size);

    char *text = malloc((size_t)header_size + 1);
    if (!text) return refuse(message, "out of memory for the header of '%s'", file->path);
    bool good = input_read(file, 8, text, (size_t)header_size, message);
    text[good ? header_size : 0] = 0;
    cJSON *header = good ? cJSON_ParseWithLength(text, (size_t)header_size) : NULL;
    if (good && !header) good = refuse(message, "'%s': its header is not JSON", file->path);
    if (good && !cJSON_IsObject(header))
        good = refuse(message, "'%s': its header is not a JSON object", file->path);
    good = good && find_tensor(file->path, header, tensor, &entry, message) &&
           check_end(file, header, file->size - 8 - header_size, message) &&
           parse_entry(file, tensor, entry, &array, &begin, &bytes, message);
    cJSON_Delete(header);
    free(text);
    if (!good) return false;

    array.data = malloc(bytes ? bytes : 1);
    if (!array.data)
        return refuse(message, "out of memory: '%s:%s' needs %zu bytes", file->path, tensor, bytes);
    if (!input_read(file, 8 + header_size + begin, array.data, bytes, message)) {
        free(array.data);
        return false;
    }
    *out = array;
    return true;
}

// The path of the shard that holds a tensor: an index names files of its own folder. Freed by the
// caller; NULL on failure.
static char *find_shard(const char *index, const char *tensor, struct message *message) {
    size_t size;
    char *text = input_text(index, MOST_HEADER, &size, message), *path = NULL;
    if (!text) return NULL;
    cJSON *json = cJSON_ParseWithLength(text, size);
    free(text);
    const cJSON *map = cJSON_GetObjectItemCaseSensitive(json, "weight_map"), *shard = NULL;
    size_t folder = 0;  // of the path's characters, with the separator
    for (size_t i = 0; index[i]; i++)
        if (strchr(path_separators, index[i])) folder = i + 1;
    if (!cJSON_IsObject(map)) {
        refuse(message, "'%s' is not JSON with an object 'weight_map'", index);
    } else if (find_tensor(index, map, tensor, &shard, message)) {
        const char *name = cJSON_IsString(shard) ? shard->valuestring : "";
        if (!ends_in(name, strlen(name), SUFFIX) || strpbrk(name, "/\\"))
            refuse(message,
                   "'%s' says that tensor '%s' is in '%.200s'; it must be a " SUFFIX
                   " file of the same folder",
                   index, tensor, name);
        else if (!(path = malloc(folder + strlen(name) + 1))) refuse(message, "out of memory");
        else {
            memcpy(path, index, folder);
            strcpy(path + folder, name);
        }
    }
    cJSON_Delete(json);
    return path;
}

bool safetensors_read(const char *name, struct array *out, struct message *message) {
    struct input_file file;
    const size_t length = file_part(name);
    const char *tensor = name[length] ? name + length + 1 : NULL;
    char *path = malloc(length + 1);
    memset(out, 0, sizeof *out);
    if (!path) return refuse(message, "out of memory");
    memcpy(path, name, length);
    path[length] = 0;
    if (ends_in(path, length, INDEX_SUFFIX)) {
        char *shard = find_shard(path, tensor, message);
        free(path);
        if (!(path = shard)) return false;
    }
    bool read = input_open(&file, path, message);
    if (read) {
        read = read_open_file(&file, tensor, out, message);
        input_close(&file);
    }
    free(path);
    return read;
}
