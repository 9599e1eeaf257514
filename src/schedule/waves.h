// SPDX-License-Identifier: MIT
//
// Dispatches, in waves: attention, what resumes its partial results, combine, and the workspace is
// free again.
#ifndef TULLE_SRC_SCHEDULE_WAVES_H
#define TULLE_SRC_SCHEDULE_WAVES_H

#include "schedule/items.h"

/// What of a wave waits for its other dispatches, in this order, each stage behind a barrier.
enum stage { STAGE_RESUME, STAGE_COMBINE, STAGES, STAGE_NOW };

struct dispatch_list {
    struct dispatch *dispatches;
    size_t count, capacity;
};

struct waves {
    const struct schedule_input *input;
    struct schedule *out;  ///< its dispatches
    tulle_error *error;
    // the wave at hand
    uint64_t rows;  ///< of the workspace that it has taken
    /// the next dispatch must wait: for what the wave before left for later, as it writes to the
    /// workspace; or for rows that it writes again
    bool begins;
    struct dispatch_list waiting[STAGES];
};

/// Dispatches a range's stretches and its combine (no items: none) over the group, as many entries
/// at a time as the workspace holds. slots: rows of partial results that the range has for each;
/// rows_most: that a dispatch may reach over. False: out of memory.
bool waves_range(struct waves *w, const struct group *group, const struct stretch *stretches,
                 size_t stretch_count, const struct dispatch *combine, uint64_t slots,
                 int64_t rows_most);

/// Ends a wave: finishes what it left in the workspace. False: out of memory.
bool waves_flush(struct waves *w);

/// The same, and what comes then waits for all before it: it writes rows again.
bool waves_again(struct waves *w);

void waves_free(struct waves *w);

#endif
