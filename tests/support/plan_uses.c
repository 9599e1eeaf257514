// SPDX-License-Identifier: MIT

#include "plan_uses.h"

#include "run/plan.h"

struct plan_uses plan_uses(const tulle_plan *plan) {
    bool of[USES_APART];
    for (int use = 0; use < USES_APART; use++)
        of[use] = plan->pipelines[use] || plan->pipelines[use + USES_APART];
    return (struct plan_uses){
        .neighbors = of[USE_ATTENTION] || of[USE_RESUME],
        .listed = of[USE_LISTED],
        .combined = of[USE_COMBINE] || of[USE_COMBINE_LISTED],
        .listed_combined = of[USE_COMBINE_LISTED],
    };
}
