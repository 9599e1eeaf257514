// SPDX-License-Identifier: MIT
//
// Inputs moved about, queries in chunks, work divided in other ways: the same answer. And patterns
// that say the same: metamorphic_patterns.c.

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/context.h"
#include "metamorphic.h"

// -------------------------------------------------------------------------------------------------
// Inputs moved about

// Copies inputs: row r of `to` is row r + shift of `from`. Heads may differ: head h is head h ·
// from / to.
static void copy_inputs(struct problem *to, const struct problem *from, int64_t q_shift,
                        int64_t kv_shift) {
    for (int64_t b = 0; b < to->batch; b++) {
        for (int64_t head = 0; head < to->heads; head++) {
            memcpy(to->q64 + (b * to->heads + head) * to->q_len * to->head_dim,
                   from->q64 + ((b * from->heads + head) * from->q_len + q_shift) * from->head_dim,
                   (size_t)(to->q_len * to->head_dim) * sizeof(double));
        }
        for (int64_t g = 0; g < to->kv_heads; g++) {
            const int64_t source =
                (b * from->kv_heads + g * from->kv_heads / to->kv_heads) * from->kv_len + kv_shift;
            memcpy(to->k64 + (b * to->kv_heads + g) * to->kv_len * to->head_dim,
                   from->k64 + source * from->head_dim,
                   (size_t)(to->kv_len * to->head_dim) * sizeof(double));
            memcpy(to->v64 + (b * to->kv_heads + g) * to->kv_len * to->v_head_dim,
                   from->v64 + source * from->v_head_dim,
                   (size_t)(to->kv_len * to->v_head_dim) * sizeof(double));
        }
    }
    problem_store(to);
    problem_reference(to);
}

static void check_key_permutation(const struct setting *setting) {
    const int64_t block = 8, blocks = 20, length = block * blocks;
    struct rng rng = { setting->seed };
    for (int by_block = 0; by_block < 2; by_block++) {
        struct problem plain, moved;
        struct problem *both[] = { &plain, &moved };
        uint8_t *masks[2];
        for (int n = 0; n < 2; n++) {
            state_problem(both[n], setting, 1, 2, 2, 60, length, 64);
            masks[n] = problem_own(both[n], (size_t)(blocks * blocks), 1);
        }
        const int64_t unit = by_block ? block : 1, units = length / unit;
        int64_t order[160];
        for (int64_t n = 0; n < units; n++) {
            const int64_t at = rng_between(&rng, 0, n);
            order[n] = order[at];
            order[at] = n;
        }
        if (by_block) {
            for (int64_t n = 0; n < blocks * blocks; n++) {
                masks[0][n] = rng_chance(&rng, 40);
            }
            for (int64_t n = 0; n < blocks * blocks; n++) {
                masks[1][n] = masks[0][n / blocks * blocks + order[n % blocks]];
            }
            for (int n = 0; n < 2; n++) {
                problem_term(both[n], 0,
                             (struct ref_term){ .kind = REF_BLOCKS,
                                                .block = block,
                                                .mask = masks[n],
                                                .layouts = 1,
                                                .block_rows = blocks,
                                                .block_cols = blocks });
            }
        }
        problem_fill(&plain);
        problem_fill(&moved);
        for (int64_t g = 0; g < 2; g++) {
            for (int64_t j = 0; j < length; j++) {
                const int64_t source = g * length + order[j / unit] * unit + j % unit;
                memcpy(moved.k64 + (g * length + j) * 64, plain.k64 + source * 64,
                       64 * sizeof(double));
                memcpy(moved.v64 + (g * length + j) * 64, plain.v64 + source * 64,
                       64 * sizeof(double));
            }
        }
        memcpy(moved.q64, plain.q64, (size_t)(2 * 60 * 64) * sizeof(double));
        problem_store(&moved);
        problem_reference(&moved);
        run_setting(&plain, setting);
        run_setting(&moved, setting);
        problem_check(&plain, "keys in order");
        problem_check_same(&plain, &moved, "keys permuted");
        problem_free(&plain);
        problem_free(&moved);
    }
}

static void test_key_permutation(void **state) {
    (void)state;
    for_each_setting(check_key_permutation, 300);
}

static void check_gqa(const struct setting *setting) {
    static const int64_t kv_heads[] = { 1, 2, 4 };
    for (size_t n = 0; n < 3; n++) {
        struct problem grouped, expanded;
        state_problem(&grouped, setting, 2, 8, kv_heads[n], 50, 75, 48);
        state_problem(&expanded, setting, 2, 8, 8, 50, 75, 48);
        struct problem *both[] = { &grouped, &expanded };
        for (int p = 0; p < 2; p++) {
            both[p]->v_head_dim = 32;
            problem_term(both[p], 0,
                         (struct ref_term){ .kind = REF_WINDOW, .left = 30, .right = 10 });
            problem_fill(both[p]);
        }
        copy_inputs(&expanded, &grouped, 0, 0);
        run_setting(&grouped, setting);
        run_setting(&expanded, setting);
        problem_check(&grouped, "grouped heads");
        problem_check_same(&grouped, &expanded, "grouped heads and heads repeated");
        problem_free(&grouped);
        problem_free(&expanded);
    }
}

static void test_gqa(void **state) {
    (void)state;
    for_each_setting(check_gqa, 400);
}

// -------------------------------------------------------------------------------------------------
// Queries in chunks

enum { PREFILL_PATTERNS = 8 };

static void prefill_pattern(struct problem *problem, int which) {
    switch (which) {
    case 0: break;
    case 1:
        problem_term(problem, 0, (struct ref_term){ .kind = REF_WINDOW, .left = 20, .right = 0 });
        break;
    case 2:
        problem_term(problem, 0, (struct ref_term){ .kind = REF_WINDOW, .left = 11 });
        problem_term(problem, 0, (struct ref_term){ .kind = REF_STRIDED, .step = 12 });
        break;
    case 3:
        problem_term(problem, 0, (struct ref_term){ .kind = REF_FIXED, .step = 16, .count = 2 });
        break;
    case 4:
        problem_term(problem, 0,
                     (struct ref_term){ .kind = REF_RANDOM, .block = 16, .count = 3, .seed = 77 });
        problem_term(problem, 0, (struct ref_term){ .kind = REF_GLOBAL, .count = 1 });
        break;
    case 5:
        problem_term(problem, 0,
                     (struct ref_term){ .kind = REF_DILATED, .left = 8, .right = 3, .step = 5 });
        break;
    case 6: problem_term(problem, 0, ones(problem, 24)); break;
    default: {
        int64_t *ends = problem_own(problem, 4, sizeof *ends);
        ends[1] = 37;
        ends[2] = 38;
        ends[3] = 200;
        problem_term(problem, 0,
                     (struct ref_term){ .kind = REF_DOCUMENTS, .list = ends, .list_len = 4 });
        break;
    }
    }
}

static void place_rows(struct problem *whole, const struct problem *chunk, int64_t row) {
    for (int64_t b = 0; b < whole->batch; b++) {
        for (int64_t head = 0; head < whole->heads; head++) {
            for (int64_t n = 0; n < chunk->q_len; n++) {
                memcpy(tensor_at(&whole->o, b, head, row + n, 0),
                       tensor_at(&chunk->o, b, head, n, 0),
                       (size_t)chunk->o.dim * tulle_dtype_size(chunk->o.dtype));
                memcpy(tensor_at(&whole->l, b, head, row + n, 0),
                       tensor_at(&chunk->l, b, head, n, 0), sizeof(float));
            }
        }
    }
}

// The whole prefill, the same in chunks of `rows` queries with their offset. growing: a chunk sees
// only the keys up to its last query (as decoding does); else all of them.
static void check_chunks_of(const struct setting *setting, int pattern, bool causal, bool growing,
                            int64_t rows) {
    const int64_t length = 96;
    struct problem whole, pieced;
    state_problem(&whole, setting, 1, 2, 1, length, length, 32);
    state_problem(&pieced, setting, 1, 2, 1, length, length, 32);
    whole.causal = pieced.causal = causal;
    prefill_pattern(&whole, pattern);
    prefill_pattern(&pieced, pattern);
    fill_run_check(&whole, setting, "the whole prefill");
    problem_fill(&pieced);
    for (int64_t row = 0; row < length; row += rows) {
        struct problem chunk;
        const int64_t here = rows < length - row ? rows : length - row;
        state_problem(&chunk, setting, 1, 2, 1, here, growing ? row + here : length, 32);
        chunk.causal = causal;
        prefill_pattern(&chunk, pattern);
        int32_t *offset = problem_own(&chunk, 1, sizeof *offset);
        *offset = (int32_t)row;
        chunk.align = TULLE_ALIGN_GIVEN;
        chunk.q_offsets = offset;
        chunk.q_offset_count = 1;
        problem_fill(&chunk);
        copy_inputs(&chunk, &whole, row, 0);
        run_setting(&chunk, setting);
        problem_check(&chunk, "a chunk");
        place_rows(&pieced, &chunk, row);
        problem_free(&chunk);
    }
    problem_check_same(&whole, &pieced, "the prefill whole and in chunks");
    problem_free(&whole);
    problem_free(&pieced);
}

static void check_chunks(const struct setting *setting) {
    for (int pattern = 0; pattern < PREFILL_PATTERNS; pattern++) {
        check_chunks_of(setting, pattern, true, true, 37);
        check_chunks_of(setting, pattern, pattern % 2 == 0, false, 50);
    }
}

static void test_chunks(void **state) {
    (void)state;
    for_each_setting(check_chunks, 500);
}

static void check_row_by_row(const struct setting *setting) {
    // half of them, by the seed
    for (int pattern = (int)(setting->seed % 2); pattern < PREFILL_PATTERNS; pattern += 2) {
        check_chunks_of(setting, pattern, true, true, 1);
    }
}

static void test_row_by_row(void **state) {
    (void)state;
    for_each_setting(check_row_by_row, 600);
}

// -------------------------------------------------------------------------------------------------
// Work divided in other ways

static void state_long_rows(struct problem *problem, const struct setting *setting) {
    static const int64_t far[] = { 1470, 3 };
    state_problem(problem, setting, 1, 2, 2, 37, 1500, 32);
    problem_term(problem, 0, (struct ref_term){ .kind = REF_WINDOW, .left = 40, .right = 0 });
    problem_term(problem, 0,
                 (struct ref_term){ .kind = REF_GLOBAL_LIST, .list = far, .list_len = 2 });
    problem_term(problem, 0, (struct ref_term){ .kind = REF_STRIDED, .step = 9 });
    // the other head's has three parts: no kernel finishes those without combining
    problem_term(problem, 1, (struct ref_term){ .kind = REF_WINDOW, .left = 40, .right = 0 });
    problem_term(problem, 1, (struct ref_term){ .kind = REF_STRIDED, .step = 9 });
    problem_term(problem, 1, (struct ref_term){ .kind = REF_STRIDED, .step = 2 });
}

static void check_splits(const struct setting *setting) {
    struct problem plain;
    state_long_rows(&plain, setting);
    fill_run_check(&plain, setting, "as planned by default");
    bool divided = false;
    for (int variant = 0; variant < 5; variant++) {
        struct problem other, again;
        struct problem *both[] = { &other, &again };
        for (int n = 0; n < 2; n++) {
            state_long_rows(both[n], setting);
            both[n]->dispatch_pairs = variant == 0 ? 0 : UINT64_C(40000) >> (3 * variant);
            both[n]->workspace_limit = variant % 2 == 1 ? 0 : UINT64_MAX;
            both[n]->ranges = variant == 3;
            problem_fill(both[n]);
            run_setting(both[n], setting);
        }
        problem_check(&other, "in small dispatches");
        problem_check_same(&plain, &other, "work divided in another way");
        problem_check_identical(&other, &again, "the same division again");
        divided = divided || other.info.dispatches > plain.info.dispatches;
        problem_free(&other);
        problem_free(&again);
    }
    if (!divided) {
        harness_fail("smaller dispatch_pairs never gave more dispatches: nothing was tried");
    }
    problem_free(&plain);
}

static void test_splits(void **state) {
    (void)state;
    for_each_setting(check_splits, 700);
}

// Each dispatch recorded alone is the same as all at once, bit for bit.
static void check_ranges(const struct setting *setting) {
    struct problem whole, alone;
    struct problem *both[] = { &whole, &alone };
    for (int n = 0; n < 2; n++) {
        state_long_rows(both[n], setting);
        both[n]->dispatch_pairs = 3000;
        both[n]->ranges = n == 1;
        problem_fill(both[n]);
        run_setting(both[n], setting);
        problem_check(both[n], "ranges");
    }
    if (whole.info.dispatches < 2) {
        harness_fail("one dispatch alone: nothing was tried");
    }
    problem_check_identical(&whole, &alone, "dispatches recorded together and alone");
    problem_free(&whole);
    problem_free(&alone);
}

static void test_ranges(void **state) {
    (void)state;
    for_each_setting(check_ranges, 800);
}

// One workspace under two plans in turn, in one command buffer with only the barriers that the
// caller owes.
static void check_shared_workspace(const struct setting *setting) {
    const struct gpu *gpu = &setting->context->gpu;
    tulle_error error = { 0 };
    struct problem problems[2];
    tulle_plan *plans[2] = { NULL, NULL };
    struct problem_session sessions[2];
    VkDeviceSize needed = 0;
    for (int n = 0; n < 2; n++) {
        state_long_rows(&problems[n], setting);
        if (n == 1) {
            problems[n].q_len = 90;
            problems[n].v_head_dim = 64;
            problems[n].causal = true;
        }
        problems[n].dispatch_pairs = 20000;
        problem_fill(&problems[n]);
        harness_ok(problem_plan(&problems[n], setting->context->tulle, &plans[n], &error), &error,
                   "tulle_plan_create");
        needed =
            problems[n].info.workspace_bytes > needed ? problems[n].info.workspace_bytes : needed;
    }
    if (needed == 0) {
        harness_fail("neither plan needs a workspace: nothing was tried");
    }
    struct gpu_buffer workspace = gpu_buffer_create(gpu, needed, setting->usage);
    memset(workspace.mapped, 0xff, needed);
    const tulle_buffer shared = { workspace.buffer, 0, needed };
    for (int n = 0; n < 2; n++) {
        harness_ok(problem_bind(&problems[n], gpu, plans[n], &shared, &sessions[n], &error), &error,
                   "tulle_binding_create");
    }
    VkCommandBuffer cmd = gpu_begin(gpu);
    for (int turn = 0; turn < 4; turn++) {
        harness_ok(
            tulle_cmd_attention(cmd, plans[turn % 2], sessions[turn % 2].binding, 0, 0, &error),
            &error, "tulle_cmd_attention");
        gpu_barrier(gpu, cmd);
    }
    gpu_finish(gpu, cmd);
    for (int n = 0; n < 2; n++) {
        problem_read(&problems[n], &sessions[n]);
        problem_check(&problems[n], "one workspace under two plans");
        problem_unbind(&sessions[n]);
        tulle_plan_destroy(plans[n]);
        problem_free(&problems[n]);
    }
    gpu_buffer_destroy(gpu, &workspace);
    harness_silent();
}

static void test_shared_workspace(void **state) {
    (void)state;
    for_each_setting(check_shared_workspace, 900);
}

// Wherever the caller's workspace begins in its buffer, the same bits come out, and none before it
// or behind it. With a texel alignment above what the storage buffers want, texels are counted from
// before the workspace.
static void check_workspace_place(const struct setting *setting) {
    struct caps *caps = &setting->context->tulle->caps;
    const uint64_t unit = caps_storage_unit(caps);
    const uint32_t alignment = caps->texel_alignment;
    const struct {
        uint64_t units;
        uint32_t texel_alignment;
    } places[] = { { 4, alignment }, { 5, alignment }, { 11, alignment }, { 9, 1024 } };
    enum { PLACES = sizeof places / sizeof places[0] };
    struct problem problems[PLACES];
    for (int n = 0; n < PLACES; n++) {
        state_long_rows(&problems[n], setting);
        problems[n].workspace_at = places[n].units * unit;
        problem_fill(&problems[n]);
        caps->texel_alignment = places[n].texel_alignment;
        run_setting(&problems[n], setting);
        caps->texel_alignment = alignment;
        if (problems[n].info.workspace_bytes == 0) {
            harness_fail("the plan needs no workspace: nothing was tried");
        }
        problem_check(&problems[n], "a workspace somewhere in its buffer");
        problem_check_identical(&problems[0], &problems[n], "workspaces in two places");
    }
    for (int n = 0; n < PLACES; n++) {
        problem_free(&problems[n]);
    }
}

static void test_workspace_place(void **state) {
    (void)state;
    for_each_setting(check_workspace_place, 1100);
}

// Rows of which one part of a union selects something and the other nothing. With tiles of the size
// that is tried, a residue class's third tile has rows that the dilated part serves in some classes
// only, so that some rows of an item have a partial result to begin with or to be combined, and
// their neighbours have none; row 0 has keys in both parts, so that its partial result is no empty
// one. The workspace is NaN before.
static void check_absent_part(const struct setting *setting) {
    static const int64_t tiles[] = { 4, 8, 16, 32, 64 };
    enum { STEP = 5, CLASSES = 3 };  // of the STEP classes, those that have such a tile
    bool tried = false;
    for (size_t n = 0; n < sizeof tiles / sizeof tiles[0]; n++) {
        const int64_t served = 2 * STEP * tiles[n] + CLASSES;  // rows
        const int64_t left = 8 * tiles[n] / STEP + 1;          // far enough for a part of its own
        struct problem problem;
        state_problem(&problem, setting, 1, 2, 1, served + 9, served - STEP * left, 24);
        problem.align = TULLE_ALIGN_FIRST_KEY;
        problem.workspace_at = 4096;
        problem.lse = true;
        problem_term(&problem, 0, (struct ref_term){ .kind = REF_SINK, .count = 3 });
        problem_term(
            &problem, 0,
            (struct ref_term){ .kind = REF_DILATED, .left = left, .right = 1, .step = STEP });
        fill_run_check(&problem, setting, "a part that selects nothing in some rows");
        tried = tried || (problem.info.tile_rows == tiles[n] && problem.info.workspace_bytes > 0);
        problem_free(&problem);
    }
    if (!tried) {
        harness_fail(
            "no union had two parts with tiles of the size that it was made for: nothing was tried");
    }
}

static void test_absent_part(void **state) {
    (void)state;
    for_each_setting(check_absent_part, 1200);
}

// Host arrays may lie in memory in any order: rows from last to first, by a negative stride, give
// the same bits.
static void test_backward_rows(void **state) {
    (void)state;
    enum { ROWS = 37, DIM = 12, COUNT = ROWS * DIM };
    static float forward[4][COUNT], backward[4][COUNT];  // Q, K, V, O
    struct rng rng = { rng_hash(harness_seed(), 1000) };
    for (int n = 0; n < COUNT; n++) {
        for (int t = 0; t < 3; t++) {
            forward[t][n] = backward[t][(ROWS - 1 - n / DIM) * DIM + n % DIM] =
                (float)rng_normal(&rng);
        }
        forward[3][n] = backward[3][n] = NAN;
    }
    const tulle_attention_desc desc = {
        .heads = 1, .q_len = ROWS, .kv_len = ROWS, .head_dim = DIM, .causal = true
    };
    tulle_error error = { 0 };
    tulle_plan *plan = NULL;
    harness_ok(tulle_plan_create(harness_mode(MODE_OWN)->tulle, &desc, &plan, &error), &error,
               "tulle_plan_create");
    const tulle_host_arrays plain = {
        .q = forward[0], .k = forward[1], .v = forward[2], .o = forward[3]
    };
    const tulle_strides reversed = { COUNT, COUNT, -DIM };
    const int last = (ROWS - 1) * DIM;
    const tulle_host_arrays turned = { .q = backward[0] + last,
                                       .k = backward[1] + last,
                                       .v = backward[2] + last,
                                       .o = backward[3] + last,
                                       .q_strides = reversed,
                                       .k_strides = reversed,
                                       .v_strides = reversed,
                                       .o_strides = reversed };
    harness_ok(tulle_attention(plan, &plain, NULL, &error), &error, "tulle_attention");
    harness_ok(tulle_attention(plan, &turned, NULL, &error), &error,
               "tulle_attention with rows backward");
    tulle_plan_destroy(plan);
    for (int n = 0; n < COUNT; n++) {
        const float there = backward[3][(ROWS - 1 - n / DIM) * DIM + n % DIM];
        if (memcmp(&forward[3][n], &there, sizeof there) != 0 || isnan(there)) {
            harness_fail("O[%d, %d] is %g, and %g with rows backward", n / DIM, n % DIM,
                         (double)forward[3][n], (double)there);
        }
    }
    harness_silent();
}

struct followed {
    double last;
    int calls;
    bool strange;
};

static void follow(void *user, double done) {
    struct followed *f = user;
    f->strange |= done < f->last || done <= 0.0 || done > 1.0;
    f->last = done;
    f->calls++;
}

// Following the work changes how it is submitted, not what comes out; and it is told from above 0
// up to 1, without falling.
static void test_progress(void **state) {
    (void)state;
    enum { ROWS = 300, DIM = 16, COUNT = ROWS * DIM, REPEATS = 2 };
    static float in[3][COUNT], alone[COUNT], followed[COUNT];
    struct rng rng = { rng_hash(harness_seed(), 1001) };
    for (int t = 0; t < 3; t++) {
        for (int n = 0; n < COUNT; n++) in[t][n] = (float)rng_normal(&rng);
    }
    const tulle_attention_desc desc = { .heads = 1,
                                        .q_len = ROWS,
                                        .kv_len = ROWS,
                                        .head_dim = DIM,
                                        .causal = true,
                                        .dispatch_pairs = 10000 };
    tulle_error error = { 0 };
    tulle_plan *plan = NULL;
    tulle_plan_info info;
    harness_ok(tulle_plan_create(harness_mode(MODE_OWN)->tulle, &desc, &plan, &error), &error,
               "tulle_plan_create");
    tulle_plan_get_info(plan, &info);
    struct followed calls = { 0 };
    double milliseconds[REPEATS];
    tulle_host_arrays arrays = { .q = in[0], .k = in[1], .v = in[2], .o = alone };
    harness_ok(tulle_attention(plan, &arrays, NULL, &error), &error, "tulle_attention");
    arrays.o = followed;
    const tulle_timing timing = {
        .repeat = REPEATS, .repeat_ms = milliseconds, .progress = follow, .progress_user = &calls
    };
    harness_ok(tulle_attention(plan, &arrays, &timing, &error), &error,
               "tulle_attention, followed");
    tulle_plan_destroy(plan);
    assert_false(calls.strange);
    assert_true(info.dispatches > 3);
    assert_true(calls.calls >= (int)info.dispatches + REPEATS &&
                calls.calls <= (1 + REPEATS) * (int)info.dispatches);
    assert_true(calls.last == 1.0);
    assert_memory_equal(alone, followed, sizeof alone);
    harness_silent();
}

int main(int argc, char **argv) {
    (void)argc;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_to_dense),   cmocka_unit_test(test_union_order),
        cmocka_unit_test(test_factor_order),     cmocka_unit_test(test_neutral_factors),
        cmocka_unit_test(test_equal_patterns),   cmocka_unit_test(test_dilated_neighborhood),
        cmocka_unit_test(test_key_permutation),  cmocka_unit_test(test_gqa),
        cmocka_unit_test(test_chunks),           cmocka_unit_test(test_row_by_row),
        cmocka_unit_test(test_splits),           cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_shared_workspace), cmocka_unit_test(test_workspace_place),
        cmocka_unit_test(test_absent_part),      cmocka_unit_test(test_backward_rows),
        cmocka_unit_test(test_progress),
    };
    return HARNESS_RUN(argv, "metamorphic", tests);
}
