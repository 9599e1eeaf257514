// SPDX-License-Identifier: MIT

#include "harness.h"
#include "tulle/inspect.h"

#include <ctype.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// -------------------------------------------------------------------------------------------------
// Random numbers

uint64_t rng_next(struct rng *rng) {
    uint64_t z = rng->state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

int64_t rng_between(struct rng *rng, int64_t low, int64_t high) {
    return low + (int64_t)(rng_next(rng) % (uint64_t)(high - low + 1));
}

bool rng_chance(struct rng *rng, int percent) { return rng_between(rng, 0, 99) < percent; }

double rng_normal(struct rng *rng) {
    double sum = -6.0;
    for (int n = 0; n < 12; n += 2) {
        const uint64_t word = rng_next(rng);
        sum += (double)(uint32_t)word * 0x1p-32 + (double)(word >> 32) * 0x1p-32;
    }
    return sum;
}

uint64_t rng_hash(uint64_t a, uint64_t b) {
    struct rng rng = { a ^ b * UINT64_C(0xD6E8FEB86659FD93) };
    rng_next(&rng);
    return rng_next(&rng);
}

// -------------------------------------------------------------------------------------------------
// The run

static struct {
    const char *program;
    uint64_t seed;
    char current[1024];
    atomic_int layer_messages;
    char layer_text[1500];  // the first of them
    bool validation;
    jmp_buf *attempt;  // in harness_try: where a failure leads
    bool device_known;
    tulle_device_info device;
    bool opened[MODE_COUNT];
    struct mode_context contexts[MODE_COUNT];
} run;

uint64_t harness_seed(void) { return run.seed; }

void harness_case(const char *spec) {
    snprintf(run.current, sizeof run.current, "%s", spec == NULL ? "" : spec);
}

void harness_fail(const char *format, ...) {
    char text[1200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (run.current[0] != '\0') {
        fprintf(stderr, "# reproduce: TULLE_TEST_CASE='%s' %s\n", run.current, run.program);
    } else {
        fprintf(stderr, "# reproduce: TULLE_TEST_SEED=%llu %s\n", (unsigned long long)run.seed,
                run.program);
    }
    if (run.attempt != NULL) {
        fprintf(stderr, "# failed: %s\n", text);
        longjmp(*run.attempt, 1);
    }
    fail_msg("%s", text);
}

bool harness_try(void (*body)(const void *user), const void *user) {
    jmp_buf attempt;
    run.attempt = &attempt;
    if (setjmp(attempt) == 0) {
        body(user);
        run.attempt = NULL;
        return true;
    }
    run.attempt = NULL;
    atomic_store(&run.layer_messages, 0);
    return false;
}

void harness_ok(tulle_result result, const tulle_error *error, const char *what) {
    if (result != TULLE_OK) {
        harness_fail("%s gave %s: %s", what, tulle_result_name(result), error->message);
    }
}

static void on_layer_message(const char *text) {
    if (atomic_fetch_add(&run.layer_messages, 1) == 0) {
        snprintf(run.layer_text, sizeof run.layer_text, "%s", text);
    }
}

// The library reports the layer's messages through its log, beside its own.
static void on_log(void *user, tulle_log_level level, const char *message) {
    (void)user;
    if (level <= TULLE_LOG_WARNING &&
        (strstr(message, "VUID-") != NULL || strstr(message, "SYNC-HAZARD") != NULL ||
         strstr(message, "UNASSIGNED-") != NULL || strstr(message, "Validation ") != NULL)) {
        on_layer_message(message);
    }
}

void harness_silent(void) {
    const int count = atomic_exchange(&run.layer_messages, 0);
    if (count > 0) {
        harness_fail("the validation layer reported %d messages; the first: %s", count,
                     run.layer_text);
    }
}

void harness_start(const char *program) {
    run.program = program;
    const char *seed = getenv("TULLE_TEST_SEED");
    run.seed = seed != NULL ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL);
    printf("# seed: TULLE_TEST_SEED=%llu\n", (unsigned long long)run.seed);
    const char *validation = getenv("TULLE_TEST_VALIDATION");
    run.validation = validation == NULL || strcmp(validation, "0") != 0;
    const char *filter = getenv("TULLE_TEST_FILTER");
    if (filter != NULL) {
        cmocka_set_test_filter(filter);
    }
    fflush(stdout);
}

int harness_setup(void **state) {
    (void)state;
    return 0;
}

static void close_contexts(void) {
    for (int mode = 0; mode < MODE_COUNT; mode++) {
        if (run.opened[mode]) {
            tulle_context_destroy(run.contexts[mode].tulle);
            if (run.contexts[mode].has_gpu) {
                gpu_close(&run.contexts[mode].gpu);
            }
            run.opened[mode] = false;
        }
    }
}

int harness_teardown(void **state) {
    (void)state;
    close_contexts();
    // what the layer says of the destruction itself
    const int count = atomic_exchange(&run.layer_messages, 0);
    if (count > 0) {
        fprintf(stderr, "# at the end the validation layer reported %d messages; the first: %s\n",
                count, run.layer_text);
    }
    return count > 0 ? -1 : 0;
}

// -------------------------------------------------------------------------------------------------
// Contexts

static bool contains(const char *text, const char *part) {
    const size_t length = strlen(part);
    for (; *text != '\0'; text++) {
        size_t n = 0;
        while (n < length && tolower((unsigned char)text[n]) == tolower((unsigned char)part[n])) {
            n++;
        }
        if (n == length) {
            return true;
        }
    }
    return false;
}

const tulle_device_info *harness_device(void) {
    if (run.device_known) {
        return &run.device;
    }
    tulle_error error = { 0 };
    tulle_device_info devices[16];
    uint32_t count = 0;
    harness_ok(tulle_devices(&count, NULL, &error), &error, "tulle_devices");
    if (count > 16) {
        count = 16;
    }
    harness_ok(tulle_devices(&count, devices, &error), &error, "tulle_devices");
    if (count == 0) {
        harness_fail("there is no Vulkan device");
    }
    // The order of preference that tulle_device_by documents.
    static const VkPhysicalDeviceType order[] = { VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU,
                                                  VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU,
                                                  VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU,
                                                  VK_PHYSICAL_DEVICE_TYPE_CPU,
                                                  VK_PHYSICAL_DEVICE_TYPE_OTHER };
    const char *wanted = getenv("TULLE_TEST_DEVICE");
    const tulle_device_info *found = NULL;
    if (wanted != NULL && wanted[0] != '\0') {
        char *end = NULL;
        const unsigned long index = strtoul(wanted, &end, 10);
        for (uint32_t n = 0; n < count && found == NULL; n++) {
            if (*end == '\0' ? devices[n].index == index : contains(devices[n].name, wanted)) {
                found = &devices[n];
            }
        }
        if (found == NULL) {
            harness_fail("TULLE_TEST_DEVICE=%s: there is no such device", wanted);
        }
    }
    for (size_t t = 0; t < sizeof order / sizeof order[0] && found == NULL; t++) {
        for (uint32_t n = 0; n < count && found == NULL; n++) {
            if (devices[n].type == order[t]) {
                found = &devices[n];
            }
        }
    }
    run.device = *found;
    run.device_known = true;
    printf("# device: %s, %s %s\n", found->name, found->driver, found->driver_info);
    fflush(stdout);
    return &run.device;
}

tulle_context_params harness_own_params(void) {
    tulle_context_params params = { .device_by = TULLE_DEVICE_BY_UUID,
                                    .log = on_log,
                                    .validation = run.validation };
    memcpy(params.device_uuid, harness_device()->uuid, VK_UUID_SIZE);
    return params;
}

// Says once that the layer is missing, in a form that the tally counts as a reason to skip.
static void without_validation(const char *why) {
    printf("# without validation: %s\n", why);
    fflush(stdout);
    run.validation = false;
}

void harness_open_gpu(struct gpu *gpu, bool bare, gpu_message on_message) {
    char why[1200] = "";
    const uint8_t *uuid = harness_device()->uuid;
    const gpu_message to = on_message != NULL ? on_message : on_layer_message;
    bool opened = gpu_open(gpu, uuid, bare, run.validation ? to : NULL, why, sizeof why);
    if (!opened && run.validation) {
        without_validation(why);
        opened = gpu_open(gpu, uuid, bare, NULL, why, sizeof why);
    }
    if (!opened) {
        harness_fail("no device of the tests' own: %s", why);
    }
}

static void open_mode(enum mode mode, struct mode_context *context) {
    static const char *const names[MODE_COUNT] = { "own", "own-floor", "import", "import-floor" };
    memset(context, 0, sizeof *context);
    context->name = names[mode];
    tulle_context_params params = harness_own_params();
    const bool floor = mode == MODE_OWN_FLOOR || mode == MODE_IMPORT_FLOOR;
    params.clamp = floor ? TULLE_CLAMP_VULKAN_1_1 : TULLE_CLAMP_NONE;

    tulle_vulkan_import import;
    if (mode == MODE_IMPORT || mode == MODE_IMPORT_FLOOR) {
        harness_open_gpu(&context->gpu, floor, NULL);
        context->has_gpu = true;
        import = gpu_import(&context->gpu);
        params.import = &import;
        params.validation = false;  // the instance is ours, and so is the layer
    }
    tulle_error error = { 0 };
    tulle_result result = tulle_context_create(&params, &context->tulle, &error);
    if (result == TULLE_ERROR_UNSUPPORTED && params.validation) {
        without_validation(error.message);
        params.validation = false;
        result = tulle_context_create(&params, &context->tulle, &error);
    }
    harness_ok(result, &error, "tulle_context_create");
}

const struct mode_context *harness_mode(enum mode mode) {
    if (!run.opened[mode]) {
        open_mode(mode, &run.contexts[mode]);
        run.opened[mode] = true;
    }
    return &run.contexts[mode];
}

static void on_variant(void *user, const char *name, bool serves, const char *reason) {
    struct variants *variants = user;
    if (variants->count < sizeof variants->names / sizeof variants->names[0]) {
        const uint32_t n = variants->count++;
        snprintf(variants->names[n], sizeof variants->names[n], "%s", name);
        snprintf(variants->reasons[n], sizeof variants->reasons[n], "%s", reason);
        variants->serves[n] = serves;
    }
}

void harness_variants(tulle_context *context, const tulle_attention_desc *desc,
                      struct variants *variants) {
    tulle_error error = { 0 };
    variants->count = 0;
    harness_ok(tulle_explain(context, desc, on_variant, variants, &error), &error, "tulle_explain");
}

bool harness_serves(const struct variants *variants, const char *name) {
    for (uint32_t n = 0; n < variants->count; n++) {
        if (variants->serves[n] && !strcmp(variants->names[n], name)) {
            return true;
        }
    }
    return false;
}
