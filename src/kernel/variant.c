// SPDX-License-Identifier: MIT
#include "kernel/variant.h"

#include <stdio.h>
#include <string.h>

const struct variant variants[] = {
#define TULLE_MODULE(name, source, environment, defines)
#define TULLE_VARIANT(name, family, dtype, a, b, c, keys, module) \
    { #name, FAMILY_##family, TULLE_##dtype, a, b, c, keys, #module },
#include "../../shaders/variants.def"
#undef TULLE_VARIANT
#undef TULLE_MODULE
};
const uint32_t variant_count = sizeof variants / sizeof variants[0];

static const uint32_t classes[] = { 8, 16, 24, 32, 48, 64 };

uint32_t head_class(uint32_t head_dim) {
    uint32_t i = 0;
    while (classes[i] * 4 < head_dim) i++;
    return classes[i];
}

static uint32_t larger_class(const struct attention *a) {
    return head_class(a->head_dim > a->v_head_dim ? a->head_dim : a->v_head_dim);
}

uint32_t variant_workgroup(const struct variant *v, const struct caps *caps) {
    return v->family == FAMILY_BASE ? 128 : caps->subgroup_size;
}

uint32_t variant_tile_rows(const struct variant *v, const struct caps *caps) {
    return v->family == FAMILY_BASE ? 128 / v->c * v->a : caps->subgroup_size * v->a;
}

uint32_t variant_shared_memory(const struct variant *v, uint32_t head_pieces, uint32_t v_pieces) {
    if (v->family != FAMILY_BASE) return 0;
    // base.comp, "Bytes of shared memory"
    uint32_t rows = 128 / v->c * v->a, keys = v->keys, most = keys > 32 ? 4 : 8,
             dim = head_pieces < most ? head_pieces : most;
    uint32_t fit = (v_pieces > 32   ? 8
                    : v_pieces > 16 ? 16
                    : v_pieces > 8  ? 32
                                    : 64) /
                   (v->a == 2 ? 2 : 1);
    uint32_t qk = dim * (rows + keys + 2), value = (fit < keys ? fit : keys) * v_pieces;
    return 16 * (qk > value ? qk : value) + 8 * keys * ((rows + v->a) / 2) + 4 * rows + 112;
}

bool variant_direct(const struct variant *v, const struct caps *caps) {
    return v->family != FAMILY_BASE || caps->max_storage_buffers >= 6;
}
bool variant_by_address(const struct variant *v) { return v->family == FAMILY_ROWS_ADDRESS; }

static bool is_powervr(const struct caps *caps) {
    return caps->driver_id == VK_DRIVER_ID_IMAGINATION_PROPRIETARY ||
           caps->driver_id == VK_DRIVER_ID_IMAGINATION_OPEN_SOURCE_MESA ||
           caps->vendor_id == 0x1010;
}

static bool is_mali(const struct caps *caps) {
    return caps->driver_id == VK_DRIVER_ID_ARM_PROPRIETARY ||
           caps->driver_id == VK_DRIVER_ID_MESA_PANVK || caps->vendor_id == 0x13b5;
}

#define REFUSE(...) return snprintf(reason, size, __VA_ARGS__), false

bool variant_serves(const struct variant *v, const struct attention *a, const struct caps *caps,
                    bool named, char *reason, size_t size) {
    uint32_t workgroup = variant_workgroup(v, caps),
             shared = variant_shared_memory(v, head_class(a->head_dim), head_class(a->v_head_dim));
    reason[0] = '\0';
    if (v->dtype != a->dtype) REFUSE("for another dtype");
    if (workgroup > caps->max_workgroup_invocations)
        REFUSE("needs %u invocations in a workgroup; the device allows %u", workgroup,
               caps->max_workgroup_invocations);
    if (shared > caps->max_shared_memory)
        REFUSE("needs %u bytes of shared memory; the device has %u", shared,
               caps->max_shared_memory);
    // Not even by name: Mesa 26.1's compiler ends the process where it finds nothing left to spill.
    if (v->family == FAMILY_BASE && is_powervr(caps) &&
        v->a * ((head_class(a->v_head_dim) + v->c - 1) / v->c) > 6)
        REFUSE("8 pieces of O a lane, or more, do not compile on PowerVR");
    // Nor here: at 256 it spilled 268 registers (G310, 2026-11-24), and one pipeline takes minutes
    // to compile.
    if (v->family == FAMILY_BASE && v->a > 2 && is_mali(caps) && larger_class(a) > 32)
        REFUSE("%u rows a lane at this head size take Mali's compiler minutes, and spill", v->a);
    if (v->family == FAMILY_BASE) return true;
    if (caps->type != VK_PHYSICAL_DEVICE_TYPE_CPU && !named)
        REFUSE("for CPU drivers; on a GPU its rows spill (ask for it by name to run it)");
    // The unrolled body grows with rows · keys · pieces, and with it what the driver takes to
    // compile it: of what is taken by default at most 1.6 CPU seconds on 22.3 and 1.4 on 26.1,
    // softcap and LSE on, on a processor without AVX-512 (2026-11-26; with it a little less); at
    // twice the size of the texel kernel over a minute.
    uint32_t pieces = larger_class(a), body = v->a * v->keys * pieces;
    uint32_t most = v->family == FAMILY_ROWS_TEXEL || v->a > 1 ? 128
                    : v->dtype != TULLE_F32                    ? 192
                                                               : 256;
    if (body > most)
        REFUSE(
            "%u rows by %u keys unrolled over this head size take the driver too long to compile",
            v->a, v->keys);
    if (v->family == FAMILY_ROWS_ADDRESS) {
        // Not even by name: a test of every option waited over 8 minutes for one pipeline.
        if (caps->slow_addresses)
            REFUSE(
                "this driver takes minutes to compile loads through addresses, and runs them 10 times slower than texels");
        if (!caps->buffer_device_address) REFUSE("needs bufferDeviceAddress, which is not enabled");
        if (!(a->buffer_usage & VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT))
            REFUSE("needs VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT in buffer_usage");
        for (int t = 0; t < TENSOR_COUNT; t++) {
            // O's indices count 8 bytes, with a sign (address.glsl)
            int bits = t == TENSOR_O ? 30 : 31;
            if (a->span[t] / (4 * attention_element(a, t)) >= 1u << bits)
                REFUSE("%s spans 2^%d pieces of 4 elements or more", tensor_names[t], bits);
        }
        if (caps->subgroup_size > 32)
            REFUSE("needs a subgroup of at most 32 lanes; the device has %u", caps->subgroup_size);
    } else {
        if (!caps->subgroup_shuffle) REFUSE("needs subgroup shuffles in compute shaders");
        if (!(a->buffer_usage & VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT))
            REFUSE("needs VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT in buffer_usage");
        if (caps->subgroup_size < v->keys || v->keys * 8 < caps->subgroup_size ||
            caps->subgroup_size > 32 || caps->subgroup_size * v->a > TILE_ROWS_MOST)
            REFUSE("needs a subgroup of %u to %u lanes; the device has %u", v->keys,
                   v->keys * 8 < 32 ? v->keys * 8 : 32, caps->subgroup_size);
        for (int t = TENSOR_Q; t <= TENSOR_V; t++)
            if (a->span[t] / (4 * attention_element(a, t)) > caps->max_texel_elements)
                REFUSE("%s has more texels than a texel buffer of this device (%u)",
                       tensor_names[t], caps->max_texel_elements);
    }
    return true;
}

bool variant_named(const struct variant *v, const char *kernel) {
    return *kernel && !strncmp(v->name, kernel, strlen(kernel));
}

struct shape {
    uint32_t rows, keys;
};

/// What measured fastest on lavapipe: rows a lane and keys a chunk by head class. Addresses on Mesa
/// 26.1 (subgroups of 8, and of 16 with 512-bit vectors), texels on 22.3. Measured 2026-11-24 on a
/// processor with AVX-512, where fp32 through addresses took 8 keys at head_dim 96 and 128; and
/// 2026-11-26 without, where 4 were 14 and 20 % faster there, and half as long to compile: 4 is
/// taken since, for no driver tells the two apart.
static struct shape rows_shape(enum family family, tulle_dtype dtype, uint32_t pieces) {
    if (family == FAMILY_ROWS_TEXEL)
        return pieces <= 16   ? (struct shape){ 2, 4 }
               : pieces <= 32 ? (struct shape){ 2, 2 }
                              : (struct shape){ 1, 2 };
    if (dtype != TULLE_F32)
        return pieces <= 16   ? (struct shape){ 2, 4 }
               : pieces <= 24 ? (struct shape){ 1, 4 }
               : pieces <= 32 ? (struct shape){ 2, 2 }
                              : (struct shape){ 1, 2 };
    if (pieces <= 8) return (struct shape){ 1, 16 };
    if (pieces <= 16) return (struct shape){ 1, 8 };
    return (struct shape){ 1, 4 };
}

/// Smaller is better. The defaults by driver and head size; sources: README, "Tile shapes".
static uint32_t rank(const struct variant *v, const struct attention *a, const struct caps *caps) {
    uint32_t pieces = larger_class(a);
    if (v->family == FAMILY_BASE) {
        uint32_t rows = 128 / v->c * v->a;
        // Where four rows a lane spill (compilers of Mesa 26.1, 2026-11-26, docs/measurements): Mali
        // always, PowerVR from 96 on, and the Raspberry Pi, where two rows by two keys spill from
        // 128 on in tiles of 16 rows, and from 192 on in those of 8.
        bool mali = is_mali(caps), powervr = is_powervr(caps);
        bool pi = caps->driver_id == VK_DRIVER_ID_MESA_V3DV || caps->vendor_id == 0x14e4;
        uint32_t best = 32;
        if (mali || (powervr && pieces > 16)) best = pieces <= 32 ? 16 : 8;
        if (pi) best = 8;
        return 100 + (pi && v->b > 1 ? 1 : 0) +
               (rows == best  ? 0
                : rows > best ? 20 + rows
                              : 10 + best - rows);
    }
    const struct shape best = rows_shape(v->family, a->dtype, pieces);
    uint32_t distance = (v->a == best.rows ? 0 : 4) +
                        (v->keys > best.keys ? v->keys / best.keys : best.keys / v->keys) - 1;
    return (v->family == FAMILY_ROWS_TEXEL ? 20 : 0) + distance;
}

uint32_t variant_order(const struct attention *a, const struct caps *caps, uint32_t *order) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < variant_count; i++) {
        if (variants[i].dtype != a->dtype ||
            (a->kernel[0] && !variant_named(&variants[i], a->kernel)))
            continue;
        uint32_t at = count++, value = rank(&variants[i], a, caps);
        for (; at && rank(&variants[order[at - 1]], a, caps) > value; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    return count;
}

const struct variant *variant_choose(const struct attention *a, const struct caps *caps,
                                     tulle_error *error) {
    uint32_t order[sizeof variants / sizeof variants[0]], count = variant_order(a, caps, order);
    char reasons[800] = "";
    for (uint32_t i = 0; i < count; i++) {
        const struct variant *v = &variants[order[i]];
        char reason[160];
        if (variant_serves(v, a, caps, variant_named(v, a->kernel), reason, sizeof reason))
            return v;
        size_t used = strlen(reasons);
        snprintf(reasons + used, sizeof reasons - used, "%s%s: %s", used ? "; " : "", v->name,
                 reason);
    }
    if (!count) {
        static const char *const dtypes[] = { "fp32", "fp16", "bf16" };
        char names[400] = "";  // 11 names of at most 24 bytes
        for (uint32_t i = 0; i < variant_count; i++) {
            size_t used = strlen(names);
            if (variants[i].dtype == a->dtype)
                snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "",
                         variants[i].name);
        }
        tulle_fail(
            error, TULLE_ERROR_INVALID_ARGUMENT,
            "kernel is \"%s\"; for %s it is one of these names, or how some begin, such as base: %s",
            a->kernel, dtypes[a->dtype], names);
    } else tulle_fail(error, TULLE_ERROR_UNSUPPORTED, "no kernel serves: %s", reasons);
    return NULL;
}

static const char *const dtype_suffix[] = { "_f32", "_f16", "_bf16" };

static uint32_t flags_of(const struct attention *a) {
    return (a->softcap > 0 ? PM_FLAG_SOFTCAP : 0) | (a->slopes ? PM_FLAG_ALIBI : 0) |
           (a->sinks ? PM_FLAG_SINK : 0) | (a->lse ? PM_FLAG_LSE : 0);
}

void variant_pipeline_key(const struct variant *v, const struct attention *a,
                          const struct caps *caps, uint32_t does, struct pipeline_key *key) {
    uint32_t head = head_class(a->head_dim), value = head_class(a->v_head_dim);
    bool direct = variant_direct(v, caps), wide = a->o_dtype != a->dtype,
         tile = v->family == FAMILY_BASE, texel = v->family == FAMILY_ROWS_TEXEL;
    // Items that resume have a module of their own, which spares the others its code.
    bool resume = does & PM_FLAG_RESUME && direct && v->family != FAMILY_ROWS_ADDRESS;
    // The texel kernel is Mesa 22.3's, which has no branch around what no lane does: it goes
    // through the stores that an item does not make, element by element (a tenth of a strided
    // item's time). For the others one pipeline a module is better than several.
    if (!texel) does = PM_FLAG_DIRECT | PM_FLAG_PARTIAL | PM_FLAG_RESUME;
    memset(key, 0, sizeof *key);
    snprintf(key->module, sizeof key->module, "%s%s%s%s%s", v->module, dtype_suffix[a->dtype],
             tile && direct ? "_direct" : "", direct && wide ? "_o32" : "",
             resume ? "_resume" : "");
    key->layout = v->family == FAMILY_ROWS_ADDRESS ? LAYOUT_ADDRESS
                  : texel                          ? LAYOUT_TEXEL
                  : direct                         ? LAYOUT_BASE_DIRECT
                                                   : LAYOUT_BASE;
    const uint32_t constants[CONSTANTS_MOST] = { variant_workgroup(v, caps),
                                                 head,
                                                 value,
                                                 head * 4 == a->head_dim &&
                                                     value * 4 == a->v_head_dim,
                                                 flags_of(a) | does,
                                                 variant_tile_rows(v, caps),
                                                 v->keys,
                                                 v->a,
                                                 v->b,
                                                 v->c };
    memcpy(key->constants, constants, sizeof constants);
}

void combine_pipeline_key(const struct variant *v, const struct attention *a,
                          const struct caps *caps, struct pipeline_key *key) {
    static const struct {
        const char *module;
        enum layout layout;
    } by_family[] = {
        [FAMILY_BASE] = { "combine", LAYOUT_COMBINE },
        [FAMILY_ROWS_ADDRESS] = { "combine_address", LAYOUT_COMBINE_ADDRESS },
        [FAMILY_ROWS_TEXEL] = { "combine_texel", LAYOUT_COMBINE_TEXEL },
    };
    uint32_t value = head_class(a->v_head_dim);
    memset(key, 0, sizeof *key);
    snprintf(key->module, sizeof key->module, "%s%s", by_family[v->family].module,
             dtype_suffix[a->o_dtype]);
    key->layout = by_family[v->family].layout;
    const uint32_t constants[CONSTANTS_MOST] = { variant_workgroup(v, caps), 8, value,
                                                 value * 4 == a->v_head_dim, flags_of(a) };
    memcpy(key->constants, constants, sizeof constants);
}
