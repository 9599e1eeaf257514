// SPDX-License-Identifier: MIT
//
// Reading plan memory (plan_memory.h says what is in it), and the push constants. A macro, defined
// before the include, says where its words come from:
//     nothing      a uniform texel buffer at binding 4, a view of one segment: every Vulkan device
//                  has it, and it is no storage buffer (the floor guarantees only four of those)
//     BY_ADDRESS   the address in the push constants; the including shader enables
//                  GL_EXT_buffer_reference and GL_EXT_buffer_reference_uvec2
// and another which push constants there are: nothing: attention's; COMBINE: combine's.
//
// Nothing here checks a bound: the host writes offsets that lie inside the segment.
#ifndef TULLE_PLAN_GLSL
#define TULLE_PLAN_GLSL

#include "plan_memory.h"

layout(constant_id = PM_CONSTANT_WORKGROUP) const uint WORKGROUP = 128u;
layout(constant_id = PM_CONSTANT_HEAD_PIECES) const uint HEAD_PIECES = 16u;
layout(constant_id = PM_CONSTANT_V_PIECES) const uint V_PIECES = 16u;
layout(constant_id = PM_CONSTANT_EXACT) const uint EXACT = 1u;
layout(constant_id = PM_CONSTANT_FLAGS) const uint FLAGS = 0u;
layout(constant_id = PM_CONSTANT_TILE_ROWS) const uint TILE_ROWS = 32u;
layout(constant_id = PM_CONSTANT_CHUNK_KEYS) const uint CHUNK_KEYS = 32u;

const bool HAS_SOFTCAP = (FLAGS & PM_FLAG_SOFTCAP) != 0u;
const bool HAS_ALIBI = (FLAGS & PM_FLAG_ALIBI) != 0u;
const bool HAS_SINK = (FLAGS & PM_FLAG_SINK) != 0u;
const bool HAS_LSE = (FLAGS & PM_FLAG_LSE) != 0u;
const bool DOES_DIRECT = (FLAGS & PM_FLAG_DIRECT) != 0u;
const bool DOES_PARTIAL = (FLAGS & PM_FLAG_PARTIAL) != 0u;
const bool DOES_RESUME = (FLAGS & PM_FLAG_RESUME) != 0u;
const bool JOINED = (FLAGS & PM_FLAG_JOINED) != 0u;
const bool LISTED_ROWS = (FLAGS & PM_FLAG_LISTED_ROWS) != 0u;

layout(push_constant) uniform PushConstants {
#ifdef COMBINE
    pm_combine_push push;
#ifdef BY_ADDRESS
    pm_combine_addresses address;
#endif
#else
    pm_attention_push push;
#ifdef BY_ADDRESS
    pm_attention_addresses address;
#endif
#endif
};

// -------------------------------------------------------------------------------------------------
// Texels and words

#ifdef BY_ADDRESS
layout(buffer_reference, std430, buffer_reference_align = 16) readonly buffer PlanMemory {
    uvec4 texel[];
};

uvec4 plan_texel(uint texel) { return PlanMemory(address.plan).texel[push.segment + texel]; }
#else
layout(set = 0, binding = 4) uniform usamplerBuffer plan_memory;

uvec4 plan_texel(uint texel) { return texelFetch(plan_memory, int(texel)); }
#endif

// Selects rather than indexes: an indexed vector may go to memory.
uint plan_word(uint word) {
    const uvec4 t = plan_texel(word >> 2);
    const uvec2 pair = (word & 2u) != 0u ? t.zw : t.xy;
    return (word & 1u) != 0u ? pair.y : pair.x;
}

float plan_float(uint word) { return uintBitsToFloat(plan_word(word)); }

pm_strides plan_strides(uint header_texel) {
    const uvec4 t = plan_texel(header_texel);
    return pm_strides(t.x, t.y, t.z, t.w);
}

// scale, scale_by_softcap, softcap
vec3 plan_scale() { return uintBitsToFloat(plan_texel(PM_HEADER_SCALE).xyz); }

float plan_weight_unit() { return uintBitsToFloat(plan_texel(PM_HEADER_SCALE).w); }
// 1 over it: a division need not be exact, even of powers of two.
float plan_weight_lift() { return uintBitsToFloat(0x7f000000u - plan_texel(PM_HEADER_SCALE).w); }

// -------------------------------------------------------------------------------------------------
// Groups, entries, items, runs

#ifdef COMBINE
const uint JOINED_TEXELS = PM_JOINED_COMBINE_TEXELS;
#else
const uint JOINED_TEXELS = PM_JOINED_ITEM_TEXELS;
#endif

// Of the workgroup's item.
uint item_at() { return push.items + gl_WorkGroupID.x * (JOINED ? JOINED_TEXELS : 1u); }

// Whose that is: of the workgroup's entry, the texel offset and the first workspace row.
struct Group {
    uint entry, ws_row;
};

Group item_group() {
    pm_joined with =
        pm_joined(push.entries + push.entry_first * PM_ENTRY_TEXELS,
                  push.ws_row_base + push.entry_first * push.ws_rows, push.ws_rows, 0u);
    if (JOINED) {
        const uvec4 t = plan_texel(item_at() + 1u);
        with = pm_joined(t.x, t.y, t.z, t.w);
    }
    return Group(with.entries + gl_WorkGroupID.y * PM_ENTRY_TEXELS,
                 with.ws_row_base + gl_WorkGroupID.y * with.ws_rows);
}

struct Entry {
    uint index;  // batch · heads + head
    uint batch, head, kv_head;
    uint first_row, first_key;
    int q_offset;
    uint q_len;  // rows of LSE from one (batch, head) to the next
};

Entry plan_entry(Group group) {
    const uvec4 shape = plan_texel(PM_HEADER_SHAPE);  // heads, kv_heads, q_len
    const uvec4 t = plan_texel(group.entry + PM_ENTRY_PLACE);
    Entry entry;
    entry.index = t.x;
    entry.batch = t.x / shape.x;
    entry.head = t.x - entry.batch * shape.x;
    entry.kv_head = entry.head / (shape.x / shape.y);  // heads is a multiple of kv_heads
    entry.q_offset = int(t.y);
    entry.first_row = t.z;
    entry.first_key = t.w;
    entry.q_len = shape.z;
    return entry;
}

struct Item {
    uint first_row;  // query row i of its row 0, or of listed rows word offset of their list
    uint runs;       // texel offset of the first run
    uint run_count;  // may be 0
    uint rows;       // 1 … TILE_ROWS
    bool direct;     // writes O and LSE, else partial results
    bool dead;       // its rows do not exist: no sink logit
    bool resumes;    // begins with partial results
    uint slot;  // workspace row, where not direct; word offset of its rows' own, where it resumes
};

Item plan_item(uvec4 t) {
    const pm_item words = pm_item(t.x, t.y, t.z, t.w);
    Item item;
    item.first_row = words.first_row;
    item.runs = words.runs;
    item.run_count = words.shape & PM_ITEM_RUNS_MASK;
    item.rows = (words.shape >> PM_ITEM_ROWS_SHIFT) & PM_ITEM_ROWS_MASK;
    item.direct = (words.shape & PM_ITEM_DIRECT) != 0u;
    item.dead = (words.shape & PM_ITEM_DEAD) != 0u;
    item.resumes = (words.shape & PM_ITEM_RESUMES) != 0u;
    item.slot = words.slot;
    return item;
}

#ifndef COMBINE
struct Run {
    uint first;  // key, or word offset of the first list entry
    uint kind;   // PM_RUN_FULL, _BAND, _BITS
    bool list;
    uint count;                // keys, at least 1
    uint row_first, row_last;  // band: the rows that take any key
    int lo, hi;                // band: row r takes lo ≤ c − r ≤ hi
    uint bits;                 // bits: word offset
};

Run plan_run(uvec4 t) {
    const pm_run words = pm_run(t.x, t.y, t.z, int(t.w));
    Run run;
    run.first = words.first;
    run.kind = words.shape >> PM_RUN_KIND_SHIFT;
    run.list = (words.shape & PM_RUN_LIST) != 0u;
    run.count =
        words.shape & (run.kind == PM_RUN_FULL ? PM_RUN_FULL_COUNT_MASK : PM_RUN_COUNT_MASK);
    run.row_first = (words.shape >> PM_RUN_ROW_FIRST_SHIFT) & PM_RUN_ROW_MASK;
    run.row_last = (words.shape >> PM_RUN_ROW_LAST_SHIFT) & PM_RUN_ROW_MASK;
    run.lo = int(words.lo_bits);
    run.hi = words.hi;
    run.bits = words.lo_bits;
    return run;
}
#endif

#endif
