// SPDX-License-Identifier: MIT
#include "problem/footprint.h"

#include "common/arithmetic.h"

struct footprint footprint_of(const struct attention *a, int t, const tulle_strides *strides,
                              int64_t first) {
    const int64_t given[] = { strides->batch, strides->head, strides->row };
    struct footprint print = {
        .first = first,
        .bytes = (int64_t)(a->given_dim[t] * attention_element(a, t)),
    };
    attention_lengths(a, t, print.length);
    // of an axis of one the stride may be any number
    for (int i = 0; i < 3; i++)
        if (print.length[i] > 1) print.stride[i] = given[i] * (int64_t)attention_element(a, t);
    return print;
}

/// A multiple of `stride`, from 0 to `most` of it.
struct axis {
    int64_t stride, most;
};

/// Is a sum of one multiple of each axis in low … high? Axes by falling stride. Where each stride exceeds what the later
/// axes add up to, two multiples of it at most are tried; `steps` bounds the tries of others, and then says yes.
static bool sum_reaches(const struct axis *axes, int count, int64_t low, int64_t high, int *steps) {
    if (high < 0) return false;
    if (low <= 0) return true;
    if (!count) return false;
    int64_t rest = 0;  // what the later axes can add
    for (int i = 1; i < count; i++) rest += axes[i].stride * axes[i].most;
    int64_t last = least(high / axes->stride, axes->most);
    for (int64_t n = most(0, ceil_div(low - rest, axes->stride)); n <= last; n++) {
        if (--*steps < 0) return true;
        int64_t at = n * axes->stride;
        if (sum_reaches(axes + 1, count - 1, low - at, high - at, steps)) return true;
    }
    return false;
}

bool footprints_meet(const struct footprint *a, const struct footprint *b) {
    // a row of a at x and one of b at y share a byte where −a's bytes < x − y < b's bytes; x − y as a sum that begins at 0
    struct axis axes[6];
    int count = 0;
    int64_t least_difference = a->first - b->first;
    for (int of = 0; of < 2; of++)
        for (int i = 0; i < 3; i++) {
            int64_t stride = of ? -b->stride[i] : a->stride[i];
            int64_t last = (of ? b : a)->length[i] - 1;
            if (!stride || !last) continue;
            if (stride < 0) {
                least_difference += stride * last;
                stride = -stride;
            }
            int at = count++;
            for (; at > 0 && axes[at - 1].stride < stride; at--) axes[at] = axes[at - 1];
            axes[at] = (struct axis){ stride, last };
        }
    // the same stride in both is one axis: it would be tried twice
    int kept = 0;
    for (int i = 0; i < count; i++)
        if (kept && axes[kept - 1].stride == axes[i].stride) axes[kept - 1].most += axes[i].most;
        else axes[kept++] = axes[i];
    int steps = 4096;
    return sum_reaches(axes, kept, 1 - a->bytes - least_difference, b->bytes - 1 - least_difference,
                       &steps);
}

bool footprint_overlaps_itself(const struct footprint *print) {
    // of two rows the one that lies further along the first axis in which they differ, and the
    // other
    for (int i = 0; i < 3; i++) {
        if (print->length[i] <= 1) continue;
        struct footprint further = *print;
        for (int k = 0; k < i; k++) further.length[k] = 1;
        struct footprint other = further;
        other.length[i] = 1;
        further.length[i]--;
        further.first += further.stride[i];
        if (footprints_meet(&further, &other)) return true;
    }
    return false;
}

bool footprints_equal(const struct footprint *a, const struct footprint *b) {
    bool equal = a->first == b->first && a->bytes == b->bytes;
    for (int i = 0; i < 3; i++)
        equal = equal && a->length[i] == b->length[i] &&
                (a->length[i] == 1 || a->stride[i] == b->stride[i]);
    return equal;
}
