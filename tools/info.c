// SPDX-License-Identifier: MIT
//
// tulle info: every Vulkan device, what it offers, which kernels it runs and why not the others.
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cache/cache_file.h"
#include "common/cli.h"
#include "common/device_json.h"
#include "common/progress.h"
#include "common/json.h"
#include "common/table.h"
#include "bench/workload.h"
#include "tulle/inspect.h"

static const char help[] =
    "Usage: tulle info [--json] [--kernels [--all]] [--device N] [--cache FILE | --no-cache]\n"
    "\n"
    "Lists every Vulkan device: what it offers, and for fp32, fp16 and bf16 which kernels it runs, best first, and\n"
    "why not the others.\n"
    "\n"
    "  --json       as a JSON object on standard output: devices, each with its variants (name, dtype, serves, reason)\n"
    "               and what was tuned (kernel, dtype, head_dim, phase, addresses, matrices)\n"
    "               and its ranking, which says what their order rests on\n"
    "  --kernels    compile every kernel for the device and print what the driver reports of each\n"
    "               (registers, spills, occupancy; its compile time where the driver reports nothing)\n"
    "  --all        with --kernels: also those that would not be chosen on this device\n"
    "  --device N   only this one: its index, or a part of its name\n"
    "  --cache FILE, --no-cache   as for 'tulle run': where what was tuned is kept\n"
    "\n" HELP_STATUS;

enum { JSON = 256, KERNELS, ALL, DEVICE, CACHE, NO_CACHE };

static const struct option options[] = {
    { "json", no_argument, NULL, JSON },
    { "kernels", no_argument, NULL, KERNELS },
    { "all", no_argument, NULL, ALL },
    { "device", required_argument, NULL, DEVICE },
    CACHE_FILE_OPTIONS(CACHE, NO_CACHE),
    { "help", no_argument, NULL, 'h' },
    { 0 },
};

struct request {
    const char *device;
    bool json, kernels, all;
    struct cache_file cache;
};

// -------------------------------------------------------------------------------------------------
// What a device is, and its kernels

static void print_matrices(const char *of, const tulle_matrix_shape *shape) {
    if (shape->m)
        printf("   matrices      of %s, %" PRIu32 " x %" PRIu32 " by %" PRIu32 " x %" PRIu32 "\n",
               of, shape->m, shape->k, shape->k, shape->n);
}

static void print_device(const tulle_device_info *d) {
    printf("%" PRIu32 ": %s (%s)\n", d->index, d->name, device_type_name(d->type));
    printf("   driver        %s %s, Vulkan %u.%u.%u\n", d->driver[0] ? d->driver : "unknown",
           d->driver_info, VK_API_VERSION_MAJOR(d->api_version),
           VK_API_VERSION_MINOR(d->api_version), VK_API_VERSION_PATCH(d->api_version));
    printf("   workgroups    %" PRIu32 " invocations, subgroups of %" PRIu32 "%s, %" PRIu32
           " bytes shared\n",
           d->max_workgroup_invocations, d->subgroup_size,
           d->subgroup_size_control ? " (can be chosen)" : "", d->max_shared_memory);
    print_matrices("fp16", &d->matrix_f16);
    print_matrices("bf16", &d->matrix_bf16);
    printf("   buffers       %" PRIu32 " a stage, of at most %" PRIu64 " bytes; %" PRIu32
           " texels\n",
           d->max_storage_buffers, d->max_storage_range, d->max_texel_elements);
    printf("   offers        %s%s%s%s%s\n", d->buffer_device_address ? "buffer addresses, " : "",
           d->subgroup_shuffle ? "shuffles, " : "", d->timestamps ? "timestamps, " : "",
           d->executable_properties ? "executable properties, " : "",
           d->unified_memory ? "memory shared with the host" : "memory of its own");
}

static void report_ranking(tulle_context *context, const struct request *r, cJSON *device) {
    tulle_ranking ranking;
    char release[32];
    tulle_context_ranking(context, &ranking);
    snprintf(release, sizeof release, "%" PRIu32 ".%" PRIu32, ranking.release_major,
             ranking.release_minor);
    if (!r->json && ranking.measured)
        printf("   kernels       ordered by what was measured of Mesa %s with subgroups of %" PRIu32
               "%s\n",
               release, ranking.subgroup_size,
               ranking.measured_here ? "" : ", the nearest to this driver that was measured");
    else if (!r->json) puts("   kernels       ordered by what compilers report");
    cJSON *object = cJSON_AddObjectToObject(device, "ranking");
    cJSON_AddBoolToObject(object, "measured", ranking.measured);
    cJSON_AddBoolToObject(object, "measured_here", ranking.measured_here);
    cJSON_AddStringToObject(object, "release", ranking.measured ? release : "");
    json_add_count(object, "subgroup_size", ranking.subgroup_size);
}

static void print_variant(void *user, const char *name, bool serves, const char *reason) {
    (void)user;
    if (serves) printf("   %-40s runs here\n", name);
    else printf("   %-40s no: %s\n", name, reason);
}

struct variant_list {
    cJSON *json;
    const char *dtype;
};

static void add_variant(void *user, const char *name, bool serves, const char *reason) {
    const struct variant_list *list = user;
    cJSON *entry = cJSON_CreateObject();
    cJSON_AddStringToObject(entry, "name", name);
    cJSON_AddStringToObject(entry, "dtype", list->dtype);
    cJSON_AddBoolToObject(entry, "serves", serves);
    cJSON_AddStringToObject(entry, "reason", reason);
    cJSON_AddItemToArray(list->json, entry);
}

struct tuned_list {
    cJSON *json;
    bool print;
};

static void add_tuned(void *user, const tulle_tuned_class *of, const char *kernel) {
    const struct tuned_list *list = user;
    const char *phase = of->phase == TULLE_PHASE_FEW_ROWS ? "few-rows" : "prefill";
    if (list->print)
        printf("   %-40s tuned: taken for %s, head_dim up to %" PRIu32 ", %s%s\n", kernel,
               dtype_name(of->dtype), of->head_dim, phase,
               of->addresses ? "" : ", buffers without addresses");
    cJSON *entry = cJSON_CreateObject();
    cJSON_AddStringToObject(entry, "kernel", kernel);
    cJSON_AddStringToObject(entry, "dtype", dtype_name(of->dtype));
    json_add_count(entry, "head_dim", of->head_dim);
    cJSON_AddStringToObject(entry, "phase", phase);
    cJSON_AddBoolToObject(entry, "addresses", of->addresses);
    json_add_count(entry, "matrices", of->matrices);
    cJSON_AddItemToArray(list->json, entry);
}

static tulle_result report_variants(tulle_context *context, const struct request *r,
                                    cJSON *variants, tulle_error *error) {
    tulle_result result = TULLE_OK;
    for (int dtype = TULLE_F32; dtype <= TULLE_BF16 && !result; dtype++) {
        // What tulle_explain takes by itself for fp32 alone: one dense head of 64, buffers that any
        // variant can read.
        const tulle_attention_desc desc = {
            .heads = 1,
            .q_len = 1024,
            .kv_len = 1024,
            .head_dim = 64,
            .dtype = (tulle_dtype)dtype,
            .buffer_usage = TULLE_USAGE_HOST,
        };
        struct variant_list list = { .json = variants, .dtype = dtype_name(desc.dtype) };
        if (!r->json) printf("   kernels for %s\n", list.dtype);
        result = tulle_explain(context, &desc, r->json ? add_variant : print_variant, &list, error);
    }
    return result;
}

// -------------------------------------------------------------------------------------------------
// --kernels: one row a pipeline, one column a statistic

#define MOST_STATISTICS 48

struct statistics {
    struct table table;
    char last[128];  // pipeline
    cJSON *json, *json_row;
};

static void take_statistic(void *user, const char *pipeline, const char *statistic, double value) {
    struct statistics *s = user;
    if (strcmp(s->last, pipeline)) {
        snprintf(s->last, sizeof s->last, "%s", pipeline);
        table_row(&s->table);
        table_set(&s->table, 0, "%s", pipeline);
        cJSON *entry = cJSON_CreateObject();
        cJSON_AddStringToObject(entry, "pipeline", pipeline);
        s->json_row = cJSON_AddObjectToObject(entry, "statistics");
        cJSON_AddItemToArray(s->json, entry);
    }
    if (s->json_row) json_add_number(s->json_row, statistic, value);
    // Hashes tell a person nothing and make the table wide.
    if (strstr(statistic, "hash") || strstr(statistic, "Hash")) return;
    const size_t col = table_column(&s->table, statistic);
    if (value == floor(value) && fabs(value) < 1e15) table_set(&s->table, col, "%.0f", value);
    else table_set(&s->table, col, "%.3f", value);
}

static int report_kernels(tulle_context *context, const struct request *r, cJSON *device) {
    struct statistics s = { .json = cJSON_CreateArray() };
    tulle_error error;
    table_start(&s.table, 1 + MOST_STATISTICS, 1, (const char *const[]){ "pipeline" });
    progress_start("compiling every kernel");
    const tulle_result result = tulle_compile_all(context, r->all, take_statistic, &s, &error);
    progress_stop();
    if (!r->json && s.table.rows > 1) {
        putchar('\n');
        table_print(stdout, &s.table);
        // The library marks what selection takes for dense attention of that size.
        puts("* chosen here for dense attention of that head size");
    }
    cJSON_AddItemToObject(device, "kernels", s.json);
    table_free(&s.table);
    return result ? fail_tulle("info", &error) : STATUS_OK;
}

static int report_device(const tulle_device_info *info, const struct request *r, cJSON *list) {
    struct cache_file cache = r->cache;
    tulle_context *context = NULL;
    tulle_error error;
    char index[16];
    int status = STATUS_OK;
    cJSON *device = device_json(info), *variants = cJSON_AddArrayToObject(device, "variants");
    cJSON_AddItemToArray(list, device);
    if (!r->json) print_device(info);
    snprintf(index, sizeof index, "%" PRIu32, info->index);
    if (open_device(index, cache_file_use(&cache), &context, &error)) {
        // One device that does not start does not hide the others.
        cJSON_AddStringToObject(device, "error", error.message);
        if (!r->json) printf("   cannot be used: %s\n", error.message);
        return r->device ? fail_tulle("info", &error) : STATUS_OK;
    }
    struct tuned_list tuned = { cJSON_AddArrayToObject(device, "tuned"), !r->json };
    tulle_tuned(context, add_tuned, &tuned);
    report_ranking(context, r, device);
    if (report_variants(context, r, variants, &error)) status = fail_tulle("info", &error);
    if (!status && r->kernels) status = report_kernels(context, r, device);
    if (!r->json) putchar('\n');
    tulle_context_destroy(context);
    cache_file_free(&cache);
    return status;
}

static int info_of_all(const struct request *r) {
    tulle_error error;
    uint32_t count = 0;
    if (tulle_devices(&count, NULL, &error)) return fail_tulle("info", &error);
    tulle_device_info *devices = calloc(count ? count : 1, sizeof *devices),
                      chosen = { .index = UINT32_MAX };
    if (!devices) return fail("info", STATUS_FAILED, "out of memory");
    int status = STATUS_OK;
    if (tulle_devices(&count, devices, &error)) status = fail_tulle("info", &error);
    if (!status && !count)
        status = fail("info", STATUS_FAILED,
                      "there is no Vulkan device; a CPU driver is in Debian's mesa-vulkan-drivers");
    if (!status && r->device) {
        tulle_context *context;
        if (open_device(r->device, NULL, &context, &error)) {
            status = fail_tulle("info", &error);
        } else {
            tulle_context_info(context, &chosen);
            tulle_context_destroy(context);
        }
    }
    cJSON *object = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(object, "devices");
    cJSON_AddStringToObject(object, "version", tulle_version());
    for (uint32_t i = 0; i < count && !status; i++)
        if (!r->device || devices[i].index == chosen.index)
            status = report_device(&devices[i], r, list);
    free(devices);
    if (!status && r->json) return json_print("info", object);
    cJSON_Delete(object);
    return status ? status : print_out("info", "");
}

int info_main(int argc, char **argv) {
    struct request r = { 0 };
    int option;
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (option) {
        case JSON: r.json = true; break;
        case KERNELS: r.kernels = true; break;
        case ALL: r.all = true; break;
        case DEVICE: r.device = optarg; break;
        case CACHE: r.cache.given = optarg; break;
        case NO_CACHE: r.cache.none = true; break;
        case 'h': return print_out("info", help);
        default: fputs("Try 'tulle info --help'.\n", stderr); return STATUS_BAD_INPUT;
        }
    }
    if (optind < argc) return fail_usage("info", "'%s' belongs to no option", argv[optind]);
    if (r.all && !r.kernels) return fail_usage("info", "--all goes with --kernels");
    return info_of_all(&r);
}
