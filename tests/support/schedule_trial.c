// SPDX-License-Identifier: MIT

#include "schedule_trial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "library_term.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

// -------------------------------------------------------------------------------------------------
// What is being tried, and failures that say it

uint64_t run_seed;
int64_t trial_index;

static char trial_text[4000];

void trial_begin(void) { trial_text[0] = 0; }

void trial_say(const char *format, ...) {
    size_t used = strlen(trial_text);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(trial_text + used, sizeof trial_text - used, format, arguments);
    va_end(arguments);
}

void trial_failed(const char *file, int line, const char *format, ...) {
    char text[1600];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fail_msg("%s:%d: %s\n  TULLE_TEST_SEED=%llu TULLE_TEST_CASE=%lld\n  %s", file, line, text,
             (unsigned long long)run_seed, (long long)trial_index, trial_text);
}

// -------------------------------------------------------------------------------------------------
// How one is made

/// Small numbers often, large ones too.
static int64_t skewed(struct rng *rng, int64_t low, int64_t high) {
    int64_t most = rng_chance(rng, 40) ? 4 : rng_chance(rng, 50) ? 40 : high;
    return rng_between(rng, low, low + most < high ? low + most : high);
}

static void *own(struct trial *t, size_t bytes) {
    void *memory = calloc(1, bytes ? bytes : 1);
    assert_non_null(memory);
    assert_true(t->owned_count < COUNT(t->owned));
    return t->owned[t->owned_count++] = memory;
}

static struct ref_term random_term(struct trial *t, struct rng *rng, int64_t furthest) {
    struct ref_term term = { .kind = (enum ref_kind)rng_between(rng, 0, REF_DOCUMENTS) };
    int64_t size = t->kv_len > t->q_len ? t->kv_len : t->q_len;
    switch (term.kind) {
    case REF_DENSE:
        // dense swallows all others
        if (rng_chance(rng, 70)) {
            term.kind = REF_WINDOW;
            term.left = skewed(rng, 0, 40);
        }
        break;
    case REF_WINDOW:
    case REF_DILATED:
        term.left = rng_chance(rng, 10) ? -1 : skewed(rng, 0, size);
        term.right = rng_chance(rng, 10) ? -1 : rng_chance(rng, 40) ? 0 : skewed(rng, 0, size);
        term.step = skewed(rng, 1, rng_chance(rng, 10) ? size + 5 : 20);
        break;
    case REF_GLOBAL:
    case REF_SINK: term.count = skewed(rng, 0, rng_chance(rng, 20) ? size + 3 : 30); break;
    case REF_STRIDED: term.step = skewed(rng, 1, rng_chance(rng, 10) ? size + 5 : 20); break;
    case REF_FIXED:
        term.step = skewed(rng, 1, rng_chance(rng, 10) ? size + 5 : 60);
        term.count = rng_between(rng, 1, rng_chance(rng, 70) && term.step > 3 ? 3 : term.step);
        break;
    case REF_GLOBAL_LIST: {
        term.list_len = (size_t)skewed(rng, 0, rng_chance(rng, 30) ? 60 : 12);
        int64_t *list = own(t, term.list_len * sizeof *list);
        for (size_t i = 0; i < term.list_len; i++)
            list[i] = rng_between(rng, 0, rng_chance(rng, 10) ? 2 * size : size);
        term.list = list;
        break;
    }
    case REF_BLOCKS: {
        static const int64_t sizes[] = { 1, 3, 8, 16, 32, 64, 100 };
        term.block = sizes[rng_between(rng, 0, COUNT(sizes) - 1)];
        if (furthest / term.block > 400) term.block = 64;
        term.layouts = rng_chance(rng, 60) ? 1 : rng_chance(rng, 50) ? t->kv_heads : t->heads;
        term.block_rows = (furthest < 0 ? 0 : furthest) / term.block + 1 + rng_between(rng, 0, 1);
        term.block_cols =
            (t->kv_len > 0 ? t->kv_len - 1 : 0) / term.block + 1 + rng_between(rng, 0, 1);
        size_t cells = (size_t)(term.layouts * term.block_rows * term.block_cols);
        uint8_t *cell = own(t, cells);
        int density = (int)rng_between(rng, 0, 100);
        for (size_t i = 0; i < cells; i++) cell[i] = rng_chance(rng, density);
        term.mask = cell;
        break;
    }
    case REF_RANDOM: {
        static const int64_t sizes[] = { 1, 5, 16, 32, 64 };
        term.block = sizes[rng_between(rng, 0, COUNT(sizes) - 1)];
        term.count = rng_between(rng, 1, 6);
        term.seed = rng_next(rng);
        break;
    }
    case REF_DOCUMENTS: {
        term.list_len = (size_t)skewed(rng, 2, 12);
        int64_t *list = own(t, term.list_len * sizeof *list);
        for (size_t i = 1; i < term.list_len; i++)
            list[i] =
                list[i - 1] +
                (rng_chance(rng, 15) ? 0 : skewed(rng, 0, 1 + 3 * size / (int64_t)term.list_len));
        term.list = list;
        break;
    }
    default: break;
    }
    return term;
}

tulle_pattern *trial_pattern(const struct ref_term *terms, size_t count, const size_t *order) {
    tulle_term given[TERMS] = { { 0 } };
    for (size_t i = 0; i < count; i++) given[i] = library_term(&terms[order ? order[i] : i], false);
    tulle_pattern *pattern = NULL;
    tulle_error error = { 0 };
    tulle_result result = tulle_pattern_create(given, (uint32_t)count, &pattern, &error);
    for (size_t i = 0; i < count; i++) library_term_free(&given[i]);
    if (result) FAIL("pattern refused: %s", error.message);
    return pattern;
}

static void say_term(const struct ref_term *term) {
    static const char *const names[] = { "dense",  "window", "dilated",  "global",
                                         "list",   "sink",   "strided",  "fixed",
                                         "blocks", "random", "documents" };
    trial_say(" %s(l%lld r%lld s%lld c%lld b%lld n%zu:", names[term->kind], (long long)term->left,
              (long long)term->right, (long long)term->step, (long long)term->count,
              (long long)term->block, term->list_len);
    for (size_t i = 0; i < term->list_len && i < 14; i++)
        trial_say("%lld,", (long long)term->list[i]);
    trial_say(")");
}

/// Do the runs of some pattern depend on where the queries stand?
static bool by_position(const struct trial *t) {
    for (size_t p = 0; p < t->pattern_count; p++)
        for (size_t i = 0; i < t->term_count[p]; i++)
            if (t->terms[p][i].kind != REF_DENSE && t->terms[p][i].kind != REF_SINK) return true;
    return t->causal;
}

void trial_group(struct trial *t) {
    t->input.group_count = 0;
    struct {
        size_t pattern;
        int64_t head, b;
    } keys[BATCH * HEADS];
    for (int64_t b = 0; b < t->batch; b++)
        for (int64_t h = 0; h < t->heads; h++) {
            size_t pattern = t->head_pattern[h];
            int64_t head = pattern_by_head(t->patterns[pattern]) ? h : 0;
            uint32_t g = 0;
            for (; g < t->input.group_count; g++) {
                int64_t o = keys[g].b;
                if (keys[g].pattern == pattern && keys[g].head == head &&
                    t->q_length[o] == t->q_length[b] && t->kv_length[o] == t->kv_length[b] &&
                    t->kv_start[o] == t->kv_start[b] &&
                    (t->q_offset[o] == t->q_offset[b] || !by_position(t)))
                    break;
            }
            struct group *group = &t->groups[g];
            if (g == t->input.group_count) {
                t->input.group_count++;
                keys[g].pattern = pattern, keys[g].head = head, keys[g].b = b;
                group->site = (struct site){ .pattern = t->patterns[pattern],
                                             .at = { head, t->heads, t->kv_heads, t->kv_length[b],
                                                     t->causal },
                                             .q_len = t->q_len,
                                             .q_length = t->q_length[b],
                                             .kv_start = t->kv_start[b],
                                             .q_offset = t->q_offset[b] };
                group->entries = own(t, (size_t)(t->batch * t->heads) * sizeof *group->entries);
                group->entry_count = 0;
            }
            struct pm_entry entry = { .index = (uint32_t)(b * t->heads + h),
                                      .q_offset = (int32_t)t->q_offset[b],
                                      .q_length = (uint32_t)t->q_length[b],
                                      .kv_length = (uint32_t)t->kv_length[b] };
            group->entries[group->entry_count++] = t->entries[entry.index] = entry;
            t->group_of[entry.index] = g;
        }
    t->input.groups = t->groups;
}

void trial_want(struct trial *t) {
    for (uint32_t g = 0; g < t->input.group_count; g++) {
        const struct group *group = &t->groups[g];
        size_t pattern = t->head_pattern[group->entries[0].index % t->heads];
        struct ref_pattern reference = { t->terms[pattern], t->term_count[pattern] };
        int64_t head = group->entries[0].index % t->heads, kv_len = group->site.at.kv_len;
        uint8_t *want = t->want[g] = own(t, (size_t)(t->q_len * t->kv_len));
        for (int64_t i = 0; i < group->site.q_length; i++)
            for (int64_t j = group->site.kv_start; j < kv_len; j++) {
                int64_t p = i + group->site.q_offset;
                want[i * t->kv_len + j] =
                    (!t->causal || j <= p) &&
                    ref_selects(&reference, p, j, head, t->heads, t->kv_heads, kv_len, t->causal);
            }
    }
}

static struct tensor_shape random_shape(struct rng *rng, int64_t heads, int64_t rows,
                                        uint64_t row_bytes, bool windowed) {
    uint64_t gap = rng_chance(rng, 30) ? (uint64_t)rng_between(rng, 1, 8) * 16 : 0,
             row = row_bytes + gap;
    struct tensor_shape s = { .row_bytes = row_bytes, .windowed = windowed };
    if (rng_chance(rng, 50)) {  // BHSD
        s.row = row, s.head = row * (uint64_t)rows, s.batch = s.head * (uint64_t)heads;
    } else {  // BSHD
        s.head = row, s.row = row * (uint64_t)heads, s.batch = s.row * (uint64_t)rows;
    }
    if (rng_chance(rng, 5)) s.head = 0;
    if (rng_chance(rng, 5)) s.batch = 0;
    if (rng_chance(rng, 3)) s.row = 0;
    return s;
}

void trial_make(struct trial *t, struct rng *rng) {
    static const int64_t sizes[] = { 1, 20, 100, 300, 300 };
    memset(t, 0, sizeof *t);
    trial_begin();
    t->batch = rng_between(rng, 1, BATCH);
    t->kv_heads = rng_between(rng, 1, 2);
    t->heads = t->kv_heads * rng_between(rng, 1, 3);
    t->q_len = rng_between(rng, 1, sizes[rng_between(rng, 0, 4)]);
    // in a line of its own: C leaves the order of arguments open
    const int64_t kv_least = rng_chance(rng, 3) ? 0 : 1;
    t->kv_len = rng_between(rng, kv_least, sizes[rng_between(rng, 0, 4)]);
    if (rng_chance(rng, 6)) {  // a few larger ones, of fewer heads
        t->batch = 1;
        t->heads = t->kv_heads = 1;
        t->q_len = rng_between(rng, 1, 900);
        t->kv_len = rng_between(rng, 1, 1200);
    }
    t->causal = rng_chance(rng, 50);
    int64_t furthest = 0;
    bool lengths = rng_chance(rng, 40), starts = rng_chance(rng, 25),
         offset_given = rng_chance(rng, 40);
    int64_t offset = rng_between(rng, -t->q_len, t->kv_len + 40);
    for (int64_t b = 0; b < t->batch; b++) {
        t->q_length[b] = lengths ? rng_between(rng, 0, t->q_len) : t->q_len;
        t->kv_length[b] = lengths ? rng_between(rng, 0, t->kv_len) : t->kv_len;
        t->kv_start[b] = starts ? rng_between(rng, 0, t->kv_length[b]) : 0;
        t->q_offset[b] = offset_given ? offset : t->kv_length[b] - t->q_length[b];
        if (offset_given && rng_chance(rng, 20)) t->q_offset[b] += rng_between(rng, -3, 3);
        int64_t last = t->q_len - 1 + t->q_offset[b];
        if (last > furthest) furthest = last;
    }
    t->pattern_count = (size_t)rng_between(rng, 1, PATTERNS);
    trial_say("batch %lld heads %lld/%lld q_len %lld kv_len %lld causal %d\n ", (long long)t->batch,
              (long long)t->heads, (long long)t->kv_heads, (long long)t->q_len,
              (long long)t->kv_len, t->causal);
    for (int64_t b = 0; b < t->batch; b++)
        trial_say(" [q %lld kv %lld start %lld offset %lld]", (long long)t->q_length[b],
                  (long long)t->kv_length[b], (long long)t->kv_start[b], (long long)t->q_offset[b]);
    for (size_t n = 0; n < t->pattern_count; n++) {
        t->term_count[n] = (size_t)rng_between(rng, 1, TERMS);
        bool moving = rng_chance(rng, 20);  // nothing but windows: tiles that repeat
        if (moving) t->term_count[n] = (size_t)rng_between(rng, 1, 2);
        trial_say("\n  pattern %zu:", n);
        for (size_t i = 0; i < t->term_count[n]; i++) {
            t->terms[n][i] = random_term(t, rng, furthest);
            if (moving)
                t->terms[n][i] =
                    (struct ref_term){ .kind = rng_chance(rng, 60) ? REF_WINDOW : REF_DILATED,
                                       .left = skewed(rng, 0, 70),
                                       .right = skewed(rng, 0, 70),
                                       .step = rng_between(rng, 1, 3) };
            say_term(&t->terms[n][i]);
        }
        t->patterns[n] = trial_pattern(t->terms[n], t->term_count[n], NULL);
    }
    for (int64_t h = 0; h < t->heads; h++)
        t->head_pattern[h] = (size_t)rng_between(rng, 0, (int64_t)t->pattern_count - 1);
    trial_group(t);
    trial_want(t);

    struct schedule_limits *l = &t->input.limits;
    static const int32_t rows[] = { 8, 16, 32, 64 }, chunks[] = { 2, 4, 8, 16, 32, 64 };
    l->tile_rows = rows[rng_between(rng, 0, 3)];
    l->chunk = chunks[rng_between(rng, 0, 5)];
    l->direct = rng_chance(rng, 65);
    l->segment_texels = rng_chance(rng, 25)   ? 4096
                        : rng_chance(rng, 50) ? (uint32_t)rng_between(rng, 300, 900)
                        : rng_chance(rng, 50) ? 65536
                                              : 1 << 26;
    l->segment_alignment = rng_chance(rng, 50) ? 1 : 1u << rng_between(rng, 0, 4);
    l->max_workgroups_x = rng_chance(rng, 20) ? (uint32_t)rng_between(rng, 1, 5) : 65535;
    l->max_workgroups_y = rng_chance(rng, 20) ? (uint32_t)rng_between(rng, 1, 3) : 65535;
    l->item_chunks_least = rng_chance(rng, 50) ? 1 : rng_between(rng, 1, 64);
    l->item_chunks_most =
        rng_chance(rng, 30) ? rng_between(rng, l->chunk < 32 ? 32 / l->chunk : 1, 40) : 60000;
    l->items_wanted = rng_chance(rng, 50) ? 1 : skewed(rng, 1, 4000);
    l->dispatch_pairs =
        rng_chance(rng, 20) ? (uint64_t)rng_between(rng, 1, 20000) : UINT64_C(1) << 40;
    l->workspace_rows = rng_chance(rng, 40)   ? (uint64_t)rng_between(rng, 0, 4 * l->tile_rows)
                        : rng_chance(rng, 50) ? (uint64_t)rng_between(rng, 0, 4000)
                                              : 1u << 30;
    bool windows = rng_chance(rng, 30);
    uint64_t bytes = 16 * (uint64_t)rng_between(rng, 1, 5);
    if (windows)
        l->window_bytes = (uint64_t)(rng_chance(rng, 30)   ? rng_between(rng, 80, 700)
                                     : rng_chance(rng, 50) ? rng_between(rng, 600, 3000)
                                                           : rng_between(rng, 600, 60000));
    for (int i = 0; i < TENSOR_COUNT; i++) {
        bool keys = i == TENSOR_K || i == TENSOR_V;
        t->input.tensors[i] =
            random_shape(rng, keys ? t->kv_heads : t->heads, keys ? t->kv_len : t->q_len,
                         i == TENSOR_LSE ? 4 : bytes, windows && rng_chance(rng, 50));
    }
    uint32_t words[sizeof t->header / 4];
    for (size_t i = 0; i < COUNT(words); i++) words[i] = (uint32_t)rng_next(rng);
    memcpy(&t->header, words, sizeof words);
    for (int64_t h = 0; h < t->heads; h++)
        t->slopes[h] = (float)h + 0.5f, t->sinks[h] = (float)h + 0.25f;
    t->input.header = &t->header;
    if (rng_chance(rng, 30)) t->input.slopes = t->slopes;
    if (rng_chance(rng, 30)) t->input.sinks = t->sinks;
    t->input.heads = (uint32_t)t->heads;
    t->input.kv_heads = (uint32_t)t->kv_heads;
    trial_say(
        "\n  tile %d x %d direct %d segment %u/%u workgroups %u %u item chunks %lld…%lld wanted %lld pairs %llu workspace %llu window %llu",
        l->tile_rows, l->chunk, l->direct, l->segment_texels, l->segment_alignment,
        l->max_workgroups_x, l->max_workgroups_y, (long long)l->item_chunks_least,
        (long long)l->item_chunks_most, (long long)l->items_wanted,
        (unsigned long long)l->dispatch_pairs, (unsigned long long)l->workspace_rows,
        (unsigned long long)l->window_bytes);
    for (int i = 0; i < TENSOR_COUNT && windows; i++)
        trial_say("\n  tensor %d: %llu %llu %llu %llu windowed %d", i,
                  (unsigned long long)t->input.tensors[i].batch,
                  (unsigned long long)t->input.tensors[i].head,
                  (unsigned long long)t->input.tensors[i].row,
                  (unsigned long long)t->input.tensors[i].row_bytes, t->input.tensors[i].windowed);
}

void trial_free(struct trial *t) {
    for (size_t i = 0; i < t->pattern_count; i++) tulle_pattern_destroy(t->patterns[i]);
    for (size_t i = 0; i < t->owned_count; i++) free(t->owned[i]);
}
