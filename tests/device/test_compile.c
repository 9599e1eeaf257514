// SPDX-License-Identifier: MIT
//
// Kernels that are compiled at once: plans that want different ones do not wait for each other,
// plans that want the same one get it from one of them, and what fails for one does not stop the
// other. The driver's vkCreateComputePipelines is watched: it can be held until as many are in
// flight as a test wants to see, and made to fail.
//
// No thread but the first may fail a test (cmocka leaves by longjmp).
#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"

// long enough for any driver; what goes wrong takes so long to be noticed
enum { GATE_SECONDS = 5, HANG_SECONDS = 60 };

// -------------------------------------------------------------------------------------------------
// The gate before the driver

static struct gate {
    // a call goes on when so many have come together (0: at once)
    int together;
    int fails;    // the number of the call that fails, from 1; 0: none
    int hold_ms;  // how long the first call takes longer
    int calls, in_flight, most;
    int elsewhere;  // calls from another thread than `home`
    pthread_t home;
} gate;
static pthread_mutex_t gate_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_moved = PTHREAD_COND_INITIALIZER;
static PFN_vkGetDeviceProcAddr real_get_device;
static PFN_vkCreateComputePipelines real_create;

static void gate_set(int together, int fails, int hold_ms) {
    gate = (struct gate){
        .together = together, .fails = fails, .hold_ms = hold_ms, .home = pthread_self()
    };
}

static VKAPI_ATTR VkResult VKAPI_CALL gated_create(VkDevice device, VkPipelineCache cache,
                                                   uint32_t count,
                                                   const VkComputePipelineCreateInfo *infos,
                                                   const VkAllocationCallbacks *allocator,
                                                   VkPipeline *out) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += GATE_SECONDS;
    pthread_mutex_lock(&gate_mutex);
    const int number = ++gate.calls;
    gate.in_flight++;
    gate.elsewhere += pthread_equal(gate.home, pthread_self()) ? 0 : 1;
    gate.most = gate.most > gate.in_flight ? gate.most : gate.in_flight;
    pthread_cond_broadcast(&gate_moved);
    while (gate.most < gate.together &&
           pthread_cond_timedwait(&gate_moved, &gate_mutex, &until) == 0) {
    }
    pthread_mutex_unlock(&gate_mutex);
    if (number == 1 && gate.hold_ms > 0) {
        nanosleep(&(struct timespec){ 0, gate.hold_ms * 1000000L }, NULL);
    }
    const VkResult result = number == gate.fails
                                ? VK_ERROR_OUT_OF_DEVICE_MEMORY
                                : real_create(device, cache, count, infos, allocator, out);
    pthread_mutex_lock(&gate_mutex);
    gate.in_flight--;
    pthread_mutex_unlock(&gate_mutex);
    return result;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL gated_get_device(VkDevice device,
                                                                 const char *name) {
    PFN_vkVoidFunction real = real_get_device(device, name);
    if (strcmp(name, "vkCreateComputePipelines") == 0) {
        real_create = (PFN_vkCreateComputePipelines)real;
        return (PFN_vkVoidFunction)gated_create;
    }
    return real;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL gated_get(VkInstance instance, const char *name) {
    PFN_vkVoidFunction real = gpu_loader()(instance, name);
    if (strcmp(name, "vkGetDeviceProcAddr") == 0) {
        real_get_device = (PFN_vkGetDeviceProcAddr)real;
        return (PFN_vkVoidFunction)gated_get_device;
    }
    return real;
}

// -------------------------------------------------------------------------------------------------
// A device, and a problem that needs three pipelines

static struct gpu gpu;
static int open_device(void **state) {
    (void)state;
    alarm(HANG_SECONDS);  // a thread that nobody wakes ends the program, not the patience
    harness_open_gpu(&gpu, false, NULL);
    return 0;
}

static int close_device(void **state) {
    (void)state;
    gpu_close(&gpu);
    alarm(0);
    harness_silent();
    return 0;
}

// A new one for each try: a context compiles a pipeline once.
static tulle_context *new_context(uint32_t compile_threads) {
    tulle_vulkan_import import = gpu_import(&gpu);
    import.get_instance_proc_addr = gated_get;
    const tulle_context_params params = { .import = &import, .compile_threads = compile_threads };
    tulle_context *context = NULL;
    tulle_error error = { 0 };
    harness_ok(tulle_context_create(&params, &context, &error), &error, "tulle_context_create");
    return context;
}

// Two parts, of which one resumes the other, and a global row that is split and combined.
static tulle_result plan_of(tulle_context *context, tulle_dtype dtype, tulle_plan **plan,
                            tulle_error *error) {
    static const int64_t positions[] = { 5, 300 };
    const tulle_term terms[] = {
        { .kind = TULLE_WINDOW, .left = 9 },
        { .kind = TULLE_STRIDED, .step = 5 },
        { .kind = TULLE_GLOBAL_LIST, .positions = positions, .position_count = 2 },
    };
    tulle_pattern *pattern = NULL;
    *plan = NULL;
    tulle_result result = tulle_pattern_create(terms, 3, &pattern, error);
    if (result == TULLE_OK) {
        const tulle_pattern *const patterns[] = { pattern };
        const tulle_attention_desc desc = { .heads = 2,
                                            .q_len = 700,
                                            .kv_len = 700,
                                            .head_dim = 8,
                                            .dtype = dtype,
                                            .causal = true,
                                            .patterns = patterns,
                                            .pattern_count = 1,
                                            .buffer_usage = TULLE_USAGE_HOST,
                                            .dispatch_pairs = 4000 };
        result = tulle_plan_create(context, &desc, plan, error);
    }
    tulle_pattern_destroy(pattern);
    return result;
}

// How many pipelines such a plan takes.
static int pipelines_needed(void) {
    tulle_context *context = new_context(0);
    tulle_plan *plan = NULL;
    tulle_error error = { 0 };
    gate_set(0, 0, 0);
    harness_ok(plan_of(context, TULLE_F32, &plan, &error), &error, "tulle_plan_create");
    tulle_plan_destroy(plan);
    tulle_context_destroy(context);
    if (gate.calls < 2) {
        harness_fail("a plan takes %d pipelines: too few to be compiled at once", gate.calls);
    }
    return gate.calls;
}

// -------------------------------------------------------------------------------------------------
// Two threads, a plan each

struct planner {
    pthread_t thread;
    tulle_context *context;
    tulle_dtype dtype;
    tulle_result result;
    tulle_error error;
    tulle_plan_info info;
};

static void *make_plan(void *user) {
    struct planner *planner = user;
    tulle_plan *plan = NULL;
    planner->result = plan_of(planner->context, planner->dtype, &plan, &planner->error);
    tulle_plan_get_info(plan, &planner->info);
    tulle_plan_destroy(plan);
    return NULL;
}

static void plan_at_once(struct planner planners[2], tulle_dtype second) {
    tulle_context *context = new_context(0);
    for (int n = 0; n < 2; n++) {
        planners[n] = (struct planner){ .context = context, .dtype = n == 0 ? TULLE_F32 : second };
        assert_int_equal(pthread_create(&planners[n].thread, NULL, make_plan, &planners[n]), 0);
    }
    for (int n = 0; n < 2; n++) {
        pthread_join(planners[n].thread, NULL);
    }
    tulle_context_destroy(context);
}

static void test_different_kernels(void **state) {
    (void)state;
    struct planner planners[2];
    gate_set(2, 0, 0);
    plan_at_once(planners, TULLE_F16);
    for (int n = 0; n < 2; n++) {
        harness_ok(planners[n].result, &planners[n].error, "tulle_plan_create");
    }
    if (gate.most != 2) {
        harness_fail("two plans that want different kernels waited for each other");
    }
}

static void test_the_same_kernels(void **state) {
    (void)state;
    const int needed = pipelines_needed();
    struct planner planners[2];
    gate_set(0, 0, 300);
    plan_at_once(planners, TULLE_F32);
    for (int n = 0; n < 2; n++) {
        harness_ok(planners[n].result, &planners[n].error, "tulle_plan_create");
        // whoever waits for the other says so
        if (planners[n].info.compile_ms < 100.0) {
            harness_fail("a plan that needs a pipeline which takes 300 ms says it took %g",
                         planners[n].info.compile_ms);
        }
    }
    if (gate.calls != needed) {
        harness_fail("two threads made %d pipelines for the same plan; one makes %d", gate.calls,
                     needed);
    }
}

static void test_the_first_fails(void **state) {
    (void)state;
    const int needed = pipelines_needed();
    struct planner planners[2];
    gate_set(0, 1, 300);  // meanwhile the other waits for it
    plan_at_once(planners, TULLE_F32);
    const int lucky = planners[0].result == TULLE_OK ? 0 : 1;
    harness_ok(planners[lucky].result, &planners[lucky].error, "tulle_plan_create");
    const struct planner *other = &planners[1 - lucky];
    if (other->result != TULLE_ERROR_OUT_OF_DEVICE_MEMORY) {
        harness_fail("the plan whose pipeline failed got %s", tulle_result_name(other->result));
    }
    if (!strstr(other->error.message, "vkCreateComputePipelines")) {
        harness_fail("\"%s\" does not name vkCreateComputePipelines", other->error.message);
    }
    if (gate.calls != needed + 1) {
        harness_fail("%d calls for %d pipelines, one of which failed once", gate.calls, needed);
    }
}

// -------------------------------------------------------------------------------------------------
// One plan, on several threads

static void test_one_plan(void **state) {
    (void)state;
    const int needed = pipelines_needed();
    tulle_context *context = new_context((uint32_t)needed);
    tulle_plan *plan = NULL, *again = NULL;
    tulle_error error = { 0 };
    gate_set(needed, 0, 0);
    harness_ok(plan_of(context, TULLE_F32, &plan, &error), &error, "tulle_plan_create");
    if (gate.most != needed || gate.calls != needed) {
        harness_fail("%d of %d pipelines were compiled at once, in %d calls", gate.most, needed,
                     gate.calls);
    }
    // all there: nothing is compiled, and nothing is said to have taken time
    tulle_plan_info info = { 0 };
    harness_ok(plan_of(context, TULLE_F32, &again, &error), &error, "tulle_plan_create");
    tulle_plan_get_info(again, &info);
    if (gate.calls != needed || info.compile_ms != 0.0) {
        harness_fail("the same plan again took %d more pipelines and %g ms", gate.calls - needed,
                     info.compile_ms);
    }
    tulle_plan_destroy(again);
    tulle_plan_destroy(plan);
    tulle_context_destroy(context);
}

static void test_one_plan_whose_pipeline_fails(void **state) {
    (void)state;
    const int needed = pipelines_needed();
    for (int fails = 1; fails <= needed; fails++) {
        tulle_context *context = new_context((uint32_t)needed);
        tulle_plan *plan = NULL;
        tulle_error error = { 0 };
        gate_set(needed, fails, 0);
        const tulle_result result = plan_of(context, TULLE_F32, &plan, &error);
        if (result != TULLE_ERROR_OUT_OF_DEVICE_MEMORY || error.result != result || plan != NULL) {
            harness_fail("one of %d pipelines failed: %s, \"%s\"", needed,
                         tulle_result_name(result), error.message);
        }
        gate_set(0, 0, 0);
        harness_ok(plan_of(context, TULLE_F32, &plan, &error), &error, "tulle_plan_create");
        if (gate.calls != 1) {
            harness_fail("%d pipelines were made anew where one had failed", gate.calls);
        }
        tulle_plan_destroy(plan);
        tulle_context_destroy(context);
    }
}

static void test_no_thread_unasked(void **state) {
    (void)state;
    for (uint32_t threads = 0; threads < 2; threads++) {
        tulle_context *context = new_context(threads);
        tulle_plan *plan = NULL;
        tulle_error error = { 0 };
        gate_set(0, 0, 50);
        harness_ok(plan_of(context, TULLE_F32, &plan, &error), &error, "tulle_plan_create");
        if (gate.elsewhere != 0 || gate.most != 1) {
            harness_fail("compile_threads %u: %d calls from other threads, %d at once", threads,
                         gate.elsewhere, gate.most);
        }
        tulle_plan_destroy(plan);
        tulle_context_destroy(context);
    }
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, open_device, close_device)

int main(int argc, char **argv) {
    (void)argc;
    const struct CMUnitTest tests[] = {
        CASE(test_different_kernels), CASE(test_the_same_kernels),
        CASE(test_the_first_fails),   CASE(test_one_plan),
        CASE(test_no_thread_unasked), CASE(test_one_plan_whose_pipeline_fails),
    };
    return HARNESS_RUN(argv, "compile", tests);
}
