// SPDX-License-Identifier: MIT
//
// What a physical device offers, what of it is enabled on a device, and both as the library's
// struct caps.
#ifndef TULLE_SRC_DEVICE_CAPS_H
#define TULLE_SRC_DEVICE_CAPS_H

#include "common/error.h"
#include "device/matrix.h"

/// What the kernels and the planner need to know of a device, after clamping and workarounds.
struct caps {
    VkPhysicalDeviceType type;
    uint32_t api_version;
    uint32_t vendor_id, device_id;
    VkDriverId driver_id;  ///< 0 where the driver does not tell
    char name[VK_MAX_PHYSICAL_DEVICE_NAME_SIZE];
    char driver[VK_MAX_DRIVER_NAME_SIZE];
    char driver_info[VK_MAX_DRIVER_INFO_SIZE];
    uint8_t uuid[VK_UUID_SIZE];
    // what code that the driver compiled holds for: kernel/blob.h
    uint32_t driver_version;
    uint8_t pipeline_cache_uuid[VK_UUID_SIZE];
    uint32_t subgroup_size;
    bool subgroup_shuffle;  ///< in compute shaders
    bool subgroup_vote, subgroup_ballot;
    bool buffer_device_address;  ///< enabled, not only offered
    bool subgroup_size_control;  ///< enabled
    bool executable_properties;  ///< VK_KHR_pipeline_executable_properties is enabled
    bool unified_memory;         ///< device-local memory is host-visible and coherent, all of it
    /// matrices of fp16 and of bf16 that its subgroups multiply, with all that matrix kernels need
    /// enabled; m is 0: none
    struct matrix_shape matrix_f16, matrix_bf16;
    uint32_t matrix_lanes;  ///< of subgroups that multiply them
    bool matrix_reduce;     ///< they can be reduced, converted, and functions applied to elements
    uint32_t max_workgroup_invocations;
    uint32_t max_workgroup_size_x;
    uint32_t max_shared_memory;  ///< bytes
    /// descriptors per stage, dynamic ones in a set counted too (the lower)
    uint32_t max_storage_buffers;
    uint32_t max_workgroups[3];
    uint64_t max_storage_range;   ///< bytes
    uint32_t max_texel_elements;  ///< of a texel buffer
    uint32_t storage_alignment;   ///< bytes, minStorageBufferOffsetAlignment
    uint32_t texel_alignment;     ///< bytes, minTexelBufferOffsetAlignment
    float timestamp_period;       ///< nanoseconds a tick; 0: no timestamps on the queue
    uint32_t timestamp_bits;
    /// of Mesa's CPU driver: 22, 3. 0: another driver, or one that does not tell
    uint32_t lavapipe_major, lavapipe_minor;
    bool slow_addresses;  ///< loads through addresses are no use (quirks.c)
    /// of one invocation before the driver stops; UINT32_MAX: no limit known
    uint32_t max_loop_iterations;
};

/// What descriptors of storage buffers, and texel views, are aligned to here, in bytes: a power of
/// two, and at least a texel of plan memory or of the workspace.
static inline uint64_t caps_storage_unit(const struct caps *caps) {
    return caps->storage_alignment > 16 ? caps->storage_alignment : 16;
}
static inline uint64_t caps_texel_unit(const struct caps *caps) {
    return caps->texel_alignment > 16 ? caps->texel_alignment : 16;
}

/// Bytes of a tensor that one storage buffer's descriptor reaches for certain, wherever the tensor
/// begins in its buffer.
static inline uint64_t caps_window_bytes(const struct caps *caps) {
    return caps->max_storage_range - 2 * caps_storage_unit(caps);
}

/// The optional features that a kernel may use, and the version up to which core functions may be
/// called.
struct device_features {
    uint32_t api_version;
    bool buffer_device_address;
    bool subgroup_size_control;
    bool executable_properties;
    /// cooperative matrices and what else their kernels need: Vulkan's memory model, fp16
    /// arithmetic, full subgroups of a size that is asked for
    bool matrix;
    bool matrix_bf16;    ///< of bf16 elements besides
    bool matrix_reduce;  ///< reductions, conversions, per-element functions besides
};

/// What a physical device offers.
struct device_offer {
    struct device_features features;  ///< what can be enabled
    bool driver_properties;           ///< VkPhysicalDeviceDriverProperties may be asked for
    // Device extensions that are listed:
    bool portability_subset;
    bool buffer_device_address_extension;
    bool subgroup_size_control_extension;
};

/// api_version: the highest that the instance was made for; the offer's is never above the
/// device's.
tulle_result caps_offer(const struct vulkan *vk, VkPhysicalDevice physical_device,
                        uint32_t api_version, struct device_offer *out, tulle_error *error);

/// What the caller of an import says is enabled, as far as the device offers it and the version or
/// an extension brings its functions; `passed_over` says of the rest what it lacks, on one line
/// ("": nothing was said that does not count). The import's structs were checked before. imported.c
void caps_imported_features(const tulle_vulkan_import *import, uint32_t api_version,
                            const struct device_features *offered, struct device_features *out,
                            char *passed_over, size_t size);

/// The queue families, to be freed by the caller; NULL where memory is out.
VkQueueFamilyProperties *caps_queue_families(const struct vulkan *vk,
                                             VkPhysicalDevice physical_device, uint32_t *count);

/// The family an own device takes its queue from; UINT32_MAX where none computes.
uint32_t caps_choose_queue_family(const VkQueueFamilyProperties *families, uint32_t count);

/// Fills caps as the device reports, with `enabled` features. family: of the queue; NULL: none.
void caps_fill(const struct vulkan *vk, VkPhysicalDevice physical_device,
               const struct device_offer *offer, const struct device_features *enabled,
               const VkQueueFamilyProperties *family, struct caps *out);

/// Lowers caps to what Vulkan 1.1 guarantees (TULLE_CLAMP_VULKAN_1_1), or leaves them
/// (TULLE_CLAMP_NONE).
void caps_clamp(struct caps *caps, tulle_clamp clamp);

/// caps as the public API shows them.
void caps_info(const struct caps *caps, uint32_t index, tulle_device_info *out);

/// As of a device that offers none.
void caps_without_matrices(struct caps *caps);

/// Corrects caps for what drivers get wrong. quirks.c
void quirks_apply(struct caps *caps);

/// Must the driver of such a device stay loaded once it is? quirks.c
bool quirks_driver_must_stay(uint32_t vendor_id);

#endif
