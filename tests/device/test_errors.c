// SPDX-License-Identifier: MIT
//
// Errors as such: what is told to the log, and NULL wherever something is wanted.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "mistakes.h"

// What fails where a context is at hand is also told to its log, once and in the same words.

struct told {
    int errors;
    char last[sizeof((tulle_error *)0)->message];
};

static void listen(void *user, tulle_log_level level, const char *message) {
    struct told *told = user;
    if (level == TULLE_LOG_ERROR) {
        told->errors++;
        snprintf(told->last, sizeof told->last, "%s", message);
    }
}

static void test_log(void **state) {
    (void)state;
    struct told told = { 0 };
    tulle_context_params params = harness_own_params();
    params.log = listen;
    params.log_user = &told;
    params.validation = false;  // whose messages would be counted too
    tulle_context *context = NULL;
    tulle_plan *plan = NULL, *none = NULL;
    tulle_binding *binding = NULL;
    tulle_merger *merger = NULL;
    tulle_error error = { 0 };
    harness_ok(tulle_context_create(&params, &context, &error), &error, "tulle_context_create");
    tulle_attention_desc good = mistake_desc(), bad = good, limited = good;
    harness_ok(tulle_plan_create(context, &good, &plan, &error), &error, "tulle_plan_create");
    bad.scale = NAN;
    limited.kv_len = 4000;
    limited.dispatch_pairs = 1000;
    limited.workspace_limit = 1;
    assert_int_equal(told.errors, 0);
    enum { CALLS = 10 };
    for (int n = 0; n < CALLS; n++) {
        static const char *const words[CALLS] = { "scale",  "scale",     "scale",   "head 99",
                                                  "cmd",    "cmd",       "buffers", "pairs",
                                                  "arrays", "v_head_dim" };
        uint64_t *nowhere = NULL;
        tulle_result result = TULLE_OK;
        memset(&error, 0, sizeof error);
        switch (n) {
        case 0: result = tulle_plan_create(context, &bad, &none, &error); break;
        case 1: result = tulle_explain(context, &bad, mistake_ignore_variant, NULL, &error); break;
        case 2:
            result = tulle_schedule_walk(context, &bad, 0, 0, mistake_ignore_run, NULL, &error);
            break;
        case 3:
            result = tulle_schedule_walk(context, &good, 0, 99, mistake_ignore_run, NULL, &error);
            break;
        case 4: result = tulle_cmd_prepare(VK_NULL_HANDLE, plan, &error); break;
        case 5: result = tulle_cmd_attention(VK_NULL_HANDLE, plan, NULL, 0, 0, &error); break;
        case 6: result = tulle_binding_create(plan, NULL, &binding, &error); break;
        case 7: result = tulle_plan_count_pairs(plan, nowhere, &error); break;
        case 8: result = tulle_attention(plan, NULL, NULL, &error); break;
        case 9:
            result = tulle_merger_create(context, 1, 5, TULLE_F32, NULL, NULL, NULL, NULL, &merger,
                                         &error);
            break;
        }
        const char *const pair[2] = { words[n], NULL };
        mistake_refused(result, &error, TULLE_ERROR_INVALID_ARGUMENT, pair,
                        "a mistake that is logged");
        if (told.errors != n + 1 || strcmp(told.last, error.message) != 0) {
            harness_fail("%d errors were logged, should be %d; the last: \"%s\", should be \"%s\"",
                         told.errors, n + 1, told.last, error.message);
        }
    }
    // A limit is told as it was given, not as rows of it that fit.
    const char *const limit_words[2] = { "workspace_limit is 1 bytes;", NULL };
    memset(&error, 0, sizeof error);
    mistake_refused(tulle_plan_create(context, &limited, &none, &error), &error,
                    TULLE_ERROR_WORKSPACE_LIMIT, limit_words, "a workspace of one byte");
    assert_int_equal(told.errors, CALLS + 1);
    tulle_device_info info, before;
    memset(&info, 0x5a, sizeof info);
    memcpy(&before, &info, sizeof before);
    tulle_context_info(NULL, &info);  // does nothing
    assert_memory_equal(&info, &before, sizeof info);
    tulle_context_info(context, NULL);
    tulle_plan_destroy(plan);
    tulle_context_destroy(context);
}

static void test_nulls(void **state) {
    (void)state;
    tulle_context *context = harness_mode(MODE_OWN)->tulle;
    const tulle_attention_desc desc = mistake_desc();
    tulle_plan *plan = NULL;
    tulle_error error = { 0 };
    const char *const desc_words[2] = { "desc", NULL },
                      *const context_words[2] = { "context", NULL },
                      *const out_words[2] = { "out", NULL };
    mistake_refused(tulle_plan_create(context, NULL, &plan, &error), &error,
                    TULLE_ERROR_INVALID_ARGUMENT, desc_words, "no descriptor");
    mistake_refused(tulle_plan_create(NULL, &desc, &plan, &error), &error,
                    TULLE_ERROR_INVALID_ARGUMENT, context_words, "no context");
    mistake_refused(tulle_plan_create(context, &desc, NULL, &error), &error,
                    TULLE_ERROR_INVALID_ARGUMENT, out_words, "nowhere to put the plan");
    mistake_refused(tulle_explain(NULL, NULL, mistake_ignore_variant, NULL, &error), &error,
                    TULLE_ERROR_INVALID_ARGUMENT, context_words, "explain without a context");
    const char *const each_words[2] = { "each", NULL }, *const pairs_words[2] = { "pairs", NULL },
                      *const batch_words[2] = { "batch", "2" },
                      *const head_words[2] = { "head", "4" };
    mistake_refused(tulle_explain(context, NULL, NULL, NULL, &error), &error,
                    TULLE_ERROR_INVALID_ARGUMENT, each_words, "explain to nobody");
    mistake_refused(tulle_schedule_walk(context, &desc, 0, 0, NULL, NULL, &error), &error,
                    TULLE_ERROR_INVALID_ARGUMENT, each_words, "walk to nobody");
    mistake_refused(tulle_schedule_walk(context, NULL, 0, 0, mistake_ignore_run, NULL, &error),
                    &error, TULLE_ERROR_INVALID_ARGUMENT, desc_words, "walk nothing");
    mistake_refused(tulle_schedule_walk(context, &desc, 2, 0, mistake_ignore_run, NULL, &error),
                    &error, TULLE_ERROR_INVALID_ARGUMENT, batch_words,
                    "walk a batch entry that is not there");
    mistake_refused(tulle_schedule_walk(context, &desc, 0, 4, mistake_ignore_run, NULL, &error),
                    &error, TULLE_ERROR_INVALID_ARGUMENT, head_words,
                    "walk a head that is not there");
    harness_ok(tulle_plan_create(context, &desc, &plan, &error), &error, "tulle_plan_create");
    mistake_refused(tulle_plan_count_pairs(plan, NULL, &error), &error,
                    TULLE_ERROR_INVALID_ARGUMENT, pairs_words, "nowhere to put the count");
    tulle_plan_destroy(plan);
    tulle_context_destroy(NULL);
    tulle_pattern_destroy(NULL);
    tulle_merger_destroy(NULL);
    tulle_patterns_free(NULL, 0);
    assert_string_equal(tulle_result_name(TULLE_OK), "TULLE_OK");
    assert_non_null(tulle_result_name((tulle_result)999));
}

int main(int argc, char **argv) {
    (void)argc;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log),
        cmocka_unit_test(test_nulls),
        cmocka_unit_test(mistakes_left_all_right),
    };
    return HARNESS_RUN(argv, "errors", tests);
}
