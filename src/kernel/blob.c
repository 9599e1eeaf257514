// SPDX-License-Identifier: MIT
#include "kernel/blob.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT 1u
#define MAGIC "\211Tulle\r\n"  // no text, and none that passed through a change of line ends

// bytes: magic, format, number of sections, key; then the sections; then the checksum
enum {
    MAGIC_SIZE = 8,
    KEY_WORDS = 8,
    KEY_SIZE = KEY_WORDS * 4 + 2 * VK_UUID_SIZE,
    HEAD_SIZE = MAGIC_SIZE + 2 * 4 + KEY_SIZE,
    SECTION_HEAD = 4 + 4 + 8,  // tag, version, size
    SUM_SIZE = 8
};

// Every number is little-endian.

static uint8_t *word_to(uint8_t *to, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++) *to++ = (uint8_t)(value >> 8 * i);
    return to;
}

static uint64_t word_from(const uint8_t *from, int bytes) {
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++) value |= (uint64_t)from[i] << 8 * i;
    return value;
}

/// FNV-1a of 64 bits. It guards against accidents, not against people. Each step maps the sums one
/// to one, so a single changed byte, wherever it is, always changes the result.
static uint64_t checksum(const uint8_t *bytes, size_t size) {
    uint64_t sum = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < size; i++) sum = (sum ^ bytes[i]) * UINT64_C(0x100000001b3);
    return sum;
}

struct blob_key blob_key_of(const struct caps *caps) {
    struct blob_key key = { .major = TULLE_VERSION_MAJOR,
                            .minor = TULLE_VERSION_MINOR,
                            .patch = TULLE_VERSION_PATCH,
                            .vendor_id = caps->vendor_id,
                            .device_id = caps->device_id,
                            .driver_id = (uint32_t)caps->driver_id,
                            .driver_version = caps->driver_version,
                            .subgroup_size = caps->subgroup_size };
    memcpy(key.pipeline_cache_uuid, caps->pipeline_cache_uuid, VK_UUID_SIZE);
    memcpy(key.device_uuid, caps->uuid, VK_UUID_SIZE);
    return key;
}

static uint8_t *put_key(uint8_t *to, const struct blob_key *key) {
    const uint32_t words[KEY_WORDS] = { key->major,          key->minor,        key->patch,
                                        key->vendor_id,      key->device_id,    key->driver_id,
                                        key->driver_version, key->subgroup_size };
    for (int i = 0; i < KEY_WORDS; i++) to = word_to(to, words[i], 4);
    memcpy(to, key->pipeline_cache_uuid, VK_UUID_SIZE);
    memcpy(to + VK_UUID_SIZE, key->device_uuid, VK_UUID_SIZE);
    return to + 2 * VK_UUID_SIZE;
}

// -------------------------------------------------------------------------------------------------
// Reading

/// Do the sections fill what lies between head and checksum, to the byte?
static bool sections_fit(const uint8_t *bytes, size_t size) {
    size_t at = HEAD_SIZE;
    const size_t end = size - SUM_SIZE;
    for (uint64_t left = word_from(bytes + MAGIC_SIZE + 4, 4); left; left--) {
        if (end - at < SECTION_HEAD) return false;
        const uint64_t length = word_from(bytes + at + 8, 8);
        at += SECTION_HEAD;
        if (length > end - at) return false;
        at += (size_t)length;
    }
    return at == end;
}

enum blob_state blob_check(const void *blob, size_t size, const struct blob_key *key, char *reason,
                           size_t reason_size) {
    const uint8_t *bytes = blob;
    uint8_t wanted[KEY_SIZE];
    if (size < HEAD_SIZE + SUM_SIZE || memcmp(bytes, MAGIC, MAGIC_SIZE) != 0) {
        snprintf(reason, reason_size, "its %zu bytes do not begin as a cache of Tulle's does",
                 size);
        return BLOB_DAMAGED;
    }
    if (checksum(bytes, size - SUM_SIZE) != word_from(bytes + size - SUM_SIZE, SUM_SIZE)) {
        snprintf(reason, reason_size, "its checksum does not fit its %zu bytes", size);
        return BLOB_DAMAGED;
    }
    const uint8_t *at = bytes + MAGIC_SIZE;
    if (word_from(at, 4) != FORMAT) {
        snprintf(reason, reason_size, "its format is %u; this library reads %u",
                 (unsigned)word_from(at, 4), FORMAT);
        return BLOB_FOREIGN;
    }
    at += 2 * 4;
    put_key(wanted, key);
    if (memcmp(at, wanted, 3 * 4) != 0) {
        snprintf(reason, reason_size, "Tulle %u.%u.%u wrote it; this is %u.%u.%u",
                 (unsigned)word_from(at, 4), (unsigned)word_from(at + 4, 4),
                 (unsigned)word_from(at + 8, 4), key->major, key->minor, key->patch);
        return BLOB_FOREIGN;
    }
    if (memcmp(at, wanted, KEY_SIZE) != 0) {
        snprintf(reason, reason_size, "it is of another device, or of another driver for it");
        return BLOB_FOREIGN;
    }
    if (!sections_fit(bytes, size)) {
        snprintf(reason, reason_size, "its sections do not fill its %zu bytes", size);
        return BLOB_DAMAGED;
    }
    return BLOB_FITS;
}

void blob_find(const void *blob, struct blob_section *section) {
    const uint8_t *bytes = blob, *at = bytes + HEAD_SIZE;
    section->data = NULL;
    section->size = 0;
    for (uint64_t left = word_from(bytes + MAGIC_SIZE + 4, 4); left; left--) {
        const size_t length = (size_t)word_from(at + 8, 8);
        if (word_from(at, 4) == section->tag && word_from(at + 4, 4) == section->version) {
            section->data = at + SECTION_HEAD;
            section->size = length;
            return;
        }
        at += SECTION_HEAD + length;
    }
}

// -------------------------------------------------------------------------------------------------
// Writing

void *blob_make(const struct blob_key *key, const struct blob_section *sections, uint32_t count,
                size_t *size) {
    uint32_t kept = 0;
    *size = HEAD_SIZE + SUM_SIZE;
    for (uint32_t i = 0; i < count; i++) {
        if (!sections[i].size) continue;
        kept++;
        *size += SECTION_HEAD + sections[i].size;
    }
    uint8_t *bytes = malloc(*size), *at = bytes;
    if (!bytes) return NULL;
    memcpy(at, MAGIC, MAGIC_SIZE);
    at = word_to(at + MAGIC_SIZE, FORMAT, 4);
    at = word_to(at, kept, 4);
    at = put_key(at, key);
    for (uint32_t i = 0; i < count; i++) {
        if (!sections[i].size) continue;
        at = word_to(at, sections[i].tag, 4);
        at = word_to(at, sections[i].version, 4);
        at = word_to(at, sections[i].size, 8);
        memcpy(at, sections[i].data, sections[i].size);
        at += sections[i].size;
    }
    word_to(at, checksum(bytes, *size - SUM_SIZE), SUM_SIZE);
    return bytes;
}
