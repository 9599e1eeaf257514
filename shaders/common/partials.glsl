// SPDX-License-Identifier: MIT
//
// Where the partial results of a row lie (plan_memory.h, "COMBINE"). For kernels with combine's
// push constants, after plan.glsl.
#ifndef TULLE_PARTIALS_GLSL
#define TULLE_PARTIALS_GLSL

// x first workspace row, y how many (0: the part selects nothing there), z rows from one to the
// next. offset: the row's, from range_first; ws_row: of the entry of the bh list.
uvec3 find_partials(uint part, uint offset, uint ws_row) {
    const uvec4 entry = plan_texel(push.parts + part);
    const uint step = entry.x, tile = entry.y;
    // the row is number `index` of its residue class
    const uint index = offset / step, residue = offset - index * step;
    // rem classes have q + 1 rows, the others q
    const uint q = push.range_rows / step, rem = push.range_rows - q * step;
    const uint long_tiles = (q + tile) / tile, short_tiles = (q + tile - 1u) / tile;
    const uint before =
        residue < rem ? residue * long_tiles : rem * long_tiles + (residue - rem) * short_tiles;
    const uint in_class = index / tile, word = entry.z + 2u * (before + in_class);
    return uvec3(ws_row + plan_word(word) + index - in_class * tile, plan_word(word + 1u), tile);
}

#endif
