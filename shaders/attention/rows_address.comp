// SPDX-License-Identifier: MIT
//
// Attention on CPU drivers that read well through addresses (Mesa 26.1 lavapipe): a kernel of the
// rows family (rows.glsl). Q, K, V, O, LSE, workspace and plan are reached by address: the driver
// then folds each element of K and V into the multiplication as a memory broadcast, where a storage
// buffer would cost it a bounds check per load.
//
// What that rests on (Mesa 26.1.6, from its machine code; keep it so):
//   - Addresses of K and V must be uniform: made of push constants, gl_WorkGroupID and what is read
//     through such addresses. Anything that depends on the lane turns every load into a gather.
//   - 64-bit addresses that differ by lane must not be assembled from two words: with 16 lanes (a
//     vector width of 512 bit) that overruns a stack array of the driver's compiler, and the
//     process dies. So a lane's own row of O is reached by a signed 32-bit index from a uniform
//     address (Q's rows each by a uniform one: own_piece), and carries are made by bit arithmetic
//     (uaddCarry and a comparison become the same instruction).
//   - Loops that read Q and write O of a large head, and those that read partial results, are not
//     unrolled: they go through an array in memory, so that the registers' arrays are not.
//   - Selecting in a partial chunk is free with AVX-512, whose multiplication takes a mask.
//     Branches on uniform values are real ones.
//
// No descriptors. Keys per chunk: any power of 2 up to 32.
#version 450
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require

#define BY_ADDRESS
#define F16_BY_INTEGERS
#define READS_PAGES
#include "../common/place.glsl"
#include "../common/dtype.glsl"
#include "../common/softmax.glsl"
#include "../common/select.glsl"
#include "../common/compilers.glsl"
#include "../common/address.glsl"
#include "rows.glsl"

layout(local_size_x_id = 0) in;

// As far as the driver compiles all of it in well under 2 s (docs/measurements/2026-11-26-cpu.md).
const bool FULL_LOOP = R * C * (HEAD_PIECES + V_PIECES) <= 320u;
const bool UNROLL_Q = R * HEAD_PIECES <= 48u;
const bool UNROLL_O = R * V_PIECES <= 16u;

// -------------------------------------------------------------------------------------------------
// Keys

uvec2 k_head, v_head;  // where the entry's key 0 lies
uint k_stride, v_stride;
Pages pages;
uint key[C];  // positions, of the chunk at hand

int key_at(uint i) { return int(key[i]); }

uint row_bits(Run run, uint c, uint r) {
    uint bits = 0u;
    if (run.kind == PM_RUN_BITS) {
        const uvec2 words = advance(address.plan, (push.segment << 2) + bits_at(run, c), 2u);
        bits = Words(words).word[int(row[r])];
    }
    return bits;
}

void chunk(const bool partial, Run run, uint c) {
    uvec2 k_at[C], v_at[C];
    [[unroll]] for (uint i = 0u; i < C; i++) {
        uint e = c + i;
        if (partial) e = min(e, run.count - 1u);  // keys past the run's last do not exist
        key[i] = key_position(run, e);
        const KeyPlace place = key_place(key[i], pages);
        k_at[i] = advance(k_head, key_offset(place, pages.k, k_stride), PIECE_SHIFT);
        v_at[i] = advance(v_head, key_offset(place, pages.v, v_stride), PIECE_SHIFT);
    }

    [[unroll]] for (uint x = 0u; x < R * C; x++)
        s[x] = 0.0;
    [[unroll]] for (uint d = 0u; d < HEAD_PIECES; d++) {
        const uint e = EXACT != 0u ? d : min(d, head_last);  // q is 0 past the last piece
        [[unroll]] for (uint i = 0u; i < C; i++) {
            const vec4 k = piece_to_float(Pieces(k_at[i]).piece[e]);
            [[unroll]] for (uint r = 0u; r < R; r++)
                add_dot(r, i, q[r * HEAD_PIECES + d], k);
        }
    }

    weigh(partial, run, c);

    [[unroll]] for (uint d = 0u; d < V_PIECES; d++) {
        const uint e = EXACT != 0u ? d : min(d, v_last);  // columns past the last are not written
        vec4 sum[R];
        [[unroll]] for (uint r = 0u; r < R; r++)
            sum[r] = o[r * V_PIECES + d] * shrink[r];
        [[unroll]] for (uint i = 0u; i < C; i++) {
            const vec4 v = piece_to_float(Pieces(v_at[i]).piece[e]);
            [[unroll]] for (uint r = 0u; r < R; r++) {
                vec4 product = s[r * C + i] * v;
                if (partial)  // 0 · NaN
                    product = mix(vec4(0.0), product, bvec4(take[r * C + i]));
                sum[r] += product;
            }
        }
        [[unroll]] for (uint r = 0u; r < R; r++)
            o[r * V_PIECES + d] = sum[r];
    }
}

// -------------------------------------------------------------------------------------------------
// Rows

// Piece d of the lane's row, of those that begin at `at`; 0 past the last. Every lane reads the
// rows of all, by uniform addresses, and keeps its own: loads whose addresses differ by lane are
// made one by one, each behind a test of its lane's mask.
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

// Row r of the item, from its row 0 in Q on.
uvec2 q_row(Item item, uvec2 item_q, RowSteps q_steps, uint r) {
    return advance(item_q, row_offset(item.first_row, clamped_row(item, r), q_steps), PIECE_SHIFT);
}

void load_q(Item item, uvec2 item_q, RowSteps q_steps, uint lane, uint r) {
    const float factor = softmax_factor(scale, HAS_SOFTCAP);
    uvec2 at[WORKGROUP];
    [[unroll]] for (uint w = 0u; w < WORKGROUP; w++)
        at[w] = q_row(item, item_q, q_steps, w + r * WORKGROUP);
    if (UNROLL_Q) {
        [[unroll]] for (uint d = 0u; d < HEAD_PIECES; d++)
            q[r * HEAD_PIECES + d] = own_piece(at, lane, d) * factor;
    } else {
        vec4 pieces[HEAD_PIECES];
        [[dont_unroll]] for (uint d = 0u; d < HEAD_PIECES; d++)
            pieces[d] = own_piece(at, lane, d) * factor;
        [[unroll]] for (uint d = 0u; d < HEAD_PIECES; d++)
            q[r * HEAD_PIECES + d] = pieces[d];
    }
}

// Takes up what is there of the item's rows: the workspace rows that the item names, of those from
// `first` on.
void resume(Item item, uint lane, uint first, uint row_vectors) {
    [[unroll]] for (uint r = 0u; r < R; r++) {
        uvec2 at[WORKGROUP];
        bool none = false;  // of the lane's row
        [[unroll]] for (uint w = 0u; w < WORKGROUP; w++) {
            const uint slot = plan_word(item.slot + clamped_row(item, w + r * WORKGROUP));
            at[w] = advance(address.workspace,
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

// -------------------------------------------------------------------------------------------------
// Where rows are written to

struct Target {
    bool finished;  // O, else the workspace
    uvec2 first;    // of the item's row 0
    RowSteps by;    // pieces of O, or vectors
};

// Row r from the first on. The workspace's rows are those of the item.
uint target_row(Item item, Target to, uint r) {
    return LISTED_ROWS && to.finished ? row_offset(item.first_row, r, to.by) : r * to.by.row;
}

// Reads a word in every 64 bytes of the item's rows, of Q and of what will be written. Reading Q and
// writing O meet their lines a few at a time, and would wait for each few; this waits for all at
// once (docs/measurements/2026-11-26-cpu.md).
uint touch_rows(Item item, uvec2 item_q, RowSteps q_steps, Target to) {
    const uint eights = to.finished ? OUT_PIECE_BYTES / 8u : 2u;  // a piece, of 8 bytes
    uint all = 0u;
    [[unroll]] for (uint r = 0u; r < TILE_ROWS; r++) {
        const uvec2 q_at = q_row(item, item_q, q_steps, r),
                    out_at =
                        advance(to.first, target_row(item, to, clamped_row(item, r)) * eights, 3u);
        [[unroll]] for (uint d = 0u; d < HEAD_PIECES; d += LINE_PIECES)
            all ^= Words(q_at).word[(EXACT != 0u ? d : min(d, head_last)) * (PIECE_BYTES / 4u)];
        [[unroll]] for (uint d = 0u; d < V_PIECES; d += OUT_LINE_PIECES)
            all ^= Words(out_at).word[(EXACT != 0u ? d : min(d, v_last)) * (OUT_PIECE_BYTES / 4u)];
    }
    return all;
}

void write_piece(Target to, const bool finished, uint at, vec4 x) {
    if (finished) store_piece(to.first, at, x);
    else store_vector(to.first, at, x);
}

// Row r of the lane, times `factor`. A store by lanes is a branch for each lane where the processor
// cannot scatter (AVX2): unrolled they run faster, but over a head of 128 take longer to compile
// than the loops over keys.
void write_row(Item item, Target to, const bool finished, uint r, float factor) {
    const uint at = target_row(item, to, row[r]);
    if (UNROLL_O) {
        [[unroll]] for (uint d = 0u; d < V_PIECES; d++)
            if (EXACT != 0u || d <= v_last)
                write_piece(to, finished, at + d, o[r * V_PIECES + d] * factor);
    } else {
        vec4 pieces[V_PIECES];
        [[unroll]] for (uint d = 0u; d < V_PIECES; d++)
            pieces[d] = o[r * V_PIECES + d] * factor;
        [[dont_unroll]] for (uint d = 0u; d <= v_last; d++)
            write_piece(to, finished, at + d, pieces[d]);
    }
}

void write_rows(Item item, Entry entry, uint sink_at, Target to, uint lane) {
    OutWords lse = OutWords(advance(address.lse, push.lse_base + lse_offset(entry), 2u));
    [[unroll]] for (uint r = 0u; r < R; r++) {
        if (lane + r * WORKGROUP < item.rows) {
            if (to.finished) {
                const float factor = finish_row(item, sink_at, r);
                write_row(item, to, true, r, factor);
                if (HAS_LSE)
                    lse.word[int(lse_row(item_row(item.first_row, row[r]),
                                         row_head(item.first_row, row[r])))] =
                        softmax_lse_bits(m[r], l[r]);
            } else {
                write_row(item, to, false, r, 1.0);
                store_vector(to.first, row[r] * to.by.row + v_last + 1u,
                             vec4(m[r], l[r], 0.0, 0.0));
            }
        }
    }
}

void main() {
    const uint lane = gl_LocalInvocationID.x;
    const Group group = item_group();
    const Item item = plan_item(plan_texel(item_at()));
    const Entry entry = plan_entry(group);
    const pm_strides q_strides = plan_strides(PM_HEADER_Q), k_strides = plan_strides(PM_HEADER_K),
                     v_strides = plan_strides(PM_HEADER_V), o_strides = plan_strides(PM_HEADER_O);
    head_last = q_strides.with - 1u;
    v_last = k_strides.with - 1u;
    scale = plan_scale();
    weight_unit = plan_weight_unit();
    slope = 0.0;
    if (HAS_ALIBI) slope = plan_float(v_strides.with + entry.head);
    k_head = advance(address.k, push.k_base + keys_offset(k_strides, entry), PIECE_SHIFT);
    v_head = advance(address.v, push.v_base + keys_offset(v_strides, entry), PIECE_SHIFT);
    k_stride = k_strides.row;
    v_stride = v_strides.row;
    if (PAGED) pages = entry_pages(group);

    const uvec2 item_q = advance(
        address.q, push.q_base + item_offset(q_strides, entry, item.first_row), PIECE_SHIFT);
    const uvec2 item_o = advance(
        address.o, push.o_base + item_offset(o_strides, entry, item.first_row), OUT_PIECE_SHIFT);
    const uint row_vectors = v_last + 2u, ws_row = group.ws_row;
    const uvec2 partials = advance(address.workspace, (ws_row + item.slot) * row_vectors, 4u);
    const Target to = Target(item.direct, item.direct ? item_o : partials,
                             item.direct ? row_steps(o_strides) : RowSteps(row_vectors, 0u));

    const uint touched = touch_rows(item, item_q, row_steps(q_strides), to);
    begin_rows(item, entry, v_strides.with + entry.head, lane);
    [[unroll]] for (uint r = 0u; r < R; r++) {
        load_q(item, item_q, row_steps(q_strides), lane, r);
        m[r] = opaque_zero() != 0u ? float(touched) : m[r];
    }
    if (item.resumes) resume(item, lane, ws_row, row_vectors);
    take_runs(item, FULL_LOOP);
    write_rows(item, entry, o_strides.with + entry.head, to, lane);
}
