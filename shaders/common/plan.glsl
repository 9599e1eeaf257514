// SPDX-License-Identifier: MIT
//
// Reading plan memory (plan_memory.h has its layout): header, bh list, items, runs, words; and the
// push constants.
//
// Where the words come from is chosen by a macro before the include:
//     nothing              a uniform texel buffer at binding 4, a view of one segment: every Vulkan
//                          device has it, and it is no storage buffer (the floor guarantees only
//                          four of those)
//     TULLE_PLAN_ADDRESS   the address in push.plan_address, `segment` texels from the start of the
//                          plan's memory; the including shader enables GL_EXT_buffer_reference and
//                          GL_EXT_buffer_reference_uvec2
// and whose push constants are declared:
//     nothing              those of the attention kernels (words 0 … 13, and with
//                          TULLE_PLAN_ADDRESS 14 … 27 too)
//     TULLE_PUSH_COMBINE   those of combine (words 0 … 11, and with TULLE_PLAN_ADDRESS 12 … 21 too)
//     TULLE_PUSH_NONE      none: the shader declares its own
//
// All offsets are relative to the segment's start, in texels (16 bytes) or words (4 bytes) as
// named. Nothing here checks a bound: the host writes offsets that lie inside the segment.
#ifndef TULLE_PLAN_GLSL
#define TULLE_PLAN_GLSL

#include "plan_memory.h"

// The same ids in every kernel. Id 0 is also the workgroup's size: layout(local_size_x_id = 0).
layout(constant_id = 0) const uint WORKGROUP = 128u;
// class of head_dim / 4: at least the true number
layout(constant_id = 1) const uint HEAD_PIECES = 16u;
// class of v_head_dim / 4: at least the true number
layout(constant_id = 2) const uint V_PIECES = 16u;
// 1: both classes are filled, and no kernel checks a column
layout(constant_id = 3) const uint EXACT = 1u;
layout(constant_id = 4) const uint FLAGS = 0u;  // PM_FLAG_*
layout(constant_id = 5) const uint TILE_ROWS = 32u;
layout(constant_id = 6) const uint CHUNK_KEYS = 32u;

const bool HAS_SOFTCAP = (FLAGS & PM_FLAG_SOFTCAP) != 0u;
const bool HAS_ALIBI = (FLAGS & PM_FLAG_ALIBI) != 0u;
const bool HAS_SINK = (FLAGS & PM_FLAG_SINK) != 0u;
const bool HAS_LSE = (FLAGS & PM_FLAG_LSE) != 0u;
const bool DOES_DIRECT = (FLAGS & PM_FLAG_DIRECT) != 0u;
const bool DOES_PARTIAL = (FLAGS & PM_FLAG_PARTIAL) != 0u;

#if defined(TULLE_PUSH_COMBINE)
layout(push_constant) uniform Push {
    uint items, ws_texels, parts, part_count, bh_list, bh_first, ws_row_base, ws_rows, range_first,
        range_rows, o_base, lse_base;
#ifdef TULLE_PLAN_ADDRESS
    uint segment, unused;
    uvec2 o_address, lse_address, workspace_address, plan_address;
#endif
}
push;
#elif !defined(TULLE_PUSH_NONE)
layout(push_constant) uniform Push {
    uint items, step;
    int q_offset;
    uint bh_list, bh_first, ws_row_base, ws_rows, q_base, k_base, v_base, o_base, lse_base, zero;
#ifdef TULLE_PLAN_ADDRESS
    uint segment;
    uvec2 q_address, k_address, v_address, o_address, lse_address, workspace_address, plan_address;
#else
    uint ws_texels;
#endif
}
push;
#endif

#ifdef TULLE_PLAN_ADDRESS
layout(buffer_reference, std430, buffer_reference_align = 16) readonly buffer PlanMemory {
    uvec4 texel[];
};

uvec4 plan_texel(uint texel) { return PlanMemory(push.plan_address).texel[push.segment + texel]; }
#else
layout(set = 0, binding = 4) uniform usamplerBuffer plan_memory;

uvec4 plan_texel(uint texel) { return texelFetch(plan_memory, int(texel)); }
#endif

// One 32-bit word. Selects rather than indexes: an indexed vector may go to memory.
uint plan_word(uint word) {
    const uvec4 t = plan_texel(word >> 2);
    const uvec2 pair = (word & 2u) != 0u ? t.zw : t.xy;
    return (word & 1u) != 0u ? pair.y : pair.x;
}

float plan_float(uint word) { return uintBitsToFloat(plan_word(word)); }

// (batch, head) of entry `entry` of the bh list at word offset `list`.
struct BatchHead {
    uint index;  // batch · heads + head
    uint batch, head, kv_head;
};

BatchHead plan_batch_head(uvec4 shape, uint list, uint entry) {  // shape: texel PM_HEADER_SHAPE
    BatchHead bh;
    bh.index = plan_word(list + entry);
    bh.batch = bh.index / shape.x;
    bh.head = bh.index - bh.batch * shape.x;
    bh.kv_head = bh.head / (shape.x / shape.y);  // heads is a multiple of kv_heads
    return bh;
}

struct Item {
    uint first_row;  // query row i of item row 0
    uint runs;       // texel offset of the first run
    uint run_count;  // may be 0
    uint rows;       // 1 … TILE_ROWS
    bool direct;     // writes O and LSE, else partials
    bool dead;       // its rows do not exist: no sink logit
    bool resumes;    // begins with partial results
    uint slot;  // workspace row, where not direct; word offset of the rows' own, where it resumes
};

Item plan_item(uint index) {  // of the dispatch
    const uvec4 t = plan_texel(push.items + index);
    Item item;
    item.first_row = t.x;
    item.runs = t.y;
    item.run_count = t.z & PM_ITEM_RUNS_MASK;
    item.rows = (t.z >> PM_ITEM_ROWS_SHIFT) & PM_ITEM_ROWS_MASK;
    item.direct = (t.z & PM_ITEM_DIRECT) != 0u;
    item.dead = (t.z & PM_ITEM_DEAD) != 0u;
    item.resumes = (t.z & PM_ITEM_RESUMES) != 0u;
    item.slot = t.w;
    return item;
}

#if !defined(TULLE_PUSH_COMBINE) && !defined(TULLE_PUSH_NONE)
struct Run {
    uint first;  // key, or word offset of the first list entry
    uint kind;   // PM_RUN_FULL, _BAND, _BITS
    bool list;
    uint count;                // keys, at least 1
    uint row_first, row_last;  // band: the rows that take any key
    int lo, hi;                // band: row r takes lo ≤ c − r ≤ hi
    uint bits;                 // bits: word offset
};

Run plan_run_unpack(uvec4 t) {
    Run run;
    run.first = t.x;
    run.kind = t.y >> PM_RUN_KIND_SHIFT;
    run.list = (t.y & PM_RUN_LIST) != 0u;
    run.count = t.y & (run.kind == PM_RUN_FULL ? PM_RUN_FULL_COUNT_MASK : PM_RUN_COUNT_MASK);
    run.row_first = (t.y >> PM_RUN_ROW_FIRST_SHIFT) & PM_RUN_ROW_MASK;
    run.row_last = (t.y >> PM_RUN_ROW_LAST_SHIFT) & PM_RUN_ROW_MASK;
    run.lo = int(t.z);
    run.hi = int(t.w);
    run.bits = t.z;
    return run;
}

Run plan_run(uint texel) { return plan_run_unpack(plan_texel(texel)); }

// Position of key c < run.count. Row or key → position → address are three steps, so that gathers,
// rings and pages change only the last one or two.
uint plan_key_position(Run run, uint c) {
    uint position = run.first + c * push.step;
    if (run.list) position = plan_word(run.first + c);
    return position;
}

// Does row r take key c of a band or bits run, given that c < run.count? (A full run: always; not
// for here.)
bool plan_band_selects(Run run, uint r, uint c) {
    const int d = int(c) - int(r);  // no overflow: both are small
    return d >= run.lo && d <= run.hi && r >= run.row_first && r <= run.row_last;
}

// The 32 selection bits of row r for keys 32·block … 32·block + 31 of a bits run.
uint plan_bits(Run run, uint r, uint block) { return plan_word(run.bits + block * TILE_ROWS + r); }
#endif

#endif
