// SPDX-License-Identifier: MIT
#include <math.h>
#include <string.h>

#include "report/sections.h"
#include "report/text.h"

// Columns that can be filtered by, beside the first.
enum { PHASE = 3, TYPE = 7 };

// Headings, and how a column is sorted.
static const struct {
    const char *name, *title;
    bool number;
} headings[] = {
    { "device", "Letter of the device", false },
    { "pattern", "Of the model that is named", false },
    { "causal", "Are later keys left out?", false },
    { "phase",
      "Prefill: as many queries as keys; decode: one, or up to 16 of more keys; chunk: else",
      false },
    { "length", "Keys; before ×, queries where there are not as many; of a ragged batch from–to",
      true },
    { "heads", "Before ×, batch entries; behind /, heads of K and V", true },
    { "head size", "Behind /, that of V", true },
    { "type", "Of the elements", false },
    { "time", "Median", true },
    { "95 %", "Interval of the median", true },
    { "GFLOP/s", "Operations of selected pairs", true },
    { "GB/s", "Bytes that must move", true },
    { "tokens/s", "Query rows of the batch, through one layer", true },
    { "density", "Selected of all pairs", true },
    { "of limit", "Share of the limit that binds", true },
    { "limit", "What binds", false },
    { "over dense", "Dense’s time over this one’s", true },
    { "planning", "Making the plan", true },
    { "compiling", "Making pipelines, and what the first run took longer", true },
    { "kernel", "Kernel", false },
    { "remark", "Why there is no time", false },
};

static void put_headings(FILE *to) {
    fputs("<thead><tr>", to);
    for (size_t i = 0; i < sizeof headings / sizeof headings[0]; i++)
        fprintf(to, "<th scope=\"col\" title=\"%s\"%s>%s</th>", headings[i].title,
                headings[i].number ? " class=\"number\"" : "", headings[i].name);
    fputs("</tr></thead>\n", to);
}

static void put_word(FILE *to, const char *word, const char *class) {
    fprintf(to, "<td%s>", class);
    put_text(to, word ? word : "");
    fputs("</td>", to);
}

// The number as it is beside the text that is read: what the column is sorted by.
static void put_number(FILE *to, double value, const char *text) {
    if (isnan(value)) fputs("<td class=\"number\"></td>", to);
    else fprintf(to, "<td class=\"number\" data-v=\"%.9g\">%s</td>", value, text);
}

static void put_percent(FILE *to, double share) {
    char text[MOST_LABEL];
    put_number(to, share, percent_text(share, text));
}

static void put_plain(FILE *to, double value) {
    char text[MOST_LABEL];
    put_number(to, value, number_text(value, text));
}

static void put_ms(FILE *to, double ms) {
    char text[MOST_LABEL];
    put_number(to, ms, ms_text(ms, text));
}

static void put_interval(FILE *to, const struct time *t) {
    char low[MOST_LABEL], high[MOST_LABEL], text[2 * MOST_LABEL + 8];
    snprintf(text, sizeof text, "%s – %s", ms_text(t->low, low), ms_text(t->high, high));
    // sorted by how wide it is
    put_number(to, (t->high - t->low) / t->ms, text);
}

enum { FIGURES = 11 };

static void put_figures(FILE *to, const struct time *t) {
    const struct shape *s = &t->shape;
    put_ms(to, t->ms);
    put_interval(to, t);
    put_plain(to, bench_number(t->json, "gflops"));
    put_plain(to, 1e-9 * bench_number(t->json, "bytes_per_s"));
    put_plain(to, bench_number(t->json, "tokens_per_s"));
    put_percent(to, (double)t->pairs / shape_pairs(s));
    put_percent(to, bench_number(t->json, "limit_share"));
    put_word(to, bench_text(t->json, "limit"), "");
    put_plain(to, bench_number(t->json, "speedup"));
    put_ms(to, bench_number(t->json, "plan_ms"));
    put_ms(to, bench_number(t->json, "compile_ms"));
}

static void put_row(FILE *to, size_t column, const struct time *t) {
    char text[MOST_LABEL];
    const struct shape *s = &t->shape;
    const bool failed = cJSON_IsString(cJSON_GetObjectItemCaseSensitive(t->json, "error"));
    fputs("<tr><td>", to);
    put_letter(to, column);
    fputs("</td>", to);
    fputs("<td class=\"pattern\">", to);
    if (*s->model) {
        put_text(to, s->model);
        fputs(": ", to);
    }
    put_text(to, s->pattern);
    if (s->sink_logits) fputs(" sink logits", to);
    fputs("</td>", to);
    put_word(to, s->causal ? "causal" : "", "");
    put_word(to, t->phase, "");
    put_number(to, (double)s->kv_len, lengths_text(s, text));
    put_number(to, (double)s->heads, heads_text(s, text));
    put_number(to, (double)s->head_dim, head_sizes_text(s, text));
    put_word(to, s->dtype, "");
    for (int i = 0; i < FIGURES && failed; i++) fputs("<td></td>", to);
    if (!failed) put_figures(to, t);
    put_word(to, bench_text(t->json, "kernel"), " class=\"pattern\"");
    put_word(to, t->missing, " class=\"remark\"");
    fputs("</tr>\n", to);
}

// Each value of a field once, in the order in which they come.
static void put_choices(FILE *to, const struct columns *columns, const char *label,
                        const char *name, size_t column_number,
                        const char *(*of)(const struct time *)) {
    const char *seen[16];
    size_t count = 0;
    fprintf(to, "<label>%s <select data-column=\"%zu\" name=\"%s\"><option value=\"\">all</option>",
            label, column_number, name);
    for (size_t i = 0; i < columns->count; i++)
        for (size_t k = 0; k < columns->list[i].count; k++) {
            const char *value = of(&columns->list[i].times[k]);
            size_t at = 0;
            while (at < count && strcmp(seen[at], value)) at++;
            if (at < count || count == sizeof seen / sizeof seen[0]) continue;
            seen[count++] = value;
            fputs("<option>", to);
            put_text(to, value);
            fputs("</option>", to);
        }
    fputs("</select></label>\n", to);
}

static const char *dtype_of(const struct time *t) { return t->shape.dtype; }
static const char *phase_of(const struct time *t) { return t->phase; }

// Shown by the script: without it they would do nothing.
static void put_filters(FILE *to, const struct columns *columns) {
    fputs("<form class=\"filters\" hidden>\n<label class=\"wide\">Find <input type=\"search\" "
          "name=\"find\" placeholder=\"window 4,096 fp32\" autocomplete=\"off\" "
          "spellcheck=\"false\"></label>\n",
          to);
    fputs("<label>Device <select data-column=\"0\" name=\"device\"><option value=\"\">all</option>",
          to);
    for (size_t i = 0; i < columns->count; i++) fprintf(to, "<option>%c</option>", letter_of(i));
    fputs("</select></label>\n", to);
    put_choices(to, columns, "Phase", "phase", PHASE, phase_of);
    put_choices(to, columns, "Type", "type", TYPE, dtype_of);
    fputs("<button type=\"reset\">Show all</button>\n"
          "<output role=\"status\" name=\"count\"></output>\n</form>\n",
          to);
}

bool section_results(struct chart *chart, const struct columns *columns) {
    FILE *to = chart->to;
    section_begin(to, "results", "All results");
    put_filters(to, columns);
    fputs(
        "<div class=\"box tall\" role=\"region\" aria-label=\"All results\" tabindex=\"0\"><table "
        "class=\"results\">\n",
        to);
    put_headings(to);
    fputs("<tbody>\n", to);
    for (size_t i = 0; i < columns->count; i++)
        for (size_t k = 0; k < columns->list[i].count; k++)
            put_row(to, i, &columns->list[i].times[k]);
    fputs("</tbody></table></div>\n", to);
    section_end(to, 0);
    return true;
}
