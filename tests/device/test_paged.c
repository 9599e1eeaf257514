// SPDX-License-Identifier: MIT
//
// K and V in pages, in every kernel that serves them: random problems against the fp64 reference,
// and bit for bit against the same keys one after the other. Pages are shuffled and shared, what no
// query selects is NaN, and cells that nobody needs hold garbage.
//
// TULLE_TEST_CASE: one problem alone, as a failure prints it; TULLE_TEST_TRIALS: how many problems a
// kernel and mode.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"

// -------------------------------------------------------------------------------------------------
// Problems

struct paged_case {
    uint64_t seed;
    unsigned mode;
    char kernel[64];
};

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

// 0, 1, at a page's edge and beside it, whole, or anything.
static int64_t some_length(const struct problem *problem, struct rng *rng) {
    const int64_t most = problem->kv_len, size = problem->page_size;
    switch (rng_between(rng, 0, 4)) {
    case 0: return rng_between(rng, 0, 1);
    case 1: {
        const int64_t edge = size * rng_between(rng, 0, most / size) + rng_between(rng, -1, 1);
        return edge < 0 ? 0 : least(edge, most);
    }
    case 2: return most;
    default: return rng_between(rng, 1, most);
    }
}

static void state_lengths(struct problem *problem, struct rng *rng) {
    int32_t *keys = problem_own(problem, (size_t)problem->batch, sizeof *keys),
            *rows = problem_own(problem, (size_t)problem->batch, sizeof *rows),
            *starts = problem_own(problem, (size_t)problem->batch, sizeof *starts);
    for (int64_t b = 0; b < problem->batch; b++) {
        keys[b] = (int32_t)some_length(problem, rng);
        rows[b] = (int32_t)rng_between(rng, 0, problem->q_len);
        starts[b] = (int32_t)rng_between(rng, 0, keys[b]);
    }
    problem->kv_lengths = rng_chance(rng, 75) ? keys : NULL;
    problem->q_lengths = rng_chance(rng, 25) ? rows : NULL;
    problem->kv_starts = rng_chance(rng, 25) ? starts : NULL;
    problem->align = rng_chance(rng, 80) ? TULLE_ALIGN_LAST_KEY : TULLE_ALIGN_FIRST_KEY;
    if (problem->align == TULLE_ALIGN_LAST_KEY && rng_chance(rng, 20)) case_trees(problem, rng);
}

// Does a query of the batch entry select a key among these?
static bool selects_any(const struct problem *problem, int64_t b, int64_t first, int64_t end) {
    for (int64_t head = 0; head < problem->heads; head++) {
        for (int64_t row = 0; row < problem->q_len; row++) {
            for (int64_t j = first; j < end; j++) {
                if (problem_selects(problem, b, head, row, j)) {
                    return true;
                }
            }
        }
    }
    return false;
}

// The keys that a batch entry selects have pages, most of them one of their own.
static void state_table(struct problem *problem, struct rng *rng) {
    static const int32_t garbage[] = { -1, INT32_MIN, INT32_MAX, -1000 };
    const int64_t size = problem->page_size, cells = problem->batch * problem->table_columns;
    problem->pages = cells + rng_between(rng, 0, 3);
    int32_t *table = problem_own(problem, (size_t)cells, sizeof *table),
            *order = problem_own(problem, (size_t)problem->pages, sizeof *order);
    for (int32_t n = 0; n < problem->pages; n++) {
        const int32_t at = (int32_t)rng_between(rng, 0, n);
        order[n] = order[at];
        order[at] = n;
    }
    for (int64_t n = 0; n < cells; n++) {
        const int64_t b = n / problem->table_columns, first = n % problem->table_columns * size;
        const bool needed = selects_any(problem, b, first, least(first + size, problem->kv_len));
        table[n] = !needed               ? garbage[rng_between(rng, 0, 3)]
                   : rng_chance(rng, 15) ? order[rng_between(rng, 0, cells - 1)]
                                         : order[n];
    }
    problem->page_table = table;
}

// [pages, kv_heads, page_size, dim], [pages, page_size, kv_heads, dim], or with gaps.
static tulle_strides pool_strides(const struct problem *problem, int64_t dim, int64_t layout,
                                  struct rng *rng) {
    const int64_t size = problem->page_size, heads = problem->kv_heads;
    if (layout == 0) return (tulle_strides){ 0 };
    if (layout == 1) return (tulle_strides){ size * heads * dim, dim, heads * dim };
    tulle_strides strides = { .row = dim + 4 * rng_between(rng, 0, 2) };
    strides.head = size * strides.row + 4 * rng_between(rng, 0, 2);
    strides.batch = heads * strides.head + 4 * rng_between(rng, 0, 2);
    return strides;
}

static enum problem_way way_of(const struct mode_context *context) {
    return context->has_gpu ? WAY_RECORD : WAY_HOST;
}

static VkBufferUsageFlags usage_of(const struct mode_context *context) {
    tulle_device_info info;
    tulle_context_info(context->tulle, &info);
    return info.buffer_device_address
               ? TULLE_USAGE_HOST
               : TULLE_USAGE_HOST & ~(VkBufferUsageFlags)VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT;
}

static tulle_dtype dtype_of(const char *kernel) {
    return strstr(kernel, "_bf16") ? TULLE_BF16 : strstr(kernel, "_f16") ? TULLE_F16 : TULLE_F32;
}

static void state_case(const struct paged_case *from, struct problem *problem) {
    static const int64_t sizes[] = { 1, 2, 16, 64, 1024 },
                         heads[][2] = { { 3, 3 }, { 4, 2 }, { 4, 1 }, { 5, 1 }, { 1, 1 } },
                         dims[] = { 64, 80, 128 };
    const struct mode_context *context = harness_mode((enum mode)from->mode);
    struct rng rng = { rng_hash(from->seed, 1) };
    problem_init(problem, from->seed);
    const int64_t *of = heads[rng_between(&rng, 0, 4)];
    problem->batch = rng_between(&rng, 1, 3);
    problem->heads = of[0];
    problem->kv_heads = of[1];
    problem->head_dim = dims[rng_between(&rng, 0, 2)];
    if (way_of(context) == WAY_HOST && rng_chance(&rng, 20)) problem->head_dim = 33;  // padded
    problem->v_head_dim = rng_chance(&rng, 80) ? problem->head_dim : 64;
    problem->page_size = sizes[rng_between(&rng, 0, 4)];
    problem->q_len = rng_chance(&rng, 40) ? rng_between(&rng, 1, 4) : rng_between(&rng, 5, 75);
    problem->kv_len =
        problem->page_size == 1024 ? rng_between(&rng, 1000, 1100) : rng_between(&rng, 1, 300);
    problem->table_columns =
        (problem->kv_len - 1) / problem->page_size + 1 + rng_between(&rng, 0, 2);
    problem->dtype = dtype_of(from->kernel);
    problem->causal = rng_chance(&rng, 50);
    problem->kernel = from->kernel;
    problem->usage = usage_of(context);
    state_lengths(problem, &rng);
    const int64_t layout = rng_between(&rng, 0, 2);
    problem->k_strides = pool_strides(problem, problem->head_dim, layout, &rng);
    problem->v_strides = pool_strides(problem, problem->v_head_dim, layout, &rng);
    case_pattern((size_t)rng_between(&rng, 0, (int64_t)case_pattern_count() - 1), problem, &rng);
    state_table(problem, &rng);
}

static bool has_page(const struct problem *problem, int64_t b, int64_t j) {
    const int64_t page = problem_key(problem, b, j).batch;
    return 0 <= page && page < problem->pages;
}

// The same keys one after the other.
static void state_contiguous(const struct paged_case *from, const struct problem *paged,
                             struct problem *problem) {
    state_case(from, problem);
    problem->page_size = problem->pages = problem->table_columns = 0;
    problem->page_table = NULL;
    problem->k_strides = problem->v_strides = (tulle_strides){ 0 };
    problem_fill(problem);
    const struct tensor *pools[] = { &paged->k, &paged->v };
    struct tensor *to[] = { &problem->k, &problem->v };
    for (int t = 0; t < 2; t++)
        for (int64_t n = 0; n < paged->batch * paged->kv_heads * paged->kv_len; n++) {
            const int64_t j = n % paged->kv_len, g = n / paged->kv_len % paged->kv_heads,
                          b = n / paged->kv_len / paged->kv_heads;
            const struct key_place at = problem_key(paged, b, j);
            if (has_page(paged, b, j))
                memcpy(tensor_at(to[t], b, g, j, 0), tensor_at(pools[t], at.batch, g, at.row, 0),
                       (size_t)to[t]->dim * tulle_dtype_size(to[t]->dtype));
        }
}

// -------------------------------------------------------------------------------------------------
// Running

static unsigned run_count, split_count;

static void run_case(const struct paged_case *from) {
    char text[128];
    snprintf(text, sizeof text, "%llu %u %s", (unsigned long long)from->seed, from->mode,
             from->kernel);
    const struct mode_context *context = harness_mode((enum mode)from->mode);
    struct problem paged, contiguous;
    state_case(from, &paged);
    if (problem_serves(&paged, context)) {
        harness_case(text);
        problem_fill(&paged);
        problem_must_run(&paged, context, way_of(context));
        problem_check(&paged, "paged");
        state_contiguous(from, &paged, &contiguous);
        problem_must_run(&contiguous, context, way_of(context));
        problem_check_identical(&paged, &contiguous, "paged and contiguous");
        harness_case(NULL);
        run_count++;
        split_count += paged.info.workspace_bytes > 0;
        problem_free(&contiguous);
    }
    problem_free(&paged);
}

static uint64_t rounds;  // TULLE_TEST_TRIALS; 0: one, of every fourth kernel and mode

// Calls for every variant of every dtype that serves paged K and V in a mode.
static void each_kernel(void (*each)(enum mode mode, const char *kernel, uint64_t number)) {
    const char *only = getenv("TULLE_TEST_KERNELS"), *many = getenv("TULLE_TEST_TRIALS");
    uint64_t number = 0;
    rounds = many ? strtoull(many, NULL, 0) : 0;
    for (int dtype = TULLE_F32; dtype <= TULLE_BF16; dtype++)
        for (int mode = MODE_OWN; mode < MODE_COUNT; mode++) {
            struct variants all;
            const tulle_attention_desc desc = { .heads = 1,
                                                .q_len = 1,
                                                .kv_len = 16,
                                                .head_dim = 64,
                                                .dtype = (tulle_dtype)dtype,
                                                .page_size = 16,
                                                .pages = 1,
                                                .table_columns = 1,
                                                .buffer_usage = TULLE_USAGE_HOST };
            harness_variants(harness_mode((enum mode)mode)->tulle, &desc, &all);
            for (uint32_t i = 0; i < all.count; i++)
                if (all.serves[i] && (!only || strstr(all.names[i], only)) &&
                    ((harness_seed() + number++) % 4 == 0 || rounds || only))
                    each((enum mode)mode, all.names[i], number);
        }
    if (!number) harness_fail("no kernel serves");
}

static void try_kernel(enum mode mode, const char *kernel, uint64_t number) {
    for (uint64_t n = 0; n < (rounds ? rounds : 1); n++) {
        struct paged_case one = { .seed = rng_hash(harness_seed(), 1000 * number + n) % 1000000007,
                                  .mode = mode };
        snprintf(one.kernel, sizeof one.kernel, "%s", kernel);
        run_case(&one);
    }
}

static void test_random(void **state) {
    (void)state;
    const char *given = getenv("TULLE_TEST_CASE");
    if (given) {
        struct paged_case one;
        unsigned long long seed;
        if (sscanf(given, "%llu %u %63s", &seed, &one.mode, one.kernel) != 3 ||
            one.mode >= MODE_COUNT)
            fail_msg("TULLE_TEST_CASE: '%s' is not understood", given);
        one.seed = seed;
        run_case(&one);
        return;
    }
    each_kernel(try_kernel);
    print_message("%u problems with pages, %u of them with partial results\n", run_count,
                  split_count);
    assert_true(run_count > 0);
}

// -------------------------------------------------------------------------------------------------
// Cells outside the pool

enum { SIZE = 16, COLUMNS = 3, BATCH = 2, POOL = 4 };

static void run_cells(struct problem *problem, const struct mode_context *context,
                      const char *kernel, const int32_t table[BATCH * COLUMNS]) {
    problem_init(problem, rng_hash(harness_seed(), 5));
    problem->batch = BATCH;
    problem->heads = problem->kv_heads = 2;
    problem->q_len = 5;
    problem->kv_len = SIZE * COLUMNS;
    problem->head_dim = 64;
    problem->dtype = dtype_of(kernel);
    problem->kernel = kernel;
    problem->usage = usage_of(context);
    problem->page_size = SIZE;
    problem->pages = POOL;
    problem->table_columns = COLUMNS;
    // what the reference and the inputs are made from; all pages are selected
    static const int32_t all_pages[BATCH * COLUMNS] = { 0, 1, 2, 3, 2, 1 };
    problem->page_table = all_pages;
    problem_fill(problem);
    problem->page_table = table;
    problem_must_run(problem, context, way_of(context));
}

// The header: they reach nothing outside. What they do reach is the pool's last page.
static void check_cells(enum mode mode, const char *kernel, uint64_t number) {
    (void)number;
    static const int32_t outside[] = { 2, 0, 1, -1, POOL, INT32_MIN },
                         last[] = { 2, 0, 1, POOL - 1, POOL - 1, POOL - 1 };
    struct problem both[2];
    for (int n = 0; n < 2; n++)
        run_cells(&both[n], harness_mode(mode), kernel, n == 0 ? outside : last);
    problem_check_identical(&both[0], &both[1], "cells outside the pool, and its last page");
    for (int n = 0; n < 2; n++) problem_free(&both[n]);
}

static void test_cells_outside(void **state) {
    (void)state;
    each_kernel(check_cells);
}

// -------------------------------------------------------------------------------------------------
// More pages than 16 bits count

static void check_many(const char *kernel) {
    enum { MANY = 70001 };
    static const int32_t table[] = { 65535, 65536, 3, MANY - 1, 0, 40000, 69999 };
    struct problem problem;
    problem_init(&problem, rng_hash(harness_seed(), 6));
    problem.heads = 2;
    problem.q_len = 3;
    problem.kv_len = problem.table_columns = sizeof table / sizeof *table;
    problem.head_dim = 8;
    problem.kernel = kernel;
    problem.usage = TULLE_USAGE_HOST;
    problem.page_size = 1;
    problem.pages = MANY;
    problem.page_table = table;
    problem_fill(&problem);
    problem_must_run(&problem, harness_mode(MODE_OWN), WAY_HOST);
    problem_check(&problem, "70,001 pages");
    problem_free(&problem);
}

static void test_many_pages(void **state) {
    (void)state;
    check_many(NULL);
    check_many("base");
}

int main(int argc, char **argv) {
    (void)argc;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_cells_outside),
        cmocka_unit_test(test_many_pages),
    };
    return HARNESS_RUN(argv, "paged", tests);
}
