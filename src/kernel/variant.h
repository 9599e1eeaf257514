// SPDX-License-Identifier: MIT
//
// The kernel variants: which there are, whether one serves a descriptor on a device, which is best,
// and with what constants its pipeline is made.
#ifndef TULLE_SRC_KERNEL_VARIANT_H
#define TULLE_SRC_KERNEL_VARIANT_H

#include "kernel/family.h"
#include "kernel/pipeline.h"

struct variant {
    const char *name;
    const struct family *family;
    tulle_dtype dtype;
    /// Shape; what a family does not use is 0 (shaders/variants.def).
    uint32_t rows_per_lane, keys_per_lane, column_groups;
    uint32_t keys;       ///< per chunk
    const char *module;  ///< stem
};

extern const struct variant variants[];
extern const uint32_t variant_count;

#define HEAD_CLASSES 8
/// Which of the classes of head sizes, from 0: the least that holds it.
uint32_t head_class_number(uint32_t head_dim);
/// The class itself, a padded head size in pieces of 4 elements: 8, 16, 24, 32, 48, 64, 128 or 144.
uint32_t head_class(uint32_t head_dim);
/// Is it one of them? Any number.
bool is_head_class(uint32_t pieces);
/// One beyond which only kernels serve that keep O of few rows a lane.
#define HEAD_CLASS_USUAL 64u
/// Of the larger of head_dim and v_head_dim.
uint32_t larger_class(const struct attention *a);

uint32_t variant_workgroup(const struct variant *v, const struct caps *caps);
uint32_t variant_tile_rows(const struct variant *v, const struct caps *caps);
/// Loop iterations of an invocation in one chunk, at most (family.h).
uint32_t variant_chunk_loops(const struct variant *v, const struct attention *a);
/// May its items write O and LSE directly on this device, and resume partial results?
bool variant_direct(const struct variant *v, const struct caps *caps);
/// Does it, or its combine, reach a tensor (or BOUND_WORKSPACE, BOUND_PLAN) so?
bool variant_reaches(const struct variant *v, const struct caps *caps, int of,
                     enum reached_as reach);
/// Does it reach memory through addresses (no binding windows)?
bool variant_by_address(const struct variant *v, const struct caps *caps);
/// What the buffers of its tensors and its workspace must be created with.
VkBufferUsageFlags variant_usage(const struct variant *v, const struct caps *caps);

/// Why it does not serve: writes the reason and returns false. named: the user asked for it by
/// name.
bool variant_serves(const struct variant *v, const struct attention *a, const struct caps *caps,
                    bool named, char *reason, size_t size);

/// variant_usage of all that serve here without being named, whatever the dtype and head size.
VkBufferUsageFlags variants_usage(const struct caps *caps);

/// Variants of a's dtype that its kernel prefix admits, best first (what was tuned before what is
/// ranked, where no kernel is named); returns how many. order holds
/// variant_count entries.
uint32_t variant_order(const struct attention *a, const struct caps *caps, uint32_t *order);

/// Is this variant asked for: does the kernel name (not "") begin its name?
bool variant_named(const struct variant *v, const char *kernel);

/// The first that serves. NULL: none; *error has each one's reason.
const struct variant *variant_choose(const struct attention *a, const struct caps *caps,
                                     tulle_error *error);

/// What the pipeline of dispatches that do this (PM_FLAG_DIRECT, _PARTIAL, _RESUME) is made of.
void variant_pipeline_key(const struct variant *v, const struct attention *a,
                          const struct caps *caps, uint32_t does, struct pipeline_key *key);
/// What its combine is made of.
void combine_pipeline_key(const struct variant *v, const struct attention *a,
                          const struct caps *caps, uint32_t does, struct pipeline_key *key);

#endif
