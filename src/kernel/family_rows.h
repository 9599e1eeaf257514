// SPDX-License-Identifier: MIT
//
// What the families of CPU drivers share: a lane owns query rows, and a workgroup is one subgroup.
#ifndef TULLE_SRC_KERNEL_FAMILY_ROWS_H
#define TULLE_SRC_KERNEL_FAMILY_ROWS_H

#include "kernel/family.h"
#include "kernel/variant.h"

/// Loop iterations a chunk: runs and chunks only, and outside a loop of up to 64 for each of a
/// lane's rows of Q, O and the workspace.
#define ROWS_CHUNK_LOOPS 4

uint32_t rows_workgroup(const struct variant *v, const struct caps *caps);
uint32_t rows_tile_rows(const struct variant *v, const struct caps *caps);
uint32_t rows_shared_memory(const struct variant *v, const struct caps *caps, uint32_t head_pieces,
                            uint32_t v_pieces);
uint32_t rows_combine_rounds(uint32_t v_pieces, uint32_t lanes);

/// Is it for this device, and not too long to compile? body_most: of rows a lane · keys · pieces,
/// which the kernel unrolls.
bool rows_serves(const struct variant *v, const struct attention *a, const struct caps *caps,
                 bool named, uint32_t body_most, char *reason, size_t size);

/// By what was measured (measured.h); then, before base, what was not.
uint32_t rows_rank(const struct variant *v, const struct attention *a, const struct caps *caps);

#endif
