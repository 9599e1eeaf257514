// SPDX-License-Identifier: MIT
//
// What combine.comp does, for the rows family on CPU drivers: there a load from a storage buffer
// costs a bounds check and a branch per lane, and a barrier a switch of coroutines. So a workgroup
// is one subgroup, a lane takes whole rows, and a row's partials are taken in one pass, rescaled as
// the maximum grows; nothing is shared. Up to 16 pieces of O at a time: what is unrolled is what
// the driver takes long to compile. The workspace is read in the way in which its attention kernel
// reads K and V:
//     -DBY_ADDRESS   all by address (rows_address.comp says what addresses must look like); no
//                    descriptors
//     nothing        texels: 0 the workspace (RGBA32F), 4 plan; storage: 1 O, 2 LSE
// A row's partials are taken in the order part, split, always: results are the same bits from run
// to run.
//
// -DDTYPE_F32 / _F16 / _BF16: of O. Dispatch: (combine items, entries of the bh list).
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#ifdef BY_ADDRESS
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#define TULLE_PLAN_ADDRESS
#endif

#define TULLE_PUSH_COMBINE
#include "../common/plan.glsl"
#define F16_BY_INTEGERS
#include "../common/dtype.glsl"
#include "../common/softmax.glsl"
#include "../common/partials.glsl"

layout(local_size_x_id = 0) in;

#ifdef BY_ADDRESS
#include "../common/address.glsl"

vec4 workspace_vector(uint index) { return load_vector(push.workspace_address, index); }
#else
layout(set = 0, binding = 0) uniform samplerBuffer workspace;
layout(set = 0, binding = 1) writeonly restrict buffer OutputBuffer { OUT_PIECE_T output_o[]; };
layout(set = 0, binding = 2) writeonly restrict buffer LseBuffer { uint output_lse[]; };

vec4 workspace_vector(uint index) { return texelFetch(workspace, int(push.ws_texels + index)); }
#endif

const uint SLAB = V_PIECES % 16u == 0u ? 16u : 8u;  // pieces; every class is whole slabs

// The row at hand: its state, and pieces first … first + SLAB − 1 of Σ exp2(z2 − m)·v, so far.
float m, l;
vec4 o[SLAB];

void take(uint ws_row, uint v_pieces, uint first) {
    const uint at = ws_row * (v_pieces + 1u);
    const vec4 state = workspace_vector(at + v_pieces);
    const float top = max(m, state.x), shrink = softmax_exp2(m - top),
                weight = softmax_exp2(state.x - top);
    m = top;
    l = l * shrink + weight * state.y;  // an empty partial has l = 0 and an accumulator of 0
    [[unroll]] for (uint n = 0u; n < SLAB; n++) {
        const uint d = line_order(n, SLAB, 4u);  // of the workspace, whose pieces are vec4
        // columns past the last are not written
        const uint e = EXACT != 0u ? first + d : min(first + d, v_pieces - 1u);
        o[d] = o[d] * shrink + weight * workspace_vector(at + e);
    }
}

void main() {
    const uvec4 shape = plan_texel(PM_HEADER_SHAPE), o_header = plan_texel(PM_HEADER_O);
    const uint v_pieces = EXACT != 0u ? V_PIECES : plan_texel(PM_HEADER_K).w;
    const uint entry = push.bh_first + gl_WorkGroupID.y;
    const BatchHead bh = plan_batch_head(shape, push.bh_list, entry);
    const uvec4 item = plan_texel(push.items + gl_WorkGroupID.x);  // first row, rows, dead
    const uint parts = item.z == 0u ? push.part_count : 0u;        // dead rows have none
    const uint ws_row = push.ws_row_base + entry * push.ws_rows;
    float sink = 0.0;
    if (HAS_SINK) sink = plan_float(o_header.w + bh.head);
#ifdef BY_ADDRESS
    const uvec2 out_head =
        advance(push.o_address, push.o_base + bh.batch * o_header.x + bh.head * o_header.y,
                OUT_PIECE_SHIFT);
    OutWords lse_head = OutWords(advance(push.lse_address, push.lse_base + bh.index * shape.z, 2u));
#endif

    uint from = 0u;
    do {
        const bool mine = from + gl_LocalInvocationID.x < item.y;
        // lanes past the last row repeat that one
        const uint i = item.x + min(from + gl_LocalInvocationID.x, item.y - 1u);
        uint first = 0u;
        do {
            m = SOFTMAX_EMPTY;
            l = 0.0;
            [[unroll]] for (uint d = 0u; d < SLAB; d++)
                o[d] = vec4(0.0);
            for (uint part = 0u; part < parts; part++) {
                const uvec3 found = find_partials(part, i - push.range_first, ws_row);
                for (uint k = 0u; k < found.y; k++) take(found.x + k * found.z, v_pieces, first);
            }
            float factor = 1.0;
            // dead rows have no sink
            if (HAS_SINK && item.z == 0u) factor = softmax_sink(m, l, sink);
            factor *= softmax_inverse(l);
            if (mine) {
#ifdef BY_ADDRESS
                [[unroll]] for (uint d = 0u; d < SLAB; d++)
                    if (EXACT != 0u || first + d < v_pieces)
                        store_piece(out_head, i * o_header.z + first + d, o[d] * factor);
                if (HAS_LSE && first == 0u) lse_head.word[int(i)] = softmax_lse_bits(m, l);
#else
                const uint at = push.o_base + bh.batch * o_header.x + bh.head * o_header.y +
                                i * o_header.z + first;
                [[unroll]] for (uint d = 0u; d < SLAB; d++)
                    if (EXACT != 0u || first + d < v_pieces)
                        output_o[at + d] = piece_from_float(o[d] * factor);
                if (HAS_LSE && first == 0u)
                    output_lse[push.lse_base + bh.index * shape.z + i] = softmax_lse_bits(m, l);
#endif
            }
            first += SLAB;
        } while (first < V_PIECES);
        from += WORKGROUP;
    } while (from < item.y);
}
