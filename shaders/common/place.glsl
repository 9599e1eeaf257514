// SPDX-License-Identifier: MIT
//
// Row → position → address, and key → position → address, in steps. Whatever lies elsewhere than in
// one strided tensor (pages, rings, the heads of a group packed into one tile) changes a step here
// and not the kernels' loops. (Packed heads also have a slope and a sink logit for each row.)
//
// Offsets are in pieces from a tensor's first element, modulo 2^32. What is the same for all of an
// item comes first (item_offset, keys_offset); row_offset and key_offset add to it.
#ifndef TULLE_PLACE_GLSL
#define TULLE_PLACE_GLSL

#include "plan.glsl"

// Where the item's row 0 lies in Q or O; of listed rows, the entry's.
uint item_offset(pm_strides strides, Entry entry, uint first_row) {
    return entry.batch * strides.batch + entry.head * strides.head +
           (entry.first_row + (LISTED_ROWS ? 0u : first_row)) * strides.row;
}

// Where the entry's rows lie in LSE, in floats: [batch, heads, q_len].
uint lse_offset(Entry entry) { return entry.index * entry.q_len + entry.first_row; }

// How many steps from there row r lies; row_step: from one row of the item to the next, of listed
// rows from one query row to the next.
uint row_from_there(uint first_row, uint r) { return LISTED_ROWS ? plan_word(first_row + r) : r; }
uint row_offset(uint first_row, uint r, uint row_step) {
    return row_from_there(first_row, r) * row_step;
}

#ifdef COMBINE
// What combine's rows have for a first_row, and which query row its row r is.
uint combine_first_row(pm_combine_item item) { return LISTED_ROWS ? item.list : item.first_row; }
uint combine_row(pm_combine_item item, uint r) {
    return LISTED_ROWS ? plan_word(item.list + r) : item.first_row + r;
}
#endif

#ifndef COMBINE
// Row r of the item is which query row, where that stands, and how far rows of it lie apart.
uint item_row(uint first_row, uint r) {
    return LISTED_ROWS ? plan_word(first_row + r) : first_row + r * push.step;
}
int row_position(uint row, int q_offset) { return int(row) + q_offset; }
uint row_step(pm_strides strides) { return (LISTED_ROWS ? 1u : push.step) * strides.row; }

// Key c < run.count stands at which position.
uint key_position(Run run, uint c) {
#ifdef NO_BRANCHES  // compilers.glsl
    const uint listed = plan_word(run.list ? run.first + c : 0u);
    return run.list ? listed : run.first + c * push.step;
#else
    uint position = run.first + c * push.step;
    if (run.list) position = plan_word(run.first + c);
    return position;
#endif
}

// Where the entry's key 0 lies in K or V, and how far from there the key at `position` is.
uint keys_offset(pm_strides strides, Entry entry) {
    return entry.batch * strides.batch + entry.kv_head * strides.head +
           entry.first_key * strides.row;
}
uint key_offset(uint position, uint stride) { return position * stride; }
#endif

#endif
