// SPDX-License-Identifier: MIT
//
// tulle show: a pattern as a picture, and where a head looks through it. No device is needed.
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cache/cache_file.h"
#include "common/cli.h"
#include "pictures/grid.h"
#include "pictures/labels.h"
#include "arrays/output.h"
#include "pictures/picture.h"
#include "common/plan_report.h"
#include "common/progress.h"
#include "arrays/spec_files.h"
#include "arrays/tensor.h"
#include "pictures/terminal.h"

static const char help[] =
    "Usage: tulle show SPEC --q-len N --kv-len N [OPTION ...]\n"
    "       tulle show SPEC --q Q --k K [--tokens FILE] [OPTION ...]\n"
    "       tulle show SPEC --q-len N --kv-len N --plan [--json] [OPTION ...]\n"
    "\n"
    "Draws which pairs a pattern selects (rows are queries, columns are keys), which runs are computed for it, and\n"
    "says what share of dense attention that is. With --q and --k the weights of one head are drawn beside it.\n"
    "\n"
    "  --q-len N, --kv-len N   lengths; one alone stands for both\n"
    "  --causal                only keys at or before the query\n"
    "  --q-offset N            position of the first query; default: the last query stands at the last key\n"
    "  --heads H               default: Q's, or else the least multiple of G that --head and the specs of SPEC need\n"
    "  --kv-heads G            default: K's, or else H\n"
    "  --head I                which head is drawn; default 0\n"
    "  --q, --k FILE           .npy or FILE.safetensors:TENSOR, as for 'tulle run'; batch entry 0 is drawn\n"
    "  --tokens FILE           labels: words separated by white space, one a key position\n"
    "  --scale X, --softcap X, --layout bhsd|bshd   as for 'tulle run'; only with --q and --k\n"
    "  --kernel NAME           draw the runs as this kernel would take them; default: the best one's\n"
    "  --device N              index or part of a name; without any device: base's default tile\n"
    "  --cache FILE, --no-cache   as for 'tulle run': what was tuned decides which kernel is best\n"
    "  -o, --output FILE.png   also as PNG; its name ends in .png\n"
    "  --plan                  in place of a picture: plans it, for the device and all heads, without running it, and says\n"
    "                          how long that takes, what it selects and visits, and what its parts and terms cost\n"
    "  --json                  with --plan: as a JSON object (docs/bench.md)\n"
    "\n"
    "In the terminal darker is more of a cell's pairs; a dot is computed without being selected; with colours blue\n"
    "is in full runs, yellow in bands, green in runs with a bit a pair.\n"
    "\n" HELP_SPEC "\n" HELP_STATUS;

enum {
    Q_LEN = 256,
    KV_LEN,
    CAUSAL,
    Q_OFFSET,
    HEADS,
    KV_HEADS,
    HEAD,
    Q,
    K,
    TOKENS,
    SCALE,
    SOFTCAP,
    LAYOUT,
    KERNEL,
    DEVICE,
    PLAN,
    JSON,
    CACHE,
    NO_CACHE
};

static const struct option options[] = {
    { "q-len", required_argument, NULL, Q_LEN },
    { "kv-len", required_argument, NULL, KV_LEN },
    { "causal", no_argument, NULL, CAUSAL },
    { "q-offset", required_argument, NULL, Q_OFFSET },
    { "heads", required_argument, NULL, HEADS },
    { "kv-heads", required_argument, NULL, KV_HEADS },
    { "head", required_argument, NULL, HEAD },
    { "q", required_argument, NULL, Q },
    { "k", required_argument, NULL, K },
    { "tokens", required_argument, NULL, TOKENS },
    { "scale", required_argument, NULL, SCALE },
    { "softcap", required_argument, NULL, SOFTCAP },
    { "layout", required_argument, NULL, LAYOUT },
    { "kernel", required_argument, NULL, KERNEL },
    { "device", required_argument, NULL, DEVICE },
    { "plan", no_argument, NULL, PLAN },
    { "json", no_argument, NULL, JSON },
    { "output", required_argument, NULL, 'o' },
    CACHE_FILE_OPTIONS(CACHE, NO_CACHE),
    { "help", no_argument, NULL, 'h' },
    { 0 },
};

struct request {
    const char *spec, *q, *k, *tokens, *kernel, *device, *output;
    int64_t q_len, kv_len, q_offset, heads, kv_heads, head;
    float scale, softcap;
    bool causal, bshd, has_q_offset, plan, json;
    struct cache_file cache;
};

struct work {
    struct tensor q, k;
    struct labels labels;
    tulle_pattern **patterns;
    uint32_t pattern_count;
    int32_t q_offset;
    tulle_attention_desc desc;
    tulle_context *context;
    struct grid grid;
    struct outputs outputs;
};

// Returns -1 to go on, else an exit status.
static int read_options(int argc, char **argv, struct request *r) {
    struct message m;
    bool good = true;
    int option;
    const char *of_weights = NULL;  // an option that changes nothing without --q and --k
    *r = (struct request){ 0 };
    while (good && (option = getopt_long(argc, argv, "o:h", options, NULL)) != -1) {
        switch (option) {
        case Q_LEN: good = parse_integer("--q-len", optarg, 1, INT32_MAX, &r->q_len, &m); break;
        case KV_LEN: good = parse_integer("--kv-len", optarg, 1, INT32_MAX, &r->kv_len, &m); break;
        case CAUSAL: r->causal = true; break;
        case Q_OFFSET:
            r->has_q_offset = true;
            good = parse_integer("--q-offset", optarg, INT32_MIN, INT32_MAX, &r->q_offset, &m);
            break;
        case HEADS: good = parse_integer("--heads", optarg, 1, INT32_MAX, &r->heads, &m); break;
        case KV_HEADS:
            good = parse_integer("--kv-heads", optarg, 1, INT32_MAX, &r->kv_heads, &m);
            break;
        case HEAD: good = parse_integer("--head", optarg, 0, INT32_MAX, &r->head, &m); break;
        case Q: r->q = optarg; break;
        case K: r->k = optarg; break;
        case TOKENS: r->tokens = optarg; break;
        case SCALE:
            of_weights = "--scale";
            good = parse_real("--scale", optarg, false, &r->scale, &m);
            break;
        case SOFTCAP:
            of_weights = "--softcap";
            good = parse_real("--softcap", optarg, true, &r->softcap, &m);
            break;
        case LAYOUT:
            of_weights = "--layout";
            r->bshd = !strcmp(optarg, "bshd");
            if (!r->bshd && strcmp(optarg, "bhsd"))
                good = refuse(&m, "--layout is '%s'; bhsd or bshd is wanted", optarg);
            break;
        case KERNEL: r->kernel = optarg; break;
        case DEVICE: r->device = optarg; break;
        case PLAN: r->plan = true; break;
        case JSON: r->json = true; break;
        case 'o': r->output = optarg; break;
        case CACHE: r->cache.given = optarg; break;
        case NO_CACHE: r->cache.none = true; break;
        case 'h': return print_out("show", help);
        default: fputs("Try 'tulle show --help'.\n", stderr); return STATUS_BAD_INPUT;
        }
    }
    if (!good) return fail_usage("show", "%s", m.text);
    if (optind == argc) return fail_usage("show", "SPEC is missing");
    if (optind + 1 < argc) return fail_usage("show", "'%s' is one SPEC too many", argv[optind + 1]);
    r->spec = argv[optind];
    if (!r->q != !r->k)
        return fail_usage("show", "%s is given without %s", r->q ? "--q" : "--k",
                          r->q ? "--k" : "--q");
    if (!r->q && !r->q_len && !r->kv_len)
        return fail_usage("show", "--q-len and --kv-len are missing (or --q and --k)");
    if (of_weights && !r->q)
        return fail_usage(
            "show", "%s is given without --q and --k; it changes only the weights drawn from them",
            of_weights);
    if (r->json && !r->plan) return fail_usage("show", "--json is given without --plan");
    if (r->plan && (r->output || r->tokens))
        return fail_usage("show", "%s is given with --plan, which draws nothing",
                          r->output ? "-o" : "--tokens");
    const size_t name = r->output ? strlen(r->output) : 0;
    if (r->output && (name < 4 || strcasecmp(r->output + name - 4, ".png")))
        return fail_usage("show", "-o is '%s'; a name that ends in .png is wanted", r->output);
    if (r->output && !picture_available())
        return fail_usage("show", "-o: this tulle was built without cairo and draws no PNG");
    return -1;
}

// Takes a length or count from an array, and refuses an option that says something else.
static bool agree(const char *option, int64_t *asked, uint32_t there, const char *from,
                  struct message *m) {
    if (*asked && *asked != there)
        return refuse(m, "%s is %lld, but %s has %u", option, (long long)*asked, from, there);
    *asked = there;
    return true;
}

static bool read_inputs(struct request *r, struct work *w, struct message *m) {
    if (r->q) {
        if (!tensor_read(&w->q, "--q", r->q, r->bshd, m) ||
            !tensor_read(&w->k, "--k", r->k, r->bshd, m) ||
            !agree("--q-len", &r->q_len, w->q.length, "--q", m) ||
            !agree("--kv-len", &r->kv_len, w->k.length, "--k", m) ||
            !agree("--heads", &r->heads, w->q.heads, "--q", m) ||
            !agree("--kv-heads", &r->kv_heads, w->k.heads, "--k", m))
            return false;
        if (w->q.dim != w->k.dim)
            return refuse(m, "--q has a last axis of %u and --k of %u; they must agree", w->q.dim,
                          w->k.dim);
    }
    if (!r->q_len) r->q_len = r->kv_len;
    if (!r->kv_len) r->kv_len = r->q_len;
    if (!r->heads) {
        const int64_t least = r->head + 1 > w->pattern_count ? r->head + 1 : w->pattern_count,
                      group = r->kv_heads ? r->kv_heads : 1;
        r->heads = (least + group - 1) / group * group;
    }
    if (!r->kv_heads) r->kv_heads = r->heads;
    if (r->heads % r->kv_heads)
        return refuse(m, "there are %lld heads and %lld kv heads, which do not divide them",
                      (long long)r->heads, (long long)r->kv_heads);
    if (r->head >= r->heads)
        return refuse(m, "--head is %lld; there are %lld heads, from 0 on", (long long)r->head,
                      (long long)r->heads);
    if (!check_specs("SPEC", w->pattern_count, r->heads, m)) return false;
    if (r->tokens) {
        struct message reason;
        if (!labels_read(&w->labels, r->tokens, &reason))
            return refuse(m, "--tokens: %s", reason.text);
        if (w->labels.count != (uint64_t)r->kv_len)
            return refuse(m, "--tokens: '%s' has %zu words; there are %lld keys", r->tokens,
                          w->labels.count, (long long)r->kv_len);
    }
    return true;
}

static void describe(const struct request *r, struct work *w) {
    w->q_offset = (int32_t)r->q_offset;
    w->desc = (tulle_attention_desc){
        .heads = (uint32_t)r->heads,
        .kv_heads = (uint32_t)r->kv_heads,
        .q_len = (uint32_t)r->q_len,
        .kv_len = (uint32_t)r->kv_len,
        .head_dim = r->q ? w->q.dim : 64,
        .dtype = r->q ? w->q.dtype : TULLE_F32,
        .buffer_usage = TULLE_USAGE_HOST,
        .scale = r->scale,
        .softcap = r->softcap,
        .causal = r->causal,
        .patterns = (const tulle_pattern *const *)w->patterns,
        .pattern_count = w->pattern_count,
        .q_align = r->has_q_offset ? TULLE_ALIGN_GIVEN : TULLE_ALIGN_LAST_KEY,
        .q_offsets = r->has_q_offset ? &w->q_offset : NULL,
        .q_offset_count = r->has_q_offset,
        .kernel = r->kernel,
    };
}

static tulle_result make_grid(struct work *w, const struct request *r, uint32_t most_rows,
                              uint32_t most_cols, double row_scale, tulle_error *error) {
    const struct grid_request request = { .context = w->context,
                                          .desc = &w->desc,
                                          .head = (uint32_t)r->head,
                                          .most_rows = most_rows,
                                          .most_cols = most_cols,
                                          .row_scale = row_scale };
    grid_free(&w->grid);
    progress_start("picture");
    tulle_result result = grid_make(&w->grid, &request, error);
    if (!result && r->q) result = grid_add_weights(&w->grid, &request, &w->q, &w->k, error);
    progress_stop();
    return result;
}

// One line in figures; UTF-8.
static void summarize(const struct grid *grid, const struct request *r, char *text, size_t size) {
    const double computed = grid->computed[0] + grid->computed[1] + grid->computed[2];
    const double all = (double)grid->q_len * (double)grid->kv_len;
    const char *about = grid->exact ? "" : "about ";
    int at = snprintf(
        text, size,
        "%lld queries x %lld keys%s, head %lld: %s%.4g %% of dense selected (%s%.0f pairs), %.4g %% computed",
        (long long)grid->q_len, (long long)grid->kv_len, r->causal ? ", causal" : "",
        (long long)r->head, about, 100 * grid->share, about, grid->share * all,
        100 * computed / all);
    if (computed > 0 && at > 0 && (size_t)at < size)
        snprintf(text + at, size - (size_t)at, " (full runs %.3g %%, bands %.3g %%, bits %.3g %%)",
                 100 * grid->computed[0] / all, 100 * grid->computed[1] / all,
                 100 * grid->computed[2] / all);
}

static int draw_terminal(const struct request *r, struct work *w, const char *spec) {
    tulle_error error;
    char summary[400];
    const bool color = is_terminal(stdout) && !getenv("NO_COLOR");
    const int room = terminal_columns() - 12 - (r->q ? 4 : 2), panel = room / (r->q ? 2 : 1);
    // A pair is two characters wide where all fit, so that it is about square; else one, twice as
    // many rows to a cell.
    const bool wide = r->kv_len * 2 <= panel && r->q_len <= 64;
    // A row of its own for each token, where they fit, is worth a picture that is too high.
    const bool each = wide || (r->tokens && r->q_len <= 64 && r->kv_len <= panel);
    const uint32_t most = panel < 8 ? 8 : panel > 96 ? 96 : (uint32_t)panel;
    if (make_grid(w, r, each ? 64 : 48, most, each ? 1 : 2, &error))
        return fail_tulle("show", &error);
    const struct terminal_style style = { .unicode = utf8_locale(),
                                          .color = color,
                                          .wide = wide,
                                          .labels = r->tokens ? &w->labels : NULL };
    summarize(&w->grid, r, summary, sizeof summary);
    printf("%s\n", spec);
    terminal_draw(stdout, &w->grid, &style);
    printf("%s\n", summary);
    if (fflush(stdout) || ferror(stdout))
        return fail("show", STATUS_FAILED, "cannot write to standard output: %s", strerror(errno));
    return STATUS_OK;
}

static int draw_png(const struct request *r, struct work *w, const char *spec, FILE *file) {
    struct message m;
    tulle_error error;
    char summary[400], title[500];
    if (make_grid(w, r, PICTURE_MOST_CELLS, PICTURE_MOST_CELLS, 1, &error))
        return fail_tulle("show", &error);
    summarize(&w->grid, r, summary, sizeof summary);
    label_short(spec, 120, false, title, sizeof title);
    const struct picture picture = { .grid = &w->grid,
                                     .labels = r->tokens ? &w->labels : NULL,
                                     .title = title,
                                     .subtitle = summary };
    if (!picture_write(file, &picture, &m) || !outputs_commit(&w->outputs, &m))
        return fail("show", STATUS_FAILED, "%s", m.text);
    return STATUS_OK;
}

static int tell_plan(const struct request *r, const struct work *w) {
    struct plan_report report;
    tulle_error error;
    progress_start("planning");
    const tulle_result result = plan_report_make(w->context, &w->desc, &report, &error);
    progress_stop();
    const int status = result    ? fail_tulle("show", &error)
                       : r->json ? plan_report_json(&report, &w->desc)
                                 : plan_report_text(&report);
    plan_report_free(&report);
    return status;
}

static int show(struct request *r, struct work *w) {
    struct message m;
    tulle_error error;
    char spec[4000];
    if (tulle_pattern_parse(r->spec, &spec_files, &w->patterns, &w->pattern_count, &error))
        return fail_tulle("show", &error);
    if (!read_inputs(r, w, &m)) return fail("show", STATUS_BAD_INPUT, "%s", m.text);
    describe(r, w);
    // A device only tells which kernel would be chosen; a device that was named must be there.
    if (open_device(r->device, cache_file_use(&r->cache), &w->context, &error)) {
        if (r->device || r->plan) return fail_tulle("show", &error);
        if (r->kernel)
            fprintf(stderr, "tulle show: no device (%s): runs as base's default tile takes them\n",
                    error.message);
        w->desc.kernel = NULL;
    }
    if (r->plan) return tell_plan(r, w);
    FILE *file = NULL;
    if (r->output && !(file = outputs_add(&w->outputs, r->output, &m)))
        return fail("show", STATUS_BAD_INPUT, "-o: %s", m.text);
    tulle_pattern_print(w->patterns[(uint64_t)r->head % w->pattern_count], spec, sizeof spec);
    int status = draw_terminal(r, w, spec);
    if (!status && file) status = draw_png(r, w, spec, file);
    return status;
}

int show_main(int argc, char **argv) {
    struct request request;
    struct work work = { 0 };
    int status = read_options(argc, argv, &request);
    if (status >= 0) return status;
    status = show(&request, &work);
    outputs_discard(&work.outputs);
    grid_free(&work.grid);
    tulle_context_destroy(work.context);
    cache_file_free(&request.cache);
    tulle_patterns_free(work.patterns, work.pattern_count);
    labels_free(&work.labels);
    tensor_free(&work.q);
    tensor_free(&work.k);
    return status;
}
