// SPDX-License-Identifier: MIT
#include <math.h>
#include <string.h>

#include "report/groups.h"
#include "report/sections.h"
#include "report/text.h"

#define ROW 34.0         // of the drawing: a name, and beneath it the marks
#define NAME_COLUMNS 52  // of its width
#define END_ROOM 18.0    // for half of a tick's text at either end

static bool has_limit(const struct time *time) {
    // what is above is foreign, and would push all the others together
    return bench_text(time->json, "limit") && bench_number(time->json, "limit_share") < 1000;
}

static int by_chart(const struct time *a, const struct time *b) {
    int order = by_setting(a, b);
    if (!order) order = by_number(a->shape.kv_len, b->shape.kv_len);
    return order ? order : by_number(a->shape.q_len, b->shape.q_len);
}

static int by_row(const struct time *a, const struct time *b) {
    int order = by_chart(a, b);
    if (!order) order = by_pattern(a->shape.pattern, b->shape.pattern);
    if (!order) order = a->shape.causal - b->shape.causal;
    return order ? order : strcmp(a->shape.asked_kernel, b->shape.asked_kernel);
}

static const char *tick_percent(double value, char *out) {
    char number[MOST_LABEL];
    snprintf(out, MOST_LABEL, "%.40s %%", number_text(100 * value, number));
    return out;
}

// Whole percents are what one reads.
static const char *tick_whole(double value, char *out) {
    snprintf(out, MOST_LABEL, "%.0f %%", 100 * value);
    return out;
}

static void put_row(const struct chart *chart, const struct items *items, size_t from, size_t end,
                    double y) {
    const struct shape *s = &items->list[from].time->shape;
    char name[1000], text[MOST_LABEL];
    snprintf(name, sizeof name, "%s%s%s%s", s->pattern, s->causal ? " causal" : "",
             *s->asked_kernel ? " by " : "", s->asked_kernel);
    fprintf(chart->to, "<text class=\"pattern\" x=\"0\" y=\"%.1f\"><title>", y - 9);
    put_text(chart->to, name);
    fputs("</title>", chart->to);
    put_text_within(chart->to, name, NAME_COLUMNS);
    // the grid beside the marks alone, so that it crosses no name
    fprintf(chart->to, "</text><path class=\"row\" d=\"M%.1f %.1fH%.1f", chart->x.from, y,
            chart->x.to);
    for (size_t i = 0; i < chart->x.tick_count; i++)
        fprintf(chart->to, "M%.1f %.1fv10", axis_at(&chart->x, chart->x.ticks[i]), y - 5);
    fprintf(chart->to, "\"/><path class=\"whole\" d=\"M%.1f %.1fv12\"/>\n", axis_at(&chart->x, 1),
            y - 6);
    for (size_t i = from; i < end; i++) {
        const struct item *item = &items->list[i];
        const char *limit = bench_text(item->time->json, "limit");
        const double share = bench_number(item->time->json, "limit_share");
        fprintf(chart->to, "<g><title>%c: %s of the limit by ", (int)('A' + item->column),
                tick_percent(share, text));
        put_text(chart->to, limit);
        fputs("</title>", chart->to);
        put_mark(chart->to, item->column, axis_at(&chart->x, share), y,
                 strcmp(limit, "copy") ? NULL : "hollow");
        fputs("</g>\n", chart->to);
    }
}

static void put_chart(struct chart *chart, const struct items *items, size_t from, size_t end) {
    char text[MOST_LABEL];
    double most = 1;
    size_t rows = 0;
    for (size_t i = from, next; i < end; i = next, rows++) {
        next = items_end(items, i, by_row);
        for (size_t k = i; k < next; k++)
            most = fmax(most, bench_number(items->list[k].time->json, "limit_share"));
    }
    const double bottom = (double)rows * ROW + 4;
    chart->x = axis_linear(most, END_ROOM, CHART_WIDTH - END_ROOM);
    chart->y = (struct axis){ .high = 1, .from = bottom, .to = bottom - 4 };
    chart_caption(chart);
    fprintf(chart->to, "Length %s", lengths_text(&items->list[from].time->shape, text));
    chart_drawing(chart, bottom + 40);
    chart_axes(chart, "share of the limit that binds", tick_whole, NULL, NULL);
    double y = ROW - 8;
    for (size_t i = from, next; i < end; i = next, y += ROW) {
        next = items_end(items, i, by_row);
        put_row(chart, items, i, next, y);
    }
    chart_description(chart);
    fputs("A row for each workload, a mark for each device.", chart->to);
    for (size_t i = from, next; i < end; i = next) {
        next = items_end(items, i, by_row);
        fputs(" ", chart->to);
        put_text(chart->to, items->list[i].time->shape.pattern);
        if (items->list[i].time->shape.causal) fputs(" causal", chart->to);
        for (size_t k = i; k < next; k++)
            fprintf(chart->to, "%s %c %s", k > i ? "," : ":", (int)('A' + items->list[k].column),
                    tick_percent(bench_number(items->list[k].time->json, "limit_share"), text));
        fputs(".", chart->to);
    }
    chart_end(chart);
}

bool section_limits(struct chart *chart, const struct columns *columns) {
    struct items items;
    size_t charts = 0;
    if (!items_collect(columns, has_limit, by_row, &items)) return false;
    section_begin(chart->to, "limits", "Share of the peak");
    if (items.count) {
        fputs(
            "<p>How near a workload comes to what the device does at most: the time that its "
            "multiply-adds take at the measured peak, or its bytes at the measured copying rate, "
            "whichever is longer, over the time that it took. Above 100&nbsp;% the tensors came from a "
            "cache, or the peak was measured in a worse moment. Further right is better.</p>\n"
            "<p class=\"note\">A filled mark: multiply-adds bind. A hollow one: copying does.</p>\n",
            chart->to);
        put_legend(chart->to, columns, false);
    } else {
        fputs("<p>No file says what share of a limit its workloads reach.</p>\n", chart->to);
    }
    for (size_t from = 0, end, next; from < items.count; from = end) {
        end = items_end(&items, from, by_setting);
        if (charts < MOST_CHARTS) {
            fputs("<h3>", chart->to);
            put_setting(chart->to, &items.list[from].time->shape);
            fputs("</h3>\n<div class=\"charts\">\n", chart->to);
        }
        const bool open = charts < MOST_CHARTS;
        for (size_t i = from; i < end; i = next) {
            next = items_end(&items, i, by_chart);
            if (charts++ < MOST_CHARTS) put_chart(chart, &items, i, next);
        }
        if (open) fputs("</div>\n", chart->to);
    }
    section_end(chart->to, charts);
    items_free(&items);
    return true;
}
