// SPDX-License-Identifier: MIT
//
// The device: own or imported, its functions, what it can do, and what every plan on it shares.
#ifndef TULLE_SRC_CONTEXT_H
#define TULLE_SRC_CONTEXT_H

#include "error.h"
#include "memory.h"
#include "thread.h"
#include "vulkan.h"

/// What the kernels and the planner need to know of a device, after clamping and workarounds.
struct caps {
    VkPhysicalDeviceType type;
    uint32_t api_version;
    uint32_t vendor_id, device_id;
    VkDriverId driver_id;                    ///< 0 where the driver does not tell
    char name[VK_MAX_PHYSICAL_DEVICE_NAME_SIZE];
    char driver[VK_MAX_DRIVER_NAME_SIZE];
    char driver_info[VK_MAX_DRIVER_INFO_SIZE];
    uint8_t uuid[VK_UUID_SIZE];
    uint32_t subgroup_size;
    bool subgroup_shuffle;                   ///< in compute shaders
    bool subgroup_vote;
    bool buffer_device_address;              ///< enabled, not only offered
    bool subgroup_size_control;              ///< enabled
    bool executable_properties;              ///< VK_KHR_pipeline_executable_properties is enabled
    bool unified_memory;                     ///< device-local memory is host-visible and coherent, all of it
    uint32_t max_workgroup_invocations;
    uint32_t max_workgroup_size_x;
    uint32_t max_shared_memory;              ///< bytes
    uint32_t max_storage_buffers;            ///< descriptors per stage, dynamic ones in a set counted too (the lower)
    uint32_t max_workgroups[3];
    uint64_t max_storage_range;              ///< bytes
    uint32_t max_texel_elements;             ///< of a texel buffer
    uint32_t storage_alignment;              ///< bytes, minStorageBufferOffsetAlignment
    uint32_t texel_alignment;                ///< bytes, minTexelBufferOffsetAlignment
    float timestamp_period;                  ///< nanoseconds a tick; 0: no timestamps on the queue
    uint32_t timestamp_bits;
    bool slow_addresses;                     ///< loads through addresses are no use (quirks.c)
    uint32_t max_loop_iterations;            ///< of one invocation before the driver stops; UINT32_MAX: no limit known
};

/// What descriptors of storage buffers, and texel views, are aligned to here, in bytes: a power of two, and at least a texel of
/// plan memory or of the workspace.
static inline uint64_t caps_storage_unit(const struct caps *caps) { return caps->storage_alignment > 16 ? caps->storage_alignment : 16; }
static inline uint64_t caps_texel_unit(const struct caps *caps) { return caps->texel_alignment > 16 ? caps->texel_alignment : 16; }

struct pipeline_cache;   // pipeline.h

struct tulle_context {
    struct vulkan vk;                        ///< functions of the instance and of the device
    VkInstance instance;
    VkPhysicalDevice physical_device;
    VkDevice device;
    VkQueue queue;
    uint32_t queue_family;
    bool own_device;                         ///< instance and device are ours to destroy
    uint32_t index;                          ///< in vkEnumeratePhysicalDevices; UINT32_MAX: imported
    VkDebugUtilsMessengerEXT messenger;
    const VkAllocationCallbacks *allocator;  ///< NULL or &allocator_copy
    VkAllocationCallbacks allocator_copy;
    bool has_memory_callbacks;
    tulle_memory_callbacks memory_callbacks;
    tulle_log_callback log;
    void *log_user;
    void (*lock_queue)(void *user);          ///< may be NULL
    void (*unlock_queue)(void *user);
    void *queue_user;
    struct mutex queue_mutex;                ///< taken around submits where no lock was given
    struct caps caps;
    VkPhysicalDeviceMemoryProperties memory_properties;
    struct memory_pool *pool;                ///< plan memory; memory.h
    VkPipelineCache vk_pipeline_cache;       ///< ours, or the import's
    bool own_pipeline_cache;
    struct pipeline_cache *pipelines;        ///< pipeline.h
    struct schedule_room *room;              ///< schedule.h; taken out while a plan is made. May be NULL
    struct mutex room_mutex;
    struct host_path *host_path;             ///< host.h; made at the first tulle_attention
    struct mutex host_mutex;                 ///< taken for the whole of a tulle_attention
};

/// tulle_fail, and the message to the log callback. context may be NULL: no log.
tulle_result context_fail(const tulle_context *context, tulle_error *error, tulle_result result, const char *format, ...) TULLE_PRINTF(4, 5);
/// The same with what a part that knows no context said.
tulle_result context_pass(const tulle_context *context, tulle_error *error, const tulle_error *from);
tulle_result context_fail_vk(const tulle_context *context, tulle_error *error, VkResult result, const char *call);
void context_log(const tulle_context *context, tulle_log_level level, const char *format, ...) TULLE_PRINTF(3, 4);

/// Submits one command buffer on the context's queue under the lock and waits for it. fence is reset first.
tulle_result context_submit_and_wait(tulle_context *context, VkCommandBuffer cmd, VkFence fence, tulle_error *error);

#endif
