// SPDX-License-Identifier: MIT
//
// tulle_tune: it takes the fastest kernel, whichever that is; plans then take it, and so do those
// of the next process. Which kernel is fast is decided here: the queue dawdles over the others.
#define _POSIX_C_SOURCE 200809L

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "harness.h"
#include "tulle/inspect.h"

// -------------------------------------------------------------------------------------------------
// A queue that dawdles over all pipelines but one

enum { PIPELINES_MOST = 32 };

static PFN_vkGetDeviceProcAddr real_get_device;
static PFN_vkGetPhysicalDeviceQueueFamilyProperties real_families;
static PFN_vkCreateComputePipelines real_create;
static PFN_vkCmdBindPipeline real_bind;
static PFN_vkQueueSubmit real_submit;
static VkPipeline made[PIPELINES_MOST];  // in the order in which they were made
static int made_count;
static VkPipeline bound;  // first in what was recorded last
static int fast;          // the number of the pipeline that is not held up
static int dawdle_ms;

static VKAPI_ATTR VkResult VKAPI_CALL noted_create(VkDevice device, VkPipelineCache cache,
                                                   uint32_t count,
                                                   const VkComputePipelineCreateInfo *infos,
                                                   const VkAllocationCallbacks *allocator,
                                                   VkPipeline *out) {
    const VkResult result = real_create(device, cache, count, infos, allocator, out);
    if (made_count < PIPELINES_MOST) {
        made[made_count++] = *out;
    }
    return result;
}

static VKAPI_ATTR void VKAPI_CALL noted_bind(VkCommandBuffer cmd, VkPipelineBindPoint point,
                                             VkPipeline pipeline) {
    bound = bound == VK_NULL_HANDLE ? pipeline : bound;
    real_bind(cmd, point, pipeline);
}

static VKAPI_ATTR VkResult VKAPI_CALL slow_submit(VkQueue queue, uint32_t count,
                                                  const VkSubmitInfo *infos, VkFence fence) {
    if (bound != VK_NULL_HANDLE && bound != made[fast]) {
        nanosleep(&(struct timespec){ 0, dawdle_ms * 1000000L }, NULL);
    }
    bound = VK_NULL_HANDLE;  // a copy is none's
    return real_submit(queue, count, infos, fence);
}

// No timestamps: so time is measured around the submit, and not by the device.
static VKAPI_ATTR void VKAPI_CALL timeless_families(VkPhysicalDevice device, uint32_t *count,
                                                    VkQueueFamilyProperties *families) {
    real_families(device, count, families);
    for (uint32_t n = 0; families != NULL && n < *count; n++) {
        families[n].timestampValidBits = 0;
    }
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL slow_get_device(VkDevice device, const char *name) {
    PFN_vkVoidFunction real = real_get_device(device, name);
    if (strcmp(name, "vkCreateComputePipelines") == 0) {
        real_create = (PFN_vkCreateComputePipelines)real;
        return (PFN_vkVoidFunction)noted_create;
    }
    if (strcmp(name, "vkCmdBindPipeline") == 0) {
        real_bind = (PFN_vkCmdBindPipeline)real;
        return (PFN_vkVoidFunction)noted_bind;
    }
    if (strcmp(name, "vkQueueSubmit") == 0) {
        real_submit = (PFN_vkQueueSubmit)real;
        return (PFN_vkVoidFunction)slow_submit;
    }
    return real;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL slow_get(VkInstance instance, const char *name) {
    PFN_vkVoidFunction real = gpu_loader()(instance, name);
    if (strcmp(name, "vkGetDeviceProcAddr") == 0) {
        real_get_device = (PFN_vkGetDeviceProcAddr)real;
        return (PFN_vkVoidFunction)slow_get_device;
    }
    if (strcmp(name, "vkGetPhysicalDeviceQueueFamilyProperties") == 0) {
        real_families = (PFN_vkGetPhysicalDeviceQueueFamilyProperties)real;
        return (PFN_vkVoidFunction)timeless_families;
    }
    return real;
}

// -------------------------------------------------------------------------------------------------
// A context, a workload, what the tuning says

static struct gpu gpu;
static struct {
    void *data;
    size_t size;
} kept;

static bool kept_read(void *user, const tulle_device_info *info, const void **data, size_t *size) {
    (void)user, (void)info;
    *data = kept.data;
    *size = kept.size;
    return kept.size > 0;
}

static bool kept_write(void *user, const tulle_device_info *info, const void *data, size_t size) {
    (void)user, (void)info;
    free(kept.data);
    kept.data = malloc(size);
    kept.size = size;
    memcpy(kept.data, data, size);
    return true;
}

static int open_device(void **state) {
    (void)state;
    harness_open_gpu(&gpu, false, NULL);
    return 0;
}

static int close_device(void **state) {
    (void)state;
    gpu_close(&gpu);
    harness_silent();
    free(kept.data);
    kept.data = NULL;
    kept.size = 0;
    return 0;
}

static tulle_context *open_context(void) {
    static const tulle_cache cache = { .read = kept_read, .write = kept_write };
    tulle_vulkan_import import = gpu_import(&gpu);
    import.get_instance_proc_addr = slow_get;
    const tulle_context_params params = { .import = &import, .cache = &cache };
    tulle_context *context = NULL;
    tulle_error error = { 0 };
    made_count = 0;
    bound = VK_NULL_HANDLE;
    harness_ok(tulle_context_create(&params, &context, &error), &error, "tulle_context_create");
    return context;
}

// As small as it can be: what takes time is the dawdling. A tile of one part: one pipeline a kernel,
// and the kernels are made in the order in which they are tried.
static tulle_attention_desc workload(uint32_t q_len) {
    return (tulle_attention_desc){
        .heads = 1,
        .q_len = q_len,
        .kv_len = 32,
        .head_dim = 8,
        .lse = true,
        .buffer_usage =
            VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT,
    };
}

struct answers {
    int count, chosen;
    char names[32][64];
    double ms[32];
};

static void note(void *user, const char *kernel, double ms, bool chosen) {
    struct answers *answers = user;
    if (chosen) {
        answers->chosen = answers->chosen < 0 ? answers->count : 99;
    }
    snprintf(answers->names[answers->count], sizeof answers->names[0], "%s", kernel);
    answers->ms[answers->count++] = ms;
}

static struct answers tune(tulle_context *context, const tulle_attention_desc *desc) {
    struct answers answers = { .chosen = -1 };
    tulle_error error = { 0 };
    harness_ok(tulle_tune(context, desc, note, &answers, &error), &error, "tulle_tune");
    if (answers.chosen < 0 || answers.chosen >= answers.count) {
        harness_fail("of %d kernels none was chosen, or more than one", answers.count);
    }
    return answers;
}

static tulle_plan_info planned(tulle_context *context, tulle_attention_desc desc) {
    tulle_plan *plan = NULL;
    tulle_plan_info info;
    tulle_error error = { 0 };
    harness_ok(tulle_plan_create(context, &desc, &plan, &error), &error, "tulle_plan_create");
    tulle_plan_get_info(plan, &info);
    tulle_plan_destroy(plan);
    return info;
}

static void count_tuned(void *user, const tulle_tuned_class *of, const char *kernel) {
    struct answers *answers = user;
    if (of->dtype != TULLE_F32 || of->head_dim != 32 || of->phase != TULLE_PHASE_FEW_ROWS ||
        of->addresses) {
        harness_fail("another class was tuned: %d, %u, %d", (int)of->dtype, of->head_dim,
                     (int)of->phase);
    }
    snprintf(answers->names[answers->count++], sizeof answers->names[0], "%s", kernel);
}

// -------------------------------------------------------------------------------------------------

static void test_the_fastest(void **state) {
    (void)state;
    tulle_attention_desc desc = workload(4);
    desc.head_dim = 7;                                    // tuned without the caller's arrays:
    desc.q = (tulle_strides){ .row = INT64_C(1) << 30 };  // as far apart as these say they are not
    tulle_context *context = open_context();
    struct variants all;
    harness_variants(context, &desc, &all);
    tulle_context_destroy(context);
    dawdle_ms = 20;
    fast = 0;
    for (uint32_t next = 0; next < all.count && fast < 4; next++) {
        if (!all.serves[next]) {
            continue;
        }
        context = open_context();
        const struct answers answers = tune(context, &desc);
        if (strcmp(answers.names[answers.chosen], all.names[next]) != 0) {
            harness_fail("%s is the fastest, and %s (%g ms) is chosen", all.names[next],
                         answers.names[answers.chosen], answers.ms[answers.chosen]);
        }
        for (int n = 0; n < answers.count; n++) {
            if (n != fast && answers.ms[n] < dawdle_ms) {
                harness_fail("%s took %g ms, in %d of which nothing happened", answers.names[n],
                             answers.ms[n], dawdle_ms);
            }
        }
        tulle_context_destroy(context);
        fast++;
    }
    if (fast < 3) {
        harness_fail("only %d kernels could be told apart", fast);
    }
}

static void test_use_and_keeping(void **state) {
    (void)state;
    tulle_attention_desc desc = workload(16);
    tulle_context *context = open_context();
    const tulle_plan_info before = planned(context, desc);
    struct variants order;
    assert_false(before.tuned);
    tulle_context_destroy(context);
    context = open_context();
    dawdle_ms = 20;
    fast = 2;
    struct answers answers = tune(context, &desc);
    const char *tuned = answers.names[answers.chosen];
    assert_string_not_equal(tuned, before.kernel);
    for (int process = 0; process < 2; process++) {
        tulle_plan_info info = planned(context, desc);
        if (strcmp(info.kernel, tuned) != 0 || !info.tuned) {
            harness_fail("%s was tuned, and a plan takes %s", tuned, info.kernel);
        }
        harness_variants(context, &desc, &order);
        assert_string_equal(order.names[0], tuned);
        // another class, and a kernel that is named
        info = planned(context, workload(17));
        if (strcmp(info.kernel, before.kernel) != 0 || info.tuned) {
            harness_fail("a workload of another class takes %s", info.kernel);
        }
        desc.kernel = before.kernel;
        info = planned(context, desc);
        if (strcmp(info.kernel, before.kernel) != 0 || info.tuned) {
            harness_fail("%s was named, and %s is taken", before.kernel, info.kernel);
        }
        desc.kernel = NULL;
        struct answers listed = { 0 };
        tulle_tuned(context, count_tuned, &listed);
        assert_int_equal(listed.count, 1);
        assert_string_equal(listed.names[0], tuned);
        if (process == 0) {
            tulle_error error = { 0 };
            harness_ok(tulle_cache_save(context, &error), &error, "tulle_cache_save");
            tulle_context_destroy(context);
            context = open_context();  // reads it
        }
    }
    tulle_context_destroy(context);
}

// By the clock, on the library's own device: what is said is what happens.
static void test_an_own_device(void **state) {
    (void)state;
    const tulle_context_params params = harness_own_params();
    tulle_context *context = NULL;
    tulle_error error = { 0 };
    harness_ok(tulle_context_create(&params, &context, &error), &error, "tulle_context_create");
    const tulle_attention_desc desc = { .heads = 2,
                                        .q_len = 100,
                                        .kv_len = 100,
                                        .head_dim = 64,
                                        .dtype = TULLE_F16,
                                        .causal = true,
                                        .buffer_usage = TULLE_USAGE_HOST };
    struct variants all;
    harness_variants(context, &desc, &all);
    const struct answers answers = tune(context, &desc);
    int serving = 0;
    double least = answers.ms[0];
    for (uint32_t n = 0; n < all.count; n++) {
        serving += all.serves[n];
    }
    for (int n = 0; n < answers.count; n++) {
        least = answers.ms[n] < least ? answers.ms[n] : least;
        if (!(answers.ms[n] > 0.0)) {
            harness_fail("%s takes %g ms", answers.names[n], answers.ms[n]);
        }
    }
    if (answers.count != serving) {
        harness_fail("%d kernels serve, %d were timed", serving, answers.count);
    }
    if (answers.ms[answers.chosen] > least / 0.97) {
        harness_fail("%g ms is chosen where %g ms is to be had", answers.ms[answers.chosen], least);
    }
    assert_string_equal(planned(context, desc).kernel, answers.names[answers.chosen]);
    tulle_context_destroy(context);
    harness_silent();
}

static void test_refusals(void **state) {
    (void)state;
    tulle_context *context = open_context();
    tulle_attention_desc desc = workload(4);
    tulle_error error = { 0 };
    fast = 0;
    dawdle_ms = 0;
    assert_int_equal(tulle_tune(NULL, &desc, NULL, NULL, &error), TULLE_ERROR_INVALID_ARGUMENT);
    assert_int_equal(tulle_tune(context, NULL, NULL, NULL, &error), TULLE_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "desc"));
    desc.kernel = "base";
    assert_int_equal(tulle_tune(context, &desc, NULL, NULL, &error), TULLE_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "kernel is \"base\""));
    desc = workload(0);
    assert_int_equal(tulle_tune(context, &desc, NULL, NULL, &error), TULLE_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "q_len"));
    // its few rows are split, and what each split leaves has no room
    desc = workload(4);
    desc.kv_len = 20000;
    desc.workspace_limit = 1;
    assert_int_equal(tulle_tune(context, &desc, NULL, NULL, &error), TULLE_ERROR_WORKSPACE_LIMIT);
    struct answers listed = { 0 };
    tulle_tuned(context, count_tuned, &listed);
    assert_int_equal(listed.count, 0);
    // without callbacks it works all the same
    desc = workload(4);
    harness_ok(tulle_tune(context, &desc, NULL, NULL, &error), &error, "tulle_tune");
    tulle_tuned(context, count_tuned, &listed);
    assert_int_equal(listed.count, 1);
    tulle_context_destroy(context);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, open_device, close_device)

int main(int argc, char **argv) {
    (void)argc;
    const struct CMUnitTest tests[] = {
        CASE(test_the_fastest),
        CASE(test_use_and_keeping),
        CASE(test_refusals),
        cmocka_unit_test(test_an_own_device),
    };
    return HARNESS_RUN(argv, "tune", tests);
}
