// SPDX-License-Identifier: MIT
#include "schedule/items.h"

#include <stdlib.h>

#include "common/arithmetic.h"
#include "common/array.h"
#include "common/error.h"
#include "plan_memory.h"

// -------------------------------------------------------------------------------------------------
// What plan memory has of runs and items

/// first: key, or word offset of its first list entry; bits: word offset of the run's bits.
static struct pm_run pack_run(const struct tiler *t, const struct run *run, uint32_t first,
                              uint32_t bits) {
    struct pm_run out = { .first = first,
                          .shape =
                              (uint32_t)run->count | (run->source == RUN_RANGE ? 0 : PM_RUN_LIST) };
    switch (run->kind) {
    case TULLE_RUN_FULL: out.shape |= PM_RUN_FULL << PM_RUN_KIND_SHIFT; break;
    case TULLE_RUN_BAND:
        out.shape |= PM_RUN_BAND << PM_RUN_KIND_SHIFT |
                     (uint32_t)run->row_first << PM_RUN_ROW_FIRST_SHIFT |
                     (uint32_t)run->row_last << PM_RUN_ROW_LAST_SHIFT;
        out.lo_bits = (uint32_t)(int32_t)run->lo;
        out.hi = (int32_t)run->hi;
        break;
    case TULLE_RUN_BITS:
        out.shape |= PM_RUN_BITS << PM_RUN_KIND_SHIFT | (uint32_t)(t->rows - 1)
                                                            << PM_RUN_ROW_LAST_SHIFT;
        out.lo_bits = bits;
        break;
    }
    return out;
}

/// row: query row, or word offset of the rows' list; runs: texel offset of the first; flags:
/// PM_ITEM_…, which say what the slot is.
static struct pm_item pack_item(int64_t row, int32_t rows, uint32_t runs, size_t run_count,
                                uint32_t flags, uint32_t slot) {
    return (struct pm_item){ .first_row = (uint32_t)row,
                             .runs = runs,
                             .shape =
                                 (uint32_t)run_count | (uint32_t)rows << PM_ITEM_ROWS_SHIFT | flags,
                             .slot = slot };
}

static bool item_wait(struct items *items, struct pm_item item, const struct reach *reach) {
    struct schedule_room *room = items->room;
    if (!ARRAY_RESERVE(room->items, room->item_capacity, items->waiting + 1))
        return schedule_no_memory(items->error);
    room->items[items->waiting++] =
        (struct waiting_item){ .item = item,
                               .chunks = (uint32_t)reach->chunks,
                               .key_first = (int32_t)least(reach->key_first, INT32_MAX),
                               .key_last = (int32_t)reach->key_last };
    return true;
}

// -------------------------------------------------------------------------------------------------
// Items

/// One item to be.
struct new_item {
    const struct run *runs;
    size_t count;
    struct run_totals totals;  ///< of these
    uint32_t flags, slot;
    const uint32_t *resumed;  ///< the slots that its rows resume; NULL: none
};

/// Texels that its runs take with their bits, with the list where it must be placed, and with
/// slots; and listed rows.
static uint64_t item_texels(const struct segments *s, const struct tiler *t,
                            const struct new_item *item) {
    uint64_t texels = item->resumed ? ((uint64_t)t->rows + 3) / 4 : 0;
    if (t->site->rows) texels += ((uint64_t)t->tile_rows + 3) / 4;
    if (item->totals.from_list && !s->list) texels += (uint64_t)(t->part->list_count + 3) / 4;
    return texels + item->totals.texels;
}

/// Room for it in the open segment, behind what waits already, or in a new one.
static bool item_room(struct items *items, const struct tiler *t, const struct new_item *item) {
    struct segments *s = items->segments;
    if (!segments_place_group(s)) return false;
    if (segments_fit(s, items->waiting + 1 + item_texels(s, t, item))) return true;
    if (!items_flush(items) || !segments_begin(s) || !segments_place_group(s)) return false;
    const uint64_t needed = item_texels(s, t, item);  // the list must be placed again
    if (segments_fit(s, 1 + needed)) return true;
    tulle_fail(
        items->error, TULLE_ERROR_UNSUPPORTED,
        "a work item needs %llu texels of plan memory, and a texel buffer of this device holds %u",
        (unsigned long long)needed, s->input->limits.segment_texels);
    return false;
}

/// What the item's runs refer to: the part's list, where it is not there yet; behind it the keys of
/// runs that the tile gathered, then bits. *keys, *bits: word offsets of the first run's.
static bool place_keys(struct segments *s, const struct tiler *t, const struct new_item *item,
                       uint32_t *keys, uint32_t *bits) {
    if (item->totals.from_list && !segments_place_list(s, t->part->list, t->part->list_count))
        return false;
    *keys = s->used * 4;
    for (size_t i = 0; i < item->count && item->totals.gathered; i++) {
        const struct run *run = &item->runs[i];
        if (run->source == RUN_GATHERED && !segments_words(s, run_list(t, run), (size_t)run->count))
            return false;
    }
    *bits = s->used * 4;
    for (size_t i = 0; i < item->count && item->totals.bits; i++) {
        const struct run *run = &item->runs[i];
        if (run->kind == TULLE_RUN_BITS &&
            !segments_words(s, t->bits + run->bits, bit_words(t, run->count)))
            return false;
    }
    return true;
}

/// Words up to whole texels.
static uint32_t placed_words(size_t words) { return (uint32_t)((words + 3) / 4 * 4); }

/// What the item's runs refer to, its slots, and behind them its runs, side by side. *slots_at: word
/// offset; *at: texel offset of the first run.
static bool place_runs(struct segments *s, const struct tiler *t, const struct new_item *item,
                       uint32_t *slots_at, uint32_t *at) {
    uint32_t keys, bits;
    if (!place_keys(s, t, item, &keys, &bits)) return false;
    *slots_at = s->used * 4;
    if (item->resumed && !segments_words(s, item->resumed, (size_t)t->rows)) return false;
    *at = s->used;
    struct pm_run *full = segments_texels(s, item->count), *others = full;
    if (!full) return false;
    others += item->totals.full;
    // full runs first: the rows family has a loop for them alone, and takes those that come later
    // with a predicate
    for (size_t i = 0; i < item->count; i++) {
        const struct run *run = &item->runs[i];
        uint32_t first = (uint32_t)run->first;
        if (run->source == RUN_LIST) first += s->list;
        if (run->source == RUN_GATHERED) {
            first = keys;
            keys += placed_words((size_t)run->count);
        }
        *(run->kind == TULLE_RUN_FULL ? full++ : others++) = pack_run(t, run, first, bits);
        if (run->kind == TULLE_RUN_BITS) bits += placed_words(bit_words(t, run->count));
    }
    return true;
}

/// The tile's listed rows, filled up with the last. *at: word offset.
static bool place_rows(struct segments *s, const struct tiler *t, int64_t *at) {
    const size_t words = ((size_t)t->tile_rows + 3) / 4 * 4;
    *at = (int64_t)s->used * 4;
    uint32_t *to = segments_texels(s, words / 4);
    for (size_t r = 0; to && r < words; r++)
        to[r] = t->site->rows[t->row + least((int64_t)r, t->rows - 1)];
    return to;
}

/// Its runs go to the open segment (a new one where they do not fit), itself to the waiting items.
static bool item_add(struct items *items, const struct tiler *t, const struct new_item *item) {
    uint32_t slots, runs;
    int64_t row = t->row;
    if (!item_room(items, t, item) || !place_runs(items->segments, t, item, &slots, &runs))
        return false;
    if (t->site->rows && !place_rows(items->segments, t, &row)) return false;
    return item_wait(items,
                     pack_item(row, t->rows, runs, item->count,
                               item->flags | (item->resumed ? PM_ITEM_RESUMES : 0),
                               item->resumed ? slots : item->slot),
                     &item->totals.reach);
}

bool items_dead(struct items *items, struct tiler *t, int64_t row, int32_t rows) {
    const struct new_item item = { .totals = { .reach = { REACH_NO_KEYS } },
                                   .flags = PM_ITEM_DIRECT | PM_ITEM_DEAD };
    t->row = row;
    t->rows = rows;
    return item_add(items, t, &item);
}

// -------------------------------------------------------------------------------------------------
// A tile that repeats the one before

/// Where a key of the tile before is, `by` rows on.
static int64_t moved_key(const struct repeated *before, int64_t key, int64_t by) {
    return key >= before->moves_from ? key + by : key;
}

/// The tile before moved by its own height: the same runs, as long as the keys do not end here, and
/// no window that held all of them.
static bool may_repeat(const struct part_tiles *p, int64_t row, int32_t rows) {
    const struct repeated *before = &p->before;
    const struct tiler *t = p->tiler;
    const int64_t by = row - before->row;
    if (!before->able) return false;
    const int64_t first = moved_key(before, before->reach.key_first, by),
                  last = moved_key(before, before->reach.key_last, by);
    return rows == before->rows && by == rows * t->part->step && last < t->site->at.kv_len &&
           !window_cell(p->items->window, last - first + 1) &&
           before->segment == segments_index(p->items->segments) &&
           segments_fit(p->items->segments, p->items->waiting + 1 + before->count);
}

static bool repeat(struct part_tiles *p, int64_t row) {
    struct repeated *before = &p->before;
    struct reach *reach = &before->reach;
    struct segments *s = p->items->segments;
    const int64_t by = row - before->row;
    const uint32_t at = s->used;
    struct pm_run *to = segments_texels(s, before->count);
    if (!to) return false;
    const struct pm_run *from = to - (at - before->runs);
    for (size_t i = 0; i < before->count; i++) {
        to[i] = from[i];
        // a key: a tile with a list does not repeat
        to[i].first = (uint32_t)moved_key(before, from[i].first, by);
    }
    reach->key_first = moved_key(before, reach->key_first, by);
    reach->key_last = moved_key(before, reach->key_last, by);
    reach->row_first += by, reach->row_last += by;
    before->row = row;
    before->runs = at;
    if (!tables_add(p->tables, true, 0, 0)) return schedule_no_memory(p->items->error);
    return item_wait(p->items, pack_item(row, before->rows, at, before->count, PM_ITEM_DIRECT, 0),
                     reach);
}

/// Room for `tiles` more like the tile before, at once: at a million tokens growing step by step
/// takes longer than planning.
static bool reserve_repeats(const struct part_tiles *p, int64_t tiles) {
    struct items *items = p->items;
    struct schedule_room *room = items->room;
    const struct segments *s = items->segments;
    const size_t n = (size_t)least(tiles, items->input->limits.segment_texels - s->used);
    if (!ARRAY_RESERVE(room->items, room->item_capacity, items->waiting + n))
        return schedule_no_memory(items->error);
    return segments_reserve(items->segments, n * (p->before.count + 1));
}

/// The tile at hand is one item, the last that waits: may the next ones repeat it?
static bool remember(struct part_tiles *p, const struct split *whole, int64_t cell,
                     int64_t tiles_left) {
    const struct items *items = p->items;
    const struct tiler *t = p->tiler;
    // on a grid of cells the next could be cut where this one is not
    if (!t->shiftable || !whole->count || cell || p->dry || p->resumed) return true;
    p->before = (struct repeated){ .able = true,
                                   .row = t->row,
                                   .rows = t->rows,
                                   .runs = items->room->items[items->waiting - 1].item.runs,
                                   .segment = segments_index(items->segments),
                                   .count = whole->count,
                                   .reach = whole->totals.reach,
                                   .moves_from = t->moves_from };
    return reserve_repeats(p, tiles_left);
}

// -------------------------------------------------------------------------------------------------
// Tiles

/// Texels of plan memory that a whole item may take, so that a few fit a segment.
static uint64_t item_texels_most(const struct segments *s) {
    const uint64_t preamble = segments_preamble(s), all = s->input->limits.segment_texels;
    return all > preamble + 8 ? (all - preamble) / 2 : 1;
}

/// Splits of one part's tile that combine takes, where it goes over all parts; 0: no limit.
static int64_t splits_most(const struct part_tiles *p) {
    const int64_t all = p->items->input->limits.splits_most;
    return all ? most(all / p->part_count, 1) : 0;
}

/// What each split of the tile may take: even shares of its chunks.
static struct split_limits even_shares(const struct part_tiles *p, const struct reach *all) {
    const struct items *items = p->items;
    const struct schedule_limits *limits = &items->input->limits;
    const int64_t chunks = all->chunks, splits_bound = splits_most(p);
    const int64_t positions = chunks ? all->key_last - all->key_first + 1 : 0;
    int64_t splits = ceil_div(chunks, items->chunks_most);
    if (splits_bound) splits = least(splits, splits_bound);
    return (struct split_limits){ .chunks = splits > 1 ? least(ceil_div(chunks, splits),
                                                               limits->item_chunks_most)
                                                       : most(chunks, 1),
                                  .cell = window_cell(items->window, positions),
                                  .texels = item_texels_most(items->segments) };
}

/// The tile's splits, each an item that writes partial results; or one direct item, where that is
/// allowed and takes all of its runs. *made: how many splits.
static bool add_splits(struct part_tiles *p, bool direct, const uint32_t *resumed,
                       int64_t tiles_left, uint32_t *made) {
    struct tiler *t = p->tiler;
    struct split *split = &p->items->split;
    const struct run_totals all = run_totals(t, t->runs, t->run_count);
    const struct split_limits limits = even_shares(p, &all.reach);
    struct split_place at = { 0, 0 };
    *made = 0;
    while (at.run < t->run_count || (direct && t->run_count == 0)) {
        if (!split_next(t, &all, &limits, &at, split)) return schedule_no_memory(p->items->error);
        const bool whole = direct && *made == 0 && at.run >= t->run_count;
        struct new_item item = { .runs = split->runs,
                                 .count = split->count,
                                 .totals = split->totals,
                                 .flags = whole ? PM_ITEM_DIRECT : 0,
                                 .resumed = whole ? resumed : NULL };
        if (!whole) item.slot = (uint32_t)p->tables->slots + *made * (uint32_t)p->tile_rows;
        if (!p->dry && !item_add(p->items, t, &item)) return false;
        if (whole) return remember(p, split, limits.cell, tiles_left);
        ++*made;
    }
    return true;
}

bool items_of_tile(void *user, int64_t row, int32_t rows, int64_t index) {
    struct part_tiles *p = user;
    struct items *items = p->items;
    uint32_t slots[PM_ITEM_ROWS_MASK], made;
    int found = 0;  // of the slots
    if (may_repeat(p, row, rows)) return repeat(p, row);
    if (p->resumed) found = tables_resumed(p->tables, p->resumed, row, rows, slots);
    const bool direct =
        items->input->limits.direct && (p->part_count == 1 || (p->resumed && found >= 0));
    p->before.able = false;
    if (!tile_runs(p->tiler, row, rows)) return schedule_no_memory(items->error);
    if (!add_splits(p, direct, found > 0 ? slots : NULL, p->tiles - index - 1, &made)) return false;
    const int64_t bound = splits_most(p);
    if (bound && made > 2 * bound) {
        tulle_fail(
            items->error, TULLE_ERROR_UNSUPPORTED,
            "rows from %lld on select more keys than this device's kernels can merge (%u items, %lld at most)",
            (long long)row, made, 2 * (long long)bound);
        return false;
    }
    if (!tables_add(p->tables, direct, (uint32_t)p->tables->slots, made))
        return schedule_no_memory(items->error);
    p->tables->slots += (uint64_t)made * (uint64_t)p->tile_rows;
    return true;
}

// -------------------------------------------------------------------------------------------------

struct items_mark items_mark(const struct items *items) {
    return (struct items_mark){ items->waiting, items->stretch_count, items->written };
}

void items_return(struct items *items, const struct items_mark *mark) {
    items->waiting = mark->waiting;
    items->stretch_count = mark->stretches;
    items->written = mark->written;
}

void items_free(struct items *items) {
    free(items->stretches);
    free(items->split.cut);
}
