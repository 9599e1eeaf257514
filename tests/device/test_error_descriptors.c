// SPDX-License-Identifier: MIT
//
// Wrong descriptors: each mistake gives its error and a message that names the argument and the
// value, sets no out-parameter, and leaves everything usable. (Patterns: test_pattern.c and
// test_pattern_spec.c. Contexts: test_context.c and test_import.c. What leaks shows under
// AddressSanitizer.)
#include <math.h>
#include <string.h>

#include "mistakes.h"

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
static const uint32_t tree_words[2 * 257 * 9];
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
static void head_dim_577(tulle_attention_desc *d) { d->head_dim = 577; }
static void v_head_dim_513(tulle_attention_desc *d) { d->v_head_dim = 513; }
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
static void trees_missing(tulle_attention_desc *d) { d->tree_rows = 10; }
static void trees_of_257(tulle_attention_desc *d) {
    d->trees = tree_words;
    d->tree_rows = 257;
}
static void trees_of_0(tulle_attention_desc *d) { d->trees = tree_words; }
static void trees_too_small(tulle_attention_desc *d) {
    d->trees = tree_words;
    d->tree_rows = 9;
}
static void trees_elsewhere(tulle_attention_desc *d) {
    d->trees = tree_words;
    d->tree_rows = 10;
    d->q_align = TULLE_ALIGN_FIRST_KEY;
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
    { "head_dim 577", head_dim_577, { "head_dim", "577" } },
    { "v_head_dim 513", v_head_dim_513, { "v_head_dim", "513" } },
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
    { "trees missing", trees_missing, { "trees is NULL", "10" } },
    { "trees of too many rows", trees_of_257, { "tree_rows", "257" } },
    { "trees of no rows", trees_of_0, { "tree_rows is 0", "256" } },
    { "trees of fewer rows than queries", trees_too_small, { "tree_rows is 9", "10 query rows" } },
    { "trees elsewhere than at the last keys", trees_elsewhere, { "q_align", "LAST_KEY" } },
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
        tulle_attention_desc desc = mistake_desc();
        mistakes[n].make(&desc);
        tulle_error error = { 0 };
        tulle_plan *plan = (tulle_plan *)(uintptr_t)0x10;
        tulle_result result = tulle_plan_create(context, &desc, &plan, &error);
        mistake_refused(result, &error, TULLE_ERROR_INVALID_ARGUMENT, mistakes[n].words,
                        mistakes[n].what);
        if (plan != NULL) {
            harness_fail("%s: the plan is not NULL", mistakes[n].what);
        }
        if (tulle_plan_create(context, &desc, &plan, NULL) != result) {
            harness_fail("%s: without an error to fill, another result", mistakes[n].what);
        }
        // What needs no device finds the same mistake, but for kernels and buffers.
        if (mistakes[n].make != kernel_unknown && mistakes[n].make != usage_texel) {
            memset(&error, 0, sizeof error);
            result = tulle_schedule_walk(NULL, &desc, 0, 0, mistake_ignore_run, NULL, &error);
            mistake_refused(result, &error, TULLE_ERROR_INVALID_ARGUMENT, mistakes[n].words,
                            mistakes[n].what);
        }
    }
    // The good one is good.
    tulle_attention_desc desc = mistake_desc();
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

// A variant that cannot serve is refused with its reason; a workspace limit below the least with
// the least.
static void test_refused_variants(void **state) {
    (void)state;
    tulle_context *floor = harness_mode(MODE_OWN_FLOOR)->tulle;
    struct variants variants;
    tulle_attention_desc desc = mistake_desc();
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
            mistake_refused(result, &error, TULLE_ERROR_UNSUPPORTED, words,
                            "a variant that cannot serve");
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

int main(int argc, char **argv) {
    (void)argc;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_descriptors),
        cmocka_unit_test(test_refused_variants),
        cmocka_unit_test(mistakes_left_all_right),
    };
    return HARNESS_RUN(argv, "error_descriptors", tests);
}
