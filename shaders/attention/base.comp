// SPDX-License-Identifier: MIT
//
// The `base` kernel: exact attention over the runs of one work item, for GPUs, at the floor of
// Vulkan 1.1: no optional feature, at most 128 invocations, 16 KiB of shared memory, 4 storage
// buffers (6 with -DDIRECT).
//
// Registers decide on GPUs: which lane holds what is in base_lanes.glsl. The way through an item:
//
//     for each chunk of keys of each run          begin_run, take_chunk
//         for each chunk of head_dim              score_chunk
//             Q, K → stage                        stage_q_k
//             s += Q·Kᵀ                           multiply_q_k
//         which pairs are selected                select_pairs
//         their scores; maxima → exchange → m     mask_scores, find_maxima
//         P → exchange; o, l shrink               weigh
//         for each few keys                       add_values
//             now and then V → stage              stage_v
//             o += P·V                            multiply_p_v
//     l: the sum over the row's lanes             sum_rows
//     O, LSE or the workspace                     write_finished, write_partial
//
// A chunk of a full run has every pair selected: its mask is all ones and V is taken as it is. In
// other chunks a pair that is not selected has P = 0 by selection, never by arithmetic, and V's
// infinities and NaNs are read as 0. Rows from `rows` on repeat the last row and are not written;
// keys from `count` on repeat the last key and are masked.
//
// One loop over the chunks of all runs and one over all keys of a chunk: a level of a nest may cost
// a copy of o.
//
// -DDTYPE_F32 / _F16 / _BF16: of Q, K, V. -DDIRECT: bindings 5 (O) and 6 (LSE), and items may be
// direct; -DOUT_F32 then makes O fp32. -DRESUME besides: all items are direct, and may begin with
// partial results. Dispatch: (items, entries).
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require

#define READS_PAGES
#include "../common/place.glsl"
#include "../common/dtype.glsl"
#include "../common/softmax.glsl"
#include "../common/select.glsl"
#include "../common/compilers.glsl"

layout(local_size_x_id = 0) in;
#include "base_lanes.glsl"

// -------------------------------------------------------------------------------------------------
// Beginning

void begin_item(Item item) {
    const Group group = item_group();
    const Entry entry = plan_entry(group);
    const pm_strides q = plan_strides(PM_HEADER_Q), k = plan_strides(PM_HEADER_K),
                     v = plan_strides(PM_HEADER_V), o = plan_strides(PM_HEADER_O);
    keep.first_row = item.first_row;
    keep.last = item.rows - 1u;
    keep.direct = item.direct ? 1u : 0u;
    keep.dead = item.dead ? 1u : 0u;
    keep.slot = item.slot;
    keep.last_run = item.runs + item.run_count;
    keep.q_at = push.q_base + item_offset(q, entry, item.first_row);
    keep.q_steps = row_steps(q);
    keep.o_at = push.o_base + item_offset(o, entry, item.first_row);
    keep.o_steps = row_steps(o);
    keep.lse_at = push.lse_base + lse_offset(entry);
    keep.sink_at = o.with + entry.head;
    keep.k_at = push.k_base + keys_offset(k, entry);
    keep.k_stride = k.row;
    keep.v_at = push.v_base + keys_offset(v, entry);
    keep.v_stride = v.row;
    keep.head_pieces = EXACT != 0u ? HEAD_PIECES : q.with;
    keep.v_pieces = EXACT != 0u ? V_PIECES : k.with;
    keep.slope_at = v.with + entry.head;
    keep.slope = HAS_ALIBI ? plan_float(v.with + entry.head) : 0.0;
    keep.scale = plan_scale();
    keep.weight_unit = plan_weight_unit();
    keep.q_offset = entry.q_offset;
    keep.zero = opaque_zero();
    if (PAGED) {
        const Pages pages = entry_pages(group);
        keep_texels[KEEP_PAGES] = uvec4(pages.table, pages.pool, pages.k, pages.v);
    }
}

#ifdef RESUME
// Takes up what is there of the item's rows.
void resume() {
    const Lane lane = this_lane();
    const uint row_vectors = keep.v_pieces + 1u;
    const uint ws_row = item_group().ws_row;
    [[unroll]] for (uint i = 0u; i < TM; ++i) {
        const uint slot = plan_word(keep.slot + min(lane.row + i, keep.last));
        if (slot != PM_SLOT_NONE) {
            const uint address = (ws_row + slot) * row_vectors;
            [[unroll]] for (uint b = 0u; b < V_LANE; ++b) {
                const vec4 o = workspace[address + min(b * CG + lane.column, row_vectors - 2u)];
                if (i % 2u == 0u) o_even[i / 2u * V_LANE + b] = o;
                else o_odd[i / 2u * V_LANE + b] = o;
            }
            if (lane.column == 0u) {  // l is a sum over the columns
                const vec4 state = workspace[address + row_vectors - 1u];
                row_max[lane.row + i] = state.x;
                l[i] = state.y;
            }
        }
    }
}
#endif

// -------------------------------------------------------------------------------------------------
// Scores

// sum + q·k
float dot_onto(float sum, vec4 q, vec4 k) {
    return fma(q.w, k.w, fma(q.z, k.z, fma(q.y, k.y, fma(q.x, k.x, sum))));
}

uint q_address[Q_MOVES], k_address[K_MOVES];  // of what this lane moves to stage

void find_q_k(uint chunk_key) {
    const Pages pages = kept_pages();
    const uint mover = this_lane().number;
    [[unroll]] for (uint n = 0u; n < Q_MOVES; ++n)
        q_address[n] = keep.q_at + row_offset(keep.first_row,
                                              min((mover + n * WORKGROUP) / DIM_PIECES, keep.last),
                                              keep.q_steps);
    [[unroll]] for (uint n = 0u; n < K_MOVES; ++n) {
        const Run run = current_run();
        const uint c = min(chunk_key + (mover + n * WORKGROUP) / DIM_PIECES, run.count - 1u);
        k_address[n] =
            keep.k_at + key_offset(key_place(key_position(run, c), pages), pages.k, keep.k_stride);
    }
}

void stage_q_k(uint dim_chunk) {
    const uint lane = this_lane().number;
    PIECE_T moved_q[Q_MOVES], moved_k[K_MOVES];
    [[unroll]] for (uint n = 0u; n < Q_MOVES; ++n) {
        const uint piece = dim_chunk * DIM_PIECES + (lane + n * WORKGROUP) % DIM_PIECES;
        moved_q[n] = query[q_address[n] + (DIM_CHECK ? min(piece, keep.head_pieces - 1u) : piece)];
        if (DIM_CHECK && piece >= keep.head_pieces) moved_q[n] = PIECE_T(0);
    }
    [[unroll]] for (uint n = 0u; n < K_MOVES; ++n) {
        const uint piece = dim_chunk * DIM_PIECES + (lane + n * WORKGROUP) % DIM_PIECES;
        moved_k[n] = key[k_address[n] + (DIM_CHECK ? min(piece, keep.head_pieces - 1u) : piece)];
        if (DIM_CHECK && piece >= keep.head_pieces) moved_k[n] = PIECE_T(0);
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
    barrier();  // stage is written
}

void multiply_q_k() {
    const Lane lane = this_lane();
    [[dont_unroll]] for (uint piece = 0u; piece < DIM_PIECES; ++piece) {
        vec4 k[TN];
        [[unroll]] for (uint j = 0u; j < TN; ++j)
            k[j] = stage[K_STAGE + piece * K_STRIDE + lane.column + j * CG];
        [[unroll]] for (uint i2 = 0u; i2 < TM2; ++i2) {
            const vec4 q_even = stage[piece * Q_STRIDE + lane.row + 2u * i2];
            [[unroll]] for (uint j = 0u; j < TN; ++j)
                s_even[i2 * TN + j] = dot_onto(s_even[i2 * TN + j], q_even, k[j]);
            const vec4 q_odd = stage[piece * Q_STRIDE + lane.row + 2u * i2 + 1u];
            [[unroll]] for (uint j = 0u; j < TN; ++j)
                s_odd[i2 * TN + j] = dot_onto(s_odd[i2 * TN + j], q_odd, k[j]);
        }
    }
}

void score_chunk(uint chunk_key) {
    [[unroll]] for (uint n = 0u; n < TM2 * TN; ++n)
        s_even[n] = s_odd[n] = 0.0;
    find_q_k(chunk_key);
    for (uint dim_chunk = 0u; dim_chunk < DIM_CHUNKS; ++dim_chunk) {
        stage_q_k(dim_chunk);
        multiply_q_k();
    }
}

// -------------------------------------------------------------------------------------------------
// Softmax

// Which of the lane's pairs are selected: bit i·TN + j.
uint select_pairs(Lane lane, Run run, uint chunk_key) {
    uint selected = 0xffffffffu;
    if (run.kind != PM_RUN_FULL) {
        selected = 0u;
        [[unroll]] for (uint j = 0u; j < TN; ++j) {
            // CG divides 32, so the keys of one j lie in one block of 32
            const uint first = chunk_key + j * CG, c = first + lane.column;
            [[unroll]] for (uint i = 0u; i < TM; ++i) {
                const uint r = lane.row + i;
                bool take = band_takes(run, r, c);
                if (run.kind == PM_RUN_BITS)
                    take = ((plan_word(bits_at(run, first) + r) >> (c & 31u)) & 1u) != 0u;
                selected |= take && c < run.count ? 1u << (i * TN + j) : 0u;
            }
        }
    }
    return selected;
}

bool is_selected(uint selected, uint i, uint j) { return (selected & (1u << (i * TN + j))) != 0u; }

float score(float dot_product, uint row, int key_position) {
    int distance = 0;
    float slope = keep.slope;
    if (HAS_ALIBI) {
        distance = row_position(item_row(keep.first_row, row), keep.q_offset) - key_position;
        if (LISTED_ROWS) slope = plan_float(keep.slope_at + row_head(keep.first_row, row));
    }
    return softmax_score(softmax_factor(keep.scale, HAS_SOFTCAP) * dot_product, keep.scale,
                         HAS_SOFTCAP, HAS_ALIBI, slope, distance);
}

// s: from dot products to scores, of pairs that are selected.
void mask_scores(Lane lane, Run run, uint chunk_key, uint selected) {
    [[unroll]] for (uint j = 0u; j < TN; ++j) {
        int position = 0;
        if (HAS_ALIBI)
            position =
                int(key_position(run, min(chunk_key + j * CG + lane.column, run.count - 1u)));
        [[unroll]] for (uint i2 = 0u; i2 < TM2; ++i2) {
            const uint n = i2 * TN + j, even = 2u * i2, odd = even + 1u;
            s_even[n] = is_selected(selected, even, j) ? score(s_even[n], lane.row + even, position)
                                                       : SOFTMAX_EMPTY;
            s_odd[n] = is_selected(selected, odd, j) ? score(s_odd[n], lane.row + odd, position)
                                                     : SOFTMAX_EMPTY;
        }
    }
}

// The rows' maxima over this chunk and what came before. `exchange`'s last readers, of the P before,
// are behind the barriers of stage_q_k.
void find_maxima(Lane lane) {
    const uint pair = lane.row / 2u;
    [[unroll]] for (uint i2 = 0u; i2 < TM2; ++i2) {
        vec2 most = vec2(s_even[i2 * TN], s_odd[i2 * TN]);
        [[unroll]] for (uint j = 1u; j < TN; ++j)
            most = max(most, vec2(s_even[i2 * TN + j], s_odd[i2 * TN + j]));
        exchange[lane.column * X_STRIDE + pair + i2] = most;
    }
    barrier();  // exchange is written
    [[unroll]] for (uint i = 0u; i < TM; ++i)
        top[i] = before[i] = row_max[lane.row + i];
    [[dont_unroll]] for (uint c = 0u; c < CG; ++c) {
        [[unroll]] for (uint i2 = 0u; i2 < TM2; ++i2) {
            const vec2 x = exchange[c * X_STRIDE + pair + i2];
            top[2u * i2] = max(top[2u * i2], x.x);
            top[2u * i2 + 1u] = max(top[2u * i2 + 1u], x.y);
        }
    }
    barrier();  // the maxima are read: P may take their place, and row_max be written
}

// s: from scores to P, also in exchange; o and l shrink. A row with nothing selected so far has
// m = top = EMPTY and shrinks 0 by 1.
void weigh(Lane lane, uint selected) {
    [[unroll]] for (uint i2 = 0u; i2 < TM2; ++i2) {
        const uint even = 2u * i2, odd = even + 1u;
        const float shrink_even = softmax_exp2(before[even] - top[even]),
                    shrink_odd = softmax_exp2(before[odd] - top[odd]);
        if (lane.column == 0u) {
            row_max[lane.row + even] = top[even];
            row_max[lane.row + odd] = top[odd];
        }
        l[even] *= shrink_even;
        l[odd] *= shrink_odd;
        [[unroll]] for (uint b = 0u; b < V_LANE; ++b) {
            o_even[i2 * V_LANE + b] *= shrink_even;
            o_odd[i2 * V_LANE + b] *= shrink_odd;
        }
        [[unroll]] for (uint j = 0u; j < TN; ++j) {
            const uint n = i2 * TN + j;
            s_even[n] = softmax_weight(s_even[n], top[even], true, is_selected(selected, even, j));
            s_odd[n] = softmax_weight(s_odd[n], top[odd], true, is_selected(selected, odd, j));
            l[even] += s_even[n];
            l[odd] += s_odd[n];
        }
    }
    [[unroll]] for (uint j = 0u; j < TN; ++j) [[unroll]]
        for (uint i2 = 0u; i2 < TM2; ++i2)
            exchange[(j * CG + lane.column) * X_STRIDE + lane.row / 2u + i2] =
                vec2(s_even[i2 * TN + j], s_odd[i2 * TN + j]) * keep.weight_unit;
}

// -------------------------------------------------------------------------------------------------
// Values

// V's rows of keys chunk_key + first … to stage.
void stage_v(uint chunk_key, uint first) {
    const Run run = current_run();
    const Pages pages = kept_pages();
    const uint lane = this_lane().number;
    PIECE_T moved_v[V_MOVES];
    [[unroll]] for (uint n = 0u; n < V_MOVES; ++n) {
        const uint t = lane + n * WORKGROUP;
        const uint piece = t % V_PIECES;
        const uint c = min(chunk_key + first + t / V_PIECES, run.count - 1u);
        const uint at =
            keep.v_at + key_offset(key_place(key_position(run, c), pages), pages.v, keep.v_stride);
        moved_v[n] = value[at + (EXACT == 0u ? min(piece, keep.v_pieces - 1u) : piece)];
    }
    barrier();  // stage's last readers are done
    [[unroll]] for (uint n = 0u; n < V_MOVES; ++n) {
        const uint t = lane + n * WORKGROUP;
        const vec4 v = piece_to_float(moved_v[n]);
        if (V_STAGE % WORKGROUP == 0u || t < V_STAGE)
            stage[t] = run.kind != PM_RUN_FULL ? softmax_finite(v) : v;
    }
    barrier();  // stage is written, and P before the first rows
}

void multiply_p_v(uint first) {
    const Lane lane = this_lane();
    [[unroll]] for (uint u = 0u; u < UNROLL_KEYS; ++u) {
        vec2 p[TM2];
        [[unroll]] for (uint i2 = 0u; i2 < TM2; ++i2)
            p[i2] = exchange[(first + u) * X_STRIDE + lane.row / 2u + i2];
        [[unroll]] for (uint b = 0u; b < V_LANE; ++b) {
            // lanes beyond the last piece repeat it; they write nothing
            const uint piece = V_PIECES % CG == 0u ? b * CG + lane.column
                                                   : min(b * CG + lane.column, V_PIECES - 1u);
            const vec4 v = stage[(first % V_KEYS + u) * V_PIECES + piece];
            [[unroll]] for (uint i2 = 0u; i2 < TM2; ++i2) {
                o_even[i2 * V_LANE + b] = fma(vec4(p[i2].x), v, o_even[i2 * V_LANE + b]);
                o_odd[i2 * V_LANE + b] = fma(vec4(p[i2].y), v, o_odd[i2 * V_LANE + b]);
            }
        }
    }
}

void add_values(uint chunk_key) {
    [[dont_unroll]] for (uint first = 0u; first < KEYS; first += UNROLL_KEYS) {
        if (first % V_KEYS == 0u) stage_v(chunk_key, first);
        multiply_p_v(first);
    }
}

// -------------------------------------------------------------------------------------------------
// Runs and chunks

struct Cursor {
    uint next_run;       // texel
    uint key, run_keys;  // of the run at hand: the chunk's first key, and how many there are
};

// Puts the next run into keep. The last readers of the run before are behind a barrier.
void begin_run(inout Cursor at) {
    const uvec4 texel = plan_texel(at.next_run);
    if (gl_LocalInvocationIndex == 0u) keep_texels[KEEP_RUN] = texel;
    at.run_keys = plan_run(texel).count;
    at.key = 0u;
    ++at.next_run;
    barrier();  // keep is written
}

void take_chunk(uint chunk_key) {
    score_chunk(chunk_key);
    const Lane lane = this_lane();
    const Run run = current_run();
    const uint selected = select_pairs(lane, run, chunk_key);
    mask_scores(lane, run, chunk_key, selected);
    find_maxima(lane);
    weigh(lane, selected);
    add_values(chunk_key);
}

// -------------------------------------------------------------------------------------------------
// The end

// l: the sum over the row group's lanes, in one order for all of them.
void sum_rows() {
    const Lane lane = this_lane();
    [[unroll]] for (uint i2 = 0u; i2 < TM2; ++i2)
        exchange[lane.column * X_STRIDE + lane.row / 2u + i2] = vec2(l[2u * i2], l[2u * i2 + 1u]);
    barrier();  // exchange is written
    [[unroll]] for (uint i = 0u; i < TM; ++i)
        l[i] = 0.0;
    [[dont_unroll]] for (uint c = 0u; c < CG; ++c) {
        [[unroll]] for (uint i2 = 0u; i2 < TM2; ++i2) {
            const vec2 x = exchange[c * X_STRIDE + lane.row / 2u + i2];
            l[2u * i2] += x.x;
            l[2u * i2 + 1u] += x.y;
        }
    }
}

vec4 o_piece(uint i, uint b) {
    return i % 2u == 0u ? o_even[i / 2u * V_LANE + b] : o_odd[i / 2u * V_LANE + b];
}

#ifdef DIRECT
void write_finished() {
    const Lane lane = this_lane();
    float sink = HAS_SINK ? plan_float(keep.sink_at) : 0.0;
    const float lift = plan_weight_lift();
    [[unroll]] for (uint i = 0u; i < TM; ++i) {
        float m = row_max[lane.row + i], factor = 1.0;
        const uint head = row_head(keep.first_row, lane.row + i);
        if (HAS_SINK && LISTED_ROWS) sink = plan_float(keep.sink_at + head);
        if (HAS_SINK && keep.dead == 0u) factor = softmax_sink(m, l[i], sink);
        factor *= softmax_inverse(l[i]);
        factor *= lift;
        if (lane.row + i <= keep.last) {
            const uint at = keep.o_at + row_offset(keep.first_row, lane.row + i, keep.o_steps);
            [[unroll]] for (uint b = 0u; b < V_LANE; ++b) {
                const uint piece = b * CG + lane.column;
                if (piece < keep.v_pieces)
                    output_o[at + piece] = piece_from_float(o_piece(i, b) * factor);
            }
            if (HAS_LSE && lane.column == 0u)
                output_lse[keep.lse_at + lse_row(item_row(keep.first_row, lane.row + i), head)] =
                    softmax_lse_bits(m, l[i]);
        }
    }
}
#endif

#ifndef RESUME
void write_partial() {
    const Lane lane = this_lane();
    const uint first_slot = item_group().ws_row + keep.slot;
    [[unroll]] for (uint i = 0u; i < TM; ++i) {
        if (lane.row + i <= keep.last) {
            const uint at = (first_slot + lane.row + i) * (keep.v_pieces + 1u);
            [[unroll]] for (uint b = 0u; b < V_LANE; ++b) {
                const uint piece = b * CG + lane.column;
                if (piece < keep.v_pieces) workspace[at + piece] = o_piece(i, b);
            }
            if (lane.column == 0u)
                workspace[at + keep.v_pieces] = vec4(row_max[lane.row + i], l[i], 0.0, 0.0);
        }
    }
}
#endif

void main() {
    const Item item = plan_item(plan_texel(item_at()));
    if (gl_LocalInvocationIndex == 0u) begin_item(item);
    for (uint r = gl_LocalInvocationIndex; r < ROWS; r += WORKGROUP) row_max[r] = SOFTMAX_EMPTY;
    [[unroll]] for (uint n = 0u; n < TM2 * V_LANE; ++n)
        o_even[n] = o_odd[n] = vec4(0.0);
    [[unroll]] for (uint i = 0u; i < TM; ++i)
        l[i] = 0.0;
    barrier();  // keep and row_max are written
#ifdef RESUME
    if (item.resumes) resume();
#endif

    Cursor at = Cursor(item.runs, 0u, 0u);
    while (true) {
        if (at.key >= at.run_keys) {
            // from shared memory only where a register more would spill: a uniform value stays one
            if (at.next_run == (FRUGAL ? keep.last_run : item.runs + item.run_count)) break;
            begin_run(at);
        }
        take_chunk(at.key);
        at.key += KEYS;
    }

    barrier();  // exchange's last readers are done
    sum_rows();
#if defined(RESUME)
    write_finished();
#elif defined(DIRECT)
    if (keep.direct != 0u) write_finished();
    else write_partial();
#else
    write_partial();
#endif
}
