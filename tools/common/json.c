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

void json_add_number(cJSON *object, const char *name, double value) {
    char text[40];
    // JSON has no infinity and no NaN.
    if (!isfinite(value)) cJSON_AddNullToObject(object, name);
    else if (fabs(value) >= 1e15 || (value != 0 && fabs(value) < 1e-2))
        cJSON_AddNumberToObject(object, name, value);
    else cJSON_AddRawToObject(object, name, (snprintf(text, sizeof text, "%.6f", value), text));
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
