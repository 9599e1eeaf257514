// SPDX-License-Identifier: MIT
//
// What the header says of threads, done by threads: one plan recorded and submitted by all of them
// at once, each with a binding of its own, while one of them also runs it for host arrays; one
// binding recorded by all of them; plans made and destroyed on one context at once, where a
// pipeline that several need is made once. Each answer must be, bit for bit, that of a thread
// alone, and that one the reference's.
//
// No thread but the first may fail a test (cmocka leaves by longjmp): the others write down what
// went wrong.
#define _POSIX_C_SOURCE 200809L  // pthread_barrier_t under -std=c11

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "problem.h"

enum { THREADS = 3, ROUNDS = 12, KINDS = 3, RECORDINGS = 6 };

// -------------------------------------------------------------------------------------------------
// The device: Vulkan as the library sees it, with a count of pipelines; a queue with a lock; the
// layer's messages

static PFN_vkGetDeviceProcAddr real_get_device;
static PFN_vkCreateComputePipelines real_create_pipelines;
static PFN_vkQueueSubmit real_submit;
static atomic_int pipelines, unlocked_submits, layer_messages;
static char layer_text[1500];
static pthread_mutex_t queue_mutex = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local bool holds_queue;

static VKAPI_ATTR VkResult VKAPI_CALL counted_create(VkDevice device, VkPipelineCache cache,
                                                     uint32_t count,
                                                     const VkComputePipelineCreateInfo *infos,
                                                     const VkAllocationCallbacks *allocator,
                                                     VkPipeline *out) {
    atomic_fetch_add(&pipelines, (int)count);
    return real_create_pipelines(device, cache, count, infos, allocator, out);
}

static VKAPI_ATTR VkResult VKAPI_CALL watched_submit(VkQueue queue, uint32_t count,
                                                     const VkSubmitInfo *infos, VkFence fence) {
    atomic_fetch_add(&unlocked_submits, holds_queue ? 0 : 1);
    return real_submit(queue, count, infos, fence);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL counted_get_device(VkDevice device,
                                                                   const char *name) {
    PFN_vkVoidFunction real = real_get_device(device, name);
    if (strcmp(name, "vkCreateComputePipelines") == 0) {
        real_create_pipelines = (PFN_vkCreateComputePipelines)real;
        return (PFN_vkVoidFunction)counted_create;
    }
    if (strcmp(name, "vkQueueSubmit") == 0) {
        real_submit = (PFN_vkQueueSubmit)real;
        return (PFN_vkVoidFunction)watched_submit;
    }
    return real;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL counted_get(VkInstance instance, const char *name) {
    PFN_vkVoidFunction real = gpu_loader()(instance, name);
    if (strcmp(name, "vkGetDeviceProcAddr") == 0) {
        real_get_device = (PFN_vkGetDeviceProcAddr)real;
        return (PFN_vkVoidFunction)counted_get_device;
    }
    return real;
}

static void lock_queue(void *user) {
    (void)user;
    pthread_mutex_lock(&queue_mutex);
    holds_queue = true;
}

static void unlock_queue(void *user) {
    (void)user;
    holds_queue = false;
    pthread_mutex_unlock(&queue_mutex);
}

// one at a time: vkQueueSubmit and what creates objects may come from any thread
static void on_message(const char *text) {
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&mutex);
    if (atomic_fetch_add(&layer_messages, 1) == 0) {
        snprintf(layer_text, sizeof layer_text, "%s", text);
    }
    pthread_mutex_unlock(&mutex);
}

struct bench {
    struct gpu gpu;
    tulle_context *context;
    VkBufferUsageFlags usage;
    PFN_vkCreateFence create_fence;
    PFN_vkDestroyFence destroy_fence;
    PFN_vkWaitForFences wait_for_fences;
};

static tulle_context *open_context(const struct gpu *gpu, bool bare) {
    tulle_vulkan_import import = gpu_import(gpu);
    import.get_instance_proc_addr = counted_get;
    import.lock_queue = lock_queue;
    import.unlock_queue = unlock_queue;
    const tulle_context_params params = { .import = &import,
                                          .clamp =
                                              bare ? TULLE_CLAMP_VULKAN_1_1 : TULLE_CLAMP_NONE };
    tulle_context *context = NULL;
    tulle_error error = { 0 };
    harness_ok(tulle_context_create(&params, &context, &error), &error, "tulle_context_create");
    return context;
}

static void open_bench(struct bench *bench, bool bare) {
    harness_open_gpu(&bench->gpu, bare, on_message);
    bench->context = open_context(&bench->gpu, bare);
    bench->usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT;
    if (!bare && bench->gpu.features.buffer_device_address.bufferDeviceAddress) {
        bench->usage |= VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT;
    }
    bench->create_fence =
        (PFN_vkCreateFence)bench->gpu.GetDeviceProcAddr(bench->gpu.device, "vkCreateFence");
    bench->destroy_fence =
        (PFN_vkDestroyFence)bench->gpu.GetDeviceProcAddr(bench->gpu.device, "vkDestroyFence");
    bench->wait_for_fences =
        (PFN_vkWaitForFences)bench->gpu.GetDeviceProcAddr(bench->gpu.device, "vkWaitForFences");
}

static void close_bench(struct bench *bench) {
    tulle_context_destroy(bench->context);
    gpu_close(&bench->gpu);
    if (atomic_exchange(&layer_messages, 0) > 0) {
        harness_fail("the validation layer reported: %s", layer_text);
    }
    if (atomic_exchange(&unlocked_submits, 0) > 0) {
        harness_fail("the queue was submitted to without its lock");
    }
}

// -------------------------------------------------------------------------------------------------
// Problems: two parts and three, split items and several dispatches, so that there is a workspace
// and combining

static void state_problem(struct problem *problem, uint64_t which, int kind,
                          VkBufferUsageFlags usage) {
    problem_init(problem, rng_hash(harness_seed(), which));
    problem->batch = 2;
    problem->heads = 4;
    problem->kv_heads = 2;
    problem->q_len = 70;
    problem->kv_len = 500;
    problem->head_dim = 40;
    problem->v_head_dim = 36;
    problem->causal = true;
    problem->lse = true;
    problem->usage = usage;
    problem->dtype = (tulle_dtype)kind;
    problem->dispatch_pairs = 6000;
    problem_term(problem, 0, (struct ref_term){ .kind = REF_WINDOW, .left = 200, .right = 0 });
    problem_term(problem, 0, (struct ref_term){ .kind = REF_STRIDED, .step = 7 });
    // three parts: no kernel finishes those without combining
    problem_term(problem, 1, (struct ref_term){ .kind = REF_WINDOW, .left = 200, .right = 0 });
    problem_term(problem, 1, (struct ref_term){ .kind = REF_STRIDED, .step = 2 });
    problem_term(problem, 1, (struct ref_term){ .kind = REF_STRIDED, .step = 3 });
    problem_fill(problem);
}

struct expected {
    uint8_t *o, *l;  // with their guards
};

// What one thread alone answers, which the reference confirms; O and LSE are poison again
// afterwards.
static struct expected run_alone(struct problem *problem, tulle_plan *plan) {
    tensor_poison(&problem->o);
    tensor_poison(&problem->l);
    const tulle_host_arrays arrays = problem_arrays(problem, problem->o.memory, problem->l.memory);
    tulle_error error = { 0 };
    harness_ok(tulle_attention(plan, &arrays, NULL, &error), &error, "tulle_attention");
    problem_check(problem, "a thread alone");
    if (problem->info.workspace_bytes == 0 || problem->info.dispatches < 3) {
        harness_fail(
            "%u dispatches and %llu bytes of workspace: too little happens for threads to meet",
            problem->info.dispatches, (unsigned long long)problem->info.workspace_bytes);
    }
    const struct expected expected = { malloc(problem->o.size), malloc(problem->l.size) };
    memcpy(expected.o, problem->o.memory, problem->o.size);
    memcpy(expected.l, problem->l.memory, problem->l.size);
    tensor_poison(&problem->o);
    tensor_poison(&problem->l);
    return expected;
}

static void free_expected(struct expected *expected) {
    free(expected->o);
    free(expected->l);
}

// -------------------------------------------------------------------------------------------------
// Threads

struct worker {
    pthread_t thread;
    pthread_barrier_t *start;
    int number;
    char wrong[1200];  // "": all went well
    const struct bench *bench;
    tulle_context *context;
    tulle_plan *plan;
    struct problem *problem;  // its own
    struct expected expected;
    // for recording one binding
    struct gpu gpu;  // with a command pool of its own
    const tulle_binding *binding;
    VkCommandBuffer recorded[RECORDINGS];
    // for making plans
    const struct problem_build *builds;
    struct problem *kinds;
    const struct expected *of_kinds;
};

static void note(struct worker *worker, const char *what, const char *detail) {
    if (worker->wrong[0] == '\0') {
        snprintf(worker->wrong, sizeof worker->wrong, "%s: %s", what, detail);
    }
}

static bool fine(struct worker *worker, tulle_result result, const tulle_error *error,
                 const char *what) {
    if (result != TULLE_OK) {
        note(worker, what, error->message);
    }
    return result == TULLE_OK;
}

static void run_threads(struct worker workers[THREADS], void *(*body)(void *user)) {
    pthread_barrier_t start;
    assert_int_equal(pthread_barrier_init(&start, NULL, THREADS), 0);
    for (int n = 0; n < THREADS; n++) {
        workers[n].number = n;
        workers[n].start = &start;
        assert_int_equal(pthread_create(&workers[n].thread, NULL, body, &workers[n]), 0);
    }
    for (int n = 0; n < THREADS; n++) {
        pthread_join(workers[n].thread, NULL);
    }
    pthread_barrier_destroy(&start);
    for (int n = 0; n < THREADS; n++) {
        if (workers[n].wrong[0] != '\0') {
            harness_fail("thread %d: %s", n, workers[n].wrong);
        }
    }
}

static void own_pool(struct gpu *mine, const struct gpu *shared) {
    *mine = *shared;
    const VkCommandPoolCreateInfo info = { .sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                           .queueFamilyIndex = shared->queue_family };
    if (mine->CreateCommandPool(mine->device, &info, NULL, &mine->pool) != VK_SUCCESS) {
        abort();  // as gpu_buffer_create does: without it nothing is tested
    }
}

// Ends what was recorded, submits it under the queue's lock and waits for it alone.
static void submit(const struct bench *bench, VkCommandBuffer cmd) {
    const struct gpu *gpu = &bench->gpu;
    const VkFenceCreateInfo info = { .sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO };
    const VkSubmitInfo submission = { .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                                      .commandBufferCount = 1,
                                      .pCommandBuffers = &cmd };
    VkFence fence;
    bool good = gpu->EndCommandBuffer(cmd) == VK_SUCCESS &&
                bench->create_fence(gpu->device, &info, NULL, &fence) == VK_SUCCESS;
    lock_queue(NULL);
    good = good && gpu->QueueSubmit(gpu->queue, 1, &submission, fence) == VK_SUCCESS;
    unlock_queue(NULL);
    if (!good ||
        bench->wait_for_fences(gpu->device, 1, &fence, VK_TRUE, UINT64_MAX) != VK_SUCCESS) {
        abort();
    }
    bench->destroy_fence(gpu->device, fence, NULL);
}

static void poison_answer(const struct problem *problem, const struct problem_session *session) {
    memcpy(session->o.mapped, problem->o.memory, problem->o.size);
    memcpy(session->l.mapped, problem->l.memory, problem->l.size);
}

static const char *compare_answer(const struct problem *problem, const struct expected *expected,
                                  const uint8_t *o, const uint8_t *l) {
    return memcmp(o, expected->o, problem->o.size) != 0   ? "O is not what a thread alone gets"
           : memcmp(l, expected->l, problem->l.size) != 0 ? "LSE is not what a thread alone gets"
                                                          : NULL;
}

// -------------------------------------------------------------------------------------------------
// One plan

static void attend_on_host(struct worker *worker, tulle_plan *plan, const struct problem *problem,
                           const struct expected *expected, const char *what) {
    uint8_t *o = malloc(problem->o.size), *l = malloc(problem->l.size);
    memcpy(o, problem->o.memory, problem->o.size);
    memcpy(l, problem->l.memory, problem->l.size);
    const tulle_host_arrays arrays = problem_arrays(problem, o, l);
    tulle_error error = { 0 };
    if (fine(worker, tulle_attention(plan, &arrays, NULL, &error), &error, what)) {
        const char *wrong = compare_answer(problem, expected, o, l);
        if (wrong != NULL) {
            note(worker, what, wrong);
        }
    }
    free(o);
    free(l);
}

static void *use_plan(void *user) {
    struct worker *worker = user;
    struct problem *problem = worker->problem;
    tulle_error error = { 0 };
    own_pool(&worker->gpu, &worker->bench->gpu);
    pthread_barrier_wait(worker->start);
    for (int round = 0; round < ROUNDS && worker->wrong[0] == '\0'; round++) {
        // one of them also goes the other way, between the others' submits
        if (worker->number == THREADS - 1 && round % 2 == 0) {
            attend_on_host(worker, worker->plan, problem, &worker->expected,
                           "tulle_attention with a shared plan");
            continue;
        }
        struct problem_session session;
        if (fine(worker, problem_bind(problem, &worker->gpu, worker->plan, NULL, &session, &error),
                 &error, "tulle_binding_create")) {
            VkCommandBuffer cmd = gpu_begin(&worker->gpu);
            const tulle_result result =
                tulle_cmd_attention(cmd, worker->plan, session.binding, 0, 0, &error);
            gpu_barrier(&worker->gpu, cmd);
            submit(worker->bench, cmd);
            worker->gpu.FreeCommandBuffers(worker->gpu.device, worker->gpu.pool, 1, &cmd);
            if (fine(worker, result, &error, "tulle_cmd_attention")) {
                const char *wrong =
                    compare_answer(problem, &worker->expected, session.o.mapped, session.l.mapped);
                if (wrong != NULL) {
                    note(worker, "recording with a shared plan", wrong);
                }
            }
        }
        problem_unbind(&session);
    }
    worker->gpu.DestroyCommandPool(worker->gpu.device, worker->gpu.pool, NULL);
    return NULL;
}

static void prepare(const struct bench *bench, struct problem *problem, tulle_plan *plan) {
    if (problem->info.prepare && !problem->info.prepared) {
        tulle_error error = { 0 };
        VkCommandBuffer cmd = gpu_begin(&bench->gpu);
        harness_ok(tulle_cmd_prepare(cmd, plan, &error), &error, "tulle_cmd_prepare");
        submit(bench, cmd);
        bench->gpu.FreeCommandBuffers(bench->gpu.device, bench->gpu.pool, 1, &cmd);
        problem->info.prepared = true;  // problem_bind need not
    }
}

static void check_one_plan(bool bare) {
    struct bench bench;
    struct problem problems[THREADS];
    struct worker *workers = calloc(THREADS, sizeof *workers);
    tulle_plan *plan = NULL;
    tulle_error error = { 0 };
    open_bench(&bench, bare);
    // other numbers for each, so that none can have another's answer
    for (int n = 0; n < THREADS; n++) {
        state_problem(&problems[n], (uint64_t)n, TULLE_F32, bench.usage);
        if (n == 0) {
            harness_ok(problem_plan(&problems[0], bench.context, &plan, &error), &error,
                       "tulle_plan_create");
            prepare(&bench, &problems[0], plan);
        }
        problems[n].info = problems[0].info;
        workers[n] = (struct worker){ .bench = &bench,
                                      .plan = plan,
                                      .problem = &problems[n],
                                      .expected = run_alone(&problems[n], plan) };
    }
    if (memcmp(workers[0].expected.o, workers[1].expected.o, problems[0].o.size) == 0) {
        harness_fail("two threads expect the same answer: a mixture would not be noticed");
    }
    run_threads(workers, use_plan);
    for (int n = 0; n < THREADS; n++) {
        free_expected(&workers[n].expected);
        problem_free(&problems[n]);
    }
    free(workers);
    tulle_plan_destroy(plan);
    close_bench(&bench);
}

static void test_one_plan(void **state) {
    (void)state;
    check_one_plan(false);
}

static void test_one_plan_on_the_floor(void **state) {
    (void)state;
    check_one_plan(true);
}

// -------------------------------------------------------------------------------------------------
// One binding

static void *record_binding(void *user) {
    struct worker *worker = user;
    tulle_error error = { 0 };
    pthread_barrier_wait(worker->start);
    for (int n = 0; n < RECORDINGS; n++) {
        worker->recorded[n] = gpu_begin(&worker->gpu);
        fine(worker,
             tulle_cmd_attention(worker->recorded[n], worker->plan, worker->binding, 0, 0, &error),
             &error, "tulle_cmd_attention");
        gpu_barrier(&worker->gpu, worker->recorded[n]);
    }
    return NULL;
}

static void test_one_binding(void **state) {
    (void)state;
    struct bench bench;
    struct problem problem;
    struct problem_session session;
    struct worker *workers = calloc(THREADS, sizeof *workers);
    tulle_plan *plan = NULL;
    tulle_error error = { 0 };
    open_bench(&bench, false);
    state_problem(&problem, 100, TULLE_F16, bench.usage);
    harness_ok(problem_plan(&problem, bench.context, &plan, &error), &error, "tulle_plan_create");
    prepare(&bench, &problem, plan);
    struct expected expected = run_alone(&problem, plan);
    harness_ok(problem_bind(&problem, &bench.gpu, plan, NULL, &session, &error), &error,
               "tulle_binding_create");
    for (int n = 0; n < THREADS; n++) {
        workers[n] = (struct worker){ .plan = plan, .binding = session.binding };
        own_pool(&workers[n].gpu, &bench.gpu);
    }
    run_threads(workers, record_binding);
    // what was recorded at once runs in turn: it is one O and one workspace
    for (int n = 0; n < THREADS; n++) {
        for (int k = 0; k < RECORDINGS; k++) {
            poison_answer(&problem, &session);
            submit(&bench, workers[n].recorded[k]);
            const char *wrong =
                compare_answer(&problem, &expected, session.o.mapped, session.l.mapped);
            if (wrong != NULL) {
                harness_fail("recording %d of thread %d: %s", k, n, wrong);
            }
        }
        bench.gpu.DestroyCommandPool(bench.gpu.device, workers[n].gpu.pool, NULL);
    }
    problem_unbind(&session);
    free_expected(&expected);
    free(workers);
    tulle_plan_destroy(plan);
    problem_free(&problem);
    close_bench(&bench);
}

// -------------------------------------------------------------------------------------------------
// Plans made at once. Every round is on a fresh context, for a context compiles a pipeline once.

static void *make_plans(void *user) {
    struct worker *worker = user;
    tulle_error error = { 0 };
    pthread_barrier_wait(worker->start);
    for (int n = 0; n < KINDS && worker->wrong[0] == '\0'; n++) {
        // two begin with the same, one with another
        const int kind = (worker->number / 2 + n) % KINDS;
        tulle_plan *plan = NULL;
        if (fine(worker,
                 tulle_plan_create(worker->context, &worker->builds[kind].desc, &plan, &error),
                 &error, "tulle_plan_create")) {
            attend_on_host(worker, plan, &worker->kinds[kind], &worker->of_kinds[kind],
                           "a plan made beside others");
        }
        tulle_plan_destroy(plan);  // while others make and use theirs
    }
    return NULL;
}

static void check_making(struct bench *bench) {
    struct problem problems[KINDS];
    struct problem_build builds[KINDS];
    struct expected expected[KINDS];
    tulle_error error = { 0 };
    atomic_store(&pipelines, 0);
    for (int kind = 0; kind < KINDS; kind++) {
        tulle_plan *plan = NULL;
        state_problem(&problems[kind], 200 + (uint64_t)kind, kind,
                      bench != NULL ? bench->usage : TULLE_USAGE_HOST);
        problem_build(&problems[kind], &builds[kind]);
        tulle_context *context = bench != NULL ? bench->context : harness_mode(MODE_OWN)->tulle;
        harness_ok(tulle_plan_create(context, &builds[kind].desc, &plan, &error), &error,
                   "tulle_plan_create");
        tulle_plan_get_info(plan, &problems[kind].info);
        expected[kind] = run_alone(&problems[kind], plan);
        tulle_plan_destroy(plan);
    }
    const int needed = atomic_load(&pipelines);
    if (bench != NULL && needed < 2 * KINDS) {  // of attention and of combining
        harness_fail("%d pipelines for %d plans: they are not counted", needed, KINDS);
    }
    struct worker *workers = calloc(THREADS, sizeof *workers);
    for (int round = 0; round < 3; round++) {
        tulle_context *context = NULL;
        if (bench != NULL) {
            context = open_context(&bench->gpu, false);
        } else {
            // with the layer where harness_mode found it
            const tulle_context_params params = harness_own_params();
            harness_ok(tulle_context_create(&params, &context, &error), &error,
                       "tulle_context_create");
        }
        atomic_store(&pipelines, 0);
        for (int n = 0; n < THREADS; n++) {
            workers[n] = (struct worker){
                .context = context, .builds = builds, .kinds = problems, .of_kinds = expected
            };
        }
        run_threads(workers, make_plans);
        const int made = atomic_load(&pipelines);
        if (bench != NULL && made != needed) {
            harness_fail("%d threads made %d pipelines for the same plans; one thread makes %d",
                         THREADS, made, needed);
        }
        tulle_context_destroy(context);
    }
    free(workers);
    for (int kind = 0; kind < KINDS; kind++) {
        free_expected(&expected[kind]);
        problem_unbuild(&builds[kind]);
        problem_free(&problems[kind]);
    }
}

static void test_making_plans(void **state) {
    (void)state;
    struct bench bench;
    open_bench(&bench, false);
    check_making(&bench);
    close_bench(&bench);
}

// An own device also copies each plan to it while planning (tulle_cmd_prepare), on the one queue.
static void test_making_plans_on_an_own_device(void **state) {
    (void)state;
    check_making(NULL);
    harness_silent();
}

int main(int argc, char **argv) {
    (void)argc;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_plan),
        cmocka_unit_test(test_one_plan_on_the_floor),
        cmocka_unit_test(test_one_binding),
        cmocka_unit_test(test_making_plans),
        cmocka_unit_test(test_making_plans_on_an_own_device),
    };
    return HARNESS_RUN(argv, "threads", tests);
}
