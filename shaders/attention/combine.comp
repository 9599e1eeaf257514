// SPDX-License-Identifier: MIT
//
// Partial results → O and LSE, for rows that were split over several work items, lie in several
// parts, or could not be written directly. At the floor of Vulkan 1.1, like base.comp;
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
// -DDTYPE_F32 / _F16 / _BF16: of O. Dispatch: (combine items, entries).
#version 450
#extension GL_GOOGLE_include_directive : require

#define COMBINE
#include "../common/place.glsl"
#include "../common/dtype.glsl"
#include "../common/softmax.glsl"
#include "../common/partials.glsl"

layout(local_size_x_id = 0) in;

layout(std430, set = 0, binding = 0) readonly restrict buffer Workspace { vec4 workspace[]; };
layout(std430, set = 0, binding = 1) writeonly restrict buffer Output { OUT_PIECE_T output_o[]; };
layout(std430, set = 0, binding = 2) writeonly restrict buffer Lse { uint output_lse[]; };

shared uvec3 partials[PM_COMBINE_ROWS * PM_PARTS_MOST];  // [row][part]: Partials
shared float row_max[PM_COMBINE_ROWS], row_factor[PM_COMBINE_ROWS];

uint v_pieces;
uint parts;

Partials partials_of(uint row, uint part) {
    const uvec3 found = partials[row * PM_PARTS_MOST + part];
    return Partials(found.x, found.y, found.z);
}

// Split k of what was found: the first vec4 of its row in the workspace.
uint split_at(Partials found, uint k) { return (found.first + k * found.apart) * (v_pieces + 1u); }

void find_all(pm_combine_item item, Range range, uint ws_row) {
    for (uint t = gl_LocalInvocationIndex; t < item.rows * parts; t += WORKGROUP) {
        const uint row = t / parts, part = t - row * parts;
        const Partials found = find_partials(range, part, item.first_row + row, ws_row);
        partials[row * PM_PARTS_MOST + part] = uvec3(found.first, found.splits, found.apart);
    }
}

float greatest_max(uint row) {
    float m = SOFTMAX_EMPTY;
    for (uint part = 0u; part < parts; ++part) {
        const Partials found = partials_of(row, part);
        for (uint k = 0u; k < found.splits; ++k)
            m = max(m, workspace[split_at(found, k) + v_pieces].x);
    }
    return m;
}

float sum_below(uint row, float m) {
    float l = 0.0;
    for (uint part = 0u; part < parts; ++part) {
        const Partials found = partials_of(row, part);
        for (uint k = 0u; k < found.splits; ++k) {
            const vec4 state = workspace[split_at(found, k) + v_pieces];
            l = fma(softmax_exp2(state.x - m), state.y, l);  // an empty one has l = 0 and o = 0
        }
    }
    return l;
}

// Each row's maximum, LSE, and what its O is multiplied by.
void finish_rows(pm_combine_item item, uint sink_at, uint lse_at) {
    float sink = HAS_SINK ? plan_float(sink_at) : 0.0;
    for (uint row = gl_LocalInvocationIndex; row < item.rows; row += WORKGROUP) {
        float m = greatest_max(row), l = sum_below(row, m);
        row_max[row] = m;  // the weights' reference: before the sink, which only shrinks
        float factor = 1.0;
        const uint head = row_head(combine_first_row(item), row);
        if (HAS_SINK && LISTED_ROWS) sink = plan_float(sink_at + head);
        if (HAS_SINK && item.dead == 0u) factor = softmax_sink(m, l, sink);
        row_factor[row] = factor * softmax_inverse(l) * plan_weight_lift();
        if (HAS_LSE)
            output_lse[lse_at + lse_row(combine_row(item, row), head)] = softmax_lse_bits(m, l);
    }
}

vec4 combined_piece(uint row, uint piece) {
    const float m = row_max[row];
    vec4 o = vec4(0.0);
    for (uint part = 0u; part < parts; ++part) {
        const Partials found = partials_of(row, part);
        for (uint k = 0u; k < found.splits; ++k) {
            const uint at = split_at(found, k);
            o = fma(vec4(softmax_exp2(workspace[at + v_pieces].x - m)), workspace[at + piece], o);
        }
    }
    return o * row_factor[row];
}

void main() {
    const pm_strides o_strides = plan_strides(PM_HEADER_O);
    const Group group = item_group();
    const Entry entry = plan_entry(group);
    const Range range = combine_range();
    const pm_combine_item item = combine_item();
    const uint first_row = combine_first_row(item);
    const uint o_at = push.o_base + item_offset(o_strides, entry, first_row),
               lse_at = push.lse_base + lse_offset(entry), sink_at = o_strides.with + entry.head;
    v_pieces = EXACT != 0u ? V_PIECES : plan_strides(PM_HEADER_K).with;
    parts = combine_parts(item, range);

    find_all(item, range, group.ws_row);
    barrier();  // partials
    finish_rows(item, sink_at, lse_at);
    barrier();  // row_max, row_factor
    for (uint t = gl_LocalInvocationIndex; t < item.rows * v_pieces; t += WORKGROUP) {
        const uint row = t / v_pieces, piece = t - row * v_pieces;
        output_o[o_at + row_offset(first_row, row, row_steps(o_strides)) + piece] =
            piece_from_float(combined_piece(row, piece));
    }
}
