// SPDX-License-Identifier: MIT
//
// Cells → runs, and with them the whole way of a tile.
#include <stdlib.h>
#include <string.h>

#include "common/arithmetic.h"
#include "common/search.h"
#include "schedule/bits.h"
#include "schedule/gather.h"
#include "schedule/outlines.h"
#include "schedule/row_sets.h"
#include "schedule/strips.h"

#define PARTIAL_KEYS_MOST 32736  // of one band or bits run: 15 bits, and a multiple of 32

struct tiler tiler_of(const struct site *site, const struct part *part,
                      const struct tiling *tiling) {
    struct tiler t = {
        .site = site, .part = part, .tile_rows = tiling->tile_rows, .chunk = tiling->chunk
    };
    while (1 << t.chunk_bits < t.chunk) t.chunk_bits++;
    return t;
}

void tiler_free(struct tiler *t) {
    free(t->runs);
    free(t->bits);
    free(t->include.regions);
    free(t->exclude.regions);
    for (int i = 0; i < 3; i++) free(t->factors[i].regions);
    free(t->cells.cells);
    free(t->rounded.cells);
    free(t->wide.cells);
    free(t->narrow.cells);
    free(t->ranges.cells);
    free(t->rectangles.rectangles);
    free(t->plain.rectangles);
    free(t->gathered);
    free(t->active);
    free(t->sorted);
    free(t->blocks);
    outlines_free(t->outlines);
    memset(t, 0, sizeof *t);
}

// -------------------------------------------------------------------------------------------------
// Runs

/// One more run of `count` keys; NULL: out of memory.
static struct run *new_run(struct tiler *t, tulle_run_kind kind, enum run_source source,
                           int64_t first, int64_t count) {
    if (!TILER_RESERVE(t, runs, run_capacity, t->run_count + 1)) return NULL;
    struct run *run = &t->runs[t->run_count++];
    *run = (struct run){ .kind = kind, .source = source, .first = first, .count = count };
    return run;
}

/// Sets or clears what the regions of a list take of keys [v, v + count), which rise from call to
/// call.
static void set_regions(struct tiler *t, uint32_t *words, int64_t v, int64_t count,
                        struct sweep *sweep, const struct region_list *list, bool on) {
    sweep_to(sweep, list, v, v + count);
    for (size_t i = 0; i < sweep->count; i++)
        bits_of_range(t, words, v, count, &list->regions[sweep->active[i]], on);
}

static bool emit_bits(struct tiler *t, struct run *run, int64_t v) {
    if (t->counts) return true;
    run->bits = tile_bits(t, run->count);
    if (run->bits == SIZE_MAX) return false;
    uint32_t *words = t->bits + run->bits;
    set_regions(t, words, v, run->count, &t->in, &t->include, true);
    set_regions(t, words, v, run->count, &t->out, &t->exclude, false);
    return true;
}

/// c = key − v: u − left ≤ v + c ≤ u + right, and u = u0 + r. Clamped to what 32 bits and the rows
/// can tell apart.
static void emit_band(const struct tiler *t, const struct cell *cell, struct run *run, int64_t v) {
    run->row_first = cell->r0;
    run->row_last = cell->r1 - 1;
    run->lo = cell->left >= TILE_FAR ? RUN_LOOSE_LO : most(t->u0 - cell->left - v, RUN_LOOSE_LO);
    run->hi = cell->right >= TILE_FAR ? RUN_LOOSE_HI : least(t->u0 + cell->right - v, RUN_LOOSE_HI);
}

/// Keys that one run of a range may have.
static int32_t run_keys_most(const struct tiler *t, tulle_run_kind kind) {
    return kind == TULLE_RUN_FULL || t->counts ? INT32_MAX : PARTIAL_KEYS_MOST;
}

/// A cell's runs: one, but for partial cells of very many keys.
static bool emit_cell(struct tiler *t, const struct cell *cell) {
    const tulle_run_kind kind = cell->kind == CELL_FULL   ? TULLE_RUN_FULL
                                : cell->kind == CELL_BITS ? TULLE_RUN_BITS
                                                          : TULLE_RUN_BAND;
    const int64_t each = run_keys_most(t, kind);
    for (int64_t v = cell->v0; v < cell->v1;) {
        const int64_t count = least(cell->v1 - v, each);
        struct run *run = new_run(t, kind, RUN_RANGE, t->residue + v * t->part->step, count);
        if (!run) return false;
        if (kind == TULLE_RUN_BAND) emit_band(t, cell, run, v);
        if (kind == TULLE_RUN_BITS && !emit_bits(t, run, v)) return false;
        v += count;
    }
    return true;
}

/// A plain rectangle's runs.
static bool emit_plain(struct tiler *t, const struct rectangle *plain) {
    int64_t key = t->residue + plain->v * t->part->step;
    if (plain->r1 - plain->r0 == t->rows)
        return new_run(t, TULLE_RUN_FULL, RUN_RANGE, key, plain->keys);
    const int32_t each = run_keys_most(t, TULLE_RUN_BAND);
    for (int32_t left = plain->keys, count; left > 0; left -= count) {
        count = left < each ? left : each;
        struct run *run = new_run(t, TULLE_RUN_BAND, RUN_RANGE, key, count);
        if (!run) return false;
        run->row_first = plain->r0, run->row_last = plain->r1 - 1;
        run->lo = RUN_LOOSE_LO, run->hi = RUN_LOOSE_HI;
        key += count * t->part->step;
    }
    return true;
}

/// The runs of all cells and plain rectangles, by their first keys.
static bool emit_ranges(struct tiler *t) {
    const struct rectangle_list *list = &t->plain;
    size_t next = 0;
    for (size_t i = 0; i < t->rounded.count; i++) {
        const struct cell *cell = &t->rounded.cells[i];
        for (; next < list->count && list->rectangles[next].v < cell->v0; next++)
            if (!emit_plain(t, &list->rectangles[next])) return false;
        if (!emit_cell(t, cell)) return false;
    }
    for (; next < list->count; next++)
        if (!emit_plain(t, &list->rectangles[next])) return false;
    return true;
}

// -------------------------------------------------------------------------------------------------
// Keys chosen one by one

/// Keys of the part's list that no range covers: of each gap whole chunks, and the rest in bits.
static bool emit_lists(struct tiler *t, int64_t list_end) {
    for (struct gap gap = gap_before(t); gap_next(t, &gap, list_end);) {
        const int64_t rest = gap.keys % t->chunk, whole = gap.keys - rest;
        if (whole && !new_run(t, TULLE_RUN_FULL, RUN_LIST, gap.at, whole)) return false;
        if (!rest) continue;
        struct run *run = new_run(t, TULLE_RUN_BITS, RUN_LIST, gap.at + whole, rest);
        if (!run || !run_all_bits(t, run, rest)) return false;
    }
    return true;
}

/// Keys of the tile's own list.
static bool emit_gathered(struct tiler *t) {
    const int64_t full = (int64_t)t->gathered_full, end = (int64_t)t->gathered_count;
    if (full && !new_run(t, TULLE_RUN_FULL, RUN_GATHERED, 0, full)) return false;
    for (int64_t c = full; c < end; c += PARTIAL_KEYS_MOST) {
        struct run *run =
            new_run(t, TULLE_RUN_BITS, RUN_GATHERED, c, least(end - c, PARTIAL_KEYS_MOST));
        if (!run) return false;
        run->bits = t->gathered_bits + bit_words(t, c - full);
    }
    return true;
}

/// Has the part's list a key at positions [j0, j1)?
static bool list_has(const struct tiler *t, int64_t j0, int64_t j1) {
    const size_t count = (size_t)t->part->list_count, at = count_below32(t->part->list, count, j0);
    return at < count && t->part->list[at] < j1;
}

/// All columns of the part's terms at positions [j0, j1), as regions.
static void include_columns(struct tiler *t, int64_t j0, int64_t j1) {
    for (uint32_t i = 0; i < t->part->include_count; i++)
        if (term_lists(t->part->include[i]))
            column_regions((struct region_target){ .t = t }, t->part->include[i]->factors[0], j0,
                           j1);
}

/// A list key inside a partial cell: all rows take it, so it is a region of that cell. False: out
/// of memory.
static bool include_listed(struct tiler *t, int64_t list_end) {
    bool again = false;
    for (size_t i = 0; i < t->cells.count; i++) {
        const struct cell *cell = &t->cells.cells[i];
        const int64_t end = least(cell->v1, list_end);
        if (cell->kind == CELL_FULL || cell->kind == CELL_EXCLUDED || cell->v0 >= list_end ||
            !list_has(t, cell->v0, end))
            continue;
        include_columns(t, cell->v0, end);
        again = true;
    }
    return !t->out_of_memory && (!again || make_cells(t));
}

// -------------------------------------------------------------------------------------------------
// Tiles

static void begin_tile(struct tiler *t, int64_t row, int32_t rows) {
    const int64_t p = site_row(t->site, row) + t->site->q_offset, step = t->part->step;
    t->row = row;
    t->rows = rows;
    t->residue = floor_mod(p, step);
    t->u0 = floor_div(p, step);
    t->v_begin = ceil_div(t->site->kv_start - t->residue, step);
    t->v_end = ceil_div(site_pattern_end(t->site) - t->residue, step);
    t->run_count = t->bit_words = 0;
    t->include.count = t->exclude.count = t->rectangles.count = 0;
    t->gathered_count = t->gathered_full = 0;
    t->clipped = t->out_of_memory = t->shiftable = false;
    t->fixed_end = -TILE_FAR;
    t->moving_begin = TILE_FAR;
    for (int32_t r = 0; r < rows && t->site->rows; r++)
        t->listed[r] = site_row(t->site, row + r) + t->site->q_offset;
}

/// The regions of the part's terms, and of those before it. Returns whether all of them move with
/// the tile, or are the same for all.
static bool part_regions(struct tiler *t) {
    const struct part *part = t->part;
    bool moves = part->list_count == 0 && !t->site->rows && !t->site->tree;
    for (uint32_t i = 0; i < part->include_count; i++) {
        moves = moves && term_moves(part->include[i]);
        term_regions((struct region_target){ .t = t }, part->include[i]);
    }
    for (uint32_t i = 0; i < part->exclude_count && t->include.count; i++) {
        moves = moves && term_moves(part->exclude[i]);
        term_regions((struct region_target){ .t = t, .exclude = true }, part->exclude[i]);
    }
    if (t->site->tree && part->step == 1) tree_regions(t);
    return moves;
}

/// Regions → t->rounded and the tile's list. list_end: as in gap_next. False: out of memory.
static bool tile_cells(struct tiler *t, int64_t list_end) {
    bool done = false;
    if (t->out_of_memory || !sort_out(t) || (t->rectangles.count && !gather_thin(t, &done)))
        return false;
    return done || (make_cells(t) && (!t->part->list_count || include_listed(t, list_end)) &&
                    gather_cells(t, list_end));
}

bool tile_runs(struct tiler *t, int64_t row, int32_t rows) {
    const struct part *part = t->part;
    const int64_t p = site_row(t->site, row) + t->site->q_offset,
                  kv_end = site_pattern_end(t->site);
    begin_tile(t, row, rows);
    if (outlines_take(t)) return true;
    const bool moves = part_regions(t);
    // List keys that every row may take come from the list; where causality cuts them by row they
    // are regions.
    int64_t list_end = kv_end;
    if (part->list_count && t->site->at.causal && p + 1 < list_end) {
        list_end = p + 1;
        include_columns(t, most(p + 1, t->site->kv_start),
                        least(row_place(t, rows - 1) + 1, kv_end));
    }
    if (!tile_cells(t, list_end) || !sweeps_begin(t) || !emit_ranges(t)) return false;
    if (!emit_lists(t, list_end) || !emit_gathered(t)) return false;
    t->shiftable = moves && !t->clipped && !t->gathered_count &&
                   t->moving_begin - t->fixed_end > MERGED_KEYS_MOST;
    t->moves_from = t->moving_begin >= TILE_FAR
                        ? INT64_MAX
                        : t->residue + most(t->moving_begin, t->v_begin) * part->step;
    return outlines_keep(t);
}

int64_t tile_chunks(const struct tiler *t) {
    int64_t chunks = 0;
    for (size_t i = 0; i < t->run_count; i++) {
        const struct run *run = &t->runs[i];
        // as emit_cell cuts them
        const int64_t cuts = run->kind == TULLE_RUN_FULL ? 0 : run->count / PARTIAL_KEYS_MOST;
        chunks += cuts * chunks_of(t, PARTIAL_KEYS_MOST) +
                  chunks_of(t, run->count - cuts * PARTIAL_KEYS_MOST);
    }
    return chunks;
}

static unsigned count_ones(uint32_t x) {
    unsigned n = 0;
    for (; x; x &= x - 1) n++;
    return n;
}

/// Keys of the run that row r takes.
static uint64_t taken_by_row(const struct tiler *t, const struct run *run, int64_t r) {
    uint64_t keys = 0;
    switch (run->kind) {
    case TULLE_RUN_FULL: return (uint64_t)run->count;
    case TULLE_RUN_BAND: {
        const int64_t first = most(0, r + run->lo), last = least(run->count - 1, r + run->hi);
        return r >= run->row_first && r <= run->row_last && first <= last
                   ? (uint64_t)(last - first + 1)
                   : 0;
    }
    case TULLE_RUN_BITS: break;
    }
    for (int64_t c = 0; c < run->count; c += 32)
        keys += count_ones(t->bits[run->bits + (size_t)(c / 32 * t->tile_rows + r)]);
    return keys;
}

uint64_t tile_pairs(const struct tiler *t) {
    uint64_t pairs = 0;
    for (int32_t r = 0; r < t->rows; r++) {
        if (row_is_apart(t->site, tile_row(t, r))) continue;
        for (size_t i = 0; i < t->run_count; i++) pairs += taken_by_row(t, &t->runs[i], r);
    }
    return pairs;
}
