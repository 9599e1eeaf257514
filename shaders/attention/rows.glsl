// SPDX-License-Identifier: MIT
//
// What the kernels of CPU drivers share (rows_address.comp, rows_texel.comp): a workgroup is one
// subgroup, and a lane owns ROWS_PER_LANE query rows, whose q (times the scale's factor) and
// accumulator o live in private arrays of its registers. All lanes take the same keys at a time, so
// nothing is shared and there is no barrier. The two differ in how they load and store.
//
// The including kernel defines
//     chunk(partial, run, c)  takes keys c … c + C − 1 of the run: s = q·k, then weigh(), then o
//     row_bits(run, c, r)     of a bits run, the word with key c's selection bit for row[r]
//     key_at(i)               position of key i of the chunk
//
// Constants as in plan_memory.h; tile rows = workgroup size · rows per lane.
#ifndef TULLE_ROWS_GLSL
#define TULLE_ROWS_GLSL

layout(constant_id = PM_CONSTANT_ROWS_PER_LANE) const uint ROWS_PER_LANE = 1u;

const uint C = CHUNK_KEYS;
const uint R = ROWS_PER_LANE;

// The lane's rows. Indices: [r · pieces + d], [r · C + key].
vec4 q[R * HEAD_PIECES];
vec4 o[R * V_PIECES];
float m[R], l[R];
uint row[R];  // of the item; rows past its last repeat that one
int position[R];
RowKeys keys[R];  // of the run at hand

// The chunk at hand: dot products, then scores, then weights; what its sums shrink by.
float s[R * C];
bool take[R * C];
float shrink[R];

// The same for all lanes.
uint head_last, v_last;  // pieces − 1
vec3 scale;
float slope, weight_unit;
float row_slope[R];  // of listed rows, which differ in it

void chunk(const bool partial, Run run, uint c);
uint row_bits(Run run, uint c, uint r);
int key_at(uint i);

// Rows past the item's last repeat that one.
uint clamped_row(Item item, uint r) { return min(r, item.rows - 1u); }

void begin_rows(Item item, Entry entry, uint slope_at, uint lane) {
    [[unroll]] for (uint r = 0u; r < R; r++) {
        row[r] = clamped_row(item, lane + r * WORKGROUP);
        row_slope[r] = slope;
        if (LISTED_ROWS && HAS_ALIBI)
            row_slope[r] = plan_float(slope_at + row_head(item.first_row, row[r]));
        position[r] = row_position(item_row(item.first_row, row[r]), entry.q_offset);
        [[unroll]] for (uint d = 0u; d < V_PIECES; d++)
            o[r * V_PIECES + d] = vec4(0.0);
        m[r] = SOFTMAX_EMPTY;
        l[r] = 0.0;
    }
}

// s: from dot products to weights. m and l take them in; o is still to shrink.
void weigh(const bool partial, Run run, uint c) {
    [[unroll]] for (uint r = 0u; r < R; r++) {
        uint bits = 0u;
        if (partial) bits = row_bits(run, c, r) >> (c & 31u);
        float top = m[r];
        [[unroll]] for (uint i = 0u; i < C; i++) {
            int distance = 0;
            if (HAS_ALIBI) distance = position[r] - key_at(i);
            const float z = softmax_score(s[r * C + i], scale, HAS_SOFTCAP, HAS_ALIBI,
                                          LISTED_ROWS ? row_slope[r] : slope, distance);
            if (partial) take[r * C + i] = row_takes(run, keys[r], bits >> i, c + i);
            s[r * C + i] = softmax_masked(z, partial, take[r * C + i]);
            top = max(top, s[r * C + i]);
        }
        shrink[r] = softmax_exp2(m[r] - top);
        m[r] = top;
        float sum = l[r] * shrink[r];
        [[unroll]] for (uint i = 0u; i < C; i++) {
            s[r * C + i] = softmax_weight(s[r * C + i], top, partial, take[r * C + i]);
            sum += s[r * C + i];
            s[r * C + i] *= weight_unit;
        }
        l[r] = sum;
    }
}

// s[r · C + i] += q·k of one piece
void add_dot(uint r, uint i, vec4 x, vec4 k) {
    float sum = s[r * C + i];
    sum += x.x * k.x;
    sum += x.y * k.y;
    sum += x.z * k.z;
    sum += x.w * k.w;
    s[r * C + i] = sum;
}

// Run n of the item; past the last one something that is there.
Run run_at(Item item, uint n) {
    return plan_run(plan_texel(n < item.run_count ? item.runs + n : 0u));
}

void take_run(const bool partial, Run run) {
    if (partial) [[unroll]]
        for (uint r = 0u; r < R; r++) keys[r] = row_keys(run, row[r]);
    uint c = 0u;
    do {
        chunk(partial, run, c);
        c += C;
    } while (c < run.count);
}

// Full runs first, as long as they lead (full_loop); all others, and full ones after one of these,
// in a second loop. Two loops rather than a branch in one keep the hot body, some 20 KB, alone in
// the instruction cache; where a driver would take too long to compile both, the second takes all.
void take_runs(Item item, const bool full_loop) {
    uint n = 0u;
    Run run = run_at(item, 0u);
    if (full_loop && item.run_count > 0u && run.kind == PM_RUN_FULL) {
        do {
            take_run(false, run);
            n++;
            run = run_at(item, n);
        } while (n < item.run_count && run.kind == PM_RUN_FULL);
    }
    if (n < item.run_count) {
        do {
            take_run(true, run);
            n++;
            run = run_at(item, n);
        } while (n < item.run_count);
    }
}

// What row r of the lane is multiplied by, and its state with the sink logit in it.
float finish_row(Item item, uint sink_at, uint r) {
    float factor = 1.0;
    if (HAS_SINK && !item.dead)
        factor = softmax_sink(m[r], l[r], plan_float(sink_at + row_head(item.first_row, row[r])));
    return factor * softmax_inverse(l[r]) * plan_weight_lift();
}

#endif
