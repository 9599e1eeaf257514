// SPDX-License-Identifier: MIT
//
// tulle compare: the bench's JSON of several devices, releases or peers beside each other.
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/cli.h"
#include "common/statistics.h"
#include "common/table.h"
#include "compare/columns.h"
#include "compare/ratio.h"

static const char help[] =
    "Usage: tulle compare [--drift P] [--fail-above F] [--md|--csv] A.json [B.json ...]\n"
    "\n"
    "Compares what 'tulle bench' (or tools/peers/pytorch.py) found, in its JSON or JSON lines: a row for each workload, a\n"
    "column for each device of each file. The first column is the base: its times, and each other column's times over them, so\n"
    "that 1.10 takes a tenth longer. At the end geometric means of the ratios by model or\n"
    "kind of pattern, and by phase.\n"
    "\n"
    "  --drift P        percent by which a time goes from one run to the next, in 95 % of all cases; default 5.\n"
    "                   Compare two runs of the same program on a quiet machine to see what it is there\n"
    "  --fail-above F   exit status 3 where a workload takes over F times as long as in the base and noise does not\n"
    "                   explain it, or where it has a time in the base and cannot be compared in another column\n"
    "  --md             tables in Markdown\n"
    "  --csv            the rows alone, as CSV\n"
    "\n"
    "A ratio's 95 % interval is made of those of both medians, which are two samples of equal rank each (order statistics;\n"
    "Student's of two to five samples), and of the drift, by the method of variance estimates recovery in logarithms.\n"
    "slower and faster: the interval lies on one side of 1. noise: it holds 1. ?: a single sample has no interval.\n"
    "Not compared: what was reckoned or failed, and workloads of one name that select other numbers of pairs.\n"
    "\n"
    "Exit status: 0 done; 1 the system could not do it; 2 bad usage or bad input; 3 --fail-above.\n";

enum { STATUS_SLOWER = 3 };

enum { DRIFT = 256, FAIL_ABOVE, MARKDOWN, CSV };

static const struct option options[] = {
    { "drift", required_argument, NULL, DRIFT },
    { "fail-above", required_argument, NULL, FAIL_ABOVE },
    { "md", no_argument, NULL, MARKDOWN },
    { "csv", no_argument, NULL, CSV },
    { "help", no_argument, NULL, 'h' },
    { 0 },
};

struct request {
    float drift;       // percent
    float fail_above;  // 0: not asked for
    bool markdown, csv;
};

// -------------------------------------------------------------------------------------------------
// One workload in one column

static double drift_of(const struct request *r) { return log1p(0.01 * (double)r->drift); }

// Does it fail the gate? A time that should be there and is not does too.
static bool fails(const struct request *r, const struct time *time, const struct time *base) {
    if (base->missing) return false;
    if (ratio_lacks(time, base)) return true;
    const struct ratio ratio = ratio_of(time, base, drift_of(r));
    return ratio.value > (double)r->fail_above &&
           (ratio.verdict == VERDICT_SLOWER || ratio.verdict == VERDICT_UNKNOWN);
}

// -------------------------------------------------------------------------------------------------
// The table of workloads

enum { NAME, LENGTH, HEADS, DIM, TYPE, BASE, FIRST_RATIO, RATIO_COLUMNS = 3 };

static void start_rows(struct table *table, const struct columns *columns) {
    static const char *const headings[FIRST_RATIO] = { "workload", "queries x keys", "heads",
                                                       "head dim", "type",           "A ms" };
    const size_t cols = FIRST_RATIO + RATIO_COLUMNS * (columns->count - 1);
    table_start(table, cols, FIRST_RATIO, headings);
    for (size_t i = 1; i < columns->count; i++) {
        char heading[3][24];
        snprintf(heading[0], sizeof heading[0], "%c/A", (int)('A' + i));
        snprintf(heading[1], sizeof heading[1], "%c 95%%", (int)('A' + i));
        snprintf(heading[2], sizeof heading[2], "%c is", (int)('A' + i));
        for (size_t k = 0; k < RATIO_COLUMNS; k++) table_column(table, heading[k]);
    }
}

static const char *lengths_text(const struct shape *s, char *text, size_t size) {
    typedef unsigned long long count;
    if (s->kv_least != s->kv_len)
        snprintf(text, size, "%llu x %llu-%llu", (count)s->q_len, (count)s->kv_least,
                 (count)s->kv_len);
    else if (s->q_len == s->kv_len) snprintf(text, size, "%llu", (count)s->q_len);
    else snprintf(text, size, "%llu x %llu", (count)s->q_len, (count)s->kv_len);
    return text;
}

static void set_shape(struct table *table, const struct shape *s) {
    typedef unsigned long long count;
    table_set(table, NAME, "%s%s%s%s%s%s%s", s->model, *s->model ? ": " : "", s->pattern,
              s->causal ? " causal" : "", s->sink_logits ? " sink logits" : "",
              *s->asked_kernel ? " by " : "", s->asked_kernel);
    char lengths[80], heads[80];
    table_set(table, LENGTH, "%s", lengths_text(s, lengths, sizeof lengths));
    snprintf(heads, sizeof heads, "%llu", (count)s->heads);
    if (s->kv_heads != s->heads)
        snprintf(heads, sizeof heads, "%llu/%llu", (count)s->heads, (count)s->kv_heads);
    if (s->batch == 1) table_set(table, HEADS, "%s", heads);
    else table_set(table, HEADS, "%llu x %s", (count)s->batch, heads);
    if (s->head_dim == s->v_head_dim) table_set(table, DIM, "%llu", (count)s->head_dim);
    else table_set(table, DIM, "%llu/%llu", (count)s->head_dim, (count)s->v_head_dim);
    table_set(table, TYPE, "%s", s->dtype);
}

static void set_ratio(struct table *table, size_t col, const struct ratio *ratio) {
    static const char *const names[] = { "noise", "slower", "faster", "?" };
    table_set(table, col, "%.3f", ratio->value);
    if (ratio->verdict != VERDICT_UNKNOWN)
        table_set(table, col + 1, "%.3f..%.3f", ratio->low, ratio->high);
    table_set(table, col + 2, "%s", names[ratio->verdict]);
}

static void add_row(struct table *table, const struct request *r, const struct columns *columns,
                    const struct time *base) {
    table_row(table);
    set_shape(table, &base->shape);
    if (base->missing) table_set(table, BASE, "-");
    else table_set(table, BASE, "%.*f", base->ms < 0.1 ? 6 : 3, base->ms);
    for (size_t i = 1; i < columns->count; i++) {
        const struct time *time = column_find(&columns->list[i], &base->shape);
        const size_t col = FIRST_RATIO + RATIO_COLUMNS * (i - 1);
        if (ratio_lacks(time, base)) {
            table_set(table, col, "-");
            continue;
        }
        const struct ratio ratio = ratio_of(time, base, drift_of(r));
        set_ratio(table, col, &ratio);
    }
}

static void print_table(const struct request *r, const struct table *table) {
    if (r->csv) table_print_csv(stdout, table);
    else if (r->markdown) table_print_markdown(stdout, table);
    else table_print(stdout, table);
}

// -------------------------------------------------------------------------------------------------
// Geometric means

// A model's name, or "window+global" of "window:255,0+global:64": the kinds alone, so that other
// numbers go together.
static void workload_kind(const struct shape *shape, char *kind, size_t size) {
    size_t length = 0;
    if (*shape->model) {
        snprintf(kind, size, "%s", shape->model);
        return;
    }
    bool number = false;
    for (const char *at = shape->pattern; *at && length + 1 < size; at++) {
        if (*at == ':') number = true;
        else if (*at == '+' || *at == ';') number = false;
        if (!number) kind[length++] = *at;
    }
    kind[length] = 0;
}

struct mean {
    char kind[80];
    const char *phase;  // NULL: all of them
    double logarithms[MOST_COLUMNS];
    uint32_t counts[MOST_COLUMNS];
};

static struct mean *find_mean(struct mean *means, size_t *count, const char *kind,
                              const char *phase) {
    for (size_t i = 1; i < *count; i++)
        if (!strcmp(means[i].kind, kind) && !strcmp(means[i].phase, phase)) return &means[i];
    struct mean *mean = &means[(*count)++];
    snprintf(mean->kind, sizeof mean->kind, "%s", kind);
    mean->phase = phase;
    return mean;
}

static void add_to_mean(struct mean *mean, size_t column, double logarithm) {
    mean->logarithms[column] += logarithm;
    mean->counts[column]++;
}

static void print_means(const struct request *r, const struct columns *columns,
                        const struct mean *means, size_t count) {
    struct table table;
    table_start(&table, 2 + 2 * (columns->count - 1), 2,
                (const char *const[]){ "geometric mean of", "phase" });
    for (size_t i = 1; i < columns->count; i++) {
        char heading[2][24];
        snprintf(heading[0], sizeof heading[0], "%c/A", (int)('A' + i));
        snprintf(heading[1], sizeof heading[1], "%c workloads", (int)('A' + i));
        for (size_t k = 0; k < 2; k++) table_column(&table, heading[k]);
    }
    for (size_t m = 1; m <= count; m++) {
        const struct mean *mean = &means[m % count];  // all of them, the first, stand last
        table_row(&table);
        table_set(&table, 0, "%s", mean->kind);
        table_set(&table, 1, "%s", mean->phase ? mean->phase : "all");
        for (size_t i = 1; i < columns->count; i++) {
            if (mean->counts[i])
                table_set(&table, 2 * i, "%.3f", exp(mean->logarithms[i] / mean->counts[i]));
            table_set(&table, 2 * i + 1, "%u", mean->counts[i]);
        }
    }
    putchar('\n');
    print_table(r, &table);
    table_free(&table);
}

static bool report_means(const struct request *r, const struct columns *columns) {
    const struct column *base = &columns->list[0];
    struct mean *means = calloc(base->count + 1, sizeof *means);
    size_t count = 1;
    if (!means) return false;
    snprintf(means[0].kind, sizeof means[0].kind, "all");
    for (size_t row = 0; row < base->count; row++) {
        const struct time *from = &base->times[row];
        char kind[sizeof means[0].kind];
        workload_kind(&from->shape, kind, sizeof kind);
        for (size_t i = 1; i < columns->count; i++) {
            const struct time *time = column_find(&columns->list[i], &from->shape);
            if (ratio_lacks(time, from)) continue;
            const double logarithm = log(time->ms / from->ms);
            add_to_mean(find_mean(means, &count, kind, from->phase), i, logarithm);
            add_to_mean(&means[0], i, logarithm);
        }
    }
    print_means(r, columns, means, count);
    free(means);
    return true;
}

// -------------------------------------------------------------------------------------------------
// Around the tables

static const char *or_unknown(const char *text) { return text ? text : "unknown"; }

static void print_columns(const struct request *r, const struct columns *columns) {
    for (size_t i = 0; i < columns->count; i++) {
        const struct column *c = &columns->list[i];
        printf("%s%c  %s: %s (%s%s%s), %s of %s %s%s%.12s, %s, %s\n", r->markdown ? "- " : "",
               (int)('A' + i), c->path, c->device, or_unknown(c->driver), c->driver_info ? " " : "",
               c->driver_info ? c->driver_info : "", or_unknown(c->implementation),
               or_unknown(c->program), or_unknown(c->version), c->commit ? " " : "",
               c->commit ? c->commit : "", or_unknown(c->clock), or_unknown(c->date));
    }
    putchar('\n');
}

// How a column's ratios lie, and why workloads of the base have none.
static bool print_summary(const struct request *r, const struct columns *columns, size_t column) {
    const struct column *base = &columns->list[0];
    double *ratios = malloc((base->count + 1) * sizeof *ratios);
    uint32_t count = 0, verdicts[4] = { 0 };
    if (!ratios) return false;
    for (size_t row = 0; row < base->count; row++) {
        const struct time *time = column_find(&columns->list[column], &base->times[row].shape);
        const char *why = ratio_lacks(time, &base->times[row]);
        const struct shape *s = &base->times[row].shape;
        if (why) {
            char lengths[80];
            printf("%c  not compared: %s%s%s%s, %s, %s: %s\n", (int)('A' + column), s->model,
                   *s->model ? ": " : "", s->pattern, s->causal ? " causal" : "",
                   lengths_text(s, lengths, sizeof lengths), s->dtype, why);
            continue;
        }
        const struct ratio ratio = ratio_of(time, &base->times[row], drift_of(r));
        ratios[count++] = ratio.value;
        verdicts[ratio.verdict]++;
    }
    if (count) {
        const double middle = median(ratios, count);
        printf("%c  %u compared: %u slower, %u faster, %u noise, %u without an interval; median "
               "%.3f, half of them from %.3f to %.3f\n",
               (int)('A' + column), count, verdicts[VERDICT_SLOWER], verdicts[VERDICT_FASTER],
               verdicts[VERDICT_NOISE], verdicts[VERDICT_UNKNOWN], middle, ratios[count / 4],
               ratios[count - 1 - count / 4]);
    }
    free(ratios);
    return true;
}

// Each column has something to compare with the base, or else it is refused, with the reason.
static int check_columns(const struct columns *columns) {
    const struct column *base = &columns->list[0];
    if (columns->count < 2)
        return fail("compare", STATUS_BAD_INPUT,
                    "there is one device in all, '%s' of '%s': nothing to compare it with",
                    base->device, base->path);
    for (size_t i = 1; i < columns->count; i++) {
        const struct column *c = &columns->list[i];
        struct message why = { "" };
        bool common = false;
        for (size_t row = 0; row < base->count && !common; row++) {
            const struct time *time = column_find(c, &base->times[row].shape);
            const char *reason = ratio_lacks(time, &base->times[row]);
            common = !reason;
            if (time && reason) refuse(&why, "%s: %s", base->times[row].shape.pattern, reason);
        }
        if (common) continue;
        if (!*why.text) columns_differ(base, c, &why);
        return fail("compare", STATUS_BAD_INPUT,
                    "no workload of '%s' (%s) can be compared with '%s' (%s): %s", base->path,
                    base->device, c->path, c->device, why.text);
    }
    return STATUS_OK;
}

static int check_gate(const struct request *r, const struct columns *columns) {
    const struct column *base = &columns->list[0];
    const struct time *worst = NULL;
    size_t count = 0;
    for (size_t i = 1; i < columns->count && r->fail_above > 0; i++)
        for (size_t row = 0; row < base->count; row++) {
            const struct time *time = column_find(&columns->list[i], &base->times[row].shape);
            if (!fails(r, time, &base->times[row])) continue;
            if (!worst) worst = &base->times[row];
            count++;
        }
    if (!count) return STATUS_OK;
    return fail("compare", STATUS_SLOWER,
                "%zu workload%s above %g times the base's time, or without a time; the first: %s",
                count, count == 1 ? " is" : "s are", (double)r->fail_above, worst->shape.pattern);
}

static int report(const struct request *r, const struct columns *columns) {
    struct table table;
    bool good = true;
    if (!r->csv) print_columns(r, columns);
    start_rows(&table, columns);
    for (size_t row = 0; row < columns->list[0].count; row++)
        add_row(&table, r, columns, &columns->list[0].times[row]);
    print_table(r, &table);
    table_free(&table);
    if (!r->csv) {
        good = report_means(r, columns);
        putchar('\n');
        for (size_t i = 1; i < columns->count && good; i++) good = print_summary(r, columns, i);
    }
    if (!good) return fail("compare", STATUS_FAILED, "out of memory");
    return print_out("compare", "");
}

static int read_options(int argc, char **argv, struct request *r) {
    struct message m;
    bool good = true;
    int option;
    *r = (struct request){ .drift = 5 };
    while (good && (option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (option) {
        case DRIFT: good = parse_real("--drift", optarg, true, &r->drift, &m); break;
        case FAIL_ABOVE:
            good = parse_real("--fail-above", optarg, true, &r->fail_above, &m) &&
                   (r->fail_above >= 1 ||
                    refuse(&m, "--fail-above is '%s'; at least 1 is wanted", optarg));
            break;
        case MARKDOWN: r->markdown = true; break;
        case CSV: r->csv = true; break;
        case 'h': return print_out("compare", help);
        default: fputs("Try 'tulle compare --help'.\n", stderr); return STATUS_BAD_INPUT;
        }
    }
    if (!good) return fail_usage("compare", "%s", m.text);
    if (optind == argc) return fail_usage("compare", "no file is given");
    return -1;
}

int compare_main(int argc, char **argv) {
    struct request request;
    struct message message;
    int status = read_options(argc, argv, &request);
    if (status >= 0) return status;
    struct columns *columns = calloc(1, sizeof *columns);
    if (!columns) return fail("compare", STATUS_FAILED, "out of memory");
    status = STATUS_OK;
    for (int i = optind; i < argc && !status; i++)
        if (!columns_read(columns, argv[i], &message))
            status = fail("compare", STATUS_BAD_INPUT, "%s", message.text);
    if (!status) status = check_columns(columns);
    if (!status) status = report(&request, columns);
    if (!status) status = check_gate(&request, columns);
    columns_free(columns);
    free(columns);
    return status;
}
