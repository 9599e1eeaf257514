// SPDX-License-Identifier: MIT
//
// What the bench found, as tables and as JSON.
#ifndef TULLE_TOOLS_BENCH_OUTCOME_H
#define TULLE_TOOLS_BENCH_OUTCOME_H

#include <cjson/cJSON.h>

#include "bench/peak.h"
#include "bench/planning.h"
#include "common/table.h"
#include "bench/workload.h"

/// A row for each workload.
struct outcome_table {
    struct table table;
    bool decode;
};

/// decode: all rows will be of that phase; the columns are those that say something of it.
void outcome_table_start(struct outcome_table *to, bool decode);
void outcome_table_add(struct outcome_table *to, const struct outcome *outcome,
                       const struct peaks *peaks, const char *command);
void outcome_table_print(const struct outcome_table *from, bool commands, bool markdown);

/// The object of one workload: the workload itself, where it ran and its error; where there is none
/// the fields of `run --json`, the samples, the limit and the yardsticks.
cJSON *outcome_json(const struct outcome *outcome, const struct peaks *peaks, uint32_t device_index,
                    const tulle_device_info *info, const char *command);

void planning_print(const struct planning cases[PLANNING_CASES], bool markdown);
cJSON *planning_json(const struct planning *planning, uint32_t device_index, const char *device);

#endif
