// SPDX-License-Identifier: MIT
#include "bench/crossover_report.h"

#include <math.h>
#include <stdio.h>

#include "common/cli.h"
#include "common/json.h"

enum { PATTERN, BY, FASTER_THAN_DENSE, SURE, COLUMNS };

void crossover_table_start(struct table *table) {
    static const char *const headings[COLUMNS] = {
        [PATTERN] = "pattern",
        [BY] = "queries and keys",
        [FASTER_THAN_DENSE] = "faster than dense",
        [SURE] = "surely; surely slower",
    };
    table_start(table, COLUMNS, COLUMNS, headings);
}

// A density in percent or a length; a dash where there is none.
static void print_value(char *text, size_t size, const struct crossover *c, double value) {
    if (isnan(value)) snprintf(text, size, "-");
    else if (c->by_length) snprintf(text, size, "%.0f", value);
    else snprintf(text, size, "%.3g %%", 100 * value);
}

void crossover_table_add(struct table *table, const struct crossover *c) {
    char value[40], faster[40], slower[40];
    const char *side = c->by_length ? "from" : "below";
    print_value(value, sizeof value, c, c->value);
    print_value(faster, sizeof faster, c, c->faster);
    print_value(slower, sizeof slower, c, c->slower);
    table_row(table);
    table_set(table, PATTERN, "%s: %s", c->name, c->pattern);
    table_set(table, BY, "%s%u", c->by_length ? "up to " : "", c->n);
    if (c->verdict == CROSSOVER_NEVER)
        table_set(table, FASTER_THAN_DENSE, "never, %s to %s", c->by_length ? "up" : "down", value);
    else if (c->verdict == CROSSOVER_UNKNOWN)
        table_set(table, FASTER_THAN_DENSE, "not known (time was over)");
    else if (c->verdict == CROSSOVER_ALWAYS)
        table_set(table, FASTER_THAN_DENSE, "always, %s %s", c->by_length ? "from" : "up to",
                  value);
    else
        table_set(table, FASTER_THAN_DENSE, "%s %s%s", side, value,
                  c->complete ? "" : " (time was over)");
    table_set(table, SURE, "%s; %s", faster, slower);
}

static cJSON *point_json(const struct crossover_point *p) {
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "pattern", p->spec);
    json_add_count(object, "q_len", p->n);
    json_add_count(object, "kv_len", p->n);
    cJSON_AddNumberToObject(object, "density", p->density);
    json_add_number(object, "ms", p->ms);
    json_add_number(object, "ms_low", p->low);
    json_add_number(object, "ms_high", p->high);
    json_add_number(object, "dense_ms", p->dense_ms);
    json_add_number(object, "dense_ms_low", p->dense_low);
    json_add_number(object, "dense_ms_high", p->dense_high);
    return object;
}

// Densities may be far below what json_add_number keeps.
static void add_value(cJSON *object, const char *name, double value) {
    if (isnan(value)) cJSON_AddNullToObject(object, name);
    else cJSON_AddNumberToObject(object, name, value);
}

cJSON *crossover_json(const struct crossover *c, const struct workload *shape,
                      uint32_t device_index, const char *device) {
    static const char *const verdicts[] = {
        [CROSSOVER_AT] = "crosses",
        [CROSSOVER_ALWAYS] = "always",
        [CROSSOVER_NEVER] = "never",
        [CROSSOVER_UNKNOWN] = "unknown",
    };
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "kind", "crossover");
    json_add_count(object, "device_index", device_index);
    cJSON_AddStringToObject(object, "device", device);
    cJSON_AddStringToObject(object, "name", c->name);
    cJSON_AddStringToObject(object, "template", c->pattern);
    cJSON_AddStringToObject(object, "by", c->by_length ? "length" : "density");
    cJSON_AddBoolToObject(object, "causal", shape->causal);
    json_add_count(object, "batch", shape->batch);
    json_add_count(object, "heads", shape->heads);
    json_add_count(object, "kv_heads", shape->kv_heads);
    json_add_count(object, "length", c->n);
    json_add_count(object, "head_dim", shape->head_dim);
    json_add_count(object, "v_head_dim", shape->v_head_dim);
    cJSON_AddStringToObject(object, "dtype", dtype_name(shape->dtype));
    json_add_text(object, "asked_kernel", shape->kernel);
    cJSON_AddStringToObject(object, "verdict", verdicts[c->verdict]);
    cJSON_AddBoolToObject(object, "complete", c->complete);
    add_value(object, "value", c->value);
    add_value(object, "faster", c->faster);
    add_value(object, "slower", c->slower);
    cJSON *points = cJSON_AddArrayToObject(object, "points");
    for (size_t i = 0; i < c->point_count; i++)
        cJSON_AddItemToArray(points, point_json(&c->points[i]));
    return object;
}
