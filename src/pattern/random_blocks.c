// SPDX-License-Identifier: MIT
//
// Random key blocks: Floyd's sampling with Philox4x32-10 as its source, so that every device and
// every language draws the same blocks for (seed, head, query block), without a state that would
// have to be carried along.
#include <string.h>

#include "pattern/pattern_build.h"

// The first word of Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as
// 1, 2, 3; 2011).
static uint32_t philox_first(uint64_t seed, uint32_t c0, uint32_t c1, uint32_t c2) {
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32), c3 = 0;
    for (int round = 0; round < 10; ++round) {
        uint64_t m0 = UINT64_C(0xD2511F53) * c0, m1 = UINT64_C(0xCD9E8D57) * c2;
        c0 = (uint32_t)(m1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)m1;
        c2 = (uint32_t)(m0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)m0;
        k0 += UINT32_C(0x9E3779B9);
        k1 += UINT32_C(0xBB67AE85);
    }
    return c0;
}

// Floyd's u for step t: in 0 … t. t + 1 fits 32 bits, for positions stay below 2³².
static uint64_t draw(const struct term *term, const tulle_pattern_site *site, int64_t query_block,
                     uint64_t t) {
    uint64_t x = philox_first(term->seed, (uint32_t)t, (uint32_t)query_block, (uint32_t)site->head);
    return x * (t + 1) >> 32;
}

// How many key blocks a query block draws from. Causal: not from kv_len, so that a decode step
// draws what prefill drew.
static uint64_t candidates(const struct term *term, const tulle_pattern_site *site,
                           int64_t query_block) {
    if (query_block < 0) return 0;
    if (site->causal) return (uint64_t)query_block + 1;
    return site->kv_len > 0 ? (uint64_t)((site->kv_len - 1) / term->block) + 1 : 0;
}

#define SCALE_BITS 30  // slots are below 2³³, so that slots · 2^SCALE_BITS fits 64 bits

// The set of blocks taken so far: its slots are twice as many as it will hold. A slot holds
// block + 1, 0 where it is empty.
struct drawn_set {
    uint32_t *held;
    uint64_t slots, scale;  // a block's slot: block · scale / 2^SCALE_BITS, below slots
};

// Adds a block to the set; false where it is in already. A slot's place rises with the block: at
// every step the set is spread evenly over what may have been drawn, so runs stay short (at most
// half the slots of any range are in use, on average), and the table ends up all but sorted.
static bool take(const struct drawn_set *set, uint64_t block) {
    uint64_t slot = block * set->scale >> SCALE_BITS;
    for (uint32_t held; (held = set->held[slot]) != 0; slot = slot + 1 == set->slots ? 0 : slot + 1)
        if (held == block + 1) return false;
    set->held[slot] = (uint32_t)(block + 1);
    return true;
}

#define AT_ONCE 8  // draws that do not wait for each other

// Of all that are drawn, of more candidates than are wanted, those in [first, end).
static size_t draw_all(const struct term *term, const tulle_pattern_site *site, int64_t query_block,
                       uint64_t among, uint64_t first, uint64_t end, uint32_t *blocks) {
    const uint64_t wanted = (uint64_t)term->count, slots = 2 * wanted;
    const struct drawn_set set = { blocks, slots, (slots << SCALE_BITS) / among };
    for (uint64_t slot = 0; slot < slots; ++slot) blocks[slot] = 0;
    for (uint64_t t = among - wanted; t < among; t += AT_ONCE) {
        uint64_t drawn[AT_ONCE], some = among - t < AT_ONCE ? among - t : AT_ONCE;
        for (uint64_t i = 0; i < AT_ONCE; ++i) drawn[i] = draw(term, site, query_block, t + i);
        for (uint64_t i = 0; i < some; ++i)
            if (!take(&set, drawn[i])) take(&set, t + i);  // new: t + i is above all before
    }

    // To the front, without a branch that no processor can foretell. An empty slot's block is above
    // all others.
    size_t count = 0;
    for (uint64_t slot = 0; slot < slots; ++slot) {
        const uint32_t block = blocks[slot] - 1;
        blocks[count] = block;
        count += block - first < end - first;
    }
    return count;
}

#define FEW_DRAWN 16  // so few are sorted as they come

// The number to its place among those before it, which rise.
static void insert(uint32_t *numbers, uint64_t at) {
    const uint32_t number = numbers[at];
    for (; at && numbers[at - 1] > number; --at) numbers[at] = numbers[at - 1];
    numbers[at] = number;
}

// Those in [first, end), where no step is among these: then a block is in if it was drawn at all,
// whatever else was. More than FEW_DRAWN: *few holds only some of them.
static size_t draw_few(const struct term *term, const tulle_pattern_site *site, int64_t query_block,
                       uint64_t among, uint64_t first, uint64_t end,
                       uint32_t few[FEW_DRAWN + AT_ONCE + 1]) {
    size_t count = 0, kept = 0;
    for (uint64_t t = among - (uint64_t)term->count; t < among && count <= FEW_DRAWN;
         t += AT_ONCE) {
        uint64_t drawn[AT_ONCE], some = among - t < AT_ONCE ? among - t : AT_ONCE;
        for (uint64_t i = 0; i < AT_ONCE; ++i) drawn[i] = draw(term, site, query_block, t + i);
        for (uint64_t i = 0; i < some; ++i) {
            few[count] = (uint32_t)drawn[i];
            count += drawn[i] - first < end - first;
        }
    }
    if (count > FEW_DRAWN) return count;
    for (size_t i = 0; i < count; ++i) insert(few, i);
    for (size_t i = 0; i < count; ++i)
        if (!i || few[i] != few[i - 1]) few[kept++] = few[i];  // some are drawn twice
    return kept;
}

size_t random_blocks(const struct term *term, const tulle_pattern_site *site, int64_t query_block,
                     int64_t first, int64_t end, uint32_t *blocks) {
    const uint64_t among = candidates(term, site, query_block), wanted = (uint64_t)term->count;
    const uint64_t from = first > 0 ? (uint64_t)first : 0, to = end < 0 ? 0
                                                                : (uint64_t)end < among
                                                                    ? (uint64_t)end
                                                                    : among;
    if (from >= to) return 0;
    if (wanted >= among) {
        for (uint64_t i = from; i < to; ++i) blocks[i - from] = (uint32_t)i;
        return (size_t)(to - from);
    }
    // where many are expected they are drawn with all others at once
    if (to <= among - wanted &&
        (double)wanted * (double)(to - from) < FEW_DRAWN / 4 * (double)among) {
        uint32_t few[FEW_DRAWN + AT_ONCE + 1];
        const size_t count = draw_few(term, site, query_block, among, from, to, few);
        if (count <= FEW_DRAWN) {
            memcpy(blocks, few, count * sizeof *blocks);
            return count;
        }
    }
    return draw_all(term, site, query_block, among, from, to, blocks);
}

size_t random_most(const struct term *term, const tulle_pattern_site *site,
                   int64_t last_query_block) {
    uint64_t among = candidates(term, site, last_query_block), wanted = (uint64_t)term->count;
    return (size_t)(wanted < among ? wanted : among);
}

bool random_selects(const struct term *term, const tulle_pattern_site *site, int64_t query_block,
                    int64_t key_block) {
    uint64_t among = candidates(term, site, query_block), wanted = (uint64_t)term->count;
    if (key_block < 0 || (uint64_t)key_block >= among) return false;
    if (wanted >= among) return true;

    // Floyd's steps backwards, in no memory at all. A block is in after step t if it was before, if
    // it was drawn in step t, or if it is t itself and what was drawn instead was in before: then
    // that is the block to ask for.
    uint64_t sought = (uint64_t)key_block;
    for (uint64_t t = among; t-- > among - wanted;) {
        uint64_t drawn = draw(term, site, query_block, t);
        if (drawn == sought) return true;
        if (t == sought) sought = drawn;
    }
    return false;
}
