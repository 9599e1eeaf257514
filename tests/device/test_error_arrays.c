// SPDX-License-Identifier: MIT
//
// Wrong host arrays, and results that cannot be merged, as test_error_descriptors.c has it for
// descriptors.
#include <string.h>

#include "mistakes.h"

static void test_host_arrays(void **state) {
    (void)state;
    tulle_context *context = harness_mode(MODE_OWN)->tulle;
    static float q[640], k[640], v[1280], o[1280], lse[80];
    tulle_attention_desc desc = mistake_desc();
    tulle_plan *plan = NULL;
    tulle_error error = { 0 };
    harness_ok(tulle_plan_create(context, &desc, &plan, &error), &error, "tulle_plan_create");
    const tulle_host_arrays good = { .q = q, .k = k, .v = v, .o = o, .lse = lse };
    for (int n = 0; n < 7; n++) {
        static const char *const words[][2] = { { "q", NULL },   { "k", NULL },
                                                { "v", NULL },   { "o", NULL },
                                                { "lse", NULL }, { "arrays", NULL },
                                                { "plan", NULL } };
        tulle_host_arrays bad = good;
        bad.q = n == 0 ? NULL : bad.q;
        bad.k = n == 1 ? NULL : bad.k;
        bad.v = n == 2 ? NULL : bad.v;
        bad.o = n == 3 ? NULL : bad.o;
        bad.lse = n == 4 ? NULL : bad.lse;
        memset(o, 0x5a, sizeof o);
        memset(&error, 0, sizeof error);
        mistake_refused(tulle_attention(n == 6 ? NULL : plan, n == 5 ? NULL : &bad, NULL, &error),
                        &error, TULLE_ERROR_INVALID_ARGUMENT, words[n], "an array that is missing");
        for (size_t at = 0; at < COUNT(o); at++) {
            if (memcmp(&o[at], "\x5a\x5a\x5a\x5a", 4) != 0) {
                harness_fail("O was written although the call failed");
            }
        }
    }
    harness_ok(tulle_attention(plan, &good, NULL, &error), &error, "the good arrays");
    tulle_plan_destroy(plan);
    tulle_plan_destroy(NULL);
    harness_silent();
}

// O may be Q itself, row for row, and its rows may lie between those of others; else nothing is
// shared.
static void test_shared_arrays(void **state) {
    (void)state;
    enum { ROWS = 80, DIM = 8 };  // of Q and O; K and V have as many
    tulle_context *context = harness_mode(MODE_OWN)->tulle;
    tulle_attention_desc desc = mistake_desc();
    desc.v_head_dim = DIM;
    static float q[ROWS * DIM], k[ROWS * DIM], v[ROWS * DIM], o[ROWS * DIM], want[ROWS * DIM],
        lse[ROWS], pairs[ROWS][2][DIM];
    struct rng rng = { rng_hash(harness_seed(), 78) };
    for (int n = 0; n < ROWS * DIM; n++) {
        q[n] = (float)rng_normal(&rng);
        k[n] = (float)rng_normal(&rng);
        v[n] = (float)rng_normal(&rng);
        pairs[n / DIM][0][n % DIM] = q[n];
    }
    tulle_plan *plan = NULL;
    tulle_error error = { 0 };
    harness_ok(tulle_plan_create(context, &desc, &plan, &error), &error, "tulle_plan_create");
    const tulle_host_arrays good = { .q = q, .k = k, .v = v, .o = want, .lse = lse };
    harness_ok(tulle_attention(plan, &good, NULL, &error), &error, "arrays apart");

    const tulle_strides between = { 4 * 10 * 2 * DIM, 10 * 2 * DIM, 2 * DIM };
    tulle_host_arrays shared = good;
    shared.q = pairs[0][0];
    shared.o = pairs[0][1];
    shared.q_strides = shared.o_strides = between;
    harness_ok(tulle_attention(plan, &shared, NULL, &error), &error, "O between the rows of Q");
    for (int n = 0; n < ROWS * DIM; n++)
        if (pairs[n / DIM][1][n % DIM] != want[n] || pairs[n / DIM][0][n % DIM] != q[n])
            harness_fail("O between the rows of Q differs at %d", n);

    const struct {
        const char *what;
        void *o, *lse;
        const char *words[2];
    } bad[] = {
        { "O that is K", k, lse, { "O at", "K at" } },
        { "O that is V", v, lse, { "O at", "V at" } },
        { "O in the middle of Q", q + DIM, lse, { "O at", "Q at" } },
        { "LSE in Q", o, q + 4, { "LSE at", "Q at" } },
        { "LSE in the last row of O", o, o + ROWS * DIM - 1, { "LSE at", "O at" } },
    };
    for (size_t n = 0; n < COUNT(bad); n++) {
        tulle_host_arrays arrays = good;
        arrays.o = bad[n].o;
        arrays.lse = bad[n].lse;
        mistake_refused(tulle_attention(plan, &arrays, NULL, &error), &error,
                        TULLE_ERROR_INVALID_ARGUMENT, bad[n].words, bad[n].what);
    }
    tulle_host_arrays place = good;
    place.o = q;
    harness_ok(tulle_attention(plan, &place, NULL, &error), &error, "O that is Q");
    if (memcmp(q, want, sizeof q) != 0) harness_fail("O that is Q differs");
    tulle_plan_destroy(plan);
    harness_silent();
}

static void test_merging(void **state) {
    (void)state;
    float o[2][16] = { { 0 } }, lse[2][4] = { { 0 } };
    tulle_error error = { 0 };
    const char
        *const dim_words[2] = { "v_head_dim", "multiple of 4" },
               *const none_words[2] = { "v_head_dim", "0" }, *const o_words[2] = { "into_o", NULL },
               *const lse_words[2] = { "from_lse", NULL }, *const dtype_words[2] = { "dtype", "7" };
    mistake_refused(tulle_merge(2, 0, TULLE_F32, o[0], lse[0], o[1], lse[1], &error), &error,
                    TULLE_ERROR_INVALID_ARGUMENT, none_words, "merging no dimensions");
    mistake_refused(tulle_merge(4, 4, TULLE_F32, NULL, lse[0], o[1], lse[1], &error), &error,
                    TULLE_ERROR_INVALID_ARGUMENT, o_words, "merging into nothing");
    mistake_refused(tulle_merge(4, 4, TULLE_F32, o[0], lse[0], o[1], NULL, &error), &error,
                    TULLE_ERROR_INVALID_ARGUMENT, lse_words, "merging from nothing");
    mistake_refused(tulle_merge(4, 4, (tulle_dtype)7, o[0], lse[0], o[1], lse[1], &error), &error,
                    TULLE_ERROR_INVALID_ARGUMENT, dtype_words, "merging an unknown dtype");
    const char *const rows_words[2] = { "rows", "0" };
    mistake_refused(tulle_merge(0, 4, TULLE_F32, o[0], lse[0], o[1], lse[1], &error), &error,
                    TULLE_ERROR_INVALID_ARGUMENT, rows_words, "merging no rows");
    harness_ok(tulle_merge(4, 4, TULLE_F32, o[0], lse[0], o[1], lse[1], &error), &error,
               "a good merge");
    const struct mode_context *context = harness_mode(MODE_IMPORT);
    struct gpu_buffer buffer =
        gpu_buffer_create(&context->gpu, 4096, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    const tulle_buffer good[] = { { buffer.buffer, 0, 64 },
                                  { buffer.buffer, 256, 16 },
                                  { buffer.buffer, 512, 64 },
                                  { buffer.buffer, 768, 16 } },
                       none = { 0 };
    const tulle_buffer small = { buffer.buffer, 0, 60 };
    tulle_merger *merger = NULL;
    const char *const small_words[2] = { "into_o", "60" }, *const merger_words[2] = { "merger",
                                                                                      NULL };
    mistake_refused(tulle_merger_create(context->tulle, 4, 6, TULLE_F32, &good[0], &good[1],
                                        &good[2], &good[3], &merger, &error),
                    &error, TULLE_ERROR_INVALID_ARGUMENT, dim_words, "a merger of 6 dimensions");
    mistake_refused(tulle_merger_create(context->tulle, 4, 4, TULLE_F32, &none, &good[1], &good[2],
                                        &good[3], &merger, &error),
                    &error, TULLE_ERROR_INVALID_ARGUMENT, o_words, "a merger into nothing");
    mistake_refused(tulle_merger_create(context->tulle, 4, 4, TULLE_F32, &small, &good[1], &good[2],
                                        &good[3], &merger, &error),
                    &error, TULLE_ERROR_INVALID_ARGUMENT, small_words,
                    "a merger into too small a buffer");
    mistake_refused(tulle_merger_create(context->tulle, 4, 4, TULLE_F32, &good[0], &good[1],
                                        &good[2], NULL, &merger, &error),
                    &error, TULLE_ERROR_INVALID_ARGUMENT, lse_words, "a merger from nothing");
    assert_null(merger);
    harness_ok(tulle_merger_create(context->tulle, 4, 4, TULLE_F32, &good[0], &good[1], &good[2],
                                   &good[3], &merger, &error),
               &error, "a good merger");
    VkCommandBuffer cmd = gpu_begin(&context->gpu);
    mistake_refused(tulle_cmd_merge(cmd, NULL, &error), &error, TULLE_ERROR_INVALID_ARGUMENT,
                    merger_words, "merging with nothing");
    gpu_finish(&context->gpu, cmd);
    tulle_merger_destroy(merger);
    gpu_buffer_destroy(&context->gpu, &buffer);
    harness_silent();
}

int main(int argc, char **argv) {
    (void)argc;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_host_arrays),
        cmocka_unit_test(test_shared_arrays),
        cmocka_unit_test(test_merging),
        cmocka_unit_test(mistakes_left_all_right),
    };
    return HARNESS_RUN(argv, "error_arrays", tests);
}
