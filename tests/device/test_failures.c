// SPDX-License-Identifier: MIT
//
// Every allocation, every Vulkan call and every allocation that the driver makes through the host's
// callbacks on the way from a context to a result fails, one at a time: nothing crashes, nothing is
// held afterwards, the error says what happened, no out-parameter is set. Where the library copes
// with a failure (another variant, for one), its result must be the right one. Needs --wrap for
// malloc, calloc, realloc and free (failing.c).
#define _POSIX_C_SOURCE 200809L  // setenv under -std=c11

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "failing.h"
#include "harness.h"
#include "tulle/inspect.h"

enum {
    Q_LEN = 24,
    KV_LEN = 700,
    HEADS = 2,
    DIM = 8,
    O_COUNT = HEADS * Q_LEN * DIM,
    LSE_COUNT = HEADS * Q_LEN
};

struct setting {
    const char *name;
    bool bare;
    const char *kernel;
    bool record;  // through a binding and a command buffer; else tulle_attention
};

struct answer {
    float o[O_COUNT], lse[LSE_COUNT];
};

static float q[HEADS * Q_LEN * DIM], k[HEADS * KV_LEN * DIM], v[HEADS * KV_LEN * DIM];

static void make_inputs(void) {
    struct rng rng = { rng_hash(harness_seed(), 1) };
    float *const arrays[] = { q, k, v };
    const size_t counts[] = { sizeof q / sizeof *q, sizeof k / sizeof *k, sizeof v / sizeof *v };
    for (int a = 0; a < 3; a++) {
        for (size_t n = 0; n < counts[a]; n++) {
            arrays[a][n] = (float)rng_normal(&rng);
        }
    }
}

// -------------------------------------------------------------------------------------------------
// One run, step by step; stops at the first step that fails

struct run {
    const struct setting *setting;
    const struct gpu *gpu;
    tulle_context *context;
    tulle_pattern *patterns[2];
    tulle_plan *plan;
    tulle_binding *binding;
    tulle_merger *merger;
    struct gpu_buffer buffers[5];
    tulle_error error;
    int errors_logged;
    char logged[sizeof((tulle_error *)0)->message];  // the last of them
    struct answer answer;
};

static void note_error(void *user, tulle_log_level level, const char *message) {
    struct run *run = user;
    if (level == TULLE_LOG_ERROR) {
        run->errors_logged++;
        snprintf(run->logged, sizeof run->logged, "%s", message);
    }
}

static void ignore_cost(void *user, const tulle_cost *cost) {
    (void)user;
    (void)cost;
}

// The call is the library's doing; afterwards `out` must be set exactly where it succeeded.
#define STEP(call, out)                                                                \
    do {                                                                               \
        failing_enter();                                                               \
        const tulle_result result_ = (call);                                           \
        failing_leave();                                                               \
        if ((result_ == TULLE_OK) != ((out) != NULL)) {                                \
            harness_fail("%s: %s gave %s and %s", run->setting->name, #call,           \
                         tulle_result_name(result_),                                   \
                         (out) != NULL ? "set its result" : "did not set its result"); \
        }                                                                              \
        if (result_ != TULLE_OK) {                                                     \
            return result_;                                                            \
        }                                                                              \
    } while (0)
#define STEP_PLAIN(call)                     \
    do {                                     \
        failing_enter();                     \
        const tulle_result result_ = (call); \
        failing_leave();                     \
        if (result_ != TULLE_OK) {           \
            return result_;                  \
        }                                    \
    } while (0)

static tulle_result make_patterns(struct run *run) {
    static const int64_t positions[] = { 5, 300 };
    static uint8_t mask[22 * 22];
    for (size_t n = 0; n < sizeof mask; n++) {
        mask[n] = n % 3 == 0;
    }
    const tulle_term first[] = {
        { .kind = TULLE_WINDOW, .left = 9, .right = 4 },
        { .kind = TULLE_STRIDED, .step = 5 },
        { .kind = TULLE_GLOBAL_LIST, .positions = positions, .position_count = 2 }
    };
    const tulle_term second[] = { { .kind = TULLE_BLOCKS,
                                    .block = 33,
                                    .mask = mask,
                                    .layouts = 1,
                                    .block_rows = 22,
                                    .block_cols = 22 },
                                  { .kind = TULLE_RANDOM, .block = 16, .count = 2, .seed = 4 } };
    STEP(tulle_pattern_create(first, 3, &run->patterns[0], &run->error), run->patterns[0]);
    STEP(tulle_pattern_create(second, 2, &run->patterns[1], &run->error), run->patterns[1]);
    return TULLE_OK;
}

static tulle_result attend_on_host(struct run *run) {
    const tulle_host_arrays arrays = {
        .q = q, .k = k, .v = v, .o = run->answer.o, .lse = run->answer.lse
    };
    double milliseconds[1];
    // timestamps, where the queue has them
    const tulle_timing timing = { .repeat = 1, .repeat_ms = milliseconds };
    STEP_PLAIN(tulle_attention(run->plan, &arrays, &timing, &run->error));
    return TULLE_OK;
}

static tulle_result attend_recorded(struct run *run) {
    const struct gpu *gpu = run->gpu;
    const void *const sources[] = { q, k, v, run->answer.o, run->answer.lse };
    const size_t sizes[] = { sizeof q, sizeof k, sizeof v, sizeof run->answer.o,
                             sizeof run->answer.lse };
    const VkBufferUsageFlags usage =
        VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT;
    for (int n = 0; n < 5; n++) {
        run->buffers[n] = gpu_buffer_create(gpu, sizes[n], usage);
        memcpy(run->buffers[n].mapped, sources[n], sizes[n]);
    }
    const tulle_buffers buffers = { .q = { run->buffers[0].buffer, 0, 0 },
                                    .k = { run->buffers[1].buffer, 0, 0 },
                                    .v = { run->buffers[2].buffer, 0, 0 },
                                    .o = { run->buffers[3].buffer, 0, 0 },
                                    .lse = { run->buffers[4].buffer, 0, 0 } };
    STEP(tulle_binding_create(run->plan, &buffers, &run->binding, &run->error), run->binding);
    VkCommandBuffer cmd = gpu_begin(gpu);
    failing_enter();  // nothing here may call what fails: it is recording alone
    tulle_result result = tulle_cmd_prepare(cmd, run->plan, &run->error);
    if (result == TULLE_OK) {
        result = tulle_cmd_attention(cmd, run->plan, run->binding, 0, 0, &run->error);
    }
    failing_leave();
    gpu_barrier(gpu, cmd);
    gpu_finish(gpu, cmd);
    memcpy(run->answer.o, run->buffers[3].mapped, sizeof run->answer.o);
    memcpy(run->answer.lse, run->buffers[4].mapped, sizeof run->answer.lse);
    if (result == TULLE_OK) {
        const tulle_buffer o = { run->buffers[3].buffer, 0, 0 },
                           lse = { run->buffers[4].buffer, 0, 0 },
                           other_o = { run->buffers[1].buffer, 0, 0 },
                           other_lse = { run->buffers[0].buffer, 0, 0 };
        STEP(tulle_merger_create(run->context, LSE_COUNT, DIM, TULLE_F32, &o, &lse, &other_o,
                                 &other_lse, &run->merger, &run->error),
             run->merger);
    }
    return result;
}

// The host's cache: what the last run saved, which the next one reads.
static struct {
    uint8_t data[1 << 20];
    size_t size;
} cached;

static bool read_cache(void *user, const tulle_device_info *info, const void **data, size_t *size) {
    (void)user, (void)info;
    *data = cached.data;
    *size = cached.size;
    return cached.size > 0;
}

static bool write_cache(void *user, const tulle_device_info *info, const void *data, size_t size) {
    (void)user, (void)info;
    cached.size = size <= sizeof cached.data ? size : 0;
    memcpy(cached.data, data, cached.size);
    return true;
}

static tulle_result run_steps(struct run *run) {
    const tulle_cache cache = { .read = read_cache, .write = write_cache };
    tulle_vulkan_import import = gpu_import(run->gpu);
    import.get_instance_proc_addr = failing_get;
    const tulle_context_params params = { .import = &import,
                                          .allocator = &failing_callbacks,
                                          .cache = &cache,
                                          .log = note_error,
                                          .log_user = run,
                                          .clamp = run->setting->bare ? TULLE_CLAMP_VULKAN_1_1
                                                                      : TULLE_CLAMP_NONE };
    STEP(tulle_context_create(&params, &run->context, &run->error), run->context);
    tulle_result result = make_patterns(run);
    if (result != TULLE_OK) {
        return result;
    }
    const float slopes[HEADS] = { 0.1f, 0.2f }, sinks[HEADS] = { 1.0f, 0.5f };
    const int32_t lengths[1] = { KV_LEN - 10 };
    const tulle_attention_desc desc = { .heads = HEADS,
                                        .q_len = Q_LEN,
                                        .kv_len = KV_LEN,
                                        .head_dim = DIM,
                                        .lse = true,
                                        .causal = true,
                                        .patterns = (const tulle_pattern *const *)run->patterns,
                                        .pattern_count = 2,
                                        .kv_lengths = lengths,
                                        .alibi_slopes = slopes,
                                        .sink_logits = sinks,
                                        .buffer_usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT |
                                                        VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT,
                                        .kernel = run->setting->kernel,
                                        .dispatch_pairs = 4000 };
    STEP(tulle_plan_create(run->context, &desc, &run->plan, &run->error), run->plan);
    uint64_t pairs = 0;
    STEP_PLAIN(tulle_plan_count_pairs(run->plan, &pairs, &run->error));
    STEP_PLAIN(tulle_plan_costs(run->plan, ignore_cost, NULL, &run->error));
    result = run->setting->record ? attend_recorded(run) : attend_on_host(run);
    if (result == TULLE_OK) {
        STEP_PLAIN(tulle_cache_save(run->context, &run->error));
    }
    return result;
}

static void end_run(struct run *run) {
    failing_enter();
    tulle_merger_destroy(run->merger);
    tulle_binding_destroy(run->binding);
    tulle_plan_destroy(run->plan);
    tulle_pattern_destroy(run->patterns[0]);
    tulle_pattern_destroy(run->patterns[1]);
    tulle_context_destroy(run->context);
    failing_leave();
    for (int n = 0; n < 5; n++) {
        if (run->buffers[n].buffer != VK_NULL_HANDLE) {
            gpu_buffer_destroy(run->gpu, &run->buffers[n]);
        }
    }
}

// -------------------------------------------------------------------------------------------------

static tulle_result expected(enum failing_kind kind, const char *name) {
    static const char *const lost[] = { "vkQueueSubmit", "vkWaitForFences", "vkQueueWaitIdle",
                                        "vkDeviceWaitIdle", "vkGetQueryPoolResults" };
    static const char *const host[] = { "vkBeginCommandBuffer",
                                        "vkEndCommandBuffer",
                                        "vkResetCommandBuffer",
                                        "vkResetCommandPool",
                                        "vkGetPipelineCacheData",
                                        "vkFlushMappedMemoryRanges",
                                        "vkInvalidateMappedMemoryRanges",
                                        "vkEnumeratePhysicalDevices",
                                        "vkEnumerateDeviceExtensionProperties",
                                        "vkAllocateCommandBuffers" };
    if (kind == FAILING_ALLOCATIONS || kind == FAILING_CALLBACKS) {
        return TULLE_ERROR_OUT_OF_HOST_MEMORY;
    }
    for (size_t n = 0; n < sizeof lost / sizeof *lost; n++) {
        if (strcmp(name, lost[n]) == 0) {
            return TULLE_ERROR_DEVICE_LOST;
        }
    }
    for (size_t n = 0; n < sizeof host / sizeof *host; n++) {
        if (strcmp(name, host[n]) == 0) {
            return TULLE_ERROR_OUT_OF_HOST_MEMORY;
        }
    }
    return strcmp(name, "vkMapMemory") == 0 ? TULLE_ERROR_VULKAN : TULLE_ERROR_OUT_OF_DEVICE_MEMORY;
}

// The n-th fails. Returns false where it did not come to that.
static bool one_failure(const struct setting *setting, const struct gpu *gpu,
                        enum failing_kind kind, long n, const struct answer *right) {
    struct run *run = calloc(1, sizeof *run);
    run->setting = setting;
    run->gpu = gpu;
    memset(&run->answer, 0xff, sizeof run->answer);
    failing_arm(kind, n);
    const tulle_result result = run_steps(run);
    const bool struck = failing_struck();
    const char *name = failing_name();
    failing_arm(FAILING_NOTHING, 0);
    if (struck && result != TULLE_OK && result != expected(kind, name)) {
        harness_fail("%s: call %ld, %s, failed: the result is %s (%s), should be %s", setting->name,
                     n, name, tulle_result_name(result), run->error.message,
                     tulle_result_name(expected(kind, name)));
    }
    if (result != TULLE_OK && (run->error.result != result || run->error.message[0] == '\0')) {
        harness_fail("%s: call %ld, %s, failed: the error says %s, \"%s\"", setting->name, n, name,
                     tulle_result_name(run->error.result), run->error.message);
    }
    // The log has each error once. Patterns know no log; what was coped with is no error.
    const bool of_pattern = run->context != NULL && run->patterns[1] == NULL;
    if (run->errors_logged != (result != TULLE_OK && !of_pattern) ||
        (run->errors_logged == 1 && strcmp(run->logged, run->error.message) != 0)) {
        harness_fail(
            "%s: call %ld, %s, failed: the error says \"%s\", and %d were logged, last \"%s\"",
            setting->name, n, name, run->error.message, run->errors_logged, run->logged);
    }
    if (!struck && result != TULLE_OK) {
        harness_fail("%s: nothing failed, and the result is %s: %s", setting->name,
                     tulle_result_name(result), run->error.message);
    }
    if (result == TULLE_OK && right != NULL) {
        for (size_t at = 0; at < O_COUNT; at++) {
            // Another variant may round otherwise; anything wrong is off by far more.
            const float difference = run->answer.o[at] - right->o[at];
            if (!(difference < 1e-4f && difference > -1e-4f)) {
                harness_fail(
                    "%s: call %ld, %s, failed, the result is TULLE_OK, and O[%zu] is %g, should be %g",
                    setting->name, n, name, at, (double)run->answer.o[at], (double)right->o[at]);
            }
        }
    }
    end_run(run);
    char held[400];
    if (failing_objects(held, sizeof held) != 0 || failing_pieces() != 0 || failing_given() != 0) {
        harness_fail(
            "%s: call %ld, %s, failed: %ld pieces of memory are still held, %ld of the driver's, and %s",
            setting->name, n, name, failing_pieces(), failing_given(), held);
    }
    free(run);
    return struck;
}

static void sweep(const struct setting *setting) {
    struct gpu gpu;
    char why[400] = "";
    failing_reset();
    cached.size = 0;
    if (!gpu_open(&gpu, harness_device()->uuid, setting->bare, NULL, why, sizeof why)) {
        harness_fail("no device: %s", why);
    }
    struct run *run = calloc(1, sizeof *run);
    run->setting = setting;
    run->gpu = &gpu;
    harness_ok(run_steps(run), &run->error, setting->name);
    tulle_plan_info info;
    tulle_plan_get_info(run->plan, &info);
    end_run(run);
    long calls[FAILING_KINDS] = { 0 };
    for (enum failing_kind kind = FAILING_ALLOCATIONS; kind < FAILING_KINDS; kind++) {
        while (one_failure(setting, &gpu, kind, calls[kind] + 1, &run->answer)) {
            calls[kind]++;
        }
    }
    // a driver need not ask for much
    if (calls[FAILING_ALLOCATIONS] < 10 || calls[FAILING_VULKAN] < 15 ||
        calls[FAILING_CALLBACKS] == 0) {
        harness_fail(
            "%s: only %ld allocations, %ld Vulkan calls and %ld allocations of the driver could be made to fail",
            setting->name, calls[FAILING_ALLOCATIONS], calls[FAILING_VULKAN],
            calls[FAILING_CALLBACKS]);
    }
    printf(
        "# %s, kernel %s, %u dispatches: %ld allocations, %ld Vulkan calls and %ld allocations of the driver failed in turn\n",
        setting->name, info.kernel, info.dispatches, calls[FAILING_ALLOCATIONS],
        calls[FAILING_VULKAN], calls[FAILING_CALLBACKS]);
    fflush(stdout);
    one_failure(setting, &gpu, FAILING_NOTHING, 0, &run->answer);  // and after all that a fresh run
    free(run);
    gpu_close(&gpu);
}

static void test_host_arrays(void **state) {
    (void)state;
    sweep(&(struct setting){ .name = "host arrays" });
}

static void test_recorded(void **state) {
    (void)state;
    sweep(&(struct setting){ .name = "recorded", .record = true, .kernel = "base" });
}

static void test_floor(void **state) {
    (void)state;
    sweep(&(struct setting){ .name = "recorded on the floor", .bare = true, .record = true });
}

// A tuning plans and runs every kernel, which takes too long to let each of its calls fail: the
// first, which are its own, and then one at about each power of two, drawn anew each time.
static void test_tuning(void **state) {
    (void)state;
    struct gpu gpu;
    struct rng rng = { rng_hash(harness_seed(), 2) };
    char why[400] = "", held[400];
    long sampled = 0;
    failing_reset();
    if (!gpu_open(&gpu, harness_device()->uuid, false, NULL, why, sizeof why)) {
        harness_fail("no device: %s", why);
    }
    tulle_vulkan_import import = gpu_import(&gpu);
    import.get_instance_proc_addr = failing_get;
    const tulle_context_params params = { .import = &import };
    const tulle_attention_desc desc = { .heads = 1,
                                        .q_len = 4,
                                        .kv_len = 32,
                                        .head_dim = DIM,
                                        .lse = true,
                                        .buffer_usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT |
                                                        VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT };
    const enum failing_kind kinds[] = { FAILING_ALLOCATIONS, FAILING_VULKAN };
    for (size_t kind = 0; kind < 2; kind++) {
        bool struck = true;
        for (long n = 1; struck; n += n < 10 ? 1 : n + (long)rng_between(&rng, 0, 9), sampled++) {
            tulle_context *context = NULL;
            tulle_error error = { 0 };
            failing_enter();
            harness_ok(tulle_context_create(&params, &context, &error), &error,
                       "tulle_context_create");
            failing_arm(kinds[kind], n);
            const tulle_result result = tulle_tune(context, &desc, NULL, NULL, &error);
            struck = failing_struck();
            const char *name = failing_name();
            failing_arm(FAILING_NOTHING, 0);
            tulle_context_destroy(context);
            failing_leave();
            // TULLE_OK: memory of another type did as well
            if (result != TULLE_OK && (!struck || result != expected(kinds[kind], name))) {
                harness_fail("tuning: call %ld, %s, failed: the result is %s (%s)", n, name,
                             tulle_result_name(result), error.message);
            }
            if (failing_objects(held, sizeof held) != 0 || failing_pieces() != 0) {
                harness_fail("tuning: call %ld, %s, failed: %ld pieces of memory are held, and %s",
                             n, name, failing_pieces(), held);
            }
        }
    }
    printf("# tuning: %ld of its allocations and Vulkan calls failed in turn\n", sampled - 2);
    fflush(stdout);
    gpu_close(&gpu);
}

// Instance and device too are made by the library here, and what the loader and the driver allocate
// for them fails. It ends where the device is there: Mesa 22.3 allocates a pipeline layout, with the
// first plan, by the device's callbacks and uses it unlooked-at (lvp_CreatePipelineLayout). An
// imported device has its host's, which do not fail; the rest is swept above with those.
static void test_own_context(void **state) {
    (void)state;
    failing_reset();
    // Mesa's layer that sorts devices, on by itself: where it cannot list a device's extensions it
    // compares what it has not read.
    setenv("NODEVICE_SELECT", "1", 1);
    tulle_context_params params = harness_own_params();
    params.allocator = &failing_callbacks;
    params.validation = false;
    long failed = 0, devices = 0;
    for (bool made = false; !made; failed++) {
        tulle_context *context = NULL;
        tulle_error error = { 0 };
        failing_arm(FAILING_CALLBACKS, failed + 1);
        failing_enter();
        const tulle_result result = tulle_context_create(&params, &context, &error);
        failing_leave();
        const bool struck = failing_struck();
        failing_arm(FAILING_NOTHING, 0);
        // TULLE_OK: the loader did without, for instance without another of its drivers.
        const bool told =
            error.result == TULLE_ERROR_OUT_OF_HOST_MEMORY && error.message[0] != '\0';
        if ((result == TULLE_OK) != (context != NULL) ||
            (result != TULLE_OK && (!struck || !told || error.result != result))) {
            harness_fail("own context: allocation %ld of the driver failed, the result is %s (%s)",
                         failed + 1, tulle_result_name(result), error.message);
        }
        failing_enter();
        tulle_context_destroy(context);
        failing_leave();
        if (failing_pieces() != 0 || failing_given() != 0) {
            harness_fail(
                "own context: allocation %ld of the driver failed: %ld pieces of memory are still held, %ld of the driver's",
                failed + 1, failing_pieces(), failing_given());
        }
        devices += strstr(error.message, "vkCreateDevice") != NULL;
        made = !struck || strstr(error.message, "vkCreatePipelineCache") != NULL;
    }
    if (devices == 0) {
        harness_fail("own context: of %ld allocations of the driver none was vkCreateDevice's",
                     failed);
    }
    printf(
        "# own context: %ld allocations of the loader and the driver failed in turn, %ld of them in vkCreateDevice\n",
        failed, devices);
    fflush(stdout);
}

static int setup(void **state) {
    (void)state;
    make_inputs();
    return 0;
}

int main(int argc, char **argv) {
    (void)argc;
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_host_arrays),
                                        cmocka_unit_test(test_recorded),
                                        cmocka_unit_test(test_floor), cmocka_unit_test(test_tuning),
                                        cmocka_unit_test(test_own_context) };
    harness_start(argv[0]);
    return cmocka_run_group_tests_name("failures", tests, setup, harness_teardown);
}
