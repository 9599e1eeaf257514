// SPDX-License-Identifier: MIT
//
// Contexts made, refused and used, for the tests of contexts: on the device that the library picks,
// or on one of the tests' own (gpu.h). All but context_use fail the test where something fails that
// should not.
#ifndef TESTS_CONTEXT_USE_H
#define TESTS_CONTEXT_USE_H

#include "gpu.h"

// What the library says: how many messages of each level, and the text of its errors, one a line.
struct journal {
    int messages[TULLE_LOG_DEBUG + 1];
    char errors[4000];
};

// The log callback that writes it; user: the struct journal, zeroed.
void journal_note(void *user, tulle_log_level level, const char *message);

// A context that must come about.
tulle_context *context_make(const tulle_context_params *params);

// The call must fail with `result`, a message that holds every one of the words, and the same
// message in the log.
void context_refuse(tulle_context_params params, tulle_result result, const char *const *words,
                    size_t count);
#define REFUSE(params, result, ...)                                      \
    context_refuse(params, result, (const char *const[]){ __VA_ARGS__ }, \
                   sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *))

// The device that the library picks, on which the tests of contexts run.
tulle_device_info context_default_device(void);

// It again as a device of the tests' own; bare: with no feature and no extension. To be closed by
// gpu_close.
void context_open_gpu(struct gpu *gpu, bool bare);

// Does the context's device work? A buffer is filled by a command submitted through the context,
// and read back. Used from threads, where cmocka's assertions may not be: so it says bool.
bool context_use(tulle_context *context, uint32_t value);

#endif
