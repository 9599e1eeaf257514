// SPDX-License-Identifier: MIT
//
// Figures as JSON and as text.
#ifndef TULLE_TOOLS_COMMON_FIGURES_H
#define TULLE_TOOLS_COMMON_FIGURES_H

#include <cjson/cJSON.h>
#include <stdio.h>

#include "common/measure.h"

/// Adds device, driver, kernel, ms, plan_ms, compile_ms, pairs, visited, share, gflops and workspace_bytes to an object.
void figures_add(cJSON *object, const struct figures *figures);

/// A whole number without the detour over a double's notation.
void figures_add_count(cJSON *object, const char *name, uint64_t value);

/// A time or rate: four decimals say more than any clock here.
void figures_add_number(cJSON *object, const char *name, double value);

/// Prints an object and a newline on standard output and deletes it; an exit status.
int figures_print(const char *command, cJSON *object);

/// The same figures in words.
void figures_text(FILE *to, const struct figures *figures);

#endif
