// SPDX-License-Identifier: MIT
#include "kernel/family_rows.h"

#include <stdio.h>

#include "kernel/measured.h"

uint32_t rows_workgroup(const struct variant *v, const struct caps *caps) {
    (void)v;
    return caps->subgroup_size;
}

uint32_t rows_tile_rows(const struct variant *v, const struct caps *caps) {
    return caps->subgroup_size * v->rows_per_lane;
}

uint32_t rows_shared_memory(const struct variant *v, const struct caps *caps, uint32_t head_pieces,
                            uint32_t v_pieces) {
    (void)v, (void)caps, (void)head_pieces, (void)v_pieces;
    return 0;
}

/// combine_rows.comp: rows of the lane times slabs.
uint32_t rows_combine_rounds(uint32_t v_pieces, uint32_t lanes) {
    return (PM_COMBINE_ROWS + lanes - 1) / lanes * (v_pieces / (v_pieces % 16 ? 8 : 16));
}

bool rows_serves(const struct variant *v, const struct attention *a, const struct caps *caps,
                 bool named, uint32_t body_most, char *reason, size_t size) {
    if (caps->type != VK_PHYSICAL_DEVICE_TYPE_CPU && !named)
        REFUSE("for CPU drivers; on a GPU its rows spill (ask for it by name to run it)");
    if (v->rows_per_lane * v->keys * larger_class(a) > body_most)
        REFUSE(
            "%u rows by %u keys unrolled over this head size take the driver too long to compile",
            v->rows_per_lane, v->keys);
    return true;
}

uint32_t rows_rank(const struct variant *v, const struct attention *a, const struct caps *caps) {
    const uint32_t place = measured_place(v, a, caps);
    return place < 99 ? place : 99;
}
