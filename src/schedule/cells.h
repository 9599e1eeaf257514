// SPDX-License-Identifier: MIT
//
// Regions → cells: keys of a tile in which the same regions apply.
#ifndef TULLE_SRC_SCHEDULE_CELLS_H
#define TULLE_SRC_SCHEDULE_CELLS_H

#include "schedule/regions.h"

enum cell_kind { CELL_EXCLUDED, CELL_FULL, CELL_BAND, CELL_BITS };

/// Keys [v0, v1) in which the same regions apply to the tile's rows.
struct cell {
    enum cell_kind kind;
    int64_t v0, v1;
    // BAND, as in struct region
    int32_t r0, r1;
    int64_t left, right;
};

#define MERGED_KEYS_MOST 512  // of bits that stand in for several partial cells

/// The region on keys [v0, v1), where no edge of it lies within: without bounds that do not bind.
struct region loosened(const struct tiler *t, const struct region *region, int64_t v0, int64_t v1);

/// Begins before the first key: of t->include in t->in, of t->exclude in t->out. False: out of
/// memory.
bool sweeps_begin(struct tiler *t);

/// Leaves the regions that end at key v0 or before, takes up those that begin before v1: those that
/// are left lie on some key of [v0, v1). v0 never falls; the list is sorted.
void sweep_to(struct sweep *sweep, const struct region_list *list, int64_t v0, int64_t v1);

/// Fills t->cells: rising in v, disjoint; keys in no cell are in no region. False: out of memory.
bool make_cells(struct tiler *t);

/// Fills t->rounded with cells that runs can say as they stand: full ones are whole chunks. False:
/// out of memory.
bool round_cells(struct tiler *t);

#endif
