// SPDX-License-Identifier: MIT
//
// What a tuning's answer does to selection, without a device: it comes first where it serves and no
// kernel is named, for its class alone; and it survives as bytes.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernel/tuning.h"

static const struct caps gpu = { .type = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU,
                                 .subgroup_size = 32,
                                 .buffer_device_address = true,
                                 .max_workgroup_invocations = 128,
                                 .max_shared_memory = 16384,
                                 .max_storage_buffers = 16,
                                 .max_texel_elements = 65536 };

static struct attention attention(tulle_dtype dtype, uint32_t head_dim, uint32_t q_len) {
    return (struct attention){ .head_dim = head_dim,
                               .v_head_dim = head_dim,
                               .q_len = q_len,
                               .dtype = dtype,
                               .o_dtype = dtype,
                               .buffer_usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT };
}

static const struct variant *named(const char *name) {
    for (uint32_t i = 0; i < variant_count; i++)
        if (!strcmp(variants[i].name, name)) return &variants[i];
    fail_msg("there is no variant %s", name);
    return NULL;
}

static void tune(struct tuning *tuning, struct attention a, const char *name) {
    const struct tuning_class of = tuning_class_of(&a, &gpu);
    tuning_set(tuning, &of, named(name));
}

/// The name that selection takes.
static const char *taken(struct tuning *tuning, struct attention a, const struct caps *caps) {
    tulle_error error = { 0 };
    tuning_apply(tuning, caps, &a);
    const struct variant *v = variant_choose(&a, caps, &error);
    if (!v) fail_msg("nothing serves: %s", error.message);
    return v->name;
}

static void test_selection(void **state) {
    (void)state;
    struct tuning *tuning = tuning_create();
    struct attention a = attention(TULLE_F32, 64, 100);
    assert_string_equal(taken(tuning, a, &gpu), "base_f32_q32k32");
    tune(tuning, a, "base_f32_q8k32");
    assert_string_equal(taken(tuning, a, &gpu), "base_f32_q8k32");
    // a later answer replaces it
    tune(tuning, a, "base_f32_q16k32");
    assert_string_equal(taken(tuning, a, &gpu), "base_f32_q16k32");
    // whoever names a kernel gets that one, and of a prefix the best as ranked
    strcpy(a.kernel, "base_f32_q8k64");
    assert_string_equal(taken(tuning, a, &gpu), "base_f32_q8k64");
    strcpy(a.kernel, "base");
    assert_string_equal(taken(tuning, a, &gpu), "base_f32_q32k32");
    a.kernel[0] = '\0';
    // one that does not serve is passed over: for CPUs, unless named
    tune(tuning, a, "rows_address_f32_r1k4");
    assert_string_equal(taken(tuning, a, &gpu), "base_f32_q32k32");
    tuning_destroy(tuning);
}

static void test_better(void **state) {
    (void)state;
    assert_false(tuning_better(1, 1));
    assert_false(tuning_better(98, 100));  // noise
    assert_true(tuning_better(96, 100));
    assert_true(tuning_better(1e9, INFINITY));  // the default could not be planned
    assert_false(tuning_better(INFINITY, INFINITY));
}

static void test_classes(void **state) {
    (void)state;
    struct tuning *tuning = tuning_create();
    struct caps bare = gpu;
    bare.buffer_device_address = false;
    tune(tuning, attention(TULLE_F32, 60, 17), "base_f32_q8k32");
    // the same class: its other head sizes, any number of rows from 17 on
    assert_string_equal(taken(tuning, attention(TULLE_F32, 64, 5000), &gpu), "base_f32_q8k32");
    assert_string_equal(taken(tuning, attention(TULLE_F32, 36, 17), &gpu), "base_f32_q8k32");
    assert_string_equal(taken(tuning, attention(TULLE_F32, 64, 5000), &bare), "base_f32_q8k32");
    // others: dtype, either side's head size, phase, addresses
    assert_string_equal(taken(tuning, attention(TULLE_F16, 64, 17), &gpu), "base_f16_q32k32");
    assert_string_equal(taken(tuning, attention(TULLE_F32, 32, 17), &gpu), "base_f32_q32k32");
    assert_string_equal(taken(tuning, attention(TULLE_F32, 68, 17), &gpu), "base_f32_q32k32");
    assert_string_equal(taken(tuning, attention(TULLE_F32, 64, 16), &gpu), "base_f32_q32k32");
    struct attention a = attention(TULLE_F32, 64, 17);
    a.v_head_dim = 96;
    assert_string_equal(taken(tuning, a, &gpu), "base_f32_q32k32");
    a = attention(TULLE_F32, 64, 17);
    a.buffer_usage |= VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT;
    assert_string_equal(taken(tuning, a, &gpu), "base_f32_q32k32");
    assert_string_equal(taken(tuning, a, &bare), "base_f32_q8k32");  // there it says nothing
    // a device whose matrices were not enabled when it was tuned; fp32 has none
    struct caps matrices = gpu;
    matrices.matrix_f16.m = 16;
    tune(tuning, attention(TULLE_F16, 64, 17), "base_f16_q8k32");
    struct attention half = attention(TULLE_F16, 64, 17), single = attention(TULLE_F32, 64, 17);
    tuning_apply(tuning, &gpu, &half);
    assert_string_equal(half.tuned, "base_f16_q8k32");
    tuning_apply(tuning, &matrices, &half);
    assert_string_equal(half.tuned, "");
    tuning_apply(tuning, &matrices, &single);
    assert_string_equal(single.tuned, "base_f32_q8k32");
    const struct tuning_class one = tuning_class_of(&half, &matrices);
    matrices.matrix_reduce = true;
    assert_int_equal(one.matrices, 1);
    assert_int_equal(tuning_class_of(&half, &matrices).matrices, 2);
    tuning_destroy(tuning);
}

/// Every class that there is, written and read; and records that are none.
static void test_bytes(void **state) {
    (void)state;
    static const uint32_t dims[HEAD_CLASSES] = { 32, 64, 96, 128, 192, 256, 512, 576 };
    static const char *const names[] = { "base_f32_q8k32", "base_f16_q8k32", "base_bf16_q8k32" };
    struct tuning *tuning = tuning_create(), *read = tuning_create();
    uint8_t bytes[TUNING_BYTES];
    struct tuned t, back;
    assert_int_equal(tuning_write(tuning, bytes), 0);
    for (int dtype = TULLE_F32; dtype <= TULLE_BF16; dtype++)
        for (int dim = 0; dim < HEAD_CLASSES; dim++)
            for (uint32_t q_len = 1; q_len <= 17; q_len += 16)
                for (int features = 0; features < 6; features++) {
                    const struct attention a = attention((tulle_dtype)dtype, dims[dim], q_len);
                    struct tuning_class of = tuning_class_of(&a, &gpu);
                    of.addresses = features % 2;
                    of.matrices = (uint32_t)features / 2;
                    tuning_set(tuning, &of, named(names[dtype]));
                }
    for (uint32_t i = 0; i < variant_count; i++) assert_true(strlen(variants[i].name) < 28);
    const size_t size = tuning_write(tuning, bytes);
    assert_int_equal(size, TUNING_BYTES);
    tuning_read(read, bytes, size);
    for (uint32_t i = 0; i < TUNING_MOST; i++) {
        assert_true(tuning_get(tuning, i, &t) && tuning_get(read, i, &back));
        assert_true(t.of.dtype == back.of.dtype && t.of.pieces == back.of.pieces &&
                    t.of.phase == back.of.phase && t.of.addresses == back.of.addresses &&
                    t.of.matrices == back.of.matrices);
        assert_ptr_equal(t.variant, back.variant);
    }
    assert_false(tuning_get(read, TUNING_MOST, &back));
    tuning_destroy(read);
    // a byte of the first record out of its range, its name another's or nobody's: it alone is lost
    static const struct {
        int at;
        uint8_t value;
    } wrong[] = { { 0, 3 }, { 0, 1 }, { 1, 0 },   { 1, 7 },    { 1, 65 }, { 1, 255 },
                  { 2, 2 }, { 3, 6 }, { 4, 'x' }, { 18, 'x' }, { 31, 0 } };
    for (size_t n = 0; n < sizeof wrong / sizeof *wrong; n++) {
        uint8_t changed[TUNING_BYTES];
        read = tuning_create();
        memcpy(changed, bytes, size);
        changed[wrong[n].at] = wrong[n].value;
        tuning_read(read, changed, size);
        const uint32_t left = wrong[n].at == 31 ? TUNING_MOST : TUNING_MOST - 1;  // 31: as it was
        assert_true(tuning_get(read, left - 1, &back));
        if (tuning_get(read, left, &back))
            fail_msg("byte %d of a record is %d, and it is taken", wrong[n].at, wrong[n].value);
        tuning_destroy(read);
    }
    // cut off
    read = tuning_create();
    tuning_read(read, bytes, 63);
    assert_true(tuning_get(read, 0, &back));
    assert_false(tuning_get(read, 1, &back));
    tuning_destroy(read);
    tuning_destroy(tuning);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_selection),
        cmocka_unit_test(test_better),
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_bytes),
    };
    return cmocka_run_group_tests_name("tuning", tests, NULL, NULL);
}
