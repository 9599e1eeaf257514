// SPDX-License-Identifier: MIT
//
// tulle bench: devices × workloads → times, beside the device's own peak and Tulle's own dense
// attention.
#include <stdlib.h>
#include <string.h>

#include "arrays/spec_files.h"
#include "bench/crossover.h"
#include "bench/crossover_report.h"
#include "bench/decode.h"
#include "bench/models.h"
#include "bench/outcome.h"
#include "bench/peak.h"
#include "bench/report.h"
#include "bench/request.h"
#include "bench/run_json.h"
#include "cache/cache_file.h"
#include "common/cli.h"
#include "common/progress.h"

// Seeds, models (a prefill and a decode step at each length), or one of your own for each kernel.
#define MOST_WORKLOADS 320

// One device of those asked for.
struct bench_run {
    const struct request *request;
    struct report *report;
    uint32_t index;  // among those asked for
    tulle_device_info info;
    struct peaks peaks;
    struct bench bench;
};

// The heads, sizes and dtype that were asked for; heads: as many where no number was.
static struct workload asked_shape(const struct request *r, uint32_t heads) {
    struct workload w = {
        .batch = 1,
        .heads = (uint32_t)(r->heads      ? r->heads
                            : r->kv_heads ? r->kv_heads
                                          : heads),
        .head_dim = (uint32_t)r->head_dim,
        .v_head_dim = (uint32_t)(r->v_head_dim ? r->v_head_dim : r->head_dim),
        .dtype = r->dtype,
        .kernel = r->kernels[0],
    };
    w.kv_heads = r->kv_heads ? (uint32_t)r->kv_heads : w.heads;
    if (request_decodes(r)) w.q_len = (uint32_t)r->q_rows;
    return w;
}

static struct workload own_workload(const struct request *r) {
    struct workload w = asked_shape(r, 1);
    w.causal = r->causal;
    w.sink_logits = r->sink_logits;
    w.batch = (uint32_t)r->batch;
    if (!w.q_len) w.q_len = (uint32_t)(r->q_len ? r->q_len : r->kv_len);
    w.kv_len = (uint32_t)(r->kv_len ? r->kv_len : r->q_len);
    w.kv_least = (uint32_t)r->kv_least;
    snprintf(w.spec, sizeof w.spec, "%s", r->spec);
    return w;
}

// A spec that cannot be read, or that has more patterns than there are heads, is refused before its
// dense yardstick is timed.
static int check_workload(const struct workload *w) {
    tulle_pattern **patterns = NULL;
    uint32_t count = 0;
    tulle_error error;
    struct message m;
    if (tulle_pattern_parse(w->spec, &spec_files, &patterns, &count, &error))
        return fail_tulle("bench", &error);
    tulle_patterns_free(patterns, count);
    return check_specs("--pattern", count, w->heads, &m)
               ? STATUS_OK
               : fail("bench", STATUS_BAD_INPUT, "%s", m.text);
}

static void verify_peak(double peak) {
    fprintf(stderr, "peak: %.1f GFLOP/s by a shader; native on all cores", peak);
    for (int bits = 128; bits <= 512; bits *= 2) {
        const double apart = native_peak(bits, false), fused = native_peak(bits, true);
        if (apart > 0) fprintf(stderr, "; %d bits: %.1f (multiply, add)", bits, apart);
        if (fused > 0) fprintf(stderr, " %.1f (fused)", fused);
    }
    fputc('\n', stderr);
}

static bool printed_as_tables(const struct request *r) {
    return r->format == REPORT_TEXT || r->format == REPORT_MARKDOWN;
}

// A row as soon as it is there. Takes the outcome.
static int report_outcome(struct bench_run *run, struct outcome *outcome,
                          struct outcome_table *table) {
    char command[WORKLOAD_COMMAND];
    workload_command(&outcome->workload, run->info.name, command, sizeof command);
    outcome_table_add(table, outcome, &run->peaks, command);
    const int status = report_result(
        run->report, outcome_json(outcome, &run->peaks, run->index, &run->info, command));
    outcome_free(outcome);
    return status;
}

// One after the other. Bad input ends it, with no row; what a device cannot do has a row that says
// why, and the others go on, unless the device is lost: then theirs say that.
static int run_workloads(struct bench_run *run, const struct workload *list, size_t count,
                         struct outcome_table *table) {
    const struct request *r = run->request;
    char lost[sizeof((tulle_error *)0)->message + 40] = "";
    int worst = STATUS_OK;
    size_t rows = 0;
    for (size_t i = 0; i < count; i++) {
        struct outcome outcome = { .workload = list[i] };
        tulle_error error = { 0 };
        if (*lost) {
            snprintf(outcome.error, sizeof outcome.error, "%s", lost);
        } else {
            progress_start("bench");
            progress_step(list[i].model ? list[i].model : list[i].spec, (double)i / (double)count,
                          (double)(i + 1) / (double)count, 2 * run->bench.seconds);
            const struct workload workload = outcome.workload;
            workload_run(&run->bench, &workload, &outcome, &error);
            progress_stop();
        }
        if (error.result) {
            const int failed = fail_tulle("bench", &error);
            // of several kernels those that do not serve are left out
            const bool passed_over = error.result == TULLE_ERROR_UNSUPPORTED &&
                                     r->kernel_count > 1 && (rows || i + 1 < count);
            if (failed == STATUS_BAD_INPUT || passed_over) outcome_free(&outcome);
            if (failed == STATUS_BAD_INPUT) return failed;
            if (passed_over) continue;
            worst = failed;
        }
        rows++;
        if (error.result == TULLE_ERROR_DEVICE_LOST)
            snprintf(lost, sizeof lost, "not run: before it, %s", error.message);
        const int status = report_outcome(run, &outcome, table);
        if (status) return status;
    }
    return worst;
}

static void print_tables(const struct bench_run *run, const struct workload *first,
                         const struct outcome_table *table) {
    const struct request *r = run->request;
    const tulle_device_info *info = &run->info;
    printf("%s (%s %s), peak %.1f GFLOP/s, copying %.1f GB/s\n", info->name, info->driver,
           info->driver_info, run->peaks.multiply_add_gflops, 1e-9 * run->peaks.copy_bytes_per_s);
    if (!first) return;
    // Own workloads differ by kernel alone, and the seeds all have the same; models say their own,
    // and batches have a column where they differ.
    if (!first->model && !table->decode) printf("batch %u, ", first->batch);
    if (!first->model) printf("heads %u, kv heads %u\n", first->heads, first->kv_heads);
    if (r->format == REPORT_MARKDOWN) putchar('\n');
    outcome_table_print(table, r->command, r->format == REPORT_MARKDOWN);
}

static int run_planning(struct bench_run *run) {
    const struct request *r = run->request;
    struct planning cases[PLANNING_CASES];
    tulle_error error;
    int status = STATUS_OK;
    progress_start("planning");
    const tulle_result result = planning_run(run->bench.context, r->kernels[0], cases, &error);
    progress_stop();
    if (result) return fail_tulle("bench", &error);
    if (printed_as_tables(r)) {
        putchar('\n');
        planning_print(cases, r->format == REPORT_MARKDOWN);
    }
    for (size_t i = 0; i < PLANNING_CASES && !status; i++)
        status = report_planning(run->report, planning_json(&cases[i], run->index, run->info.name));
    return status;
}

// Without its peaks the bench still says all the rest.
static void measure_peaks(struct bench_run *run) {
    struct message m;
    progress_start("the device's peaks");
    const bool measured = peaks_measure(run->info.index, run->info.name, &run->peaks, &m);
    progress_stop();
    if (!measured) fail("bench", STATUS_FAILED, "%s", m.text);
    report_device(run->report, bench_device_json(run->index, &run->info, &run->peaks));
}

// One head keeps a CPU busy; a GPU wants more of them.
static uint32_t usual_heads(const struct bench_run *run) {
    return run->info.type == VK_PHYSICAL_DEVICE_TYPE_CPU ? 1 : 8;
}

// The workloads that are asked for; returns how many.
static size_t list_workloads(const struct bench_run *run, struct workload *list) {
    const struct request *r = run->request;
    const struct workload shape = asked_shape(r, usual_heads(run));
    size_t count = 0, listed = 0;
    if (r->task == TASK_SEEDS)
        listed = workload_seeds(list, MOST_WORKLOADS, r->quick, usual_heads(run));
    else if (r->task == TASK_DECODE)
        listed = workload_decode(list, MOST_WORKLOADS, r->quick, &shape);
    else if (r->task == TASK_MODELS)
        listed = workload_models(list, MOST_WORKLOADS, r->model, r->lengths, r->length_count,
                                 (uint32_t)r->q_rows, r->dtype);
    for (size_t i = 0; i < listed; i++) {
        if (r->phase && strcmp(workload_phase(&list[i]), r->phase)) continue;
        list[count] = list[i];
        list[count++].kernel = r->kernels[0];
    }
    for (size_t k = 0; r->task == TASK_OWN && k < (r->kernel_count ? r->kernel_count : 1); k++) {
        list[count] = own_workload(r);
        list[count++].kernel = r->kernels[k];
    }
    return count;
}

static int bench_workloads(struct bench_run *run) {
    const struct request *r = run->request;
    struct workload list[MOST_WORKLOADS];
    struct outcome_table table;
    const size_t count = list_workloads(run, list);
    if (r->model && !count)
        return fail("bench", STATUS_BAD_INPUT,
                    "--model is '%s', and none of that name has a --phase %s", r->model, r->phase);
    outcome_table_start(&table, request_decodes(r));
    int status = run_workloads(run, list, count, &table);
    if (printed_as_tables(r) && (!count || table.table.rows > 1))
        print_tables(run, count ? list : NULL, &table);
    table_free(&table.table);
    if (r->verify) verify_peak(run->peaks.multiply_add_gflops);
    if (!status && (r->task == TASK_SEEDS || r->task == TASK_PLANNING)) status = run_planning(run);
    return status;
}

// One search after the other, each with an equal share of the time that is left.
static int bench_crossovers(struct bench_run *run) {
    const struct request *r = run->request;
    struct workload shape = asked_shape(r, usual_heads(run));
    const double end = now_seconds() + (double)r->seconds;
    struct table table;
    int status = STATUS_OK;
    shape.causal = true;
    // A search takes some ten points; a point at least six runs of each, however long they are.
    run->bench.seconds = (double)r->seconds / CROSSOVER_SEARCHES / 20;
    crossover_table_start(&table);
    for (size_t i = 0; i < CROSSOVER_SEARCHES && !status; i++) {
        struct crossover crossover;
        tulle_error error = { 0 };
        const double share = (end - now_seconds()) / (double)(CROSSOVER_SEARCHES - i);
        progress_start("crossovers");
        progress_step(crossover_name(i), (double)i / CROSSOVER_SEARCHES,
                      (double)(i + 1) / CROSSOVER_SEARCHES, share);
        const tulle_result result = crossover_search(&run->bench, &shape, i, r->lengths[0],
                                                     now_seconds() + share, &crossover, &error);
        progress_stop();
        if (result) {
            status = fail_tulle("bench", &error);
            break;
        }
        crossover_table_add(&table, &crossover);
        status = report_crossover(run->report,
                                  crossover_json(&crossover, &shape, run->index, run->info.name));
    }
    if (printed_as_tables(r) && table.rows > 1) {
        printf("%s (%s %s), causal, %s, head dim %u, heads %u, kv heads %u\n\n", run->info.name,
               run->info.driver, run->info.driver_info, dtype_name(shape.dtype), shape.head_dim,
               shape.heads, shape.kv_heads);
        if (r->format == REPORT_MARKDOWN) table_print_markdown(stdout, &table);
        else table_print(stdout, &table);
    }
    table_free(&table);
    return status;
}

static int bench_device(const struct request *r, uint32_t index, struct report *report) {
    struct bench_run run = { .request = r,
                             .report = report,
                             .index = index,
                             .bench = { .repeat = (uint32_t)r->repeat,
                                        .seconds = r->quick ? 0.3 : 1 } };
    struct cache_file cache = r->cache;
    tulle_error error;
    if (open_device(r->devices[index], cache_file_use(&cache), &run.bench.context, &error))
        return fail_tulle("bench", &error);
    tulle_context_info(run.bench.context, &run.info);
    measure_peaks(&run);
    const int status = r->task == TASK_CROSSOVER ? bench_crossovers(&run) : bench_workloads(&run);
    if (printed_as_tables(r) && !status) putchar('\n');
    bench_free(&run.bench);
    if (!status) cache_file_save(&cache, run.bench.context, "bench");
    tulle_context_destroy(run.bench.context);
    cache_file_free(&cache);
    return status;
}

int bench_main(int argc, char **argv) {
    struct request request;
    struct report report;
    int status = request_read(argc, argv, &request);
    if (status >= 0) return status;
    status = STATUS_OK;
    if (request.task == TASK_OWN) {
        const struct workload own = own_workload(&request);
        if ((status = check_workload(&own))) return status;
    }
    report_start(&report, request.format, run_json());
    // One device that fails does not take the others' figures with it; bad input is bad for all.
    for (size_t i = 0; i < request.device_count && status != STATUS_BAD_INPUT; i++) {
        const int this_one = bench_device(&request, (uint32_t)i, &report);
        if (this_one) status = this_one;
    }
    const int printed = report_end(&report);
    if (!status) status = printed;
    return status ? status : print_out("bench", "");
}
