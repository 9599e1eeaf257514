// SPDX-License-Identifier: MIT
//
// Mistakes that do no harm: the log warns of them, once, and what comes out is right; patterns that
// cost far more than what they select; and objects that are destroyed in any order, on any thread.
// (What is refused: test_mistakes.c.)
#define _POSIX_C_SOURCE 200809L  // pthread_barrier_t under -std=c11

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
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
// Patterns that a user will regret

enum { LONG = 16384, BLOCK = 64, BLOCKS = LONG / BLOCK };

// Documents of 1000 ("D"), a quarter of the blocks of 64 ("M").
static bool load_array(void *user, const char *name, tulle_array *array, char *message,
                       size_t message_size) {
    (void)user;
    (void)message;
    (void)message_size;
    const bool mask = *name == 'M';
    const int64_t count = mask ? BLOCKS * BLOCKS : LONG / 1000 + 2;
    int64_t *values = malloc((size_t)count * sizeof *values);
    struct rng rng = { 1 };
    for (int64_t i = 0; i < count; i++) {
        if (mask) values[i] = rng_chance(&rng, 25);
        else values[i] = i + 1 < count ? i * 1000 : LONG;
    }
    *array = (tulle_array){ .values = values,
                            .dimensions = mask ? 2 : 1,
                            .shape = { mask ? BLOCKS : count, BLOCKS },
                            .is_integer = true,
                            .is_bool = mask,
                            .is_index = !mask,
                            .type = "int64",
                            .owner = values };
    return true;
}

static void release_array(void *user, tulle_array *array) {
    (void)user;
    free(array->owner);
}

// A plan on the library's own device for a spec, whose patterns are dealt to heads.
static tulle_plan *plan_spec(struct world *world, const char *spec, uint32_t heads, uint32_t q_len,
                             uint32_t kv_len) {
    static const tulle_array_loader loader = { load_array, release_array, NULL };
    tulle_pattern **patterns = NULL;
    uint32_t count = 0;
    tulle_error error = { 0 };
    harness_ok(tulle_pattern_parse(spec, &loader, &patterns, &count, &error), &error, spec);
    const tulle_attention_desc desc = { .heads = heads,
                                        .q_len = q_len,
                                        .kv_len = kv_len,
                                        .head_dim = 64,
                                        .causal = true,
                                        .patterns = (const tulle_pattern *const *)patterns,
                                        .pattern_count = count };
    world->said = (struct said){ 0 };
    tulle_plan *plan = world_plan(world->own, &desc);
    tulle_patterns_free(patterns, count);
    return plan;
}

// Whatever the device's tiles, these pay for what they select.
static void test_no_regret(void **state) {
    (void)state;
    static const char *const specs[] = {
        "dense",        "window:255,0",  "window:255,0+global:64",
        "strided:128",  "blocks:64,M",   "window:255,0+sink:4",
        "documents:D",  "chunked:1024",  "window:255,0&documents:D+sink:4&documents:D",
        "fixed:128,16", "a_shape:4,255", "window:127,0+strided:128",
        "prefix:500",   "sink:64",       "window:255,0;dense",
    };
    struct world world;
    world_open(&world);
    for (size_t n = 0; n < COUNT(specs); n++) {
        tulle_plan_destroy(plan_spec(&world, specs[n], 2, LONG, LONG));
        if (world.said.warnings != 0) {
            harness_fail("%s: warned of: %s", specs[n], world.said.warning);
        }
    }
    world_close(&world);
}

// Rows that a tile lacks, because there are no more queries, cost nobody's pairs; and what is over
// at once is not worth a word.
static void test_no_regret_of_little(void **state) {
    (void)state;
    struct world world;
    world_open(&world);
    const struct {
        const char *spec;
        uint32_t heads, q_len, kv_len;
    } cases[] = { { "dense", 64, 1, 32768 },
                  { "window:40000,0+sink:4", 64, 1, 65536 },
                  { "window:4095,0", 512, 1, 65536 },
                  { "random:1,8,1", 1, 512, 512 } };
    for (size_t n = 0; n < COUNT(cases); n++) {
        tulle_plan *plan =
            plan_spec(&world, cases[n].spec, cases[n].heads, cases[n].q_len, cases[n].kv_len);
        tulle_plan_info info;
        uint64_t pairs = 0;
        tulle_plan_get_info(plan, &info);
        assert_int_equal(tulle_plan_count_pairs(plan, &pairs, NULL), TULLE_OK);
        assert_true(info.tile_rows <= 4 || info.visited > 4 * pairs);  // it would be, but for that
        tulle_plan_destroy(plan);
        if (world.said.warnings != 0) {
            harness_fail("%s: warned of: %s", cases[n].spec, world.said.warning);
        }
    }
    world_close(&world);
}

// One warning a plan, which names the term, and how many times about right.
static void test_regret(void **state) {
    (void)state;
    static const struct {
        const char *spec, *term;
    } cases[] = { { "random:1,64,7", "mostly for random:1,64,7," },
                  { "window:31,0+random:1,64,7+sink:4", "mostly for random:1,64,7," },
                  { "random:1,64,7&blocks:64,M+window:7,0",
                    "mostly for random:1,64,7&blocks:64,M," },
                  { "window:31,0;random:1,64,7", "pattern 2 visits about" } };
    struct world world;
    world_open(&world);
    for (size_t n = 0; n < COUNT(cases); n++) {
        for (int again = 0; again < 2; again++) {
            tulle_plan *plan = plan_spec(&world, cases[n].spec, 2, LONG / 4, LONG / 4);
            tulle_plan_info info;
            uint64_t pairs = 0;
            tulle_plan_get_info(plan, &info);
            assert_int_equal(tulle_plan_count_pairs(plan, &pairs, NULL), TULLE_OK);
            tulle_plan_destroy(plan);
            if (world.said.warnings != 1 || strstr(world.said.warning, cases[n].term) == NULL ||
                strstr(world.said.warning, info.kernel) == NULL) {
                harness_fail("%s: %d warnings; one that says \"%s\" is wanted: %s", cases[n].spec,
                             world.said.warnings, cases[n].term, world.said.warning);
            }
            const char *about = strstr(world.said.warning, "about ");
            const double said = about != NULL ? atof(about + 6) : 0,
                         is = (double)info.visited / (double)pairs;
            // of two patterns the figures of a plan are a mix
            if (strchr(cases[n].spec, ';') == NULL && (said < is / 1.3 || said > is * 1.3)) {
                harness_fail("%s: visited %.1f times what it selects: %s", cases[n].spec, is,
                             world.said.warning);
            }
        }
    }
    assert_int_equal(world.said.errors, 0);
    world_close(&world);
}

struct costs {
    uint64_t visited, selected, alone[2];
    uint32_t pattern, parts, terms;
    char text[2][40];
};

static void add_cost(void *user, const tulle_cost *cost) {
    struct costs *costs = user;
    if (cost->pattern != costs->pattern) costs->parts = 0;
    costs->pattern = cost->pattern;
    assert_true(cost->tiles > 0 && cost->runs > 0 && cost->visited >= cost->selected);
    assert_int_equal(cost->head, cost->pattern);
    if (!cost->alone) {
        assert_int_equal(cost->part, costs->parts++);
        costs->visited += cost->visited * cost->entries;
        costs->selected += cost->selected * cost->entries;
    } else if (costs->terms < 2) {
        snprintf(costs->text[costs->terms], sizeof costs->text[0], "%s", cost->terms);
        costs->alone[costs->terms++] = cost->selected;
    }
    if (cost->pattern == 1) {  // has one part and one term: told once
        assert_int_equal(cost->entries, 1);
        assert_string_equal(cost->terms, "dense");
    }
}

// What parts cost is what the plan costs; what a term costs alone is what a plan of it does.
static void test_costs(void **state) {
    (void)state;
    struct world world;
    world_open(&world);
    tulle_error error = { 0 };
    tulle_plan *plan =
        plan_spec(&world, "strided:64+window:100,0;dense;strided:64+window:100,0", 3, 2048, 2048);
    tulle_plan_info info;
    uint64_t pairs = 0;
    struct costs costs = { 0 };
    tulle_plan_get_info(plan, &info);
    assert_int_equal(tulle_plan_count_pairs(plan, &pairs, NULL), TULLE_OK);
    assert_int_equal(tulle_plan_costs(plan, NULL, NULL, &error), TULLE_ERROR_INVALID_ARGUMENT);
    assert_int_equal(tulle_plan_costs(NULL, add_cost, NULL, &error), TULLE_ERROR_INVALID_ARGUMENT);
    world.said = (struct said){ 0 };
    harness_ok(tulle_plan_costs(plan, add_cost, &costs, &error), &error, "tulle_plan_costs");
    tulle_plan_destroy(plan);
    assert_int_equal(costs.selected, pairs);
    assert_int_equal(costs.visited, info.visited);
    assert_int_equal(costs.terms, 2);
    for (int n = 0; n < 2; n++) {
        plan = plan_spec(&world, costs.text[n], 1, 2048, 2048);
        assert_int_equal(tulle_plan_count_pairs(plan, &pairs, NULL), TULLE_OK);
        assert_int_equal(costs.alone[n], pairs);
        tulle_plan_destroy(plan);
    }
    world_close(&world);
}

struct tree_costs {
    uint64_t selected;
    uint32_t trees, terms;
};

static void add_tree_cost(void *user, const tulle_cost *cost) {
    struct tree_costs *costs = user;
    if (cost->alone) return;
    costs->selected += cost->selected * cost->entries;
    if (!strcmp(cost->terms, "")) costs->trees++;
    if (!strcmp(cost->terms, "strided:2")) costs->terms++;
}

// A tree has a part of its own where no term has step 1; and no warning blames a term for it.
static void test_costs_of_trees(void **state) {
    (void)state;
    enum { ROWS = 256, KEYS = 4096 };
    struct world world;
    world_open(&world);
    tulle_error error = { 0 };
    uint32_t *tree = calloc(ROWS * ROWS / 32, sizeof *tree);
    tulle_pattern *pattern = NULL;
    assert_non_null(tree);
    for (int r = 0; r < ROWS; r++) tree[(r * ROWS + r) / 32] = UINT32_C(1) << r % 32;
    harness_ok(tulle_pattern_create(&(tulle_term){ .kind = TULLE_STRIDED, .step = 2 }, 1, &pattern,
                                    &error),
               &error, "tulle_pattern_create");
    for (int long_keys = 0; long_keys < 2; long_keys++) {
        const tulle_attention_desc desc = { .heads = 32,
                                            .q_len = ROWS,
                                            .kv_len = long_keys ? KEYS : ROWS,
                                            .head_dim = 64,
                                            .patterns = (const tulle_pattern *const[]){ pattern },
                                            .pattern_count = 1,
                                            .trees = tree,
                                            .tree_rows = ROWS };
        world.said = (struct said){ 0 };
        tulle_plan *plan = world_plan(world.own, &desc);
        assert_int_equal(world.said.warnings, 0);
        struct tree_costs costs = { 0 };
        harness_ok(tulle_plan_costs(plan, add_tree_cost, &costs, &error), &error,
                   "tulle_plan_costs");
        uint64_t pairs = 0;
        assert_int_equal(tulle_plan_count_pairs(plan, &pairs, NULL), TULLE_OK);
        assert_int_equal(costs.selected, pairs);
        assert_int_equal(pairs, 32 * ((uint64_t)ROWS + (long_keys ? ROWS * (KEYS - ROWS) / 2 : 0)));
        if (long_keys) assert_true(costs.trees == 1 && costs.terms == 1);
        tulle_plan_destroy(plan);
    }
    tulle_pattern_destroy(pattern);
    free(tree);
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
        cmocka_unit_test(test_missing_usage),
        cmocka_unit_test(test_import_claims),
        cmocka_unit_test(test_no_regret),
        cmocka_unit_test(test_no_regret_of_little),
        cmocka_unit_test(test_regret),
        cmocka_unit_test(test_costs),
        cmocka_unit_test(test_costs_of_trees),
        cmocka_unit_test(test_destroyed_parents),
        cmocka_unit_test(test_destroyed_at_once),
        cmocka_unit_test(mistakes_left_all_right),
    };
    return HARNESS_RUN(argv, "warnings", tests);
}
