// SPDX-License-Identifier: MIT
//
// Linked into a program `tulle` of its own (--wrap=tulle_attention and tulle_plan_create) that
// computes nothing: its times are made up, in proportion to the selected pairs, with noise. Whatever
// tests the bench needs no minutes then, and knows what the figures are.
//
//   TULLE_FAKE_SEED=N        other noise: of each time, and one that all times of a workload share
//   TULLE_FAKE_SLOW=N        the N-th workload, from 1, takes 1.1 times as long
//   TULLE_FAKE_LOST=N        the device is lost at the N-th call
//   TULLE_FAKE_SPARSE=N      a pair of any pattern but `dense` costs N % of one of dense attention's
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tulle/inspect.h"

static uint64_t setting(const char *name) {
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : 0;
}

// Between −1 and 1, of SplitMix64.
static double noise(uint64_t *state) {
    uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return (double)((x ^ x >> 31) >> 11) * 0x1p-52 - 1;
}

// Is the plan that was made last of the pattern `dense` alone?
static bool is_dense;

// What the linker calls in place of tulle_plan_create: the patterns are seen nowhere else.
tulle_result __real_tulle_plan_create(tulle_context *context, const tulle_attention_desc *desc,
                                      tulle_plan **out, tulle_error *error);
tulle_result __wrap_tulle_plan_create(tulle_context *context, const tulle_attention_desc *desc,
                                      tulle_plan **out, tulle_error *error);

tulle_result __wrap_tulle_plan_create(tulle_context *context, const tulle_attention_desc *desc,
                                      tulle_plan **out, tulle_error *error) {
    char text[16] = "dense";
    if (desc->pattern_count) tulle_pattern_print(desc->patterns[0], text, sizeof text);
    is_dense = !strcmp(text, "dense");
    return __real_tulle_plan_create(context, desc, out, error);
}

// What the linker calls in place of tulle_attention.
tulle_result __wrap_tulle_attention(tulle_plan *plan, const tulle_host_arrays *arrays,
                                    const tulle_timing *timing, tulle_error *error);

tulle_result __wrap_tulle_attention(tulle_plan *plan, const tulle_host_arrays *arrays,
                                    const tulle_timing *timing, tulle_error *error) {
    static uint64_t calls, workloads, state;
    static double shared;
    uint64_t pairs;
    (void)arrays;
    if (!calls++) state = setting("TULLE_FAKE_SEED") * 1000003;
    if (calls == setting("TULLE_FAKE_LOST")) {
        snprintf(error->message, sizeof error->message, "the device is lost (as the test wants)");
        return error->result = TULLE_ERROR_DEVICE_LOST;
    }
    const tulle_result result = tulle_plan_count_pairs(plan, &pairs, error);
    if (result) return result;
    // A first time of one repeat begins each workload.
    if (timing->repeat == 1) {
        workloads++;
        shared = 1 + 0.02 * noise(&state);
        if (workloads == setting("TULLE_FAKE_SLOW")) shared *= 1.1;
    }
    const double percent = is_dense ? 0 : (double)setting("TULLE_FAKE_SPARSE");
    const double each = percent > 0 ? 1e-8 * percent : 1e-6;
    for (uint32_t i = 0; i < timing->repeat; i++)
        timing->repeat_ms[i] = each * (double)pairs * shared * (1 + 0.03 * noise(&state));
    if (timing->first_ms) *timing->first_ms = 5 + timing->repeat_ms[0];
    return TULLE_OK;
}
