// SPDX-License-Identifier: MIT
#include "common/figures.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "common/cli.h"

void figures_add_count(cJSON *object, const char *name, uint64_t value) {
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, value);
    cJSON_AddRawToObject(object, name, text);
}

void figures_add_number(cJSON *object, const char *name, double value) {
    char text[40];
    // JSON has no infinity and no NaN.
    if (!isfinite(value)) cJSON_AddNullToObject(object, name);
    else if (fabs(value) >= 1e15 || (value != 0 && fabs(value) < 1e-2)) cJSON_AddNumberToObject(object, name, value);
    else cJSON_AddRawToObject(object, name, (snprintf(text, sizeof text, "%.6f", value), text));
}

void figures_add(cJSON *object, const struct figures *figures) {
    cJSON_AddStringToObject(object, "device", figures->device);
    cJSON_AddStringToObject(object, "driver", figures->driver);
    cJSON_AddStringToObject(object, "kernel", figures->kernel);
    figures_add_number(object, "ms", figures->ms);
    figures_add_number(object, "plan_ms", figures->plan_ms);
    figures_add_number(object, "compile_ms", figures->compile_ms);
    figures_add_count(object, "pairs", figures->pairs);
    figures_add_count(object, "visited", figures->visited);
    figures_add_number(object, "share", figures->share);
    figures_add_number(object, "gflops", figures->gflops);
    figures_add_count(object, "workspace_bytes", figures->workspace_bytes);
}

int figures_print(const char *command, cJSON *object) {
    char *text = cJSON_Print(object);
    cJSON_Delete(object);
    if (!text) return fail(command, STATUS_FAILED, "out of memory for the JSON report");
    int status = print_out(command, text);
    if (!status) status = print_out(command, "\n");
    cJSON_free(text);
    return status;
}

void figures_text(FILE *to, const struct figures *f) {
    fprintf(to, "device     %s (%s)\n", f->device, f->driver);
    fprintf(to, "kernel     %s\n", f->kernel);
    if (f->repeats > 1)
        fprintf(to, "time       %.3f ms (median of %u: %.3f to %.3f), %.2f GFLOP/s\n", f->ms, f->repeats, f->ms_min, f->ms_max, f->gflops);
    else
        fprintf(to, "time       %.3f ms, %.2f GFLOP/s\n", f->ms, f->gflops);
    fprintf(to, "before     planning %.3f ms, compiling %.1f ms\n", f->plan_ms, f->compile_ms);
    fprintf(to, "pairs      %" PRIu64 " selected (%.3g %% of all), %" PRIu64 " visited", f->pairs, 100 * f->share, f->visited);
    if (f->pairs) fprintf(to, " (%.2f times as many)", (double)f->visited / (double)f->pairs);
    fprintf(to, "\nworkspace  %" PRIu64 " bytes\n", f->workspace_bytes);
}
