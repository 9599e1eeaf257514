// SPDX-License-Identifier: MIT
#include "bench/planning.h"

#include <math.h>
#include <string.h>

#include "common/cli.h"
#include "common/statistics.h"

#define MOST_REPEATS 501
#define MOST_SECONDS 0.5

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
    double create_ms[MOST_REPEATS], plan_ms[MOST_REPEATS];
    tulle_pattern **patterns = NULL;
    tulle_plan_info info;
    uint32_t count = 0, repeats = 0;
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
    // The first one compiles, and has its memory from the system; it stays, so that what follows
    // finds its kernel.
    tulle_plan *first = NULL;
    result = tulle_plan_create(context, &desc, &first, error);
    const double end = now_seconds() + MOST_SECONDS;
    while (!result && repeats < MOST_REPEATS && (repeats < 5 || now_seconds() < end)) {
        tulle_plan *plan = NULL;
        const double start = now_seconds();
        result = tulle_plan_create(context, &desc, &plan, error);
        if (result) break;
        create_ms[repeats] = 1000 * (now_seconds() - start);
        tulle_plan_get_info(plan, &info);
        plan_ms[repeats++] = info.plan_ms;
        tulle_plan_destroy(plan);
    }
    tulle_plan_destroy(first);
    tulle_patterns_free(patterns, count);
    if (result) return result;
    const double tiles = ceil((double)p->q_len / (info.tile_rows ? info.tile_rows : 1));
    p->create_ms = median(create_ms, repeats);
    p->plan_ms = median(plan_ms, repeats);
    p->items = info.items;
    p->host_bytes = info.host_bytes;
    p->device_bytes = info.device_bytes;
    p->host_per_tile = (double)info.host_bytes / tiles;
    p->device_per_tile = (double)info.device_bytes / tiles;
    p->repeats = repeats;
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
