// SPDX-License-Identifier: MIT
#include "kernel/variant.h"

#include <stdio.h>
#include <string.h>

const struct variant variants[] = {
#define TULLE_MODULE(...)
#define TULLE_VARIANT(name, family, dtype, rows_per_lane, keys_per_lane, column_groups, keys, \
                      module)                                                                 \
    { #name,         &family_##family, TULLE_##dtype, rows_per_lane,                          \
      keys_per_lane, column_groups,    keys,          #module },
#include "../../shaders/variants.def"
#undef TULLE_VARIANT
#undef TULLE_MODULE
};
const uint32_t variant_count = sizeof variants / sizeof variants[0];

static const uint32_t classes[HEAD_CLASSES] = { 8, 16, 24, 32, 48, 64, 128, 144 };

uint32_t head_class_number(uint32_t head_dim) {
    uint32_t i = 0;
    while (classes[i] * 4 < head_dim) i++;
    return i;
}

uint32_t head_class(uint32_t head_dim) { return classes[head_class_number(head_dim)]; }

bool is_head_class(uint32_t pieces) {
    bool found = false;
    for (uint32_t i = 0; i < HEAD_CLASSES; i++) found = found || classes[i] == pieces;
    return found;
}

uint32_t larger_class(const struct attention *a) {
    return head_class(a->head_dim > a->v_head_dim ? a->head_dim : a->v_head_dim);
}

uint32_t variant_workgroup(const struct variant *v, const struct caps *caps) {
    return v->family->workgroup(v, caps);
}

uint32_t variant_tile_rows(const struct variant *v, const struct caps *caps) {
    return v->family->tile_rows(v, caps);
}

uint32_t variant_chunk_loops(const struct variant *v, const struct attention *a) {
    return v->family->chunk_loops * (larger_class(a) > HEAD_CLASS_USUAL ? 2 : 1);
}

bool variant_by_address(const struct variant *v, const struct caps *caps) {
    return v->family->layout(caps)->by_address;
}

bool variant_direct(const struct variant *v, const struct caps *caps) {
    const struct layout *layout = v->family->layout(caps);
    return layout->by_address || layout_has(layout, TENSOR_O, REACH_STORAGE);
}

bool variant_reaches(const struct variant *v, const struct caps *caps, int of,
                     enum reached_as reach) {
    return layout_has(v->family->layout(caps), of, reach) ||
           layout_has(v->family->combine.layout, of, reach);
}

VkBufferUsageFlags variant_usage(const struct variant *v, const struct caps *caps) {
    VkBufferUsageFlags usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT;
    if (variant_by_address(v, caps)) usage |= VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT;
    for (int t = 0; t <= BOUND_WORKSPACE; t++)  // the page table's has more (tulle_buffers)
        if (variant_reaches(v, caps, t, REACH_TEXELS))
            usage |= VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT;
    return usage;
}

/// Has this build all modules that a plan may ask for?
static bool modules_built(const struct variant *v, const struct attention *a,
                          const struct caps *caps, char *reason, size_t size) {
    const bool listed = v >= variants && v < variants + variant_count;
    if (listed && modules_complete()) return true;  // every plan asks: no search by name
    struct pipeline_key keys[3];
    variant_pipeline_key(v, a, caps, PM_FLAG_DIRECT | PM_FLAG_PARTIAL, &keys[0]);
    variant_pipeline_key(v, a, caps, PM_FLAG_DIRECT | PM_FLAG_RESUME, &keys[1]);
    combine_pipeline_key(v, a, caps, 0, &keys[2]);
    for (int i = 0; i < 3; i++) {
        const char *why = module_absent(keys[i].module);
        if (why) REFUSE("its kernel module %s was not built: %s", keys[i].module, why);
    }
    return true;
}

/// What holds for paged K and V in every family.
static bool pages_serve(const struct variant *v, const struct attention *a, const struct caps *caps,
                        char *reason, size_t size) {
    const uint64_t cells = attention_table_bytes(a) / 4;
    if (!v->family->reads_pages) REFUSE("reads no paged K and V");
    if (variant_reaches(v, caps, BOUND_PAGE_TABLE, REACH_TEXELS) &&
        cells > caps->max_texel_elements)
        REFUSE("the page table has %llu cells; a texel buffer of this device has at most %u",
               (unsigned long long)cells, caps->max_texel_elements);
    for (int t = TENSOR_K; t <= TENSOR_V; t++)
        if (variant_reaches(v, caps, t, REACH_STORAGE) && a->span[t] > caps_window_bytes(caps))
            REFUSE("%s spans %llu bytes in its pages; one descriptor reaches %llu here",
                   tensor_names[t], (unsigned long long)a->span[t],
                   (unsigned long long)caps_window_bytes(caps));
    return true;
}

bool variant_serves(const struct variant *v, const struct attention *a, const struct caps *caps,
                    bool named, char *reason, size_t size) {
    uint32_t workgroup = variant_workgroup(v, caps),
             shared = v->family->shared_memory(v, caps, head_class(a->head_dim),
                                               head_class(a->v_head_dim)) +
                      (a->page_size ? v->family->pages_shared : 0);
    reason[0] = '\0';
    if (v->dtype != a->dtype) REFUSE("for another dtype");
    if (a->page_size && !pages_serve(v, a, caps, reason, size)) return false;
    if (workgroup > caps->max_workgroup_invocations)
        REFUSE("needs %u invocations in a workgroup; the device allows %u", workgroup,
               caps->max_workgroup_invocations);
    if (shared > caps->max_shared_memory)
        REFUSE("needs %u bytes of shared memory; the device has %u", shared,
               caps->max_shared_memory);
    return v->family->serves(v, a, caps, named, reason, size) &&
           modules_built(v, a, caps, reason, size);
}

VkBufferUsageFlags variants_usage(const struct caps *caps) {
    VkBufferUsageFlags usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT;
    for (uint32_t i = 0; i < variant_count; i++)
        for (uint32_t c = 0; c < HEAD_CLASSES; c++) {
            const struct attention a = { .dtype = variants[i].dtype,
                                         .o_dtype = variants[i].dtype,
                                         .head_dim = classes[c] * 4,
                                         .v_head_dim = classes[c] * 4,
                                         .buffer_usage = TULLE_USAGE_HOST };
            char reason[160];
            if (variant_serves(&variants[i], &a, caps, false, reason, sizeof reason))
                usage |= variant_usage(&variants[i], caps);
        }
    return usage;
}

bool variant_named(const struct variant *v, const char *kernel) {
    return *kernel && !strncmp(v->name, kernel, strlen(kernel));
}

uint32_t variant_order(const struct attention *a, const struct caps *caps, uint32_t *order) {
    uint32_t count = 0, ranks[sizeof variants / sizeof variants[0]];  // by place in order
    for (uint32_t i = 0; i < variant_count; i++) {
        if (variants[i].dtype != a->dtype ||
            (a->kernel[0] && !variant_named(&variants[i], a->kernel)))
            continue;
        const bool tuned = !a->kernel[0] && !strcmp(variants[i].name, a->tuned);
        const uint32_t rank = tuned ? 0 : 1 + variants[i].family->rank(&variants[i], a, caps);
        uint32_t at = count++;
        for (; at && ranks[at - 1] > rank; at--) {
            order[at] = order[at - 1];
            ranks[at] = ranks[at - 1];
        }
        order[at] = i;
        ranks[at] = rank;
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
        if (strstr(reasons, reason)) continue;  // as of another, which is named: all must fit
        size_t used = strlen(reasons);
        snprintf(reasons + used, sizeof reasons - used, "%s%s: %s", used ? "; " : "", v->name,
                 reason);
    }
    if (!count) {
        static const char *const dtypes[] = { "fp32", "fp16", "bf16" };
        char names[900] = "";  // 31 names of at most 28 bytes
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
    const struct family *family = v->family;
    uint32_t head = head_class(a->head_dim), value = head_class(a->v_head_dim);
    bool direct = variant_direct(v, caps), wide = a->o_dtype != a->dtype,
         resume = does & PM_FLAG_RESUME && direct && family->resume_modules;
    if (!family->does_constant) does |= PM_FLAG_DIRECT | PM_FLAG_PARTIAL | PM_FLAG_RESUME;
    memset(key, 0, sizeof *key);
    snprintf(key->module, sizeof key->module, "%s%s%s%s%s", v->module, dtype_suffix[a->dtype],
             direct ? family->direct_suffix : "", direct && wide ? "_o32" : "",
             resume ? "_resume" : "");
    key->layout = family->layout(caps);
    key->constants[PM_CONSTANT_WORKGROUP] = variant_workgroup(v, caps);
    key->constants[PM_CONSTANT_HEAD_PIECES] = head;
    key->constants[PM_CONSTANT_V_PIECES] = value;
    key->constants[PM_CONSTANT_EXACT] = head * 4 == a->head_dim && value * 4 == a->v_head_dim;
    key->constants[PM_CONSTANT_FLAGS] = flags_of(a) | does | (a->page_size ? PM_FLAG_PAGED : 0);
    key->constants[PM_CONSTANT_TILE_ROWS] = variant_tile_rows(v, caps);
    key->constants[PM_CONSTANT_CHUNK_KEYS] = v->keys;
    key->constants[PM_CONSTANT_ROWS_PER_LANE] = v->rows_per_lane;
    key->constants[PM_CONSTANT_KEYS_PER_LANE] = v->keys_per_lane;
    key->constants[PM_CONSTANT_COLUMN_GROUPS] = v->column_groups;
    if (family->constants) family->constants(v, caps, key->constants);
}

void combine_pipeline_key(const struct variant *v, const struct attention *a,
                          const struct caps *caps, uint32_t does, struct pipeline_key *key) {
    const struct combine *combine = &v->family->combine;
    uint32_t value = head_class(a->v_head_dim);
    memset(key, 0, sizeof *key);
    snprintf(key->module, sizeof key->module, "%s%s", combine->module, dtype_suffix[a->o_dtype]);
    key->layout = combine->layout;
    key->constants[PM_CONSTANT_WORKGROUP] = variant_workgroup(v, caps);
    key->constants[PM_CONSTANT_HEAD_PIECES] = classes[0];  // it reads neither Q nor K
    key->constants[PM_CONSTANT_V_PIECES] = value;
    key->constants[PM_CONSTANT_EXACT] = value * 4 == a->v_head_dim;
    key->constants[PM_CONSTANT_FLAGS] = flags_of(a) | does;
}
