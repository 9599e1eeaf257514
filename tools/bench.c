// SPDX-License-Identifier: MIT
//
// tulle bench: devices × workloads → times, beside the device's own peak and Tulle's own dense
// attention.
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/outcome.h"
#include "cache/cache_file.h"
#include "common/cli.h"
#include "bench/peak.h"
#include "bench/report.h"
#include "bench/run_json.h"
#include "common/progress.h"
#include "arrays/spec_files.h"

static const char help[] =
    "Usage: tulle bench [--quick] [--plan] [--device N ...] [--json|--jsonl|--csv|--md] [--command]\n"
    "       tulle bench --pattern SPEC [--causal] --q-len N --kv-len N [--batch B] [--heads H] [--kv-heads G]\n"
    "                   [--head-dim D] [--v-head-dim E] [--dtype fp32|fp16|bf16] [OPTION ...]\n"
    "\n"
    "Times dense, window, global, strided, block-sparse and mixed attention on made-up data (or one workload of your\n"
    "own): the median of several runs after an untimed one, by device timestamps where there are any. Beside it: the\n"
    "share of the multiply-adds that this device does at most (measured first), of what binds (those, or copying the bytes\n"
    "that must move), and the speed-up over Tulle's own dense attention; ~ marks what would take over two seconds and is\n"
    "reckoned from the time per pair of a shorter one.\n"
    "\n"
    "  --quick         few workloads, short ones\n"
    "  --plan          only the table of planning times (which also follows the seed workloads)\n"
    "  --device N      index from 'tulle info', or part of a name; more than once for several; default: the best\n"
    "  --kernel NAME   a kernel's name or a prefix such as base; default: the best for each workload. With --pattern more\n"
    "                  than once: each in turn; one that does not serve is left out, with a line that says why\n"
    "  --repeat N      the median of N runs; default: as many as a second holds, 25 at most\n"
    "  --cache FILE, --no-cache   as for 'tulle run'\n"
    "  --command       print with each row the line that has it again\n"
    "  --json          a JSON object on standard output: the run, devices, results (one object a workload, with the\n"
    "                  fields of 'tulle run --json' and more) and planning, for 'tulle compare' and docs/bench.md\n"
    "  --jsonl         the same objects, one a line, each as soon as it is measured\n"
    "  --csv           the results, one a line, each as soon as it is measured\n"
    "  --md            the tables in Markdown\n"
    "  --verify-peak   compare the measured peak with native loops of 128, 256 and 512 bit vectors (CPU drivers)\n"
    "\n"
    "Of your own workload: --heads is 1, --kv-heads as heads, --head-dim 64, --v-head-dim as head-dim, --dtype fp32,\n"
    "--batch 1 where not given; of --q-len and --kv-len one stands for both.\n"
    "\n" HELP_SPEC "\n" HELP_STATUS;

enum {
    QUICK = 256,
    PLAN,
    DEVICE,
    KERNEL,
    REPEAT,
    COMMAND,
    JSON,
    JSONL,
    CSV,
    MARKDOWN,
    VERIFY,
    PATTERN,
    CAUSAL,
    Q_LEN,
    KV_LEN,
    BATCH,
    HEADS,
    KV_HEADS,
    HEAD_DIM,
    V_HEAD_DIM,
    DTYPE,
    CACHE,
    NO_CACHE
};

static const struct option options[] = {
    { "quick", no_argument, NULL, QUICK },
    { "plan", no_argument, NULL, PLAN },
    { "device", required_argument, NULL, DEVICE },
    { "kernel", required_argument, NULL, KERNEL },
    { "repeat", required_argument, NULL, REPEAT },
    { "command", no_argument, NULL, COMMAND },
    { "json", no_argument, NULL, JSON },
    { "jsonl", no_argument, NULL, JSONL },
    { "csv", no_argument, NULL, CSV },
    { "md", no_argument, NULL, MARKDOWN },
    { "verify-peak", no_argument, NULL, VERIFY },
    { "pattern", required_argument, NULL, PATTERN },
    { "causal", no_argument, NULL, CAUSAL },
    { "q-len", required_argument, NULL, Q_LEN },
    { "kv-len", required_argument, NULL, KV_LEN },
    { "batch", required_argument, NULL, BATCH },
    { "heads", required_argument, NULL, HEADS },
    { "kv-heads", required_argument, NULL, KV_HEADS },
    { "head-dim", required_argument, NULL, HEAD_DIM },
    { "v-head-dim", required_argument, NULL, V_HEAD_DIM },
    { "dtype", required_argument, NULL, DTYPE },
    CACHE_FILE_OPTIONS(CACHE, NO_CACHE),
    { "help", no_argument, NULL, 'h' },
    { 0 },
};

#define MOST_DEVICES 16
#define MOST_KERNELS 64
#define MOST_WORKLOADS 80  // seeds, or one of your own for each kernel

struct request {
    const char *devices[MOST_DEVICES], *kernels[MOST_KERNELS], *spec;
    size_t device_count, kernel_count;
    // shaped: an option that only an own workload has
    bool quick, plan, command, verify, causal, shaped;
    enum report_format format;
    int64_t repeat, q_len, kv_len, batch, heads, kv_heads, head_dim, v_head_dim;
    tulle_dtype dtype;
    struct cache_file cache;
};

// One device of those asked for.
struct bench_run {
    const struct request *request;
    struct report *report;
    uint32_t index;  // among those asked for
    tulle_device_info info;
    struct peaks peaks;
    struct bench bench;
};

// Returns -1 to go on, else an exit status.
static int read_options(int argc, char **argv, struct request *r) {
    struct message m;
    bool good = true;
    int option;
    *r = (struct request){ .batch = 1, .heads = 0, .head_dim = 64 };
    while (good && (option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        r->shaped = r->shaped || (option >= CAUSAL && option <= DTYPE);
        switch (option) {
        case QUICK: r->quick = true; break;
        case PLAN: r->plan = true; break;
        case DEVICE:
            if (r->device_count == MOST_DEVICES)
                return fail_usage("bench", "more than %d devices", MOST_DEVICES);
            r->devices[r->device_count++] = optarg;
            break;
        case KERNEL:
            if (r->kernel_count == MOST_KERNELS)
                return fail_usage("bench", "more than %d kernels", MOST_KERNELS);
            r->kernels[r->kernel_count++] = optarg;
            break;
        case REPEAT: good = parse_integer("--repeat", optarg, 1, 1000000, &r->repeat, &m); break;
        case COMMAND: r->command = true; break;
        case JSON: r->format = REPORT_JSON; break;
        case JSONL: r->format = REPORT_JSONL; break;
        case CSV: r->format = REPORT_CSV; break;
        case MARKDOWN: r->format = REPORT_MARKDOWN; break;
        case VERIFY: r->verify = true; break;
        case PATTERN: r->spec = optarg; break;
        case CAUSAL: r->causal = true; break;
        case Q_LEN: good = parse_integer("--q-len", optarg, 1, INT32_MAX, &r->q_len, &m); break;
        case KV_LEN: good = parse_integer("--kv-len", optarg, 1, INT32_MAX, &r->kv_len, &m); break;
        case BATCH: good = parse_integer("--batch", optarg, 1, INT32_MAX, &r->batch, &m); break;
        case HEADS: good = parse_integer("--heads", optarg, 1, INT32_MAX, &r->heads, &m); break;
        case KV_HEADS:
            good = parse_integer("--kv-heads", optarg, 1, INT32_MAX, &r->kv_heads, &m);
            break;
        case HEAD_DIM: good = parse_integer("--head-dim", optarg, 4, 256, &r->head_dim, &m); break;
        case V_HEAD_DIM:
            good = parse_integer("--v-head-dim", optarg, 4, 256, &r->v_head_dim, &m);
            break;
        case DTYPE:
            if (!dtype_named(optarg, &r->dtype))
                good = refuse(&m, "--dtype is '%s'; fp32, fp16 or bf16 is wanted", optarg);
            break;
        case CACHE: r->cache.given = optarg; break;
        case NO_CACHE: r->cache.none = true; break;
        case 'h': return print_out("bench", help);
        default: fputs("Try 'tulle bench --help'.\n", stderr); return STATUS_BAD_INPUT;
        }
    }
    if (!good) return fail_usage("bench", "%s", m.text);
    if (optind < argc) return fail_usage("bench", "'%s' belongs to no option", argv[optind]);
    if (r->shaped && !r->spec)
        return fail_usage("bench",
                          "the shape of a workload of your own is given, but no --pattern");
    if (r->kernel_count > 1 && !r->spec)
        return fail_usage("bench", "--kernel is given more than once, but no --pattern");
    if (r->spec && (r->quick || r->plan))
        return fail_usage("bench",
                          "--quick and --plan are for the seed workloads, not for --pattern");
    if (r->spec && !r->q_len && !r->kv_len)
        return fail_usage("bench", "--q-len and --kv-len are missing");
    if (r->spec && strlen(r->spec) >= sizeof((struct workload *)0)->spec)
        return fail_usage("bench", "the SPEC is too long to be kept");
    if (!r->device_count) r->devices[r->device_count++] = NULL;
    return -1;
}

static struct workload own_workload(const struct request *r) {
    struct workload w = { .causal = r->causal,
                          .batch = (uint32_t)r->batch,
                          .heads = (uint32_t)(r->heads      ? r->heads
                                              : r->kv_heads ? r->kv_heads
                                                            : 1),
                          .q_len = (uint32_t)(r->q_len ? r->q_len : r->kv_len),
                          .kv_len = (uint32_t)(r->kv_len ? r->kv_len : r->q_len),
                          .head_dim = (uint32_t)r->head_dim,
                          .v_head_dim = (uint32_t)(r->v_head_dim ? r->v_head_dim : r->head_dim),
                          .dtype = r->dtype };
    w.kv_heads = r->kv_heads ? (uint32_t)r->kv_heads : w.heads;
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
static int report_outcome(struct bench_run *run, struct outcome *outcome, struct table *table) {
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
                         struct table *table) {
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
            progress_step(list[i].spec, (double)i / (double)count, (double)(i + 1) / (double)count,
                          2 * run->bench.seconds);
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
                         const struct table *table) {
    const struct request *r = run->request;
    const tulle_device_info *info = &run->info;
    printf("%s (%s %s), peak %.1f GFLOP/s, copying %.1f GB/s\n", info->name, info->driver,
           info->driver_info, run->peaks.multiply_add_gflops, 1e-9 * run->peaks.copy_bytes_per_s);
    if (!first) return;
    // Own workloads differ by kernel alone, and the seeds all have the same.
    printf("batch %u, heads %u, kv heads %u\n", first->batch, first->heads, first->kv_heads);
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

static int bench_device(const struct request *r, uint32_t index, struct report *report) {
    struct bench_run run = { .request = r,
                             .report = report,
                             .index = index,
                             .bench = { .repeat = (uint32_t)r->repeat,
                                        .seconds = r->quick ? 0.3 : 1 } };
    struct workload list[MOST_WORKLOADS];
    struct cache_file cache = r->cache;
    struct table table;
    tulle_error error;
    size_t count = 0;
    if (open_device(r->devices[index], cache_file_use(&cache), &run.bench.context, &error))
        return fail_tulle("bench", &error);
    tulle_context_info(run.bench.context, &run.info);
    // One head keeps a CPU busy; a GPU wants more of them.
    if (!r->spec && !r->plan)
        count = workload_seeds(list, MOST_WORKLOADS, r->quick,
                               run.info.type == VK_PHYSICAL_DEVICE_TYPE_CPU ? 1 : 8);
    for (size_t i = 0; i < count; i++) list[i].kernel = r->kernels[0];
    for (size_t k = 0; r->spec && k < (r->kernel_count ? r->kernel_count : 1); k++) {
        list[count] = own_workload(r);
        list[count++].kernel = r->kernels[k];
    }
    measure_peaks(&run);
    outcome_table_start(&table);
    int status = run_workloads(&run, list, count, &table);
    if (printed_as_tables(r) && (!count || table.rows > 1))
        print_tables(&run, count ? list : NULL, &table);
    table_free(&table);
    if (r->verify) verify_peak(run.peaks.multiply_add_gflops);
    if (!status && !r->spec) status = run_planning(&run);
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
    int status = read_options(argc, argv, &request);
    if (status >= 0) return status;
    status = STATUS_OK;
    if (request.spec) {
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
