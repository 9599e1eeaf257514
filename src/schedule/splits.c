// SPDX-License-Identifier: MIT
#include "schedule/splits.h"

#include "common/arithmetic.h"
#include "common/array.h"
#include "common/search.h"
#include "schedule/bits.h"

#define RUNS_MOST 60000  // of an item: its word has 16 bits for them

/// Bits of keys [c0, c0 + n), of a run in whose bits they do not begin with a word. False: out of
/// memory.
static bool shift_bits(struct tiler *t, const struct run *from, int64_t c0, int64_t n,
                       struct run *out) {
    const size_t rows = (size_t)t->tile_rows, words = (size_t)((n + 31) / 32),
                 all = (size_t)((from->count + 31) / 32);
    out->bits = tile_bits(t, n);
    if (out->bits == SIZE_MAX) return false;
    for (size_t w = 0; w < words; w++)
        for (size_t r = 0; r < rows; r++) {
            size_t k = (size_t)c0 / 32 + w;
            uint64_t pair = t->bits[from->bits + k * rows + r];
            if (k + 1 < all) pair |= (uint64_t)t->bits[from->bits + (k + 1) * rows + r] << 32;
            t->bits[out->bits + w * rows + r] = (uint32_t)(pair >> (c0 % 32));
        }
    return true;
}

/// Keys [c0, c0 + n) of a run as a run of its own; of a full run n is whole chunks, or less than
/// one. False: out of memory.
static bool run_take(struct tiler *t, const struct run *from, int64_t c0, int64_t n,
                     struct run *out) {
    *out = *from;
    out->first += from->source == RUN_RANGE ? c0 * t->part->step : c0;
    out->count = n;
    switch (from->kind) {
    case TULLE_RUN_BAND:
        out->lo -= c0;
        out->hi -= c0;
        return true;
    case TULLE_RUN_FULL:
        if (n % t->chunk == 0) return true;
        // a window ends within the chunk
        if (from->source != RUN_RANGE) return run_all_bits(t, out, n);
        out->kind = TULLE_RUN_BAND;
        out->row_first = 0;
        out->row_last = t->rows - 1;
        out->lo = RUN_LOOSE_LO;
        out->hi = RUN_LOOSE_HI;
        return true;
    case TULLE_RUN_BITS: break;
    }
    if (c0 % 32) return shift_bits(t, from, c0, n, out);
    out->bits += bit_words(t, c0);
    return true;
}

/// How many keys of the run, from c on, stand at positions up to `end`.
static int64_t keys_up_to(const struct tiler *t, const struct run *run, int64_t c, int64_t end) {
    const int64_t first = run_key(t, run, c), rest = run->count - c;
    if (first > end) return 0;
    if (run->source == RUN_RANGE) return least((end - first) / t->part->step + 1, rest);
    return (int64_t)count_below32(run_list(t, run) + c, (size_t)rest, end + 1);
}

/// Words of plan memory that 32 keys of the run take.
static int64_t words_of_keys(const struct tiler *t, const struct run *run) {
    return (run->kind == TULLE_RUN_BITS ? t->tile_rows : 0) +
           (run->source == RUN_GATHERED ? 32 : 0);
}

/// How many keys of the run, from c on, a split takes that has taken some already: chunks and
/// texels are what is left of its limits, key_first its first key's position. 0: none; it is complete.
static int64_t keys_taken(const struct tiler *t, const struct run *run, int64_t c,
                          const struct split_limits *left, const struct split *split,
                          int64_t key_first) {
    const int64_t rest = run->count - c;
    int64_t n = rest;
    if (chunks_of(t, n) > left->chunks) {
        const int64_t unit = t->chunk < 32 ? 32 : t->chunk;  // cut at whole words of bits
        n = most(left->chunks * t->chunk / unit * unit, unit);
    }
    const int64_t words = words_of_keys(t, run);
    if (words) {
        const uint64_t beside = run_texels(t, run, 0);
        const int64_t room =
            left->texels > beside ? (int64_t)(left->texels - beside) * 4 / words * 32 : 0;
        if (room < 32 && split->count) return 0;
        n = least(n, most(room, 32));
    }
    n = least(n, rest);
    if (left->cell) {
        const int64_t key = run_key(t, run, c), cell = key / left->cell;
        if (split->count && key_first / left->cell != cell) return 0;
        n = least(n, keys_up_to(t, run, c, (cell + 1) * left->cell - 1));
    }
    if (run->kind == TULLE_RUN_FULL && n > t->chunk) n -= n % t->chunk;
    return n;
}

struct run_totals run_totals(const struct tiler *t, const struct run *runs, size_t count) {
    struct run_totals totals = { .reach = { REACH_NO_KEYS, .row_first = t->row,
                                            .row_last = t->row + (t->rows - 1) * t->part->step } };
    struct reach *reach = &totals.reach;
    for (const struct run *run = runs; run < runs + count; run++) {
        reach->chunks += chunks_of(t, run->count);
        reach->key_first = least(reach->key_first, run_key(t, run, 0));
        reach->key_last = most(reach->key_last, run_key(t, run, run->count - 1));
        totals.texels += run_texels(t, run, run->count);
        totals.full += run->kind == TULLE_RUN_FULL;
        totals.from_list = totals.from_list || run->source == RUN_LIST;
        totals.gathered = totals.gathered || run->source == RUN_GATHERED;
        totals.bits = totals.bits || run->kind == TULLE_RUN_BITS;
    }
    return totals;
}

/// Do all of the tile's runs stay clear of the limits of one split?
static bool fits_whole(const struct tiler *t, const struct run_totals *all,
                       const struct split_limits *limits) {
    const uint64_t rounding = ((uint64_t)t->tile_rows + 32) / 4 + 1;  // keys_taken's, of 32 keys
    return all->reach.chunks <= limits->chunks && !limits->cell && t->run_count <= RUNS_MOST &&
           all->texels + rounding <= limits->texels;
}

/// Runs from *at on, as far as the limits let them.
static bool cut_split(struct tiler *t, const struct split_limits *limits, struct split_place *at,
                      struct split *split) {
    struct split_limits left = *limits;
    int64_t key_first = 0;
    split->count = 0;
    while (at->run < t->run_count && left.chunks > 0 && left.texels > 0 &&
           split->count < RUNS_MOST) {
        const struct run *from = &t->runs[at->run];
        const int64_t n = keys_taken(t, from, at->key, &left, split, key_first);
        if (n == 0) break;
        if (!ARRAY_RESERVE(split->cut, split->cut_capacity, split->count + 1) ||
            !run_take(t, from, at->key, n, &split->cut[split->count]))
            return false;
        const int64_t key = run_key(t, from, at->key);
        key_first = split->count ? least(key_first, key) : key;
        split->count++;
        const uint64_t used = run_texels(t, from, n);
        left.chunks -= chunks_of(t, n);
        left.texels = left.texels > used ? left.texels - used : 0;
        at->key += n;
        if (at->key == from->count) *at = (struct split_place){ at->run + 1, 0 };
    }
    split->runs = split->cut;
    split->totals = run_totals(t, split->runs, split->count);
    return true;
}

bool split_next(struct tiler *t, const struct run_totals *all, const struct split_limits *limits,
                struct split_place *at, struct split *split) {
    if (at->run || at->key || !fits_whole(t, all, limits)) return cut_split(t, limits, at, split);
    split->runs = t->runs;
    split->count = at->run = t->run_count;
    split->totals = *all;
    return true;
}
