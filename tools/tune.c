// SPDX-License-Identifier: MIT
//
// tulle tune: times the kernels of a device against each other, class by class, and keeps the
// answers.
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "cache/cache_file.h"
#include "common/cli.h"
#include "common/json.h"
#include "common/progress.h"
#include "common/table.h"

static const char help[] =
    "Usage: tulle tune [--dtype fp32|fp16|bf16] [--head-dim D] [--phase prefill|few-rows] [OPTION ...]\n"
    "\n"
    "Times every kernel that serves, on made-up data, for each type of elements, for head sizes of 64 and 128, for many\n"
    "query rows and for few (a step of decoding); keeps which is the fastest, and prints the times: * is taken from now\n"
    "on by 'tulle run' and whatever reads the same cache, where no kernel is named. The one that would be taken anyway\n"
    "stays unless another takes 3 % less. The device should have nothing else to do. Takes some seconds a class, on\n"
    "CPU drivers up to a minute.\n"
    "\n"
    "  --dtype T        only this type\n"
    "  --head-dim D     only the class of this head size: up to 32, 64, 96, 128, 192, 256, 512 or 576\n"
    "  --phase P        only prefill (17 query rows or more) or few-rows (16 at most)\n"
    "  --device N       index from 'tulle info', or part of a name; default: the best\n"
    "  --cache FILE     keep it in FILE; default: as for 'tulle run'\n"
    "  --json           as a JSON object on standard output: device, classes (dtype, head_dim, phase), each with its\n"
    "                   kernels (name, ms, chosen)\n"
    "\n" HELP_STATUS;

enum { DTYPE = 256, HEAD_DIM, PHASE, DEVICE, CACHE, JSON };

static const struct option options[] = {
    { "dtype", required_argument, NULL, DTYPE }, { "head-dim", required_argument, NULL, HEAD_DIM },
    { "phase", required_argument, NULL, PHASE }, { "device", required_argument, NULL, DEVICE },
    { "cache", required_argument, NULL, CACHE }, { "json", no_argument, NULL, JSON },
    { "help", no_argument, NULL, 'h' },          { 0 },
};

static const char *const phases[] = { "prefill", "few-rows" };  // by tulle_phase

struct request {
    const char *device;
    int dtype, phase;  // -1: all
    int64_t head_dim;  // 0: 64 and 128
    bool json;
    struct cache_file cache;
};

// Where the times of one class go.
struct report {
    struct table table;
    const tulle_attention_desc *desc;
    tulle_phase phase;
    cJSON *classes, *kernels;
};

// Returns -1 to go on, else an exit status.
static int read_options(int argc, char **argv, struct request *r) {
    struct message m;
    tulle_dtype dtype;
    bool good = true;
    int option;
    *r = (struct request){ .dtype = -1, .phase = -1 };
    while (good && (option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (option) {
        case DTYPE:
            good = dtype_named(optarg, &dtype) ||
                   refuse(&m, "--dtype is '%s'; fp32, fp16 or bf16 is wanted", optarg);
            if (good) r->dtype = (int)dtype;
            break;
        case HEAD_DIM: good = parse_integer("--head-dim", optarg, 1, 576, &r->head_dim, &m); break;
        case PHASE:
            r->phase = !strcmp(optarg, phases[1]);
            good = !strcmp(optarg, phases[r->phase]) ||
                   refuse(&m, "--phase is '%s'; prefill or few-rows is wanted", optarg);
            break;
        case DEVICE: r->device = optarg; break;
        case CACHE: r->cache.given = optarg; break;
        case JSON: r->json = true; break;
        case 'h': return print_out("tune", help);
        default: fputs("Try 'tulle tune --help'.\n", stderr); return STATUS_BAD_INPUT;
        }
    }
    if (!good) return fail_usage("tune", "%s", m.text);
    if (optind < argc) return fail_usage("tune", "'%s' belongs to no option", argv[optind]);
    return -1;
}

// Dense attention that takes some milliseconds: kernels differ by how they read, multiply and sum,
// and every pattern is made of the same.
static tulle_attention_desc typical(const tulle_device_info *device, tulle_dtype dtype,
                                    uint32_t head_dim, tulle_phase phase) {
    const bool cpu = device->type == VK_PHYSICAL_DEVICE_TYPE_CPU, few = phase != 0;
    const uint32_t keys = few ? (cpu ? 4096 : 16384) : (cpu ? 1024 : 2048);
    return (tulle_attention_desc){ .heads = cpu ? 2 : 32,
                                   .q_len = few ? 1 : keys,
                                   .kv_len = keys,
                                   .head_dim = head_dim,
                                   .v_head_dim = head_dim < 512 ? head_dim : 512,  // the most
                                   .dtype = dtype,
                                   .causal = true,
                                   .buffer_usage = TULLE_USAGE_HOST };
}

static void take_time(void *user, const char *kernel, double ms, bool chosen) {
    struct report *report = user;
    table_row(&report->table);
    table_set(&report->table, 0, "%s", dtype_name(report->desc->dtype));
    table_set(&report->table, 1, "%u", report->desc->head_dim);
    table_set(&report->table, 2, "%s", phases[report->phase]);
    table_set(&report->table, 3, "%.3f", ms);
    table_set(&report->table, 4, "%s%s", kernel, chosen ? " *" : "");
    cJSON *entry = cJSON_CreateObject();
    cJSON_AddStringToObject(entry, "name", kernel);
    json_add_number(entry, "ms", ms);
    cJSON_AddBoolToObject(entry, "chosen", chosen);
    cJSON_AddItemToArray(report->kernels, entry);
}

static tulle_result tune_class(tulle_context *context, const tulle_attention_desc *desc,
                               tulle_phase phase, struct report *report, tulle_error *error) {
    cJSON *class = cJSON_CreateObject();
    cJSON_AddStringToObject(class, "dtype", dtype_name(desc->dtype));
    json_add_count(class, "head_dim", desc->head_dim);
    cJSON_AddStringToObject(class, "phase", phases[phase]);
    report->kernels = cJSON_AddArrayToObject(class, "kernels");
    cJSON_AddItemToArray(report->classes, class);
    report->desc = desc;
    report->phase = phase;
    return tulle_tune(context, desc, take_time, report, error);
}

static tulle_result tune_all(const struct request *r, tulle_context *context,
                             const tulle_device_info *device, struct report *report,
                             tulle_error *error) {
    static const uint32_t usual[] = { 64, 128 };
    const uint32_t asked = (uint32_t)r->head_dim, *dims = asked ? &asked : usual,
                   dim_count = asked ? 1 : 2;
    const int wanted = (r->dtype < 0 ? 3 : 1) * (r->phase < 0 ? 2 : 1) * (int)dim_count;
    int done = 0;
    tulle_result result = TULLE_OK;
    for (int dtype = TULLE_F32; dtype <= TULLE_BF16; dtype++)
        for (uint32_t i = 0; i < dim_count; i++)
            for (int phase = 0; phase < 2 && !result; phase++) {
                if ((r->dtype >= 0 && r->dtype != dtype) || (r->phase >= 0 && r->phase != phase))
                    continue;
                const double from = done++, all = wanted;
                progress_step("timing every kernel", from / all, (from + 1) / all, 0);
                const tulle_attention_desc desc =
                    typical(device, (tulle_dtype)dtype, dims[i], (tulle_phase)phase);
                result = tune_class(context, &desc, (tulle_phase)phase, report, error);
            }
    return result;
}

static int tune(struct request *r, tulle_context *context) {
    static const char *const headings[] = { "type", "head dim", "phase", "ms (median)", "kernel" };
    struct report report;
    tulle_device_info device;
    tulle_error error;
    // Here, unlike elsewhere, keeping it is what it is all for; so that is tried before the work too.
    if (!cache_file_save(&r->cache, context, "tune")) return STATUS_FAILED;
    tulle_context_info(context, &device);
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "device", device.name);
    report.classes = cJSON_AddArrayToObject(object, "classes");
    table_start(&report.table, 5, 5, headings);
    progress_start("timing every kernel");
    const tulle_result result = tune_all(r, context, &device, &report, &error);
    progress_stop();
    int status = result ? fail_tulle("tune", &error) : STATUS_OK;
    if (!status && !cache_file_save(&r->cache, context, "tune")) status = STATUS_FAILED;
    if (!status && !r->json) {
        table_print(stdout, &report.table);
        puts("* taken from now on");
    }
    table_free(&report.table);
    if (!status && r->json) return json_print("tune", object);
    cJSON_Delete(object);
    return status ? status : print_out("tune", "");
}

int tune_main(int argc, char **argv) {
    struct request request;
    tulle_context *context = NULL;
    tulle_error error;
    int status = read_options(argc, argv, &request);
    if (status >= 0) return status;
    if (open_device(request.device, cache_file_use(&request.cache), &context, &error))
        status = fail_tulle("tune", &error);
    else status = tune(&request, context);
    tulle_context_destroy(context);
    cache_file_free(&request.cache);
    return status;
}
