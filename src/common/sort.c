// SPDX-License-Identifier: MIT
#include "common/sort.h"

#include <stdbool.h>
#include <string.h>

#define FEW 24  // up to here insertion is the faster way
#define DIGIT_BITS_LEAST 5
#define DIGIT_BITS_MOST 11

// What is inline is made anew for each constant size: moves of 8, 16 … bytes, and no calls.

static inline int64_t number_of(const char *element) {
    int64_t number;
    memcpy(&number, element, sizeof number);
    return number;
}

static inline void insert_each(char *elements, char *moved, size_t count, size_t size) {
    for (size_t i = 1; i < count; i++) {
        const int64_t number = number_of(elements + i * size);
        size_t k = i;
        while (k && number_of(elements + (k - 1) * size) > number) k--;
        if (k == i) continue;
        memcpy(moved, elements + i * size, size);
        memmove(elements + (k + 1) * size, elements + k * size, (i - k) * size);
        memcpy(elements + k * size, moved, size);
    }
}

/// One digit, of `bits` bits from `shift` on, of how far a number lies above the lowest. False: it
/// is the same everywhere, and nothing moved.
static inline bool by_digit(const char *from, char *to, size_t count, size_t size, int64_t lowest,
                            unsigned shift, unsigned bits) {
    size_t at[(1 << DIGIT_BITS_MOST) + 1];
    const uint64_t digits = UINT64_C(1) << bits, mask = digits - 1;
    memset(at, 0, (digits + 1) * sizeof *at);
    for (size_t i = 0; i < count; i++)
        at[(((uint64_t)number_of(from + i * size) - (uint64_t)lowest) >> shift & mask) + 1]++;
    for (size_t digit = 0; digit < digits; digit++) {
        if (at[digit + 1] == count) return false;
        at[digit + 1] += at[digit];
    }
    for (size_t i = 0; i < count; i++) {
        const char *element = from + i * size;
        const size_t digit = ((uint64_t)number_of(element) - (uint64_t)lowest) >> shift & mask;
        memcpy(to + at[digit]++ * size, element, size);
    }
    return true;
}

/// The width of digits with which so many numbers below 2^all are sorted fastest: a pass goes over
/// the numbers twice, and over the counts of its digits.
static unsigned digit_bits(size_t count, unsigned all) {
    unsigned best = DIGIT_BITS_MOST;
    uint64_t least = UINT64_MAX;
    for (unsigned bits = DIGIT_BITS_LEAST; bits <= DIGIT_BITS_MOST; bits++) {
        const uint64_t passes = (all + bits - 1) / bits, cost = passes * (3 * count + (1u << bits));
        if (cost < least) least = cost, best = bits;
    }
    return best;
}

static inline void sort_sized(char *elements, char *scratch, size_t count, size_t size) {
    if (count <= FEW) {
        insert_each(elements, scratch, count, size);
        return;
    }
    bool rising = true;
    int64_t lowest = number_of(elements), highest = lowest;
    for (size_t i = 1; i < count; i++) {
        const int64_t number = number_of(elements + i * size);
        rising = rising && number >= number_of(elements + (i - 1) * size);
        if (number < lowest) lowest = number;
        if (number > highest) highest = number;
    }
    if (rising) return;
    const uint64_t range = (uint64_t)highest - (uint64_t)lowest;
    unsigned all = 1;
    while (all < 64 && range >> all) all++;
    const unsigned bits = digit_bits(count, all);
    char *from = elements, *to = scratch;
    for (unsigned shift = 0; shift < all; shift += bits)
        if (by_digit(from, to, count, size, lowest, shift, bits)) {
            char *const before = from;
            from = to;
            to = before;
        }
    if (from != elements) memcpy(elements, from, count * size);
}

void sort_rising(void *elements, void *scratch, size_t count, size_t size) {
    switch (size) {
    case 8: sort_sized(elements, scratch, count, 8); break;
    case 16: sort_sized(elements, scratch, count, 16); break;
    case 48: sort_sized(elements, scratch, count, 48); break;  // a region
    default: sort_sized(elements, scratch, count, size); break;
    }
}
