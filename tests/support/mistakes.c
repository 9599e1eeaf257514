// SPDX-License-Identifier: MIT
#include "mistakes.h"

#include <string.h>

#include "problem.h"

tulle_attention_desc mistake_desc(void) {
    return (tulle_attention_desc){ .batch = 2,
                                   .heads = 4,
                                   .kv_heads = 2,
                                   .q_len = 10,
                                   .kv_len = 20,
                                   .head_dim = 8,
                                   .v_head_dim = 16,
                                   .lse = true,
                                   .buffer_usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT };
}

void mistake_refused(tulle_result got, const tulle_error *error, tulle_result want,
                     const char *const words[2], const char *what) {
    if (got != want || error->result != want) {
        harness_fail("%s: %s (%s in the error), should be %s; the message: %s", what,
                     tulle_result_name(got), tulle_result_name(error->result),
                     tulle_result_name(want), error->message);
    }
    for (int n = 0; n < 2; n++) {
        if (words[n] != NULL && strstr(error->message, words[n]) == NULL) {
            harness_fail("%s: the message does not say \"%s\": %s", what, words[n], error->message);
        }
    }
    if (error->message[0] == '\0' || strchr(error->message, '\n') != NULL ||
        strlen(error->message) >= sizeof error->message) {
        harness_fail("%s: not one line: \"%s\"", what, error->message);
    }
}

void mistake_ignore_variant(void *user, const char *name, bool serves, const char *reason) {
    (void)user;
    (void)name;
    (void)serves;
    (void)reason;
}

void mistake_ignore_run(void *user, const tulle_run *run) {
    (void)user;
    (void)run;
}

void mistakes_left_all_right(void **state) {
    (void)state;
    for (int mode = 0; mode < MODE_COUNT; mode++) {
        struct problem problem;
        problem_init(&problem, rng_hash(harness_seed(), (uint64_t)mode));
        problem.heads = 2;
        problem.kv_heads = 1;
        problem.q_len = 40;
        problem.kv_len = 70;
        problem.head_dim = 16;
        problem_term(&problem, 0, (struct ref_term){ .kind = REF_WINDOW, .left = 12, .right = 2 });
        problem_fill(&problem);
        problem_must_run(&problem, harness_mode((enum mode)mode),
                         mode >= MODE_IMPORT ? WAY_RECORD : WAY_HOST);
        problem_check(&problem, "after the errors");
        problem_free(&problem);
    }
}
