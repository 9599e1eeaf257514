// SPDX-License-Identifier: MIT
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "report/groups.h"
#include "report/sections.h"
#include "report/text.h"

#define LETTER_ROOM 11.0

// Where dense of the same shape overtakes a device's sparse patterns.
enum turn {
    TURN_NONE,     // nothing sparse to compare, or no dense to compare it with
    TURN_ABOVE,    // sparse was faster at every density measured, up to `low`
    TURN_BELOW,    // at none, down to `low`
    TURN_AT,       // at `low`: between two densities measured
    TURN_BETWEEN,  // it goes by the pattern from `low` to `high`
};

struct crossover {
    enum turn turn;
    double low, high;
    double dense_ms, dense_share;  // of all pairs; NaN: not known
};

static bool has_pairs(const struct time *time) { return time->pairs > 0; }

static int by_chart(const struct time *a, const struct time *b) {
    int order = by_setting(a, b);
    if (!order) order = by_lengths(a, b);
    return order ? order : a->shape.causal - b->shape.causal;
}

static bool is_dense(const struct time *time) { return !strcmp(time->shape.pattern, "dense"); }

static double share_of(const struct time *time) {
    return (double)time->pairs / shape_pairs(&time->shape);
}

static double per_pair(const struct time *time) { return time->ms / (double)time->pairs; }

// Sparse workloads of two densities at least: of one there is nothing to see that the table has not.
static bool has_densities(const struct items *items, size_t from, size_t end) {
    const struct time *first = NULL;
    for (size_t i = from; i < end; i++) {
        const struct time *t = items->list[i].time;
        if (is_dense(t)) continue;
        if (first && t->pairs != first->pairs) return true;
        first = t;
    }
    return false;
}

// -------------------------------------------------------------------------------------------------
// The crossover

// Dense's time: measured among the workloads, or what the bench says beside another (which may be
// reckoned from a shorter one).
static double dense_time(const struct items *items, size_t from, size_t end) {
    for (size_t i = from; i < end; i++)
        if (is_dense(items->list[i].time)) return items->list[i].time->ms;
    for (size_t i = from; i < end; i++) {
        const double ms = bench_number(items->list[i].time->json, "dense_ms");
        if (ms > 0) return ms;
    }
    return NAN;
}

// Of all pairs, what dense selects: all, or with causality those at or left of the diagonal.
static double dense_share(const struct shape *s) {
    const double q = (double)s->q_len,
                 k = shape_pairs(s) / (q * (double)s->batch * (double)s->heads), rows = fmin(q, k);
    if (!s->causal) return 1;
    // the last query sees every key; queries before the first key see none
    return rows * (2 * k - rows + 1) / 2 / (q * k);
}

// One device's items of a chart.
static struct crossover find_crossover(const struct items *items, size_t from, size_t end) {
    struct crossover c = { .dense_ms = dense_time(items, from, end),
                           .dense_share = dense_share(&items->list[from].time->shape) };
    double won = 0, won_cost = 0, lost = INFINITY, lost_cost = 0;
    double least = INFINITY;
    for (size_t i = from; i < end && !isnan(c.dense_ms); i++) {
        const struct time *t = items->list[i].time;
        const double share = share_of(t), cost = t->ms / c.dense_ms;
        if (is_dense(t)) continue;
        least = fmin(least, share);
        if (cost < 1 && share > won) won = share, won_cost = cost;
        if (cost >= 1 && share < lost) lost = share, lost_cost = cost;
    }
    if (isinf(least)) return c;
    c.low = won;
    if (isinf(lost)) c.turn = TURN_ABOVE;
    else if (!(won > 0)) c.turn = TURN_BELOW, c.low = least;
    else if (won < lost) {
        // a straight line between the two on logarithmic axes, to where both cost the same
        const double part = log(won_cost) / (log(won_cost) - log(lost_cost));
        c.turn = TURN_AT;
        c.low = won * pow(lost / won, part);
    } else c.turn = TURN_BETWEEN, c.low = lost, c.high = won;
    return c;
}

static void put_crossover(FILE *to, const struct crossover *c) {
    char low[MOST_LABEL], high[MOST_LABEL];
    number_text(100 * c->low, low);
    number_text(100 * c->high, high);
    switch (c->turn) {
    case TURN_NONE: fputs("not both sparse and dense were measured", to); break;
    case TURN_ABOVE: fprintf(to, "sparse wins at every density measured, up to %s %%", low); break;
    case TURN_BELOW: fprintf(to, "dense wins at every density measured, down to %s %%", low); break;
    case TURN_AT: fprintf(to, "sparse wins below %s %%", low); break;
    case TURN_BETWEEN:
        fprintf(to, "sparse wins below %s %%, and up to %s %% it goes by the pattern", low, high);
    }
}

// -------------------------------------------------------------------------------------------------
// The chart

static const char *tick_percent(double value, char *out) {
    char number[MOST_LABEL];
    snprintf(number, sizeof number, "%.10g", 100 * value);
    snprintf(out, MOST_LABEL, "%.40s %%", number);
    return out;
}

// What a pair would cost at each density if it took dense's time in all: below it, sparse is faster.
static void put_dense_line(const struct chart *chart, size_t column, const struct crossover *c,
                           const struct shape *shape) {
    const double all = c->dense_ms / shape_pairs(shape);  // at a density of 1
    double left = chart->x.low, right = fmin(c->dense_share, chart->x.high);
    if (isnan(c->dense_ms)) return;
    left = fmax(left, all / chart->y.high);
    right = fmin(right, all / chart->y.low);
    if (left >= right) return;
    fprintf(chart->to, "<path class=\"line thin c%zu d%zu\" d=\"M%.1f %.1fL%.1f %.1f\"/>\n",
            column % COLOURS, column % DASHES, axis_at(&chart->x, left),
            axis_at(&chart->y, all / left), axis_at(&chart->x, right),
            axis_at(&chart->y, all / right));
}

static void put_points(const struct chart *chart, const struct items *items, size_t from,
                       size_t end) {
    char text[MOST_LABEL], density[MOST_LABEL];
    for (size_t i = from; i < end; i++) {
        const struct time *t = items->list[i].time;
        fprintf(chart->to, "<g><title>%c: ", letter_of(items->list[i].column));
        put_text(chart->to, t->shape.pattern);
        fprintf(chart->to, ", %s a pair at %s %%</title>", ms_text(per_pair(t), text),
                number_text(100 * share_of(t), density));
        put_mark(chart->to, items->list[i].column, axis_at(&chart->x, share_of(t)),
                 axis_at(&chart->y, per_pair(t)), is_dense(t) ? "hollow" : NULL);
        fputs("</g>\n", chart->to);
    }
}

// A line down to the axis at each crossover, and its letter above it.
static void put_turns(const struct chart *chart, const struct items *items, size_t from,
                      size_t end) {
    struct letter letters[MOST_COLUMNS];
    size_t count = 0;
    for (size_t i = from, next; i < end; i = next) {
        next = items_device_end(items, i, end);
        const struct crossover c = find_crossover(items, i, next);
        if (c.turn != TURN_AT) continue;
        const size_t column = items->list[i].column;
        const double x = axis_at(&chart->x, c.low);
        fprintf(chart->to, "<path class=\"turn c%zu\" d=\"M%.1f %.1fV%.1f\"/>\n", column % COLOURS,
                x, chart->y.to, chart->y.from);
        letters[count++] = (struct letter){ .column = column, .at = x };
    }
    if (!letters_apart(letters, count, LETTER_ROOM, CHART_LEFT, CHART_RIGHT)) return;
    for (size_t i = 0; i < count; i++)
        fprintf(chart->to, "<text class=\"letter middle c%zu\" x=\"%.1f\" y=\"%.1f\">%c</text>\n",
                letters[i].column % COLOURS, letters[i].at, CHART_TOP - 3,
                letter_of(letters[i].column));
}

static void fit_axes(struct chart *chart, const struct items *items, size_t from, size_t end) {
    double least = INFINITY, most = 0, thin = INFINITY, thick = 0;
    for (size_t i = from; i < end; i++) {
        const struct time *t = items->list[i].time;
        least = fmin(least, per_pair(t));
        most = fmax(most, per_pair(t));
        thin = fmin(thin, share_of(t));
        thick = fmax(thick, fmax(share_of(t), dense_share(&t->shape)));
    }
    chart->x = axis_logarithmic(thin, thick, CHART_LEFT, CHART_RIGHT);
    chart->y = axis_logarithmic(least, most, CHART_BOTTOM, CHART_TOP);
}

static void put_chart(struct chart *chart, const struct items *items, size_t from, size_t end) {
    char text[MOST_LABEL];
    const struct shape *s = &items->list[from].time->shape;
    fit_axes(chart, items, from, end);
    chart_caption(chart);
    fprintf(chart->to, "Length %s%s", lengths_text(s, text), s->causal ? ", causal" : "");
    chart_drawing(chart, CHART_HEIGHT);
    chart_axes(chart, "density (selected pairs, % of all)", tick_percent, "time per pair",
               ms_tick_text);
    for (size_t i = from, next; i < end; i = next) {
        next = items_device_end(items, i, end);
        const struct crossover c = find_crossover(items, i, next);
        put_dense_line(chart, items->list[i].column, &c, s);
    }
    put_turns(chart, items, from, end);
    put_points(chart, items, from, end);
    chart_description(chart);
    fputs("A mark for each workload on logarithmic axes, time per selected pair against density.",
          chart->to);
    fputs("</p>\n<ul class=\"turns\">", chart->to);
    for (size_t i = from, next; i < end; i = next) {
        next = items_device_end(items, i, end);
        const struct crossover c = find_crossover(items, i, next);
        fputs("<li>", chart->to);
        put_letter(chart->to, items->list[i].column);
        fputs(" ", chart->to);
        put_crossover(chart->to, &c);
        fputs("</li>", chart->to);
    }
    fputs("</ul></figure>\n", chart->to);
}

static bool put_charts(struct chart *chart, const struct items *items, size_t from, size_t end,
                       size_t *charts) {
    bool begun = false;
    for (size_t i = from, next; i < end; i = next) {
        next = items_end(items, i, by_chart);
        if (!has_densities(items, i, next) || (*charts)++ >= MOST_CHARTS) continue;
        if (!begun) group_begin(chart->to, &items->list[from].time->shape, "");
        begun = true;
        put_chart(chart, items, i, next);
    }
    if (begun) group_end(chart->to);
    return begun;
}

bool section_density(struct chart *chart, const struct columns *columns) {
    struct items items;
    size_t charts = 0;
    if (!items_collect(columns, has_pairs, by_chart, &items)) return false;
    section_begin(chart->to, "density", "Where sparse beats dense");
    fputs(
        "<p>A mark for each pattern: what a selected pair costs, against how many pairs are "
        "selected. The line that falls is what a pair would cost if the pattern took as long as "
        "the device’s own dense attention of that shape, which is its hollow mark: a pattern below "
        "the line beats dense. Where a device’s patterns cross its line, a letter marks the "
        "density, reckoned between the two that were measured on either side.</p>\n",
        chart->to);
    put_legend(chart->to, columns, true);
    for (size_t from = 0, end; from < items.count; from = end) {
        end = items_end(&items, from, by_setting);
        put_charts(chart, &items, from, end, &charts);
    }
    if (!charts)
        fputs("<p class=\"note\">No shape has sparse workloads of two densities.</p>\n", chart->to);
    put_crossovers(chart->to, columns);
    section_end(chart->to, charts);
    items_free(&items);
    return true;
}
