// SPDX-License-Identifier: MIT
//
// Groups → ranges of rows → dispatches, in waves: attention, what resumes its partial results,
// combine, and the workspace is free again.
#include <stdlib.h>
#include <string.h>

#include "common/arithmetic.h"
#include "plan_memory.h"
#include "schedule/builder.h"
#include "common/error.h"

#define least least_unsigned

// -------------------------------------------------------------------------------------------------
// Dispatches and waves

static bool dispatch_add(struct builder *b, const struct dispatch *dispatch) {
    struct schedule *out = b->out;
    if (!builder_reserve32(b, &out->dispatches, &out->dispatch_capacity, out->dispatch_count + 1,
                           sizeof *out->dispatches))
        return false;
    out->dispatches[out->dispatch_count++] = *dispatch;
    out->visited += dispatch->visited;
    return true;
}

static void set_windows(const struct builder *b, struct dispatch *dispatch,
                        const struct item_info *reach) {
    for (int t = 0; t < TENSOR_COUNT; t++) {
        uint64_t high;
        dispatch->window[t] = 0;
        if (b->input->tensors[t].windowed &&
            (t >= TENSOR_O || dispatch->kind == DISPATCH_ATTENTION))
            builder_bytes(b, t, reach, dispatch->bh_first, dispatch->bh_first + dispatch->bh_count,
                          &dispatch->window[t], &high);
    }
}

/// Dispatches `plan` (a template) over entries [first, end) of the bh list, as many at a time as
/// limits allow; now, or at its stage.
static bool dispatch_over(struct builder *b, struct dispatch plan, const struct item_info *reach,
                          uint64_t pairs, uint32_t first, uint32_t end, enum stage stage) {
    bool windows = builder_windowed(b);
    while (first < end) {
        uint32_t count = (uint32_t)least(end - first, b->input->limits.max_workgroups_y);
        if (pairs)
            count = (uint32_t)least(count, b->input->limits.dispatch_pairs / pairs
                                               ? b->input->limits.dispatch_pairs / pairs
                                               : 1);
        while (windows && count > 1 && !builder_fits(b, plan.kind, reach, first, first + count))
            count /= 2;
        plan.bh_first = first;
        plan.bh_count = count;
        plan.visited = pairs * count;
        set_windows(b, &plan, reach);
        if (stage == STAGE_NOW) {
            if (!dispatch_add(b, &plan)) return false;
        } else {
            struct dispatch_list *list = &b->waiting[stage];
            if (!builder_reserve32(b, &list->dispatches, &list->capacity, list->count + 1,
                                   sizeof *list->dispatches))
                return false;
            list->dispatches[list->count++] = plan;
        }
        plan.barrier_before = false;
        first += count;
    }
    return true;
}

/// Ends a wave: finish what it left in the workspace.
static bool wave_flush(struct builder *b) {
    for (int stage = 0; stage < STAGES; stage++) {
        struct dispatch_list *list = &b->waiting[stage];
        if (!list->count) continue;
        list->dispatches[0].barrier_before = true;
        for (uint32_t i = 0; i < list->count; i++)
            if (!dispatch_add(b, &list->dispatches[i])) return false;
        list->count = 0;
        b->wave_rows = 0;
        b->wave_begins = true;
    }
    return true;
}

struct mark {
    size_t words, spans, items;
    uint32_t segments, used;
    bool open, placed;
    uint32_t bh_list, list_at;
    uint64_t count;
};

static struct mark mark_set(const struct builder *b) {
    return (struct mark){ b->out->word_count,    b->span_count,   b->item_count,
                          b->out->segment_count, b->segment_used, b->segment_open,
                          b->group_placed,       b->bh_list,      b->list_at,
                          b->out->items };
}

/// Takes back what was placed since the mark (no dispatch was added in between).
static void mark_return(struct builder *b, const struct mark *m) {
    b->out->word_count = m->words;
    b->out->segment_count = m->segments;
    b->out->items = m->count;
    b->span_count = m->spans;
    b->item_count = m->items;
    b->segment_used = m->used;
    b->segment_open = m->open;
    b->group_placed = m->placed;
    b->bh_list = m->bh_list;
    b->list_at = m->list_at;
    if (m->open) b->out->segments[m->segments - 1].texels = m->used;
}

// -------------------------------------------------------------------------------------------------
// Ranges of rows

#define UNIT_ROWS_MOST 8192

/// A group's rows, and how they may be cut.
struct rows {
    struct builder *b;
    struct tiler *t;
    struct cut *cut;
    struct part *parts;
    uint32_t part_count;
    int64_t unit;  ///< ranges are whole units: tiles of a stepped part keep their height in one
    bool direct;   ///< rows that are not split are written at once: by the only part's items,
    bool resumes;  ///< or by the first's of two, which take up what the second's left
};

/// Rows of a tile at this step in a range of `range_rows`: fewer than the variant's where the range
/// has no more, or where a window of Q or O does not reach over all of them.
static int32_t rows_within(const struct builder *b, int64_t step, int64_t range_rows) {
    uint64_t rows =
        least((uint64_t)b->input->limits.tile_rows, (uint64_t)ceil_div(range_rows, step));
    return (int32_t)least(rows, (uint64_t)builder_rows_most(b, step));
}

static int64_t combine_rows(const struct builder *b) {
    return (int64_t)least(PM_COMBINE_ROWS, (uint64_t)builder_rows_most(b, 1));
}

/// Texels that combine of so many rows takes in a segment of its own, at most.
static uint64_t combine_texels(const struct rows *r, int64_t rows, bool dead) {
    int64_t each = combine_rows(r->b);
    uint64_t tiles = 0, items = (uint64_t)(rows / each + 1);
    for (uint32_t k = 0; k < r->part_count && !dead; k++) {
        int32_t height = rows_within(r->b, r->parts[k].step, rows);
        tiles += (uint64_t)tiles_count(r->parts[k].step, rows, height);
        if (k == 0 && r->direct)
            items =
                r->parts[k].step == 1 ? tiles * (uint64_t)ceil_div(height, each) : (uint64_t)rows;
    }
    return builder_preamble(r->b) + tiles / 2 + 1 + r->part_count + items + 2;
}

static void choose_unit(struct rows *r) {
    int64_t rows = r->b->input->limits.tile_rows, step = 1, units;
    for (uint32_t k = 0; k < r->part_count; k++)
        if (r->parts[k].step > step) step = r->parts[k].step;
    units = step < UNIT_ROWS_MOST / rows ? step : UNIT_ROWS_MOST / rows;
    while (units > 1 && combine_texels(r, units * rows, false) > r->b->input->limits.segment_texels)
        units /= 2;
    r->unit = units * rows;
}

/// Goes through the tiles of rows [first, end), part after part: into the waiting items, or `dry`;
/// with their tables, and the rows of partial results in range.slots. False: the builder says why
/// (memory, or a limit).
static bool range_tiles(struct rows *r, int64_t first, int64_t end, bool dry) {
    struct builder *b = r->b;
    struct range *range = &b->range;
    range->first = first;
    range->rows = end - first;
    range->slots = 0;
    for (uint32_t n = 0; n < r->part_count; n++) {
        uint32_t k = r->resumes ? r->part_count - 1 - n : n;  // the part that resumes comes last
        int64_t step = r->parts[k].step, each = range->rows / step;
        struct emit e = { .b = b,
                          .t = r->t,
                          .cut = r->cut,
                          .parts = r->part_count,
                          .dry = dry,
                          .tile_rows = rows_within(b, step, range->rows) };
        e.tiles = tiles_count(step, range->rows, e.tile_rows);
        r->t->part = range->part = &r->parts[k];
        range->resumed = r->resumes && k == 0 ? &range->table[1] : NULL;
        b->list_at = 0;
        range->table[k] = (struct tile_table){ range->table_count,
                                               step,
                                               e.tile_rows,
                                               range->rows % step,
                                               ceil_div(each + 1, e.tile_rows),
                                               ceil_div(each, e.tile_rows) };
        if (!tiles_each(step, first, end, e.tile_rows, builder_tile, &e) ||
            !(dry || builder_flush(b)))
            return false;
        range->slots += e.slots;
    }
    range->resumed = NULL;
    return true;
}

/// Rows of partial results of [first, end). The range at hand stays as it is.
static bool count_slots(struct rows *r, int64_t first, int64_t end, uint64_t *slots) {
    const struct range at_hand = r->b->range;
    bool fine = range_tiles(r, first, end, true);
    *slots = r->b->range.slots;
    r->b->range = at_hand;
    return fine;
}

/// The smallest workspace for the group, given what all its rows at once (b->tables) want; `cut`:
/// they cannot be had at once.
static bool group_least(struct rows *r, bool cut, uint64_t *rows_least) {
    struct builder *b = r->b;
    int64_t end = b->group->site.q_length;
    uint64_t most = 0;
    if ((b->range.slots == 0 || r->unit >= end) && !cut) {
        *rows_least = b->range.slots;
        return true;
    }
    bool same = true;  // are the units' tiles those of b->tables?
    for (uint32_t k = 0; k < r->part_count; k++)
        same = same && r->parts[k].step == 1 && r->b->range.table[k].tile_rows == r->unit;
    for (int64_t first = 0; first < end; first += r->unit) {
        int64_t rows = end - first < r->unit ? end - first : r->unit;
        uint64_t slots = 0;
        for (uint32_t k = 0; k < r->part_count && same; k++)
            slots += (uint64_t)
                         b->tables[r->b->range.table[k].first + 2 * (size_t)(first / r->unit) + 1] *
                     (uint64_t)rows_within(b, 1, rows);
        if (!same && !count_slots(r, first, first + rows, &slots)) return false;
        if (slots > most) most = slots;
    }
    *rows_least = cut ? most : least(most, b->range.slots);
    return true;
}

/// Items of rows [first, end), into b->spans, with their tile tables.
static bool range_items(struct rows *r, int64_t first, int64_t end, bool dead) {
    struct builder *b = r->b;
    struct part none = { .step = 1 };
    b->span_count = 0;
    b->range = (struct range){ .first = first, .rows = end - first };
    if (dead) {  // rows that do not exist: items without runs, or combine items without parts
        int32_t height = rows_within(b, 1, end - first);
        r->t->part = &none;
        for (int64_t row = first; row < end && b->input->limits.direct; row += height)
            if (!builder_dead(b, r->t, row,
                              (int32_t)least((uint64_t)height, (uint64_t)(end - row))))
                return false;
        return builder_flush(b);
    }
    return range_tiles(r, first, end, false);
}

/// Combine items of rows [first, end).
static bool combine_rows_add(struct builder *b, struct dispatch *combine, int64_t first,
                             int64_t end, bool dead) {
    for (int64_t each = combine_rows(b); first < end; first += each) {
        uint32_t *item = builder_texels(b, 1);
        if (!item) return false;
        item[0] = (uint32_t)first, item[1] = (uint32_t)(end - first < each ? end - first : each),
        item[2] = dead, item[3] = 0;
        combine->item_count++;
    }
    return true;
}

/// Rows from `row` on that combine takes together, or leaves together; where a group's rows may be
/// direct.
static int64_t combine_step(const struct rows *r) {
    return r->parts[0].step == 1 ? r->b->range.table[0].tile_rows : 1;
}

/// Has no direct item written rows [row, row + rows) of the range at hand?
static bool combine_takes(const struct rows *r, int64_t row, int64_t rows) {
    const struct range *range = &r->b->range;
    uint32_t slots[PM_ITEM_ROWS_MASK];
    int64_t in_tile;
    if (builder_partials(r->b, &range->table[0], row - range->first, &in_tile)[1] > 0) return true;
    return r->resumes && builder_resumed(r->b, &range->table[1], row, rows, slots) < 0;
}

/// Does the range have rows that combine finishes?
static bool range_merges(const struct rows *r, int64_t first, int64_t end, bool dead) {
    if (dead) return !r->b->input->limits.direct;
    if (!r->direct) return true;
    if (!r->b->range.slots) return false;  // and there may be no tables
    for (int64_t row = first, each = combine_step(r); row < end; row += each)
        if (combine_takes(r, row, end - row < each ? end - row : each)) return true;
    return false;
}

/// The tile tables, the part table and the combine items, all in one segment.
static bool combine_place(struct rows *r, int64_t first, int64_t end, bool dead,
                          struct dispatch *combine) {
    struct builder *b = r->b;
    int64_t rows = end - first;
    uint64_t needed = combine_texels(r, rows, dead);
    if (!builder_place_group(b)) return false;
    if (b->segment_used + needed > b->input->limits.segment_texels &&
        (!builder_segment(b) || !builder_place_group(b)))
        return false;
    uint32_t tables = b->segment_used * 4;
    if (!builder_words(b, b->tables, b->range.table_count)) return false;
    *combine = (struct dispatch){ .kind = DISPATCH_COMBINE,
                                  .step = 1,
                                  .segment = b->out->segment_count - 1,
                                  .bh_list = b->bh_list,
                                  .parts = b->segment_used,
                                  .part_count = dead ? 0 : r->part_count,
                                  .range_first = (uint32_t)first,
                                  .range_rows = (uint32_t)rows };
    uint32_t *to = builder_texels(b, combine->part_count);
    if (!to) return false;
    for (uint32_t k = 0; k < combine->part_count; k++, to += 4)
        to[0] = (uint32_t)r->parts[k].step, to[1] = (uint32_t)r->b->range.table[k].tile_rows,
        to[2] = tables + (uint32_t)r->b->range.table[k].first, to[3] = 0;
    combine->items = b->segment_used;
    if (dead || !r->direct) return combine_rows_add(b, combine, first, end, dead);
    // rows that were written at once are passed by
    for (int64_t row = first, each = combine_step(r); row < end; row += each) {
        int64_t taken = end - row < each ? end - row : each;
        if (combine_takes(r, row, taken) && !combine_rows_add(b, combine, row, row + taken, false))
            return false;
    }
    return true;
}

/// Combine over entries [first, end) of the bh list, as many items at a time as limits and windows
/// allow.
static bool combine_over(struct builder *b, struct dispatch combine, uint32_t first, uint32_t end) {
    const uint32_t *items =
        b->out->words + ((size_t)b->out->segments[combine.segment].first_texel + combine.items) * 4;
    uint32_t from = combine.items, total = combine.item_count, done = 0;
    bool windows = builder_windowed(b);
    while (done < total) {
        struct item_info reach = { 0, INT64_MAX, -1, items[4 * done],
                                   (int64_t)items[4 * done] + items[4 * done + 1] - 1 };
        uint32_t count = 1;
        for (; done + count < total && count < b->input->limits.max_workgroups_x; count++) {
            struct item_info more = reach;
            more.row_last = (int64_t)items[4 * (done + count)] + items[4 * (done + count) + 1] - 1;
            if (windows && !builder_fits(b, DISPATCH_COMBINE, &more, first, first + 1)) break;
            reach = more;
        }
        combine.items = from + done;
        combine.item_count = count;
        if (!dispatch_over(b, combine, &reach, 0, first, end, STAGE_COMBINE)) return false;
        done += count;
    }
    return true;
}

/// Dispatches a range's spans and its combine over the group, as many entries at a time as the
/// workspace holds.
static bool range_dispatch(struct builder *b, const struct dispatch *combine) {
    const struct schedule_limits *limits = &b->input->limits;
    for (uint32_t bh = 0; bh < b->group->bh_count;) {
        uint32_t count = b->group->bh_count - bh;
        if (b->range.slots) {
            uint64_t room = (limits->workspace_rows - b->wave_rows) / b->range.slots;
            if (room < count && b->wave_rows) {
                if (!wave_flush(b)) return false;
                room = limits->workspace_rows / b->range.slots;
            }
            count = (uint32_t)least(count, room);
        }
        // modulo 2³²: entry y adds y · ws_rows
        uint32_t base = (uint32_t)b->wave_rows - bh * (uint32_t)b->range.slots;
        for (size_t s = 0; s < b->span_count; s++) {
            const struct span *span = &b->spans[s];
            struct dispatch attention = {
                .kind = DISPATCH_ATTENTION,
                .segment = span->segment,
                .items = span->items,
                .item_count = span->item_count,
                .step = span->step,
                .does = span->does,
                .q_offset = (int32_t)b->group->site.q_offset,
                .bh_list = span->bh_list,
                .ws_row_base = base,
                .ws_rows = (uint32_t)b->range.slots,
                // also where it has no partials: its kernel could write some, for all a layer knows
                .barrier_before = b->wave_begins
            };
            enum stage stage = span->does & PM_FLAG_RESUME ? STAGE_RESUME : STAGE_NOW;
            if (stage == STAGE_NOW) b->wave_begins = false;
            if (!dispatch_over(b, attention, &span->reach,
                               (uint64_t)span->chunks * builder_chunk_pairs(b), bh, bh + count,
                               stage))
                return false;
        }
        if (combine->item_count) {
            struct dispatch merge = *combine;
            merge.ws_row_base = base;
            merge.ws_rows = (uint32_t)b->range.slots;
            if (!combine_over(b, merge, bh, bh + count)) return false;
        }
        b->wave_rows += b->range.slots * count;
        if (b->wave_rows > b->out->workspace_rows) b->out->workspace_rows = b->wave_rows;
        bh += count;
    }
    return true;
}

/// Everything of rows [first, end) of the group; cut in two where partial results do not fit the
/// workspace, or combine's tables a segment. False: b->memory_fault, or b->error says why.
static bool range_build(struct rows *r, int64_t first, int64_t end, bool dead) {
    struct builder *b = r->b;
    const struct schedule_limits *limits = &b->input->limits;
    struct mark mark = mark_set(b);
    int64_t rows = end - first;
    if (!range_items(r, first, end, dead)) return false;
    bool merges = range_merges(r, first, end, dead);
    bool cut = merges && combine_texels(r, rows, dead) > limits->segment_texels;
    if (cut && rows <= r->unit) {
        tulle_fail(b->error, TULLE_ERROR_UNSUPPORTED,
                   "the tables of %lld rows exceed what a texel buffer of this device holds",
                   (long long)rows);
        return false;
    }
    if (!dead && rows == b->group->site.q_length) {
        uint64_t needed;
        if (!group_least(r, cut, &needed)) return false;
        if (needed > b->out->workspace_rows_least) b->out->workspace_rows_least = needed;
        if (needed > limits->workspace_rows) b->refused = true;
    }
    if (b->refused) {
        mark_return(b, &mark);
        return true;
    }
    if (cut || b->range.slots > limits->workspace_rows) {
        mark_return(b, &mark);
        int64_t half = first + ceil_div(ceil_div(rows, 2), r->unit) * r->unit;
        return range_build(r, first, half, dead) && range_build(r, half, end, dead);
    }
    struct dispatch combine = { .kind = DISPATCH_COMBINE };
    if (merges && !combine_place(r, first, end, dead, &combine)) return false;
    return range_dispatch(b, &combine);
}

/// All rows of a group.
static bool group_build(struct builder *b, const struct group *group, struct part *parts,
                        uint32_t part_count, struct cut *cut) {
    const struct schedule_limits *limits = &b->input->limits;
    const struct site *site = &group->site;
    struct tiler tiler = { .site = site, .tile_rows = limits->tile_rows, .chunk = limits->chunk };
    bool resumes = limits->direct && part_count == 2 && parts[0].step == 1;
    struct rows rows = { .b = b,
                         .t = &tiler,
                         .cut = cut,
                         .parts = parts,
                         .part_count = part_count,
                         .direct = limits->direct && (part_count == 1 || resumes),
                         .resumes = resumes };
    b->group = group;
    b->group_placed = false;
    if (b->segment_open &&
        b->segment_used + (group->bh_count + 3) / 4 + 64 > limits->segment_texels)
        b->segment_open = false;
    if (builder_preamble(b) + 64 > limits->segment_texels) {
        tulle_fail(
            b->error, TULLE_ERROR_UNSUPPORTED,
            "batch times heads (%u entries share a pattern) exceeds what a texel buffer of this device holds",
            group->bh_count);
        return false;
    }
    if (part_count > PM_PARTS_MOST) {
        tulle_fail(b->error, TULLE_ERROR_UNSUPPORTED, "a pattern of more than %d different steps",
                   PM_PARTS_MOST);
        return false;
    }
    choose_unit(&rows);
    bool fine = site->q_length <= 0 || range_build(&rows, 0, site->q_length, false);
    if (fine && site->q_length < site->q_len)
        fine = range_build(&rows, site->q_length, site->q_len, true);
    tiler_free(&tiler);
    return fine;
}

/// How many chunks an item may take: as many as give every part of the device something to do,
/// never so few that ordinary tiles are split, and no more than a dispatch or the driver's loops
/// allow.
static bool choose_item_limit(struct builder *b, struct part *const *parts,
                              const uint32_t *part_counts) {
    const struct schedule_limits *limits = &b->input->limits;
    struct tiling tiling = { limits->tile_rows, limits->chunk, limits->segment_texels };
    double chunks = 0, tiles = 0;
    for (uint32_t g = 0; g < b->input->group_count; g++) {
        const struct group *group = &b->input->groups[g];
        for (uint32_t k = 0; k < part_counts[g]; k++) {
            struct sample s;
            if (!part_sample(&group->site, &parts[g][k], &tiling, group->site.q_length, 12, &s))
                return false;
            double count = (double)s.tiles * group->bh_count;
            if (s.taken) chunks += (double)s.chunks / (double)s.taken * count;
            tiles += count;
        }
    }
    double share = chunks / (double)limits->items_wanted;
    double limit = tiles >= (double)limits->items_wanted ? 2 * chunks / (tiles + 1) + 1
                                                         : (double)limits->item_chunks_least;
    if (share > limit) limit = share;
    if (limit < (double)limits->item_chunks_least) limit = (double)limits->item_chunks_least;
    double most = (double)(limits->dispatch_pairs / builder_chunk_pairs(b));
    if (limit > most) limit = most;
    if (limit > (double)limits->item_chunks_most) limit = (double)limits->item_chunks_most;
    b->item_limit = limit < 1 ? 1 : (int64_t)limit;
    return true;
}

/// A window holds at least a row or a key of every tensor.
static bool windows_suffice(const struct builder *b) {
    for (int t = 0; t < TENSOR_COUNT; t++)
        if (b->input->tensors[t].windowed &&
            b->input->tensors[t].row_bytes > b->input->limits.window_bytes)
            return false;
    return true;
}

struct schedule_room *schedule_room_create(void) { return calloc(1, sizeof(struct schedule_room)); }

static void room_empty(struct schedule_room *room) {
    free(room->words);
    free(room->items);
}

void schedule_room_destroy(struct schedule_room *room) {
    if (room) room_empty(room);
    free(room);
}

size_t schedule_room_bytes(const struct schedule_room *room) {
    return room->word_capacity * sizeof *room->words + room->item_capacity * sizeof *room->items;
}

tulle_result schedule_build(const struct schedule_input *input, struct schedule_room *room,
                            struct schedule *out, tulle_error *error) {
    tulle_error local;
    struct schedule_room fresh = { 0 };
    struct builder b = {
        .input = input, .out = out, .error = error ? error : &local, .room = room ? room : &fresh
    };
    struct tiling tiling = { input->limits.tile_rows, input->limits.chunk,
                             input->limits.segment_texels };
    out->room = room;
    out->words = b.room->words;
    out->word_capacity = b.room->word_capacity;
    b.room->words = NULL;
    b.room->word_capacity = 0;
    struct part **parts = calloc(input->group_count, sizeof *parts);
    uint32_t *part_counts = calloc(input->group_count, sizeof *part_counts);
    struct cut cut = { 0 };
    b.error->result = TULLE_OK;
    bool fine = parts && part_counts;
    for (uint32_t g = 0; g < input->group_count && fine; g++)
        fine = parts_create(&input->groups[g].site, &tiling, &parts[g], &part_counts[g]);
    fine = fine && choose_item_limit(&b, parts, part_counts);
    if (!fine) {
        b.memory_fault = true;
    } else if (!windows_suffice(&b)) {
        tulle_fail(b.error, TULLE_ERROR_UNSUPPORTED, "a row does not fit a binding of %llu bytes",
                   (unsigned long long)input->limits.window_bytes);
        fine = false;
    }
    for (uint32_t g = 0; g < input->group_count && fine; g++)
        fine = group_build(&b, &input->groups[g], parts[g], part_counts[g], &cut);
    fine = fine && wave_flush(&b);
    for (uint32_t g = 0; g < input->group_count && parts && part_counts; g++)
        parts_free(parts[g], part_counts[g]);
    free(parts);
    free(part_counts);
    free(cut.runs);
    room_empty(&fresh);
    out->host_bytes = out->word_count * sizeof *out->words + b.items_most * sizeof *b.room->items;
    free(b.spans);
    free(b.tables);
    for (int stage = 0; stage < STAGES; stage++) free(b.waiting[stage].dispatches);
    if (b.memory_fault)
        return tulle_fail(b.error, TULLE_ERROR_OUT_OF_HOST_MEMORY,
                          "no host memory for the schedule");
    // the plan words it, in bytes
    if (fine && b.refused) return tulle_fail(b.error, TULLE_ERROR_WORKSPACE_LIMIT, "workspace");
    return b.error->result;
}

void schedule_free(struct schedule *schedule) {
    if (schedule->room) {
        schedule->room->words = schedule->words;
        schedule->room->word_capacity = schedule->word_capacity;
    } else {
        free(schedule->words);
    }
    free(schedule->segments);
    free(schedule->dispatches);
    memset(schedule, 0, sizeof *schedule);
}
