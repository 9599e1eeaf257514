// SPDX-License-Identifier: MIT
//
// The device: own or imported, its functions, what it can do, and what every plan on it shares.
// Made by run/context.c, its device by open.c; what it says is messages.c.
#ifndef TULLE_SRC_DEVICE_CONTEXT_H
#define TULLE_SRC_DEVICE_CONTEXT_H

#include "common/error.h"
#include "common/thread.h"
#include "device/caps.h"

/// A command buffer of the context's own, for plan memory and for tulle_attention: submit.c.
struct submitter {
    VkCommandPool pool;
    VkCommandBuffer cmd;
    VkFence fence;
};

struct tulle_context {
    struct vulkan vk;  ///< functions of the instance and of the device
    VkInstance instance;
    VkPhysicalDevice physical_device;
    VkDevice device;
    VkQueue queue;
    uint32_t queue_family;
    bool own_device;  ///< instance and device are ours to destroy
    uint32_t index;   ///< in vkEnumeratePhysicalDevices; UINT32_MAX: imported
    VkDebugUtilsMessengerEXT messenger;
    const VkAllocationCallbacks *allocator;  ///< NULL or &allocator_copy
    VkAllocationCallbacks allocator_copy;
    bool has_memory_callbacks;
    tulle_memory_callbacks memory_callbacks;
    tulle_log_callback log;
    void *log_user;
    void (*lock_queue)(void *user);  ///< may be NULL
    void (*unlock_queue)(void *user);
    void *queue_user;
    struct mutex queue_mutex;    ///< taken around submits where no lock was given
    struct submitter submitter;  ///< made at the first use of it
    /// held for a whole tulle_attention, and while a plan is copied to an own device
    struct mutex submitter_mutex;
    struct caps caps;
    VkPhysicalDeviceMemoryProperties memory_properties;
    // What every plan on the device shares (run/context.c):
    struct memory_pool *pool;           ///< plan memory; device/memory.h
    VkPipelineCache vk_pipeline_cache;  ///< ours, or the import's
    bool own_pipeline_cache;
    struct pipeline_cache *pipelines;  ///< kernel/pipeline.h
    /// schedule/schedule.h; taken out while a plan is made. May be NULL
    struct schedule_room *room;
    struct mutex room_mutex;
    /// run/host.h; made at the first tulle_attention; submitter_mutex guards it
    struct host_path *host_path;
};

/// tulle_fail, and the message to the log callback. context may be NULL: no log.
tulle_result context_fail(const tulle_context *context, tulle_error *error, tulle_result result,
                          const char *format, ...) TULLE_PRINTF(4, 5);
/// The same with what a part that knows no context said.
tulle_result context_pass(const tulle_context *context, tulle_error *error,
                          const tulle_error *from);
tulle_result context_fail_vk(const tulle_context *context, tulle_error *error, VkResult result,
                             const char *call);
void context_log(const tulle_context *context, tulle_log_level level, const char *format, ...)
    TULLE_PRINTF(3, 4);

#endif
