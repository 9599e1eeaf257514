// SPDX-License-Identifier: MIT
#include "run/shared.h"

#include <stdlib.h>

#include "kernel/pipeline.h"
#include "kernel/tuning.h"
#include "schedule/schedule.h"

// a window over a million tokens takes 12 MiB in tiles of 8 rows
#define ROOM_BYTES_MOST ((size_t)32 << 20)

tulle_result shared_create(tulle_context *context, VkPipelineCache given,
                           const struct cache_sections *cached, tulle_error *error) {
    struct shared *shared = calloc(1, sizeof *shared);
    struct tuning *tuning = tuning_create();
    tulle_result result;
    if (shared && tuning)
        result = pipeline_cache_create(context, given, cached->pipelines.data,
                                       cached->pipelines.size, &shared->pipelines, error);
    else
        result = context_fail(context, error, TULLE_ERROR_OUT_OF_HOST_MEMORY,
                              "no host memory for the context");
    if (result) {
        tuning_destroy(tuning);
        free(shared);
        return result;
    }
    tuning_read(tuning, cached->tuning.data, cached->tuning.size);
    shared->tuning = tuning;
    mutex_init(&shared->room_mutex);
    context->shared = shared;
    return TULLE_OK;
}

void shared_destroy(tulle_context *context) {
    struct shared *shared = context->shared;
    if (!shared) return;
    pipeline_cache_destroy(shared->pipelines);
    schedule_room_destroy(shared->room);
    tuning_destroy(shared->tuning);
    mutex_destroy(&shared->room_mutex);
    free(shared);
    context->shared = NULL;
}

struct schedule_room *shared_room_take(struct shared *shared) {
    mutex_lock(&shared->room_mutex);
    struct schedule_room *room = shared->room;
    shared->room = NULL;
    mutex_unlock(&shared->room_mutex);
    return room ? room : schedule_room_create();
}

void shared_room_give(struct shared *shared, struct schedule_room *room) {
    size_t bytes = room ? schedule_room_bytes(room) : 0;
    if (room && bytes <= ROOM_BYTES_MOST) {
        mutex_lock(&shared->room_mutex);
        if (!shared->room || schedule_room_bytes(shared->room) < bytes) {
            struct schedule_room *smaller = shared->room;
            shared->room = room;
            room = smaller;
        }
        mutex_unlock(&shared->room_mutex);
    }
    schedule_room_destroy(room);
}
