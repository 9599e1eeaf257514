// SPDX-License-Identifier: MIT
//
// tulle run: files → tensors → plan → attention → files, and what it took.
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "cache/cache_file.h"
#include "common/cli.h"
#include "common/measure.h"
#include "arrays/npy.h"
#include "arrays/output.h"
#include "common/progress.h"
#include "common/figures.h"
#include "common/json.h"
#include "arrays/spec_files.h"
#include "arrays/tensor.h"

static const char help[] =
    "Usage: tulle run --q Q --k K --v V -o O.npy --pattern SPEC [OPTION ...]\n"
    "\n"
    "Attention of Q, K and V over the pairs that SPEC selects. Arrays are .npy files (float32 or float16,\n"
    "little-endian, C order) or FILE.safetensors[.index.json]:TENSOR (F32, F16, BF16) of shape [n,d], [h,n,d] or [b,h,n,d].\n"
    "O has Q's type (float32 for bfloat16) and shape with V's last axis. Nothing is written unless all succeeds.\n"
    "\n"
    "  --q, --k, --v FILE   the inputs; K and V may have fewer heads than Q, dividing them\n"
    "  -o, --output FILE    O as .npy; may be one of the inputs\n"
    "  --lse FILE           also the log-sum-exp of each row as float32 .npy: [b,h,n], without the axes that Q lacks\n"
    "  --pattern SPEC       which pairs; see below\n"
    "  --causal             only keys at or before the query\n"
    "  --scale X            of the scores; default 1/sqrt(d)\n"
    "  --softcap X          scores become X tanh(score / X)\n"
    "  --alibi FILE         float32 or float16 [h]: slopes, minus slope times distance is added to the scores\n"
    "  --sink-logits FILE   float32 or float16 [h]: one more logit in each row's denominator\n"
    "  --layout bhsd|bshd   order of axes; bshd is [b,n,h,d]; default bhsd\n"
    "  --q-offset N         position of the first query; default: the last query stands at the last key\n"
    "  --q-lengths FILE     whole numbers [b]: queries that exist in each batch entry\n"
    "  --kv-lengths FILE    whole numbers [b]: keys that exist\n"
    "  --kv-starts FILE     whole numbers [b]: the first key that exists\n"
    "  --page-table FILE    int32 [b,n]: K and V are pools of pages, [pages,h,page,d] ([pages,page,h,d] with bshd), and\n"
    "                       key j of batch entry i is row j mod page of page FILE[i][j / page]; page is a power of two up\n"
    "                       to 1024; there are n times page keys, or as many as --kv-lengths says\n"
    "  --packed FILE        whole numbers [s+1], cumulative lengths, from 0: one batch entry holds s sequences one after\n"
    "                       the other, each attended to alone, positions from its own start\n"
    "  --cu-seqlens FILE    the same with Q, K, V and O of shape [rows,h,d]\n"
    "  --cu-kv FILE         K's and V's cumulative lengths, where they differ from Q's\n"
    "  --trees FILE         0/1 [t,t] or [b,t,t]: which of an entry's last keys, those of its own t query rows, each row\n"
    "                       sees, whatever SPEC and --causal say (speculative decoding)\n"
    "  --device N           index from 'tulle info', or part of a name; default: the best\n"
    "  --kernel NAME        a kernel's name or a prefix such as base; default: the best\n" HELP_CACHE_FILE
    "  --repeat N           time the median of N runs (after one untimed); default 1\n"
    "  --json               report on standard output as a JSON object: device, driver, kernel, tuned, ms, plan_ms,\n"
    "                       compile_ms, pairs, visited, share, gflops, workspace_bytes\n"
    "\n";
// a string is 4095 characters long at most
static const char help_end[] = HELP_SPEC "\n" HELP_STATUS;

enum {
    Q = 256,
    K,
    V,
    LSE,
    PATTERN,
    CAUSAL,
    SCALE,
    SOFTCAP,
    ALIBI,
    SINKS,
    LAYOUT,
    Q_OFFSET,
    Q_LENGTHS,
    KV_LENGTHS,
    KV_STARTS,
    PAGE_TABLE,
    PACKED,
    CU_SEQLENS,
    CU_KV,
    TREES,
    DEVICE,
    KERNEL,
    REPEAT,
    JSON,
    CACHE,
    NO_CACHE
};

static const struct option options[] = {
    { "q", required_argument, NULL, Q },
    { "k", required_argument, NULL, K },
    { "v", required_argument, NULL, V },
    { "output", required_argument, NULL, 'o' },
    { "lse", required_argument, NULL, LSE },
    { "pattern", required_argument, NULL, PATTERN },
    { "causal", no_argument, NULL, CAUSAL },
    { "scale", required_argument, NULL, SCALE },
    { "softcap", required_argument, NULL, SOFTCAP },
    { "alibi", required_argument, NULL, ALIBI },
    { "sink-logits", required_argument, NULL, SINKS },
    { "layout", required_argument, NULL, LAYOUT },
    { "q-offset", required_argument, NULL, Q_OFFSET },
    { "q-lengths", required_argument, NULL, Q_LENGTHS },
    { "kv-lengths", required_argument, NULL, KV_LENGTHS },
    { "kv-starts", required_argument, NULL, KV_STARTS },
    { "page-table", required_argument, NULL, PAGE_TABLE },
    { "packed", required_argument, NULL, PACKED },
    { "cu-seqlens", required_argument, NULL, CU_SEQLENS },
    { "cu-kv", required_argument, NULL, CU_KV },
    { "trees", required_argument, NULL, TREES },
    { "device", required_argument, NULL, DEVICE },
    { "kernel", required_argument, NULL, KERNEL },
    { "repeat", required_argument, NULL, REPEAT },
    { "json", no_argument, NULL, JSON },
    CACHE_FILE_OPTIONS(CACHE, NO_CACHE),
    { "help", no_argument, NULL, 'h' },
    { 0 },
};

// What the command line says, before any file is opened.
struct request {
    const char *q, *k, *v, *o, *lse, *spec, *alibi, *sinks, *q_lengths, *kv_lengths, *kv_starts,
        *page_table, *packed, *cu_seqlens, *cu_kv, *trees, *device, *kernel;
    float scale, softcap;
    int64_t q_offset, repeat;
    bool causal, bshd, has_q_offset, json;
    struct cache_file cache;
};

// What is made on the way and must be given back.
struct work {
    struct tensor q, k, v;
    tulle_pattern **patterns;
    uint32_t pattern_count;
    int32_t q_offset, *q_lengths, *kv_lengths, *kv_starts, *page_table, *cu_q, *cu_kv;
    uint32_t table_columns;  // pages a batch entry; 0: K and V are not paged
    uint32_t sequences;      // packed; 0: none are
    uint32_t *trees, tree_rows;
    uint32_t *entry_pattern;  // where specs differ by batch entry
    float *slopes, *sinks, *lse;
    void *o;
    struct outputs outputs;
    FILE *o_file, *lse_file;
    tulle_attention_desc desc;
    tulle_context *context;
    tulle_plan *plan;
};

// Returns -1 to go on, else an exit status.
static int read_options(int argc, char **argv, struct request *r) {
    struct message m;
    bool good = true;
    int option;
    *r = (struct request){ .repeat = 1 };
    while (good && (option = getopt_long(argc, argv, "o:h", options, NULL)) != -1) {
        switch (option) {
        case Q: r->q = optarg; break;
        case K: r->k = optarg; break;
        case V: r->v = optarg; break;
        case 'o': r->o = optarg; break;
        case LSE: r->lse = optarg; break;
        case PATTERN: r->spec = optarg; break;
        case CAUSAL: r->causal = true; break;
        case SCALE: good = parse_real("--scale", optarg, false, &r->scale, &m); break;
        case SOFTCAP: good = parse_real("--softcap", optarg, true, &r->softcap, &m); break;
        case ALIBI: r->alibi = optarg; break;
        case SINKS: r->sinks = optarg; break;
        case LAYOUT:
            r->bshd = !strcmp(optarg, "bshd");
            if (!r->bshd && strcmp(optarg, "bhsd"))
                good = refuse(&m, "--layout is '%s'; bhsd or bshd is wanted", optarg);
            break;
        case Q_OFFSET:
            r->has_q_offset = true;
            good = parse_integer("--q-offset", optarg, INT32_MIN, INT32_MAX, &r->q_offset, &m);
            break;
        case Q_LENGTHS: r->q_lengths = optarg; break;
        case KV_LENGTHS: r->kv_lengths = optarg; break;
        case KV_STARTS: r->kv_starts = optarg; break;
        case PAGE_TABLE: r->page_table = optarg; break;
        case PACKED: r->packed = optarg; break;
        case CU_SEQLENS: r->cu_seqlens = optarg; break;
        case CU_KV: r->cu_kv = optarg; break;
        case TREES: r->trees = optarg; break;
        case DEVICE: r->device = optarg; break;
        case KERNEL: r->kernel = optarg; break;
        case REPEAT: good = parse_integer("--repeat", optarg, 1, 1000000, &r->repeat, &m); break;
        case JSON: r->json = true; break;
        case CACHE: r->cache.given = optarg; break;
        case NO_CACHE: r->cache.none = true; break;
        case 'h': {
            const int status = print_out("run", help);
            return status ? status : print_out("run", help_end);
        }
        default: fputs("Try 'tulle run --help'.\n", stderr); return STATUS_BAD_INPUT;
        }
    }
    if (!good) return fail_usage("run", "%s", m.text);
    r->bshd = r->bshd || r->cu_seqlens;
    if (optind < argc) return fail_usage("run", "'%s' belongs to no option", argv[optind]);
    const char *missing = !r->q      ? "--q"
                          : !r->k    ? "--k"
                          : !r->v    ? "--v"
                          : !r->o    ? "-o"
                          : !r->spec ? "--pattern"
                                     : NULL;
    if (missing) return fail_usage("run", "%s is missing", missing);
    if (r->packed && r->cu_seqlens)
        return fail_usage("run", "--packed and --cu-seqlens are both given; one is wanted");
    if (r->page_table && (r->packed || r->cu_seqlens))
        return fail_usage("run", "--page-table and %s are both given; one is wanted",
                          r->packed ? "--packed" : "--cu-seqlens");
    if (r->cu_kv && !r->packed && !r->cu_seqlens)
        return fail_usage("run", "--cu-kv is given without --packed or --cu-seqlens");
    if (r->trees && r->has_q_offset)
        return fail_usage("run", "--trees and --q-offset are both given; with trees the queries "
                                 "stand at the last keys");
    return -1;
}

// The shapes that must agree, said in terms of the options. What the library checks by itself is
// left to it.
static bool check_shapes(const struct work *w, bool paged, struct message *m) {
    const struct tensor *q = &w->q, *k = &w->k, *v = &w->v;
    if (k->dtype != q->dtype || v->dtype != q->dtype)
        return refuse(m, "--q, --k and --v hold %s, %s and %s; they must be of one type",
                      element_name(q->array.element), element_name(k->array.element),
                      element_name(v->array.element));
    if (paged && (!k->has_batch || !v->has_batch))
        return refuse(m, "%s has no axis of pages; with --page-table four axes are wanted",
                      k->has_batch ? "--v" : "--k");
    if (paged && v->batch != k->batch)
        return refuse(m, "--k and --v have %u and %u pages; they must have as many", k->batch,
                      v->batch);
    if (!paged && (k->batch != q->batch || v->batch != q->batch))
        return refuse(m,
                      "--q, --k and --v have %u, %u and %u batch entries; they must have as many",
                      q->batch, k->batch, v->batch);
    if (v->heads != k->heads || v->length != k->length)
        return refuse(m, "--v has %u heads of %u keys, --k has %u heads of %u; they must agree",
                      v->heads, v->length, k->heads, k->length);
    if (q->heads % k->heads)
        return refuse(m, "--q has %u heads and --k %u, which does not divide them", q->heads,
                      k->heads);
    if (k->dim != q->dim)
        return refuse(m, "--q has a last axis of %u and --k of %u; they must agree", q->dim,
                      k->dim);
    return true;
}

static bool read_sequences(const struct request *r, struct work *w, struct message *m) {
    const struct tensor *const inputs[] = { &w->q, &w->k, &w->v };
    static const char *const names[] = { "--q", "--k", "--v" };
    for (int i = 0; i < 3 && r->cu_seqlens; i++)
        if (inputs[i]->has_batch || !inputs[i]->has_heads)
            return refuse(m, "%s has %s; with --cu-seqlens shape [rows,h,d] is wanted", names[i],
                          inputs[i]->has_batch ? "a batch axis" : "no axis of heads");
    if (r->packed && w->q.batch > 1)
        return refuse(m, "--q has %u batch entries; with --packed there must be one", w->q.batch);
    const char *option = r->packed ? "--packed" : "--cu-seqlens",
               *path = r->packed ? r->packed : r->cu_seqlens;
    return (!path || (w->cu_q = read_cumulative(option, path, &w->sequences, m))) &&
           (!r->cu_kv || (w->cu_kv = read_cumulative("--cu-kv", r->cu_kv, &w->sequences, m)));
}

static bool read_inputs(const struct request *r, struct work *w, struct message *m) {
    if (!tensor_read(&w->q, "--q", r->q, r->bshd, m) ||
        !tensor_read(&w->k, "--k", r->k, r->bshd, m) ||
        !tensor_read(&w->v, "--v", r->v, r->bshd, m) || !check_shapes(w, r->page_table, m) ||
        !read_sequences(r, w, m))
        return false;
    const uint32_t batch = w->q.batch, heads = w->q.heads,
                   entries = w->sequences ? w->sequences : batch;
    return (!r->trees || (w->trees = read_trees("--trees", r->trees, entries, &w->tree_rows, m))) &&
           (!r->q_lengths ||
            (w->q_lengths = read_integers("--q-lengths", r->q_lengths, batch, "batch entry", m))) &&
           (!r->kv_lengths || (w->kv_lengths = read_integers("--kv-lengths", r->kv_lengths, batch,
                                                             "batch entry", m))) &&
           (!r->kv_starts ||
            (w->kv_starts = read_integers("--kv-starts", r->kv_starts, batch, "batch entry", m))) &&
           (!r->page_table ||
            (w->page_table = read_integer_rows("--page-table", r->page_table, batch, "batch entry",
                                               &w->table_columns, m))) &&
           (!r->alibi || (w->slopes = read_reals("--alibi", r->alibi, heads, "head", m))) &&
           (!r->sinks || (w->sinks = read_reals("--sink-logits", r->sinks, heads, "head", m)));
}

// Returns a status.
static int read_patterns(const struct request *r, struct work *w) {
    struct message m;
    tulle_error error;
    if (strchr(r->spec, '|')) {
        const uint32_t entries = w->sequences ? w->sequences : w->q.batch;
        w->entry_pattern = calloc((size_t)entries * w->q.heads, sizeof *w->entry_pattern);
        if (!w->entry_pattern) return fail("run", STATUS_FAILED, "out of memory for the patterns");
        return tulle_pattern_parse_entries(r->spec, &spec_files, entries, w->q.heads, &w->patterns,
                                           &w->pattern_count, w->entry_pattern, &error)
                   ? fail_tulle("run", &error)
                   : STATUS_OK;
    }
    if (tulle_pattern_parse(r->spec, &spec_files, &w->patterns, &w->pattern_count, &error))
        return fail_tulle("run", &error);
    return check_specs("--pattern", w->pattern_count, w->q.heads, &m)
               ? STATUS_OK
               : fail("run", STATUS_BAD_INPUT, "%s", m.text);
}

static void describe(const struct request *r, struct work *w) {
    const bool paged = w->page_table;
    const uint64_t keys = (uint64_t)w->k.length * (paged ? w->table_columns : 1);
    w->q_offset = (int32_t)r->q_offset;
    w->desc = (tulle_attention_desc){
        .batch = w->q.batch,
        .heads = w->q.heads,
        .kv_heads = w->k.heads,
        .q_len = w->q.length,
        .kv_len =
            keys < UINT32_MAX ? (uint32_t)keys : UINT32_MAX,  // the library says what is too much
        .head_dim = w->q.dim,
        .v_head_dim = w->v.dim,
        .dtype = w->q.dtype,
        .buffer_usage = TULLE_USAGE_HOST,
        .o_dtype = w->q.dtype == TULLE_BF16 ? TULLE_O_F32 : TULLE_O_AS_INPUT,
        .q = w->q.strides,
        .k = w->k.strides,
        .v = w->v.strides,
        .o = tensor_strides(w->q.heads, w->q.length, w->v.dim, r->bshd),
        .lse = r->lse != NULL,
        .scale = r->scale,
        .softcap = r->softcap,
        .causal = r->causal,
        .patterns = (const tulle_pattern *const *)w->patterns,
        .pattern_count = w->pattern_count,
        .q_align = r->has_q_offset ? TULLE_ALIGN_GIVEN : TULLE_ALIGN_LAST_KEY,
        .q_offsets = r->has_q_offset ? &w->q_offset : NULL,
        .q_offset_count = r->has_q_offset,
        .q_lengths = w->q_lengths,
        .kv_lengths = w->kv_lengths,
        .kv_starts = w->kv_starts,
        .page_size = paged ? w->k.length : 0,
        .pages = paged ? w->k.batch : 0,
        .table_columns = w->table_columns,
        .entry_pattern = w->entry_pattern,
        .sequences = w->sequences,
        .cu_q = w->cu_q,
        .cu_kv = w->cu_kv,
        .trees = w->trees,
        .tree_rows = w->tree_rows,
        .alibi_slopes = w->slopes,
        .sink_logits = w->sinks,
        .kernel = r->kernel,
    };
}

static bool write_outputs(const struct request *r, struct work *w, struct message *m) {
    int64_t shape[4];
    const uint32_t axes = tensor_shape(&w->q, w->v.dim, r->bshd, shape);
    if (!npy_write(w->o_file, w->q.dtype == TULLE_F16 ? ELEMENT_F16 : ELEMENT_F32, shape, axes,
                   w->o))
        return refuse(m, "cannot write '%s': %s", r->o, strerror(errno));
    // LSE is [b, h, n] in either layout.
    tensor_shape(&w->q, w->v.dim, false, shape);
    if (w->lse_file && !npy_write(w->lse_file, ELEMENT_F32, shape, axes - 1, w->lse))
        return refuse(m, "cannot write '%s': %s", r->lse, strerror(errno));
    return true;
}

static int report(const struct request *r, const struct figures *figures) {
    if (!r->json) {
        figures_text(stderr, figures);
        return STATUS_OK;
    }
    cJSON *object = cJSON_CreateObject();
    figures_add(object, figures);
    return json_print("run", object);
}

static int run(struct request *r, struct work *w) {
    struct message m;
    tulle_error error;
    struct figures figures;
    if (!read_inputs(r, w, &m)) return fail("run", STATUS_BAD_INPUT, "%s", m.text);
    int status = read_patterns(r, w);
    if (status) return status;
    describe(r, w);

    // Outputs are opened before the work: a folder that cannot be written should not cost an hour
    // of computing.
    const size_t rows = (size_t)w->q.batch * w->q.heads * w->q.length,
                 o_size = w->q.dtype == TULLE_F16 ? 2 : 4;
    w->o_file = outputs_add(&w->outputs, r->o, &m);
    if (!w->o_file) return fail("run", STATUS_BAD_INPUT, "-o: %s", m.text);
    if (r->lse && !(w->lse_file = outputs_add(&w->outputs, r->lse, &m)))
        return fail("run", STATUS_BAD_INPUT, "--lse: %s", m.text);
    w->o = rows > SIZE_MAX / 4 / w->v.dim ? NULL : malloc(rows * w->v.dim * o_size);
    w->lse = malloc(rows * sizeof *w->lse);
    if (!w->o || !w->lse) return fail("run", STATUS_FAILED, "out of memory for the output");

    if (open_device(r->device, cache_file_use(&r->cache), &w->context, &error) ||
        tulle_plan_create(w->context, &w->desc, &w->plan, &error))
        return fail_tulle("run", &error);
    static char label[] = "attention";
    const tulle_host_arrays arrays = { .q = w->q.array.data,
                                       .k = w->k.array.data,
                                       .v = w->v.array.data,
                                       .o = w->o,
                                       .lse = r->lse ? w->lse : NULL,
                                       .page_table = w->page_table };
    tulle_timing timing = { .repeat = (uint32_t)r->repeat };
    if (progress_start(label)) timing.progress = progress_follow, timing.progress_user = label;
    const tulle_result result =
        measure(w->context, w->plan, &w->desc, &arrays, &timing, &figures, &error);
    progress_stop();
    if (result) return fail_tulle("run", &error);

    // The report goes first: where it cannot be printed, that too is an error that leaves no file.
    if (!write_outputs(r, w, &m)) return fail("run", STATUS_FAILED, "%s", m.text);
    status = report(r, &figures);
    if (status) return status;
    if (!outputs_commit(&w->outputs, &m)) return fail("run", STATUS_FAILED, "%s", m.text);
    cache_file_save(&r->cache, w->context, "run");
    return STATUS_OK;
}

int run_main(int argc, char **argv) {
    struct request request;
    struct work work = { 0 };
    int status = read_options(argc, argv, &request);
    if (status >= 0) return status;
    status = run(&request, &work);
    outputs_discard(&work.outputs);
    tulle_plan_destroy(work.plan);
    tulle_context_destroy(work.context);
    cache_file_free(&request.cache);
    tulle_patterns_free(work.patterns, work.pattern_count);
    tensor_free(&work.q);
    tensor_free(&work.k);
    tensor_free(&work.v);
    free(work.q_lengths);
    free(work.kv_lengths);
    free(work.kv_starts);
    free(work.page_table);
    free(work.cu_q);
    free(work.cu_kv);
    free(work.trees);
    free(work.entry_pattern);
    free(work.slopes);
    free(work.sinks);
    free(work.lse);
    free(work.o);
    return status;
}
