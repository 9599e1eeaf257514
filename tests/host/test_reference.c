// SPDX-License-Identifier: MIT
//
// Checks the reference itself against small cases worked out by hand from docs/semantics.md: weights,
// lengths, heads, and 16-bit floats. What each term selects: test_reference_terms.

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "reference_table.h"

#include <math.h>
#include <string.h>

#define NEAR(got, want) table_near(got, want, __LINE__)
#define COUNT TABLE_COUNT

// -------------------------------------------------------------------------------------------------
// Numbers. With q = 1, scale 1 and k_j = ln w_j, key j has weight w_j: o = sum w v / sum w, LSE =
// ln sum w.

static const struct ref_term dense_term = { .kind = REF_DENSE };
static const struct ref_pattern dense = { &dense_term, 1 };

static void test_weights(void **state) {
    (void)state;
    const double q[] = { 1.0, 1.0 }, k[] = { log(1.0), log(2.0), log(5.0) };
    const double v[] = { 1.0, -1.0, 10.0, 20.0, 100.0, -300.0 };
    double o[4], lse[2], absolute[4], bound[2];
    uint64_t pairs = 99;
    struct ref_problem problem = { .batch = 1,
                                   .heads = 1,
                                   .kv_heads = 1,
                                   .q_len = 2,
                                   .kv_len = 3,
                                   .head_dim = 1,
                                   .v_head_dim = 2,
                                   .q = q,
                                   .k = k,
                                   .v = v,
                                   .scale = 1.0,
                                   .causal = true,
                                   .patterns = &dense,
                                   .n_patterns = 1,
                                   .o = o,
                                   .lse = lse,
                                   .absolute = absolute,
                                   .score_bound = bound,
                                   .pairs = &pairs };
    ref_attention(&problem);  // default offset 1: the rows sit at 1 and 2
    NEAR(o[0], 21.0 / 3.0);
    NEAR(o[1], 39.0 / 3.0);
    NEAR(absolute[1], 41.0 / 3.0);
    NEAR(lse[0], log(3.0));
    NEAR(bound[0], log(2.0));
    NEAR(o[2], 521.0 / 8.0);
    NEAR(o[3], (39.0 - 1500.0) / 8.0);
    NEAR(absolute[2], 521.0 / 8.0);
    NEAR(absolute[3], 1541.0 / 8.0);
    NEAR(lse[1], log(8.0));
    NEAR(bound[1], log(5.0));
    assert_true(pairs == 5);

    // A sink logit ln 4 joins the denominator alone.
    const double sink = log(4.0);
    problem.sink_logits = &sink;
    ref_attention(&problem);
    NEAR(o[0], 21.0 / 7.0);
    NEAR(absolute[1], 41.0 / 7.0);
    NEAR(lse[0], log(7.0));
    NEAR(o[3], (39.0 - 1500.0) / 12.0);
    NEAR(lse[1], log(12.0));

    // A sink logit far above: no overflow, everything else vanishes.
    const double high = 5000.0;
    problem.sink_logits = &high;
    ref_attention(&problem);
    NEAR(o[2], 0.0);
    NEAR(lse[1], 5000.0);

    // Negative offset, not causal: the rows sit at -4 and -3; ALiBi of slope ln 2 halves a weight
    // for each step.
    const int64_t offset = -4;
    const double slope = log(2.0);
    problem.sink_logits = NULL;
    problem.q_offset = &offset;
    problem.n_q_offset = 1;
    problem.causal = false;
    problem.slopes = &slope;
    ref_attention(&problem);
    // Distances 4, 5, 6, then 3, 4, 5: weights 1/16, 2/32, 5/64 = (4, 4, 5) / 64, then (4, 4, 5) /
    // 32.
    NEAR(o[0], (4.0 + 40.0 + 500.0) / 13.0);
    NEAR(o[1], (-4.0 + 80.0 - 1500.0) / 13.0);
    NEAR(lse[0], log(13.0 / 64.0));
    NEAR(lse[1], log(13.0 / 32.0));
    NEAR(bound[0], log(5.0) + 6.0 * log(2.0));
    assert_true(pairs == 6);

    // The same offset, causal: no row has a key.
    problem.causal = true;
    ref_attention(&problem);
    for (size_t n = 0; n < 4; n++) {
        assert_true(o[n] == 0.0 && absolute[n] == 0.0);
    }
    for (size_t n = 0; n < 2; n++) {
        assert_true(lse[n] == -INFINITY && bound[n] == 0.0);
    }
    assert_true(pairs == 0);
    problem.sink_logits = &sink;
    ref_attention(&problem);
    assert_true(o[0] == 0.0 && lse[0] == sink && lse[1] == sink);

    // ALiBi on both sides of a row at 1: distances 1, 0, 1.
    const int64_t middle = 1;
    problem.sink_logits = NULL;
    problem.q_offset = &middle;
    problem.causal = false;
    ref_attention(&problem);
    NEAR(o[0], (0.5 + 20.0 + 250.0) / 5.0);
    NEAR(lse[0], log(5.0));
}

static void test_scale_and_softcap(void **state) {
    (void)state;
    // 3 + 4 - 2 + 4 = 9; absolutes 13
    const double q[] = { 1.0, -2.0, 1.0, 4.0 }, k[] = { 3.0, -2.0, -2.0, 1.0 };
    const double v[] = { 7.0 };
    double o[1], lse[1], bound[1];
    struct ref_problem problem = { .batch = 1,
                                   .heads = 1,
                                   .kv_heads = 1,
                                   .q_len = 1,
                                   .kv_len = 1,
                                   .head_dim = 4,
                                   .v_head_dim = 1,
                                   .q = q,
                                   .k = k,
                                   .v = v,
                                   .patterns = &dense,
                                   .n_patterns = 1,
                                   .o = o,
                                   .lse = lse,
                                   .score_bound = bound };
    ref_attention(&problem);  // scale 1 / sqrt(4)
    NEAR(o[0], 7.0);
    NEAR(lse[0], 4.5);
    NEAR(bound[0], 6.5);
    problem.scale = -0.25;
    ref_attention(&problem);
    NEAR(lse[0], -2.25);
    NEAR(bound[0], 3.25);

    // tanh(ln 3 / 2) = 1/2: softcap 3 takes 3 ln 3 / 2 to 3/2. The bias comes on top, uncapped.
    problem.scale = 1.5 * log(3.0) / 9.0;
    problem.softcap = 3.0;
    ref_attention(&problem);
    NEAR(lse[0], 1.5);
    const double slope = 10.0;
    const int64_t offset = 2;
    problem.slopes = &slope;
    problem.q_offset = &offset;
    problem.n_q_offset = 1;
    ref_attention(&problem);
    NEAR(lse[0], 1.5 - 20.0);
    NEAR(bound[0], 1.5 * log(3.0) / 9.0 * 13.0 + 20.0);
}

static void test_lengths_and_starts(void **state) {
    (void)state;
    // Two batch entries of 3 rows and 4 keys; dense, causal. NAN stands where nothing may be read.
    //   entry 0: 2 rows, keys 1 and 2, offset 3 - 2 = 1:   p = 1: {1}, p = 2: {1, 2}, past the
    //                                                      length
    //   entry 1: 3 rows, keys 0 and 1, offset 2 - 3 = -1:  p = -1: {}, p = 0: {0}, p = 1: {0, 1}
    const int64_t q_lengths[] = { 2, 3 }, kv_lengths[] = { 3, 2 }, kv_starts[] = { 1, 0 };
    const double q[] = { 1.0, 1.0, NAN, NAN, 1.0, 1.0 };
    const double k[] = { NAN, log(2.0), log(3.0), NAN, log(5.0), log(7.0), NAN, NAN };
    const double v[] = { NAN, 10.0, 100.0, INFINITY, 1.0, 10.0, NAN, -INFINITY };
    double o[6], lse[6], absolute[6], bound[6];
    uint64_t pairs;
    struct ref_problem problem = { .batch = 2,
                                   .heads = 1,
                                   .kv_heads = 1,
                                   .q_len = 3,
                                   .kv_len = 4,
                                   .head_dim = 1,
                                   .v_head_dim = 1,
                                   .q = q,
                                   .k = k,
                                   .v = v,
                                   .scale = 1.0,
                                   .causal = true,
                                   .patterns = &dense,
                                   .n_patterns = 1,
                                   .q_lengths = q_lengths,
                                   .kv_lengths = kv_lengths,
                                   .kv_starts = kv_starts,
                                   .o = o,
                                   .lse = lse,
                                   .absolute = absolute,
                                   .score_bound = bound,
                                   .pairs = &pairs };
    ref_attention(&problem);
    const double want[] = { 10.0, 320.0 / 5.0, 0.0, 0.0, 1.0, 75.0 / 12.0 };
    const double want_lse[] = { log(2.0), log(5.0), -INFINITY, -INFINITY, log(5.0), log(12.0) };
    for (size_t n = 0; n < 6; n++) {
        NEAR(o[n], want[n]);
        NEAR(absolute[n], want[n]);
        NEAR(lse[n], want_lse[n]);
    }
    assert_true(pairs == 6);

    // With a sink logit the empty row shows it, the row past the length does not.
    const double sink = -1.0;
    problem.sink_logits = &sink;
    ref_attention(&problem);
    assert_true(lse[2] == -INFINITY && o[2] == 0.0);
    assert_true(lse[3] == -1.0 && o[3] == 0.0);
    NEAR(lse[4], log(5.0 + exp(-1.0)));
    problem.sink_logits = NULL;

    // An offset each: entry 0 at 0 and 1: {}, {1}; entry 1 at -2, -1, 0: {}, {}, {0}.
    const int64_t offsets[] = { 0, -2 };
    problem.q_offset = offsets;
    problem.n_q_offset = 2;
    ref_attention(&problem);
    const double moved[] = { 0.0, 10.0, 0.0, 0.0, 0.0, 1.0 };
    for (size_t n = 0; n < 6; n++) {
        NEAR(o[n], moved[n]);
    }
    assert_true(pairs == 2);

    // A start past the length, and no keys at all.
    const int64_t late[] = { 3, 4 };
    problem.kv_starts = late;
    problem.causal = false;
    ref_attention(&problem);
    for (size_t n = 0; n < 6; n++) {
        assert_true(o[n] == 0.0 && lse[n] == -INFINITY);
    }
    assert_true(pairs == 0);
}

static void test_heads(void **state) {
    (void)state;
    // Four heads over two kv heads; heads 1 and 2 have window(0, 0), the others are dense. One row,
    // at 1, of two keys.
    struct ref_term window = { .kind = REF_WINDOW, .left = 0, .right = 0 };
    struct ref_pattern patterns[] = { dense, { &window, 1 } };
    const int32_t head_pattern[] = { 0, 1, 1, 0 };
    const double q[] = { 1.0, 1.0, 1.0, 1.0 }, k[] = { log(1.0), log(2.0), log(3.0), log(4.0) };
    const double v[] = { 1.0, 10.0, 100.0, 1000.0 };
    const double slopes[] = { 0.0, 5.0, 6.0, log(2.0) },
                 sinks[] = { 0.0, log(2.0), log(4.0), -INFINITY };
    double o[4], lse[4];
    uint64_t pairs;
    struct ref_problem problem = { .batch = 1,
                                   .heads = 4,
                                   .kv_heads = 2,
                                   .q_len = 1,
                                   .kv_len = 2,
                                   .head_dim = 1,
                                   .v_head_dim = 1,
                                   .q = q,
                                   .k = k,
                                   .v = v,
                                   .scale = 1.0,
                                   .patterns = patterns,
                                   .n_patterns = 2,
                                   .head_pattern = head_pattern,
                                   .slopes = slopes,
                                   .sink_logits = sinks,
                                   .o = o,
                                   .lse = lse,
                                   .pairs = &pairs };
    ref_attention(&problem);
    NEAR(o[0], 21.0 / 4.0);  // weights 1, 2, sink 1
    NEAR(lse[0], log(4.0));
    NEAR(o[1], 20.0 / 4.0);  // weight 2, sink 2
    NEAR(lse[1], log(4.0));
    NEAR(o[2], 4000.0 / 8.0);  // weight 4, sink 4
    NEAR(lse[2], log(8.0));
    NEAR(o[3], 4150.0 / 5.5);  // weights 3/2, 4, no sink
    NEAR(lse[3], log(5.5));
    assert_true(pairs == 6);
}

// One pattern serves a prefill, any chunk of it, and each decode step: the same rows come out bit
// for bit.
static void test_chunks(void **state) {
    (void)state;
    enum { LENGTH = 16, DIM = 3 };
    struct ref_term terms[] = { { .kind = REF_RANDOM, .block = 2, .count = 2, .seed = 5 },
                                { .kind = REF_FIXED, .step = 5, .count = 1 },
                                { .kind = REF_WINDOW, .left = 1, .right = 0 } };
    struct ref_pattern pattern = { terms, 3 };
    double q[LENGTH * DIM], k[LENGTH * DIM], v[LENGTH * DIM], whole[LENGTH * DIM],
        whole_lse[LENGTH];
    for (int n = 0; n < LENGTH * DIM; n++) {
        q[n] = sin(n + 1.0);
        k[n] = cos(2.0 * n);
        v[n] = sin(3.0 * n + 2.0);
    }
    struct ref_problem problem = { .batch = 1,
                                   .heads = 1,
                                   .kv_heads = 1,
                                   .q_len = LENGTH,
                                   .kv_len = LENGTH,
                                   .head_dim = DIM,
                                   .v_head_dim = DIM,
                                   .q = q,
                                   .k = k,
                                   .v = v,
                                   .causal = true,
                                   .patterns = &pattern,
                                   .n_patterns = 1,
                                   .o = whole,
                                   .lse = whole_lse };
    ref_attention(&problem);
    for (int p = 0; p < LENGTH; p++) {
        double o[DIM], lse;
        problem.q_len = 1;
        problem.kv_len = p + 1;
        problem.q = q + p * DIM;
        problem.o = o;
        problem.lse = &lse;
        ref_attention(&problem);
        assert_memory_equal(o, whole + p * DIM, sizeof o);
        assert_true(lse == whole_lse[p]);
    }
}

// -------------------------------------------------------------------------------------------------
// Philox and 16-bit floats

static void test_philox(void **state) {
    (void)state;
    const uint32_t ff = UINT32_MAX;
    const struct {
        uint32_t counter[4], key[2], out[4];
    } known[] = {
        // Random123's kat_vectors, philox4x32 10
        { { 0, 0, 0, 0 }, { 0, 0 }, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
        { { ff, ff, ff, ff }, { ff, ff }, { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
        { { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 },
          { 0xa4093822, 0x299f31d0 },
          { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
    };
    for (size_t n = 0; n < COUNT(known); n++) {
        uint32_t out[4];
        ref_philox4x32_10(known[n].counter, known[n].key, out);
        assert_memory_equal(out, known[n].out, sizeof out);
        memcpy(out, known[n].counter, sizeof out);
        ref_philox4x32_10(out, known[n].key, out);
        assert_memory_equal(out, known[n].out, sizeof out);
    }
}

// Every pattern of bits there and back, and the rounding of every finite neighbour pair: below, at
// and above the middle.
static void check_format(double (*to_double)(uint16_t), uint16_t (*from_double)(double),
                         uint16_t infinity) {
    for (uint32_t bits = 0; bits < 0x10000; bits++) {
        const uint16_t magnitude = (uint16_t)(bits & 0x7fff);
        const double value = to_double((uint16_t)bits);
        if (magnitude > infinity) {
            assert_true(isnan(value));
            assert_true((from_double(value) & 0x7fff) > infinity);
            assert_int_equal(from_double(value) & 0x8000, bits & 0x8000);
            continue;
        }
        assert_int_equal(from_double(value), bits);
        assert_int_equal(signbit(value) != 0, bits >> 15);
        if (magnitude >= infinity - 1) {
            continue;
        }
        const double next = to_double((uint16_t)(bits + 1));
        assert_true(fabs(next) > fabs(value));
        const double middle = (value + next) / 2.0;
        assert_int_equal(from_double(nextafter(middle, value)), bits);
        assert_int_equal(from_double(middle), bits + (bits & 1));
        assert_int_equal(from_double(nextafter(middle, next)), bits + 1);
    }
}

static void test_half(void **state) {
    (void)state;
    check_format(ref_half_to_double, ref_double_to_half, 0x7c00);
    assert_true(ref_half_to_double(0x3c00) == 1.0);
    assert_true(ref_half_to_double(0xc000) == -2.0);
    assert_true(ref_half_to_double(0x3555) == 1365.0 / 4096.0);
    assert_true(ref_half_to_double(0x7bff) == 65504.0);
    assert_true(ref_half_to_double(0x0001) == ldexp(1.0, -24));
    assert_true(ref_half_to_double(0x0400) == ldexp(1.0, -14));
    assert_true(ref_half_to_double(0xfc00) == -INFINITY);
    assert_int_equal(ref_double_to_half(65519.99), 0x7bff);
    assert_int_equal(ref_double_to_half(65520.0), 0x7c00);
    assert_int_equal(ref_double_to_half(-1e300), 0xfc00);
    assert_int_equal(ref_double_to_half(5e-324), 0x0000);
    assert_int_equal(ref_double_to_half(-5e-324), 0x8000);
    // One rounding, not two: just above the middle of 1 and its successor, by less than a float
    // could tell.
    assert_int_equal(ref_double_to_half(1.0 + ldexp(1.0, -11) + ldexp(1.0, -40)), 0x3c01);
}

static void test_bf16(void **state) {
    (void)state;
    check_format(ref_bf16_to_double, ref_double_to_bf16, 0x7f80);
    assert_true(ref_bf16_to_double(0x3f80) == 1.0);
    assert_true(ref_bf16_to_double(0xc049) == -3.140625);
    assert_true(ref_bf16_to_double(0x0001) == ldexp(1.0, -133));
    assert_true(ref_bf16_to_double(0x0080) == ldexp(1.0, -126));
    assert_true(ref_bf16_to_double(0x7f7f) == ldexp(255.0, 120));
    assert_int_equal(ref_double_to_bf16(ldexp(511.0, 119)), 0x7f80);
    assert_int_equal(ref_double_to_bf16(nextafter(ldexp(511.0, 119), 0.0)), 0x7f7f);
    assert_int_equal(ref_double_to_bf16(3.14159265), 0x4049);
    assert_int_equal(ref_double_to_bf16(1.0 + ldexp(1.0, -8) + ldexp(1.0, -40)), 0x3f81);
}

// Two entries of three keys in pages of two rows; page 2 is both's. Weights as in test_weights.
static void test_pages(void **state) {
    (void)state;
    const double q[] = { 1.0, 1.0 };
    const double k[] = { log(5.0), NAN, log(3.0), log(4.0), log(1.0), log(2.0) };
    const double v[] = { 100.0, NAN, 7.0, 8.0, 1.0, 10.0 };
    const int32_t table[] = { 2, 0, -9, 1, 2, 77 };
    double o[2], lse[2];
    struct ref_problem problem = { .batch = 2,
                                   .heads = 1,
                                   .kv_heads = 1,
                                   .q_len = 1,
                                   .kv_len = 3,
                                   .head_dim = 1,
                                   .v_head_dim = 1,
                                   .q = q,
                                   .k = k,
                                   .v = v,
                                   .page_size = 2,
                                   .pages = 3,
                                   .table_columns = 3,
                                   .page_table = table,
                                   .scale = 1.0,
                                   .patterns = &dense,
                                   .n_patterns = 1,
                                   .o = o,
                                   .lse = lse };
    ref_attention(&problem);
    NEAR(o[0], (1.0 + 20.0 + 500.0) / 8.0);  // page 2, then row 0 of page 0
    NEAR(lse[0], log(8.0));
    NEAR(o[1], (21.0 + 32.0 + 1.0) / 8.0);  // page 1, then row 0 of page 2
    NEAR(lse[1], log(8.0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_scale_and_softcap),
        cmocka_unit_test(test_lengths_and_starts),
        cmocka_unit_test(test_heads),
        cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_philox),
        cmocka_unit_test(test_half),
        cmocka_unit_test(test_bf16),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
