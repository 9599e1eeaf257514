// SPDX-License-Identifier: MIT
//
// Runs → work items → dispatches, in plan memory.
//
// The schedule of one attention: what of it is the same for several (batch, head) is made once and
// dispatched over its entries (a GROUP). Host only: nothing here touches Vulkan.
#ifndef TULLE_SRC_SCHEDULE_SCHEDULE_H
#define TULLE_SRC_SCHEDULE_SCHEDULE_H

#include "schedule/input.h"
#include "schedule/output.h"

/// Fills *out (zeroed by the caller). On failure it is left for schedule_free. `room` may be NULL:
/// fresh arrays. Errors: WORKSPACE_LIMIT (out->workspace_rows_least is set), OUT_OF_HOST_MEMORY,
/// UNSUPPORTED (a single row and key do not fit a binding window; a row of more keys than 2 ·
/// splits_most items take).
tulle_result schedule_build(const struct schedule_input *input, struct schedule_room *room,
                            struct schedule *out, tulle_error *error);
void schedule_free(struct schedule *schedule);

#endif
