// SPDX-License-Identifier: MIT
//
// The `base` kernel: exact attention over the runs of one work item, for GPUs, at the floor of
// Vulkan 1.1: no optional feature, at most 128 invocations, 16 KiB of shared memory, 4 storage
// buffers (6 with -DDIRECT).
//
// Registers decide on GPUs, so a workgroup's lanes form ROW GROUPS × COLUMN GROUPS (lane = row
// group · CG + column group), and a lane holds, for its TM rows,
//     s   TM × TN scores: keys column + j·CG of a chunk of CG·TN keys
//     o   TM × V_LANE pieces of O: pieces column + b·CG
//     l   of each row the sum over this lane's own keys
// s and o are two arrays each: of the lane's even rows and of its odd ones.
// The rest is in shared memory:
//     row_max    each row's maximum m so far
//     stage      Q's and K's pieces for a chunk of DIM_PIECES of head_dim, transposed; later V's
//                rows
//     exchange   the maxima of a row by column group; later P, transposed: [key][row]
//
//     for each chunk of keys of each run
//         for each chunk of head_dim:  Q, K → stage;  s += Q·Kᵀ
//         mask, maxima → exchange → m;  P = exp2(s − m) → exchange;  o, l shrink
//         for each few keys:           now and then V → stage;  o += P·V
//
// A chunk of a full run has every pair selected: its mask is all ones and V is taken as it is. In
// other chunks a pair that is not selected has P = 0 by selection, never by arithmetic, and V's
// infinities and NaNs are read as 0. Rows from `rows` on repeat the last row and are not written;
// keys from `count` on repeat the last key and are masked.
//
// What the compilers of 42 GPUs taught, in spills:
//   – every loop that indexes s, o or l unrolls, with no runtime loop inside, or the array goes to
//     memory; the others are kept rolled, or loads are hoisted by the dozen
//   – one loop over the chunks of all runs and one over all keys of a chunk: a level of a nest may
//     cost a copy of o
//   – what is the same for all lanes waits in shared memory, and so do the rows' maxima (row_max)
//   – one of them (v3dv's) keeps arrays of more than two elements in memory, whatever they hold:
//     hence even and odd rows
//
// -DDTYPE_F32 / _F16 / _BF16: of Q, K, V. -DDIRECT: bindings 5 (O) and 6 (LSE), and items may be
// direct; -DOUT_F32 then makes O fp32. -DRESUME besides: all items are direct, and may begin with
// partial results. Dispatch: (items, entries of the bh list).
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require

#include "../common/plan.glsl"
#include "../common/dtype.glsl"
#include "../common/softmax.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 7) const uint TM = 4u;   // rows a lane, even
layout(constant_id = 8) const uint TN = 2u;   // keys a lane; TM · TN ≤ 32
layout(constant_id = 9) const uint CG = 16u;  // column groups: 8, 16 or 32

const uint TM2 = TM / 2u;
const bool FRUGAL = TM == 2u;           // the shape for GPUs with few registers
const uint ROWS = WORKGROUP / CG * TM;  // = TILE_ROWS
const uint KEYS = CG * TN;              // = CHUNK_KEYS, a power of two

// Stage. Q and K: stage[piece · (ROWS + 1) + row], then the same of K; the odd stride keeps lanes
// that write neighbouring pieces off each other's banks. V: stage[key · V_PIECES + piece].
const uint DIM_FIT = KEYS > 32u ? 4u : 8u;  // so that a lane moves at most two pieces of K at once
const uint DIM_PIECES = HEAD_PIECES < DIM_FIT ? HEAD_PIECES : DIM_FIT;
const uint DIM_CHUNKS = (HEAD_PIECES + DIM_PIECES - 1u) / DIM_PIECES;
// not with ||: glslang emits a branch for it
const bool DIM_CHECK = (HEAD_PIECES % DIM_PIECES == 0u ? EXACT : 0u) == 0u;
const uint Q_STRIDE = ROWS + 1u;
const uint K_STRIDE = KEYS + 1u;
const uint K_STAGE = DIM_PIECES * Q_STRIDE;
const uint QK_STAGE = K_STAGE + DIM_PIECES * K_STRIDE;
// keys of V that are staged at once: the most whose pieces fit 512 vec4 (8 KiB), 256 where
// registers are few
const uint V_FIT = (V_PIECES > 32u   ? 8u
                    : V_PIECES > 16u ? 16u
                    : V_PIECES > 8u  ? 32u
                                     : 64u) /
                   (FRUGAL ? 2u : 1u);
const uint V_KEYS = V_FIT < KEYS ? V_FIT : KEYS;
const uint V_STAGE = V_KEYS * V_PIECES;
const uint V_LANE = (V_PIECES + CG - 1u) / CG;
// What a lane moves in one go.
const uint Q_MOVES = (ROWS * DIM_PIECES + WORKGROUP - 1u) / WORKGROUP;
const uint K_MOVES = (KEYS * DIM_PIECES + WORKGROUP - 1u) / WORKGROUP;
const uint V_MOVES = (V_STAGE + WORKGROUP - 1u) / WORKGROUP;
// Exchange, in pairs of rows; the padding of one lane's rows again keeps writers off each other's
// banks.
const uint X_STRIDE = (ROWS + TM) / 2u;
// Keys of V at a time; more would only fill registers with V. (One where TN = 1 and V_LANE = 2: 0
// spills on pi-5 instead of 256.)
const uint UNROLL_KEYS = V_LANE > 2u ? 1u : V_LANE > 1u ? (TN > 1u ? 2u : 1u) : 4u;

// Bytes of shared memory: 16 · max(QK_STAGE, V_STAGE) + 8 · KEYS · X_STRIDE.
shared vec4 stage[QK_STAGE > V_STAGE ? QK_STAGE : V_STAGE];
shared vec2 exchange[KEYS * X_STRIDE];
// The rows' maxima: needed once a chunk.
shared float row_max[ROWS];
// What is the same for all lanes and needed seldom: many GPUs would hold it in every lane's
// registers.
shared uint keep[24];
const uint KEEP_FIRST_ROW = 0u;  // item
const uint KEEP_LAST = 1u;       //   rows − 1
const uint KEEP_DIRECT = 2u;
const uint KEEP_SLOT = 3u;    //   where it resumes: word offset of its rows' slots
const uint KEEP_BH = 4u;      // batch · heads + head
const uint KEEP_Q_BASE = 5u;  // addresses in pieces: of the item's first row,
const uint KEEP_Q_STEP = 6u;  //   from one row of the item to the next
const uint KEEP_K_BASE = 7u;
const uint KEEP_K_STRIDE = 8u;
const uint KEEP_V_BASE = 9u;
const uint KEEP_V_STRIDE = 10u;
const uint KEEP_HEAD_PIECES = 11u;
const uint KEEP_V_PIECES = 12u;
const uint KEEP_SLOPE = 13u;
const uint KEEP_SCALE = 14u;  // 3 floats
const uint KEEP_DEAD = 17u;   // item: no sink logit
const uint KEEP_ZERO = 18u;
const uint KEEP_RUN = 20u;  // texel of the current run

// Lane `lane`, in a way that compilers do not see through before the last barrier. Some hoist all
// that depends on the lane alone out of the loops, where dozens of addresses wait in registers for
// their turn; they are cheaper to form again.
uint this_lane() { return gl_LocalInvocationIndex + (FRUGAL ? keep[KEEP_ZERO] : 0u); }

// sum + q·k
float dot_onto(float sum, vec4 q, vec4 k) {
    return fma(q.w, k.w, fma(q.z, k.z, fma(q.y, k.y, fma(q.x, k.x, sum))));
}

// The score of a row of the item with a key, of their dot product.
float score(float dot_product, vec3 scale, uint row, int key_position) {
    float z = softmax_score(dot_product, scale, HAS_SOFTCAP);
    if (HAS_ALIBI) {
        const int p = int(keep[KEEP_FIRST_ROW] + row * push.step) + push.q_offset;
        z -= uintBitsToFloat(keep[KEEP_SLOPE]) * float(abs(p - key_position));
    }
    return softmax_limit(z);
}

Run current_run() {
    return plan_run_unpack(
        uvec4(keep[KEEP_RUN], keep[KEEP_RUN + 1u], keep[KEEP_RUN + 2u], keep[KEEP_RUN + 3u]));
}

layout(std430, set = 0, binding = 0) readonly restrict buffer QueryBuffer { PIECE_T query[]; };
layout(std430, set = 0, binding = 1) readonly restrict buffer KeyBuffer { PIECE_T key[]; };
layout(std430, set = 0, binding = 2) readonly restrict buffer ValueBuffer { PIECE_T value[]; };
#ifdef RESUME
layout(std430, set = 0, binding = 3) readonly restrict buffer Workspace { vec4 workspace[]; };
#else
layout(std430, set = 0, binding = 3) writeonly restrict buffer Workspace { vec4 workspace[]; };
#endif
#ifdef DIRECT
layout(std430, set = 0, binding = 5) writeonly restrict buffer OutputBuffer {
    OUT_PIECE_T output_o[];
};
layout(std430, set = 0, binding = 6) writeonly restrict buffer LseBuffer { uint output_lse[]; };
#endif

void main() {
    const uint lane = gl_LocalInvocationIndex;

    const uint item_texel = push.items + gl_WorkGroupID.x;
    const uint run_count = plan_texel(item_texel).z & PM_ITEM_RUNS_MASK;
    const uint first_run = plan_texel(item_texel).y;
    if (lane == 0u) {
        const Item item = plan_item(gl_WorkGroupID.x);
        const BatchHead bh = plan_batch_head(plan_texel(PM_HEADER_SHAPE), push.bh_list,
                                             push.bh_first + gl_WorkGroupID.y);
        const uvec4 q = plan_texel(PM_HEADER_Q), k = plan_texel(PM_HEADER_K),
                    v = plan_texel(PM_HEADER_V), scale = plan_texel(PM_HEADER_SCALE);
        keep[KEEP_FIRST_ROW] = item.first_row;
        keep[KEEP_LAST] = item.rows - 1u;
        keep[KEEP_DIRECT] = item.direct ? 1u : 0u;
        keep[KEEP_DEAD] = item.dead ? 1u : 0u;
        keep[KEEP_SLOT] = item.slot;
        keep[KEEP_ZERO] = push.zero;
        keep[KEEP_BH] = bh.index;
        keep[KEEP_Q_BASE] = push.q_base + bh.batch * q.x + bh.head * q.y + item.first_row * q.z;
        keep[KEEP_Q_STEP] = push.step * q.z;
        keep[KEEP_K_BASE] = push.k_base + bh.batch * k.x + bh.kv_head * k.y;
        keep[KEEP_K_STRIDE] = k.z;
        keep[KEEP_V_BASE] = push.v_base + bh.batch * v.x + bh.kv_head * v.y;
        keep[KEEP_V_STRIDE] = v.z;
        keep[KEEP_HEAD_PIECES] = EXACT != 0u ? HEAD_PIECES : q.w;
        keep[KEEP_V_PIECES] = EXACT != 0u ? V_PIECES : k.w;
        keep[KEEP_SLOPE] = HAS_ALIBI ? plan_word(v.w + bh.head) : 0u;
        keep[KEEP_SCALE] = scale.x;
        keep[KEEP_SCALE + 1u] = scale.y;
        keep[KEEP_SCALE + 2u] = scale.z;
    }
    for (uint r = lane; r < ROWS; r += WORKGROUP) row_max[r] = SOFTMAX_EMPTY;

    vec4 o_even[TM2 * V_LANE], o_odd[TM2 * V_LANE];
    float l[TM];
    [[unroll]] for (uint n = 0u; n < TM2 * V_LANE; ++n)
        o_even[n] = o_odd[n] = vec4(0.0);
    [[unroll]] for (uint i = 0u; i < TM; ++i)
        l[i] = 0.0;

#ifdef RESUME
    barrier();  // keep and row_max are written
    if ((plan_texel(item_texel).z & PM_ITEM_RESUMES) != 0u) {
        const uint place = this_lane(), column = place % CG, lane_row = place / CG * TM,
                   row_vectors = keep[KEEP_V_PIECES] + 1u;
        const uint ws_row = push.ws_row_base + (push.bh_first + gl_WorkGroupID.y) * push.ws_rows;
        [[unroll]] for (uint i = 0u; i < TM; ++i) {
            const uint slot = plan_word(keep[KEEP_SLOT] + min(lane_row + i, keep[KEEP_LAST]));
            if (slot != PM_SLOT_NONE) {
                const uint address = (ws_row + slot) * row_vectors;
                [[unroll]] for (uint b = 0u; b < V_LANE; ++b) {
                    const vec4 o = workspace[address + min(b * CG + column, row_vectors - 2u)];
                    if (i % 2u == 0u) o_even[i / 2u * V_LANE + b] = o;
                    else o_odd[i / 2u * V_LANE + b] = o;
                }
                if (column == 0u) {  // l is a sum over the columns
                    const vec4 state = workspace[address + row_vectors - 1u];
                    row_max[lane_row + i] = state.x;
                    l[i] = state.y;
                }
            }
        }
    }
#endif

    uint run_index = 0u, chunk_key = 0u, run_keys = 0u;
    while (true) {
        if (chunk_key >= run_keys) {  // the next run
            if (run_index == run_count) break;
            const uvec4 run_texel = plan_texel(first_run + run_index);
            // the last readers of the run before are behind a barrier
            if (gl_LocalInvocationIndex == 0u) {
                keep[KEEP_RUN] = run_texel.x;
                keep[KEEP_RUN + 1u] = run_texel.y;
                keep[KEEP_RUN + 2u] = run_texel.z;
                keep[KEEP_RUN + 3u] = run_texel.w;
            }
            run_keys = plan_run_unpack(run_texel).count;
            chunk_key = 0u;
            ++run_index;
            barrier();
        }
        // Scores.
        float s_even[TM2 * TN], s_odd[TM2 * TN];
        [[unroll]] for (uint n = 0u; n < TM2 * TN; ++n)
            s_even[n] = s_odd[n] = 0.0;
        const uint mover = this_lane();
        uint q_address[Q_MOVES], k_address[K_MOVES];  // of what this lane moves to stage
        [[unroll]] for (uint n = 0u; n < Q_MOVES; ++n)
            q_address[n] =
                keep[KEEP_Q_BASE] +
                min((mover + n * WORKGROUP) / DIM_PIECES, keep[KEEP_LAST]) * keep[KEEP_Q_STEP];
        [[unroll]] for (uint n = 0u; n < K_MOVES; ++n) {
            const Run run = current_run();
            const uint c = min(chunk_key + (mover + n * WORKGROUP) / DIM_PIECES, run.count - 1u);
            k_address[n] = keep[KEEP_K_BASE] + plan_key_position(run, c) * keep[KEEP_K_STRIDE];
        }
        for (uint dim_chunk = 0u; dim_chunk < DIM_CHUNKS; ++dim_chunk) {
            const uint lane = this_lane();
            PIECE_T moved_q[Q_MOVES], moved_k[K_MOVES];
            [[unroll]] for (uint n = 0u; n < Q_MOVES; ++n) {
                const uint piece = dim_chunk * DIM_PIECES + (lane + n * WORKGROUP) % DIM_PIECES;
                moved_q[n] = query[q_address[n] +
                                   (DIM_CHECK ? min(piece, keep[KEEP_HEAD_PIECES] - 1u) : piece)];
                if (DIM_CHECK && piece >= keep[KEEP_HEAD_PIECES]) moved_q[n] = PIECE_T(0);
            }
            [[unroll]] for (uint n = 0u; n < K_MOVES; ++n) {
                const uint piece = dim_chunk * DIM_PIECES + (lane + n * WORKGROUP) % DIM_PIECES;
                moved_k[n] = key[k_address[n] +
                                 (DIM_CHECK ? min(piece, keep[KEEP_HEAD_PIECES] - 1u) : piece)];
                if (DIM_CHECK && piece >= keep[KEEP_HEAD_PIECES]) moved_k[n] = PIECE_T(0);
            }
            barrier();  // stage's last readers are done
            [[unroll]] for (uint n = 0u; n < Q_MOVES; ++n) {
                const uint t = lane + n * WORKGROUP;
                if (ROWS * DIM_PIECES % WORKGROUP == 0u || t < ROWS * DIM_PIECES)
                    stage[t % DIM_PIECES * Q_STRIDE + t / DIM_PIECES] = piece_to_float(moved_q[n]);
            }
            [[unroll]] for (uint n = 0u; n < K_MOVES; ++n) {
                const uint t = lane + n * WORKGROUP;
                if (KEYS * DIM_PIECES % WORKGROUP == 0u || t < KEYS * DIM_PIECES)
                    stage[K_STAGE + t % DIM_PIECES * K_STRIDE + t / DIM_PIECES] =
                        piece_to_float(moved_k[n]);
            }
            barrier();
            const uint place = this_lane(), column = place % CG, lane_row = place / CG * TM;
            [[dont_unroll]] for (uint piece = 0u; piece < DIM_PIECES; ++piece) {
                vec4 k[TN];
                [[unroll]] for (uint j = 0u; j < TN; ++j)
                    k[j] = stage[K_STAGE + piece * K_STRIDE + column + j * CG];
                [[unroll]] for (uint i2 = 0u; i2 < TM2; ++i2) {
                    const vec4 q_even = stage[piece * Q_STRIDE + lane_row + 2u * i2];
                    [[unroll]] for (uint j = 0u; j < TN; ++j)
                        s_even[i2 * TN + j] = dot_onto(s_even[i2 * TN + j], q_even, k[j]);
                    const vec4 q_odd = stage[piece * Q_STRIDE + lane_row + 2u * i2 + 1u];
                    [[unroll]] for (uint j = 0u; j < TN; ++j)
                        s_odd[i2 * TN + j] = dot_onto(s_odd[i2 * TN + j], q_odd, k[j]);
                }
            }
        }

        // The lane's rows are lane_row … lane_row + TM − 1.
        const uint place = this_lane(), column = place % CG, lane_row = place / CG * TM,
                   lane_pair = lane_row / 2u;

        // Which of the lane's pairs are selected: bit i·TN + j.
        const Run run = current_run();
        uint selected = 0xffffffffu;
        if (run.kind != PM_RUN_FULL) {
            selected = 0u;
            [[unroll]] for (uint j = 0u; j < TN; ++j) {
                const uint c = chunk_key + j * CG + column;
                // CG divides 32, so the keys of one j lie in one block of 32
                const uint block = (chunk_key + j * CG) / 32u, bit = c & 31u;
                [[unroll]] for (uint i = 0u; i < TM; ++i) {
                    bool take = plan_band_selects(run, lane_row + i, c);
                    if (run.kind == PM_RUN_BITS)
                        take = ((plan_bits(run, lane_row + i, block) >> bit) & 1u) != 0u;
                    selected |= take && c < run.count ? 1u << (i * TN + j) : 0u;
                }
            }
        }
        const vec3 scale =
            uintBitsToFloat(uvec3(keep[KEEP_SCALE], keep[KEEP_SCALE + 1u], keep[KEEP_SCALE + 2u]));
        [[unroll]] for (uint j = 0u; j < TN; ++j) {
            int key_position = 0;
            if (HAS_ALIBI)
                key_position =
                    int(plan_key_position(run, min(chunk_key + j * CG + column, run.count - 1u)));
            [[unroll]] for (uint i2 = 0u; i2 < TM2; ++i2) {
                const uint n = i2 * TN + j, even = 2u * i2 * TN + j, odd = even + TN;
                s_even[n] = (selected & (1u << even)) != 0u
                                ? score(s_even[n], scale, lane_row + 2u * i2, key_position)
                                : SOFTMAX_EMPTY;
                s_odd[n] = (selected & (1u << odd)) != 0u
                               ? score(s_odd[n], scale, lane_row + 2u * i2 + 1u, key_position)
                               : SOFTMAX_EMPTY;
            }
        }

        // The rows' new maxima, over all lanes of the row group. (exchange's last readers, of the P
        // before, are behind the barriers above.)
        [[unroll]] for (uint i2 = 0u; i2 < TM2; ++i2) {
            vec2 top = vec2(s_even[i2 * TN], s_odd[i2 * TN]);
            [[unroll]] for (uint j = 1u; j < TN; ++j)
                top = max(top, vec2(s_even[i2 * TN + j], s_odd[i2 * TN + j]));
            exchange[column * X_STRIDE + lane_pair + i2] = top;
        }
        barrier();
        float top[TM], before[TM];
        [[unroll]] for (uint i = 0u; i < TM; ++i)
            top[i] = before[i] = row_max[lane_row + i];
        [[dont_unroll]] for (uint c = 0u; c < CG; ++c) {
            [[unroll]] for (uint i2 = 0u; i2 < TM2; ++i2) {
                const vec2 x = exchange[c * X_STRIDE + lane_pair + i2];
                top[2u * i2] = max(top[2u * i2], x.x);
                top[2u * i2 + 1u] = max(top[2u * i2 + 1u], x.y);
            }
        }
        barrier();

        // P, and the shrinking of what came before. A row with nothing selected so far has m = top
        // = EMPTY, shrinks 0 by 1, and its P is 0 by selection.
        [[unroll]] for (uint i2 = 0u; i2 < TM2; ++i2) {
            const uint even = 2u * i2, odd = even + 1u;
            const float shrink_even = softmax_exp2(before[even] - top[even]),
                        shrink_odd = softmax_exp2(before[odd] - top[odd]);
            if (column == 0u) {
                row_max[lane_row + even] = top[even];
                row_max[lane_row + odd] = top[odd];
            }
            l[even] *= shrink_even;
            l[odd] *= shrink_odd;
            [[unroll]] for (uint b = 0u; b < V_LANE; ++b) {
                o_even[i2 * V_LANE + b] *= shrink_even;
                o_odd[i2 * V_LANE + b] *= shrink_odd;
            }
            [[unroll]] for (uint j = 0u; j < TN; ++j) {
                const uint n = i2 * TN + j;
                const float p_even = softmax_exp2(s_even[n] - top[even]),
                            p_odd = softmax_exp2(s_odd[n] - top[odd]);
                s_even[n] = (selected & (1u << (even * TN + j))) != 0u ? p_even : 0.0;
                s_odd[n] = (selected & (1u << (odd * TN + j))) != 0u ? p_odd : 0.0;
                l[even] += s_even[n];
                l[odd] += s_odd[n];
            }
        }
        [[unroll]] for (uint j = 0u; j < TN; ++j) [[unroll]]
            for (uint i2 = 0u; i2 < TM2; ++i2)
                exchange[(j * CG + column) * X_STRIDE + lane_pair + i2] =
                    vec2(s_even[i2 * TN + j], s_odd[i2 * TN + j]);

        // O += P·V.
        [[dont_unroll]] for (uint first = 0u; first < KEYS; first += UNROLL_KEYS) {
            if (first % V_KEYS == 0u) {  // V's next rows
                const Run run = current_run();
                const uint lane = this_lane();
                PIECE_T moved_v[V_MOVES];
                [[unroll]] for (uint n = 0u; n < V_MOVES; ++n) {
                    const uint t = lane + n * WORKGROUP;
                    const uint piece = t % V_PIECES;
                    const uint c = min(chunk_key + first + t / V_PIECES, run.count - 1u);
                    const uint address =
                        keep[KEEP_V_BASE] + plan_key_position(run, c) * keep[KEEP_V_STRIDE];
                    moved_v[n] = value[address + (EXACT == 0u ? min(piece, keep[KEEP_V_PIECES] - 1u)
                                                              : piece)];
                }
                barrier();  // stage's last readers are done
                [[unroll]] for (uint n = 0u; n < V_MOVES; ++n) {
                    const uint t = lane + n * WORKGROUP;
                    const vec4 v = piece_to_float(moved_v[n]);
                    if (V_STAGE % WORKGROUP == 0u || t < V_STAGE)
                        stage[t] = run.kind != PM_RUN_FULL ? softmax_finite(v) : v;
                }
                barrier();  // stage, and P before the first rows
            }
            const uint place = this_lane(), column = place % CG, lane_pair = place / CG * TM2;
            [[unroll]] for (uint u = 0u; u < UNROLL_KEYS; ++u) {
                vec2 p[TM2];
                [[unroll]] for (uint i2 = 0u; i2 < TM2; ++i2)
                    p[i2] = exchange[(first + u) * X_STRIDE + lane_pair + i2];
                [[unroll]] for (uint b = 0u; b < V_LANE; ++b) {
                    // lanes beyond the last piece repeat it; they write nothing
                    const uint piece =
                        V_PIECES % CG == 0u ? b * CG + column : min(b * CG + column, V_PIECES - 1u);
                    const vec4 v = stage[(first % V_KEYS + u) * V_PIECES + piece];
                    [[unroll]] for (uint i2 = 0u; i2 < TM2; ++i2) {
                        o_even[i2 * V_LANE + b] = fma(vec4(p[i2].x), v, o_even[i2 * V_LANE + b]);
                        o_odd[i2 * V_LANE + b] = fma(vec4(p[i2].y), v, o_odd[i2 * V_LANE + b]);
                    }
                }
            }
        }
        chunk_key += KEYS;
    }

    // the last readers of exchange are done, and where there was no run, keep is written
    barrier();
    const uint place = this_lane(), column = place % CG, lane_row = place / CG * TM,
               lane_pair = lane_row / 2u;
    // l: the sum over the row group's lanes, in one order for all of them.
    [[unroll]] for (uint i2 = 0u; i2 < TM2; ++i2)
        exchange[column * X_STRIDE + lane_pair + i2] = vec2(l[2u * i2], l[2u * i2 + 1u]);
    barrier();
    [[unroll]] for (uint i = 0u; i < TM; ++i)
        l[i] = 0.0;
    [[dont_unroll]] for (uint c = 0u; c < CG; ++c) {
        [[unroll]] for (uint i2 = 0u; i2 < TM2; ++i2) {
            const vec2 x = exchange[c * X_STRIDE + lane_pair + i2];
            l[2u * i2] += x.x;
            l[2u * i2 + 1u] += x.y;
        }
    }

    const uint bh_index = keep[KEEP_BH], first_row = keep[KEEP_FIRST_ROW], last = keep[KEEP_LAST],
               v_pieces = keep[KEEP_V_PIECES];
#ifdef DIRECT
#ifdef RESUME
    const bool direct = true;
#else
    const bool direct = keep[KEEP_DIRECT] != 0u;
#endif
    if (direct) {
        const uvec4 shape = plan_texel(PM_HEADER_SHAPE), o_header = plan_texel(PM_HEADER_O);
        const uint batch = bh_index / shape.x, head = bh_index - batch * shape.x;
        const float sink = HAS_SINK ? plan_float(o_header.w + head) : 0.0;
        [[unroll]] for (uint i = 0u; i < TM; ++i) {
            float m = row_max[lane_row + i], factor = 1.0;
            if (HAS_SINK && keep[KEEP_DEAD] == 0u) factor = softmax_sink(m, l[i], sink);
            factor *= softmax_inverse(l[i]);
            if (lane_row + i <= last) {
                const uint row = first_row + (lane_row + i) * push.step;
                const uint address =
                    push.o_base + batch * o_header.x + head * o_header.y + row * o_header.z;
                [[unroll]] for (uint b = 0u; b < V_LANE; ++b) {
                    const uint piece = b * CG + column;
                    if (piece < v_pieces)
                        output_o[address + piece] =
                            piece_from_float((i % 2u == 0u ? o_even[i / 2u * V_LANE + b]
                                                           : o_odd[i / 2u * V_LANE + b]) *
                                             factor);
                }
                if (HAS_LSE && column == 0u)
                    output_lse[push.lse_base + bh_index * shape.z + row] =
                        softmax_lse_bits(m, l[i]);
            }
        }
        return;
    }
#endif
#ifndef RESUME
    const uint first_slot =
        push.ws_row_base + (push.bh_first + gl_WorkGroupID.y) * push.ws_rows + keep[KEEP_SLOT];
    [[unroll]] for (uint i = 0u; i < TM; ++i) {
        if (lane_row + i <= last) {
            const uint address = (first_slot + lane_row + i) * (v_pieces + 1u);
            [[unroll]] for (uint b = 0u; b < V_LANE; ++b) {
                const uint piece = b * CG + column;
                if (piece < v_pieces)
                    workspace[address + piece] =
                        i % 2u == 0u ? o_even[i / 2u * V_LANE + b] : o_odd[i / 2u * V_LANE + b];
            }
            if (column == 0u)
                workspace[address + v_pieces] = vec4(row_max[lane_row + i], l[i], 0.0, 0.0);
        }
    }
#endif
}
