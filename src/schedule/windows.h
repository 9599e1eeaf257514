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

/// What a dispatch may reach over, from the first to the last: rows of Q, O and LSE, positions of
/// keys. As many as windows hold for some neighbouring entries of a group at once.
struct window_extent {
    int64_t rows, keys;
};

/// For as many entries at once as leave the fewest dispatches over the group.
struct window_extent windows_extent(const struct schedule_input *in, const struct group *group);

/// Rows at this step that some of a tile may have.
int64_t window_tile_rows(const struct window_extent *extent, int64_t step);

/// Keys that are not cut leave so many positions of a window, which joins them with those that begin
/// as close by. Without, each tile of a wide `window` could need one of its own.
static inline int64_t window_slack(const struct window_extent *extent) { return extent->keys / 16; }

/// Keys that reach over so many positions: of how many is a cell of the grid on which they are cut?
/// 0: they are not.
int64_t window_cell(const struct window_extent *extent, int64_t positions);

/// Do the tensors that such a dispatch touches for the group's entries [first, end) fit their
/// windows?
bool windows_hold(const struct schedule_input *in, const struct group *group,
                  enum dispatch_kind kind, const struct reach *reach, uint32_t first, uint32_t end);

/// Where they begin for a dispatch that reaches this far: dispatch->window.
void windows_place(const struct schedule_input *in, const struct group *group,
                   const struct reach *reach, struct dispatch *dispatch);

#endif
