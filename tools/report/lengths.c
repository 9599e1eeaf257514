// SPDX-License-Identifier: MIT
#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/groups.h"
#include "report/sections.h"
#include "report/text.h"

#define LETTER_ROOM 12.0
#define POINT_ROOM 14.0  // of the first and the last length from the ends of the axis

// The pattern with what depends on the length left out: a made-up array, of which a mask is blocks:64,@16x16p12 of
// 1024 tokens and blocks:64,@64x64p12 of 4096.
static void family(const char *pattern, char out[512]) {
    size_t at = 0;
    while (*pattern && at + 8 < 512) {
        int used = 0;
        out[at++] = *pattern;
        // a mask, documents (@NdD), positions (@A-B)
        if (*pattern == '@') sscanf(pattern + 1, "%*[0-9]%*1[xd-]%*[0-9]%n", &used);
        if (used) {
            memcpy(out + at, "…", strlen("…"));
            at += strlen("…");
        }
        pattern += 1 + used;
    }
    out[at] = 0;
}

// A chunk of a prompt and a step of decoding have a number of queries of their own, prefill as many as keys.
static uint64_t own_queries(const struct shape *s) { return s->q_len == s->kv_len ? 0 : s->q_len; }

static bool is_ragged(const struct shape *s) { return s->kv_least != s->kv_len; }

static int by_axes(const struct time *a, const struct time *b) {
    int order = by_setting(a, b);
    if (!order) order = by_number(own_queries(&a->shape), own_queries(&b->shape));
    return order ? order : is_ragged(&a->shape) - is_ragged(&b->shape);
}

static int by_family(const struct time *a, const struct time *b) {
    char x[512], y[512];
    const int order = by_axes(a, b);
    if (order) return order;
    family(a->shape.pattern, x);
    family(b->shape.pattern, y);
    return by_name(a, x, b, y);
}

static bool any(const struct time *time) {
    (void)time;
    return true;
}

static const char *tick_length(double value, char *out) { return count_text((uint64_t)value, out); }

static bool has_lengths(const struct items *items, size_t from, size_t end) {
    for (size_t i = from + 1; i < end; i++)
        if (items->list[i].time->shape.kv_len != items->list[from].time->shape.kv_len) return true;
    return false;
}

static int compare_points(const void *a, const void *b) {
    const struct item *x = a, *y = b;
    return by_number(x->time->shape.kv_len, y->time->shape.kv_len);
}

static void put_line(const struct chart *chart, const struct item *points, size_t count) {
    char text[MOST_LABEL], length[MOST_LABEL];
    const size_t column = points[0].column;
    fprintf(chart->to, "<path class=\"line c%zu d%zu\" d=\"", column % COLOURS, column % DASHES);
    for (size_t i = 0; i < count; i++)
        fprintf(chart->to, "%c%.1f %.1f", i ? 'L' : 'M',
                axis_at(&chart->x, (double)points[i].time->shape.kv_len),
                axis_at(&chart->y, points[i].time->ms));
    fputs("\"/>\n", chart->to);
    for (size_t i = 0; i < count; i++) {
        const struct time *t = points[i].time;
        fprintf(chart->to, "<g><title>%c: %s at %s</title>", letter_of(column),
                ms_text(t->ms, text), lengths_text(&t->shape, length));
        put_mark(chart->to, column, axis_at(&chart->x, (double)t->shape.kv_len),
                 axis_at(&chart->y, t->ms), NULL);
        fputs("</g>\n", chart->to);
    }
}

static void put_chart(struct chart *chart, const struct items *items, size_t from, size_t end) {
    struct letter letters[MOST_COLUMNS];
    size_t count = 0;
    char text[MOST_LABEL], length[MOST_LABEL], name[512];
    struct shape shape = items->list[from].time->shape;
    family(shape.pattern, name);
    shape.pattern = name;
    chart_caption(chart);
    put_name(chart->to, &shape);
    chart_drawing(chart, CHART_HEIGHT);
    chart_axes(chart,
               is_ragged(&shape)             ? "keys of the longest (tokens)"
               : shape.q_len == shape.kv_len ? "length (tokens)"
                                             : "keys (tokens)",
               tick_length, "median time", ms_tick_text);
    for (size_t i = from, next; i < end; i = next) {
        next = items_device_end(items, i, end);
        qsort(items->list + i, next - i, sizeof *items->list, compare_points);
        put_line(chart, items->list + i, next - i);
        const struct time *last = items->list[next - 1].time;
        if ((double)last->shape.kv_len < chart->x.high) continue;
        letters[count++] =
            (struct letter){ .column = items->list[i].column, .at = axis_at(&chart->y, last->ms) };
    }
    if (letters_apart(letters, count, LETTER_ROOM, CHART_TOP, CHART_BOTTOM))
        for (size_t i = 0; i < count; i++)
            fprintf(chart->to, "<text class=\"letter c%zu\" x=\"%.1f\" y=\"%.1f\">%c</text>\n",
                    letters[i].column % COLOURS, CHART_RIGHT + 6, letters[i].at + 4,
                    letter_of(letters[i].column));
    chart_description(chart);
    fputs("Lines on logarithmic axes, median time against length.", chart->to);
    for (size_t i = from, next; i < end; i = next) {
        next = items_device_end(items, i, end);
        const struct time *first = items->list[i].time, *last = items->list[next - 1].time;
        fprintf(chart->to, " %c: %s at %s", letter_of(items->list[i].column),
                ms_text(first->ms, text), lengths_text(&first->shape, length));
        if (next > i + 1)
            fprintf(chart->to, ", %s at %s", ms_text(last->ms, text),
                    lengths_text(&last->shape, length));
        fputs(".", chart->to);
    }
    chart_end(chart);
}

// All charts of one setting have the same axes, so that they can be compared.
static bool fit_axes(struct chart *chart, const struct items *items, size_t from, size_t end) {
    uint64_t *lengths = malloc((end - from) * sizeof *lengths);
    double least = INFINITY, most = 0;
    size_t count = 0;
    if (!lengths) return false;
    for (size_t i = from, next; i < end; i = next) {
        next = items_end(items, i, by_family);
        for (size_t k = i; k < next && has_lengths(items, i, next); k++) {
            const struct time *t = items->list[k].time;
            lengths[count++] = t->shape.kv_len;
            least = fmin(least, t->ms);
            most = fmax(most, t->ms);
        }
    }
    if (count) {
        chart->x = axis_lengths(lengths, count, CHART_LEFT + POINT_ROOM, CHART_RIGHT - POINT_ROOM);
        chart->y = axis_logarithmic(least, most, CHART_BOTTOM, CHART_TOP);
    }
    free(lengths);
    return true;
}

// One group of charts; how many more may be drawn through *room.
static bool put_charts(struct chart *chart, const struct items *items, size_t from, size_t end,
                       size_t *room) {
    const struct shape *s = &items->list[from].time->shape;
    bool begun = false;
    if (!fit_axes(chart, items, from, end)) return false;
    for (size_t i = from, next; i < end && *room; i = next) {
        next = items_end(items, i, by_family);
        if (!has_lengths(items, i, next)) continue;
        if (!begun) {
            char more[MOST_LABEL] = "";
            if (own_queries(s))
                snprintf(more, sizeof more, ", %" PRIu64 " quer%s%s", s->q_len,
                         s->q_len == 1 ? "y" : "ies", is_ragged(s) ? ", ragged" : "");
            group_begin(chart->to, s, more);
        }
        begun = true;
        --*room;
        put_chart(chart, items, i, next);
    }
    if (begun) group_end(chart->to);
    return true;
}

bool section_lengths(struct chart *chart, const struct columns *columns) {
    struct items items;
    size_t single = 0, charts = 0, room = MOST_CHARTS;
    if (!items_collect(columns, any, by_family, &items)) return false;
    for (size_t i = 0, next; i < items.count; i = next) {
        next = items_end(&items, i, by_family);
        if (has_lengths(&items, i, next)) charts++;
        else single++;
    }
    section_begin(chart->to, "lengths", "Time against length");
    if (charts) {
        fputs(
            "<p>The median time of a call. Both axes are logarithmic, and the charts of a group have "
            "the same. Lower is faster.</p>\n",
            chart->to);
        put_legend(chart->to, columns, true);
    }
    bool good = true;
    for (size_t from = 0, end; from < items.count && good; from = end) {
        end = items_end(&items, from, by_axes);
        good = put_charts(chart, &items, from, end, &room);
    }
    if (single)
        fprintf(chart->to,
                "<p class=\"note\">%zu pattern%s measured at one length only: see all "
                "results.</p>\n",
                single, single == 1 ? " was" : "s were");
    section_end(chart->to, charts);
    items_free(&items);
    return good;
}
