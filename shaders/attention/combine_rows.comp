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
// -DDTYPE_F32 / _F16 / _BF16: of O. Dispatch: (combine items, entries).
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#ifdef BY_ADDRESS
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require

#endif

#define COMBINE
#include "../common/place.glsl"
#define F16_BY_INTEGERS
#include "../common/dtype.glsl"
#include "../common/softmax.glsl"
#include "../common/partials.glsl"

layout(local_size_x_id = 0) in;

#ifdef BY_ADDRESS
#include "../common/address.glsl"

vec4 workspace_vector(uint index) { return load_vector(address.workspace, index); }
#else
layout(set = 0, binding = 0) uniform samplerBuffer workspace;
layout(set = 0, binding = 1) writeonly restrict buffer OutputBuffer { OUT_PIECE_T output_o[]; };
layout(set = 0, binding = 2) writeonly restrict buffer LseBuffer { uint output_lse[]; };

vec4 workspace_vector(uint index) { return texelFetch(workspace, int(push.ws_texels + index)); }
#endif

// Pieces at a time; every class is whole slabs.
const uint SLAB = V_PIECES % 16u == 0u ? 16u : 8u;

// The row at hand: its state, and pieces first … first + SLAB − 1 of Σ exp2(z − m)·v, so far.
float m, l;
vec4 o[SLAB];

uint v_pieces;

void take(uint ws_row, uint first) {
    const uint at = ws_row * (v_pieces + 1u);
    const vec4 state = workspace_vector(at + v_pieces);
    const float top = max(m, state.x);
    const float shrink = softmax_exp2(m - top), weight = softmax_exp2(state.x - top);
    m = top;
    l = l * shrink + weight * state.y;  // an empty partial has l = 0 and an accumulator of 0
    [[unroll]] for (uint n = 0u; n < SLAB; n++) {
        const uint d = line_order(n, SLAB, 4u);  // of the workspace, whose pieces are vec4
        // columns past the last are not written
        const uint e = EXACT != 0u ? first + d : min(first + d, v_pieces - 1u);
        o[d] = o[d] * shrink + weight * workspace_vector(at + e);
    }
}

// All partial results of query row i, pieces from `first` on.
void take_all(pm_combine_item item, uint i, uint first, uint ws_row) {
    m = SOFTMAX_EMPTY;
    l = 0.0;
    [[unroll]] for (uint d = 0u; d < SLAB; d++)
        o[d] = vec4(0.0);
    const Range range = combine_range();
    const uint parts = combine_parts(item, range);
    for (uint part = 0u; part < parts; part++) {
        const Partials found = find_partials(range, part, i, ws_row);
        for (uint k = 0u; k < found.splits; k++) take(found.first + k * found.apart, first);
    }
}

// Where the item's row 0 lies in O, and the entry's in LSE.
#ifdef BY_ADDRESS
uvec2 o_at, lse_at;

void find_outputs(uint o_offset, uint lse_offset) {
    o_at = advance(address.o, push.o_base + o_offset, OUT_PIECE_SHIFT);
    lse_at = advance(address.lse, push.lse_base + lse_offset, 2u);
}
void write_piece(uint at, vec4 x) { store_piece(o_at, at, x); }
void write_lse(uint i, uint bits) { OutWords(lse_at).word[int(i)] = bits; }
#else
uint o_at, lse_at;

void find_outputs(uint o_offset, uint lse_offset) {
    o_at = push.o_base + o_offset;
    lse_at = push.lse_base + lse_offset;
}
void write_piece(uint at, vec4 x) { output_o[o_at + at] = piece_from_float(x); }
void write_lse(uint i, uint bits) { output_lse[lse_at + i] = bits; }
#endif

void main() {
    const pm_strides o_strides = plan_strides(PM_HEADER_O);
    v_pieces = EXACT != 0u ? V_PIECES : plan_strides(PM_HEADER_K).with;
    const Group group = item_group();
    const Entry entry = plan_entry(group);
    const pm_combine_item item = combine_item();
    const uint ws_row = group.ws_row;
    float sink = 0.0;
    if (HAS_SINK) sink = plan_float(o_strides.with + entry.head);
    const uint first_row = combine_first_row(item);
    find_outputs(item_offset(o_strides, entry, first_row), lse_offset(entry));

    uint from = 0u;
    do {
        const bool mine = from + gl_LocalInvocationID.x < item.rows;
        // lanes past the last row repeat that one
        const uint row = min(from + gl_LocalInvocationID.x, item.rows - 1u);
        uint first = 0u;
        do {
            take_all(item, item.first_row + row, first, ws_row);
            float factor = 1.0;
            const uint head = row_head(first_row, row);
            if (HAS_SINK && LISTED_ROWS) sink = plan_float(o_strides.with + entry.head + head);
            if (HAS_SINK && item.dead == 0u) factor = softmax_sink(m, l, sink);
            factor *= softmax_inverse(l) * plan_weight_lift();
            if (mine) {
                const uint at = row_offset(first_row, row, row_steps(o_strides)) + first;
                [[unroll]] for (uint d = 0u; d < SLAB; d++)
                    if (EXACT != 0u || first + d < v_pieces) write_piece(at + d, o[d] * factor);
                if (HAS_LSE && first == 0u)
                    write_lse(lse_row(combine_row(item, row), head), softmax_lse_bits(m, l));
            }
            first += SLAB;
        } while (first < V_PIECES);
        from += WORKGROUP;
    } while (from < item.rows);
}
