// SPDX-License-Identifier: MIT
//
// Whether two tensors share a byte: against the bytes themselves, and for layouts too large to list.
#include <string.h>

#include "harness.h"
#include "problem/footprint.h"

enum { TRIALS = 20000, SPACE = 400, MIDDLE = SPACE / 2 };

static struct footprint random_footprint(struct rng *rng) {
    struct footprint print = { .first = rng_between(rng, MIDDLE - 40, MIDDLE + 40),
                               .bytes = rng_between(rng, 1, 5) };
    for (int i = 0; i < 3; i++) {
        print.length[i] = rng_between(rng, 1, 3);
        print.stride[i] = rng_between(rng, -25, 25);
    }
    return print;
}

static void mark(const struct footprint *print, uint8_t bytes[SPACE], uint8_t mark) {
    for (int64_t b = 0; b < print->length[0]; b++)
        for (int64_t h = 0; h < print->length[1]; h++)
            for (int64_t r = 0; r < print->length[2]; r++)
                for (int64_t i = 0; i < print->bytes; i++)
                    bytes[print->first + b * print->stride[0] + h * print->stride[1] +
                          r * print->stride[2] + i] |= mark;
}

static void test_random(void **state) {
    (void)state;
    struct rng rng = { rng_hash(harness_seed(), 77) };
    int met = 0;
    for (int trial = 0; trial < TRIALS; trial++) {
        struct footprint a = random_footprint(&rng), b = random_footprint(&rng);
        uint8_t bytes[SPACE] = { 0 };
        mark(&a, bytes, 1);
        mark(&b, bytes, 2);
        bool meet = memchr(bytes, 3, SPACE) != NULL;
        met += meet;
        if (footprints_meet(&a, &b) != meet || footprints_meet(&b, &a) != meet ||
            !footprints_meet(&a, &a))
            harness_fail("trial %d: they %s", trial, meet ? "meet" : "do not meet");
    }
    assert_in_range(met, TRIALS / 10, TRIALS / 10 * 9);  // both were tried
}

static void test_itself(void **state) {
    (void)state;
    struct rng rng = { rng_hash(harness_seed(), 79) };
    int overlapping = 0;
    for (int trial = 0; trial < TRIALS; trial++) {
        const struct footprint print = random_footprint(&rng);
        uint8_t bytes[SPACE] = { 0 };
        int64_t covered = 0;
        mark(&print, bytes, 1);
        for (int i = 0; i < SPACE; i++) covered += bytes[i];
        const bool overlaps =
            covered < print.length[0] * print.length[1] * print.length[2] * print.bytes;
        overlapping += overlaps;
        if (footprint_overlaps_itself(&print) != overlaps)
            harness_fail("trial %d: its rows %s", trial, overlaps ? "overlap" : "do not overlap");
    }
    assert_in_range(overlapping, TRIALS / 10, TRIALS / 10 * 9);
}

// [batch][token][Q heads | K heads | V heads | O heads] of a million tokens, each tensor a view
static struct footprint packed(int64_t first_head) {
    enum { HEADS = 16, ROW = 256 };
    return (struct footprint){ .first = first_head * ROW,
                               .stride = { (INT64_C(64) * ROW) << 20, ROW, 64 * ROW },
                               .length = { 4, HEADS, 1 << 20 },
                               .bytes = ROW };
}

static void test_packed(void **state) {
    (void)state;
    struct footprint q = packed(0), k = packed(16), o = packed(48), late = packed(47);
    assert_false(footprints_meet(&o, &q));
    assert_false(footprints_meet(&o, &k));
    assert_false(footprints_meet(&q, &k));
    assert_true(footprints_meet(&o, &late));
    assert_true(footprints_meet(&late, &o));
    late.first += 255;  // all but the last byte of a row lie beyond
    assert_true(footprints_meet(&late, &o));
    struct footprint before = o;
    before.first -= 1;  // the last byte of K's neighbour, V
    struct footprint v = packed(32);
    assert_true(footprints_meet(&before, &v));
    assert_false(footprints_meet(&o, &v));
    assert_false(footprint_overlaps_itself(&o));
    o.stride[1]--;
    assert_true(footprint_overlaps_itself(&o));
}

static void test_equal(void **state) {
    (void)state;
    struct footprint a = packed(0), b = a;
    assert_true(footprints_equal(&a, &b));
    b.bytes /= 2;
    assert_false(footprints_equal(&a, &b));
    b = a;
    b.stride[1] *= 2;
    assert_false(footprints_equal(&a, &b));
    a.length[1] = b.length[1] = 1;  // then nothing is seen of the stride
    assert_true(footprints_equal(&a, &b));
    b.first += 4;
    assert_false(footprints_equal(&a, &b));
}

int main(int argc, char **argv) {
    (void)argc;
    harness_start(argv[0]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_itself),
        cmocka_unit_test(test_packed),
        cmocka_unit_test(test_equal),
    };
    return cmocka_run_group_tests_name("footprint", tests, NULL, NULL);
}
