// SPDX-License-Identifier: MIT
//
// Which rows of a tile take which keys, a bit each: key c of row r is bit c mod 32 of word
// (c/32)·tile_rows + r.
#ifndef TULLE_SRC_SCHEDULE_BITS_H
#define TULLE_SRC_SCHEDULE_BITS_H

#include "schedule/regions.h"

/// Words for the bits of `keys` keys, all 0: index of the first in t->bits; SIZE_MAX: out of
/// memory.
size_t tile_bits(struct tiler *t, int64_t keys);

/// Makes the run one of `keys` keys in bits that every row takes. False: out of memory.
bool run_all_bits(struct tiler *t, struct run *run, int64_t keys);

/// Sets or clears what a region takes of keys v … v + count − 1.
void bits_of_range(const struct tiler *t, uint32_t *words, int64_t v, int64_t count,
                   const struct region *region, bool on);

/// Sets or clears keys c … end − 1 of row r, a word at a time.
void mark_keys(const struct tiler *t, uint32_t *words, int64_t r, int64_t c, int64_t end, bool on);

/// Sets keys c … end − 1, of which there are some, of rows r0 … r1 − 1.
static inline void bits_of_rectangle(const struct tiler *t, uint32_t *words, int64_t r0, int64_t r1,
                                     int64_t c, int64_t end) {
    if (c / 32 != (end - 1) / 32) {
        for (int64_t r = r0; r < r1; r++) mark_keys(t, words, r, c, end, true);
        return;
    }
    const uint32_t mask = UINT32_MAX >> (32 - (end - c)) << (c % 32);
    for (int64_t r = r0; r < r1; r++) words[c / 32 * t->tile_rows + r] |= mask;
}

/// What bits_of_range does, of the keys at `count` positions, which rise; those from `begin` on are
/// not before the region's first.
void bits_of_list(const struct tiler *t, uint32_t *words, const int32_t *positions, size_t begin,
                  size_t count, const struct region *region, bool on);

#endif
