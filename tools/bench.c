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
#include "common/progress.h"
#include "common/json.h"
#include "arrays/spec_files.h"

static const char help[] =
    "Usage: tulle bench [--quick] [--plan] [--device N ...] [--json] [--command]\n"
    "       tulle bench --pattern SPEC [--causal] --q-len N --kv-len N [--batch B] [--heads H] [--kv-heads G]\n"
    "                   [--head-dim D] [--v-head-dim E] [--dtype fp32|fp16|bf16] [OPTION ...]\n"
    "\n"
    "Times dense, window, global, strided, block-sparse and mixed attention on made-up data (or one workload of your\n"
    "own): the median of several runs after an untimed one, by device timestamps where there are any. Beside it: the\n"
    "share of the multiply-adds that this device does at most (measured first), and the speed-up over Tulle's own dense\n"
    "attention; ~ marks what would take over two seconds and is reckoned from the time per pair of a shorter one.\n"
    "\n"
    "  --quick         few workloads, short ones\n"
    "  --plan          only the table of planning times (which also follows the seed workloads)\n"
    "  --device N      index from 'tulle info', or part of a name; more than once for several; default: the best\n"
    "  --kernel NAME   a kernel's name or a prefix such as base; default: the best for each workload. With --pattern more\n"
    "                  than once: each in turn; one that does not serve is left out, with a line that says why\n"
    "  --repeat N      the median of N runs; default: as many as a second holds, 25 at most\n"
    "  --cache FILE, --no-cache   as for 'tulle run'\n"
    "  --command       print with each row the line that has it again\n"
    "  --json          a JSON object on standard output: devices, results (one object a workload, with the fields of\n"
    "                  'tulle run --json' and peak_share) and planning\n"
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
    bool quick, plan, command, json, verify, causal, shaped;
    int64_t repeat, q_len, kv_len, batch, heads, kv_heads, head_dim, v_head_dim;
    tulle_dtype dtype;
    struct cache_file cache;
};

// Where the results go, whatever the device.
struct results {
    cJSON *object, *devices, *list, *planning;
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
        case JSON: r->json = true; break;
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

// Runs all workloads on one device; nothing is printed before all have run. *count: of the list,
// then of the outcomes.
static int run_workloads(const struct request *r, struct bench *bench, const struct workload *list,
                         size_t *count, struct outcome *outcomes) {
    tulle_error error;
    tulle_result result = TULLE_OK;
    size_t ran = 0;
    progress_start("bench");
    for (size_t i = 0; i < *count && !result; i++) {
        progress_step(list[i].spec, (double)i / (double)*count, (double)(i + 1) / (double)*count,
                      2 * bench->seconds);
        result = workload_run(bench, &list[i], &outcomes[ran], &error);
        if (!result) ran++;
        // of several kernels the others are still worth a measurement
        else if (result == TULLE_ERROR_UNSUPPORTED && r->kernel_count > 1 &&
                 (ran || i + 1 < *count)) {
            fail_tulle("bench", &error);
            result = TULLE_OK;
        }
    }
    progress_stop();
    *count = ran;
    return result ? fail_tulle("bench", &error) : STATUS_OK;
}

static void report_workloads(const struct request *r, const char *device,
                             const struct outcome *outcomes, size_t count,
                             struct results *results) {
    struct table table;
    char command[WORKLOAD_COMMAND];
    outcome_table_start(&table);
    for (size_t i = 0; i < count; i++) {
        workload_command(&outcomes[i].workload, device, command, sizeof command);
        outcome_table_add(&table, &outcomes[i], command);
        cJSON_AddItemToArray(results->list, outcome_json(&outcomes[i], command));
    }
    if (!r->json && count) {
        // Own workloads differ by kernel alone, and the seeds all have the same.
        const struct workload *first = &outcomes[0].workload;
        printf("batch %u, heads %u, kv heads %u\n", first->batch, first->heads, first->kv_heads);
        outcome_table_print(&table, r->command);
    }
    table_free(&table);
}

// Without a peak the bench still says all the rest.
static double measure_peak(const tulle_device_info *info) {
    struct message m;
    double peak = 0;
    progress_start("the device's peak");
    const bool measured = peak_measure(info->index, info->name, &peak, &m);
    progress_stop();
    if (!measured) fail("bench", STATUS_FAILED, "%s", m.text);
    return peak;
}

static int run_planning(const struct request *r, tulle_context *context, const char *device,
                        struct results *results) {
    struct planning cases[PLANNING_CASES];
    tulle_error error;
    progress_start("planning");
    const tulle_result result = planning_run(context, r->kernels[0], cases, &error);
    progress_stop();
    if (result) return fail_tulle("bench", &error);
    if (!r->json) {
        putchar('\n');
        planning_print(cases);
    }
    for (size_t i = 0; i < PLANNING_CASES; i++)
        cJSON_AddItemToArray(results->planning, planning_json(&cases[i], device));
    return STATUS_OK;
}

static int bench_device(const struct request *r, const char *device, struct results *results) {
    struct bench bench = { .repeat = (uint32_t)r->repeat, .seconds = r->quick ? 0.3 : 1 };
    struct workload list[MOST_WORKLOADS];
    struct cache_file cache = r->cache;
    tulle_device_info info;
    tulle_error error;
    size_t count = 0;
    if (open_device(device, cache_file_use(&cache), &bench.context, &error))
        return fail_tulle("bench", &error);
    tulle_context_info(bench.context, &info);
    // One head keeps a CPU busy; a GPU wants more of them.
    if (!r->spec && !r->plan)
        count = workload_seeds(list, MOST_WORKLOADS, r->quick,
                               info.type == VK_PHYSICAL_DEVICE_TYPE_CPU ? 1 : 8);
    for (size_t i = 0; i < count; i++) list[i].kernel = r->kernels[0];
    for (size_t k = 0; r->spec && k < (r->kernel_count ? r->kernel_count : 1); k++) {
        list[count] = own_workload(r);
        list[count++].kernel = r->kernels[k];
    }
    struct outcome *outcomes = calloc(MOST_WORKLOADS, sizeof *outcomes);
    int status = outcomes ? run_workloads(r, &bench, list, &count, outcomes)
                          : fail("bench", STATUS_FAILED, "out of memory");
    if (!status) {
        const double peak = measure_peak(&info);
        for (size_t i = 0; i < count; i++) outcomes[i].peak_gflops = peak;
        cJSON *entry = cJSON_CreateObject();
        cJSON_AddStringToObject(entry, "device", info.name);
        cJSON_AddStringToObject(entry, "driver", info.driver);
        json_add_number(entry, "peak_gflops", peak > 0 ? peak : NAN);
        cJSON_AddItemToArray(results->devices, entry);
        if (!r->json)
            printf("%s (%s %s), peak %.1f GFLOP/s\n", info.name, info.driver, info.driver_info,
                   peak);
        if (r->verify) verify_peak(peak);
        report_workloads(r, device, outcomes, count, results);
        if (!r->spec) status = run_planning(r, bench.context, info.name, results);
        if (!r->json) putchar('\n');
    }
    free(outcomes);
    bench_free(&bench);
    if (!status) cache_file_save(&cache, bench.context, "bench");
    tulle_context_destroy(bench.context);
    cache_file_free(&cache);
    return status;
}

int bench_main(int argc, char **argv) {
    struct request request;
    struct results results;
    int status = read_options(argc, argv, &request);
    if (status >= 0) return status;
    status = STATUS_OK;
    if (request.spec) {
        const struct workload own = own_workload(&request);
        if ((status = check_workload(&own))) return status;
    }
    results.object = cJSON_CreateObject();
    cJSON_AddStringToObject(results.object, "version", tulle_version());
    results.devices = cJSON_AddArrayToObject(results.object, "devices");
    results.list = cJSON_AddArrayToObject(results.object, "results");
    results.planning = cJSON_AddArrayToObject(results.object, "planning");
    for (size_t i = 0; i < request.device_count && !status; i++)
        status = bench_device(&request, request.devices[i], &results);
    if (!status && request.json) return json_print("bench", results.object);
    cJSON_Delete(results.object);
    return status ? status : print_out("bench", "");
}
