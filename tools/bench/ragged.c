// SPDX-License-Identifier: MIT
#include "bench/ragged.h"

#include <stdlib.h>

static uint32_t common_divisor(uint32_t a, uint32_t b) {
    while (b) {
        const uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

// Which of the batch's lengths an entry has, from the shortest: steps of about the golden section,
// which come to each once.
static uint32_t rank_of(uint32_t entry, uint32_t batch) {
    uint32_t step = (uint32_t)(0.618 * batch);
    while (common_divisor(batch, step) != 1) step++;
    return (uint32_t)((uint64_t)entry * step % batch);
}

uint32_t ragged_length(const struct workload *w, uint32_t entry) {
    if (!w->kv_least || w->batch == 1) return w->kv_len;
    const uint32_t last = w->batch - 1, rank = rank_of(entry, w->batch);
    const uint64_t spread = w->kv_len - w->kv_least;
    // rounded from both ends alike, so that the mean is the middle
    return rank <= last / 2 ? w->kv_least + (uint32_t)(spread * rank / last)
                            : w->kv_len - (uint32_t)(spread * (last - rank) / last);
}

int32_t *ragged_lengths(const struct workload *w) {
    int32_t *lengths = malloc(w->batch * sizeof *lengths);
    for (uint32_t i = 0; lengths && i < w->batch; i++) lengths[i] = (int32_t)ragged_length(w, i);
    return lengths;
}

uint64_t ragged_keys(const struct workload *w) {
    uint64_t keys = 0;
    if (!w->kv_least) return (uint64_t)w->batch * w->kv_len;
    for (uint32_t i = 0; i < w->batch; i++) keys += ragged_length(w, i);
    return keys;
}
