// SPDX-License-Identifier: MIT
//
// The program's reader of .npy files: what it takes, and that everything else is refused with a
// message.
#define _XOPEN_SOURCE 700
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "arrays/npy.h"
#include "reference.h"
#include "scratch.h"

#define NAME "a.npy"
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

// Builds a file of a version's header around a dict, and `data` bytes of data that count up.
// Returns its size.
static size_t build(unsigned char *file, int version, const char *dict, size_t data) {
    const size_t length = strlen(dict);
    size_t at = version == 1 ? 10 : 12;
    memcpy(file, "\x93NUMPY", 6);
    file[6] = (unsigned char)version;
    file[7] = 0;
    for (size_t i = 8; i < at; i++) file[i] = (unsigned char)(length >> 8 * (i - 8));
    memcpy(file + at, dict, length);
    at += length;
    for (size_t i = 0; i < data; i++) file[at + i] = (unsigned char)i;
    return at + data;
}

static void refused(const void *bytes, size_t size, const char *expected) {
    struct array array;
    struct message message = { "" };
    const char *path = scratch_write(NAME, bytes, size);
    if (npy_read(path, &array, &message))
        fail_msg("was read: %zu bytes, expected \"%s\"", size, expected);
    assert_null(array.data);
    if (!strstr(message.text, expected))
        fail_msg("\"%s\" does not say \"%s\"", message.text, expected);
    if (strstr(message.text, path) == NULL) fail_msg("\"%s\" does not name the file", message.text);
}

// -------------------------------------------------------------------------------------------------
// What is read

static void test_every_type(void **state) {
    static const struct {
        const char *descr;
        enum element element;
        size_t size;
    } types[] = {
        { "<f4", ELEMENT_F32, 4 }, { "<f2", ELEMENT_F16, 2 }, { "|b1", ELEMENT_BOOL, 1 },
        { "|i1", ELEMENT_I8, 1 },  { "|u1", ELEMENT_U8, 1 },  { "<i2", ELEMENT_I16, 2 },
        { "<u2", ELEMENT_U16, 2 }, { "<i4", ELEMENT_I32, 4 }, { "<u4", ELEMENT_U32, 4 },
        { "<i8", ELEMENT_I64, 8 }, { "<u8", ELEMENT_U64, 8 },
    };
    unsigned char file[512];
    (void)state;
    for (size_t i = 0; i < COUNT(types); i++) {
        for (int version = 1; version <= 2; version++) {
            char dict[120];
            struct array array;
            struct message message;
            snprintf(dict, sizeof dict,
                     "{'descr': '%s', 'fortran_order': False, 'shape': (2, 3), }\n",
                     types[i].descr);
            const size_t size = build(file, version, dict, 6 * types[i].size);
            assert_true(npy_read(scratch_write(NAME, file, size), &array, &message));
            assert_int_equal(array.element, types[i].element);
            assert_int_equal(element_size(array.element), types[i].size);
            assert_int_equal(array.dimensions, 2);
            assert_int_equal(array.shape[0], 2);
            assert_int_equal(array.shape[1], 3);
            assert_int_equal(array.count, 6);
            assert_memory_equal(array.data, file + size - 6 * types[i].size, 6 * types[i].size);
            array_free(&array);
        }
    }
}

static void test_headers_that_are_fine(void **state) {
    static const struct {
        const char *dict;
        uint32_t dimensions;
        size_t count;
    } headers[] = {
        { "{'descr':'<f4','fortran_order':False,'shape':(3,)}", 1, 3 },
        { "{\"shape\": (1, 3), \"descr\": \"<f4\", \"fortran_order\": False}   \n", 2, 3 },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (), }\n", 0, 1 },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (0,), }\n", 1, 0 },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (24L, 16L), }\n", 2, 384 },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (3L,), }\n", 1, 3 },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (5, 0, 7,), }\n", 3, 0 },
    };
    unsigned char file[2048];
    (void)state;
    for (size_t i = 0; i < COUNT(headers); i++) {
        struct array array;
        struct message message = { "" };
        const size_t size = build(file, 1, headers[i].dict, 4 * headers[i].count);
        if (!npy_read(scratch_write(NAME, file, size), &array, &message))
            fail_msg("%s: %s", headers[i].dict, message.text);
        assert_int_equal(array.dimensions, headers[i].dimensions);
        assert_int_equal(array.count, headers[i].count);
        array_free(&array);
    }
}

static void test_write_and_read_again(void **state) {
    static const float values[24] = { 0, -0.0f, 1, -1.5f, 3e38f, 1e-45f, INFINITY };
    (void)state;
    for (uint32_t dimensions = 1; dimensions <= 4; dimensions++) {
        const int64_t shapes[4][4] = { { 24 }, { 4, 6 }, { 2, 3, 4 }, { 1, 2, 3, 4 } };
        for (int half = 0; half < 2; half++) {
            struct array array;
            struct message message;
            const char *path = scratch_write(NAME, "", 0);
            FILE *file = fopen(path, "wb");
            assert_true(npy_write(file, half ? ELEMENT_F16 : ELEMENT_F32, shapes[dimensions - 1],
                                  dimensions, values));
            assert_int_equal((ftell(file) - (half ? 48 : 96)) % 64, 0);
            fclose(file);
            assert_true(npy_read(path, &array, &message));
            assert_int_equal(array.dimensions, dimensions);
            assert_memory_equal(array.shape, shapes[dimensions - 1], dimensions * sizeof(int64_t));
            assert_memory_equal(array.data, values, half ? 48 : 96);
            array_free(&array);
        }
    }
}

// -------------------------------------------------------------------------------------------------
// What is refused

static void test_bad_starts(void **state) {
    unsigned char file[256];
    const char *dict = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n";
    (void)state;
    refused("", 0, "too short");
    refused("\x93NUMPY", 6, "too short");
    refused("PK\x03\x04 a zip archive", 19, "not a .npy file");
    const size_t size = build(file, 1, dict, 8);
    file[6] = 3;
    refused(file, size, "version 3.0");
    file[6] = 1;
    file[7] = 1;
    refused(file, size, "version 1.1");
    file[7] = 0;
    file[9] = 0xff;  // header longer than the file
    refused(file, size, "ends inside its header");
    build(file, 2, dict, 8);
    file[11] = 0x7f;
    refused(file, size + 2, "at most");
    file[6] = 0;
    refused(file, size, "version 0.0");
}

static void test_bad_headers(void **state) {
    static const struct {
        const char *dict, *expected;
    } headers[] = {
        { "", "not a dict" },
        { "\n", "not a dict" },
        { "[1, 2]", "not a dict" },
        { "{", "not a dict of strings" },
        { "{'descr", "not a dict of strings" },
        { "{'descr'", "not a dict of strings" },
        { "{'descr':", "unreadable type" },
        { "{'descr': '<f4'", "not a dict of strings" },
        { "{'descr': '<f4' 'shape': (2,)}", "not a dict of strings" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), } x", "goes on" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }}", "goes on" },
        { "{}", "lacks descr" },
        { "{'descr': '<f4'}", "lacks fortran_order" },
        { "{'descr': '<f4', 'fortran_order': False}", "lacks shape" },
        { "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", "twice" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'more': 1}", "'more'" },
        { "{'descr': '>f4', 'fortran_order': False, 'shape': (2,)}", "big-endian" },
        { "{'descr': '<f8', 'fortran_order': False, 'shape': (1,)}", "float64" },
        { "{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}", "'<c8'" },
        { "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", "'|O'" },
        { "{'descr': '<f4x', 'fortran_order': False, 'shape': (2,)}", "'<f4x'" },
        { "{'descr': '<f', 'fortran_order': False, 'shape': (2,)}", "'<f'" },
        { "{'descr': '', 'fortran_order': False, 'shape': (2,)}", "''" },
        { "{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (2,)}", "structured" },
        { "{'descr': '<\\x66', 'fortran_order': False, 'shape': (2,)}", "unreadable type" },
        { "{'descr': '<f4', 'fortran_order': True, 'shape': (2,)}", "Fortran order" },
        { "{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}", "neither" },
        { "{'descr': '<f4', 'fortran_order': Falsehood, 'shape': (2,)}", "not a dict of strings" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': 2}", "not a tuple" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (2)}", "not a tuple" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': [2]}", "not a tuple" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}", "tuple of lengths" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (2.0,)}", "tuple of lengths" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (1 2)}", "tuple of lengths" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (2LL,)}", "tuple of lengths" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (L,)}", "tuple of lengths" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (2 L,)}", "tuple of lengths" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (2l,)}", "tuple of lengths" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (,)}", "tuple of lengths" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (2,,)}", "tuple of lengths" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
          "tuple of lengths" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 2)}",
          "more than memory" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296, 0)}",
          "more than memory" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1)}",
          "more than 8 axes" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000,)}", "bytes of data" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}",
          "8 bytes of data; float32 [3] needs 12" },
        { "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}",
          "8 bytes of data; float32 [1] needs 4" },
    };
    unsigned char file[512];
    (void)state;
    for (size_t i = 0; i < COUNT(headers); i++)
        for (int version = 1; version <= 2; version++)
            refused(file, build(file, version, headers[i].dict, 8), headers[i].expected);
    // A NUL inside the header ends nothing.
    const size_t size =
        build(file, 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n", 8);
    file[11] = 0;
    refused(file, size, "not a dict of strings");
}

// Every shorter file is refused; so is every longer one.
static void test_truncations(void **state) {
    unsigned char file[256];
    (void)state;
    for (int version = 1; version <= 2; version++) {
        const size_t size =
            build(file, version,
                  "{'descr': '<f2', 'fortran_order': False, 'shape': (3, 4), }      \n", 24);
        for (size_t length = 0; length < size; length++) refused(file, length, "'");
        file[size] = 0;
        refused(file, size + 1, "25 bytes of data");
    }
}

// Any one byte changed: read or refused, never more (AddressSanitizer says what "more" is).
static void test_changed_bytes(void **state) {
    unsigned char file[256];
    uint32_t random = 12345;
    (void)state;
    for (int version = 1; version <= 2; version++) {
        const size_t size = build(
            file, version, "{'descr': '<f2', 'fortran_order': False, 'shape': (3, 4), }\n", 24);
        for (size_t at = 0; at < size - 24; at++) {
            for (int round = 0; round < 24; round++) {
                struct array array;
                struct message message;
                const unsigned char before = file[at];
                random = random * 1664525u + 1013904223u;
                file[at] = round < 8 ? (unsigned char)(before ^ 1u << round)
                                     : (unsigned char)(random >> 24);
                if (npy_read(scratch_write(NAME, file, size), &array, &message)) array_free(&array);
                file[at] = before;
            }
        }
    }
}

static void test_not_a_file(void **state) {
    struct array array;
    struct message message;
    (void)state;
    assert_false(npy_read("/no/such/file.npy", &array, &message));
    assert_non_null(strstr(message.text, "/no/such/file.npy"));
    assert_false(npy_read("/tmp", &array, &message));
    assert_non_null(strstr(message.text, "not a regular file"));
    assert_false(npy_read("/dev/zero", &array, &message));
    assert_non_null(strstr(message.text, "not a regular file"));
}

// -------------------------------------------------------------------------------------------------
// Numbers

static void test_half_and_bf16(void **state) {
    (void)state;
    for (uint32_t bits = 0; bits < 65536; bits++) {
        const double half = ref_half_to_double((uint16_t)bits),
                     bf16 = ref_bf16_to_double((uint16_t)bits);
        const float got_half = half_to_float((uint16_t)bits),
                    got_bf16 = bf16_to_float((uint16_t)bits);
        assert_true(isnan(half) ? isnan(got_half)
                                : (double)got_half == half && !signbit(half) == !signbit(got_half));
        assert_true(isnan(bf16) ? isnan(got_bf16)
                                : (double)got_bf16 == bf16 && !signbit(bf16) == !signbit(got_bf16));
        // And back, with what lies beside and between.
        if (!isnan(half)) {
            const float beside[] = { got_half, nextafterf(got_half, INFINITY),
                                     nextafterf(got_half, -INFINITY), got_half * 1.00048828125f,
                                     got_half + 2.98023223876953125e-8f };
            for (size_t i = 0; i < COUNT(beside); i++)
                assert_int_equal(float_to_half(beside[i]), ref_double_to_half((double)beside[i]));
        }
        if (!isnan(bf16)) {
            const float beside[] = { got_bf16, nextafterf(got_bf16, INFINITY),
                                     nextafterf(got_bf16, -INFINITY), got_bf16 * 1.00390625f };
            for (size_t i = 0; i < COUNT(beside); i++)
                assert_int_equal(float_to_bf16(beside[i]), ref_double_to_bf16((double)beside[i]));
        }
    }
    assert_true(isnan(half_to_float(float_to_half(NAN))));
    assert_true(isnan(bf16_to_float(float_to_bf16(NAN))));
}

static void test_integers(void **state) {
    uint64_t large[2] = { INT64_MAX, UINT64_C(1) << 63 };
    int8_t small[2] = { -128, 127 };
    struct array array = { .element = ELEMENT_U64, .data = large };
    bool fits = true;
    (void)state;
    assert_true(array_integer(&array, 0, &fits) == INT64_MAX && fits);
    array_integer(&array, 1, &fits);
    assert_false(fits);
    array = (struct array){ .element = ELEMENT_I8, .data = small };
    fits = true;
    assert_true(array_integer(&array, 0, &fits) == -128 && array_integer(&array, 1, &fits) == 127 &&
                fits);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type),           cmocka_unit_test(test_headers_that_are_fine),
        cmocka_unit_test(test_write_and_read_again), cmocka_unit_test(test_bad_starts),
        cmocka_unit_test(test_bad_headers),          cmocka_unit_test(test_truncations),
        cmocka_unit_test(test_changed_bytes),        cmocka_unit_test(test_not_a_file),
        cmocka_unit_test(test_half_and_bf16),        cmocka_unit_test(test_integers),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
