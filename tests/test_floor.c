// SPDX-License-Identifier: MIT
//
// The portability floor, read off what is built: the base kernel's SPIR-V asks for nothing that Vulkan 1.1 does not
// promise, and its pipelines stay within the limits that every device has.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "variant.h"

enum { OP_EXTENSION = 10, OP_MEMORY_MODEL = 14, OP_CAPABILITY = 17, CAPABILITY_SHADER = 1, CAPABILITY_SAMPLED_BUFFER = 46 };

/// Capabilities and extensions come first in a module: none but these two, and no extension at all.
static void check_module(const char *name, bool texels) {
    const struct module *module = module_find(name);
    if (!module) fail_msg("%s is not built in", name);
    const uint32_t *words = module->words + 5, *end = module->words + module->size / 4;
    size_t capabilities = 0;
    for (; words < end && (words[0] & 0xffff) != OP_MEMORY_MODEL; words += words[0] >> 16) {
        uint32_t op = words[0] & 0xffff;
        assert_true(words[0] >> 16);
        if (op == OP_EXTENSION) fail_msg("%s asks for the extension %s", name, (const char *)(words + 1));
        if (op != OP_CAPABILITY) continue;
        capabilities++;
        if (words[1] != CAPABILITY_SHADER && !(texels && words[1] == CAPABILITY_SAMPLED_BUFFER))
            fail_msg("%s declares capability %u", name, words[1]);
    }
    assert_true(words < end);
    assert_int_equal(capabilities, texels ? 2 : 1);
}

static void test_capabilities(void **state) {
    (void)state;
    static const char *const dtypes[] = { "f32", "f16", "bf16" };
    for (int i = 0; i < 3; i++) {
        char name[40];
        snprintf(name, sizeof name, "tile_%s", dtypes[i]);
        check_module(name, true);
        snprintf(name, sizeof name, "tile_%s_direct", dtypes[i]);
        check_module(name, true);
        snprintf(name, sizeof name, "combine_%s", dtypes[i]);
        check_module(name, true);
        snprintf(name, sizeof name, "merge_%s", dtypes[i]);
        check_module(name, false);
    }
    check_module("tile_f16_direct_o32", true);
    check_module("tile_bf16_direct_o32", true);
}

static void test_limits(void **state) {
    (void)state;
    static const uint32_t dims[] = { 4, 32, 64, 96, 128, 192, 256 };
    const struct caps least = { .subgroup_size = 1, .max_workgroup_invocations = 128, .max_shared_memory = 16384, .max_storage_buffers = 4 };
    size_t seen = 0;
    for (uint32_t i = 0; i < variant_count; i++) {
        const struct variant *v = &variants[i];
        if (v->family != FAMILY_TILE) continue;
        assert_true(variant_workgroup(v, &least) <= 128);
        assert_true(variant_tile_rows(v, &least) <= TILE_ROWS_MOST);
        assert_int_equal(v->keys, v->b * v->c);
        assert_false(variant_direct(v, &least));
        for (size_t a = 0; a < 7; a++)
            for (size_t b = 0; b < 7; b++) {
                uint32_t bytes = variant_shared_memory(v, head_class(dims[a]), head_class(dims[b]));
                if (bytes > 16384) fail_msg("%s takes %u bytes of shared memory at head sizes %u and %u", v->name, bytes, dims[a], dims[b]);
                seen++;
            }
    }
    assert_int_equal(seen, 12 * 49);
    static const enum layout floor_layouts[] = { LAYOUT_TILE, LAYOUT_COMBINE, LAYOUT_MERGE };
    for (int i = 0; i < 3; i++) {
        assert_true(layout_shapes[floor_layouts[i]].storage_count <= 4);
        assert_true(layout_shapes[floor_layouts[i]].push_bytes <= 128);
    }
    assert_true(layout_shapes[LAYOUT_ADDRESS].push_bytes <= 128);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_capabilities), cmocka_unit_test(test_limits) };
    return cmocka_run_group_tests_name("floor", tests, NULL, NULL);
}
