// SPDX-License-Identifier: MIT
//
// Pipelines: from embedded SPIR-V and constants, made once per context and shared by all plans.
#ifndef TULLE_SRC_KERNEL_PIPELINE_H
#define TULLE_SRC_KERNEL_PIPELINE_H

#include "device/context.h"
#include "tulle/inspect.h"

struct pipeline_cache;

/// How a kernel's bindings look. The numbers of the bindings are in each kernel.
enum layout {
    LAYOUT_BASE,         ///< Q, K, V, workspace; plan memory
    LAYOUT_BASE_DIRECT,  ///< and O, LSE
    LAYOUT_ADDRESS,      ///< none
    LAYOUT_TEXEL,        ///< workspace, O, LSE; plan memory, Q, K, V and the workspace as texels
    LAYOUT_COMBINE,      ///< workspace, O, LSE; plan memory
    LAYOUT_COMBINE_ADDRESS,  ///< none
    LAYOUT_COMBINE_TEXEL,    ///< O, LSE; plan memory, the workspace as texels
    LAYOUT_MERGE,            ///< O and LSE twice
    LAYOUT_COUNT,
};

#define CONSTANTS_MOST 10

struct pipeline_key {
    char module[40];
    enum layout layout;
    uint32_t constants[CONSTANTS_MOST];  ///< by specialization id
};

struct pipeline {
    struct pipeline_key key;
    VkPipeline handle;
    struct pipeline *next;
};

struct module {
    const char *name;
    const uint32_t *words;
    size_t size;
};  ///< size in bytes

/// By name; NULL: there is none.
const struct module *module_find(const char *name);

tulle_result pipeline_cache_create(tulle_context *context, struct pipeline_cache **out,
                                   tulle_error *error);
void pipeline_cache_destroy(tulle_context *context, struct pipeline_cache *cache);

/// The context's pipeline for a key, made if it is not there yet; *compile_ms grows by the time
/// that took. It lives as long as the context. Any thread.
tulle_result pipeline_get(tulle_context *context, const struct pipeline_key *key, VkPipeline *out,
                          double *compile_ms, tulle_error *error);

VkDescriptorSetLayout pipeline_set_layout(const tulle_context *context, enum layout layout);
VkPipelineLayout pipeline_layout(const tulle_context *context, enum layout layout);

/// Makes the pipeline apart from the cache, reports it, and destroys it.
tulle_result pipeline_report(tulle_context *context, const struct pipeline_key *key,
                             const char *name, tulle_statistic_callback each, void *user,
                             tulle_error *error);

/// Storage buffers (dynamic where `dynamic`), and texel buffers, of a layout.
struct layout_shape {
    uint32_t storage[6], storage_count, texel[5], texel_count;
    bool dynamic;
    uint32_t push_bytes;
};
extern const struct layout_shape layout_shapes[LAYOUT_COUNT];

#endif
