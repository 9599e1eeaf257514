// SPDX-License-Identifier: MIT
#include "compare/ratio.h"

#include <math.h>

struct ratio ratio_of(const struct time *time, const struct time *base, double drift) {
    struct ratio r = {
        .value = time->ms / base->ms, .low = NAN, .high = NAN, .verdict = VERDICT_UNKNOWN
    };
    if (isnan(time->low) || isnan(time->high) || isnan(base->low) || isnan(base->high)) return r;
    // an end at 0 gives an infinite distance, and so an interval that holds everything
    const double below = hypot(log(time->ms / time->low), log(base->high / base->ms)),
                 above = hypot(log(time->high / time->ms), log(base->ms / base->low));
    r.low = r.value * exp(-hypot(below, drift));
    r.high = r.value * exp(hypot(above, drift));
    r.verdict = r.low > 1 ? VERDICT_SLOWER : r.high < 1 ? VERDICT_FASTER : VERDICT_NOISE;
    return r;
}

const char *ratio_lacks(const struct time *time, const struct time *base) {
    if (!time) return "is not there";
    if (time->missing) return time->missing;
    if (base->missing) return "the base has no time";
    return time->pairs == base->pairs ? NULL : "selects another number of pairs than in the base";
}
