// SPDX-License-Identifier: MIT
#include "run/cost.h"

#include "common/arithmetic.h"
#include "schedule/row_sets.h"
#include "schedule/tiler.h"

int64_t spread_choice(int64_t n, int64_t count) {
    // multiples of the golden ratio, modulo 1
    const uint32_t fraction = (uint32_t)((uint64_t)(n + 1) * 2654435769u);
    return (int64_t)((double)fraction * 0x1p-32 * (double)count);
}

/// The first row of a part's n-th tile, in the order of tiles_each, and how many it has.
static int64_t tile_at(int64_t step, int64_t rows, int32_t tile_rows, int64_t n, int32_t *count) {
    const int64_t each = rows / step, longer = rows % step,  // classes of one row more
        longer_tiles = ceil_div(each + 1, tile_rows), first = longer * longer_tiles;
    const bool is_longer = n < first;
    const int64_t tiles = is_longer ? longer_tiles : ceil_div(each, tile_rows),
                  in = is_longer ? n : n - first, begin = in % tiles * tile_rows;
    *count = (int32_t)least(tile_rows, each + is_longer - begin);
    return (is_longer ? 0 : longer) + in / tiles + begin * step;
}

/// One tile of each stretch of `every`.
static bool part_cost(const struct site *site, const struct part *part,
                      const struct counting *counting, struct cost *cost) {
    const struct tiling *tiling = &counting->tiling;
    const int64_t step = part->step, rows = site->q_length,
                  tiles = tiles_count(step, rows, tiling->tile_rows),
                  every = most(least(counting->every, tiles), ceil_div(tiles, counting->most));
    struct tiler tiler = tiler_of(site, part, tiling);
    int64_t taken = 0, chunks = 0;
    uint64_t runs = 0, pairs = 0;
    bool fine = true;
    for (int64_t n = 0; n * every < tiles && fine; n++) {
        const int64_t index = n * every + spread_choice(n, least(every, tiles - n * every));
        int32_t count;
        const int64_t row = tile_at(step, rows, tiling->tile_rows, index, &count);
        fine = tile_runs(&tiler, row, count);
        if (!fine) break;
        taken++;
        chunks += tile_chunks(&tiler);
        runs += tiler.run_count;
        pairs += tile_pairs(&tiler);
    }
    tiler_free(&tiler);
    const double each = (double)tiles / (double)most(taken, 1),
                 keys = each * (double)chunks * tiling->chunk;
    *cost = (struct cost){ .tiles = (double)tiles,
                           .runs = each * (double)runs,
                           .visited = keys * tiling->tile_rows,
                           .selected = each * (double)pairs };
    return fine;
}

static bool set_cost(const struct row_set *set, int64_t queries, const struct counting *counting,
                     part_cost_callback each, void *user) {
    const int64_t tile_rows = counting->tiling.tile_rows;
    struct part *parts;
    uint32_t count;
    if (!parts_create(&set->site, &counting->tiling, &parts, &count)) return false;
    bool fine = true;
    for (uint32_t k = 0; k < count && fine; k++) {
        struct cost cost;
        fine = part_cost(&set->site, &parts[k], counting, &cost);
        cost.existing = cost.visited * (double)least(tile_rows, queries) / (double)tile_rows;
        if (fine) each(user, &parts[k], k, set->site.rows, &cost);
    }
    parts_free(parts, count);
    return fine;
}

bool site_cost(const struct site *site, const struct counting *counting, part_cost_callback each,
               void *user) {
    struct row_sets sets;
    if (!row_sets_make(site, &counting->tiling, counting->may_list, &sets)) return false;
    bool fine = true;
    for (uint32_t i = 0; i < sets.count && fine; i++)
        fine = set_cost(&sets.set[i], site->q_length, counting, each, user);
    row_sets_free(&sets);
    return fine;
}

static void add_part(void *user, const struct part *part, uint32_t index, bool listed,
                     const struct cost *cost) {
    struct cost *sum = user;
    (void)part;
    (void)index;
    (void)listed;
    sum->tiles += cost->tiles;
    sum->runs += cost->runs;
    sum->visited += cost->visited;
    sum->existing += cost->existing;
    sum->selected += cost->selected;
}

bool term_cost(const struct site *site, const struct product *term, const struct counting *counting,
               struct cost *cost) {
    // all that planning asks of a pattern
    tulle_pattern alone = { .canonical_count = 1, .canonical = &term };
    struct site of_term = *site;
    of_term.pattern = &alone;
    *cost = (struct cost){ 0 };
    return site_cost(&of_term, counting, add_part, cost);
}
