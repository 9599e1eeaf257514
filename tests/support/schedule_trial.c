// SPDX-License-Identifier: MIT

#include "schedule_trial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "library_term.h"
#include "random_term.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

// -------------------------------------------------------------------------------------------------
// What is being tried, and failures that say it

uint64_t run_seed;

void trial_take_seed(void) {
    const char *given = getenv("TULLE_TEST_SEED");
    run_seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    printf("# TULLE_TEST_SEED=%llu\n", (unsigned long long)run_seed);
    fflush(stdout);
}
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

static void *own(struct trial *t, size_t bytes) {
    void *memory = calloc(1, bytes ? bytes : 1);
    assert_non_null(memory);
    assert_true(t->owned_count < COUNT(t->owned));
    return t->owned[t->owned_count++] = memory;
}

static void *own_for_term(void *user, size_t count, size_t size) { return own(user, count * size); }

/// What terms of this trial are for; its shapes and lengths are set.
static struct random_site site_of(struct trial *t) {
    struct random_site site = { .heads = t->heads,
                                .kv_heads = t->kv_heads,
                                .q_len = t->q_len,
                                .kv_len = t->kv_len,
                                .keys_least = t->kv_len > 0 ? t->kv_len : 1,
                                .own = own_for_term,
                                .user = t };
    for (int64_t b = 0; b < t->batch; b++) {
        const int64_t last = t->q_len - 1 + t->q_offset[b];
        if (last > site.furthest) site.furthest = last;
        if (t->q_length[b] > 0 && t->kv_length[b] > 0 && t->kv_length[b] < site.keys_least)
            site.keys_least = t->kv_length[b];
    }
    return site;
}

static struct ref_term draw_term(const struct random_site *site, struct rng *rng) {
    if (rng_chance(rng, 30)) return random_intersection(site, rng);
    const enum ref_kind kind = (enum ref_kind)rng_between(rng, 0, REF_KINDS - 1);
    // dense swallows all others
    if (kind == REF_DENSE && rng_chance(rng, 70))
        return (struct ref_term){ .kind = REF_WINDOW, .left = random_skewed(rng, 0, 40) };
    return random_term(site, kind, rng);
}

static struct ref_term draw_scattered(const struct random_site *site, struct rng *rng) {
    return rng_chance(rng, 80) ? random_scattered(site, rng) : draw_term(site, rng);
}

/// Global positions strewn over the queries, a few side by side.
static struct ref_term draw_strewn(struct trial *t, struct rng *rng) {
    int64_t *list = own(t, (size_t)t->q_len * sizeof *list), apart = rng_between(rng, 3, 24);
    size_t count = 0;
    for (int64_t p = t->q_offset[0]; p < t->q_offset[0] + t->q_len; p++)
        if (p >= 0 && (rng_between(rng, 1, apart) == 1 || (p % 7 == 0 && rng_chance(rng, 30))))
            list[count++] = p;
    return (struct ref_term){ .kind = REF_GLOBAL_LIST, .list = list, .list_len = count };
}

/// A raster with about as many positions as there are keys, or more, and wide, so that a tile of
/// neighbours is a poor one.
static struct ref_term draw_raster(const struct trial *t, struct rng *rng) {
    struct ref_term term = { .kind = REF_NEIGHBORHOOD, .axes = (int)rng_between(rng, 2, 3) };
    const int64_t width = t->kv_len > 200 ? rng_between(rng, 15, 45) : rng_between(rng, 8, 20);
    const int64_t lines = t->kv_len / width;
    int64_t left = lines + rng_between(rng, 0, rng_chance(rng, 25) ? lines : 1);
    for (int axis = term.axes - 1; axis >= 0; axis--) {
        const int64_t side = axis == term.axes - 1 ? width : axis == 0 ? left : left / 3;
        term.grid[axis] = side > 0 ? side : 1;
        if (axis == 1 && term.axes == 3) left /= term.grid[axis];
        term.dilation[axis] = rng_chance(rng, 25) ? rng_between(rng, 1, term.grid[axis]) : 1;
        const int64_t room = term.grid[axis] / term.dilation[axis];
        term.kernel[axis] = rng_between(rng, room < 4 ? room : 4, room < 7 ? room : 7);
        term.causal_axis[axis] = rng_chance(rng, 20);
    }
    return term;
}

/// Terms whose rows may come from lists, of a pattern that has up to three.
static size_t draw_listed_rows(struct trial *t, struct ref_term *terms, struct rng *rng) {
    const bool raster = rng_chance(rng, 60), strewn = !raster || rng_chance(rng, 30);
    size_t count = 0;
    if (raster) terms[count++] = draw_raster(t, rng);
    if (strewn) terms[count++] = draw_strewn(t, rng);
    if (!raster || rng_chance(rng, 40))
        terms[count++] = (struct ref_term){ .kind = REF_WINDOW,
                                            .left = random_skewed(rng, 0, 40),
                                            .right = random_skewed(rng, 0, 40) };
    return count;
}

/// All factors of a term, each without its own, from last to first: the same pairs.
static size_t factors_of(const struct ref_term *term, struct ref_term *factors, size_t count) {
    for (size_t n = term->n_factors; n-- > 0;)
        count = factors_of(&term->factors[n], factors, count);
    CHECK(count < RANDOM_FACTORS_MOST, "more factors than there is room for");
    factors[count] = *term;
    factors[count].factors = NULL;
    factors[count].n_factors = 0;
    return count + 1;
}

tulle_pattern *trial_pattern(const struct ref_term *terms, size_t count, const size_t *order) {
    tulle_term given[TERMS] = { { 0 } };
    for (size_t i = 0; i < count; i++) {
        struct ref_term factors[RANDOM_FACTORS_MOST], term = terms[order ? order[i] : i];
        if (order && term.n_factors > 0) {
            const size_t others = factors_of(&term, factors, 0) - 1;
            term = factors[0];
            term.factors = &factors[1];
            term.n_factors = others;
        }
        given[i] = library_term(&term, false);
    }
    tulle_pattern *pattern = NULL;
    tulle_error error = { 0 };
    tulle_result result = tulle_pattern_create(given, (uint32_t)count, &pattern, &error);
    for (size_t i = 0; i < count; i++) library_term_free(&given[i]);
    if (result) FAIL("pattern refused: %s", error.message);
    return pattern;
}

static void say_term(const struct ref_term *term) {
    static const char *const names[] = {
        "dense",   "window",  "dilated",        "global",       "list",      "sink",
        "strided", "fixed",   "blocks",         "random",       "documents", "prefix",
        "chunked", "a_shape", "vertical_slash", "neighborhood",
    };
    _Static_assert(COUNT(names) == REF_KINDS, "a name for each kind");
    trial_say(" %s(l%lld r%lld s%lld c%lld b%lld n%zu:", names[term->kind], (long long)term->left,
              (long long)term->right, (long long)term->step, (long long)term->count,
              (long long)term->block, term->list_len);
    for (size_t i = 0; i < term->list_len && i < 14; i++)
        trial_say("%lld,", (long long)term->list[i]);
    if (term->diagonals_len > 0) trial_say(" diagonals %zu:", term->diagonals_len);
    for (size_t i = 0; i < term->diagonals_len && i < 14; i++)
        trial_say("%lld,", (long long)term->diagonals[i]);
    for (int axis = 0; axis < term->axes; axis++)
        trial_say(" %lld of %lld by %lld%s", (long long)term->kernel[axis],
                  (long long)term->grid[axis], (long long)term->dilation[axis],
                  term->causal_axis[axis] ? " causal" : "");
    trial_say(")");
    for (size_t n = 0; n < term->n_factors; n++) {
        trial_say(" &");
        say_term(&term->factors[n]);
    }
}

/// Does what the term selects depend on where the query stands?
static bool term_by_position(const struct ref_term *term) {
    if (term->kind != REF_DENSE && term->kind != REF_SINK) return true;
    for (size_t n = 0; n < term->n_factors; n++)
        if (term_by_position(&term->factors[n])) return true;
    return false;
}

static bool by_position(const struct trial *t) {
    for (size_t p = 0; p < t->pattern_count; p++)
        for (size_t i = 0; i < t->term_count[p]; i++)
            if (term_by_position(&t->terms[p][i])) return true;
    return t->causal;
}

/// May what the term selects depend on the head?
static bool depends_on_head(const struct ref_term *term) {
    if (term->kind == REF_RANDOM || term->layouts > 1) return true;
    for (size_t n = 0; n < term->n_factors; n++)
        if (depends_on_head(&term->factors[n])) return true;
    return false;
}

static bool by_head(const struct trial *t, size_t pattern) {
    for (size_t i = 0; i < t->term_count[pattern]; i++)
        if (depends_on_head(&t->terms[pattern][i])) return true;
    return false;
}

static size_t tree_words(const struct trial *t) { return (t->tree_rows + 31) / 32; }

/// The first of equal trees stands for all.
static const uint32_t *tree_of(const struct trial *t, int64_t b) {
    for (int64_t o = 0; o < b && t->trees[b]; o++)
        if (t->q_length[o] == t->q_length[b] &&
            !memcmp(t->trees[o], t->trees[b],
                    (size_t)t->q_length[b] * tree_words(t) * sizeof *t->trees[b]))
            return t->trees[o];
    return t->trees[b];
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
                    t->kv_start[o] == t->kv_start[b] && tree_of(t, o) == tree_of(t, b) &&
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
                                             .q_offset = t->q_offset[b],
                                             .tree = t->trees[b],
                                             .tree_rows = t->q_length[b],
                                             .tree_words = (uint32_t)tree_words(t) };
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

/// What the reference selects of a group for one of its heads.
static void want_of(const struct trial *t, const struct group *group, int64_t head, uint8_t *want) {
    size_t pattern = t->head_pattern[head];
    struct ref_pattern reference = { t->terms[pattern], t->term_count[pattern] };
    int64_t kv_len = group->site.at.kv_len;
    const int64_t b = group->entries[0].index / t->heads, own_rows = kv_len - group->site.q_length;
    for (int64_t i = 0; i < group->site.q_length; i++)
        for (int64_t j = group->site.kv_start; j < kv_len; j++) {
            int64_t p = i + group->site.q_offset;
            if (t->trees[b] && j >= own_rows) {
                const uint32_t *row = t->trees[b] + (size_t)i * tree_words(t);
                want[i * t->kv_len + j] = row[(j - own_rows) / 32] >> (j - own_rows) % 32 & 1;
                continue;
            }
            want[i * t->kv_len + j] =
                (!t->causal || j <= p) &&
                ref_selects(&reference, p, j, head, t->heads, t->kv_heads, kv_len, t->causal);
        }
}

void trial_want(struct trial *t) {
    const size_t cells = (size_t)(t->q_len * t->kv_len);
    for (uint32_t g = 0; g < t->input.group_count; g++) {
        const struct group *group = &t->groups[g];
        int64_t head = group->entries[0].index % t->heads;
        want_of(t, group, head, t->want[g] = own(t, cells));
        // heads that the library says share all: they must
        for (uint32_t e = 1; e < group->entry_count && by_head(t, t->head_pattern[head]); e++) {
            int64_t other = group->entries[e].index % t->heads;
            if (other == head) continue;
            uint8_t *also = own(t, cells);
            want_of(t, group, other, also);
            CHECK(!memcmp(also, t->want[g], cells), "heads %lld and %lld are in one group",
                  (long long)head, (long long)other);
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

/// A tree for each batch entry, some of them alike; bits past its rows are drawn too.
static void draw_trees(struct trial *t, struct rng *rng) {
    t->tree_rows = (uint32_t)(t->q_len + rng_between(rng, 0, 40));
    const size_t words = t->tree_rows * tree_words(t);
    const bool causal = rng_chance(rng, 40);
    for (int64_t b = 0; b < t->batch; b++) {
        t->q_offset[b] = t->kv_length[b] - t->q_length[b];
        t->trees[b] = own(t, words * sizeof *t->trees[b]);
        const bool alike = b && rng_chance(rng, 40);
        const int64_t percent = rng_between(rng, 0, 100);
        for (size_t i = 0; i < words * 32; i++) {
            const size_t row = i / 32 / tree_words(t), column = i % (32 * tree_words(t));
            const bool on = alike ? t->trees[0][i / 32] >> i % 32 & 1
                                  : rng_chance(rng, percent) && (!causal || column <= row);
            t->trees[b][i / 32] |= (uint32_t)on << i % 32;
        }
        trial_say(" tree of %u, %lld %%", t->tree_rows, (long long)percent);
    }
}

enum patterns { MIXED, SCATTERED, LISTED_ROWS, PLANES };

static void make(struct trial *t, struct rng *rng, enum patterns of) {
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
    if (rng_chance(rng, of == SCATTERED ? 70 : 6)) {  // larger ones, of fewer heads
        t->batch = 1;
        t->heads = t->kv_heads = 1;
        t->q_len = rng_between(rng, 1, of == SCATTERED ? 200 : 900);
        t->kv_len = rng_between(rng, 1, 1200);
    }
    if (of == PLANES) {  // of many tiles, most of them alike
        t->batch = t->heads = t->kv_heads = 1;
        t->q_len = t->kv_len = rng_between(rng, 300, 900);
    }
    t->causal = rng_chance(rng, 50);
    bool lengths = rng_chance(rng, 40), starts = rng_chance(rng, 25),
         offset_given = rng_chance(rng, 40);
    int64_t offset = rng_between(rng, -t->q_len, t->kv_len + 40);
    for (int64_t b = 0; b < t->batch; b++) {
        t->q_length[b] = lengths ? rng_between(rng, 0, t->q_len) : t->q_len;
        t->kv_length[b] = lengths ? rng_between(rng, 0, t->kv_len) : t->kv_len;
        t->kv_start[b] = starts ? rng_between(rng, 0, t->kv_length[b]) : 0;
        t->q_offset[b] = offset_given ? offset : t->kv_length[b] - t->q_length[b];
        if (offset_given && rng_chance(rng, 20)) t->q_offset[b] += rng_between(rng, -3, 3);
    }
    if (of != PLANES && rng_chance(rng, 15)) draw_trees(t, rng);
    t->pattern_count = (size_t)rng_between(rng, 1, PATTERNS);
    trial_say("batch %lld heads %lld/%lld q_len %lld kv_len %lld causal %d\n ", (long long)t->batch,
              (long long)t->heads, (long long)t->kv_heads, (long long)t->q_len,
              (long long)t->kv_len, t->causal);
    for (int64_t b = 0; b < t->batch; b++)
        trial_say(" [q %lld kv %lld start %lld offset %lld]", (long long)t->q_length[b],
                  (long long)t->kv_length[b], (long long)t->kv_start[b], (long long)t->q_offset[b]);
    const struct random_site site = site_of(t);
    for (size_t n = 0; n < t->pattern_count; n++) {
        t->term_count[n] = (size_t)rng_between(rng, 1, of == SCATTERED ? 3 : TERMS);
        bool moving = rng_chance(rng, 20);  // nothing but windows: tiles that repeat
        if (moving) t->term_count[n] = (size_t)rng_between(rng, 1, 2);
        trial_say("\n  pattern %zu:", n);
        if (of == LISTED_ROWS || of == PLANES) {
            t->term_count[n] = of == PLANES ? 1 : draw_listed_rows(t, t->terms[n], rng);
            if (of == PLANES) t->terms[n][0] = draw_raster(t, rng);
            for (size_t i = 0; i < t->term_count[n]; i++) say_term(&t->terms[n][i]);
            t->patterns[n] = trial_pattern(t->terms[n], t->term_count[n], NULL);
            continue;
        }
        for (size_t i = 0; i < t->term_count[n]; i++) {
            t->terms[n][i] = of == SCATTERED ? draw_scattered(&site, rng) : draw_term(&site, rng);
            if (moving)
                t->terms[n][i] =
                    (struct ref_term){ .kind = rng_chance(rng, 60) ? REF_WINDOW : REF_DILATED,
                                       .left = random_skewed(rng, 0, 70),
                                       .right = random_skewed(rng, 0, 70),
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
    if (of == SCATTERED && rng_chance(rng, 60))
        l->segment_texels = (uint32_t)rng_between(rng, 300, 900);
    l->segment_alignment = rng_chance(rng, 50) ? 1 : 1u << rng_between(rng, 0, 4);
    l->max_workgroups_x = rng_chance(rng, 20) ? (uint32_t)rng_between(rng, 1, 5) : 65535;
    l->max_workgroups_y = rng_chance(rng, 20) ? (uint32_t)rng_between(rng, 1, 3) : 65535;
    l->item_chunks_least = rng_chance(rng, 50) ? 1 : rng_between(rng, 1, 64);
    l->item_chunks_most =
        rng_chance(rng, 30) ? rng_between(rng, l->chunk < 32 ? 32 / l->chunk : 1, 40) : 60000;
    l->items_wanted = rng_chance(rng, 50) ? 1 : random_skewed(rng, 1, 4000);
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

void trial_make(struct trial *t, struct rng *rng) { make(t, rng, MIXED); }

void trial_make_scattered(struct trial *t, struct rng *rng) { make(t, rng, SCATTERED); }

void trial_make_listed(struct trial *t, struct rng *rng) { make(t, rng, LISTED_ROWS); }

void trial_make_planes(struct trial *t, struct rng *rng) { make(t, rng, PLANES); }

void trial_free(struct trial *t) {
    for (size_t i = 0; i < t->pattern_count; i++) tulle_pattern_destroy(t->patterns[i]);
    for (size_t i = 0; i < t->owned_count; i++) free(t->owned[i]);
}

struct schedule_input trial_plain_input(const struct pm_header *header, const struct group *group,
                                        int32_t tile_rows, int32_t chunk) {
    return (struct schedule_input){ .limits = { .tile_rows = tile_rows,
                                                .chunk = chunk,
                                                .direct = true,
                                                .segment_texels = 65536,
                                                .segment_alignment = 1,
                                                .max_workgroups_x = 65535,
                                                .max_workgroups_y = 65535,
                                                .item_chunks_most = 30000,
                                                .item_chunks_least = 16,
                                                .items_wanted = 512,
                                                .dispatch_pairs = UINT64_C(1) << 36,
                                                .workspace_rows = 1 << 20 },
                                    .header = header,
                                    .heads = 8,
                                    .kv_heads = 8,
                                    .groups = group,
                                    .group_count = 1 };
}
