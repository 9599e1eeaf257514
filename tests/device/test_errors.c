// SPDX-License-Identifier: MIT
//
// Wrong use: each mistake gives its error and a message that names the argument and the value, sets
// no out-parameter, and leaves everything usable. (Patterns: test_pattern.c and
// test_pattern_spec.c. Contexts: test_context.c and test_import.c. What leaks shows under
// AddressSanitizer.)

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "problem.h"
#include "tulle/inspect.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

// -------------------------------------------------------------------------------------------------
// Descriptors

static tulle_attention_desc good_desc(void) {
    return (tulle_attention_desc){ .batch = 2,
                                   .heads = 4,
                                   .kv_heads = 2,
                                   .q_len = 10,
                                   .kv_len = 20,
                                   .head_dim = 8,
                                   .v_head_dim = 16,
                                   .lse = true };
}

static tulle_pattern *make_pattern(tulle_term term) {
    tulle_pattern *pattern = NULL;
    tulle_error error = { 0 };
    harness_ok(tulle_pattern_create(&term, 1, &pattern, &error), &error, "tulle_pattern_create");
    return pattern;
}

// Each change makes the good descriptor a bad one.
static const int32_t offsets[] = { 1, 2, 3 }, lengths_high[] = { 3, 11 }, lengths_low[] = { -1, 3 },
                     kv_lengths_high[] = { 20, 21 }, starts_low[] = { 0, -4 },
                     huge[] = { INT32_MAX };
static const float slopes_nan[] = { 0.1f, NAN, 0.1f, 0.1f },
                   sinks_infinite[] = { 0.0f, 0.0f, INFINITY, 0.0f };
static const uint32_t head_pattern_high[] = { 0, 0, 0, 7 }, head_pattern_good[] = { 0, 0, 0, 0 };
static const tulle_pattern *patterns[2];  // [0]: what the entry needs; [1] NULL
static tulle_pattern *window_pattern, *small_blocks, *three_layouts;

static void no_heads(tulle_attention_desc *d) {
    d->heads = 0;
    d->kv_heads = 0;
}
static void kv_heads_3(tulle_attention_desc *d) { d->kv_heads = 3; }
static void kv_heads_8(tulle_attention_desc *d) { d->kv_heads = 8; }
static void q_len_0(tulle_attention_desc *d) { d->q_len = 0; }
static void q_len_huge(tulle_attention_desc *d) { d->q_len = 0x80000000u; }
static void kv_len_0(tulle_attention_desc *d) { d->kv_len = 0; }
static void kv_len_huge(tulle_attention_desc *d) { d->kv_len = 0xffffffffu; }
static void head_dim_0(tulle_attention_desc *d) { d->head_dim = 0; }
static void head_dim_6(tulle_attention_desc *d) { d->head_dim = 6; }
static void head_dim_260(tulle_attention_desc *d) { d->head_dim = 260; }
static void v_head_dim_18(tulle_attention_desc *d) { d->v_head_dim = 18; }
static void v_head_dim_512(tulle_attention_desc *d) { d->v_head_dim = 512; }
static void dtype_9(tulle_attention_desc *d) { d->dtype = (tulle_dtype)9; }
static void o_dtype_5(tulle_attention_desc *d) { d->o_dtype = (tulle_o_dtype)5; }
static void q_stride_odd(tulle_attention_desc *d) { d->q = (tulle_strides){ 400, 100, 10 }; }
static void k_stride_negative(tulle_attention_desc *d) { d->k = (tulle_strides){ 400, 200, -8 }; }
static void o_stride_zero(tulle_attention_desc *d) { d->o = (tulle_strides){ 640, 0, 16 }; }
static void o_overlap(tulle_attention_desc *d) { d->o = (tulle_strides){ 640, 160, 8 }; }
static void scale_nan(tulle_attention_desc *d) { d->scale = NAN; }
static void scale_infinite(tulle_attention_desc *d) { d->scale = INFINITY; }
static void softcap_negative(tulle_attention_desc *d) { d->softcap = -2.5f; }
static void scale_huge(tulle_attention_desc *d) { d->scale = 3e38f; }
static void scale_over_softcap(tulle_attention_desc *d) {
    d->scale = 1e20f;
    d->softcap = 1e-20f;
}
static void softcap_infinite(tulle_attention_desc *d) { d->softcap = INFINITY; }
static void patterns_null(tulle_attention_desc *d) { d->pattern_count = 3; }
static void patterns_entry_null(tulle_attention_desc *d) {
    patterns[0] = window_pattern;
    d->patterns = patterns;
    d->pattern_count = 2;
}
static void patterns_too_many(tulle_attention_desc *d) {
    d->heads = d->kv_heads = 1;
    patterns[0] = window_pattern;
    d->patterns = patterns;
    d->pattern_count = 2;
}
static void head_pattern_7(tulle_attention_desc *d) {
    patterns[0] = window_pattern;
    d->patterns = patterns;
    d->pattern_count = 1;
    d->head_pattern = head_pattern_high;
}
static void align_9(tulle_attention_desc *d) { d->q_align = (tulle_q_align)9; }
static void offsets_missing(tulle_attention_desc *d) {
    d->q_align = TULLE_ALIGN_GIVEN;
    d->q_offset_count = 1;
}
static void offsets_unused(tulle_attention_desc *d) {
    d->q_offsets = offsets;
    d->q_offset_count = 1;
}
static void offsets_3(tulle_attention_desc *d) {
    d->q_align = TULLE_ALIGN_GIVEN;
    d->q_offsets = offsets;
    d->q_offset_count = 3;
}
static void offset_huge(tulle_attention_desc *d) {
    d->q_align = TULLE_ALIGN_GIVEN;
    d->q_offsets = huge;
    d->q_offset_count = 1;
}
static void q_length_11(tulle_attention_desc *d) { d->q_lengths = lengths_high; }
static void q_length_negative(tulle_attention_desc *d) { d->q_lengths = lengths_low; }
static void kv_length_21(tulle_attention_desc *d) { d->kv_lengths = kv_lengths_high; }
static void kv_start_negative(tulle_attention_desc *d) { d->kv_starts = starts_low; }
static void slope_nan(tulle_attention_desc *d) { d->alibi_slopes = slopes_nan; }
static void sink_infinite(tulle_attention_desc *d) { d->sink_logits = sinks_infinite; }
static void usage_texel(tulle_attention_desc *d) {
    d->buffer_usage = VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT;
}
static void kernel_unknown(tulle_attention_desc *d) { d->kernel = "warp9"; }
static void blocks_small(tulle_attention_desc *d) {
    patterns[0] = small_blocks;
    d->patterns = patterns;
    d->pattern_count = 1;
}
static void blocks_layouts(tulle_attention_desc *d) {
    patterns[0] = three_layouts;
    d->patterns = patterns;
    d->pattern_count = 1;
}

static const struct mistake {
    const char *what;
    void (*make)(tulle_attention_desc *desc);
    const char *words[2];  // what the message must hold: the argument's name, the value
} mistakes[] = {
    { "no heads", no_heads, { "heads", "0" } },
    { "kv_heads that do not divide heads", kv_heads_3, { "kv_heads", "3" } },
    { "more kv_heads than heads", kv_heads_8, { "kv_heads", "8" } },
    { "no queries", q_len_0, { "q_len", "0" } },
    { "q_len of 2^31", q_len_huge, { "q_len", "2147483648" } },
    { "no keys", kv_len_0, { "kv_len", "0" } },
    { "kv_len of 2^32 - 1", kv_len_huge, { "kv_len", "4294967295" } },
    { "head_dim 0", head_dim_0, { "head_dim", "0" } },
    { "head_dim 6", head_dim_6, { "head_dim", "6" } },
    { "head_dim 260", head_dim_260, { "head_dim", "260" } },
    { "v_head_dim 18", v_head_dim_18, { "v_head_dim", "18" } },
    { "v_head_dim 512", v_head_dim_512, { "v_head_dim", "512" } },
    { "an unknown dtype", dtype_9, { "dtype", "9" } },
    { "an unknown o_dtype", o_dtype_5, { "o_dtype", "5" } },
    { "a stride that is no multiple of 4", q_stride_odd, { "Q", "10" } },
    { "a negative stride", k_stride_negative, { "K", "-8" } },
    { "heads of O at one place", o_stride_zero, { "O", "0" } },
    { "rows of O that overlap", o_overlap, { "O", "8" } },
    { "scale NaN", scale_nan, { "scale", "nan" } },
    { "scale infinite", scale_infinite, { "scale", "inf" } },
    { "scale infinite in log2 units", scale_huge, { "scale", "3e+38" } },
    { "scale infinite over softcap", scale_over_softcap, { "scale / softcap", "1e+20" } },
    { "softcap negative", softcap_negative, { "softcap", "-2.5" } },
    { "softcap infinite", softcap_infinite, { "softcap", "inf" } },
    { "patterns NULL", patterns_null, { "patterns", "3" } },
    { "a pattern NULL", patterns_entry_null, { "patterns[1]", "NULL" } },
    { "more patterns than heads",
      patterns_too_many,
      { "pattern_count is", "at most one pattern a head" } },
    { "head_pattern out of range", head_pattern_7, { "head_pattern[3]", "7" } },
    { "an unknown q_align", align_9, { "q_align", "9" } },
    { "q_offsets missing", offsets_missing, { "q_offsets", "NULL" } },
    { "q_offsets that would not be used", offsets_unused, { "q_offsets", "q_align" } },
    { "q_offsets for neither one nor all", offsets_3, { "q_offset_count", "3" } },
    { "a position past 2^31", offset_huge, { "q_offset", "2147483647" } },
    { "a q_length over q_len", q_length_11, { "q_lengths[1]", "11" } },
    { "a negative q_length", q_length_negative, { "q_lengths[0]", "-1" } },
    { "a kv_length over kv_len", kv_length_21, { "kv_lengths[1]", "21" } },
    { "a negative kv_start", kv_start_negative, { "kv_starts[1]", "-4" } },
    { "a slope that is NaN", slope_nan, { "alibi_slopes[1]", "nan" } },
    { "an infinite sink logit", sink_infinite, { "sink_logits[2]", "inf" } },
    { "buffers that are no storage buffers", usage_texel, { "buffer_usage", "STORAGE_BUFFER" } },
    { "an unknown kernel", kernel_unknown, { "kernel", "warp9" } },
    { "a block mask that is too small", blocks_small, { "block", "2" } },
    { "a block mask with three layouts", blocks_layouts, { "layouts", "3" } },
};

static void expect(tulle_result got, const tulle_error *error, tulle_result want,
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

static void ignore_variant(void *user, const char *name, bool serves, const char *reason) {
    (void)user;
    (void)name;
    (void)serves;
    (void)reason;
}

static void ignore_run(void *user, const tulle_run *run) {
    (void)user;
    (void)run;
}

static void make_patterns(void) {
    static const uint8_t mask[12] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 };
    window_pattern = make_pattern((tulle_term){ .kind = TULLE_WINDOW, .left = 3 });
    small_blocks = make_pattern((tulle_term){ .kind = TULLE_BLOCKS,
                                              .block = 4,
                                              .mask = mask,
                                              .layouts = 1,
                                              .block_rows = 2,
                                              .block_cols = 2 });
    three_layouts = make_pattern((tulle_term){ .kind = TULLE_BLOCKS,
                                               .block = 16,
                                               .mask = mask,
                                               .layouts = 3,
                                               .block_rows = 2,
                                               .block_cols = 2 });
}

static void drop_patterns(void) {
    tulle_pattern_destroy(window_pattern);
    tulle_pattern_destroy(small_blocks);
    tulle_pattern_destroy(three_layouts);
}

static void test_descriptors(void **state) {
    (void)state;
    tulle_context *context = harness_mode(MODE_OWN)->tulle;
    make_patterns();
    for (size_t n = 0; n < COUNT(mistakes); n++) {
        tulle_attention_desc desc = good_desc();
        mistakes[n].make(&desc);
        tulle_error error = { 0 };
        tulle_plan *plan = (tulle_plan *)(uintptr_t)0x10;
        tulle_result result = tulle_plan_create(context, &desc, &plan, &error);
        expect(result, &error, TULLE_ERROR_INVALID_ARGUMENT, mistakes[n].words, mistakes[n].what);
        if (plan != NULL) {
            harness_fail("%s: the plan is not NULL", mistakes[n].what);
        }
        if (tulle_plan_create(context, &desc, &plan, NULL) != result) {
            harness_fail("%s: without an error to fill, another result", mistakes[n].what);
        }
        // What needs no device finds the same mistake, but for kernels and buffers.
        if (mistakes[n].make != kernel_unknown && mistakes[n].make != usage_texel) {
            memset(&error, 0, sizeof error);
            result = tulle_schedule_walk(NULL, &desc, 0, 0, ignore_run, NULL, &error);
            expect(result, &error, TULLE_ERROR_INVALID_ARGUMENT, mistakes[n].words,
                   mistakes[n].what);
        }
    }
    // The good one is good.
    tulle_attention_desc desc = good_desc();
    patterns[0] = window_pattern;
    desc.patterns = patterns;
    desc.pattern_count = 1;
    desc.head_pattern = head_pattern_good;
    tulle_plan *plan = NULL;
    tulle_error error = { 0 };
    harness_ok(tulle_plan_create(context, &desc, &plan, &error), &error, "the good descriptor");
    tulle_plan_destroy(plan);
    drop_patterns();
    harness_silent();
}

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
    tulle_attention_desc good = good_desc(), bad = good, limited = good;
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
        case 1: result = tulle_explain(context, &bad, ignore_variant, NULL, &error); break;
        case 2: result = tulle_schedule_walk(context, &bad, 0, 0, ignore_run, NULL, &error); break;
        case 3:
            result = tulle_schedule_walk(context, &good, 0, 99, ignore_run, NULL, &error);
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
        expect(result, &error, TULLE_ERROR_INVALID_ARGUMENT, pair, "a mistake that is logged");
        if (told.errors != n + 1 || strcmp(told.last, error.message) != 0) {
            harness_fail("%d errors were logged, should be %d; the last: \"%s\", should be \"%s\"",
                         told.errors, n + 1, told.last, error.message);
        }
    }
    // A limit is told as it was given, not as rows of it that fit.
    const char *const limit_words[2] = { "workspace_limit is 1 bytes;", NULL };
    memset(&error, 0, sizeof error);
    expect(tulle_plan_create(context, &limited, &none, &error), &error, TULLE_ERROR_WORKSPACE_LIMIT,
           limit_words, "a workspace of one byte");
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

// A variant that cannot serve is refused with its reason; a workspace limit below the least with
// the least.
static void test_refused_variants(void **state) {
    (void)state;
    tulle_context *floor = harness_mode(MODE_OWN_FLOOR)->tulle;
    struct variants variants;
    tulle_attention_desc desc = good_desc();
    harness_variants(floor, &desc, &variants);
    size_t refused = 0;
    for (uint32_t n = 0; n < variants.count; n++) {
        desc.kernel = variants.names[n];
        struct variants named;
        harness_variants(floor, &desc, &named);
        tulle_error error = { 0 };
        tulle_plan *plan = NULL;
        const tulle_result result = tulle_plan_create(floor, &desc, &plan, &error);
        if (result == TULLE_OK) {
            tulle_plan_info info;
            tulle_plan_get_info(plan, &info);
            assert_string_equal(info.kernel, variants.names[n]);
        } else {
            const char *const words[2] = { variants.names[n], NULL };
            expect(result, &error, TULLE_ERROR_UNSUPPORTED, words, "a variant that cannot serve");
            refused++;
            if (variants.serves[n] || variants.reasons[n][0] == '\0') {
                harness_fail("%s was refused (%s), but tulle_explain gave no reason",
                             variants.names[n], error.message);
            }
        }
        tulle_plan_destroy(plan);
    }
    if (refused == 0 || refused == variants.count) {
        harness_fail("%zu of %u variants were refused on the floor: nothing was tried", refused,
                     variants.count);
    }
}

// -------------------------------------------------------------------------------------------------
// Bindings, recording, host arrays

struct session {
    const struct mode_context *context;
    tulle_plan *plan, *split;  // one that needs no workspace on most devices; one that needs some
    tulle_plan_info info, split_info;
    struct gpu_buffer buffers[6];
    tulle_buffers good;
};

static void open_session(struct session *session) {
    memset(session, 0, sizeof *session);
    session->context = harness_mode(MODE_IMPORT);
    tulle_attention_desc desc = good_desc();
    tulle_error error = { 0 };
    harness_ok(tulle_plan_create(session->context->tulle, &desc, &session->plan, &error), &error,
               "tulle_plan_create");
    tulle_plan_get_info(session->plan, &session->info);
    desc.kv_len = 4000;
    desc.dispatch_pairs = 1000;
    harness_ok(tulle_plan_create(session->context->tulle, &desc, &session->split, &error), &error,
               "tulle_plan_create");
    tulle_plan_get_info(session->split, &session->split_info);
    static const VkDeviceSize sizes[] = { 2 * 4 * 10 * 8 * 4, 2 * 2 * 20 * 8 * 4,
                                          2 * 2 * 20 * 16 * 4, 2 * 4 * 10 * 16 * 4,
                                          2 * 4 * 10 * 4 };
    tulle_buffer *slots[] = { &session->good.q, &session->good.k, &session->good.v,
                              &session->good.o, &session->good.lse };
    for (int n = 0; n < 5; n++) {
        session->buffers[n] = gpu_buffer_create(&session->context->gpu, sizes[n] + 64,
                                                VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
        *slots[n] = (tulle_buffer){ session->buffers[n].buffer, 16, sizes[n] };
    }
}

static void close_session(struct session *session) {
    for (int n = 0; n < 6; n++) {
        if (session->buffers[n].buffer != VK_NULL_HANDLE) {
            gpu_buffer_destroy(&session->context->gpu, &session->buffers[n]);
        }
    }
    tulle_plan_destroy(session->plan);
    tulle_plan_destroy(session->split);
    harness_silent();
}

static void refuse_binding(tulle_plan *plan, const tulle_buffers *buffers, const char *name,
                           const char *value, const char *what) {
    tulle_binding *binding = (tulle_binding *)(uintptr_t)0x10;
    tulle_error error = { 0 };
    const tulle_result result = tulle_binding_create(plan, buffers, &binding, &error);
    const char *const words[2] = { name, value };
    expect(result, &error, TULLE_ERROR_INVALID_ARGUMENT, words, what);
    if (binding != NULL) {
        harness_fail("%s: the binding is not NULL", what);
    }
}

static void test_bindings(void **state) {
    (void)state;
    struct session session;
    open_session(&session);
    const size_t slots[] = { offsetof(tulle_buffers, q), offsetof(tulle_buffers, k),
                             offsetof(tulle_buffers, v), offsetof(tulle_buffers, o),
                             offsetof(tulle_buffers, lse) };
    static const char *const names[] = { "Q", "K", "V", "O", "LSE" }, *const lower[] = { "q", "k",
                                                                                         "v", "o",
                                                                                         "lse" };
    for (int n = 0; n < 5; n++) {
        tulle_buffers bad = session.good;
        tulle_buffer *slot = (tulle_buffer *)(void *)((char *)&bad + slots[n]);
        // The message may name it as the descriptor's tensor or as the field.
        tulle_binding *probe = NULL;
        tulle_error error = { 0 };
        slot->buffer = VK_NULL_HANDLE;
        tulle_binding_create(session.plan, &bad, &probe, &error);
        const char *name = strstr(error.message, names[n]) != NULL ? names[n] : lower[n];
        refuse_binding(session.plan, &bad, name, NULL, "a buffer that is missing");
        *slot = *(const tulle_buffer *)(const void *)((const char *)&session.good + slots[n]);
        const VkDeviceSize size = slot->size;
        char value[32];
        slot->size = size - 4;
        snprintf(value, sizeof value, "%llu", (unsigned long long)slot->size);
        refuse_binding(session.plan, &bad, name, value, "a buffer that is too small");
        slot->size = size;
        // 6 elements of fp32; the LSE need only be aligned as a float
        slot->offset = n == 4 ? 22 : 24;
        refuse_binding(session.plan, &bad, name, n == 4 ? "22" : "24",
                       "an offset that is no multiple of 4 elements");
    }
    refuse_binding(session.plan, NULL, "buffers", NULL, "no buffers");
    refuse_binding(NULL, &session.good, "plan", NULL, "no plan");
    tulle_error error = { 0 };
    const char *const words[2] = { "out", NULL };
    expect(tulle_binding_create(session.plan, &session.good, NULL, &error), &error,
           TULLE_ERROR_INVALID_ARGUMENT, words, "nowhere to put the binding");

    if (session.split_info.workspace_bytes == 0) {
        harness_fail("the long plan needs no workspace: nothing was tried");
    }
    session.buffers[5] =
        gpu_buffer_create(&session.context->gpu, session.split_info.workspace_bytes,
                          VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    tulle_buffers bad = session.good;
    for (int n = 1; n <= 2; n++) {  // of 20 keys, and the plan has 4000
        gpu_buffer_destroy(&session.context->gpu, &session.buffers[n]);
        session.buffers[n] =
            gpu_buffer_create(&session.context->gpu, 2 * 2 * 4000 * (n == 1 ? 8 : 16) * 4,
                              VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    }
    bad.k = (tulle_buffer){ session.buffers[1].buffer, 0, 0 };
    bad.v = (tulle_buffer){ session.buffers[2].buffer, 0, 0 };
    bad.workspace =
        (tulle_buffer){ session.buffers[5].buffer, 0, session.split_info.workspace_bytes - 1 };
    char value[32];
    snprintf(value, sizeof value, "%llu", (unsigned long long)session.split_info.workspace_bytes);
    refuse_binding(session.split, &bad, "workspace", value, "a workspace that is too small");
    bad.workspace.size = 0;
    bad.lse = bad.workspace;
    refuse_binding(session.split, &bad, "workspace", "LSE", "a workspace that is LSE too");
    close_session(&session);
}

// A buffer says its size, rounded up: what lies far beyond is refused although `size` is 0.
static void test_buffer_sizes(void **state) {
    (void)state;
    struct session session;
    open_session(&session);
    const size_t slots[] = { offsetof(tulle_buffers, q), offsetof(tulle_buffers, k),
                             offsetof(tulle_buffers, v), offsetof(tulle_buffers, o),
                             offsetof(tulle_buffers, lse) };
    static const char *const names[] = { "Q", "K", "V", "O", "LSE" };
    for (int n = 0; n < 5; n++) {
        struct gpu_buffer small =
            gpu_buffer_create(&session.context->gpu, 64, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
        tulle_buffers bad = session.good;
        tulle_buffer *slot = (tulle_buffer *)(void *)((char *)&bad + slots[n]);
        *slot = (tulle_buffer){ small.buffer, 0, 0 };
        refuse_binding(session.plan, &bad, names[n], "from offset 0 on",
                       "a buffer that is smaller than its tensor");
        slot->size = 1 << 20;
        refuse_binding(session.plan, &bad, names[n], "from offset 0 on",
                       "a buffer that is smaller than its size");
        slot->buffer = session.buffers[n].buffer;
        slot->size = 0;
        slot->offset = UINT64_MAX / 16 * 16;
        refuse_binding(session.plan, &bad, names[n], "from offset 184",
                       "an offset far beyond the buffer");
        gpu_buffer_destroy(&session.context->gpu, &small);
    }
    close_session(&session);
}

// O and LSE share no byte with another tensor, wherever in one buffer that is.
static void test_shared_buffers(void **state) {
    (void)state;
    struct session session;
    open_session(&session);
    const tulle_buffers *good = &session.good;
    struct gpu_buffer all =
        gpu_buffer_create(&session.context->gpu, 1 << 16, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    // Q, K, V, O and LSE one after the other, without a gap
    tulle_buffers packed = { .q = { all.buffer, 0, 0 } };
    packed.k = (tulle_buffer){ all.buffer, good->q.size, 0 };
    packed.v = (tulle_buffer){ all.buffer, packed.k.offset + good->k.size, 0 };
    packed.o = (tulle_buffer){ all.buffer, packed.v.offset + good->v.size, 0 };
    packed.lse = (tulle_buffer){ all.buffer, packed.o.offset + good->o.size, 0 };
    tulle_binding *binding = NULL;
    tulle_error error = { 0 };
    harness_ok(tulle_binding_create(session.plan, &packed, &binding, &error), &error,
               "tensors one after the other in one buffer");
    tulle_binding_destroy(binding);
    tulle_buffers same = packed;
    same.v = (tulle_buffer){ all.buffer, 16, 0 };  // what is only read may share
    same.k.offset = 0;
    harness_ok(tulle_binding_create(session.plan, &same, &binding, &error), &error,
               "Q, K and V that overlap");
    tulle_binding_destroy(binding);

    static const char *const names[] = { "Q", "K", "V" };
    const tulle_buffer *inputs[] = { &packed.q, &packed.k, &packed.v };
    for (int n = 0; n < 3; n++) {
        tulle_buffers bad = packed;
        bad.o.offset = inputs[n]->offset;
        refuse_binding(session.plan, &bad, "O at offset", names[n], "O that is an input");
        bad.o = packed.o;
        bad.lse.offset = inputs[n]->offset + 64;
        refuse_binding(session.plan, &bad, "LSE at offset", names[n], "LSE in an input");
    }
    tulle_buffers bad = packed;
    bad.o.offset -= 16;
    refuse_binding(session.plan, &bad, "O at offset", "V", "O that begins in V");
    bad = packed;
    bad.lse.offset -= 4;
    refuse_binding(session.plan, &bad, "LSE at offset", "O", "LSE that begins in O");
    gpu_buffer_destroy(&session.context->gpu, &all);
    close_session(&session);
}

static void test_recording(void **state) {
    (void)state;
    struct session session;
    open_session(&session);
    tulle_error error = { 0 };
    tulle_binding *binding = NULL, *same = NULL;
    harness_ok(tulle_binding_create(session.plan, &session.good, &binding, &error), &error,
               "tulle_binding_create");
    harness_ok(tulle_binding_create(session.plan, &session.good, &same, &error), &error,
               "a second binding of the same buffers");
    VkCommandBuffer cmd = gpu_begin(&session.context->gpu);
    const struct {
        const char *what;
        VkCommandBuffer cmd;
        const tulle_plan *plan;
        const tulle_binding *binding;
        uint32_t first, count;
        const char *words[2];
    } bad[] = {
        { "no command buffer", VK_NULL_HANDLE, session.plan, binding, 0, 0, { "cmd", NULL } },
        { "no plan", cmd, NULL, binding, 0, 0, { "plan", NULL } },
        { "no binding", cmd, session.plan, NULL, 0, 0, { "binding", NULL } },
        { "a binding of another plan", cmd, session.split, binding, 0, 0, { "binding", "plan" } },
        { "dispatches that are not there", cmd, session.plan, binding, 6, 1, { "dispatch", "6" } },
        { "more dispatches than there are", cmd, session.plan, binding, 0, 2, { "dispatch", "2" } },
        { "a range that overflows", cmd, session.plan, binding, 1, UINT32_MAX, { NULL, NULL } },
    };
    for (size_t n = 0; n < COUNT(bad); n++) {
        memset(&error, 0, sizeof error);
        const tulle_result result = tulle_cmd_attention(bad[n].cmd, bad[n].plan, bad[n].binding,
                                                        bad[n].first, bad[n].count, &error);
        expect(result, &error, TULLE_ERROR_INVALID_ARGUMENT, bad[n].words, bad[n].what);
    }
    const char *const plan_words[2] = { "plan", NULL }, *const cmd_words[2] = { "cmd", NULL };
    memset(&error, 0, sizeof error);
    expect(tulle_cmd_prepare(cmd, NULL, &error), &error, TULLE_ERROR_INVALID_ARGUMENT, plan_words,
           "prepare without a plan");
    memset(&error, 0, sizeof error);
    expect(tulle_cmd_prepare(VK_NULL_HANDLE, session.plan, &error), &error,
           TULLE_ERROR_INVALID_ARGUMENT, cmd_words, "prepare without a command buffer");
    gpu_finish(&session.context->gpu, cmd);
    tulle_binding_destroy(binding);
    tulle_binding_destroy(same);
    tulle_binding_destroy(NULL);
    close_session(&session);
}

static void test_host_arrays(void **state) {
    (void)state;
    tulle_context *context = harness_mode(MODE_OWN)->tulle;
    static float q[640], k[640], v[1280], o[1280], lse[80];
    tulle_attention_desc desc = good_desc();
    tulle_plan *plan = NULL;
    tulle_error error = { 0 };
    harness_ok(tulle_plan_create(context, &desc, &plan, &error), &error, "tulle_plan_create");
    const tulle_host_arrays good = { .q = q, .k = k, .v = v, .o = o, .lse = lse };
    for (int n = 0; n < 7; n++) {
        static const char *const words[][2] = { { "q", NULL },   { "k", NULL },
                                                { "v", NULL },   { "o", NULL },
                                                { "lse", NULL }, { "arrays", NULL },
                                                { "plan", NULL } };
        tulle_host_arrays bad = good;
        bad.q = n == 0 ? NULL : bad.q;
        bad.k = n == 1 ? NULL : bad.k;
        bad.v = n == 2 ? NULL : bad.v;
        bad.o = n == 3 ? NULL : bad.o;
        bad.lse = n == 4 ? NULL : bad.lse;
        memset(o, 0x5a, sizeof o);
        memset(&error, 0, sizeof error);
        expect(tulle_attention(n == 6 ? NULL : plan, n == 5 ? NULL : &bad, NULL, &error), &error,
               TULLE_ERROR_INVALID_ARGUMENT, words[n], "an array that is missing");
        for (size_t at = 0; at < COUNT(o); at++) {
            if (memcmp(&o[at], "\x5a\x5a\x5a\x5a", 4) != 0) {
                harness_fail("O was written although the call failed");
            }
        }
    }
    harness_ok(tulle_attention(plan, &good, NULL, &error), &error, "the good arrays");
    tulle_plan_destroy(plan);
    tulle_plan_destroy(NULL);
    harness_silent();
}

// O may be Q itself, row for row, and its rows may lie between those of others; else nothing is shared.
static void test_shared_arrays(void **state) {
    (void)state;
    enum { ROWS = 80, DIM = 8 };  // of Q and O; K and V have as many
    tulle_context *context = harness_mode(MODE_OWN)->tulle;
    tulle_attention_desc desc = good_desc();
    desc.v_head_dim = DIM;
    static float q[ROWS * DIM], k[ROWS * DIM], v[ROWS * DIM], o[ROWS * DIM], want[ROWS * DIM],
        lse[ROWS], pairs[ROWS][2][DIM];
    struct rng rng = { rng_hash(harness_seed(), 78) };
    for (int n = 0; n < ROWS * DIM; n++) {
        q[n] = (float)rng_normal(&rng);
        k[n] = (float)rng_normal(&rng);
        v[n] = (float)rng_normal(&rng);
        pairs[n / DIM][0][n % DIM] = q[n];
    }
    tulle_plan *plan = NULL;
    tulle_error error = { 0 };
    harness_ok(tulle_plan_create(context, &desc, &plan, &error), &error, "tulle_plan_create");
    const tulle_host_arrays good = { .q = q, .k = k, .v = v, .o = want, .lse = lse };
    harness_ok(tulle_attention(plan, &good, NULL, &error), &error, "arrays apart");

    const tulle_strides between = { 4 * 10 * 2 * DIM, 10 * 2 * DIM, 2 * DIM };
    tulle_host_arrays shared = good;
    shared.q = pairs[0][0];
    shared.o = pairs[0][1];
    shared.q_strides = shared.o_strides = between;
    harness_ok(tulle_attention(plan, &shared, NULL, &error), &error, "O between the rows of Q");
    for (int n = 0; n < ROWS * DIM; n++)
        if (pairs[n / DIM][1][n % DIM] != want[n] || pairs[n / DIM][0][n % DIM] != q[n])
            harness_fail("O between the rows of Q differs at %d", n);

    const struct {
        const char *what;
        void *o, *lse;
        const char *words[2];
    } bad[] = {
        { "O that is K", k, lse, { "O at", "K at" } },
        { "O that is V", v, lse, { "O at", "V at" } },
        { "O in the middle of Q", q + DIM, lse, { "O at", "Q at" } },
        { "LSE in Q", o, q + 4, { "LSE at", "Q at" } },
        { "LSE in the last row of O", o, o + ROWS * DIM - 1, { "LSE at", "O at" } },
    };
    for (size_t n = 0; n < COUNT(bad); n++) {
        tulle_host_arrays arrays = good;
        arrays.o = bad[n].o;
        arrays.lse = bad[n].lse;
        expect(tulle_attention(plan, &arrays, NULL, &error), &error, TULLE_ERROR_INVALID_ARGUMENT,
               bad[n].words, bad[n].what);
    }
    tulle_host_arrays place = good;
    place.o = q;
    harness_ok(tulle_attention(plan, &place, NULL, &error), &error, "O that is Q");
    if (memcmp(q, want, sizeof q) != 0) harness_fail("O that is Q differs");
    tulle_plan_destroy(plan);
    harness_silent();
}

// -------------------------------------------------------------------------------------------------
// NULLs elsewhere, and merging

static void test_nulls(void **state) {
    (void)state;
    tulle_context *context = harness_mode(MODE_OWN)->tulle;
    const tulle_attention_desc desc = good_desc();
    tulle_plan *plan = NULL;
    tulle_error error = { 0 };
    const char *const desc_words[2] = { "desc", NULL },
                      *const context_words[2] = { "context", NULL },
                      *const out_words[2] = { "out", NULL };
    expect(tulle_plan_create(context, NULL, &plan, &error), &error, TULLE_ERROR_INVALID_ARGUMENT,
           desc_words, "no descriptor");
    expect(tulle_plan_create(NULL, &desc, &plan, &error), &error, TULLE_ERROR_INVALID_ARGUMENT,
           context_words, "no context");
    expect(tulle_plan_create(context, &desc, NULL, &error), &error, TULLE_ERROR_INVALID_ARGUMENT,
           out_words, "nowhere to put the plan");
    expect(tulle_explain(NULL, NULL, ignore_variant, NULL, &error), &error,
           TULLE_ERROR_INVALID_ARGUMENT, context_words, "explain without a context");
    const char *const each_words[2] = { "each", NULL }, *const pairs_words[2] = { "pairs", NULL },
                      *const batch_words[2] = { "batch", "2" },
                      *const head_words[2] = { "head", "4" };
    expect(tulle_explain(context, NULL, NULL, NULL, &error), &error, TULLE_ERROR_INVALID_ARGUMENT,
           each_words, "explain to nobody");
    expect(tulle_schedule_walk(context, &desc, 0, 0, NULL, NULL, &error), &error,
           TULLE_ERROR_INVALID_ARGUMENT, each_words, "walk to nobody");
    expect(tulle_schedule_walk(context, NULL, 0, 0, ignore_run, NULL, &error), &error,
           TULLE_ERROR_INVALID_ARGUMENT, desc_words, "walk nothing");
    expect(tulle_schedule_walk(context, &desc, 2, 0, ignore_run, NULL, &error), &error,
           TULLE_ERROR_INVALID_ARGUMENT, batch_words, "walk a batch entry that is not there");
    expect(tulle_schedule_walk(context, &desc, 0, 4, ignore_run, NULL, &error), &error,
           TULLE_ERROR_INVALID_ARGUMENT, head_words, "walk a head that is not there");
    harness_ok(tulle_plan_create(context, &desc, &plan, &error), &error, "tulle_plan_create");
    expect(tulle_plan_count_pairs(plan, NULL, &error), &error, TULLE_ERROR_INVALID_ARGUMENT,
           pairs_words, "nowhere to put the count");
    tulle_plan_destroy(plan);
    tulle_context_destroy(NULL);
    tulle_pattern_destroy(NULL);
    tulle_merger_destroy(NULL);
    tulle_patterns_free(NULL, 0);
    assert_string_equal(tulle_result_name(TULLE_OK), "TULLE_OK");
    assert_non_null(tulle_result_name((tulle_result)999));
}

static void test_merging(void **state) {
    (void)state;
    float o[2][16] = { { 0 } }, lse[2][4] = { { 0 } };
    tulle_error error = { 0 };
    const char *const dim_words[2] = { "v_head_dim", "6" }, *const o_words[2] = { "into_o", NULL },
                      *const lse_words[2] = { "from_lse", NULL },
                      *const dtype_words[2] = { "dtype", "7" };
    expect(tulle_merge(2, 6, TULLE_F32, o[0], lse[0], o[1], lse[1], &error), &error,
           TULLE_ERROR_INVALID_ARGUMENT, dim_words, "merging 6 dimensions");
    expect(tulle_merge(4, 4, TULLE_F32, NULL, lse[0], o[1], lse[1], &error), &error,
           TULLE_ERROR_INVALID_ARGUMENT, o_words, "merging into nothing");
    expect(tulle_merge(4, 4, TULLE_F32, o[0], lse[0], o[1], NULL, &error), &error,
           TULLE_ERROR_INVALID_ARGUMENT, lse_words, "merging from nothing");
    expect(tulle_merge(4, 4, (tulle_dtype)7, o[0], lse[0], o[1], lse[1], &error), &error,
           TULLE_ERROR_INVALID_ARGUMENT, dtype_words, "merging an unknown dtype");
    const char *const rows_words[2] = { "rows", "0" };
    expect(tulle_merge(0, 4, TULLE_F32, o[0], lse[0], o[1], lse[1], &error), &error,
           TULLE_ERROR_INVALID_ARGUMENT, rows_words, "merging no rows");
    harness_ok(tulle_merge(4, 4, TULLE_F32, o[0], lse[0], o[1], lse[1], &error), &error,
               "a good merge");
    const struct mode_context *context = harness_mode(MODE_IMPORT);
    struct gpu_buffer buffer =
        gpu_buffer_create(&context->gpu, 4096, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    const tulle_buffer good[] = { { buffer.buffer, 0, 64 },
                                  { buffer.buffer, 256, 16 },
                                  { buffer.buffer, 512, 64 },
                                  { buffer.buffer, 768, 16 } },
                       none = { 0 };
    const tulle_buffer small = { buffer.buffer, 0, 60 };
    tulle_merger *merger = NULL;
    const char *const small_words[2] = { "into_o", "60" }, *const merger_words[2] = { "merger",
                                                                                      NULL };
    expect(tulle_merger_create(context->tulle, 4, 6, TULLE_F32, &good[0], &good[1], &good[2],
                               &good[3], &merger, &error),
           &error, TULLE_ERROR_INVALID_ARGUMENT, dim_words, "a merger of 6 dimensions");
    expect(tulle_merger_create(context->tulle, 4, 4, TULLE_F32, &none, &good[1], &good[2], &good[3],
                               &merger, &error),
           &error, TULLE_ERROR_INVALID_ARGUMENT, o_words, "a merger into nothing");
    expect(tulle_merger_create(context->tulle, 4, 4, TULLE_F32, &small, &good[1], &good[2],
                               &good[3], &merger, &error),
           &error, TULLE_ERROR_INVALID_ARGUMENT, small_words, "a merger into too small a buffer");
    expect(tulle_merger_create(context->tulle, 4, 4, TULLE_F32, &good[0], &good[1], &good[2], NULL,
                               &merger, &error),
           &error, TULLE_ERROR_INVALID_ARGUMENT, lse_words, "a merger from nothing");
    assert_null(merger);
    harness_ok(tulle_merger_create(context->tulle, 4, 4, TULLE_F32, &good[0], &good[1], &good[2],
                                   &good[3], &merger, &error),
               &error, "a good merger");
    VkCommandBuffer cmd = gpu_begin(&context->gpu);
    expect(tulle_cmd_merge(cmd, NULL, &error), &error, TULLE_ERROR_INVALID_ARGUMENT, merger_words,
           "merging with nothing");
    gpu_finish(&context->gpu, cmd);
    tulle_merger_destroy(merger);
    gpu_buffer_destroy(&context->gpu, &buffer);
    harness_silent();
}

// After all that the same contexts still give right answers.
static void test_still_right(void **state) {
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

int main(int argc, char **argv) {
    (void)argc;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_descriptors),      cmocka_unit_test(test_log),
        cmocka_unit_test(test_refused_variants), cmocka_unit_test(test_bindings),
        cmocka_unit_test(test_buffer_sizes),     cmocka_unit_test(test_shared_buffers),
        cmocka_unit_test(test_recording),        cmocka_unit_test(test_host_arrays),
        cmocka_unit_test(test_shared_arrays),    cmocka_unit_test(test_nulls),
        cmocka_unit_test(test_merging),          cmocka_unit_test(test_still_right),
    };
    return HARNESS_RUN(argv, "errors", tests);
}
