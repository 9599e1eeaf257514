// SPDX-License-Identifier: MIT
//
// The program's reader of .safetensors files: what it takes, and that everything else is refused
// with a message.
#define _XOPEN_SOURCE 700
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "arrays/safetensors.h"
#include "scratch.h"

#define NAME "a.safetensors"
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

// A file of this header and `data` bytes that count up. Returns its size.
static size_t build(unsigned char *file, const char *header, size_t data) {
    const size_t length = strlen(header);
    for (size_t i = 0; i < 8; i++) file[i] = (unsigned char)((uint64_t)length >> 8 * i);
    memcpy(file + 8, header, length);
    for (size_t i = 0; i < data; i++) file[8 + length + i] = (unsigned char)i;
    return 8 + length + data;
}

static bool read_tensor(const void *bytes, size_t size, const char *tensor, struct array *array,
                        struct message *message) {
    char name[600];
    snprintf(name, sizeof name, "%s%s", scratch_write(NAME, bytes, size), tensor);
    return safetensors_read(name, array, message);
}

static void refused(const void *bytes, size_t size, const char *tensor, const char *expected) {
    struct array array;
    struct message message = { "" };
    if (read_tensor(bytes, size, tensor, &array, &message))
        fail_msg("was read: %zu bytes, expected \"%s\"", size, expected);
    assert_null(array.data);
    if (!strstr(message.text, expected))
        fail_msg("\"%s\" does not say \"%s\"", message.text, expected);
    if (!strstr(message.text, scratch_path))
        fail_msg("\"%s\" does not name the file", message.text);
}

static const char good[] =
    "{\"__metadata__\": {\"format\": \"pt\"}, "
    "\"q\": {\"dtype\": \"F32\", \"shape\": [2, 3], \"data_offsets\": [0, 24]}, "
    "\"k\": {\"dtype\": \"F16\", \"shape\": [4], \"data_offsets\": [24, 32]}, "
    "\"v\": {\"dtype\": \"BF16\", \"shape\": [1, 1, 2], \"data_offsets\": [32, 36]}, "
    "\"n\": {\"dtype\": \"I64\", \"shape\": [0], \"data_offsets\": [36, 36]}}   ";

static void test_what_is_read(void **state) {
    unsigned char file[1024];
    struct array array;
    struct message message;
    const size_t size = build(file, good, 36);
    const unsigned char *data = file + size - 36;
    (void)state;
    assert_true(read_tensor(file, size, ":q", &array, &message));
    assert_true(array.element == ELEMENT_F32 && array.dimensions == 2 && array.shape[0] == 2 &&
                array.shape[1] == 3 && array.count == 6);
    assert_memory_equal(array.data, data, 24);
    array_free(&array);
    assert_true(read_tensor(file, size, ":k", &array, &message));
    assert_true(array.element == ELEMENT_F16 && array.dimensions == 1 && array.count == 4);
    assert_memory_equal(array.data, data + 24, 8);
    array_free(&array);
    assert_true(read_tensor(file, size, ":v", &array, &message));
    assert_true(array.element == ELEMENT_BF16 && array.dimensions == 3 && array.count == 2);
    assert_memory_equal(array.data, data + 32, 4);
    array_free(&array);
}

static void test_names(void **state) {
    unsigned char file[1024];
    const size_t size = build(file, good, 36);
    (void)state;
    assert_true(safetensors_named("a.safetensors:q"));
    assert_true(safetensors_named("a.safetensors"));
    assert_true(safetensors_named("dir:x/a.safetensors:q.weight"));
    assert_false(safetensors_named("a.npy"));
    assert_false(safetensors_named("a:b.npy"));
    assert_false(safetensors_named("a.safetensors.npy"));
    refused(file, size, "", "needs the tensor's name after it");
    refused(file, size, "", "q, k, v");
    refused(file, size, ":x", "no tensor 'x'; it holds q, k, v");
    refused(file, size, ":", "no tensor ''");
    refused(file, size, ":__metadata__", "no tensor '__metadata__'");
    refused(file, size, ":n", "I64");
    const size_t none = build(file, "{}", 0);
    refused(file, none, ":q", "no tensor");
    // More names than a message holds.
    char *many = malloc(100000);
    unsigned char *large = malloc(200000);
    size_t at = 0;
    many[at++] = '{';
    for (int i = 0; i < 500; i++)
        at += (size_t)sprintf(
            many + at,
            "%s\"layer.%d.attention.weight\": {\"dtype\": \"F32\", \"shape\": [], \"data_offsets\": [0, 4]}",
            i ? ", " : "", i);
    strcpy(many + at, "}");
    refused(large, build(large, many, 4), ":x", "…");
    free(many);
    free(large);
}

// -------------------------------------------------------------------------------------------------
// Files beside each other in the scratch folder

static void remove_beside(const char *name) {
    char path[600];
    snprintf(path, sizeof path, "%s/%s", scratch_folder, name);
    unlink(path);
}

// Reads FOLDER/name; NULL or what the message must say.
static void beside(const char *name, const char *expected, float first) {
    char path[600];
    struct array array;
    struct message message = { "" };
    snprintf(path, sizeof path, "%s/%s", scratch_folder, name);
    assert_true(safetensors_named(path));
    const bool read = safetensors_read(path, &array, &message);
    if (read != !expected) fail_msg("%s: \"%s\"", name, message.text);
    if (!read && !strstr(message.text, expected))
        fail_msg("%s: \"%s\" does not say \"%s\"", name, message.text, expected);
    if (read) assert_true(array_real(&array, 0) == first);
    array_free(&array);
}

// One tensor of this name, of one number.
static void write_one(const char *file, const char *tensor, float number) {
    unsigned char bytes[512];
    char header[300];
    snprintf(header, sizeof header,
             "{\"%s\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [0, 4]}}", tensor);
    const size_t size = build(bytes, header, 4);
    memcpy(bytes + size - 4, &number, 4);
    scratch_write(file, bytes, size);
}

static void test_colons(void **state) {
    (void)state;
    write_one("a.safetensors", "q:0", 1);
    beside("a.safetensors:q:0", NULL, 1);
    beside("a.safetensors:q", "no tensor 'q'; it holds q:0", 0);
    write_one("a.safetensors", "b.safetensors:q", 2);  // a tensor's name may look like a file's
    beside("a.safetensors:b.safetensors:q", NULL, 2);
    beside("a.safetensors:b.safetensors", "no tensor 'b.safetensors'", 0);
    // The same name, and now the file is another one.
    write_one("b:x.safetensors:c.safetensors", "q:1", 3);
    beside("b:x.safetensors:c.safetensors:q:1", NULL, 3);
    beside("b:x.safetensors:c.safetensors", "needs the tensor's name after it", 0);
    write_one("b:x.safetensors", "c.safetensors:q:1", 4);
    beside("b:x.safetensors:c.safetensors:q:1", NULL, 4);
    remove_beside("b:x.safetensors");
    remove_beside("b:x.safetensors:c.safetensors");
    remove_beside("a.safetensors");
    beside("a.safetensors:q:0", "a.safetensors': No such file", 0);
    beside("a.safetensors:b/c.safetensors", "b/c.safetensors': No such file", 0);
    // A file of another kind whose name only looks as if.
    char path[600];
    scratch_write("a.safetensors:q", "", 0);
    snprintf(path, sizeof path, "%s/a.safetensors:q", scratch_folder);
    assert_false(safetensors_named(path));
    remove_beside("a.safetensors:q");
}

#define INDEX "m.safetensors.index.json"

static void test_shards(void **state) {
    static const struct {
        const char *index, *tensor, *expected;  // NULL: is read
    } indexes[] = {
        { "{\"metadata\": {\"total_size\": 8}, \"weight_map\": {\"q:0\": \"m-1.safetensors\", "
          "\"k\": \"m-2.safetensors\"}}",
          ":q:0", NULL },
        { "{\"weight_map\": {\"q:0\": \"m-1.safetensors\", \"k\": \"x.safetensors\"}}", ":k",
          "x.safetensors': No such file" },
        { "{\"weight_map\": {\"q\": \"m-1.safetensors\"}}", ":q",
          "m-1.safetensors' has no tensor 'q'; it holds q:0" },
        { "{\"weight_map\": {\"q\": \"m-1.safetensors\", \"k\": \"m-1.safetensors\"}}", ":v",
          "no tensor 'v'; it holds q, k" },
        { "{\"weight_map\": {\"q\": \"m-1.safetensors\"}}", "", "needs the tensor's name" },
        { "{\"weight_map\": {\"q\": \"m-1.safetensors\", \"q\": \"m-1.safetensors\"}}", ":q",
          "names the tensor 'q' twice" },
        { "{\"weight_map\": {\"q\": \"m.bin\"}}", ":q", "is in 'm.bin'; it must be a" },
        { "{\"weight_map\": {\"q\": \"../m-1.safetensors\"}}", ":q", "of the same folder" },
        { "{\"weight_map\": {\"q\": \"/m-1.safetensors\"}}", ":q", "of the same folder" },
        { "{\"weight_map\": {\"q\": 1}}", ":q", "of the same folder" },
        { "{\"weight_map\": {}}", ":q", "it holds no tensor" },
        { "{\"weight_map\": [\"q\"]}", ":q", "an object 'weight_map'" },
        { "{\"metadata\": {}}", ":q", "an object 'weight_map'" },
        { "[]", ":q", "an object 'weight_map'" },
        { "{\"weight_map\": {\"q\": ", ":q", "an object 'weight_map'" },
        { "", ":q", "an object 'weight_map'" },
    };
    (void)state;
    write_one("m-1.safetensors", "q:0", 5);
    for (size_t i = 0; i < COUNT(indexes); i++) {
        char name[100];
        scratch_write(INDEX, indexes[i].index, strlen(indexes[i].index));
        snprintf(name, sizeof name, INDEX "%s", indexes[i].tensor);
        beside(name, indexes[i].expected, 5);
    }
    remove_beside("m-1.safetensors");
    remove_beside(INDEX);
    beside(INDEX ":q", INDEX "': No such file", 0);
}

static void test_bad_headers(void **state) {
    static const struct {
        const char *header, *expected;
    } headers[] = {
        { "", "not JSON" },
        { "{", "not JSON" },
        { "[]", "not a JSON object" },
        { "7", "not a JSON object" },
        { "null", "not a JSON object" },
        { "{\"q\": 1}", "lacks" },
        { "{\"q\": {}}", "lacks" },
        { "{\"q\": {\"dtype\": \"F32\", \"shape\": [2]}}", "lacks" },
        { "{\"q\": {\"dtype\": 32, \"shape\": [2], \"data_offsets\": [0, 8]}}", "lacks" },
        { "{\"q\": {\"dtype\": \"F64\", \"shape\": [1], \"data_offsets\": [0, 8]}}", "F64" },
        { "{\"q\": {\"dtype\": \"F32\", \"shape\": 2, \"data_offsets\": [0, 8]}}", "lacks" },
        { "{\"q\": {\"dtype\": \"F32\", \"shape\": [-2], \"data_offsets\": [0, 8]}}",
          "list of lengths" },
        { "{\"q\": {\"dtype\": \"F32\", \"shape\": [2.5], \"data_offsets\": [0, 8]}}",
          "list of lengths" },
        { "{\"q\": {\"dtype\": \"F32\", \"shape\": [\"2\"], \"data_offsets\": [0, 8]}}",
          "list of lengths" },
        { "{\"q\": {\"dtype\": \"F32\", \"shape\": [1e300], \"data_offsets\": [0, 8]}}",
          "list of lengths" },
        { "{\"q\": {\"dtype\": \"F32\", \"shape\": [1,1,1,1,1,1,1,1,2], \"data_offsets\": [0, 8]}}",
          "more than 8 axes" },
        { "{\"q\": {\"dtype\": \"F32\", \"shape\": [4294967296, 4294967296], \"data_offsets\": [0, 8]}}",
          "memory cannot hold" },
        { "{\"q\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [0]}}",
          "pair of rising" },
        { "{\"q\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [0, 8, 8]}}",
          "pair of rising" },
        { "{\"q\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [8, 0]}}",
          "pair of rising" },
        { "{\"q\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [-8, 0]}}",
          "pair of rising" },
        { "{\"q\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [0.5, 8]}}",
          "pair of rising" },
        { "{\"q\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [0, 4]}}",
          "4 bytes of data; its shape needs 8" },
        { "{\"q\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [4, 12]}}",
          "ends at byte 12 of 8" },
        { "{\"q\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [9007199254740984, 9007199254740992]}}",
          "ends at byte" },
        { "{\"q\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [0, 8]}, "
          "\"q\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [0, 8]}}",
          "twice" },
    };
    unsigned char file[1024];
    (void)state;
    for (size_t i = 0; i < COUNT(headers); i++)
        refused(file, build(file, headers[i].header, 8), ":q", headers[i].expected);
    // Deep nesting must not run through the stack.
    char *deep = malloc(200001);
    unsigned char *large = malloc(200100);
    memset(deep, '[', 200000);
    deep[200000] = 0;
    refused(large, build(large, deep, 0), ":q", "not JSON");
    free(deep);
    free(large);
}

static void test_bad_starts(void **state) {
    unsigned char file[1024];
    const size_t size = build(file, good, 36);
    (void)state;
    refused("", 0, ":q", "too short");
    refused("1234567", 7, ":q", "too short");
    file[1] = 0x7f;
    refused(file, size, ":q", "not a .safetensors file");
    memset(file, 0xff, 8);
    refused(file, size, ":q", "not a .safetensors file");
}

// Every shorter file is refused, also when what is asked for is whole.
static void test_truncations(void **state) {
    unsigned char file[1024];
    const size_t size = build(file, good, 36);
    (void)state;
    for (size_t length = 0; length < size; length++) {
        refused(file, length, ":v", "'");
        refused(file, length, ":q", "'");
    }
    refused(file, size - 1, ":q", "tensor 'v' ends at byte 36 of 35");
    refused(file, size - 5, ":q", "tensor 'k' ends at byte 32 of 31");
}

// Any one byte changed: read or refused, never more.
static void test_changed_bytes(void **state) {
    unsigned char file[1024];
    uint32_t random = 99;
    const size_t size = build(file, good, 36);
    (void)state;
    for (size_t at = 0; at < size - 36; at++) {
        for (int round = 0; round < 12; round++) {
            struct array array;
            struct message message;
            const unsigned char before = file[at];
            random = random * 1664525u + 1013904223u;
            file[at] =
                round < 8 ? (unsigned char)(before ^ 1u << round) : (unsigned char)(random >> 24);
            if (read_tensor(file, size, round % 2 ? ":q" : ":v", &array, &message))
                array_free(&array);
            file[at] = before;
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_read), cmocka_unit_test(test_names),
        cmocka_unit_test(test_bad_headers),  cmocka_unit_test(test_bad_starts),
        cmocka_unit_test(test_truncations),  cmocka_unit_test(test_changed_bytes),
        cmocka_unit_test(test_colons),       cmocka_unit_test(test_shards),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
