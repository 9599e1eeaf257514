// SPDX-License-Identifier: MIT
//
// Crossovers as a table and as JSON.
#ifndef TULLE_TOOLS_BENCH_CROSSOVER_REPORT_H
#define TULLE_TOOLS_BENCH_CROSSOVER_REPORT_H

#include <cjson/cJSON.h>

#include "bench/crossover.h"
#include "common/table.h"

void crossover_table_start(struct table *table);
void crossover_table_add(struct table *table, const struct crossover *crossover);

cJSON *crossover_json(const struct crossover *crossover, const struct workload *shape,
                      uint32_t device_index, const char *device);

#endif
