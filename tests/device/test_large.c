// SPDX-License-Identifier: MIT
//
// What small shapes cannot show: a million tokens, a row over a million keys (more than 65,535
// iterations of any loop), more than 65,535 workgroups, tensors larger than a storage buffer range,
// repeated over several binding windows. Outputs are poisoned and guarded as everywhere; rows are
// checked in samples, each as a small problem of its own for the reference.

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "problem.h"
#include "tolerance.h"

#define MILLION (INT64_C(1) << 20)

// -------------------------------------------------------------------------------------------------
// Problems too large for problem_fill: every row of Q, K and V is written, nothing is computed in
// advance

static void state_large(struct problem *problem, tulle_dtype dtype, int64_t q_len, int64_t kv_len,
                        int64_t head_dim) {
    problem_init(problem, rng_hash(harness_seed(), (uint64_t)(q_len + kv_len)));
    problem->q_len = q_len;
    problem->kv_len = kv_len;
    problem->head_dim = problem->v_head_dim = head_dim;
    problem->dtype = dtype;
}

// Values in [−2, 2] with 8 bits: exact in every dtype.
static double value_at(const struct problem *problem, uint64_t stream, int64_t row, int64_t d) {
    return (double)(int64_t)(rng_hash(problem->seed ^ stream, (uint64_t)(row * 256 + d)) % 257) /
               64.0 -
           2.0;
}

static void fill_tensor(const struct problem *problem, const struct tensor *tensor,
                        uint64_t stream) {
    for (int64_t b = 0; b < tensor->batch; b++) {
        for (int64_t head = 0; head < tensor->heads; head++) {
            for (int64_t row = 0; row < tensor->rows; row++) {
                for (int64_t d = 0; d < tensor->dim; d++) {
                    dtype_encode(tensor->dtype,
                                 value_at(problem, stream,
                                          (b * tensor->heads + head) * tensor->rows + row, d),
                                 tensor_at(tensor, b, head, row, d));
                }
            }
        }
    }
}

static void make_tensors(struct problem *problem) {
    tensor_make(problem, &problem->q, problem->batch, problem->heads, problem->q_len,
                problem->head_dim, problem->dtype, problem->q_strides, false, problem->q_lead);
    tensor_make(problem, &problem->k, problem->batch, problem->kv_heads, problem->kv_len,
                problem->head_dim, problem->dtype, problem->k_strides, false, problem->k_lead);
    tensor_make(problem, &problem->v, problem->batch, problem->kv_heads, problem->kv_len,
                problem->v_head_dim, problem->dtype, problem->v_strides, false, problem->v_lead);
    tensor_make(problem, &problem->o, problem->batch, problem->heads, problem->q_len,
                problem->v_head_dim, problem_o_dtype(problem), problem->o_strides, false,
                problem->o_lead);
    tensor_make(problem, &problem->l, problem->batch, problem->heads, problem->q_len, 1, TULLE_F32,
                (tulle_strides){ 0, 0, 0 }, false, problem->lse_lead);
    fill_tensor(problem, &problem->q, 1);
    fill_tensor(problem, &problem->k, 2);
    fill_tensor(problem, &problem->v, 3);
}

static double *rows_of(struct problem *owner, const struct tensor *tensor, int64_t b, int64_t head,
                       int64_t first, int64_t count) {
    double *rows = problem_own(owner, (size_t)(count * tensor->dim), sizeof *rows);
    for (int64_t n = 0; n < count * tensor->dim; n++) {
        rows[n] = dtype_decode(
            tensor->dtype, tensor_at(tensor, b, head, first + n / tensor->dim, n % tensor->dim));
    }
    return rows;
}

// Compares one row with the reference's answer for that row alone over the keys [first, end) that
// hold all it selects. Positions are moved by `first`: only patterns of p − j may be checked so.
static void check_row(struct problem *problem, int64_t b, int64_t head, int64_t row, int64_t first,
                      int64_t end) {
    struct problem scratch;
    problem_init(&scratch, 0);
    const int64_t keys = end - first, g = head * problem->kv_heads / problem->heads;
    const int64_t offset = row + problem_offset(problem, b) - first;
    double o[256], absolute[256], lse, bound;
    uint64_t pairs = 0;
    const struct ref_term dense = { .kind = REF_DENSE };
    const struct ref_pattern pattern =
        problem->pattern_count == 0
            ? (struct ref_pattern){ &dense, 1 }
            : (struct ref_pattern){ problem->terms[0], problem->term_count[0] };
    const struct ref_problem reference = { .batch = 1,
                                           .heads = 1,
                                           .kv_heads = 1,
                                           .q_len = 1,
                                           .kv_len = keys,
                                           .head_dim = problem->head_dim,
                                           .v_head_dim = problem->v_head_dim,
                                           .q = rows_of(&scratch, &problem->q, b, head, row, 1),
                                           .k = rows_of(&scratch, &problem->k, b, g, first, keys),
                                           .v = rows_of(&scratch, &problem->v, b, g, first, keys),
                                           .causal = problem->causal,
                                           .patterns = &pattern,
                                           .n_patterns = 1,
                                           .q_offset = &offset,
                                           .n_q_offset = 1,
                                           .o = o,
                                           .lse = &lse,
                                           .absolute = absolute,
                                           .score_bound = &bound,
                                           .pairs = &pairs };
    ref_attention(&reference);
    const struct tolerance_row bounds = { .head_dim = problem->head_dim,
                                          .keys = (int64_t)pairs,
                                          .score_bound = bound };
    const double weights = tolerance_weights(&bounds);
    for (int64_t d = 0; d < problem->v_head_dim; d++) {
        const double got = problem_o(problem, b, head, row, d),
                     tolerance = tolerance_o(&bounds, weights, absolute[d], o[d], problem->o.dtype);
        if (!(fabs(got - o[d]) <= tolerance)) {
            harness_fail("O[%d, %d, %d, %d] is %.9g, should be %.9g within %.3g", (int)b, (int)head,
                         (int)row, (int)d, got, o[d], tolerance);
        }
    }
    if (!(fabs(problem_lse(problem, b, head, row) - lse) <= tolerance_lse(&bounds, lse))) {
        harness_fail("LSE[%d, %d, %d] is %.9g, should be %.9g", (int)b, (int)head, (int)row,
                     problem_lse(problem, b, head, row), lse);
    }
    problem_free(&scratch);
}

// No element may still be poison: every row was written.
static void check_written(const struct problem *problem) {
    for (int64_t b = 0; b < problem->batch; b++) {
        for (int64_t head = 0; head < problem->heads; head++) {
            for (int64_t row = 0; row < problem->q_len; row++) {
                for (int64_t d = 0; d < problem->v_head_dim; d++) {
                    // a mean of values in [−2, 2]
                    if (!(fabs(problem_o(problem, b, head, row, d)) <= 2.0)) {
                        harness_fail("O[%d, %d, %d, %d] is %g", (int)b, (int)head, (int)row, (int)d,
                                     problem_o(problem, b, head, row, d));
                    }
                }
                if (!isfinite(problem_lse(problem, b, head, row))) {
                    harness_fail("LSE[%d, %d, %d] is %g", (int)b, (int)head, (int)row,
                                 problem_lse(problem, b, head, row));
                }
            }
        }
    }
}

// -------------------------------------------------------------------------------------------------

static void check_window_samples(struct problem *problem, int64_t left, int64_t right) {
    struct rng rng = { rng_hash(harness_seed(), 7) };
    check_written(problem);
    for (int n = 0; n < 400; n++) {
        const int64_t edge[] = { 0, 1, problem->q_len - 1, problem->q_len - 2 };
        const int64_t row = n < 4 ? edge[n] : rng_between(&rng, 0, problem->q_len - 1),
                      p = row + problem_offset(problem, 0);
        const int64_t first = p - left - 3 < 0 ? 0 : p - left - 3,
                      end = p + right + 4 > problem->kv_len ? problem->kv_len : p + right + 4;
        check_row(problem, 0, 0, row, first, end);
    }
}

static void test_million_tokens(void **state) {
    (void)state;
    for (int n = 0; n < 2; n++) {
        struct problem problem;
        state_large(&problem, TULLE_F16, MILLION, MILLION, 8);
        problem_term(&problem, 0, (struct ref_term){ .kind = REF_WINDOW, .left = 15, .right = 0 });
        make_tensors(&problem);
        problem_must_run(&problem, harness_mode(n == 0 ? MODE_OWN : MODE_IMPORT_FLOOR),
                         n == 0 ? WAY_HOST : WAY_RECORD);
        check_window_samples(&problem, 15, 0);
        problem_free(&problem);
    }
}

// One query over a million keys. All logits are 0, so O is the mean of the values and LSE the
// logarithm of their number. Values are 0 and 1: sums stay whole numbers below 2^24, which fp32
// holds exactly. So one key too many or too few in a channel of 2^17 ones (8e-6 of it) is out of
// bounds (2e-6).
static void check_long_row(enum mode mode, enum problem_way way, const char *kernel, int64_t kv_len,
                           bool causal) {
    struct problem problem;
    state_large(&problem, TULLE_F32, 1, kv_len, 8);
    problem.kernel = kernel;
    problem.causal = causal;
    make_tensors(&problem);
    for (int64_t d = 0; d < 8; d++) {
        dtype_encode(TULLE_F32, 0.0, tensor_at(&problem.q, 0, 0, 0, d));
    }
    // Channel d is 1 for the keys whose position is d modulo 8 in units of 4,096, else 0: a chunk
    // that is left out or counted twice shifts the channels against each other.
    double want[8] = { 0.0 };
    for (int64_t j = 0; j < kv_len; j++) {
        for (int64_t d = 0; d < 8; d++) {
            const double value = j / 4096 % 8 == d;
            want[d] += value;
            dtype_encode(TULLE_F32, value, tensor_at(&problem.v, 0, 0, j, d));
        }
    }
    problem_must_run(&problem, harness_mode(mode), way);
    // exp2(0) is 1 (if a driver's is not, it is the same for all keys), sums of ones up to 2^24 are
    // exact, and merging partial results weighs them with 1: what is left are the logarithms' and
    // the division's roundings.
    for (int64_t d = 0; d < 8; d++) {
        const double mean = want[d] / (double)kv_len, got = problem_o(&problem, 0, 0, 0, d);
        if (!(fabs(got - mean) <= 32.0 * 0x1p-24 * mean)) {
            harness_fail("a row over %d keys: O[%d] is %.9g, should be %.9g: off by %.1f keys",
                         (int)kv_len, (int)d, got, mean, (got - mean) * (double)kv_len);
        }
    }
    const double lse = problem_lse(&problem, 0, 0, 0);
    if (!(fabs(lse - log((double)kv_len)) <= 32.0 * 0x1p-24 * log((double)kv_len))) {
        harness_fail("a row over %d keys: LSE is %.9g, should be %.9g", (int)kv_len, lse,
                     log((double)kv_len));
    }
    problem_free(&problem);
}

static void test_million_keys(void **state) {
    (void)state;
    check_long_row(MODE_OWN, WAY_HOST, NULL, MILLION + 77, false);
    check_long_row(MODE_IMPORT, WAY_RECORD, "base", MILLION + 77, true);
    check_long_row(MODE_IMPORT_FLOOR, WAY_RECORD, NULL, MILLION + 77, false);
}

// A few rows over many keys with real logits: rescaling over many chunks.
static void test_long_rows(void **state) {
    (void)state;
    struct problem problem;
    state_large(&problem, TULLE_F32, 5, 200000, 4);
    problem.heads = 2;
    make_tensors(&problem);
    problem_must_run(&problem, harness_mode(MODE_IMPORT), WAY_RECORD);
    check_written(&problem);
    for (int64_t n = 0; n < 4; n++) {
        check_row(&problem, 0, n % 2, n, 0, 200000);
    }
    problem_free(&problem);
}

// More workgroups than 65,535, in one grid dimension or the other: over query tiles, and over batch
// and heads.
static void test_many_workgroups(void **state) {
    (void)state;
    struct problem rows, batches;
    state_large(&rows, TULLE_F16, 2200000, 2200000, 4);
    problem_term(&rows, 0, (struct ref_term){ .kind = REF_WINDOW, .left = 2, .right = 1 });
    make_tensors(&rows);
    problem_must_run(&rows, harness_mode(MODE_IMPORT), WAY_RECORD);
    check_window_samples(&rows, 2, 1);
    problem_free(&rows);

    state_large(&batches, TULLE_F32, 2, 3, 4);
    batches.batch = 35000;
    batches.heads = 2;
    make_tensors(&batches);
    problem_must_run(&batches, harness_mode(MODE_IMPORT_FLOOR), WAY_RECORD);
    check_written(&batches);
    for (int64_t b = 0; b < 35000; b += b < 34900 ? 97 : 1) {
        check_row(&batches, b, b % 2, b / 2 % 2, 0, 3);
    }
    problem_free(&batches);
}

// Tensors over 128 MiB, the least storage buffer range that Vulkan 1.1 promises and lavapipe's:
// rows far apart put few numbers into much memory. Windows of K and V (a row's keys lie in
// several), then of Q and O.
static void test_windows(void **state) {
    (void)state;
    for (int n = 0; n < 2; n++) {
        struct problem keys, queries;
        state_large(&keys, TULLE_F32, 40, 100000, 8);
        keys.k_strides = (tulle_strides){ 100000 * 512, 100000 * 512, 512 };
        keys.v_strides = (tulle_strides){ 100000 * 520, 100000 * 520, 520 };
        make_tensors(&keys);
        problem_must_run(&keys, harness_mode(n == 0 ? MODE_IMPORT : MODE_IMPORT_FLOOR), WAY_RECORD);
        check_written(&keys);
        for (int64_t row = 0; row < 40; row += 13) {
            check_row(&keys, 0, 0, row, 0, 100000);
        }
        problem_free(&keys);

        state_large(&queries, TULLE_F32, 100000, 100000, 8);
        queries.q_strides = (tulle_strides){ 100000 * 512, 100000 * 512, 512 };
        queries.o_strides = (tulle_strides){ 100000 * 520, 100000 * 520, 520 };
        problem_term(&queries, 0, (struct ref_term){ .kind = REF_WINDOW, .left = 5, .right = 5 });
        make_tensors(&queries);
        problem_must_run(&queries, harness_mode(n == 0 ? MODE_IMPORT : MODE_IMPORT_FLOOR),
                         n == 0 ? WAY_RECORD : WAY_HOST);
        check_window_samples(&queries, 5, 5);
        problem_free(&queries);
    }
}

int main(int argc, char **argv) {
    (void)argc;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_million_tokens), cmocka_unit_test(test_million_keys),
        cmocka_unit_test(test_long_rows),      cmocka_unit_test(test_many_workgroups),
        cmocka_unit_test(test_windows),
    };
    return HARNESS_RUN(argv, "large", tests);
}
