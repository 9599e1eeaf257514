// SPDX-License-Identifier: MIT
//
// Patterns that are made, and fit some attentions and not others: what planning refuses of them, as
// tulle_schedule_walk says it without a device.
#include "pattern_use.h"

#include "message.h"
#include "tulle/inspect.h"

#define PARTS 5  // NULL behind the last included
#define SLASH(l) { .kind = TULLE_VERTICAL_SLASH, LIST(3, 4, 5), .layouts = l }
#define NEAR(k, d)                                                                \
    {                                                                             \
        .kind = TULLE_NEIGHBORHOOD, .axes = 1, .kernel = { k }, .dilation = { d } \
    }
#define BLOCKS(b, l)        \
    { .kind = TULLE_BLOCKS, \
      .block = b,           \
      .mask = mask,         \
      .layouts = l,         \
      .block_rows = 2,      \
      .block_cols = 2 }

static void ignore_run(void *user, const tulle_run *run) {
    (void)user;
    (void)run;
}

// 2 batch entries, 4 heads of 2 kv heads, 10 queries and 20 keys.
static tulle_result walk(const tulle_term *term, const int32_t *q_lengths,
                         const int32_t *kv_lengths, tulle_error *error) {
    tulle_pattern *pattern = make(term, 1);
    const tulle_pattern *patterns[] = { pattern };
    const tulle_attention_desc desc = { .batch = 2,
                                        .heads = 4,
                                        .kv_heads = 2,
                                        .q_len = 10,
                                        .kv_len = 20,
                                        .head_dim = 8,
                                        .patterns = patterns,
                                        .pattern_count = 1,
                                        .q_lengths = q_lengths,
                                        .kv_lengths = kv_lengths };
    const tulle_result result = tulle_schedule_walk(NULL, &desc, 0, 0, ignore_run, NULL, error);
    tulle_pattern_destroy(pattern);
    return result;
}

static const int32_t short_keys[] = { 20, 6 }, no_keys[] = { 20, 0 }, no_queries[] = { 10, 0 };

static void test_refused(void **state) {
    (void)state;
    const struct {
        tulle_term term;
        const int32_t *q_lengths, *kv_lengths;
        const char *parts[PARTS];
    } cases[] = {
        { BLOCKS(4, 1), NULL, NULL, { "blocks", "2" } },
        { BLOCKS(16, 3), NULL, NULL, { "layouts", "3" } },
        { SLASH(3), NULL, NULL, { "vertical_slash", "layouts", "3" } },
        { NEAR(21, 1), NULL, NULL, { "neighborhood", "21", "20" } },
        { NEAR(7, 3), NULL, NULL, { "neighborhood", "7", "3", "20" } },
        { NEAR(TOP, TOP), NULL, NULL, { "neighborhood", "2147483647", "20" } },
        { NEAR(7, 1), NULL, short_keys, { "neighborhood", "7", "6" } },
        { NEAR(2, 4), NULL, short_keys, { "neighborhood", "2", "4", "6" } },
        // a factor, and a factor's own
        { { .kind = TULLE_WINDOW, FACTORS(BLOCKS(4, 1)) }, NULL, NULL, { "blocks", "2" } },
        { { .kind = TULLE_WINDOW, FACTORS(BLOCKS(16, 3)) }, NULL, NULL, { "layouts", "3" } },
        { { .kind = TULLE_WINDOW, FACTORS(SLASH(3)) }, NULL, NULL, { "layouts", "3" } },
        { { .kind = TULLE_WINDOW, FACTORS(NEAR(21, 1)) },
          NULL,
          NULL,
          { "neighborhood", "21", "20" } },
        { { .kind = TULLE_WINDOW, FACTORS({ .kind = TULLE_DENSE, FACTORS(NEAR(7, 1)) }) },
          NULL,
          short_keys,
          { "neighborhood", "7", "6" } },
    };
    for (size_t i = 0; i < COUNT(cases); ++i) {
        tulle_error error = { 0 };
        const tulle_result result =
            walk(&cases[i].term, cases[i].q_lengths, cases[i].kv_lengths, &error);
        if (result != TULLE_ERROR_INVALID_ARGUMENT)
            fail_msg("case %zu: %s, %s", i, tulle_result_name(result), error.message);
        const char *lacking = message_lacks(error.message, cases[i].parts);
        if (lacking) fail_msg("case %zu: \"%s\" lacks \"%s\"", i, error.message, lacking);
        assert_int_equal(error.result, TULLE_ERROR_INVALID_ARGUMENT);
    }
}

static void test_accepted(void **state) {
    (void)state;
    const struct {
        tulle_term term;
        const int32_t *q_lengths, *kv_lengths;
    } cases[] = {
        { SLASH(1), NULL, NULL },
        { { .kind = TULLE_VERTICAL_SLASH, LIST(3, 4), .layouts = 2 }, NULL, NULL },
        { { .kind = TULLE_VERTICAL_SLASH, LIST(3, 4, -1, -1), .layouts = 4 }, NULL, NULL },
        { NEAR(20, 1), NULL, NULL },
        { NEAR(5, 4), NULL, NULL },
        { NEAR(6, 1), NULL, short_keys },
        { NEAR(2, 3), NULL, short_keys },
        // an axis of its own length
        { { .kind = TULLE_NEIGHBORHOOD, .axes = 1, .grid = { 9 }, .kernel = { 9 } },
          NULL,
          short_keys },
        // entries without queries or keys fit any
        { NEAR(7, 1), NULL, no_keys },
        { NEAR(7, 1), no_queries, short_keys },
        { { .kind = TULLE_WINDOW, FACTORS(NEAR(7, 1)) }, no_queries, short_keys },
    };
    for (size_t i = 0; i < COUNT(cases); ++i) {
        tulle_error error = { 0 };
        const tulle_result result =
            walk(&cases[i].term, cases[i].q_lengths, cases[i].kv_lengths, &error);
        if (result) fail_msg("case %zu: %s, %s", i, tulle_result_name(result), error.message);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_accepted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
