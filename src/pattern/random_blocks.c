// SPDX-License-Identifier: MIT
//
// Random key blocks: Floyd's sampling with Philox4x32-10 as its source, so that every device and
// every language draws the same blocks for (seed, head, query block), without a state that would
// have to be carried along.
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

// The output array doubles as the set of blocks taken so far: 2r slots of 32 bits in r entries of
// 64. A slot holds block + 1, 0 where it is empty.
static uint32_t slot_get(const int64_t *blocks, uint64_t slot) {
    return (uint32_t)((uint64_t)blocks[slot >> 1] >> (slot & 1 ? 32 : 0));
}

static void slot_set(int64_t *blocks, uint64_t slot, uint32_t value) {
    uint64_t word = (uint64_t)blocks[slot >> 1];
    if (slot & 1) word = (word & UINT32_MAX) | (uint64_t)value << 32;
    else word = (word & ~(uint64_t)UINT32_MAX) | value;
    blocks[slot >> 1] = (int64_t)word;
}

// Adds a block to the set; false where it is in already. A slot's place rises with the block: at
// every step the set is spread evenly over what may have been drawn, so runs stay short (at most
// half the slots of any range are in use, on average), and the table ends up all but sorted.
static bool take(int64_t *blocks, uint64_t slots, uint64_t among, uint64_t block) {
    uint64_t slot = block * slots / among;
    for (uint32_t held; (held = slot_get(blocks, slot)) != 0;) {
        if (held == block + 1) return false;
        slot = slot + 1 == slots ? 0 : slot + 1;
    }
    slot_set(blocks, slot, (uint32_t)(block + 1));
    return true;
}

#define AT_ONCE 8  // draws that do not wait for each other

size_t random_blocks(const struct term *term, const tulle_pattern_site *site, int64_t query_block,
                     int64_t *blocks) {
    uint64_t among = candidates(term, site, query_block), wanted = (uint64_t)term->count;
    if (wanted >= among) {
        for (uint64_t i = 0; i < among; ++i) blocks[i] = (int64_t)i;
        return (size_t)among;
    }

    uint64_t slots = 2 * wanted;
    for (uint64_t i = 0; i < wanted; ++i) blocks[i] = 0;
    for (uint64_t t = among - wanted; t < among; t += AT_ONCE) {
        uint64_t drawn[AT_ONCE], some = among - t < AT_ONCE ? among - t : AT_ONCE;
        for (uint64_t i = 0; i < AT_ONCE; ++i) drawn[i] = draw(term, site, query_block, t + i);
        for (uint64_t i = 0; i < some; ++i)
            if (!take(blocks, slots, among, drawn[i]))
                take(blocks, slots, among, t + i);  // new: t + i is above all before
    }

    // Slots in use to the front, then one entry each: from the last on, since entry i covers the
    // slots 2i and 2i + 1.
    uint64_t used = 0;
    for (uint64_t slot = 0; slot < slots; ++slot) {
        uint32_t held = slot_get(blocks, slot);
        if (held) slot_set(blocks, used++, held);
    }
    for (uint64_t i = wanted; i-- > 0;) blocks[i] = (int64_t)slot_get(blocks, i) - 1;

    // All but sorted: out of place are short runs, and the few that went past the last slot to the
    // front.
    for (uint64_t i = 1; i < wanted; ++i) {
        int64_t block = blocks[i];
        uint64_t to = i;
        for (; to > 0 && blocks[to - 1] > block; --to) blocks[to] = blocks[to - 1];
        blocks[to] = block;
    }
    return (size_t)wanted;
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
