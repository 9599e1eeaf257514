// SPDX-License-Identifier: MIT
//
// Figures as JSON and as text.
#ifndef TULLE_TOOLS_COMMON_FIGURES_H
#define TULLE_TOOLS_COMMON_FIGURES_H

#include <cjson/cJSON.h>
#include <stdio.h>

#include "common/measure.h"

/// Adds device, driver, kernel, tuned, ms, plan_ms, compile_ms, pairs, visited, share, gflops and
/// workspace_bytes to an object.
void figures_add(cJSON *object, const struct figures *figures);

/// The same figures in words.
void figures_text(FILE *to, const struct figures *figures);

#endif
