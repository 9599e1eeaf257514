// SPDX-License-Identifier: MIT
//
// The softmax of `matrix` in registers, where the device reduces matrices, converts them and applies
// functions to their elements (VK_NV_cooperative_matrix2 at the subgroup's scope; the names of
// VK_EXT_cooperative_matrix_maintenance1 differ by their suffix). Scores never leave the registers.
// matrix_slab.glsl is the other form.
//     row_m  each row's reference exponent so far, in all columns
//     sums   of P, fp32: of a row matrix's tiles, column by column
//     p      P of the chunk
// A reduction is of one native matrix: Mesa 26.1.6's CPU driver reduces larger ones wrongly.
#ifndef TULLE_MATRIX_REDUCE_GLSL
#define TULLE_MATRIX_REDUCE_GLSL

ACCUMULATOR row_m[ROW_MATRICES], sums[ROW_MATRICES];
MATRIX_A p[ROW_MATRICES * KEY_TILES];

// A score that is not selected: below all that are, so that none is taken for it.
const float NOT_SELECTED = -2.0 * SOFTMAX_LIMIT;

// What the functions of elements read besides their arguments.
Scoring element_with;
Run element_run;
uint element_key;  // the chunk's first

float larger(const in float a, const in float b) { return max(a, b); }
float both(const in float a, const in float b) { return a + b; }

float full_score(const in uint row, const in uint column, const in float dot_product) {
    return softmax_score(softmax_factor(element_with.scale, HAS_SOFTCAP) * dot_product,
                         element_with.scale, HAS_SOFTCAP, false, 0.0, 0);
}

// first_row: the matrix's in the tile; first_key: in the chunk.
float score(const in uint row, const in uint column, const in float dot_product,
            const in uint first_row, const in uint first_key) {
    const uint r = first_row + row, c = element_key + first_key + column;
    int distance = 0;
    float slope = element_with.slope;
    if (HAS_ALIBI) {
        distance = row_position(item_row(element_with.first_row, r), element_with.q_offset) -
                   int(key_position(element_run, min(c, element_run.count - 1u)));
        if (LISTED_ROWS)
            slope = plan_float(element_with.slope_at + row_head(element_with.first_row, r));
    }
    bool take = true;
    if (element_run.kind == PM_RUN_BAND) take = band_takes(element_run, r, c);
    else if (element_run.kind == PM_RUN_BITS)
        take = ((plan_word(bits_at(element_run, c) + r) >> (c & 31u)) & 1u) != 0u;
    const float z = softmax_score(softmax_factor(element_with.scale, HAS_SOFTCAP) * dot_product,
                                  element_with.scale, HAS_SOFTCAP, HAS_ALIBI, slope, distance);
    return take && c < element_run.count ? z : NOT_SELECTED;
}

float raised(const in uint row, const in uint column, const in float most, const in float before) {
    return most > before + (P_ABOVE + P_GROWTH) ? most - P_ABOVE : before;
}
float shrunk(const in uint row, const in uint column, const in float before, const in float after) {
    return softmax_exp2(before - after);
}
float weight(const in uint row, const in uint column, const in float z, const in float top) {
    return z < -1.5 * SOFTMAX_LIMIT ? 0.0 : softmax_exp2(z - top);
}
float larger_of(const in uint row, const in uint column, const in float a, const in float b) {
    return max(a, b);
}
float in_column_0(const in uint row, const in uint column, const in float x) {
    return column == 0u ? x : 0.0;
}

void begin_rows() {
    [[unroll]] for (uint i = 0u; i < ROW_MATRICES; ++i) {
        row_m[i] = ACCUMULATOR(SOFTMAX_EMPTY);
        sums[i] = ACCUMULATOR(0.0);
    }
}

// x: of each of the subgroup's rows, by lane, to all columns of its matrices.
void spread_rows(float x[LANE_ROWS], out ACCUMULATOR to[ROW_MATRICES]) {
    subgroupBarrier();  // factor's last readers are done
    [[unroll]] for (uint i = 0u; i < LANE_ROWS; ++i)
        if (lane_first()) factor[lane_row(i)] = x[i];
    subgroupBarrier();  // factor is written
    [[unroll]] for (uint i = 0u; i < ROW_MATRICES; ++i)
        coopMatLoad(to[i], factor, own_row() + i * M, 0u, gl_CooperativeMatrixLayoutColumnMajor);
}

// From m and l of the lane's rows.
void resume_rows() {
    ACCUMULATOR spread[ROW_MATRICES];
    spread_rows(m, row_m);
    spread_rows(l, spread);
    [[unroll]] for (uint i = 0u; i < ROW_MATRICES; ++i)
        coopMatPerElementNV(sums[i], spread[i], in_column_0);
}

void find_scores(uint i, bool partial) {
    [[unroll]] for (uint j = 0u; j < KEY_TILES; ++j) {
        const uint n = i * KEY_TILES + j;
        if (HAS_ALIBI || partial) coopMatPerElementNV(s[n], s[n], score, own_row() + i * M, j * N);
        else coopMatPerElementNV(s[n], s[n], full_score);
    }
}

// row_m, with the chunk's scores; o and sums shrink where it changes. It is written last, without a
// copy of what it was: Mesa 26.1.6's CPU driver takes such a copy for the matrix itself.
void raise_rows(uint i) {
    ACCUMULATOR most = s[i * KEY_TILES], after;
    [[unroll]] for (uint j = 1u; j < KEY_TILES; ++j)
        coopMatPerElementNV(most, most, larger_of, s[i * KEY_TILES + j]);
    coopMatReduceNV(most, most, gl_CooperativeMatrixReduceRowNV, larger);
    coopMatPerElementNV(after, most, raised, row_m[i]);
    uint grew = 0u;  // elements
    for (uint e = 0u; e < after.length(); ++e) grew += after[e] != row_m[i][e] ? 1u : 0u;
    if (subgroupAny(grew > 0u)) {
        ACCUMULATOR by;
        coopMatPerElementNV(by, row_m[i], shrunk, after);
        sums[i] *= by;
        [[unroll]] for (uint j = 0u; j < V_TILES; ++j)
            o[i * V_TILES + j] *= by;
        row_m[i] = after;
    }
}

void weigh_chunk(Scoring with, Run run, uint chunk_key, bool working) {
    if (!working) return;
    element_with = with;
    element_run = run;
    element_key = chunk_key;
    [[unroll]] for (uint i = 0u; i < ROW_MATRICES; ++i) {
        find_scores(i, run.kind != PM_RUN_FULL);
        raise_rows(i);
        [[unroll]] for (uint j = 0u; j < KEY_TILES; ++j) {
            ACCUMULATOR x;
            coopMatPerElementNV(x, s[i * KEY_TILES + j], weight, row_m[i]);
            sums[i] += x;
            p[i * KEY_TILES + j] = MATRIX_A(x * with.weight_unit);  // N = K
        }
    }
}

// P of row matrix i and the step-th K keys of the chunk.
MATRIX_A weights(uint i, uint step) { return p[i * KEY_TILES + step]; }

// Column 0 of the subgroup's matrices to its lanes.
void gather_rows(ACCUMULATOR from[ROW_MATRICES], out float to[LANE_ROWS]) {
    subgroupBarrier();  // the slab's last readers are done
    [[unroll]] for (uint i = 0u; i < ROW_MATRICES; ++i)
        coopMatStore(from[i], slab, (own_row() + i * M) * SLAB_STRIDE, SLAB_STRIDE,
                     gl_CooperativeMatrixLayoutRowMajor);
    subgroupBarrier();  // the slab is written
    [[unroll]] for (uint i = 0u; i < LANE_ROWS; ++i)
        to[i] = uintBitsToFloat(slab[lane_row(i) * SLAB_STRIDE].x);
}

void end_rows() {
    [[unroll]] for (uint i = 0u; i < ROW_MATRICES; ++i)
        coopMatReduceNV(sums[i], sums[i], gl_CooperativeMatrixReduceRowNV, both);
    gather_rows(row_m, m);
    gather_rows(sums, l);
}

#endif
