// SPDX-License-Identifier: MIT
//
// Where partial results of a range of rows are: which workspace rows (slots) each tile has, in the
// tile tables that plan memory holds for combine (plan_memory.h, COMBINE).
#ifndef TULLE_SRC_SCHEDULE_TABLES_H
#define TULLE_SRC_SCHEDULE_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plan_memory.h"

/// The tiles of one part.
struct tile_table {
    size_t first;  ///< of them in tables.tiles
    int64_t step;
    int32_t tile_rows;
    /// residue classes with a row more than the others; tiles of each of these, and of each other
    int64_t longer, more, less;
};

#define TILE_WORDS (sizeof(struct pm_tile) / 4)

struct tables {
    int64_t first, rows;  ///< the range: [first, first + rows) of the group
    uint64_t slots;       ///< rows of partial results so far
    struct tile_table of_part[PM_PARTS_MOST];
    struct pm_tile *tiles;
    size_t count, capacity;
    size_t waiting;  ///< tiles before them that have none
};

void tables_clear(struct tables *t);
void tables_free(struct tables *t);

/// Goes to rows [first, first + rows); tables of parts are added behind what there is.
void tables_range(struct tables *t, int64_t first, int64_t rows);
/// Begins the table of a part.
void tables_part(struct tables *t, uint32_t part, int64_t step, int32_t tile_rows);

/// The next tile of the part. As long as no tile of an only part (`direct`) was split there is no
/// table: its tiles are only counted. False: out of memory.
bool tables_add(struct tables *t, bool direct, uint32_t slot, uint32_t splits);

/// The tile that holds the row. *in_tile: which row of it that is.
const struct pm_tile *tables_tile(const struct tables *t, const struct tile_table *table,
                                  int64_t row, int64_t *in_tile);

/// How many of rows [row, row + rows) have a partial result in that table; slots: each row's, or
/// PM_SLOT_NONE. −1: one has several.
int tables_resumed(const struct tables *t, const struct tile_table *table, int64_t row,
                   int64_t rows, uint32_t *slots);

#endif
