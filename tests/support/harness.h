// SPDX-License-Identifier: MIT
//
// What every test of the library stands on: contexts on the device under test, fresh random numbers
// whose seed is printed, and failures that say how to have them again.
//
// Environment:
//     TULLE_TEST_DEVICE      index, or part of a name (default: the best, as the library picks)
//     TULLE_TEST_SEED        a number (default: the time)
//     TULLE_TEST_CASE        one case alone, as a failure prints it (test_attention)
//     TULLE_TEST_SHARE       i/n: every n-th case from the i-th on, for n processes beside each
//                            other with one TULLE_TEST_SEED (test_attention)
//     TULLE_TEST_KERNELS     only kernels whose names hold this, as test_attention prints them
//     TULLE_TEST_FILTER      only tests whose name matches (* and ?)
//     TULLE_TEST_VALIDATION  0: without the validation layer
//     TULLE_TEST_DIGEST      a file: hashes of O and LSE are appended, a line each run of a problem
#ifndef TESTS_HARNESS_H
#define TESTS_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gpu.h"

// -------------------------------------------------------------------------------------------------
// Random numbers (splitmix64)

struct rng {
    uint64_t state;
};

uint64_t rng_next(struct rng *rng);
int64_t rng_between(struct rng *rng, int64_t low, int64_t high);  // both ends included
bool rng_chance(struct rng *rng, int percent);
// mean 0, variance 1, |x| < 6 (a sum of twelve uniform numbers)
double rng_normal(struct rng *rng);
uint64_t rng_hash(uint64_t a, uint64_t b);

// -------------------------------------------------------------------------------------------------
// The run

// The run's seed; each use of it hashes in something of its own.
uint64_t harness_seed(void);
// What is being tried, as the environment assignment that has it again; printed by failures. NULL:
// the seed alone.
void harness_case(const char *spec);
// Fails the test, after saying how to reproduce it.
void harness_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
// Runs body(user): false where it failed, which is reported and does not end the test. (What it
// held is lost.)
bool harness_try(void (*body)(const void *user), const void *user);
// Fails where result is not TULLE_OK.
void harness_ok(tulle_result result, const tulle_error *error, const char *what);
// Fails where the validation layer has reported anything since the last call.
void harness_silent(void);

void harness_start(const char *program);
int harness_setup(void **state);
int harness_teardown(void **state);
#define HARNESS_RUN(argv, name, tests) \
    (harness_start((argv)[0]),         \
     cmocka_run_group_tests_name(name, tests, harness_setup, harness_teardown))

// -------------------------------------------------------------------------------------------------
// Contexts

enum mode {
    MODE_OWN,           // the library's own device
    MODE_OWN_FLOOR,     // the same, its reported limits clamped to Vulkan 1.1's least
    MODE_IMPORT,        // a device of the tests' own with the recommended features
    MODE_IMPORT_FLOOR,  // a device of the tests' own with no feature enabled, limits clamped
    MODE_COUNT
};

struct mode_context {
    const char *name;
    tulle_context *tulle;
    bool has_gpu;  // imported: the tests can record commands
    struct gpu gpu;
};

// Opened at the first call, kept until the end of the program.
const struct mode_context *harness_mode(enum mode mode);

// The device under test.
const tulle_device_info *harness_device(void);

// A context of its own for the caller to destroy, in that mode (own modes only).
tulle_context_params harness_own_params(void);

// The tests' own device, with the validation layer where it is there and wanted; its messages go to
// on_message; NULL: to harness_silent. bare: no feature.
void harness_open_gpu(struct gpu *gpu, bool bare, gpu_message on_message);

// Name and refusal of every variant that the library has, for a descriptor (NULL: the plain one).
struct variants {
    uint32_t count;
    char names[32][64];
    bool serves[32];
    char reasons[32][200];
};
void harness_variants(tulle_context *context, const tulle_attention_desc *desc,
                      struct variants *variants);
// Is the variant of this name among those that serve?
bool harness_serves(const struct variants *variants, const char *name);

#endif
