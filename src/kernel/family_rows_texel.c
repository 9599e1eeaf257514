// SPDX-License-Identifier: MIT
//
// rows_texel: for CPU drivers whose loads through addresses are slow (rows_texel.comp). Lanes fetch
// texels of Q, K and V for each other.
#include <stdio.h>

#include "kernel/family_rows.h"
#include "schedule/tiler.h"

static const struct layout texel_attention_layout = {
    .descriptors = { { 3, REACH_STORAGE, BOUND_WORKSPACE },
                     { 5, REACH_STORAGE, TENSOR_O },
                     { 6, REACH_STORAGE, TENSOR_LSE },
                     { 4, REACH_TEXELS, BOUND_PLAN },
                     { 7, REACH_TEXELS, TENSOR_Q },
                     { 8, REACH_TEXELS, TENSOR_K },
                     { 9, REACH_TEXELS, TENSOR_V },
                     { 10, REACH_TEXELS, BOUND_WORKSPACE },
                     { 11, REACH_TEXELS, BOUND_PAGE_TABLE } },
    .count = 9,
    .dynamic = true,
    .push_bytes = sizeof(struct pm_attention_push),
};

static const struct layout texel_combine_layout = {
    .descriptors = { { 1, REACH_STORAGE, TENSOR_O },
                     { 2, REACH_STORAGE, TENSOR_LSE },
                     { 4, REACH_TEXELS, BOUND_PLAN },
                     { 0, REACH_TEXELS, BOUND_WORKSPACE } },
    .count = 4,
    .dynamic = true,
    .push_bytes = sizeof(struct pm_combine_push),
};

static const struct layout *texel_layout(const struct caps *caps) {
    (void)caps;
    return &texel_attention_layout;
}

static bool texel_serves(const struct variant *v, const struct attention *a,
                         const struct caps *caps, bool named, char *reason, size_t size) {
    // What is taken by default compiles in 1.6 CPU seconds (docs/measurements/2026-11-26-cpu.md);
    // at twice the size it takes over a minute.
    if (!rows_serves(v, a, caps, named, 128, reason, size)) return false;
    if (!caps->subgroup_shuffle) REFUSE("needs subgroup shuffles in compute shaders");
    if (!(a->buffer_usage & VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT))
        REFUSE("needs VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT in buffer_usage");
    if (caps->subgroup_size < v->keys || v->keys * 8 < caps->subgroup_size ||
        caps->subgroup_size > 32 || rows_tile_rows(v, caps) > TILE_ROWS_MOST)
        REFUSE("needs a subgroup of %u to %u lanes; the device has %u", v->keys,
               v->keys * 8 < 32 ? v->keys * 8 : 32, caps->subgroup_size);
    for (int t = TENSOR_Q; t <= TENSOR_V; t++)
        if (a->span[t] / (4 * attention_element(a, t)) > caps->max_texel_elements)
            REFUSE("%s has more texels than a texel buffer of this device (%u)", tensor_names[t],
                   caps->max_texel_elements);
    return true;
}

const struct family family_rows_texel = {
    .workgroup = rows_workgroup,
    .tile_rows = rows_tile_rows,
    .shared_memory = rows_shared_memory,
    .layout = texel_layout,
    .serves = texel_serves,
    .rank = rows_rank,
    .chunk_loops = ROWS_CHUNK_LOOPS,
    .reads_pages = true,
    .direct_suffix = "",
    .resume_modules = true,
    // Mesa 22.3 has no branch around what no lane does: it goes through the stores that an item
    // does not make, element by element (docs/measurements/2026-11-27-cpu.md).
    .does_constant = true,
    .combine = { "combine_texel", &texel_combine_layout, rows_combine_rounds },
};
