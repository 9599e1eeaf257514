// SPDX-License-Identifier: MIT
#include "schedule.h"

#include <stdlib.h>
#include <string.h>

#include "../shaders/common/plan_memory.h"
#include "error.h"

struct item_info { int64_t chunks, key_first, key_last, row_first, row_last; };

/// Items that one dispatch takes, for any of the group's (batch, head).
struct span {
    uint32_t segment, items, item_count, step, bh_list;
    int64_t chunks;
    struct item_info reach;
};

/// Rows of one group between two cuts, with what combine needs.
struct range { int64_t first, end; bool dead; };

struct builder {
    const struct schedule_input *input;
    struct schedule *out;
    tulle_error *error;
    // the open segment
    bool segment_open;
    uint32_t segment_used;           ///< texels
    // the group at hand
    const struct group *group;
    bool group_placed;               ///< its bh list is in the open segment
    uint32_t bh_list;
    // the part at hand
    const struct part *part;
    uint32_t list_at;                ///< word offset of its list in the open segment; 0: not there
    // items that wait to be written behind the runs of their segment
    uint32_t *items;
    struct item_info *infos;
    size_t item_count, item_capacity;
    struct span *spans;
    size_t span_count, span_capacity;
    uint32_t *tables;                ///< two words a tile, of the parts of a range
    size_t table_count, table_capacity;
    int64_t item_limit;              ///< chunks
    uint64_t slots;                  ///< workspace rows of the range at hand
    uint64_t splits_most[2];         ///< partials of the most-split tile: of this part, summed over the range's parts
    bool memory_fault;
    // the wave at hand
    uint64_t wave_rows;
    bool wave_begins;                ///< the next dispatch that writes to the workspace must wait for combine
    struct dispatch *pending;        ///< combines of the wave
    uint32_t pending_count, pending_capacity;
};

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

static bool reserve(struct builder *b, void *array, size_t *capacity, size_t needed, size_t element) {
    void **at = array;
    if (needed <= *capacity) return true;
    size_t more = *capacity ? *capacity + *capacity / 2 : 64;
    if (more < needed) more = needed;
    void *grown = realloc(*at, more * element);
    if (!grown) { b->memory_fault = true; return false; }
    *at = grown;
    *capacity = more;
    return true;
}

static bool reserve32(struct builder *b, void *array, uint32_t *capacity, size_t needed, size_t element) {
    size_t wide = *capacity;
    bool fine = reserve(b, array, &wide, needed, element);
    *capacity = (uint32_t)wide;
    return fine;
}

// ---------------------------------------------------------------------------------------------------------------
// Segments

/// Room for `texels` more in the open segment's memory; the address of the first.
static uint32_t *texels_add(struct builder *b, size_t texels) {
    struct schedule *out = b->out;
    if (!reserve(b, &out->words, &out->word_capacity, out->word_count + texels * 4, sizeof *out->words)) return NULL;
    uint32_t *words = out->words + out->word_count;
    out->word_count += texels * 4;
    b->segment_used += (uint32_t)texels;
    out->segments[out->segment_count - 1].texels = b->segment_used;
    return words;
}

static uint32_t *words_add(struct builder *b, const void *from, size_t words) {
    size_t texels = (words + 3) / 4;
    uint32_t *to = texels_add(b, texels);
    if (!to) return NULL;
    if (from) memcpy(to, from, words * 4);
    memset(to + words, 0, (texels * 4 - words) * 4);
    return to;
}

static bool segment_begin(struct builder *b) {
    struct schedule *out = b->out;
    const struct schedule_input *in = b->input;
    size_t unit = (size_t)in->limits.segment_alignment * 4, rest = out->word_count % unit;
    if (rest) {
        size_t padding = unit - rest;
        if (!reserve(b, &out->words, &out->word_capacity, out->word_count + padding, sizeof *out->words)) return false;
        memset(out->words + out->word_count, 0, padding * 4);
        out->word_count += padding;
    }
    if (!reserve32(b, &out->segments, &out->segment_capacity, out->segment_count + 1, sizeof *out->segments)) return false;
    size_t start = out->word_count;
    out->segments[out->segment_count++] = (struct segment){ (uint32_t)(start / 4), 0 };
    b->segment_used = 0;
    b->segment_open = true;
    b->group_placed = false;
    b->list_at = 0;
    uint32_t slopes = 0, sinks = 0;
    if (!words_add(b, in->header, PM_HEADER_TEXELS * 4)) return false;
    if (in->slopes) {
        slopes = b->segment_used * 4;
        if (!words_add(b, in->slopes, in->heads)) return false;
    }
    if (in->sinks) {
        sinks = b->segment_used * 4;
        if (!words_add(b, in->sinks, in->heads)) return false;
    }
    out->words[start + PM_HEADER_V * 4 + 3] = slopes;
    out->words[start + PM_HEADER_O * 4 + 3] = sinks;
    return true;
}

/// Texels that a segment holds before any item of the group.
static uint64_t segment_preamble(const struct builder *b) {
    uint64_t per_head = (b->input->heads + 3) / 4;
    return PM_HEADER_TEXELS + (b->input->slopes ? per_head : 0) + (b->input->sinks ? per_head : 0) + (b->group->bh_count + 3) / 4;
}

static bool group_place(struct builder *b) {
    if (!b->segment_open && !segment_begin(b)) return false;
    if (b->group_placed) return true;
    b->bh_list = b->segment_used * 4;
    b->group_placed = words_add(b, b->group->bh, b->group->bh_count) != NULL;
    return b->group_placed;
}

// ---------------------------------------------------------------------------------------------------------------
// Items

static bool windowed(const struct builder *b) {
    for (int i = 0; i < TENSOR_COUNT; i++)
        if (b->input->tensors[i].windowed) return true;
    return false;
}

static struct item_info joined(struct item_info a, const struct item_info *b) {
    a.chunks += b->chunks;
    if (b->key_first < a.key_first) a.key_first = b->key_first;
    if (b->key_last > a.key_last) a.key_last = b->key_last;
    if (b->row_first < a.row_first) a.row_first = b->row_first;
    if (b->row_last > a.row_last) a.row_last = b->row_last;
    return a;
}

/// Lowest and one past the highest byte of tensor t that the rows or keys of `reach` touch, for entries [first, end) of the bh list.
static void bytes_touched(const struct builder *b, int t, const struct item_info *reach, uint32_t first, uint32_t end, uint64_t *low, uint64_t *high) {
    const struct tensor_shape *shape = &b->input->tensors[t];
    bool keys = t == TENSOR_K || t == TENSOR_V;
    int64_t from = keys ? reach->key_first : reach->row_first, to = keys ? reach->key_last : reach->row_last;
    if (from > to) from = to = 0;
    *low = UINT64_MAX;
    *high = 0;
    for (uint32_t i = first; i < end; i++) {
        uint64_t batch = b->group->bh[i] / b->input->heads, head = b->group->bh[i] % b->input->heads;
        if (keys) head = head * b->input->kv_heads / b->input->heads;
        uint64_t base = batch * shape->batch + head * shape->head;
        uint64_t x = base + (uint64_t)from * shape->row, y = base + (uint64_t)to * shape->row + shape->row_bytes;
        if (x < *low) *low = x;
        if (y > *high) *high = y;
    }
}

static bool fits_windows(const struct builder *b, const struct item_info *reach, uint32_t first, uint32_t end) {
    for (int t = 0; t < TENSOR_COUNT; t++) {
        uint64_t low, high;
        if (!b->input->tensors[t].windowed) continue;
        bytes_touched(b, t, reach, first, end, &low, &high);
        if (high - low > b->input->limits.window_bytes) return false;
    }
    return true;
}

/// Pairs that one chunk of an item visits.
static uint64_t chunk_pairs(const struct builder *b) { return (uint64_t)b->input->limits.tile_rows * (uint64_t)b->input->limits.chunk; }

/// Writes the waiting items behind their runs and cuts them into spans.
static bool items_flush(struct builder *b) {
    if (!b->item_count) return true;
    uint32_t at = b->segment_used;
    uint32_t *to = texels_add(b, b->item_count);
    if (!to) return false;
    memcpy(to, b->items, b->item_count * 16);
    bool windows = windowed(b);
    uint64_t chunks_most = b->input->limits.dispatch_pairs / chunk_pairs(b);
    for (size_t i = 0; i < b->item_count;) {
        struct item_info reach = b->infos[i];
        size_t end = i + 1;
        for (; end < b->item_count && end - i < b->input->limits.max_workgroups_x; end++) {
            struct item_info more = joined(reach, &b->infos[end]);
            if ((uint64_t)more.chunks > chunks_most) break;
            if (windows && !fits_windows(b, &more, 0, 1)) break;
            reach = more;
        }
        if (!reserve(b, &b->spans, &b->span_capacity, b->span_count + 1, sizeof *b->spans)) return false;
        b->spans[b->span_count++] = (struct span){ b->out->segment_count - 1, at + (uint32_t)i, (uint32_t)(end - i),
                                                   (uint32_t)(b->part ? b->part->step : 1), b->bh_list, reach.chunks, reach };
        i = end;
    }
    b->out->items += b->item_count;
    b->item_count = 0;
    return true;
}

/// Keys [c0, c0 + n) of a run as a run of its own. c0 is a multiple of 32 except where a window forces it.
static bool run_take(struct tiler *t, const struct run *from, int64_t c0, int64_t n, struct run *out) {
    *out = *from;
    out->first += from->source == RUN_LIST ? c0 : c0 * t->part->step;
    out->count = n;
    if (from->kind == TULLE_RUN_BAND) {
        out->lo -= c0;
        out->hi -= c0;
    } else if (from->kind == TULLE_RUN_FULL && n % t->chunk) {
        if (from->source == RUN_LIST || n > 32736) return false;   // callers cut lists and long runs at whole chunks
        out->kind = TULLE_RUN_BAND;
        out->row_first = 0;
        out->row_last = t->rows - 1;
        out->lo = -INT32_MAX / 2;
        out->hi = INT32_MAX / 2;
    } else if (from->kind == TULLE_RUN_BITS && c0) {
        size_t rows = (size_t)t->tile_rows, words = (size_t)((n + 31) / 32), all = (size_t)((from->count + 31) / 32);
        if (c0 % 32 == 0) { out->bits += (size_t)(c0 / 32) * rows; return true; }
        if (t->bit_words + words * rows > t->bits_capacity) {
            size_t more = t->bits_capacity * 2 + words * rows;
            uint32_t *grown = realloc(t->bits, more * sizeof *grown);
            if (!grown) { t->out_of_memory = true; return false; }
            t->bits = grown;
            t->bits_capacity = more;
        }
        out->bits = t->bit_words;
        t->bit_words += words * rows;
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

static int64_t run_key(const struct tiler *t, const struct run *run, int64_t c) {
    return run->source == RUN_LIST ? t->part->list[run->first + c] : run->first + c * t->part->step;
}

/// Texels that these runs take with their bits, and with the list where it must be placed.
static uint64_t runs_texels(const struct builder *b, const struct tiler *t, const struct run *runs, size_t count) {
    uint64_t texels = count;
    bool list = false;
    for (size_t i = 0; i < count; i++) {
        if (runs[i].kind == TULLE_RUN_BITS) texels += (uint64_t)((runs[i].count + 31) / 32) * (uint64_t)t->tile_rows / 4 + 1;
        list = list || runs[i].source == RUN_LIST;
    }
    if (list && !b->list_at) texels += (uint64_t)(t->part->list_count + 3) / 4;
    return texels;
}

static bool add_info(struct builder *b, const struct item_info *info, uint32_t row, uint32_t runs, uint32_t shape, uint32_t slot) {
    if (b->item_count == b->item_capacity) {
        size_t capacity = b->item_capacity;
        if (!reserve(b, &b->infos, &capacity, b->item_count + 1, sizeof *b->infos)) return false;
        capacity = b->item_capacity;
        if (!reserve(b, &b->items, &capacity, b->item_count + 1, 16)) return false;
        b->item_capacity = capacity;
    }
    uint32_t *item = b->items + b->item_count * 4;
    item[0] = row, item[1] = runs, item[2] = shape, item[3] = slot;
    b->infos[b->item_count++] = *info;
    return true;
}

/// One item: its runs go to the open segment (a new one where they do not fit), itself to the waiting items.
static bool item_add(struct builder *b, const struct tiler *t, const struct run *runs, size_t count, struct item_info info, uint32_t flags,
                     uint32_t slot) {
    uint64_t needed = runs_texels(b, t, runs, count);
    if (!group_place(b)) return false;
    if (b->segment_used + b->item_count + 1 + needed > b->input->limits.segment_texels) {
        if (!items_flush(b)) return false;
        if (!segment_begin(b) || !group_place(b)) return false;
    }
    uint32_t at = 0;
    for (size_t i = 0; i < count; i++)
        if (runs[i].source == RUN_LIST && !b->list_at) {
            uint32_t word = b->segment_used * 4;
            if (!words_add(b, t->part->list, (size_t)t->part->list_count)) return false;
            b->list_at = word;
        }
    // bits first: the runs of an item are contiguous. Neighbouring runs share what run_take shared.
    size_t bits_base = 0;
    for (size_t i = 0; i < count; i++)
        if (runs[i].kind == TULLE_RUN_BITS) {
            size_t words = (size_t)((runs[i].count + 31) / 32) * (size_t)t->tile_rows;
            if (!bits_base) bits_base = b->segment_used;
            if (!words_add(b, t->bits + runs[i].bits, words)) return false;
        }
    at = b->segment_used;
    uint32_t *to = texels_add(b, count);
    if (!to && count) return false;
    uint64_t bits_at = (uint64_t)bits_base * 4;
    for (size_t i = 0; i < count; i++, to += 4) {
        const struct run *run = &runs[i];
        uint32_t list = run->source == RUN_LIST ? PM_RUN_LIST : 0;
        to[0] = (uint32_t)run->first + (list ? b->list_at : 0);
        to[2] = to[3] = 0;
        if (run->kind == TULLE_RUN_FULL) {
            to[1] = PM_RUN_FULL << PM_RUN_KIND_SHIFT | list | (uint32_t)run->count;
        } else if (run->kind == TULLE_RUN_BAND) {
            to[1] = PM_RUN_BAND << PM_RUN_KIND_SHIFT | (uint32_t)run->count | (uint32_t)run->row_first << PM_RUN_ROW_FIRST_SHIFT |
                    (uint32_t)run->row_last << PM_RUN_ROW_LAST_SHIFT;
            to[2] = (uint32_t)(int32_t)run->lo;
            to[3] = (uint32_t)(int32_t)run->hi;
        } else {
            to[1] = PM_RUN_BITS << PM_RUN_KIND_SHIFT | list | (uint32_t)run->count | (uint32_t)(t->rows - 1) << PM_RUN_ROW_LAST_SHIFT;
            to[2] = (uint32_t)bits_at;
            bits_at += ((uint64_t)((run->count + 31) / 32) * (uint64_t)t->tile_rows + 3) / 4 * 4;
        }
    }
    uint32_t shape = (uint32_t)count | (uint32_t)t->rows << PM_ITEM_ROWS_SHIFT | flags;
    return add_info(b, &info, (uint32_t)t->row, at, shape, slot);
}

// ---------------------------------------------------------------------------------------------------------------
// Tiles → items

/// Bytes of memory that a whole item may take, so that a few fit a segment.
static uint64_t item_texels_most(const struct builder *b) {
    uint64_t preamble = segment_preamble(b), all = b->input->limits.segment_texels;
    return all > preamble + 8 ? (all - preamble) / 2 : 1;
}

/// How many positions apart the first and last key of an item may be.
static int64_t key_span_most(const struct builder *b) {
    int64_t span = INT64_MAX / 8;
    for (int i = TENSOR_K; i <= TENSOR_V; i++) {
        const struct tensor_shape *shape = &b->input->tensors[i];
        if (shape->windowed && shape->row) {
            int64_t keys = (int64_t)((b->input->limits.window_bytes - shape->row_bytes) / shape->row);
            if (keys < span) span = keys;
        }
    }
    return span;
}

/// One item's share of a tile's runs, cut from (run, c) on: at most `chunks` chunks, `span` positions and `texels` of memory.
struct cut { struct run *runs; size_t count, capacity; struct item_info info; };

static bool cut_next(struct builder *b, struct tiler *t, size_t *run, int64_t *c, int64_t chunks, int64_t span, uint64_t texels, struct cut *cut) {
    cut->count = 0;
    cut->info = (struct item_info){ 0, INT64_MAX, -1, t->row, t->row + (t->rows - 1) * t->part->step };
    while (*run < t->run_count && chunks > 0 && cut->count < 60000) {
        const struct run *from = &t->runs[*run];
        int64_t left = from->count - *c, n = left;
        int64_t unit = t->chunk < 32 ? 32 : t->chunk;
        if ((n + t->chunk - 1) / t->chunk > chunks) {
            n = chunks * t->chunk / unit * unit;
            if (n == 0) n = unit;
        }
        if (n > left) n = left;
        if (from->kind == TULLE_RUN_BITS) {   // their words count
            int64_t room = ((int64_t)texels - 2) * 4 / t->tile_rows * 32;
            if (room < 32) { if (cut->count) break; room = 32; }
            if (n > room) n = room;
        }
        int64_t first = run_key(t, from, *c), low = first < cut->info.key_first ? first : cut->info.key_first;
        while (n > 0) {
            int64_t last = run_key(t, from, *c + n - 1), high = last > cut->info.key_last ? last : cut->info.key_last;
            if (high - low <= span) break;
            // whole chunks as long as possible, then halves; a list's cut stays at whole chunks
            if (n > t->chunk) n = (n / 2 + t->chunk - 1) / t->chunk * t->chunk < n ? (n / 2 + t->chunk - 1) / t->chunk * t->chunk : n - t->chunk;
            else n = from->source == RUN_LIST ? 0 : n / 2;
        }
        if (n == 0) {
            if (cut->count) break;
            tulle_fail(b->error, TULLE_ERROR_UNSUPPORTED, "keys of one chunk lie further apart than a binding of %llu bytes reaches",
                       (unsigned long long)b->input->limits.window_bytes);
            return false;
        }
        if (cut->count == cut->capacity && !reserve(b, &cut->runs, &cut->capacity, cut->count + 1, sizeof *cut->runs)) return false;
        if (!run_take(t, from, *c, n, &cut->runs[cut->count])) { b->memory_fault = true; return false; }
        cut->count++;
        int64_t last = run_key(t, from, *c + n - 1);
        cut->info.key_first = low;
        if (last > cut->info.key_last) cut->info.key_last = last;
        int64_t taken = (n + t->chunk - 1) / t->chunk;
        cut->info.chunks += taken;
        chunks -= taken;
        uint64_t used = from->kind == TULLE_RUN_BITS ? (uint64_t)((n + 31) / 32 * t->tile_rows / 4 + 2) : 1;
        texels = texels > used ? texels - used : 0;
        *c += n;
        if (*c == from->count) { *c = 0; ++*run; }
        if (!texels) break;
    }
    return true;
}

struct emit {
    struct builder *b;
    struct tiler *t;
    struct cut *cut;
    bool alone;              ///< one part: rows that are not split may be direct
    int32_t tile_rows;       ///< of this range's tiles: a whole tile's, or what the range or a window leaves of it
    int64_t span;
    uint64_t texels;
    // the tile before, for repeating it
    int64_t previous_row;
    int32_t previous_rows;
    uint32_t previous_runs, previous_segment;
    size_t previous_count;
    struct item_info previous_info;
    bool repeatable;
};

static bool emit_tile(void *user, int64_t row, int32_t rows, int64_t index) {
    struct emit *e = user;
    struct builder *b = e->b;
    struct tiler *t = e->t;
    bool direct = b->input->limits.direct && e->alone;
    const struct site *site = t->site;
    if (e->repeatable && rows == e->previous_rows && row == e->previous_row + rows * t->part->step && direct) {
        // The tile before moved by its own height: the same runs as long as the keys do not end here.
        int64_t by = row - e->previous_row;
        uint32_t needed = (uint32_t)e->previous_count;
        if (e->previous_info.key_last + by < site->at.kv_len && e->previous_segment == b->out->segment_count &&
            b->segment_used + b->item_count + 1 + needed <= b->input->limits.segment_texels) {
            uint32_t at = b->segment_used;
            uint32_t *to = texels_add(b, needed);
            if (!to) return false;
            const uint32_t *from = to - (at - e->previous_runs) * 4;
            for (uint32_t i = 0; i < needed; i++) {
                to[4 * i] = from[4 * i] + (uint32_t)by;
                to[4 * i + 1] = from[4 * i + 1], to[4 * i + 2] = from[4 * i + 2], to[4 * i + 3] = from[4 * i + 3];
            }
            struct item_info *info = &e->previous_info;
            info->key_first += by, info->key_last += by, info->row_first += by, info->row_last += by;
            e->previous_row = row;
            e->previous_runs = at;
            if (!reserve(b, &b->tables, &b->table_capacity, b->table_count + 2, sizeof *b->tables)) return false;
            b->tables[b->table_count++] = 0, b->tables[b->table_count++] = 0;
            return add_info(b, info, (uint32_t)row, at, needed | (uint32_t)rows << PM_ITEM_ROWS_SHIFT | PM_ITEM_DIRECT, 0);
        }
    }
    (void)index;
    e->repeatable = false;
    if (!tile_runs(t, row, rows)) { b->memory_fault = true; return false; }
    int64_t chunks = tile_chunks(t);
    int64_t pieces = (chunks + b->item_limit - 1) / b->item_limit;
    if (pieces < 1) pieces = 1;
    int64_t each = (chunks + pieces - 1) / pieces;
    uint32_t slot = (uint32_t)b->slots, made = 0;
    size_t run = 0;
    int64_t c = 0;
    if (chunks || direct) {
        // does it all fit one item?
        struct cut *cut = e->cut;
        do {
            if (!cut_next(b, t, &run, &c, each ? each : 1, e->span, e->texels, cut)) return false;
            bool whole = made == 0 && run >= t->run_count;
            uint32_t flags = direct && whole ? PM_ITEM_DIRECT : 0;
            if (!item_add(b, t, cut->runs, cut->count, cut->info, flags, flags ? 0 : slot + made * (uint32_t)e->tile_rows)) return false;
            if (flags && t->shiftable && cut->count) {
                e->repeatable = true;
                e->previous_row = row, e->previous_rows = rows, e->previous_count = cut->count, e->previous_info = cut->info;
                e->previous_runs = b->items[(b->item_count - 1) * 4 + 1];
                e->previous_segment = b->out->segment_count;
            }
            if (!flags) made++;
        } while (run < t->run_count);
    }
    b->slots += (uint64_t)made * (uint64_t)e->tile_rows;
    if (made > b->splits_most[0]) b->splits_most[0] = made;
    if (!reserve(b, &b->tables, &b->table_capacity, b->table_count + 2, sizeof *b->tables)) return false;
    b->tables[b->table_count++] = slot, b->tables[b->table_count++] = made;
    return true;
}

// ---------------------------------------------------------------------------------------------------------------
// Ranges of rows, waves

static bool dispatch_add(struct builder *b, const struct dispatch *dispatch) {
    struct schedule *out = b->out;
    if (!reserve32(b, &out->dispatches, &out->dispatch_capacity, out->dispatch_count + 1, sizeof *out->dispatches)) return false;
    out->dispatches[out->dispatch_count++] = *dispatch;
    out->visited += dispatch->visited;
    return true;
}

static void set_windows(const struct builder *b, struct dispatch *dispatch, const struct item_info *reach) {
    for (int t = 0; t < TENSOR_COUNT; t++) {
        uint64_t high;
        dispatch->window[t] = 0;
        if (b->input->tensors[t].windowed)
            bytes_touched(b, t, reach, dispatch->bh_first, dispatch->bh_first + dispatch->bh_count, &dispatch->window[t], &high);
    }
}

/// Dispatches `plan` (a template) over entries [first, end) of the bh list, as many at a time as limits allow.
static bool dispatch_over(struct builder *b, struct dispatch plan, const struct item_info *reach, uint64_t pairs, uint32_t first, uint32_t end,
                          bool pending) {
    bool windows = windowed(b);
    while (first < end) {
        uint32_t count = (uint32_t)least(end - first, b->input->limits.max_workgroups_y);
        if (pairs) count = (uint32_t)least(count, b->input->limits.dispatch_pairs / pairs ? b->input->limits.dispatch_pairs / pairs : 1);
        while (windows && count > 1 && !fits_windows(b, reach, first, first + count)) count /= 2;
        plan.bh_first = first;
        plan.bh_count = count;
        plan.visited = pairs * count;
        set_windows(b, &plan, reach);
        if (pending) {
            if (!reserve32(b, &b->pending, &b->pending_capacity, b->pending_count + 1, sizeof *b->pending)) return false;
            b->pending[b->pending_count++] = plan;
        } else {
            if (!dispatch_add(b, &plan)) return false;
        }
        plan.barrier_before = false;
        first += count;
    }
    return true;
}

/// Ends a wave: combine what it left in the workspace.
static bool wave_flush(struct builder *b) {
    if (!b->pending_count) return true;
    b->pending[0].barrier_before = true;
    for (uint32_t i = 0; i < b->pending_count; i++)
        if (!dispatch_add(b, &b->pending[i])) return false;
    b->pending_count = 0;
    b->wave_rows = 0;
    b->wave_begins = true;
    return true;
}

struct mark { size_t words, spans, items; uint32_t segments, dispatches, pending, used; bool open, placed; uint32_t bh_list, list_at; uint64_t count; };

static struct mark mark_set(const struct builder *b) {
    return (struct mark){ b->out->word_count, b->span_count, b->item_count, b->out->segment_count, b->out->dispatch_count, b->pending_count,
                          b->segment_used, b->segment_open, b->group_placed, b->bh_list, b->list_at, b->out->items };
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

#define COMBINE_ROWS 32   // of one combine item: its workgroup shares them out over lanes

/// Rows of a tile at this step in a range of `range_rows`: fewer than the variant's where the range has no more, or
/// where a window of Q or O does not reach over all of them.
static int32_t rows_within(const struct builder *b, int64_t step, int64_t range_rows) {
    int64_t rows = (int64_t)least((uint64_t)b->input->limits.tile_rows, (uint64_t)ceil_div(range_rows, step));
    for (int i = 0; i < TENSOR_COUNT; i++) {
        const struct tensor_shape *shape = &b->input->tensors[i];
        if (i == TENSOR_K || i == TENSOR_V || !shape->windowed || !shape->row) continue;
        int64_t most = (int64_t)((b->input->limits.window_bytes - shape->row_bytes) / ((uint64_t)step * shape->row)) + 1;
        if (most < rows) rows = most < 1 ? 1 : most;
    }
    return (int32_t)rows;
}

/// Items and combine items of rows [first, end) of the group; cut in two where partial results do not fit the
/// workspace, or combine's tables a segment.
static tulle_result range_build(struct builder *b, struct tiler *t, struct cut *cut, struct part *parts, uint32_t part_count, int64_t first,
                                int64_t end, bool dead) {
    struct schedule *out = b->out;
    const struct schedule_limits *limits = &b->input->limits;
    struct mark mark = mark_set(b);
    int64_t rows = end - first;
    b->span_count = 0;
    b->table_count = 0;
    b->slots = 0;
    b->splits_most[1] = 0;
    bool direct = limits->direct && part_count <= 1;
    bool merges = !direct;   // does anything go through combine?
    uint64_t tiles = 0, combine_items = (uint64_t)rows / COMBINE_ROWS + 1;
    if (!dead)
        for (uint32_t k = 0; k < part_count; k++) tiles += (uint64_t)tiles_count(parts[k].step, rows, rows_within(b, parts[k].step, rows));
    struct { uint32_t first, tile_rows; } table[64];
    bool too_large = false;
    struct part none = { .step = 1 };
    if (part_count > 64) return tulle_fail(b->error, TULLE_ERROR_UNSUPPORTED, "a pattern of more than 64 different steps");
    if (dead) {
        // rows that do not exist: items without runs, or combine items without parts
        b->part = NULL;
        if (direct) {
            for (int64_t row = first; row < end; row += limits->tile_rows) {
                t->part = &none;
                t->row = row;
                t->rows = (int32_t)(end - row < limits->tile_rows ? end - row : limits->tile_rows);
                struct item_info info = { 0, INT64_MAX, -1, row, row + t->rows - 1 };
                if (!item_add(b, t, NULL, 0, info, PM_ITEM_DIRECT | PM_ITEM_DEAD, 0)) goto fault;
            }
            if (!items_flush(b)) goto fault;
        }
    } else {
        for (uint32_t k = 0; k < part_count; k++) {
            int32_t tile_rows = rows_within(b, parts[k].step, rows);
            struct emit e = { .b = b, .t = t, .cut = cut, .alone = part_count == 1, .tile_rows = tile_rows, .span = key_span_most(b),
                              .texels = item_texels_most(b) };
            t->part = b->part = &parts[k];
            b->list_at = 0;
            b->splits_most[0] = 0;
            table[k].first = (uint32_t)b->table_count;
            table[k].tile_rows = (uint32_t)tile_rows;
            if (!tiles_each(parts[k].step, first, end, tile_rows, emit_tile, &e) || !items_flush(b)) goto fault;
            b->splits_most[1] += b->splits_most[0];
        }
        if (b->slots) merges = true;
        uint64_t whole = b->splits_most[1] * (uint64_t)limits->tile_rows;   // a range of one tile needs no more
        if (whole > out->workspace_rows_least) out->workspace_rows_least = whole;
        uint64_t per_tile = ((uint64_t)limits->tile_rows + COMBINE_ROWS - 1) / COMBINE_ROWS;
        combine_items = !direct ? (uint64_t)rows / COMBINE_ROWS + 1 : parts[0].step == 1 ? tiles * per_tile : (uint64_t)rows;
        uint64_t tables = merges ? tiles / 2 + 64 + combine_items + 2 + segment_preamble(b) : 0;
        too_large = b->slots > limits->workspace_rows || tables > limits->segment_texels;
    }
    if (too_large) {
        if (rows <= limits->tile_rows)
            return tulle_fail(b->error, TULLE_ERROR_WORKSPACE_LIMIT, "workspace");   // the plan words it, in bytes
        mark_return(b, &mark);
        int64_t half = first + ceil_div(ceil_div(rows, 2), limits->tile_rows) * limits->tile_rows;
        tulle_result result = range_build(b, t, cut, parts, part_count, first, half, dead);
        return result ? result : range_build(b, t, cut, parts, part_count, half, end, dead);
    }
    struct dispatch combine = { .kind = DISPATCH_COMBINE };
    if (merges) {
        // the tile tables, the part table and the combine items, all in one segment
        uint64_t needed = (b->table_count + 3) / 4 + part_count + combine_items + 2;
        if (!group_place(b)) goto fault;
        if (b->segment_used + needed > limits->segment_texels && (!segment_begin(b) || !group_place(b))) goto fault;
        uint32_t tables = b->segment_used * 4;
        if (!words_add(b, b->tables, b->table_count)) goto fault;
        combine.parts = b->segment_used;
        combine.part_count = dead ? 0 : part_count;
        uint32_t *to = combine.part_count ? texels_add(b, part_count) : NULL;
        if (combine.part_count && !to) goto fault;
        for (uint32_t k = 0; k < combine.part_count; k++, to += 4)
            to[0] = (uint32_t)parts[k].step, to[1] = table[k].tile_rows, to[2] = tables + table[k].first, to[3] = 0;
        combine.items = b->segment_used;
        combine.range_first = (uint32_t)first;
        combine.range_rows = (uint32_t)rows;
        // Where rows were written directly combine must pass them by: only tiles of the one part that were split.
        if (direct) {
            uint32_t tile = 0;
            for (int64_t row = first; row < end; tile++) {
                int64_t next = row + table[0].tile_rows;   // direct: one part; of a stepped part every row is asked
                bool split = parts[0].step != 1 || b->tables[2 * tile + 1] > 0;
                if (parts[0].step != 1) next = row + 1;
                if (next > end) next = end;
                if (parts[0].step != 1) {
                    int64_t u = row - first, a = u % parts[0].step, q = rows / parts[0].step, rem = rows % parts[0].step;
                    int64_t t1 = ceil_div(q + 1, table[0].tile_rows), t0 = ceil_div(q, table[0].tile_rows);
                    int64_t index = (a < rem ? a * t1 : rem * t1 + (a - rem) * t0) + u / parts[0].step / table[0].tile_rows;
                    split = b->tables[2 * index + 1] > 0;
                }
                for (int64_t at = row; split && at < next; at += COMBINE_ROWS) {
                    uint32_t *item = texels_add(b, 1);
                    if (!item) goto fault;
                    item[0] = (uint32_t)at, item[1] = (uint32_t)(next - at < COMBINE_ROWS ? next - at : COMBINE_ROWS), item[2] = item[3] = 0;
                    combine.item_count++;
                }
                row = next;
            }
        } else {
            for (int64_t at = first; at < end; at += COMBINE_ROWS) {
                uint32_t *item = texels_add(b, 1);
                if (!item) goto fault;
                item[0] = (uint32_t)at, item[1] = (uint32_t)(end - at < COMBINE_ROWS ? end - at : COMBINE_ROWS);
                item[2] = dead, item[3] = 0;
                combine.item_count++;
            }
        }
        combine.segment = out->segment_count - 1;
        combine.bh_list = b->bh_list;
    }
    // Dispatch it over the group, as many entries at a time as the workspace holds.
    for (uint32_t bh = 0; bh < b->group->bh_count;) {
        uint32_t count = b->group->bh_count - bh;
        if (b->slots) {
            uint64_t room = (limits->workspace_rows - b->wave_rows) / b->slots;
            if (room < count && b->wave_rows) {
                if (!wave_flush(b)) goto fault;
                room = limits->workspace_rows / b->slots;
            }
            count = (uint32_t)least(count, room);
        }
        uint32_t base = (uint32_t)b->wave_rows - bh * (uint32_t)b->slots;   // modulo 2³²: entry y adds y · ws_rows
        for (size_t s = 0; s < b->span_count; s++) {
            const struct span *span = &b->spans[s];
            struct dispatch attention = {
                .kind = DISPATCH_ATTENTION, .segment = span->segment, .items = span->items, .item_count = span->item_count, .step = span->step,
                .q_offset = (int32_t)b->group->site.q_offset, .bh_list = span->bh_list, .ws_row_base = base, .ws_rows = (uint32_t)b->slots,
                .barrier_before = b->wave_begins && b->slots };
            if (attention.barrier_before) b->wave_begins = false;
            if (!dispatch_over(b, attention, &span->reach, (uint64_t)span->chunks * chunk_pairs(b), bh, bh + count, false)) goto fault;
        }
        if (combine.item_count) {
            combine.ws_row_base = base;
            combine.ws_rows = (uint32_t)b->slots;
            uint32_t total = combine.item_count, from = combine.items;
            for (uint32_t done = 0; done < total; done += limits->max_workgroups_x) {
                combine.items = from + done;
                combine.item_count = (uint32_t)least(total - done, limits->max_workgroups_x);
                const uint32_t *words = out->words + ((size_t)out->segments[combine.segment].first_texel + combine.items) * 4;
                const uint32_t *last = words + (size_t)(combine.item_count - 1) * 4;
                struct item_info reach = { 0, 0, 0, words[0], (int64_t)last[0] + last[1] - 1 };
                if (windowed(b) && !fits_windows(b, &reach, bh, bh + 1)) {
                    // combine's own windows: halve until they fit
                    while (combine.item_count > 1 && !fits_windows(b, &reach, bh, bh + 1)) {
                        combine.item_count /= 2;
                        last = words + (size_t)(combine.item_count - 1) * 4;
                        reach.row_last = (int64_t)last[0] + last[1] - 1;
                    }
                    for (uint32_t i = 0, n = combine.item_count; i < total - done; i += n) {
                        combine.items = from + done + i;
                        combine.item_count = (uint32_t)least(n, total - done - i);
                        words = out->words + ((size_t)out->segments[combine.segment].first_texel + combine.items) * 4;
                        last = words + (size_t)(combine.item_count - 1) * 4;
                        reach.row_first = words[0], reach.row_last = (int64_t)last[0] + last[1] - 1;
                        if (!dispatch_over(b, combine, &reach, 0, bh, bh + count, true)) goto fault;
                    }
                    break;
                }
                if (!dispatch_over(b, combine, &reach, 0, bh, bh + count, true)) goto fault;
            }
            combine.items = from;
            combine.item_count = total;
            b->wave_rows += b->slots * count;
            if (b->wave_rows > out->workspace_rows) out->workspace_rows = b->wave_rows;
        }
        bh += count;
    }
    return TULLE_OK;
fault:
    if (b->memory_fault) return tulle_fail(b->error, TULLE_ERROR_OUT_OF_HOST_MEMORY, "no host memory for the schedule");
    return b->error->result;   // set by what failed
}

struct survey { struct tiler *tiler; int64_t every, chunks, taken; };

static bool survey_tile(void *user, int64_t row, int32_t rows, int64_t index) {
    struct survey *s = user;
    if (index % s->every) return true;
    if (!tile_runs(s->tiler, row, rows)) return false;
    s->chunks += tile_chunks(s->tiler);
    s->taken++;
    return true;
}

/// How many chunks an item may take: as many as give every part of the device something to do, never so few that
/// ordinary tiles are split, and no more than a dispatch or the driver's loops allow.
static bool choose_item_limit(struct builder *b, struct part *const *parts, const uint32_t *part_counts) {
    const struct schedule_limits *limits = &b->input->limits;
    double chunks = 0, tiles = 0;
    for (uint32_t g = 0; g < b->input->group_count; g++) {
        const struct group *group = &b->input->groups[g];
        for (uint32_t k = 0; k < part_counts[g]; k++) {
            struct tiler tiler = { .site = &group->site, .part = &parts[g][k], .tile_rows = limits->tile_rows, .chunk = limits->chunk };
            int64_t count = tiles_count(parts[g][k].step, group->site.q_length, limits->tile_rows);
            if (!count) continue;
            struct survey s = { .tiler = &tiler, .every = count / 12 + 1 };
            bool fine = tiles_each(parts[g][k].step, 0, group->site.q_length, limits->tile_rows, survey_tile, &s);
            tiler_free(&tiler);
            if (!fine) return false;
            if (s.taken) chunks += (double)s.chunks / (double)s.taken * (double)count * group->bh_count;
            tiles += (double)count * group->bh_count;
        }
    }
    double share = chunks / (double)limits->items_wanted;
    double limit = tiles >= (double)limits->items_wanted ? 2 * chunks / (tiles + 1) + 1 : (double)limits->item_chunks_least;
    if (share > limit) limit = share;
    if (limit < (double)limits->item_chunks_least) limit = (double)limits->item_chunks_least;
    double most = (double)(limits->dispatch_pairs / chunk_pairs(b));
    if (limit > most) limit = most;
    if (limit > (double)limits->item_chunks_most) limit = (double)limits->item_chunks_most;
    b->item_limit = limit < 1 ? 1 : (int64_t)limit;
    return true;
}

tulle_result schedule_build(const struct schedule_input *input, struct schedule *out, tulle_error *error) {
    struct builder b = { .input = input, .out = out, .error = error };
    struct part **parts = calloc(input->group_count, sizeof *parts);
    uint32_t *part_counts = calloc(input->group_count, sizeof *part_counts);
    struct cut cut = { 0 };
    tulle_result result = TULLE_OK;
    tulle_error local;
    if (!b.error) b.error = &local;
    b.error->result = TULLE_OK;
    bool fine = parts && part_counts;
    for (uint32_t g = 0; g < input->group_count && fine; g++)
        fine = parts_create(&input->groups[g].site, input->limits.tile_rows, input->limits.chunk, (int64_t)input->limits.segment_texels, &parts[g],
                            &part_counts[g]);
    if (!fine || !choose_item_limit(&b, parts, part_counts)) result = tulle_fail(b.error, TULLE_ERROR_OUT_OF_HOST_MEMORY, "no host memory for the schedule");
    for (uint32_t g = 0; g < input->group_count && !result; g++) {
        const struct group *group = &input->groups[g];
        struct tiler tiler = { .site = &group->site, .tile_rows = input->limits.tile_rows, .chunk = input->limits.chunk };
        b.group = group;
        b.group_placed = false;
        if (b.segment_open && b.segment_used + (group->bh_count + 3) / 4 + 64 > input->limits.segment_texels) b.segment_open = false;
        if (segment_preamble(&b) + 64 > input->limits.segment_texels) {
            result = tulle_fail(b.error, TULLE_ERROR_UNSUPPORTED, "batch times heads (%u entries share a pattern) exceeds what a texel buffer of this device holds", group->bh_count);
            break;
        }
        if (group->site.q_length > 0)
            result = range_build(&b, &tiler, &cut, parts[g], part_counts[g], 0, group->site.q_length, false);
        if (!result && group->site.q_length < group->site.q_len)
            result = range_build(&b, &tiler, &cut, parts[g], part_counts[g], group->site.q_length, group->site.q_len, true);
        tiler_free(&tiler);
    }
    if (!result && !wave_flush(&b)) result = tulle_fail(b.error, TULLE_ERROR_OUT_OF_HOST_MEMORY, "no host memory for the schedule");
    for (uint32_t g = 0; g < input->group_count && parts && part_counts; g++) parts_free(parts[g], part_counts[g]);
    free(parts);
    free(part_counts);
    free(cut.runs);
    free(b.items);
    free(b.infos);
    free(b.spans);
    free(b.tables);
    free(b.pending);
    return result;
}

void schedule_free(struct schedule *schedule) {
    free(schedule->words);
    free(schedule->segments);
    free(schedule->dispatches);
    memset(schedule, 0, sizeof *schedule);
}
