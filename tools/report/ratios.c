// SPDX-License-Identifier: MIT
#include <math.h>
#include <stdlib.h>

#include "compare/ratio.h"
#include "report/sections.h"
#include "report/text.h"

// As tulle compare's: by how much a time goes from one run to the next, in 95 % of all cases.
#define DRIFT 0.05

// How far from 1, in steps that a reader tells apart.
static int heat(double ratio) {
    const double size = exp(fabs(log(ratio)));
    const int step = size < 1.25 ? 1 : size < 2 ? 2 : size < 4 ? 3 : 4;
    return ratio < 1 ? -step : step;
}

static void put_heat(FILE *to, int step) {
    fprintf(to, " class=\"heat %s%d\"", step > 0 ? "slow" : "fast", abs(step));
}

static void put_cell(FILE *to, const struct time *time, const struct time *base) {
    static const struct {
        const char *sign, *words;
    } verdicts[] = {
        { "≈", "noise" }, { "▲", "slower" }, { "▼", "faster" }, { "?", "a single sample" }
    };
    char text[MOST_LABEL];
    const char *lacks = ratio_lacks(time, base);
    if (lacks) {
        fputs("<td class=\"heat none\" title=\"", to);
        put_text(to, lacks);
        fputs("\">–<span class=\"unseen\"> ", to);
        put_text(to, lacks);
        fputs("</span></td>", to);
        return;
    }
    const struct ratio ratio = ratio_of(time, base, log1p(DRIFT));
    fputs("<td", to);
    if (ratio.verdict == VERDICT_SLOWER || ratio.verdict == VERDICT_FASTER)
        put_heat(to, heat(ratio.value));
    else fputs(" class=\"heat\"", to);
    if (!isnan(ratio.low)) {
        char low[MOST_LABEL], high[MOST_LABEL];
        fprintf(to, " title=\"95 %%: %s to %s\"", number_text(ratio.low, low),
                number_text(ratio.high, high));
    }
    fprintf(to,
            ">%s <span class=\"sign\" aria-hidden=\"true\">%s</span><span class=\"unseen\"> "
            "%s</span></td>",
            number_text(ratio.value, text), verdicts[ratio.verdict].sign,
            verdicts[ratio.verdict].words);
}

static void put_row(FILE *to, const struct columns *columns, const struct time *base) {
    char text[MOST_LABEL];
    fputs("<tr><th scope=\"row\"><span class=\"workload\">", to);
    put_name(to, &base->shape);
    fprintf(to, "</span><span class=\"quiet\">%s, ", lengths_text(&base->shape, text));
    put_setting(to, &base->shape);
    fprintf(to, "</span></th><td class=\"heat\">%s</td>",
            base->missing ? "–" : ms_text(base->ms, text));
    for (size_t i = 1; i < columns->count; i++)
        put_cell(to, column_find(&columns->list[i], &base->shape), base);
    fputs("</tr>\n", to);
}

// What the colours and signs mean.
static void put_key(FILE *to) {
    static const struct {
        int step;
        const char *text;
    } steps[] = { { -4, "▼ under ¼" },  { -3, "▼ ¼ to ½" }, { -2, "▼ ½ to 0.8" },
                  { -1, "▼ 0.8 to 1" }, { 0, "≈ noise" },   { 1, "▲ 1 to 1.25" },
                  { 2, "▲ 1.25 to 2" }, { 3, "▲ 2 to 4" },  { 4, "▲ over 4" } };
    fputs("<ul class=\"heats\" aria-label=\"Colours\">", to);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        fputs("<li", to);
        if (steps[i].step) put_heat(to, steps[i].step);
        else fputs(" class=\"heat\"", to);
        fprintf(to, ">%s</li>", steps[i].text);
    }
    fputs("</ul>\n", to);
}

// Workloads that another column has and the base has not.
static size_t count_others(const struct columns *columns) {
    size_t count = 0;
    for (size_t i = 1; i < columns->count; i++)
        for (size_t k = 0; k < columns->list[i].count; k++)
            if (!column_find(&columns->list[0], &columns->list[i].times[k].shape)) count++;
    return count;
}

bool section_ratios(struct chart *chart, const struct columns *columns) {
    FILE *to = chart->to;
    section_begin(to, "ratios", "Ratios to the first device");
    if (columns->count == 1) {
        fputs("<p>There is one device: nothing to compare it with.</p>\n", to);
        section_end(to, 0);
        return true;
    }
    fputs(
        "<p>Time over A’s: 2.00 takes twice as long. <span class=\"sign\">▼</span> is faster, "
        "<span class=\"sign\">▲</span> slower, and ≈ what noise explains: the ratio’s 95&nbsp;% interval "
        "holds 1, a drift of 5&nbsp;% from run to run allowed.</p>\n",
        to);
    put_key(to);
    fputs("<div class=\"box snug\" role=\"region\" aria-label=\"Ratios\" tabindex=\"0\"><table "
          "class=\"ratios\">\n<thead><tr><th scope=\"col\">workload</th>",
          to);
    for (size_t i = 0; i < columns->count; i++) {
        fputs("<th scope=\"col\">", to);
        put_letter(to, i);
        fputs(i ? " / A" : " time", to);
        fputs("<span class=\"unseen\"> ", to);
        put_text(to, columns->list[i].device);
        fputs("</span></th>", to);
    }
    fputs("</tr></thead>\n<tbody>\n", to);
    for (size_t row = 0; row < columns->list[0].count; row++)
        put_row(to, columns, &columns->list[0].times[row]);
    fputs("</tbody></table></div>\n", to);
    const size_t others = count_others(columns);
    if (others)
        fprintf(to, "<p class=\"note\">%zu workload%s of other devices %s not among A’s.</p>\n",
                others, others == 1 ? "" : "s", others == 1 ? "is" : "are");
    section_end(to, 0);
    return true;
}
