// SPDX-License-Identifier: MIT
//
// What the plans of a context share, beside the device.
#ifndef TULLE_SRC_RUN_SHARED_H
#define TULLE_SRC_RUN_SHARED_H

#include "run/cache.h"

struct shared {
    struct pipeline_cache *pipelines;  ///< kernel/pipeline.h
    struct tuning *tuning;             ///< kernel/tuning.h
    struct schedule_room *room;        ///< taken out while a plan is made. May be NULL
    struct mutex room_mutex;
    /// run/host.h; made at the first tulle_attention, destroyed by the context before the rest; the
    /// context's submitter_mutex guards it
    struct host_path *host_path;
};

/// Makes context->shared. given: the host's VkPipelineCache, or VK_NULL_HANDLE. cached: what of
/// earlier processes holds here.
tulle_result shared_create(tulle_context *context, VkPipelineCache given,
                           const struct cache_sections *cached, tulle_error *error);
/// Also where it was not made.
void shared_destroy(tulle_context *context);

/// The arrays of the last plan, or new ones: a second thread that plans meanwhile has its own.
/// NULL: out of memory.
struct schedule_room *shared_room_take(struct shared *shared);
/// Keeps the larger of what there is, within bounds. Accepts NULL.
void shared_room_give(struct shared *shared, struct schedule_room *room);

#endif
