// SPDX-License-Identifier: MIT
//
// How fast a workload could be at most on a device whose peaks are known: no faster than its
// multiply-adds take, nor than its bytes take to move.
#ifndef TULLE_TOOLS_BENCH_ROOFLINE_H
#define TULLE_TOOLS_BENCH_ROOFLINE_H

#include "bench/peak.h"
#include "bench/workload.h"

/// Bytes that must move at least once: Q and O, and of K and V the rows that a run of the schedule
/// takes (all of a tile's runs: a key that padding alone takes counts too), once for the heads that
/// share it.
tulle_result roofline_bytes(tulle_context *context, const tulle_attention_desc *desc,
                            uint64_t *bytes, tulle_error *error);

/// The same where every key is taken.
uint64_t roofline_all_bytes(const struct workload *workload);

struct roofline {
    const char *binds;  ///< "multiply-adds" or "copy"; NULL where a peak is not known
    double limit_ms;    ///< at that peak; NaN where it is not known
    double share;       ///< limit_ms of the time it took. Above 1: from a cache
};

/// Of a workload that was measured.
struct roofline roofline_of(const struct outcome *outcome, const struct peaks *peaks);

#endif
