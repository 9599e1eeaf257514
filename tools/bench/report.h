// SPDX-License-Identifier: MIT
//
// Figures as JSON and as text.
#ifndef TULLE_TOOLS_BENCH_REPORT_H
#define TULLE_TOOLS_BENCH_REPORT_H

#include <cjson/cJSON.h>
#include <stdio.h>

#include "bench/measure.h"

/// Adds device, driver, kernel, ms, plan_ms, compile_ms, pairs, visited, share, gflops and workspace_bytes to an object.
void report_add(cJSON *object, const struct figures *figures);

/// A whole number without the detour over a double's notation.
void report_add_count(cJSON *object, const char *name, uint64_t value);

/// A time or rate: four decimals say more than any clock here.
void report_add_number(cJSON *object, const char *name, double value);

/// Prints an object and a newline on standard output and deletes it; an exit status.
int report_print(const char *command, cJSON *object);

/// The same figures in words.
void report_text(FILE *to, const struct figures *figures);

#endif
