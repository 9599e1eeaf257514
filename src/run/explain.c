// SPDX-License-Identifier: MIT
//
// What would be chosen and why, what every pipeline costs, and what a schedule looks like: nothing
// here runs.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/measured.h"
#include "kernel/tuning.h"
#include "run/plan.h"
#include "run/shared.h"
#include "schedule/row_sets.h"
#include "schedule/tiler.h"
#include "tulle/inspect.h"

/// The descriptor filled in, with what was tuned; a failure also goes to the context's log. context may be NULL.
static tulle_result resolve(const tulle_context *context, const tulle_attention_desc *desc,
                            struct attention *a, tulle_error *error) {
    tulle_error local;
    if (attention_resolve(desc, a, &local)) return context_pass(context, error, &local);
    if (context) tuning_apply(context->shared->tuning, &context->caps, a);
    return TULLE_OK;
}

static bool explain(const struct attention *a, const struct caps *caps, tulle_variant_callback each,
                    void *user) {
    uint32_t *order = malloc(variant_count * sizeof *order);
    if (!order) return false;
    uint32_t count = variant_order(a, caps, order);
    for (uint32_t i = 0; i < count; i++) {
        char reason[160];
        const struct variant *v = &variants[order[i]];
        bool serves =
            variant_serves(v, a, caps, variant_named(v, a->kernel), reason, sizeof reason);
        each(user, v->name, serves, reason);
    }
    free(order);
    return true;
}

void tulle_plan_explain(const tulle_plan *plan, tulle_variant_callback each, void *user) {
    if (plan && each) explain(&plan->attention, &plan->context->caps, each, user);
}

/// Where nothing else is asked: one dense fp32 head of 64, buffers with every usage that a variant
/// may need.
static const tulle_attention_desc plain_desc = {
    .heads = 1,
    .q_len = 1024,
    .kv_len = 1024,
    .head_dim = 64,
    .buffer_usage = TULLE_USAGE_HOST,
};

tulle_result tulle_explain(tulle_context *context, const tulle_attention_desc *desc,
                           tulle_variant_callback each, void *user, tulle_error *error) {
    struct attention a;
    if (!context || !each)
        return context_fail(context, error, TULLE_ERROR_INVALID_ARGUMENT, "%s is NULL",
                            context ? "each" : "context");
    tulle_result result = resolve(context, desc ? desc : &plain_desc, &a, error);
    if (result) return result;
    if (!explain(&a, &context->caps, each, user))
        result = context_fail(context, error, TULLE_ERROR_OUT_OF_HOST_MEMORY,
                              "no host memory to order the variants");
    attention_free(&a);
    return result;
}

void tulle_context_ranking(const tulle_context *context, tulle_ranking *ranking) {
    if (!context || !ranking) return;
    *ranking = (tulle_ranking){ 0 };
    if (context->caps.type != VK_PHYSICAL_DEVICE_TYPE_CPU) return;
    struct measured_at at;
    ranking->measured = true;
    ranking->measured_here = measured_nearest(&context->caps, &at);
    ranking->release_major = at.major;
    ranking->release_minor = at.minor;
    ranking->subgroup_size = at.lanes;
}

tulle_result tulle_compile_all(tulle_context *context, bool include_refused,
                               tulle_statistic_callback each, void *user, tulle_error *error) {
    static const uint32_t dims[] = { 32, 64, 96, 128, 192, 256, V_HEAD_DIM_MOST, HEAD_DIM_MOST };
    if (!context || !each)
        return context_fail(context, error, TULLE_ERROR_INVALID_ARGUMENT, "%s is NULL",
                            context ? "each" : "context");
    for (uint32_t i = 0; i < variant_count; i++)
        for (size_t k = 0; k < sizeof dims / sizeof *dims; k++) {
            struct attention a;
            tulle_attention_desc desc = plain_desc;
            char reason[160], name[96];
            struct pipeline_key key, resume;
            desc.head_dim = dims[k];
            desc.v_head_dim = dims[k] < V_HEAD_DIM_MOST ? dims[k] : V_HEAD_DIM_MOST;
            desc.dtype = variants[i].dtype;
            desc.lse = true;
            desc.kernel = variants[i].name;
            tulle_result result = resolve(context, &desc, &a, error);
            if (result) return result;
            if (!variant_serves(&variants[i], &a, &context->caps, include_refused, reason,
                                sizeof reason)) {
                attention_free(&a);
                continue;
            }
            variant_pipeline_key(&variants[i], &a, &context->caps, PM_FLAG_DIRECT | PM_FLAG_PARTIAL,
                                 &key);
            // would selection take it here, with no kernel named?
            a.kernel[0] = '\0';
            const struct variant *chosen = variant_choose(&a, &context->caps, NULL);
            snprintf(name, sizeof name, "%s d%u%s", variants[i].name, dims[k],
                     chosen == &variants[i] ? " *" : "");
            result = pipeline_report(context->shared->pipelines, &key, name, each, user, error);
            variant_pipeline_key(&variants[i], &a, &context->caps, PM_FLAG_DIRECT | PM_FLAG_RESUME,
                                 &resume);
            if (!result && strcmp(key.module, resume.module)) {
                snprintf(name, sizeof name, "%s d%u, resuming%s", variants[i].name, dims[k],
                         chosen == &variants[i] ? " *" : "");
                result =
                    pipeline_report(context->shared->pipelines, &resume, name, each, user, error);
            }
            // its combine too, once a family and dtype
            if (!result && (i == 0 || variants[i - 1].family != variants[i].family ||
                            variants[i - 1].dtype != variants[i].dtype)) {
                combine_pipeline_key(&variants[i], &a, &context->caps, 0, &key);
                snprintf(name, sizeof name, "%s d%u%s", key.module, dims[k],
                         chosen && chosen->family == variants[i].family ? " *" : "");
                result = pipeline_report(context->shared->pipelines, &key, name, each, user, error);
            }
            attention_free(&a);
            if (result) return result;
        }
    return TULLE_OK;
}

struct walk {
    tulle_run_callback each;
    void *user;
};

/// A run of a tile, for some of its rows that lie a step apart: out->row, out->rows.
static void walk_run(const struct walk *w, const struct tiler *t, const struct run *run,
                     tulle_run *out) {
    out->kind = run->kind;
    out->key = run->first;
    out->keys = run->count;
    if (run->source == RUN_RANGE) {
        w->each(w->user, out);
        return;
    }
    out->keys = 1;
    for (int64_t c = 0; c < run->count; c++) {
        out->key = run_key(t, run, c);
        w->each(w->user, out);
    }
}

/// Rows of the tile from r on that lie a step apart and are this set's; 0: the first is not.
static int64_t rows_in_step(const struct tiler *t, int64_t r) {
    int64_t rows = 0;
    while (r + rows < t->rows && !row_is_apart(t->site, tile_row(t, r + rows)) &&
           tile_row(t, r + rows) == tile_row(t, r) + rows * t->part->step)
        rows++;
    return rows;
}

static void walk_tile(void *user, const struct tiler *t, uint32_t part) {
    const struct walk *w = user;
    for (int64_t r = 0; r < t->rows;) {
        tulle_run out = {
            .row = tile_row(t, r), .rows = rows_in_step(t, r), .step = t->part->step, .part = part
        };
        for (size_t i = 0; i < t->run_count && out.rows; i++) walk_run(w, t, &t->runs[i], &out);
        r += out.rows ? out.rows : 1;
    }
}

tulle_result tulle_schedule_walk(tulle_context *context, const tulle_attention_desc *desc,
                                 uint32_t batch, uint32_t head, tulle_run_callback each, void *user,
                                 tulle_error *error) {
    struct attention a;
    if (!each) return context_fail(context, error, TULLE_ERROR_INVALID_ARGUMENT, "each is NULL");
    tulle_result result = resolve(context, desc, &a, error);
    if (result) return result;
    struct tiling tiling = { 32, 32, INT32_MAX };  // base's default tile
    if (context) {
        tulle_error local;
        const struct variant *v = variant_choose(&a, &context->caps, &local);
        if (!v) {
            attention_free(&a);
            return context_pass(context, error, &local);
        }
        tiling.tile_rows = (int32_t)variant_tile_rows(v, &context->caps);
        tiling.chunk = (int32_t)v->keys;
    }
    if (batch >= a.sequences || head >= a.heads) {
        result = context_fail(
            context, error, TULLE_ERROR_INVALID_ARGUMENT, "%s %u, head %u: there are %u and %u",
            desc->cu_q ? "sequence" : "batch entry", batch, head, a.sequences, a.heads);
    } else {
        struct walk w = { each, user };
        const struct group *group = attention_group(&a, batch, head);
        if (group && !site_runs(&group->site, &tiling, walk_tile, &w))
            result = context_fail(context, error, TULLE_ERROR_OUT_OF_HOST_MEMORY,
                                  "no host memory for the schedule");
    }
    attention_free(&a);
    return result;
}

static void add_pairs(void *user, const struct tiler *tile, uint32_t part) {
    uint64_t *pairs = user;
    (void)part;
    *pairs += tile_pairs(tile);
}

tulle_result tulle_plan_count_pairs(const tulle_plan *plan, uint64_t *pairs, tulle_error *error) {
    if (!plan || !pairs)
        return context_fail(plan ? plan->context : NULL, error, TULLE_ERROR_INVALID_ARGUMENT,
                            "%s is NULL", plan ? "pairs" : "plan");
    uint64_t total = 0;
    const struct attention *a = &plan->attention;
    const struct tiling tiling = plan_tiling(plan);
    for (uint32_t g = 0; g < a->group_count; g++) {
        uint64_t each = 0;
        if (!site_runs(&a->groups[g].site, &tiling, add_pairs, &each))
            return context_fail(plan->context, error, TULLE_ERROR_OUT_OF_HOST_MEMORY,
                                "no host memory to count pairs");
        total += each * a->groups[g].entry_count;
    }
    *pairs = total;
    return TULLE_OK;
}
