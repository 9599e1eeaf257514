// SPDX-License-Identifier: MIT
//
// Pattern → runs, for one tile of query rows.
//
// A tile's rows are i, i + step, i + 2·step …; its keys lie in the queries' residue class modulo
// step. Within a class a position is counted in steps: with a = p mod step, query u = (p − a)/step
// and key v = (j − a)/step. There every term is a union of PIECES (an interval of keys, an interval
// of rows, two diagonal bounds, a period), and the keys of a tile fall into a few CELLS in which
// the same pieces apply: full, band, or neither (bits).
#ifndef TULLE_SRC_SCHEDULE_TILE_H
#define TULLE_SRC_SCHEDULE_TILE_H

#include "problem/group.h"

#define TILE_ROWS_MOST 128  // a run names its first and last row in 7 bits (plan_memory.h)

/// A union's terms of one step, tiled together, less every term of the parts before it.
struct part {
    int64_t step;
    const struct term *const *include;
    uint32_t include_count;
    const struct term *const *exclude;
    uint32_t exclude_count;
    // Keys that every row takes, chosen one by one (FIXED's columns, GLOBAL_LIST's): positions,
    // rising, each once, all within [kv_start, kv_len). Only where step is 1.
    int32_t *list;
    int64_t list_count;
};

enum run_source { RUN_RANGE, RUN_LIST };

struct run {
    tulle_run_kind kind;
    enum run_source source;
    int64_t first;                ///< RANGE: first key position j; LIST: index into the part's list
    int64_t count;                ///< keys
    int32_t row_first, row_last;  ///< BAND
    int64_t lo, hi;  ///< BAND: row r takes keys r + lo ≤ c ≤ r + hi, for row_first ≤ r ≤ row_last
    size_t bits;     ///< BITS: index of its first word in tiler.bits; word (c/32)·tile_rows + r
};

struct piece {
    int64_t v0, v1;       ///< keys [v0, v1)
    int32_t r0, r1;       ///< rows [r0, r1)
    int64_t left, right;  ///< u − v ≤ left, v − u ≤ right; TILE_FAR: no bound
    int64_t period;       ///< (u − v) mod period = 0
};

#define TILE_FAR (INT64_MAX / 4)

struct cell;

/// Scratch that many tiles share, and one tile's result.
struct tiler {
    const struct site *site;
    const struct part *part;
    int32_t tile_rows;  ///< the variant's; row stride of bits
    int32_t chunk;      ///< keys per chunk, a power of 2 up to 64
    // the tile at hand
    int64_t row, u0, residue, v_begin, v_end;
    int32_t rows;
    // result
    struct run *runs;
    size_t run_count, run_capacity;
    uint32_t *bits;
    size_t bit_words, bits_capacity;
    /// this tile's runs move with it: no end of the keys cut them, and no term is fixed in place
    bool shiftable;
    // scratch
    struct piece *include, *exclude;
    size_t include_count, include_capacity, exclude_count, exclude_capacity;
    int64_t *edges;
    size_t edge_count, edge_capacity;
    struct cell *cells, *ready;
    size_t cell_count, cell_capacity, ready_count, ready_capacity;
    int64_t *blocks;
    size_t blocks_capacity;
    bool clipped;
    bool out_of_memory;
};

/// Fills t->runs for the tile whose first row is `row`, with `rows` rows at the part's step. False:
/// out of memory.
bool tile_runs(struct tiler *t, int64_t row, int32_t rows);

/// Sets the bits of every row for keys 0 … keys − 1 of a run whose words are all 0.
void tile_all_bits(const struct tiler *t, uint32_t *words, int64_t keys);

/// Chunks that the tile's runs take: its cost.
int64_t tile_chunks(const struct tiler *t);

/// Pairs that the tile's runs select.
uint64_t tile_pairs(const struct tiler *t);

void tiler_free(struct tiler *t);

#endif
