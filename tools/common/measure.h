// SPDX-License-Identifier: MIT
//
// Runs a plan on host arrays and says what it took: the figures of `run` and `bench`.
#ifndef TULLE_TOOLS_COMMON_MEASURE_H
#define TULLE_TOOLS_COMMON_MEASURE_H

#include "tulle/tulle.h"

struct figures {
    char device[VK_MAX_PHYSICAL_DEVICE_NAME_SIZE];
    char driver[VK_MAX_DRIVER_NAME_SIZE + VK_MAX_DRIVER_INFO_SIZE + 2];
    char kernel[64];
    bool tuned;  ///< chosen by what tulle_tune found
    double ms;   ///< median of the repeats after one untimed run
    double ms_min, ms_max;
    double ms_mad, ms_low, ms_high;  ///< of the repeats, as struct summary has them
    double plan_ms;                  ///< planning alone
    double compile_ms;  ///< creating pipelines, and what the first run took longer than `ms`
    uint64_t pairs, visited, workspace_bytes;
    double share;   ///< of all pairs there are
    double gflops;  ///< 2·(d + d_v) per selected pair
    uint32_t repeats;
};

/// Runs once untimed and timing->repeat (≥ 1) times timed, O and LSE written; fills everything. Of
/// timing repeat, repeat_ms and progress count.
tulle_result measure(tulle_context *context, tulle_plan *plan, const tulle_attention_desc *desc,
                     const tulle_host_arrays *arrays, const tulle_timing *timing,
                     struct figures *out, tulle_error *error);

#endif
