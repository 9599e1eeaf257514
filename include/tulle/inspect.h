// SPDX-License-Identifier: MIT
//
// Tulle, looked into: what a plan computes and why, for pictures, benches and tests. Running an
// attention needs none of it.
//
// Contents:
//
//     Pattern    is one pair selected
//     Schedule   the pairs of a plan, and what its parts cost; the runs of keys that its kernels go
//                over
//     Kernels    which variants there are, which would serve and why not the others, what they cost
//
// Conventions, versions and threads as in tulle/tulle.h.
#ifndef TULLE_INSPECT_H
#define TULLE_INSPECT_H

#include "tulle.h"

#ifdef __cplusplus
extern "C" {
#endif

#define tulle_schedule_walk TULLE_VERSIONED(tulle_schedule_walk)

// -------------------------------------------------------------------------------------------------
// Pattern

/// Where a pattern is evaluated.
typedef struct tulle_pattern_site {
    int64_t head;             ///< 0 … heads − 1; another selects nothing
    int64_t heads, kv_heads;  ///< 0: 1, and heads
    int64_t kv_len;           ///< keys there are, from position 0 on
    bool causal;
} tulle_pattern_site;

/// Does the pattern select (p, j), causal included? A slow, plain answer for pictures and
/// debugging. A NULL argument: no. Any thread.
TULLE_API bool tulle_pattern_selects(const tulle_pattern *pattern, const tulle_pattern_site *site,
                                     int64_t p, int64_t j);

// -------------------------------------------------------------------------------------------------
// Schedule

/// Selected pairs summed over batch and heads, exactly, counted now. Any thread. Errors:
/// INVALID_ARGUMENT, memory.
TULLE_API tulle_result tulle_plan_count_pairs(const tulle_plan *plan, uint64_t *pairs,
                                              tulle_error *error);

/// What a part of a plan's schedule costs, or one of its terms would, were that the whole pattern.
typedef struct tulle_cost {
    uint32_t pattern;         ///< of the descriptor's, from 0
    uint32_t sequence, head;  ///< the first (batch entry, or packed sequence; head) of those below
    uint32_t entries;  ///< so many (sequence, head) have this schedule; the figures are one's
    bool alone;        ///< a term alone; else a part, as the plan has it
    uint32_t part;     ///< its number (tulle_run); of a term alone 0
    bool listed;       ///< of rows that are tiled apart from their neighbours
    /// as a spec says them; "": a tree's keys and no term. The library's, until the callback returns
    const char *terms;
    uint64_t tiles, runs;
    /// rows × keys, as in tulle_plan_info; but of few queries, whose heads a plan may pack into one
    /// tile, as if each head had its own
    uint64_t visited;
    uint64_t selected;  ///< pairs
} tulle_cost;

typedef void (*tulle_cost_callback)(void *user, const tulle_cost *cost);

/// What of a plan costs how much: one call of `each` for every part of each schedule, and where the
/// pattern has several terms one for each of them alone. A pair that several parts select counts in
/// the first; terms alone each count it. A tree's pairs count in the part of step 1, and beside each
/// term alone. Counted now, on every tile: takes as long as planning, and
/// about once more a term. Any thread. Errors: INVALID_ARGUMENT, memory.
TULLE_API tulle_result tulle_plan_costs(const tulle_plan *plan, tulle_cost_callback each,
                                        void *user, tulle_error *error);

typedef enum tulle_run_kind {
    TULLE_RUN_FULL = 0,  ///< every row takes every key
    TULLE_RUN_BAND,      ///< each row takes the keys between two diagonals
    TULLE_RUN_BITS,      ///< a bit for each pair says
} tulle_run_kind;

/// One run: rows [row, row + rows) by steps of `step` against `keys` keys from `key` on by steps of
/// `step` (keys that come from a list: one call per key; rows that lie no step apart: one call for
/// each stretch of them). Head by head, also where a plan lets heads share tiles.
typedef struct tulle_run {
    tulle_run_kind kind;
    int64_t row, rows, key, keys, step;
    uint32_t
        part;  ///< of the union's parts, from 0: terms that share a step and are tiled together
} tulle_run;

typedef void (*tulle_run_callback)(void *user, const tulle_run *run);

/// Schedules desc for one (batch entry, or packed sequence; head) and calls `each` for every run; for
/// a sequence without rows not once. context may be NULL, for no
/// device is needed: base's default tile. Any thread. Errors: INVALID_ARGUMENT, UNSUPPORTED,
/// memory.
TULLE_API tulle_result tulle_schedule_walk(tulle_context *context, const tulle_attention_desc *desc,
                                           uint32_t batch, uint32_t head, tulle_run_callback each,
                                           void *user, tulle_error *error);

// -------------------------------------------------------------------------------------------------
// Kernels

/// One variant. reason is "" where it would serve.
typedef void (*tulle_variant_callback)(void *user, const char *name, bool serves,
                                       const char *reason);

/// What the variants are and whether each would serve: one call of `each` for each variant of Q's
/// dtype (and, where the descriptor names a kernel, whose name begins so), in order of preference.
/// Any thread.
TULLE_API void tulle_plan_explain(const tulle_plan *plan, tulle_variant_callback each, void *user);

/// The same for a descriptor without making a plan; desc may be NULL (a plain dense fp32 head of
/// 64). Any thread. Errors: INVALID_ARGUMENT, memory.
TULLE_API tulle_result tulle_explain(tulle_context *context, const tulle_attention_desc *desc,
                                     tulle_variant_callback each, void *user, tulle_error *error);

/// Workloads that a tuning holds for (tulle_tune).
typedef struct tulle_tuned_class {
    tulle_dtype dtype;
    uint32_t head_dim;  ///< the largest head size of its class
    tulle_phase phase;
    bool addresses;     ///< buffers have addresses
    uint32_t matrices;  ///< cooperative ones of dtype: 0 none, 1 some, 2 that can be reduced too
} tulle_tuned_class;

typedef void (*tulle_tuned_callback)(void *user, const tulle_tuned_class *of, const char *kernel);

/// What was tuned, here or in the cache that was read: one call of `each` a class. Any thread.
TULLE_API void tulle_tuned(const tulle_context *context, tulle_tuned_callback each, void *user);

/// What the order of preference rests on: on GPUs what compilers report, on CPU drivers what was
/// measured of Mesa's, on these releases.
typedef struct tulle_ranking {
    bool measured;  ///< by measurements; else all below is 0
    /// of this driver's own release and subgroup size; else of the nearest that were measured
    bool measured_here;
    uint32_t release_major, release_minor;  ///< of Mesa, whose figures count: 25, 0
    uint32_t subgroup_size;                 ///< with which they were measured
} tulle_ranking;

/// Any thread. A NULL argument: nothing is written.
TULLE_API void tulle_context_ranking(const tulle_context *context, tulle_ranking *ranking);

/// What the driver reports of one compiled executable (VK_KHR_pipeline_executable_properties).
typedef void (*tulle_statistic_callback)(void *user, const char *pipeline, const char *statistic,
                                         double value);

/// Compiles every variant in every head-size class and dtype that this device could run, and
/// reports; of one that plans take in several forms (by what their items do), the largest of those
/// whose items resume partial results, and of the others. `each` is called first with statistic
/// "compiled, ms" of each pipeline, then with what the driver reports of it, if it does.
/// `include_refused`: also those that selection would refuse on this device, where its features
/// allow compiling them. Any thread. Errors: INVALID_ARGUMENT, memory, DEVICE_LOST, VULKAN.
TULLE_API tulle_result tulle_compile_all(tulle_context *context, bool include_refused,
                                         tulle_statistic_callback each, void *user,
                                         tulle_error *error);

#ifdef __cplusplus
}
#endif
#endif
