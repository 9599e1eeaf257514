// SPDX-License-Identifier: MIT
//
// The bench's JSON files, read and checked: a column of times for each device of each file.
#ifndef TULLE_TOOLS_COMPARE_COLUMNS_H
#define TULLE_TOOLS_COMPARE_COLUMNS_H

#include <cjson/cJSON.h>
#include <stdint.h>

#include "common/message.h"

/// Named A to Z.
#define MOST_COLUMNS 26

/// What makes two results ones of the same workload.
struct shape {
    const char *pattern, *dtype;
    const char *asked_kernel;  ///< by --kernel; "": the device's choice
    const char *model;         ///< whose attention it is; "": nobody's
    bool causal, sink_logits;
    uint64_t batch, heads, kv_heads, q_len, kv_len, head_dim, v_head_dim;
    uint64_t kv_least;  ///< of a ragged batch, keys of its shortest cache; else kv_len
};

struct time {
    struct shape shape;
    const char *phase;
    double ms, low, high;  ///< median and its 95 % interval, NaN where there is none
    uint64_t pairs;
    const char *missing;  ///< why there is no time; NULL: there is
    const cJSON *json;    ///< the result itself
};

struct column {
    const char *path;
    const char *device, *driver, *driver_info, *implementation, *clock, *program, *version, *commit,
        *date;
    int64_t device_index;     ///< in its file
    const cJSON *json, *run;  ///< the device itself, and the run that it was in
    struct time *times;
    size_t count;
};

struct columns {
    struct column list[MOST_COLUMNS];
    size_t count;
    cJSON *files[MOST_COLUMNS];  ///< what all strings point into
    size_t file_count;
    bool crossovers_do;  ///< a file may hold what `tulle bench --crossover` found, and no results
};

/// Adds the columns of a file, JSON or JSON lines, as docs/bench.schema.json has them. On failure
/// *columns is to be freed all the same.
bool columns_read(struct columns *columns, const char *path, struct message *message);

void columns_free(struct columns *columns);

/// A string of one of the bench's objects, without control characters; NULL where there is none, or
/// where it is too long to be one of the bench's.
const char *bench_text(const cJSON *object, const char *name);

/// A number of one of the bench's objects; NaN where there is none that is finite and at least 0.
double bench_number(const cJSON *object, const char *name);

/// All pairs that there are, selected or not.
double shape_pairs(const struct shape *shape);

/// The time of a workload; NULL where the column has none. That of the model and of the kernel that
/// was asked for, or else the only one of that shape, by whichever kernel: devices have different
/// ones.
const struct time *column_find(const struct column *column, const struct shape *shape);

/// What the first workload of `a` lacks in `b`, in words: why the two have nothing in common.
void columns_differ(const struct column *a, const struct column *b, struct message *why);

#endif
