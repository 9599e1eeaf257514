// SPDX-License-Identifier: MIT

#include "cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

// -------------------------------------------------------------------------------------------------
// Levels

static const char *const factor_names[FACTOR_COUNT] = {
    "pattern", "shape",   "heads",     "dim",      "dtype",   "o",    "causal",
    "align",   "lengths", "layout",    "scale",    "softcap", "bias", "lse",
    "data",    "spoiled", "workspace", "dispatch", "usage",   "way",  "kernel",
};

// q_len x kv_len: one row, one key, tile edges and their neighbours, more rows than keys, decode.
static const int64_t shapes[][2] = { { 1, 1 },     { 3, 17 },    { 17, 3 },   { 64, 64 },
                                     { 100, 129 }, { 129, 100 }, { 1, 257 },  { 257, 1 },
                                     { 64, 257 },  { 257, 257 }, { 200, 33 }, { 16, 513 } };
static const int64_t heads[][3] = { { 1, 1, 1 }, { 2, 4, 4 }, { 1, 16, 1 }, { 1, 8, 2 },
                                    { 3, 6, 3 }, { 2, 2, 1 }, { 1, 12, 4 }, { 1, 5, 5 } };
static const int64_t dims[][2] = { { 4, 4 },     { 8, 8 },     { 20, 20 },  { 36, 36 },
                                   { 64, 64 },   { 80, 80 },   { 96, 96 },  { 128, 128 },
                                   { 192, 128 }, { 256, 256 }, { 32, 100 }, { 252, 12 },
                                   { 6, 6 },     { 33, 1 },    { 64, 130 }, { 576, 512 },
                                   { 260, 510 } };

static const char *const dtypes[] = { "f32", "f16", "bf16" };
static const char *const o_dtypes[] = { "as-input", "f32" };
static const char *const switches[] = { "off", "on" };
static const char *const aligns[] = { "last", "first", "given", "negative", "each", "trees" };
static const char *const lengths[] = { "none", "kv", "both", "starts", "all" };
static const char *const layouts[] = { "bhsd", "bshd", "padded", "broadcast" };
static const char *const scales[] = { "default", "given", "negative" };
static const char *const softcaps[] = { "none", "1.5", "30" };
static const char *const biases[] = { "none", "alibi", "sinks", "both" };
static const char *const data[] = { "normal", "rising", "spiky", "huge" };
static const char *const workspaces[] = { "default", "least" };
static const char *const dispatches[] = { "default", "small", "small-alone" };
static const char *const usages[] = { "storage", "all" };
static const char *const ways[] = { "own",    "own-floor",           "import-record",
                                    "import", "import-floor-record", "import-floor" };

static char kernels[CASES_KERNELS_MOST][64];
static size_t kernel_count;

void cases_levels(size_t levels[FACTOR_COUNT]) {
    const size_t counts[FACTOR_COUNT] = {
        [F_PATTERN] = case_pattern_count(),
        [F_SHAPE] = COUNT(shapes),
        [F_HEADS] = COUNT(heads),
        [F_DIM] = COUNT(dims),
        [F_DTYPE] = COUNT(dtypes),
        [F_O_DTYPE] = COUNT(o_dtypes),
        [F_CAUSAL] = COUNT(switches),
        [F_ALIGN] = COUNT(aligns),
        [F_LENGTHS] = COUNT(lengths),
        [F_LAYOUT] = COUNT(layouts),
        [F_SCALE] = COUNT(scales),
        [F_SOFTCAP] = COUNT(softcaps),
        [F_BIAS] = COUNT(biases),
        [F_LSE] = COUNT(switches),
        [F_DATA] = COUNT(data),
        [F_SPOILED] = COUNT(switches),
        [F_WORKSPACE] = COUNT(workspaces),
        [F_DISPATCH] = COUNT(dispatches),
        [F_USAGE] = COUNT(usages),
        [F_WAY] = COUNT(ways),
        [F_KERNEL] = kernel_count,
    };
    memcpy(levels, counts, sizeof counts);
}

static const char *level_name(size_t factor, size_t level, char buffer[32]) {
    switch ((enum factor)factor) {
    case F_PATTERN: return case_pattern_name(level);
    case F_SHAPE:
        snprintf(buffer, 32, "%dx%d", (int)shapes[level][0], (int)shapes[level][1]);
        return buffer;
    case F_HEADS:
        snprintf(buffer, 32, "%dx%d/%d", (int)heads[level][0], (int)heads[level][1],
                 (int)heads[level][2]);
        return buffer;
    case F_DIM:
        snprintf(buffer, 32, "%d/%d", (int)dims[level][0], (int)dims[level][1]);
        return buffer;
    case F_DTYPE: return dtypes[level];
    case F_O_DTYPE: return o_dtypes[level];
    case F_CAUSAL:
    case F_LSE:
    case F_SPOILED: return switches[level];
    case F_ALIGN: return aligns[level];
    case F_LENGTHS: return lengths[level];
    case F_LAYOUT: return layouts[level];
    case F_SCALE: return scales[level];
    case F_SOFTCAP: return softcaps[level];
    case F_BIAS: return biases[level];
    case F_DATA: return data[level];
    case F_WORKSPACE: return workspaces[level];
    case F_DISPATCH: return dispatches[level];
    case F_USAGE: return usages[level];
    case F_WAY: return ways[level];
    case F_KERNEL: return kernels[level];
    case FACTOR_COUNT: break;
    }
    abort();
}

// -------------------------------------------------------------------------------------------------
// Kernels

// The variant's name with its dtype left open: "base_f16_q32k32" becomes "base_*_q32k32".
static void open_dtype(const char *name, char family[64]) {
    family[0] = '\0';
    for (const char *word = name; word != NULL;) {
        const char *end = strchr(word, '_');
        const int length = end == NULL ? (int)strlen(word) : (int)(end - word);
        bool is_dtype = false;
        for (size_t n = 0; n < COUNT(dtypes); n++) {
            is_dtype = is_dtype || ((int)strlen(dtypes[n]) == length &&
                                    strncmp(dtypes[n], word, (size_t)length) == 0);
        }
        const size_t at = strlen(family);
        snprintf(family + at, 64 - at, "%s%.*s", word == name ? "" : "_", is_dtype ? 1 : length,
                 is_dtype ? "*" : word);
        word = end == NULL ? NULL : end + 1;
    }
}

void cases_find_kernels(void) {
    const char *only = getenv("TULLE_TEST_KERNELS");
    kernel_count = 0;
    snprintf(kernels[kernel_count++], sizeof kernels[0], "best");
    // of every dtype: each has shapes of its own
    for (size_t asked = 0; asked < (size_t)MODE_COUNT * COUNT(dtypes); asked++) {
        const tulle_attention_desc desc = { .heads = 1,
                                            .q_len = 64,
                                            .kv_len = 64,
                                            .head_dim = 64,
                                            .dtype = (tulle_dtype)(asked % COUNT(dtypes)) };
        struct variants variants;
        harness_variants(harness_mode((enum mode)(asked / COUNT(dtypes)))->tulle, &desc, &variants);
        for (uint32_t n = 0; n < variants.count; n++) {
            char family[64];
            open_dtype(variants.names[n], family);
            bool known = false;
            for (size_t k = 0; k < kernel_count; k++) {
                known = known || strcmp(kernels[k], family) == 0;
            }
            if (known || (only != NULL && strstr(family, only) == NULL)) {
                continue;
            }
            if (kernel_count == COUNT(kernels)) {
                harness_fail("there are more kernels than the %zu that cases.c has room for",
                             COUNT(kernels));
            }
            memcpy(kernels[kernel_count++], family, sizeof family);
        }
    }
    if (kernel_count == 1) {
        harness_fail("TULLE_TEST_KERNELS=%s: no kernel's name holds that", only);
    }
}

size_t cases_kernel_count(void) { return kernel_count; }
const char *cases_kernel(size_t level) { return kernels[level]; }

// -------------------------------------------------------------------------------------------------
// As text

void case_print(const struct attention_case *from, char *text, size_t size) {
    int at = snprintf(text, size, "seed=%llu", (unsigned long long)from->seed);
    for (size_t f = 0; f < FACTOR_COUNT && at > 0 && (size_t)at < size; f++) {
        char buffer[32];
        at += snprintf(text + at, size - (size_t)at, " %s=%s", factor_names[f],
                       level_name(f, from->levels[f], buffer));
    }
}

static bool parse_word(const char *word, size_t length, struct attention_case *to) {
    size_t levels[FACTOR_COUNT];
    cases_levels(levels);
    for (size_t f = 0; f < FACTOR_COUNT; f++) {
        const size_t name = strlen(factor_names[f]);
        if (name + 1 > length || strncmp(word, factor_names[f], name) != 0 || word[name] != '=') {
            continue;
        }
        for (size_t level = 0; level < levels[f]; level++) {
            char buffer[32];
            const char *text = level_name(f, level, buffer);
            if (strlen(text) == length - name - 1 &&
                strncmp(text, word + name + 1, length - name - 1) == 0) {
                to->levels[f] = (uint8_t)level;
                return true;
            }
        }
    }
    return false;
}

bool case_parse(const char *text, struct attention_case *to, char *wrong, size_t size) {
    memset(to, 0, sizeof *to);
    for (const char *word = text + strspn(text, " "); *word != '\0'; word += strspn(word, " ")) {
        const size_t length = strcspn(word, " ");
        if (strncmp(word, "seed=", 5) == 0) {
            to->seed = strtoull(word + 5, NULL, 0);
        } else if (!parse_word(word, length, to)) {
            snprintf(wrong, size, "%.*s", (int)length, word);
            return false;
        }
        word += length;
    }
    return true;
}

enum mode case_mode(const struct attention_case *from) {
    static const enum mode modes[] = { MODE_OWN,    MODE_OWN_FLOOR,    MODE_IMPORT,
                                       MODE_IMPORT, MODE_IMPORT_FLOOR, MODE_IMPORT_FLOOR };
    return modes[from->levels[F_WAY]];
}

enum problem_way case_way(const struct attention_case *from) {
    return strstr(ways[from->levels[F_WAY]], "record") != NULL ? WAY_RECORD : WAY_HOST;
}

bool case_can_be(const struct attention_case *from) {
    const int64_t *dim = dims[from->levels[F_DIM]];
    return case_way(from) == WAY_HOST || (dim[0] % 4 == 0 && dim[1] % 4 == 0);
}

// -------------------------------------------------------------------------------------------------
// As a problem

// How much wider than it need be; on the device a multiple of 4 elements.
static int64_t gap(struct rng *rng, bool odd) {
    return odd ? rng_between(rng, 1, 7) : 4 * rng_between(rng, 0, 3);
}

static tulle_strides strides_of(struct rng *rng, const char *layout, bool output, bool odd,
                                int64_t batch, int64_t head_count, int64_t rows, int64_t dim) {
    tulle_strides strides;
    if (strcmp(layout, "bshd") == 0) {
        return (tulle_strides){ rows * head_count * dim, dim, head_count * dim };
    }
    strides.row = dim + gap(rng, odd);
    strides.head = rows * strides.row + gap(rng, odd);
    strides.batch = head_count * strides.head + gap(rng, odd);
    if (strcmp(layout, "broadcast") == 0 && !output) {
        const int64_t which = rng_between(rng, 1, 3);
        if (batch > 1 && (which & 1) != 0) {
            strides.batch = 0;
        }
        if (head_count > 1 && ((which & 2) != 0 || batch == 1)) {
            strides.head = 0;
        }
        if (rows > 1 && batch == 1 && head_count == 1) {
            strides.row = 0;
        }
    }
    return strides;
}

static void state_layout(const struct attention_case *from, struct problem *problem,
                         struct rng *rng) {
    const char *layout = layouts[from->levels[F_LAYOUT]];
    const bool host = case_way(from) == WAY_HOST;
    problem->strides_in_arrays = host && rng_chance(rng, 50);
    const bool odd = problem->strides_in_arrays && rng_chance(rng, 60);
    int64_t *leads[] = { &problem->q_lead, &problem->k_lead, &problem->v_lead, &problem->o_lead,
                         &problem->lse_lead };
    for (size_t n = 0; n < COUNT(leads); n++) {
        *leads[n] = odd && n < 4 ? rng_between(rng, 16, 90) : 4 * rng_between(rng, 4, 40);
    }
    if (strcmp(layout, "bhsd") == 0) {
        return;  // the default
    }
    problem->q_strides = strides_of(rng, layout, false, odd, problem->batch, problem->heads,
                                    problem->q_len, problem->head_dim);
    problem->k_strides = strides_of(rng, layout, false, odd, problem->batch, problem->kv_heads,
                                    problem->kv_len, problem->head_dim);
    problem->v_strides = strides_of(rng, layout, false, odd, problem->batch, problem->kv_heads,
                                    problem->kv_len, problem->v_head_dim);
    problem->o_strides = strides_of(rng, layout, true, odd, problem->batch, problem->heads,
                                    problem->q_len, problem->v_head_dim);
    // one row for all
    tulle_strides *inputs[] = { &problem->q_strides, &problem->k_strides, &problem->v_strides };
    bool *literal[] = { &problem->q_broadcast, &problem->k_broadcast, &problem->v_broadcast };
    for (uint64_t n = 0; n < 3 && strcmp(layout, "broadcast") == 0; n++) {
        if (rng_hash(from->seed, 200 + n) % 4 == 0) {
            *inputs[n] = (tulle_strides){ 0 };
            *literal[n] = true;
        }
    }
}

static const int32_t *lengths_up_to(struct problem *problem, struct rng *rng, int64_t length) {
    int32_t *made = problem_own(problem, (size_t)problem->batch, sizeof *made);
    for (int64_t b = 0; b < problem->batch; b++) {
        made[b] = (int32_t)(rng_chance(rng, 10)   ? 0
                            : rng_chance(rng, 20) ? length
                                                  : rng_between(rng, 0, length));
    }
    return made;
}

void case_trees(struct problem *problem, struct rng *rng) {
    const int64_t rows = problem->q_len, room = rows + rng_between(rng, 0, 40);
    if (rows > 256) {
        return;
    }
    const size_t side = (size_t)(room < 256 ? room : 256), words = (side + 31) / 32;
    uint8_t *trees = problem_own(problem, (size_t)(problem->batch * rows * rows), 1);
    uint32_t *bits = problem_own(problem, (size_t)problem->batch * side * words, sizeof *bits);
    const bool ancestors = rng_chance(rng, 50);
    const int64_t percent = rng_between(rng, 5, 95);
    for (int64_t b = 0; b < problem->batch; b++) {
        for (int64_t r = 0; r < (int64_t)side; r++) {
            uint32_t *row = bits + ((size_t)b * side + (size_t)r) * words;
            // what a parent sees, and itself
            const int64_t parent = r ? rng_between(rng, 0, r - 1) : 0;
            for (int64_t c = 0; c < (int64_t)words * 32; c++) {
                const bool known = r < rows && c < rows;
                bool on = rng_chance(rng, percent);
                if (known && ancestors) {
                    on = c == r || (r > 0 && trees[(b * rows + parent) * rows + c] != 0);
                }
                row[c / 32] |= (uint32_t)on << c % 32;
                if (known) {
                    trees[(b * rows + r) * rows + c] = on;
                }
            }
        }
    }
    problem->trees = trees;
    problem->tree_bits = bits;
    problem->tree_rows = (uint32_t)side;
}

static void state_lengths(const struct attention_case *from, struct problem *problem,
                          struct rng *rng) {
    const char *which = lengths[from->levels[F_LENGTHS]];
    const bool all = strcmp(which, "all") == 0;
    if (all || strcmp(which, "both") == 0) {
        problem->q_lengths = lengths_up_to(problem, rng, problem->q_len);
    }
    if (all || strcmp(which, "both") == 0 || strcmp(which, "kv") == 0) {
        problem->kv_lengths = lengths_up_to(problem, rng, problem->kv_len);
    }
    if (all || strcmp(which, "starts") == 0) {
        problem->kv_starts = lengths_up_to(
            problem, rng, rng_chance(rng, 70) ? problem->kv_len / 2 : problem->kv_len);
    }

    const char *align = aligns[from->levels[F_ALIGN]];
    if (strcmp(align, "last") == 0) {
        problem->align = TULLE_ALIGN_LAST_KEY;
    } else if (strcmp(align, "trees") == 0) {
        problem->align = TULLE_ALIGN_LAST_KEY;
        case_trees(problem, rng);
    } else if (strcmp(align, "first") == 0) {
        problem->align = TULLE_ALIGN_FIRST_KEY;
    } else {
        const bool each = strcmp(align, "each") == 0, negative = strcmp(align, "negative") == 0;
        problem->align = TULLE_ALIGN_GIVEN;
        problem->q_offset_count = each ? (uint32_t)problem->batch : 1;
        int32_t *offsets = problem_own(problem, problem->q_offset_count, sizeof *offsets);
        for (uint32_t n = 0; n < problem->q_offset_count; n++) {
            const int64_t low = negative ? -problem->q_len - 3 : each ? -problem->q_len / 2 : 0;
            offsets[n] = (int32_t)rng_between(rng, low, negative ? -1 : problem->kv_len + 9);
        }
        problem->q_offsets = offsets;
    }
}

static void state_numbers(const struct attention_case *from, struct problem *problem,
                          struct rng *rng) {
    static const float caps[] = { 0.0f, 1.5f, 30.0f };
    const float given = 0.05f + 0.3f * (float)rng_between(rng, 0, 100) / 100.0f;
    problem->scale = from->levels[F_SCALE] == 0   ? 0.0f
                     : from->levels[F_SCALE] == 1 ? given
                                                  : -given;
    problem->softcap = caps[from->levels[F_SOFTCAP]];
    float *slopes = problem_own(problem, (size_t)problem->heads, sizeof *slopes);
    float *sinks = problem_own(problem, (size_t)problem->heads, sizeof *sinks);
    for (int64_t head = 0; head < problem->heads; head++) {
        slopes[head] = (float)rng_between(rng, 0, 128) / 256.0f;
        sinks[head] = (float)(2.0 * rng_normal(rng));
    }
    const char *bias = biases[from->levels[F_BIAS]];
    problem->slopes = strcmp(bias, "alibi") == 0 || strcmp(bias, "both") == 0 ? slopes : NULL;
    problem->sinks = strcmp(bias, "sinks") == 0 || strcmp(bias, "both") == 0 ? sinks : NULL;
}

static void state_kernel(const struct attention_case *from, struct problem *problem,
                         struct rng *rng) {
    problem->usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT;
    if (strcmp(usages[from->levels[F_USAGE]], "all") == 0) {
        problem->usage |= VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT |
                          VK_BUFFER_USAGE_STORAGE_TEXEL_BUFFER_BIT |
                          VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT;
        tulle_device_info info;
        tulle_context_info(harness_mode(case_mode(from))->tulle, &info);
        if (info.buffer_device_address) {
            problem->usage |= VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT;
        }
        if (case_way(from) == WAY_HOST && rng_chance(rng, 50)) {
            problem->usage = 0;  // host arrays: whatever the kernels use
        }
    }
    if (from->levels[F_KERNEL] > 0) {
        const char *family = kernels[from->levels[F_KERNEL]], *open = strchr(family, '*');
        char *name = problem_own(problem, 96, 1);
        if (open == NULL) {
            snprintf(name, 96, "%s", family);
        } else {
            snprintf(name, 96, "%.*s%s%s", (int)(open - family), family,
                     dtypes[from->levels[F_DTYPE]], open + 1);
        }
        problem->kernel = name;
    }
}

void case_state(const struct attention_case *from, struct problem *problem) {
    const uint8_t *levels = from->levels;
    struct rng rng = { rng_hash(from->seed, 99) };
    problem_init(problem, from->seed);
    problem->batch = heads[levels[F_HEADS]][0];
    problem->heads = heads[levels[F_HEADS]][1];
    problem->kv_heads = heads[levels[F_HEADS]][2];
    problem->q_len = shapes[levels[F_SHAPE]][0];
    problem->kv_len = shapes[levels[F_SHAPE]][1];
    problem->head_dim = dims[levels[F_DIM]][0];
    problem->v_head_dim = dims[levels[F_DIM]][1];
    problem->dtype = (tulle_dtype)levels[F_DTYPE];
    problem->o_dtype = (tulle_o_dtype)levels[F_O_DTYPE];
    problem->causal = levels[F_CAUSAL] != 0;
    problem->lse = levels[F_LSE] != 0;
    problem->data = (enum problem_data)levels[F_DATA];
    problem->spoiled_keys = levels[F_SPOILED] != 0 ? 6 : 0;
    problem->workspace_limit = levels[F_WORKSPACE] != 0 ? UINT64_MAX : 0;
    problem->dispatch_pairs = levels[F_DISPATCH] != 0 ? (uint64_t)rng_between(&rng, 500, 20000) : 0;
    problem->ranges = strcmp(dispatches[levels[F_DISPATCH]], "small-alone") == 0;
    problem->sized_buffers = rng_chance(&rng, 70);
    // before the patterns: block masks cover the positions that occur
    state_lengths(from, problem, &rng);
    state_layout(from, problem, &rng);
    state_numbers(from, problem, &rng);
    state_kernel(from, problem, &rng);
    case_pattern(levels[F_PATTERN], problem, &rng);
}
