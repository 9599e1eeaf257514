// SPDX-License-Identifier: MIT
//
// What `tulle bench` was asked for: its options, read and checked.
#ifndef TULLE_TOOLS_BENCH_REQUEST_H
#define TULLE_TOOLS_BENCH_REQUEST_H

#include "bench/report.h"
#include "cache/cache_file.h"
#include "tulle/tulle.h"

#define MOST_DEVICES 16
#define MOST_KERNELS 64
#define MOST_LENGTHS 8

/// What is measured.
enum bench_task {
    TASK_SEEDS,
    TASK_DECODE,     ///< --phase decode
    TASK_MODELS,     ///< --suite models, --model
    TASK_OWN,        ///< --pattern
    TASK_CROSSOVER,  ///< --crossover
    TASK_PLANNING,   ///< --plan
};

struct request {
    enum bench_task task;
    const char *devices[MOST_DEVICES], *kernels[MOST_KERNELS];
    size_t device_count, kernel_count;
    bool quick, command, verify;
    enum report_format format;
    int64_t repeat;   ///< 0: as many as fit
    int64_t seconds;  ///< of a search for crossovers
    struct cache_file cache;

    const char *phase;  ///< PHASE_DECODE or PHASE_PREFILL; NULL: whichever
    int64_t q_rows;     ///< of PHASE_DECODE, a sequence

    // of TASK_OWN; of TASK_CROSSOVER and TASK_DECODE the heads, sizes and dtype; of TASK_MODELS the
    // dtype
    const char *spec;
    bool causal, sink_logits;
    int64_t q_len, kv_len, kv_least, batch, heads, kv_heads, head_dim,
        v_head_dim;  ///< 0: not given
    tulle_dtype dtype;

    const char *model;  ///< of TASK_MODELS: how their names begin; NULL: all
    /// of TASK_MODELS (or PUBLISHED_LENGTH) and TASK_CROSSOVER (one)
    uint32_t lengths[MOST_LENGTHS];
    size_t length_count;
};

/// Of PHASE_DECODE alone?
bool request_decodes(const struct request *request);

/// Returns -1 to go on, else an exit status.
int request_read(int argc, char **argv, struct request *request);

#endif
