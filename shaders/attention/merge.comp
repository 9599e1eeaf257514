// SPDX-License-Identifier: MIT
//
// Two attentions of the same queries over disjoint keys become one, in place: (into_o, into_lse)
// takes in (from_o, from_lse). O is normalised; LSE is a natural logarithm, −∞ for an empty row (or
// +∞, which FlashAttention-2 writes), whose O is not looked at.
//
// All lanes of a row read into_lse before one of them overwrites it, so a row stays within a
// workgroup: a workgroup has WORKGROUP / v_pieces rows (v_pieces ≤ WORKGROUP), lane t row t /
// v_pieces and piece t mod v_pieces. Dispatch any (x, y) with x · y · (WORKGROUP / v_pieces) ≥
// rows.
//
// Infinities are recognised by their bits, and never enter arithmetic. -DDTYPE_F32 / _F16 / _BF16: of both O.
#version 450
#extension GL_GOOGLE_include_directive : require

#include "../common/dtype.glsl"
#include "../common/softmax.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint WORKGROUP = 128u;

layout(push_constant) uniform PushConstants { pm_merge_push push; };

layout(std430, set = 0, binding = 0) restrict buffer IntoO { PIECE_T into_o[]; };
layout(std430, set = 0, binding = 1) restrict buffer IntoLse { uint into_lse[]; };
layout(std430, set = 0, binding = 2) readonly restrict buffer FromO { PIECE_T from_o[]; };
layout(std430, set = 0, binding = 3) readonly restrict buffer FromLse { uint from_lse[]; };

// Either infinity.
bool lse_empty(uint bits) { return (bits | 0x80000000u) == LSE_EMPTY_BITS; }

void main() {
    const uint group_rows = WORKGROUP / push.v_pieces;
    const uint group_row = gl_LocalInvocationIndex / push.v_pieces,
               piece = gl_LocalInvocationIndex % push.v_pieces;
    const uint row =
        (gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x) * group_rows + group_row;
    const bool live = group_row < group_rows && row < push.rows;

    // rows ≥ 1; other lanes read a row that is there, and write nothing
    const uint safe_row = min(row, push.rows - 1u);
    const uint address = safe_row * push.v_pieces + piece;
    const uint a_bits = into_lse[push.into_lse_base + safe_row],
               b_bits = from_lse[push.from_lse_base + safe_row];
    const vec4 a = piece_to_float(into_o[push.into_o_base + address]),
               b = piece_to_float(from_o[push.from_o_base + address]);
    memoryBarrierBuffer();
    barrier();  // every lane has read into_lse

    const bool a_empty = lse_empty(a_bits), b_empty = lse_empty(b_bits);
    const float a_lse = a_empty ? SOFTMAX_EMPTY : uintBitsToFloat(a_bits),
                b_lse = b_empty ? SOFTMAX_EMPTY : uintBitsToFloat(b_bits);
    const float top = max(a_lse, b_lse);
    const float a_weight = a_empty ? 0.0 : softmax_exp2(1.4426950408889634 * (a_lse - top));
    const float b_weight = b_empty ? 0.0 : softmax_exp2(1.4426950408889634 * (b_lse - top));
    const float sum = a_weight + b_weight;
    const float factor = softmax_inverse(sum);
    const vec4 o = (a_empty ? vec4(0.0) : a * (a_weight * factor)) +
                   (b_empty ? vec4(0.0) : b * (b_weight * factor));

    if (live) {
        into_o[push.into_o_base + address] = piece_from_float(o);
        if (piece == 0u)
            into_lse[push.into_lse_base + row] =
                sum > 0.0 ? floatBitsToUint(top + 0.6931471805599453 * log2(sum)) : LSE_EMPTY_BITS;
    }
}
