// SPDX-License-Identifier: MIT
//
// What a program that makes mistakes has: an imported device, whose plan memory is its own and not
// mapped, as on a discrete card; the library's own device; a plan and its buffers; and what either
// context said to its log.
#ifndef TESTS_WORLD_H
#define TESTS_WORLD_H

#include <stdatomic.h>

#include "harness.h"

#define STORAGE VK_BUFFER_USAGE_STORAGE_BUFFER_BIT

enum { BATCH = 2, HEADS = 4, KV_HEADS = 2, Q_LEN = 10, KV_LEN = 20, DIM = 8, V_DIM = 16 };
enum {
    Q_BYTES = BATCH * HEADS * Q_LEN * DIM * 4,
    K_BYTES = BATCH * KV_HEADS * KV_LEN * DIM * 4,
    V_BYTES = BATCH * KV_HEADS * KV_LEN * V_DIM * 4,
    O_BYTES = BATCH * HEADS * Q_LEN * V_DIM * 4,
    LSE_BYTES = BATCH * HEADS * Q_LEN * 4
};

struct said {
    int errors, warnings;
    char error[sizeof((tulle_error *)0)->message], warning[sizeof((tulle_error *)0)->message];
};

struct world {
    const struct gpu *gpu;
    tulle_context *imported, *own;
    struct said said;
    atomic_int held;   // pieces of plan memory that contexts of world_import hold
    tulle_plan *plan;  // on the imported device, for storage buffers
    struct gpu_buffer q, k, v, o, lse;
    tulle_buffers buffers;  // right ones
};

void world_open(struct world *world);
void world_close(struct world *world);

// A context on `device` that logs to the world, with the world's memory.
tulle_context *world_import(struct world *world, const tulle_vulkan_import *device);
// The rest must succeed.
tulle_plan *world_plan(tulle_context *context, const tulle_attention_desc *desc);
void world_prepare(const struct world *world, tulle_plan *plan);
tulle_binding *world_bind(tulle_plan *plan, const tulle_buffers *buffers);

// Host arrays of the right sizes: Q, K, V, O, LSE.
extern float world_memory[5][O_BYTES / 4];
tulle_host_arrays world_arrays(void);

#endif
