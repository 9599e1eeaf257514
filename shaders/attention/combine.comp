// SPDX-License-Identifier: MIT
//
// Partial results → O and LSE, for rows that were split over several work items, lie in several
// parts, or could not be written directly. At the floor of Vulkan 1.1, like tile.comp;
// combine_rows.comp does the same for CPU drivers.
//
// Three steps, each with its own sharing out of the workgroup's lanes:
//     (row, part)    where the row's partials lie: the divisions of the closed form, once a row and
//                    part
//     row            the greatest m, then l, LSE and what O is multiplied by
//     (row, piece)   O: neighbouring lanes read and write neighbouring memory
// A row's partials are taken in the order part, split, always: results are the same bits from run
// to run.
//
// -DDTYPE_F32 / _F16 / _BF16: of O. Dispatch: (combine items, entries of the bh list).
#version 450
#extension GL_GOOGLE_include_directive : require

#define TULLE_PUSH_COMBINE
#include "../common/plan.glsl"
#include "../common/dtype.glsl"
#include "../common/softmax.glsl"
#include "../common/partials.glsl"

layout(local_size_x_id = 0) in;

layout(std430, set = 0, binding = 0) readonly restrict buffer Workspace { vec4 workspace[]; };
layout(std430, set = 0, binding = 1) writeonly restrict buffer OutputBuffer {
    OUT_PIECE_T output_o[];
};
layout(std430, set = 0, binding = 2) writeonly restrict buffer LseBuffer { uint output_lse[]; };

shared uvec3 partials[PM_COMBINE_ROWS * PM_PARTS_MOST];  // [row][part]
shared float row_max[PM_COMBINE_ROWS], row_factor[PM_COMBINE_ROWS];

void main() {
    const uvec4 shape = plan_texel(PM_HEADER_SHAPE), o_header = plan_texel(PM_HEADER_O);
    const uint v_pieces = EXACT != 0u ? V_PIECES : plan_texel(PM_HEADER_K).w;
    const uint entry = push.bh_first + gl_WorkGroupID.y;
    const BatchHead bh = plan_batch_head(shape, push.bh_list, entry);
    const uvec4 item = plan_texel(push.items + gl_WorkGroupID.x);           // first row, rows, dead
    const uint rows = item.y, parts = item.z == 0u ? push.part_count : 0u;  // dead rows have none
    const uint lane = gl_LocalInvocationIndex;

    const uint ws_row = push.ws_row_base + entry * push.ws_rows;
    for (uint t = lane; t < rows * parts; t += WORKGROUP) {
        const uint row = t / parts, part = t - row * parts;
        partials[row * PM_PARTS_MOST + part] =
            find_partials(part, item.x + row - push.range_first, ws_row);
    }
    barrier();

    const float sink = HAS_SINK ? plan_float(o_header.w + bh.head) : 0.0;
    for (uint row = lane; row < rows; row += WORKGROUP) {
        float m = SOFTMAX_EMPTY, l = 0.0;
        for (uint part = 0u; part < parts; ++part) {
            const uvec3 from = partials[row * PM_PARTS_MOST + part];
            for (uint k = 0u; k < from.y; ++k)
                m = max(m, workspace[(from.x + k * from.z) * (v_pieces + 1u) + v_pieces].x);
        }
        for (uint part = 0u; part < parts; ++part) {
            const uvec3 from = partials[row * PM_PARTS_MOST + part];
            for (uint k = 0u; k < from.y; ++k) {
                const vec4 state = workspace[(from.x + k * from.z) * (v_pieces + 1u) + v_pieces];
                // an empty partial has l = 0 and o = 0
                l = fma(softmax_exp2(state.x - m), state.y, l);
            }
        }
        row_max[row] = m;  // the weights' reference: before the sink, which only shrinks
        float factor = 1.0;
        if (HAS_SINK && item.z == 0u) factor = softmax_sink(m, l, sink);  // dead rows have no sink
        row_factor[row] = factor * softmax_inverse(l);
        if (HAS_LSE)
            output_lse[push.lse_base + bh.index * shape.z + item.x + row] = softmax_lse_bits(m, l);
    }
    barrier();

    const uint o_base = push.o_base + bh.batch * o_header.x + bh.head * o_header.y;
    for (uint t = lane; t < rows * v_pieces; t += WORKGROUP) {
        const uint row = t / v_pieces, piece = t - row * v_pieces;
        const float m = row_max[row];
        vec4 o = vec4(0.0);
        for (uint part = 0u; part < parts; ++part) {
            const uvec3 from = partials[row * PM_PARTS_MOST + part];
            for (uint k = 0u; k < from.y; ++k) {
                const uint address = (from.x + k * from.z) * (v_pieces + 1u);
                o = fma(vec4(softmax_exp2(workspace[address + v_pieces].x - m)),
                        workspace[address + piece], o);
            }
        }
        output_o[o_base + (item.x + row) * o_header.z + piece] =
            piece_from_float(o * row_factor[row]);
    }
}
