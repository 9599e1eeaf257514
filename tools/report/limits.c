// SPDX-License-Identifier: MIT
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/groups.h"
#include "report/sections.h"
#include "report/text.h"

#define ROW 34.0         // of the drawing: a name, and beneath it the marks
#define ALONE_ROW 50.0   // with the shape between them
#define MOST_ALONE 8     // of a chart
#define NAME_COLUMNS 52  // of its width
#define END_ROOM 18.0    // for half of a tick's text at either end

static bool has_limit(const struct time *time) {
    // what is above is foreign, and would push all the others together
    return bench_text(time->json, "limit") && bench_number(time->json, "limit_share") < 1000;
}

static int by_chart(const struct time *a, const struct time *b) {
    const int order = by_setting(a, b);
    return order ? order : by_lengths(a, b);
}

static int by_row(const struct time *a, const struct time *b) {
    const int order = by_chart(a, b);
    return order ? order : by_name(a, a->shape.pattern, b, b->shape.pattern);
}

// Items of one workload, a mark each.
struct row {
    size_t from, end;
};

// Whole percents are what one reads.
static const char *tick_whole(double value, char *out) {
    snprintf(out, MOST_LABEL, "%.0f %%", 100 * value);
    return out;
}

// alone: what else its shape is stands beneath its name.
static void put_row(const struct chart *chart, const struct items *items, struct row row, double y,
                    bool alone) {
    const struct time *first = items->list[row.from].time;
    char name[1600], text[MOST_LABEL];
    name_text(&first->shape, name, sizeof name);
    fprintf(chart->to, "<text class=\"pattern\" x=\"0\" y=\"%.1f\"><title>", y - (alone ? 23 : 9));
    put_text(chart->to, name);
    fputs("</title>", chart->to);
    put_text_within(chart->to, name, NAME_COLUMNS);
    fputs("</text>", chart->to);
    if (alone) {
        fprintf(chart->to, "<text x=\"0\" y=\"%.1f\">%s, ", y - 10,
                lengths_text(&first->shape, text));
        put_setting(chart->to, &first->shape);
        fputs("</text>", chart->to);
    }
    // the grid beside the marks alone, so that it crosses no name
    fprintf(chart->to, "<path class=\"row\" d=\"M%.1f %.1fH%.1f", chart->x.from, y, chart->x.to);
    for (size_t i = 0; i < chart->x.tick_count; i++)
        fprintf(chart->to, "M%.1f %.1fv10", axis_at(&chart->x, chart->x.ticks[i]), y - 5);
    fprintf(chart->to, "\"/><path class=\"whole\" d=\"M%.1f %.1fv12\"/>\n", axis_at(&chart->x, 1),
            y - 6);
    for (size_t i = row.from; i < row.end; i++) {
        const struct item *item = &items->list[i];
        const char *limit = bench_text(item->time->json, "limit");
        const double share = bench_number(item->time->json, "limit_share");
        fprintf(chart->to, "<g><title>%c: %s of the limit by ", letter_of(item->column),
                percent_text(share, text));
        put_text(chart->to, limit);
        fputs("</title>", chart->to);
        put_mark(chart->to, item->column, axis_at(&chart->x, share), y,
                 strcmp(limit, "copy") ? NULL : "hollow");
        fputs("</g>\n", chart->to);
    }
}

static void put_description(const struct chart *chart, const struct items *items,
                            const struct row *rows, size_t count) {
    char name[1600], text[MOST_LABEL];
    chart_description(chart);
    fputs("A row for each workload, a mark for each device.", chart->to);
    for (size_t r = 0; r < count; r++) {
        name_text(&items->list[rows[r].from].time->shape, name, sizeof name);
        fputs(" ", chart->to);
        put_text(chart->to, name);
        for (size_t i = rows[r].from; i < rows[r].end; i++)
            fprintf(chart->to, "%s %c %s", i > rows[r].from ? "," : ":",
                    letter_of(items->list[i].column),
                    percent_text(bench_number(items->list[i].time->json, "limit_share"), text));
        fputs(".", chart->to);
    }
}

// An axis from 0 to 100 %, or as far as these go.
static struct axis fit_axis(const struct items *items, size_t from, size_t end) {
    double most = 1;
    for (size_t i = from; i < end; i++)
        most = fmax(most, bench_number(items->list[i].time->json, "limit_share"));
    return axis_linear(most, END_ROOM, CHART_WIDTH - END_ROOM);
}

// Of rows with chart->x set.
static void put_chart(struct chart *chart, const struct items *items, const struct row *rows,
                      size_t count, bool alone) {
    char text[MOST_LABEL];
    const double height = alone ? ALONE_ROW : ROW, bottom = (double)count * height + 4;
    chart->y = (struct axis){ .high = 1, .from = bottom, .to = bottom - 4 };
    chart_caption(chart);
    if (alone) fputs("Workloads of one shape each", chart->to);
    else fprintf(chart->to, "Length %s", lengths_text(&items->list[rows->from].time->shape, text));
    chart_drawing(chart, bottom + 40);
    chart_axes(chart, "share of the limit that binds", tick_whole, NULL, NULL);
    for (size_t r = 0; r < count; r++)
        put_row(chart, items, rows[r], (double)(r + 1) * height - 8, alone);
    put_description(chart, items, rows, count);
    chart_end(chart);
}

// A row each, `count` of them returned; those of one chart stand side by side.
static size_t find_rows(const struct items *items, size_t from, size_t end, struct row *rows) {
    size_t count = 0;
    for (size_t i = from, next; i < end; i = next) {
        next = items_end(items, i, by_row);
        rows[count++] = (struct row){ i, next };
    }
    return count;
}

// The charts of one setting. A workload that none other has the shape of goes to `alone`: a chart of
// one row says little.
static void put_setting_charts(struct chart *chart, const struct items *items, size_t from,
                               size_t end, size_t *charts, struct row *alone, size_t *alone_count) {
    bool begun = false;
    chart->x = fit_axis(items, from, end);  // one for all, so that they can be compared
    for (size_t i = from, next; i < end; i = next) {
        struct row *rows = alone + *alone_count;
        next = items_end(items, i, by_chart);
        const size_t count = find_rows(items, i, next, rows);
        if (count == 1) {
            ++*alone_count;
            continue;
        }
        if ((*charts)++ >= MOST_CHARTS) continue;
        if (!begun) group_begin(chart->to, &items->list[from].time->shape, "");
        begun = true;
        put_chart(chart, items, rows, count, false);
    }
    if (begun) group_end(chart->to);
}

bool section_limits(struct chart *chart, const struct columns *columns) {
    struct items items;
    size_t charts = 0, alone_count = 0;
    if (!items_collect(columns, has_limit, by_row, &items)) return false;
    struct row *alone = malloc((items.count + 1) * sizeof *alone);
    if (!alone) {
        items_free(&items);
        return false;
    }
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
    for (size_t from = 0, end; from < items.count; from = end) {
        end = items_end(&items, from, by_setting);
        put_setting_charts(chart, &items, from, end, &charts, alone, &alone_count);
    }
    if (alone_count && charts < MOST_CHARTS)
        fputs("<h3>Other shapes</h3>\n<div class=\"charts\">\n", chart->to);
    const bool open = alone_count && charts < MOST_CHARTS;
    chart->x = fit_axis(&items, 0, items.count);
    for (size_t i = 0; i < alone_count; i += MOST_ALONE)
        if (charts++ < MOST_CHARTS)
            put_chart(chart, &items, alone + i,
                      alone_count - i < MOST_ALONE ? alone_count - i : MOST_ALONE, true);
    if (open) group_end(chart->to);
    section_end(chart->to, charts);
    free(alone);
    items_free(&items);
    return true;
}
