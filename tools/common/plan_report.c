// SPDX-License-Identifier: MIT
#include "common/plan_report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/cli.h"
#include "common/json.h"

enum { TERMS, ENTRIES, TILES, RUNS, PAIRS, VISITED, TIMES, COLUMNS };

static double times_selected(uint64_t visited, uint64_t pairs) {
    return (double)visited / (double)(pairs ? pairs : 1);
}

static void add_row(struct table *table, const tulle_cost *cost) {
    table_row(table);
    if (cost->alone) table_set(table, TERMS, "%s alone", cost->terms);
    else
        table_set(table, TERMS, "part %" PRIu32 "%s: %s", cost->part,
                  cost->listed ? " of listed rows" : "", cost->terms);
    table_set(table, ENTRIES, "%" PRIu32, cost->entries);
    table_set(table, TILES, "%" PRIu64, cost->tiles);
    table_set(table, RUNS, "%" PRIu64, cost->runs);
    table_set(table, PAIRS, "%" PRIu64, cost->selected);
    table_set(table, VISITED, "%" PRIu64, cost->visited);
    table_set(table, TIMES, "%.2f", times_selected(cost->visited, cost->selected));
}

static void add_object(cJSON *array, const tulle_cost *cost) {
    cJSON *object = cJSON_CreateObject();
    json_add_count(object, "pattern", cost->pattern);
    if (cost->alone) cJSON_AddNullToObject(object, "part");
    else json_add_count(object, "part", cost->part);
    cJSON_AddBoolToObject(object, "listed", cost->listed);
    cJSON_AddStringToObject(object, "terms", cost->terms);
    json_add_count(object, "entries", cost->entries);
    json_add_count(object, "tiles", cost->tiles);
    json_add_count(object, "runs", cost->runs);
    json_add_count(object, "visited", cost->visited);
    json_add_count(object, "pairs", cost->selected);
    cJSON_AddItemToArray(array, object);
}

static void add_cost(void *user, const tulle_cost *cost) {
    struct plan_report *report = user;
    if (!cost->alone) {
        report->tiles += cost->tiles;
        report->runs += cost->runs;
        report->pairs += cost->selected * cost->entries;
    }
    add_row(&report->parts, cost);
    add_object(report->costs, cost);
}

tulle_result plan_report_make(tulle_context *context, const tulle_attention_desc *desc,
                              struct plan_report *report, tulle_error *error) {
    static const char *const headings[COLUMNS] = {
        [TERMS] = "part or term",
        [ENTRIES] = "entries",
        [TILES] = "tiles",
        [RUNS] = "runs",
        [PAIRS] = "selected",
        [VISITED] = "visited",
        [TIMES] = "visited / selected",
    };
    tulle_plan *plan = NULL;
    *report = (struct plan_report){ .costs = cJSON_CreateArray() };
    table_start(&report->parts, COLUMNS, COLUMNS, headings);
    tulle_context_info(context, &report->device);
    tulle_result result = plan_time(context, desc, 1, &report->time, &plan, error);
    if (!result) result = tulle_plan_costs(plan, add_cost, report, error);
    if (!result) tulle_plan_get_info(plan, &report->info);
    tulle_plan_destroy(plan);
    return result;
}

void plan_report_free(struct plan_report *report) {
    table_free(&report->parts);
    cJSON_Delete(report->costs);
}

int plan_report_json(const struct plan_report *r, const tulle_attention_desc *desc) {
    cJSON *object = cJSON_CreateObject();
    char driver[sizeof r->device.driver + sizeof r->device.driver_info + 1];
    snprintf(driver, sizeof driver, "%s%s%s", r->device.driver, *r->device.driver_info ? " " : "",
             r->device.driver_info);
    cJSON_AddStringToObject(object, "device", r->device.name);
    cJSON_AddStringToObject(object, "driver", driver);
    cJSON_AddStringToObject(object, "kernel", r->info.kernel);
    json_add_count(object, "tile_rows", r->info.tile_rows);
    json_add_count(object, "chunk_keys", r->info.chunk_keys);
    json_add_count(object, "q_len", desc->q_len);
    json_add_count(object, "kv_len", desc->kv_len);
    json_add_count(object, "heads", desc->heads);
    json_add_number(object, "create_ms", r->time.create_ms);
    json_add_number(object, "plan_ms", r->time.plan_ms);
    json_add_count(object, "repeats", r->time.repeats);
    json_add_count(object, "pairs", r->pairs);
    json_add_count(object, "visited", r->info.visited);
    json_add_count(object, "tiles", r->tiles);
    json_add_count(object, "runs", r->runs);
    json_add_count(object, "items", r->info.items);
    json_add_count(object, "dispatches", r->info.dispatches);
    json_add_count(object, "host_bytes", r->info.host_bytes);
    json_add_count(object, "device_bytes", r->info.device_bytes);
    json_add_count(object, "workspace_bytes", r->info.workspace_bytes);
    cJSON_AddItemToObject(object, "costs", cJSON_Duplicate(r->costs, true));
    return json_print("show", object);
}

int plan_report_text(const struct plan_report *r) {
    printf("device     %s (%s %s)\n", r->device.name, r->device.driver, r->device.driver_info);
    printf("kernel     %s, tiles of %" PRIu32 " rows, chunks of %" PRIu32 " keys\n", r->info.kernel,
           r->info.tile_rows, r->info.chunk_keys);
    printf("planning   %.3f ms (median of %" PRIu32 "; %.3f with what the device is handed)\n",
           r->time.plan_ms, r->time.repeats, r->time.create_ms);
    printf("pairs      %" PRIu64 " selected, %" PRIu64 " visited (%.2f times as many)\n", r->pairs,
           r->info.visited, times_selected(r->info.visited, r->pairs));
    printf("work       %" PRIu64 " items in %" PRIu32 " dispatches\n", r->info.items,
           r->info.dispatches);
    printf("memory     %" PRIu64 " bytes of plan, %" PRIu64 " of workspace\n\n",
           r->info.device_bytes, r->info.workspace_bytes);
    table_print(stdout, &r->parts);
    if (fflush(stdout) || ferror(stdout))
        return fail("show", STATUS_FAILED, "cannot write to standard output: %s", strerror(errno));
    return STATUS_OK;
}
