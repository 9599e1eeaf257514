// SPDX-License-Identifier: MIT
//
// The combine of a range of rows: which rows it finishes, and what plan memory holds for it.
#ifndef TULLE_SRC_SCHEDULE_COMBINE_H
#define TULLE_SRC_SCHEDULE_COMBINE_H

#include "schedule/parts.h"
#include "schedule/segments.h"
#include "schedule/tables.h"

/// A range of rows for combine.
struct combine_range {
    const struct schedule_input *input;
    const struct group_parts *parts;
    const struct tables *tables;  ///< of the range
    int64_t first, end;
    bool dead;             ///< its rows do not exist: no part has any
    const uint32_t *rows;  ///< the site's
};

/// Rows of a tile at this step in a range of `range_rows`: fewer than the variant's where the range
/// has no more, or where a window of Q or O does not reach over all of them.
int32_t rows_within(const struct schedule_input *in, const struct group_parts *parts, int64_t step,
                    int64_t range_rows);

/// Texels that combine of so many rows takes in a segment of its own, at most. `preamble`: of that.
uint64_t combine_texels(const struct schedule_input *in, const struct group_parts *parts,
                        uint64_t preamble, int64_t rows, bool dead);

/// Does the range have rows that combine finishes?
bool combine_needed(const struct combine_range *r);

/// The tile tables, the part table and the combine items, all in one segment; fills *dispatch, but
/// for entries and workspace. False: out of memory.
bool combine_place(const struct combine_range *r, struct segments *segments,
                   struct dispatch *dispatch);

#endif
