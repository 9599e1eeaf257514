// SPDX-License-Identifier: MIT
#include "bench/workload.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arrays/array.h"
#include "arrays/spec_files.h"
#include "bench/ragged.h"
#include "bench/roofline.h"
#include "common/cli.h"

// A dense attention that takes longer is not measured but reckoned from a shorter one; but for a
// step of decoding that was asked for.
#define MOST_DENSE_MS 2000.0

// -------------------------------------------------------------------------------------------------
// The seeds

static void add(struct workload *list, size_t most, size_t *count, const char *spec, bool causal,
                uint32_t heads, uint32_t n, uint32_t d, tulle_dtype dtype) {
    if (*count == most) return;
    struct workload *w = &list[(*count)++];
    *w = (struct workload){ .causal = causal,
                            .batch = 1,
                            .heads = heads,
                            .kv_heads = heads,
                            .q_len = n,
                            .kv_len = n,
                            .head_dim = d,
                            .v_head_dim = d,
                            .dtype = dtype };
    snprintf(w->spec, sizeof w->spec, "%s", spec);
}

size_t workload_seeds(struct workload *list, size_t most, bool quick, uint32_t heads) {
    static const struct {
        const char *spec;
        bool causal;
    } shapes[] = {
        { "dense", false },       { "dense", true },
        { "window:255,0", true }, { "window:255,0+global:64", true },
        { "strided:128", true },  { "window:127,0+strided:128", true },
    };
    static const uint32_t lengths[] = { 1024, 4096, 16384 };
    size_t count = 0;
    for (uint32_t d = 64; d <= (quick ? 64 : 128); d *= 2) {
        for (size_t l = 0; l < (quick ? 2 : 3); l++) {
            const uint32_t n = lengths[l], blocks = n / 64;
            char spec[80];
            for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
                add(list, most, &count, shapes[i].spec, shapes[i].causal, heads, n, d, TULLE_F32);
            snprintf(spec, sizeof spec, "blocks:64,@%ux%up12", blocks, blocks);
            add(list, most, &count, spec, true, heads, n, d, TULLE_F32);
            // BigBird
            add(list, most, &count, "window:191,0+global:64+random:64,3,1", true, heads, n, d,
                TULLE_F32);
        }
    }
    if (quick) return count;
    // A window costs the same per pair at any length; the first is the yardstick of the second.
    add(list, most, &count, "window:255,0", true, heads, 65536, 64, TULLE_F32);
    add(list, most, &count, "dense", true, heads, 4096, 64, TULLE_F16);
    add(list, most, &count, "window:255,0", true, heads, 4096, 64, TULLE_F16);
    add(list, most, &count, "window:255,0", true, heads, 16384, 128, TULLE_F16);
    return count;
}

const char *workload_phase(const struct workload *w) {
    if (w->q_len == 1) return PHASE_DECODE;
    if (w->q_len == w->kv_len) return PHASE_PREFILL;
    return w->q_len <= MOST_DECODE_ROWS && w->q_len < w->kv_len ? PHASE_DECODE : "chunk";
}

// Appends to text, as far as it fits.
static void append(char *text, size_t size, const char *more) {
    const size_t used = strlen(text);
    snprintf(text + used, size - used, "%s", more);
}

// As one word of a POSIX shell: single quotes end where one is meant, as in 'it'\''s'.
static void append_quoted(char *text, size_t size, const char *word) {
    append(text, size, "'");
    for (; *word; word++) append(text, size, *word == '\'' ? "'\\''" : (const char[]){ *word, 0 });
    append(text, size, "'");
}

void workload_command(const struct workload *w, const char *device, char *text, size_t size) {
    char shape[200];
    const bool decode = !strcmp(workload_phase(w), PHASE_DECODE);
    snprintf(text, size, "tulle bench --pattern ");
    append_quoted(text, size, w->spec);
    snprintf(shape, sizeof shape,
             "%s%s %u --kv-len %u --batch %u --heads %u --kv-heads %u --head-dim %u",
             w->causal ? " --causal" : "", decode ? " --phase decode --q-rows" : " --q-len",
             w->q_len, w->kv_len, w->batch, w->heads, w->kv_heads, w->head_dim);
    append(text, size, shape);
    if (w->kv_least) {
        snprintf(shape, sizeof shape, " --kv-least %u", w->kv_least);
        append(text, size, shape);
    }
    if (w->v_head_dim != w->head_dim) {
        snprintf(shape, sizeof shape, " --v-head-dim %u", w->v_head_dim);
        append(text, size, shape);
    }
    if (w->sink_logits) append(text, size, " --sink-logits");
    append(text, size, " --dtype ");
    append(text, size, dtype_name(w->dtype));
    if (w->kernel) {
        append(text, size, " --kernel ");
        append_quoted(text, size, w->kernel);
    }
    if (device) {
        append(text, size, " --device ");
        append_quoted(text, size, device);
    }
}

// -------------------------------------------------------------------------------------------------
// Running one

// Made-up values of mean 0 and variance 1, the same each time.
static void *make_values(size_t count, tulle_dtype dtype, uint32_t seed) {
    void *values = malloc(count * tulle_dtype_size(dtype));
    uint32_t state = seed * 2654435769u + 1;
    for (size_t i = 0; values && i < count; i++) {
        state = state * 1664525u + 1013904223u;
        const float value = ((float)(state >> 8) * 0x1p-23f - 1) * 1.7320508f;
        if (dtype == TULLE_F32) ((float *)values)[i] = value;
        else
            ((uint16_t *)values)[i] =
                dtype == TULLE_F16 ? float_to_half(value) : float_to_bf16(value);
    }
    return values;
}

static tulle_result out_of_memory(tulle_error *error, const char *what, const char *spec) {
    snprintf(error->message, sizeof error->message, "out of memory for %s of %s", what, spec);
    return error->result = TULLE_ERROR_OUT_OF_HOST_MEMORY;
}

// *samples: the times of all repeats, the caller's to free.
static tulle_result run_plan(struct bench *bench, tulle_plan *plan,
                             const tulle_attention_desc *desc, const tulle_host_arrays *arrays,
                             struct figures *out, double **samples, tulle_error *error) {
    double first;
    // A first time says how many repeats there is time for, and holds what compiling took.
    tulle_result result = measure(bench->context, plan, desc, arrays,
                                  &(tulle_timing){ .repeat = 1, .repeat_ms = &first }, out, error);
    if (result) return result;
    const double compile_ms = out->compile_ms, each = out->ms > 1e-3 ? out->ms : 1e-3;
    const double fitting = floor(bench->seconds * 1000 / each);
    const uint32_t repeat = bench->repeat  ? bench->repeat
                            : fitting > 25 ? 25
                            : fitting < 3  ? 3  // of one or two no interval says anything
                                           : (uint32_t)fitting;
    *samples = malloc(repeat * sizeof **samples);
    if (!*samples) return out_of_memory(error, "the times", "all repeats");
    **samples = first;
    if (repeat > 1)
        result = measure(bench->context, plan, desc, arrays,
                         &(tulle_timing){ .repeat = repeat, .repeat_ms = *samples }, out, error);
    if (!result) out->compile_ms = compile_ms;
    return result;
}

static tulle_attention_desc sizes_of(const struct workload *w) {
    return (tulle_attention_desc){ .batch = w->batch,
                                   .heads = w->heads,
                                   .kv_heads = w->kv_heads,
                                   .q_len = w->q_len,
                                   .kv_len = w->kv_len,
                                   .head_dim = w->head_dim,
                                   .v_head_dim = w->v_head_dim,
                                   .dtype = w->dtype,
                                   .buffer_usage = TULLE_USAGE_HOST,
                                   .causal = w->causal,
                                   .kernel = w->kernel };
}

// *plan is the caller's to destroy, whatever the result.
static tulle_result make_plan(struct bench *bench, const struct workload *w, tulle_plan **plan,
                              uint64_t *bytes, tulle_error *error) {
    tulle_attention_desc desc = sizes_of(w);
    tulle_pattern **patterns = NULL;
    float *sink_logits = w->sink_logits ? make_values(w->heads, TULLE_F32, 4) : NULL;
    int32_t *lengths = w->kv_least ? ragged_lengths(w) : NULL;
    tulle_result result =
        tulle_pattern_parse(w->spec, &spec_files, &patterns, &desc.pattern_count, error);
    if (!result && ((w->sink_logits && !sink_logits) || (w->kv_least && !lengths)))
        result = out_of_memory(error, "sink logits and lengths", w->spec);
    desc.patterns = (const tulle_pattern *const *)patterns;
    desc.sink_logits = sink_logits;
    desc.kv_lengths = lengths;
    if (!result) result = tulle_plan_create(bench->context, &desc, plan, error);
    if (!result) result = roofline_bytes(bench->context, &desc, bytes, error);
    tulle_patterns_free(patterns, desc.pattern_count);
    free(sink_logits);
    free(lengths);
    return result;
}

// All that there are, selected or not.
static double all_pairs(const struct workload *w) {
    return (double)w->heads * w->q_len * (double)ragged_keys(w);
}

tulle_result workload_time(struct bench *bench, const struct workload *w, struct figures *out,
                           double **samples, uint64_t *bytes, tulle_error *error) {
    const tulle_attention_desc desc = sizes_of(w);
    tulle_plan *plan = NULL;
    *samples = NULL;
    // Planning first: it refuses what cannot be before memory is asked for.
    tulle_result result = make_plan(bench, w, &plan, bytes, error);
    if (result) {
        tulle_plan_destroy(plan);
        return result;
    }
    const size_t queries = (size_t)w->batch * w->heads * w->q_len,
                 keys = (size_t)w->batch * w->kv_heads * w->kv_len;
    void *q = make_values(queries * w->head_dim, w->dtype, 1),
         *k = make_values(keys * w->head_dim, w->dtype, 2);
    void *v = make_values(keys * w->v_head_dim, w->dtype, 3),
         *o = malloc(queries * w->v_head_dim * tulle_dtype_size(w->dtype));
    if (q && k && v && o) {
        const tulle_host_arrays arrays = { .q = q, .k = k, .v = v, .o = o };
        result = run_plan(bench, plan, &desc, &arrays, out, samples, error);
        // measure() takes every cache for as long as the longest
        if (!result) out->share = (double)out->pairs / all_pairs(w);
    } else {
        result = out_of_memory(error, "Q, K, V and O", w->spec);
    }
    free(q);
    free(k);
    free(v);
    free(o);
    tulle_plan_destroy(plan);
    return result;
}

// -------------------------------------------------------------------------------------------------
// The dense yardstick

static bool same_but_lengths(const struct workload *a, const struct workload *b) {
    const bool kernel =
        a->kernel == b->kernel || (a->kernel && b->kernel && !strcmp(a->kernel, b->kernel));
    return kernel && a->causal == b->causal && a->sink_logits == b->sink_logits &&
           a->batch == b->batch && a->heads == b->heads && a->kv_heads == b->kv_heads &&
           a->head_dim == b->head_dim && a->v_head_dim == b->v_head_dim && a->dtype == b->dtype;
}

static bool same_lengths(const struct workload *a, const struct workload *b) {
    return a->q_len == b->q_len && a->kv_len == b->kv_len && a->kv_least == b->kv_least;
}

// Pairs that dense attention selects, over batch and heads, with the last query at the last key.
static double dense_pairs(const struct workload *w) {
    const uint32_t entries = w->kv_least ? w->batch : 1;
    double pairs = 0;
    if (!w->causal) return all_pairs(w);
    for (uint32_t entry = 0; entry < entries; entry++) {
        // Row i takes keys − q_len + i + 1 of them, where that is positive.
        const double keys = ragged_length(w, entry), rows = fmin(w->q_len, keys);
        pairs += rows * (2 * keys - rows + 1) / 2;
    }
    return pairs * w->heads * w->batch / entries;
}

// What has been measured: the very lengths, or else the longest. NULL: nothing.
static const struct dense *find_dense(const struct bench *bench, const struct workload *w) {
    const struct dense *best = NULL;
    for (size_t i = 0; i < bench->known_count; i++) {
        const struct dense *d = &bench->known[i];
        if (!same_but_lengths(&d->workload, w)) continue;
        if (same_lengths(&d->workload, w)) return d;
        if (!best || dense_pairs(&d->workload) > dense_pairs(&best->workload)) best = d;
    }
    return best;
}

static tulle_result measure_dense(struct bench *bench, const struct workload *w,
                                  tulle_error *error) {
    struct dense dense = { .workload = *w, .measured = true };
    const tulle_result result =
        workload_time(bench, w, &dense.figures, &dense.samples, &dense.bytes, error);
    if (result) {
        free(dense.samples);
        return result;
    }
    dense.ms = dense.figures.ms;
    if (bench->known_count == bench->known_room) {
        const size_t room = bench->known_room ? 2 * bench->known_room : 16;
        struct dense *known = realloc(bench->known, room * sizeof *known);
        if (!known) {
            free(dense.samples);
            return out_of_memory(error, "the dense yardstick", w->spec);
        }
        bench->known = known;
        bench->known_room = room;
    }
    bench->known[bench->known_count++] = dense;
    return TULLE_OK;
}

static double reckon(const struct dense *from, const struct workload *w) {
    return from->ms / dense_pairs(&from->workload) * dense_pairs(w);
}

static void halve_keys(struct workload *w) {
    w->kv_len = (w->kv_len + 1) / 2;
    w->kv_least = (w->kv_least + 1) / 2;
}

// The dense attention of a workload's shapes: measured where it takes less than two seconds, else
// reckoned from the longest of a half, a quarter … of the lengths that does.
static tulle_result dense_of(struct bench *bench, const struct workload *workload,
                             struct dense *out, tulle_error *error) {
    struct workload w = *workload;
    snprintf(w.spec, sizeof w.spec, "dense");
    const struct dense *known = find_dense(bench, &w);
    if (!known) {
        struct workload first = w;
        // Short enough for any device, long enough to say something of the time per pair.
        while ((double)first.q_len * first.kv_len * first.batch * first.heads > 4e6 &&
               (first.q_len > 32 || first.kv_len > 32)) {
            if (first.q_len > 32) first.q_len = (first.q_len + 1) / 2;
            if (first.kv_len > 32) halve_keys(&first);
        }
        const tulle_result result = measure_dense(bench, &first, error);
        if (result) return result;
        known = find_dense(bench, &w);
    }
    // Each measurement says better how long the next may be, until the lengths themselves or all
    // that is short enough.
    while (!same_lengths(&known->workload, &w)) {
        struct workload longest = w;
        while (reckon(known, &longest) >= MOST_DENSE_MS &&
               (longest.q_len > 1 || longest.kv_len > 1)) {
            longest.q_len = (longest.q_len + 1) / 2;
            halve_keys(&longest);
        }
        // What is shorter than that says less, but for the workload itself.
        const bool itself = same_lengths(&longest, &w);
        if (!itself && dense_pairs(&longest) <= dense_pairs(&known->workload)) break;
        const tulle_result result = measure_dense(bench, &longest, error);
        if (result) return result;
        known = find_dense(bench, &w);
    }
    *out = *known;
    out->measured = same_lengths(&known->workload, &w);
    if (!out->measured) out->ms = reckon(known, &w);
    return TULLE_OK;
}

// A dense workload is its own yardstick, and is not run twice.
static tulle_result take_dense(struct outcome *out, tulle_error *error) {
    const struct workload *w = &out->workload;
    const struct dense *dense = &out->dense;
    out->figures = dense->figures;
    out->reckoned = !dense->measured;
    if (!out->reckoned) {
        out->bytes = dense->bytes;
        out->samples = malloc(dense->figures.repeats * sizeof *out->samples);
        if (!out->samples) return out_of_memory(error, "the times", w->spec);
        memcpy(out->samples, dense->samples, dense->figures.repeats * sizeof *out->samples);
        return TULLE_OK;
    }
    const double scale = dense->ms / out->figures.ms;
    out->figures.ms = dense->ms;
    out->figures.ms_min *= scale;
    out->figures.ms_max *= scale;
    out->figures.ms_mad = out->figures.ms_low = out->figures.ms_high = NAN;
    out->figures.repeats = 0;
    out->figures.pairs = (uint64_t)dense_pairs(w);
    out->figures.visited = (uint64_t)((double)out->figures.visited * scale);
    out->figures.share = dense_pairs(w) / all_pairs(w);
    out->bytes = roofline_all_bytes(w);
    return TULLE_OK;
}

tulle_result workload_run(struct bench *bench, const struct workload *workload, struct outcome *out,
                          tulle_error *error) {
    const bool dense = !strcmp(workload->spec, "dense");
    tulle_result result = TULLE_OK;
    *out = (struct outcome){ .workload = *workload };
    if (dense && !strcmp(workload_phase(workload), PHASE_DECODE)) {
        const struct dense *known = find_dense(bench, workload);
        if (!known || !same_lengths(&known->workload, workload))
            result = measure_dense(bench, workload, error);
    }
    if (!result) result = dense_of(bench, workload, &out->dense, error);
    if (!result && !dense)
        result = workload_time(bench, workload, &out->figures, &out->samples, &out->bytes, error);
    else if (!result) result = take_dense(out, error);
    if (result) snprintf(out->error, sizeof out->error, "%s", error->message);
    return result;
}

void outcome_free(struct outcome *outcome) {
    free(outcome->samples);
    outcome->samples = NULL;
}

void bench_free(struct bench *bench) {
    for (size_t i = 0; i < bench->known_count; i++) free(bench->known[i].samples);
    free(bench->known);
    bench->known = NULL;
    bench->known_count = bench->known_room = 0;
}
