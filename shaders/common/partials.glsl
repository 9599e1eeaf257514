// SPDX-License-Identifier: MIT
//
// Combine's items, and where the partial results of a row lie (plan_memory.h, "Combine"). For
// kernels with combine's push constants, after plan.glsl.
#ifndef TULLE_PARTIALS_GLSL
#define TULLE_PARTIALS_GLSL

pm_combine_item combine_item() {
    const uvec4 t = plan_texel(item_at());
    return pm_combine_item(t.x, t.y, t.z, t.w);
}

// The rows at hand, and their parts.
struct Range {
    uint parts, part_count, first, rows;
};

Range combine_range() {
    Range range = Range(push.parts, push.part_count, push.range_first, push.range_rows);
    if (JOINED) {
        const uvec4 t = plan_texel(item_at() + 2u);
        range = Range(plan_texel(item_at() + 1u).w, t.x, t.y, t.z);
    }
    return range;
}

// Parts that have partial results of the item's rows. Dead rows have none, and no sink logit.
uint combine_parts(pm_combine_item item, Range range) {
    return item.dead == 0u ? range.part_count : 0u;
}

struct Partials {
    uint first;   // workspace row
    uint splits;  // how many; 0: the part selects nothing there
    uint apart;   // rows from one to the next
};

// Those of query row i from one part; ws_row: the entry's first workspace row.
Partials find_partials(Range range, uint index, uint i, uint ws_row) {
    const uvec4 t = plan_texel(range.parts + index);
    const pm_part part = pm_part(t.x, t.y, t.z, t.w);
    const uint u = i - range.first, step = part.step, tile = part.tile_rows;
    const uint number = u / step, residue = u - number * step;  // the row's, of its residue class
    // `longer` classes have q + 1 rows, the others q
    const uint q = range.rows / step, longer = range.rows - q * step;
    const uint long_tiles = (q + tile) / tile, short_tiles = (q + tile - 1u) / tile;
    const uint before = residue < longer ? residue * long_tiles
                                         : longer * long_tiles + (residue - longer) * short_tiles;
    const uint in_class = number / tile, word = part.tiles + 2u * (before + in_class);
    const pm_tile found = pm_tile(plan_word(word), plan_word(word + 1u));
    return Partials(ws_row + found.slot + number - in_class * tile, found.splits, tile);
}

#endif
