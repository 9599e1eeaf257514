// SPDX-License-Identifier: MIT
#include "schedule/tables.h"

#include <stdlib.h>

#include "common/arithmetic.h"
#include "common/array.h"

void tables_clear(struct tables *t) { t->count = t->waiting = 0; }

void tables_free(struct tables *t) { free(t->tiles); }

void tables_range(struct tables *t, int64_t first, int64_t rows) {
    t->first = first;
    t->rows = rows;
    t->slots = 0;
}

void tables_part(struct tables *t, uint32_t part, int64_t step, int32_t tile_rows) {
    const int64_t each = t->rows / step;
    t->of_part[part] = (struct tile_table){ .first = t->count,
                                            .step = step,
                                            .tile_rows = tile_rows,
                                            .longer = t->rows % step,
                                            .more = ceil_div(each + 1, tile_rows),
                                            .less = ceil_div(each, tile_rows) };
}

bool tables_add(struct tables *t, bool direct, uint32_t slot, uint32_t splits) {
    if (direct && !splits && !t->count) {
        t->waiting++;
        return true;
    }
    if (!ARRAY_RESERVE(t->tiles, t->capacity, t->count + t->waiting + 1)) return false;
    for (; t->waiting; t->waiting--) t->tiles[t->count++] = (struct pm_tile){ 0, 0 };
    t->tiles[t->count++] = (struct pm_tile){ .slot = slot, .splits = splits };
    return true;
}

const struct pm_tile *tables_tile(const struct tables *t, const struct tile_table *table,
                                  int64_t row, int64_t *in_tile) {
    const int64_t offset = row - t->first, longer = table->longer;
    const int64_t in_class = offset / table->step, residue = offset - in_class * table->step;
    // the `longer` classes come first
    const int64_t before = residue < longer
                               ? residue * table->more
                               : longer * table->more + (residue - longer) * table->less;
    *in_tile = in_class % table->tile_rows;
    return t->tiles + table->first + before + in_class / table->tile_rows;
}

int tables_resumed(const struct tables *t, const struct tile_table *table, int64_t row,
                   int64_t rows, uint32_t *slots) {
    int found = 0;
    for (int64_t r = 0; r < rows; r++) {
        int64_t in_tile;
        const struct pm_tile *tile = tables_tile(t, table, row + r, &in_tile);
        if (tile->splits > 1) return -1;
        slots[r] = tile->splits ? tile->slot + (uint32_t)in_tile : PM_SLOT_NONE;
        found += tile->splits == 1;
    }
    return found;
}
