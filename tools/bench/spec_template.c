// SPDX-License-Identifier: MIT
#include "bench/spec_template.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static uint32_t value_named(char name, const struct template_values *values) {
    return name == 'n' ? values->n : name == 's' ? values->side : values->x;
}

void spec_of_template(const char *text, const struct template_values *values, char *spec,
                      size_t size) {
    size_t used = 0;
    *spec = 0;
    while (*text && used + 1 < size) {
        char name[2], operation[2] = "";
        uint32_t number = 1;
        int length = 0;
        if (sscanf(text, "{%1[nsx]}%n", name, &length) < 1 || !length)
            sscanf(text, "{%1[nsx]%1[-/]%9" SCNu32 "}%n", name, operation, &number, &length);
        if (!length) {
            spec[used++] = *text++;
            spec[used] = 0;
            continue;
        }
        uint32_t value = value_named(*name, values);
        if (*operation == '/' && number) value = (value + number - 1) / number;
        else if (*operation == '-') value = value > number ? value - number : 0;
        const int written = snprintf(spec + used, size - used, "%" PRIu32, value);
        used = strlen(spec);
        if (written < 0) return;
        text += length;
    }
}
