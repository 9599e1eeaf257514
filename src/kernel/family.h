// SPDX-License-Identifier: MIT
//
// A family of kernels: those that share a way of dealing work to lanes and of reaching memory. One
// entry each, in a file of its own beside this one (family_NAME.c), which lines of
// shaders/variants.def name. All else asks the entry; nothing asks which family it is.
#ifndef TULLE_SRC_KERNEL_FAMILY_H
#define TULLE_SRC_KERNEL_FAMILY_H

#include "device/caps.h"
#include "kernel/layout.h"

struct variant;

/// The kernel that merges what a family's items leave in the workspace. It has the family's
/// workgroup.
struct combine {
    const char *module;  ///< stem
    const struct layout *layout;
    /// How often one invocation goes over a row's partial results. v_pieces: class of v_head_dim.
    uint32_t (*rounds)(uint32_t v_pieces, uint32_t workgroup);
};

struct family {
    /// Invocations of a workgroup.
    uint32_t (*workgroup)(const struct variant *v, const struct caps *caps);
    /// Rows of a full item.
    uint32_t (*tile_rows)(const struct variant *v, const struct caps *caps);
    /// Bytes of shared memory of a pipeline at these classes (pieces).
    uint32_t (*shared_memory)(const struct variant *v, const struct caps *caps,
                              uint32_t head_pieces, uint32_t v_pieces);
    /// What its kernels reach on this device. Where that is O, items write O and LSE themselves
    /// and may resume partial results.
    const struct layout *(*layout)(const struct caps *caps);
    /// Why it does not serve: writes the reason (REFUSE) and returns false. named: asked for by
    /// name. What holds for every family was looked at before (variant_serves).
    bool (*serves)(const struct variant *v, const struct attention *a, const struct caps *caps,
                   bool named, char *reason, size_t size);
    /// Smaller is better; compared with every other family's. By driver and head size.
    uint32_t (*rank)(const struct variant *v, const struct attention *a, const struct caps *caps);
    /// Loop iterations of an invocation in one chunk, at most, and its share of those outside: for
    /// drivers that count them. At head sizes up to 256; beyond, up to twice as many.
    uint32_t chunk_loops;
    bool reads_pages;           ///< serves paged K and V (PM_FLAG_PAGED),
    uint32_t pages_shared;      ///< with so many bytes of shared memory more
    const char *direct_suffix;  ///< of modules whose items write O; "": all do
    bool resume_modules;        ///< items that resume have modules of their own, _resume
    /// pipelines leave out what none of their items does (PM_FLAG_DIRECT, _PARTIAL, _RESUME)
    bool does_constant;
    /// The specialization constants that are its own; NULL: it has none.
    void (*constants)(const struct variant *v, const struct caps *caps, uint32_t *constants);
    struct combine combine;
};

extern const struct family family_base;
extern const struct family family_matrix;
extern const struct family family_matrix_reduce;
extern const struct family family_rows_address;
extern const struct family family_rows_texel;

/// For `serves`: gives the reason, and returns false.
#define REFUSE(...) return snprintf(reason, size, __VA_ARGS__), false

#endif
