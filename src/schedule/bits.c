// SPDX-License-Identifier: MIT
#include "schedule/bits.h"

#include <string.h>

#include "common/arithmetic.h"
#include "common/search.h"

size_t tile_bits(struct tiler *t, int64_t keys) {
    const size_t words = bit_words(t, keys), at = t->bit_words;
    if (!TILER_RESERVE(t, bits, bits_capacity, at + words)) return SIZE_MAX;
    if (words) memset(t->bits + at, 0, words * sizeof *t->bits);
    t->bit_words += words;
    return at;
}

bool run_all_bits(struct tiler *t, struct run *run, int64_t keys) {
    run->kind = TULLE_RUN_BITS;
    if (t->counts) return true;
    run->bits = tile_bits(t, keys);
    if (run->bits == SIZE_MAX) return false;
    uint32_t *words = t->bits + run->bits;
    for (int64_t c = 0; c < keys; c += 32)
        for (int32_t r = 0; r < t->rows; r++)
            words[c / 32 * t->tile_rows + r] =
                keys - c >= 32 ? UINT32_MAX : (UINT32_C(1) << (keys - c)) - 1;
    return true;
}

static inline void mark_key(const struct tiler *t, uint32_t *words, int64_t r, int64_t c, bool on) {
    uint32_t *word = &words[c / 32 * t->tile_rows + r];
    const uint32_t mask = UINT32_C(1) << (c % 32);
    *word = on ? *word | mask : *word & ~mask;
}

void mark_keys(const struct tiler *t, uint32_t *words, int64_t r, int64_t c, int64_t end, bool on) {
    while (c < end) {
        const int64_t taken = least(32 - c % 32, end - c);
        const uint32_t ones = taken == 32 ? UINT32_MAX : (UINT32_C(1) << taken) - 1,
                       mask = ones << (c % 32);
        uint32_t *word = &words[c / 32 * t->tile_rows + r];
        *word = on ? *word | mask : *word & ~mask;
        c += taken;
    }
}

/// What the diagonals leave a row of the region's keys: [*v0, *v1), perhaps none.
static inline void row_keys(const struct tiler *t, const struct region *region, int64_t r,
                            int64_t *v0, int64_t *v1) {
    const int64_t u = row_place(t, r);
    *v0 = region->v0, *v1 = region->v1;
    if (region->left < TILE_FAR) *v0 = most(*v0, u - region->left);
    if (region->right < TILE_FAR) *v1 = least(*v1, u + region->right + 1);
}

void bits_of_range(const struct tiler *t, uint32_t *words, int64_t v, int64_t count,
                   const struct region *region, bool on) {
    for (int64_t r = region->r0; r < region->r1; r++) {
        int64_t v0, v1;
        row_keys(t, region, r, &v0, &v1);
        v0 = most(v0, v), v1 = least(v1, v + count);
        if (v0 >= v1) continue;
        if (region->period == 1) {
            mark_keys(t, words, r, v0 - v, v1 - v, on);
            continue;
        }
        for (v0 += floor_mod(row_place(t, r) - v0, region->period); v0 < v1; v0 += region->period)
            mark_key(t, words, r, v0 - v, on);
    }
}

void bits_of_list(const struct tiler *t, uint32_t *words, const int32_t *positions, size_t begin,
                  size_t count, const struct region *region, bool on) {
    const int64_t step = t->part->step, residue = t->residue;
    const int32_t *own = positions + begin;
    // each position once: so no more than the region has keys
    count = (size_t)least((int64_t)(count - begin), region->v1 - region->v0);
    count = count_below32(own, count, residue + region->v1 * step);
    if (!count) return;
    for (int64_t r = region->r0; r < region->r1; r++) {
        int64_t v0, v1;
        row_keys(t, region, r, &v0, &v1);
        if (v0 >= v1) continue;
        size_t c = 0, end = count;
        if (v0 > region->v0) c = count_below32(own, count, residue + v0 * step);
        if (v1 < region->v1) end = count_below32(own, count, residue + v1 * step);
        if (region->period == 1) {
            mark_keys(t, words, r, (int64_t)(begin + c), (int64_t)(begin + end), on);
            continue;
        }
        for (; c < end; c++)
            if ((row_place(t, r) - (own[c] - residue) / step) % region->period == 0)
                mark_key(t, words, r, (int64_t)(begin + c), on);
    }
}
