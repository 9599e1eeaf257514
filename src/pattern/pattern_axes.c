// SPDX-License-Identifier: MIT
//
// NEIGHBORHOOD: its axes checked.
#include <inttypes.h>
#include <stdio.h>

#include "common/arithmetic.h"
#include "pattern/pattern_check.h"

static tulle_result build_axis(const struct check *check, struct grid_axis *out,
                               const tulle_term *given, uint32_t i) {
    const struct {
        const char *name;
        int64_t value, *to;
        bool may_be_0;
    } numbers[] = { { "grid", given->grid[i], &out->length, given->axes == 1 },
                    { "kernel", given->kernel[i], &out->kernel, false },
                    { "dilation", given->dilation[i], &out->dilation, true } };
    for (int n = 0; n < 3; ++n) {
        char field[24];
        snprintf(field, sizeof field, "%s[%" PRIu32 "]", numbers[n].name, i);
        tulle_result result = numbers[n].may_be_0 ? from_0(check, field, numbers[n].value)
                                                  : from_1(check, field, numbers[n].value);
        if (result) return result;
        *numbers[n].to = numbers[n].value;
    }
    if (!out->dilation) out->dilation = 1;
    out->causal = given->causal_axis[i];
    if (out->length && out->kernel * out->dilation > out->length)
        return fail_term(check,
                         "kernel[%" PRIu32 "] x dilation[%" PRIu32 "] is %" PRId64 " x %" PRId64
                         "; it must be at most the axis's length, grid[%" PRIu32 "], %" PRId64,
                         i, i, out->kernel, out->dilation, i, out->length);
    return TULLE_OK;
}

tulle_result build_neighborhood(const struct check *check, struct term *out,
                                const tulle_term *given) {
    if (given->axes < 1 || given->axes > TULLE_AXES_MOST)
        return fail_value(check, "axes", given->axes, "1, 2 or 3");
    int64_t positions = 1;
    for (uint32_t i = 0; i < given->axes; ++i) {
        tulle_result result = build_axis(check, &out->axis[i], given, i);
        if (result) return result;
        const int64_t length = most(out->axis[i].length, 1);
        if (positions > INT32_MAX / length)
            return fail_term(check, "grid has too many positions; there must be below 2147483648");
        positions *= length;
    }
    out->axes = given->axes;
    if (out->axes == 1 && out->axis[0].length) {  // not kv_len's: as a grid of one row is
        out->axis[1] = out->axis[0];
        out->axis[0] = (struct grid_axis){ .length = 1, .kernel = 1, .dilation = 1 };
        out->axes = 2;
    }
    return TULLE_OK;
}
