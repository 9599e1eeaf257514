// SPDX-License-Identifier: MIT
//
// Batches whose caches are not equally long: lengths from the shortest to the longest, evenly apart.
#ifndef TULLE_TOOLS_BENCH_RAGGED_H
#define TULLE_TOOLS_BENCH_RAGGED_H

#include "bench/workload.h"

/// Keys of batch entry `entry`: kv_len where the batch is not ragged. Neighbours are far from equal,
/// as sequences that came in any order are.
uint32_t ragged_length(const struct workload *workload, uint32_t entry);

/// Those of all entries, the caller's to free; NULL: out of memory.
int32_t *ragged_lengths(const struct workload *workload);

/// Keys of all entries together.
uint64_t ragged_keys(const struct workload *workload);

#endif
