// SPDX-License-Identifier: MIT
//
// Tiles → work items, in segments of plan memory.
#include <stdlib.h>
#include <string.h>

#include "common/arithmetic.h"
#include "plan_memory.h"
#include "schedule/builder.h"
#include "common/error.h"

bool builder_reserve(struct builder *b, void *array, size_t *capacity, size_t needed,
                     size_t element) {
    if (needed <= *capacity) return true;
    size_t more = *capacity ? *capacity + *capacity / 2 : 64;
    if (more < needed) more = needed;
    void *old;
    memcpy(&old, array, sizeof old);  // of any pointer type
    void *grown = realloc(old, more * element);
    if (!grown) {
        b->memory_fault = true;
        return false;
    }
    memcpy(array, &grown, sizeof grown);
    *capacity = more;
    return true;
}

bool builder_reserve32(struct builder *b, void *array, uint32_t *capacity, size_t needed,
                       size_t element) {
    size_t wide = *capacity;
    bool fine = builder_reserve(b, array, &wide, needed, element);
    *capacity = (uint32_t)wide;
    return fine;
}

// -------------------------------------------------------------------------------------------------
// Segments

uint32_t *builder_texels(struct builder *b, size_t texels) {
    struct schedule *out = b->out;
    if (!builder_reserve(b, &out->words, &out->word_capacity, out->word_count + texels * 4,
                         sizeof *out->words))
        return NULL;
    uint32_t *words = out->words + out->word_count;
    out->word_count += texels * 4;
    b->segment_used += (uint32_t)texels;
    out->segments[out->segment_count - 1].texels = b->segment_used;
    return words;
}

uint32_t *builder_words(struct builder *b, const void *from, size_t words) {
    size_t texels = (words + 3) / 4;
    uint32_t *to = builder_texels(b, texels);
    if (!to) return NULL;
    if (from) memcpy(to, from, words * 4);
    memset(to + words, 0, (texels * 4 - words) * 4);
    return to;
}

bool builder_segment(struct builder *b) {
    struct schedule *out = b->out;
    const struct schedule_input *in = b->input;
    size_t unit = (size_t)in->limits.segment_alignment * 4, rest = out->word_count % unit;
    if (rest) {
        size_t padding = unit - rest;
        if (!builder_reserve(b, &out->words, &out->word_capacity, out->word_count + padding,
                             sizeof *out->words))
            return false;
        memset(out->words + out->word_count, 0, padding * 4);
        out->word_count += padding;
    }
    if (!builder_reserve32(b, &out->segments, &out->segment_capacity, out->segment_count + 1,
                           sizeof *out->segments))
        return false;
    size_t start = out->word_count;
    out->segments[out->segment_count++] = (struct segment){ (uint32_t)(start / 4), 0 };
    b->segment_used = 0;
    b->segment_open = true;
    b->group_placed = false;
    b->list_at = 0;
    uint32_t slopes = 0, sinks = 0;
    if (!builder_words(b, in->header, PM_HEADER_TEXELS * 4)) return false;
    if (in->slopes) {
        slopes = b->segment_used * 4;
        if (!builder_words(b, in->slopes, in->heads)) return false;
    }
    if (in->sinks) {
        sinks = b->segment_used * 4;
        if (!builder_words(b, in->sinks, in->heads)) return false;
    }
    out->words[start + PM_HEADER_V * 4 + 3] = slopes;
    out->words[start + PM_HEADER_O * 4 + 3] = sinks;
    return true;
}

uint64_t builder_preamble(const struct builder *b) {
    uint64_t per_head = (b->input->heads + 3) / 4;
    return PM_HEADER_TEXELS + (b->input->slopes ? per_head : 0) + (b->input->sinks ? per_head : 0) +
           (b->group->bh_count + 3) / 4;
}

bool builder_place_group(struct builder *b) {
    if (!b->segment_open && !builder_segment(b)) return false;
    if (b->group_placed) return true;
    b->bh_list = b->segment_used * 4;
    b->group_placed = builder_words(b, b->group->bh, b->group->bh_count) != NULL;
    return b->group_placed;
}

// -------------------------------------------------------------------------------------------------
// Items

bool builder_windowed(const struct builder *b) {
    for (int i = 0; i < TENSOR_COUNT; i++)
        if (b->input->tensors[i].windowed) return true;
    return false;
}

static struct item_info item_reach(const struct builder *b, const struct waiting_item *item) {
    int64_t rows = item->words[2] >> PM_ITEM_ROWS_SHIFT & PM_ITEM_ROWS_MASK,
            step = b->range.part ? b->range.part->step : 1;
    return (struct item_info){ item->chunks, item->key_first, item->key_last, item->words[0],
                               item->words[0] + (rows - 1) * step };
}

static uint32_t item_does(const struct waiting_item *item) {
    uint32_t shape = item->words[2];
    return (shape & PM_ITEM_DIRECT ? PM_FLAG_DIRECT : PM_FLAG_PARTIAL) |
           (shape & PM_ITEM_RESUMES ? PM_FLAG_RESUME : 0);
}

static struct item_info joined(struct item_info a, const struct item_info *b) {
    a.chunks += b->chunks;
    if (b->key_first < a.key_first) a.key_first = b->key_first;
    if (b->key_last > a.key_last) a.key_last = b->key_last;
    if (b->row_first < a.row_first) a.row_first = b->row_first;
    if (b->row_last > a.row_last) a.row_last = b->row_last;
    return a;
}

void builder_bytes(const struct builder *b, int t, const struct item_info *reach, uint32_t first,
                   uint32_t end, uint64_t *low, uint64_t *high) {
    const struct tensor_shape *shape = &b->input->tensors[t];
    bool keys = t == TENSOR_K || t == TENSOR_V;
    int64_t from = keys ? reach->key_first : reach->row_first,
            to = keys ? reach->key_last : reach->row_last;
    if (from > to) from = to = 0;
    *low = UINT64_MAX;
    *high = 0;
    for (uint32_t i = first; i < end; i++) {
        uint64_t batch = b->group->bh[i] / b->input->heads,
                 head = b->group->bh[i] % b->input->heads;
        if (keys) head = head * b->input->kv_heads / b->input->heads;
        uint64_t base = batch * shape->batch + head * shape->head;
        uint64_t x = base + (uint64_t)from * shape->row,
                 y = base + (uint64_t)to * shape->row + shape->row_bytes;
        if (x < *low) *low = x;
        if (y > *high) *high = y;
    }
}

bool builder_fits(const struct builder *b, enum dispatch_kind kind, const struct item_info *reach,
                  uint32_t first, uint32_t end) {
    for (int t = kind == DISPATCH_COMBINE ? TENSOR_O : 0; t < TENSOR_COUNT; t++) {
        uint64_t low, high;
        if (!b->input->tensors[t].windowed) continue;
        builder_bytes(b, t, reach, first, end, &low, &high);
        if (high - low > b->input->limits.window_bytes) return false;
    }
    return true;
}

int64_t builder_rows_most(const struct builder *b, int64_t step) {
    int64_t rows = INT64_MAX / 8;
    for (int i = 0; i < TENSOR_COUNT; i++) {
        const struct tensor_shape *shape = &b->input->tensors[i];
        if (i == TENSOR_K || i == TENSOR_V || !shape->windowed || !shape->row) continue;
        rows = least(rows, (int64_t)((b->input->limits.window_bytes - shape->row_bytes) /
                                     ((uint64_t)step * shape->row)) +
                               1);
    }
    return rows;
}

/// How many positions apart the first and last key of an item may be.
static int64_t key_span_most(const struct builder *b) {
    int64_t span = INT64_MAX / 8;
    for (int i = TENSOR_K; i <= TENSOR_V; i++) {
        const struct tensor_shape *shape = &b->input->tensors[i];
        if (shape->windowed && shape->row)
            span = least(
                span, (int64_t)((b->input->limits.window_bytes - shape->row_bytes) / shape->row));
    }
    return span;
}

uint64_t builder_chunk_pairs(const struct builder *b) {
    return (uint64_t)b->input->limits.tile_rows * (uint64_t)b->input->limits.chunk;
}

/// Bytes of K side by side that the residue classes of one block take: items_by_block says why.
#define BLOCK_BYTES 2048

/// Sorts the waiting items by their place, of `places`; those of one place stay as they are.
static bool items_sort(struct builder *b, size_t places,
                       size_t (*place_of)(const void *order, const struct waiting_item *item),
                       const void *order) {
    size_t *place = calloc(places + 1, sizeof *place);
    struct waiting_item *items = malloc(b->item_count * sizeof *items);
    bool fine = place && items;
    if (fine) {
        for (size_t i = 0; i < b->item_count; i++) place[place_of(order, &b->room->items[i]) + 1]++;
        for (size_t i = 0; i < places; i++) place[i + 1] += place[i];
        for (size_t i = 0; i < b->item_count; i++)
            items[place[place_of(order, &b->room->items[i])]++] = b->room->items[i];
        memcpy(b->room->items, items, b->item_count * sizeof *items);
    } else {
        b->memory_fault = true;
    }
    free(place);
    free(items);
    return fine;
}

/// Where an item of a stepped part stands: blocks of neighbouring residue classes, in a block tile
/// after tile.
struct stepped_order {
    int64_t low, step, height, classes, tiles;
};

static size_t stepped_place(const void *order, const struct waiting_item *item) {
    const struct stepped_order *o = order;
    int64_t from = item->words[0] - o->low, block = from % o->step / o->classes,
            tile = from / o->height;
    return (size_t)(block * o->tiles + tile);
}

/// Items of a stepped part are made class by class. A class's keys lie `step` rows apart, so each
/// is a page of its own and nothing is fetched ahead: classes whose keys lie side by side run
/// together, and the tiles of such a block one after the other, while its keys are still in cache.
/// Time per pair on a CPU driver (Mesa 26.1, strided:128 at 16k, head_dim 64) over dense's, on a
/// processor with 2 MiB of L2 cache: 1.25 to 1.3 with blocks of 4 KiB, 1.35 to 1.4 class by class,
/// 1.9 with all classes in one block. On one with 1 MiB, blocks of 2 KiB took 0.9 of the time of
/// those of 4 (the fastest of 11 runs; 0.85 at head_dim 128), and those of 1 KiB no less.
static bool items_by_block(struct builder *b) {
    // bytes from key to key; 0: one key
    int64_t low = INT64_MAX, high = 0, stride = (int64_t)b->input->tensors[TENSOR_K].row;
    for (size_t i = 0; i < b->item_count; i++) {
        low = least(low, b->room->items[i].words[0]);
        if (b->room->items[i].words[0] > high) high = b->room->items[i].words[0];
    }
    struct stepped_order order = { low, b->range.part->step,
                                   b->range.part->step * b->input->limits.tile_rows,
                                   stride && stride < BLOCK_BYTES ? BLOCK_BYTES / stride : 1, 0 };
    order.tiles = (high - low) / order.height + 1;
    // of the classes that there are
    size_t places = (size_t)((least(order.step - 1, high - low) / order.classes + 1) * order.tiles);
    return items_sort(b, places, stepped_place, &order);
}

static size_t target_place(const void *order, const struct waiting_item *item) {
    (void)order;
    return (item_does(item) & PM_FLAG_DIRECT) != 0;
}

/// Items that write partial results come before those that may resume some: no dispatch does both.
static bool items_by_target(struct builder *b) {
    size_t partial = 0;
    for (size_t i = 0; i < b->item_count; i++) partial += !target_place(NULL, &b->room->items[i]);
    return !partial || partial == b->item_count || items_sort(b, 2, target_place, NULL);
}

/// Writes items [first, end), of `chunks` chunks in all, in an order in which every stretch of them
/// costs about its share: from one end or the other, as the items so far cost more or less than the
/// mean. Lavapipe hands each thread one stretch, the grid cut in equal numbers of workgroups
/// (lp_cs_tpool), and under causal the later half of the rows is three quarters of the work; a GPU
/// is kept from beginning the longest items last. Neighbours stay near each other. Those of a
/// stepped part have their order (items_by_block) and keep it.
static void items_write(const struct builder *b, size_t first, size_t end, int64_t chunks,
                        uint32_t *to) {
    bool keep = b->range.part && b->range.part->step > 1;
    // what was written costs ahead / count chunks above the mean
    int64_t count = (int64_t)(end - first), ahead = 0;
    for (size_t low = first, high = end; low < high; to += 4) {
        int64_t front = b->room->items[low].chunks, back = b->room->items[high - 1].chunks;
        bool from_back = !keep && (ahead > 0 ? back < front : back > front);
        size_t i = from_back ? --high : low++;
        ahead += b->room->items[i].chunks * count - chunks;
        memcpy(to, b->room->items[i].words, sizeof b->room->items[i].words);
    }
}

bool builder_flush(struct builder *b) {
    if (!b->item_count) return true;
    if (b->range.part && b->range.part->step > 1 && !items_by_block(b)) return false;
    if (b->range.resumed && !items_by_target(b)) return false;
    uint32_t at = b->segment_used;
    uint32_t *to = builder_texels(b, b->item_count);
    if (!to) return false;
    // what one (batch, head) reaches in every window: asked once, for a million tokens have a
    // hundred thousand items
    const int64_t rows_most = builder_rows_most(b, 1), keys_most = key_span_most(b);
    uint64_t chunks_most = b->input->limits.dispatch_pairs / builder_chunk_pairs(b);
    for (size_t i = 0; i < b->item_count;) {
        struct item_info reach = item_reach(b, &b->room->items[i]);
        uint32_t does = item_does(&b->room->items[i]);
        size_t end = i + 1;
        for (; end < b->item_count && end - i < b->input->limits.max_workgroups_x; end++) {
            struct item_info next = item_reach(b, &b->room->items[end]),
                             more = joined(reach, &next);
            uint32_t also = item_does(&b->room->items[end]);
            if ((uint64_t)more.chunks > chunks_most ||
                (b->range.resumed && (does ^ also) & PM_FLAG_PARTIAL))
                break;
            if (more.row_last - more.row_first >= rows_most ||
                more.key_last - more.key_first > keys_most)
                break;
            reach = more;
            does |= also;
        }
        if (!builder_reserve(b, &b->spans, &b->span_capacity, b->span_count + 1, sizeof *b->spans))
            return false;
        b->spans[b->span_count++] =
            (struct span){ b->out->segment_count - 1,
                           at + (uint32_t)i,
                           (uint32_t)(end - i),
                           (uint32_t)(b->range.part ? b->range.part->step : 1),
                           b->bh_list,
                           does,
                           reach.chunks,
                           reach };
        items_write(b, i, end, reach.chunks, to + i * 4);
        i = end;
    }
    b->out->items += b->item_count;
    if (b->item_count > b->items_most) b->items_most = b->item_count;
    b->item_count = 0;
    return true;
}

/// Keys [c0, c0 + n) of a run as a run of its own; of a full run n is whole chunks, or less than
/// one. False: out of memory.
static bool run_take(struct tiler *t, const struct run *from, int64_t c0, int64_t n,
                     struct run *out) {
    *out = *from;
    out->first += from->source == RUN_LIST ? c0 : c0 * t->part->step;
    out->count = n;
    size_t rows = (size_t)t->tile_rows;
    if (from->kind == TULLE_RUN_BAND) {
        out->lo -= c0;
        out->hi -= c0;
    } else if (from->kind == TULLE_RUN_FULL && n % t->chunk) {  // a window ends within the chunk
        if (from->source == RUN_RANGE) {
            out->kind = TULLE_RUN_BAND;
            out->row_first = 0;
            out->row_last = t->rows - 1;
            out->lo = RUN_LOOSE_LO;
            out->hi = RUN_LOOSE_HI;
        } else {
            return run_all_bits(t, out, n);
        }
    } else if (from->kind == TULLE_RUN_BITS && c0 % 32 == 0) {
        out->bits += (size_t)(c0 / 32) * rows;
    } else if (from->kind == TULLE_RUN_BITS) {
        size_t words = (size_t)((n + 31) / 32), all = (size_t)((from->count + 31) / 32);
        out->bits = tile_bits(t, n);
        if (out->bits == SIZE_MAX) return false;
        for (size_t w = 0; w < words; w++)
            for (size_t r = 0; r < rows; r++) {
                size_t k = (size_t)c0 / 32 + w;
                uint64_t pair = t->bits[from->bits + k * rows + r];
                if (k + 1 < all) pair |= (uint64_t)t->bits[from->bits + (k + 1) * rows + r] << 32;
                t->bits[out->bits + w * rows + r] = (uint32_t)(pair >> (c0 % 32));
            }
    }
    return true;
}

/// Texels that these runs take with their bits, and with the list where it must be placed.
static uint64_t runs_texels(const struct builder *b, const struct tiler *t, const struct run *runs,
                            size_t count) {
    uint64_t texels = count;
    bool list = false;
    for (size_t i = 0; i < count; i++) {
        if (runs[i].kind == TULLE_RUN_BITS)
            texels += (uint64_t)((runs[i].count + 31) / 32) * (uint64_t)t->tile_rows / 4 + 1;
        list = list || runs[i].source == RUN_LIST;
    }
    if (list && !b->list_at) texels += (uint64_t)(t->part->list_count + 3) / 4;
    return texels;
}

/// Room for `needed` waiting items.
static bool reserve_items(struct builder *b, size_t needed) {
    return builder_reserve(b, &b->room->items, &b->room->item_capacity, needed,
                           sizeof *b->room->items);
}

static bool item_wait(struct builder *b, const struct item_info *info, uint32_t row, uint32_t runs,
                      uint32_t shape, uint32_t slot) {
    if (!reserve_items(b, b->item_count + 1)) return false;
    b->room->items[b->item_count++] =
        (struct waiting_item){ { row, runs, shape, slot },
                               (uint32_t)info->chunks,
                               (int32_t)least(info->key_first, INT32_MAX),
                               (int32_t)info->key_last };
    return true;
}

const uint32_t *builder_partials(const struct builder *b, const struct tile_table *table,
                                 int64_t offset, int64_t *in_tile) {
    // the `longer` classes come first
    int64_t in_class = offset / table->step, residue = offset - in_class * table->step,
            longer = table->longer;
    int64_t before = residue < longer ? residue * table->more
                                      : longer * table->more + (residue - longer) * table->less;
    *in_tile = in_class % table->tile_rows;
    return b->tables + table->first + 2 * (size_t)(before + in_class / table->tile_rows);
}

int builder_resumed(const struct builder *b, const struct tile_table *table, int64_t row,
                    int64_t rows, uint32_t *slots) {
    int found = 0;
    for (int64_t r = 0; r < rows; r++) {
        int64_t in_tile;
        const uint32_t *partials = builder_partials(b, table, row + r - b->range.first, &in_tile);
        if (partials[1] > 1) return -1;
        slots[r] = partials[1] ? partials[0] + (uint32_t)in_tile : PM_SLOT_NONE;
        found += partials[1] == 1;
    }
    return found;
}

/// One item: its runs go to the open segment (a new one where they do not fit), itself to the
/// waiting items. resumed: the slots that its rows resume; NULL: none.
static bool item_add(struct builder *b, const struct tiler *t, const struct run *runs, size_t count,
                     struct item_info info, uint32_t flags, uint32_t slot,
                     const uint32_t *resumed) {
    size_t resumed_texels = resumed ? ((size_t)t->rows + 3) / 4 : 0;
    uint64_t needed = runs_texels(b, t, runs, count) + resumed_texels;
    if (!builder_place_group(b)) return false;
    if (b->segment_used + b->item_count + 1 + needed > b->input->limits.segment_texels) {
        if (!builder_flush(b)) return false;
        if (!builder_segment(b) || !builder_place_group(b)) return false;
        needed = runs_texels(b, t, runs, count) + resumed_texels;  // the list must be placed again
        if (b->segment_used + 1 + needed > b->input->limits.segment_texels) {
            tulle_fail(
                b->error, TULLE_ERROR_UNSUPPORTED,
                "a work item needs %llu texels of plan memory, and a texel buffer of this device holds %u",
                (unsigned long long)needed, b->input->limits.segment_texels);
            return false;
        }
    }
    uint32_t at = 0;
    for (size_t i = 0; i < count; i++)
        if (runs[i].source == RUN_LIST && !b->list_at) {
            uint32_t word = b->segment_used * 4;
            if (!builder_words(b, t->part->list, (size_t)t->part->list_count)) return false;
            b->list_at = word;
        }
    // bits first: the runs of an item are contiguous. Neighbouring runs share what run_take shared.
    size_t bits_base = 0;
    for (size_t i = 0; i < count; i++)
        if (runs[i].kind == TULLE_RUN_BITS) {
            size_t words = (size_t)((runs[i].count + 31) / 32) * (size_t)t->tile_rows;
            if (!bits_base) bits_base = b->segment_used;
            if (!builder_words(b, t->bits + runs[i].bits, words)) return false;
        }
    if (resumed) {
        slot = b->segment_used * 4;
        flags |= PM_ITEM_RESUMES;
        if (!builder_words(b, resumed, (size_t)t->rows)) return false;
    }
    at = b->segment_used;
    uint32_t *to = builder_texels(b, count);
    if (!to && count) return false;
    uint64_t bits_at = (uint64_t)bits_base * 4;
    // full runs first: the rows family has a loop for them alone, and takes those that come later
    // with a predicate
    for (size_t n = 0, i = 0; n < 2 * count; n++, i = n % count) {
        const struct run *run = &runs[i];
        if ((run->kind == TULLE_RUN_FULL) != (n < count)) continue;
        uint32_t list = run->source == RUN_LIST ? PM_RUN_LIST : 0;
        to[0] = (uint32_t)run->first + (list ? b->list_at : 0);
        to[2] = to[3] = 0;
        if (run->kind == TULLE_RUN_FULL) {
            to[1] = PM_RUN_FULL << PM_RUN_KIND_SHIFT | list | (uint32_t)run->count;
        } else if (run->kind == TULLE_RUN_BAND) {
            to[1] = PM_RUN_BAND << PM_RUN_KIND_SHIFT | (uint32_t)run->count |
                    (uint32_t)run->row_first << PM_RUN_ROW_FIRST_SHIFT |
                    (uint32_t)run->row_last << PM_RUN_ROW_LAST_SHIFT;
            to[2] = (uint32_t)(int32_t)run->lo;
            to[3] = (uint32_t)(int32_t)run->hi;
        } else {
            to[1] = PM_RUN_BITS << PM_RUN_KIND_SHIFT | list | (uint32_t)run->count |
                    (uint32_t)(t->rows - 1) << PM_RUN_ROW_LAST_SHIFT;
            to[2] = (uint32_t)bits_at;
            bits_at += ((uint64_t)((run->count + 31) / 32) * (uint64_t)t->tile_rows + 3) / 4 * 4;
        }
        to += 4;
    }
    uint32_t shape = (uint32_t)count | (uint32_t)t->rows << PM_ITEM_ROWS_SHIFT | flags;
    return item_wait(b, &info, (uint32_t)t->row, at, shape, slot);
}

// -------------------------------------------------------------------------------------------------
// Tiles → items

/// Bytes of memory that a whole item may take, so that a few fit a segment.
static uint64_t item_texels_most(const struct builder *b) {
    uint64_t preamble = builder_preamble(b), all = b->input->limits.segment_texels;
    return all > preamble + 8 ? (all - preamble) / 2 : 1;
}

/// How many keys of the run, from c on, stand at positions up to `end`.
static int64_t keys_up_to(const struct tiler *t, const struct run *run, int64_t c, int64_t end) {
    if (run_key(t, run, c) > end) return 0;
    if (run->source == RUN_RANGE)
        return least((end - run_key(t, run, c)) / t->part->step + 1, run->count - c);
    int64_t low = c, high = run->count;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (run_key(t, run, middle) <= end) low = middle + 1;
        else high = middle;
    }
    return low - c;
}

/// One item's share of a tile's runs, cut from (run, c) on: at most `chunks` chunks, `span`
/// positions and `texels` of memory.
static bool cut_next(struct builder *b, struct tiler *t, size_t *run, int64_t *c, int64_t chunks,
                     int64_t span, uint64_t texels, struct cut *cut) {
    cut->count = 0;
    cut->info =
        (struct item_info){ 0, INT64_MAX, -1, t->row, t->row + (t->rows - 1) * t->part->step };
    while (*run < t->run_count && chunks > 0 && texels > 0 && cut->count < 60000) {
        const struct run *from = &t->runs[*run];
        int64_t left = from->count - *c, n = left;
        int64_t unit = t->chunk < 32 ? 32 : t->chunk;  // a cut at whole words of bits
        if ((n + t->chunk - 1) / t->chunk > chunks) {
            n = chunks * t->chunk / unit * unit;
            if (n == 0) n = unit;
        }
        if (from->kind == TULLE_RUN_BITS) {  // their words count
            int64_t room = texels > 2 ? (int64_t)(texels - 2) * 4 / t->tile_rows * 32 : 0;
            if (room < 32) {
                if (cut->count) break;
                room = 32;
            }
            n = least(n, room);
        }
        n = least(n, left);
        int64_t first = run_key(t, from, *c), low = least(first, cut->info.key_first);
        if (cut->info.key_last - low > span) break;
        n = least(n, keys_up_to(t, from, *c, low + span));
        if (n == 0) break;  // never at an item's first run
        if (from->kind == TULLE_RUN_FULL && n > t->chunk) n -= n % t->chunk;
        if (cut->count == cut->capacity &&
            !builder_reserve(b, &cut->runs, &cut->capacity, cut->count + 1, sizeof *cut->runs))
            return false;
        if (!run_take(t, from, *c, n, &cut->runs[cut->count])) {
            b->memory_fault = true;
            return false;
        }
        cut->count++;
        int64_t last = run_key(t, from, *c + n - 1), taken = (n + t->chunk - 1) / t->chunk;
        cut->info.key_first = low;
        if (last > cut->info.key_last) cut->info.key_last = last;
        cut->info.chunks += taken;
        chunks -= taken;
        uint64_t used =
            from->kind == TULLE_RUN_BITS ? (uint64_t)((n + 31) / 32 * t->tile_rows / 4 + 2) : 1;
        texels = texels > used ? texels - used : 0;
        *c += n;
        if (*c == from->count) {
            *c = 0;
            ++*run;
        }
    }
    return true;
}

/// Two words of a tile table. As long as no tile of the only part was split there is no table: its
/// tiles are only counted.
static bool table_add(struct builder *b, bool direct, uint32_t slot, uint32_t splits) {
    if (direct && !splits && !b->range.table_count) {
        b->range.table_waiting++;
        return true;
    }
    size_t needed = 2 * (b->range.table_waiting + 1);
    if (!builder_reserve(b, &b->tables, &b->table_capacity, b->range.table_count + needed,
                         sizeof *b->tables))
        return false;
    memset(b->tables + b->range.table_count, 0, b->range.table_waiting * 2 * sizeof *b->tables);
    b->range.table_count += needed;
    b->range.table_waiting = 0;
    b->tables[b->range.table_count - 2] = slot, b->tables[b->range.table_count - 1] = splits;
    return true;
}

/// The tile before moved by its own height: the same runs, as long as the keys do not end here.
static bool may_repeat(const struct emit *e, int64_t row, int32_t rows) {
    const struct builder *b = e->b;
    const struct tiler *t = e->t;
    int64_t by = row - e->previous_row;
    return e->repeatable && rows == e->previous_rows && by == rows * t->part->step &&
           e->previous_info.key_last + by < t->site->at.kv_len &&
           e->previous_segment == b->out->segment_count &&
           b->segment_used + b->item_count + 1 + e->previous_count <=
               b->input->limits.segment_texels;
}

static bool repeat(struct emit *e, int64_t row) {
    struct builder *b = e->b;
    uint32_t by = (uint32_t)(row - e->previous_row), needed = (uint32_t)e->previous_count,
             at = b->segment_used;
    uint32_t *to = builder_texels(b, needed);
    if (!to) return false;
    const uint32_t *from = to - (at - e->previous_runs) * 4;
    for (uint32_t i = 0; i < needed; i++) {
        to[4 * i] = from[4 * i] + by;
        to[4 * i + 1] = from[4 * i + 1], to[4 * i + 2] = from[4 * i + 2],
                   to[4 * i + 3] = from[4 * i + 3];
    }
    struct item_info *info = &e->previous_info;
    info->key_first += by, info->key_last += by, info->row_first += by, info->row_last += by;
    e->previous_row = row;
    e->previous_runs = at;
    return table_add(b, true, 0, 0) &&
           item_wait(b, info, (uint32_t)row, at,
                     needed | (uint32_t)e->previous_rows << PM_ITEM_ROWS_SHIFT | PM_ITEM_DIRECT, 0);
}

/// Room for `tiles` more like the tile before, at once: at a million tokens growing step by step
/// takes longer than planning.
static bool reserve_repeats(const struct emit *e, int64_t tiles) {
    struct builder *b = e->b;
    struct schedule *out = b->out;
    size_t n = (size_t)least(tiles, b->input->limits.segment_texels - b->segment_used);
    return reserve_items(b, b->item_count + n) &&
           builder_reserve(b, &out->words, &out->word_capacity,
                           out->word_count + n * (e->previous_count + 1) * 4, sizeof *out->words);
}

bool builder_tile(void *user, int64_t row, int32_t rows, int64_t index) {
    struct emit *e = user;
    struct builder *b = e->b;
    struct tiler *t = e->t;
    uint32_t resumed[PM_ITEM_ROWS_MASK];  // slots
    int found = 0;                        // of them
    if (may_repeat(e, row, rows)) return repeat(e, row);
    if (b->range.resumed) found = builder_resumed(b, b->range.resumed, row, rows, resumed);
    bool direct = b->input->limits.direct && (e->parts == 1 || (b->range.resumed && found >= 0));
    e->repeatable = false;
    if (!tile_runs(t, row, rows)) {
        b->memory_fault = true;
        return false;
    }
    int64_t chunks = tile_chunks(t), pieces = (chunks + b->item_limit - 1) / b->item_limit;
    // combine goes over all parts
    const int64_t all = b->input->limits.splits_most,
                  most = all ? (all > e->parts ? all / e->parts : 1) : 0;
    if (most && pieces > most) pieces = most;
    int64_t each = pieces > 1
                       ? least((chunks + pieces - 1) / pieces, b->input->limits.item_chunks_most)
                   : chunks ? chunks
                            : 1,
            span = key_span_most(b);
    uint64_t texels = item_texels_most(b), slot = b->range.slots + e->slots;
    uint32_t made = 0;
    size_t run = 0;
    int64_t c = 0;
    while (run < t->run_count || (direct && t->run_count == 0)) {
        struct cut *cut = e->cut;
        if (!cut_next(b, t, &run, &c, each, span, texels, cut)) return false;
        bool whole = direct && made == 0 && run >= t->run_count;  // it all fits one item
        if (!whole) made++;
        if (!e->dry && !item_add(b, t, cut->runs, cut->count, cut->info, whole ? PM_ITEM_DIRECT : 0,
                                 whole ? 0 : (uint32_t)slot + (made - 1) * (uint32_t)e->tile_rows,
                                 whole && found > 0 ? resumed : NULL))
            return false;
        if (!whole) continue;
        if (t->shiftable && cut->count && !e->dry && !b->range.resumed) {
            e->repeatable = true;
            e->previous_row = row, e->previous_rows = rows, e->previous_count = cut->count,
            e->previous_info = cut->info;
            e->previous_runs = b->room->items[b->item_count - 1].words[1];
            e->previous_segment = b->out->segment_count;
            if (!reserve_repeats(e, e->tiles - index - 1)) return false;
        }
        break;
    }
    if (most && made > 2 * most) {
        tulle_fail(
            b->error, TULLE_ERROR_UNSUPPORTED,
            "rows from %lld on select more keys than this device's kernels can merge (%u items, %lld at most)",
            (long long)row, made, 2 * (long long)most);
        return false;
    }
    e->slots += (uint64_t)made * (uint64_t)e->tile_rows;
    return table_add(b, direct, (uint32_t)slot, made);
}

bool builder_dead(struct builder *b, struct tiler *t, int64_t row, int32_t rows) {
    struct item_info info = { 0, INT64_MAX, -1, row, row + rows - 1 };
    t->row = row;
    t->rows = rows;
    return item_add(b, t, NULL, 0, info, PM_ITEM_DIRECT | PM_ITEM_DEAD, 0, NULL);
}
