// SPDX-License-Identifier: MIT
#include "bench/decode.h"

#include "bench/spec_template.h"

// Keys that the patterns select; the long caches hold 16 times as many.
#define SELECTED 4096

// Short caches, from 64 keys to 1024, and the middle of the two.
#define SHORTEST 64
#define LONGEST 1024

size_t workload_decode(struct workload *list, size_t most, bool quick,
                       const struct workload *shape) {
    static const struct {
        const char *pattern;  // a template: n is the length, x SELECTED
        uint32_t batch, kv_len, kv_least;
    } steps[] = {
        { "dense", 8, 4 * SELECTED, 0 },
        { "dense", 8, SELECTED, 0 },
        { "window:{x-1},0", 8, 16 * SELECTED, 0 },
        { "sink:64+window:{x-65},0", 8, 16 * SELECTED, 0 },
        { "blocks:64,@{n/64}x{n/64}p6", 8, 16 * SELECTED, 0 },
        { "strided:16", 8, 16 * SELECTED, 0 },
        { "dense", 64, (SHORTEST + LONGEST) / 2, 0 },
        { "dense", 64, LONGEST, SHORTEST },
        { "dense", 256, (SHORTEST + LONGEST) / 2, 0 },
        { "dense", 256, LONGEST, SHORTEST },
    };
    const uint32_t divisor = quick ? 4 : 1;
    size_t count = 0;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0] && count < most; i++) {
        struct workload *w = &list[count++];
        *w = *shape;
        w->causal = true;
        w->batch = steps[i].batch / divisor;
        w->kv_len = steps[i].kv_len / divisor;
        w->kv_least = steps[i].kv_least / divisor;
        const struct template_values values = { .n = w->kv_len, .x = SELECTED / divisor };
        spec_of_template(steps[i].pattern, &values, w->spec, sizeof w->spec);
    }
    return count;
}
