// SPDX-License-Identifier: MIT
//
// base: for every GPU (base.comp). 128 lanes form row groups × column groups; Q, K, V and P pass
// through shared memory.
#include <stdio.h>

#include "kernel/family_base.h"
#include "kernel/measured.h"

#define LANES 128u

/// Four storage buffers, which every device has: all goes through the workspace.
static const struct layout base_four_buffers = {
    .descriptors = { { 0, REACH_STORAGE, TENSOR_Q },
                     { 1, REACH_STORAGE, TENSOR_K },
                     { 2, REACH_STORAGE, TENSOR_V },
                     { 3, REACH_STORAGE, BOUND_WORKSPACE },
                     { 4, REACH_TEXELS, BOUND_PLAN },
                     { 11, REACH_TEXELS, BOUND_PAGE_TABLE } },
    .count = 6,
    .dynamic = true,
    .push_bytes = sizeof(struct pm_attention_push),
};

const struct layout base_six_buffers = {
    .descriptors = { { 0, REACH_STORAGE, TENSOR_Q },
                     { 1, REACH_STORAGE, TENSOR_K },
                     { 2, REACH_STORAGE, TENSOR_V },
                     { 3, REACH_STORAGE, BOUND_WORKSPACE },
                     { 4, REACH_TEXELS, BOUND_PLAN },
                     { 5, REACH_STORAGE, TENSOR_O },
                     { 6, REACH_STORAGE, TENSOR_LSE },
                     { 11, REACH_TEXELS, BOUND_PAGE_TABLE } },
    .count = 8,
    .dynamic = true,
    .push_bytes = sizeof(struct pm_attention_push),
};

const struct layout base_combine_layout = {
    .descriptors = { { 0, REACH_STORAGE, BOUND_WORKSPACE },
                     { 1, REACH_STORAGE, TENSOR_O },
                     { 2, REACH_STORAGE, TENSOR_LSE },
                     { 4, REACH_TEXELS, BOUND_PLAN } },
    .count = 4,
    .dynamic = true,
    .push_bytes = sizeof(struct pm_combine_push),
};

static const struct layout *base_layout(const struct caps *caps) {
    return caps->max_storage_buffers >= 6 ? &base_six_buffers : &base_four_buffers;
}

static uint32_t base_workgroup(const struct variant *v, const struct caps *caps) {
    (void)v, (void)caps;
    return LANES;
}

// base_lanes.glsl: keep, 28 words, and keep_texels, of which paged K and V take one more
#define KEEP_BYTES 128

static uint32_t base_rows(const struct variant *v) {
    return LANES / v->column_groups * v->rows_per_lane;
}

static uint32_t base_tile_rows(const struct variant *v, const struct caps *caps) {
    (void)caps;
    return base_rows(v);
}

/// base_lanes.glsl: stage, exchange, row_max, keep
static uint32_t base_shared_memory(const struct variant *v, const struct caps *caps,
                                   uint32_t head_pieces, uint32_t v_pieces) {
    (void)caps;
    uint32_t rows = base_rows(v), keys = v->keys, most = keys > 32 ? 4 : 8,
             dim = head_pieces < most ? head_pieces : most;
    uint32_t fit = (v_pieces > 64   ? 4
                    : v_pieces > 32 ? 8
                    : v_pieces > 16 ? 16
                    : v_pieces > 8  ? 32
                                    : 64) /
                   (v->rows_per_lane == 2 ? 2 : 1);
    uint32_t qk = dim * (rows + keys + 2), value = (fit < keys ? fit : keys) * v_pieces;
    return 16 * (qk > value ? qk : value) + 8 * keys * ((rows + v->rows_per_lane) / 2) + 4 * rows +
           KEEP_BYTES;
}

// By vendor too: a driver of Vulkan 1.1 need not say which it is.
static bool is_powervr(const struct caps *caps) {
    return caps->driver_id == VK_DRIVER_ID_IMAGINATION_PROPRIETARY ||
           caps->driver_id == VK_DRIVER_ID_IMAGINATION_OPEN_SOURCE_MESA ||
           caps->vendor_id == 0x1010;
}

static bool is_mali(const struct caps *caps) {
    return caps->driver_id == VK_DRIVER_ID_ARM_PROPRIETARY ||
           caps->driver_id == VK_DRIVER_ID_MESA_PANVK || caps->vendor_id == 0x13b5;
}

static bool is_raspberry_pi(const struct caps *caps) {
    return caps->driver_id == VK_DRIVER_ID_MESA_V3DV || caps->vendor_id == 0x14e4;
}

/// Not even by name: what a compiler does not survive, or takes minutes for
/// (docs/measurements/2026-11-26-compilers.md).
static bool base_serves(const struct variant *v, const struct attention *a, const struct caps *caps,
                        bool named, char *reason, size_t size) {
    (void)named;
    uint32_t groups = v->column_groups, pieces = head_class(a->v_head_dim);
    // Mesa 26.1's compiler ends the process where it finds nothing left to spill.
    if (is_powervr(caps) && v->rows_per_lane * ((pieces + groups - 1) / groups) > 6)
        REFUSE("8 pieces of O a lane, or more, do not compile on PowerVR");
    if (is_mali(caps) && v->rows_per_lane > 2 && larger_class(a) > 32)
        REFUSE("%u rows a lane at this head size take Mali's compiler minutes, and spill",
               v->rows_per_lane);
    return true;
}

/// Tiles of 32 rows, and smaller ones where the compilers of Mesa 26.1 spill
/// (docs/measurements/2026-11-26-compilers.md): Mali always, PowerVR from head size 96 on, and the
/// Raspberry Pi, where two rows by two keys spill from 128 on in tiles of 16 rows, and from 192 on
/// in those of 8.
static uint32_t base_rank(const struct variant *v, const struct attention *a,
                          const struct caps *caps) {
    // On a CPU driver it takes its place among all that were measured there.
    if (caps->type == VK_PHYSICAL_DEVICE_TYPE_CPU && measured_place(v, a, caps) < 99)
        return measured_place(v, a, caps);
    uint32_t pieces = larger_class(a), rows = base_rows(v), best = 32;
    bool pi = is_raspberry_pi(caps);
    if (is_mali(caps) || (is_powervr(caps) && pieces > 16)) best = pieces <= 32 ? 16 : 8;
    if (best == 32 && pieces > HEAD_CLASS_USUAL) best = 16;  // as much of O a lane as of 32 at 256
    if (pi) best = 8;
    return 100 + (pi && v->keys_per_lane > 1 ? 1 : 0) +
           (rows == best  ? 0
            : rows > best ? 20 + rows
                          : 10 + best - rows);
}

/// combine.comp: twice for the row's sum, then once for each piece that falls to the lane.
uint32_t base_combine_rounds(uint32_t v_pieces, uint32_t lanes) {
    return 2 + (PM_COMBINE_ROWS * v_pieces + lanes - 1) / lanes;
}

const struct family family_base = {
    .workgroup = base_workgroup,
    .tile_rows = base_tile_rows,
    .shared_memory = base_shared_memory,
    .layout = base_layout,
    .serves = base_serves,
    .rank = base_rank,
    // inside a chunk, beside runs and chunks: 8 + 64 along head_dim, 32 maxima, 32 keys; at 576
    // 36 + 144, 32 and 64
    .chunk_loops = 160,
    .reads_pages = true,
    .pages_shared = 16,
    .direct_suffix = "_direct",
    .resume_modules = true,
    .combine = { "combine", &base_combine_layout, base_combine_rounds },
};
