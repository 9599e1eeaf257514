// SPDX-License-Identifier: MIT
//
// Attention on CPU drivers that read well through addresses (Mesa 26.1 lavapipe): the rows family,
// way A.
//
// A workgroup is one subgroup, and a lane owns ROWS_PER_LANE query rows: q (times the scale) and
// the accumulator o live in private arrays of its registers. All lanes read the same key at a time,
// so nothing is shared and there is no barrier. Q, K, V, O, LSE, workspace and plan are reached by
// address: the driver then folds each element of K and V into the multiplication as a memory
// broadcast, where a storage buffer would cost it a bounds check per load.
//
// What that rests on (Mesa 26.1.6, from its machine code; keep it so):
//   - Addresses of K and V must be uniform: made of push constants, gl_WorkGroupID and what is read
//     through such addresses. Anything that depends on the lane turns every load into a gather.
//   - 64-bit addresses that differ by lane must not be assembled from two words: with 16 lanes (a
//     vector width of 512 bit) that overruns a stack array of the driver's compiler, and the
//     process dies. So a lane's own row of O is reached by a signed 32-bit index from a uniform
//     address (Q's rows each by a uniform one: own_piece), and carries are made by bit arithmetic
//     (uaddCarry and a comparison become the same instruction).
//   - Loops over chunks and runs test at their end: one that tests at its start runs its body once
//     more, under an empty mask. Branches on uniform values are real ones.
//   - Loops over pieces and keys are unrolled, so that every array index is a constant. Those that
//     read Q and write O of a large head are not, nor those that read partial results: they go
//     through an array in memory, indexed by the loop, so that the registers' arrays are not.
//   - Selecting in a partial chunk is free with AVX-512, whose multiplication takes a mask.
//
// No descriptors: everything is in the push constants. Constants as in plan_memory.h, and 7: rows
// per lane; tile rows = workgroup size · rows per lane; keys per chunk: any power of 2 up to 32.
#version 450
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require

#define TULLE_PLAN_ADDRESS
#include "../common/plan.glsl"
#define F16_BY_INTEGERS
#include "../common/dtype.glsl"
#include "../common/softmax.glsl"
#include "../common/address.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 7) const uint ROWS_PER_LANE = 1u;

const uint C = CHUNK_KEYS;
const uint R = ROWS_PER_LANE;

// Whether full runs have a loop of their own, and whether what reads Q and what writes O is
// unrolled: as far as the driver compiles all of it in well under 2 s (variant.c has the figures).
const bool FULL_LOOP = R * C * (HEAD_PIECES + V_PIECES) <= 320u;
const bool UNROLL_Q = R * HEAD_PIECES <= 48u;
const bool UNROLL_O = R * V_PIECES <= 16u;

// The lane's rows. Indices: [r · pieces + d].
vec4 q[R * HEAD_PIECES];
vec4 o[R * V_PIECES];
float m[R], l[R];
uint row[R];  // of the item; rows past its last repeat that one
int position[R];

// The same for all lanes.
uvec2 k_head, v_head;
uint k_stride, v_stride, head_last, v_last;
vec3 scale;
float slope;

// Takes keys c … c + C − 1 of the run. Partial: row r takes those with c − lo[r] < span[r]
// (unsigned) or whose bit is set; the others' scores and products are selected away, whatever K and
// V hold there.
void chunk(const bool partial, Run run, uint c, int lo[R], uint span[R]) {
    uvec2 k_at[C], v_at[C];
    uint key[C];
    [[unroll]] for (uint i = 0u; i < C; i++) {
        uint e = c + i;
        if (partial) e = min(e, run.count - 1u);  // keys past the run's last do not exist
        key[i] = run.first + e * push.step;
        if (run.list) key[i] = plan_word(run.first + e);
        k_at[i] = advance(k_head, key[i] * k_stride, PIECE_SHIFT);
        v_at[i] = advance(v_head, key[i] * v_stride, PIECE_SHIFT);
    }

    float s[R * C];
    [[unroll]] for (uint x = 0u; x < R * C; x++)
        s[x] = 0.0;
    [[unroll]] for (uint d = 0u; d < HEAD_PIECES; d++) {
        const uint e = EXACT != 0u ? d : min(d, head_last);  // q is 0 past the last piece
        [[unroll]] for (uint i = 0u; i < C; i++) {
            const vec4 k = piece_to_float(Pieces(k_at[i]).piece[e]);
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
        if (partial) {
            if (run.kind == PM_RUN_BITS) {
                const uvec2 words = advance(
                    push.plan_address, (push.segment << 2) + run.bits + (c >> 5) * TILE_ROWS, 2u);
                bits = Words(words).word[int(row[r])] >> (c & 31u);
            }
        }
        float top = m[r];
        [[unroll]] for (uint i = 0u; i < C; i++) {
            float z = s[r * C + i];
            if (HAS_SOFTCAP) z = scale.z * softmax_tanh(z);
            if (HAS_ALIBI) z -= slope * float(abs(position[r] - int(key[i])));
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

    [[unroll]] for (uint d = 0u; d < V_PIECES; d++) {
        const uint e = EXACT != 0u ? d : min(d, v_last);  // columns past the last are not written
        vec4 sum[R];
        [[unroll]] for (uint r = 0u; r < R; r++)
            sum[r] = o[r * V_PIECES + d] * shrink[r];
        [[unroll]] for (uint i = 0u; i < C; i++) {
            const vec4 v = piece_to_float(Pieces(v_at[i]).piece[e]);
            [[unroll]] for (uint r = 0u; r < R; r++) {
                vec4 product = s[r * C + i] * v;
                if (partial) product = mix(vec4(0.0), product, bvec4(take[r * C + i]));  // 0 · NaN
                sum[r] += product;
            }
        }
        [[unroll]] for (uint r = 0u; r < R; r++)
            o[r * V_PIECES + d] = sum[r];
    }
}

// Piece d of the lane's row, of those that begin at `at`; 0 past the last. Every lane reads the
// rows of all, by uniform addresses, and keeps its own: loads whose addresses differ by lane are
// made one by one, each behind a test of its lane's mask. What is selected is read before: of an
// expression in its place glslang would make a branch.
vec4 own_piece(uvec2 at[WORKGROUP], uint lane, uint d) {
    const uint e = min(d, head_last);
    PIECE_T own = Pieces(at[0]).piece[e];
    [[unroll]] for (uint w = 1u; w < WORKGROUP; w++) {
        const PIECE_T other = Pieces(at[w]).piece[e];
        own = lane == w ? other : own;
    }
    const vec4 x = piece_to_float(own), none = vec4(0.0);
    return EXACT != 0u || d <= head_last ? x : none;
}

// The same for vectors of the workspace.
vec4 own_vector(uvec2 at[WORKGROUP], uint lane, uint d) {
    vec4 own = Vectors(at[0]).vector[d];
    [[unroll]] for (uint w = 1u; w < WORKGROUP; w++) {
        const vec4 other = Vectors(at[w]).vector[d];
        own = lane == w ? other : own;
    }
    return own;
}

void write_piece(const bool finished, uvec2 to, uint at, vec4 x) {
    if (finished) store_piece(to, at, x);
    else store_vector(to, at, x);
}

// Row r of the lane, times `factor`, from piece `at` on: to O, or where it is not finished to the
// workspace. A store by lanes is a branch for each lane where the processor cannot scatter (AVX2):
// unrolled they run faster, but over a head of 128 take longer to compile than the loops over keys.
void write_row(const bool finished, uvec2 to, uint at, uint r, float factor) {
    if (UNROLL_O) {
        [[unroll]] for (uint d = 0u; d < V_PIECES; d++)
            if (EXACT != 0u || d <= v_last)
                write_piece(finished, to, at + d, o[r * V_PIECES + d] * factor);
    } else {
        vec4 pieces[V_PIECES];
        [[unroll]] for (uint d = 0u; d < V_PIECES; d++)
            pieces[d] = o[r * V_PIECES + d] * factor;
        [[dont_unroll]] for (uint d = 0u; d <= v_last; d++)
            write_piece(finished, to, at + d, pieces[d]);
    }
}

// Rows past the item's last repeat that one.
uint item_row(Item item, uint r) { return min(r, item.rows - 1u); }

// Takes up what is there of the item's rows: the workspace rows that the item names, of those from
// `first` on.
void resume(Item item, uint lane, uint first, uint row_vectors) {
    [[unroll]] for (uint r = 0u; r < R; r++) {
        uvec2 at[WORKGROUP];
        bool none = false;  // of the lane's row
        [[unroll]] for (uint w = 0u; w < WORKGROUP; w++) {
            const uint slot = plan_word(item.slot + item_row(item, w + r * WORKGROUP));
            at[w] = advance(push.workspace_address,
                            (first + (slot == PM_SLOT_NONE ? 0u : slot)) * row_vectors, 4u);
            none = lane == w ? slot == PM_SLOT_NONE : none;
        }
        vec4 vectors[V_PIECES];
        [[dont_unroll]] for (uint d = 0u; d < V_PIECES; d++)
            vectors[d] = own_vector(at, lane, min(d, v_last));
        const vec4 state = own_vector(at, lane, v_last + 1u), empty = vec4(0.0);
        [[unroll]] for (uint d = 0u; d < V_PIECES; d++) {
            const vec4 x = vectors[d];
            o[r * V_PIECES + d] = none ? empty : x;
        }
        const float empty_m = m[r], state_m = state.x, state_l = state.y;
        m[r] = none ? empty_m : state_m;
        l[r] = none ? 0.0 : state_l;
    }
}

// Where a row of the item begins in Q.
uvec2 q_row(Item item, uvec2 head, uint stride, uint r) {
    return advance(head, (item.first_row + item_row(item, r) * push.step) * stride, PIECE_SHIFT);
}

// Reads a word in every 64 bytes of the item's rows, of Q and of what will be written (from
// `out_first` on, `out_stride` times 8 bytes from row to row). Reading Q and writing O meet their
// lines a few at a time, and would wait for each few; this waits for all at once, which took 0.15
// off the time of a window of 64 keys and 0.06 off that of one of 256 (26.1.6, 2026-11-26).
uint touch_rows(Item item, uvec2 q_head, uint q_stride, uvec2 out_first, uint out_stride) {
    uint all = 0u;
    [[unroll]] for (uint r = 0u; r < TILE_ROWS; r++) {
        const uvec2 q_at = q_row(item, q_head, q_stride, r),
                    out_at = advance(out_first, item_row(item, r) * out_stride, 3u);
        [[unroll]] for (uint d = 0u; d < HEAD_PIECES; d += LINE_PIECES)
            all ^= Words(q_at).word[(EXACT != 0u ? d : min(d, head_last)) * (PIECE_BYTES / 4u)];
        [[unroll]] for (uint d = 0u; d < V_PIECES; d += OUT_LINE_PIECES)
            all ^= Words(out_at).word[(EXACT != 0u ? d : min(d, v_last)) * (OUT_PIECE_BYTES / 4u)];
    }
    return all;
}

void main() {
    const uint lane = gl_LocalInvocationID.x;
    const Item item = plan_item(gl_WorkGroupID.x);
    const uint entry = push.bh_first + gl_WorkGroupID.y;
    const uvec4 shape = plan_texel(PM_HEADER_SHAPE), q_header = plan_texel(PM_HEADER_Q),
                k_header = plan_texel(PM_HEADER_K), v_header = plan_texel(PM_HEADER_V),
                o_header = plan_texel(PM_HEADER_O);
    const BatchHead bh = plan_batch_head(shape, push.bh_list, entry);
    k_head = advance(push.k_address, push.k_base + bh.batch * k_header.x + bh.kv_head * k_header.y,
                     PIECE_SHIFT);
    v_head = advance(push.v_address, push.v_base + bh.batch * v_header.x + bh.kv_head * v_header.y,
                     PIECE_SHIFT);
    k_stride = k_header.z;
    v_stride = v_header.z;
    head_last = q_header.w - 1u;
    v_last = k_header.w - 1u;
    scale = uintBitsToFloat(plan_texel(PM_HEADER_SCALE).xyz);
    slope = 0.0;
    if (HAS_ALIBI) slope = plan_float(v_header.w + bh.head);

    const uvec2 q_head = advance(
        push.q_address, push.q_base + bh.batch * q_header.x + bh.head * q_header.y, PIECE_SHIFT);
    const uvec2 out_head =
        advance(push.o_address, push.o_base + bh.batch * o_header.x + bh.head * o_header.y,
                OUT_PIECE_SHIFT);
    // Where the item's rows are written to, and how far apart: pieces of O, or vectors of the
    // workspace.
    const uint row_pieces = push.step * o_header.z, row_vectors = v_last + 2u;
    const uint ws_row = push.ws_row_base + entry * push.ws_rows;
    const uvec2 partials = advance(push.workspace_address, (ws_row + item.slot) * row_vectors, 4u);
    const uvec2 to =
        item.direct ? advance(out_head, item.first_row * o_header.z, OUT_PIECE_SHIFT) : partials;
    const uint touched =
        touch_rows(item, q_head, q_header.z, to,
                   item.direct ? row_pieces * (OUT_PIECE_BYTES / 8u) : row_vectors * 2u);

    const float factor = HAS_SOFTCAP ? scale.y : scale.x;
    [[unroll]] for (uint r = 0u; r < R; r++) {
        row[r] = item_row(item, lane + r * WORKGROUP);
        position[r] = int(item.first_row + row[r] * push.step) + push.q_offset;
        uvec2 q_at[WORKGROUP];
        [[unroll]] for (uint w = 0u; w < WORKGROUP; w++)
            q_at[w] = q_row(item, q_head, q_header.z, w + r * WORKGROUP);
        if (UNROLL_Q) {
            [[unroll]] for (uint d = 0u; d < HEAD_PIECES; d++)
                q[r * HEAD_PIECES + d] = own_piece(q_at, lane, d) * factor;
        } else {
            vec4 pieces[HEAD_PIECES];
            [[dont_unroll]] for (uint d = 0u; d < HEAD_PIECES; d++)
                pieces[d] = own_piece(q_at, lane, d) * factor;
            [[unroll]] for (uint d = 0u; d < HEAD_PIECES; d++)
                q[r * HEAD_PIECES + d] = pieces[d];
        }
        [[unroll]] for (uint d = 0u; d < V_PIECES; d++)
            o[r * V_PIECES + d] = vec4(0.0);
        // never `touched`, but the driver does not know
        m[r] = push.zero != 0u ? float(touched) : SOFTMAX_EMPTY;
        l[r] = 0.0;
    }
    if (item.resumes) resume(item, lane, ws_row, row_vectors);

    // Full runs first, as long as they lead; all others, and full ones that come after one of
    // these, in a second loop. Two loops rather than a branch in one keep the hot body, some 20 KB,
    // alone in the instruction cache. Without FULL_LOOP the second takes all, since the driver
    // would take too long to compile both.
    int lo[R];
    uint span[R];
    uint n = 0u;
    if (item.run_count > 0u) {
        Run run = plan_run(item.runs);
        if (FULL_LOOP && run.kind == PM_RUN_FULL) {
            do {
                uint c = 0u;
                do {
                    chunk(false, run, c, lo, span);
                    c += C;
                } while (c < run.count);
                n++;
                if (n < item.run_count) run = plan_run(item.runs + n);
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
                if (n < item.run_count) run = plan_run(item.runs + n);
            } while (n < item.run_count);
        }
    }

    if (item.direct) {
        OutWords lse_head =
            OutWords(advance(push.lse_address, push.lse_base + bh.index * shape.z, 2u));
        [[unroll]] for (uint r = 0u; r < R; r++) {
            if (lane + r * WORKGROUP < item.rows) {
                const uint i = item.first_row + row[r] * push.step;
                float inverse = 1.0;
                if (HAS_SINK && !item.dead)
                    inverse = softmax_sink(m[r], l[r], plan_float(o_header.w + bh.head));
                inverse *= softmax_inverse(l[r]);
                write_row(true, to, row[r] * row_pieces, r, inverse);
                if (HAS_LSE) lse_head.word[int(i)] = softmax_lse_bits(m[r], l[r]);
            }
        }
    } else {
        [[unroll]] for (uint r = 0u; r < R; r++) {
            if (lane + r * WORKGROUP < item.rows) {
                const uint at = row[r] * row_vectors;
                write_row(false, to, at, r, 1.0);
                store_vector(to, at + v_last + 1u, vec4(m[r], l[r], 0.0, 0.0));
            }
        }
    }
}
