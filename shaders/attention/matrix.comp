// SPDX-License-Identifier: MIT
//
// The `matrix` kernel: exact attention over the runs of one work item, with the matrix units that
// VK_KHR_cooperative_matrix reaches. Q, K, V in fp16 or bf16, scores, sums and O in fp32. Subgroups
// are full and of the size that was asked for. What a subgroup holds is in matrix_tiles.glsl. The
// way through an item:
//
//     Q → q_stage                                 stage_q
//     for each chunk of keys of each run          next_chunk
//         K → kv_stage; V under way               stage_k, load_v
//         s = Q·Kᵀ → slab                         multiply_q_k
//         scores, maxima; P → slab                find_scores, weigh
//         o shrinks, where a maximum grew         shrink
//         V → kv_stage; the next K under way      stage_v, load_k
//         o += P·V                                multiply_p_v
//     O, LSE or the workspace, by way of slab     write_rows
//
// A subgroup's rows are its own: what lies between staging is ordered by barriers of the subgroup
// alone. Pairs that are not selected have P = 0 by selection, and V's infinities and NaNs are read
// as 0 in chunks that have such pairs. Rows from `rows` on repeat the last row and are not written;
// keys from `count` on repeat the last key and are masked.
//
// -DDTYPE_F16 / _BF16: of Q, K, V; -DOUT_F32: O is fp32. Dispatch: (items, entries).
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_ballot : require
#extension GL_KHR_shader_subgroup_shuffle : require
#extension GL_KHR_shader_subgroup_vote : require
#ifdef DTYPE_BF16
#extension GL_EXT_bfloat16 : require
#endif

#include "../common/place.glsl"
#include "../common/dtype.glsl"
#include "../common/softmax.glsl"
#include "../common/select.glsl"

layout(local_size_x_id = 0) in;
#include "matrix_tiles.glsl"

// -------------------------------------------------------------------------------------------------
// Staging. A lane moves pieces thread, thread + WORKGROUP, … of what lies in rows of pieces.

const uint K_MOVES = (KEYS * HEAD_PIECES + WORKGROUP - 1u) / WORKGROUP;
const uint V_MOVES = (KEYS * V_PIECES + WORKGROUP - 1u) / WORKGROUP;

uint head_pieces, v_pieces;  // the true ones
uvec2 moved_k[K_MOVES], moved_v[V_MOVES];

void stage_q(uint q_at, uint q_step, uint last) {
    for (uint t = gl_LocalInvocationIndex; t < ROWS * HEAD_PIECES; t += WORKGROUP) {
        const uint row = t / HEAD_PIECES, piece = t % HEAD_PIECES;
        uvec2 x = query[q_at + row_offset(min(row, last), q_step) + min(piece, head_pieces - 1u)];
        if (piece >= head_pieces) x = uvec2(0);
        q_stage[row * Q_STRIDE + piece] = x;
    }
}

void load_k(Run run, uint chunk_key, uint k_at, uint stride) {
    [[unroll]] for (uint n = 0u; n < K_MOVES; ++n) {
        const uint t = gl_LocalInvocationIndex + n * WORKGROUP, piece = t % HEAD_PIECES;
        const uint c = min(chunk_key + t / HEAD_PIECES, run.count - 1u);
        const uint at = k_at + key_offset(key_position(run, c), stride);
        moved_k[n] = key[at + (EXACT == 0u ? min(piece, head_pieces - 1u) : piece)];
        if (EXACT == 0u && piece >= head_pieces) moved_k[n] = uvec2(0);
    }
}

void load_v(Run run, uint chunk_key, uint v_at, uint stride) {
    [[unroll]] for (uint n = 0u; n < V_MOVES; ++n) {
        const uint t = gl_LocalInvocationIndex + n * WORKGROUP, piece = t % V_PIECES;
        const uint c = min(chunk_key + t / V_PIECES, run.count - 1u);
        const uint at = v_at + key_offset(key_position(run, c), stride);
        moved_v[n] = value[at + (EXACT == 0u ? min(piece, v_pieces - 1u) : piece)];
    }
}

void stage_k() {
    barrier();  // kv_stage's last readers are done
    [[unroll]] for (uint n = 0u; n < K_MOVES; ++n) {
        const uint t = gl_LocalInvocationIndex + n * WORKGROUP;
        if (KEYS * HEAD_PIECES % WORKGROUP == 0u || t < KEYS * HEAD_PIECES)
            kv_stage[t / HEAD_PIECES * Q_STRIDE + t % HEAD_PIECES] = moved_k[n];
    }
    barrier();  // K is written
}

void stage_v(bool partial) {
    barrier();  // K's last readers are done
    [[unroll]] for (uint n = 0u; n < V_MOVES; ++n) {
        const uint t = gl_LocalInvocationIndex + n * WORKGROUP;
        if (KEYS * V_PIECES % WORKGROUP == 0u || t < KEYS * V_PIECES)
            kv_stage[t / V_PIECES * V_STRIDE + t % V_PIECES] =
                partial ? piece_finite(moved_v[n]) : moved_v[n];
    }
    barrier();  // V is written
}

// -------------------------------------------------------------------------------------------------
// Products

void multiply_q_k() {
    ACCUMULATOR s[ROW_MATRICES * KEY_TILES];
    [[unroll]] for (uint i = 0u; i < ROW_MATRICES * KEY_TILES; ++i) s[i] = ACCUMULATOR(0.0);
    [[dont_unroll]] for (uint step = 0u; step < HEAD_STEPS; ++step) {
        const uint piece = step * (K / 4u);
        MATRIX_A q[ROW_MATRICES];
        [[unroll]] for (uint i = 0u; i < ROW_MATRICES; ++i)
            coopMatLoad(q[i], q_stage, (own_row() + i * M) * Q_STRIDE + piece, Q_STRIDE,
                        gl_CooperativeMatrixLayoutRowMajor);
        [[unroll]] for (uint j = 0u; j < KEY_TILES; ++j) {
            MATRIX_B k;  // K transposed
            coopMatLoad(k, kv_stage, j * N * Q_STRIDE + piece, Q_STRIDE,
                        gl_CooperativeMatrixLayoutColumnMajor);
            [[unroll]] for (uint i = 0u; i < ROW_MATRICES; ++i)
                s[i * KEY_TILES + j] = coopMatMulAdd(q[i], k, s[i * KEY_TILES + j]);
        }
    }
    [[unroll]] for (uint i = 0u; i < ROW_MATRICES; ++i) [[unroll]]
        for (uint j = 0u; j < KEY_TILES; ++j)
            coopMatStore(s[i * KEY_TILES + j], slab,
                         (own_row() + i * M) * SLAB_STRIDE + j * (N / 4u), SLAB_STRIDE,
                         gl_CooperativeMatrixLayoutRowMajor);
}

void multiply_p_v() {
    [[dont_unroll]] for (uint k = 0u; k < KEYS; k += K) {
        MATRIX_A p[ROW_MATRICES];
        [[unroll]] for (uint i = 0u; i < ROW_MATRICES; ++i)
            coopMatLoad(p[i], slab, (own_row() + i * M) * SLAB_STRIDE + k / 8u, SLAB_STRIDE,
                        gl_CooperativeMatrixLayoutRowMajor);
        [[unroll]] for (uint j = 0u; j < V_TILES; ++j) {
            MATRIX_B v;
            coopMatLoad(v, kv_stage, k * V_STRIDE + j * (N / 4u), V_STRIDE,
                        gl_CooperativeMatrixLayoutRowMajor);
            [[unroll]] for (uint i = 0u; i < ROW_MATRICES; ++i)
                o[i * V_TILES + j] = coopMatMulAdd(p[i], v, o[i * V_TILES + j]);
        }
    }
}

// -------------------------------------------------------------------------------------------------
// Softmax

struct Scoring {  // what scores of the item take
    vec3 scale;
    float slope;
    int q_offset;
    uint first_row;
};

// The scores of lane row i's four keys from chunk key c on; those that are not selected are EMPTY.
vec4 score_quad(vec4 dots, Scoring with, Run run, RowKeys keys, uint bits, uint row, uint c,
                out uint taken) {
    vec4 z;
    taken = 0u;
    [[unroll]] for (uint e = 0u; e < 4u; ++e) {
        int distance = 0;
        if (HAS_ALIBI)
            distance = row_position(item_row(with.first_row, row), with.q_offset) -
                       int(key_position(run, min(c + e, run.count - 1u)));
        const bool take =
            run.kind == PM_RUN_FULL || row_takes(run, keys, bits >> ((c + e) & 31u), c + e);
        taken |= take ? 1u << e : 0u;
        const float score = softmax_score(softmax_factor(with.scale, HAS_SOFTCAP) * dots[e],
                                          with.scale, HAS_SOFTCAP, HAS_ALIBI, with.slope, distance);
        z[e] = take ? score : SOFTMAX_EMPTY;
    }
    return z;
}

// Of the lane's keys, in quads: their scores, and which of them are selected (4 bits).
vec4 z[LANE_ROWS * LANE_QUADS];
uint taken[LANE_ROWS * LANE_QUADS];

// z: of the slab's dot products; m, l and factor with it. Returns whether some row of the lane has
// another m, and so a factor that is not 1.
bool find_scores(Scoring with, Run run, uint chunk_key) {
    bool grew = false;
    [[unroll]] for (uint i = 0u; i < LANE_ROWS; ++i) {
        const uint row = lane_row(i), at = row * SLAB_STRIDE + lane_key() / 4u;
        RowKeys keys = RowKeys(0, 0u);
        if (run.kind == PM_RUN_BAND) keys = row_keys(run, row);
        float most = SOFTMAX_EMPTY;
        [[unroll]] for (uint n = 0u; n < LANE_QUADS; ++n) {
            const uint c = chunk_key + lane_key() + 4u * n;
            uint bits = 0u;
            if (run.kind == PM_RUN_BITS) bits = plan_word(bits_at(run, c) + row);
            const vec4 quad = score_quad(uintBitsToFloat(slab[at + n]), with, run, keys, bits, row,
                                         c, taken[i * LANE_QUADS + n]);
            z[i * LANE_QUADS + n] = quad;
            most = max(most, max(max(quad.x, quad.y), max(quad.z, quad.w)));
        }
        most = row_most(most);
        float shrink = 1.0;
        if (most > m[i] + (P_ABOVE + P_GROWTH)) {
            shrink = softmax_exp2(m[i] - (most - P_ABOVE));
            m[i] = most - P_ABOVE;
            l[i] *= shrink;
            grew = true;
        }
        if (lane_first()) factor[row] = shrink;
    }
    return grew;
}

// slab: P.
void weigh(bool partial) {
    [[unroll]] for (uint i = 0u; i < LANE_ROWS; ++i) {
        const uint at = lane_row(i) * SLAB_STRIDE + lane_key() / 8u;
        [[unroll]] for (uint n = 0u; n < LANE_QUADS; n += 2u) {
            vec4 p[2];
            [[unroll]] for (uint half_ = 0u; half_ < 2u; ++half_) {
                const vec4 quad = z[i * LANE_QUADS + n + half_];
                [[unroll]] for (uint e = 0u; e < 4u; ++e) {
                    p[half_][e] = softmax_weight(
                        quad[e], m[i], partial,
                        (taken[i * LANE_QUADS + n + half_] & (1u << e)) != 0u);
                    l[i] += p[half_][e];
                }
            }
            slab[at + n / 2u] = uvec4(piece_from_weight(p[0]), piece_from_weight(p[1]));
        }
    }
}

// o: times its rows' factors. A matrix loaded with stride 0 has the same column everywhere.
void shrink() {
    [[unroll]] for (uint i = 0u; i < ROW_MATRICES; ++i) {
        ACCUMULATOR by;
        coopMatLoad(by, factor, own_row() + i * M, 0u, gl_CooperativeMatrixLayoutColumnMajor);
        [[unroll]] for (uint j = 0u; j < V_TILES; ++j) o[i * V_TILES + j] *= by;
    }
}

// -------------------------------------------------------------------------------------------------
// The ends: O and the workspace by way of slab, in blocks of columns

const uint BLOCK_PIECES = 8u;  // columns / 4; divides V_PIECES
const uint BLOCK_TILES = BLOCK_PIECES * 4u / N;
const uint BLOCK_MOVES = OWN_ROWS * BLOCK_PIECES / SUBGROUP;

struct Place {  // of the item's results
    uint last;          // its rows − 1
    uint at, row_step;  // O of its row 0, and from row to row
    uint workspace_row;
};

void write_rows(Place place, bool finished) {
    [[unroll]] for (uint block = 0u; block < V_PIECES / BLOCK_PIECES; ++block) {
        subgroupBarrier();  // the slab's last readers are done
        [[unroll]] for (uint i = 0u; i < ROW_MATRICES; ++i) [[unroll]]
            for (uint j = 0u; j < BLOCK_TILES; ++j)
                coopMatStore(o[i * V_TILES + block * BLOCK_TILES + j], slab,
                             (own_row() + i * M) * SLAB_STRIDE + j * (N / 4u), SLAB_STRIDE,
                             gl_CooperativeMatrixLayoutRowMajor);
        subgroupBarrier();  // the slab is written
        [[unroll]] for (uint n = 0u; n < BLOCK_MOVES; ++n) {
            const uint t = gl_SubgroupInvocationID + n * SUBGROUP;
            const uint row = own_row() + t / BLOCK_PIECES, within = t % BLOCK_PIECES,
                       piece = block * BLOCK_PIECES + within;
            if (row <= place.last && piece < v_pieces) {
                const vec4 x = uintBitsToFloat(slab[row * SLAB_STRIDE + within]);
                if (finished)
                    output_o[place.at + row_offset(row, place.row_step) + piece] =
                        piece_from_float(x * factor[row]);
                else workspace[(place.workspace_row + row) * (v_pieces + 1u) + piece] = x;
            }
        }
    }
}

void write_finished(Place place, Entry entry, Item item, uint sink_at) {
    const float sink = HAS_SINK ? plan_float(sink_at) : 0.0;
    [[unroll]] for (uint i = 0u; i < LANE_ROWS; ++i) {
        float most = m[i], sum = row_sum(l[i]), by = 1.0;
        if (HAS_SINK && !item.dead) by = softmax_sink(most, sum, sink);
        by *= softmax_inverse(sum);
        const uint row = lane_row(i);
        if (lane_first()) {
            factor[row] = by;
            if (HAS_LSE && row <= place.last)
                output_lse[push.lse_base + lse_offset(entry) + item_row(item.first_row, row)] =
                    softmax_lse_bits(most, sum);
        }
    }
    write_rows(place, true);
}

void write_partial(Place place) {
    [[unroll]] for (uint i = 0u; i < LANE_ROWS; ++i) {
        const uint row = lane_row(i);
        const float sum = row_sum(l[i]);
        if (lane_first() && row <= place.last)
            workspace[(place.workspace_row + row) * (v_pieces + 1u) + v_pieces] =
                vec4(m[i], sum, 0.0, 0.0);
    }
    write_rows(place, false);
}

// Takes up what is there of the item's rows.
void resume(Item item, uint first_workspace_row) {
    [[unroll]] for (uint i = 0u; i < LANE_ROWS; ++i) {
        const uint slot = plan_word(item.slot + min(lane_row(i), item.rows - 1u));
        if (slot != PM_SLOT_NONE) {
            const vec4 state =
                workspace[(first_workspace_row + slot) * (v_pieces + 1u) + v_pieces];
            m[i] = state.x;
            l[i] = lane_first() ? state.y : 0.0;
        }
    }
    [[unroll]] for (uint block = 0u; block < V_PIECES / BLOCK_PIECES; ++block) {
        [[unroll]] for (uint n = 0u; n < BLOCK_MOVES; ++n) {
            const uint t = gl_SubgroupInvocationID + n * SUBGROUP;
            const uint row = own_row() + t / BLOCK_PIECES, within = t % BLOCK_PIECES,
                       piece = block * BLOCK_PIECES + within;
            const uint slot = plan_word(item.slot + min(row, item.rows - 1u));
            vec4 x = vec4(0.0);
            if (slot != PM_SLOT_NONE)
                x = workspace[(first_workspace_row + slot) * (v_pieces + 1u) +
                              min(piece, v_pieces - 1u)];
            slab[row * SLAB_STRIDE + within] = floatBitsToUint(x);
        }
        subgroupBarrier();  // the slab is written
        [[unroll]] for (uint i = 0u; i < ROW_MATRICES; ++i) [[unroll]]
            for (uint j = 0u; j < BLOCK_TILES; ++j)
                coopMatLoad(o[i * V_TILES + block * BLOCK_TILES + j], slab,
                            (own_row() + i * M) * SLAB_STRIDE + j * (N / 4u), SLAB_STRIDE,
                            gl_CooperativeMatrixLayoutRowMajor);
        subgroupBarrier();  // the slab is read
    }
}

// -------------------------------------------------------------------------------------------------
// Runs and chunks

struct Cursor {
    uint next_run;  // texel
    uint last_run;  // past the last
    uint key;       // the first of the chunk at hand
    Run run;
};

Run run_at(uint texel) { return plan_run(subgroupBroadcastFirst(plan_texel(texel))); }

// Steps to the next chunk; false: there is none.
bool next_chunk(inout Cursor at) {
    at.key += KEYS;
    if (at.key < at.run.count) return true;
    if (at.next_run == at.last_run) return false;
    at.run = run_at(at.next_run);
    at.key = 0u;
    ++at.next_run;
    return true;
}

void main() {
    const Item item = plan_item(subgroupBroadcastFirst(plan_texel(push.items + gl_WorkGroupID.x)));
    const Entry entry = plan_entry(push.entry_first + gl_WorkGroupID.y);
    const pm_strides q = plan_strides(PM_HEADER_Q), k = plan_strides(PM_HEADER_K),
                     v = plan_strides(PM_HEADER_V), out_ = plan_strides(PM_HEADER_O);
    head_pieces = EXACT != 0u ? HEAD_PIECES : q.with;
    v_pieces = EXACT != 0u ? V_PIECES : k.with;
    const Scoring with = Scoring(plan_scale(), HAS_ALIBI ? plan_float(v.with + entry.head) : 0.0,
                                 entry.q_offset, item.first_row);
    const uint k_at = push.k_base + keys_offset(k, entry),
               v_at = push.v_base + keys_offset(v, entry);
    const uint workspace_row =
        push.ws_row_base + (push.entry_first + gl_WorkGroupID.y) * push.ws_rows;

    Cursor at = Cursor(item.runs, item.runs + item.run_count, 0u,
                       Run(0u, PM_RUN_FULL, false, 0u, 0u, 0u, 0, 0, 0u));
    bool more = next_chunk(at);
    if (more) {
        load_k(at.run, at.key, k_at, k.row);
        stage_q(push.q_base + item_offset(q, entry, item.first_row), row_step(q), item.rows - 1u);
    }
    [[unroll]] for (uint i = 0u; i < ROW_MATRICES * V_TILES; ++i) o[i] = ACCUMULATOR(0.0);
    [[unroll]] for (uint i = 0u; i < LANE_ROWS; ++i) {
        m[i] = SOFTMAX_EMPTY;
        l[i] = 0.0;
    }
    if (DOES_RESUME && item.resumes) resume(item, workspace_row);

    // Subgroups past the last row only stage. They meet all barriers: lavapipe counts those of a
    // subgroup as the workgroup's.
    const bool working = own_row() < item.rows;
    while (more) {
        const Run run = at.run;
        const uint chunk_key = at.key;
        stage_k();
        load_v(run, chunk_key, v_at, v.row);
        bool grew = false;
        if (working) multiply_q_k();
        subgroupBarrier();  // the slab is written
        if (working) grew = find_scores(with, run, chunk_key);
        if (ROW_LANES > 1u) subgroupBarrier();  // the scores are read: P takes their place
        if (working) weigh(run.kind != PM_RUN_FULL);
        subgroupBarrier();  // P and factor are written
        if (subgroupAny(grew)) shrink();
        stage_v(run.kind != PM_RUN_FULL);
        more = next_chunk(at);
        if (more) load_k(at.run, at.key, k_at, k.row);
        if (working) multiply_p_v();
    }

    Place place = Place(item.rows - 1u, push.o_base + item_offset(out_, entry, item.first_row),
                        row_step(out_), workspace_row + item.slot);
    if (DOES_DIRECT && (item.direct || !DOES_PARTIAL))
        write_finished(place, entry, item, out_.with + entry.head);
    else if (DOES_PARTIAL) write_partial(place);
}
