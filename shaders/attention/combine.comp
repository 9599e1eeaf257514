// SPDX-License-Identifier: MIT
//
// Partial results → O and LSE, for rows that were split over several work items, lie in several parts, or could not
// be written directly. At the floor of Vulkan 1.1, like tile.comp.
//
// A lane makes one piece (4 columns) of one row at a time: lane t of the item takes row t / v_pieces, piece
// t mod v_pieces, then the one WORKGROUP further on. So an item of any number of rows is right, every lane is busy
// where rows · v_pieces is a multiple of WORKGROUP, and neighbouring lanes read neighbouring memory. Lanes of a row
// repeat its few scalars; nothing is shared and nothing waits.
//
// Two passes over a row's partials, always in the order part, split: the greatest m; then the sums, whose loads do
// not depend on each other. The order of the additions is fixed, so results are the same bits from run to run.
//
// -DDTYPE_F32 / _F16 / _BF16: of O. Dispatch: (combine items, entries of the bh list).
#version 450
#extension GL_GOOGLE_include_directive : require

#define TULLE_PUSH_COMBINE
#include "../common/plan.glsl"
#include "../common/dtype.glsl"
#include "../common/softmax.glsl"

layout(local_size_x_id = 0) in;

layout(std430, set = 0, binding = 0) readonly restrict buffer Workspace { vec4 workspace[]; };
layout(std430, set = 0, binding = 1) writeonly restrict buffer OutputBuffer { OUT_PIECE_T output_o[]; };
layout(std430, set = 0, binding = 2) writeonly restrict buffer LseBuffer { uint output_lse[]; };

// The partials of a row in one part.
struct Partials {
    uint count;     // 0: the part selects nothing there
    uint first;     // workspace row of the first
    uint distance;  // rows from one to the next
};

Partials find_partials(uint part, uint offset, uint ws_row) {   // offset: the row's, from range_first
    const uvec4 entry = plan_texel(push.parts + part);
    const uint step = entry.x, tile = entry.y;
    const uint residue = offset % step, index = offset / step;   // the row is number `index` of its residue class
    const uint q = push.range_rows / step, rem = push.range_rows - q * step;   // rem classes have q + 1 rows, the others q
    const uint long_tiles = (q + tile) / tile, short_tiles = (q + tile - 1u) / tile;
    const uint before = residue < rem ? residue * long_tiles : rem * long_tiles + (residue - rem) * short_tiles;
    const uint word = entry.z + 2u * (before + index / tile);
    Partials partials;
    partials.first = ws_row + plan_word(word) + index % tile;
    partials.count = plan_word(word + 1u);
    partials.distance = tile;
    return partials;
}

void main() {
    const uvec4 shape = plan_texel(PM_HEADER_SHAPE), o_header = plan_texel(PM_HEADER_O);
    const uint v_pieces = EXACT != 0u ? V_PIECES : plan_texel(PM_HEADER_K).w;
    const uint entry = push.bh_first + gl_WorkGroupID.y;
    const BatchHead bh = plan_batch_head(shape, push.bh_list, entry);
    const uint ws_row = push.ws_row_base + entry * push.ws_rows;
    const float sink = HAS_SINK ? plan_float(o_header.w + bh.head) : 0.0;
    const uvec4 item = plan_texel(push.items + gl_WorkGroupID.x);   // first row, rows, dead
    const uint o_base = push.o_base + bh.batch * o_header.x + bh.head * o_header.y;

    const uint parts = item.z == 0u ? push.part_count : 0u;   // dead rows have none

    const uint work = item.y * v_pieces;
    const uint turns = gl_LocalInvocationIndex < work ? (work - gl_LocalInvocationIndex + WORKGROUP - 1u) / WORKGROUP : 0u;
    for (uint turn = 0u; turn < turns; ++turn) {
        const uint t = gl_LocalInvocationIndex + turn * WORKGROUP;
        const uint row = item.x + t / v_pieces, piece = t % v_pieces;
        const uint offset = row - push.range_first;

        float m = SOFTMAX_EMPTY;
        for (uint part = 0u; part < parts; ++part) {
            const Partials partials = find_partials(part, offset, ws_row);
            for (uint k = 0u; k < partials.count; ++k)
                m = max(m, workspace[(partials.first + k * partials.distance) * (v_pieces + 1u) + v_pieces].x);
        }

        float l = 0.0;
        vec4 o = vec4(0.0);
        for (uint part = 0u; part < parts; ++part) {
            const Partials partials = find_partials(part, offset, ws_row);
            for (uint k = 0u; k < partials.count; ++k) {
                const uint address = (partials.first + k * partials.distance) * (v_pieces + 1u);
                const vec4 state = workspace[address + v_pieces];
                const float weight = softmax_exp2(state.x - m);   // an empty partial has l = 0 and o = 0
                l = fma(weight, state.y, l);
                o = fma(vec4(weight), workspace[address + piece], o);
            }
        }

        float factor = 1.0;
        if (HAS_SINK && item.z == 0u) factor = softmax_sink(m, l, sink);   // dead rows have no sink
        factor *= softmax_inverse(l);
        output_o[o_base + row * o_header.z + piece] = piece_from_float(o * factor);
        if (HAS_LSE && piece == 0u) output_lse[push.lse_base + bh.index * shape.z + row] = softmax_lse_bits(m, l);
    }
}
