// SPDX-License-Identifier: MIT
#include <math.h>
#include <string.h>

#include "compare/ratio.h"
#include "report/sections.h"
#include "report/text.h"

static void fact(FILE *to, const char *name, const char *value, const char *unit) {
    if (!value || !*value) return;
    fprintf(to, "<div><dt>%s</dt><dd>", name);
    put_text(to, value);
    fprintf(to, "%s</dd></div>\n", unit);
}

static void count_fact(FILE *to, const char *name, double value, const char *unit) {
    char text[MOST_LABEL];
    if (value < 1e15) fact(to, name, count_text((uint64_t)value, text), unit);
}

static void number_fact(FILE *to, const char *name, double value, const char *unit) {
    char text[MOST_LABEL];
    fact(to, name, number_text(value, text), unit);
}

// The largest heap of the device's own memory; NaN where none is named.
static double device_memory(const cJSON *device) {
    const cJSON *heap;
    double most = NAN;
    cJSON_ArrayForEach(heap, cJSON_GetObjectItemCaseSensitive(device, "memory_heaps")) {
        if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(heap, "device_local")))
            most = fmax(most, bench_number(heap, "bytes"));
    }
    return most;
}

// The beginning of a text: the day of a date, of a commit what tells it from others.
static void put_beginning(FILE *to, const char *text, size_t bytes) {
    char beginning[MOST_LABEL];
    snprintf(beginning, sizeof beginning, "%.*s", (int)bytes, text);
    put_text(to, beginning);
}

// How many times as long it takes as the first device, over the workloads that both have.
static void put_mean(FILE *to, const struct columns *columns, size_t column) {
    double logarithms = 0;
    size_t count = 0;
    char text[MOST_LABEL];
    for (size_t i = 0; i < columns->list[0].count; i++) {
        const struct time *base = &columns->list[0].times[i];
        const struct time *time = column_find(&columns->list[column], &base->shape);
        if (ratio_lacks(time, base)) continue;
        logarithms += log(time->ms / base->ms);
        count++;
    }
    if (!count) {
        fputs("<p class=\"mean quiet\">no workload in common with A</p>\n", to);
        return;
    }
    const double mean = exp(logarithms / (double)count);
    fprintf(
        to,
        "<p class=\"mean\"><strong>%s ×</strong> the time of A <span class=\"quiet\">(geometric "
        "mean of %zu)</span></p>\n",
        number_text(mean, text), count);
}

static void put_counts(FILE *to, const struct column *c) {
    size_t failed = 0, reckoned = 0;
    for (size_t i = 0; i < c->count; i++) {
        if (!c->times[i].missing) continue;
        if (cJSON_IsString(cJSON_GetObjectItemCaseSensitive(c->times[i].json, "error"))) failed++;
        else reckoned++;
    }
    fprintf(to, "<div><dt>workloads</dt><dd>%zu measured", c->count - failed - reckoned);
    if (reckoned) fprintf(to, ", %zu reckoned", reckoned);
    if (failed) fprintf(to, ", %zu failed", failed);
    fputs("</dd></div>\n", to);
}

static void put_run(FILE *to, const struct column *c) {
    fputs("<div><dt>measured by</dt><dd>", to);
    put_text(to, c->implementation ? c->implementation : "unknown");
    if (c->program && c->implementation && strcmp(c->program, c->implementation)) {
        fputs(" of ", to);
        put_text(to, c->program);
    }
    fputs(" ", to);
    put_text(to, c->version ? c->version : "");
    if (c->commit) {
        fputs(" <span class=\"pattern\">", to);
        put_beginning(to, c->commit, 12);
        fputs("</span>", to);
    }
    if (c->date) {
        fputs(", ", to);
        put_beginning(to, c->date, strlen("2026-11-28"));
    }
    fputs("</dd></div>\n", to);
}

// A file's name without its folders, which are nobody's business.
static const char *last_name(const char *path) {
    for (const char *at = path; *at; at++)
        if (strchr("/\\", *at) && at[1]) path = at + 1;
    return path;
}

static void put_card(FILE *to, const struct columns *columns, size_t column) {
    const struct column *c = &columns->list[column];
    const cJSON *clock = cJSON_GetObjectItemCaseSensitive(c->json, "clock"),
                *host = cJSON_GetObjectItemCaseSensitive(c->run, "host");
    char text[MOST_LABEL];
    fputs("<article class=\"card\"><h3>", to);
    put_letter(to, column);
    fputs(" <span class=\"name\">", to);
    put_text(to, c->device);
    fputs("</span></h3>\n", to);
    if (column) put_mean(to, columns, column);
    else if (columns->count > 1) fputs("<p class=\"mean\">the base of all ratios</p>\n", to);
    fputs("<dl>\n", to);
    fact(to, "kind", bench_text(c->json, "type"), "");
    fact(to, "vendor", bench_text(c->json, "vendor"), "");
    fact(to, "driver", c->driver_info ? c->driver_info : c->driver, "");
    fact(to, "Vulkan", bench_text(c->json, "api_version"), "");
    fact(to, "memory", bytes_text(device_memory(c->json), text), "");
    count_fact(to, "subgroup", bench_number(c->json, "subgroup_size"), " lanes");
    number_fact(to, "multiply-adds", bench_number(c->json, "peak_gflops"), " GFLOP/s");
    number_fact(to, "matrix units", bench_number(c->json, "matrix_gflops"), " GFLOP/s");
    number_fact(to, "copying", 1e-9 * bench_number(c->json, "copy_bytes_per_s"), " GB/s");
    fact(to, "times by", bench_text(clock, "source"), "");
    fact(to, "host", bench_text(host, "cpu"), "");
    fact(to, "system", bench_text(host, "os"), "");
    put_counts(to, c);
    put_run(to, c);
    fact(to, "file", last_name(c->path), "");
    fputs("</dl></article>\n", to);
}

bool section_devices(struct chart *chart, const struct columns *columns) {
    section_begin(chart->to, "devices", "Devices");
    fputs("<div class=\"cards\">\n", chart->to);
    for (size_t i = 0; i < columns->count; i++) put_card(chart->to, columns, i);
    fputs("</div>\n", chart->to);
    section_end(chart->to, 0);
    return true;
}
