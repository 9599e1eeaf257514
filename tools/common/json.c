// SPDX-License-Identifier: MIT
#include "common/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "common/cli.h"

void json_add_count(cJSON *object, const char *name, uint64_t value) {
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, value);
    cJSON_AddRawToObject(object, name, text);
}

cJSON *json_number(double value) {
    char text[40];
    // JSON has no infinity and no NaN.
    if (!isfinite(value)) return cJSON_CreateNull();
    if (fabs(value) >= 1e15 || (value != 0 && fabs(value) < 1e-2)) return cJSON_CreateNumber(value);
    snprintf(text, sizeof text, "%.6f", value);
    return cJSON_CreateRaw(text);
}

void json_add_number(cJSON *object, const char *name, double value) {
    cJSON *number = json_number(value);
    if (!cJSON_AddItemToObject(object, name, number)) cJSON_Delete(number);
}

void json_add_text(cJSON *object, const char *name, const char *text) {
    if (text) cJSON_AddStringToObject(object, name, text);
    else cJSON_AddNullToObject(object, name);
}

int json_print(const char *command, cJSON *object) {
    char *text = cJSON_Print(object);
    cJSON_Delete(object);
    if (!text) return fail(command, STATUS_FAILED, "out of memory for the JSON report");
    int status = print_out(command, text);
    if (!status) status = print_out(command, "\n");
    cJSON_free(text);
    return status;
}
