// SPDX-License-Identifier: MIT
//
// Numbers into JSON, and JSON onto standard output.
#ifndef TULLE_TOOLS_COMMON_JSON_H
#define TULLE_TOOLS_COMMON_JSON_H

#include <cjson/cJSON.h>
#include <stdint.h>

/// A whole number without the detour over a double's notation.
void json_add_count(cJSON *object, const char *name, uint64_t value);

/// A time or rate: four decimals say more than any clock here. NULL where memory is out.
cJSON *json_number(double value);
void json_add_number(cJSON *object, const char *name, double value);

/// A string, or null where text is NULL.
void json_add_text(cJSON *object, const char *name, const char *text);

/// Prints an object and a newline on standard output and deletes it; an exit status.
int json_print(const char *command, cJSON *object);

#endif
