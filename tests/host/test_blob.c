// SPDX-License-Identifier: MIT
//
// The cache blob without a device: what is written is read back, and nothing that is not whole, not
// unchanged and not of this library, device and driver is read at all.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernel/blob.h"

#define OTHER_TAG 0x21212121u

static struct blob_key here(void) {
    struct caps caps = { .vendor_id = 0x10005,
                         .device_id = 0x1234,
                         .driver_id = VK_DRIVER_ID_MESA_LLVMPIPE,
                         .driver_version = 0x5800006,
                         .subgroup_size = 8 };
    for (size_t i = 0; i < VK_UUID_SIZE; i++) {
        caps.uuid[i] = (uint8_t)(3 * i);
        caps.pipeline_cache_uuid[i] = (uint8_t)(200 - i);
    }
    return blob_key_of(&caps);
}

/// Two sections, the second of `size` bytes that are not all alike.
static uint8_t *make(size_t size, size_t *total) {
    const struct blob_key key = here();
    uint8_t *bytes = malloc(size + 1);
    for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)(i * 37 + (i >> 8));
    const struct blob_section sections[] = { { OTHER_TAG, 7, "other", 5 },
                                             { BLOB_PIPELINES, 1, bytes, size } };
    uint8_t *blob = blob_make(&key, sections, 2, total);
    assert_non_null(blob);
    free(bytes);
    return blob;
}

static enum blob_state state_of(const void *blob, size_t size, const struct blob_key *key) {
    char reason[160] = "";
    // read where it ends exactly, so that a sanitizer sees a byte too many
    uint8_t *copy = malloc(size ? size : 1);
    memcpy(copy, blob, size);
    const enum blob_state state = blob_check(copy, size, key, reason, sizeof reason);
    free(copy);
    assert_true((state == BLOB_FITS) == (reason[0] == '\0'));
    return state;
}

static void test_round_trip(void **state) {
    (void)state;
    static const size_t sizes[] = { 0, 1, 31, 1000, 1 << 20 };
    const struct blob_key key = here();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t total;
        uint8_t *blob = make(sizes[i], &total);
        assert_int_equal(state_of(blob, total, &key), BLOB_FITS);
        struct blob_section other = { OTHER_TAG, 7, NULL, 0 },
                            code = { BLOB_PIPELINES, 1, NULL, 0 };
        blob_find(blob, &other);
        blob_find(blob, &code);
        assert_int_equal(other.size, 5);
        assert_memory_equal(other.data, "other", 5);
        assert_int_equal(code.size, sizes[i]);
        for (size_t k = 0; k < code.size; k++)
            assert_int_equal(((const uint8_t *)code.data)[k], (uint8_t)(k * 37 + (k >> 8)));
        // of another version, or not there
        struct blob_section absent[] = { { OTHER_TAG, 8, "x", 1 }, { OTHER_TAG + 1, 7, "x", 1 } };
        for (int k = 0; k < 2; k++) {
            blob_find(blob, &absent[k]);
            assert_int_equal(absent[k].size, 0);
            assert_null(absent[k].data);
        }
        free(blob);
    }
}

/// Every byte, changed in every bit and to every other extreme, is noticed; so is every length.
static void test_damage(void **state) {
    (void)state;
    const struct blob_key key = here();
    size_t total;
    uint8_t *blob = make(200, &total), *longer = malloc(total + 16);
    for (size_t i = 0; i < total; i++) {
        const uint8_t right = blob[i];
        for (int bit = 0; bit < 10; bit++) {
            blob[i] = bit < 8 ? (uint8_t)(right ^ 1u << bit) : bit == 8 ? 0 : 0xff;
            if (blob[i] != right && state_of(blob, total, &key) != BLOB_DAMAGED)
                fail_msg("byte %zu of %zu is %#x, not %#x, and nobody notices", i, total, blob[i],
                         right);
        }
        blob[i] = right;
    }
    for (size_t size = 0; size < total; size++)
        if (state_of(blob, size, &key) != BLOB_DAMAGED)
            fail_msg("%zu of %zu bytes are there, and nobody notices", size, total);
    for (size_t more = 1; more <= 16; more++) {
        memcpy(longer, blob, total);
        memset(longer + total, 0, more);
        assert_int_equal(state_of(longer, total + more, &key), BLOB_DAMAGED);
    }
    assert_int_equal(state_of(blob, total, &key), BLOB_FITS);
    free(longer);
    free(blob);
}

/// FNV-1a, as docs/cache.md has it: to write what the library would not.
static void sign(uint8_t *blob, size_t total) {
    uint64_t sum = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < total - 8; i++) sum = (sum ^ blob[i]) * UINT64_C(1099511628211);
    for (int i = 0; i < 8; i++) blob[total - 8 + i] = (uint8_t)(sum >> 8 * i);
}

/// A right checksum makes nothing right: lengths and numbers that lead out of the blob.
static void test_signed_nonsense(void **state) {
    (void)state;
    enum { FORMAT_AT = 8, COUNT_AT = 12, SECTIONS_AT = 80 };
    const struct blob_key key = here();
    uint32_t seed = 12345;
    size_t total;
    uint8_t *blob = make(200, &total), *changed = malloc(total);
    memcpy(changed, blob, total);
    sign(changed, total);
    assert_memory_equal(changed, blob, total);  // it signs as the library does
    for (int trial = 0; trial < 20000; trial++) {
        memcpy(changed, blob, total);
        for (int n = 0; n < 4; n++) {  // most often in the first section's head
            seed = seed * 1664525u + 1013904223u;
            const size_t at =
                n % 2 ? SECTIONS_AT + (seed >> 8) % 16 : COUNT_AT + (seed >> 8) % (total - 20);
            changed[at] = (uint8_t)(seed >> 24);
        }
        const size_t size = trial % 2 ? total : 96 + (seed >> 5) % (total - 96);
        sign(changed, size);
        if (state_of(changed, size, &key) != BLOB_FITS) continue;
        // it may be read, then, and leads nowhere else
        struct blob_section code = { BLOB_PIPELINES, 1, NULL, 0 };
        blob_find(changed, &code);
        if (code.size)
            assert_true((const uint8_t *)code.data >= changed + SECTIONS_AT &&
                        (const uint8_t *)code.data + code.size <= changed + size - 8);
    }
    // one section too few or too many, one byte too short or too long
    for (int n = 0; n < 4; n++) {
        memcpy(changed, blob, total);
        changed[n < 2 ? COUNT_AT : SECTIONS_AT + 8] += n % 2 ? 1 : 255;
        sign(changed, total);
        assert_int_equal(state_of(changed, total, &key), BLOB_DAMAGED);
    }
    memcpy(changed, blob, total);
    changed[FORMAT_AT] = 2;
    sign(changed, total);
    assert_int_equal(state_of(changed, total, &key), BLOB_FOREIGN);
    free(changed);
    free(blob);
}

static void test_foreign(void **state) {
    (void)state;
    size_t total;
    uint8_t *blob = make(10, &total);
    for (int field = 0; field < 10; field++) {
        struct blob_key key = here();
        uint32_t *const words[] = { &key.major,          &key.minor,        &key.patch,
                                    &key.vendor_id,      &key.device_id,    &key.driver_id,
                                    &key.driver_version, &key.subgroup_size };
        if (field < 8) ++*words[field];
        else (field == 8 ? key.pipeline_cache_uuid : key.device_uuid)[VK_UUID_SIZE - 1] ^= 1;
        if (state_of(blob, total, &key) != BLOB_FOREIGN)
            fail_msg("field %d of the key is another, and nobody notices", field);
    }
    free(blob);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_signed_nonsense),
        cmocka_unit_test(test_foreign),
    };
    return cmocka_run_group_tests_name("blob", tests, NULL, NULL);
}
