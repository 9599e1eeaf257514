// SPDX-License-Identifier: MIT
//
// Cells → runs, and with them the whole way of a tile.
#include <stdlib.h>
#include <string.h>

#include "common/arithmetic.h"
#include "common/search.h"
#include "schedule/cells.h"
#include "schedule/row_sets.h"

#define PARTIAL_KEYS_MOST 32736  // of one band or bits run: 15 bits, and a multiple of 32

struct tiler tiler_of(const struct site *site, const struct part *part,
                      const struct tiling *tiling) {
    return (struct tiler){
        .site = site, .part = part, .tile_rows = tiling->tile_rows, .chunk = tiling->chunk
    };
}

void tiler_free(struct tiler *t) {
    free(t->runs);
    free(t->bits);
    free(t->include.regions);
    free(t->exclude.regions);
    for (int i = 0; i < 3; i++) free(t->factors[i].regions);
    free(t->edges);
    free(t->cells.cells);
    free(t->rounded.cells);
    free(t->blocks);
    memset(t, 0, sizeof *t);
}

// -------------------------------------------------------------------------------------------------
// Bits

size_t tile_bits(struct tiler *t, int64_t keys) {
    const size_t words = bit_words(t, keys), at = t->bit_words;
    if (!TILER_RESERVE(t, bits, bits_capacity, at + words)) return SIZE_MAX;
    memset(t->bits + at, 0, words * sizeof *t->bits);
    t->bit_words += words;
    return at;
}

/// Sets or clears what a region takes of keys [first, first + count).
static void set_bits(struct tiler *t, uint32_t *words, int64_t first, int64_t count,
                     const struct region *region, bool on) {
    for (int64_t r = region->r0; r < region->r1; r++) {
        int64_t u = row_place(t, r);
        int64_t v0 = most(first, region->v0), v1 = least(first + count, region->v1);
        if (region->left < TILE_FAR) v0 = most(v0, u - region->left);
        if (region->right < TILE_FAR) v1 = least(v1, u + region->right + 1);
        if (region->period > 1 && v0 < v1) v0 += floor_mod(u - v0, region->period);
        for (int64_t v = v0; v < v1;) {
            int64_t c = v - first;
            uint32_t *word = &words[(c / 32) * t->tile_rows + r];
            uint32_t mask = 1u << (c % 32);
            int64_t taken = region->period;
            if (region->period == 1) {
                taken = least(32 - c % 32, v1 - v);
                mask = (taken == 32 ? 0xffffffffu : ((1u << taken) - 1)) << (c % 32);
            }
            *word = on ? *word | mask : *word & ~mask;
            v += taken;
        }
    }
}

bool run_all_bits(struct tiler *t, struct run *run, int64_t keys) {
    run->kind = TULLE_RUN_BITS;
    run->bits = tile_bits(t, keys);
    if (run->bits == SIZE_MAX) return false;
    uint32_t *words = t->bits + run->bits;
    for (int64_t c = 0; c < keys; c += 32)
        for (int32_t r = 0; r < t->rows; r++)
            words[c / 32 * t->tile_rows + r] =
                keys - c >= 32 ? UINT32_MAX : (UINT32_C(1) << (keys - c)) - 1;
    return true;
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

/// Sets or clears what the regions of a list, sorted by v0, take of keys [v, v + count).
static void set_regions(struct tiler *t, uint32_t *words, int64_t v, int64_t count,
                        const struct region_list *list, bool on) {
    for (size_t i = 0; i < list->count && list->regions[i].v0 < v + count; i++)
        if (list->regions[i].v1 > v) set_bits(t, words, v, count, &list->regions[i], on);
}

static bool emit_bits(struct tiler *t, struct run *run, int64_t v) {
    run->bits = tile_bits(t, run->count);
    if (run->bits == SIZE_MAX) return false;
    uint32_t *words = t->bits + run->bits;
    set_regions(t, words, v, run->count, &t->include, true);
    set_regions(t, words, v, run->count, &t->exclude, false);
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

/// A cell's runs: one, but for partial cells of very many keys.
static bool emit_cell(struct tiler *t, const struct cell *cell) {
    const tulle_run_kind kind = cell->kind == CELL_FULL   ? TULLE_RUN_FULL
                                : cell->kind == CELL_BITS ? TULLE_RUN_BITS
                                                          : TULLE_RUN_BAND;
    const int64_t each = kind == TULLE_RUN_FULL ? INT64_MAX : PARTIAL_KEYS_MOST;
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

// -------------------------------------------------------------------------------------------------
// Keys chosen one by one

/// Index of the part's first list entry at or after position j.
static int64_t list_at(const struct tiler *t, int64_t j) {
    return (int64_t)count_below32(t->part->list, (size_t)t->part->list_count, j);
}

static bool list_has(const struct tiler *t, int64_t j0, int64_t j1) {
    const int64_t at = list_at(t, j0);
    return at < t->part->list_count && t->part->list[at] < j1;
}

/// Keys of the part's list at positions [j0, j1): whole chunks, and the rest in bits.
static bool emit_list(struct tiler *t, int64_t j0, int64_t j1) {
    const int64_t first = list_at(t, j0), count = most(list_at(t, j1) - first, 0),
                  whole = count / t->chunk * t->chunk;
    if (whole && !new_run(t, TULLE_RUN_FULL, RUN_LIST, first, whole)) return false;
    if (whole == count) return true;
    struct run *run = new_run(t, TULLE_RUN_BITS, RUN_LIST, first + whole, count - whole);
    return run && run_all_bits(t, run, run->count);
}

/// List keys below list_end that no run covers.
static bool emit_lists(struct tiler *t, int64_t list_end) {
    int64_t from = t->site->kv_start;
    for (size_t i = 0; i < t->rounded.count; i++) {
        const struct cell *cell = &t->rounded.cells[i];
        if (cell->v0 > from && !emit_list(t, from, least(cell->v0, list_end))) return false;
        from = most(from, cell->v1);
    }
    return from >= list_end || emit_list(t, from, list_end);
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
    t->v_end = ceil_div(t->site->at.kv_len - t->residue, step);
    t->run_count = t->bit_words = t->include.count = t->exclude.count = 0;
    t->clipped = t->out_of_memory = false;
    for (int32_t r = 0; r < rows && t->site->rows; r++)
        t->listed[r] = t->site->rows[row + r] + t->site->q_offset;
}

/// The regions of the part's terms, and of those before it. Returns whether all of them move with
/// the tile.
static bool part_regions(struct tiler *t) {
    const struct part *part = t->part;
    bool moves = part->list_count == 0 && !t->site->rows;
    for (uint32_t i = 0; i < part->include_count; i++) {
        moves = moves && term_moves(part->include[i]);
        term_regions((struct region_target){ .t = t }, part->include[i]);
    }
    for (uint32_t i = 0; i < part->exclude_count && t->include.count; i++) {
        moves = moves && term_moves(part->exclude[i]);
        term_regions((struct region_target){ .t = t, .exclude = true }, part->exclude[i]);
    }
    return moves;
}

bool tile_runs(struct tiler *t, int64_t row, int32_t rows) {
    const struct part *part = t->part;
    const int64_t p = site_row(t->site, row) + t->site->q_offset, kv_len = t->site->at.kv_len;
    begin_tile(t, row, rows);
    const bool moves = part_regions(t);
    // List keys that every row may take come from the list; where causality cuts them by row they
    // are regions.
    int64_t list_end = kv_len;
    if (part->list_count && t->site->at.causal && p + 1 < list_end) {
        list_end = p + 1;
        include_columns(t, most(p + 1, t->site->kv_start),
                        least(row_place(t, rows - 1) + 1, kv_len));
    }
    if (t->out_of_memory || !make_cells(t)) return false;
    if (part->list_count && !include_listed(t, list_end)) return false;
    if (!round_cells(t)) return false;
    for (size_t i = 0; i < t->rounded.count; i++)
        if (!emit_cell(t, &t->rounded.cells[i])) return false;
    if (part->list_count && !emit_lists(t, list_end)) return false;
    t->shiftable = moves && !t->clipped;
    return true;
}

int64_t tile_chunks(const struct tiler *t) {
    int64_t chunks = 0;
    for (size_t i = 0; i < t->run_count; i++) chunks += chunks_of(t, t->runs[i].count);
    return chunks;
}

static unsigned count_ones(uint32_t x) {
    unsigned n = 0;
    for (; x; x &= x - 1) n++;
    return n;
}

/// Keys of the run that row r takes.
static uint64_t row_keys(const struct tiler *t, const struct run *run, int64_t r) {
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
        for (size_t i = 0; i < t->run_count; i++) pairs += row_keys(t, &t->runs[i], r);
    }
    return pairs;
}
