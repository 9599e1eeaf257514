// SPDX-License-Identifier: MIT
#include "world.h"

#include <stdio.h>
#include <string.h>

#include "mistakes.h"

static void note(void *user, tulle_log_level level, const char *message) {
    struct said *said = user;
    if (level == TULLE_LOG_ERROR) {
        said->errors++;
        snprintf(said->error, sizeof said->error, "%s", message);
    } else if (level == TULLE_LOG_WARNING) {
        said->warnings++;
        snprintf(said->warning, sizeof said->warning, "%s", message);
    }
}

static void *allocate(void *user, const VkMemoryRequirements *needs, VkDeviceMemory *memory,
                      VkDeviceSize *offset, void **mapped) {
    struct world *world = user;
    const struct gpu *gpu = world->gpu;
    const VkMemoryAllocateFlagsInfo flags = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
        .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT,
    };
    VkMemoryAllocateInfo info = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
        .pNext = gpu->features.buffer_device_address.bufferDeviceAddress ? &flags : NULL,
        .allocationSize = needs->size,
    };
    while ((needs->memoryTypeBits >> info.memoryTypeIndex & 1) == 0) {
        info.memoryTypeIndex++;
    }
    *memory = VK_NULL_HANDLE;
    *offset = 0;
    *mapped = NULL;
    if (gpu->AllocateMemory(gpu->device, &info, NULL, memory) != VK_SUCCESS) {
        return NULL;
    }
    atomic_fetch_add(&world->held, 1);
    return (void *)(uintptr_t)*memory;
}

static void release(void *user, void *id) {
    struct world *world = user;
    const struct gpu *gpu = world->gpu;
    atomic_fetch_sub(&world->held, 1);
    gpu->FreeMemory(gpu->device, (VkDeviceMemory)(uintptr_t)id, NULL);
}

tulle_context *world_import(struct world *world, const tulle_vulkan_import *device) {
    const tulle_memory_callbacks memory = { allocate, release, world };
    const tulle_context_params params = {
        .import = device, .memory = &memory, .log = note, .log_user = &world->said
    };
    tulle_context *context = NULL;
    tulle_error error = { 0 };
    harness_ok(tulle_context_create(&params, &context, &error), &error, "tulle_context_create");
    return context;
}

tulle_plan *world_plan(tulle_context *context, const tulle_attention_desc *desc) {
    tulle_plan *plan = NULL;
    tulle_error error = { 0 };
    harness_ok(tulle_plan_create(context, desc, &plan, &error), &error, "tulle_plan_create");
    return plan;
}

void world_prepare(const struct world *world, tulle_plan *plan) {
    tulle_error error = { 0 };
    VkCommandBuffer cmd = gpu_begin(world->gpu);
    harness_ok(tulle_cmd_prepare(cmd, plan, &error), &error, "tulle_cmd_prepare");
    gpu_finish(world->gpu, cmd);
}

tulle_binding *world_bind(tulle_plan *plan, const tulle_buffers *buffers) {
    tulle_binding *binding = NULL;
    tulle_error error = { 0 };
    harness_ok(tulle_binding_create(plan, buffers, &binding, &error), &error,
               "tulle_binding_create");
    return binding;
}

static tulle_buffer fill(const struct world *world, struct gpu_buffer *buffer, VkDeviceSize bytes,
                         uint64_t stream) {
    struct rng rng = { rng_hash(harness_seed(), stream) };
    *buffer = gpu_buffer_create(world->gpu, bytes, STORAGE);
    for (VkDeviceSize n = 0; n < bytes / 4; n++) {
        ((float *)(void *)buffer->mapped)[n] = (float)rng_normal(&rng);
    }
    return (tulle_buffer){ buffer->buffer, 0, 0 };
}

void world_open(struct world *world) {
    memset(world, 0, sizeof *world);
    world->gpu = &harness_mode(MODE_IMPORT)->gpu;
    const tulle_vulkan_import device = gpu_import(world->gpu);
    world->imported = world_import(world, &device);
    tulle_context_params params = harness_own_params();
    params.validation = false;  // its messages would be counted too
    params.log = note;
    params.log_user = &world->said;
    tulle_error error = { 0 };
    harness_ok(tulle_context_create(&params, &world->own, &error), &error, "tulle_context_create");
    tulle_attention_desc desc = mistake_desc();
    desc.kernel = "base";  // whose buffers are storage buffers: no warning
    world->plan = world_plan(world->imported, &desc);
    world->buffers = (tulle_buffers){ .q = fill(world, &world->q, Q_BYTES, 1),
                                      .k = fill(world, &world->k, K_BYTES, 2),
                                      .v = fill(world, &world->v, V_BYTES, 3),
                                      .o = fill(world, &world->o, O_BYTES, 4),
                                      .lse = fill(world, &world->lse, LSE_BYTES, 5) };
    if (world->said.errors != 0 || world->said.warnings != 0) {
        harness_fail("what is right is warned of: %s%s", world->said.error, world->said.warning);
    }
}

void world_close(struct world *world) {
    tulle_plan_destroy(world->plan);
    tulle_context_destroy(world->imported);
    tulle_context_destroy(world->own);
    struct gpu_buffer *buffers[] = { &world->q, &world->k, &world->v, &world->o, &world->lse };
    for (size_t n = 0; n < COUNT(buffers); n++) {
        gpu_buffer_destroy(world->gpu, buffers[n]);
    }
    harness_silent();
}

float world_memory[5][O_BYTES / 4];

tulle_host_arrays world_arrays(void) {
    return (tulle_host_arrays){ .q = world_memory[0],
                                .k = world_memory[1],
                                .v = world_memory[2],
                                .o = world_memory[3],
                                .lse = world_memory[4] };
}
