// SPDX-License-Identifier: MIT
//
// Where and when a bench ran, as JSON: what its figures would be worth nothing without, years
// later. docs/bench.schema.json says every field.
#ifndef TULLE_TOOLS_BENCH_RUN_JSON_H
#define TULLE_TOOLS_BENCH_RUN_JSON_H

#include <cjson/cJSON.h>

#include "bench/peak.h"
#include "tulle/tulle.h"

/// What format and format_version of the bench's JSON are, for who reads it.
#define BENCH_FORMAT "tulle-bench"
#define BENCH_FORMAT_VERSION 1

/// The run: format, date, version and commit, host.
cJSON *run_json(void);

/// A device, its peaks and its clock.
cJSON *bench_device_json(uint32_t device_index, const tulle_device_info *info,
                         const struct peaks *peaks);

#endif
