// SPDX-License-Identifier: MIT
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require

#include "../common/plan.glsl"
#include "../common/dtype.glsl"
#include "../common/softmax.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 7) const uint ROWS_PER_LANE = 2u;

layout(set = 0, binding = 3) buffer Workspace { vec4 workspace[]; };
layout(set = 0, binding = 5) buffer Output { OUT_PIECE_T out_pieces[]; };
layout(set = 0, binding = 6) buffer Lse { uint lse[]; };
#if defined(DTYPE_BF16)
#define TEXEL uvec4
layout(set = 0, binding = 7) uniform usamplerBuffer q_texels;
layout(set = 0, binding = 8) uniform usamplerBuffer k_texels;
layout(set = 0, binding = 9) uniform usamplerBuffer v_texels;
#define SHUFFLED uvec2
uvec2 narrow(uvec4 x) { return x.xy; }
vec4 widen(uvec2 x) { return piece_to_float(x); }
#else
layout(set = 0, binding = 7) uniform samplerBuffer q_texels;
layout(set = 0, binding = 8) uniform samplerBuffer k_texels;
layout(set = 0, binding = 9) uniform samplerBuffer v_texels;
#define SHUFFLED vec4
vec4 narrow(vec4 x) { return x; }
vec4 widen(vec4 x) { return x; }
#endif

const uint C = CHUNK_KEYS;
const uint R = ROWS_PER_LANE;
const uint T = WORKGROUP / C;   // pieces of one key that a fetch brings

vec4 q[R * HEAD_PIECES];
vec4 o[R * V_PIECES];
float m[R], l[R];
int position[R];
uint row[R];

uint lane, fetch_key, fetch_piece;
uint k_head, v_head, k_stride, v_stride, head_last, v_last;
vec3 scale;
float slope;

void chunk(const bool partial, Run run, uint c, int lo[R], uint span[R]) {
    uint e = c + fetch_key;
    if (partial) e = min(e, run.count - 1);
    uint key = run.first + e * push.step;
    uint listed = plan_word(run.list ? run.first + e : 0);
    key = run.list ? listed : key;
    uint k_at = k_head + key * k_stride + fetch_piece, v_at = v_head + key * v_stride + fetch_piece;
    uint k_last = k_head + key * k_stride + head_last, v_end = v_head + key * v_stride + v_last;

    float s[R * C];
    [[unroll]] for (uint x = 0; x < R * C; x++) s[x] = 0;
    SHUFFLED kf[HEAD_PIECES / T];
    [[unroll]] for (uint u = 0; u < HEAD_PIECES / T; u++) {
        uint at = k_at + u * T;
        if (EXACT == 0u) at = u * T + fetch_piece > head_last ? k_last : at;
        kf[u] = narrow(texelFetch(k_texels, int(at)));
    }
    [[unroll]] for (uint d = 0; d < HEAD_PIECES; d++) {
        [[unroll]] for (uint i = 0; i < C; i++) {
            vec4 k = widen(subgroupShuffle(kf[d / T], push.zero + (d % T) * C + i));
            [[unroll]] for (uint r = 0; r < R; r++) {
                s[r * C + i] += q[r * HEAD_PIECES + d].x * k.x;
                s[r * C + i] += q[r * HEAD_PIECES + d].y * k.y;
                s[r * C + i] += q[r * HEAD_PIECES + d].z * k.z;
                s[r * C + i] += q[r * HEAD_PIECES + d].w * k.w;
            }
        }
    }
    bool take[R * C];
    float alpha[R];
    [[unroll]] for (uint r = 0; r < R; r++) {
        uint bits = 0;
        if (partial) bits = plan_word(run.kind == PM_RUN_BITS ? run.bits + (c >> 5) * TILE_ROWS + row[r] : 0) >> (c & 31);
        float top = m[r];
        [[unroll]] for (uint i = 0; i < C; i++) {
            float z = s[r * C + i];
            if (HAS_SOFTCAP) z = scale.z * softmax_tanh(z);
            if (HAS_ALIBI) z -= slope * float(abs(position[r] - int(subgroupShuffle(key, push.zero + i))));
            if (partial) {
                bool t = run.kind == PM_RUN_BITS ? ((bits >> i) & 1) != 0 : uint(int(c + i) - lo[r]) < span[r];
                t = t && c + i < run.count;
                take[r * C + i] = t;
                z = t ? z : PM_EMPTY;
            }
            s[r * C + i] = z;
            top = max(top, z);
        }
        alpha[r] = exp2(m[r] - top);
        l[r] *= alpha[r];
        m[r] = top;
        [[unroll]] for (uint i = 0; i < C; i++) {
            float p = exp2(s[r * C + i] - top);
            if (partial) p = take[r * C + i] ? p : 0;
            s[r * C + i] = p;
            l[r] += p;
        }
    }
    SHUFFLED vf[V_PIECES / T];
    [[unroll]] for (uint u = 0; u < V_PIECES / T; u++) {
        uint at = v_at + u * T;
        if (EXACT == 0u) at = u * T + fetch_piece > v_last ? v_end : at;
        vf[u] = narrow(texelFetch(v_texels, int(at)));
    }
    [[unroll]] for (uint d = 0; d < V_PIECES; d++) {
        vec4 x[R];
        [[unroll]] for (uint r = 0; r < R; r++) x[r] = o[r * V_PIECES + d] * alpha[r];
        [[unroll]] for (uint i = 0; i < C; i++) {
            vec4 v = widen(subgroupShuffle(vf[d / T], push.zero + (d % T) * C + i));
            [[unroll]] for (uint r = 0; r < R; r++) {
                vec4 y = s[r * C + i] * v;
                if (partial) y = mix(vec4(0), y, bvec4(take[r * C + i]));
                x[r] += y;
            }
        }
        [[unroll]] for (uint r = 0; r < R; r++) o[r * V_PIECES + d] = x[r];
    }
}

void main() {
    lane = gl_SubgroupInvocationID;
    fetch_key = lane % C;
    fetch_piece = lane / C;
    const uvec4 shape = plan_texel(PM_HEADER_SHAPE), qs = plan_texel(PM_HEADER_Q), ks = plan_texel(PM_HEADER_K), vs = plan_texel(PM_HEADER_V),
                os = plan_texel(PM_HEADER_O);
    scale = uintBitsToFloat(plan_texel(PM_HEADER_SCALE).xyz);
    const Item item = plan_item(gl_WorkGroupID.x);
    const uint entry = push.bh_first + gl_WorkGroupID.y;
    const BatchHead bh = plan_batch_head(shape, push.bh_list, entry);
    k_head = push.k_base + bh.batch * ks.x + bh.kv_head * ks.y;
    v_head = push.v_base + bh.batch * vs.x + bh.kv_head * vs.y;
    k_stride = ks.z;
    v_stride = vs.z;
    head_last = qs.w - 1;
    v_last = ks.w - 1;
    slope = 0;
    if (HAS_ALIBI) slope = plan_float(vs.w + bh.head);
    float factor = HAS_SOFTCAP ? scale.y : scale.x;
    [[unroll]] for (uint r = 0; r < R; r++) {
        row[r] = min(lane + r * WORKGROUP, item.rows - 1);
        uint i = item.first_row + row[r] * push.step;
        position[r] = int(i) + push.q_offset;
        uint q_at = push.q_base + bh.batch * qs.x + bh.head * qs.y + i * qs.z;
        [[unroll]] for (uint d = 0; d < HEAD_PIECES; d++) {
            vec4 x = widen(narrow(texelFetch(q_texels, int(q_at + (EXACT != 0u ? d : min(d, head_last)))))) * factor;
            q[r * HEAD_PIECES + d] = EXACT != 0u || d <= head_last ? x : vec4(0);
        }
        [[unroll]] for (uint d = 0; d < V_PIECES; d++) o[r * V_PIECES + d] = vec4(0);
        m[r] = PM_EMPTY;
        l[r] = 0;
    }

    int lo[R];
    uint span[R];
    uint x = 0;
    Run run = plan_run(item.run_count > 0 ? item.runs : 0);
    if (item.run_count > 0 && run.kind == PM_RUN_FULL) {
        do {
            uint c = 0;
            do {
                chunk(false, run, c, lo, span);
                c += C;
            } while (c < run.count);
            x++;
            run = plan_run(x < item.run_count ? item.runs + x : 0);
        } while (x < item.run_count && run.kind == PM_RUN_FULL);
    }
    if (x < item.run_count) {
        do {
            [[unroll]] for (uint r = 0; r < R; r++) {
                lo[r] = 0;
                span[r] = 0x7fffffffu;
                if (run.kind == PM_RUN_BAND) {
                    lo[r] = max(int(row[r]) + run.lo, 0);
                    int hi = min(int(row[r]) + run.hi, int(run.count) - 1);
                    span[r] = row[r] >= run.row_first && row[r] <= run.row_last && hi >= lo[r] ? uint(hi - lo[r]) + 1 : 0;
                }
            }
            uint c = 0;
            do {
                chunk(true, run, c, lo, span);
                c += C;
            } while (c < run.count);
            x++;
            run = plan_run(x < item.run_count ? item.runs + x : 0);
        } while (x < item.run_count);
    }

    [[unroll]] for (uint r = 0; r < R; r++) {
        if (lane + r * WORKGROUP < item.rows) {
            uint i = item.first_row + row[r] * push.step;
            if (item.direct) {
                float shrink = 1;
                if (HAS_SINK && !item.dead) shrink = softmax_sink(m[r], l[r], plan_float(os.w + bh.head));
                float inverse = shrink * softmax_inverse(l[r]);
                uint place = push.o_base + bh.batch * os.x + bh.head * os.y + i * os.z;
                [[unroll]] for (uint d = 0; d < V_PIECES; d++)
                    if (EXACT != 0u || d <= v_last) out_pieces[place + d] = piece_from_float(o[r * V_PIECES + d] * inverse);
                if (HAS_LSE) lse[push.lse_base + bh.index * shape.z + i] = softmax_lse_bits(m[r], l[r]);
            } else {
                uint place = (push.ws_row_base + entry * push.ws_rows + item.slot + row[r]) * (v_last + 2);
                [[unroll]] for (uint d = 0; d < V_PIECES; d++)
                    if (EXACT != 0u || d <= v_last) workspace[place + d] = o[r * V_PIECES + d];
                workspace[place + v_last + 1] = vec4(m[r], l[r], 0, 0);
            }
        }
    }
}
