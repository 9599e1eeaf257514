// SPDX-License-Identifier: MIT
//
// What kernels take, read off what is built. The portability floor: the base kernel's SPIR-V asks
// for nothing that Vulkan 1.1 does not promise, and its pipelines stay within the limits that every
// device has. And shared memory: it is what the family says.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernel/variant.h"
#include "run/merge.h"
#include "schedule/tiler.h"

enum {
    OP_EXTENSION = 10,
    OP_MEMORY_MODEL = 14,
    OP_CAPABILITY = 17,
    CAPABILITY_SHADER = 1,
    CAPABILITY_SAMPLED_BUFFER = 46
};

/// Capabilities and extensions come first in a module: none but these two, and no extension at all.
static void check_capabilities(const char *name, bool texels) {
    const struct module *module = module_find(name);
    if (!module) fail_msg("%s is not built in", name);
    const uint32_t *words = module->words + 5, *end = module->words + module->size / 4;
    size_t capabilities = 0;
    for (; words < end && (words[0] & 0xffff) != OP_MEMORY_MODEL; words += words[0] >> 16) {
        uint32_t op = words[0] & 0xffff;
        assert_true(words[0] >> 16);
        if (op == OP_EXTENSION)
            fail_msg("%s asks for the extension %s", name, (const char *)(words + 1));
        if (op != OP_CAPABILITY) continue;
        capabilities++;
        if (words[1] != CAPABILITY_SHADER && !(texels && words[1] == CAPABILITY_SAMPLED_BUFFER))
            fail_msg("%s declares capability %u", name, words[1]);
    }
    assert_true(words < end);
    assert_int_equal(capabilities, texels ? 2 : 1);
}

/// What a module takes of what Vulkan limits.
struct use {
    uint32_t shared, invocations, storage;
};

/// What an id of a module stands for, of what is needed here: a constant's value, or a type's size
/// and alignment.
struct id {
    uint32_t value, bytes, align, spec, parts[3];
};

static uint32_t up(uint32_t bytes, uint32_t align) {
    return align ? (bytes + align - 1) / align * align : 0;
}

static uint32_t fold(const char *name, uint32_t op, uint32_t a, uint32_t b, uint32_t c) {
    if ((op == 134 || op == 137) && !b) fail_msg("%s divides by zero", name);
    switch (op) {
    case 128: return a + b;
    case 130: return a - b;
    case 132: return a * b;
    case 134: return a / b;  // of unsigned ints, and so are those below
    case 137: return a % b;
    case 166: return a || b;
    case 167: return a && b;
    case 168: return !a;
    case 169: return a ? b : c;
    case 170: return a == b;
    case 171: return a != b;
    case 172: return a > b;
    case 176: return a < b;
    case 199: return a & b;
    default:
        fail_msg("%s computes a constant by operation %u, which this test does not know", name, op);
        return 0;
    }
}

/// Reads it off the module's own declarations, with the constants that the pipeline sets.
static struct use use_of(const struct pipeline_key *key) {
    enum {
        MODE = 16,
        BOOL = 20,
        INT = 21,
        FLOAT = 22,
        VECTOR = 23,
        ARRAY = 28,
        STRUCT = 30,
        POINTER = 32,
        CONSTANT_TRUE = 41,
        CONSTANT = 43,
        COMPOSITE = 44,
        SPEC_TRUE = 48,
        SPEC = 50,
        SPEC_COMPOSITE = 51,
        SPEC_OP = 52,
        FUNCTION = 54,
        VARIABLE = 59,
        DECORATE = 71,
        MODE_ID = 331
    };
    enum {
        MODE_LOCAL_SIZE = 17,
        MODE_LOCAL_SIZE_ID = 38,
        DECORATION_SPEC_ID = 1,
        DECORATION_BUILT_IN = 11,
        BUILT_IN_WORKGROUP_SIZE = 25,
        CLASS_WORKGROUP = 4,
        CLASS_STORAGE = 12
    };
    const struct module *module = module_find(key->module);
    if (!module) fail_msg("%s is not built in", key->module);
    const uint32_t *w = module->words + 5, *end = module->words + module->size / 4;
    uint32_t workgroup = 0;     // the id of the built-in, which counts before LocalSize
    uint32_t sizes[3] = { 0 };  // ids of LocalSizeId, which come before what they are
    struct use use = { 0 };
    struct id *ids = calloc(module->words[3], sizeof *ids);
    assert_non_null(ids);
    for (; w < end && (w[0] & 0xffff) != FUNCTION; w += w[0] >> 16) {
        uint32_t op = w[0] & 0xffff, count = w[0] >> 16;
        assert_true(count && w + count <= end);
        // the type and the result, of most; the result and what it is made of, of a type; of others
        // not looked at
        struct id *type = &ids[count > 1 && w[1] < module->words[3] ? w[1] : 0],
                  *id = &ids[count > 2 && w[2] < module->words[3] ? w[2] : 0];
        switch (op) {
        case MODE:
            if (w[2] == MODE_LOCAL_SIZE) use.invocations = w[3] * w[4] * w[5];
            break;
        case MODE_ID:
            if (w[2] == MODE_LOCAL_SIZE_ID) memcpy(sizes, w + 3, sizeof sizes);
            break;
        case DECORATE:
            if (w[2] == DECORATION_SPEC_ID) type->spec = w[3] + 1;
            if (w[2] == DECORATION_BUILT_IN && w[3] == BUILT_IN_WORKGROUP_SIZE) workgroup = w[1];
            break;
        case BOOL: type->bytes = type->align = 4; break;
        case INT:
        case FLOAT: type->bytes = type->align = w[2] / 8; break;
        case VECTOR:
            type->bytes = id->bytes * w[3], type->align = id->align * (w[3] > 2 ? 4 : 2);
            break;
        case ARRAY:
            type->bytes = up(id->bytes, id->align) * ids[w[3]].value, type->align = id->align;
            break;
        case STRUCT:
            for (uint32_t i = 2; i < count; i++) {
                const struct id *member = &ids[w[i]];
                type->bytes = up(type->bytes, member->align) + member->bytes;
                if (member->align > type->align) type->align = member->align;
            }
            type->bytes = up(type->bytes, type->align);
            break;
        case POINTER: type->bytes = ids[w[3]].bytes; break;
        case CONSTANT_TRUE:
        case SPEC_TRUE: id->value = 1; break;
        case CONSTANT: id->value = w[3]; break;
        case SPEC:
            id->value = id->spec && id->spec <= PM_CONSTANTS ? key->constants[id->spec - 1] : w[3];
            break;
        case COMPOSITE:
        case SPEC_COMPOSITE:
            memcpy(id->parts, w + 3, sizeof id->parts[0] * (count < 6 ? count - 3 : 3));
            break;
        case SPEC_OP:
            id->value = fold(key->module, w[3], ids[w[4]].value, count > 5 ? ids[w[5]].value : 0,
                             count > 6 ? ids[w[6]].value : 0);
            break;
        case VARIABLE:
            if (w[3] == CLASS_STORAGE) use.storage++;
            if (w[3] != CLASS_WORKGROUP) break;
            if (!type->bytes)
                fail_msg("%s shares a variable of a type that this test does not know",
                         key->module);
            // the most that Vulkan lets it take, in whatever order they lie
            use.shared += up(type->bytes, 16);
            break;
        }
    }
    if (workgroup)
        use.invocations = ids[ids[workgroup].parts[0]].value * ids[ids[workgroup].parts[1]].value *
                          ids[ids[workgroup].parts[2]].value;
    if (sizes[0]) use.invocations = ids[sizes[0]].value * ids[sizes[1]].value * ids[sizes[2]].value;
    free(ids);
    return use;
}

/// Within what every device has; buffers: how many of these the pipeline's layout may hold.
static struct use check_use(const struct pipeline_key *key, uint32_t buffers) {
    check_capabilities(key->module, layout_count(key->layout, REACH_TEXELS) > 0);
    struct use use = use_of(key);
    if (use.shared > 16384)
        fail_msg("%s takes %u bytes of shared memory at head classes %u and %u", key->module,
                 use.shared, key->constants[1], key->constants[2]);
    if (!use.invocations || use.invocations > 128)
        fail_msg("%s has %u invocations in a workgroup", key->module, use.invocations);
    assert_int_equal(use.invocations, key->constants[0]);
    if (use.storage > buffers) fail_msg("%s has %u storage buffers", key->module, use.storage);
    assert_int_equal(use.storage, layout_count(key->layout, REACH_STORAGE));
    return use;
}

/// A variant at two head sizes, with four storage buffers (the floor) or six, and its combine.
/// Returns how many were looked at.
static size_t check_pipelines(const struct variant *v, uint32_t head_dim, uint32_t v_head_dim) {
    size_t seen = 0;
    for (uint32_t buffers = 4; buffers <= 6; buffers += 2)
        for (int wide = 0; wide < (v->dtype == TULLE_F32 ? 1 : 2); wide++) {
            const struct caps caps = { .subgroup_size = 1,
                                       .max_workgroup_invocations = 128,
                                       .max_shared_memory = 16384,
                                       .max_storage_buffers = buffers };
            const struct attention a = { .head_dim = head_dim,
                                         .v_head_dim = v_head_dim,
                                         .dtype = v->dtype,
                                         .o_dtype = wide ? TULLE_F32 : v->dtype };
            struct pipeline_key key;
            char reason[200];
            if (!variant_serves(v, &a, &caps, false, reason, sizeof reason))
                fail_msg("%s does not serve head sizes %u and %u: %s", v->name, head_dim,
                         v_head_dim, reason);
            for (int resume = 0; resume < (variant_direct(v, &caps) ? 2 : 1); resume++) {
                variant_pipeline_key(v, &a, &caps,
                                     PM_FLAG_DIRECT | (resume ? PM_FLAG_RESUME : PM_FLAG_PARTIAL),
                                     &key);
                if ((strstr(key.module, "_resume") != NULL) != (resume == 1))
                    fail_msg("%s is the module of items that resume %s", key.module,
                             resume ? "something" : "nothing");
                struct use use = check_use(&key, buffers);
                uint32_t said =
                    v->family->shared_memory(v, &caps, key.constants[1], key.constants[2]);
                if (use.shared != said)
                    fail_msg("%s takes %u bytes of shared memory and its family says %u",
                             key.module, use.shared, said);
                key.constants[PM_CONSTANT_FLAGS] |= PM_FLAG_PAGED;
                use = check_use(&key, buffers);
                if (use.shared != said + v->family->pages_shared)
                    fail_msg(
                        "%s takes %u bytes of shared memory more for pages and its family says %u",
                        key.module, use.shared - said, v->family->pages_shared);
            }
            combine_pipeline_key(v, &a, &caps, 0, &key);
            check_use(&key, 4);
            seen++;
        }
    return seen;
}

/// Push constants that every device takes, and numbers as dynamic offsets need them.
static void check_layout(const struct layout *layout, uint32_t buffers) {
    uint32_t last = 0;
    assert_true(layout_count(layout, REACH_STORAGE) <= buffers);
    assert_true(layout->push_bytes <= 128);
    for (uint32_t i = 0; i < layout->count; i++) {
        if (layout->descriptors[i].reach != REACH_STORAGE) continue;
        assert_true(layout->descriptors[i].binding >= last);
        last = layout->descriptors[i].binding + 1;
    }
}

static void test_floor(void **state) {
    (void)state;
    // each class's least and most
    static const uint32_t dims[] = { 4,   32,  36,  64,  68,  96,  100, 128,
                                     132, 192, 196, 256, 260, 512, 516, 576 };
    enum { DIMS = sizeof dims / sizeof *dims, V_DIMS = DIMS - 2 };  // V_HEAD_DIM_MOST is 512
    const struct caps least = { .subgroup_size = 1,
                                .max_workgroup_invocations = 128,
                                .max_shared_memory = 16384,
                                .max_storage_buffers = 4 };
    size_t seen = 0, tile = 0;
    for (uint32_t i = 0; i < variant_count; i++) {
        const struct variant *v = &variants[i];
        if (v->family != &family_base) continue;
        // four buffers and six; of half-size dtypes O in fp32 too
        tile += v->dtype == TULLE_F32 ? 2 : 4;
        assert_int_equal(variant_workgroup(v, &least), 128);
        assert_true(variant_tile_rows(v, &least) <= TILE_ROWS_MOST);
        assert_int_equal(v->keys, v->keys_per_lane * v->column_groups);
        assert_false(variant_direct(v, &least));
        for (size_t a = 0; a < DIMS; a++)
            for (size_t b = 0; b < V_DIMS; b++) seen += check_pipelines(v, dims[a], dims[b]);
    }
    assert_true(tile > 0);
    assert_int_equal(dims[V_DIMS - 1], V_HEAD_DIM_MOST);
    assert_int_equal(seen, tile * DIMS * V_DIMS);
    for (int dtype = TULLE_F32; dtype <= TULLE_BF16; dtype++) {
        struct pipeline_key key;
        merge_pipeline_key((tulle_dtype)dtype, &key);
        check_use(&key, 4);
        check_layout(key.layout, 4);
    }
    for (uint32_t i = 0; i < variant_count; i++) {
        const struct family *family = variants[i].family;
        check_layout(family->layout(&least), family == &family_base ? 4 : UINT32_MAX);
        check_layout(family->combine.layout, 4);
    }
}

/// What a matrix kernel takes of shared memory on devices of every kind of matrix that was seen, and
/// that its lanes are as many as its family says.
static void test_matrix(void **state) {
    (void)state;
    static const struct {
        uint32_t lanes;
        struct matrix_shape shape;
    } devices[] = { { 8, { 8, 8, 8 } },    { 8, { 8, 8, 16 } },    { 16, { 8, 16, 16 } },
                    { 32, { 8, 16, 16 } }, { 32, { 16, 16, 16 } }, { 32, { 16, 8, 16 } },
                    { 32, { 16, 8, 8 } },  { 64, { 16, 16, 16 } } };
    static const uint32_t dims[] = { 32, 64, 96, 128, 192, 256 };
    enum { DIMS = sizeof dims / sizeof *dims, DEVICES = sizeof devices / sizeof *devices };
    size_t seen = 0;
    for (uint32_t n = 0; n < variant_count * DEVICES * DIMS * DIMS; n++) {
        const struct variant *v = &variants[n % variant_count];
        const size_t at = n / variant_count;
        const struct caps caps = { .matrix_lanes = devices[at % DEVICES].lanes,
                                   .subgroup_shuffle = true,
                                   .subgroup_vote = true,
                                   .subgroup_ballot = true,
                                   .matrix_f16 = devices[at % DEVICES].shape,
                                   .matrix_bf16 = devices[at % DEVICES].shape,
                                   .matrix_reduce = true,
                                   .max_workgroup_invocations = 1024,
                                   .max_shared_memory = 65536,
                                   .max_storage_buffers = 6 };
        const struct attention a = { .head_dim = dims[at / DEVICES % DIMS],
                                     .v_head_dim = dims[at / DEVICES / DIMS],
                                     .dtype = v->dtype,
                                     .o_dtype = v->dtype };
        struct pipeline_key key;
        char reason[200];
        if ((v->family != &family_matrix && v->family != &family_matrix_reduce) ||
            !variant_serves(v, &a, &caps, true, reason, sizeof reason))
            continue;
        variant_pipeline_key(v, &a, &caps, PM_FLAG_DIRECT, &key);
        const struct use use = use_of(&key);
        const uint32_t said =
            v->family->shared_memory(v, &caps, key.constants[1], key.constants[2]);
        assert_true(variant_tile_rows(v, &caps) <= TILE_ROWS_MOST);
        assert_int_equal(use.invocations, variant_workgroup(v, &caps));
        if (use.shared != said)
            fail_msg("%s takes %u bytes of shared memory on subgroups of %u and its family says %u",
                     v->name, use.shared, caps.matrix_lanes, said);
        seen++;
    }
    assert_true(seen > DEVICES * DIMS);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_floor),
                                        cmocka_unit_test(test_matrix) };
    return cmocka_run_group_tests_name("floor", tests, NULL, NULL);
}
