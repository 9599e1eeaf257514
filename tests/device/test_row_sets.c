// SPDX-License-Identifier: MIT
//
// Rows that come from lists, in every kernel that serves: rows that a list of global positions
// strews over the queries, which are written again after their neighbours, and tokens of a plane or
// of space, tile by tile; also both at once; few rows of heads that share a kv head; split over several items, dead, past the raster. Random
// problems against the fp64 reference.
//
// TULLE_TEST_CASE: one problem alone, as a failure prints it; TULLE_TEST_TRIALS: how many problems a
// kernel and mode, each of another kind of pattern (until every sort of dispatch was met).

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan_uses.h"
#include "problem.h"

enum { HEAD_DIM = 36 };

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

// -------------------------------------------------------------------------------------------------
// Patterns

enum kind {
    WINDOW_AND_LIST,
    LIST_CUT,  // by another term
    LIST_AND_STEPS,
    PLANE,
    PLANE_AND_LIST,
    SPACE,
    SPACE_AND_LIST,
    PACKED_HEADS,  // few rows: those of all heads of a kv head make a tile
    KINDS
};

static const char *const kind_names[KINDS] = {
    "window+list", "list&term", "list+steps", "plane",
    "plane+list",  "space",     "space+list", "packed heads",
};

// Positions strewn over the queries: some side by side, some a whole tile of 32 rows, some where no
// query stands, one of them twice, in falling order for half of the problems.
static struct ref_term strewn(struct problem *problem, struct rng *rng) {
    enum { APART_MOST = 40, TILE = 32, OUTSIDE = 6 };
    const int64_t offset = problem_offset(problem, 0);
    int64_t *list = problem_own(problem, 3 * APART_MOST + TILE + OUTSIDE + 1, sizeof *list);
    size_t n = 0;
    for (int64_t row = rng_between(rng, 0, 9); row < problem->q_len && n < 3 * APART_MOST - 3;
         row += rng_between(rng, 2, 25)) {
        const int64_t beside = rng_chance(rng, 25) ? rng_between(rng, 1, 2) : 0;
        for (int64_t i = 0; i <= beside; i++) list[n++] = offset + row + i;
    }
    if (problem->q_len >= 2 * TILE && rng_chance(rng, 40)) {
        const int64_t first = TILE * rng_between(rng, 0, problem->q_len / TILE - 1);
        for (int64_t i = 0; i < TILE; i++) list[n++] = offset + first + i;
    }
    for (int i = 0; i < OUTSIDE; i++)
        list[n++] = rng_between(rng, 0, 2 * most(problem->q_len, problem->kv_len));
    if (n > 1) list[n] = list[n / 2], n++;
    size_t kept = 0;  // none is below 0
    for (size_t i = 0; i < n; i++)
        if (list[i] >= 0) list[kept++] = list[i];
    for (size_t i = 0; i < kept / 2 && problem->seed % 2; i++) {
        const int64_t swapped = list[i];
        list[i] = list[kept - 1 - i], list[kept - 1 - i] = swapped;
    }
    return (struct ref_term){ .kind = REF_GLOBAL_LIST, .list = list, .list_len = kept };
}

static struct ref_term window(struct rng *rng) {
    return (struct ref_term){ .kind = REF_WINDOW,
                              .left = rng_between(rng, 0, 40),
                              .right = rng_chance(rng, 40) ? 0 : rng_between(rng, 0, 40) };
}

static struct ref_term cut(struct problem *problem, struct ref_term term, struct rng *rng) {
    struct ref_term *by = problem_own(problem, 1, sizeof *by);
    switch (rng_between(rng, 0, 3)) {
    case 0: *by = (struct ref_term){ .kind = REF_WINDOW, .left = 150, .right = 60 }; break;
    case 1: *by = (struct ref_term){ .kind = REF_CHUNKED, .step = rng_between(rng, 20, 90) }; break;
    case 2: *by = (struct ref_term){ .kind = REF_STRIDED, .step = rng_between(rng, 2, 5) }; break;
    default: *by = strewn(problem, rng);
    }
    term.factors = by;
    term.n_factors = 1;
    return term;
}

// A raster of odd sides on `axes` axes, so wide that a tile of neighbours is a poor one; in half of
// the problems everything else speaks for tiles of space too.
static struct ref_term neighborhood(int axes, bool plain, struct rng *rng) {
    struct ref_term term = { .kind = REF_NEIGHBORHOOD, .axes = axes };
    for (int i = 0; i < axes; i++) {
        const int64_t half = i == axes - 1 ? rng_between(rng, 12, axes == 2 ? 28 : 18)
                             : axes == 2   ? rng_between(rng, 3, 5)
                                           : rng_between(rng, 1, 2);
        term.grid[i] = 2 * half + 1;
        term.dilation[i] = plain || rng_chance(rng, 50) ? 1 : rng_between(rng, 2, 3);
        term.kernel[i] = least(rng_between(rng, plain ? 5 : 2, 7), term.grid[i] / term.dilation[i]);
        term.causal_axis[i] = rng_chance(rng, 30);
    }
    return term;
}

static void state_pattern(struct problem *problem, enum kind kind, const struct ref_term *raster,
                          struct rng *rng) {
    if (raster->axes) problem_term(problem, 0, *raster);
    switch (kind) {
    case WINDOW_AND_LIST: problem_term(problem, 0, window(rng)); break;
    case PACKED_HEADS:
        problem_term(problem, 0, window(rng));
        if (rng_chance(rng, 50))
            problem_term(problem, 0,
                         (struct ref_term){ .kind = REF_SINK, .count = rng_between(rng, 1, 99) });
        if (rng_chance(rng, 30)) problem_term(problem, 0, (struct ref_term){ .kind = REF_DENSE });
        return;
    case LIST_CUT:
        problem_term(problem, 0, window(rng));
        problem_term(problem, 0, cut(problem, strewn(problem, rng), rng));
        return;
    case LIST_AND_STEPS:
        problem_term(problem, 0, window(rng));
        problem_term(problem, 0,
                     (struct ref_term){ .kind = REF_STRIDED, .step = rng_between(rng, 2, 16) });
        break;
    case PLANE:
    case SPACE:
        if (rng_chance(rng, 30)) problem_term(problem, 0, window(rng));
        return;
    default: break;
    }
    problem_term(problem, 0, strewn(problem, rng));
}

// -------------------------------------------------------------------------------------------------
// Problems

struct row_case {
    uint64_t seed;
    unsigned kind, mode;
    char kernel[64];
};

static int32_t *lengths(struct problem *problem, int64_t low, int64_t high, struct rng *rng) {
    int32_t *made = problem_own(problem, (size_t)problem->batch, sizeof *made);
    for (int64_t b = 0; b < problem->batch; b++) made[b] = (int32_t)rng_between(rng, low, high);
    return made;
}

static void state_lengths(struct problem *problem, struct rng *rng) {
    if (rng_chance(rng, 40)) problem->q_lengths = lengths(problem, 0, problem->q_len, rng);
    if (rng_chance(rng, 40)) problem->kv_lengths = lengths(problem, 0, problem->kv_len, rng);
    if (rng_chance(rng, 30)) problem->kv_starts = lengths(problem, 0, problem->kv_len / 2, rng);
    problem->align = (tulle_q_align)rng_between(rng, TULLE_ALIGN_LAST_KEY, TULLE_ALIGN_GIVEN);
    if (problem->align == TULLE_ALIGN_GIVEN) {
        problem->q_offset_count = rng_chance(rng, 50) ? 1 : (uint32_t)problem->batch;
        problem->q_offsets = lengths(problem, -20, 60, rng);
    }
}

static void state_numbers(struct problem *problem, struct rng *rng) {
    float *slopes = problem_own(problem, (size_t)problem->heads, sizeof *slopes),
          *sinks = problem_own(problem, (size_t)problem->heads, sizeof *sinks);
    for (int64_t head = 0; head < problem->heads; head++) {
        slopes[head] = (float)rng_between(rng, 0, 64) / 256;
        sinks[head] = (float)(2 * rng_normal(rng));
    }
    problem->slopes = rng_chance(rng, 25) ? slopes : NULL;
    problem->sinks = rng_chance(rng, 25) ? sinks : NULL;
    problem->softcap = rng_chance(rng, 20) ? 15 : 0;
    problem->lse = rng_chance(rng, 75);
    problem->o_dtype = rng_chance(rng, 30) ? TULLE_O_F32 : TULLE_O_AS_INPUT;
    problem->data = rng_chance(rng, 50) ? DATA_RISING : DATA_NORMAL;
}

static void state_case(const struct row_case *from, struct problem *problem) {
    static const int64_t heads[][2] = {
        { 2, 2 }, { 3, 1 }, { 4, 2 }, { 4, 1 }, { 5, 1 }, { 6, 2 }
    };
    const bool raster_kind = from->kind >= PLANE && from->kind <= SPACE_AND_LIST,
               packed = from->kind == PACKED_HEADS;
    struct rng rng = { rng_hash(from->seed, 1) };
    problem_init(problem, from->seed);
    const int64_t *of =
        heads[packed ? rng_between(&rng, 1, 5) : rng_between(&rng, 0, raster_kind ? 1 : 2)];
    problem->batch = rng_between(&rng, 1, 2);
    problem->heads = of[0];
    problem->kv_heads = of[1];
    problem->head_dim = problem->v_head_dim = HEAD_DIM;
    problem->dtype = strstr(from->kernel, "bf16")  ? TULLE_BF16
                     : strstr(from->kernel, "f16") ? TULLE_F16
                                                   : TULLE_F32;
    struct ref_term raster = { 0 };
    const bool plain = raster_kind && from->seed % 2;
    if (raster_kind) raster = neighborhood(from->kind < SPACE ? 2 : 3, plain, &rng);
    int64_t volume = 1;
    for (int i = 0; i < raster.axes; i++) volume *= raster.grid[i];
    // past the raster, or short of its end
    problem->kv_len =
        raster.axes ? volume + rng_between(&rng, -40, 40) : rng_between(&rng, 100, 330);
    problem->q_len = plain || rng_chance(&rng, 50) ? problem->kv_len
                                                   : rng_between(&rng, 20, problem->kv_len + 40);
    if (packed) problem->q_len = rng_chance(&rng, 50) ? 1 : rng_between(&rng, 2, 7);
    problem->causal = rng_chance(&rng, 50);
    if (!plain) state_lengths(problem, &rng);
    state_numbers(problem, &rng);
    problem->workspace_limit = rng_chance(&rng, 30) ? UINT64_MAX : 0;
    problem->dispatch_pairs = rng_chance(&rng, 60) ? (uint64_t)rng_between(&rng, 300, 20000) : 0;
    problem->kernel = from->kernel;
    problem->usage = TULLE_USAGE_HOST;
    state_pattern(problem, (enum kind)from->kind, &raster, &rng);
}

// -------------------------------------------------------------------------------------------------
// Running

// Plans that had dispatches of each sort.
static struct {
    unsigned plans, listed, listed_alone, of_space, packed, combined, listed_combined, not_combined;
} tally;

static void count_plan(const struct row_case *from, struct problem *problem,
                       const struct mode_context *context) {
    tulle_plan *plan = NULL;
    tulle_error error = { 0 };
    harness_ok(problem_plan(problem, context->tulle, &plan, &error), &error, "tulle_plan_create");
    const struct plan_uses uses = plan_uses(plan);
    tally.plans++;
    tally.listed += uses.listed;
    tally.listed_alone += uses.listed && !uses.neighbors;
    tally.combined += uses.combined;
    tally.listed_combined += uses.listed_combined;
    tally.not_combined += uses.listed && !uses.listed_combined;
    tally.packed += uses.listed && from->kind == PACKED_HEADS;
    tally.of_space += uses.listed && (from->kind == PLANE || from->kind == SPACE);
    tulle_plan_destroy(plan);
}

static void check_again(struct problem *problem, const struct mode_context *context) {
    struct problem first = *problem;
    first.o.memory = malloc(first.o.size);
    first.l.memory = malloc(first.l.size);
    assert_true(first.o.memory && first.l.memory);
    memcpy(first.o.memory, problem->o.memory, first.o.size);
    memcpy(first.l.memory, problem->l.memory, first.l.size);
    problem_must_run(problem, context, WAY_HOST);
    problem_check_identical(&first, problem, "a second run");
    free(first.o.memory);
    free(first.l.memory);
}

static void run_case(const struct row_case *from) {
    char text[160];
    snprintf(text, sizeof text, "%llu %u %u %s", (unsigned long long)from->seed, from->kind,
             from->mode, from->kernel);
    const struct mode_context *context = harness_mode((enum mode)from->mode);
    struct problem problem;
    state_case(from, &problem);
    if (problem_serves(&problem, context)) {
        harness_case(text);
        problem_fill(&problem);
        count_plan(from, &problem, context);
        problem_must_run(&problem, context, WAY_HOST);
        problem_check(&problem, kind_names[from->kind]);
        check_again(&problem, context);
        harness_case(NULL);
    }
    problem_free(&problem);
}

// By name too; but on a GPU the kernels for CPU drivers take minutes to compile.
static bool may_be_tried(tulle_context *context, const char *kernel, tulle_dtype dtype) {
    const char *only = getenv("TULLE_TEST_KERNELS");
    if (only && !strstr(kernel, only)) return false;
    if (!strncmp(kernel, "rows_", 5) && harness_device()->type != VK_PHYSICAL_DEVICE_TYPE_CPU)
        return false;
    struct variants named;
    const tulle_attention_desc desc = { .heads = 2,
                                        .q_len = 100,
                                        .kv_len = 100,
                                        .head_dim = HEAD_DIM,
                                        .dtype = dtype,
                                        .lse = true,
                                        .kernel = kernel,
                                        .buffer_usage = TULLE_USAGE_HOST };
    harness_variants(context, &desc, &named);
    return harness_serves(&named, kernel);
}

// Calls for every variant, of every dtype, that serves in a mode.
static void each_kernel(void (*each)(enum mode mode, const char *kernel, uint64_t number)) {
    uint64_t number = 0;
    for (int mode = MODE_OWN; mode <= MODE_OWN_FLOOR; mode++)
        for (int dtype = TULLE_F32; dtype <= TULLE_BF16; dtype++) {
            tulle_context *context = harness_mode((enum mode)mode)->tulle;
            struct variants all;
            const tulle_attention_desc desc = { .heads = 1,
                                                .q_len = 1,
                                                .kv_len = 1,
                                                .head_dim = HEAD_DIM,
                                                .dtype = (tulle_dtype)dtype };
            harness_variants(context, &desc, &all);
            for (uint32_t i = 0; i < all.count; i++)
                if (may_be_tried(context, all.names[i], (tulle_dtype)dtype))
                    each((enum mode)mode, all.names[i], number++);
        }
    if (!number) harness_fail("no kernel serves");
}

static uint64_t round_number;

static void try_kernel(enum mode mode, const char *kernel, uint64_t number) {
    const uint64_t seed = rng_hash(harness_seed(), 1000 * number + round_number);
    struct row_case one = {
        .seed = seed % 1000000007,
        // each kernel another kind in every round, whatever their number is
        .kind = (unsigned)((harness_seed() + number + number / KINDS + 2 * round_number) % KINDS),
        .mode = mode
    };
    snprintf(one.kernel, sizeof one.kernel, "%s", kernel);
    run_case(&one);
}

static bool met_all(void) {
    return tally.listed > 0 && tally.listed < tally.plans && tally.listed_alone > 0 &&
           tally.of_space > 0 && tally.packed > 0 && tally.listed_combined > 0 &&
           tally.not_combined > 0;
}

static void test_random(void **state) {
    (void)state;
    const char *given = getenv("TULLE_TEST_CASE");
    if (given) {
        struct row_case one;
        unsigned long long seed;
        if (sscanf(given, "%llu %u %u %63s", &seed, &one.kind, &one.mode, one.kernel) != 4 ||
            one.kind >= KINDS || one.mode >= MODE_COUNT)
            fail_msg("TULLE_TEST_CASE: '%s' is not understood", given);
        one.seed = seed;
        run_case(&one);
        return;
    }
    const char *many = getenv("TULLE_TEST_TRIALS");
    const uint64_t rounds = many ? strtoull(many, NULL, 0) : 1;
    const bool all = !getenv("TULLE_TEST_KERNELS");  // else there may be too few
    for (; round_number < rounds || (all && !met_all() && round_number < rounds + 4);
         round_number++)
        each_kernel(try_kernel);
    print_message(
        "%u plans: %u with listed rows, %u of these without others, %u of neighbourhoods alone, %u of packed heads; "
        "%u combine, %u of them listed rows; %u with listed rows do not\n",
        tally.plans, tally.listed, tally.listed_alone, tally.of_space, tally.packed, tally.combined,
        tally.listed_combined, tally.not_combined);
    assert_true(!all || met_all());
}

// -------------------------------------------------------------------------------------------------
// A list of the first positions, and how many they are

static void state_first(struct problem *problem, const char *kernel, bool list) {
    enum { COUNT = 13 };
    problem_init(problem, rng_hash(harness_seed(), 7));
    problem->heads = 2;
    problem->q_len = problem->kv_len = 131;
    problem->head_dim = HEAD_DIM;
    problem->dtype = strstr(kernel, "bf16")  ? TULLE_BF16
                     : strstr(kernel, "f16") ? TULLE_F16
                                             : TULLE_F32;
    problem->kernel = kernel;
    problem->usage = TULLE_USAGE_HOST;
    int64_t *positions = problem_own(problem, COUNT, sizeof *positions);
    for (int64_t i = 0; i < COUNT; i++) positions[i] = i;
    problem_term(problem, 0, (struct ref_term){ .kind = REF_WINDOW, .left = 9, .right = 9 });
    problem_term(
        problem, 0,
        list ? (struct ref_term){ .kind = REF_GLOBAL_LIST, .list = positions, .list_len = COUNT }
             : (struct ref_term){ .kind = REF_GLOBAL, .count = COUNT });
    problem_fill(problem);
}

static void check_first(enum mode mode, const char *kernel, uint64_t number) {
    (void)number;
    struct problem both[2];
    for (int list = 0; list < 2; list++) {
        state_first(&both[list], kernel, list);
        problem_must_run(&both[list], harness_mode(mode), WAY_HOST);
        problem_check(&both[list], list ? "global positions by list" : "global positions by count");
    }
    problem_check_same(&both[0], &both[1], "global:FILE and global:G");
    for (int list = 0; list < 2; list++) problem_free(&both[list]);
}

static void test_first_positions(void **state) {
    (void)state;
    each_kernel(check_first);
}

int main(int argc, char **argv) {
    (void)argc;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_first_positions),
    };
    return HARNESS_RUN(argv, "row sets", tests);
}
