// SPDX-License-Identifier: MIT
#include "common/statistics.h"

#include <math.h>
#include <stdlib.h>

#define LEAST_FOR_RANKS 6  // the least and the largest of 5 hold the median in 93.75 % of all cases
#define MOST_EXACT 1000    // 2^-n is a double

static int compare(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double middle(const double *sorted, uint32_t count) {
    return count % 2 ? sorted[count / 2] : 0.5 * (sorted[count / 2 - 1] + sorted[count / 2]);
}

double median(double *numbers, uint32_t count) {
    qsort(numbers, count, sizeof *numbers, compare);
    return middle(numbers, count);
}

// The largest rank k, from 1, whose sample and its mirror image hold the median with 95 %: each
// sample lies below it or above it like a coin, so at most k − 1 of n coins show heads with at most
// 2.5 %.
static uint32_t interval_rank(uint32_t count) {
    if (count > MOST_EXACT) return (uint32_t)floor(0.5 * (count - 1.96 * sqrt(count)));
    double exactly = ldexp(1, -(int)count), at_most = exactly;
    uint32_t heads = 0;
    while (at_most + exactly * (count - heads) / (heads + 1) <= 0.025) {
        exactly *= (double)(count - heads) / (heads + 1);
        at_most += exactly;
        heads++;
    }
    return heads + 1;
}

// The median of what lies d from the middle: the distances of sorted numbers fall towards it and
// rise from it, so the smallest are merged from there outwards.
static double median_distance(const double *sorted, uint32_t count, double from) {
    uint32_t above = 0;
    while (above < count && sorted[above] < from) above++;
    uint32_t below = above;
    double last = 0, before = 0;
    for (uint32_t taken = 0; taken <= count / 2; taken++) {
        const double up = above < count ? sorted[above] - from : INFINITY,
                     down = below > 0 ? from - sorted[below - 1] : INFINITY;
        before = last;
        last = fmin(up, down);
        if (up < down) above++;
        else below--;
    }
    return count % 2 ? last : 0.5 * (before + last);
}

struct summary summarize(double *numbers, uint32_t count) {
    // 97.5 % points of Student's distribution with 1 to 4 degrees of freedom
    static const double student[] = { 12.706, 4.303, 3.182, 2.776 };
    struct summary s = { .median = median(numbers, count), .low = NAN, .high = NAN };
    s.min = numbers[0];
    s.max = numbers[count - 1];
    s.mad = median_distance(numbers, count, s.median);
    if (count >= LEAST_FOR_RANKS) {
        const uint32_t rank = interval_rank(count);
        s.low = numbers[rank - 1];
        s.high = numbers[count - rank];
    } else if (count > 1) {
        double mean = 0, squares = 0;
        for (uint32_t i = 0; i < count; i++) mean += numbers[i] / count;
        for (uint32_t i = 0; i < count; i++) squares += (numbers[i] - mean) * (numbers[i] - mean);
        const double half = student[count - 2] * sqrt(squares / (count - 1) / count);
        // the middle of few samples may lie outside: it is what the interval is of
        s.low = fmin(fmax(mean - half, 0), s.median);
        s.high = fmax(mean + half, s.median);
    }
    return s;
}
