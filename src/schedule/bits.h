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

/// Sets keys c … end − 1 of rows r0 … r1 − 1.
void bits_of_rectangle(const struct tiler *t, uint32_t *words, int64_t r0, int64_t r1, int64_t c,
                       int64_t end);

/// What bits_of_range does, of the keys at `count` positions, which rise; those from `begin` on are
/// not before the region's first.
void bits_of_list(const struct tiler *t, uint32_t *words, const int32_t *positions, size_t begin,
                  size_t count, const struct region *region, bool on);

#endif
