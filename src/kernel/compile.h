// SPDX-License-Identifier: MIT
//
// The pipelines that a plan needs, compiled one after the other or at once.
#ifndef TULLE_SRC_KERNEL_COMPILE_H
#define TULLE_SRC_KERNEL_COMPILE_H

#include "kernel/pipeline.h"

#define COMPILE_MOST 10  ///< pipelines of a plan

struct wanted {
    struct pipeline_key key;
    const struct pipeline **out;
};

/// All of them (at most COMPILE_MOST), on at most that many threads, the caller's included (0: as
/// 1). Where one fails: the first one's error. *compile_ms is the time that it took, 0 where
/// nothing was missing. Any thread.
tulle_result compile_wanted(struct pipeline_cache *cache, const struct wanted *wanted,
                            uint32_t count, uint32_t threads, double *compile_ms,
                            tulle_error *error);

#endif
