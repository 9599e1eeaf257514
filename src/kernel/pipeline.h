// SPDX-License-Identifier: MIT
//
// Pipelines: from embedded SPIR-V and constants, made once per context and shared by all plans.
#ifndef TULLE_SRC_KERNEL_PIPELINE_H
#define TULLE_SRC_KERNEL_PIPELINE_H

#include "device/context.h"
#include "kernel/layout.h"
#include "plan_memory.h"
#include "tulle/inspect.h"

struct pipeline_cache;

struct pipeline_key {
    char module[40];
    const struct layout *layout;
    uint32_t constants[PM_CONSTANTS];  ///< by specialization id
};

/// What Vulkan makes of a struct layout.
struct pipeline_layout {
    const struct layout *of;
    VkDescriptorSetLayout set;
    VkPipelineLayout handle;
    struct pipeline_layout *next;
};

struct pipeline {
    struct pipeline_key key;
    const struct pipeline_layout *layout;
    VkPipeline handle;  ///< VK_NULL_HANDLE while it is made
    struct pipeline *next;
};

struct module {
    const char *name;
    const uint32_t *words;
    size_t size;         ///< bytes
    const char *absent;  ///< why it was not built; NULL: it was
};

/// By name; NULL: there is none.
const struct module *module_find(const char *name);

/// Why it cannot be used; NULL: it can.
const char *module_absent(const char *name);
/// Was every module built?
bool modules_complete(void);

/// The device's layouts and pipelines. given: the host's VkPipelineCache; VK_NULL_HANDLE: one of
/// its own, with the code that pipeline_cache_code once gave (size bytes of it; 0: none). Code that
/// is of no use is ignored, and the log says so.
tulle_result pipeline_cache_create(tulle_context *context, VkPipelineCache given, const void *code,
                                   size_t size, struct pipeline_cache **out, tulle_error *error);
void pipeline_cache_destroy(struct pipeline_cache *cache);
VkPipelineCache pipeline_cache_handle(const struct pipeline_cache *cache);

/// What the driver has compiled so far, to be freed by the caller. The host's VkPipelineCache is
/// the host's to keep: of that nothing, and size 0. Any thread.
tulle_result pipeline_cache_code(const struct pipeline_cache *cache, void **out, size_t *size,
                                 tulle_error *error);

/// The pipeline for a key, made if it is not there yet. It lives as long as the cache. Any thread:
/// threads that want the same one wait for the first, and those that want others do not.
tulle_result pipeline_get(struct pipeline_cache *cache, const struct pipeline_key *key,
                          const struct pipeline **out, tulle_error *error);

/// Is it made? *out is it, or NULL. Any thread.
bool pipeline_ready(struct pipeline_cache *cache, const struct pipeline_key *key,
                    const struct pipeline **out);

/// Makes the pipeline apart from the others, reports it, and destroys it.
tulle_result pipeline_report(struct pipeline_cache *cache, const struct pipeline_key *key,
                             const char *name, tulle_statistic_callback each, void *user,
                             tulle_error *error);

#endif
