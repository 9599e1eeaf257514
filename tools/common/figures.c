// SPDX-License-Identifier: MIT
#include "common/figures.h"

#include <inttypes.h>

#include "common/json.h"

void figures_add(cJSON *object, const struct figures *figures) {
    cJSON_AddStringToObject(object, "device", figures->device);
    cJSON_AddStringToObject(object, "driver", figures->driver);
    cJSON_AddStringToObject(object, "kernel", figures->kernel);
    cJSON_AddBoolToObject(object, "tuned", figures->tuned);
    json_add_number(object, "ms", figures->ms);
    json_add_number(object, "plan_ms", figures->plan_ms);
    json_add_number(object, "compile_ms", figures->compile_ms);
    json_add_count(object, "pairs", figures->pairs);
    json_add_count(object, "visited", figures->visited);
    json_add_number(object, "share", figures->share);
    json_add_number(object, "gflops", figures->gflops);
    json_add_count(object, "workspace_bytes", figures->workspace_bytes);
}

void figures_text(FILE *to, const struct figures *f) {
    fprintf(to, "device     %s (%s)\n", f->device, f->driver);
    fprintf(to, "kernel     %s%s\n", f->kernel, f->tuned ? " (tuned)" : "");
    if (f->repeats > 1)
        fprintf(to, "time       %.3f ms (median of %u: %.3f to %.3f), %.2f GFLOP/s\n", f->ms,
                f->repeats, f->ms_min, f->ms_max, f->gflops);
    else fprintf(to, "time       %.3f ms, %.2f GFLOP/s\n", f->ms, f->gflops);
    fprintf(to, "before     planning %.3f ms, compiling %.1f ms\n", f->plan_ms, f->compile_ms);
    fprintf(to, "pairs      %" PRIu64 " selected (%.3g %% of all), %" PRIu64 " visited", f->pairs,
            100 * f->share, f->visited);
    if (f->pairs) fprintf(to, " (%.2f times as many)", (double)f->visited / (double)f->pairs);
    fprintf(to, "\nworkspace  %" PRIu64 " bytes\n", f->workspace_bytes);
}
