// SPDX-License-Identifier: MIT
#include "run/cache.h"

#include <stdlib.h>

#include "kernel/pipeline.h"
#include "kernel/tuning.h"
#include "run/shared.h"

// of what the sections hold
#define PIPELINES_VERSION 1  // the driver's bytes, which have a version of their own
#define TUNING_VERSION 1

void cache_read(const tulle_context *context, struct cache_sections *out) {
    const tulle_cache *cache = &context->cache;
    const struct blob_key key = blob_key_of(&context->caps);
    tulle_device_info info;
    const void *blob = NULL;
    size_t size = 0;
    char reason[160];
    *out = (struct cache_sections){ .pipelines = { BLOB_PIPELINES, PIPELINES_VERSION, NULL, 0 },
                                    .tuning = { BLOB_TUNING, TUNING_VERSION, NULL, 0 } };
    if (!cache->read) return;
    caps_info(&context->caps, context->index, &info);
    if (!cache->read(cache->user, &info, &blob, &size) || !blob) return;
    const enum blob_state state = blob_check(blob, size, &key, reason, sizeof reason);
    if (state != BLOB_FITS) {
        // another driver is no accident
        context_log(context, state == BLOB_DAMAGED ? TULLE_LOG_WARNING : TULLE_LOG_INFO,
                    "the cache is ignored: %s", reason);
        return;
    }
    blob_find(blob, &out->pipelines);
    blob_find(blob, &out->tuning);
    context_log(context, TULLE_LOG_DEBUG, "cache: %zu bytes, %zu of them the driver's", size,
                out->pipelines.size);
}

tulle_result tulle_cache_save(tulle_context *context, tulle_error *error) {
    tulle_device_info info;
    void *code = NULL, *blob;
    size_t size = 0;
    if (!context) return tulle_fail(error, TULLE_ERROR_INVALID_ARGUMENT, "context is NULL");
    const tulle_cache *cache = &context->cache;
    if (!cache->write)
        return context_fail(context, error, TULLE_ERROR_INVALID_ARGUMENT,
                            "the context was made without params.cache->write");
    uint8_t tuning[TUNING_BYTES];
    struct blob_section sections[] = { { BLOB_PIPELINES, PIPELINES_VERSION, NULL, 0 },
                                       { BLOB_TUNING, TUNING_VERSION, tuning, 0 } };
    tulle_result result =
        pipeline_cache_code(context->shared->pipelines, &code, &sections[0].size, error);
    if (result) return result;
    sections[0].data = code;
    sections[1].size = tuning_write(context->shared->tuning, tuning);
    const struct blob_key key = blob_key_of(&context->caps);
    blob = blob_make(&key, sections, 2, &size);
    free(code);
    if (!blob)
        return context_fail(context, error, TULLE_ERROR_OUT_OF_HOST_MEMORY,
                            "no host memory for a cache of %zu bytes", size);
    caps_info(&context->caps, context->index, &info);
    if (!cache->write(cache->user, &info, blob, size))
        result = context_fail(context, error, TULLE_ERROR_CALLBACK,
                              "params.cache->write did not take the cache's %zu bytes", size);
    free(blob);
    return result;
}
