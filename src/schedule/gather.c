// SPDX-License-Identifier: MIT
#include "schedule/gather.h"

#include "common/arithmetic.h"
#include "common/search.h"
#include "schedule/bits.h"
#include "schedule/strips.h"

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

/// Of t->narrow and so many keys more.
static int64_t narrow_chunks(const struct tiler *t, int64_t keys) {
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

/// Of t->narrow, the keys that every row takes: the first `full` of them go to the list.
static void list_full(struct tiler *t, int64_t full) {
    struct cell *cells = t->narrow.cells;
    for (size_t i = 0; i < t->narrow.count && full; i++) {
        if (cells[i].kind != CELL_FULL) continue;
        const int64_t taken = least(cells[i].v1 - cells[i].v0, full);
        list_keys(t, cells[i].v0, cells[i].v0 + taken);
        cells[i].v0 += taken;
        full -= taken;
    }
}

/// The next thin rectangle, and where the last one that was listed ends.
struct thin_place {
    size_t next;
    int64_t end;
};

/// Thin rectangles that begin before key v, with their bits.
static void list_thin(struct tiler *t, struct thin_place *at, int64_t v) {
    const struct rectangle_list *list = &t->rectangles;
    uint32_t *words = t->bits + t->gathered_bits;
    for (; at->next < list->count && list->rectangles[at->next].v < v; at->next++) {
        const struct rectangle *thin = &list->rectangles[at->next];
        list_keys(t, most(thin->v, at->end), thin->v + thin->keys);
        at->end = most(at->end, thin->v + thin->keys);
        // those from its first to the end so far stand side by side at the end of the list
        const int64_t c = (int64_t)(t->gathered_count - t->gathered_full) - (at->end - thin->v);
        bits_of_rectangle(t, words, thin->r0, thin->r1, c, c + thin->keys);
    }
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

/// t->narrow and what is thin → the list: first whole chunks of the keys that every row takes, for
/// these need no bits.
static bool list_all(struct tiler *t) {
    const struct cell *cells = t->narrow.cells;
    struct thin_place thin = { 0, INT64_MIN };
    int64_t keys = t->thin_keys, full = 0;
    for (size_t i = 0; i < t->narrow.count; i++) {
        keys += cells[i].v1 - cells[i].v0;
        if (cells[i].kind == CELL_FULL) full += cells[i].v1 - cells[i].v0;
    }
    full -= full % t->chunk;
    t->gathered_bits = tile_bits(t, keys - full);
    if (t->gathered_bits == SIZE_MAX ||
        !TILER_RESERVE(t, gathered, gathered_capacity, (size_t)keys))
        return false;
    t->gathered_full = (size_t)full;
    list_full(t, full);
    for (size_t i = 0; i < t->narrow.count; i++) {
        list_thin(t, &thin, cells[i].v0);
        list_keys(t, cells[i].v0, cells[i].v1);
    }
    list_thin(t, &thin, INT64_MAX);
    mark_regions(t, &t->include, true);
    mark_regions(t, &t->exclude, false);
    return true;
}

// -------------------------------------------------------------------------------------------------

static void swap_cells(struct cell_list *a, struct cell_list *b) {
    const struct cell_list was = *a;
    *a = *b;
    *b = was;
}

/// t->wide → t->rounded.
static bool round_wide(struct tiler *t) {
    swap_cells(&t->cells, &t->wide);
    if (!round_cells(t)) return false;
    drop_covered(t);
    return true;
}

bool gather_cells(struct tiler *t, int64_t list_end) {
    if (!is_worth_trying(t)) return round_cells(t);
    if (!divide(t, list_end) || !round_cells(t)) return false;
    const int64_t all = range_chunks(t, list_end);
    swap_cells(&t->rounded, &t->ranges);
    if (!round_wide(t)) return false;
    if (is_cheaper(range_chunks(t, list_end), narrow_chunks(t, 0), all)) return list_all(t);
    swap_cells(&t->rounded, &t->ranges);
    return true;
}

/// What rounding made part of a wide cell is a region of that one.
static bool return_covered(struct tiler *t) {
    bool fine = true;
    for (size_t i = 0; i < t->rounded.count && fine; i++)
        fine = return_thin(t, t->rounded.cells[i].v0, t->rounded.cells[i].v1);
    return fine;
}

bool gather_thin(struct tiler *t, bool *done) {
    t->rounded.count = t->narrow.count = 0;
    *done = false;
    if (t->include.count &&
        !(make_cells(t) && divide(t, t->site->kv_start) && round_wide(t) && return_covered(t)))
        return false;
    // As ranges they would take as many chunks as strips that are thin, at least, but for those
    // that share a chunk with a neighbour that is not: two for each of these.
    const int64_t kept = range_chunks(t, t->site->kv_start), beside = 2 * (int64_t)t->rounded.count;
    *done = is_cheaper(kept, narrow_chunks(t, t->thin_keys), kept + t->thin_ranges - beside);
    return *done ? list_all(t) : return_thin(t, INT64_MIN, INT64_MAX);
}
