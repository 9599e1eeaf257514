// SPDX-License-Identifier: MIT
#include "report/chart.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// About the origin, of about the same area each.
static const char *const shapes[] = {
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",                           // circle
    "M-3.6-3.6h7.2v7.2h-7.2z",                                      // square
    "M0-5L4.6 3.2h-9.2z",                                           // triangle
    "M0-5L5 0L0 5L-5 0z",                                           // diamond
    "M0 5L4.6-3.2h-9.2z",                                           // triangle on its point
    "M-1.6-4.8h3.2v3.2h3.2v3.2h-3.2v3.2h-3.2v-3.2h-3.2v-3.2h3.2z",  // plus
    "M-5.4-2.1h10.8v4.2h-10.8z",                                    // bar
    "M-4.6-2.4L-2.4-4.6L0-2.2L2.4-4.6L4.6-2.4L2.2 0L4.6 2.4L2.4 4.6L0 2.2L-2.4 4.6L-4.6 2.4L-2.2 0z",
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

char letter_of(size_t column) { return (char)('A' + column); }

void put_mark_shapes(FILE *to) {
    fputs("<svg class=\"shapes\" width=\"0\" height=\"0\" aria-hidden=\"true\"><defs>", to);
    for (size_t i = 0; i < SHAPES; i++) fprintf(to, "<path id=\"m%zu\" d=\"%s\"/>", i, shapes[i]);
    fputs("</defs></svg>\n", to);
}

void put_mark(FILE *to, size_t column, double x, double y, const char *what) {
    // past the last colour each comes again with another shape
    fprintf(to, "<use href=\"#m%zu\" class=\"mark c%zu%s%s\" x=\"%.1f\" y=\"%.1f\"/>",
            (column + column / COLOURS) % SHAPES, column % COLOURS, what ? " " : "",
            what ? what : "", x, y);
}

void put_letter(FILE *to, size_t column) {
    fprintf(to, "<b class=\"letter c%zu\">%c</b>", column % COLOURS, letter_of(column));
}

void put_legend(FILE *to, const struct columns *columns, bool lines) {
    fputs("<ul class=\"legend\" aria-label=\"Devices\">\n", to);
    for (size_t i = 0; i < columns->count; i++) {
        const struct column *c = &columns->list[i];
        fprintf(to,
                "<li><svg viewBox=\"0 0 %d 14\" width=\"%d\" height=\"14\" aria-hidden=\"true\">",
                lines ? 36 : 14, lines ? 36 : 14);
        if (lines)
            fprintf(to, "<path class=\"line c%zu d%zu\" d=\"M1 7H35\"/>", i % COLOURS, i % DASHES);
        put_mark(to, i, lines ? 18 : 7, 7, NULL);
        fputs("</svg>", to);
        put_letter(to, i);
        fputs(" <span class=\"name\">", to);
        put_text(to, c->device);
        if (c->driver_info || c->driver) {
            fputs("</span> <span class=\"name quiet\">", to);
            put_text(to, c->driver_info ? c->driver_info : c->driver);
        }
        fputs("</span></li>\n", to);
    }
    fputs("</ul>\n", to);
}

void section_begin(FILE *to, const char *id, const char *title) {
    fprintf(to, "<section id=\"%s\" aria-labelledby=\"%s-title\">\n<h2 id=\"%s-title\">%s</h2>\n",
            id, id, id, title);
}

void section_end(FILE *to, size_t charts) {
    if (charts > MOST_CHARTS)
        fprintf(to, "<p class=\"note\">%zu more charts are left out: see all results.</p>\n",
                charts - MOST_CHARTS);
    fputs("</section>\n", to);
}

void group_begin(FILE *to, const struct shape *shape, const char *more) {
    fputs("<h3>", to);
    put_setting(to, shape);
    fprintf(to, "%s</h3>\n<div class=\"charts\">\n", more);
}

void group_end(FILE *to) { fputs("</div>\n", to); }

void chart_caption(struct chart *chart) {
    chart->number++;
    fprintf(chart->to, "<figure class=\"chart\"><figcaption id=\"chart%zu\">", chart->number);
}

void chart_drawing(const struct chart *chart, double height) {
    fprintf(
        chart->to,
        "</figcaption>\n<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-labelledby=\"chart%zu\" "
        "aria-describedby=\"about%zu\">\n",
        CHART_WIDTH, height, chart->number, chart->number);
}

void chart_axes(const struct chart *chart, const char *x_title, tick_text *x, const char *y_title,
                tick_text *y) {
    FILE *to = chart->to;
    char text[MOST_LABEL];
    const double bottom = chart->y.from, top = chart->y.to;
    const double left = fmin(CHART_LEFT, chart->x.from), right = fmax(CHART_RIGHT, chart->x.to);
    for (size_t i = 0; i < chart->y.tick_count; i++) {
        const double at = axis_at(&chart->y, chart->y.ticks[i]);
        fprintf(to, "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/>", left, at, right);
        fprintf(to, "<text class=\"end\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", left - 6, at + 3.5,
                y(chart->y.ticks[i], text));
    }
    for (size_t i = 0; i < chart->x.tick_count; i++) {
        const double at = axis_at(&chart->x, chart->x.ticks[i]);
        fprintf(to, "<path class=\"grid\" d=\"M%.1f %.1fV%.1f\"/>", at, top, bottom);
        fprintf(to, "<text class=\"middle\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", at, bottom + 15,
                x(chart->x.ticks[i], text));
    }
    fprintf(to, "<path class=\"base\" d=\"M%.1f %.1fH%.1f\"/>\n", left, bottom, right);
    if (y_title) fprintf(to, "<text class=\"title\" x=\"0\" y=\"11\">%s</text>\n", y_title);
    fprintf(to, "<text class=\"title end\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", right, bottom + 32,
            x_title);
}

void chart_description(const struct chart *chart) {
    fprintf(chart->to, "</svg>\n<p class=\"unseen\" id=\"about%zu\">", chart->number);
}

void chart_end(struct chart *chart) { fputs("</p></figure>\n", chart->to); }

static int compare_letters(const void *a, const void *b) {
    const struct letter *x = a, *y = b;
    return (x->at > y->at) - (x->at < y->at);
}

bool letters_apart(struct letter *letters, size_t count, double room, double low, double high) {
    qsort(letters, count, sizeof *letters, compare_letters);
    if ((double)count * room > high - low + room) return false;
    // each as far down as it must; then, from the last, back up to where there is an end
    for (size_t i = 0; i < count; i++)
        letters[i].at = fmax(letters[i].at, i ? letters[i - 1].at + room : low);
    for (size_t i = count; i-- > 0;)
        letters[i].at = fmin(letters[i].at, i + 1 < count ? letters[i + 1].at - room : high);
    return true;
}
