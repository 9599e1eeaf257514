// SPDX-License-Identifier: MIT
#define _POSIX_C_SOURCE 200809L
#include "arrays/npy.h"

#include <stdlib.h>
#include <string.h>

#include "arrays/file.h"

// The header is one Python dict: {'descr': '<f4', 'fortran_order': False, 'shape': (12, 512, 32), }
// padded with spaces and ended by a newline. 1 MiB is far more than any shape needs.
#define MOST_HEADER ((size_t)1 << 20)

static const struct {
    const char *descr;
    enum element element;
} known[] = {
    { "<f4", ELEMENT_F32 }, { "<f2", ELEMENT_F16 }, { "|b1", ELEMENT_BOOL }, { "|i1", ELEMENT_I8 },
    { "|u1", ELEMENT_U8 },  { "<i2", ELEMENT_I16 }, { "<i4", ELEMENT_I32 },  { "<i8", ELEMENT_I64 },
    { "<u2", ELEMENT_U16 }, { "<u4", ELEMENT_U32 }, { "<u8", ELEMENT_U64 },
};

// What is left of the header while it is parsed. `end` is never dereferenced.
struct cursor {
    const char *at, *end;
};

static void skip_space(struct cursor *c) {
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' || *c->at == '\r'))
        c->at++;
}

static bool take(struct cursor *c, char wanted) {
    skip_space(c);
    if (c->at == c->end || *c->at != wanted) return false;
    c->at++;
    return true;
}

// A quoted string without escapes, as NumPy writes them.
static bool take_string(struct cursor *c, char *text, size_t size) {
    size_t length = 0;
    skip_space(c);
    if (c->at == c->end || (*c->at != '\'' && *c->at != '"')) return false;
    const char quote = *c->at++;
    while (c->at < c->end && *c->at != quote) {
        const char letter = *c->at++;
        if (letter < ' ' || letter > '~' || letter == '\\' || length + 1 >= size) return false;
        text[length++] = letter;
    }
    if (c->at == c->end) return false;
    c->at++;
    text[length] = 0;
    return true;
}

static bool take_word(struct cursor *c, const char *word) {
    const size_t length = strlen(word);
    skip_space(c);
    if ((size_t)(c->end - c->at) < length || memcmp(c->at, word, length)) return false;
    c->at += length;
    return true;
}

// Digits, and the L that Python 2 put behind a long.
static bool take_length(struct cursor *c, int64_t *value) {
    skip_space(c);
    if (c->at == c->end || *c->at < '0' || *c->at > '9') return false;
    *value = 0;
    while (c->at < c->end && *c->at >= '0' && *c->at <= '9') {
        const int digit = *c->at++ - '0';
        if (*value > (INT64_MAX - digit) / 10) return false;
        *value = *value * 10 + digit;
    }
    if (c->at < c->end && *c->at == 'L') c->at++;
    return true;
}

// A tuple of lengths: (), (5,), (5, 3) or (5, 3,). A lone (5) is a number in Python, not a tuple.
static bool take_shape(struct cursor *c, struct array *array, const char *path,
                       struct message *message) {
    bool comma = true;
    if (!take(c, '(')) return refuse(message, "'%s': its header's shape is not a tuple", path);
    array->dimensions = 0;
    while (!take(c, ')')) {
        int64_t length;
        if (!comma || !take_length(c, &length))
            return refuse(message, "'%s': its header's shape is not a tuple of lengths", path);
        if (array->dimensions == ARRAY_MOST_DIMENSIONS)
            return refuse(message, "'%s' has more than %d axes", path, ARRAY_MOST_DIMENSIONS);
        array->shape[array->dimensions++] = length;
        comma = take(c, ',');
    }
    if (array->dimensions == 1 && !comma)
        return refuse(message, "'%s': its header's shape is not a tuple", path);
    return true;
}

static bool find_element(const char *descr, enum element *element, const char *path,
                         struct message *message) {
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (!strcmp(descr, known[i].descr)) {
            *element = known[i].element;
            return true;
        }
    }
    if (descr[0] == '>')
        return refuse(message,
                      "'%s' is big-endian (%s); save a.astype(a.dtype.newbyteorder('<')) instead",
                      path, descr);
    if (!strcmp(descr, "<f8"))
        return refuse(
            message,
            "'%s' holds float64; Tulle reads float32 and float16: save a.astype('float32')", path);
    return refuse(message,
                  "'%s' holds elements of type '%s'; float32, float16, bool and integers are read",
                  path, descr);
}

static bool parse_header(const char *text, size_t size, struct array *array, const char *path,
                         struct message *message) {
    struct cursor c = { text, text + size };
    bool descr = false, order = false, shape = false, comma = true;
    char key[32], type[64];
    if (!take(&c, '{')) return refuse(message, "'%s': its header is not a dict", path);
    while (!take(&c, '}')) {
        if (!comma || !take_string(&c, key, sizeof key) || !take(&c, ':'))
            return refuse(message, "'%s': its header is not a dict of strings to values", path);
        if (!strcmp(key, "descr") && !descr) {
            descr = true;
            if (!take_string(&c, type, sizeof type))
                return refuse(
                    message,
                    "'%s' holds a structured or unreadable type; float32, float16, bool and integers are read",
                    path);
            if (!find_element(type, &array->element, path, message)) return false;
        } else if (!strcmp(key, "fortran_order") && !order) {
            order = true;
            if (take_word(&c, "True"))
                return refuse(message,
                              "'%s' is in Fortran order; save numpy.ascontiguousarray(a) instead",
                              path);
            if (!take_word(&c, "False"))
                return refuse(message, "'%s': its header's fortran_order is neither True nor False",
                              path);
        } else if (!strcmp(key, "shape") && !shape) {
            shape = true;
            if (!take_shape(&c, array, path, message)) return false;
        } else {
            return refuse(message,
                          "'%s': its header has the key '%s' twice, or should not have it at all",
                          path, key);
        }
        comma = take(&c, ',');
    }
    skip_space(&c);
    if (c.at != c.end) return refuse(message, "'%s': its header goes on after the dict", path);
    if (!descr || !order || !shape)
        return refuse(message, "'%s': its header lacks %s", path,
                      !descr   ? "descr"
                      : !order ? "fortran_order"
                               : "shape");
    return true;
}

static bool read_open_file(const struct input_file *file, struct array *out,
                           struct message *message) {
    unsigned char start[12] = { 0 };
    const char *path = file->path;
    struct array array = { .data = NULL };
    if (file->size < 10)
        return refuse(message, "'%s' has %llu bytes: too short for a .npy file", path,
                      (unsigned long long)file->size);
    if (!input_read(file, 0, start, 10, message)) return false;
    if (memcmp(start, "\x93NUMPY", 6))
        return refuse(message, "'%s' is not a .npy file (it does not begin with \\x93NUMPY)", path);
    if ((start[6] != 1 && start[6] != 2) || start[7] != 0)
        return refuse(message, "'%s' has .npy format version %d.%d; 1.0 and 2.0 are read", path,
                      start[6], start[7]);

    const size_t before = start[6] == 1 ? 10 : 12;
    if (file->size < before) return refuse(message, "'%s' ends inside its header", path);
    if (before == 12 && !input_read(file, 10, start + 10, 2, message)) return false;
    size_t header = (size_t)start[8] | (size_t)start[9] << 8;
    if (before == 12) header |= (size_t)start[10] << 16 | (size_t)start[11] << 24;
    if (header > MOST_HEADER)
        return refuse(message, "'%s' says that its header has %zu bytes; at most %zu are read",
                      path, header, MOST_HEADER);
    if (file->size - before < header) return refuse(message, "'%s' ends inside its header", path);

    char *text = malloc(header ? header : 1);
    if (!text) return refuse(message, "out of memory for the header of '%s'", path);
    const bool parsed = input_read(file, before, text, header, message) &&
                        parse_header(text, header, &array, path, message);
    free(text);
    if (!parsed) return false;

    size_t bytes;
    char shape[256];
    array_shape_text(array.shape, array.dimensions, shape, sizeof shape);
    if (!array_size(array.element, array.shape, array.dimensions, &array.count, &bytes))
        return refuse(message, "'%s' says that its shape is %s: more than memory can hold", path,
                      shape);
    const uint64_t there = file->size - before - header;
    if (there != bytes)
        return refuse(message, "'%s' has %llu bytes of data; %s %s needs %zu", path,
                      (unsigned long long)there, element_name(array.element), shape, bytes);
    array.data = malloc(bytes ? bytes : 1);
    if (!array.data) return refuse(message, "out of memory: '%s' needs %zu bytes", path, bytes);
    if (!input_read(file, before + header, array.data, bytes, message)) {
        free(array.data);
        return false;
    }
    *out = array;
    return true;
}

bool npy_read(const char *path, struct array *out, struct message *message) {
    struct input_file file;
    memset(out, 0, sizeof *out);
    if (!input_open(&file, path, message)) return false;
    const bool read = read_open_file(&file, out, message);
    input_close(&file);
    return read;
}

bool npy_write(FILE *to, enum element element, const int64_t *shape, uint32_t dimensions,
               const void *data) {
    char header[512];
    size_t count, bytes;
    if (!array_size(element, shape, dimensions, &count, &bytes)) return false;
    int at = snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': (",
                      element == ELEMENT_F16 ? "<f2" : "<f4");
    for (uint32_t axis = 0; axis < dimensions; axis++)
        at += snprintf(header + at, sizeof header - (size_t)at, "%s%lld", axis ? ", " : "",
                       (long long)shape[axis]);
    if (dimensions == 1) at += snprintf(header + at, sizeof header - (size_t)at, ",");
    at += snprintf(header + at, sizeof header - (size_t)at, "), }");
    // Data begins at a multiple of 64 bytes; the header's last byte is a newline.
    while ((10 + at + 1) % 64) header[at++] = ' ';
    header[at++] = '\n';
    const unsigned char start[10] = {
        0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (unsigned char)(at & 255), (unsigned char)(at >> 8)
    };
    return fwrite(start, 1, sizeof start, to) == sizeof start &&
           fwrite(header, 1, (size_t)at, to) == (size_t)at &&
           (bytes == 0 || fwrite(data, 1, bytes, to) == bytes);
}
