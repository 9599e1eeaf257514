// SPDX-License-Identifier: MIT
#include "bench/outcome.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "bench/roofline.h"
#include "common/cli.h"
#include "common/figures.h"
#include "common/json.h"

enum {
    NAME,
    BATCH,
    LENGTH,
    DIM,
    TYPE,
    MS,
    SPREAD,
    GFLOPS,
    PEAK,
    RATE,
    COPY,
    LIMIT,
    TOKENS,
    OVERHEAD,
    PER_VISITED,
    PER_SELECTED,
    SPEEDUP,
    COMMAND,
    CELLS
};

// What multiplies more than it reads, and what reads more than it multiplies, have columns of their
// own.
static const struct {
    const char *heading;
    enum { ALWAYS, NOT_OF_DECODE, OF_DECODE } shown;
} cells[CELLS] = {
    [NAME] = { "workload", ALWAYS },
    [BATCH] = { "batch", OF_DECODE },
    [LENGTH] = { "queries x keys", ALWAYS },
    [DIM] = { "head dim", ALWAYS },
    [TYPE] = { "type", ALWAYS },
    [MS] = { "ms (median)", ALWAYS },
    [SPREAD] = { "spread %", ALWAYS },
    [GFLOPS] = { "GFLOP/s", NOT_OF_DECODE },
    [PEAK] = { "of peak", NOT_OF_DECODE },
    [RATE] = { "GB/s", OF_DECODE },
    [COPY] = { "of copying", OF_DECODE },
    [LIMIT] = { "of what binds", ALWAYS },
    [TOKENS] = { "tokens/s a layer", OF_DECODE },
    [OVERHEAD] = { "visited / selected", ALWAYS },
    [PER_VISITED] = { "time per visited / dense's", NOT_OF_DECODE },
    [PER_SELECTED] = { "time per selected / dense's", ALWAYS },
    [SPEEDUP] = { "speed-up over dense", ALWAYS },
    [COMMAND] = { "command", ALWAYS },
};

static bool is_shown(size_t cell, bool decode) {
    return cells[cell].shown == ALWAYS || (cells[cell].shown == OF_DECODE) == decode;
}

// Where a cell stands; past the last column where it is not shown.
static size_t column(const struct outcome_table *to, size_t cell) {
    size_t before = 0;
    if (!is_shown(cell, to->decode)) return CELLS;
    for (size_t i = 0; i < cell; i++) before += is_shown(i, to->decode);
    return before;
}

// Figures that the table and the JSON share. NaN where there is nothing to compare.
static double dense_visited_ns(const struct outcome *o) {
    return o->dense.figures.ms / (double)o->dense.figures.visited;
}
static double per_visited(const struct outcome *o) {
    return o->figures.ms / (double)o->figures.visited / dense_visited_ns(o);
}

static double per_selected(const struct outcome *o) {
    return o->figures.ms / (double)o->figures.pairs /
           (o->dense.figures.ms / (double)o->dense.figures.pairs);
}

static double peak_share(const struct outcome *o, const struct peaks *peaks) {
    return peaks->multiply_add_gflops > 0 ? o->figures.gflops / peaks->multiply_add_gflops : NAN;
}

// Bytes that must move, a second.
static double rate(const struct outcome *o) { return 1e3 * (double)o->bytes / o->figures.ms; }

static double copy_share(const struct outcome *o, const struct peaks *peaks) {
    return peaks->copy_bytes_per_s > 0 ? rate(o) / peaks->copy_bytes_per_s : NAN;
}

// Of one layer: each query row is a token's.
static double tokens_per_s(const struct outcome *o) {
    return 1e3 * o->workload.batch * o->workload.q_len / o->figures.ms;
}

void outcome_table_start(struct outcome_table *to, bool decode) {
    const char *headings[CELLS];
    size_t count = 0;
    for (size_t i = 0; i < CELLS; i++)
        if (is_shown(i, decode)) headings[count++] = cells[i].heading;
    to->decode = decode;
    table_start(&to->table, count, count, headings);
}

// A ratio, or a dash where a workload selects nothing.
static void set_ratio(struct outcome_table *to, size_t cell, const char *mark, double value,
                      int digits) {
    if (isfinite(value)) table_set(&to->table, column(to, cell), "%s%.*f", mark, digits, value);
    else table_set(&to->table, column(to, cell), "-");
}

static void set_lengths(struct outcome_table *to, const struct workload *w) {
    const size_t at = column(to, LENGTH);
    if (w->kv_least) table_set(&to->table, at, "%u x %u-%u", w->q_len, w->kv_least, w->kv_len);
    else if (w->q_len == w->kv_len) table_set(&to->table, at, "%u", w->q_len);
    else table_set(&to->table, at, "%u x %u", w->q_len, w->kv_len);
}

static void set_workload(struct outcome_table *to, const struct outcome *o) {
    const struct workload *w = &o->workload;
    struct table *table = &to->table;
    char name[400] = "";
    if (w->model) snprintf(name, sizeof name, "%s, heads %u/%u: ", w->model, w->heads, w->kv_heads);
    table_set(table, column(to, NAME), "%s%s%s%s%s%s", name, w->spec, w->causal ? " causal" : "",
              w->sink_logits ? " sink logits" : "", w->kernel ? " by " : "",
              w->kernel ? o->figures.kernel : "");
    table_set(table, column(to, BATCH), "%u", w->batch);
    set_lengths(to, w);
    if (w->head_dim == w->v_head_dim) table_set(table, column(to, DIM), "%u", w->head_dim);
    else table_set(table, column(to, DIM), "%u/%u", w->head_dim, w->v_head_dim);
    table_set(table, column(to, TYPE), "%s", dtype_name(w->dtype));
}

void outcome_table_add(struct outcome_table *to, const struct outcome *o, const struct peaks *peaks,
                       const char *command) {
    const struct figures *f = &o->figures;
    const char *about = o->dense.measured ? "" : "~", *reckoned = o->reckoned ? "~" : "";
    struct table *table = &to->table;
    table_row(table);
    set_workload(to, o);
    table_set(table, column(to, COMMAND), "%s", command);
    if (*o->error) {
        table_set(table, column(to, MS), "failed");
        return;
    }
    table_set(table, column(to, MS), "%s%.3f", reckoned, f->ms);
    if (f->ms > 0 && !o->reckoned && f->repeats > 1)
        table_set(table, column(to, SPREAD), "%+.0f..%+.0f", 100 * (f->ms_min / f->ms - 1),
                  100 * (f->ms_max / f->ms - 1));
    set_ratio(to, GFLOPS, reckoned, f->gflops, 1);
    set_ratio(to, RATE, reckoned, 1e-9 * rate(o), 2);
    set_ratio(to, TOKENS, reckoned, tokens_per_s(o), 0);
    const struct roofline roofline = roofline_of(o, peaks);
    if (peaks->multiply_add_gflops > 0)
        table_set(table, column(to, PEAK), "%.1f %%", 100 * peak_share(o, peaks));
    if (peaks->copy_bytes_per_s > 0)
        table_set(table, column(to, COPY), "%.1f %%", 100 * copy_share(o, peaks));
    if (roofline.binds)
        table_set(table, column(to, LIMIT), "%.0f %% %s", 100 * roofline.share, roofline.binds);
    set_ratio(to, OVERHEAD, "", (double)f->visited / (double)f->pairs, 2);
    set_ratio(to, PER_VISITED, "", per_visited(o), 2);
    set_ratio(to, PER_SELECTED, "", per_selected(o), 2);
    set_ratio(to, SPEEDUP, about, o->dense.ms / f->ms, 2);
}

void outcome_table_print(const struct outcome_table *from, bool commands, bool markdown) {
    struct table shown = from->table;
    // The rows lie most_cols apart, so leaving out the last column is only a matter of how many are
    // printed.
    shown.cols = column(from, COMMAND) + commands;
    shown.last_beneath = commands;
    if (markdown) table_print_markdown(stdout, &shown);
    else table_print(stdout, &shown);
}

static void add_workload(cJSON *object, const struct workload *w) {
    json_add_text(object, "model", w->model);
    cJSON_AddStringToObject(object, "pattern", w->spec);
    cJSON_AddBoolToObject(object, "causal", w->causal);
    cJSON_AddBoolToObject(object, "sink_logits", w->sink_logits);
    cJSON_AddStringToObject(object, "phase", workload_phase(w));
    json_add_count(object, "batch", w->batch);
    json_add_count(object, "heads", w->heads);
    json_add_count(object, "kv_heads", w->kv_heads);
    json_add_count(object, "q_len", w->q_len);
    json_add_count(object, "kv_len", w->kv_len);
    json_add_count(object, "kv_least", w->kv_least ? w->kv_least : w->kv_len);
    json_add_count(object, "head_dim", w->head_dim);
    json_add_count(object, "v_head_dim", w->v_head_dim);
    cJSON_AddStringToObject(object, "dtype", dtype_name(w->dtype));
}

static void add_samples(cJSON *object, const struct outcome *o) {
    const struct figures *f = &o->figures;
    json_add_number(object, "ms_min", f->ms_min);
    json_add_number(object, "ms_max", f->ms_max);
    json_add_number(object, "ms_mad", f->ms_mad);
    json_add_number(object, "ms_low", f->ms_low);
    json_add_number(object, "ms_high", f->ms_high);
    json_add_count(object, "repeats", f->repeats);
    cJSON *samples = cJSON_AddArrayToObject(object, "samples_ms");
    for (uint32_t i = 0; o->samples && i < f->repeats; i++)
        cJSON_AddItemToArray(samples, json_number(o->samples[i]));
    cJSON_AddBoolToObject(object, "reckoned", o->reckoned);
}

static void add_limits(cJSON *object, const struct outcome *o, const struct peaks *peaks) {
    const struct roofline roofline = roofline_of(o, peaks);
    const double peak = peaks->multiply_add_gflops;
    json_add_number(object, "peak_share", peak_share(o, peaks));
    json_add_number(object, "peak_gflops", peak > 0 ? peak : NAN);
    json_add_count(object, "bytes", o->bytes);
    json_add_number(object, "bytes_per_s", rate(o));
    json_add_number(object, "copy_share", copy_share(o, peaks));
    json_add_number(object, "tokens_per_s", tokens_per_s(o));
    json_add_text(object, "limit", roofline.binds);
    json_add_number(object, "limit_ms", roofline.limit_ms);
    json_add_number(object, "limit_share", roofline.share);
}

cJSON *outcome_json(const struct outcome *o, const struct peaks *peaks, uint32_t device_index,
                    const tulle_device_info *info, const char *command) {
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "kind", "result");
    json_add_count(object, "device_index", device_index);
    json_add_text(object, "error", *o->error ? o->error : NULL);
    add_workload(object, &o->workload);
    json_add_text(object, "asked_kernel", o->workload.kernel);
    cJSON_AddStringToObject(object, "command", command);
    if (*o->error) {
        cJSON_AddStringToObject(object, "device", info->name);
        return object;
    }
    figures_add(object, &o->figures);
    add_samples(object, o);
    add_limits(object, o, peaks);
    json_add_number(object, "dense_ms", o->dense.ms);
    cJSON_AddBoolToObject(object, "dense_measured", o->dense.measured);
    json_add_number(object, "speedup", o->dense.ms / o->figures.ms);
    json_add_number(object, "per_visited_over_dense", per_visited(o));
    json_add_number(object, "per_selected_over_dense", per_selected(o));
    return object;
}

void planning_print(const struct planning cases[PLANNING_CASES], bool markdown) {
    static const char *const headings[] = { "planning",        "median ms",        "schedule ms",
                                            "items",           "host bytes",       "device bytes",
                                            "host bytes/tile", "device bytes/tile" };
    struct table table;
    table_start(&table, sizeof headings / sizeof headings[0], sizeof headings / sizeof headings[0],
                headings);
    for (size_t i = 0; i < PLANNING_CASES; i++) {
        const struct planning *p = &cases[i];
        table_row(&table);
        table_set(&table, 0, "%s (%s%s)", p->name, p->spec, p->causal ? ", causal" : "");
        table_set(&table, 1, "%.4f", p->create_ms);
        table_set(&table, 2, "%.4f", p->plan_ms);
        table_set(&table, 3, "%" PRIu64, p->items);
        table_set(&table, 4, "%" PRIu64, p->host_bytes);
        table_set(&table, 5, "%" PRIu64, p->device_bytes);
        table_set(&table, 6, "%.1f", p->host_per_tile);
        table_set(&table, 7, "%.1f", p->device_per_tile);
    }
    if (markdown) table_print_markdown(stdout, &table);
    else table_print(stdout, &table);
    table_free(&table);
}

cJSON *planning_json(const struct planning *p, uint32_t device_index, const char *device) {
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "kind", "planning");
    json_add_count(object, "device_index", device_index);
    cJSON_AddStringToObject(object, "device", device);
    cJSON_AddStringToObject(object, "name", p->name);
    cJSON_AddStringToObject(object, "pattern", p->spec);
    cJSON_AddBoolToObject(object, "causal", p->causal);
    json_add_count(object, "q_len", p->q_len);
    json_add_count(object, "kv_len", p->kv_len);
    json_add_count(object, "heads", p->heads);
    json_add_number(object, "create_ms", p->create_ms);
    json_add_number(object, "plan_ms", p->plan_ms);
    json_add_count(object, "items", p->items);
    json_add_count(object, "host_bytes", p->host_bytes);
    json_add_count(object, "device_bytes", p->device_bytes);
    json_add_number(object, "host_bytes_per_tile", p->host_per_tile);
    json_add_number(object, "device_bytes_per_tile", p->device_per_tile);
    json_add_count(object, "repeats", p->repeats);
    return object;
}
