// SPDX-License-Identifier: MIT
//
// The order in which items are written, and the stretches of them that one dispatch takes.
#include <stdlib.h>
#include <string.h>

#include "common/arithmetic.h"
#include "common/array.h"
#include "common/sort.h"
#include "plan_memory.h"
#include "schedule/items.h"

static uint32_t item_does(const struct waiting_item *item) {
    const uint32_t shape = item->item.shape;
    return (shape & PM_ITEM_DIRECT ? PM_FLAG_DIRECT : PM_FLAG_PARTIAL) |
           (shape & PM_ITEM_RESUMES ? PM_FLAG_RESUME : 0);
}

static struct reach item_reach(const struct items *items, const struct waiting_item *item) {
    const int64_t rows = item->item.shape >> PM_ITEM_ROWS_SHIFT & PM_ITEM_ROWS_MASK;
    int64_t first = item->item.first_row, last = first + (rows - 1) * items->step;
    if (items->listed) {
        const uint32_t *list = segments_open_words(items->segments) + first;
        first = list[0] & PM_ROW_MASK;
        last = list[rows - 1] & PM_ROW_MASK;
    }
    return (struct reach){ item->chunks, item->key_first, item->key_last, first, last };
}

static struct reach joined(struct reach a, const struct reach *b) {
    a.chunks += b->chunks;
    a.key_first = least(a.key_first, b->key_first);
    a.key_last = most(a.key_last, b->key_last);
    a.row_first = least(a.row_first, b->row_first);
    a.row_last = most(a.row_last, b->row_last);
    return a;
}

// -------------------------------------------------------------------------------------------------
// Sorting

/// Bytes of K side by side that the residue classes of one block take: items_by_block says why.
#define BLOCK_BYTES 2048

/// Where a waiting item is to stand, and where it stands.
struct placed {
    int64_t place;
    size_t item;
};

/// Sorts the waiting items by their place; those of one place stay as they are.
static bool items_sort(struct items *items,
                       int64_t (*place_of)(const void *order, const struct waiting_item *item),
                       const void *order) {
    const size_t count = items->waiting;
    const struct waiting_item *made = items->room->items;
    size_t rising = 1;  // mostly they stand in order as they were made
    for (int64_t place = place_of(order, &made[0]), next; rising < count; rising++, place = next)
        if ((next = place_of(order, &made[rising])) < place) break;
    if (rising == count) return true;
    struct waiting_item *waiting = items->room->items, *was = malloc(count * sizeof *was);
    struct placed *placed = malloc(2 * count * sizeof *placed);
    const bool fine = placed && was;
    if (fine) {
        for (size_t i = 0; i < count; i++)
            placed[i] = (struct placed){ place_of(order, &waiting[i]), i };
        sort_rising(placed, placed + count, count, sizeof *placed);
        memcpy(was, waiting, count * sizeof *was);
        for (size_t i = 0; i < count; i++) waiting[i] = was[placed[i].item];
    }
    free(placed);
    free(was);
    return fine || schedule_no_memory(items->error);
}

/// Where an item of a stepped part stands: blocks of neighbouring residue classes, in a block tile
/// after tile.
struct stepped_order {
    int64_t low, step, height, classes, tiles;
};

static int64_t stepped_place(const void *order, const struct waiting_item *item) {
    const struct stepped_order *o = order;
    const int64_t from = item->item.first_row - o->low, block = from % o->step / o->classes,
                  tile = from / o->height;
    return block * o->tiles + tile;
}

/// Items of a stepped part are made class by class. A class's keys lie `step` rows apart, so each
/// is a page of its own and nothing is fetched ahead: classes whose keys lie side by side run
/// together, and the tiles of such a block one after the other, while its keys are still in cache.
/// BLOCK_BYTES: docs/measurements/2026-11-26-cpu.md, "Blocks of residue classes".
static bool items_by_block(struct items *items) {
    const struct waiting_item *waiting = items->room->items;
    // bytes from key to key; 0: one key
    const int64_t stride = (int64_t)items->input->tensors[TENSOR_K].row;
    int64_t low = INT64_MAX, high = 0;
    for (size_t i = 0; i < items->waiting; i++) {
        low = least(low, waiting[i].item.first_row);
        high = most(high, waiting[i].item.first_row);
    }
    struct stepped_order order = { low, items->step, items->step * items->input->limits.tile_rows,
                                   stride && stride < BLOCK_BYTES ? BLOCK_BYTES / stride : 1, 0 };
    order.tiles = (high - low) / order.height + 1;
    return items_sort(items, stepped_place, &order);
}

/// Cells of rows and keys. In 32 bits: divisions of 64 would take as long as planning the item.
struct window_order {
    uint32_t first, rows, keys;
};

static int64_t window_place(const void *order, const struct waiting_item *item) {
    const struct window_order *o = order;
    const uint32_t row = (item->item.first_row - o->first) / o->rows,
                   key = item->key_last < 0 ? 0 : (uint32_t)item->key_first / o->keys;
    return (int64_t)row << 32 | key;  // positions are below 2³¹
}

/// Items that reach the same windows stand together, so that a dispatch can take them: those whose
/// rows begin in one cell fit one window, and of these those whose keys do (window_cell).
static bool items_by_window(struct items *items) {
    const struct window_extent *window = items->window;
    const int64_t height = items->step * items->tile_rows;
    const int64_t rows = window->rows < height ? window->rows - (height - items->step)
                                               : window->rows / height * height,
                  keys = window_slack(window);
    const struct window_order order = { (uint32_t)items->first,
                                        (uint32_t)most(least(rows, INT32_MAX), 1),
                                        (uint32_t)most(least(keys, INT32_MAX), 1) };
    return items_sort(items, window_place, &order);
}

static int64_t target_place(const void *order, const struct waiting_item *item) {
    (void)order;
    return (item_does(item) & PM_FLAG_DIRECT) != 0;
}

/// Items that write partial results come before those that may resume some: no dispatch does both.
static bool items_by_target(struct items *items) {
    size_t partial = 0;
    for (size_t i = 0; i < items->waiting; i++)
        partial += !target_place(NULL, &items->room->items[i]);
    return !partial || partial == items->waiting || items_sort(items, target_place, NULL);
}

// -------------------------------------------------------------------------------------------------
// Writing

/// Writes items [first, end), of `chunks` chunks in all, in an order in which equal numbers of them
/// cost about the same: from one end or the other, as the items so far cost more or less than the
/// mean. Lavapipe cuts the grid in equal numbers of workgroups, one a thread
/// (lp_cs_tpool), and under causal the later half of the rows is three quarters of the work; a GPU
/// is kept from beginning the longest items last. Neighbours stay near each other. Those of a
/// stepped part have their order (items_by_block) and keep it.
static void items_write(const struct items *items, size_t first, size_t end, int64_t chunks,
                        struct pm_item *to) {
    const struct waiting_item *waiting = items->room->items;
    const bool keep = items->step > 1;
    // what was written costs ahead / count chunks above the mean
    int64_t count = (int64_t)(end - first), ahead = 0;
    for (size_t low = first, high = end; low < high;) {
        int64_t front = waiting[low].chunks, back = waiting[high - 1].chunks;
        bool from_back = !keep && (ahead > 0 ? back < front : back > front);
        size_t i = from_back ? --high : low++;
        ahead += waiting[i].chunks * count - chunks;
        *to++ = waiting[i].item;
    }
}

/// The longest stretch of waiting items that begins with `first` and that one dispatch may take.
/// Returns its end.
static size_t stretch_take(const struct items *items, size_t first, struct stretch *out) {
    const struct waiting_item *waiting = items->room->items;
    const struct schedule_limits *limits = &items->input->limits;
    const struct window_extent *window = items->window;
    const size_t items_most = limits->max_workgroups_x;
    const uint64_t chunks_most = limits->dispatch_pairs / chunk_pairs(limits);
    size_t end = first + 1;
    out->reach = item_reach(items, &waiting[first]);
    out->does = item_does(&waiting[first]) | (items->listed ? PM_FLAG_LISTED_ROWS : 0);
    for (; end < items->waiting && end - first < items_most; end++) {
        const struct reach next = item_reach(items, &waiting[end]),
                           more = joined(out->reach, &next);
        const uint32_t also = item_does(&waiting[end]);
        if ((uint64_t)more.chunks > chunks_most ||
            (items->resume && (out->does ^ also) & PM_FLAG_PARTIAL))
            break;
        if (more.row_last - more.row_first >= window->rows ||
            more.key_last - more.key_first >= window->keys)
            break;
        out->reach = more;
        out->does |= also;
    }
    out->item_count = (uint32_t)(end - first);
    return end;
}

bool items_flush(struct items *items) {
    struct segments *s = items->segments;
    if (!items->waiting) return true;
    if (items->step > 1 && !items_by_block(items)) return false;
    if (windows_any(items->input) && !items_by_window(items)) return false;
    if (items->resume && !items_by_target(items)) return false;
    const uint32_t at = s->used;
    struct pm_item *to = segments_texels(s, items->waiting);
    if (!to) return false;
    for (size_t first = 0, end; first < items->waiting; first = end) {
        struct stretch stretch = { .segment = segments_index(s),
                                   .items = at + (uint32_t)first,
                                   .step = (uint32_t)items->step,
                                   .entries = s->entries };
        end = stretch_take(items, first, &stretch);
        if (!ARRAY_RESERVE(items->stretches, items->stretch_capacity, items->stretch_count + 1))
            return schedule_no_memory(items->error);
        items->stretches[items->stretch_count++] = stretch;
        items_write(items, first, end, stretch.reach.chunks, to + first);
    }
    items->written += items->waiting;
    if (items->waiting > items->waiting_most) items->waiting_most = items->waiting;
    items->waiting = 0;
    return true;
}
