// SPDX-License-Identifier: MIT
//
// What is narrower than a chunk → one list of its keys, of the tile's own.
#ifndef TULLE_SRC_SCHEDULE_GATHER_H
#define TULLE_SRC_SCHEDULE_GATHER_H

#include "schedule/cells.h"

/// From t->cells: fills t->rounded, as round_cells does, or the tile's list and t->rounded with
/// what is left, where that costs less. list_end: as in gap_next. False: out of memory.
bool gather_cells(struct tiler *t, int64_t list_end);

/// The same straight from what is thin (strips.h) and the regions beside it, where a list clearly
/// costs less: *done. Else nothing is thin any more. False: out of memory.
bool gather_thin(struct tiler *t, bool *done);

/// What the tile's rounded cells leave between them of keys [kv_start, list_end): those of the
/// part's list there are a run of their own.
struct gap {
    size_t cell;       ///< the next
    int64_t from;      ///< where the next gap may begin
    int64_t j0, j1;    ///< positions
    int64_t at, keys;  ///< of the part's list: index of the first there, how many
};
struct gap gap_before(const struct tiler *t);                             ///< the first
bool gap_next(const struct tiler *t, struct gap *gap, int64_t list_end);  ///< false: none is left

#endif
