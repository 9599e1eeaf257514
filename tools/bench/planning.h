// SPDX-License-Identifier: MIT
//
// How long planning takes (common/plan_time.h): the bench's second table.
#ifndef TULLE_TOOLS_BENCH_PLANNING_H
#define TULLE_TOOLS_BENCH_PLANNING_H

#include "tulle/tulle.h"

#define PLANNING_CASES 3

struct planning {
    const char *name, *spec;
    bool causal;
    uint32_t q_len, kv_len, heads;
    double create_ms;  ///< median of whole tulle_plan_create calls
    double plan_ms;    ///< median of what plan info calls planning alone
    uint64_t items, host_bytes, device_bytes;
    double host_per_tile, device_per_tile;  ///< bytes a query tile
    uint32_t repeats;
};

/// Measures all of them on a context.
tulle_result planning_run(tulle_context *context, const char *kernel,
                          struct planning cases[PLANNING_CASES], tulle_error *error);

#endif
