// SPDX-License-Identifier: MIT
//
// The softmax of `matrix` where nothing but VK_KHR_cooperative_matrix serves: which lane holds which
// element of a matrix is not known, so scores pass through the slab. There each lane has a share of
// the keys of a row (or whole rows, where they are more than lanes). matrix_reduce.glsl is the
// other form.
//     m, l  of the lane's rows: the reference exponent so far, and the sum over the lane's own keys
//     slab  a subgroup's scores, fp32; P in their place in 16 bits
#ifndef TULLE_MATRIX_SLAB_GLSL
#define TULLE_MATRIX_SLAB_GLSL

const uint LANE_KEYS = KEYS / ROW_LANES;  // at least 8: whole uvec4 of P
const uint LANE_QUADS = LANE_KEYS / 4u;

uint lane_key() {  // the lane's first in a chunk
    return ROW_LANES > 1u ? gl_SubgroupInvocationID % ROW_LANES * LANE_KEYS : 0u;
}

// Over the lanes of a row, in one order for all of them.
float row_most(float x) {
    for (uint apart = 1u; apart < ROW_LANES; apart *= 2u) x = max(x, subgroupShuffleXor(x, apart));
    return x;
}
float row_sum(float x) {
    for (uint apart = 1u; apart < ROW_LANES; apart *= 2u) x += subgroupShuffleXor(x, apart);
    return x;
}

void begin_rows() {}
void resume_rows() {}  // m and l are the state

void store_scores() {
    [[unroll]] for (uint i = 0u; i < ROW_MATRICES; ++i) [[unroll]]
        for (uint j = 0u; j < KEY_TILES; ++j)
            coopMatStore(s[i * KEY_TILES + j], slab,
                         (own_row() + i * M) * SLAB_STRIDE + j * (N / 4u), SLAB_STRIDE,
                         gl_CooperativeMatrixLayoutRowMajor);
}

// The scores of lane row i's four keys from chunk key c on; those that are not selected are EMPTY.
vec4 score_quad(vec4 dots, Scoring with, Run run, RowKeys keys, uint bits, uint row, uint c,
                out uint taken) {
    vec4 z;
    float slope = with.slope;
    if (LISTED_ROWS && HAS_ALIBI) slope = plan_float(with.slope_at + row_head(with.first_row, row));
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
                                          with.scale, HAS_SOFTCAP, HAS_ALIBI, slope, distance);
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
void weigh(bool partial, float weight_unit) {
    [[unroll]] for (uint i = 0u; i < LANE_ROWS; ++i) {
        const uint at = lane_row(i) * SLAB_STRIDE + lane_key() / 8u;
        [[unroll]] for (uint n = 0u; n < LANE_QUADS; n += 2u) {
            vec4 p[2];
            [[unroll]] for (uint half_ = 0u; half_ < 2u; ++half_) {
                const vec4 quad = z[i * LANE_QUADS + n + half_];
                [[unroll]] for (uint e = 0u; e < 4u; ++e) {
                    p[half_][e] =
                        softmax_weight(quad[e], m[i], partial,
                                       (taken[i * LANE_QUADS + n + half_] & (1u << e)) != 0u);
                    l[i] += p[half_][e];
                }
                p[half_] *= weight_unit;
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
        [[unroll]] for (uint j = 0u; j < V_TILES; ++j)
            o[i * V_TILES + j] *= by;
    }
}

void weigh_chunk(Scoring with, Run run, uint chunk_key, bool working) {
    bool grew = false;
    if (working) store_scores();
    subgroupBarrier();  // the slab is written
    if (working) grew = find_scores(with, run, chunk_key);
    if (ROW_LANES > 1u) subgroupBarrier();  // the scores are read: P takes their place
    if (working) weigh(run.kind != PM_RUN_FULL, with.weight_unit);
    subgroupBarrier();  // P and factor are written
    if (subgroupAny(grew)) shrink();
}

// P of row matrix i and the step-th K keys of the chunk.
MATRIX_A weights(uint i, uint step) {
    MATRIX_A p;
    coopMatLoad(p, slab, (own_row() + i * M) * SLAB_STRIDE + step * (K / 8u), SLAB_STRIDE,
                gl_CooperativeMatrixLayoutRowMajor);
    return p;
}

void end_rows() {
    [[unroll]] for (uint i = 0u; i < LANE_ROWS; ++i)
        l[i] = row_sum(l[i]);
}

#endif
