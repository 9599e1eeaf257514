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
//         s = Q·Kᵀ                                multiply_q_k
//         scores, maxima, P; o shrinks            weigh_chunk (matrix_slab, matrix_reduce)
//         V → kv_stage; the next K under way      stage_v, load_k
//         o += P·V                                multiply_p_v
//     O, LSE or the workspace, by way of slab     write_rows
//
// A subgroup's rows are its own: what lies between staging is ordered by barriers of the subgroup
// alone. Pairs that are not selected have P = 0 by selection, and V's infinities and NaNs are read
// as 0 in chunks that have such pairs. Rows from `rows` on repeat the last row and are not written;
// keys from `count` on repeat the last key and are masked.
//
// -DDTYPE_F16 / _BF16: of Q, K, V; -DOUT_F32: O is fp32; -DREDUCE: the softmax in registers. Dispatch: (items, entries).
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_cooperative_matrix : require
#ifdef REDUCE
#extension GL_NV_cooperative_matrix2 : require
#endif
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
#ifdef REDUCE
#include "matrix_reduce.glsl"
#else
#include "matrix_slab.glsl"
#endif

// -------------------------------------------------------------------------------------------------
// Staging. A lane moves pieces thread, thread + WORKGROUP, … of what lies in rows of pieces.

const uint K_MOVES = (KEYS * HEAD_PIECES + WORKGROUP - 1u) / WORKGROUP;
const uint V_MOVES = (KEYS * V_PIECES + WORKGROUP - 1u) / WORKGROUP;

uint head_pieces, v_pieces;  // the true ones
uvec2 moved_k[K_MOVES], moved_v[V_MOVES];

void stage_q(uint first_row, uint q_at, RowSteps q_steps, uint last) {
    for (uint t = gl_LocalInvocationIndex; t < ROWS * HEAD_PIECES; t += WORKGROUP) {
        const uint row = t / HEAD_PIECES, piece = t % HEAD_PIECES;
        uvec2 x = query[q_at + row_offset(first_row, min(row, last), q_steps) +
                        min(piece, head_pieces - 1u)];
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
    [[unroll]] for (uint i = 0u; i < ROW_MATRICES * KEY_TILES; ++i)
        s[i] = ACCUMULATOR(0.0);
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
}

void multiply_p_v() {
    KEY_STEPS for (uint step = 0u; step < KEYS / K; ++step) {
        MATRIX_A p[ROW_MATRICES];
        [[unroll]] for (uint i = 0u; i < ROW_MATRICES; ++i)
            p[i] = weights(i, step);
        [[unroll]] for (uint j = 0u; j < V_TILES; ++j) {
            MATRIX_B v;
            coopMatLoad(v, kv_stage, step * K * V_STRIDE + j * (N / 4u), V_STRIDE,
                        gl_CooperativeMatrixLayoutRowMajor);
            [[unroll]] for (uint i = 0u; i < ROW_MATRICES; ++i)
                o[i * V_TILES + j] = coopMatMulAdd(p[i], v, o[i * V_TILES + j]);
        }
    }
}

// -------------------------------------------------------------------------------------------------
// The ends: O and the workspace by way of slab, in blocks of columns

const uint BLOCK_TILES = BLOCK_PIECES * 4u / N;
const uint BLOCK_MOVES = OWN_ROWS * BLOCK_PIECES / SUBGROUP;

struct Place {       // of the item's results
    uint first_row;  // as in Item
    uint last;       // its rows − 1
    uint at;         // O of its row 0
    RowSteps by;
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
                    output_o[place.at + row_offset(place.first_row, row, place.by) + piece] =
                        piece_from_float(x * factor[row]);
                else workspace[(place.workspace_row + row) * (v_pieces + 1u) + piece] = x;
            }
        }
    }
}

void write_finished(Place place, Entry entry, Item item, uint sink_at) {
    float sink = HAS_SINK ? plan_float(sink_at) : 0.0;
    [[unroll]] for (uint i = 0u; i < LANE_ROWS; ++i) {
        float most = m[i], sum = l[i], by = 1.0;
        const uint row = lane_row(i), head = row_head(item.first_row, row);
        if (HAS_SINK && LISTED_ROWS) sink = plan_float(sink_at + head);
        if (HAS_SINK && !item.dead) by = softmax_sink(most, sum, sink);
        by *= softmax_inverse(sum) * plan_weight_lift();
        if (lane_first()) {
            factor[row] = by;
            if (HAS_LSE && row <= place.last)
                output_lse[push.lse_base + lse_offset(entry) +
                           lse_row(item_row(item.first_row, row), head)] =
                    softmax_lse_bits(most, sum);
        }
    }
    write_rows(place, true);
}

void write_partial(Place place) {
    [[unroll]] for (uint i = 0u; i < LANE_ROWS; ++i) {
        const uint row = lane_row(i);
        if (lane_first() && row <= place.last)
            workspace[(place.workspace_row + row) * (v_pieces + 1u) + v_pieces] =
                vec4(m[i], l[i], 0.0, 0.0);
    }
    write_rows(place, false);
}

// Takes up what is there of the item's rows.
void resume(Item item, uint first_workspace_row) {
    [[unroll]] for (uint i = 0u; i < LANE_ROWS; ++i) {
        const uint slot = plan_word(item.slot + min(lane_row(i), item.rows - 1u));
        if (slot != PM_SLOT_NONE) {
            const vec4 state = workspace[(first_workspace_row + slot) * (v_pieces + 1u) + v_pieces];
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
    const Item item = plan_item(subgroupBroadcastFirst(plan_texel(item_at())));
    const Group group = item_group();
    const Entry entry = plan_entry(group);
    const pm_strides q = plan_strides(PM_HEADER_Q), k = plan_strides(PM_HEADER_K),
                     v = plan_strides(PM_HEADER_V), out_ = plan_strides(PM_HEADER_O);
    head_pieces = EXACT != 0u ? HEAD_PIECES : q.with;
    v_pieces = EXACT != 0u ? V_PIECES : k.with;
    const Scoring with =
        Scoring(plan_scale(), plan_weight_unit(), HAS_ALIBI ? plan_float(v.with + entry.head) : 0.0,
                v.with + entry.head, entry.q_offset, item.first_row);
    const uint k_at = push.k_base + keys_offset(k, entry),
               v_at = push.v_base + keys_offset(v, entry);
    const uint workspace_row = group.ws_row;

    Cursor at = Cursor(item.runs, item.runs + item.run_count, 0u,
                       Run(0u, PM_RUN_FULL, false, 0u, 0u, 0u, 0, 0, 0u));
    bool more = next_chunk(at);
    if (more) {
        load_k(at.run, at.key, k_at, k.row);
        stage_q(item.first_row, push.q_base + item_offset(q, entry, item.first_row), row_steps(q),
                item.rows - 1u);
    }
    [[unroll]] for (uint i = 0u; i < ROW_MATRICES * V_TILES; ++i)
        o[i] = ACCUMULATOR(0.0);
    [[unroll]] for (uint i = 0u; i < LANE_ROWS; ++i) {
        m[i] = SOFTMAX_EMPTY;
        l[i] = 0.0;
    }
    begin_rows();
    if (DOES_RESUME && item.resumes) {
        resume(item, workspace_row);
        resume_rows();
    }

    // Subgroups past the last row only stage. They meet all barriers: lavapipe counts those of a
    // subgroup as the workgroup's.
    const bool working = own_row() < item.rows;
    while (more) {
        const Run run = at.run;
        const uint chunk_key = at.key;
        stage_k();
        load_v(run, chunk_key, v_at, v.row);
        if (working) multiply_q_k();
        weigh_chunk(with, run, chunk_key, working);
        stage_v(run.kind != PM_RUN_FULL);
        more = next_chunk(at);
        if (more) load_k(at.run, at.key, k_at, k.row);
        if (working) multiply_p_v();
    }

    end_rows();
    Place place = Place(item.first_row, item.rows - 1u,
                        push.o_base + item_offset(out_, entry, item.first_row), row_steps(out_),
                        workspace_row + item.slot);
    if (DOES_DIRECT && (item.direct || !DOES_PARTIAL))
        write_finished(place, entry, item, out_.with + entry.head);
    else if (DOES_PARTIAL) write_partial(place);
}
