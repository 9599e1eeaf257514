// SPDX-License-Identifier: MIT
//
// Mistakes that do no harm: the log warns of them, once, and what comes out is right; and objects
// that are destroyed in any order, on any thread. (What is
// refused: test_mistakes.c.)
#define _POSIX_C_SOURCE 200809L  // pthread_barrier_t under -std=c11

#include <pthread.h>
#include <string.h>

#include "mistakes.h"
#include "world.h"

static tulle_plan_info planned(tulle_context *context, VkBufferUsageFlags usage) {
    tulle_attention_desc desc = mistake_desc();
    desc.buffer_usage = usage;
    tulle_plan *plan = world_plan(context, &desc);
    tulle_plan_info info;
    tulle_plan_get_info(plan, &info);
    tulle_plan_destroy(plan);
    return info;
}

// Host arrays get what the device likes best; buffers without it get a slower kernel, and a
// warning.
static void test_missing_usage(void **state) {
    (void)state;
    struct world world;
    world_open(&world);
    tulle_context *contexts[] = { world.imported, world.own };
    for (size_t n = 0; n < COUNT(contexts); n++) {
        const VkBufferUsageFlags usage = tulle_buffer_usage(contexts[n]);
        assert_int_equal(usage & STORAGE, STORAGE);
        assert_int_equal(usage & ~(VkBufferUsageFlags)TULLE_USAGE_HOST, 0);
        const tulle_plan_info host = planned(contexts[n], 0), best = planned(contexts[n], usage);
        assert_string_equal(host.kernel, best.kernel);
        assert_int_equal(world.said.warnings, 0);
        const tulle_plan_info plain = planned(contexts[n], STORAGE);
        if (strcmp(plain.kernel, best.kernel) == 0) {
            assert_int_equal(world.said.warnings, 0);
            continue;
        }
        const char *flag = strncmp(best.kernel, "rows_address", 12) == 0
                               ? "without VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT"
                               : "without VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT";
        assert_int_equal(world.said.warnings, 1);
        const char *const words[] = { flag, plain.kernel, best.kernel, "tulle_buffer_usage" };
        for (size_t w = 0; w < COUNT(words); w++) {
            if (strstr(world.said.warning, words[w]) == NULL) {
                harness_fail("the warning does not say \"%s\": %s", words[w], world.said.warning);
            }
        }
        world.said = (struct said){ 0 };
    }
    assert_int_equal(world.said.errors, 0);
    assert_int_equal(tulle_buffer_usage(NULL), STORAGE);
    world_close(&world);
}

// Features that are said, and whose extension or version is not; and what no such device has.
static void test_import_claims(void **state) {
    (void)state;
    struct world world;
    world_open(&world);
    VkPhysicalDeviceSubgroupSizeControlFeatures size = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES,
        .subgroupSizeControl = VK_TRUE
    };
    const VkPhysicalDeviceFeatures2 features = { .sType =
                                                     VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                                 .pNext = &size };
    tulle_vulkan_import device = gpu_import(world.gpu);
    device.api_version = 0;  // forgotten
    device.features = &features;
    device.extension_count = 0;
    tulle_context *context = world_import(&world, &device);
    assert_int_equal(world.said.warnings, 1);
    if (strstr(world.said.warning, "subgroupSizeControl") == NULL) {
        harness_fail("the warning does not name the feature: %s", world.said.warning);
    }
    tulle_context_destroy(context);
    world_close(&world);
}

// -------------------------------------------------------------------------------------------------
// Destroyed in the wrong order

// Everything goes before what it was made for, and the last of them still works.
static void test_destroyed_parents(void **state) {
    (void)state;
    struct world world;
    world_open(&world);
    const tulle_vulkan_import device = gpu_import(world.gpu);
    tulle_context *context = world_import(&world, &device);
    tulle_pattern *pattern = NULL;
    tulle_error error = { 0 };
    harness_ok(
        tulle_pattern_create(&(tulle_term){ .kind = TULLE_WINDOW, .left = 3 }, 1, &pattern, &error),
        &error, "tulle_pattern_create");
    tulle_attention_desc desc = mistake_desc();
    desc.kernel = "base";
    desc.patterns = (const tulle_pattern *const[]){ pattern };
    desc.pattern_count = 1;
    tulle_plan *plan = world_plan(context, &desc), *host = world_plan(context, &desc);
    tulle_pattern_destroy(pattern);
    tulle_merger *merger = NULL;
    harness_ok(tulle_merger_create(context, BATCH * HEADS * Q_LEN, V_DIM, TULLE_F32,
                                   &world.buffers.o, &world.buffers.lse, &world.buffers.v,
                                   &world.buffers.k, &merger, &error),
               &error, "tulle_merger_create");
    tulle_binding *binding = world_bind(plan, &world.buffers);

    tulle_context_destroy(context);
    assert_int_equal(world.said.errors, 0);
    assert_int_equal(world.said.warnings, 1);
    if (strstr(world.said.warning, "3 of its plans (with their bindings) and mergers") == NULL ||
        strstr(world.said.warning, "imported device") == NULL) {
        harness_fail("the warning does not say what stays: %s", world.said.warning);
    }
    memcpy(world_memory[0], world.q.mapped, Q_BYTES);
    memcpy(world_memory[1], world.k.mapped, K_BYTES);
    memcpy(world_memory[2], world.v.mapped, V_BYTES);
    const tulle_host_arrays arrays = world_arrays();
    harness_ok(tulle_attention(host, &arrays, NULL, &error), &error,
               "tulle_attention after the context");
    tulle_plan_destroy(host);
    world_prepare(&world, plan);
    VkCommandBuffer cmd = gpu_begin(world.gpu);
    harness_ok(tulle_cmd_attention(cmd, plan, binding, 0, 0, &error), &error,
               "tulle_cmd_attention after the context");
    gpu_barrier(world.gpu, cmd);
    gpu_finish(world.gpu, cmd);
    assert_memory_equal(world.o.mapped, arrays.o, O_BYTES);
    tulle_plan_destroy(plan);
    tulle_binding_destroy(binding);
    tulle_merger_destroy(merger);  // and with it the context
    assert_int_equal(world.said.errors, 0);
    world_close(&world);
}

struct owner {
    pthread_t thread;
    tulle_plan *plans[8];
    tulle_binding *bindings[8];
    tulle_context *context;  // of one owner alone
    pthread_barrier_t *start;
};

static void *destroy_all(void *user) {
    struct owner *owner = user;
    pthread_barrier_wait(owner->start);
    tulle_context_destroy(owner->context);
    for (size_t n = 0; n < COUNT(owner->plans); n++) {
        tulle_plan_destroy(owner->plans[n]);
        tulle_binding_destroy(owner->bindings[n]);
    }
    return NULL;
}

// The last of them, whichever thread has it, ends the context: once, and with nothing left of it.
static void test_destroyed_at_once(void **state) {
    (void)state;
    struct world world;
    world_open(&world);
    const int held = world.held;
    const tulle_vulkan_import device = gpu_import(world.gpu);
    struct owner owners[4] = { { .context = world_import(&world, &device) } };
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, COUNT(owners));
    tulle_attention_desc desc = mistake_desc();
    desc.kernel = "base";
    for (size_t n = 0; n < COUNT(owners); n++) {
        owners[n].start = &start;
        for (size_t i = 0; i < COUNT(owners[n].plans); i++) {
            // a plan of one thread, its binding of another
            owners[n].plans[i] = world_plan(owners[0].context, &desc);
            owners[(n + 1) % COUNT(owners)].bindings[i] =
                world_bind(owners[n].plans[i], &world.buffers);
        }
    }
    for (size_t n = 0; n < COUNT(owners); n++) {
        assert_int_equal(pthread_create(&owners[n].thread, NULL, destroy_all, &owners[n]), 0);
    }
    for (size_t n = 0; n < COUNT(owners); n++) {
        pthread_join(owners[n].thread, NULL);
    }
    pthread_barrier_destroy(&start);
    assert_int_equal(world.held, held);  // plan memory, by the world's callbacks
    world_close(&world);
}

int main(int argc, char **argv) {
    (void)argc;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_missing_usage),      cmocka_unit_test(test_import_claims),
        cmocka_unit_test(test_destroyed_parents),  cmocka_unit_test(test_destroyed_at_once),
        cmocka_unit_test(mistakes_left_all_right),
    };
    return HARNESS_RUN(argv, "warnings", tests);
}
