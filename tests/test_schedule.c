// SPDX-License-Identifier: MIT
//
// Schedules without a device: random attentions are planned, and plan memory is then read back as the kernels read it
// (shaders/common/plan_memory.h alone, none of the planner's own structures). Every (batch, head, row, key) must be
// taken exactly as often as the reference says, 0 or 1 times; every row finished once; every partial result written
// before it is merged and merged once; every limit of the device kept.
//
// TULLE_TEST_SEED: the run's seed; TULLE_TEST_CASE: one trial alone, by its index; TULLE_TEST_TRIALS: how many.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "reference.h"

// The planner's files are compiled into this test under other names, so that it can make each of their allocations fail.
static void *sweep_malloc(size_t bytes);
static void *sweep_calloc(size_t count, size_t bytes);
static void *sweep_realloc(void *old, size_t bytes);
static void sweep_free(void *memory);

#define schedule_build test_schedule_build
#define schedule_free test_schedule_free
#define parts_create test_parts_create
#define parts_free test_parts_free
#define tiles_each test_tiles_each
#define tiles_count test_tiles_count
#define tile_runs test_tile_runs
#define tile_all_bits test_tile_all_bits
#define tile_chunks test_tile_chunks
#define tile_pairs test_tile_pairs
#define tiler_free test_tiler_free
#define builder_reserve test_builder_reserve
#define builder_reserve32 test_builder_reserve32
#define builder_texels test_builder_texels
#define builder_words test_builder_words
#define builder_segment test_builder_segment
#define builder_preamble test_builder_preamble
#define builder_place_group test_builder_place_group
#define builder_bytes test_builder_bytes
#define builder_windowed test_builder_windowed
#define builder_fits test_builder_fits
#define builder_rows_most test_builder_rows_most
#define builder_chunk_pairs test_builder_chunk_pairs
#define builder_tile test_builder_tile
#define builder_dead test_builder_dead
#define builder_flush test_builder_flush
#define malloc sweep_malloc
#define calloc sweep_calloc
#define realloc sweep_realloc
#define free sweep_free
#define least tile_least
#define most tile_most
#include "../src/tile.c"
#undef least
#undef most
#include "../src/parts.c"
#define least items_least
#include "../src/schedule_tile.c"
#undef least
#define least schedule_least
#include "../src/schedule.c"
#undef least
#undef malloc
#undef calloc
#undef realloc
#undef free

static int64_t allocations, allocations_live, allocation_fails = -1;   // the number of the one that fails; −1: none

static bool allocation_fails_now(void) { return allocations++ == allocation_fails; }

static void *counted(void *memory) {
    if (memory) allocations_live++;
    return memory;
}

static void *sweep_malloc(size_t bytes) { return allocation_fails_now() ? NULL : counted(malloc(bytes)); }
static void *sweep_calloc(size_t count, size_t bytes) { return allocation_fails_now() ? NULL : counted(calloc(count, bytes)); }

static void *sweep_realloc(void *old, size_t bytes) {
    if (allocation_fails_now()) return NULL;
    void *memory = realloc(old, bytes);
    return old ? memory : counted(memory);
}

static void sweep_free(void *memory) {
    if (memory) allocations_live--;
    free(memory);
}

#define COUNT(array) (sizeof(array) / sizeof *(array))

// ---------------------------------------------------------------------------------------------------------------
// Random trials

struct rng { uint64_t state; };

static uint64_t rng_next(struct rng *rng) {
    uint64_t z = rng->state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

static int64_t between(struct rng *rng, int64_t low, int64_t high) {
    return low + (int64_t)(rng_next(rng) % (uint64_t)(high - low + 1));
}

static bool chance(struct rng *rng, int percent) { return between(rng, 0, 99) < percent; }

/// Small numbers often, large ones too.
static int64_t skewed(struct rng *rng, int64_t low, int64_t high) {
    int64_t most = chance(rng, 40) ? 4 : chance(rng, 50) ? 40 : high;
    return between(rng, low, low + most < high ? low + most : high);
}

static uint64_t run_seed;
static int64_t trial_index;
static char trial_text[4000];

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...) {
    size_t used = strlen(trial_text);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(trial_text + used, sizeof trial_text - used, format, arguments);
    va_end(arguments);
}

static void failed(int line, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void failed(int line, const char *format, ...) {
    char text[1600];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fail_msg("line %d: %s\n  TULLE_TEST_SEED=%llu TULLE_TEST_CASE=%lld\n  %s", line, text, (unsigned long long)run_seed,
             (long long)trial_index, trial_text);
}

#define FAIL(...) failed(__LINE__, __VA_ARGS__)
#define CHECK(condition, ...)                                                                                                     \
    do {                                                                                                                          \
        if (!(condition)) failed(__LINE__, __VA_ARGS__);                                                                          \
    } while (0)

#define TERMS 4
#define PATTERNS 2
#define BATCH 3
#define HEADS 6

struct trial {
    int64_t batch, heads, kv_heads, q_len, kv_len;
    bool causal;
    struct ref_term terms[PATTERNS][TERMS];
    size_t term_count[PATTERNS];
    size_t pattern_count;
    size_t head_pattern[HEADS];
    int64_t q_length[BATCH], kv_length[BATCH], kv_start[BATCH], q_offset[BATCH];
    struct schedule_input input;
    uint32_t header[PM_HEADER_TEXELS * 4];
    float slopes[HEADS], sinks[HEADS];
    tulle_pattern *patterns[PATTERNS];
    struct group groups[BATCH * HEADS];
    uint8_t *want[BATCH * HEADS];        // by group: [q_len][kv_len]
    uint32_t group_of[BATCH * HEADS];    // by batch · heads + head
    void *owned[64];
    size_t owned_count;
};

static void *own(struct trial *t, size_t bytes) {
    void *memory = calloc(1, bytes ? bytes : 1);
    assert_non_null(memory);
    assert_true(t->owned_count < COUNT(t->owned));
    return t->owned[t->owned_count++] = memory;
}

static struct ref_term random_term(struct trial *t, struct rng *rng, int64_t furthest) {
    struct ref_term term = { .kind = (enum ref_kind)between(rng, 0, REF_DOCUMENTS) };
    int64_t size = t->kv_len > t->q_len ? t->kv_len : t->q_len;
    switch (term.kind) {
    case REF_DENSE:
        if (chance(rng, 70)) { term.kind = REF_WINDOW; term.left = skewed(rng, 0, 40); }   // dense swallows all others
        break;
    case REF_WINDOW:
    case REF_DILATED:
        term.left = chance(rng, 10) ? -1 : skewed(rng, 0, size);
        term.right = chance(rng, 10) ? -1 : chance(rng, 40) ? 0 : skewed(rng, 0, size);
        term.step = skewed(rng, 1, chance(rng, 10) ? size + 5 : 20);
        break;
    case REF_GLOBAL:
    case REF_SINK: term.count = skewed(rng, 0, chance(rng, 20) ? size + 3 : 30); break;
    case REF_STRIDED: term.step = skewed(rng, 1, chance(rng, 10) ? size + 5 : 20); break;
    case REF_FIXED:
        term.step = skewed(rng, 1, chance(rng, 10) ? size + 5 : 60);
        term.count = between(rng, 1, chance(rng, 70) && term.step > 3 ? 3 : term.step);
        break;
    case REF_GLOBAL_LIST: {
        term.list_len = (size_t)skewed(rng, 0, chance(rng, 30) ? 60 : 12);
        int64_t *list = own(t, term.list_len * sizeof *list);
        for (size_t i = 0; i < term.list_len; i++) list[i] = between(rng, 0, chance(rng, 10) ? 2 * size : size);
        term.list = list;
        break;
    }
    case REF_BLOCKS: {
        static const int64_t sizes[] = { 1, 3, 8, 16, 32, 64, 100 };
        term.block = sizes[between(rng, 0, COUNT(sizes) - 1)];
        if (furthest / term.block > 400) term.block = 64;
        term.layouts = chance(rng, 60) ? 1 : chance(rng, 50) ? t->kv_heads : t->heads;
        term.block_rows = (furthest < 0 ? 0 : furthest) / term.block + 1 + between(rng, 0, 1);
        term.block_cols = (t->kv_len > 0 ? t->kv_len - 1 : 0) / term.block + 1 + between(rng, 0, 1);
        size_t cells = (size_t)(term.layouts * term.block_rows * term.block_cols);
        uint8_t *cell = own(t, cells);
        int density = (int)between(rng, 0, 100);
        for (size_t i = 0; i < cells; i++) cell[i] = chance(rng, density);
        term.mask = cell;
        break;
    }
    case REF_RANDOM: {
        static const int64_t sizes[] = { 1, 5, 16, 32, 64 };
        term.block = sizes[between(rng, 0, COUNT(sizes) - 1)];
        term.count = between(rng, 1, 6);
        term.seed = rng_next(rng);
        break;
    }
    case REF_DOCUMENTS: {
        term.list_len = (size_t)skewed(rng, 2, 12);
        int64_t *list = own(t, term.list_len * sizeof *list);
        for (size_t i = 1; i < term.list_len; i++)
            list[i] = list[i - 1] + (chance(rng, 15) ? 0 : skewed(rng, 0, 1 + 3 * size / (int64_t)term.list_len));
        term.list = list;
        break;
    }
    }
    return term;
}

static tulle_pattern *make_pattern(const struct ref_term *terms, size_t count, const size_t *order) {
    static const tulle_term_kind kinds[] = { [REF_DENSE] = TULLE_DENSE, [REF_WINDOW] = TULLE_WINDOW, [REF_DILATED] = TULLE_DILATED,
        [REF_GLOBAL] = TULLE_GLOBAL, [REF_GLOBAL_LIST] = TULLE_GLOBAL_LIST, [REF_SINK] = TULLE_SINK, [REF_STRIDED] = TULLE_STRIDED,
        [REF_FIXED] = TULLE_FIXED, [REF_BLOCKS] = TULLE_BLOCKS, [REF_RANDOM] = TULLE_RANDOM, [REF_DOCUMENTS] = TULLE_DOCUMENTS };
    tulle_term given[TERMS];
    for (size_t i = 0; i < count; i++) {
        const struct ref_term *term = &terms[order ? order[i] : i];
        given[i] = (tulle_term){ .kind = kinds[term->kind], .left = term->left, .right = term->right, .step = term->step,
                                 .count = term->count, .block = term->block, .seed = term->seed, .positions = term->list,
                                 .position_count = term->list_len, .mask = term->mask, .layouts = term->layouts,
                                 .block_rows = term->block_rows, .block_cols = term->block_cols };
    }
    tulle_pattern *pattern = NULL;
    tulle_error error = { 0 };
    if (tulle_pattern_create(given, (uint32_t)count, &pattern, &error)) FAIL("pattern refused: %s", error.message);
    return pattern;
}

static void say_term(const struct ref_term *term) {
    static const char *const names[] = { "dense", "window", "dilated", "global", "list", "sink", "strided", "fixed", "blocks", "random", "documents" };
    say(" %s(l%lld r%lld s%lld c%lld b%lld n%zu:", names[term->kind], (long long)term->left, (long long)term->right, (long long)term->step,
        (long long)term->count, (long long)term->block, term->list_len);
    for (size_t i = 0; i < term->list_len && i < 14; i++) say("%lld,", (long long)term->list[i]);
    say(")");
}

/// Gathers (batch, head) that share everything into groups, as the plan does.
static void make_groups(struct trial *t) {
    t->input.group_count = 0;
    struct { size_t pattern; int64_t head, b; } keys[BATCH * HEADS];
    for (int64_t b = 0; b < t->batch; b++)
        for (int64_t h = 0; h < t->heads; h++) {
            size_t pattern = t->head_pattern[h];
            int64_t head = pattern_by_head(t->patterns[pattern]) ? h : 0;
            uint32_t g = 0;
            for (; g < t->input.group_count; g++) {
                int64_t o = keys[g].b;
                if (keys[g].pattern == pattern && keys[g].head == head && t->q_length[o] == t->q_length[b] && t->kv_length[o] == t->kv_length[b] &&
                    t->kv_start[o] == t->kv_start[b] && t->q_offset[o] == t->q_offset[b]) break;
            }
            struct group *group = &t->groups[g];
            if (g == t->input.group_count) {
                t->input.group_count++;
                keys[g].pattern = pattern, keys[g].head = head, keys[g].b = b;
                group->site = (struct site){ .pattern = t->patterns[pattern], .at = { head, t->heads, t->kv_heads, t->kv_length[b], t->causal },
                                             .q_len = t->q_len, .q_length = t->q_length[b], .kv_start = t->kv_start[b], .q_offset = t->q_offset[b] };
                group->bh = own(t, (size_t)(t->batch * t->heads) * sizeof *group->bh);
                group->bh_count = 0;
            }
            group->bh[group->bh_count++] = (uint32_t)(b * t->heads + h);
            t->group_of[b * t->heads + h] = g;
        }
    t->input.groups = t->groups;
}

static void make_want(struct trial *t) {
    for (uint32_t g = 0; g < t->input.group_count; g++) {
        const struct group *group = &t->groups[g];
        size_t pattern = t->head_pattern[group->bh[0] % t->heads];
        struct ref_pattern reference = { t->terms[pattern], t->term_count[pattern] };
        int64_t head = group->bh[0] % t->heads, kv_len = group->site.at.kv_len;
        uint8_t *want = t->want[g] = own(t, (size_t)(t->q_len * t->kv_len));
        for (int64_t i = 0; i < group->site.q_length; i++)
            for (int64_t j = group->site.kv_start; j < kv_len; j++) {
                int64_t p = i + group->site.q_offset;
                want[i * t->kv_len + j] = (!t->causal || j <= p) && ref_selects(&reference, p, j, head, t->heads, t->kv_heads, kv_len, t->causal);
            }
    }
}

static struct tensor_shape random_shape(struct rng *rng, int64_t heads, int64_t rows, uint64_t row_bytes, bool windowed) {
    uint64_t gap = chance(rng, 30) ? (uint64_t)between(rng, 1, 8) * 16 : 0, row = row_bytes + gap;
    struct tensor_shape s = { .row_bytes = row_bytes, .windowed = windowed };
    if (chance(rng, 50)) {   // BHSD
        s.row = row, s.head = row * (uint64_t)rows, s.batch = s.head * (uint64_t)heads;
    } else {                 // BSHD
        s.head = row, s.row = row * (uint64_t)heads, s.batch = s.row * (uint64_t)rows;
    }
    if (chance(rng, 5)) s.head = 0;
    if (chance(rng, 5)) s.batch = 0;
    if (chance(rng, 3)) s.row = 0;
    return s;
}

static void trial_make(struct trial *t, struct rng *rng) {
    static const int64_t sizes[] = { 1, 20, 100, 300, 300 };
    memset(t, 0, sizeof *t);
    trial_text[0] = 0;
    t->batch = between(rng, 1, BATCH);
    t->kv_heads = between(rng, 1, 2);
    t->heads = t->kv_heads * between(rng, 1, 3);
    t->q_len = between(rng, 1, sizes[between(rng, 0, 4)]);
    t->kv_len = between(rng, chance(rng, 3) ? 0 : 1, sizes[between(rng, 0, 4)]);
    if (chance(rng, 6)) {   // a few larger ones, of fewer heads
        t->batch = 1;
        t->heads = t->kv_heads = 1;
        t->q_len = between(rng, 1, 900);
        t->kv_len = between(rng, 1, 1200);
    }
    t->causal = chance(rng, 50);
    int64_t furthest = 0;
    bool lengths = chance(rng, 40), starts = chance(rng, 25), offset_given = chance(rng, 40);
    int64_t offset = between(rng, -t->q_len, t->kv_len + 40);
    for (int64_t b = 0; b < t->batch; b++) {
        t->q_length[b] = lengths ? between(rng, 0, t->q_len) : t->q_len;
        t->kv_length[b] = lengths ? between(rng, 0, t->kv_len) : t->kv_len;
        t->kv_start[b] = starts ? between(rng, 0, t->kv_length[b]) : 0;
        t->q_offset[b] = offset_given ? offset : t->kv_length[b] - t->q_length[b];
        if (offset_given && chance(rng, 20)) t->q_offset[b] += between(rng, -3, 3);
        int64_t last = t->q_len - 1 + t->q_offset[b];
        if (last > furthest) furthest = last;
    }
    t->pattern_count = (size_t)between(rng, 1, PATTERNS);
    say("batch %lld heads %lld/%lld q_len %lld kv_len %lld causal %d\n ", (long long)t->batch, (long long)t->heads, (long long)t->kv_heads,
        (long long)t->q_len, (long long)t->kv_len, t->causal);
    for (int64_t b = 0; b < t->batch; b++)
        say(" [q %lld kv %lld start %lld offset %lld]", (long long)t->q_length[b], (long long)t->kv_length[b], (long long)t->kv_start[b], (long long)t->q_offset[b]);
    for (size_t n = 0; n < t->pattern_count; n++) {
        t->term_count[n] = (size_t)between(rng, 1, TERMS);
        bool moving = chance(rng, 20);   // nothing but windows: tiles that repeat
        if (moving) t->term_count[n] = (size_t)between(rng, 1, 2);
        say("\n  pattern %zu:", n);
        for (size_t i = 0; i < t->term_count[n]; i++) {
            t->terms[n][i] = random_term(t, rng, furthest);
            if (moving)
                t->terms[n][i] = (struct ref_term){ .kind = chance(rng, 60) ? REF_WINDOW : REF_DILATED, .left = skewed(rng, 0, 70), .right = skewed(rng, 0, 70),
                                                    .step = between(rng, 1, 3) };
            say_term(&t->terms[n][i]);
        }
        t->patterns[n] = make_pattern(t->terms[n], t->term_count[n], NULL);
    }
    for (int64_t h = 0; h < t->heads; h++) t->head_pattern[h] = (size_t)between(rng, 0, (int64_t)t->pattern_count - 1);
    make_groups(t);
    make_want(t);

    struct schedule_limits *l = &t->input.limits;
    static const int32_t rows[] = { 8, 16, 32, 64 }, chunks[] = { 2, 4, 8, 16, 32, 64 };
    l->tile_rows = rows[between(rng, 0, 3)];
    l->chunk = chunks[between(rng, 0, 5)];
    l->direct = chance(rng, 65);
    l->segment_texels = chance(rng, 25) ? 4096 : chance(rng, 50) ? (uint32_t)between(rng, 300, 900) : chance(rng, 50) ? 65536 : 1 << 26;
    l->segment_alignment = chance(rng, 50) ? 1 : 1u << between(rng, 0, 4);
    l->max_workgroups_x = chance(rng, 20) ? (uint32_t)between(rng, 1, 5) : 65535;
    l->max_workgroups_y = chance(rng, 20) ? (uint32_t)between(rng, 1, 3) : 65535;
    l->item_chunks_least = chance(rng, 50) ? 1 : between(rng, 1, 64);
    l->item_chunks_most = chance(rng, 30) ? between(rng, l->chunk < 32 ? 32 / l->chunk : 1, 40) : 60000;
    l->items_wanted = chance(rng, 50) ? 1 : skewed(rng, 1, 4000);
    l->dispatch_pairs = chance(rng, 20) ? (uint64_t)between(rng, 1, 20000) : UINT64_C(1) << 40;
    l->workspace_rows = chance(rng, 40) ? (uint64_t)between(rng, 0, 4 * l->tile_rows) : chance(rng, 50) ? (uint64_t)between(rng, 0, 4000) : 1u << 30;
    bool windows = chance(rng, 30);
    uint64_t bytes = 16 * (uint64_t)between(rng, 1, 5);
    if (windows) l->window_bytes = chance(rng, 30) ? (uint64_t)between(rng, 80, 700) : chance(rng, 50) ? (uint64_t)between(rng, 600, 3000) : (uint64_t)between(rng, 600, 60000);
    for (int i = 0; i < TENSOR_COUNT; i++) {
        bool keys = i == TENSOR_K || i == TENSOR_V;
        t->input.tensors[i] = random_shape(rng, keys ? t->kv_heads : t->heads, keys ? t->kv_len : t->q_len, i == TENSOR_LSE ? 4 : bytes, windows && chance(rng, 50));
    }
    for (size_t i = 0; i < COUNT(t->header); i++) t->header[i] = (uint32_t)rng_next(rng);
    for (int64_t h = 0; h < t->heads; h++) t->slopes[h] = (float)h + 0.5f, t->sinks[h] = (float)h + 0.25f;
    t->input.header = t->header;
    if (chance(rng, 30)) t->input.slopes = t->slopes;
    if (chance(rng, 30)) t->input.sinks = t->sinks;
    t->input.heads = (uint32_t)t->heads;
    t->input.kv_heads = (uint32_t)t->kv_heads;
    say("\n  tile %d x %d direct %d segment %u/%u workgroups %u %u item chunks %lld…%lld wanted %lld pairs %llu workspace %llu window %llu", l->tile_rows,
        l->chunk, l->direct, l->segment_texels, l->segment_alignment, l->max_workgroups_x, l->max_workgroups_y, (long long)l->item_chunks_least,
        (long long)l->item_chunks_most, (long long)l->items_wanted, (unsigned long long)l->dispatch_pairs, (unsigned long long)l->workspace_rows,
        (unsigned long long)l->window_bytes);
    for (int i = 0; i < TENSOR_COUNT && windows; i++)
        say("\n  tensor %d: %llu %llu %llu %llu windowed %d", i, (unsigned long long)t->input.tensors[i].batch, (unsigned long long)t->input.tensors[i].head,
            (unsigned long long)t->input.tensors[i].row, (unsigned long long)t->input.tensors[i].row_bytes, t->input.tensors[i].windowed);
}

static void trial_free(struct trial *t) {
    for (size_t i = 0; i < t->pattern_count; i++) tulle_pattern_destroy(t->patterns[i]);
    for (size_t i = 0; i < t->owned_count; i++) free(t->owned[i]);
}

// ---------------------------------------------------------------------------------------------------------------
// Plan memory, read as kernels read it

/// One workspace row.
struct slot { int64_t bh, row; uint32_t written, read; bool full; };   // written, read: in which epoch last, from 1

struct machine {
    const struct trial *t;
    const struct schedule *s;
    const struct dispatch *d;
    const uint32_t *words;       // of the segment
    uint64_t texels;
    uint32_t epoch;              // dispatches between two barriers run in any order
    struct slot *slots;
    uint8_t *taken;              // [bh][q_len][kv_len]
    uint8_t *finished;           // [bh][q_len]
    uint64_t runs, full, band, bits, lists, partials;
};

static const uint32_t *texel(const struct machine *m, uint64_t at) {
    CHECK(at < m->texels, "texel %llu of a segment of %llu", (unsigned long long)at, (unsigned long long)m->texels);
    return m->words + at * 4;
}

static uint32_t word(const struct machine *m, uint64_t at) { return texel(m, at / 4)[at % 4]; }

static void touch(const struct machine *m, int tensor, int64_t bh, int64_t at) {
    const struct tensor_shape *shape = &m->t->input.tensors[tensor];
    if (!shape->windowed) return;
    uint64_t batch = (uint64_t)(bh / m->t->heads), head = (uint64_t)(bh % m->t->heads);
    if (tensor == TENSOR_K || tensor == TENSOR_V) head = head * (uint64_t)m->t->kv_heads / (uint64_t)m->t->heads;
    uint64_t low = batch * shape->batch + head * shape->head + (uint64_t)at * shape->row, high = low + shape->row_bytes;
    CHECK(low >= m->d->window[tensor] && high <= m->d->window[tensor] + m->t->input.limits.window_bytes,
          "tensor %d: bytes [%llu, %llu) outside of the window at %llu", tensor, (unsigned long long)low, (unsigned long long)high,
          (unsigned long long)m->d->window[tensor]);
}

static void finish(struct machine *m, int64_t bh, int64_t row) {
    touch(m, TENSOR_O, bh, row);
    touch(m, TENSOR_LSE, bh, row);
    CHECK(!m->finished[bh * m->t->q_len + row], "bh %lld row %lld is finished twice", (long long)bh, (long long)row);
    m->finished[bh * m->t->q_len + row] = 1;
}

static struct slot *slot_at(struct machine *m, uint32_t index) {
    CHECK(index < m->s->workspace_rows, "workspace row %u of %llu", index, (unsigned long long)m->s->workspace_rows);
    return &m->slots[index];
}

static void take(struct machine *m, const struct group *group, int64_t bh, int64_t row, int64_t key) {
    CHECK(row < group->site.q_length, "row %lld of %lld takes a key", (long long)row, (long long)group->site.q_length);
    uint8_t *count = &m->taken[(bh * m->t->q_len + row) * m->t->kv_len + key];
    CHECK(*count == 0, "bh %lld row %lld key %lld is taken twice", (long long)bh, (long long)row, (long long)key);
    *count = 1;
}

static uint64_t item_run(struct machine *m, const struct group *group, uint32_t y, int64_t bh, const uint32_t *item) {
    const struct dispatch *d = m->d;
    const struct schedule_limits *l = &m->t->input.limits;
    int64_t rows = item[2] >> PM_ITEM_ROWS_SHIFT & PM_ITEM_ROWS_MASK, run_count = item[2] & PM_ITEM_RUNS_MASK;
    bool direct = item[2] & PM_ITEM_DIRECT, dead = item[2] & PM_ITEM_DEAD;
    uint64_t chunks = 0;
    CHECK(rows >= 1 && rows <= l->tile_rows, "item of %lld rows", (long long)rows);
    CHECK(!(item[2] & ~(PM_ITEM_RUNS_MASK | PM_ITEM_ROWS_MASK << PM_ITEM_ROWS_SHIFT | PM_ITEM_DIRECT | PM_ITEM_DEAD)), "item flags %x", item[2]);
    CHECK(!direct || l->direct, "a direct item where the kernel has none");
    CHECK(!dead || (direct && run_count == 0), "a dead item with runs or partials");
    for (int64_t r = 0; r < rows; r++) {
        int64_t row = item[0] + r * d->step;
        CHECK(row < m->t->q_len, "item row %lld of %lld", (long long)row, (long long)m->t->q_len);
        CHECK(dead == (row >= group->site.q_length), "row %lld of %lld is %sdead", (long long)row, (long long)group->site.q_length, dead ? "" : "not ");
        touch(m, TENSOR_Q, bh, row);
        if (direct) { finish(m, bh, row); continue; }
        struct slot *slot = slot_at(m, d->ws_row_base + y * d->ws_rows + item[3] + (uint32_t)r);
        CHECK(!slot->full, "a partial result of bh %lld row %lld is overwritten before it is merged", (long long)slot->bh, (long long)slot->row);
        CHECK(slot->written != m->epoch && slot->read != m->epoch, "workspace row %u is reused without a barrier", item[3]);
        *slot = (struct slot){ bh, row, m->epoch, slot->read, true };
        m->partials++;
    }
    for (int64_t n = 0; n < run_count; n++) {
        const uint32_t *run = texel(m, (uint64_t)item[1] + (uint64_t)n);
        uint32_t kind = run[1] >> PM_RUN_KIND_SHIFT;
        bool list = run[1] & PM_RUN_LIST;
        int64_t count = run[1] & (kind == PM_RUN_FULL ? PM_RUN_FULL_COUNT_MASK : PM_RUN_COUNT_MASK);
        int64_t first_row = run[1] >> PM_RUN_ROW_FIRST_SHIFT & PM_RUN_ROW_MASK, last_row = run[1] >> PM_RUN_ROW_LAST_SHIFT & PM_RUN_ROW_MASK;
        int32_t lo = (int32_t)run[2], hi = (int32_t)run[3];
        CHECK(kind <= PM_RUN_BITS, "run of kind %u", kind);
        CHECK(count > 0, "an empty run");
        CHECK(kind != PM_RUN_FULL || count % l->chunk == 0, "a full run of %lld keys", (long long)count);
        CHECK(kind != PM_RUN_BAND || (!list && last_row < rows && first_row <= last_row), "a band of rows %lld … %lld", (long long)first_row, (long long)last_row);
        chunks += (uint64_t)((count + l->chunk - 1) / l->chunk);
        int64_t before = -1;
        m->runs++;
        m->full += kind == PM_RUN_FULL, m->band += kind == PM_RUN_BAND, m->bits += kind == PM_RUN_BITS, m->lists += list;
        for (int64_t c = 0; c < count; c++) {
            int64_t key = list ? (int64_t)word(m, (uint64_t)run[0] + (uint64_t)c) : (int64_t)(uint32_t)(run[0] + (uint32_t)c * d->step);
            CHECK(key >= group->site.kv_start && key < group->site.at.kv_len, "key %lld, and there are %lld", (long long)key, (long long)group->site.at.kv_len);
            CHECK(!list || key > before, "a list that does not rise");
            before = key;
            touch(m, TENSOR_K, bh, key);
            touch(m, TENSOR_V, bh, key);
            for (int64_t r = 0; r < rows; r++) {
                bool selected = true;
                if (kind == PM_RUN_BAND) selected = r >= first_row && r <= last_row && r + lo <= c && c <= r + hi;
                if (kind == PM_RUN_BITS) selected = word(m, (uint64_t)run[2] + (uint64_t)(c / 32 * l->tile_rows + r)) >> (c % 32) & 1;
                if (selected) take(m, group, bh, item[0] + r * d->step, key);
            }
        }
    }
    // a cut falls on whole words of bits, so an item may exceed its share by less than that
    CHECK(chunks <= (uint64_t)l->item_chunks_most + (uint64_t)(32 / l->chunk), "an item of %llu chunks", (unsigned long long)chunks);
    return chunks * (uint64_t)(l->tile_rows * l->chunk);
}

static void combine_run(struct machine *m, const struct group *group, uint32_t y, int64_t bh, const uint32_t *item) {
    const struct dispatch *d = m->d;
    CHECK(item[2] <= 1 && item[3] == 0 && item[1] > 0, "a combine item of %u rows, z %u, w %u", item[1], item[2], item[3]);
    for (int64_t row = item[0]; row < (int64_t)item[0] + item[1]; row++) {
        CHECK(row < m->t->q_len, "combine row %lld", (long long)row);
        CHECK((item[2] == 1) == (row >= group->site.q_length), "combine row %lld: z %u", (long long)row, item[2]);
        CHECK(row >= d->range_first && row < (int64_t)d->range_first + d->range_rows, "combine row %lld outside of its range", (long long)row);
        if (!item[2]) {
            uint32_t u = (uint32_t)row - d->range_first;
            for (uint32_t k = 0; k < d->part_count; k++) {
                const uint32_t *part = texel(m, (uint64_t)d->parts + k);
                uint32_t step = part[0], tile = part[1], a = u % step, q = d->range_rows / step, rem = d->range_rows % step;
                uint32_t t1 = (q + 1 + tile - 1) / tile, t0 = (q + tile - 1) / tile;
                uint32_t index = (a < rem ? a * t1 : rem * t1 + (a - rem) * t0) + u / step / tile;
                uint32_t first = word(m, (uint64_t)part[2] + 2 * index), count = word(m, (uint64_t)part[2] + 2 * index + 1);
                for (uint32_t split = 0; split < count; split++) {
                    struct slot *slot = slot_at(m, d->ws_row_base + y * d->ws_rows + first + split * tile + u / step % tile);
                    CHECK(slot->written, "a partial result that was never written is merged");
                    CHECK(slot->written != m->epoch, "a partial result is merged without a barrier");
                    CHECK(slot->bh == bh && slot->row == row, "bh %lld row %lld merges bh %lld row %lld", (long long)bh, (long long)row,
                          (long long)slot->bh, (long long)slot->row);
                    CHECK(slot->full, "a partial result is merged twice");
                    slot->full = false;
                    slot->read = m->epoch;
                }
            }
        }
        finish(m, bh, row);
    }
}

static struct machine machine_run(const struct trial *t, const struct schedule *s) {
    const struct schedule_limits *l = &t->input.limits;
    int64_t bh_count = t->batch * t->heads;
    struct machine m = { .t = t, .s = s, .epoch = 1 };
    uint64_t visited = 0;
    CHECK(s->workspace_rows <= l->workspace_rows, "workspace of %llu rows", (unsigned long long)s->workspace_rows);
    CHECK(s->workspace_rows_least <= l->workspace_rows, "the least workspace is %llu rows", (unsigned long long)s->workspace_rows_least);
    CHECK(s->word_count % 4 == 0, "%zu words", s->word_count);
    m.slots = calloc(s->workspace_rows + 1, sizeof *m.slots);
    m.taken = calloc((size_t)(bh_count * t->q_len * t->kv_len) + 1, 1);
    m.finished = calloc((size_t)(bh_count * t->q_len) + 1, 1);
    assert_true(m.slots && m.taken && m.finished);
    uint64_t end = 0;
    for (uint32_t i = 0; i < s->segment_count; i++) {
        const struct segment *segment = &s->segments[i];
        CHECK(segment->texels <= l->segment_texels, "a segment of %u texels", segment->texels);
        CHECK(segment->first_texel % l->segment_alignment == 0, "a segment at texel %u", segment->first_texel);
        CHECK(segment->first_texel >= end, "segments overlap");
        end = (uint64_t)segment->first_texel + segment->texels;
        CHECK(end * 4 <= s->word_count, "a segment beyond the words");
        const uint32_t *w = s->words + (uint64_t)segment->first_texel * 4;
        for (uint32_t k = 0; k < PM_HEADER_TEXELS * 4; k++) {
            const float *from = k == PM_HEADER_V * 4 + 3 ? t->input.slopes : k == PM_HEADER_O * 4 + 3 ? t->input.sinks : NULL;
            if (k == PM_HEADER_V * 4 + 3 || k == PM_HEADER_O * 4 + 3) {
                if (from) CHECK(w[k] + (uint64_t)t->heads <= (uint64_t)segment->texels * 4 && !memcmp(w + w[k], from, (size_t)t->heads * 4), "slopes or sink logits");
            } else {
                CHECK(w[k] == t->header[k], "header word %u", k);
            }
        }
    }
    for (uint32_t n = 0; n < s->dispatch_count; n++) {
        const struct dispatch *d = m.d = &s->dispatches[n];
        CHECK(d->segment < s->segment_count, "segment %u of %u", d->segment, s->segment_count);
        m.words = s->words + (uint64_t)s->segments[d->segment].first_texel * 4;
        m.texels = s->segments[d->segment].texels;
        if (d->barrier_before) m.epoch++;
        CHECK(d->item_count >= 1 && d->item_count <= l->max_workgroups_x, "%u workgroups in x", d->item_count);
        CHECK(d->bh_count >= 1 && d->bh_count <= l->max_workgroups_y, "%u workgroups in y", d->bh_count);
        uint64_t pairs = 0;
        for (uint32_t y = d->bh_first; y < d->bh_first + d->bh_count; y++) {
            uint32_t bh = word(&m, (uint64_t)d->bh_list + y);
            CHECK(bh < bh_count, "bh %u", bh);
            const struct group *group = &t->groups[t->group_of[bh]];
            CHECK(d->kind == DISPATCH_COMBINE || d->q_offset == group->site.q_offset, "q_offset %d", d->q_offset);
            for (uint32_t x = 0; x < d->item_count; x++) {
                const uint32_t *item = texel(&m, (uint64_t)d->items + x);
                if (d->kind == DISPATCH_ATTENTION) pairs += item_run(&m, group, y, bh, item);
                else combine_run(&m, group, y, bh, item);
            }
        }
        CHECK(pairs == d->visited, "a dispatch of %llu pairs says %llu", (unsigned long long)pairs, (unsigned long long)d->visited);
        CHECK(pairs <= l->dispatch_pairs || (d->item_count == 1 && d->bh_count == 1), "a dispatch of %llu pairs, %u × %u workgroups",
              (unsigned long long)pairs, d->item_count, d->bh_count);
        visited += pairs;
    }
    CHECK(visited == s->visited, "%llu pairs, the schedule says %llu", (unsigned long long)visited, (unsigned long long)s->visited);
    for (uint64_t i = 0; i < s->workspace_rows; i++) CHECK(!m.slots[i].full, "a partial result of bh %lld row %lld is never merged", (long long)m.slots[i].bh, (long long)m.slots[i].row);
    for (int64_t bh = 0; bh < bh_count; bh++)
        for (int64_t i = 0; i < t->q_len; i++) {
            CHECK(m.finished[bh * t->q_len + i], "bh %lld row %lld is never finished", (long long)bh, (long long)i);
            const uint8_t *want = t->want[t->group_of[bh]] + i * t->kv_len, *taken = m.taken + (bh * t->q_len + i) * t->kv_len;
            for (int64_t j = 0; j < t->kv_len; j++)
                CHECK(want[j] == taken[j], "bh %lld row %lld key %lld: taken %d, should be %d", (long long)bh, (long long)i, (long long)j, taken[j], want[j]);
        }
    free(m.slots);
    free(m.taken);
    free(m.finished);
    m.slots = NULL, m.taken = NULL, m.finished = NULL;   // the caller wants its counts
    return m;
}

static bool same_schedule(const struct schedule *a, const struct schedule *b) {
    if (a->word_count != b->word_count || memcmp(a->words, b->words, a->word_count * 4)) return false;
    if (a->dispatch_count != b->dispatch_count || a->segment_count != b->segment_count || a->visited != b->visited || a->items != b->items ||
        a->workspace_rows != b->workspace_rows || a->workspace_rows_least != b->workspace_rows_least) return false;
    if (memcmp(a->segments, b->segments, a->segment_count * sizeof *a->segments)) return false;
    for (uint32_t i = 0; i < a->dispatch_count; i++) {
        const struct dispatch *x = &a->dispatches[i], *y = &b->dispatches[i];
        if (x->kind != y->kind || x->barrier_before != y->barrier_before || x->segment != y->segment || x->items != y->items ||
            x->item_count != y->item_count || x->step != y->step || x->q_offset != y->q_offset || x->bh_list != y->bh_list ||
            x->bh_first != y->bh_first || x->bh_count != y->bh_count || x->ws_row_base != y->ws_row_base || x->ws_rows != y->ws_rows ||
            x->parts != y->parts || x->part_count != y->part_count || x->range_first != y->range_first || x->range_rows != y->range_rows ||
            memcmp(x->window, y->window, sizeof x->window) || x->visited != y->visited) return false;
    }
    return true;
}

/// The tiles' own count of pairs, against the reference.
struct pair_sum { struct tiler *tiler; uint64_t pairs; };

static bool sum_pairs(void *user, int64_t row, int32_t rows, int64_t index) {
    struct pair_sum *sum = user;
    (void)index;
    if (!tile_runs(sum->tiler, row, rows)) return false;
    sum->pairs += tile_pairs(sum->tiler);
    return true;
}

static void check_pairs(const struct trial *t) {
    const struct schedule_limits *l = &t->input.limits;
    for (uint32_t g = 0; g < t->input.group_count; g++) {
        const struct group *group = &t->groups[g];
        struct part *parts;
        uint32_t count;
        uint64_t pairs = 0, want = 0;
        assert_true(parts_create(&group->site, l->tile_rows, l->chunk, l->segment_texels, &parts, &count));
        for (uint32_t k = 0; k < count; k++) {
            struct tiler tiler = { .site = &group->site, .part = &parts[k], .tile_rows = l->tile_rows, .chunk = l->chunk };
            struct pair_sum sum = { &tiler, 0 };
            assert_true(tiles_each(parts[k].step, 0, group->site.q_length, l->tile_rows, sum_pairs, &sum));
            pairs += sum.pairs;
            tiler_free(&tiler);
        }
        parts_free(parts, count);
        for (int64_t i = 0; i < t->q_len * t->kv_len; i++) want += t->want[g][i];
        CHECK(pairs == want, "group %u: tile_pairs %llu, should be %llu", g, (unsigned long long)pairs, (unsigned long long)want);
    }
}

static struct { uint64_t built, refused_workspace, runs, full, band, bits, lists, partials, dispatches, segments, waves; } tally;

static void trial_run(uint64_t seed) {
    struct rng rng = { seed };
    struct trial t;
    trial_make(&t, &rng);
    check_pairs(&t);
    struct schedule s = { 0 };
    tulle_error error = { 0 };
    tulle_result result = schedule_build(&t.input, &s, &error);
    if (result == TULLE_ERROR_WORKSPACE_LIMIT) {
        tally.refused_workspace++;
        CHECK(s.workspace_rows_least > t.input.limits.workspace_rows, "refused %llu rows of workspace, says that %llu will do",
              (unsigned long long)t.input.limits.workspace_rows, (unsigned long long)s.workspace_rows_least);
        t.input.limits.workspace_rows = s.workspace_rows_least;
        say(" → workspace %llu", (unsigned long long)s.workspace_rows_least);
        schedule_free(&s);
        result = schedule_build(&t.input, &s, &error);
    }
    CHECK(result == TULLE_OK, "%s: %s", tulle_result_name(result), error.message);
    struct machine m = machine_run(&t, &s);
    tally.built++;
    tally.runs += m.runs, tally.full += m.full, tally.band += m.band, tally.bits += m.bits, tally.lists += m.lists, tally.partials += m.partials;
    tally.dispatches += s.dispatch_count, tally.segments += s.segment_count, tally.waves += m.epoch;

    // The least workspace: just enough, and no less.
    uint64_t least = s.workspace_rows_least;
    struct schedule again = { 0 };
    if (least && chance(&rng, 50)) {
        uint64_t before = t.input.limits.workspace_rows;
        t.input.limits.workspace_rows = least;
        say(" → workspace %llu", (unsigned long long)least);
        result = schedule_build(&t.input, &again, &error);
        CHECK(result == TULLE_OK, "refused the least workspace: %s, %s; now says %llu", tulle_result_name(result), error.message,
              (unsigned long long)again.workspace_rows_least);
        machine_run(&t, &again);
        CHECK(again.workspace_rows_least == least, "the least workspace depends on the limit");
        schedule_free(&again);
        t.input.limits.workspace_rows = least - 1;
        result = schedule_build(&t.input, &again, &error);
        CHECK(result == TULLE_ERROR_WORKSPACE_LIMIT && again.workspace_rows_least == least, "%llu rows of workspace: %s, least %llu",
              (unsigned long long)least - 1, tulle_result_name(result), (unsigned long long)again.workspace_rows_least);
        schedule_free(&again);
        t.input.limits.workspace_rows = before;
    }
    // The order of terms changes no bit.
    tulle_pattern *was[PATTERNS];
    memcpy(was, t.patterns, sizeof was);
    for (size_t n = 0; n < t.pattern_count; n++) {
        size_t order[TERMS] = { 0, 1, 2, 3 }, count = t.term_count[n];
        for (size_t i = count; i-- > 1;) {
            size_t k = (size_t)between(&rng, 0, (int64_t)i), swapped = order[i];
            order[i] = order[k], order[k] = swapped;
        }
        t.patterns[n] = make_pattern(t.terms[n], count, order);
    }
    for (uint32_t g = 0; g < t.input.group_count; g++)
        for (size_t n = 0; n < t.pattern_count; n++)
            if (t.groups[g].site.pattern == was[n]) { t.groups[g].site.pattern = t.patterns[n]; break; }
    result = schedule_build(&t.input, &again, &error);
    CHECK(result == TULLE_OK, "terms in another order: %s", error.message);
    CHECK(same_schedule(&s, &again), "the order of terms changes the schedule");
    schedule_free(&again);
    for (size_t n = 0; n < t.pattern_count; n++) tulle_pattern_destroy(was[n]);
    schedule_free(&s);
    trial_free(&t);
}

static uint64_t mix(uint64_t a, uint64_t b) {
    struct rng rng = { a ^ b * UINT64_C(0xD6E8FEB86659FD93) };
    rng_next(&rng);
    return rng_next(&rng);
}

static void test_random(void **state) {
    (void)state;
    const char *one = getenv("TULLE_TEST_CASE"), *many = getenv("TULLE_TEST_TRIALS");
    int64_t trials = many ? atoll(many) : 400;
    if (one) {
        trial_index = atoll(one);
        trial_run(mix(run_seed, (uint64_t)trial_index));
        return;
    }
    for (trial_index = 0; trial_index < trials; trial_index++) trial_run(mix(run_seed, (uint64_t)trial_index));
    print_message("%llu schedules, %llu of them refused with less workspace; runs: %llu full, %llu band, %llu bits, "
                  "%llu lists; %llu partial rows, %llu dispatches, %llu segments, %llu epochs\n",
                  (unsigned long long)tally.built, (unsigned long long)tally.refused_workspace,
                  (unsigned long long)tally.full, (unsigned long long)tally.band, (unsigned long long)tally.bits, (unsigned long long)tally.lists,
                  (unsigned long long)tally.partials, (unsigned long long)tally.dispatches, (unsigned long long)tally.segments,
                  (unsigned long long)tally.waves);
}

/// Long runs, cut where a window ends and where 15 bits of keys do.
static void test_long(void **state) {
    (void)state;
    static const struct ref_term terms[] = { { .kind = REF_DENSE }, { .kind = REF_WINDOW, .left = 99990, .right = 3 }, { .kind = REF_FIXED, .step = 3, .count = 1 },
                                             { .kind = REF_STRIDED, .step = 2 } };
    for (size_t n = 0; n < COUNT(terms); n++)
        for (int windows = 0; windows < 2; windows++) {
            struct trial t = { .batch = 1, .heads = 1, .kv_heads = 1, .q_len = 3, .kv_len = 100003, .q_length = { 3 }, .kv_length = { 100003 },
                               .q_offset = { 100000 }, .terms = { { terms[n] } }, .term_count = { 1 }, .pattern_count = 1 };
            trial_text[0] = 0;
            say("term %zu, windows %d", n, windows);
            t.patterns[0] = make_pattern(t.terms[0], 1, NULL);
            make_groups(&t);
            make_want(&t);
            t.input.limits = (struct schedule_limits){ .tile_rows = 8, .chunk = 32, .direct = true, .segment_texels = 65536, .segment_alignment = 1,
                                                       .max_workgroups_x = 65535, .max_workgroups_y = 65535, .item_chunks_most = 60000, .item_chunks_least = 60000,
                                                       .items_wanted = 1, .dispatch_pairs = UINT64_C(1) << 40, .workspace_rows = 1 << 20,
                                                       .window_bytes = 40001 * 16 };
            t.input.header = t.header;
            t.input.heads = t.input.kv_heads = 1;
            for (int i = 0; i < TENSOR_COUNT; i++) t.input.tensors[i] = (struct tensor_shape){ .row = 16, .row_bytes = 16, .windowed = windows && i == TENSOR_K };
            struct schedule s = { 0 };
            tulle_error error = { 0 };
            tulle_result result = schedule_build(&t.input, &s, &error);
            CHECK(result == TULLE_OK, "%s", error.message);
            machine_run(&t, &s);
            CHECK((s.items > 1) == windows, "%llu items", (unsigned long long)s.items);
            schedule_free(&s);
            trial_free(&t);
        }
}

// ---------------------------------------------------------------------------------------------------------------
// What is refused

static void test_refused(void **state) {
    (void)state;
    static const uint32_t header[PM_HEADER_TEXELS * 4];
    uint32_t bh[1000];
    for (uint32_t i = 0; i < COUNT(bh); i++) bh[i] = i;
    trial_text[0] = 0;
    tulle_pattern *pattern = make_pattern(&(struct ref_term){ .kind = REF_DENSE }, 1, NULL);
    struct group group = { .site = { .pattern = pattern, .at = { 0, 8, 8, 64, true }, .q_len = 64, .q_length = 64 }, .bh = bh, .bh_count = COUNT(bh) };
    struct schedule_limits limits = { .tile_rows = 32, .chunk = 32, .direct = true, .segment_texels = 4096, .segment_alignment = 1, .max_workgroups_x = 65535,
                                      .max_workgroups_y = 65535, .item_chunks_most = 30000, .item_chunks_least = 16, .items_wanted = 1,
                                      .dispatch_pairs = UINT64_C(1) << 36, .workspace_rows = 1 << 20, .window_bytes = 63 };
    struct schedule_input input = { .limits = limits, .header = header, .heads = 8, .kv_heads = 8, .groups = &group, .group_count = 1 };
    struct schedule s = { 0 };
    tulle_error error = { 0 };
    input.tensors[TENSOR_V] = (struct tensor_shape){ .row = 64, .row_bytes = 64, .windowed = true };
    assert_int_equal(schedule_build(&input, &s, &error), TULLE_ERROR_UNSUPPORTED);
    assert_string_equal(error.message, "a row does not fit a binding of 63 bytes");
    schedule_free(&s);
    input.limits.window_bytes = 64;   // one key at a time
    assert_int_equal(schedule_build(&input, &s, &error), TULLE_OK);
    schedule_free(&s);
    input.limits.window_bytes = 0;
    input.tensors[TENSOR_V].windowed = false;
    // A row may be cut into no more pieces than one invocation can merge: larger pieces then, and past those an error.
    group.site.at.kv_len = 32 * 1000;
    group.site.at.causal = false;
    input.limits.item_chunks_most = 1000;
    input.limits.dispatch_pairs = 32 * 32 * 20;   // 50 items of 20 chunks a tile
    input.limits.workspace_rows = 1 << 28;
    assert_int_equal(schedule_build(&input, &s, &error), TULLE_OK);
    assert_int_equal(s.items, 2 * 50);
    schedule_free(&s);
    input.limits.splits_most = 10;
    assert_int_equal(schedule_build(&input, &s, &error), TULLE_OK);
    assert_int_equal(s.items, 2 * 10);
    schedule_free(&s);
    input.limits.item_chunks_most = 48;
    assert_int_equal(schedule_build(&input, &s, &error), TULLE_ERROR_UNSUPPORTED);
    assert_non_null(strstr(error.message, "rows from 0 on select more keys than this device's kernels can merge (21 items, 20 at most)"));
    schedule_free(&s);
    group.site.at.kv_len = 64;
    group.site.at.causal = true;
    input.limits = limits;
    input.limits.segment_texels = 300;
    assert_int_equal(schedule_build(&input, &s, &error), TULLE_ERROR_UNSUPPORTED);
    assert_non_null(strstr(error.message, "batch times heads (1000 entries"));
    schedule_free(&s);
    assert_int_equal(schedule_build(&input, &s, NULL), TULLE_ERROR_UNSUPPORTED);
    schedule_free(&s);
    tulle_pattern_destroy(pattern);
}

// ---------------------------------------------------------------------------------------------------------------
// Memory runs out

static void test_out_of_memory(void **state) {
    (void)state;
    int64_t failed_allocations = 0;
    for (trial_index = 0; trial_index < 40; trial_index++) {
        struct rng rng = { mix(run_seed, UINT64_C(1000000) + (uint64_t)trial_index) };
        struct trial t;
        trial_make(&t, &rng);
        for (int64_t n = 0;; n++) {
            struct schedule s = { 0 };
            tulle_error error = { 0 };
            int64_t live = allocations_live;
            allocations = 0;
            allocation_fails = n;
            tulle_result result = schedule_build(&t.input, &s, n % 2 ? &error : NULL);
            allocation_fails = -1;
            bool reached = allocations > n;
            schedule_free(&s);
            CHECK(allocations_live == live, "allocation %lld fails: %lld leaks", (long long)n, (long long)(allocations_live - live));
            if (!reached) break;
            failed_allocations++;
            CHECK(result == TULLE_ERROR_OUT_OF_HOST_MEMORY, "allocation %lld fails: %s", (long long)n, tulle_result_name(result));
            CHECK(n % 2 == 0 || error.result == result, "the error says %s", tulle_result_name(error.result));
        }
        trial_free(&t);
    }
    print_message("%lld allocations failed in turn\n", (long long)failed_allocations);
}

// ---------------------------------------------------------------------------------------------------------------
// How much is visited

/// A window's tiles visit the keys that some row of theirs takes, rounded up to a chunk: L + rows of them.
static void test_window_padding(void **state) {
    (void)state;
    for (int32_t rows = 8; rows <= 64; rows *= 2)
        for (int32_t chunk = 4; chunk <= 32; chunk *= 2)
            for (int64_t left = 0; left < 300; left += left < 70 ? 1 : 13) {
                tulle_pattern *pattern = make_pattern(&(struct ref_term){ .kind = REF_WINDOW, .left = left }, 1, NULL);
                struct site site = { .pattern = pattern, .at = { 0, 1, 1, 2048, true }, .q_len = 2048, .q_length = 2048 };
                struct part *parts = NULL;
                uint32_t count = 0;
                assert_true(parts_create(&site, rows, chunk, 65536, &parts, &count));
                struct tiler tiler = { .site = &site, .part = parts, .tile_rows = rows, .chunk = chunk };
                for (int64_t row = 512; row < 512 + 2 * rows; row += rows) {
                    assert_true(tile_runs(&tiler, row, rows));
                    int64_t best = (left + rows + chunk - 1) / chunk;
                    if (tile_chunks(&tiler) > best)
                        fail_msg("window(%lld, 0), %d rows, chunks of %d keys: %lld chunks, %lld will do", (long long)left, rows, chunk,
                                 (long long)tile_chunks(&tiler), (long long)best);
                }
                tiler_free(&tiler);
                parts_free(parts, count);
                tulle_pattern_destroy(pattern);
            }
}

// ---------------------------------------------------------------------------------------------------------------
// In which order items run

/// A driver may give each thread one stretch of the grid. Under causal later rows cost more; every half, third and quarter of
/// a dispatch must still cost its share, to within two items.
static void test_even_stretches(void **state) {
    (void)state;
    static const uint32_t header[PM_HEADER_TEXELS * 4];
    uint32_t bh = 0;
    tulle_pattern *pattern = make_pattern(&(struct ref_term){ .kind = REF_DENSE }, 1, NULL);
    struct group group = { .site = { .pattern = pattern, .at = { 0, 1, 1, 4096, true }, .q_len = 4096, .q_length = 4096 }, .bh = &bh, .bh_count = 1 };
    struct schedule_input input = { .limits = { .tile_rows = 8, .chunk = 8, .direct = true, .segment_texels = 1 << 24, .segment_alignment = 1,
                                        .max_workgroups_x = 65535, .max_workgroups_y = 65535, .item_chunks_most = 30000, .item_chunks_least = 16,
                                        .items_wanted = 64, .dispatch_pairs = UINT64_C(1) << 36, .workspace_rows = 1 << 20 },
                                    .header = header, .heads = 1, .kv_heads = 1, .groups = &group, .group_count = 1 };
    struct schedule s = { 0 };
    tulle_error error = { 0 };
    assert_int_equal(schedule_build(&input, &s, &error), TULLE_OK);
    assert_int_equal(s.dispatch_count, 1);
    const struct dispatch *d = &s.dispatches[0];
    const uint32_t *texels = s.words + (size_t)s.segments[d->segment].first_texel * 4;
    int64_t *chunks = calloc(d->item_count, sizeof *chunks), all = 0, most = 0;
    assert_non_null(chunks);
    for (uint32_t i = 0; i < d->item_count; i++) {
        const uint32_t *item = texels + ((size_t)d->items + i) * 4;
        for (uint32_t r = 0; r < (item[2] & PM_ITEM_RUNS_MASK); r++) {
            uint32_t shape = texels[((size_t)item[1] + r) * 4 + 1];
            bool full = shape >> PM_RUN_KIND_SHIFT == PM_RUN_FULL;
            chunks[i] += (int64_t)((shape & (full ? PM_RUN_FULL_COUNT_MASK : PM_RUN_COUNT_MASK)) + 7) / 8;
        }
        all += chunks[i];
        if (chunks[i] > most) most = chunks[i];
    }
    assert_true(most > all / d->item_count);   // they do differ
    for (uint32_t threads = 2; threads <= 4; threads++) {
        uint32_t each = d->item_count / threads;
        for (uint32_t thread = 0; thread < threads; thread++) {
            int64_t sum = 0;
            for (uint32_t i = thread * each; i < (thread + 1) * each; i++) sum += chunks[i];
            if (sum > all / threads + 2 * most || sum < all / threads - 2 * most - (int64_t)threads * most)
                fail_msg("thread %u of %u has %lld chunks of %lld", thread, threads, (long long)sum, (long long)all);
        }
    }
    free(chunks);
    schedule_free(&s);
    tulle_pattern_destroy(pattern);
}

// ---------------------------------------------------------------------------------------------------------------
// How long planning takes (printed; only memory is asserted)

static double now(void) {
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static struct schedule_input plain_input(const uint32_t *header, const struct group *group, int32_t tile_rows, int32_t chunk) {
    return (struct schedule_input){ .limits = { .tile_rows = tile_rows, .chunk = chunk, .direct = true, .segment_texels = 65536, .segment_alignment = 1,
                                                .max_workgroups_x = 65535, .max_workgroups_y = 65535, .item_chunks_most = 30000, .item_chunks_least = 16,
                                                .items_wanted = 512, .dispatch_pairs = UINT64_C(1) << 36, .workspace_rows = 1 << 20 },
                                    .header = header, .heads = 8, .kv_heads = 8, .groups = group, .group_count = 1 };
}

static void time_one(const char *name, const struct ref_term *terms, size_t count, int64_t q_len, int64_t kv_len, int32_t tile_rows, bool small) {
    static const uint32_t header[PM_HEADER_TEXELS * 4];
    uint32_t bh[8] = { 0, 1, 2, 3, 4, 5, 6, 7 };
    tulle_pattern *pattern = make_pattern(terms, count, NULL);
    struct group group = { .site = { .pattern = pattern, .at = { 0, 8, 8, kv_len, true }, .q_len = q_len, .q_length = q_len, .q_offset = kv_len - q_len },
                           .bh = bh, .bh_count = 8 };
    struct schedule_input input = plain_input(header, &group, tile_rows, 32);
    double best = 1e30;
    uint64_t texels = 0, dispatches = 0, items = 0;
    double visited = 0;
    for (int i = 0; i < 5 && (i == 0 || best * i < 1000); i++) {
        struct schedule s = { 0 };
        double start = now();
        int times = best < 1 ? 20 : 1;
        for (int k = 0; k < times; k++) {
            if (k) schedule_free(&s);
            assert_int_equal(schedule_build(&input, &s, NULL), TULLE_OK);
        }
        double took = (now() - start) / times;
        if (took < best) best = took;
        texels = s.word_count / 4, dispatches = s.dispatch_count, items = s.items, visited = (double)s.visited / 8;
        schedule_free(&s);
    }
    double tiles = (double)tiles_count(1, q_len, tile_rows);
    print_message("%-28s q %7lld kv %7lld rows %2d: %9.3f ms, %8llu items, %4llu dispatches, %6.1f bytes a tile, %7.1f keys a row\n", name, (long long)q_len,
                  (long long)kv_len, tile_rows, best, (unsigned long long)items, (unsigned long long)dispatches, (double)texels * 16 / tiles,
                  visited / (double)q_len);
    if (small) assert_true((double)texels * 16 / tiles <= 96);
    tulle_pattern_destroy(pattern);
}

static void test_speed(void **state) {
    (void)state;
    const int64_t million = 1 << 20;
    const struct ref_term window = { .kind = REF_WINDOW, .left = 255 }, dense = { .kind = REF_DENSE };
    time_one("window:255,0", &window, 1, million, million, 32, true);
    time_one("window:255,0", &window, 1, million, million, 8, true);
    time_one("window:255,0", &window, 1, 4096, 4096, 32, true);
    time_one("window:255,0", &window, 1, 1, 4096, 32, false);
    time_one("dense", &dense, 1, 1, 65536, 32, false);
    time_one("dense", &dense, 1, 4096, 4096, 32, false);
    time_one("dense", &dense, 1, 65536, 65536, 32, false);
    const struct ref_term strided[] = { { .kind = REF_WINDOW, .left = 127 }, { .kind = REF_STRIDED, .step = 128 } };
    time_one("window + strided", strided, 2, 65536, 65536, 32, false);
    time_one("window + strided", strided, 2, 1, 65536, 32, false);
    const struct ref_term fixed = { .kind = REF_FIXED, .step = 128, .count = 8 };
    time_one("fixed:128,8", &fixed, 1, 65536, 65536, 32, false);
    const struct ref_term bird[] = { { .kind = REF_WINDOW, .left = 191 }, { .kind = REF_SINK, .count = 64 }, { .kind = REF_RANDOM, .block = 64, .count = 3, .seed = 1 } };
    time_one("window + sink + random", bird, 3, 65536, 65536, 32, false);
    const struct ref_term longformer[] = { { .kind = REF_WINDOW, .left = 256 }, { .kind = REF_GLOBAL, .count = 16 } };
    time_one("window + global", longformer, 2, 65536, 65536, 32, false);
}

int main(void) {
    const char *given = getenv("TULLE_TEST_SEED");
    run_seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    printf("# TULLE_TEST_SEED=%llu\n", (unsigned long long)run_seed);
    fflush(stdout);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_window_padding),
        cmocka_unit_test(test_even_stretches),
        cmocka_unit_test(test_speed),
    };
    return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
