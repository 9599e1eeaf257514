// SPDX-License-Identifier: MIT
//
// Row → position → address, and key → position → address, in steps. Whatever lies elsewhere than in
// one strided tensor (pages, rings) changes a step here and not the kernels' loops.
//
// READS_PAGES, defined before the include: the kernel also takes paged K and V (PM_FLAG_PAGED). The
// page table is a uniform texel buffer at binding 11, an int32 a texel; BY_ADDRESS: an address.
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

// From one row of the item to the next; of listed rows from one query row to the next, and from one
// head to the next.
struct RowSteps {
    uint row, head;
};

// Row r from there on.
uint row_offset(uint first_row, uint r, RowSteps by) {
    const uint listed = LISTED_ROWS ? plan_word(first_row + r) : 0u;
    return LISTED_ROWS ? (listed & PM_ROW_MASK) * by.row + (listed >> PM_ROW_HEAD_SHIFT) * by.head
                       : r * by.row;
}

// Which head row r is of, from the entry's on: what has a value for each head is taken from there.
uint row_head(uint first_row, uint r) {
    return LISTED_ROWS ? plan_word(first_row + r) >> PM_ROW_HEAD_SHIFT : 0u;
}

// Of a query row and head: from the entry's row 0 on in LSE.
uint lse_row(uint row, uint head) {
    return row + (LISTED_ROWS ? head * plan_texel(PM_HEADER_SHAPE).z : 0u);
}

#ifdef COMBINE
// What combine's rows have for a first_row, and which query row its row r is.
uint combine_first_row(pm_combine_item item) { return LISTED_ROWS ? item.list : item.first_row; }
uint combine_row(pm_combine_item item, uint r) {
    return LISTED_ROWS ? plan_word(item.list + r) & PM_ROW_MASK : item.first_row + r;
}
RowSteps row_steps(pm_strides strides) { return RowSteps(strides.row, strides.head); }
#endif

#ifndef COMBINE
// Row r of the item is which query row, where that stands, and how far rows of it lie apart.
uint item_row(uint first_row, uint r) {
    return LISTED_ROWS ? plan_word(first_row + r) & PM_ROW_MASK : first_row + r * push.step;
}
int row_position(uint row, int q_offset) { return int(row) + q_offset; }
RowSteps row_steps(pm_strides strides) {
    return RowSteps((LISTED_ROWS ? 1u : push.step) * strides.row, strides.head);
}

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

#ifdef READS_PAGES
const bool PAGED = (FLAGS & PM_FLAG_PAGED) != 0u;
#endif

// Where the entry's key 0 lies in K or V (of paged ones: where its kv head lies in page 0), and how
// far from there the key at `position` is.
uint keys_offset(pm_strides strides, Entry entry) {
#ifdef READS_PAGES
    if (PAGED) return entry.kv_head * strides.head;
#endif
    return entry.batch * strides.batch + entry.kv_head * strides.head +
           entry.first_key * strides.row;
}

#ifdef READS_PAGES
// Of an entry's paged K and V: the first cell of its row of the page table, the pool (PM_PAGES_…),
// strides of K and V from page to page.
struct Pages {
    uint table, pool, k, v;
};

Pages entry_pages(Group group) {
    return Pages(plan_texel(group.entry + PM_ENTRY_LENGTHS).z, plan_texel(PM_HEADER_SHAPE).w,
                 plan_strides(PM_HEADER_K).batch, plan_strides(PM_HEADER_V).batch);
}

#ifdef BY_ADDRESS
layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer PageTable {
    uint cell[];
};
uint page_cell(uint cell) { return PageTable(address.page_table).cell[cell]; }
#else
layout(set = 0, binding = 11) uniform usamplerBuffer page_table;
uint page_cell(uint cell) { return texelFetch(page_table, int(cell)).x; }
#endif

// Where a key lies: in which page, where there are some, and in which row of it.
struct KeyPlace {
    uint page, row;
};

// No cell leads out of the pool, whatever it holds: a negative one is a large page.
KeyPlace key_place(uint position, Pages pages) {
    KeyPlace place = KeyPlace(0u, position);
    if (PAGED) {
        const uint shift = pages.pool >> PM_PAGES_SIZE_SHIFT;
        place.page =
            min(page_cell(pages.table + (position >> shift)), pages.pool & PM_PAGES_LAST_MASK);
        place.row = position & ((1u << shift) - 1u);
    }
    return place;
}

// Strides: pages.k or pages.v, and from row to row.
uint key_offset(KeyPlace place, uint page, uint row) {
    return (PAGED ? place.page * page : 0u) + place.row * row;
}
#else
uint key_offset(uint position, uint stride) { return position * stride; }
#endif
#endif

#endif
