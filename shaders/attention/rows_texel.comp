// SPDX-License-Identifier: MIT
//
// Attention on CPU drivers that read badly through addresses and storage buffers (Mesa 22.3
// lavapipe): a kernel of the rows family (rows.glsl). There a texel fetch is a call that reads one
// texel for each lane, at one address or at eight, so the lanes fetch different ones: lane ℓ
// fetches key ℓ mod C of the chunk, piece u·T + ⌊ℓ / C⌋ of its row (T = workgroup size / C). A
// shuffle then hands each to all lanes.
//
// What that rests on (Mesa 22.3.6, from its machine code; keep it so):
//   - All the fetches of a row of K (or V) are made before the first is used: each is a call,
//     around which every register in use is saved.
//   - A plan's pipelines lack the loads and stores that no item of their dispatches makes:
//     compilers.glsl says why `if` saves nothing here.
//   - An invocation stops silently after 65,535 iterations of all its loops; here they are the
//     chunks and the runs.
//
// -DRESUME: items may take up partial results, and all are direct; else none does. A module of its
// own, so that neither names the other's access to the workspace: validation layers take what a
// module names for done.
//
// Bindings: 3 workspace (with RESUME 10, a texel buffer, RGBA32F), 4 plan, 5 O, 6 LSE, 11 page table,
// and the texel buffers 7 Q, 8 K, 9 V: RGBA32F for fp32, RGBA16F for fp16, RG32UI for bf16, a piece a
// texel. The workgroup's size is the subgroup's (4, 8 or 16); keys per chunk: a power of 2 from
// workgroup size / 8 up to the workgroup's size, so that T divides the head classes, multiples of 8
// pieces.
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require

#define NO_BRANCHES
#define F16_BY_INTEGERS
#define READS_PAGES
#include "../common/place.glsl"
#include "../common/dtype.glsl"
#include "../common/softmax.glsl"
#include "../common/select.glsl"
#include "../common/compilers.glsl"
#include "rows.glsl"

layout(local_size_x_id = 0) in;

const uint T = WORKGROUP / C;  // pieces of a key's row that one fetch brings

// With what is unrolled as large as it gets, the driver takes too long to compile two loops (not
// with 2 rows a lane of fp32): docs/measurements/2026-11-26-cpu.md.
const uint BODY = R * C * (HEAD_PIECES > V_PIECES ? HEAD_PIECES : V_PIECES);
const bool FULL_LOOP = (BODY < 128u ? 1u : PIECE_BYTES == 16 ? R - 1u : 0u) != 0u;

#ifdef RESUME
layout(set = 0, binding = 10) uniform samplerBuffer workspace_texels;
#else
layout(std430, set = 0, binding = 3) buffer Workspace { vec4 workspace[]; };
#endif
layout(std430, set = 0, binding = 5) buffer Output { OUT_PIECE_T out_pieces[]; };
layout(std430, set = 0, binding = 6) writeonly buffer Lse { uint lse[]; };

// FETCHED is what travels between lanes: a bf16 piece is two words until it is used, which halves
// the shuffles.
#if defined(DTYPE_BF16)
#define TEXELS usamplerBuffer
#define FETCHED uvec2
FETCHED fetched(uvec4 texel) { return texel.xy; }
vec4 piece(FETCHED x) { return piece_to_float(x); }
FETCHED finite(FETCHED x) {
    // exponents: all ones in infinities and NaNs
    const uvec2 low = x & 0x7f80u, high = x & 0x7f800000u;
    return mix(x, uvec2(0u), equal(low, uvec2(0x7f80u))) & 0xffffu |
           mix(x, uvec2(0u), equal(high, uvec2(0x7f800000u))) & 0xffff0000u;
}
#else
#define TEXELS samplerBuffer
#define FETCHED vec4
FETCHED fetched(vec4 texel) { return texel; }
vec4 piece(FETCHED x) { return x; }
FETCHED finite(FETCHED x) { return softmax_finite(x); }
#endif
layout(set = 0, binding = 7) uniform TEXELS q_texels;
layout(set = 0, binding = 8) uniform TEXELS k_texels;
layout(set = 0, binding = 9) uniform TEXELS v_texels;

// -------------------------------------------------------------------------------------------------
// Keys

uint fetch_key, fetch_piece;  // ℓ mod C, ⌊ℓ / C⌋
uint k_head, v_head;          // where the entry's key 0 lies
uint k_stride, v_stride;
Pages pages;
uint key;  // position of the key that this lane fetches, of the chunk at hand

int key_at(uint i) { return int(subgroupShuffle(key, opaque_zero() + i)); }

uint row_bits(Run run, uint c, uint r) {
    return plan_word(run.kind == PM_RUN_BITS ? bits_at(run, c) + row[r] : 0u);
}

// Piece d of key i, of what the lanes have fetched.
vec4 handed(FETCHED fetched_by_lane, uint d, uint i) {
    return piece(subgroupShuffle(fetched_by_lane, opaque_zero() + (d % T) * C + i));
}

void chunk(const bool partial, Run run, uint c) {
    uint e = c + fetch_key;
    if (partial) e = min(e, run.count - 1u);  // keys past the run's last do not exist
    key = key_position(run, e);
    const KeyPlace place = key_place(key, pages);
    const uint k_at = k_head + key_offset(place, pages.k, k_stride),
               v_at = v_head + key_offset(place, pages.v, v_stride);

    FETCHED k_fetched[HEAD_PIECES / T];
    [[unroll]] for (uint u = 0u; u < HEAD_PIECES / T; u++) {
        uint d = u * T + fetch_piece;
        if (EXACT == 0u) d = min(d, head_last);  // q is 0 past the last piece
        k_fetched[u] = fetched(texelFetch(k_texels, int(k_at + d)));
    }
    [[unroll]] for (uint x = 0u; x < R * C; x++)
        s[x] = 0.0;
    [[unroll]] for (uint d = 0u; d < HEAD_PIECES; d++) {
        [[unroll]] for (uint i = 0u; i < C; i++) {
            const vec4 k = handed(k_fetched[d / T], d, i);
            [[unroll]] for (uint r = 0u; r < R; r++)
                add_dot(r, i, q[r * HEAD_PIECES + d], k);
        }
    }

    weigh(partial, run, c);

    FETCHED v_fetched[V_PIECES / T];
    [[unroll]] for (uint u = 0u; u < V_PIECES / T; u++) {
        uint d = u * T + fetch_piece;
        if (EXACT == 0u) d = min(d, v_last);  // columns past the last are not written
        v_fetched[u] = fetched(texelFetch(v_texels, int(v_at + d)));
    }
    if (partial) {  // P is 0 where a pair is not selected, and 0 · NaN must be too
        [[unroll]] for (uint u = 0u; u < V_PIECES / T; u++)
            v_fetched[u] = finite(v_fetched[u]);
    }
    [[unroll]] for (uint d = 0u; d < V_PIECES; d++) {
        vec4 sum[R];
        [[unroll]] for (uint r = 0u; r < R; r++)
            sum[r] = o[r * V_PIECES + d] * shrink[r];
        [[unroll]] for (uint i = 0u; i < C; i++) {
            const vec4 v = handed(v_fetched[d / T], d, i);
            [[unroll]] for (uint r = 0u; r < R; r++)
                sum[r] += s[r * C + i] * v;
        }
        [[unroll]] for (uint r = 0u; r < R; r++)
            o[r * V_PIECES + d] = sum[r];
    }
}

// -------------------------------------------------------------------------------------------------
// Rows

void load_q(Item item, uint item_q, RowSteps q_steps, uint r) {
    const float factor = softmax_factor(scale, HAS_SOFTCAP);
    const uint q_at = item_q + row_offset(item.first_row, row[r], q_steps);
    [[unroll]] for (uint n = 0u; n < HEAD_PIECES; n++) {
        const uint d = line_order(n, HEAD_PIECES, LINE_PIECES);
        const uint e = EXACT != 0u ? d : min(d, head_last);
        const vec4 x = piece(fetched(texelFetch(q_texels, int(q_at + e)))) * factor;
        q[r * HEAD_PIECES + d] = EXACT != 0u || d <= head_last ? x : vec4(0.0);
    }
}

#ifdef RESUME
// Takes up what is there of the lane's row r: the workspace row that the item names, of those from
// `first` on.
void resume(Item item, uint r, uint first) {
    const uint slot = item.resumes ? plan_word(item.slot + row[r]) : PM_SLOT_NONE;
    const bool none = slot == PM_SLOT_NONE;
    const int at = int(push.ws_texels + (first + (none ? 0u : slot)) * (v_last + 2u));
    [[unroll]] for (uint n = 0u; n < V_PIECES; n++) {
        const uint d = line_order(n, V_PIECES, 4u);
        const vec4 x = texelFetch(workspace_texels, at + int(EXACT != 0u ? d : min(d, v_last)));
        o[r * V_PIECES + d] = none ? vec4(0.0) : x;
    }
    const vec4 state = texelFetch(workspace_texels, at + int(v_last) + 1);
    m[r] = none ? SOFTMAX_EMPTY : state.x;
    l[r] = none ? 0.0 : state.y;
}
#endif

// Row r of the lane, to O from piece `at` on and to LSE. Stores go out element by element, and each
// line that is not in the cache would stop them; loads wait for all lines at once. What they read
// is used nowhere, here and below.
void write_finished(Item item, uint sink_at, uint r, uint at, uint lse_at) {
    float factor = finish_row(item, sink_at, r), old = 0.0;
    [[unroll]] for (uint d = 0u; d < V_PIECES; d += OUT_LINE_PIECES)
        old += float(out_pieces[at + min(d, v_last)].x);
    if (opaque_zero() != 0u) factor = old;
    [[unroll]] for (uint d = 0u; d < V_PIECES; d++)
        if (EXACT != 0u || d <= v_last)
            out_pieces[at + d] = piece_from_float(o[r * V_PIECES + d] * factor);
    if (HAS_LSE) lse[lse_at] = softmax_lse_bits(m[r], l[r]);
}

#ifndef RESUME
// The same to the workspace, from vector `at` on.
void write_partial(uint r, uint at) {
    float factor = 1.0, old = 0.0;
    [[unroll]] for (uint d = 0u; d < V_PIECES; d += 4u)
        old += workspace[at + min(d, v_last)].x;
    if (opaque_zero() != 0u) factor = old;
    [[unroll]] for (uint d = 0u; d < V_PIECES; d++)
        if (EXACT != 0u || d <= v_last) workspace[at + d] = o[r * V_PIECES + d] * factor;
    workspace[at + v_last + 1u] = vec4(m[r], l[r], 0.0, 0.0);
}
#endif

void write_rows(Item item, Entry entry, pm_strides o_strides, uint ws_row, uint lane) {
    const uint sink_at = o_strides.with + entry.head, lse_at = push.lse_base + lse_offset(entry);
    const uint item_o = push.o_base + item_offset(o_strides, entry, item.first_row);
    [[unroll]] for (uint r = 0u; r < R; r++) {
        const uint i = lse_row(item_row(item.first_row, row[r]), row_head(item.first_row, row[r]));
        const uint out_at = item_o + row_offset(item.first_row, row[r], row_steps(o_strides));
        const bool mine = lane + r * WORKGROUP < item.rows;
#ifdef RESUME
        if (mine) write_finished(item, sink_at, r, out_at, lse_at + i);
#else
        const uint partial_at = (ws_row + item.slot + row[r]) * (v_last + 2u);
        bool finished = item.direct;
        if (!DOES_PARTIAL) finished = true;  // known to the driver, which has no code for the other
        if (!DOES_DIRECT) finished = false;
        if (mine) {
            if (finished) write_finished(item, sink_at, r, out_at, lse_at + i);
            else write_partial(r, partial_at);
        }
#endif
    }
}

void main() {
    const uint lane = gl_SubgroupInvocationID;
    const Group group = item_group();
    fetch_key = lane % C;
    fetch_piece = lane / C;
    const Item item = plan_item(plan_texel(item_at()));
    const Entry entry = plan_entry(group);
    const pm_strides q_strides = plan_strides(PM_HEADER_Q), k_strides = plan_strides(PM_HEADER_K),
                     v_strides = plan_strides(PM_HEADER_V), o_strides = plan_strides(PM_HEADER_O);
    head_last = q_strides.with - 1u;
    v_last = k_strides.with - 1u;
    scale = plan_scale();
    weight_unit = plan_weight_unit();
    slope = 0.0;
    if (HAS_ALIBI) slope = plan_float(v_strides.with + entry.head);
    k_head = push.k_base + keys_offset(k_strides, entry);
    v_head = push.v_base + keys_offset(v_strides, entry);
    k_stride = k_strides.row;
    v_stride = v_strides.row;
    if (PAGED) pages = entry_pages(group);

    const uint item_q = push.q_base + item_offset(q_strides, entry, item.first_row);
    const uint ws_row = group.ws_row;
    begin_rows(item, entry, v_strides.with + entry.head, lane);
    [[unroll]] for (uint r = 0u; r < R; r++) {
        load_q(item, item_q, row_steps(q_strides), r);
#ifdef RESUME
        resume(item, r, ws_row);
#endif
    }
    take_runs(item, FULL_LOOP);
    write_rows(item, entry, o_strides, ws_row, lane);
}
