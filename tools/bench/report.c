// SPDX-License-Identifier: MIT
#include "bench/report.h"

#include <stdio.h>
#include <string.h>

#include "common/cli.h"
#include "common/json.h"
#include "common/table.h"

// What a line of CSV has: the workload, where it ran, and figures that are numbers.
static const char *const csv_fields[] = {
    "device",      "driver",     "kernel",      "model",           "pattern",    "causal",
    "sink_logits", "phase",      "batch",       "heads",           "kv_heads",   "q_len",
    "kv_len",      "kv_least",   "head_dim",    "v_head_dim",      "dtype",      "ms",
    "ms_low",      "ms_high",    "ms_mad",      "ms_min",          "ms_max",     "repeats",
    "reckoned",    "plan_ms",    "compile_ms",  "pairs",           "visited",    "share",
    "gflops",      "peak_share", "bytes",       "bytes_per_s",     "copy_share", "tokens_per_s",
    "limit",       "limit_ms",   "limit_share", "workspace_bytes", "dense_ms",   "speedup",
    "error",
};
#define CSV_FIELDS (sizeof csv_fields / sizeof csv_fields[0])

void report_start(struct report *report, enum report_format format, cJSON *run) {
    *report = (struct report){ .format = format, .document = run };
    if (format != REPORT_JSON) return;
    cJSON_AddArrayToObject(run, "devices");
    cJSON_AddArrayToObject(run, "results");
    cJSON_AddArrayToObject(run, "planning");
}

static int print_line(const cJSON *object) {
    char *text = cJSON_PrintUnformatted(object);
    if (!text) return fail("bench", STATUS_FAILED, "out of memory for the JSON report");
    fputs(text, stdout);
    cJSON_free(text);
    return print_out("bench", "\n");
}

static int print_csv(const cJSON *result, bool first) {
    for (size_t i = 0; first && i < CSV_FIELDS; i++)
        table_csv_cell(stdout, csv_fields[i], i + 1 == CSV_FIELDS);
    for (size_t i = 0; i < CSV_FIELDS; i++) {
        const cJSON *value = cJSON_GetObjectItemCaseSensitive(result, csv_fields[i]);
        char *text = value && !cJSON_IsNull(value) && !cJSON_IsString(value)
                         ? cJSON_PrintUnformatted(value)
                         : NULL;
        const char *string = cJSON_GetStringValue(value);
        table_csv_cell(stdout, text ? text : string ? string : "", i + 1 == CSV_FIELDS);
        cJSON_free(text);
    }
    return print_out("bench", "");
}

// Takes the object.
static int put(struct report *report, const char *array, cJSON *object) {
    int status = STATUS_OK;
    if (report->format == REPORT_JSON) {
        cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(report->document, array), object);
        return status;
    }
    if (report->format == REPORT_JSONL) status = print_line(object);
    else if (report->format == REPORT_CSV && !strcmp(array, "results"))
        status = print_csv(object, !report->begun);
    cJSON_Delete(object);
    return status;
}

static int add(struct report *report, const char *array, cJSON *object) {
    int status = STATUS_OK;
    if (report->format == REPORT_JSONL && !report->begun) status = print_line(report->document);
    if (!status && report->device) {
        status = put(report, "devices", report->device);
        report->device = NULL;
    }
    if (status) cJSON_Delete(object);
    else status = put(report, array, object);
    report->begun = true;
    return status;
}

void report_device(struct report *report, cJSON *device) {
    cJSON_Delete(report->device);
    report->device = device;
}

int report_result(struct report *report, cJSON *result) { return add(report, "results", result); }

int report_crossover(struct report *report, cJSON *crossover) {
    if (report->format == REPORT_JSON && !cJSON_HasObjectItem(report->document, "crossovers"))
        cJSON_AddArrayToObject(report->document, "crossovers");
    return add(report, "crossovers", crossover);
}

int report_planning(struct report *report, cJSON *planning) {
    return add(report, "planning", planning);
}

int report_end(struct report *report) {
    cJSON_Delete(report->device);
    if (report->format == REPORT_JSON && report->begun)
        return json_print("bench", report->document);
    cJSON_Delete(report->document);
    return STATUS_OK;
}
