// SPDX-License-Identifier: MIT
//
// Schedules without a device: random attentions (schedule_trial.h) are planned, and plan memory is
// then read back as the kernels read it (schedule_machine.h). Every (batch, head, row, key) must be
// taken exactly as often as the reference says, 0 or 1 times; every row finished once; every
// partial result written before it is merged and merged once; every limit of the device kept. Then
// what is refused, what a failed allocation leaves, and what a schedule costs: keys visited, bytes
// of plan memory, how evenly its items run.
//
// TULLE_TEST_SEED: the run's seed; TULLE_TEST_CASE: one trial alone, by its index;
// TULLE_TEST_TRIALS: how many.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/thread.h"
#include "failing.h"
#include "schedule_machine.h"
#include "schedule_trial.h"
#include "schedule/row_sets.h"
#include "schedule/tiler.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define SCATTERED_FROM INT64_C(2000000)  // index of the first trial of test_scattered
#define LISTED_FROM INT64_C(4000000)     // of test_listed_rows
#define PLANES_FROM INT64_C(6000000)     // of test_planes

// -------------------------------------------------------------------------------------------------
// Trials

static struct {
    uint64_t built, refused_workspace, runs, full, band, bits, lists, partials, resuming,
        dispatches, segments, waves, listed, again, of_space, joined, packed;
    // tiles that list keys themselves: all of them, those with keys that every row takes, those of
    // a part with a step, with a list, with terms before it
    uint64_t gathered, gathered_full, gathered_stepped, gathered_listed, gathered_excluded;
} tally;

/// The tiles' own count of pairs, against the reference.
static void add_pairs(void *user, const struct tiler *tile, uint32_t part) {
    uint64_t *pairs = user;
    (void)part;
    *pairs += tile_pairs(tile);
    if (!tile->gathered_count) return;
    tally.gathered++;
    tally.gathered_full += tile->gathered_full > 0;
    tally.gathered_stepped += tile->part->step > 1;
    tally.gathered_listed += tile->part->list_count > 0;
    tally.gathered_excluded += tile->part->exclude_count > 0;
}

static void check_pairs(const struct trial *t) {
    const struct schedule_limits *l = &t->input.limits;
    const struct tiling tiling = { l->tile_rows, l->chunk, l->segment_texels };
    for (uint32_t g = 0; g < t->input.group_count; g++) {
        uint64_t pairs = 0, want = 0;
        assert_true(site_runs(&t->groups[g].site, &tiling, add_pairs, &pairs));
        for (int64_t i = 0; i < t->q_len * t->kv_len; i++) want += t->want[g][i];
        CHECK(pairs == want, "group %u: tile_pairs %llu, should be %llu", g,
              (unsigned long long)pairs, (unsigned long long)want);
    }
}

/// One room for all trials: what a schedule left in it must not show in the next.
static struct schedule_room *room;

static void trial_run(void (*make)(struct trial *t, struct rng *rng)) {
    struct rng rng = { rng_hash(run_seed, (uint64_t)trial_index) };
    struct trial t;
    make(&t, &rng);
    check_pairs(&t);
    struct schedule s = { 0 };
    tulle_error error = { 0 };
    tulle_result result = schedule_build(&t.input, NULL, &s, &error);
    if (result == TULLE_ERROR_WORKSPACE_LIMIT) {
        tally.refused_workspace++;
        CHECK(s.workspace_rows_least > t.input.limits.workspace_rows,
              "refused %llu rows of workspace, says that %llu will do",
              (unsigned long long)t.input.limits.workspace_rows,
              (unsigned long long)s.workspace_rows_least);
        t.input.limits.workspace_rows = s.workspace_rows_least;
        trial_say(" → workspace %llu", (unsigned long long)s.workspace_rows_least);
        schedule_free(&s);
        result = schedule_build(&t.input, NULL, &s, &error);
    }
    CHECK(result == TULLE_OK, "%s: %s", tulle_result_name(result), error.message);
    struct machine_counts m = machine_run(&t, &s);
    CHECK(m.items == s.items, "%llu items run; the schedule says %llu", (unsigned long long)m.items,
          (unsigned long long)s.items);
    tally.built++;
    tally.runs += m.runs, tally.full += m.full, tally.band += m.band, tally.bits += m.bits,
        tally.lists += m.lists, tally.partials += m.partials, tally.resuming += m.resuming;
    tally.packed += m.packed, tally.joined += m.joined, tally.listed += m.listed,
        tally.again += m.again, tally.of_space += m.listed && !m.again && !m.packed;
    tally.dispatches += s.dispatch_count, tally.segments += s.segment_count,
        tally.waves += m.epochs;

    // The least workspace: just enough, and no less.
    uint64_t least = s.workspace_rows_least;
    struct schedule again = { 0 };
    if (least && rng_chance(&rng, 50)) {
        uint64_t before = t.input.limits.workspace_rows;
        t.input.limits.workspace_rows = least;
        trial_say(" → workspace %llu", (unsigned long long)least);
        result = schedule_build(&t.input, NULL, &again, &error);
        CHECK(result == TULLE_OK, "refused the least workspace: %s, %s; now says %llu",
              tulle_result_name(result), error.message,
              (unsigned long long)again.workspace_rows_least);
        machine_run(&t, &again);
        CHECK(again.workspace_rows_least == least, "the least workspace depends on the limit");
        schedule_free(&again);
        t.input.limits.workspace_rows = least - 1;
        result = schedule_build(&t.input, NULL, &again, &error);
        CHECK(result == TULLE_ERROR_WORKSPACE_LIMIT && again.workspace_rows_least == least,
              "%llu rows of workspace: %s, least %llu", (unsigned long long)least - 1,
              tulle_result_name(result), (unsigned long long)again.workspace_rows_least);
        schedule_free(&again);
        t.input.limits.workspace_rows = before;
    }
    // The order of terms and of factors changes no bit.
    tulle_pattern *was[PATTERNS];
    memcpy(was, t.patterns, sizeof was);
    for (size_t n = 0; n < t.pattern_count; n++) {
        size_t order[TERMS] = { 0, 1, 2, 3 }, count = t.term_count[n];
        for (size_t i = count; i-- > 1;) {
            size_t k = (size_t)rng_between(&rng, 0, (int64_t)i), swapped = order[i];
            order[i] = order[k], order[k] = swapped;
        }
        t.patterns[n] = trial_pattern(t.terms[n], count, order);
    }
    for (uint32_t g = 0; g < t.input.group_count; g++)
        for (size_t n = 0; n < t.pattern_count; n++)
            if (t.groups[g].site.pattern == was[n]) {
                t.groups[g].site.pattern = t.patterns[n];
                break;
            }
    result = schedule_build(&t.input, room, &again, &error);
    CHECK(result == TULLE_OK, "terms in another order: %s", error.message);
    CHECK(same_schedule(&s, &again),
          "the order of terms or factors, or what the room held before, changes the schedule");
    schedule_free(&again);
    for (size_t n = 0; n < t.pattern_count; n++) tulle_pattern_destroy(was[n]);
    schedule_free(&s);
    trial_free(&t);
}

/// Trials from index `first` on, `usual` of them if nothing else is asked for. Returns whether it is
/// not one alone.
static bool run_trials(int64_t first, int64_t usual,
                       void (*make)(struct trial *t, struct rng *rng)) {
    const char *one = getenv("TULLE_TEST_CASE"), *many = getenv("TULLE_TEST_TRIALS");
    const int64_t trials = many ? atoll(many) * usual / 400 : usual, given = one ? atoll(one) : -1;
    memset(&tally, 0, sizeof tally);
    room = schedule_room_create();
    assert_non_null(room);
    for (trial_index = first; trial_index < first + trials && !one; trial_index++) trial_run(make);
    trial_index = given;
    if (given >= first && given < first + SCATTERED_FROM) trial_run(make);
    schedule_room_destroy(room);
    print_message(
        "%llu schedules, %llu of them refused with less workspace; runs: %llu full, %llu band, %llu bits, "
        "%llu lists; %llu partial rows, %llu items that resume some, %llu items of listed rows, %llu rows packed with other heads', %llu rows written again, "
        "%llu schedules with listed rows alone, %llu dispatches, %llu of them over several groups, %llu segments, %llu epochs\n",
        (unsigned long long)tally.built, (unsigned long long)tally.refused_workspace,
        (unsigned long long)tally.full, (unsigned long long)tally.band,
        (unsigned long long)tally.bits, (unsigned long long)tally.lists,
        (unsigned long long)tally.partials, (unsigned long long)tally.resuming,
        (unsigned long long)tally.listed, (unsigned long long)tally.packed,
        (unsigned long long)tally.again, (unsigned long long)tally.of_space,
        (unsigned long long)tally.dispatches, (unsigned long long)tally.joined,
        (unsigned long long)tally.segments, (unsigned long long)tally.waves);
    print_message(
        "tiles that list keys: %llu; with full runs: %llu; stepped: %llu, beside a list: %llu, less other terms: %llu\n",
        (unsigned long long)tally.gathered, (unsigned long long)tally.gathered_full,
        (unsigned long long)tally.gathered_stepped, (unsigned long long)tally.gathered_listed,
        (unsigned long long)tally.gathered_excluded);
    return trials >= usual && !one;
}

static void test_random(void **state) {
    (void)state;
    if (!run_trials(0, 400, trial_make)) return;
    assert_true(tally.packed && tally.joined);
}

/// Many small pieces: tiles that list keys themselves, in every setting that there is.
static void test_scattered(void **state) {
    (void)state;
    if (!run_trials(SCATTERED_FROM, 300, trial_make_scattered)) return;
    assert_true(tally.gathered && tally.gathered_full && tally.gathered_stepped);
    assert_true(tally.gathered_listed && tally.gathered_excluded);
}

/// Strewn positions and rasters: rows from lists, rows that are written again.
static void test_listed_rows(void **state) {
    (void)state;
    if (!run_trials(LISTED_FROM, 260, trial_make_listed)) return;
    assert_true(tally.listed && tally.again && tally.of_space);
}

/// Tiles that repeat each other wherever no edge is near.
static void test_planes(void **state) {
    (void)state;
    if (run_trials(PLANES_FROM, 60, trial_make_planes)) assert_true(tally.of_space);
}

/// Three queries at the end of 100003 keys, K in windows or whole: every pair, by the machine.
/// Returns how many items there are.
static uint64_t run_long(const struct ref_term *term, bool windows) {
    struct trial t = { .batch = 1,
                       .heads = 1,
                       .kv_heads = 1,
                       .q_len = 3,
                       .kv_len = 100003,
                       .q_length = { 3 },
                       .kv_length = { 100003 },
                       .q_offset = { 100000 },
                       .terms = { { *term } },
                       .term_count = { 1 },
                       .pattern_count = 1 };
    t.patterns[0] = trial_pattern(t.terms[0], 1, NULL);
    trial_group(&t);
    trial_want(&t);
    t.input.limits = (struct schedule_limits){ .tile_rows = 8,
                                               .chunk = 32,
                                               .direct = true,
                                               .segment_texels = 65536,
                                               .segment_alignment = 1,
                                               .max_workgroups_x = 65535,
                                               .max_workgroups_y = 65535,
                                               .item_chunks_most = 60000,
                                               .item_chunks_least = 60000,
                                               .items_wanted = 1,
                                               .dispatch_pairs = UINT64_C(1) << 40,
                                               .workspace_rows = 1 << 20,
                                               .window_bytes = 40001 * 16 };
    t.input.header = &t.header;
    t.input.heads = t.input.kv_heads = 1;
    for (int i = 0; i < TENSOR_COUNT; i++)
        t.input.tensors[i] = (struct tensor_shape){ .row = 16,
                                                    .row_bytes = 16,
                                                    .windowed = windows && i == TENSOR_K };
    struct schedule s = { 0 };
    tulle_error error = { 0 };
    tulle_result result = schedule_build(&t.input, NULL, &s, &error);
    CHECK(result == TULLE_OK, "%s", error.message);
    machine_run(&t, &s);
    const uint64_t items = s.items;
    schedule_free(&s);
    trial_free(&t);
    return items;
}

/// Long runs, cut where a window ends and where 15 bits of keys do.
static void test_long(void **state) {
    (void)state;
    static const struct ref_term terms[] = { { .kind = REF_DENSE },
                                             { .kind = REF_WINDOW, .left = 99990, .right = 3 },
                                             { .kind = REF_FIXED, .step = 3, .count = 1 },
                                             { .kind = REF_STRIDED, .step = 2 } };
    for (size_t n = 0; n < COUNT(terms); n++)
        for (int windows = 0; windows < 2; windows++) {
            trial_begin();
            trial_say("term %zu, windows %d", n, windows);
            const uint64_t items = run_long(&terms[n], windows);
            CHECK((items > 1) == windows, "%llu items", (unsigned long long)items);
        }
}

/// Neighbourhoods with thousands of keys, and intersections whose steps have a common multiple
/// beyond 31 bits, or whose factors hardly meet.
static void test_long_intersections(void **state) {
    (void)state;
    static const int64_t columns[] = { 3, 99999, -1, 50000 }, diagonals[] = { 0, 99998, 40000 };
    static const struct ref_term apart = { .kind = REF_STRIDED, .step = 46342 },
                                 sink = { .kind = REF_SINK, .count = 60000 },
                                 chunked = { .kind = REF_CHUNKED, .step = 99999 },
                                 fixed = { .kind = REF_FIXED, .step = 7, .count = 2 };
    static const struct ref_term terms[] = {
        { .kind = REF_PREFIX, .count = 100002 },
        { .kind = REF_CHUNKED, .step = 60000 },
        { .kind = REF_A_SHAPE, .count = 30000, .block = 45000 },
        { .kind = REF_VERTICAL_SLASH,
          .list = columns,
          .list_len = 4,
          .diagonals = diagonals,
          .diagonals_len = 3,
          .layouts = 1 },
        { .kind = REF_NEIGHBORHOOD, .axes = 1, .kernel = { 33334 }, .dilation = { 3 } },
        { .kind = REF_NEIGHBORHOOD,
          .axes = 2,
          .grid = { 317, 316 },
          .kernel = { 300, 200 },
          .dilation = { 1, 1 } },
        { .kind = REF_NEIGHBORHOOD,
          .axes = 3,
          .grid = { 47, 47, 46 },
          .kernel = { 20, 23, 45 },
          .dilation = { 2, 2, 1 },
          .causal_axis = { true, false, false } },
        { .kind = REF_STRIDED, .step = 46341, .factors = &apart, .n_factors = 1 },
        { .kind = REF_WINDOW, .left = 70000, .factors = &sink, .n_factors = 1 },
        { .kind = REF_WINDOW, .left = 30000, .factors = &sink, .n_factors = 1 },
        { .kind = REF_STRIDED, .step = 3, .factors = &fixed, .n_factors = 1 },
        { .kind = REF_SINK, .count = 99999, .factors = &chunked, .n_factors = 1 },
    };
    for (size_t n = 0; n < COUNT(terms); n++)
        for (int windows = 0; windows < 2; windows++) {
            trial_begin();
            trial_say("term %zu, windows %d", n, windows);
            run_long(&terms[n], windows);
        }
}

/// A union of a part of step 1 and one stepped part, where the kernel writes rows directly: only
/// rows that were split leave anything to combine, and the workspace holds the stepped part's
/// partial results alone.
static void test_resumed(void **state) {
    (void)state;
    static const struct ref_term terms[] = { { .kind = REF_WINDOW, .left = 20 },
                                             { .kind = REF_STRIDED, .step = 16 },
                                             { .kind = REF_GLOBAL, .count = 5 } };
    static const struct {
        size_t terms;
        int64_t left, item_chunks;
        bool direct;
        const char *what;
    } cases[] = { { 2, 20, 60000, false, "a kernel that cannot" },
                  { 2, 20, 60000, true, "nothing split" },
                  { 2, 20, 3, true, "all tiles split" },
                  { 3, 20, 8, true, "the global rows split" },
                  { 2, 7, 2, true, "only the stepped part's third tiles split" } };
    for (size_t n = 0; n < COUNT(cases); n++) {
        struct trial t = { .batch = 1,
                           .heads = 2,
                           .kv_heads = 1,
                           .q_len = 301,
                           .kv_len = 301,
                           .causal = n != 3,
                           .q_length = { 301 },
                           .kv_length = { 301 },
                           .term_count = { cases[n].terms },
                           .pattern_count = 1 };
        trial_begin();
        trial_say("%s", cases[n].what);
        memcpy(t.terms[0], terms, sizeof terms);
        t.terms[0][0].left = cases[n].left;
        t.patterns[0] = trial_pattern(t.terms[0], cases[n].terms, NULL);
        trial_group(&t);
        trial_want(&t);
        t.input.limits = (struct schedule_limits){ .tile_rows = 8,
                                                   .chunk = 8,
                                                   .direct = cases[n].direct,
                                                   .segment_texels = 65536,
                                                   .segment_alignment = 1,
                                                   .max_workgroups_x = 65535,
                                                   .max_workgroups_y = 65535,
                                                   .item_chunks_most = cases[n].item_chunks,
                                                   .item_chunks_least = cases[n].item_chunks,
                                                   .items_wanted = 1,
                                                   .dispatch_pairs = UINT64_C(1) << 40,
                                                   .workspace_rows = 1 << 20 };
        t.input.header = &t.header;
        t.input.heads = 2, t.input.kv_heads = 1;
        struct schedule s = { 0 };
        tulle_error error = { 0 };
        CHECK(schedule_build(&t.input, NULL, &s, &error) == TULLE_OK, "%s", error.message);
        struct machine_counts m = machine_run(&t, &s);
        uint32_t combines = 0, combined = 0;  // rows, of one head
        for (uint32_t i = 0; i < s.dispatch_count; i++) {
            const struct dispatch *d = &s.dispatches[i];
            combines += d->kind == DISPATCH_COMBINE;
            for (uint32_t x = 0;
                 x < d->item_count && d->kind == DISPATCH_COMBINE && d->entry_first == 0; x++)
                combined +=
                    s.words[((size_t)s.segments[d->segment].first_texel + d->items + x) * 4 + 1];
        }
        // a class has 18 or 19 rows: three tiles, one in each range of 128 rows
        const uint64_t unit = 8 * 16, stepped_rows = 3 * unit;
        bool split = cases[n].item_chunks < 60000;
        CHECK((combines > 0) == (split || !cases[n].direct), "%u dispatches of combine", combines);
        CHECK((m.resuming > 0) == cases[n].direct, "%llu items resume",
              (unsigned long long)m.resuming);
        if (cases[n].direct && !split)
            CHECK(m.resuming == 38 && m.epochs == 2 && s.workspace_rows == 2 * stepped_rows &&
                      s.workspace_rows_least == unit,
                  "%llu items resume in %u epochs; workspace %llu, least %llu",
                  (unsigned long long)m.resuming, m.epochs, (unsigned long long)s.workspace_rows,
                  (unsigned long long)s.workspace_rows_least);
        if (n == 3)
            CHECK(combined == 8, "%u rows are combined; the global ones share a tile of 8",
                  combined);
        schedule_free(&s);
        trial_free(&t);
    }
}

/// Rows from lists, whole and split: tokens of a plane and of space, and global positions that are
/// strewn over the queries, whose rows are written again.
static void test_listed(void **state) {
    (void)state;
    static const int64_t positions[] = { 3, 4, 40, 77, 100, 131, 132, 190, 250, 251, 300, 344 };
    static const struct ref_term plane = { .kind = REF_NEIGHBORHOOD,
                                           .axes = 2,
                                           .grid = { 9, 41 },
                                           .kernel = { 5, 5 },
                                           .dilation = { 1, 1 } },
                                 space = { .kind = REF_NEIGHBORHOOD,
                                           .axes = 3,
                                           .grid = { 3, 5, 25 },
                                           .kernel = { 3, 3, 5 },
                                           .dilation = { 1, 1, 2 },
                                           .causal_axis = { true } },
                                 list = { .kind = REF_GLOBAL_LIST,
                                          .list = positions,
                                          .list_len = COUNT(positions) },
                                 window = { .kind = REF_WINDOW, .left = 20, .right = 9 };
    static const struct {
        const struct ref_term *terms[2];
        bool again;
        const char *what;
    } cases[] = { { { &plane }, false, "a plane" },
                  { { &space }, false, "space" },
                  { { &window, &list }, true, "window and list" },
                  { { &plane, &list }, true, "plane and list" } };
    for (size_t n = 0; n < 2 * COUNT(cases); n++) {
        const bool split = n % 2;
        // the plane has 369 tokens, space 375; two rows do not exist
        struct trial t = { .batch = 1,
                           .heads = 2,
                           .kv_heads = 1,
                           .q_len = 372,
                           .kv_len = 370,
                           .q_length = { 370 },
                           .kv_length = { 370 },
                           .pattern_count = 1 };
        trial_begin();
        trial_say("%s%s", cases[n / 2].what, split ? ", split" : "");
        for (size_t i = 0; i < 2 && cases[n / 2].terms[i]; i++)
            t.terms[0][t.term_count[0]++] = *cases[n / 2].terms[i];
        t.patterns[0] = trial_pattern(t.terms[0], t.term_count[0], NULL);
        trial_group(&t);
        trial_want(&t);
        t.input = trial_plain_input(&t.header, t.groups, 16, 4);
        t.input.heads = 2, t.input.kv_heads = 1;
        t.input.limits.items_wanted = 1;
        if (split) t.input.limits.item_chunks_most = t.input.limits.item_chunks_least = 8;
        struct schedule s = { 0 };
        tulle_error error = { 0 };
        CHECK(schedule_build(&t.input, NULL, &s, &error) == TULLE_OK, "%s", error.message);
        const struct machine_counts m = machine_run(&t, &s);
        uint32_t combines = 0;
        for (uint32_t i = 0; i < s.dispatch_count; i++)
            combines += s.dispatches[i].kind == DISPATCH_COMBINE &&
                        s.dispatches[i].does & PM_FLAG_LISTED_ROWS;
        CHECK(m.listed > 0 && (m.again > 0) == cases[n / 2].again,
              "%llu items of listed rows, %llu rows written again", (unsigned long long)m.listed,
              (unsigned long long)m.again);
        CHECK((combines > 0) == split, "%u dispatches combine listed rows", combines);
        schedule_free(&s);
        trial_free(&t);
    }
}

// -------------------------------------------------------------------------------------------------
// What is refused

static void test_refused(void **state) {
    (void)state;
    static const struct pm_header header;
    static struct pm_entry entries[1000];
    for (uint32_t i = 0; i < COUNT(entries); i++) entries[i].index = i;
    trial_begin();
    tulle_pattern *pattern = trial_pattern(&(struct ref_term){ .kind = REF_DENSE }, 1, NULL);
    struct group group = {
        .site = { .pattern = pattern, .at = { 0, 8, 8, 64, true }, .q_len = 64, .q_length = 64 },
        .entries = entries,
        .entry_count = COUNT(entries)
    };
    struct schedule_limits limits = { .tile_rows = 32,
                                      .chunk = 32,
                                      .direct = true,
                                      .segment_texels = 4096,
                                      .segment_alignment = 1,
                                      .max_workgroups_x = 65535,
                                      .max_workgroups_y = 65535,
                                      .item_chunks_most = 30000,
                                      .item_chunks_least = 16,
                                      .items_wanted = 1,
                                      .dispatch_pairs = UINT64_C(1) << 36,
                                      .workspace_rows = 1 << 20,
                                      .window_bytes = 63 };
    struct schedule_input input = { .limits = limits,
                                    .header = &header,
                                    .heads = 8,
                                    .kv_heads = 8,
                                    .groups = &group,
                                    .group_count = 1 };
    struct schedule s = { 0 };
    tulle_error error = { 0 };
    input.tensors[TENSOR_V] = (struct tensor_shape){ .row = 64, .row_bytes = 64, .windowed = true };
    assert_int_equal(schedule_build(&input, NULL, &s, &error), TULLE_ERROR_UNSUPPORTED);
    assert_string_equal(error.message, "a row does not fit a binding of 63 bytes");
    schedule_free(&s);
    input.limits.window_bytes = 64;  // one key at a time
    assert_int_equal(schedule_build(&input, NULL, &s, &error), TULLE_OK);
    schedule_free(&s);
    input.limits.window_bytes = 0;
    input.tensors[TENSOR_V].windowed = false;
    // A row may be cut into no more pieces than one invocation can merge: larger pieces then, and
    // past those an error.
    group.site.at.kv_len = 32 * 1000;
    group.site.at.causal = false;
    input.limits.item_chunks_most = 1000;
    input.limits.dispatch_pairs = 32 * 32 * 20;  // 50 items of 20 chunks a tile
    input.limits.workspace_rows = 1 << 28;
    assert_int_equal(schedule_build(&input, NULL, &s, &error), TULLE_OK);
    assert_int_equal(s.items, 2 * 50);
    schedule_free(&s);
    input.limits.splits_most = 10;
    assert_int_equal(schedule_build(&input, NULL, &s, &error), TULLE_OK);
    assert_int_equal(s.items, 2 * 10);
    schedule_free(&s);
    input.limits.item_chunks_most = 48;
    assert_int_equal(schedule_build(&input, NULL, &s, &error), TULLE_ERROR_UNSUPPORTED);
    assert_non_null(strstr(
        error.message,
        "rows from 0 on select more keys than this device's kernels can merge (21 items, 20 at most)"));
    schedule_free(&s);
    group.site.at.kv_len = 64;
    group.site.at.causal = true;
    input.limits = limits;
    // More entries than a segment takes go through several; the numbers of all heads must fit one.
    input.limits.segment_texels = 300;
    assert_int_equal(schedule_build(&input, NULL, &s, &error), TULLE_OK);
    assert_true(s.segment_count > 1);
    uint32_t entries_dispatched = 0;
    for (uint32_t i = 0; i < s.dispatch_count; i++) {
        assert_int_equal(s.dispatches[i].kind, DISPATCH_ATTENTION);
        entries_dispatched += s.dispatches[i].entry_count;
    }
    assert_int_equal(entries_dispatched, COUNT(entries));
    schedule_free(&s);
    static const float slopes[2000];
    input.slopes = slopes;
    input.heads = input.kv_heads = COUNT(slopes);
    assert_int_equal(schedule_build(&input, NULL, &s, &error), TULLE_ERROR_UNSUPPORTED);
    assert_non_null(strstr(error.message, "the slopes or sink logits of 2000 heads"));
    schedule_free(&s);
    assert_int_equal(schedule_build(&input, NULL, &s, NULL), TULLE_ERROR_UNSUPPORTED);
    schedule_free(&s);
    tulle_pattern_destroy(pattern);
}

// -------------------------------------------------------------------------------------------------
// Memory runs out

static void test_out_of_memory(void **state) {
    (void)state;
    int64_t failed_allocations = 0;
    for (trial_index = 0; trial_index < 50; trial_index++) {
        struct rng rng = { rng_hash(run_seed, UINT64_C(1000000) + (uint64_t)trial_index) };
        struct trial t;
        if (trial_index < 30) trial_make(&t, &rng);
        else if (trial_index < 40) trial_make_listed(&t, &rng);
        else trial_make_scattered(&t, &rng);
        // what a room holds of it is often too small for all groups
        struct schedule_input first_group = t.input;
        first_group.group_count = 1;
        for (int way = 0; way < 3; way++)  // no room, an empty one, one that was used
            for (long n = 0;; n++) {
                struct schedule s = { 0 };
                tulle_error error = { 0 };
                failing_reset();
                failing_enter();
                struct schedule_room *kept = way ? schedule_room_create() : NULL;
                if (way == 2) {
                    // its workspace may not do, which is no matter here
                    (void)schedule_build(&first_group, kept, &s, NULL);
                    schedule_free(&s);
                }
                failing_arm(FAILING_ALLOCATIONS, n + 1);
                tulle_result result = schedule_build(&t.input, kept, &s, n % 2 ? &error : NULL);
                bool reached = failing_struck();
                schedule_free(&s);
                schedule_room_destroy(kept);
                failing_leave();
                CHECK(failing_pieces() == 0, "allocation %ld fails: %ld leaks", n + 1,
                      failing_pieces());
                if (!reached) break;
                failed_allocations++;
                CHECK(result == TULLE_ERROR_OUT_OF_HOST_MEMORY, "allocation %ld fails: %s", n + 1,
                      tulle_result_name(result));
                CHECK(n % 2 == 0 || error.result == result, "the error says %s",
                      tulle_result_name(error.result));
            }
        trial_free(&t);
    }
    print_message("%lld allocations failed in turn\n", (long long)failed_allocations);
}

// -------------------------------------------------------------------------------------------------
// How much is visited

/// A window's tiles visit the keys that some row of theirs takes, rounded up to a chunk: L + rows
/// of them.
static void test_window_padding(void **state) {
    (void)state;
    for (int32_t rows = 8; rows <= 64; rows *= 2)
        for (int32_t chunk = 4; chunk <= 32; chunk *= 2)
            for (int64_t left = 0; left < 300; left += left < 70 ? 1 : 13) {
                tulle_pattern *pattern =
                    trial_pattern(&(struct ref_term){ .kind = REF_WINDOW, .left = left }, 1, NULL);
                struct site site = { .pattern = pattern,
                                     .at = { 0, 1, 1, 2048, true },
                                     .q_len = 2048,
                                     .q_length = 2048 };
                struct part *parts = NULL;
                uint32_t count = 0;
                const struct tiling tiling = { rows, chunk, 65536 };
                assert_true(parts_create(&site, &tiling, &parts, &count));
                struct tiler tiler = tiler_of(&site, parts, &tiling);
                for (int64_t row = 512; row < 512 + 2 * rows; row += rows) {
                    assert_true(tile_runs(&tiler, row, rows));
                    int64_t best = (left + rows + chunk - 1) / chunk;
                    if (tile_chunks(&tiler) > best)
                        fail_msg(
                            "window(%lld, 0), %d rows, chunks of %d keys: %lld chunks, %lld will do",
                            (long long)left, rows, chunk, (long long)tile_chunks(&tiler),
                            (long long)best);
                }
                tiler_free(&tiler);
                parts_free(parts, count);
                tulle_pattern_destroy(pattern);
            }
}

/// Keys that some row of the tile takes, by the reference.
static int64_t keys_of_rows(const struct ref_term *term, int64_t n, bool causal, int64_t row,
                            int32_t rows) {
    const struct ref_pattern pattern = { (struct ref_term *)term, 1 };
    int64_t keys = 0;
    for (int64_t j = 0; j < n; j++)
        for (int32_t r = 0; r < rows; r++)
            if ((!causal || j <= row + r) &&
                ref_selects(&pattern, row + r, j, 0, 1, 1, n, causal)) {
                keys++;
                break;
            }
    return keys;
}

/// Keys drawn one by one, and blocks far smaller than the tile: tiles visit the keys that some row
/// of theirs takes, an eighth and a chunk more at most, and list each once.
static void test_gathered_visited(void **state) {
    (void)state;
    static uint8_t mask[1600 * 1600];
    struct rng rng = { rng_hash(run_seed, UINT64_C(3000000)) };
    uint64_t gathered = 0;
    for (int n = 0; n < 24; n++) {
        const int64_t length = rng_between(&rng, 500, 1600), block = rng_between(&rng, 1, 4),
                      blocks = (length + block - 1) / block;
        const int32_t rows = 8 << rng_between(&rng, 0, 2), chunk = 16 << rng_between(&rng, 0, 2);
        const bool causal = rng_chance(&rng, 50);
        const int64_t percent = rng_between(&rng, 1, 60 * block / rows);  // of the keys about half
        struct ref_term term = { .kind = REF_RANDOM,
                                 .block = 1,
                                 .count = rng_between(&rng, 1 + 128 / rows, length / rows),
                                 .seed = rng_next(&rng) };
        if (n % 2) {
            for (int64_t i = 0; i < blocks * blocks; i++) mask[i] = rng_chance(&rng, (int)percent);
            term = (struct ref_term){ .kind = REF_BLOCKS,
                                      .block = block,
                                      .mask = mask,
                                      .layouts = 1,
                                      .block_rows = blocks,
                                      .block_cols = blocks };
        }
        tulle_pattern *pattern = trial_pattern(&term, 1, NULL);
        const struct site site = { .pattern = pattern,
                                   .at = { 0, 1, 1, length, causal },
                                   .q_len = length,
                                   .q_length = length };
        const struct tiling tiling = { rows, chunk, 65536 };
        struct part *parts = NULL;
        uint32_t count = 0;
        assert_true(parts_create(&site, &tiling, &parts, &count));
        struct tiler tiler = tiler_of(&site, parts, &tiling);
        for (int64_t row = length / 2, end = row + 3 * rows; row < end; row += rows) {
            assert_true(tile_runs(&tiler, row, rows));
            const int64_t keys = keys_of_rows(&term, length, causal, row, rows),
                          best = (keys + chunk - 1) / chunk, chunks = tile_chunks(&tiler);
            gathered += tiler.gathered_count > 0;
            if (8 * chunks > 9 * best + 8 || (int64_t)tiler.gathered_count > keys)
                fail_msg(
                    "TULLE_TEST_SEED=%llu: %lld keys in blocks of %lld, causal %d, rows %lld … of %d: %lld chunks of %d, %lld will do; %zu keys of %lld listed",
                    (unsigned long long)run_seed, (long long)length, (long long)term.block, causal,
                    (long long)row, rows, (long long)chunks, chunk, (long long)best,
                    tiler.gathered_count, (long long)keys);
        }
        tiler_free(&tiler);
        parts_free(parts, count);
        tulle_pattern_destroy(pattern);
    }
    assert_true(gathered > 20);
}

/// One tile of 8 rows, chunks of 32 keys: two keys lie between two ranges that rounding makes one,
/// and are that range's; six that lie apart are listed, and `more` others, of one row each.
static void check_gathered_between(int more) {
    enum { KEYS = 1600, ROWS = 8 };
    static const struct {
        int key, end, row, past;
    } rectangles[] = { { 0, 40, 0, 8 },    { 45, 47, 0, 4 },   { 50, 55, 4, 8 },
                       { 55, 119, 0, 8 },  { 200, 201, 0, 1 }, { 300, 301, 1, 2 },
                       { 400, 401, 0, 8 }, { 500, 501, 2, 5 }, { 600, 601, 7, 8 },
                       { 700, 701, 0, 1 } };
    static uint8_t mask[ROWS * KEYS];
    uint64_t pairs = (uint64_t)more;
    memset(mask, 0, sizeof mask);
    for (size_t n = 0; n < COUNT(rectangles); n++)
        for (int r = rectangles[n].row; r < rectangles[n].past; r++)
            for (int j = rectangles[n].key; j < rectangles[n].end; j++) {
                mask[r * KEYS + j] = 1;
                pairs++;
            }
    for (int n = 0; n < more; n++) mask[n % ROWS * KEYS + 740 + 9 * n] = 1;
    const struct ref_term term = { .kind = REF_BLOCKS,
                                   .block = 1,
                                   .mask = mask,
                                   .layouts = 1,
                                   .block_rows = ROWS,
                                   .block_cols = KEYS };
    tulle_pattern *pattern = trial_pattern(&term, 1, NULL);
    const struct site site = {
        .pattern = pattern, .at = { 0, 1, 1, KEYS, false }, .q_len = ROWS, .q_length = ROWS
    };
    const struct tiling tiling = { ROWS, 32, 65536 };
    struct part *parts = NULL;
    uint32_t count = 0;
    assert_true(parts_create(&site, &tiling, &parts, &count));
    struct tiler tiler = tiler_of(&site, parts, &tiling);
    assert_true(tile_runs(&tiler, 0, ROWS));
    assert_int_equal(tiler.gathered_count, 6 + more);
    assert_int_equal(tile_chunks(&tiler), 4 + (6 + more + 31) / 32);
    assert_int_equal(tile_pairs(&tiler), pairs);
    tiler_free(&tiler);
    parts_free(parts, count);
    tulle_pattern_destroy(pattern);
}

static void test_gathered_between(void **state) {
    (void)state;
    check_gathered_between(0);
    check_gathered_between(90);  // many: listed without cells
}

/// Blocks of the keys of a class: a part's own strides leave them what they are at step 1.
static void test_strided_blocks(void **state) {
    (void)state;
    static uint8_t mask[64 * 64];
    struct rng rng = { rng_hash(run_seed, UINT64_C(3100000)) };
    for (int n = 0; n < 12; n++) {
        const int64_t step = rng_between(&rng, 2, 6),
                      block = n % 3 ? step * rng_between(&rng, 1, 8) : rng_between(&rng, 5, 40),
                      length = rng_between(&rng, 400, 600), blocks = (length + block - 1) / block;
        const bool causal = rng_chance(&rng, 50);
        if (blocks > 64) continue;
        for (int64_t i = 0; i < blocks * blocks; i++) mask[i] = rng_chance(&rng, 40);
        const struct ref_term factor = { .kind = REF_BLOCKS,
                                         .block = block,
                                         .mask = mask,
                                         .layouts = 1,
                                         .block_rows = blocks,
                                         .block_cols = blocks };
        struct ref_term term = {
            .kind = REF_STRIDED, .step = step, .factors = &factor, .n_factors = 1
        };
        tulle_pattern *pattern = trial_pattern(&term, 1, NULL);
        const struct ref_pattern reference = { &term, 1 };
        const struct site site = { .pattern = pattern,
                                   .at = { 0, 1, 1, length, causal },
                                   .q_len = length,
                                   .q_length = length };
        const struct tiling tiling = { 8, 4, 65536 };
        uint64_t pairs = 0, want = 0;
        assert_true(site_runs(&site, &tiling, add_pairs, &pairs));
        for (int64_t i = 0; i < length * length; i++)
            want += (!causal || i % length <= i / length) &&
                    ref_selects(&reference, i / length, i % length, 0, 1, 1, length, causal);
        CHECK(pairs == want, "strided:%lld&blocks:%lld, %lld keys, causal %d: %llu pairs, not %llu",
              (long long)step, (long long)block, (long long)length, causal,
              (unsigned long long)pairs, (unsigned long long)want);
        tulle_pattern_destroy(pattern);
    }
}

// -------------------------------------------------------------------------------------------------
// In which order items run

/// A driver may give each thread one stretch of the grid. Under causal later rows cost more; every
/// half, third and quarter of a dispatch must still cost its share, to within two items.
static void test_even_stretches(void **state) {
    (void)state;
    static const struct pm_header header;
    struct pm_entry entry = { 0 };
    tulle_pattern *pattern = trial_pattern(&(struct ref_term){ .kind = REF_DENSE }, 1, NULL);
    struct group group = { .site = { .pattern = pattern,
                                     .at = { 0, 1, 1, 4096, true },
                                     .q_len = 4096,
                                     .q_length = 4096 },
                           .entries = &entry,
                           .entry_count = 1 };
    struct schedule_input input = { .limits = { .tile_rows = 8,
                                                .chunk = 8,
                                                .direct = true,
                                                .segment_texels = 1 << 24,
                                                .segment_alignment = 1,
                                                .max_workgroups_x = 65535,
                                                .max_workgroups_y = 65535,
                                                .item_chunks_most = 30000,
                                                .item_chunks_least = 16,
                                                .items_wanted = 64,
                                                .dispatch_pairs = UINT64_C(1) << 36,
                                                .workspace_rows = 1 << 20 },
                                    .header = &header,
                                    .heads = 1,
                                    .kv_heads = 1,
                                    .groups = &group,
                                    .group_count = 1 };
    struct schedule s = { 0 };
    tulle_error error = { 0 };
    assert_int_equal(schedule_build(&input, NULL, &s, &error), TULLE_OK);
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
            chunks[i] +=
                (int64_t)((shape & (full ? PM_RUN_FULL_COUNT_MASK : PM_RUN_COUNT_MASK)) + 7) / 8;
        }
        all += chunks[i];
        if (chunks[i] > most) most = chunks[i];
    }
    assert_true(most > all / d->item_count);  // they do differ
    for (uint32_t threads = 2; threads <= 4; threads++) {
        uint32_t each = d->item_count / threads;
        for (uint32_t thread = 0; thread < threads; thread++) {
            int64_t sum = 0;
            for (uint32_t i = thread * each; i < (thread + 1) * each; i++) sum += chunks[i];
            if (sum > all / threads + 2 * most ||
                sum < all / threads - 2 * most - (int64_t)threads * most)
                fail_msg("thread %u of %u has %lld chunks of %lld", thread, threads, (long long)sum,
                         (long long)all);
        }
    }
    free(chunks);
    schedule_free(&s);
    tulle_pattern_destroy(pattern);
}

// -------------------------------------------------------------------------------------------------
// How long planning takes (printed; only memory is asserted)

static void time_one(const char *name, const struct ref_term *terms, size_t count, int64_t q_len,
                     int64_t kv_len, int32_t tile_rows, bool small) {
    static const struct pm_header header;
    struct pm_entry entries[8] = { 0 };
    for (uint32_t i = 0; i < 8; i++) entries[i].index = i;
    tulle_pattern *pattern = trial_pattern(terms, count, NULL);
    struct group group = { .site = { .pattern = pattern,
                                     .at = { 0, 8, 8, kv_len, true },
                                     .q_len = q_len,
                                     .q_length = q_len,
                                     .q_offset = kv_len - q_len },
                           .entries = entries,
                           .entry_count = 8 };
    struct schedule_input input = trial_plain_input(&header, &group, tile_rows, 32);
    double best = 1e30;
    uint64_t texels = 0, dispatches = 0, items = 0;
    double visited = 0;
    for (int i = 0; i < 5 && (i == 0 || best * i < 1000); i++) {
        struct schedule s = { 0 };
        double start = clock_ms();
        int times = best < 1 ? 20 : 1;
        for (int k = 0; k < times; k++) {
            if (k) schedule_free(&s);
            assert_int_equal(schedule_build(&input, NULL, &s, NULL), TULLE_OK);
        }
        double took = (clock_ms() - start) / times;
        if (took < best) best = took;
        texels = s.word_count / 4, dispatches = s.dispatch_count, items = s.items,
        visited = (double)s.visited / 8;
        schedule_free(&s);
    }
    double tiles = (double)tiles_count(1, q_len, tile_rows);
    print_message(
        "%-28s q %7lld kv %7lld rows %2d: %9.3f ms, %8llu items, %4llu dispatches, %6.1f bytes a tile, %7.1f keys a row\n",
        name, (long long)q_len, (long long)kv_len, tile_rows, best, (unsigned long long)items,
        (unsigned long long)dispatches, (double)texels * 16 / tiles, visited / (double)q_len);
    if (small) assert_true((double)texels * 16 / tiles <= 96);
    tulle_pattern_destroy(pattern);
}

static void test_speed(void **state) {
    (void)state;
    const int64_t million = 1 << 20;
    const struct ref_term window = { .kind = REF_WINDOW, .left = 255 },
                          dense = { .kind = REF_DENSE };
    time_one("window:255,0", &window, 1, million, million, 32, true);
    time_one("window:255,0", &window, 1, million, million, 8, true);
    time_one("window:255,0", &window, 1, 4096, 4096, 32, true);
    time_one("window:255,0", &window, 1, 1, 4096, 32, false);
    time_one("dense", &dense, 1, 1, 65536, 32, false);
    time_one("dense", &dense, 1, 4096, 4096, 32, false);
    time_one("dense", &dense, 1, 65536, 65536, 32, false);
    const struct ref_term strided[] = { { .kind = REF_WINDOW, .left = 127 },
                                        { .kind = REF_STRIDED, .step = 128 } };
    time_one("window + strided", strided, 2, 65536, 65536, 32, false);
    time_one("window + strided", strided, 2, 65536, 65536, 8, false);
    time_one("window + strided", strided, 2, million, million, 8, false);
    time_one("window + strided", strided, 2, 1, 65536, 32, false);
    const struct ref_term fixed = { .kind = REF_FIXED, .step = 128, .count = 8 };
    time_one("fixed:128,8", &fixed, 1, 65536, 65536, 32, false);
    const struct ref_term bird[] = { { .kind = REF_WINDOW, .left = 191 },
                                     { .kind = REF_SINK, .count = 64 },
                                     { .kind = REF_RANDOM, .block = 64, .count = 3, .seed = 1 } };
    time_one("window + sink + random", bird, 3, 65536, 65536, 32, false);
    const struct ref_term scattered = { .kind = REF_RANDOM, .block = 1, .count = 64, .seed = 1 };
    time_one("random:1,64", &scattered, 1, 16384, 16384, 8, false);
    time_one("random:1,64", &scattered, 1, 16384, 16384, 32, false);
    const struct ref_term longformer[] = { { .kind = REF_WINDOW, .left = 256 },
                                           { .kind = REF_GLOBAL, .count = 16 } };
    time_one("window + global", longformer, 2, 65536, 65536, 32, false);
}

int main(void) {
    trial_take_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_scattered),
        cmocka_unit_test(test_listed_rows),
        cmocka_unit_test(test_planes),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_long_intersections),
        cmocka_unit_test(test_resumed),
        cmocka_unit_test(test_listed),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_window_padding),
        cmocka_unit_test(test_gathered_visited),
        cmocka_unit_test(test_gathered_between),
        cmocka_unit_test(test_strided_blocks),
        cmocka_unit_test(test_even_stretches),
        cmocka_unit_test(test_speed),
    };
    return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
