// SPDX-License-Identifier: MIT
#include "report/axis.h"

#include <math.h>
#include <stdlib.h>

#define LENGTH_TICK_ROOM 42.0  // of "131,072" and what stands between two

// The largest of 1, 2, 5 times a power of ten that is at most value.
static double round_down(double value) {
    const double power = pow(10, floor(log10(value) + 1e-9));
    return value >= 4.999999 * power ? 5 * power : value >= 1.999999 * power ? 2 * power : power;
}

// The next such value.
static double next_round(double value) {
    const double power = pow(10, floor(log10(value) + 1e-9));
    const double digit = value / power;
    return digit < 1.5 ? 2 * power : digit < 3 ? 5 * power : 10 * power;
}

static double round_up(double value) {
    const double below = round_down(value);
    return below >= 0.999999 * value ? below : next_round(below);
}

struct axis axis_logarithmic(double least, double most, double from, double to) {
    struct axis axis = { .logarithmic = true, .from = from, .to = to };
    axis.low = round_down(least);
    axis.high = round_up(most);
    if (axis.high <= axis.low) axis.high = next_round(axis.low);
    const double decades = log10(axis.high / axis.low);
    const double step = pow(10, ceil(decades / 8));  // of the ticks, where there are many
    for (double t = axis.low; t <= 1.000001 * axis.high && axis.tick_count < MOST_TICKS;
         t = next_round(t)) {
        const double power = log10(t) / log10(step);
        if (decades > 2.2 && fabs(power - round(power)) > 1e-6) continue;
        axis.ticks[axis.tick_count++] = t;
    }
    return axis;
}

struct axis axis_linear(double most, double from, double to) {
    struct axis axis = { .from = from, .to = to };
    const double step = round_up(most / 5);
    axis.high = step * ceil(most / step - 1e-9);
    for (long i = 0; i <= lround(axis.high / step); i++)
        axis.ticks[axis.tick_count++] = (double)i * step;
    return axis;
}

static int compare_lengths(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

struct axis axis_lengths(uint64_t *lengths, size_t count, double from, double to) {
    qsort(lengths, count, sizeof *lengths, compare_lengths);
    struct axis axis = { .logarithmic = true,
                         .low = (double)lengths[0],
                         .high = (double)lengths[count - 1],
                         .from = from,
                         .to = to };
    if (axis.low == axis.high) axis.low /= 2;
    double last = -INFINITY;
    const double end = axis_at(&axis, axis.high);
    for (size_t i = 0; i < count && axis.tick_count < MOST_TICKS; i++) {
        const double at = axis_at(&axis, (double)lengths[i]);
        // the last always has its tick
        if (at < end && (at - last < LENGTH_TICK_ROOM || end - at < LENGTH_TICK_ROOM)) continue;
        if (at == last) continue;
        axis.ticks[axis.tick_count++] = (double)lengths[i];
        last = at;
    }
    return axis;
}

double axis_at(const struct axis *axis, double value) {
    const double share = axis->logarithmic ? log(value / axis->low) / log(axis->high / axis->low)
                                           : (value - axis->low) / (axis->high - axis->low);
    return axis->from + share * (axis->to - axis->from);
}
