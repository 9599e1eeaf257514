// SPDX-License-Identifier: MIT
//
// Times the variants that serve a workload against each other, and remembers the fastest for its
// class.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/tuning.h"
#include "run/plan.h"
#include "run/shared.h"
#include "tulle/inspect.h"

enum {
    ROUNDS = 5,        // over all that are left, so that a slow moment of the machine hits all
    REPEATS_LEAST = 3  // of a round
};
#define ROUND_MS 20.0  // of each variant, about
#define HOPELESS 2.0   // times the fastest's time: not timed further

struct candidate {
    const struct variant *variant;
    tulle_plan *plan;  ///< NULL: it drops out, and ms is infinite
    double ms;         ///< the first time, then the least of some, then the median
};

struct tuning_run {
    tulle_context *context;
    tulle_attention_desc desc;  ///< its kernel is set for each candidate
    struct attention attention;
    tulle_host_arrays arrays;
    void *memory[TENSOR_COUNT];
    struct candidate *candidates;  ///< the default first
    uint32_t count;
};

/// Numbers of size 0.5 … 1, of either sign: the bits of a mantissa and a sign.
static void fill(void *to, uint64_t bytes, tulle_dtype dtype) {
    const uint32_t keep = dtype == TULLE_F32   ? 0x807fffff
                          : dtype == TULLE_F16 ? 0x83ff83ff
                                               : 0x807f807f,
                   half = dtype == TULLE_F32   ? 0x3f000000
                          : dtype == TULLE_F16 ? 0x38003800
                                               : 0x3f003f00;
    uint32_t *words = to, state = 1;
    for (uint64_t i = 0; i < bytes / 4; i++) {
        state = state * 1664525u + 1013904223u;
        words[i] = ((state ^ state >> 13) & keep) | half;
    }
}

static tulle_result make_arrays(struct tuning_run *run, tulle_error *error) {
    const struct attention *a = &run->attention;
    for (int t = 0; t < TENSOR_COUNT; t++) {
        if (t == TENSOR_LSE && !a->lse) continue;
        const uint64_t bytes = a->span[t] + 4;  // spans are of 4 elements; malloc(0) is nothing
        run->memory[t] = bytes <= SIZE_MAX ? malloc((size_t)bytes) : NULL;
        if (!run->memory[t])
            return context_fail(run->context, error, TULLE_ERROR_OUT_OF_HOST_MEMORY,
                                "no host memory for a %s to tune with", tensor_names[t]);
        if (t <= TENSOR_V) fill(run->memory[t], bytes, a->dtype);
    }
    run->arrays = (tulle_host_arrays){ .q = run->memory[TENSOR_Q],
                                       .k = run->memory[TENSOR_K],
                                       .v = run->memory[TENSOR_V],
                                       .o = run->memory[TENSOR_O],
                                       .lse = run->memory[TENSOR_LSE],
                                       // as on the device, which the spans are of
                                       .q_strides = a->strides[TENSOR_Q],
                                       .k_strides = a->strides[TENSOR_K],
                                       .v_strides = a->strides[TENSOR_V],
                                       .o_strides = a->strides[TENSOR_O],
                                       .q_broadcast = true,
                                       .k_broadcast = true,
                                       .v_broadcast = true };
    return TULLE_OK;
}

/// Plans it and times it once. One that this workload cannot be planned for drops out.
static tulle_result try_once(struct tuning_run *run, struct candidate *c, tulle_error *error) {
    run->desc.kernel = c->variant->name;
    tulle_result result = plan_try(run->context, &run->desc, &c->plan, error);
    if (result == TULLE_ERROR_WORKSPACE_LIMIT) {
        c->ms = INFINITY;
        return TULLE_OK;
    }
    const tulle_timing timing = { .repeat = 1, .repeat_ms = &c->ms };
    return result ? result : tulle_attention(c->plan, &run->arrays, &timing, error);
}

static int compare(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double fastest(const struct tuning_run *run) {
    double least = INFINITY;
    for (uint32_t i = 0; i < run->count; i++)
        if (run->candidates[i].ms < least) least = run->candidates[i].ms;
    return least;
}

/// Those that took far longer than the fastest, once more: something else may have held one up.
static tulle_result try_again(struct tuning_run *run, tulle_error *error) {
    const double least = fastest(run);
    tulle_result result = TULLE_OK;
    for (uint32_t i = 0; i < run->count && !result; i++) {
        struct candidate *c = &run->candidates[i];
        double ms[2] = { c->ms, c->ms };
        const tulle_timing timing = { .repeat = 2, .repeat_ms = ms };
        if (!c->plan || c->ms <= HOPELESS * least) continue;
        result = tulle_attention(c->plan, &run->arrays, &timing, error);
        for (int k = 0; k < 2; k++)
            if (ms[k] < c->ms) c->ms = ms[k];
    }
    return result;
}

/// The candidates that are left, in turn, ROUNDS times.
static tulle_result time_all(struct tuning_run *run, tulle_error *error) {
    const double least = fastest(run), fitting = ROUND_MS / (least > 0.1 ? least : 0.1);
    const uint32_t repeats = fitting > REPEATS_LEAST ? (uint32_t)fitting : REPEATS_LEAST,
                   all = repeats * ROUNDS;
    tulle_result result = TULLE_OK;
    double *ms = malloc((size_t)run->count * all * sizeof *ms);
    if (!ms)
        return context_fail(run->context, error, TULLE_ERROR_OUT_OF_HOST_MEMORY,
                            "no host memory for the times of %u variants", run->count);
    for (uint32_t round = 0; round < ROUNDS; round++)
        for (uint32_t i = 0; i < run->count && !result; i++) {
            const struct candidate *c = &run->candidates[i];
            if (!c->plan || c->ms > HOPELESS * least) continue;
            const tulle_timing timing = { .repeat = repeats,
                                          .repeat_ms =
                                              ms + (size_t)i * all + (size_t)round * repeats };
            result = tulle_attention(c->plan, &run->arrays, &timing, error);
        }
    for (uint32_t i = 0; i < run->count && !result; i++) {
        struct candidate *c = &run->candidates[i];
        if (!c->plan || c->ms > HOPELESS * least) continue;
        double *mine = ms + (size_t)i * all;
        qsort(mine, all, sizeof *mine, compare);
        c->ms = mine[all / 2];
    }
    free(ms);
    return result;
}

static tulle_result find_candidates(struct tuning_run *run, tulle_error *error) {
    const struct caps *caps = &run->context->caps;
    const struct attention *a = &run->attention;
    uint32_t *order = malloc(variant_count * sizeof *order);
    run->candidates = calloc(variant_count, sizeof *run->candidates);
    if (!order || !run->candidates) {
        free(order);
        return context_fail(run->context, error, TULLE_ERROR_OUT_OF_HOST_MEMORY,
                            "no host memory to order the variants");
    }
    const uint32_t count = variant_order(a, caps, order);
    for (uint32_t i = 0; i < count; i++) {
        const struct variant *v = &variants[order[i]];
        char reason[160];
        if (variant_serves(v, a, caps, false, reason, sizeof reason))
            run->candidates[run->count++].variant = v;
    }
    free(order);
    tulle_error local;
    if (!run->count && !variant_choose(a, caps, &local))  // which says why
        return context_pass(run->context, error, &local);
    return TULLE_OK;
}

static tulle_result tune(struct tuning_run *run, tulle_tune_callback each, void *user,
                         tulle_error *error) {
    tulle_result result = find_candidates(run, error);
    if (!result) result = make_arrays(run, error);
    for (uint32_t i = 0; i < run->count && !result; i++)
        result = try_once(run, &run->candidates[i], error);
    if (!result) result = try_again(run, error);
    if (!result) result = time_all(run, error);
    if (result) return result;
    const struct candidate *best = &run->candidates[0];
    const double least = fastest(run);
    for (uint32_t i = 1; i < run->count && tuning_better(least, run->candidates[0].ms); i++)
        if (run->candidates[i].ms == least) best = &run->candidates[i];
    if (!best->plan)
        return context_fail(run->context, error, TULLE_ERROR_WORKSPACE_LIMIT,
                            "workspace_limit is too little for every kernel that serves");
    const struct tuning_class of = tuning_class_of(&run->attention, &run->context->caps);
    tuning_set(run->context->shared->tuning, &of, best->variant);
    for (uint32_t i = 0; i < run->count && each; i++) {
        const struct candidate *c = &run->candidates[i];
        if (c->plan) each(user, c->variant->name, c->ms, c == best);
    }
    return TULLE_OK;
}

tulle_result tulle_tune(tulle_context *context, const tulle_attention_desc *desc,
                        tulle_tune_callback each, void *user, tulle_error *error) {
    tulle_error local;
    if (!context || !desc)
        return context_fail(context, error, TULLE_ERROR_INVALID_ARGUMENT, "%s is NULL",
                            context ? "desc" : "context");
    if (desc->kernel)
        return context_fail(context, error, TULLE_ERROR_INVALID_ARGUMENT,
                            "kernel is \"%.80s\"; to tune it must be NULL: all are tried",
                            desc->kernel);
    if (desc->page_size)
        return context_fail(
            context, error, TULLE_ERROR_INVALID_ARGUMENT,
            "page_size is %u; to tune it must be 0 (what is found holds for paged K and V too)",
            desc->page_size);
    struct tuning_run run = { .context = context, .desc = *desc };
    tulle_result result = attention_resolve(desc, &run.attention, &local);
    if (result) return context_pass(context, error, &local);
    result = tune(&run, each, user, error);
    for (uint32_t i = 0; i < run.count; i++) tulle_plan_destroy(run.candidates[i].plan);
    for (int t = 0; t < TENSOR_COUNT; t++) free(run.memory[t]);
    free(run.candidates);
    attention_free(&run.attention);
    return result;
}

void tulle_tuned(const tulle_context *context, tulle_tuned_callback each, void *user) {
    struct tuned t;
    if (!context || !each) return;
    for (uint32_t i = 0; tuning_get(context->shared->tuning, i, &t); i++) {
        const tulle_tuned_class of = { t.of.dtype, t.of.pieces * 4, t.of.phase, t.of.addresses,
                                       t.of.matrices };
        each(user, &of, t.variant->name);
    }
}
