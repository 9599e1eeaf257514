// SPDX-License-Identifier: MIT
//
// The cache blob: what a context learned, as bytes that outlive the process (docs/cache.md has the
// format). They come from anywhere, so nothing in them is believed before their checksum fits, and
// nothing is used that was written elsewhere. Knows no Vulkan but the numbers that name a device.
#ifndef TULLE_SRC_KERNEL_BLOB_H
#define TULLE_SRC_KERNEL_BLOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device/caps.h"

/// Where a blob holds: this library's version, on this device under this driver.
struct blob_key {
    uint32_t major, minor, patch;  ///< of the library
    uint32_t vendor_id, device_id, driver_id, driver_version;
    uint32_t subgroup_size;  ///< Mesa's CPU driver has several, and one UUID for all
    uint8_t pipeline_cache_uuid[VK_UUID_SIZE], device_uuid[VK_UUID_SIZE];
};

struct blob_key blob_key_of(const struct caps *caps);

/// What a section holds, as its first four bytes.
enum blob_tag {
    BLOB_PIPELINES = 0x45504950,  ///< "PIPE": of vkGetPipelineCacheData
    BLOB_TUNING = 0x454e5554,     ///< "TUNE": of tuning_write
};

struct blob_section {
    uint32_t tag;
    uint32_t version;  ///< of what it holds; another than the reader's is not there
    const void *data;
    size_t size;  ///< bytes; 0: no such section
};

enum blob_state {
    BLOB_FITS,
    BLOB_DAMAGED,  ///< no blob, or not whole, or changed
    BLOB_FOREIGN,  ///< of another format, library, device or driver
};

/// May it be read? Where not, reason says why.
enum blob_state blob_check(const void *blob, size_t size, const struct blob_key *key, char *reason,
                           size_t reason_size);

/// Finds section->tag in a blob that fits, and sets its data and size; another version, or none:
/// size 0.
void blob_find(const void *blob, struct blob_section *section);

/// The blob of these sections, to be freed by the caller, and its size; those of size 0 are left
/// out. NULL: out of memory.
void *blob_make(const struct blob_key *key, const struct blob_section *sections, uint32_t count,
                size_t *size);

#endif
