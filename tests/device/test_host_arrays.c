// SPDX-License-Identifier: MIT
//
// Arrays in host memory that tulle_attention is given: what their strides reach is read, and nothing
// else. They end where a page begins that nobody may read.
#define _DEFAULT_SOURCE

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness.h"

enum { BATCH = 3, HEADS = 4, KV_HEADS = 2, Q_LEN = 37, KV_LEN = 50, DIM = 20, V_DIM = 12 };
enum { Q, K, V, INPUTS };
enum { O_COUNT = BATCH * HEADS * Q_LEN * V_DIM };

// batch, heads, rows, dim
static const int64_t shapes[INPUTS][4] = { { BATCH, HEADS, Q_LEN, DIM },
                                           { BATCH, KV_HEADS, KV_LEN, DIM },
                                           { BATCH, KV_HEADS, KV_LEN, V_DIM } };

// Floats, the last one just before a page without access.
struct fenced {
    char *pages;
    size_t size;
    float *floats;
};

static struct fenced fence(size_t count) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = count * sizeof(float),
                 inner = (bytes + page - 1) / page * page;
    struct fenced f = { .size = inner + page };
    f.pages = mmap(NULL, f.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(f.pages != MAP_FAILED);
    assert_int_equal(mprotect(f.pages + inner, page, PROT_NONE), 0);
    f.floats = (float *)(void *)(f.pages + inner - bytes);
    return f;
}

static void unfence(struct fenced *f) { munmap(f->pages, f->size); }

// One input: a view of what is fenced, and the same numbers in C order.
struct input {
    struct fenced given;
    tulle_strides strides;
    float *plain;
};

static int64_t *axis_of(tulle_strides *strides, int axis) {
    return axis == 0 ? &strides->batch : axis == 1 ? &strides->head : &strides->row;
}

// C order, where one entry stands for all of the axes in `shared` (bit n: of axis n); *count: the
// elements that there are.
static tulle_strides strides_sharing(const int64_t shape[4], unsigned shared, int64_t *count) {
    tulle_strides strides;
    *count = shape[3];
    for (int axis = 2; axis >= 0; axis--) {
        *axis_of(&strides, axis) = shared >> axis & 1 ? 0 : *count;
        *count *= shared >> axis & 1 ? 1 : shape[axis];
    }
    return strides;
}

static struct input make_input(struct rng *rng, const int64_t shape[4], unsigned shared) {
    int64_t count;
    struct input input = { .strides = strides_sharing(shape, shared, &count) };
    input.given = fence((size_t)count);
    for (int64_t i = 0; i < count; i++) input.given.floats[i] = (float)rng_normal(rng);
    input.plain = malloc((size_t)(shape[0] * shape[1] * shape[2] * shape[3]) * sizeof *input.plain);
    assert_non_null(input.plain);
    float *to = input.plain;
    for (int64_t b = 0; b < shape[0]; b++)
        for (int64_t h = 0; h < shape[1]; h++)
            for (int64_t r = 0; r < shape[2]; r++, to += shape[3])
                memcpy(to,
                       input.given.floats + b * input.strides.batch + h * input.strides.head +
                           r * input.strides.row,
                       (size_t)shape[3] * sizeof *to);
    return input;
}

static void free_input(struct input *input) {
    unfence(&input->given);
    free(input->plain);
}

// in_plan: the axes of each input of which the plan has one entry.
static void run(const unsigned in_plan[INPUTS], const tulle_host_arrays *arrays) {
    int64_t count;
    const tulle_attention_desc desc = {
        .batch = BATCH,
        .heads = HEADS,
        .kv_heads = KV_HEADS,
        .q_len = Q_LEN,
        .kv_len = KV_LEN,
        .head_dim = DIM,
        .v_head_dim = V_DIM,
        .causal = true,
        .q = strides_sharing(shapes[Q], in_plan[Q], &count),
        .k = strides_sharing(shapes[K], in_plan[K], &count),
        .v = strides_sharing(shapes[V], in_plan[V], &count),
        .q_broadcast = in_plan[Q] == 7,
        .k_broadcast = in_plan[K] == 7,
        .v_broadcast = in_plan[V] == 7,
        .kernel = "base",
    };
    tulle_plan *plan = NULL;
    tulle_error error = { 0 };
    harness_ok(tulle_plan_create(harness_mode(MODE_OWN)->tulle, &desc, &plan, &error), &error,
               "tulle_plan_create");
    harness_ok(tulle_attention(plan, arrays, NULL, &error), &error, "tulle_attention");
    tulle_plan_destroy(plan);
    harness_silent();
}

static tulle_host_arrays views(struct input inputs[INPUTS], float *o) {
    return (tulle_host_arrays){ .q = inputs[Q].given.floats,
                                .k = inputs[K].given.floats,
                                .v = inputs[V].given.floats,
                                .o = o,
                                .q_strides = inputs[Q].strides,
                                .k_strides = inputs[K].strides,
                                .v_strides = inputs[V].strides,
                                .q_broadcast = true,
                                .k_broadcast = true,
                                .v_broadcast = true };
}

// Any axes shared in the arrays, and any of those in the plan too: the same bits as from arrays
// that are written out.
static void test_shared_axes(void **state) {
    (void)state;
    static float o[O_COUNT], wanted[O_COUNT];
    for (int trial = 0; trial < 24; trial++) {
        struct rng rng = { rng_hash(harness_seed(), (uint64_t)trial) };
        struct input inputs[INPUTS];
        unsigned in_plan[INPUTS];
        const unsigned none[INPUTS] = { 0 };
        for (int t = 0; t < INPUTS; t++) {
            // the first trials: one row for all
            const unsigned shared = trial < 2 ? 7 : (unsigned)rng_between(&rng, 0, 7);
            inputs[t] = make_input(&rng, shapes[t], shared);
            in_plan[t] = trial == 0 ? 0 : shared & (unsigned)rng_between(&rng, 0, 7);
        }
        const tulle_host_arrays plain = {
            .q = inputs[Q].plain, .k = inputs[K].plain, .v = inputs[V].plain, .o = wanted
        };
        run(none, &plain);
        const tulle_host_arrays arrays = views(inputs, o);
        run(in_plan, &arrays);
        if (memcmp(o, wanted, sizeof o)) harness_fail("trial %d: O differs", trial);
        for (int t = 0; t < INPUTS; t++) free_input(&inputs[t]);
    }
}

// What the plan has once is read once: entries of the array beyond index 0 may not even exist.
static void test_read_once(void **state) {
    (void)state;
    static float o[O_COUNT], wanted[O_COUNT];
    struct rng rng = { rng_hash(harness_seed(), 1000) };
    for (unsigned shared = 1; shared < 8; shared++) {
        struct input inputs[INPUTS];
        const unsigned in_plan[INPUTS] = { shared, shared, shared }, none[INPUTS] = { 0 };
        for (int t = 0; t < INPUTS; t++) inputs[t] = make_input(&rng, shapes[t], shared);
        const tulle_host_arrays plain = {
            .q = inputs[Q].plain, .k = inputs[K].plain, .v = inputs[V].plain, .o = wanted
        };
        run(none, &plain);
        for (int t = 0; t < INPUTS; t++)
            for (int axis = 0; axis < 3; axis++)
                if (shared >> axis & 1) *axis_of(&inputs[t].strides, axis) = INT64_C(1) << 50;
        const tulle_host_arrays arrays = views(inputs, o);
        run(in_plan, &arrays);
        if (memcmp(o, wanted, sizeof o)) harness_fail("axes %u: O differs", shared);
        for (int t = 0; t < INPUTS; t++) free_input(&inputs[t]);
    }
}

int main(int argc, char **argv) {
    (void)argc;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shared_axes),
        cmocka_unit_test(test_read_once),
    };
    return HARNESS_RUN(argv, "host_arrays", tests);
}
