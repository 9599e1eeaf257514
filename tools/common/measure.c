// SPDX-License-Identifier: MIT
#include "common/measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/statistics.h"
#include "tulle/inspect.h"

tulle_result measure(tulle_context *context, tulle_plan *plan, const tulle_attention_desc *desc,
                     const tulle_host_arrays *arrays, const tulle_timing *timing,
                     struct figures *out, tulle_error *error) {
    tulle_timing timed = *timing;
    const uint32_t repeat = timing->repeat;
    tulle_device_info device;
    tulle_plan_info info;
    double first_ms = 0;
    double *ms = calloc(repeat, sizeof *ms);
    if (!ms) {
        error->result = TULLE_ERROR_OUT_OF_HOST_MEMORY;
        snprintf(error->message, sizeof error->message, "out of memory for the times of %u repeats",
                 repeat);
        return error->result;
    }
    timed.repeat_ms = ms;
    timed.first_ms = &first_ms;
    tulle_result result = tulle_attention(plan, arrays, &timed, error);
    if (!result) result = tulle_plan_count_pairs(plan, &out->pairs, error);
    if (!result) {
        tulle_context_info(context, &device);
        tulle_plan_get_info(plan, &info);
        snprintf(out->device, sizeof out->device, "%s", device.name);
        snprintf(out->driver, sizeof out->driver, "%s%s%s", device.driver,
                 device.driver_info[0] ? " " : "", device.driver_info);
        snprintf(out->kernel, sizeof out->kernel, "%s", info.kernel);
        out->tuned = info.tuned;
        if (timing->repeat_ms) memcpy(timing->repeat_ms, ms, repeat * sizeof *ms);
        const struct summary summary = summarize(ms, repeat);
        out->ms = summary.median;
        out->ms_min = summary.min;
        out->ms_max = summary.max;
        out->ms_mad = summary.mad;
        out->ms_low = summary.low;
        out->ms_high = summary.high;
        out->plan_ms = info.plan_ms;
        // Some drivers compile when a pipeline is first dispatched, not when it is created.
        out->compile_ms = info.compile_ms + (first_ms > out->ms ? first_ms - out->ms : 0);
        out->visited = info.visited;
        out->workspace_bytes = info.workspace_bytes;
        const double all =
            (double)(desc->batch ? desc->batch : 1) * desc->heads * desc->q_len * desc->kv_len;
        out->share = (double)out->pairs / all;
        const double dims =
            (double)desc->head_dim + (desc->v_head_dim ? desc->v_head_dim : desc->head_dim);
        out->gflops = out->ms > 0 ? 2 * dims * (double)out->pairs / out->ms * 1e-6 : 0;
        out->repeats = repeat;
    }
    free(ms);
    return result;
}
