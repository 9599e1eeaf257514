// SPDX-License-Identifier: MIT
//
// What the dispatches of a plan are for, for tests that must have met each. (src/run/plan.h and
// problem.h cannot stand in one file: each has a `tensor` of its own.)
#ifndef TESTS_PLAN_USES_H
#define TESTS_PLAN_USES_H

#include "gpu.h"

struct plan_uses {
    bool neighbors;        // attention whose rows lie a step apart
    bool listed;           // attention whose rows come from lists
    bool combined;         // partial results are combined
    bool listed_combined;  // those of rows from lists
};

struct plan_uses plan_uses(const tulle_plan *plan);

#endif
