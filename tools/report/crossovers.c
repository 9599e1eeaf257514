// SPDX-License-Identifier: MIT
#include <math.h>
#include <string.h>

#include "report/sections.h"
#include "report/text.h"

// A whole number; "" where there is none.
static const char *whole_text(double value, char out[MOST_LABEL]) {
    if (!(value < 1e15)) return out[0] = 0, out;
    return count_text((uint64_t)llround(value), out);
}

// What `tulle bench --crossover` found: in words what it says of one kind of pattern.
static void put_verdict(FILE *to, const cJSON *crossover) {
    const char *verdict = bench_text(crossover, "verdict"), *by = bench_text(crossover, "by");
    const double value = bench_number(crossover, "value");
    const bool density = by && !strcmp(by, "density");
    char text[MOST_LABEL];
    if (!verdict || isnan(value) || !strcmp(verdict, "unknown")) {
        fputs("not known", to);
        return;
    }
    if (density) percent_text(value, text);
    else whole_text(value, text);
    const char *of = density ? " of dense’s pairs" : " tokens";
    if (!strcmp(verdict, "crosses"))
        fprintf(to, "sparse wins %s %s%s", density ? "below" : "from", text, of);
    else if (!strcmp(verdict, "always"))
        fprintf(to, "sparse wins at all that was measured, %s %s%s", density ? "up to" : "from",
                text, of);
    else
        fprintf(to, "dense wins at all that was measured, %s %s%s", density ? "down to" : "up to",
                text, of);
    if (cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(crossover, "complete")))
        fputs(", not closer than that", to);
}

static void put_row(FILE *to, size_t column, const cJSON *crossover) {
    static const char *const fields[] = { "name", "template", "dtype" };
    char text[MOST_LABEL];
    fputs("<tr><td>", to);
    put_letter(to, column);
    fputs("</td>", to);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        const char *word = bench_text(crossover, fields[i]);
        fputs(i == 1 ? "<td class=\"pattern\">" : "<td>", to);
        put_text(to, word ? word : "");
        if (i == 1 && cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(crossover, "causal")))
            fputs(" causal", to);
        fputs("</td>", to);
    }
    fprintf(to, "<td class=\"number\">%s</td>",
            whole_text(bench_number(crossover, "head_dim"), text));
    fprintf(to, "<td class=\"number\">%s</td><td>",
            whole_text(bench_number(crossover, "length"), text));
    put_verdict(to, crossover);
    fputs("</td></tr>\n", to);
}

// The next of a device's, from `item` on.
static const cJSON *next_of(const cJSON *item, int64_t device_index) {
    for (; item; item = item->next) {
        const char *kind = bench_text(item, "kind");
        if (kind && !strcmp(kind, "crossover") &&
            bench_number(item, "device_index") == (double)device_index)
            return item;
    }
    return NULL;
}

// In a list of the document; or of JSON lines among those behind the run.
static const cJSON *first_of(const struct column *c) {
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(c->run, "crossovers");
    return next_of(list ? list->child : c->run->next, c->device_index);
}

void put_crossovers(FILE *to, const struct columns *columns) {
    bool begun = false;
    for (size_t i = 0; i < columns->count; i++) {
        const struct column *c = &columns->list[i];
        for (const cJSON *item = first_of(c); item; item = next_of(item->next, c->device_index)) {
            if (!begun)
                fputs(
                    "<h3>Searched for</h3>\n<p>What <span class=\"pattern\">tulle bench "
                    "--crossover</span> found, by varying one kind of pattern.</p>\n<div class=\"box "
                    "snug\" role=\"region\" aria-label=\"Crossovers\" tabindex=\"0\"><table "
                    "class=\"crossovers\">\n<thead><tr><th scope=\"col\">device</th><th "
                    "scope=\"col\">kind</th><th scope=\"col\">pattern</th><th "
                    "scope=\"col\">type</th><th scope=\"col\" class=\"number\">head size</th><th "
                    "scope=\"col\" class=\"number\">length</th><th "
                    "scope=\"col\">crossover</th></tr></thead>\n<tbody>\n",
                    to);
            begun = true;
            put_row(to, i, item);
        }
    }
    if (begun) fputs("</tbody></table></div>\n", to);
}
