// SPDX-License-Identifier: MIT
//
// What rows from lists are for: how many pairs kernels visit where global positions are strewn over
// the queries, and where tokens lie in a plane; how long planning takes, and how large a plan is.
//
// TULLE_TEST_SEED: the run's seed; TULLE_TEST_FILTER: only tests whose name matches.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "schedule/row_sets.h"
#include "schedule_trial.h"
#include "times.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { HEADS_OF_PLAN = 8 };

struct cost {
    double visited;  // of one head
    double bytes;    // of plan memory
    double ms;       // of a processor; the least of some
};

/// Plans n queries among n keys, so many times.
static struct cost cost_of(const struct ref_term *terms, size_t count, int64_t n, int32_t tile_rows,
                           int32_t chunk, int times) {
    static const struct pm_header header;
    struct pm_entry entries[HEADS_OF_PLAN] = { 0 };
    for (uint32_t i = 0; i < HEADS_OF_PLAN; i++) entries[i].index = i;
    tulle_pattern *pattern = trial_pattern(terms, count, NULL);
    struct group group = { .site = { .pattern = pattern,
                                     .at = { 0, HEADS_OF_PLAN, HEADS_OF_PLAN, n, false },
                                     .q_len = n,
                                     .q_length = n },
                           .entries = entries,
                           .entry_count = HEADS_OF_PLAN };
    const struct schedule_input input = trial_plain_input(&header, &group, tile_rows, chunk);
    struct cost cost = { .ms = 1e30 };
    for (int i = 0; i < times; i++) {
        struct schedule s = { 0 };
        const clock_t start = clock();
        assert_int_equal(schedule_build(&input, NULL, &s, NULL), TULLE_OK);
        const double ms = (double)(clock() - start) * 1000 / CLOCKS_PER_SEC;
        if (ms < cost.ms) cost.ms = ms;
        cost.visited = (double)s.visited / HEADS_OF_PLAN;
        cost.bytes = (double)s.word_count * 4;
        schedule_free(&s);
    }
    tulle_pattern_destroy(pattern);
    return cost;
}

// -------------------------------------------------------------------------------------------------
// Global positions

struct globals {
    int64_t n, left, right, count;
    int64_t *list;  // rising
};

static double globals_pairs(const struct globals *of) {
    double pairs = 0;
    int64_t before_end = 0, before_first = 0;  // listed positions below the window's end, its start
    for (int64_t p = 0, next = 0; p < of->n; p++) {
        const int64_t first = p > of->left ? p - of->left : 0,
                      end = p + of->right < of->n ? p + of->right + 1 : of->n;
        while (before_first < of->count && of->list[before_first] < first) before_first++;
        while (before_end < of->count && of->list[before_end] < end) before_end++;
        const bool listed = next < of->count && of->list[next] == p;
        next += listed;
        pairs += (double)(listed ? of->n : end - first + of->count - (before_end - before_first));
    }
    return pairs;
}

static struct cost globals_cost(const struct globals *of, int32_t tile_rows, int32_t chunk,
                                int times) {
    const struct ref_term terms[] = {
        { .kind = REF_WINDOW, .left = of->left, .right = of->right },
        { .kind = REF_GLOBAL_LIST, .list = of->list, .list_len = (size_t)of->count }
    };
    return cost_of(terms, COUNT(terms), of->n, tile_rows, chunk, times);
}

/// Every so many positions.
static struct globals globals_every(int64_t n, int64_t left, int64_t right, int64_t every) {
    struct globals of = { n, left, right, 0, calloc((size_t)(n / every + 1), sizeof(int64_t)) };
    assert_non_null(of.list);
    for (int64_t p = 0; p < n; p += every) of.list[of.count++] = p;
    return of;
}

static void check_strewn(const struct globals *of, bool print) {
    static const int32_t rows[] = { 8, 16, 32 }, chunks[] = { 32, 4 };
    const double pairs = globals_pairs(of);
    for (size_t i = 0; i < COUNT(rows) * COUNT(chunks); i++) {
        const int32_t r = rows[i % COUNT(rows)], c = chunks[i / COUNT(rows)];
        const double ratio = globals_cost(of, r, c, 1).visited / pairs;
        if (print)
            print_message("%lld global positions of %lld, rows %2d chunk %2d: visited/pairs %.3f\n",
                          (long long)of->count, (long long)of->n, r, c, ratio);
        CHECK(
            ratio >= 1 && ratio <= 1.15,
            "window:%lld,%lld+%lld global positions of %lld, rows %d chunk %d: visits %.3f of its pairs",
            (long long)of->left, (long long)of->right, (long long)of->count, (long long)of->n, r, c,
            ratio);
    }
}

static void test_strewn_globals(void **state) {
    (void)state;
    struct rng rng = { rng_hash(run_seed, 1) };
    trial_begin();
    for (int i = 0; i < 6; i++) {
        const int64_t n = i ? rng_between(&rng, 12000, 20000) : 16384,
                      left = i ? rng_between(&rng, 40, 90) : 63,
                      right = i ? rng_between(&rng, 40, 90) : 63,
                      every = i ? rng_between(&rng, 10, 24) : 16;
        struct globals of = globals_every(n, left, right, every);
        check_strewn(&of, i == 0);
        free(of.list);
    }
}

static int by_position(const void *a, const void *b) {
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/// Positions anywhere among n, each once.
static struct globals globals_anywhere(int64_t n, int64_t count, struct rng *rng) {
    struct globals of = { n, 63, 63, 0, calloc((size_t)count, sizeof(int64_t)) };
    assert_non_null(of.list);
    for (int64_t i = 0; i < count; i++) of.list[i] = rng_between(rng, 0, n - 1);
    qsort(of.list, (size_t)count, sizeof *of.list, by_position);
    for (int64_t i = 0; i < count; i++)
        if (!of.count || of.list[of.count - 1] != of.list[i]) of.list[of.count++] = of.list[i];
    return of;
}

/// A million tokens: planning takes milliseconds, and a plan grows as its list and its tiles do.
static void test_many_globals(void **state) {
    (void)state;
    struct rng rng = { rng_hash(run_seed, 2) };
    trial_begin();
    for (int32_t rows = 8; rows <= 32; rows *= 2) {
        struct cost costs[2];
        for (int i = 0; i < 2; i++) {
            struct globals of = globals_anywhere(1000000, i ? 20000 : 10000, &rng);
            costs[i] = globals_cost(&of, rows, 32, 3);
            print_message(
                "%5lld global positions of 1000000, rows %2d: %6.1f ms, %.2f MB, visited/pairs %.3f\n",
                (long long)of.count, rows, costs[i].ms, costs[i].bytes * 1e-6,
                costs[i].visited / globals_pairs(&of));
            free(of.list);
        }
        CHECK(costs[1].bytes < 2.3 * costs[0].bytes &&
                  costs[0].bytes < 600.0 * (10000 + 1000000 / rows),
              "rows %d: %.0f bytes for 10000, %.0f for 20000", rows, costs[0].bytes,
              costs[1].bytes);
        CHECK(!times_count() || costs[0].ms < 200, "rows %d: planning took %.1f ms", rows,
              costs[0].ms);
    }
}

// -------------------------------------------------------------------------------------------------
// Tokens of a plane

struct plane {
    int64_t height, width, kernel, dilation;  // kernel x kernel keys
};

static struct cost plane_cost(const struct plane *of, int32_t rows, int32_t chunk, int times) {
    const struct ref_term term = { .kind = REF_NEIGHBORHOOD,
                                   .axes = 2,
                                   .grid = { of->height, of->width },
                                   .kernel = { of->kernel, of->kernel },
                                   .dilation = { of->dilation, of->dilation } };
    return cost_of(&term, 1, of->height * of->width, rows, chunk, times);
}

static int64_t whole_chunks(int64_t keys, int32_t chunk) {
    return (keys + chunk - 1) / chunk * chunk;
}

/// Visited over selected pairs of a tile of height x width tokens that lies away from the edges.
/// Rows of keys that lie side by side are whole chunks each; keys that do not are listed.
static double tile_ratio(const struct plane *of, int64_t height, int64_t width, int32_t chunk) {
    const int64_t down = of->kernel + height - 1, across = of->kernel + width - 1,
                  keys = of->dilation > 1 ? whole_chunks(down * across, chunk) + chunk
                                          : down * whole_chunks(across, chunk);
    return (double)keys / (double)(of->kernel * of->kernel);
}

/// What the better will do of a tile that is a row of tokens and of the squarest one; tiles at the
/// end of a bar lie in two of them, and a residue class ends in the middle of one.
static double plane_bound(const struct plane *of, int32_t rows, int32_t chunk) {
    int64_t height = 1;
    while (4 * height * height <= rows) height *= 2;
    const double row = tile_ratio(of, 1, rows, chunk),
                 square = tile_ratio(of, height, rows / height, chunk);
    return (of->dilation > 1 ? 1.2 : 1.04) * (row < square ? row : square);
}

static void check_plane(const struct plane *of) {
    static const int32_t rows[] = { 8, 16, 32 }, chunks[] = { 32, 16, 4 };
    for (size_t i = 0; i < COUNT(rows) * COUNT(chunks); i++) {
        const int32_t r = rows[i % COUNT(rows)], c = chunks[i / COUNT(rows)];
        const double pairs = (double)(of->height * of->width * of->kernel * of->kernel),
                     ratio = plane_cost(of, r, c, 1).visited / pairs, bound = plane_bound(of, r, c);
        trial_begin();
        trial_say("neighborhood:%lldx%lld,%lldx%lld,%lldx%lld, rows %d chunk %d",
                  (long long)of->height, (long long)of->width, (long long)of->kernel,
                  (long long)of->kernel, (long long)of->dilation, (long long)of->dilation, r, c);
        CHECK(ratio >= 1 && ratio <= bound, "visits %.3f of its pairs, not %.3f", ratio, bound);
    }
}

static void test_planes(void **state) {
    (void)state;
    struct rng rng = { rng_hash(run_seed, 3) };
    check_plane(&(struct plane){ 64, 64, 13, 1 });
    check_plane(&(struct plane){ 128, 128, 13, 1 });
    check_plane(&(struct plane){ 64, 64, 7, 2 });
    for (int i = 0; i < 8; i++) {
        struct plane of = { .height = rng_between(&rng, 48, 140) };
        of.width = rng_between(&rng, 48, 140);
        of.kernel = i % 2 ? rng_between(&rng, 5, 9) : rng_between(&rng, 9, 15);
        of.dilation = i % 2 ? rng_between(&rng, 2, 3) : 1;
        check_plane(&of);
    }
}

/// Tiles away from the edges repeat each other: planning hardly works out any of them.
static void test_plane_planning(void **state) {
    (void)state;
    static const struct plane planes[] = { { 256, 256, 13, 1 }, { 256, 256, 7, 2 } };
    trial_begin();
    for (size_t i = 0; i < COUNT(planes); i++) {
        const double ms = plane_cost(&planes[i], 16, 4, 3).ms;
        print_message("%lldx%lld tokens, dilation %lld: %.1f ms\n", (long long)planes[i].height,
                      (long long)planes[i].width, (long long)planes[i].dilation, ms);
        CHECK(!times_count() || ms < 30, "planning took %.1f ms", ms);
    }
}

/// On a line the rows of one residue class are tiled together: as without dilation.
static void test_dilated_line(void **state) {
    (void)state;
    struct rng rng = { rng_hash(run_seed, 4) };
    for (int i = 0; i < 12; i++) {
        const int64_t kernel = i ? rng_between(&rng, 33, 129) : 65,
                      dilation = i ? rng_between(&rng, 2, 9) : 4,
                      n = i ? rng_between(&rng, 3000, 9000) : 4096;
        const int32_t rows = 8 << i % 3, chunk = i % 2 ? 4 : 32;
        const struct ref_term term = {
            .kind = REF_NEIGHBORHOOD, .axes = 1, .kernel = { kernel }, .dilation = { dilation }
        };
        const double ratio = cost_of(&term, 1, n, rows, chunk, 1).visited / (double)(n * kernel),
                     bound = 1.06 * (double)(whole_chunks(kernel + rows - 1, chunk) + chunk) /
                             (double)kernel;
        trial_begin();
        trial_say("neighborhood:%lld,%lld n %lld rows %d chunk %d", (long long)kernel,
                  (long long)dilation, (long long)n, rows, chunk);
        CHECK(ratio >= 1 && ratio <= bound, "visits %.3f of its pairs, not %.3f", ratio, bound);
    }
}

/// Of little reach, a dilated line is no part of its own: as a dilated window, which selects the same
/// but at the ends.
static void test_short_line(void **state) {
    (void)state;
    const struct ref_term window = { .kind = REF_WINDOW, .left = 1, .right = 1 };
    const struct ref_term line[] = {
        window, { .kind = REF_NEIGHBORHOOD, .axes = 1, .kernel = { 3 }, .dilation = { 2 } }
    };
    const struct ref_term dilated[] = { window,
                                        { .kind = REF_DILATED, .left = 1, .right = 1, .step = 2 } };
    for (int i = 0; i < 6; i++) {
        const int32_t rows = 8 << i / 2, chunk = i % 2 ? 4 : 32;
        const double a = cost_of(line, COUNT(line), 16384, rows, chunk, 1).visited,
                     b = cost_of(dilated, COUNT(dilated), 16384, rows, chunk, 1).visited;
        trial_begin();
        trial_say("rows %d chunk %d", rows, chunk);
        CHECK(a <= 1.02 * b, "visits %.0f, and as a dilated window %.0f", a, b);
    }
}

// -------------------------------------------------------------------------------------------------
// What a listed row can name: 24 bits of rows, 8 of heads

static void test_bounds(void **state) {
    (void)state;
    enum { TILE = 32, HEADS_MOST = 256 };
    const struct tiling tiling = { TILE, 32, 65536 };
    static const int64_t strewn[] = { 5, 500, 50000 };
    tulle_pattern *globals = trial_pattern(
        &(struct ref_term){ .kind = REF_GLOBAL_LIST, .list = strewn, .list_len = COUNT(strewn) }, 1,
        NULL);
    for (int64_t q_len = PM_ROW_MASK - 1; q_len <= PM_ROW_MASK + 2; q_len++) {
        const struct site site = {
            .pattern = globals, .at = { 0, 1, 1, 60000, false }, .q_len = q_len, .q_length = q_len
        };
        struct row_sets sets;
        trial_begin();
        trial_say("%lld rows", (long long)q_len);
        assert_true(row_sets_make(&site, &tiling, true, &sets));
        CHECK((sets.count == 2) == (q_len <= PM_ROW_MASK), "%u sets", sets.count);
        row_sets_free(&sets);
    }
    tulle_pattern_destroy(globals);

    tulle_pattern *dense = trial_pattern(&(struct ref_term){ .kind = REF_DENSE }, 1, NULL);
    struct pm_entry entries[HEADS_MOST] = { 0 };
    for (uint32_t i = 0; i < COUNT(entries); i++) entries[i].index = i;
    const struct {
        uint32_t heads, of_kv;
        int64_t rows, all;
        bool packs;
    } cases[] = { { 8, 4, 1, 1, true },
                  { 8, 4, 24, 24, true },
                  { 8, 4, TILE - 1, TILE - 1, false },  // no tile would be saved
                  { 8, 4, TILE, TILE, false },          // rows that fill tiles
                  { 8, 4, TILE + 1, TILE + 1, false },
                  { 8, 1, 1, 1, false },
                  { 7, 4, 1, 1, false },  // not all heads of a kv head
                  { 255, 255, 1, 1, true },
                  { 256, 256, 1, 1, false },
                  { 2, 2, 1, PM_ROW_MASK, true },
                  { 2, 2, 1, PM_ROW_MASK + 1, false } };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct group group = { .site = { .pattern = dense,
                                               .at = { 0, cases[i].heads, 1, 64, false },
                                               .q_len = cases[i].all,
                                               .q_length = cases[i].rows },
                                     .entries = entries,
                                     .entry_count = cases[i].heads };
        struct row_sets sets = { .set = { { .site = group.site } }, .count = 1 };
        struct pm_entry *packed = NULL;
        uint32_t count = 0;
        trial_begin();
        trial_say("heads %u of %u, rows %lld of %lld", cases[i].of_kv, cases[i].heads,
                  (long long)cases[i].rows, (long long)cases[i].all);
        assert_true(row_sets_pack(&group, cases[i].of_kv, TILE, &sets, &packed, &count));
        CHECK((packed != NULL) == cases[i].packs, "packed: %d", packed != NULL);
        for (int64_t n = 0; packed && n < sets.set[0].site.q_len; n++)
            CHECK(sets.set[0].rows[n] == ((uint32_t)(n / cases[i].of_kv) |
                                          (uint32_t)(n % cases[i].of_kv) << PM_ROW_HEAD_SHIFT),
                  "listed row %lld is %x", (long long)n, sets.set[0].rows[n]);
        free(packed);
        row_sets_free(&sets);
    }
    tulle_pattern_destroy(dense);
}

int main(void) {
    trial_take_seed();
    const char *filter = getenv("TULLE_TEST_FILTER");
    if (filter) cmocka_set_test_filter(filter);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strewn_globals), cmocka_unit_test(test_many_globals),
        cmocka_unit_test(test_planes),         cmocka_unit_test(test_plane_planning),
        cmocka_unit_test(test_dilated_line),   cmocka_unit_test(test_short_line),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests_name("row costs", tests, NULL, NULL);
}
