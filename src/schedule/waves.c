// SPDX-License-Identifier: MIT
#include "schedule/waves.h"

#include <stdlib.h>

#include "common/arithmetic.h"
#include "common/array.h"
#include "plan_memory.h"

static bool dispatch_add(struct waves *w, const struct dispatch *dispatch) {
    struct schedule *out = w->out;
    if (!ARRAY_RESERVE(out->dispatches, out->dispatch_capacity, (size_t)out->dispatch_count + 1))
        return schedule_no_memory(w->error);
    out->dispatches[out->dispatch_count++] = *dispatch;
    out->visited += dispatch->visited;
    return true;
}

/// At its stage, or now.
static bool dispatch_stage(struct waves *w, const struct dispatch *dispatch, enum stage stage) {
    if (stage == STAGE_NOW) return dispatch_add(w, dispatch);
    struct dispatch_list *list = &w->waiting[stage];
    if (!ARRAY_RESERVE(list->dispatches, list->capacity, list->count + 1))
        return schedule_no_memory(w->error);
    list->dispatches[list->count++] = *dispatch;
    return true;
}

bool waves_flush(struct waves *w) {
    for (int stage = 0; stage < STAGES; stage++) {
        struct dispatch_list *list = &w->waiting[stage];
        if (!list->count) continue;
        list->dispatches[0].barrier_before = true;
        for (size_t i = 0; i < list->count; i++)
            if (!dispatch_add(w, &list->dispatches[i])) return false;
        list->count = 0;
        w->rows = 0;
        w->begins = true;
    }
    return true;
}

bool waves_again(struct waves *w) {
    if (!waves_flush(w)) return false;
    w->begins = true;
    return true;
}

void waves_free(struct waves *w) {
    for (int stage = 0; stage < STAGES; stage++) free(w->waiting[stage].dispatches);
}

/// A group's entries [first, end), and which workspace rows are theirs.
struct entries {
    const struct group *group;
    uint32_t first, end;
    uint32_t ws_row_base, ws_rows;
};

/// Of `count` entries from `first` on, as many as windows hold for such a dispatch; at least one.
static uint32_t entries_held(const struct waves *w, enum dispatch_kind kind,
                             const struct reach *reach, const struct group *group, uint32_t first,
                             uint32_t count) {
    uint32_t held = 1, over = count + 1;  // the fewest that are known not to be
    for (uint32_t some = count; over - held > 1; some = held + (over - held) / 2) {
        if (windows_hold(w->input, group, kind, reach, first, first + some)) held = some;
        else over = some;
    }
    return held;
}

/// Dispatches over the entries, as many at a time as limits allow, of `pairs` visited pairs each.
static bool dispatch_over(struct waves *w, struct dispatch dispatch, const struct reach *reach,
                          uint64_t pairs, const struct entries *over, enum stage stage) {
    const struct schedule_limits *limits = &w->input->limits;
    const bool windows = windows_any(w->input);
    dispatch.ws_row_base = over->ws_row_base;
    dispatch.ws_rows = over->ws_rows;
    for (uint32_t first = over->first; first < over->end;) {
        uint32_t count = (uint32_t)least(over->end - first, limits->max_workgroups_y);
        if (pairs) {
            const uint64_t most_pairs = limits->dispatch_pairs / pairs;
            count = (uint32_t)least_unsigned(count, most_pairs ? most_pairs : 1);
        }
        if (windows) count = entries_held(w, dispatch.kind, reach, over->group, first, count);
        dispatch.entry_first = first;
        dispatch.entry_count = count;
        dispatch.visited = pairs * count;
        windows_place(w->input, over->group, reach, &dispatch);
        if (!dispatch_stage(w, &dispatch, stage)) return false;
        dispatch.barrier_before = false;
        first += count;
    }
    return true;
}

static bool attention_over(struct waves *w, const struct stretch *stretch,
                           const struct entries *over) {
    const enum stage stage = stretch->does & PM_FLAG_RESUME ? STAGE_RESUME : STAGE_NOW;
    const struct dispatch attention = {
        .kind = DISPATCH_ATTENTION,
        .segment = stretch->segment,
        .items = stretch->items,
        .item_count = stretch->item_count,
        .step = stretch->step,
        .does = stretch->does,
        .entries = stretch->entries,
        // also where it has no partials: its kernel could write some, for all a layer knows
        .barrier_before = w->begins
    };
    if (stage == STAGE_NOW) w->begins = false;
    return dispatch_over(w, attention, &stretch->reach,
                         (uint64_t)stretch->reach.chunks * chunk_pairs(&w->input->limits), over,
                         stage);
}

/// What combine items from `item` on reach: as many of `count` as limits allow. Returns how many.
static uint32_t combine_reach(const struct waves *w, const struct pm_combine_item *item,
                              uint32_t count, int64_t rows_most, struct reach *reach) {
    uint32_t taken = 0;
    for (; taken < count && taken < w->input->limits.max_workgroups_x; taken++, item++) {
        struct reach more = { REACH_NO_KEYS,
                              .row_first = taken ? reach->row_first : item->first_row,
                              .row_last = (int64_t)item->first_row + item->rows - 1 };
        if (taken && more.row_last - more.row_first >= rows_most) break;
        *reach = more;
    }
    return taken;
}

/// Combine over the entries, as many items at a time as limits and windows allow.
static bool combine_over(struct waves *w, struct dispatch combine, const struct entries *over,
                         int64_t rows_most) {
    const struct segment *segment = &w->out->segments[combine.segment];
    const struct pm_combine_item *items =
        (const void *)(w->out->words + ((size_t)segment->first_texel + combine.items) * 4);
    const uint32_t total = combine.item_count;
    for (uint32_t done = 0; done < total; done += combine.item_count) {
        struct reach reach;
        combine.item_count = combine_reach(w, items + done, total - done, rows_most, &reach);
        if (!dispatch_over(w, combine, &reach, 0, over, STAGE_COMBINE)) return false;
        combine.items += combine.item_count;
    }
    return true;
}

bool waves_range(struct waves *w, const struct group *group, const struct stretch *stretches,
                 size_t stretch_count, const struct dispatch *combine, uint64_t slots,
                 int64_t rows_most) {
    const uint64_t all_rows = w->input->limits.workspace_rows;
    for (uint32_t first = 0; first < group->entry_count;) {
        uint32_t count = group->entry_count - first;
        if (slots) {
            uint64_t room = (all_rows - w->rows) / slots;
            if (room < count && w->rows) {
                if (!waves_flush(w)) return false;
                room = all_rows / slots;
            }
            count = (uint32_t)least_unsigned(count, room);
        }
        const struct entries over = { .group = group,
                                      .first = first,
                                      .end = first + count,
                                      // modulo 2³²: entry y adds y · ws_rows
                                      .ws_row_base = (uint32_t)w->rows - first * (uint32_t)slots,
                                      .ws_rows = (uint32_t)slots };
        for (size_t s = 0; s < stretch_count; s++)
            if (!attention_over(w, &stretches[s], &over)) return false;
        if (combine->item_count && !combine_over(w, *combine, &over, rows_most)) return false;
        w->rows += slots * count;
        if (w->rows > w->out->workspace_rows) w->out->workspace_rows = w->rows;
        first += count;
    }
    return true;
}
