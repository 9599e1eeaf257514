// SPDX-License-Identifier: MIT
//
// A machine that runs a schedule without a device: it reads plan memory as the kernels do
// (shaders/common/plan_memory.h alone, none of the planner's own structures), and where they
// compute it notes which keys each row takes and what becomes of every partial result.
#ifndef TESTS_SCHEDULE_MACHINE_H
#define TESTS_SCHEDULE_MACHINE_H

#include "schedule_trial.h"

// What it met: runs, those of each kind, those whose keys are a list; partial rows written; items,
// each once for all (batch, head) that share it, and those that begin with partial rows; stretches
// of dispatches without a barrier between them.
struct machine_counts {
    uint64_t runs, full, band, bits, lists, partials, items, resuming;
    uint64_t again;   // rows from a list that were finished before, among their neighbours
    uint64_t packed;  // rows of other heads than their entry's
    uint64_t joined;  // dispatches of several groups
    uint64_t listed;  // items whose rows come from a list
    uint32_t epochs;
};

// Runs all dispatches in order. The test fails where a pair is taken otherwise than the reference
// says, or twice; where a row is not finished exactly once; where a partial result is not written
// and then, past a barrier, merged once; where anything lies outside of its segment, its window or
// the trial's limits.
struct machine_counts machine_run(const struct trial *t, const struct schedule *s);

// Whether two schedules are the same, bit for bit: plan memory, segments and dispatches.
bool same_schedule(const struct schedule *a, const struct schedule *b);

#endif
