// SPDX-License-Identifier: MIT
#include "common/plan_time.h"

#include "common/cli.h"
#include "common/statistics.h"

#define MOST_REPEATS 501
#define MOST_SECONDS 0.5

tulle_result plan_time(tulle_context *context, const tulle_attention_desc *desc, uint32_t least,
                       struct plan_time *out, tulle_plan **first, tulle_error *error) {
    double create_ms[MOST_REPEATS], plan_ms[MOST_REPEATS];
    uint32_t repeats = 0;
    // The first one compiles, and has its memory from the system; it stays, so that what follows
    // finds its kernel.
    tulle_result result = tulle_plan_create(context, desc, first, error);
    const double end = now_seconds() + MOST_SECONDS;
    while (!result && repeats < MOST_REPEATS && (repeats < least || now_seconds() < end)) {
        tulle_plan *plan = NULL;
        tulle_plan_info info;
        const double start = now_seconds();
        result = tulle_plan_create(context, desc, &plan, error);
        if (result) break;
        create_ms[repeats] = 1000 * (now_seconds() - start);
        tulle_plan_get_info(plan, &info);
        plan_ms[repeats++] = info.plan_ms;
        tulle_plan_destroy(plan);
    }
    if (result) {
        tulle_plan_destroy(*first);
        *first = NULL;
        return result;
    }
    *out = (struct plan_time){ median(create_ms, repeats), median(plan_ms, repeats), repeats };
    return TULLE_OK;
}
