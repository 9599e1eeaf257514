// SPDX-License-Identifier: MIT
#include "bench/crossover.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/spec_template.h"
#include "common/cli.h"

#define SHORTEST 64    // that a search by length looks at
#define CLOSE_BY 1.05  // a search ends where the two ends lie no further apart

// `dense` … `sparse`: between which {x} is looked for, as templates of numbers. Density falls (or
// grows) from one to the other all the way. By length `x` itself is the length, and these are NULL.
struct search {
    const char *name, *pattern, *dense, *sparse;
};

static const struct search searches[CROSSOVER_SEARCHES] = {
    { "window", "window:{x},0", "{n-1}", "1" },
    { "window+global", "window:{x},0+global:{x/4}", "{n-1}", "1" },
    { "window+strided", "window:{x-1},0+strided:{x}", "{n-1}", "{s}" },
    { "strided", "strided:{x}", "2", "{n/8}" },
    { "fixed (listed keys)", "fixed:128,{x}", "127", "1" },
    { "blocks", "blocks:64,@{n/64}x{n/64}p{x}", "99", "1" },
    { "random blocks", "random:64,{x},1", "{n/64}", "1" },
    { "documents", "documents:@{n}d{x}", "2", "{n/16}" },
    { "window", "window:255,0", NULL, NULL },
    { "window+global", "window:255,0+global:64", NULL, NULL },
    { "window+strided", "window:127,0+strided:128", NULL, NULL },
    { "strided", "strided:128", NULL, NULL },
    { "fixed (listed keys)", "fixed:128,8", NULL, NULL },
    { "blocks", "blocks:64,@{n/64}x{n/64}p12", NULL, NULL },
    { "random blocks", "window:191,0+global:64+random:64,3,1", NULL, NULL },
};

const char *crossover_name(size_t index) { return searches[index].name; }

// Where it selects what dense attention does, noise alone would call it faster.
static bool is_faster(const struct crossover_point *p) {
    return p->density < 1 && p->ms < p->dense_ms;
}
static bool surely_faster(const struct crossover_point *p) {
    return is_faster(p) && p->high < p->dense_low;
}
static bool surely_slower(const struct crossover_point *p) { return p->low > p->dense_high; }

// Times one workload, without its samples.
static tulle_result time_one(struct bench *bench, const struct workload *w, struct figures *figures,
                             tulle_error *error) {
    double *samples = NULL;
    uint64_t bytes;
    const tulle_result result = workload_time(bench, w, figures, &samples, &bytes, error);
    free(samples);
    return result;
}

// A search while it runs.
struct state {
    struct bench *bench;
    const struct search *search;
    struct workload shape;
    struct crossover *out;
    tulle_error *error;
};

static struct template_values values_at(const struct state *s, uint32_t x) {
    const uint32_t n = s->out->by_length ? x : s->out->n;
    return (struct template_values){ .n = n, .side = (uint32_t)sqrt((double)n), .x = x };
}

static uint32_t end_of_search(const struct state *s, const char *text) {
    const struct template_values values = values_at(s, 0);
    char number[16];
    spec_of_template(text, &values, number, sizeof number);
    const long value = strtol(number, NULL, 10);
    return value < 1 ? 1 : (uint32_t)value;
}

// Measures dense attention and then the pattern at x: side by side, as a device drifts.
static tulle_result measure_at(struct state *s, uint32_t x, struct crossover_point **point) {
    const struct template_values values = values_at(s, x);
    struct crossover_point *p = &s->out->points[s->out->point_count];
    struct workload w = s->shape;
    struct figures dense, figures;
    w.q_len = w.kv_len = values.n;
    snprintf(w.spec, sizeof w.spec, "dense");
    tulle_result result = time_one(s->bench, &w, &dense, s->error);
    spec_of_template(s->search->pattern, &values, w.spec, sizeof w.spec);
    if (!result) result = time_one(s->bench, &w, &figures, s->error);
    if (result) return result;
    *p = (struct crossover_point){
        .n = values.n,
        .density = (double)figures.pairs / (double)dense.pairs,
        .ms = figures.ms,
        .low = figures.ms_low,
        .high = figures.ms_high,
        .dense_ms = dense.ms,
        .dense_low = dense.ms_low,
        .dense_high = dense.ms_high,
    };
    snprintf(p->spec, sizeof p->spec, "%s", w.spec);
    s->out->point_count++;
    *point = p;
    return TULLE_OK;
}

static double value_of(const struct crossover *c, const struct crossover_point *p) {
    return c->by_length ? p->n : p->density;
}

// Of the points that are surely on one side the nearest to the crossover.
static void find_sure(struct crossover *c) {
    c->faster = c->slower = NAN;
    for (size_t i = 0; i < c->point_count; i++) {
        const struct crossover_point *p = &c->points[i];
        const double value = value_of(c, p);
        // By density what is faster lies below, by length above.
        const bool to_faster = c->by_length ? value >= c->value : value <= c->value;
        const bool to_slower = c->by_length ? value <= c->value : value >= c->value;
        if (surely_faster(p) && to_faster &&
            !(fabs(c->faster - c->value) <= fabs(value - c->value)))
            c->faster = value;
        if (surely_slower(p) && to_slower &&
            !(fabs(c->slower - c->value) <= fabs(value - c->value)))
            c->slower = value;
    }
}

// Halves what lies between an x where the pattern is faster and one where it is not, by ratios.
static tulle_result close_in(struct state *s, uint32_t fast, uint32_t slow, double end,
                             const struct crossover_point *at_fast,
                             const struct crossover_point *at_slow) {
    struct crossover *out = s->out;
    for (;;) {
        const double apart = fabs(log((double)fast / slow));
        const uint32_t x = (uint32_t)lround(sqrt((double)fast * slow));
        if (apart <= log(CLOSE_BY) || x == fast || x == slow) break;
        if (now_seconds() >= end || out->point_count == MOST_POINTS) {
            out->complete = false;
            break;
        }
        struct crossover_point *p;
        const tulle_result result = measure_at(s, x, &p);
        if (result) return result;
        if (is_faster(p)) fast = x, at_fast = p;
        else slow = x, at_slow = p;
    }
    out->value = out->by_length ? at_fast->n : sqrt(at_fast->density * at_slow->density);
    return TULLE_OK;
}

tulle_result crossover_search(struct bench *bench, const struct workload *shape, size_t index,
                              uint32_t length, double end, struct crossover *out,
                              tulle_error *error) {
    const struct search *search = &searches[index];
    struct state s = {
        .bench = bench, .search = search, .shape = *shape, .out = out, .error = error
    };
    *out = (struct crossover){
        .name = search->name, .pattern = search->pattern, .by_length = !search->dense, .n = length
    };
    const uint32_t fast = out->by_length ? length : end_of_search(&s, search->sparse),
                   slow = out->by_length ? SHORTEST : end_of_search(&s, search->dense);
    struct crossover_point *at_fast, *at_slow;
    out->verdict = CROSSOVER_UNKNOWN;
    out->value = out->faster = out->slower = NAN;
    out->complete = now_seconds() < end;
    if (!out->complete) return TULLE_OK;
    tulle_result result = measure_at(&s, fast, &at_fast);
    if (result) return result;
    if (!is_faster(at_fast)) {
        out->verdict = CROSSOVER_NEVER;
        out->value = value_of(out, at_fast);
    } else if ((out->complete = now_seconds() < end)) {
        result = measure_at(&s, slow, &at_slow);
        if (result) return result;
        out->verdict = surely_faster(at_slow) ? CROSSOVER_ALWAYS : CROSSOVER_AT;
        out->value = value_of(out, at_slow);
    }
    if (out->verdict == CROSSOVER_AT) result = close_in(&s, fast, slow, end, at_fast, at_slow);
    find_sure(out);
    return result;
}
