// SPDX-License-Identifier: MIT
#include "bench/roofline.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/ragged.h"
#include "tulle/inspect.h"

// Which keys are taken: at step 1 where runs begin and end, summed up afterwards, so that a run
// costs the same however long it is; at other steps one by one.
struct keys {
    int64_t *begun;  // [kv_len + 1]
    bool *taken;     // [kv_len]
    int64_t kv_len;
};

static void take_run(void *user, const tulle_run *run) {
    const struct keys *keys = user;
    const int64_t first = run->key > 0 ? run->key : 0;
    if (run->step == 1) {
        const int64_t end =
            run->key + run->keys < keys->kv_len ? run->key + run->keys : keys->kv_len;
        if (end <= first) return;
        keys->begun[first]++;
        keys->begun[end]--;
        return;
    }
    for (int64_t i = 0; i < run->keys; i++) {
        const int64_t key = run->key + i * run->step;
        if (key >= 0 && key < keys->kv_len) keys->taken[key] = true;
    }
}

static uint64_t count_keys(const struct keys *keys) {
    uint64_t count = 0;
    int64_t open = 0;
    for (int64_t key = 0; key < keys->kv_len; key++) {
        open += keys->begun[key];
        count += open > 0 || keys->taken[key];
    }
    return count;
}

// Adds the keys that the query heads of a kv head take, over all kv heads of the first batch entry.
static tulle_result add_keys(tulle_context *context, const tulle_attention_desc *desc,
                             struct keys *keys, uint64_t *count, tulle_error *error) {
    const uint32_t group = desc->heads / desc->kv_heads;
    for (uint32_t kv_head = 0; kv_head < desc->kv_heads; kv_head++) {
        memset(keys->begun, 0, ((size_t)keys->kv_len + 1) * sizeof *keys->begun);
        memset(keys->taken, 0, (size_t)keys->kv_len * sizeof *keys->taken);
        for (uint32_t i = 0; i < group; i++) {
            const tulle_result result =
                tulle_schedule_walk(context, desc, 0, kv_head * group + i, take_run, keys, error);
            if (result) return result;
        }
        *count += count_keys(keys);
    }
    return TULLE_OK;
}

// Over the batch. Entries of one length take the same keys; others are walked each as a batch of its
// own, for a walk looks at all entries of its batch.
static tulle_result taken_keys(tulle_context *context, const tulle_attention_desc *desc,
                               struct keys *keys, uint64_t *count, tulle_error *error) {
    tulle_attention_desc one = *desc;
    tulle_result result = TULLE_OK;
    *count = 0;
    if (!desc->kv_lengths) {
        result = add_keys(context, desc, keys, count, error);
        *count *= desc->batch;
        return result;
    }
    one.batch = 1;
    for (uint32_t entry = 0; entry < desc->batch && !result; entry++) {
        one.kv_lengths = desc->kv_lengths + entry;
        result = add_keys(context, &one, keys, count, error);
    }
    return result;
}

static uint64_t bytes_of(uint64_t queries, uint64_t keys, uint32_t head_dim, uint32_t v_head_dim,
                         tulle_dtype dtype) {
    return (queries + keys) * (head_dim + v_head_dim) * tulle_dtype_size(dtype);
}

tulle_result roofline_bytes(tulle_context *context, const tulle_attention_desc *desc,
                            uint64_t *bytes, tulle_error *error) {
    struct keys keys = { .begun = malloc(((size_t)desc->kv_len + 1) * sizeof *keys.begun),
                         .taken = malloc((size_t)desc->kv_len * sizeof *keys.taken),
                         .kv_len = desc->kv_len };
    tulle_result result = TULLE_OK;
    uint64_t count = 0;
    if (keys.begun && keys.taken) {
        result = taken_keys(context, desc, &keys, &count, error);
    } else {
        result = error->result = TULLE_ERROR_OUT_OF_HOST_MEMORY;
        snprintf(error->message, sizeof error->message, "out of memory to count the keys taken");
    }
    free(keys.begun);
    free(keys.taken);
    *bytes = bytes_of((uint64_t)desc->batch * desc->heads * desc->q_len, count, desc->head_dim,
                      desc->v_head_dim, desc->dtype);
    return result;
}

uint64_t roofline_all_bytes(const struct workload *w) {
    return bytes_of((uint64_t)w->batch * w->heads * w->q_len, w->kv_heads * ragged_keys(w),
                    w->head_dim, w->v_head_dim, w->dtype);
}

struct roofline roofline_of(const struct outcome *o, const struct peaks *peaks) {
    const struct workload *w = &o->workload;
    struct roofline r = { .limit_ms = NAN, .share = NAN };
    if (peaks->multiply_add_gflops <= 0 || peaks->copy_bytes_per_s <= 0) return r;
    const double flops = 2.0 * ((double)w->head_dim + w->v_head_dim) * (double)o->figures.pairs,
                 computing = flops / peaks->multiply_add_gflops * 1e-6,
                 moving = 1e3 * (double)o->bytes / peaks->copy_bytes_per_s;
    r.binds = computing >= moving ? "multiply-adds" : "copy";
    r.limit_ms = fmax(computing, moving);
    r.share = r.limit_ms / o->figures.ms;
    return r;
}
