// SPDX-License-Identifier: MIT
#include "schedule/join.h"

#include <stdlib.h>
#include <string.h>

#include "common/array.h"
#include "plan_memory.h"
#include "schedule/segments.h"
#include "schedule/windows.h"

/// Dispatches between two barriers run in any order: sorted, those that may be joined lie side by
/// side.
struct block {
    const struct schedule_input *input;
    struct schedule *out;
    struct dispatch *dispatches;
    uint32_t count;
};

static uint32_t texels_an_item(const struct dispatch *d) {
    return d->kind == DISPATCH_COMBINE ? PM_JOINED_COMBINE_TEXELS : PM_JOINED_ITEM_TEXELS;
}

/// What dispatches have in common that one pipeline takes over one grid: less than 0, 0, above.
static int compare_dispatches(const struct dispatch *a, const struct dispatch *b) {
    const uint32_t modes = PM_FLAG_RESUME | PM_FLAG_LISTED_ROWS;
    const int64_t differ[] = { (int64_t)a->kind - b->kind, (int64_t)a->segment - b->segment,
                               (int64_t)(a->does & modes) - (b->does & modes),
                               (int64_t)a->step - b->step, (int64_t)a->entry_count - b->entry_count,
                               // of a group that goes in several waves: left as it is
                               (int64_t)(a->entry_first > 0) - (b->entry_first > 0) };
    for (size_t i = 0; i < sizeof differ / sizeof *differ; i++)
        if (differ[i]) return differ[i] < 0 ? -1 : 1;
    return 0;
}

static int by_kind_then_place(const void *a, const void *b) {
    const struct dispatch *x = a, *y = b;
    const int kind = compare_dispatches(x, y);
    if (kind) return kind;
    if (x->items != y->items) return x->items < y->items ? -1 : 1;
    return (x->entry_first > y->entry_first) - (x->entry_first < y->entry_first);
}

/// Copies the dispatch's items to `to`, each with what says whose it is.
static void copy_items(const struct schedule *out, const struct dispatch *d, uint32_t *to) {
    const uint32_t *from =
        out->words + ((size_t)out->segments[d->segment].first_texel + d->items) * 4;
    const struct pm_joined with = { d->entries, d->ws_row_base, d->ws_rows, d->parts };
    const struct pm_joined_combine range = { d->part_count, d->range_first, d->range_rows, 0 };
    for (uint32_t i = 0; i < d->item_count; i++, to += texels_an_item(d) * 4) {
        memcpy(to, from + i * 4, 16);
        memcpy(to + 4, &with, sizeof with);
        if (d->kind == DISPATCH_COMBINE) memcpy(to + 8, &range, sizeof range);
    }
}

/// How many dispatches from `first` on become one; 1: it stays as it is. *items: of all of them.
static uint32_t joinable(const struct block *block, uint32_t first, uint64_t *items) {
    const struct schedule_limits *limits = &block->input->limits;
    const struct dispatch *d = &block->dispatches[first];
    const struct segment *segment = &block->out->segments[d->segment];
    uint64_t pairs = 0;
    uint32_t taken = 0;
    *items = 0;
    if (d->segment + 1 != block->out->segment_count || d->entry_first) return 1;
    for (; first + taken < block->count; taken++) {
        const struct dispatch *next = &block->dispatches[first + taken];
        if (compare_dispatches(d, next) || pairs + next->visited > limits->dispatch_pairs ||
            *items + next->item_count > limits->max_workgroups_x ||
            segment->texels + (*items + next->item_count) * texels_an_item(d) >
                limits->segment_texels)
            break;
        pairs += next->visited;
        *items += next->item_count;
    }
    return taken > 1 ? taken : 1;
}

/// Makes one of `count` dispatches from `first` on. False: out of memory.
static bool join_some(const struct block *block, uint32_t first, uint32_t count, uint64_t items,
                      struct dispatch *joined) {
    struct schedule *out = block->out;
    struct segment *segment = &out->segments[out->segment_count - 1];
    const struct dispatch *d = &block->dispatches[first];
    const size_t words = (size_t)items * texels_an_item(d) * 4;
    if (!ARRAY_RESERVE(out->words, out->word_capacity, out->word_count + words)) return false;
    *joined = (struct dispatch){ .kind = d->kind,
                                 .segment = d->segment,
                                 .items = segment->texels,
                                 .item_count = (uint32_t)items,
                                 .step = d->step,
                                 .does = PM_FLAG_JOINED,
                                 .entry_count = d->entry_count };
    for (uint32_t i = 0; i < count; i++) {
        const struct dispatch *from = d + i;
        copy_items(out, from, out->words + out->word_count);
        out->word_count += (size_t)from->item_count * texels_an_item(d) * 4;
        joined->does |= from->does;
        joined->visited += from->visited;
    }
    segment->texels += (uint32_t)(words / 4);
    return true;
}

/// Joins what it can of a block; its dispatches end at *to, which moves past them. False: out of
/// memory.
static bool join_block(struct block *block, struct dispatch **to) {
    const bool waits = block->dispatches[0].barrier_before;
    struct dispatch *begin = *to;
    block->dispatches[0].barrier_before = false;
    qsort(block->dispatches, block->count, sizeof *block->dispatches, by_kind_then_place);
    for (uint32_t i = 0, taken; i < block->count; i += taken) {
        uint64_t items;
        struct dispatch joined = block->dispatches[i];
        taken = joinable(block, i, &items);
        if (taken > 1 && !join_some(block, i, taken, items, &joined)) return false;
        *(*to)++ = joined;
    }
    begin->barrier_before = waits;
    return true;
}

/// Are there two that could be joined?
static bool any_alike(const struct schedule *out) {
    for (uint32_t i = 0; i + 1 < out->dispatch_count; i++)
        if (!out->dispatches[i + 1].barrier_before &&
            out->dispatches[i].entries != out->dispatches[i + 1].entries)
            return true;
    return false;
}

bool join_dispatches(const struct schedule_input *input, struct schedule *out, tulle_error *error) {
    // several groups, each of whose windows would be its own
    if (input->group_count < 2 || windows_any(input) || !any_alike(out)) return true;
    struct dispatch *to = out->dispatches;
    for (uint32_t first = 0, end; first < out->dispatch_count; first = end) {
        for (end = first + 1; end < out->dispatch_count && !out->dispatches[end].barrier_before;)
            end++;
        struct block block = { input, out, out->dispatches + first, end - first };
        if (!join_block(&block, &to)) return schedule_no_memory(error);
    }
    out->dispatch_count = (uint32_t)(to - out->dispatches);
    return true;
}
