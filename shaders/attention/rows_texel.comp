// SPDX-License-Identifier: MIT
//
// Attention on CPU drivers that read badly through addresses and storage buffers (Mesa 22.3
// lavapipe): the rows family, way E.
//
// A workgroup is one subgroup, and a lane owns ROWS_PER_LANE query rows: row lane + r · workgroup
// size of the item; q (times the scale) and the accumulator o live in private arrays. All lanes
// need the same elements of K and V. There, a texel fetch is a call that reads one texel for each
// lane, at one address or at eight, so the lanes fetch different ones: lane ℓ fetches key ℓ mod C
// of the chunk, piece u·T + ⌊ℓ / C⌋ of its row (T = workgroup size / C). A shuffle then hands each
// to all lanes: one permutation, if its index is not known to the compiler (push.zero); by a
// literal it becomes slower code.
//
// What that rests on (Mesa 22.3.6, from its machine code; keep it so):
//   - All the fetches of a row of K (or V) are made before the first is used: each is a call,
//     around which every register in use is saved.
//   - Loops test at their end: one that tests at its start runs its body once more, under an empty
//     mask. So does a branch: `if` saves nothing here. So a plan's pipelines lack the loads and
//     stores that no item of their dispatches makes.
//   - An invocation stops silently after 65,535 iterations of all its loops; here they are the
//     chunks and the runs.
//   - Loops over pieces and keys are unrolled, so that every array index is a constant.
//
// -DRESUME: items may take up partial results, and all are direct; else none does. A module of its
// own, so that neither names the other's access to the workspace: validation layers take what a
// module names for done.
//
// Bindings: 3 workspace (with RESUME 10, a texel buffer, RGBA32F), 4 plan, 5 O, 6 LSE, and the
// texel buffers 7 Q, 8 K, 9 V: RGBA32F for fp32, RGBA16F for fp16, RG32UI for bf16, a piece (4
// elements) a texel. Constants as in plan_memory.h, and 7: rows per lane; tile rows = workgroup
// size · rows per lane; the workgroup's size is the subgroup's (4, 8 or 16); keys per chunk: a
// power of 2 from workgroup size / 8 up to the workgroup's size, so that T divides the head
// classes, which are multiples of 8 pieces.
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require

#include "../common/plan.glsl"
#define F16_BY_INTEGERS
#include "../common/dtype.glsl"
#include "../common/softmax.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 7) const uint ROWS_PER_LANE = 2u;

const uint C = CHUNK_KEYS;
const uint R = ROWS_PER_LANE;
const uint T = WORKGROUP / C;  // pieces of a key's row that one fetch brings

// Whether full runs have a loop of their own. With what is unrolled as large as it gets, two loops
// may take the driver over 2 s to compile (2 rows a lane of fp32 do not); one for all runs takes
// 0.6 of that, and some percent more time where all is dense.
const uint BODY = R * C * (HEAD_PIECES > V_PIECES ? HEAD_PIECES : V_PIECES);
// not with ||: glslang emits a branch for it
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

// The lane's rows. Indices: [r · pieces + d], [r · C + key].
vec4 q[R * HEAD_PIECES];
vec4 o[R * V_PIECES];
float m[R], l[R];
uint row[R];  // of the item; rows past its last repeat that one
int position[R];

uint fetch_key, fetch_piece;  // ℓ mod C, ⌊ℓ / C⌋
uint k_head, v_head, k_stride, v_stride, head_last, v_last;
vec3 scale;
float slope;

// Takes keys c … c + C − 1 of the run. Partial: row r takes those with c − lo[r] < span[r]
// (unsigned) or whose bit is set; the others' scores are selected away, whatever K holds there, and
// their P is 0; V's infinities and NaNs are read as 0.
void chunk(const bool partial, Run run, uint c, int lo[R], uint span[R]) {
    uint e = c + fetch_key;
    if (partial) e = min(e, run.count - 1u);  // keys past the run's last do not exist
    const uint listed = plan_word(run.list ? run.first + e : 0u);
    const uint key = run.list ? listed : run.first + e * push.step;
    const uint k_at = k_head + key * k_stride, v_at = v_head + key * v_stride;

    FETCHED k_fetched[HEAD_PIECES / T];
    [[unroll]] for (uint u = 0u; u < HEAD_PIECES / T; u++) {
        uint d = u * T + fetch_piece;
        if (EXACT == 0u) d = min(d, head_last);  // q is 0 past the last piece
        k_fetched[u] = fetched(texelFetch(k_texels, int(k_at + d)));
    }
    float s[R * C];
    [[unroll]] for (uint x = 0u; x < R * C; x++)
        s[x] = 0.0;
    [[unroll]] for (uint d = 0u; d < HEAD_PIECES; d++) {
        [[unroll]] for (uint i = 0u; i < C; i++) {
            const vec4 k = piece(subgroupShuffle(k_fetched[d / T], push.zero + (d % T) * C + i));
            [[unroll]] for (uint r = 0u; r < R; r++) {
                const vec4 x = q[r * HEAD_PIECES + d];
                float sum = s[r * C + i];
                sum += x.x * k.x;
                sum += x.y * k.y;
                sum += x.z * k.z;
                sum += x.w * k.w;
                s[r * C + i] = sum;
            }
        }
    }

    bool take[R * C];
    float shrink[R];
    [[unroll]] for (uint r = 0u; r < R; r++) {
        uint bits = 0u;
        if (partial)
            bits = plan_word(run.kind == PM_RUN_BITS ? run.bits + (c >> 5) * TILE_ROWS + row[r]
                                                     : 0u) >>
                   (c & 31u);
        float top = m[r];
        [[unroll]] for (uint i = 0u; i < C; i++) {
            float z = s[r * C + i];
            if (HAS_SOFTCAP) z = scale.z * softmax_tanh(z);
            if (HAS_ALIBI)
                z -= slope * float(abs(position[r] - int(subgroupShuffle(key, push.zero + i))));
            z = softmax_limit(z);
            if (partial) {
                const bool banded = uint(int(c + i) - lo[r]) < span[r];
                const bool set = ((bits >> i) & 1u) != 0u;
                const bool taken = (run.kind == PM_RUN_BITS ? set : banded) && c + i < run.count;
                take[r * C + i] = taken;
                z = taken ? z : SOFTMAX_EMPTY;
            }
            s[r * C + i] = z;
            top = max(top, z);
        }
        shrink[r] = softmax_exp2(m[r] - top);
        m[r] = top;
        float sum = l[r] * shrink[r];
        [[unroll]] for (uint i = 0u; i < C; i++) {
            float p = softmax_exp2(s[r * C + i] - top);
            // a row without any key yet has top = z = SOFTMAX_EMPTY
            if (partial) p = take[r * C + i] ? p : 0.0;
            s[r * C + i] = p;
            sum += p;
        }
        l[r] = sum;
    }

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
            const vec4 v = piece(subgroupShuffle(v_fetched[d / T], push.zero + (d % T) * C + i));
            [[unroll]] for (uint r = 0u; r < R; r++)
                sum[r] += s[r * C + i] * v;
        }
        [[unroll]] for (uint r = 0u; r < R; r++)
            o[r * V_PIECES + d] = sum[r];
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

// Row r of the lane, to O from piece `at` on and to LSE.
void write_finished(Item item, uint sink_at, uint r, uint at, uint lse_at) {
    float inverse = 1.0;
    if (HAS_SINK && !item.dead) inverse = softmax_sink(m[r], l[r], plan_float(sink_at));
    inverse *= softmax_inverse(l[r]);
    // Stores go out element by element, and each line that is not in the cache would stop them;
    // loads wait for all lines at once. What they read is used nowhere, here and below.
    float old = 0.0;
    [[unroll]] for (uint d = 0u; d < V_PIECES; d += OUT_LINE_PIECES)
        old += float(out_pieces[at + min(d, v_last)].x);
    if (push.zero != 0u) inverse = old;
    [[unroll]] for (uint d = 0u; d < V_PIECES; d++)
        if (EXACT != 0u || d <= v_last)
            out_pieces[at + d] = piece_from_float(o[r * V_PIECES + d] * inverse);
    if (HAS_LSE) lse[lse_at] = softmax_lse_bits(m[r], l[r]);
}

#ifndef RESUME
// The same to the workspace, from vector `at` on.
void write_partial(uint r, uint at) {
    float old = 0.0, factor = 1.0;
    [[unroll]] for (uint d = 0u; d < V_PIECES; d += 4u)
        old += workspace[at + min(d, v_last)].x;
    if (push.zero != 0u) factor = old;
    [[unroll]] for (uint d = 0u; d < V_PIECES; d++)
        if (EXACT != 0u || d <= v_last) workspace[at + d] = o[r * V_PIECES + d] * factor;
    workspace[at + v_last + 1u] = vec4(m[r], l[r], 0.0, 0.0);
}
#endif

void main() {
    const uint lane = gl_SubgroupInvocationID;
    fetch_key = lane % C;
    fetch_piece = lane / C;
    const Item item = plan_item(gl_WorkGroupID.x);
    const uint entry = push.bh_first + gl_WorkGroupID.y;
    const uvec4 shape = plan_texel(PM_HEADER_SHAPE), q_header = plan_texel(PM_HEADER_Q),
                k_header = plan_texel(PM_HEADER_K), v_header = plan_texel(PM_HEADER_V),
                o_header = plan_texel(PM_HEADER_O);
    const BatchHead bh = plan_batch_head(shape, push.bh_list, entry);
    k_head = push.k_base + bh.batch * k_header.x + bh.kv_head * k_header.y;
    v_head = push.v_base + bh.batch * v_header.x + bh.kv_head * v_header.y;
    k_stride = k_header.z;
    v_stride = v_header.z;
    head_last = q_header.w - 1u;
    v_last = k_header.w - 1u;
    scale = uintBitsToFloat(plan_texel(PM_HEADER_SCALE).xyz);
    slope = 0.0;
    if (HAS_ALIBI) slope = plan_float(v_header.w + bh.head);

    const uint out_head = push.o_base + bh.batch * o_header.x + bh.head * o_header.y,
               lse_head = push.lse_base + bh.index * shape.z;
    const uint sink_at = o_header.w + bh.head, ws_row = push.ws_row_base + entry * push.ws_rows;

    const float factor = HAS_SOFTCAP ? scale.y : scale.x;
    [[unroll]] for (uint r = 0u; r < R; r++) {
        row[r] = min(lane + r * WORKGROUP, item.rows - 1u);
        const uint i = item.first_row + row[r] * push.step;
        position[r] = int(i) + push.q_offset;
        const uint q_at =
            push.q_base + bh.batch * q_header.x + bh.head * q_header.y + i * q_header.z;
        [[unroll]] for (uint n = 0u; n < HEAD_PIECES; n++) {
            const uint d = line_order(n, HEAD_PIECES, LINE_PIECES);
            const uint e = EXACT != 0u ? d : min(d, head_last);
            const vec4 x = piece(fetched(texelFetch(q_texels, int(q_at + e)))) * factor;
            q[r * HEAD_PIECES + d] = EXACT != 0u || d <= head_last ? x : vec4(0.0);
        }
        [[unroll]] for (uint d = 0u; d < V_PIECES; d++)
            o[r * V_PIECES + d] = vec4(0.0);
        m[r] = SOFTMAX_EMPTY;
        l[r] = 0.0;
#ifdef RESUME
        resume(item, r, ws_row);
#endif
    }

    // Full runs first, as long as they lead (FULL_LOOP); all others, and full ones after one of
    // these, in a second loop. An item pays for one chunk of either loop even where it has none.
    int lo[R];
    uint span[R];
    uint n = 0u;
    Run run = plan_run(item.run_count > 0u ? item.runs : 0u);
    if (FULL_LOOP && item.run_count > 0u && run.kind == PM_RUN_FULL) {
        do {
            uint c = 0u;
            do {
                chunk(false, run, c, lo, span);
                c += C;
            } while (c < run.count);
            n++;
            run = plan_run(n < item.run_count ? item.runs + n : 0u);
        } while (n < item.run_count && run.kind == PM_RUN_FULL);
    }
    if (n < item.run_count) {
        do {
            [[unroll]] for (uint r = 0u; r < R; r++) {
                lo[r] = 0;
                span[r] = 0x7fffffffu;
                if (run.kind == PM_RUN_BAND) {
                    lo[r] = max(int(row[r]) + run.lo, 0);
                    const int hi = min(int(row[r]) + run.hi, int(run.count) - 1);
                    const bool any =
                        row[r] >= run.row_first && row[r] <= run.row_last && hi >= lo[r];
                    span[r] = any ? uint(hi - lo[r]) + 1u : 0u;
                }
            }
            uint c = 0u;
            do {
                chunk(true, run, c, lo, span);
                c += C;
            } while (c < run.count);
            n++;
            run = plan_run(n < item.run_count ? item.runs + n : 0u);
        } while (n < item.run_count);
    }

    [[unroll]] for (uint r = 0u; r < R; r++) {
        const uint i = item.first_row + row[r] * push.step, out_at = out_head + i * o_header.z;
        const bool mine = lane + r * WORKGROUP < item.rows;
#ifdef RESUME
        if (mine) write_finished(item, sink_at, r, out_at, lse_head + i);
#else
        const uint partial_at = (ws_row + item.slot + row[r]) * (v_last + 2u);
        bool finished = item.direct;
        // known to the driver, which then has no code for the other
        if (!DOES_PARTIAL) finished = true;
        if (!DOES_DIRECT) finished = false;
        if (mine) {
            if (finished) write_finished(item, sink_at, r, out_at, lse_head + i);
            else write_partial(r, partial_at);
        }
#endif
    }
}
