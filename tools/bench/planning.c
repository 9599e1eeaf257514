// SPDX-License-Identifier: MIT
#include "bench/planning.h"

#include <math.h>
#include <string.h>

#include "common/cli.h"
#include "common/plan_time.h"

#define LEAST_REPEATS 5

static const struct planning seeds[PLANNING_CASES] = {
    { .name = "one row over 64k keys",
      .spec = "dense",
      .causal = true,
      .q_len = 1,
      .kv_len = 65536,
      .heads = 8 },
    { .name = "window over 4k",
      .spec = "window:255,0",
      .causal = true,
      .q_len = 4096,
      .kv_len = 4096,
      .heads = 8 },
    { .name = "window at 1M",
      .spec = "window:255,0",
      .causal = true,
      .q_len = 1 << 20,
      .kv_len = 1 << 20,
      .heads = 8 },
};

static tulle_result measure_case(tulle_context *context, const char *kernel, struct planning *p,
                                 tulle_error *error) {
    struct plan_time time;
    tulle_pattern **patterns = NULL;
    tulle_plan_info info;
    tulle_plan *plan = NULL;
    uint32_t count = 0;
    tulle_result result = tulle_pattern_parse(p->spec, NULL, &patterns, &count, error);
    if (result) return result;
    const tulle_attention_desc desc = { .heads = p->heads,
                                        .buffer_usage = TULLE_USAGE_HOST,
                                        .q_len = p->q_len,
                                        .kv_len = p->kv_len,
                                        .head_dim = 64,
                                        .causal = p->causal,
                                        .patterns = (const tulle_pattern *const *)patterns,
                                        .pattern_count = count,
                                        .kernel = kernel };
    result = plan_time(context, &desc, LEAST_REPEATS, &time, &plan, error);
    tulle_patterns_free(patterns, count);
    if (result) return result;
    tulle_plan_get_info(plan, &info);
    tulle_plan_destroy(plan);
    const double tiles = ceil((double)p->q_len / (info.tile_rows ? info.tile_rows : 1));
    p->create_ms = time.create_ms;
    p->plan_ms = time.plan_ms;
    p->items = info.items;
    p->host_bytes = info.host_bytes;
    p->device_bytes = info.device_bytes;
    p->host_per_tile = (double)info.host_bytes / tiles;
    p->device_per_tile = (double)info.device_bytes / tiles;
    p->repeats = time.repeats;
    return TULLE_OK;
}

tulle_result planning_run(tulle_context *context, const char *kernel,
                          struct planning cases[PLANNING_CASES], tulle_error *error) {
    memcpy(cases, seeds, sizeof seeds);
    for (size_t i = 0; i < PLANNING_CASES; i++) {
        const tulle_result result = measure_case(context, kernel, &cases[i], error);
        if (result) return result;
    }
    return TULLE_OK;
}
