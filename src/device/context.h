// SPDX-License-Identifier: MIT
//
// The device: own or imported, its functions, what it can do, its memory and its queue. Made by
// run/context.c, its handles by open.c; what it says is messages.c.
#ifndef TULLE_SRC_DEVICE_CONTEXT_H
#define TULLE_SRC_DEVICE_CONTEXT_H

#include <stdatomic.h>

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
    atomic_uint holders;  ///< run/context.h
    struct vulkan vk;     ///< functions of the instance and of the device
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
    tulle_cache cache;               ///< all NULL: none. run/cache.h
    void (*lock_queue)(void *user);  ///< may be NULL
    void (*unlock_queue)(void *user);
    void *queue_user;
    struct mutex queue_mutex;    ///< taken around submits where no lock was given
    struct submitter submitter;  ///< made at the first use of it
    /// held for a whole tulle_attention, and while a plan is copied to an own device
    struct mutex submitter_mutex;
    uint32_t compile_threads;  ///< that planning may compile on, the caller's included; 0: as 1
    struct caps caps;
    VkPhysicalDeviceMemoryProperties memory_properties;
    struct memory_pool *pool;  ///< plan memory; device/pool.h
    /// What its plans share, of which nothing here knows: run/shared.h
    struct shared *shared;
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
