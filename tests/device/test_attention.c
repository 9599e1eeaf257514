// SPDX-License-Identifier: MIT
//
// Every kernel variant x pattern x dtype, pairwise over shapes, layouts and everything else a
// descriptor holds, against the fp64 reference: see cases.c for the factors. A failure prints the
// case; TULLE_TEST_CASE='...' has it alone again.
#define _POSIX_C_SOURCE 200809L

#include "cases.h"
#include "probe.h"
#include "tolerance.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/thread.h"

#define FAILURES_MOST 20  // then it gives up
// of a processor: a kernel whose pipeline takes longer to compile is left out, and named
#define PROBE_SECONDS 20.0

static bool left_out[CASES_KERNELS_MOST];  // by kernel level

// Some drivers take minutes to compile some kernels (which no one would pick there). A middling and
// the largest head size tell; one that a kernel refuses costs nothing. fp16 tells where there is no
// such kernel for fp32.
static bool takes_too_long(size_t kernel) {
    static const char *const dims[] = { "64/64", "256/256" }, *const dtypes[] = { "f32", "f16" };
    bool too_long = false;
    for (size_t d = 0; d < 2 && !too_long; d++) {
        enum probe_end end = PROBE_FAILED;  // refused
        for (size_t t = 0; t < 2 && end == PROBE_FAILED; t++) {
            char spec[200];
            snprintf(
                spec, sizeof spec,
                "seed=1 pattern=window shape=64x64 dim=%s dtype=%s softcap=30 usage=all way=import kernel=%s",
                dims[d], dtypes[t], cases_kernel(kernel));
            end = probe_case(spec, PROBE_SECONDS);
        }
        too_long = end == PROBE_TOO_LONG;
    }
    return too_long;
}

static atomic_size_t next_probe;

static void *probe_some(void *unused) {
    for (size_t n; (n = atomic_fetch_add(&next_probe, 1)) < cases_kernel_count();) {
        left_out[n] = takes_too_long(n);
    }
    return unused;
}

// As many at a time as there are processors: a GPU's driver may need the whole time for each kernel
// of the CPU drivers.
static void probe_kernels(void) {
    pthread_t threads[CASES_KERNELS_MOST];
    const size_t processors = probe_processors();
    size_t started = 0;
    atomic_store(&next_probe, 1);  // 0 is "best"
    while (started + 1 < cases_kernel_count() && started + 1 < processors &&
           pthread_create(&threads[started], NULL, probe_some, NULL) == 0) {
        started++;
    }
    probe_some(NULL);
    for (size_t n = 0; n < started; n++) {
        pthread_join(threads[n], NULL);
    }
    for (size_t n = 1; n < cases_kernel_count(); n++) {
        if (left_out[n]) {
            printf(
                "# kernel %s is left out: this driver takes over %.0f CPU seconds to compile it\n",
                cases_kernel(n), PROBE_SECONDS);
        }
    }
    fflush(stdout);
}

static bool serves(void *user, const uint8_t levels[PAIRWISE_FACTORS]) {
    (void)user;
    struct attention_case candidate = { .seed = 1 };
    memcpy(candidate.levels, levels, sizeof candidate.levels);
    if (left_out[levels[F_KERNEL]] || !case_can_be(&candidate)) {
        return false;
    }
    if (levels[F_KERNEL] == 0) {
        return getenv("TULLE_TEST_KERNELS") == NULL;  // some variant always does
    }
    struct problem problem;
    struct problem_build build;
    struct variants variants;
    case_state(&candidate, &problem);
    problem_build(&problem, &build);
    harness_variants(harness_mode(case_mode(&candidate))->tulle, &build.desc, &variants);
    bool found = false;
    for (uint32_t n = 0; n < variants.count; n++) {
        found = found || (variants.serves[n] && strcmp(variants.names[n], problem.kernel) == 0);
    }
    problem_unbuild(&build);
    problem_free(&problem);
    return found;
}

static double seconds(void) { return 1e-3 * clock_ms(); }

static void run_case(const void *user) {
    const struct attention_case *from = user;
    char text[600];
    case_print(from, text, sizeof text);
    harness_case(text);
    const double begin = seconds();
    const struct mode_context *context = harness_mode(case_mode(from));
    struct problem problem;
    case_state(from, &problem);
    problem_fill(&problem);
    problem_must_run(&problem, context, case_way(from));
    problem_check(&problem, "the reference");
    if (from->seed % 4 == 0) {  // a quarter of the cases: bit for bit the same when repeated
        struct problem again;
        case_state(from, &again);
        problem_fill(&again);
        problem_must_run(&again, context, case_way(from));
        problem_check_identical(&problem, &again, "a second run");
        problem_free(&again);
    }
    if (getenv("TULLE_TEST_VERBOSE") != NULL) {
        fprintf(stderr, "# %.2f s, kernel %s: %s\n", seconds() - begin, problem.info.kernel, text);
    }
    problem_free(&problem);
    harness_case(NULL);
}

// TULLE_TEST_SHARE=i/n: of the cases only every n-th, from the i-th on (0 … n − 1). With one seed,
// n processes do all of them.
struct share {
    size_t first, step;
};

static struct share share_of_cases(void) {
    const char *given = getenv("TULLE_TEST_SHARE");
    if (given == NULL) {
        return (struct share){ 0, 1 };
    }
    unsigned first = 0, step = 0;
    char rest;
    if (given[strspn(given, "0123456789/")] != '\0' ||
        sscanf(given, "%4u/%4u%c", &first, &step, &rest) != 2 || first >= step) {
        fail_msg("TULLE_TEST_SHARE=%s: i/n with i < n is wanted", given);
    }
    if (getenv("TULLE_TEST_SEED") == NULL) {
        fail_msg(
            "%s",
            "TULLE_TEST_SHARE without TULLE_TEST_SEED: the shares would be of different cases");
    }
    return (struct share){ first, step };
}

static void test_pairwise(void **state) {
    (void)state;
    const char *given = getenv("TULLE_TEST_CASE");
    if (given != NULL) {
        struct attention_case alone;
        char wrong[64];
        cases_find_kernels();
        if (!case_parse(given, &alone, wrong, sizeof wrong)) {
            fail_msg("TULLE_TEST_CASE: '%s' is not understood", wrong);
        }
        run_case(&alone);
        return;
    }
    const struct share share = share_of_cases();
    cases_find_kernels();
    printf("# kernels:");
    for (size_t n = 0; n < cases_kernel_count(); n++) {
        printf(" %s", cases_kernel(n));
    }
    printf("\n");
    probe_kernels();
    size_t levels[FACTOR_COUNT];
    cases_levels(levels);
    struct pairwise_rows rows;
    pairwise_make(levels, FACTOR_COUNT, rng_hash(harness_seed(), 1), serves, NULL, &rows);
    printf(
        "# %zu cases for %zu pairs of levels; %zu pairs cannot be had (a variant refuses them)\n",
        rows.count, rows.pairs, rows.impossible);
    if (share.first >= rows.count) {
        fail_msg("TULLE_TEST_SHARE: there are %zu cases, none for share %zu", rows.count,
                 share.first);
    }
    size_t of_kernel[CASES_KERNELS_MOST] = { 0 }, ran = 0, failed = 0;
    double spent[CASES_KERNELS_MOST] = { 0 };
    // planted faults need one failure, no more
    const size_t most = getenv("TULLE_TEST_GIVE_UP") != NULL ? 1 : FAILURES_MOST;
    for (size_t n = share.first; n < rows.count && failed < most; n += share.step) {
        struct attention_case next = { .seed = rng_hash(harness_seed(), 1000 + n) % 1000000007 };
        memcpy(next.levels, rows.levels[n], sizeof next.levels);
        const double begin = seconds();
        failed += !harness_try(run_case, &next);
        spent[next.levels[F_KERNEL]] += seconds() - begin;
        of_kernel[next.levels[F_KERNEL]]++;
        ran++;
    }
    for (size_t n = 0; n < cases_kernel_count(); n++) {
        printf("# %4zu cases with kernel %s in %.0f s%s\n", of_kernel[n], cases_kernel(n), spent[n],
               left_out[n]        ? " (left out)"
               : of_kernel[n] > 0 ? ""
               : share.step > 1   ? " (none in this share)"
                                  : " (refused everywhere on this device)");
    }
    printf(
        "# the largest error as a share of what is allowed: %.3f where O is fp32, %.3f fp16, %.3f bf16 (where rounding O is nearly all of it)\n",
        problem_worst_share(TULLE_F32), problem_worst_share(TULLE_F16),
        problem_worst_share(TULLE_BF16));
    free(rows.levels);
    if (failed > 0) {
        fail_msg("%zu of the %zu cases that ran failed", failed, ran);
    }
}

// Every pair of levels is there, and the same seed gives the same rows.
static bool refuse_some(void *user, const uint8_t levels[PAIRWISE_FACTORS]) {
    (void)user;
    return !(levels[0] == 1 && levels[1] == 2);
}

static void test_generator(void **state) {
    (void)state;
    static const size_t levels[] = { 3, 4, 2, 5 };
    struct pairwise_rows rows, again;
    pairwise_make(levels, 4, harness_seed(), refuse_some, NULL, &rows);
    pairwise_make(levels, 4, harness_seed(), refuse_some, NULL, &again);
    assert_int_equal(rows.count, again.count);
    assert_memory_equal(rows.levels, again.levels, rows.count * sizeof *rows.levels);
    assert_int_equal(rows.impossible, 1);
    assert_true(rows.count >= 20 && rows.count <= 40);
    for (size_t f = 0; f < 4; f++) {
        for (size_t g = f + 1; g < 4; g++) {
            for (size_t a = 0; a < levels[f]; a++) {
                for (size_t b = 0; b < levels[g]; b++) {
                    bool met = f == 0 && g == 1 && a == 1 && b == 2;
                    for (size_t n = 0; n < rows.count; n++) {
                        met = met || (rows.levels[n][f] == a && rows.levels[n][g] == b);
                    }
                    assert_true(met);
                }
            }
        }
    }
    free(rows.levels);
    free(again.levels);
}

// The tolerance is no wider than what an error would cost: a window's edge off by one in a row of
// 257 keys changes the weights by 1/257, which must be out of bounds for every dtype, head size and
// score that the cases have.
static void test_tolerance_is_sharp(void **state) {
    (void)state;
    static const int64_t dims[] = { 4, 64, 256 };
    for (size_t n = 0; n < 3; n++) {
        const struct tolerance_row row = { .head_dim = dims[n], .keys = 257, .score_bound = 12.0 };
        const double weights = tolerance_weights(&row);
        assert_true(weights > dims[n] * 0x1p-24 && weights < 1.0 / 257.0);
        assert_true(tolerance_lse(&row, 6.0) < 1.0 / 257.0);
        assert_true(tolerance_o(&row, weights, 0.8, 0.05, TULLE_F32) < 0.8 / 257.0);
        assert_true(tolerance_o(&row, weights, 0.8, 0.05, TULLE_F16) < 0.8 / 257.0);
        assert_true(tolerance_o(&row, weights, 0.8, 0.05, TULLE_BF16) < 0.8 / 257.0);
    }
}

int main(int argc, char **argv) {
    probe_adopt(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_generator),
        cmocka_unit_test(test_tolerance_is_sharp),
        cmocka_unit_test(test_pairwise),
    };
    return HARNESS_RUN(argv, "attention", tests);
}
