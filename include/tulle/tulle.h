// SPDX-License-Identifier: MIT
//
// Tulle: exact sparse attention on any Vulkan device.
//
// Contents, in reading order:
//
//     Version                which library goes with this header
//     Results and errors     tulle_result, tulle_error; the log
//     Device                 tulle_context: a Vulkan device, its own or the caller's
//     Pattern                tulle_pattern: which keys each query attends to (a union of terms); no
//                            device needed
//     Descriptor             tulle_attention_desc: shape, elements, memory layout, arithmetic,
//                            pattern, positions and lengths, running
//     Plan                   tulle_plan: one attention of one shape with its patterns, scheduled,
//                            compiled, immutable
//     Binding and recording  tulle_binding: a plan's tensors, the caller's VkBuffers. tulle_cmd_*:
//                            recording into the caller's command buffer
//     Host arrays            tulle_attention: the whole way for arrays in host memory
//     Tuning                 tulle_tune: which kernel is the fastest here, measured
//     Merging                tulle_merge, tulle_merger: finished results over disjoint keys joined
//
// tulle/inspect.h, beside this header, says what a plan computes and why.
//
// Conventions. Every parameter struct may be zero-initialised: zero means the default that its
// comment names. Every fallible function returns a tulle_result and takes, last, an optional
// tulle_error that receives a message naming the argument, its value and what is allowed; where
// there is a context, its log gets the same message, once. (Patterns, tulle_merge, tulle_devices
// and tulle_required_features know no context: theirs is in tulle_error alone. A pattern that was
// not made is NULL, and the plan that it was meant for says so in the log.) On failure
// out-parameters are set to NULL (or left untouched where the comment says so) and nothing has
// changed. Nothing is printed, nothing aborts, and there is no global state apart from the Vulkan
// loader, which the library opens once, and, where there is a device of NVIDIA's, one bare
// VkInstance that stays (tulle_context_create).
//
// Versions. Program and library go together where MAJOR.MINOR is the same: the soname carries it,
// and so do the linked names of the functions that a program calls first (Version). Any other pair
// is refused before a struct is read. PATCH changes neither structs nor functions.
//
// Threads. Contexts, patterns and plans are immutable once made and may be used by any number of
// threads at once. A binding may be recorded by several threads at once. Destroying an object needs
// that no other call uses it. "Any thread" below: and beside any other call.
//
// Lifetimes. Objects may be destroyed in any order, each once: a binding holds its plan, plans and
// mergers hold their context, plans their patterns, and what is held goes with the last that holds
// it. So a context may outlive tulle_context_destroy, which then says so in the log (a WARNING
// where the device is imported); and until the last of its objects is destroyed an imported device,
// and the callbacks of tulle_context_params with what their `user` points to, must stay. What a
// pending command buffer uses (the binding, its plan, the merger, buffers) must not be destroyed
// before it has completed.
#ifndef TULLE_TULLE_H
#define TULLE_TULLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A program with a volk of its own includes volk.h before this header, or defines VK_NO_PROTOTYPES
// before either. (volk.h says so behind vulkan.h, and not behind vulkan_core.h.)
#ifdef VK_NO_PROTOTYPES
#include <vulkan/vulkan_core.h>
#else
#include <vulkan/vulkan.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32) && defined(TULLE_SHARED)
#ifdef TULLE_BUILD
#define TULLE_API __declspec(dllexport)
#else
#define TULLE_API __declspec(dllimport)
#endif
#elif defined(__GNUC__)
#define TULLE_API __attribute__((visibility("default")))
#else
#define TULLE_API
#endif

// -------------------------------------------------------------------------------------------------
// Version

#define TULLE_VERSION_MAJOR 0
#define TULLE_VERSION_MINOR 1
#define TULLE_VERSION_PATCH 0

/// The linked name of a function that may be the first to be handed a struct, since it needs no
/// object of Tulle's: tulle_context_create_0_1. With another library a program does not link, and
/// where it takes functions by name (dlsym, a foreign language's bindings) does not find them.
#define TULLE_VERSIONED(name) TULLE_JOIN_(name, TULLE_VERSION_MAJOR, TULLE_VERSION_MINOR)
#define TULLE_JOIN_(name, major, minor) TULLE_JOIN2_(name, major, minor)
#define TULLE_JOIN2_(name, major, minor) name##_##major##_##minor
#define tulle_context_create TULLE_VERSIONED(tulle_context_create)
#define tulle_required_features TULLE_VERSIONED(tulle_required_features)
#define tulle_devices TULLE_VERSIONED(tulle_devices)
#define tulle_pattern_create TULLE_VERSIONED(tulle_pattern_create)
#define tulle_pattern_parse TULLE_VERSIONED(tulle_pattern_parse)
#define tulle_pattern_parse_entries TULLE_VERSIONED(tulle_pattern_parse_entries)
#define tulle_merge TULLE_VERSIONED(tulle_merge)

/// The library's own: "0.1.0". Any thread.
TULLE_API const char *tulle_version(void);

// -------------------------------------------------------------------------------------------------
// Results and errors

typedef enum tulle_result {
    TULLE_OK = 0,
    TULLE_ERROR_INVALID_ARGUMENT,  ///< an argument is out of its range; the message names it
    TULLE_ERROR_SYNTAX,            ///< a pattern spec could not be read
    /// this device cannot; of a plan: no kernel variant serves it, with each one's reason
    TULLE_ERROR_UNSUPPORTED,
    /// workspace_limit is below the least that will do; the message names it
    TULLE_ERROR_WORKSPACE_LIMIT,
    TULLE_ERROR_NO_VULKAN,  ///< no Vulkan loader, or it offers less than Vulkan 1.1
    TULLE_ERROR_NO_DEVICE,  ///< no such device
    TULLE_ERROR_OUT_OF_HOST_MEMORY,
    TULLE_ERROR_OUT_OF_DEVICE_MEMORY,
    TULLE_ERROR_DEVICE_LOST,
    TULLE_ERROR_VULKAN,    ///< another VkResult; the message has its name
    TULLE_ERROR_CALLBACK,  ///< a callback of the caller's reported failure
} tulle_result;

/// The enumerator's name, "TULLE_OK" and so on; never NULL. Any thread.
TULLE_API const char *tulle_result_name(tulle_result result);

/// Filled on failure by the function it is passed to; its lifetime is the caller's.
typedef struct tulle_error {
    tulle_result result;
    char message[1000];  ///< NUL-terminated, one line, no trailing newline
} tulle_error;

typedef enum tulle_log_level {
    TULLE_LOG_ERROR = 0,
    TULLE_LOG_WARNING,
    TULLE_LOG_INFO,
    TULLE_LOG_DEBUG
} tulle_log_level;

/// Called with what an error would say (at ERROR), with what works and was hardly meant (at
/// WARNING: a slower kernel for want of a buffer's usage, for one), and with what the library
/// decided (at INFO and DEBUG). May be called from any thread that calls into the library (and
/// others: tulle_context_params, compile_threads), and must not call back into it.
typedef void (*tulle_log_callback)(void *user, tulle_log_level level, const char *message);

// -------------------------------------------------------------------------------------------------
// Device

typedef struct tulle_context tulle_context;

typedef enum tulle_device_by {
    /// discrete, then integrated, then virtual, then CPU; the first of the best kind
    TULLE_DEVICE_BEST = 0,
    TULLE_DEVICE_BY_INDEX,  ///< in the order of vkEnumeratePhysicalDevices
    TULLE_DEVICE_BY_UUID,   ///< VkPhysicalDeviceIDProperties::deviceUUID
    TULLE_DEVICE_BY_NAME,   ///< the first whose name contains device_name, case ignored
} tulle_device_by;

/// A device that the caller made. Vulkan cannot report what was enabled on it, so the caller says.
/// All handles stay the caller's: destroying the context leaves them intact.
typedef struct tulle_vulkan_import {
    PFN_vkGetInstanceProcAddr get_instance_proc_addr;  ///< NULL: from the loader that Tulle opens
    VkInstance instance;
    VkPhysicalDevice physical_device;
    VkDevice device;
    VkQueue queue;  ///< of a family with VK_QUEUE_COMPUTE_BIT
    uint32_t queue_family;
    uint32_t api_version;  ///< the lower of instance's and device's; 0: VK_API_VERSION_1_1
    /// as given to vkCreateDevice, pNext chain included; NULL: none enabled
    const VkPhysicalDeviceFeatures2 *features;
    const char *const *extensions;  ///< enabled device extensions
    uint32_t extension_count;
    /// optional; used by several threads at once, so not EXTERNALLY_SYNCHRONIZED
    VkPipelineCache pipeline_cache;
    /// Called around each vkQueueSubmit on `queue` (tulle_attention only). NULL: the queue is
    /// Tulle's alone.
    void (*lock_queue)(void *user);
    void (*unlock_queue)(void *user);
    void *queue_user;
} tulle_vulkan_import;

/// Device memory for plans, from the caller. Called on the thread of the call that makes a plan
/// (tulle_plan_create, tulle_tune) or that lets go of it (also tulle_plan_destroy,
/// tulle_binding_destroy).
typedef struct tulle_memory_callbacks {
    /// Gives memory of a type in `requirements`; sets *memory and *offset (aligned as required).
    /// *mapped: host address of it, coherent, or NULL where it is not mapped (Tulle then copies in
    /// tulle_cmd_prepare). Where bufferDeviceAddress is enabled the memory needs
    /// VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT. Returns an id, passed to free; *memory =
    /// VK_NULL_HANDLE means failure. What the callbacks do not cover comes from Tulle itself: a
    /// plan's copy until it is prepared, where *mapped is NULL (from the context's pool; on an
    /// imported device as long as the plan), workspaces that bindings make, and tulle_attention's
    /// buffers.
    void *(*allocate)(void *user, const VkMemoryRequirements *requirements, VkDeviceMemory *memory,
                      VkDeviceSize *offset, void **mapped);
    void (*free)(void *user, void *id);
    void *user;
} tulle_memory_callbacks;

/// Matrices that a subgroup multiplies: M × K by K × N. All 0: none.
typedef struct tulle_matrix_shape {
    uint32_t m, n, k;
} tulle_matrix_shape;

typedef struct tulle_device_info {
    uint32_t index;  ///< in the order of vkEnumeratePhysicalDevices
    char name[VK_MAX_PHYSICAL_DEVICE_NAME_SIZE];
    char driver[VK_MAX_DRIVER_NAME_SIZE];  ///< "" where the driver does not tell
    char driver_info[VK_MAX_DRIVER_INFO_SIZE];
    uint8_t uuid[VK_UUID_SIZE];
    VkPhysicalDeviceType type;
    uint32_t api_version;
    uint32_t vendor_id, device_id;
    uint32_t subgroup_size;
    uint32_t max_workgroup_invocations, max_shared_memory;  ///< bytes of shared memory
    uint32_t max_storage_buffers;                           ///< per stage
    uint64_t max_storage_range;                             ///< bytes
    uint32_t max_texel_elements;
    bool unified_memory;  ///< device memory is the host's
    bool buffer_device_address, subgroup_shuffle, subgroup_size_control, timestamps,
        executable_properties;
    /// VK_KHR_cooperative_matrix: of fp16 and of bf16, accumulated in fp32, as kernels use them
    tulle_matrix_shape matrix_f16, matrix_bf16;
} tulle_device_info;

/// Where what contexts learn is kept between processes: compiled kernels (the driver's pipeline
/// cache; not that of an import's pipeline_cache, which is its owner's to keep), and what tulle_tune
/// found. The library opens no file: these are the host's functions, and what they hand on is one
/// run of bytes for a device, of some KB to a few MB.
typedef struct tulle_cache {
    /// Called once by tulle_context_create, on its thread: gives what `write` last got for this
    /// device (info.uuid names it). The bytes stay the host's, and as they are until
    /// tulle_context_create returns. Nothing in them is believed before a checksum fits: what is
    /// damaged (a warning in the log), or was written by another version of Tulle or under another
    /// driver (a line at INFO), is ignored. Returns false where there is nothing. May be NULL
    bool (*read)(void *user, const tulle_device_info *info, const void **data, size_t *size);
    /// Called once by tulle_cache_save, on its thread: takes all the bytes, in place of what was
    /// there. Returns false where it could not. May be NULL, where nothing is saved
    bool (*write)(void *user, const tulle_device_info *info, const void *data, size_t size);
    void *user;
} tulle_cache;

/// Least values that stand in for what the device reports: for testing the portability floor on any
/// device.
typedef enum tulle_clamp {
    TULLE_CLAMP_NONE = 0,
    TULLE_CLAMP_VULKAN_1_1 = 1,  ///< no optional feature, limits as Vulkan 1.1 guarantees them
} tulle_clamp;

typedef struct tulle_context_params {
    tulle_device_by device_by;
    uint32_t device_index;              ///< for BY_INDEX
    uint8_t device_uuid[VK_UUID_SIZE];  ///< for BY_UUID
    const char *device_name;            ///< for BY_NAME
    const tulle_vulkan_import *import;  ///< not NULL: use this device; device_by is ignored
    /// passed to every vkCreate* but that of the instance that stays (tulle_context_create);
    /// copied; NULL: the driver's
    const VkAllocationCallbacks *allocator;
    const tulle_memory_callbacks *memory;  ///< copied; NULL: a pool in the context
    const tulle_cache *cache;              ///< copied; NULL: nothing is kept
    tulle_log_callback log;
    void *log_user;
    tulle_clamp clamp;
    /// own device: enable VK_LAYER_KHRONOS_validation, core and synchronization, its messages to
    /// `log`; TULLE_ERROR_UNSUPPORTED where it is not installed
    bool validation;
    /// how many threads tulle_plan_create may compile a plan's kernels on (3 at most), the caller's
    /// included; 0: the caller's alone. Plans made by several threads compile at once anyway. With
    /// more than 1, `log` and `allocator` are also called from threads of the library's own, which
    /// end before the call returns
    uint32_t compile_threads;
} tulle_context_params;

/// Makes a context. params may be NULL. Any thread. Errors: NO_VULKAN, NO_DEVICE, INVALID_ARGUMENT,
/// UNSUPPORTED, memory, VULKAN. Where there is a device of NVIDIA's, the first own context or
/// tulle_devices of a process also makes a bare VkInstance, without `allocator`, which stays: that
/// driver cannot be loaded any number of times.
TULLE_API tulle_result tulle_context_create(const tulle_context_params *params, tulle_context **out,
                                            tulle_error *error);

/// Hands params.cache->write what this context has learned so far, all that it read included; call
/// it when the plans are made and have run (some drivers compile at the first dispatch). Any
/// thread. Errors: INVALID_ARGUMENT (there is no `write`), CALLBACK, memory, VULKAN.
TULLE_API tulle_result tulle_cache_save(tulle_context *context, tulle_error *error);

/// Destroys it, as soon as the last plan, binding and merger made from it is gone (Lifetimes); no
/// call may be handed it any more. NULL is accepted.
TULLE_API void tulle_context_destroy(tulle_context *context);

/// Cooperative matrices and what their kernels need besides, as vkCreateDevice takes it. Three
/// structs are declared here, field by field, since older headers lack them.
typedef struct tulle_matrix_features {
    VkPhysicalDeviceVulkanMemoryModelFeatures memory_model;
    VkPhysicalDeviceShaderFloat16Int8Features float16;
    struct {  ///< VkPhysicalDeviceCooperativeMatrixFeaturesKHR
        VkStructureType sType;
        void *pNext;
        VkBool32 cooperativeMatrix, cooperativeMatrixRobustBufferAccess;
    } cooperative_matrix;
    VkPhysicalDeviceMaintenance4Features maintenance4;
    struct {  ///< VkPhysicalDeviceCooperativeMatrix2FeaturesNV
        VkStructureType sType;
        void *pNext;
        VkBool32 cooperativeMatrixWorkgroupScope, cooperativeMatrixFlexibleDimensions,
            cooperativeMatrixReductions, cooperativeMatrixConversions,
            cooperativeMatrixPerElementOperations, cooperativeMatrixTensorAddressing,
            cooperativeMatrixBlockLoads;
    } cooperative_matrix2;
    struct {  ///< VkPhysicalDeviceShaderBfloat16FeaturesKHR
        VkStructureType sType;
        void *pNext;
        VkBool32 shaderBFloat16Type, shaderBFloat16DotProduct, shaderBFloat16CooperativeMatrix;
    } bfloat16;
} tulle_matrix_features;

/// What faster variants use, as vkCreateDevice takes it. Every field that `tulle_required_features`
/// sets should be enabled on a device that will be imported; the base kernel needs none of them.
/// Vulkan wants each feature once in a chain: a host with a VkPhysicalDeviceVulkan12Features or
/// Vulkan13Features of its own does not chain these structs but merges by hand. It sets the fields
/// that are VK_TRUE here in its own (they have the same names: 12 has bufferDeviceAddress,
/// vulkanMemoryModel and shaderFloat16, 13 has subgroupSizeControl, computeFullSubgroups and
/// maintenance4) and chains what is in neither.
typedef struct tulle_features {
    VkPhysicalDeviceFeatures2 required;  ///< pNext NULL; no feature is required today
    /// its pNext chains the structs below, as far as the device has them
    VkPhysicalDeviceFeatures2 recommended;
    VkPhysicalDeviceBufferDeviceAddressFeatures buffer_device_address;
    VkPhysicalDeviceSubgroupSizeControlFeatures subgroup_size_control;
    tulle_matrix_features matrix;  ///< where the device has matrices that kernels use
    const char *extensions[8];     ///< recommended device extensions, static strings
    uint32_t extension_count;
} tulle_features;

/// Says what to enable before vkCreateDevice: VK_KHR_portability_subset too where the device lists it
/// (MoltenVK, whose instance is made with VK_KHR_portability_enumeration). `features` must stay where it is while its chain is
/// used. get_instance_proc_addr may be NULL (the loader that Tulle opens). Any thread.
TULLE_API tulle_result tulle_required_features(PFN_vkGetInstanceProcAddr get_instance_proc_addr,
                                               VkInstance instance,
                                               VkPhysicalDevice physical_device,
                                               tulle_features *features, tulle_error *error);

/// Lists every Vulkan device. Call with devices = NULL for the count. Any thread. May leave an
/// instance: tulle_context_create.
TULLE_API tulle_result tulle_devices(uint32_t *count, tulle_device_info *devices,
                                     tulle_error *error);

/// What this context runs on (index is UINT32_MAX where imported). Any thread. A NULL argument:
/// nothing is written.
TULLE_API void tulle_context_info(const tulle_context *context, tulle_device_info *info);

/// What to create the buffers with that a plan is bound to (Q, K, V, O, LSE and the workspace), and
/// to say in its buffer_usage, so that the fastest kernels of this device serve it, whatever its
/// dtype and head size: VK_BUFFER_USAGE_STORAGE_BUFFER_BIT, with _UNIFORM_TEXEL_BUFFER_BIT or
/// _SHADER_DEVICE_ADDRESS_BIT only where a kernel gains by them (CPU drivers). Memory behind a
/// buffer with the last needs VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT. NULL: the first alone. Any
/// thread.
TULLE_API VkBufferUsageFlags tulle_buffer_usage(const tulle_context *context);

// -------------------------------------------------------------------------------------------------
// Pattern: a function of (query position p, key position j, head, kv_len, causal) and of nothing
// else (docs/semantics.md)

typedef enum tulle_term_kind {
    TULLE_DENSE = 0,  ///< every pair
    TULLE_WINDOW,     ///< −right ≤ p − j ≤ left
    TULLE_DILATED,    ///< the same in steps: −right·step ≤ p − j ≤ left·step, (p − j) mod step = 0
    TULLE_GLOBAL,     ///< j < count or 0 ≤ p < count
    TULLE_GLOBAL_LIST,  ///< j or p in `positions`
    TULLE_SINK,         ///< j < count
    TULLE_STRIDED,      ///< (p − j) mod step = 0
    TULLE_FIXED,        ///< ⌊p/step⌋ = ⌊j/step⌋ or j mod step ≥ step − count
    TULLE_BLOCKS,       ///< mask[layout][⌊p/block⌋][⌊j/block⌋]
    TULLE_RANDOM,  ///< `count` distinct key blocks per (head, query block), drawn by Philox4x32-10
    TULLE_DOCUMENTS,       ///< p and j in the same interval of `positions` (cumulative lengths)
    TULLE_PREFIX,          ///< (p < count and j < count) or j ≤ p; used without `causal`
    TULLE_CHUNKED,         ///< ⌊p/step⌋ = ⌊j/step⌋
    TULLE_A_SHAPE,         ///< j < count or 0 ≤ p − j < block
    TULLE_VERTICAL_SLASH,  ///< j in `positions` or p − j in `diagonals`, by head
    TULLE_NEIGHBORHOOD,    ///< the nearest keys on each of 1 to 3 axes; windows shift at the edges
} tulle_term_kind;

#define TULLE_INFINITE INT64_C(-1)  ///< for left and right
#define TULLE_AXES_MOST 3           ///< of a neighbourhood

/// One term of a union. Arrays are copied by tulle_pattern_create.
typedef struct tulle_term {
    tulle_term_kind kind;
    int64_t left, right;  ///< WINDOW, DILATED: ≥ 0, or TULLE_INFINITE
    int64_t step;         ///< DILATED, STRIDED, FIXED, CHUNKED: ≥ 1
    int64_t count;        ///< GLOBAL, SINK, PREFIX, A_SHAPE: ≥ 0. FIXED: 1 … step. RANDOM: ≥ 1
    int64_t block;        ///< BLOCKS, RANDOM, A_SHAPE: ≥ 1, in positions
    uint64_t seed;        ///< RANDOM
    /// GLOBAL_LIST: any order, ≥ 0. DOCUMENTS: cumulative lengths, the first 0, not falling.
    /// VERTICAL_SLASH: columns, any order, [layouts][position_count / layouts], −1: none
    const int64_t *positions;
    size_t position_count;     ///< DOCUMENTS: ≥ 2
    const int64_t *diagonals;  ///< VERTICAL_SLASH: p − j, likewise, [layouts][…]
    size_t diagonal_count;
    // BLOCKS: a mask of [layouts][block_rows][block_cols] cells, as 0/1 bytes or as CSR.
    const uint8_t *mask;         ///< 0/1, C order; NULL: CSR
    const int64_t *row_offsets;  ///< CSR: layouts · block_rows + 1 entries, from 0, not falling
    const int64_t *columns;      ///< CSR: row_offsets[last] block columns, rising within a row
    /// BLOCKS, VERTICAL_SLASH: 1 (or 0): shared; kv_heads: per kv head; heads: per query head
    int64_t layouts;
    int64_t block_rows, block_cols;
    // NEIGHBORHOOD: per axis, the slowest first; the last one's positions are neighbours.
    uint32_t axes;                      ///< 1 … TULLE_AXES_MOST
    int64_t grid[TULLE_AXES_MOST];      ///< positions on each axis: ≥ 1; 0 on an only axis: kv_len
    int64_t kernel[TULLE_AXES_MOST];    ///< keys: ≥ 1; kernel · dilation ≤ grid
    int64_t dilation[TULLE_AXES_MOST];  ///< ≥ 1, or 0 for 1
    bool causal_axis[TULLE_AXES_MOST];
    /// What else a pair must be selected by: the intersection of this term and all of these, whose
    /// own factors count too. NULL where factor_count is 0.
    const struct tulle_term *factors;
    uint32_t factor_count;
} tulle_term;

typedef struct tulle_pattern tulle_pattern;

/// A union of terms (at least one). Errors: INVALID_ARGUMENT naming the term and the number,
/// memory. Any thread.
TULLE_API tulle_result tulle_pattern_create(const tulle_term *terms, uint32_t term_count,
                                            tulle_pattern **out, tulle_error *error);

/// NULL is accepted.
TULLE_API void tulle_pattern_destroy(tulle_pattern *pattern);

/// An array that a spec names (blocks:B,FILE and so on), as the loader callback hands it over:
/// integers of any kind widened to int64, C order. `values` stays the caller's and is released by
/// calling `release(user, array)`.
typedef struct tulle_array {
    const int64_t *values;
    uint32_t dimensions;  ///< 1 to 3
    int64_t shape[3];
    bool is_integer;   ///< false: the file holds another type, and the term refuses it
    bool is_bool;      ///< bool or an integer type may be a mask, only int32/int64 a position list
    bool is_index;     ///< int32 or int64
    const char *type;  ///< of its elements, for messages ("float32"), static; may be NULL
    void *owner;       ///< for release
} tulle_array;

/// Turns names in a spec into arrays. The library opens no file.
typedef struct tulle_array_loader {
    /// Fills *array; on failure returns false after writing a reason into message (message_size
    /// bytes).
    bool (*load)(void *user, const char *name, tulle_array *array, char *message,
                 size_t message_size);
    void (*release)(void *user, tulle_array *array);
    void *user;
} tulle_array_loader;

/// Reads a spec: terms joined by '+' are a union, factors joined by '&' an intersection, which binds
/// tighter; patterns joined by ';' are dealt to heads in turn (as a plan does, head_pattern NULL).
///
///     dense  window:L,R  dilated:L,R,S  global:G  global:FILE  sink:S  strided:S  fixed:S,C
///     blocks:B,FILE  random:B,R,SEED  documents:FILE  prefix:N  chunked:C  a_shape:S,W
///     vertical_slash:FILE,FILE  neighborhood:K[,D][,cX]  neighborhood:HxW,KHxKW[,DHxDW][,cXY]
///                                        (L and R may be inf; FILE may stand in double quotes;
///                                        brackets: may be left out; three axes likewise)
///
/// *count receives how many patterns there are and *out an array of them, to be freed by
/// tulle_patterns_free. loader may be NULL where no FILE occurs. Errors: SYNTAX with the column,
/// INVALID_ARGUMENT, CALLBACK, memory. Any thread.
TULLE_API tulle_result tulle_pattern_parse(const char *spec, const tulle_array_loader *loader,
                                           tulle_pattern ***out, uint32_t *count,
                                           tulle_error *error);

/// Reads specs that differ by batch entry (or packed sequence), joined by '|': each as above, dealt
/// to entries in turn. entry_pattern, the caller's, of entries × heads, receives what the
/// descriptor's field of that name wants. Errors besides: INVALID_ARGUMENT where there are more
/// specs than entries, or more patterns in one than heads. Any thread.
TULLE_API tulle_result tulle_pattern_parse_entries(const char *spec,
                                                   const tulle_array_loader *loader,
                                                   uint32_t entries, uint32_t heads,
                                                   tulle_pattern ***out, uint32_t *count,
                                                   uint32_t *entry_pattern, tulle_error *error);

/// Destroys the patterns and frees the array. patterns may be NULL.
TULLE_API void tulle_patterns_free(tulle_pattern **patterns, uint32_t count);

/// Prints the pattern as a spec that reads back to the same pattern (arrays by the name they were
/// loaded under, or as "<blocks 4x4x64>" where there is none). Writes at most size bytes with the
/// NUL; returns the length needed without it, like snprintf. Any thread.
TULLE_API size_t tulle_pattern_print(const tulle_pattern *pattern, char *text, size_t size);

// -------------------------------------------------------------------------------------------------
// Descriptor: what one attention is

typedef enum tulle_dtype { TULLE_F32 = 0, TULLE_F16, TULLE_BF16 } tulle_dtype;

/// Bytes of an element: 4, 2, 2.
TULLE_API size_t tulle_dtype_size(tulle_dtype dtype);

typedef enum tulle_o_dtype { TULLE_O_AS_INPUT = 0, TULLE_O_F32 } tulle_o_dtype;

typedef enum tulle_q_align {
    TULLE_ALIGN_LAST_KEY = 0,  ///< q_offset = kv_len − q_len: the last query stands at the last key
    TULLE_ALIGN_FIRST_KEY,     ///< q_offset = 0
    TULLE_ALIGN_GIVEN,         ///< q_offsets says
} tulle_q_align;

/// In elements. The last axis is contiguous. All three zero: C order of [batch, heads, length,
/// dim]. On the device each is a multiple of 4; an input's may be 0 (broadcast) where the axis is
/// longer than 1. (Where the tensor's head_dim or v_head_dim is no multiple of 4, they are those of
/// host arrays, and its rows on the device lie as the library likes.)
typedef struct tulle_strides {
    int64_t batch, head, row;
} tulle_strides;

/// What tulle_attention's own buffers have, and what buffer_usage 0 means. A device without
/// bufferDeviceAddress passes the bit over.
#define TULLE_USAGE_HOST                                                             \
    (VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT | \
     VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT)

/// Only heads, q_len, kv_len and head_dim have no default. What is out of its range is
/// INVALID_ARGUMENT, and the message names the field. tulle_plan_create copies all that is pointed
/// to (patterns by reference count); it may be freed afterwards.
typedef struct tulle_attention_desc {
    // Shape. Q [batch, heads, q_len, head_dim], K [batch, kv_heads, kv_len, head_dim],
    // V [batch, kv_heads, kv_len, v_head_dim], O [batch, heads, q_len, v_head_dim]. batch · heads
    // is below 2³¹.
    uint32_t batch;     ///< 1 … 2³¹ − 1; 0: 1
    uint32_t heads;     ///< 1 … 2³¹ − 1
    uint32_t kv_heads;  ///< divides heads; 0: heads. Head h reads kv head ⌊h · kv_heads / heads⌋
    uint32_t q_len, kv_len;  ///< 1 … 2³¹ − 1
    /// 1 … 576. What is no multiple of 4 is for host arrays alone: tulle_attention pads the rows,
    /// and tulle_binding_create refuses the plan. Beyond 256 fewer kernels serve, and on some GPUs
    /// none
    uint32_t head_dim;
    uint32_t v_head_dim;  ///< the same, up to 512; 0: head_dim

    // Elements. Computed in fp32 whatever they are; LSE is always fp32.
    tulle_dtype dtype;      ///< of Q, K and V; 0: TULLE_F32
    tulle_o_dtype o_dtype;  ///< 0: TULLE_O_AS_INPUT, which is dtype

    // Memory layout, in elements. Rows of O may not overlap; each tensor is below 2⁵⁷ bytes. LSE
    // [batch, heads, q_len] is contiguous.
    tulle_strides q, k, v, o;
    /// take all-zero strides literally, one row for all, instead of as C order
    bool q_broadcast, k_broadcast, v_broadcast;

    // Arithmetic. Logit z = softcap · tanh(scale · q·k / softcap) − slope · |p − j|, and
    // O = Σ exp(z) · v / D, D = Σ exp(z) + exp(sink logit), over the keys that the query selects.
    // One that selects none: O 0, and LSE −∞ (the sink logit where there is one).
    float scale;    ///< finite, below 2.35e38; 0: 1/√head_dim
    float softcap;  ///< the same, at least 0, and scale / softcap finite in fp32; 0: none
    bool causal;    ///< only keys j ≤ p
    const float *alibi_slopes;  ///< heads entries, finite, below 2.35e38; NULL: no bias
    /// heads entries, the same: a term in D that has no value; NULL: none
    const float *sink_logits;
    bool lse;  ///< write LSE, the natural logarithm of D

    // Pattern: which keys the queries of each head select.
    const tulle_pattern *const *patterns;  ///< pattern_count of them
    uint32_t pattern_count;                ///< 0: dense; at most heads where head_pattern is NULL
    /// heads indices into patterns; NULL: head h uses h mod pattern_count
    const uint32_t *head_pattern;
    /// instead of it [batch or sequences][heads] indices, for patterns that differ by batch entry
    const uint32_t *entry_pattern;

    // Positions and lengths. Query row i stands at p = i + q_offset (below 2³¹), key j at j.
    tulle_q_align q_align;     ///< where q_offset comes from; 0: the last query at the last key
    const int32_t *q_offsets;  ///< for ALIGN_GIVEN, else NULL; may be negative
    uint32_t q_offset_count;   ///< 1 (for all), or batch (or sequences)
    /// batch entries in 0 … q_len; rows from there on are written 0, LSE −∞; NULL: q_len
    const int32_t *q_lengths;
    const int32_t *kv_lengths;  ///< batch entries in 0 … kv_len; NULL: kv_len
    const int32_t *kv_starts;   ///< batch entries in 0 … kv_len: keys before do not exist; NULL: 0

    // Packed sequences ("varlen"): sequence s has query rows cu_q[s] … cu_q[s + 1] − 1 of Q, O and
    // LSE and keys cu_kv[s] … cu_kv[s + 1] − 1, and is computed as a batch entry of those lengths
    // is: positions, patterns and kv_len are its own. batch is 1, lengths and starts above NULL;
    // q_offsets has 1 entry or one a sequence.
    uint32_t sequences;  ///< 1 …; times heads below 2³¹. 0 where cu_q is NULL
    /// cumulative lengths, sequences + 1 entries: from 0, not falling, the last q_len; NULL: none
    const int32_t *cu_q;
    const int32_t *cu_kv;  ///< the same of keys, the last kv_len; NULL: cu_q

    // Speculative trees: the last keys of each batch entry or sequence are those of its own query
    // rows, and a matrix says which of these a row sees, whatever patterns and causality say. Of the
    // keys before them patterns select as ever. Row r stands at p = kv length − query rows + r, so
    // q_align is left 0.
    uint32_t
        tree_rows;  ///< side of the matrices: up to 256, and no fewer than an entry's query rows
    /// [batch or sequences][tree_rows][(tree_rows + 31) / 32]: row r sees the key of row c where bit
    /// c mod 32 of word c / 32 is set. What is past an entry's query rows is ignored. NULL: none
    const uint32_t *trees;

    // Paged K and V: pools of pages, K [pages, kv_heads, page_size, head_dim] and V likewise, in which
    // `batch` of their strides is from page to page. Key j of batch entry b is row j mod page_size of
    // page table[b][⌊j / page_size⌋]. The table is an int32 array [batch, table_columns] of the run
    // (tulle_buffers, tulle_host_arrays): pages in any order and shared as one likes; cells that no
    // selected key needs may hold anything. One outside 0 … pages − 1 leaves the rows that see its keys
    // unspecified, and reaches nothing outside the pools. Not with cu_q. UNSUPPORTED where no kernel
    // serves that reads pages (matrix_* do not), or a pool is above what one descriptor reaches
    uint32_t page_size;      ///< keys of a page: a power of two, 1 … 1024; 0: not paged
    uint32_t pages;          ///< of each pool: 1 … 2²⁸; 0 where page_size is
    uint32_t table_columns;  ///< times page_size at least kv_len; 0 where page_size is

    // Running: on which buffers, by which kernel, in how much memory, in what portions.
    /// What all the caller's buffers, its workspace included, were created with, as far as kernels
    /// may use it: best tulle_buffer_usage(context), and always VK_BUFFER_USAGE_STORAGE_BUFFER_BIT.
    /// Vulkan cannot be asked. Where a flag that is missing costs the fastest kernel, a WARNING
    /// names both. With VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT the memory behind them has
    /// VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT. 0: the plan is for host arrays alone
    /// (tulle_attention, whose buffers have what the fastest kernel needs); tulle_binding_create
    /// refuses it
    VkBufferUsageFlags buffer_usage;
    /// a variant's name, or a prefix of names such as "base"; NULL: the best. UNSUPPORTED where
    /// none that begins so serves
    const char *kernel;
    /// bytes; 0: 256 MiB. Never more than the device binds. WORKSPACE_LIMIT where it is too little
    uint64_t workspace_limit;
    /// no dispatch visits more (rows × keys, over its heads); 0: 1.5e9 on discrete GPUs, 2^28 on
    /// CPUs, 2.3e8 elsewhere; it is kept to what one work item needs
    uint64_t dispatch_pairs;
} tulle_attention_desc;

// -------------------------------------------------------------------------------------------------
// Plan

typedef struct tulle_plan tulle_plan;

/// Checks the descriptor, chooses a variant, schedules, and compiles what the context has not
/// compiled yet. On an own device it also runs tulle_cmd_prepare. Everything the descriptor points
/// to is copied. Any thread. Errors: INVALID_ARGUMENT, UNSUPPORTED, WORKSPACE_LIMIT, CALLBACK,
/// memory, DEVICE_LOST, VULKAN.
///
/// Decoding: each step is a plan and a binding of its own, with q_len the new rows (1), kv_len the
/// keys so far, q_align left 0 (the last query stands at the last key), and the pattern of the
/// prefill. K and V stay in buffers for the longest context, with batch and head strides of that
/// length: a step appends rows, and moves none. (Sequences of several lengths in one batch:
/// kv_lengths.) Such a plan takes some 10 µs (of a CPU core, measured on a Zen 4); it compiles
/// nothing that the context has compiled, and takes plan memory that an earlier one gave back. Plan
/// and binding stay until the step has completed.
TULLE_API tulle_result tulle_plan_create(tulle_context *context, const tulle_attention_desc *desc,
                                         tulle_plan **out, tulle_error *error);

/// NULL is accepted. No command buffer that uses it may be pending. It goes when the last of its
/// bindings is destroyed too; no call may be handed it any more.
TULLE_API void tulle_plan_destroy(tulle_plan *plan);

typedef struct tulle_plan_info {
    char kernel[64];             ///< the variant's name
    bool tuned;                  ///< it was chosen by what tulle_tune found
    uint32_t tile_rows;          ///< query rows of a work item, at most
    uint32_t chunk_keys;         ///< keys that its loop takes at a time
    uint64_t workspace_bytes;    ///< what a binding needs; 0: none
    uint64_t workspace_minimum;  ///< the smallest workspace_limit that will do
    /// rows × keys that the loops run over, dead rows and padding keys included. Where it is over 4
    /// times what is selected (tulle_plan_count_pairs; estimated), a WARNING says so, and which term
    /// it is for: not where it is below 2^20, nor for rows that a tile of too few queries lacks
    uint64_t visited;
    uint32_t dispatches;
    uint64_t items;  ///< work items, each run for every (batch, head) that shares it
    /// of planning's large arrays on the host. The context keeps those of its largest plan for
    /// later ones, unless they exceed 32 MiB, until it is destroyed
    uint64_t host_bytes;
    uint64_t device_bytes;       ///< plan memory on the device, as long as the plan lives
    bool prepare;                ///< tulle_cmd_prepare has something to record
    bool prepared;               ///< planning has already run it (own device)
    double plan_ms, compile_ms;  ///< planning alone; until pipelines that were missing were there
} tulle_plan_info;

/// Any thread.
TULLE_API void tulle_plan_get_info(const tulle_plan *plan, tulle_plan_info *info);

// -------------------------------------------------------------------------------------------------
// Binding and recording

typedef struct tulle_buffer {
    VkBuffer buffer;
    /// bytes: a multiple of 4 elements (LSE: of one; the workspace: of 16 bytes and of the device's
    /// minStorageBufferOffsetAlignment)
    VkDeviceSize offset;
    /// bytes from offset on that may be used; 0: to the end of the buffer. At least what the plan
    /// needs, in a buffer that has it (by vkGetBufferMemoryRequirements, which rounds up)
    VkDeviceSize size;
} tulle_buffer;

/// O, LSE and the workspace share no byte with another tensor, nor may O be Q itself:
/// INVALID_ARGUMENT where they do in one VkBuffer. (Two buffers on one memory are not seen.) Rows
/// of one tensor may lie between those of another.
typedef struct tulle_buffers {
    tulle_buffer q, k, v, o;
    tulle_buffer lse;        ///< only where the descriptor asks for it
    tulle_buffer workspace;  ///< buffer NULL: the binding makes its own
    /// only where the descriptor has a page_size: int32 [batch, table_columns], dense. Its offset is a
    /// multiple of 16 bytes and of the device's minTexelBufferOffsetAlignment, and its buffer's usage
    /// is buffer_usage with VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT. Read as Q, K and V are
    tulle_buffer page_table;
} tulle_buffers;

typedef struct tulle_binding tulle_binding;

/// Descriptor sets and views for one set of buffers, made once; the buffers must outlive it. The
/// plan has a buffer_usage, which theirs contains. Any thread. Errors: INVALID_ARGUMENT,
/// UNSUPPORTED, memory, VULKAN.
TULLE_API tulle_result tulle_binding_create(tulle_plan *plan, const tulle_buffers *buffers,
                                            tulle_binding **out, tulle_error *error);

/// NULL is accepted. No command buffer that uses it may be pending.
TULLE_API void tulle_binding_destroy(tulle_binding *binding);

/// Records what the device does once for a plan (copying it to device memory). Where plan info says
/// `prepare` and not `prepared`, the caller records this before the first attention, in the same
/// command buffer or in one that is submitted before it. Until then tulle_cmd_attention refuses the
/// plan, on every thread. (It cannot see whether the command buffer is ever submitted.
/// tulle_attention copies by itself, and then the plan is prepared too.) Once more, in any command
/// buffer, does no harm; where nothing is to be done, nothing is recorded. Ends with a barrier that
/// makes the copy visible to compute shaders of later commands in submission order. Recording needs
/// external synchronisation of cmd alone.
TULLE_API tulle_result tulle_cmd_prepare(VkCommandBuffer cmd, tulle_plan *plan, tulle_error *error);

/// Records the attention: dispatches and the barriers between them, nothing else. No allocation, no
/// submission, no wait, no compilation. Errors: INVALID_ARGUMENT (also where tulle_cmd_prepare is
/// owed); then nothing was recorded.
///   Reads Q, K, V and the page table (VK_ACCESS_SHADER_READ_BIT), writes O and LSE (SHADER_WRITE;
///   kernels for CPUs also read what they will write, to have it in the cache, and use nothing of
///   it), reads and writes the workspace, all at VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT. The caller
///   owes a barrier before (what wrote Q, K, V and the page table; and what last read or wrote O,
///   LSE and the workspace, an earlier attention included) and one after. Clobbers the bound compute
///   pipeline, its descriptor sets and push constants. cmd must be recording, outside a render pass.
/// `first` and `count` name a range of the plan's dispatches (info.dispatches); count 0: all from
/// first on. Ranges recorded one after the other in order, in one command buffer or several
/// submitted in order, do the whole.
TULLE_API tulle_result tulle_cmd_attention(VkCommandBuffer cmd, const tulle_plan *plan,
                                           const tulle_binding *binding, uint32_t first,
                                           uint32_t count, tulle_error *error);

// -------------------------------------------------------------------------------------------------
// Host arrays

/// Arrays in host memory, of the descriptor's shapes and dtypes. Strides all zero: the plan's, but
/// for arrays that are marked below. Others are in elements, any value, last axis contiguous, but
/// that rows of O do not overlap; what they reach is read, no more. An axis along which the plan's stride of an input is 0 is read and
/// copied once, at its index 0; one along which only the array's is 0 is copied to each of the
/// plan's rows. O may be Q itself, row for row, of one dtype and strides: it is overwritten. Else O
/// and LSE share no byte with another array.
typedef struct tulle_host_arrays {
    const void *q, *k, *v;
    void *o;
    float *lse;  ///< [batch, heads, q_len]; where the descriptor asks for it
    /// [batch, table_columns], dense; where the descriptor has a page_size
    const int32_t *page_table;
    tulle_strides q_strides, k_strides, v_strides, o_strides;
    /// take all-zero strides literally, one row for all, instead of as the plan's
    bool q_broadcast, k_broadcast, v_broadcast;
} tulle_host_arrays;

/// How long a call of tulle_attention takes: measured afterwards, told meanwhile.
typedef struct tulle_timing {
    // Measuring. The first run is untimed on the device; the attention runs `repeat` times more.
    uint32_t repeat;
    /// `repeat` entries: each one's milliseconds, by device timestamps where the queue has them,
    /// else from submit to fence; NULL: not wanted
    double *repeat_ms;
    double *first_ms;  ///< the first run's milliseconds, from submit to fence; NULL: not wanted

    // Progress. Called with the share of all the work, repeats included, that is done (0 … 1, by
    // visited pairs): after each dispatch of the first run, which are then submitted one at a time,
    // and after each submission of the repeats. From the calling thread, which holds the context's
    // turn: it must not call tulle_attention or tulle_plan_create. NULL: nobody is told.
    void (*progress)(void *user, double done);
    void *progress_user;
} tulle_timing;

/// Uploads, runs, waits and downloads; copies nothing twice where device memory is the host's.
/// timing may be NULL: one run. Any thread; calls on one context take turns. On an imported device
/// it submits under the queue's lock. O and LSE are written only on success. The context keeps its
/// device and staging buffers, each as large as any call needed, until it is destroyed. Errors:
/// INVALID_ARGUMENT, UNSUPPORTED, memory, DEVICE_LOST, VULKAN.
TULLE_API tulle_result tulle_attention(tulle_plan *plan, const tulle_host_arrays *arrays,
                                       const tulle_timing *timing, tulle_error *error);

// -------------------------------------------------------------------------------------------------
// Tuning

/// How many query rows: by q_len.
typedef enum tulle_phase {
    TULLE_PHASE_PREFILL = 0,  ///< 17 or more
    TULLE_PHASE_FEW_ROWS,     ///< at most 16: a step of decoding
} tulle_phase;

/// A kernel that was timed: the median of its times; is it the one that is taken from now on?
typedef void (*tulle_tune_callback)(void *user, const char *kernel, double ms, bool chosen);

/// Runs desc, a workload that is typical of its class, with every kernel that serves it, on made-up
/// numbers and on an otherwise idle device, and remembers the fastest; the one that would be chosen
/// anyway stays unless another takes 3 % less. From then on plans of this context prefer it where it
/// serves and their descriptor names no kernel, for every workload of the class: desc's dtype, class
/// of head size (the larger of head_dim and v_head_dim, rounded up to 32, 64, 96, 128, 192, 256, 512
/// or 576),
/// phase, and what of buffer addresses and matrix units is enabled. tulle_cache_save keeps it. Nothing is ever tuned
/// unless this is called. desc->kernel is NULL and its page_size 0. `each` may be NULL; it is called when all were
/// timed. Takes some 0.1 s a kernel and compiles each, uses host memory for Q, K, V and O; otherwise
/// as tulle_attention. Any thread. Errors: INVALID_ARGUMENT, UNSUPPORTED, WORKSPACE_LIMIT, memory,
/// DEVICE_LOST, VULKAN.
TULLE_API tulle_result tulle_tune(tulle_context *context, const tulle_attention_desc *desc,
                                  tulle_tune_callback each, void *user, tulle_error *error);

// -------------------------------------------------------------------------------------------------
// Merging: two attentions of the same queries over disjoint keys become one

/// Rows of O [rows, v_head_dim] (contiguous) with LSE [rows], natural logarithm; −∞ for an empty
/// row, or +∞, as FlashAttention-2 marks it: its O does not count. A row that is empty in both comes
/// out as O 0 and LSE −∞. into_o and into_lse are overwritten with the merge of themselves and
/// from_o, from_lse. In host memory, computed in fp32, no device needed.
/// rows ≥ 1; v_head_dim: 1 … 512; dtype is O's. Any thread. Errors: INVALID_ARGUMENT.
TULLE_API tulle_result tulle_merge(size_t rows, uint32_t v_head_dim, tulle_dtype dtype,
                                   void *into_o, float *into_lse, const void *from_o,
                                   const float *from_lse, tulle_error *error);

typedef struct tulle_merger tulle_merger;

/// The same on the device (v_head_dim: 4, 8, … 512): a pipeline for one dtype and size, and the four
/// buffers, which have
/// VK_BUFFER_USAGE_STORAGE_BUFFER_BIT and must outlive it; offsets and sizes as for tulle_buffer,
/// O's and LSE's. In one VkBuffer into_o and into_lse share no byte with another of the four. Any
/// thread. Errors: INVALID_ARGUMENT, UNSUPPORTED (more bytes than the device binds), memory,
/// VULKAN.
TULLE_API tulle_result tulle_merger_create(tulle_context *context, uint32_t rows,
                                           uint32_t v_head_dim, tulle_dtype dtype,
                                           const tulle_buffer *into_o, const tulle_buffer *into_lse,
                                           const tulle_buffer *from_o, const tulle_buffer *from_lse,
                                           tulle_merger **out, tulle_error *error);

/// NULL is accepted. No command buffer that uses it may be pending.
TULLE_API void tulle_merger_destroy(tulle_merger *merger);

/// Records the merge; barriers as for tulle_cmd_attention.
TULLE_API tulle_result tulle_cmd_merge(VkCommandBuffer cmd, const tulle_merger *merger,
                                       tulle_error *error);

#ifdef __cplusplus
}
#endif
#endif
