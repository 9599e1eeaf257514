// SPDX-License-Identifier: MIT
#include "run/cost.h"

#include "common/arithmetic.h"
#include "schedule/tiler.h"

int64_t spread_choice(int64_t n, int64_t count) {
    // multiples of the golden ratio, modulo 1
    const uint32_t fraction = (uint32_t)((uint64_t)(n + 1) * 2654435769u);
    return (int64_t)((double)fraction * 0x1p-32 * (double)count);
}

/// The chosen tiles of a part: one of each stretch of `every`.
struct count {
    struct tiler tiler;
    int64_t every, stretch, next;
    int64_t taken, chunks;
    uint64_t runs, pairs;
};

static bool count_tile(void *user, int64_t row, int32_t rows, int64_t index) {
    struct count *c = user;
    if (index != c->next) return true;
    c->stretch++;
    c->next = c->stretch * c->every + spread_choice(c->stretch, c->every);
    if (!tile_runs(&c->tiler, row, rows)) return false;
    c->taken++;
    c->chunks += tile_chunks(&c->tiler);
    c->runs += c->tiler.run_count;
    c->pairs += tile_pairs(&c->tiler);
    return true;
}

static bool part_cost(const struct site *site, const struct part *part, const struct tiling *tiling,
                      const struct tile_share *share, struct cost *cost) {
    const int64_t tiles = tiles_count(part->step, site->q_length, tiling->tile_rows);
    *cost = (struct cost){ 0 };
    if (!tiles) return true;
    struct count c = { .tiler = tiler_of(site, part, tiling),
                       .every = least(most(share->every, ceil_div(tiles, share->most)), tiles) };
    c.next = spread_choice(0, c.every);
    const bool fine = tiles_each(part->step, 0, site->q_length, tiling->tile_rows, count_tile, &c);
    tiler_free(&c.tiler);
    const double each = (double)tiles / (double)most(c.taken, 1),
                 keys = each * (double)c.chunks * tiling->chunk;
    *cost = (struct cost){ .tiles = (double)tiles,
                           .runs = each * (double)c.runs,
                           .visited = keys * tiling->tile_rows,
                           .existing = keys * (double)least(tiling->tile_rows, site->q_length),
                           .selected = each * (double)c.pairs };
    return fine;
}

bool site_cost(const struct site *site, const struct tiling *tiling, const struct tile_share *share,
               part_cost_callback each, void *user) {
    struct part *parts;
    uint32_t count;
    if (!parts_create(site, tiling, &parts, &count)) return false;
    bool fine = true;
    for (uint32_t k = 0; k < count && fine; k++) {
        struct cost cost;
        fine = part_cost(site, &parts[k], tiling, share, &cost);
        if (fine) each(user, &parts[k], k, &cost);
    }
    parts_free(parts, count);
    return fine;
}

static void add_part(void *user, const struct part *part, uint32_t index, const struct cost *cost) {
    struct cost *sum = user;
    (void)part;
    (void)index;
    sum->tiles += cost->tiles;
    sum->runs += cost->runs;
    sum->visited += cost->visited;
    sum->existing += cost->existing;
    sum->selected += cost->selected;
}

bool term_cost(const struct site *site, const struct product *term, const struct tiling *tiling,
               const struct tile_share *share, struct cost *cost) {
    // all that planning asks of a pattern
    tulle_pattern alone = { .canonical_count = 1, .canonical = &term };
    struct site of_term = *site;
    of_term.pattern = &alone;
    *cost = (struct cost){ 0 };
    return site_cost(&of_term, tiling, share, add_part, cost);
}
