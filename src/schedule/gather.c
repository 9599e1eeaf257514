// SPDX-License-Identifier: MIT
#include "schedule/gather.h"

#include "common/arithmetic.h"
#include "common/search.h"
#include "schedule/bits.h"

/// Do ranges of `kept` chunks and a list of `listed` clearly cost less than ranges of `all`? A list
/// counts for an eighth more and for one chunk: each of its keys is a look-up and a word of plan
/// memory, and a tile that has one repeats no other.
static bool is_cheaper(int64_t kept, int64_t listed, int64_t all) {
    return 8 * kept + 9 * listed + 8 < 8 * all;
}

// -------------------------------------------------------------------------------------------------
// Keys of the part's list

struct gap gap_before(const struct tiler *t) { return (struct gap){ .from = t->site->kv_start }; }

bool gap_next(const struct tiler *t, struct gap *gap, int64_t list_end) {
    const struct part *part = t->part;
    while (part->list_count && gap->cell <= t->rounded.count) {
        const struct cell *cell =
            gap->cell < t->rounded.count ? &t->rounded.cells[gap->cell] : NULL;
        gap->cell++;
        gap->j0 = gap->from;
        gap->j1 = cell ? least(cell->v0, list_end) : list_end;
        if (cell) gap->from = most(gap->from, cell->v1);
        if (gap->j0 >= gap->j1) continue;
        const size_t count = (size_t)part->list_count;
        gap->at = (int64_t)count_below32(part->list, count, gap->j0);
        gap->keys = (int64_t)count_below32(part->list, count, gap->j1) - gap->at;
        if (gap->keys) return true;
    }
    return false;
}

// -------------------------------------------------------------------------------------------------
// Narrow and wide

/// Keys [v0, v1) of a cell, where there are any.
static bool add_keys(struct tiler *t, struct cell_list *to, const struct cell *cell, int64_t v0,
                     int64_t v1) {
    if (v0 >= v1) return true;
    if (!ARRAY_RESERVE(to->cells, to->capacity, to->count + 1)) {
        t->out_of_memory = true;
        return false;
    }
    struct cell *added = &to->cells[to->count++];
    *added = *cell;
    added->v0 = v0, added->v1 = v1;
    return true;
}

/// The same to t->narrow, without keys of the part's list below list_end: those have their run.
static bool add_narrow(struct tiler *t, const struct cell *cell, int64_t v0, int64_t v1,
                       int64_t list_end) {
    const int32_t *list = t->part->list;
    const size_t count = (size_t)t->part->list_count;
    const int64_t end = least(v1, list_end);
    for (size_t i = count_below32(list, count, v0); i < count && list[i] < end; i++) {
        if (!add_keys(t, &t->narrow, cell, v0, list[i])) return false;
        v0 = list[i] + 1;
    }
    return add_keys(t, &t->narrow, cell, v0, v1);
}

/// Cells [first, end) of t->cells, side by side: keys from `cut` on are narrow.
struct strip {
    size_t first, end;
    int64_t cut;
    bool full;  ///< some cell of it
};

/// The next one. Narrow is what is less than a chunk, all together; beyond whole chunks too, where
/// none is full (round_cells deals with the rest of those). False: none is left.
static bool strip_next(const struct tiler *t, struct strip *strip) {
    const struct cell *cells = t->cells.cells;
    size_t i = strip->end, end;
    while (i < t->cells.count && cells[i].kind == CELL_EXCLUDED) i++;
    if (i == t->cells.count) return false;
    bool full = cells[i].kind == CELL_FULL;
    for (end = i + 1; end < t->cells.count && cells[end].kind != CELL_EXCLUDED &&
                      cells[end].v0 == cells[end - 1].v1;
         end++)
        full = full || cells[end].kind == CELL_FULL;
    const int64_t keys = cells[end - 1].v1 - cells[i].v0, rest = keys & (t->chunk - 1);
    *strip = (struct strip){ i, end, cells[i].v0 + keys - (full && keys > rest ? 0 : rest), full };
    return true;
}

/// May a list cost less? What is narrow of a strip is a chunk at most as a range.
static bool is_worth_trying(const struct tiler *t) {
    int64_t keys = 0, chunks = 0;
    for (struct strip strip = { 0 }; strip_next(t, &strip);) {
        const int64_t narrow = t->cells.cells[strip.end - 1].v1 - strip.cut;
        keys += narrow;
        chunks += narrow > 0;
    }
    return is_cheaper(0, chunks_of(t, keys), chunks);
}

/// What is wide of a strip.
static bool add_wide(struct tiler *t, const struct strip *strip) {
    const struct cell *cells = t->cells.cells + strip->first;
    const size_t count = strip->end - strip->first;
    const int64_t keys = strip->cut - cells[0].v0;
    // one by one cells that are few keys each would pad them
    if (count > 1 && !strip->full && keys <= MERGED_KEYS_MOST)
        return add_keys(t, &t->wide, &(struct cell){ .kind = CELL_BITS }, cells[0].v0, strip->cut);
    for (size_t i = 0; i < count; i++)
        if (!add_keys(t, &t->wide, &cells[i], cells[i].v0, least(cells[i].v1, strip->cut)))
            return false;
    return true;
}

/// t->cells → t->wide and t->narrow.
static bool divide(struct tiler *t, int64_t list_end) {
    t->wide.count = t->narrow.count = 0;
    for (struct strip strip = { 0 }; strip_next(t, &strip);) {
        if (!add_wide(t, &strip)) return false;
        for (size_t i = strip.first; i < strip.end; i++) {
            const struct cell *cell = &t->cells.cells[i];
            if (!add_narrow(t, cell, most(cell->v0, strip.cut), cell->v1, list_end)) return false;
        }
    }
    return true;
}

static int64_t narrow_chunks(const struct tiler *t) {
    int64_t keys = 0;
    for (size_t i = 0; i < t->narrow.count; i++)
        keys += t->narrow.cells[i].v1 - t->narrow.cells[i].v0;
    return chunks_of(t, keys);
}

/// Chunks of t->rounded, and of the part's list beside them.
static int64_t range_chunks(const struct tiler *t, int64_t list_end) {
    int64_t chunks = 0;
    for (size_t i = 0; i < t->rounded.count; i++)
        chunks += chunks_of(t, t->rounded.cells[i].v1 - t->rounded.cells[i].v0);
    for (struct gap gap = gap_before(t); gap_next(t, &gap, list_end);)
        chunks += chunks_of(t, gap.keys);
    return chunks;
}

/// Takes from t->narrow what rounding made part of a wide cell: the keys between two that it
/// merged.
static void drop_covered(struct tiler *t) {
    const struct cell_list *wide = &t->rounded;
    size_t kept = 0, k = 0;
    for (size_t i = 0; i < t->narrow.count; i++) {
        const struct cell cell = t->narrow.cells[i];
        while (k < wide->count && wide->cells[k].v1 <= cell.v0) k++;
        if (k == wide->count || wide->cells[k].v0 > cell.v0) t->narrow.cells[kept++] = cell;
    }
    t->narrow.count = kept;
}

// -------------------------------------------------------------------------------------------------
// The list

static void list_keys(struct tiler *t, int64_t v0, int64_t v1) {
    for (int64_t v = v0; v < v1; v++)
        t->gathered[t->gathered_count++] = (int32_t)(t->residue + v * t->part->step);
}

/// t->narrow → the list: first whole chunks of the keys that every row takes, for these need no
/// bits.
static bool list_cells(struct tiler *t) {
    struct cell *cells = t->narrow.cells;
    int64_t keys = 0, full = 0;
    for (size_t i = 0; i < t->narrow.count; i++) {
        keys += cells[i].v1 - cells[i].v0;
        if (cells[i].kind == CELL_FULL) full += cells[i].v1 - cells[i].v0;
    }
    if (!TILER_RESERVE(t, gathered, gathered_capacity, (size_t)keys)) return false;
    full -= full % t->chunk;
    t->gathered_full = (size_t)full;
    for (size_t i = 0; i < t->narrow.count; i++) {
        if (cells[i].kind != CELL_FULL) continue;
        const int64_t taken = least(cells[i].v1 - cells[i].v0, full);
        list_keys(t, cells[i].v0, cells[i].v0 + taken);
        cells[i].v0 += taken;
        full -= taken;
    }
    for (size_t i = 0; i < t->narrow.count; i++) list_keys(t, cells[i].v0, cells[i].v1);
    return true;
}

/// list: by first key.
static void mark_regions(const struct tiler *t, const struct region_list *list, bool on) {
    const int32_t *positions = t->gathered + t->gathered_full;
    const size_t count = t->gathered_count - t->gathered_full;
    size_t begin = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct region *region = &list->regions[i];
        const int64_t first = t->residue + region->v0 * t->part->step;
        while (begin < count && positions[begin] < first) begin++;
        bits_of_list(t, t->bits + t->gathered_bits, positions, begin, count, region, on);
    }
}

static bool list_bits(struct tiler *t) {
    t->gathered_bits = tile_bits(t, (int64_t)(t->gathered_count - t->gathered_full));
    if (t->gathered_bits == SIZE_MAX) return false;
    mark_regions(t, &t->include, true);
    mark_regions(t, &t->exclude, false);
    return true;
}

static void swap_cells(struct cell_list *a, struct cell_list *b) {
    const struct cell_list was = *a;
    *a = *b;
    *b = was;
}

bool gather_cells(struct tiler *t, int64_t list_end) {
    if (!is_worth_trying(t)) return round_cells(t);
    if (!divide(t, list_end) || !round_cells(t)) return false;
    const int64_t all = range_chunks(t, list_end);
    swap_cells(&t->rounded, &t->ranges);
    swap_cells(&t->cells, &t->wide);
    if (!round_cells(t)) return false;
    drop_covered(t);
    if (is_cheaper(range_chunks(t, list_end), narrow_chunks(t), all))
        return list_cells(t) && list_bits(t);
    swap_cells(&t->rounded, &t->ranges);
    return true;
}

// -------------------------------------------------------------------------------------------------
// Many regions of few keys

#define SPECKS_LEAST 64  // fewer are dealt with as cells as fast

/// A region of less than a chunk of keys, without diagonals, of some rows.
struct speck {
    int64_t v;
    int32_t keys;
    uint8_t r0, r1;
};

/// The regions as specks, by their first keys; *all: they all are. False: out of memory.
static bool find_specks(struct tiler *t, bool *all) {
    const size_t count = t->include.count;
    *all = count >= SPECKS_LEAST && !t->exclude.count && !t->part->list_count;
    if (!*all) return true;
    if (!TILER_RESERVE(t, specks, speck_capacity, count)) return false;
    for (size_t i = 0; i < count; i++) {
        const struct region *given = &t->include.regions[i];
        const struct region on = loosened(t, given, given->v0, given->v1);
        const int64_t keys = on.v1 - on.v0;
        if (keys >= t->chunk || on.left < TILE_FAR || on.right < TILE_FAR || on.period > 1 ||
            (on.r0 == 0 && on.r1 == t->rows)) {
            *all = false;
            return true;
        }
        t->specks[i] = (struct speck){ on.v0, (int32_t)keys, (uint8_t)on.r0, (uint8_t)on.r1 };
    }
    return tiler_sort(t, t->specks, count, sizeof *t->specks);
}

/// How many keys the specks have, each counted once, and how many chunks as ranges, at least; 0: a
/// chunk or more of them lie side by side.
static int64_t speck_keys(const struct tiler *t, int64_t *range_chunks_least) {
    int64_t keys = 0, begin = INT64_MIN, end = INT64_MIN, covered = INT64_MIN;
    *range_chunks_least = 0;
    for (size_t i = 0; i < t->include.count; i++) {
        const struct speck *speck = &t->specks[i];
        if (speck->v > end) begin = end = speck->v;
        keys += most(speck->v + speck->keys - end, 0);
        end = most(end, speck->v + speck->keys);
        if (end - begin >= t->chunk) return 0;
        for (; covered < end; ++*range_chunks_least) covered = most(covered, speck->v) + t->chunk;
    }
    return keys;
}

bool gather_specks(struct tiler *t, bool *done) {
    int64_t ranges;
    if (!find_specks(t, done)) return false;
    if (!*done) return true;
    const int64_t keys = speck_keys(t, &ranges);
    *done = keys && is_cheaper(0, chunks_of(t, keys), ranges);
    if (!*done) return true;
    t->gathered_bits = tile_bits(t, keys);
    if (t->gathered_bits == SIZE_MAX ||
        !TILER_RESERVE(t, gathered, gathered_capacity, (size_t)keys))
        return false;
    uint32_t *words = t->bits + t->gathered_bits;
    int64_t end = INT64_MIN;
    for (size_t i = 0; i < t->include.count; i++) {
        const struct speck *speck = &t->specks[i];
        const int64_t last = speck->v + speck->keys;
        list_keys(t, most(speck->v, end), last);
        end = most(end, last);
        // those from its first to the end so far stand side by side at the end of the list
        const int64_t c = (int64_t)t->gathered_count - (end - speck->v);
        bits_of_rectangle(t, words, speck->r0, speck->r1, c, c + speck->keys);
    }
    t->rounded.count = 0;
    return true;
}
