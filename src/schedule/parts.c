// SPDX-License-Identifier: MIT
//
// A union → parts: terms that want the same step are tiled together; a pair belongs to the first
// part that takes it.
#include <stdlib.h>
#include <string.h>

#include "common/arithmetic.h"
#include "common/search.h"
#include "plan_memory.h"
#include "schedule/regions.h"

int64_t tiles_count(int64_t step, int64_t rows, int32_t tile_rows) {
    int64_t each = rows / step, longer = rows % step;
    return longer * ceil_div(each + 1, tile_rows) + (step - longer) * ceil_div(each, tile_rows);
}

bool tiles_each(int64_t step, int64_t first, int64_t end, int32_t tile_rows, tile_callback each,
                void *user) {
    int64_t index = 0;
    for (int64_t a = 0; a < step && first + a < end; a++)
        for (int64_t row = first + a; row < end; row += step * tile_rows) {
            int64_t left =
                end - row > step * (tile_rows - 1) ? tile_rows : ceil_div(end - row, step);
            if (!each(user, row, (int32_t)left, index++)) return false;
        }
    return true;
}

// -------------------------------------------------------------------------------------------------
// The tiles of a part

/// Every `every`-th tile's runs, handed on.
struct visit {
    struct tiler tiler;
    int64_t every, next;
    runs_callback each;
    void *user;
    uint32_t part;
};

static bool visit_tile(void *user, int64_t row, int32_t rows, int64_t index) {
    struct visit *v = user;
    if (index < v->next) return true;
    v->next += v->every;
    if (!tile_runs(&v->tiler, row, rows)) return false;
    v->each(v->user, &v->tiler, v->part);
    return true;
}

/// The runs of every `every`-th tile of a part, of its first `rows` rows. False: out of memory.
static bool visit_tiles(struct visit *visit, const struct tiling *tiling, int64_t rows) {
    struct tiler *t = &visit->tiler;
    bool fine = tiles_each(t->part->step, 0, rows, tiling->tile_rows, visit_tile, visit);
    tiler_free(t);
    return fine;
}

bool set_runs(const struct site *site, const struct tiling *tiling, runs_callback each,
              void *user) {
    struct part *parts;
    uint32_t count;
    if (!parts_create(site, tiling, &parts, &count)) return false;
    bool fine = true;
    for (uint32_t k = 0; k < count && fine; k++) {
        struct visit visit = { .tiler = tiler_of(site, &parts[k], tiling),
                               .every = 1,
                               .each = each,
                               .user = user,
                               .part = k };
        fine = visit_tiles(&visit, tiling, site->q_length);
    }
    parts_free(parts, count);
    return fine;
}

static void sample_tile(void *user, const struct tiler *tile, uint32_t part) {
    struct sample *sample = user;
    (void)part;
    sample->chunks += tile_chunks(tile);
    sample->taken++;
}

bool part_sample(const struct site *site, const struct part *part, const struct tiling *tiling,
                 int64_t rows, int64_t about, struct sample *out) {
    *out = (struct sample){ .tiles = tiles_count(part->step, rows, tiling->tile_rows) };
    struct visit visit = { .tiler = tiler_of(site, part, tiling),
                           .every = out->tiles / about + 1,
                           .each = sample_tile,
                           .user = out };
    visit.tiler.counts = true;
    return visit_tiles(&visit, tiling, rows);
}

// -------------------------------------------------------------------------------------------------
// A part's list of keys

/// The lowest key ≥ `from` that a term lists; INT64_MAX: none.
static int64_t next_listed(const struct site *site, const struct product *term, int64_t from) {
    const struct term *factor = term->factors[0];
    if (!term_lists(term)) return INT64_MAX;
    if (factor->kind == TULLE_FIXED) {
        const int64_t in = from % factor->step, first = factor->step - factor->count;
        return in >= first ? from : from - in + first;
    }
    const struct rising list = columns_of(factor, &site->at);
    const size_t at = count_below(list.values, list.count, from);
    return at < list.count ? list.values[at] : INT64_MAX;
}

/// How many keys of `keys` a term lists, at most.
static int64_t most_listed(const struct site *site, const struct product *term, int64_t keys) {
    const struct term *factor = term->factors[0];
    if (!term_lists(term)) return 0;
    if (factor->kind == TULLE_FIXED) return (keys / factor->step + 2) * factor->count;
    return (int64_t)columns_of(factor, &site->at).count;
}

/// The keys that every row takes one by one, of all terms of the part. False: out of memory.
static bool make_list(const struct site *site, int64_t list_most, struct part *part) {
    const int64_t begin = site->kv_start, end = site_pattern_end(site);
    int64_t bound = 0, count = 0;
    for (uint32_t i = 0; i < part->include_count; i++)
        bound += most_listed(site, part->include[i], end - begin);
    if (bound == 0 || begin >= end) return true;
    bound = least(bound, end - begin);
    if (bound > list_most) return true;
    part->list = malloc((size_t)bound * sizeof *part->list);
    if (!part->list) return false;
    for (int64_t key = begin;; key++) {
        int64_t next = end;
        for (uint32_t i = 0; i < part->include_count; i++)
            next = least(next, next_listed(site, part->include[i], key));
        if (next >= end) break;
        part->list[count++] = (int32_t)next;
        key = next;
    }
    part->list_count = count;
    return true;
}

// -------------------------------------------------------------------------------------------------
// A union's parts

/// Chunks that a part of these terms would take, from 9 tiles or so. False: out of memory.
static bool cost(const struct site *site, const struct tiling *tiling,
                 const struct product *const *terms, uint32_t count, int64_t step,
                 int64_t *chunks) {
    struct part part = { .step = step, .include = terms, .include_count = count };
    struct sample s;
    if (step == 1 && !make_list(site, tiling->list_most, &part)) return false;
    bool fine = part_sample(site, &part, tiling, site->q_len, 9, &s);
    free(part.list);
    *chunks = fine && s.taken ? s.chunks * s.tiles / s.taken : 0;
    return fine;
}

void parts_free(struct part *parts, uint32_t count) {
    for (uint32_t i = 0; parts && i < count; i++) {
        free(parts[i].list);
        free((void *)parts[i].include);
    }
    free(parts);
}

/// A union's terms while they are dealt to parts.
struct deal {
    const struct site *site;
    const struct tiling *tiling;
    const struct product *const *terms;  ///< in canonical order: by step
    uint32_t count;
    bool *plain;                         ///< which of them go to the part of step 1
    const struct product **plain_terms;  ///< these, as far as it is decided; room for all
    uint32_t plain_count, stepped;       ///< stepped: parts of other steps so far
};

/// From the first to the last key that a row may take; INT64_MAX: no bound.
static int64_t term_reach(const struct product *term) {
    int64_t reach = INT64_MAX;
    for (uint32_t i = 0; i < term->count; i++) {
        const struct term *factor = term->factors[i];
        const bool window = factor->kind == TULLE_WINDOW;
        if (factor->kind == TULLE_NEIGHBORHOOD && factor->axes == 1)
            reach = least(reach, (factor->axis[0].kernel - 1) * factor->axis[0].dilation);
        if ((window || factor->kind == TULLE_DILATED) && factor->left >= 0 && factor->right >= 0)
            reach = least(reach, (factor->left + factor->right) * (window ? 1 : factor->step));
    }
    return reach;
}

/// Rows from a list stand at no step.
static bool any_step(const struct deal *d, uint32_t term) {
    return d->site->rows || product_step(d->terms[term]) == 1;
}

/// Do terms [first, end), all of this step, cost less in the part of step 1: where a class has
/// fewer rows than a tile, or little reach? False: out of memory.
static bool choose_plain(const struct deal *d, uint32_t first, uint32_t end, bool *plain) {
    const struct product *term = d->terms[first];
    const int64_t step = product_step(term), q_len = d->site->q_len, rows = d->tiling->tile_rows;
    const int64_t reach = term_reach(term);
    // combine takes no more parts, and one is for step 1
    *plain = d->stepped + 1 >= PM_PARTS_MOST;
    if (*plain || (q_len >= step * rows && reach > 8 * rows)) return true;
    const uint32_t count = end - first;
    const bool other = d->plain_count || d->site->tree;  // is there a part of step 1 anyway?
    int64_t apart, without = 0, with;
    memcpy(d->plain_terms + d->plain_count, d->terms + first, count * sizeof *d->terms);
    if (!cost(d->site, d->tiling, d->terms + first, count, step, &apart) ||
        (other && !cost(d->site, d->tiling, d->plain_terms, d->plain_count, 1, &without)) ||
        !cost(d->site, d->tiling, d->plain_terms, d->plain_count + count, 1, &with))
        return false;
    // a second part also writes and merges partial results: about two chunks a tile, as
    // combine does it; less where the other part resumes them
    if (other) apart += 2 * tiles_count(step, q_len, d->tiling->tile_rows);
    *plain = with - without <= apart;
    return true;
}

static void take_plain(struct deal *d, uint32_t term) {
    d->plain[term] = true;
    d->plain_terms[d->plain_count++] = d->terms[term];
}

/// Terms of step 1, and those that cost less there. False: out of memory.
static bool deal_terms(struct deal *d) {
    for (uint32_t i = 0; i < d->count; i++)
        if (any_step(d, i)) take_plain(d, i);
    for (uint32_t i = 0, end; i < d->count; i = end) {
        const int64_t step = product_step(d->terms[i]);
        bool plain;
        for (end = i + 1; end < d->count && product_step(d->terms[end]) == step;) end++;
        if (any_step(d, i)) continue;
        if (!choose_plain(d, i, end, &plain)) return false;
        if (!plain) d->stepped++;
        for (uint32_t k = i; k < end && plain; k++) take_plain(d, k);
    }
    return true;
}

/// The parts' steps and how many terms are theirs, and all terms in the parts' order. Returns how
/// many parts there are.
static uint32_t order_terms(const struct deal *d, struct part *parts,
                            const struct product **order) {
    uint32_t count = 0, used = 0;
    for (uint32_t i = 0; i < d->count; i++)
        if (d->plain[i]) order[used++] = d->terms[i];
    // a tree's keys are the first part's too
    if (used || d->site->tree) parts[count++] = (struct part){ .step = 1, .include_count = used };
    for (uint32_t i = 0; i < d->count; i++) {
        if (d->plain[i]) continue;
        const int64_t step = product_step(d->terms[i]);
        if (!count || parts[count - 1].step != step) parts[count++] = (struct part){ .step = step };
        parts[count - 1].include_count++;
        order[used++] = d->terms[i];
    }
    return count;
}

/// Each part's own copy of its terms and, behind them, of those of the parts before it. False: out
/// of memory.
static bool give_terms(struct part *parts, uint32_t count, const struct product *const *order) {
    uint32_t before = 0;
    for (uint32_t k = 0; k < count; k++) {
        const uint32_t own = parts[k].include_count;
        const struct product **terms = malloc((own + before + 1) * sizeof *terms);
        if (!terms) return false;
        memcpy(terms, order + before, own * sizeof *terms);
        memcpy(terms + own, order, before * sizeof *terms);
        parts[k].include = terms;
        parts[k].exclude = terms + own;
        parts[k].exclude_count = before;
        before += own;
    }
    return true;
}

bool parts_create(const struct site *site, const struct tiling *tiling, struct part **out,
                  uint32_t *out_count) {
    const uint32_t n = site->pattern->canonical_count;
    struct part *parts = calloc(n + 1, sizeof *parts);
    const struct product **order = malloc(2 * (size_t)n * sizeof *order);
    struct deal deal = { .site = site,
                         .tiling = tiling,
                         .terms = site->pattern->canonical,
                         .count = n,
                         .plain = calloc(n, sizeof *deal.plain),
                         .plain_terms = order ? order + n : NULL };
    uint32_t count = 0;
    bool fine = parts && order && deal.plain && deal_terms(&deal);
    if (fine) {
        count = order_terms(&deal, parts, order);
        fine = give_terms(parts, count, order);
    }
    for (uint32_t k = 0; k < count && fine; k++)
        fine = parts[k].step > 1 || make_list(site, tiling->list_most, &parts[k]);
    free(order);
    free(deal.plain);
    if (!fine) {
        parts_free(parts, count);
        return false;
    }
    *out = parts;
    *out_count = count;
    return true;
}
