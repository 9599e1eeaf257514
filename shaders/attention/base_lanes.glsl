// SPDX-License-Identifier: MIT
//
// What the lanes of `base` hold and share (base.comp). Registers decide on GPUs, so a workgroup's
// lanes form ROW GROUPS × COLUMN GROUPS (lane = row group · CG + column group), and a lane holds,
// for its TM rows,
//     s   TM × TN scores: keys column + j·CG of a chunk of CG·TN keys; then their weights P
//     o   TM × V_LANE pieces of O: pieces column + b·CG
//     l   of each row the sum over this lane's own keys
// s and o are two arrays each, of the lane's even rows and of its odd ones (compilers.glsl). The
// rest is in shared memory:
//     row_max    each row's maximum m so far
//     stage      Q's and K's pieces for a chunk of DIM_PIECES of head_dim, transposed; later V's
//     exchange   the maxima of a row by column group; later P, transposed: [key][row]
//     keep       what is the same for all lanes and needed seldom; keep_texels: as it was read
#ifndef TULLE_BASE_LANES_GLSL
#define TULLE_BASE_LANES_GLSL

layout(constant_id = PM_CONSTANT_ROWS_PER_LANE) const uint TM = 4u;   // even
layout(constant_id = PM_CONSTANT_KEYS_PER_LANE) const uint TN = 2u;   // TM · TN ≤ 32
layout(constant_id = PM_CONSTANT_COLUMN_GROUPS) const uint CG = 16u;  // 8, 16 or 32

const uint TM2 = TM / 2u;
const bool FRUGAL = TM == 2u;           // the shape for GPUs with few registers
const uint ROWS = WORKGROUP / CG * TM;  // = TILE_ROWS
const uint KEYS = CG * TN;              // = CHUNK_KEYS, a power of two

// Stage. Q and K: stage[piece · (ROWS + 1) + row], then the same of K; the odd stride keeps lanes
// that write neighbouring pieces off each other's banks. V: stage[key · V_PIECES + piece].
const uint DIM_FIT = KEYS > 32u ? 4u : 8u;  // so that a lane moves at most two pieces of K at once
const uint DIM_PIECES = HEAD_PIECES < DIM_FIT ? HEAD_PIECES : DIM_FIT;
const uint DIM_CHUNKS = (HEAD_PIECES + DIM_PIECES - 1u) / DIM_PIECES;
const bool DIM_CHECK = (HEAD_PIECES % DIM_PIECES == 0u ? EXACT : 0u) == 0u;
const uint Q_STRIDE = ROWS + 1u;
const uint K_STRIDE = KEYS + 1u;
const uint K_STAGE = DIM_PIECES * Q_STRIDE;
const uint QK_STAGE = K_STAGE + DIM_PIECES * K_STRIDE;
// keys of V that are staged at once: the most whose pieces fit 512 vec4 (8 KiB), 256 where
// registers are few
const uint V_FIT = (V_PIECES > 64u   ? 4u
                    : V_PIECES > 32u ? 8u
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
// Keys of V at a time; more would only fill registers with V. One where TN = 1 and V_LANE = 2, or
// the Raspberry Pi spills (docs/measurements/2026-11-26-compilers.md).
const uint UNROLL_KEYS = V_LANE > 2u ? 1u : V_LANE > 1u ? (TN > 1u ? 2u : 1u) : 4u;

// Bytes of shared memory, as family_base.c reckons them: 16 · max(QK_STAGE, V_STAGE) + 8 · KEYS ·
// X_STRIDE + 4 · ROWS, keep and keep_texels.
shared vec4 stage[QK_STAGE > V_STAGE ? QK_STAGE : V_STAGE];
shared vec2 exchange[KEYS * X_STRIDE];
shared float row_max[ROWS];

// Many GPUs would hold these in every lane's registers.
struct Keep {
    vec3 scale;
    float slope, weight_unit;  // of listed rows each has its own slope
    uint first_row;            // of the item
    uint last;                 //   rows − 1
    uint direct, dead;
    uint slot;
    uint last_run;  // past its last: texel
    int q_offset;
    RowSteps q_steps, o_steps;
    uint q_at;  // the item's row 0 in Q
    uint o_at, lse_at, sink_at, slope_at;
    uint k_at, k_stride, v_at, v_stride;
    uint head_pieces, v_pieces;
    uint zero;
};
shared Keep keep;

// The run at hand, and where paged keys lie: only a kernel of such has room for that.
const uint KEEP_RUN = 0u, KEEP_PAGES = PAGED ? 1u : 0u;
shared uvec4 keep_texels[PAGED ? 2 : 1];

layout(std430, set = 0, binding = 0) readonly restrict buffer QueryBuffer { PIECE_T query[]; };
layout(std430, set = 0, binding = 1) readonly restrict buffer KeyBuffer { PIECE_T key[]; };
layout(std430, set = 0, binding = 2) readonly restrict buffer ValueBuffer { PIECE_T value[]; };
#ifdef RESUME
layout(std430, set = 0, binding = 3) readonly restrict buffer Workspace { vec4 workspace[]; };
#else
layout(std430, set = 0, binding = 3) writeonly restrict buffer Workspace { vec4 workspace[]; };
#endif
#ifdef DIRECT
layout(std430, set = 0, binding = 5) writeonly restrict buffer Output { OUT_PIECE_T output_o[]; };
layout(std430, set = 0, binding = 6) writeonly restrict buffer Lse { uint output_lse[]; };
#endif

// -------------------------------------------------------------------------------------------------
// What a lane holds

vec4 o_even[TM2 * V_LANE], o_odd[TM2 * V_LANE];
float l[TM];
float s_even[TM2 * TN], s_odd[TM2 * TN];
float before[TM], top[TM];  // the rows' maxima before this chunk, and with it

// A lane's place, formed anew in each phase: where registers are few it hides behind an opaque zero.
struct Lane {
    uint number, column;
    uint row;  // its rows are row … row + TM − 1
};

Lane this_lane() {
    Lane lane;
    lane.number = gl_LocalInvocationIndex + (FRUGAL ? keep.zero : 0u);
    lane.column = lane.number % CG;
    lane.row = lane.number / CG * TM;
    return lane;
}

Run current_run() { return plan_run(keep_texels[KEEP_RUN]); }

Pages kept_pages() {
    const uvec4 t = keep_texels[KEEP_PAGES];
    return Pages(t.x, t.y, t.z, t.w);
}

#endif
