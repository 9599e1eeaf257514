// SPDX-License-Identifier: MIT
#include "bench/request.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "arrays/spec_files.h"
#include "bench/models.h"
#include "common/cli.h"

#define MOST_RAGGED 65536  // batch entries, each of which has its keys counted
#define LEAST_LENGTH 64    // of models: shorter, and some of their patterns are none
#define CROSSOVER_LENGTH 2048
#define CROSSOVER_SECONDS 60

static const char help[] =
    "Usage: tulle bench [--suite seeds|models] [--model NAME] [--quick] [--plan] [--device N ...] [--json|--jsonl|--csv|--md] [--command]\n"
    "       tulle bench --phase decode [--q-rows N] [--quick] [--heads H] [--kv-heads G] [--head-dim D] [--dtype T] [OPTION ...]\n"
    "       tulle bench --pattern SPEC [--causal] --q-len N --kv-len N [--batch B] [--heads H] [--kv-heads G]\n"
    "                   [--head-dim D] [--v-head-dim E] [--dtype fp32|fp16|bf16] [--sink-logits] [OPTION ...]\n"
    "       tulle bench --pattern SPEC --phase decode [--q-rows N] --kv-len N [--kv-least N] [--batch B] [...]\n"
    "       tulle bench --crossover [--length N] [--seconds S] [--heads H] [--kv-heads G] [--head-dim D] [--dtype T]\n"
    "                   [OPTION ...]\n"
    "\n"
    "Times dense, window, global, strided, block-sparse and mixed attention on made-up data (or one workload of your\n"
    "own): the median of several runs after an untimed one, by device timestamps where there are any. Beside it: the\n"
    "share of the multiply-adds that this device does at most (measured first), of what binds (those, or copying the bytes\n"
    "that must move), and the speed-up over Tulle's own dense attention; ~ marks what would take over two seconds and is\n"
    "reckoned from the time per pair of a shorter one.\n"
    "\n";
// C promises no longer strings than 4095 bytes.
static const char help_options[] =
    "  --suite NAME    seeds (default), or models: the attention of published models by name, with their heads, sizes and\n"
    "                  windows (docs/models.md); each at --length and, of language models, a decode step there\n"
    "  --model NAME    of --suite models (which it implies) the one of that name, or those whose names begin so\n"
    "  --length N      of --suite models, once for each length: 64 or more, but no model longer than it is published for;\n"
    "                  'published': just that; default 8192, with --quick 2048. Of --crossover: default 2048\n"
    "  --phase NAME    decode: a query row of each sequence (--q-rows N: as many, 16 at most) against a long cache, with the\n"
    "                  GB/s of the bytes that must be read and tokens a second, in place of the seeds (docs/bench.md), of\n"
    "                  --suite models the decode steps alone, or of your own workload. prefill: no decode steps\n"
    "  --quick         few workloads, short ones\n"
    "  --crossover     in place of workloads: below which density at this length, and from which length on, each kind of\n"
    "                  pattern is faster than Tulle's dense attention here, all of them causal\n"
    "  --seconds S     for all of --crossover's searches on a device; default 60. What there was no time for is said\n"
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
    "--batch 1 where not given; of --q-len and --kv-len one stands for both. --kv-least N makes the batch ragged: its\n"
    "caches hold from N keys to --kv-len, evenly apart. Models are fp32 where --dtype is not given; --phase decode is\n"
    "32 heads on 8 of 128 in fp16.\n"
    "\n";
static const char help_end[] = HELP_SPEC "\n" HELP_STATUS;

enum {
    QUICK = 256,
    PLAN,
    SUITE,
    MODEL,
    PHASE,
    Q_ROWS,
    CROSSOVER,
    LENGTH,
    SECONDS,
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
    SINK_LOGITS,
    Q_LEN,
    KV_LEN,
    KV_LEAST,
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
    { "suite", required_argument, NULL, SUITE },
    { "model", required_argument, NULL, MODEL },
    { "phase", required_argument, NULL, PHASE },
    { "q-rows", required_argument, NULL, Q_ROWS },
    { "crossover", no_argument, NULL, CROSSOVER },
    { "length", required_argument, NULL, LENGTH },
    { "seconds", required_argument, NULL, SECONDS },
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
    { "sink-logits", no_argument, NULL, SINK_LOGITS },
    { "q-len", required_argument, NULL, Q_LEN },
    { "kv-len", required_argument, NULL, KV_LEN },
    { "kv-least", required_argument, NULL, KV_LEAST },
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

// Which options were given, by number.
struct given {
    bool option[NO_CACHE + 1 - QUICK];
};

static bool was_given(const struct given *given, int option) {
    return given->option[option - QUICK];
}

static bool any_given(const struct given *given, int first, int last) {
    for (int option = first; option <= last; option++)
        if (was_given(given, option)) return true;
    return false;
}

// -------------------------------------------------------------------------------------------------
// One option

static bool add_name(const char *option, const char *name, size_t most, const char **list,
                     size_t *count, struct message *m) {
    if (*count == most) return refuse(m, "more than %zu %ss", most, option);
    list[(*count)++] = name;
    return true;
}

static bool add_length(const char *text, struct request *r, struct message *m) {
    int64_t length = PUBLISHED_LENGTH;
    if (r->length_count == MOST_LENGTHS) return refuse(m, "more than %d lengths", MOST_LENGTHS);
    if (strcmp(text, "published") &&
        !parse_integer("--length", text, LEAST_LENGTH, INT32_MAX, &length, m))
        return false;
    r->lengths[r->length_count++] = (uint32_t)length;
    return true;
}

static bool read_suite(const char *name, struct request *r, struct message *m) {
    const bool models = !strcmp(name, "models");
    if (!models && strcmp(name, "seeds"))
        return refuse(m, "--suite is '%s'; seeds or models is wanted", name);
    r->task = models ? TASK_MODELS : TASK_SEEDS;
    return true;
}

static bool read_model(const char *name, struct request *r, struct message *m) {
    char names[600];
    r->task = TASK_MODELS;
    r->model = name;
    if (model_named(name)) return true;
    model_names(names, sizeof names);
    return refuse(m, "--model is '%s'; no name begins so: there are %s", name, names);
}

static bool read_phase(const char *name, struct request *r, struct message *m) {
    r->phase = !strcmp(name, PHASE_DECODE)    ? PHASE_DECODE
               : !strcmp(name, PHASE_PREFILL) ? PHASE_PREFILL
                                              : NULL;
    return r->phase || refuse(m, "--phase is '%s'; decode or prefill is wanted", name);
}

// What says the shape of a workload; false where the option is not of those, or is refused.
static bool read_shape(int option, struct request *r, struct message *m) {
    switch (option) {
    case CAUSAL: return r->causal = true;
    case SINK_LOGITS: return r->sink_logits = true;
    case Q_LEN: return parse_integer("--q-len", optarg, 1, INT32_MAX, &r->q_len, m);
    case KV_LEN: return parse_integer("--kv-len", optarg, 1, INT32_MAX, &r->kv_len, m);
    case KV_LEAST: return parse_integer("--kv-least", optarg, 1, INT32_MAX, &r->kv_least, m);
    case BATCH: return parse_integer("--batch", optarg, 1, INT32_MAX, &r->batch, m);
    case HEADS: return parse_integer("--heads", optarg, 1, INT32_MAX, &r->heads, m);
    case KV_HEADS: return parse_integer("--kv-heads", optarg, 1, INT32_MAX, &r->kv_heads, m);
    case HEAD_DIM: return parse_integer("--head-dim", optarg, 1, 576, &r->head_dim, m);
    case V_HEAD_DIM: return parse_integer("--v-head-dim", optarg, 1, 512, &r->v_head_dim, m);
    default:
        return dtype_named(optarg, &r->dtype) ||
               refuse(m, "--dtype is '%s'; fp32, fp16 or bf16 is wanted", optarg);
    }
}

static bool read_option(int option, struct request *r, struct message *m) {
    switch (option) {
    case QUICK: return r->quick = true;
    case PLAN: r->task = TASK_PLANNING; return true;
    case SUITE: return read_suite(optarg, r, m);
    case MODEL: return read_model(optarg, r, m);
    case PHASE: return read_phase(optarg, r, m);
    case Q_ROWS: return parse_integer("--q-rows", optarg, 1, MOST_DECODE_ROWS, &r->q_rows, m);
    case CROSSOVER: r->task = TASK_CROSSOVER; return true;
    case LENGTH: return add_length(optarg, r, m);
    case SECONDS: return parse_integer("--seconds", optarg, 1, 1000000, &r->seconds, m);
    case DEVICE: return add_name("device", optarg, MOST_DEVICES, r->devices, &r->device_count, m);
    case KERNEL: return add_name("kernel", optarg, MOST_KERNELS, r->kernels, &r->kernel_count, m);
    case REPEAT: return parse_integer("--repeat", optarg, 1, 1000000, &r->repeat, m);
    case COMMAND: return r->command = true;
    case JSON: r->format = REPORT_JSON; return true;
    case JSONL: r->format = REPORT_JSONL; return true;
    case CSV: r->format = REPORT_CSV; return true;
    case MARKDOWN: r->format = REPORT_MARKDOWN; return true;
    case VERIFY: return r->verify = true;
    case PATTERN:
        r->task = TASK_OWN;
        r->spec = optarg;
        return true;
    case CACHE: r->cache.given = optarg; return true;
    case NO_CACHE: return r->cache.none = true;
    default: return read_shape(option, r, m);
    }
}

// -------------------------------------------------------------------------------------------------
// All of them together

bool request_decodes(const struct request *r) {
    return r->phase && !strcmp(r->phase, PHASE_DECODE);
}

static bool check_task(const struct request *r, const struct given *given, struct message *m) {
    const int tasks = was_given(given, PLAN) + any_given(given, SUITE, MODEL) +
                      was_given(given, CROSSOVER) + was_given(given, PATTERN);
    const bool own = r->task == TASK_OWN, crossover = r->task == TASK_CROSSOVER,
               decode = r->task == TASK_DECODE;
    if (tasks > 1 || (r->quick && (own || crossover)))
        return refuse(m, "--quick and --plan are for the seed workloads (--quick for --suite "
                         "models too), not for --pattern; and of --plan, --suite, --crossover "
                         "and --pattern there is one");
    if (was_given(given, MODEL) && r->task != TASK_MODELS)
        return refuse(m, "--model is given, but another --suite than models");
    if (any_given(given, CAUSAL, BATCH) && !own)
        return refuse(m, "the shape of a workload of your own is given, but no --pattern");
    if (any_given(given, HEADS, V_HEAD_DIM) && !own && !crossover && !decode)
        return refuse(
            m, "heads or sizes are given, but no --pattern (or --crossover, --phase decode)");
    if (was_given(given, DTYPE) && (r->task == TASK_SEEDS || r->task == TASK_PLANNING))
        return refuse(
            m, "--dtype is given, but no --pattern, --suite models, --crossover or --phase decode");
    if (r->kernel_count > 1 && !own)
        return refuse(m, "--kernel is given more than once, but no --pattern");
    if (own && !r->q_len && !r->kv_len) return refuse(m, "--q-len and --kv-len are missing");
    return true;
}

static bool check_phase(const struct request *r, const struct given *given, struct message *m) {
    const bool own = r->task == TASK_OWN, decode = request_decodes(r);
    const long long rows = r->q_rows, keys = r->kv_len, least = r->kv_least;
    if (r->phase && (r->task == TASK_CROSSOVER || r->task == TASK_PLANNING))
        return refuse(m, "--phase is given, but --crossover and --plan have no phases");
    if (was_given(given, Q_ROWS) && !decode)
        return refuse(m, "--q-rows is given, but no --phase decode");
    if (least && !decode) return refuse(m, "--kv-least is given, but no --phase decode");
    if (!r->phase || !own) return true;
    if (r->q_len) return refuse(m, "--q-len is given, but --phase says how many queries there are");
    if (decode && rows > 1 && rows >= keys)
        return refuse(m, "--q-rows is %lld; below --kv-len, %lld, is wanted", rows, keys);
    if (least && (least < rows || least >= keys))
        return refuse(
            m, "--kv-least is %lld; at least --q-rows, %lld, and below --kv-len, %lld, is wanted",
            least, rows, keys);
    return !least || (r->batch > 1 && r->batch <= MOST_RAGGED) ||
           refuse(m, "--kv-least is given, and --batch is %lld; 2 to %d is wanted",
                  (long long)r->batch, MOST_RAGGED);
}

static bool check_lengths(struct request *r, const struct given *given, struct message *m) {
    const bool models = r->task == TASK_MODELS, crossover = r->task == TASK_CROSSOVER;
    if (r->length_count && !models && !crossover)
        return refuse(m, "--length is given, but no --suite models or --crossover");
    if (was_given(given, SECONDS) && !crossover)
        return refuse(m, "--seconds is given, but no --crossover");
    if (crossover && r->format == REPORT_CSV)
        return refuse(m, "--csv has no crossovers; --json, --jsonl and --md do");
    if (crossover && r->length_count && (r->length_count > 1 || r->lengths[0] == PUBLISHED_LENGTH))
        return refuse(m, "--crossover takes one --length, a number");
    if (!r->length_count && (models || crossover))
        r->lengths[r->length_count++] = crossover ? CROSSOVER_LENGTH : r->quick ? 2048 : 8192;
    return true;
}

// What `--phase decode` has where nothing else is given: a language model's.
static void set_decode(struct request *r, const struct given *given) {
    if (r->task != TASK_SEEDS || !request_decodes(r)) return;
    r->task = TASK_DECODE;
    if (!was_given(given, HEAD_DIM)) r->head_dim = 128;
    if (!was_given(given, DTYPE)) r->dtype = TULLE_F16;
    if (r->heads || r->kv_heads) return;
    r->heads = 32;
    r->kv_heads = 8;
}

int request_read(int argc, char **argv, struct request *r) {
    struct given given = { 0 };
    struct message m;
    bool good = true;
    int option;
    *r = (struct request){ .q_rows = 1, .batch = 1, .head_dim = 64, .seconds = CROSSOVER_SECONDS };
    while (good && (option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 'h') {
            int status = print_out("bench", help);
            if (!status) status = print_out("bench", help_options);
            return status ? status : print_out("bench", help_end);
        }
        if (option < QUICK) {
            fputs("Try 'tulle bench --help'.\n", stderr);
            return STATUS_BAD_INPUT;
        }
        given.option[option - QUICK] = true;
        good = read_option(option, r, &m);
    }
    if (good && optind < argc)
        return fail_usage("bench", "'%s' belongs to no option", argv[optind]);
    set_decode(r, &given);
    good = good && check_task(r, &given, &m) && check_phase(r, &given, &m) &&
           check_lengths(r, &given, &m);
    if (good && r->spec && strlen(r->spec) >= sizeof((struct workload *)0)->spec)
        good = refuse(&m, "the SPEC is too long to be kept");
    if (!good) return fail_usage("bench", "%s", m.text);
    if (!r->device_count) r->devices[r->device_count++] = NULL;
    return -1;
}
