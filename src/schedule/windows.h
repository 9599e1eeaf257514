// SPDX-License-Identifier: MIT
//
// What work reaches of the tensors, and whether that lies in the windows through which dispatches
// see those that are too large to be bound whole.
#ifndef TULLE_SRC_SCHEDULE_WINDOWS_H
#define TULLE_SRC_SCHEDULE_WINDOWS_H

#include "schedule/input.h"
#include "schedule/output.h"

/// What an item, or several, cost and reach: chunks, key positions, query rows. No keys: key_first
/// > key_last.
struct reach {
    int64_t chunks, key_first, key_last, row_first, row_last;
};

#define REACH_NO_KEYS .key_first = INT64_MAX, .key_last = -1

bool windows_any(const struct schedule_input *in);

/// Does a window hold at least a row or a key of every tensor?
bool windows_suffice(const struct schedule_input *in);

/// Rows at this step that the windows of Q and O reach over.
int64_t window_rows_most(const struct schedule_input *in, int64_t step);

/// How many positions apart the first and last key of an item may be.
int64_t window_keys_apart(const struct schedule_input *in);

/// Do the tensors that such a dispatch touches for the group's entries [first, end) fit their
/// windows?
bool windows_hold(const struct schedule_input *in, const struct group *group,
                  enum dispatch_kind kind, const struct reach *reach, uint32_t first, uint32_t end);

/// Where they begin for a dispatch that reaches this far: dispatch->window.
void windows_place(const struct schedule_input *in, const struct group *group,
                   const struct reach *reach, struct dispatch *dispatch);

#endif
