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

#include "kernel/measured.h"

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

/// A CPU driver as it calls itself: lavapipe's release.
static struct caps cpu(const char *driver_info, uint32_t lanes) {
    struct caps caps = gpu(VK_DRIVER_ID_MESA_LLVMPIPE, 0x10005, 16);
    caps.type = VK_PHYSICAL_DEVICE_TYPE_CPU;
    caps.subgroup_size = lanes;
    caps.max_texel_elements = 1u << 27;
    snprintf(caps.driver_info, sizeof caps.driver_info, "%s", driver_info);
    quirks_apply(&caps);
    return caps;
}
#define NEWEST "Mesa 26.2.6-1 (LLVM 22.1.8)"

static struct attention attention(tulle_dtype dtype, uint32_t head_dim) {
    return (struct attention){ .head_dim = head_dim,
                               .v_head_dim = head_dim,
                               .dtype = dtype,
                               .o_dtype = dtype,
                               .buffer_usage = STORAGE | TEXEL | ADDRESS };
}

static const char *const dtypes[] = { "f32", "f16", "bf16" };

static void check_one(const char *what, const struct caps *caps, const char *family,
                      tulle_dtype dtype, uint32_t head_dim, const char *shape) {
    const struct attention a = attention(dtype, head_dim);
    char name[64];
    tulle_error error = { 0 };
    const struct variant *v = variant_choose(&a, caps, &error);
    snprintf(name, sizeof name, "%s_%s_%s", family, dtypes[dtype], shape);
    if (!v) fail_msg("%s, head_dim %u: nothing serves: %s", what, head_dim, error.message);
    if (strcmp(v->name, name))
        fail_msg("%s, head_dim %u: %s is taken, not %s", what, head_dim, v->name, name);
}

static void check_taken(const char *what, const struct caps *caps, const char *family,
                        tulle_dtype dtype, const char *const taken[DIMS]) {
    for (size_t i = 0; i < DIMS; i++) check_one(what, caps, family, dtype, dims[i], taken[i]);
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

/// The figures that selection rests on, read here by themselves.
static const struct measured_line {
    unsigned major, minor, lanes;
    const char *kernel;
    double gflops[DIMS];
} measured_lines[] = {
#define TULLE_MEASURED(major, minor, lanes, kernel, ...) \
    { major, minor, lanes, #kernel, { __VA_ARGS__ } },
#include "kernel/measured.def"
#undef TULLE_MEASURED
};
enum { MEASURED_LINES = sizeof measured_lines / sizeof *measured_lines };

static const struct measured_line *find_line(const struct measured_line *of, const char *kernel) {
    for (size_t i = 0; i < MEASURED_LINES; i++)
        if (measured_lines[i].major == of->major && measured_lines[i].minor == of->minor &&
            measured_lines[i].lanes == of->lanes && !strcmp(measured_lines[i].kernel, kernel))
            return &measured_lines[i];
    return NULL;
}

/// Each line is of a kernel that there is, once; and on its release, with its subgroups, no kernel
/// of its dtype that serves unnamed was measured faster than the one that is taken.
static void test_measured(void **state) {
    (void)state;
    for (size_t i = 0; i < MEASURED_LINES; i++) {
        const struct measured_line *line = &measured_lines[i];
        char driver[64];
        const struct variant *v = NULL;
        for (uint32_t k = 0; k < variant_count; k++)
            if (!strcmp(variants[k].name, line->kernel)) v = &variants[k];
        if (!v) fail_msg("measured.def: there is no kernel %s", line->kernel);
        if (find_line(line, line->kernel) != line)
            fail_msg("measured.def: Mesa %u.%u with subgroups of %u has two lines of %s",
                     line->major, line->minor, line->lanes, line->kernel);
        snprintf(driver, sizeof driver, "Mesa %u.%u.9", line->major, line->minor);
        const struct caps caps = cpu(driver, line->lanes);
        for (size_t d = 0; d < DIMS; d++) {
            const struct attention a = attention(v->dtype, dims[d]);
            const struct variant *taken = variant_choose(&a, &caps, NULL);
            char reason[160];
            if (!variant_serves(v, &a, &caps, false, reason, sizeof reason)) continue;
            const struct measured_line *of = taken ? find_line(line, taken->name) : NULL;
            if (!of || of->gflops[d] < line->gflops[d])
                fail_msg("%s with subgroups of %u, %s, head_dim %u: %s is taken, and %s is faster",
                         driver, line->lanes, dtypes[v->dtype], dims[d],
                         taken ? taken->name : "nothing", line->kernel);
        }
    }
}

static void test_cpus(void **state) {
    (void)state;
    static const struct {
        const char *driver;
        uint32_t lanes;
        const char *family;
        tulle_dtype dtype;
        uint32_t head_dim;
        const char *shape;
    } cases[] = {
        { "Mesa 22.3.6 (LLVM 15.0.6)", 8, "rows_texel", TULLE_F32, 64, "r2k4" },
        { "Mesa 22.3.6 (LLVM 15.0.6)", 8, "rows_texel", TULLE_F16, 256, "r1k2" },
        { "Mesa 25.0.7-2+deb13u1 (LLVM 19.1.7)", 8, "rows_texel", TULLE_F32, 64, "r2k4" },
        { "Mesa 25.0.7-2+deb13u1 (LLVM 19.1.7)", 8, "rows_texel", TULLE_BF16, 128, "r2k2" },
        { "Mesa 26.1.6-1~bpo13+1 (LLVM 19.1.7)", 8, "rows_address", TULLE_F32, 64, "r1k8" },
        { "Mesa 26.1.6-1~bpo13+1 (LLVM 19.1.7)", 8, "rows_address", TULLE_BF16, 64, "r2k4" },
        { "Mesa 26.1.6-1~bpo13+1 (LLVM 19.1.7)", 8, "rows_texel", TULLE_F16, 64, "r2k4" },
        { "Mesa 26.1.6-1~bpo13+1 (LLVM 19.1.7)", 16, "rows_address", TULLE_F16, 64, "r2k4" },
        { NEWEST, 8, "rows_texel", TULLE_F32, 64, "r2k4" },
        { NEWEST, 8, "rows_address", TULLE_BF16, 64, "r2k4" },
        // between two that were measured, past them, and untold
        { "Mesa 23.3.1", 8, "rows_texel", TULLE_F32, 64, "r2k4" },
        { "Mesa 24.0.8", 8, "rows_texel", TULLE_F32, 64, "r2k4" },
        { "Mesa 25.2.8", 8, "rows_texel", TULLE_F32, 64, "r2k4" },
        { "Mesa 25.3.0", 8, "rows_address", TULLE_F32, 64, "r1k8" },
        { "Mesa 27.1.0-devel (git-0123456789)", 8, "rows_address", TULLE_BF16, 64, "r2k4" },
        { "a release that no one can read", 8, "rows_texel", TULLE_F32, 64, "r2k4" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct caps caps = cpu(cases[i].driver, cases[i].lanes);
        check_one(cases[i].driver, &caps, cases[i].family, cases[i].dtype, cases[i].head_dim,
                  cases[i].shape);
    }
    // where the fastest family does not serve, the next does
    struct caps caps = cpu("Mesa 25.0.7", 8);
    struct attention a = attention(TULLE_F32, 64);
    tulle_error error;
    a.span[TENSOR_K] = ((uint64_t)caps.max_texel_elements + 1) * 16;
    assert_string_equal(variant_choose(&a, &caps, &error)->family->combine.module,
                        "combine_address");
    a.buffer_usage = STORAGE;
    assert_ptr_equal(variant_choose(&a, &caps, &error)->family, &family_base);
    // texels are far slower than base in vectors of 512 bits
    caps = cpu("Mesa 26.1.6", 16);
    a = attention(TULLE_F32, 64);
    a.buffer_usage = STORAGE | TEXEL;
    assert_ptr_equal(variant_choose(&a, &caps, &error)->family, &family_base);
    caps = cpu("Mesa 22.3.6", 8);
    caps.subgroup_shuffle = false;
    for (int dtype = TULLE_F32; dtype <= TULLE_BF16; dtype++)
        check_taken("a CPU driver with neither addresses nor shuffles", &caps, "base",
                    (tulle_dtype)dtype, wide);
}

/// Which release's figures count, and whether they are said to be the driver's own.
static void test_nearest(void **state) {
    (void)state;
    static const struct {
        const char *driver;
        uint32_t lanes, major, minor, of_lanes;
        bool own;
    } cases[] = {
        { "Mesa 22.3.6", 8, 22, 3, 8, true },   { "Mesa 25.0.7", 8, 25, 0, 8, true },
        { "Mesa 26.1.6", 8, 26, 1, 8, true },   { "Mesa 26.1.6", 16, 26, 1, 16, true },
        { "Mesa 26.2.6", 16, 26, 2, 16, true }, { "Mesa 21.0.0", 8, 22, 3, 8, false },
        { "Mesa 23.3.1", 8, 22, 3, 8, false },  { "Mesa 24.0.8", 8, 25, 0, 8, false },
        { "Mesa 25.2.8", 8, 25, 0, 8, false },  { "Mesa 25.3.1", 16, 26, 1, 16, false },
        { "Mesa 26.1.6", 4, 26, 1, 8, false },  { "Mesa 26.1.6", 32, 26, 1, 16, false },
        { "Mesa 30.0.0", 8, 26, 2, 8, false },  { "no release", 16, 26, 2, 16, false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct caps caps = cpu(cases[i].driver, cases[i].lanes);
        struct measured_at at;
        const bool own = measured_nearest(&caps, &at);
        if (at.major != cases[i].major || at.minor != cases[i].minor ||
            at.lanes != cases[i].of_lanes || own != cases[i].own)
            fail_msg("%s, subgroups of %u: by the %s figures of %u.%u with %u", cases[i].driver,
                     cases[i].lanes, own ? "own" : "foreign", at.major, at.minor, at.lanes);
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
        struct caps caps = cpu(NEWEST, 8);
        for (int t = TENSOR_Q; t < TENSOR_COUNT; t++)
            check_span(&a, &caps, names[0][half], t, t == TENSOR_O ? 1u << 30 : 1u << 31, false);
        a.o_dtype = TULLE_F32;  // an index of O counts 8 bytes whatever O's dtype
        check_span(&a, &caps, names[0][half], TENSOR_O, 1u << 30, false);
        for (int t = TENSOR_Q; t <= TENSOR_V; t++)
            check_span(&a, &caps, names[1][half], t, 1u << 27, true);
    }
    // What the device has, and what the caller's buffers may be used for.
    struct attention a = attention(TULLE_F32, 64);
    struct caps caps = cpu(NEWEST, 8);
    caps.buffer_device_address = false;
    assert_false(serves(&a, &caps, "rows_address_f32_r1k4", "bufferDeviceAddress"));
    caps = cpu(NEWEST, 64);
    assert_false(serves(&a, &caps, "rows_address_f32_r1k4", "subgroup of at most 32"));
    assert_false(serves(&a, &caps, "rows_texel_f32_r2k4", "subgroup of 4 to 32"));
    caps = cpu(NEWEST, 2);
    assert_false(serves(&a, &caps, "rows_texel_f32_r2k4", "subgroup of 4 to 32"));
    caps = cpu(NEWEST, 8);
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

/// Pools and tables of pages as large as kernels reach, and no larger.
static void test_pages(void **state) {
    (void)state;
    struct attention a = attention(TULLE_F32, 64);
    struct caps caps = cpu(NEWEST, 8);
    caps.max_storage_range = 1u << 27;
    a.batch = 1;
    a.page_size = 16;
    for (uint32_t over = 0; over < 2; over++) {
        a.table_columns = caps.max_texel_elements + over;
        assert_int_equal(serves(&a, &caps, "base_f32_q32k32", "page table has 134217729 cells"),
                         !over);
        assert_int_equal(serves(&a, &caps, "rows_texel_f32_r2k4", "page table has 134217729 cells"),
                         !over);
        assert_true(serves(&a, &caps, "rows_address_f32_r1k4", ""));
    }
    a.table_columns = 1;
    for (int t = TENSOR_K; t <= TENSOR_V; t++) {
        check_span(&a, &caps, "base_f32_q32k32", t, caps_window_bytes(&caps) / 16, true);
        check_span(&a, &caps, "rows_texel_f32_r2k4", t, 1u << 27, true);
        check_span(&a, &caps, "rows_address_f32_r1k4", t, 1u << 31, false);
    }
    a.dtype = a.o_dtype = TULLE_F16;
    assert_false(serves(&a, &caps, "matrix_f16_s4m1k32", "reads no paged K and V"));
    assert_false(serves(&a, &caps, "matrix_reduce_f16_s4m1k32", "reads no paged K and V"));
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
    const struct caps caps = cpu(NEWEST, 8);
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
    const struct caps caps = cpu(NEWEST, 8);
    char reason[160];
    assert_true(variant_serves(&v, &a, &caps, true, reason, sizeof reason));
}

/// Past head size 256 only base serves, in tiles whose lanes hold as much of O as of wider ones at 256,
/// and none where even that is too much.
static void test_large_heads(void **state) {
    (void)state;
    const struct caps wide_gpu = gpu((VkDriverId)0, 0, 4),
                      pi = gpu(VK_DRIVER_ID_MESA_V3DV, 0x14e4, 4),
                      mali = gpu(VK_DRIVER_ID_MESA_PANVK, 0x13b5, 16),
                      powervr = gpu(VK_DRIVER_ID_IMAGINATION_OPEN_SOURCE_MESA, 0x1010, 4),
                      lavapipe = cpu(NEWEST, 8);
    for (int dtype = TULLE_F32; dtype <= TULLE_BF16; dtype++) {
        check_one("a GPU", &wide_gpu, "base", (tulle_dtype)dtype, 512, "q16k32");
        check_one("Raspberry Pi", &pi, "base", (tulle_dtype)dtype, 260, "q8k32");
        check_one("Mali", &mali, "base", (tulle_dtype)dtype, 512, "q8k64");
        check_one("lavapipe", &lavapipe, "base", (tulle_dtype)dtype, 512, "q16k32");
        struct attention a = attention((tulle_dtype)dtype, 512);
        tulle_error error = { 0 };
        if (variant_choose(&a, &powervr, &error) || error.result != TULLE_ERROR_UNSUPPORTED ||
            !strstr(error.message, "8 pieces of O a lane, or more, do not compile"))
            fail_msg("PowerVR at head_dim 512: '%s'", error.message);
        a.v_head_dim = 128;  // O is what counts
        if (!variant_choose(&a, &powervr, &error)) fail_msg("PowerVR: %s", error.message);
        a.v_head_dim = 512;
        struct caps little = wide_gpu;
        little.max_shared_memory = 4096;
        if (variant_choose(&a, &little, &error) || !strstr(error.message, "bytes of shared memory"))
            fail_msg("little shared memory at head_dim 512: '%s'", error.message);
        struct caps matrices = wide_gpu;
        matrices.matrix_f16 = matrices.matrix_bf16 = (struct matrix_shape){ 16, 16, 16 };
        matrices.matrix_lanes = 32;
        matrices.max_shared_memory = 1u << 20;
        matrices.max_workgroup_invocations = 1024;
        if (dtype != TULLE_F32)
            assert_false(serves(&a, &matrices,
                                dtype == TULLE_F16 ? "matrix_f16_s2m1k32" : "matrix_bf16_s2m1k32",
                                "head sizes up to 256"));
    }
}

/// Every module that a plan of a variant may ask for is in shaders/variants.def.
static void test_modules(void **state) {
    (void)state;
    for (uint32_t i = 0; i < variant_count; i++)
        for (int o32 = 0; o32 < 2; o32++)
            for (uint32_t buffers = 4; buffers <= 8; buffers += 4) {
                struct attention a = attention(variants[i].dtype, 64);
                struct caps caps = cpu(NEWEST, 8);
                struct pipeline_key keys[3];
                if (o32) a.o_dtype = TULLE_F32;
                caps.max_storage_buffers = buffers;
                variant_pipeline_key(&variants[i], &a, &caps, PM_FLAG_DIRECT | PM_FLAG_PARTIAL,
                                     &keys[0]);
                variant_pipeline_key(&variants[i], &a, &caps, PM_FLAG_DIRECT | PM_FLAG_RESUME,
                                     &keys[1]);
                combine_pipeline_key(&variants[i], &a, &caps, 0, &keys[2]);
                for (int k = 0; k < 3; k++)
                    if (!module_find(keys[k].module))
                        fail_msg("%s may ask for %s, which is not in shaders/variants.def",
                                 variants[i].name, keys[k].module);
            }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gpus),    cmocka_unit_test(test_large_heads),
        cmocka_unit_test(test_cpus),    cmocka_unit_test(test_measured),
        cmocka_unit_test(test_nearest), cmocka_unit_test(test_limits),
        cmocka_unit_test(test_pages),   cmocka_unit_test(test_matrix),
        cmocka_unit_test(test_modules), cmocka_unit_test(test_absent_modules)
    };
    return cmocka_run_group_tests_name("variant", tests, NULL, NULL);
}
