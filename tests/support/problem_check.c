// SPDX-License-Identifier: MIT
//
// Comparing what the library answered: with the reference, with another run.

#include <math.h>
#include <string.h>

#include "problem.h"
#include "tolerance.h"

static double worst_share[3];  // by O's dtype; LSE counts as fp32

double problem_worst_share(tulle_dtype o_dtype) { return worst_share[o_dtype]; }

double problem_o(const struct problem *problem, int64_t b, int64_t head, int64_t row, int64_t d) {
    return dtype_decode(problem->o.dtype, tensor_at(&problem->o, b, head, row, d));
}

double problem_lse(const struct problem *problem, int64_t b, int64_t head, int64_t row) {
    return dtype_decode(TULLE_F32, tensor_at(&problem->l, b, head, row, 0));
}

static struct tolerance_row row_of(const struct problem *problem, int64_t n, int64_t head) {
    const bool units = strncmp(problem->info.kernel, "matrix_", 7) == 0,
               half = problem->dtype == TULLE_F16;
    return (struct tolerance_row){
        .head_dim = problem->head_dim,
        .keys = problem->keys[n],
        .score_bound = problem->score_bound[n],
        .softcap = problem->softcap,
        .sink_logit = problem->sinks == NULL ? 0.0 : fabs(problem->sinks[head]),
        .unit_roundings = units ? 1.0 : 0.0,
        .weight_rounding = !units ? 0.0
                           : half ? 0x1p-10
                                  : 0x1p-8,
        .weight_lost = units && half ? 0x1p-25 : 0.0,
        .value_most = problem->value_most,
        .weight_scale = half                           ? 1.0
                        : problem->dtype == TULLE_BF16 ? 32.0 * (double)problem->kv_len
                                                       : 2.0 * (double)problem->kv_len,
        .flush = problem->logit_flush,
    };
}

static bool within(double got, double want, double tolerance, tulle_dtype dtype) {
    if (got == want) {
        return true;  // infinities too
    }
    const double error = fabs(got - want);
    if (tolerance > 0.0 && error <= tolerance) {  // false where got is NaN
        worst_share[dtype] = fmax(worst_share[dtype], error / tolerance);
        return true;
    }
    return false;
}

// Rows without a key are exact: 0 and −inf or the sink logit (to rounding: it passes through log2
// units).
static double lse_tolerance(const struct problem *problem, int64_t n, int64_t head) {
    if (problem->keys[n] == 0) {
        return isinf(problem->want_lse[n]) ? 0.0
                                           : 8.0 * 0x1p-24 * (fabs(problem->want_lse[n]) + 1.0);
    }
    const struct tolerance_row row = row_of(problem, n, head);
    return tolerance_lse(&row, problem->want_lse[n]);
}

void problem_check(const struct problem *problem, const char *what) {
    int64_t n = 0;
    for (int64_t b = 0; b < problem->batch; b++) {
        for (int64_t head = 0; head < problem->heads; head++) {
            for (int64_t row = 0; row < problem->q_len; row++, n++) {
                if (problem->unspecified[n]) {
                    continue;
                }
                const struct tolerance_row bounds = row_of(problem, n, head);
                const double weights = tolerance_weights(&bounds);
                for (int64_t d = 0; d < problem->v_head_dim; d++) {
                    const int64_t at = n * problem->v_head_dim + d;
                    const double want = problem->want_o[at],
                                 got = problem_o(problem, b, head, row, d);
                    const double tolerance =
                        problem->keys[n] == 0 ? 0.0
                                              : tolerance_o(&bounds, weights, problem->absolute[at],
                                                            want, problem->o.dtype) +
                                                    problem->value_flush;
                    if (!within(got, want, tolerance, problem->o.dtype)) {
                        harness_fail(
                            "%s (kernel %s): O[%d, %d, %d, %d] is %.9g, should be %.9g within %.3g; the row selects %d keys",
                            what, problem->info.kernel, (int)b, (int)head, (int)row, (int)d, got,
                            want, tolerance, (int)problem->keys[n]);
                    }
                }
                if (problem->lse) {
                    const double want = problem->want_lse[n],
                                 got = problem_lse(problem, b, head, row);
                    const double tolerance = lse_tolerance(problem, n, head);
                    if (!within(got, want, tolerance, TULLE_F32)) {
                        harness_fail(
                            "%s (kernel %s): LSE[%d, %d, %d] is %.9g, should be %.9g within %.3g; the row selects %d keys",
                            what, problem->info.kernel, (int)b, (int)head, (int)row, got, want,
                            tolerance, (int)problem->keys[n]);
                    }
                }
            }
        }
    }
}

void problem_check_same(const struct problem *a, const struct problem *b, const char *what) {
    int64_t n = 0;
    for (int64_t at = 0; at < a->batch; at++) {
        for (int64_t head = 0; head < a->heads; head++) {
            for (int64_t row = 0; row < a->q_len; row++, n++) {
                const struct tolerance_row bounds = row_of(a, n, head);
                const double weights = tolerance_weights(&bounds);
                for (int64_t d = 0; d < a->v_head_dim; d++) {
                    const int64_t element = n * a->v_head_dim + d;
                    const double tolerance =
                        a->keys[n] == 0 ? 0.0
                                        : 2.0 * tolerance_o(&bounds, weights, a->absolute[element],
                                                            a->want_o[element], a->o.dtype);
                    if (!within(problem_o(a, at, head, row, d), problem_o(b, at, head, row, d),
                                tolerance, a->o.dtype)) {
                        harness_fail(
                            "%s: O[%d, %d, %d, %d] is %.9g one way and %.9g the other; they may differ by %.3g",
                            what, (int)at, (int)head, (int)row, (int)d,
                            problem_o(a, at, head, row, d), problem_o(b, at, head, row, d),
                            tolerance);
                    }
                }
                if (a->lse && b->lse &&
                    !within(problem_lse(a, at, head, row), problem_lse(b, at, head, row),
                            2.0 * lse_tolerance(a, n, head), TULLE_F32)) {
                    harness_fail("%s: LSE[%d, %d, %d] is %.9g one way and %.9g the other", what,
                                 (int)at, (int)head, (int)row, problem_lse(a, at, head, row),
                                 problem_lse(b, at, head, row));
                }
            }
        }
    }
}

static void check_identical_tensor(const struct tensor *a, const struct tensor *b, const char *what,
                                   const char *name) {
    for (int64_t at = 0; at < a->batch; at++) {
        for (int64_t head = 0; head < a->heads; head++) {
            for (int64_t row = 0; row < a->rows; row++) {
                if (memcmp(tensor_at(a, at, head, row, 0), tensor_at(b, at, head, row, 0),
                           (size_t)a->dim * tulle_dtype_size(a->dtype)) != 0) {
                    harness_fail("%s: %s[%d, %d, %d] is not the same bit for bit", what, name,
                                 (int)at, (int)head, (int)row);
                }
            }
        }
    }
}

void problem_check_identical(const struct problem *a, const struct problem *b, const char *what) {
    check_identical_tensor(&a->o, &b->o, what, "O");
    if (a->lse && b->lse) {
        check_identical_tensor(&a->l, &b->l, what, "LSE");
    }
}
