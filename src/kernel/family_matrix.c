// SPDX-License-Identifier: MIT
//
// matrix: for fp16 and bf16 on devices with matrix units that VK_KHR_cooperative_matrix reaches
// (matrix.comp). A subgroup owns rows; Q, K and V pass through shared memory, and in `matrix` scores
// and P too. In `matrix_reduce` these stay in registers.
#include <stdio.h>

#include "kernel/family_base.h"
#include "kernel/variant.h"

static const struct layout *matrix_layout(const struct caps *caps) {
    (void)caps;
    return &base_six_buffers;
}

static struct matrix_shape shape_of(const struct variant *v, const struct caps *caps) {
    return v->dtype == TULLE_BF16 ? caps->matrix_bf16 : caps->matrix_f16;
}

/// A variant's fields in its own words (shaders/variants.def).
static uint32_t subgroups(const struct variant *v) { return v->column_groups; }
static uint32_t row_matrices(const struct variant *v) { return v->rows_per_lane; }

static uint32_t matrix_workgroup(const struct variant *v, const struct caps *caps) {
    return subgroups(v) * caps->matrix_lanes;
}

static uint32_t own_rows(const struct variant *v, const struct caps *caps) {
    return row_matrices(v) * shape_of(v, caps).m;
}

static uint32_t matrix_tile_rows(const struct variant *v, const struct caps *caps) {
    return subgroups(v) * own_rows(v, caps);
}

/// matrix_tiles.glsl: q_stage, kv_stage, slab, factor. slab_floats: of a row, without padding.
static uint32_t shared_memory(const struct variant *v, const struct caps *caps,
                              uint32_t head_pieces, uint32_t v_pieces, uint32_t slab_floats) {
    uint32_t rows = matrix_tile_rows(v, caps),
             most = head_pieces > v_pieces ? head_pieces : v_pieces;
    return rows * (head_pieces + 2) * 8 + v->keys * (most + 2) * 8 + rows * (slab_floats + 4) * 4 +
           rows * 4;
}

static uint32_t matrix_shared_memory(const struct variant *v, const struct caps *caps,
                                     uint32_t head_pieces, uint32_t v_pieces) {
    return shared_memory(v, caps, head_pieces, v_pieces, v->keys);
}

static uint32_t reduce_shared_memory(const struct variant *v, const struct caps *caps,
                                     uint32_t head_pieces, uint32_t v_pieces) {
    return shared_memory(v, caps, head_pieces, v_pieces, 32);
}

/// What both forms need, but for being asked for by name.
static bool device_serves(const struct variant *v, const struct attention *a,
                          const struct caps *caps, char *reason, size_t size) {
    if (larger_class(a) > HEAD_CLASS_USUAL)
        REFUSE("a subgroup's registers hold O and Q of head sizes up to 256");
    if (!shape_of(v, caps).m)
        REFUSE("needs matrices of %s by VK_KHR_cooperative_matrix, and full subgroups",
               v->dtype == TULLE_BF16 ? "bf16" : "fp16");
    if (!caps->subgroup_shuffle || !caps->subgroup_vote || !caps->subgroup_ballot)
        REFUSE("needs subgroup shuffle, vote and ballot in compute shaders");
    if (caps->max_storage_buffers < 6)
        REFUSE("needs 6 storage buffers; the device has %u", caps->max_storage_buffers);
    return true;
}

/// No GPU has run these kernels yet: docs/drivers.md.
static bool only_by_name(bool named, char *reason, size_t size) {
    if (!named) REFUSE("not yet measured on a GPU (ask for it by name to run it)");
    return true;
}

static bool matrix_serves(const struct variant *v, const struct attention *a,
                          const struct caps *caps, bool named, char *reason, size_t size) {
    if (!device_serves(v, a, caps, reason, size)) return false;
    // whole uvec4 of P to a lane
    const uint32_t lanes = caps->matrix_lanes;
    if (lanes > own_rows(v, caps) && v->keys / (lanes / own_rows(v, caps)) < 8)
        REFUSE("%u lanes have too few of %u keys each", lanes, v->keys);
    return only_by_name(named, reason, size);
}

static bool reduce_serves(const struct variant *v, const struct attention *a,
                          const struct caps *caps, bool named, char *reason, size_t size) {
    if (!device_serves(v, a, caps, reason, size)) return false;
    if (!caps->matrix_reduce)
        REFUSE(
            "needs reductions, conversions and per-element functions of VK_NV_cooperative_matrix2");
    // a tile of scores becomes one of P as it is
    const struct matrix_shape shape = shape_of(v, caps);
    if (shape.n != shape.k)
        REFUSE("needs matrices of as many columns as rows; the device's are of %u and %u", shape.k,
               shape.n);
    return only_by_name(named, reason, size);
}

/// Before base; the wider of those that fit first.
static uint32_t matrix_rank(const struct variant *v, const struct attention *a,
                            const struct caps *caps) {
    (void)a, (void)caps;
    return 60 - subgroups(v) * row_matrices(v);
}

/// Before those whose scores pass through shared memory.
static uint32_t reduce_rank(const struct variant *v, const struct attention *a,
                            const struct caps *caps) {
    return matrix_rank(v, a, caps) - 20;
}

static void matrix_constants(const struct variant *v, const struct caps *caps,
                             uint32_t *constants) {
    const struct matrix_shape shape = shape_of(v, caps);
    constants[PM_CONSTANT_SUBGROUP] = caps->matrix_lanes;
    constants[PM_CONSTANT_MATRIX_M] = shape.m;
    constants[PM_CONSTANT_MATRIX_N] = shape.n;
    constants[PM_CONSTANT_MATRIX_K] = shape.k;
}

const struct family family_matrix = {
    .workgroup = matrix_workgroup,
    .tile_rows = matrix_tile_rows,
    .shared_memory = matrix_shared_memory,
    .layout = matrix_layout,
    .serves = matrix_serves,
    .rank = matrix_rank,
    .chunk_loops = 64,  // up to 32 steps along head_dim and 8 along the keys, beside chunks
    .direct_suffix = "",
    .does_constant = true,
    .constants = matrix_constants,
    .combine = { "combine", &base_combine_layout, base_combine_rounds },
};

const struct family family_matrix_reduce = {
    .workgroup = matrix_workgroup,
    .tile_rows = matrix_tile_rows,
    .shared_memory = reduce_shared_memory,
    .layout = matrix_layout,
    .serves = reduce_serves,
    .rank = reduce_rank,
    .chunk_loops = 64,
    .direct_suffix = "",
    .does_constant = true,
    .constants = matrix_constants,
    .combine = { "combine", &base_combine_layout, base_combine_rounds },
};
