// SPDX-License-Identifier: MIT
//
// What the tests of wrong use (device/test_error*.c, device/test_mistakes.c) share: a good
// descriptor to spoil, what a refusal must look like, and that everything is still usable
// afterwards.
#ifndef TESTS_MISTAKES_H
#define TESTS_MISTAKES_H

#include "harness.h"
#include "tulle/inspect.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

// fp32 with LSE, for storage buffers: 2 entries, 4 heads, 2 of keys, 10 queries, 20 keys, head
// sizes 8 and 16.
tulle_attention_desc mistake_desc(void);

// Fails where the call did not give `want`, or its message does not hold both words (NULL: none),
// or is not one line.
void mistake_refused(tulle_result got, const tulle_error *error, tulle_result want,
                     const char *const words[2], const char *what);

// Callbacks that do nothing.
void mistake_ignore_variant(void *user, const char *name, bool serves, const char *reason);
void mistake_ignore_run(void *user, const tulle_run *run);

// A test: the contexts of every mode still give right answers.
void mistakes_left_all_right(void **state);

#endif
