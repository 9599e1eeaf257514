// SPDX-License-Identifier: MIT
//
// Which kernel a device gets, for devices that are not here: what was measured or asked of their
// compilers (docs/architecture.md, "Tile shapes"), and the limits at which a kernel is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kernel/variant.h"

enum {
    STORAGE = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT,
    TEXEL = VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT,
    ADDRESS = VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT
};

static const uint32_t dims[] = { 32, 64, 96, 128, 192, 256 };
enum { DIMS = sizeof dims / sizeof *dims };

// What is taken at each head size, as it stands behind base_DTYPE_ or rows_DTYPE_.
static const char *const wide[DIMS] = {
    "q32k32", "q32k32", "q32k32", "q32k32", "q32k32", "q32k32"
};

/// A GPU as its driver may report it, with the limits of Vulkan 1.1 but for storage buffers and
/// texels.
static struct caps gpu(VkDriverId driver, uint32_t vendor, uint32_t storage_buffers) {
    return (struct caps){ .type = VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU,
                          .driver_id = driver,
                          .vendor_id = vendor,
                          .subgroup_size = 32,
                          .subgroup_shuffle = true,
                          .buffer_device_address = true,
                          .max_workgroup_invocations = 128,
                          .max_shared_memory = 16384,
                          .max_storage_buffers = storage_buffers,
                          .max_texel_elements = 65536 };
}

/// Lavapipe: with addresses (26.1) or with those that take minutes (22.3).
static struct caps cpu(bool slow_addresses, uint32_t lanes) {
    struct caps caps = gpu(VK_DRIVER_ID_MESA_LLVMPIPE, 0x10005, 16);
    caps.type = VK_PHYSICAL_DEVICE_TYPE_CPU;
    caps.subgroup_size = lanes;
    caps.slow_addresses = slow_addresses;
    caps.max_texel_elements = 1u << 27;
    return caps;
}

static struct attention attention(tulle_dtype dtype, uint32_t head_dim) {
    return (struct attention){ .head_dim = head_dim,
                               .v_head_dim = head_dim,
                               .dtype = dtype,
                               .o_dtype = dtype,
                               .buffer_usage = STORAGE | TEXEL | ADDRESS };
}

static void check_taken(const char *what, const struct caps *caps, const char *family,
                        tulle_dtype dtype, const char *const taken[DIMS]) {
    static const char *const dtypes[] = { "f32", "f16", "bf16" };
    for (size_t i = 0; i < DIMS; i++) {
        const struct attention a = attention(dtype, dims[i]);
        char name[64];
        tulle_error error = { 0 };
        const struct variant *v = variant_choose(&a, caps, &error);
        snprintf(name, sizeof name, "%s_%s_%s", family, dtypes[dtype], taken[i]);
        if (!v) fail_msg("%s, head_dim %u: nothing serves: %s", what, dims[i], error.message);
        if (strcmp(v->name, name))
            fail_msg("%s, head_dim %u: %s is taken, not %s", what, dims[i], v->name, name);
    }
}

static void test_gpus(void **state) {
    (void)state;
    static const char *const mali[] = { "q16k32", "q16k32", "q16k32", "q16k32", "q8k64", "q8k64" };
    static const char *const powervr[] = {
        "q32k32", "q32k32", "q16k32", "q16k32", "q8k64", "q8k64"
    };
    static const char *const pi[] = { "q8k32", "q8k32", "q8k32", "q8k32", "q8k32", "q8k32" };
    static const struct {
        const char *what;
        VkDriverId driver;
        uint32_t vendor, buffers;
        const char *const *taken;
    } devices[] = {
        { "AMD", VK_DRIVER_ID_MESA_RADV, 0x1002, 16, wide },
        { "Intel", VK_DRIVER_ID_INTEL_OPEN_SOURCE_MESA, 0x8086, 16, wide },
        { "NVIDIA", VK_DRIVER_ID_NVIDIA_PROPRIETARY, 0x10de, 16, wide },
        { "Adreno", VK_DRIVER_ID_MESA_TURNIP, 0x5143, 16, wide },
        // VK_DRIVER_ID_MESA_HONEYKRISP: Debian 12's headers are older
        { "Apple under Honeykrisp", (VkDriverId)26, 0x10005, 16, wide },
        { "a GPU that says nothing of itself", (VkDriverId)0, 0, 4, wide },
        { "Mali under PanVK", VK_DRIVER_ID_MESA_PANVK, 0x13b5, 16, mali },
        { "Mali under Arm's driver", VK_DRIVER_ID_ARM_PROPRIETARY, 0x13b5, 4, mali },
        { "Mali by its vendor alone", (VkDriverId)0, 0x13b5, 4, mali },
        { "PowerVR", VK_DRIVER_ID_IMAGINATION_OPEN_SOURCE_MESA, 0x1010, 4, powervr },
        { "PowerVR under Imagination's driver", VK_DRIVER_ID_IMAGINATION_PROPRIETARY, 0x1010, 4,
          powervr },
        { "PowerVR by its vendor alone", (VkDriverId)0, 0x1010, 4, powervr },
        { "Raspberry Pi", VK_DRIVER_ID_MESA_V3DV, 0x14e4, 4, pi },
        { "Raspberry Pi by its vendor alone", (VkDriverId)0, 0x14e4, 4, pi },
    };
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        const struct caps caps = gpu(devices[i].driver, devices[i].vendor, devices[i].buffers);
        for (int dtype = TULLE_F32; dtype <= TULLE_BF16; dtype++)
            check_taken(devices[i].what, &caps, "base", (tulle_dtype)dtype, devices[i].taken);
    }
}

static void test_cpus(void **state) {
    (void)state;
    static const char *const by_address[] = { "r1k16", "r1k8", "r1k4", "r1k4", "r1k4", "r1k4" };
    static const char *const half_by_address[] = { "r2k4", "r2k4", "r1k4", "r2k2", "r1k2", "r1k2" };
    static const char *const by_texel[] = { "r2k4", "r2k4", "r2k2", "r2k2", "r1k2", "r1k2" };
    for (int dtype = TULLE_F32; dtype <= TULLE_BF16; dtype++) {
        struct caps caps = cpu(false, 8);
        check_taken("lavapipe 26.1", &caps, "rows_address", (tulle_dtype)dtype,
                    dtype == TULLE_F32 ? by_address : half_by_address);
        caps = cpu(true, 8);
        check_taken("lavapipe 22.3", &caps, "rows_texel", (tulle_dtype)dtype, by_texel);
        caps.subgroup_shuffle = false;
        check_taken("a CPU driver with neither addresses nor shuffles", &caps, "base",
                    (tulle_dtype)dtype, wide);
    }
}

/// Whether a kernel serves, and that it says why where it does not.
static bool serves(const struct attention *a, const struct caps *caps, const char *name,
                   const char *says) {
    for (uint32_t i = 0; i < variant_count; i++) {
        char reason[160];
        if (strcmp(variants[i].name, name)) continue;
        if (variant_serves(&variants[i], a, caps, true, reason, sizeof reason)) return true;
        if (!strstr(reason, says))
            fail_msg("%s is refused because it '%s'; expected was '%s'", name, reason, says);
        return false;
    }
    fail_msg("there is no kernel %s", name);
    return false;
}

/// A tensor may be just as large as the kernel's arithmetic reaches, and no larger.
static void check_span(struct attention *a, const struct caps *caps, const char *name, int tensor,
                       uint64_t pieces, bool included) {
    char says[40];
    const uint64_t piece = 4 * attention_element(a, tensor);
    snprintf(says, sizeof says, "%s ", tensor_names[tensor]);
    a->span[tensor] = (pieces - (included ? 0 : 1)) * piece;
    if (!serves(a, caps, name, ""))
        fail_msg("%s is refused for the largest %s", name, tensor_names[tensor]);
    a->span[tensor] += piece;
    if (serves(a, caps, name, says))
        fail_msg("%s serves for a larger %s than it can reach", name, tensor_names[tensor]);
    a->span[tensor] = 0;
}

static void test_limits(void **state) {
    (void)state;
    static const char *const names[2][2] = { { "rows_address_f32_r1k4", "rows_address_f16_r1k4" },
                                             { "rows_texel_f32_r2k4", "rows_texel_f16_r2k4" } };
    for (int half = 0; half < 2; half++) {
        struct attention a = attention(half ? TULLE_F16 : TULLE_F32, 64);
        struct caps caps = cpu(false, 8);
        for (int t = TENSOR_Q; t < TENSOR_COUNT; t++)
            check_span(&a, &caps, names[0][half], t, t == TENSOR_O ? 1u << 30 : 1u << 31, false);
        a.o_dtype = TULLE_F32;  // an index of O counts 8 bytes whatever O's dtype
        check_span(&a, &caps, names[0][half], TENSOR_O, 1u << 30, false);
        for (int t = TENSOR_Q; t <= TENSOR_V; t++)
            check_span(&a, &caps, names[1][half], t, 1u << 27, true);
    }
    // What the device has, and what the caller's buffers may be used for.
    struct attention a = attention(TULLE_F32, 64);
    struct caps caps = cpu(false, 8);
    caps.buffer_device_address = false;
    assert_false(serves(&a, &caps, "rows_address_f32_r1k4", "bufferDeviceAddress"));
    caps = cpu(false, 64);
    assert_false(serves(&a, &caps, "rows_address_f32_r1k4", "subgroup of at most 32"));
    assert_false(serves(&a, &caps, "rows_texel_f32_r2k4", "subgroup of 4 to 32"));
    caps = cpu(false, 2);
    assert_false(serves(&a, &caps, "rows_texel_f32_r2k4", "subgroup of 4 to 32"));
    caps = cpu(false, 8);
    a.buffer_usage = STORAGE;
    assert_false(
        serves(&a, &caps, "rows_address_f32_r1k4", "VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT"));
    assert_false(
        serves(&a, &caps, "rows_texel_f32_r2k4", "VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT"));
    assert_true(serves(&a, &caps, "base_f32_q32k32", ""));
    caps.max_workgroup_invocations = 127;
    assert_false(serves(&a, &caps, "base_f32_q32k32", "128 invocations"));
    caps = gpu((VkDriverId)0, 0, 4);
    caps.max_shared_memory = 8192;
    assert_false(serves(&a, &caps, "base_f32_q32k32", "shared memory"));
}

/// Matrix kernels serve where the device has matrices and when they are asked for by name.
static void test_matrix(void **state) {
    (void)state;
    struct caps caps = gpu(VK_DRIVER_ID_MESA_RADV, 0x1002, 16);
    const struct attention a = attention(TULLE_F16, 128), b = attention(TULLE_BF16, 128);
    assert_false(serves(&a, &caps, "matrix_f16_s4m1k32", "needs matrices of fp16"));
    caps.matrix_lanes = 64;
    caps.subgroup_vote = caps.subgroup_ballot = true;
    caps.max_workgroup_invocations = 1024;
    caps.max_shared_memory = 65536;
    caps.matrix_f16 = (struct matrix_shape){ 16, 16, 16 };
    assert_true(serves(&a, &caps, "matrix_f16_s4m1k32", ""));
    assert_true(serves(&a, &caps, "matrix_f16_s2m2k32", ""));
    assert_false(serves(&b, &caps, "matrix_bf16_s4m1k32", "needs matrices of bf16"));
    caps.matrix_bf16 = caps.matrix_f16;
    assert_true(serves(&b, &caps, "matrix_bf16_s4m1k32", ""));
    check_taken("a GPU with matrices, none of which was measured", &caps, "base", TULLE_F16, wide);
    assert_false(serves(&a, &caps, "matrix_reduce_f16_s4m2k32", "VK_NV_cooperative_matrix2"));
    caps.matrix_reduce = true;
    assert_true(serves(&a, &caps, "matrix_reduce_f16_s4m2k32", ""));
    assert_true(serves(&b, &caps, "matrix_reduce_bf16_s4m2k32", ""));
    check_taken("a GPU with matrices, none of which was measured", &caps, "base", TULLE_F16, wide);
    caps.matrix_f16.n = 8;
    assert_false(serves(&a, &caps, "matrix_reduce_f16_s4m2k32", "as many columns as rows"));
    caps.matrix_f16.n = 16;
    caps.max_shared_memory = 32768;
    assert_false(serves(&a, &caps, "matrix_f16_s2m2k32", "shared memory"));
    caps.max_shared_memory = 65536;
    caps.max_storage_buffers = 4;
    assert_false(serves(&a, &caps, "matrix_f16_s4m1k32", "6 storage buffers"));
    caps.max_storage_buffers = 16;
    caps.subgroup_ballot = false;
    assert_false(serves(&a, &caps, "matrix_f16_s4m1k32", "ballot"));
    caps.subgroup_ballot = true;
    caps.matrix_lanes = 128;  // 8 lanes to a row: 4 keys each
    assert_false(serves(&a, &caps, "matrix_f16_s4m1k32", "too few of 32 keys"));
}

static void check_absent(const struct variant *v, const char *module) {
    const struct attention a = attention(v->dtype, 64);
    const struct caps caps = cpu(false, 8);
    char reason[160], says[100];
    snprintf(says, sizeof says, "its kernel module %s was not built: ", module);
    assert_false(variant_serves(v, &a, &caps, true, reason, sizeof reason));
    if (strncmp(reason, says, strlen(says)))
        fail_msg("%s is refused because '%s'; expected was '%s'", v->name, reason, says);
}

/// A variant is refused where a module is absent that its plans may ask for: its own, the one for
/// items that resume, its combine.
static void test_absent_modules(void **state) {
    (void)state;
    struct variant v = { "base_f16_absent", &family_base, TULLE_F16, 4, 2, 16, 32, "unheard_of" };
    check_absent(&v, "unheard_of_f16_direct");
    struct family family = family_rows_address;
    v = (struct variant){ "rows_absent", &family, TULLE_F32, 1, 0, 0, 4, "rows_address" };
    family.resume_modules = true;
    check_absent(&v, "rows_address_f32_resume");
    family.resume_modules = false;
    family.combine.module = "unheard_of";
    check_absent(&v, "unheard_of_f32");
    family.combine = family_rows_address.combine;
    const struct attention a = attention(TULLE_F32, 64);
    const struct caps caps = cpu(false, 8);
    char reason[160];
    assert_true(variant_serves(&v, &a, &caps, true, reason, sizeof reason));
}

/// Every module that a plan of a variant may ask for is in shaders/variants.def.
static void test_modules(void **state) {
    (void)state;
    for (uint32_t i = 0; i < variant_count; i++)
        for (int o32 = 0; o32 < 2; o32++)
            for (uint32_t buffers = 4; buffers <= 8; buffers += 4) {
                struct attention a = attention(variants[i].dtype, 64);
                struct caps caps = cpu(false, 8);
                struct pipeline_key keys[3];
                if (o32) a.o_dtype = TULLE_F32;
                caps.max_storage_buffers = buffers;
                variant_pipeline_key(&variants[i], &a, &caps, PM_FLAG_DIRECT | PM_FLAG_PARTIAL,
                                     &keys[0]);
                variant_pipeline_key(&variants[i], &a, &caps, PM_FLAG_DIRECT | PM_FLAG_RESUME,
                                     &keys[1]);
                combine_pipeline_key(&variants[i], &a, &caps, &keys[2]);
                for (int k = 0; k < 3; k++)
                    if (!module_find(keys[k].module))
                        fail_msg("%s may ask for %s, which is not in shaders/variants.def",
                                 variants[i].name, keys[k].module);
            }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gpus),    cmocka_unit_test(test_cpus),
        cmocka_unit_test(test_limits),  cmocka_unit_test(test_matrix),
        cmocka_unit_test(test_modules), cmocka_unit_test(test_absent_modules)
    };
    return cmocka_run_group_tests_name("variant", tests, NULL, NULL);
}
