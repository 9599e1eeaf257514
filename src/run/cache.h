// SPDX-License-Identifier: MIT
//
// What a context reads from its host's cache when it is made.
#ifndef TULLE_SRC_RUN_CACHE_H
#define TULLE_SRC_RUN_CACHE_H

#include "device/context.h"
#include "kernel/blob.h"

/// The sections of a cache that the host has; each of size 0 where it has none that holds here.
/// They lie in the host's memory.
struct cache_sections {
    struct blob_section pipelines, tuning;
};

/// Asks the host, where it gave callbacks. Never fails: what is of no use is ignored, with a line
/// in the log.
void cache_read(const tulle_context *context, struct cache_sections *out);

#endif
