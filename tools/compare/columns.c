// SPDX-License-Identifier: MIT
#include "compare/columns.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arrays/file.h"
#include "bench/run_json.h"

#define MOST_BYTES ((size_t)64 << 20)
#define MOST_TIMES 10000  // of a file: each is looked for among all of another
#define MOST_TEXT 400     // of what is printed

// -------------------------------------------------------------------------------------------------
// JSON, and what it must hold

// What a foreign file has is printed on a terminal: no control characters.
static void make_plain(char *text) {
    for (unsigned char *at = (unsigned char *)text; *at; at++) {
        if (*at < 0x20 || *at == 0x7f) *at = '?';
        if (at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0) at[0] = at[1] = '?';
    }
}

const char *bench_text(const cJSON *object, const char *name) {
    char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    if (!text || strlen(text) > MOST_TEXT) return NULL;
    make_plain(text);
    return text;
}

double bench_number(const cJSON *object, const char *name) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    const double value = cJSON_IsNumber(item) ? item->valuedouble : NAN;
    return isfinite(value) && value >= 0 ? value : NAN;
}

static bool read_text(const cJSON *object, const char *name, const char *where, const char **out,
                      struct message *message) {
    *out = bench_text(object, name);
    return *out ||
           refuse(message, "%s: %s is not a string of at most %d bytes", where, name, MOST_TEXT);
}

static bool read_count(const cJSON *object, const char *name, const char *where, double least,
                       uint64_t *out, struct message *message) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    const double value = cJSON_IsNumber(item) ? item->valuedouble : NAN;
    // Up to here doubles hold every whole number.
    if (!(value >= least && value <= 9007199254740992.0 && value == floor(value)))
        return refuse(message, "%s: %s is not a whole number of at least %.0f", where, name, least);
    *out = (uint64_t)value;
    return true;
}

static bool read_ms(const cJSON *object, const char *name, const char *where, bool may_be_null,
                    double *out, struct message *message) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    *out = bench_number(object, name);
    if ((may_be_null && cJSON_IsNull(item)) || !isnan(*out)) return true;
    return refuse(message, "%s: %s is not a time in milliseconds", where, name);
}

// -------------------------------------------------------------------------------------------------
// A result

// Older files have none.
static bool read_least(const cJSON *object, const char *where, struct shape *s, struct message *m) {
    s->kv_least = s->kv_len;
    return !cJSON_HasObjectItem(object, "kv_least") ||
           (read_count(object, "kv_least", where, 1, &s->kv_least, m) &&
            (s->kv_least <= s->kv_len || refuse(m, "%s: kv_least is above kv_len", where)));
}

static bool read_shape(const cJSON *object, const char *where, struct shape *s, struct message *m) {
    const cJSON *causal = cJSON_GetObjectItemCaseSensitive(object, "causal");
    if (!cJSON_IsBool(causal)) return refuse(m, "%s: causal is not true or false", where);
    s->causal = cJSON_IsTrue(causal);
    s->asked_kernel = bench_text(object, "asked_kernel");
    if (!s->asked_kernel) s->asked_kernel = "";
    s->model = bench_text(object, "model");
    if (!s->model) s->model = "";
    s->sink_logits = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, "sink_logits"));
    return read_text(object, "pattern", where, &s->pattern, m) &&
           read_text(object, "dtype", where, &s->dtype, m) &&
           read_count(object, "batch", where, 1, &s->batch, m) &&
           read_count(object, "heads", where, 1, &s->heads, m) &&
           read_count(object, "kv_heads", where, 1, &s->kv_heads, m) &&
           read_count(object, "q_len", where, 1, &s->q_len, m) &&
           read_count(object, "kv_len", where, 1, &s->kv_len, m) &&
           read_count(object, "head_dim", where, 1, &s->head_dim, m) &&
           read_count(object, "v_head_dim", where, 1, &s->v_head_dim, m) &&
           read_least(object, where, s, m);
}

static bool read_time(const cJSON *object, const char *where, struct time *t, struct message *m) {
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(object, "error");
    if (!read_shape(object, where, &t->shape, m) ||
        !read_text(object, "phase", where, &t->phase, m))
        return false;
    if (cJSON_IsString(error)) {
        t->missing = bench_text(object, "error");
        if (!t->missing) t->missing = "it failed";
        return true;
    }
    if (!read_ms(object, "ms", where, false, &t->ms, m) ||
        !read_ms(object, "ms_low", where, true, &t->low, m) ||
        !read_ms(object, "ms_high", where, true, &t->high, m) ||
        !read_count(object, "pairs", where, 0, &t->pairs, m))
        return false;
    if (t->ms <= 0 || t->low > t->ms || t->high < t->ms)
        return refuse(m, "%s: ms is 0, or not between ms_low and ms_high", where);
    if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, "reckoned")))
        t->missing = "reckoned from a shorter one, not measured";
    return true;
}

double shape_pairs(const struct shape *s) {
    const double keys = ((double)s->kv_least + (double)s->kv_len) / 2;  // of a cache, in the mean
    return (double)s->batch * (double)s->heads * (double)s->q_len * keys;
}

static bool same_shape(const struct shape *a, const struct shape *b) {
    return a->causal == b->causal && a->sink_logits == b->sink_logits && a->batch == b->batch &&
           a->heads == b->heads && a->kv_heads == b->kv_heads && a->q_len == b->q_len &&
           a->kv_len == b->kv_len && a->kv_least == b->kv_least && a->head_dim == b->head_dim &&
           a->v_head_dim == b->v_head_dim && !strcmp(a->dtype, b->dtype) &&
           !strcmp(a->pattern, b->pattern);
}

// NULL: none.
static const struct time *find_asked(const struct column *column, const struct shape *shape) {
    for (size_t i = 0; i < column->count; i++) {
        const struct shape *other = &column->times[i].shape;
        if (same_shape(other, shape) && !strcmp(other->asked_kernel, shape->asked_kernel) &&
            !strcmp(other->model, shape->model))
            return &column->times[i];
    }
    return NULL;
}

const struct time *column_find(const struct column *column, const struct shape *shape) {
    const struct time *asked = find_asked(column, shape), *only = NULL;
    if (asked) return asked;
    for (size_t i = 0; i < column->count; i++) {
        if (!same_shape(&column->times[i].shape, shape)) continue;
        if (only) return NULL;
        only = &column->times[i];
    }
    return only;
}

void columns_differ(const struct column *a, const struct column *b, struct message *why) {
    const struct shape *x = &a->times[0].shape;
    for (size_t i = 0; a->count && i < b->count; i++) {
        const struct shape *y = &b->times[i].shape;
        const struct {
            const char *name;
            uint64_t x, y;
        } fields[] = {
            { "heads", x->heads, y->heads },
            { "kv_heads", x->kv_heads, y->kv_heads },
            { "batch", x->batch, y->batch },
            { "head_dim", x->head_dim, y->head_dim },
            { "v_head_dim", x->v_head_dim, y->v_head_dim },
            { "q_len", x->q_len, y->q_len },
            { "kv_len", x->kv_len, y->kv_len },
            { "kv_least", x->kv_least, y->kv_least },
        };
        if (strcmp(x->pattern, y->pattern) || x->causal != y->causal) continue;
        if (strcmp(x->dtype, y->dtype)) {
            refuse(why, "%s is of %s there and of %s here", x->pattern, x->dtype, y->dtype);
            return;
        }
        for (size_t f = 0; f < sizeof fields / sizeof fields[0]; f++) {
            if (fields[f].x == fields[f].y) continue;
            refuse(why, "%s has %s %llu there and %llu here", x->pattern, fields[f].name,
                   (unsigned long long)fields[f].x, (unsigned long long)fields[f].y);
            return;
        }
    }
    refuse(why, "%s is not here", a->count ? x->pattern : "a workload");
}

// -------------------------------------------------------------------------------------------------
// A file

// Each object of a file: one document, or lines. NULL: it is not JSON.
static cJSON *parse(const char *path, const char *text, size_t size, struct message *message) {
    cJSON *list = cJSON_CreateArray();
    const char *at = text, *end = text;
    bool good = list != NULL;
    if (strlen(text) != size) {
        good = refuse(message, "'%s' holds a byte 0: it is not JSON", path);
    } else if (!good) {
        refuse(message, "out of memory for '%s'", path);
    }
    while (good && *(at += strspn(at, " \t\r\n"))) {
        cJSON *object = cJSON_ParseWithOpts(at, &end, 0);
        if (object) {
            cJSON_AddItemToArray(list, object);
            at = end;
            continue;
        }
        size_t line = 1;
        for (const char *c = text; c < end; c++) line += *c == '\n';
        good = refuse(message, "'%s', line %zu: it is not JSON, or it ends early", path, line);
    }
    if (good && !list->child) good = refuse(message, "'%s' is empty", path);
    if (good) return list;
    cJSON_Delete(list);
    return NULL;
}

static bool check_run(const char *path, const cJSON *run, struct message *message) {
    const char *format = bench_text(run, "format");
    const cJSON *version = cJSON_GetObjectItemCaseSensitive(run, "format_version");
    if (!format || strcmp(format, BENCH_FORMAT))
        return refuse(message,
                      "'%s' is not of 'tulle bench --json' or '--jsonl': its format is not \"%s\"",
                      path, BENCH_FORMAT);
    if (!cJSON_IsNumber(version) || version->valuedouble != BENCH_FORMAT_VERSION)
        return refuse(message, "'%s' has another format_version than %d, which this program reads",
                      path, BENCH_FORMAT_VERSION);
    return true;
}

static bool add_device(struct columns *columns, const char *path, const cJSON *run,
                       const cJSON *device, size_t first, struct message *message) {
    char where[MOST_TEXT];
    uint64_t index = 0;
    snprintf(where, sizeof where, "'%.300s', a device", path);
    if (columns->count == MOST_COLUMNS)
        return refuse(message, "'%s': there are more than %d devices in all", path, MOST_COLUMNS);
    struct column *c = &columns->list[columns->count];
    *c = (struct column){ .path = path, .json = device, .run = run };
    if (!read_count(device, "device_index", where, 0, &index, message) ||
        !read_text(device, "device", where, &c->device, message))
        return false;
    for (size_t i = first; i < columns->count; i++)
        if (columns->list[i].device_index == (int64_t)index)
            return refuse(message, "'%s': two devices have device_index %llu", path,
                          (unsigned long long)index);
    c->device_index = (int64_t)index;
    c->driver = bench_text(device, "driver");
    c->driver_info = bench_text(device, "driver_info");
    c->implementation = bench_text(device, "implementation");
    c->clock = bench_text(cJSON_GetObjectItemCaseSensitive(device, "clock"), "source");
    c->program = bench_text(run, "program");
    c->version = bench_text(run, "version");
    c->commit = bench_text(run, "commit");
    c->date = bench_text(run, "date");
    columns->count++;
    return true;
}

static bool add_result(struct columns *columns, const char *path, const cJSON *result,
                       size_t number, size_t first, struct message *message) {
    char where[MOST_TEXT];
    uint64_t index = 0;
    size_t i = first;
    struct time time = { .low = NAN, .high = NAN, .json = result };
    snprintf(where, sizeof where, "'%.300s', result %zu", path, number);
    if (number > MOST_TIMES)
        return refuse(message, "'%s' has more than %d results", path, MOST_TIMES);
    if (!read_count(result, "device_index", where, 0, &index, message)) return false;
    while (i < columns->count && columns->list[i].device_index != (int64_t)index) i++;
    if (i == columns->count)
        return refuse(message, "%s: no device has its device_index %llu", where,
                      (unsigned long long)index);
    struct column *c = &columns->list[i];
    if (!read_time(result, where, &time, message)) return false;
    if (find_asked(c, &time.shape))
        return refuse(message, "%s: the workload %s is there twice; which counts?", where,
                      time.shape.pattern);
    struct time *times = realloc(c->times, (c->count + 1) * sizeof *times);
    if (!times) return refuse(message, "out of memory for '%s'", path);
    c->times = times;
    c->times[c->count++] = time;
    return true;
}

// Does the file say what `tulle bench --crossover` found?
static bool has_crossovers(const cJSON *run, bool lines) {
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(run, "crossovers");
    if (!lines) return cJSON_GetArraySize(list) > 0;
    for (const cJSON *line = run->next; line; line = line->next) {
        const char *kind = bench_text(line, "kind");
        if (kind && !strcmp(kind, "crossover")) return true;
    }
    return false;
}

static bool add_all(struct columns *columns, const char *path, const cJSON *file,
                    struct message *message) {
    const size_t first = columns->count;
    const cJSON *run = file->child, *devices = cJSON_GetObjectItemCaseSensitive(run, "devices"),
                *results = cJSON_GetObjectItemCaseSensitive(run, "results"), *item;
    size_t number = 0;
    if (!check_run(path, run, message)) return false;
    if (run->next && results)
        return refuse(message, "'%s' holds something after the bench's object", path);
    const bool lines = !results;
    const cJSON *of_devices = lines ? file : devices, *of_results = lines ? file : results;
    if (!lines && (!cJSON_IsArray(devices) || !cJSON_IsArray(results)))
        return refuse(message, "'%s': devices and results are not lists", path);
    cJSON_ArrayForEach(item, of_devices) {
        const char *kind = bench_text(item, "kind");
        if (lines && (!kind || strcmp(kind, "device"))) continue;
        if (!add_device(columns, path, run, item, first, message)) return false;
    }
    cJSON_ArrayForEach(item, of_results) {
        const char *kind = bench_text(item, "kind");
        if (lines && (!kind || strcmp(kind, "result"))) continue;
        if (!add_result(columns, path, item, ++number, first, message)) return false;
    }
    return number > 0 || (columns->crossovers_do && has_crossovers(run, lines)) ||
           refuse(message, "'%s' has no results", path);
}

bool columns_read(struct columns *columns, const char *path, struct message *message) {
    size_t size;
    if (columns->file_count == MOST_COLUMNS)
        return refuse(message, "there are more than %d files", MOST_COLUMNS);
    char *text = input_text(path, MOST_BYTES, &size, message);
    if (!text) return false;
    cJSON *file = parse(path, text, size, message);
    free(text);
    if (!file) return false;
    columns->files[columns->file_count++] = file;
    return add_all(columns, path, file, message);
}

void columns_free(struct columns *columns) {
    for (size_t i = 0; i < columns->count; i++) free(columns->list[i].times);
    for (size_t i = 0; i < columns->file_count; i++) cJSON_Delete(columns->files[i]);
    *columns = (struct columns){ 0 };
}
