// SPDX-License-Identifier: MIT
#include "schedule/ranges.h"

#include "common/arithmetic.h"
#include "common/error.h"
#include "plan_memory.h"

#define UNIT_ROWS_MOST 8192

static uint64_t texels_of_combine(const struct planner *p, int64_t rows, bool dead) {
    return combine_texels(p->input, p->parts, segments_preamble(&p->segments), rows, dead);
}

static void choose_unit(struct planner *p) {
    const int64_t rows = p->input->limits.tile_rows;
    int64_t step = 1;
    for (uint32_t k = 0; k < p->parts->count; k++) step = most(step, p->parts->parts[k].step);
    int64_t units = least(step, UNIT_ROWS_MOST / rows);
    while (units > 1 && texels_of_combine(p, units * rows, false) > p->input->limits.segment_texels)
        units /= 2;
    p->unit = units * rows;
}

// -------------------------------------------------------------------------------------------------
// The tiles of a range

/// The tiles of one part, in rows [first, end): into the waiting items, or `dry`; with their table.
static bool part_tiles(struct planner *p, uint32_t part, int64_t first, int64_t end, bool dry) {
    const bool resumes = p->parts->resumes && part == 0;
    const int64_t step = p->parts->parts[part].step;
    struct part_tiles tiles = { .items = &p->items,
                                .tiler = &p->tiler,
                                .tables = &p->tables,
                                .resumed = resumes ? &p->tables.of_part[1] : NULL,
                                .part_count = p->parts->count,
                                .dry = dry,
                                .tile_rows = rows_within(p->input, p->parts, step, end - first) };
    tiles.tiles = tiles_count(step, end - first, tiles.tile_rows);
    p->tiler.part = &p->parts->parts[part];
    p->items.step = step;
    p->items.first = first;
    p->items.tile_rows = tiles.tile_rows;
    p->items.resume = resumes;
    p->items.listed = p->parts->listed;
    p->segments.list = 0;
    tables_part(&p->tables, part, step, tiles.tile_rows);
    return tiles_each(step, first, end, tiles.tile_rows, items_of_tile, &tiles) &&
           (dry || items_flush(&p->items));
}

/// The tiles of rows [first, end), part after part, with the rows of partial results in
/// p->tables.slots.
static bool range_tiles(struct planner *p, int64_t first, int64_t end, bool dry) {
    const uint32_t count = p->parts->count;
    tables_range(&p->tables, first, end - first);
    for (uint32_t n = 0; n < count; n++) {
        const uint32_t part = p->parts->resumes ? count - 1 - n : n;  // what resumes comes last
        if (!part_tiles(p, part, first, end, dry)) return false;
    }
    return true;
}

/// Rows that do not exist: items without runs, or combine items without parts.
static bool range_dead(struct planner *p, int64_t first, int64_t end) {
    static const struct part none = { .step = 1 };
    const int32_t height = rows_within(p->input, p->parts, 1, end - first);
    tables_range(&p->tables, first, end - first);
    p->tiler.part = &none;
    p->items.step = 1;
    p->items.first = first;
    p->items.tile_rows = height;
    p->items.resume = false;
    p->items.listed = p->parts->listed;
    for (int64_t row = first; row < end && p->input->limits.direct; row += height)
        if (!items_dead(&p->items, &p->tiler, row, (int32_t)least(height, end - row))) return false;
    return items_flush(&p->items);
}

/// Items of rows [first, end), into p->items.stretches, with their tile tables.
static bool range_items(struct planner *p, int64_t first, int64_t end, bool dead) {
    p->items.stretch_count = 0;
    tables_clear(&p->tables);
    return dead ? range_dead(p, first, end) : range_tiles(p, first, end, false);
}

// -------------------------------------------------------------------------------------------------
// The workspace that a group needs

/// Rows of partial results of [first, end). The range at hand stays as it is: the tables of this
/// one come behind its own, and are forgotten.
static bool count_slots(struct planner *p, int64_t first, int64_t end, uint64_t *slots) {
    struct tables at_hand = p->tables;
    const bool fine = range_tiles(p, first, end, true);
    *slots = p->tables.slots;
    at_hand.tiles = p->tables.tiles;
    at_hand.capacity = p->tables.capacity;
    p->tables = at_hand;
    return fine;
}

/// Rows of partial results of the unit that begins with row `first`, whose tiles are those of the
/// range at hand.
static uint64_t unit_slots(const struct planner *p, int64_t first, int64_t rows) {
    uint64_t slots = 0;
    for (uint32_t k = 0; k < p->parts->count; k++) {
        const struct pm_tile *tiles = p->tables.tiles + p->tables.of_part[k].first;
        slots += (uint64_t)tiles[first / p->unit].splits *
                 (uint64_t)rows_within(p->input, p->parts, 1, rows);
    }
    return slots;
}

/// The smallest workspace for the group, given what all its rows at once (the range at hand) want;
/// `cut`: they cannot be had at once.
static bool group_least(struct planner *p, bool cut, uint64_t *rows_least) {
    const int64_t end = p->group->site.q_length;
    *rows_least = p->tables.slots;
    if ((p->tables.slots == 0 || p->unit >= end) && !cut) return true;
    bool same = true;  // are the units' tiles those of the range?
    for (uint32_t k = 0; k < p->parts->count; k++)
        same = same && p->parts->parts[k].step == 1 && p->tables.of_part[k].tile_rows == p->unit;
    uint64_t largest = 0;
    for (int64_t first = 0; first < end; first += p->unit) {
        const int64_t rows = least(end - first, p->unit);
        uint64_t slots;
        if (same) slots = unit_slots(p, first, rows);
        else if (!count_slots(p, first, first + rows, &slots)) return false;
        if (slots > largest) largest = slots;
    }
    *rows_least = cut ? largest : least_unsigned(largest, p->tables.slots);
    return true;
}

/// Asks it, and notes whether the group is refused for it.
static bool note_least(struct planner *p, bool cut) {
    uint64_t needed;
    if (!group_least(p, cut, &needed)) return false;
    if (needed > p->out->workspace_rows_least) p->out->workspace_rows_least = needed;
    if (needed > p->input->limits.workspace_rows) p->refused = true;
    return true;
}

// -------------------------------------------------------------------------------------------------
// Ranges

/// Where a range is cut.
static int64_t half_way(const struct planner *p, int64_t first, int64_t end) {
    return first + ceil_div(ceil_div(end - first, 2), p->unit) * p->unit;
}

/// Would dispatches go over more entries with fewer rows (*cut)? Where no window holds the range's
/// rows, and the workspace not all entries' partial results. Tiles keep their height, but for those
/// at the end of a half, which may then want more partial results than there is room for.
static bool want_entries(struct planner *p, int64_t first, int64_t end, bool *cut) {
    const uint64_t all = p->input->limits.workspace_rows;
    const int64_t half = half_way(p, first, end);
    uint64_t before, behind;
    *cut = half < end && end - first > p->parts->window.rows &&
           p->tables.slots * p->group->entry_count > all;
    for (uint32_t k = 0; k < p->parts->count; k++)
        *cut = *cut && p->parts->parts[k].step * p->input->limits.tile_rows <= p->unit;
    if (!*cut) return true;
    if (!count_slots(p, first, half, &before) || !count_slots(p, half, end, &behind)) return false;
    *cut = before <= all && behind <= all;
    return true;
}

/// Everything of rows [first, end); cut in two where partial results do not fit the workspace, or
/// combine's tables a segment.
static bool range_build(struct planner *p, int64_t first, int64_t end, bool dead) {
    const struct schedule_limits *limits = &p->input->limits;
    const struct segments_mark placed = segments_mark(&p->segments);
    const struct items_mark added = items_mark(&p->items);
    const int64_t rows = end - first;
    if (!range_items(p, first, end, dead)) return false;
    const struct combine_range range = { p->input, p->parts, &p->tables,         first,
                                         end,      dead,     p->group->site.rows };
    const bool combines = combine_needed(&range);
    const bool cut = combines && texels_of_combine(p, rows, dead) > limits->segment_texels;
    if (cut && rows <= p->unit) {
        tulle_fail(p->error, TULLE_ERROR_UNSUPPORTED,
                   "the tables of %lld rows exceed what a texel buffer of this device holds",
                   (long long)rows);
        return false;
    }
    if (!dead && rows == p->group->site.q_length && !note_least(p, cut)) return false;
    bool entries = false;
    const bool fits = !cut && p->tables.slots <= limits->workspace_rows;
    if (fits && !p->refused && !want_entries(p, first, end, &entries)) return false;
    if (p->refused || !fits || entries) {
        // no dispatch was added in between
        segments_return(&p->segments, &placed);
        items_return(&p->items, &added);
        if (p->refused) return true;
        const int64_t half = half_way(p, first, end);
        return range_build(p, first, half, dead) && range_build(p, half, end, dead);
    }
    struct dispatch combine = { .kind = DISPATCH_COMBINE };
    if (combines && !combine_place(&range, &p->segments, &combine)) return false;
    return waves_range(&p->waves, p->group, p->items.stretches, p->items.stretch_count, &combine,
                       p->tables.slots, p->parts->window.rows);
}

bool ranges_build(struct planner *p) {
    const struct site *site = &p->group->site;
    choose_unit(p);
    return (site->q_length <= 0 || range_build(p, 0, site->q_length, false)) &&
           (site->q_length >= site->q_len || range_build(p, site->q_length, site->q_len, true));
}
