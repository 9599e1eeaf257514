// SPDX-License-Identifier: MIT
//
// Steps of decoding, a few query rows a sequence against its cache: the workloads of
// `tulle bench --phase decode`.
#ifndef TULLE_TOOLS_BENCH_DECODE_H
#define TULLE_TOOLS_BENCH_DECODE_H

#include "bench/workload.h"

/// Dense over a long and a short cache; patterns that select as many keys of a much longer one as the
/// short one has; many short caches, equally long and ragged. shape: heads, sizes, query rows, dtype
/// and kernel of all. quick: a quarter of the length and of the batch. Returns how many, at most
/// `most`.
size_t workload_decode(struct workload *list, size_t most, bool quick,
                       const struct workload *shape);

#endif
