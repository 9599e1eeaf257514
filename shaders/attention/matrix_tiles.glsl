// SPDX-License-Identifier: MIT
//
// What a subgroup of `matrix` holds and what its workgroup shares (matrix.comp). A subgroup owns
// ROW_MATRICES · M query rows and all columns of O; the device says how large a matrix is (M × N × K)
// and which lane holds which element is nowhere assumed. In registers, as matrices:
//     s   scores of its rows × the chunk's keys
//     o   O of its rows, fp32
// and by lanes, each of which has a share of the keys of a row (or whole rows, where they are more
// than lanes):
//     m, l  the row's reference exponent so far, and the sum over the lane's own keys
// The rest is in shared memory; rows are padded by 16 bytes against bank conflicts:
//     q_stage    Q of the item's rows, for all of the item
//     kv_stage   K of a chunk, then its V
//     slab       a subgroup's scores, fp32; P in their place in 16 bits; at the end O
//     factor     a float a row: what its O is multiplied by
#ifndef TULLE_MATRIX_TILES_GLSL
#define TULLE_MATRIX_TILES_GLSL

layout(constant_id = PM_CONSTANT_ROWS_PER_LANE) const uint ROW_MATRICES = 1u;
layout(constant_id = PM_CONSTANT_SUBGROUP) const uint SUBGROUP = 32u;
layout(constant_id = PM_CONSTANT_MATRIX_M) const uint M = 16u;  // 8 or 16
layout(constant_id = PM_CONSTANT_MATRIX_N) const uint N = 16u;  // 8, 16 or 32
layout(constant_id = PM_CONSTANT_MATRIX_K) const uint K = 16u;  // 8, 16 or 32

#ifdef DTYPE_BF16
#define ELEMENT bfloat16_t
#else
#define ELEMENT float16_t
#endif
#define MATRIX_A coopmat<ELEMENT, gl_ScopeSubgroup, M, K, gl_MatrixUseA>
#define MATRIX_B coopmat<ELEMENT, gl_ScopeSubgroup, K, N, gl_MatrixUseB>
#define ACCUMULATOR coopmat<float, gl_ScopeSubgroup, M, N, gl_MatrixUseAccumulator>

// A loop over the steps of a chunk whose P is an array in registers is unrolled (compilers.glsl).
#ifdef REDUCE
#define KEY_STEPS [[unroll]]
#else
#define KEY_STEPS [[dont_unroll]]
#endif

const uint KEYS = CHUNK_KEYS;                  // 32 or 64: a multiple of N and of K
const uint OWN_ROWS = ROW_MATRICES * M;        // of a subgroup
const uint ROWS = TILE_ROWS;                   // of all subgroups
const uint HEAD_STEPS = HEAD_PIECES * 4u / K;  // products along head_dim
const uint KEY_TILES = KEYS / N;               // of scores
const uint V_TILES = V_PIECES * 4u / N;        // of O
const uint BLOCK_PIECES = 8u;  // of O's columns / 4 that pass through the slab; divides V_PIECES

// Lanes to a row, or rows to a lane.
const uint ROW_LANES = SUBGROUP > OWN_ROWS ? SUBGROUP / OWN_ROWS : 1u;
const uint LANE_ROWS = OWN_ROWS > SUBGROUP ? OWN_ROWS / SUBGROUP : 1u;

// P is exp2(z − m) with m at least P_ABOVE below the row's largest score at the time it was set,
// and set anew only when a score passes it by more than P_ABOVE + P_GROWTH. fp16 has 5 bits of
// exponent: so P stays below 2^15 and weights down to 2^-25 of the largest keep all their bits.
#ifdef DTYPE_BF16
const float P_ABOVE = 0.0;
#else
const float P_ABOVE = 11.0;
#endif
const float P_GROWTH = 4.0;

// Bytes of shared memory, as family_matrix.c reckons them.
const uint Q_STRIDE = HEAD_PIECES + 2u;  // uvec2: pieces
const uint V_STRIDE = V_PIECES + 2u;
#ifdef REDUCE
const uint SLAB_STRIDE = BLOCK_PIECES + 1u;  // uvec4: O alone passes through it
#else
const uint SLAB_STRIDE = KEYS / 4u + 1u;  // uvec4
#endif
const uint KV_STRIDE = Q_STRIDE > V_STRIDE ? Q_STRIDE : V_STRIDE;

shared uvec2 q_stage[ROWS * Q_STRIDE];
shared uvec2 kv_stage[KEYS * KV_STRIDE];
shared uvec4 slab[ROWS * SLAB_STRIDE];
shared float factor[ROWS];

layout(std430, set = 0, binding = 0) readonly restrict buffer QueryBuffer { PIECE_T query[]; };
layout(std430, set = 0, binding = 1) readonly restrict buffer KeyBuffer { PIECE_T key[]; };
layout(std430, set = 0, binding = 2) readonly restrict buffer ValueBuffer { PIECE_T value[]; };
layout(std430, set = 0, binding = 3) restrict buffer Workspace { vec4 workspace[]; };
layout(std430, set = 0, binding = 5) writeonly restrict buffer Output { OUT_PIECE_T output_o[]; };
layout(std430, set = 0, binding = 6) writeonly restrict buffer Lse { uint output_lse[]; };

// -------------------------------------------------------------------------------------------------
// What a subgroup and its lanes hold

ACCUMULATOR s[ROW_MATRICES * KEY_TILES], o[ROW_MATRICES * V_TILES];
float m[LANE_ROWS],
    l[LANE_ROWS];  // of the lane's rows, where they pass from lanes to matrices or back

// The subgroup's row 0 in the tile.
uint own_row() { return gl_SubgroupID * OWN_ROWS; }
// The lane's row i in the tile.
uint lane_row(uint i) {
    return own_row() + (ROW_LANES > 1u ? gl_SubgroupInvocationID / ROW_LANES
                                       : gl_SubgroupInvocationID + i * SUBGROUP);
}
bool lane_first() { return ROW_LANES == 1u || gl_SubgroupInvocationID % ROW_LANES == 0u; }

struct Scoring {  // what scores of the item take
    vec3 scale;
    float weight_unit;
    float slope;  // of listed rows each has its own, from slope_at on
    uint slope_at;
    int q_offset;
    uint first_row;
};

#endif
