// SPDX-License-Identifier: MIT
//
// What the bench found, as tables and as JSON.
#ifndef TULLE_TOOLS_BENCH_OUTCOME_H
#define TULLE_TOOLS_BENCH_OUTCOME_H

#include <cjson/cJSON.h>

#include "bench/planning.h"
#include "common/table.h"
#include "bench/workload.h"

void outcome_table_start(struct table *table);
void outcome_table_add(struct table *table, const struct outcome *outcome, const char *command);
void outcome_table_print(const struct table *table, bool commands);

/// The object of one workload: the fields of `run --json`, peak_share, the workload itself and the
/// yardsticks.
cJSON *outcome_json(const struct outcome *outcome, const char *command);

void planning_print(const struct planning cases[PLANNING_CASES]);
cJSON *planning_json(const struct planning *planning, const char *device);

#endif
