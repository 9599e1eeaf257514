// SPDX-License-Identifier: MIT
//
// What a plan is and costs, without running it: the figures of `tulle show --plan`.
#ifndef TULLE_TOOLS_COMMON_PLAN_REPORT_H
#define TULLE_TOOLS_COMMON_PLAN_REPORT_H

#include <cjson/cJSON.h>

#include "common/plan_time.h"
#include "common/table.h"
#include "tulle/inspect.h"

struct plan_report {
    tulle_device_info device;
    tulle_plan_info info;
    struct plan_time time;
    uint64_t pairs;        ///< selected, over batch and heads
    uint64_t tiles, runs;  ///< of all schedules
    struct table parts;    ///< a row for each tulle_cost
    cJSON *costs;          ///< an array, the same
};

/// Plans desc and fills everything; plan_report_free. Errors: as tulle_plan_create has them.
tulle_result plan_report_make(tulle_context *context, const tulle_attention_desc *desc,
                              struct plan_report *report, tulle_error *error);
void plan_report_free(struct plan_report *report);

/// Prints it on standard output; an exit status. Of JSON: device, driver, kernel, tile_rows, chunk_keys, q_len,
/// kv_len, heads, create_ms, plan_ms, repeats, pairs, visited, tiles, runs, items, dispatches,
/// host_bytes, device_bytes, workspace_bytes, and costs: an array of pattern, part (null: the term
/// alone), listed, terms, entries, tiles, runs, visited, pairs.
int plan_report_json(const struct plan_report *report, const tulle_attention_desc *desc);
int plan_report_text(const struct plan_report *report);

#endif
