// SPDX-License-Identifier: MIT
//
// Workloads of the bench: what they are, how they are run, and the dense attention that they are
// compared with.
#ifndef TULLE_TOOLS_BENCH_WORKLOAD_H
#define TULLE_TOOLS_BENCH_WORKLOAD_H

#include "common/measure.h"

struct workload {
    const char *model;  ///< whose attention it is; NULL: nobody's
    char spec[200];
    bool causal;
    bool sink_logits;  ///< made-up ones, one a head
    uint32_t batch, heads, kv_heads, q_len, kv_len, head_dim, v_head_dim;
    /// keys of the shortest cache of a ragged batch (ragged.h), whose longest has kv_len; 0: all have
    uint32_t kv_least;
    tulle_dtype dtype;
    const char *kernel;  ///< NULL: the best
};

/// Where and how thoroughly workloads run.
struct bench {
    tulle_context *context;
    uint32_t repeat;  ///< 0: as many as fit in `seconds`
    double seconds;
    struct dense *known;  ///< dense attentions measured so far
    size_t known_count, known_room;
};

/// A dense attention of the same shapes, as the yardstick of a workload.
struct dense {
    struct workload workload;
    struct figures figures;  ///< where measured is false: of the largest that was measured
    double *samples;         ///< the bench's
    uint64_t bytes;
    bool measured;  ///< of these very lengths; else `ms` is reckoned from the time per pair
    double ms;
};

/// One line of the table.
struct outcome {
    struct workload workload;
    struct figures figures;
    struct dense dense;
    bool reckoned;     ///< a dense workload that would have taken too long: its `ms` is dense.ms
    double *samples;   ///< figures.repeats times in the order of running; NULL where reckoned
    uint64_t bytes;    ///< that must move (roofline_bytes)
    char error[1000];  ///< why there are no figures; "": there are
};

/// The seed workloads; returns how many, at most `most`. quick: few and short.
size_t workload_seeds(struct workload *list, size_t most, bool quick, uint32_t heads);

/// Query rows of a step of decoding, at most; those that TULLE_PHASE_FEW_ROWS is.
#define MOST_DECODE_ROWS 16

#define PHASE_DECODE "decode"
#define PHASE_PREFILL "prefill"

/// PHASE_PREFILL (as many queries as keys), PHASE_DECODE (one query, or a few of more keys) or "chunk"
/// (what lies between).
const char *workload_phase(const struct workload *workload);

/// Room for the line below: a spec and a device's name (VkPhysicalDeviceProperties, 256) of quotes
/// alone, four bytes each.
#define WORKLOAD_COMMAND 2200

/// The `tulle bench` line that has this workload again, for a POSIX shell. device: as given to
/// --device, or NULL.
void workload_command(const struct workload *workload, const char *device, char *text, size_t size);

/// Runs it alone on made-up data. *samples: figures->repeats times in the order of running, the
/// caller's to free, whatever the result.
tulle_result workload_time(struct bench *bench, const struct workload *workload,
                           struct figures *figures, double **samples, uint64_t *bytes,
                           tulle_error *error);

/// Runs it on made-up data, and the dense yardstick where it is not known yet. On failure
/// out->workload and out->error are filled too.
tulle_result workload_run(struct bench *bench, const struct workload *workload, struct outcome *out,
                          tulle_error *error);

void outcome_free(struct outcome *outcome);

void bench_free(struct bench *bench);

#endif
