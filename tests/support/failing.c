// SPDX-License-Identifier: MIT

#include "failing.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// An object that is no object: what a failed call may leave in its output. Touching it is an error.
// (Outputs of a failed call are undefined, says the specification, "Return Codes".)
#ifndef GARBAGE
#define GARBAGE UINT64_C(0xdeadbeefdeadbeef)
#endif

static struct {
    enum failing_kind kind;
    atomic_long countdown;
    atomic_int depth;  // inside the library
    bool struck;
    const char *name;
    long pieces;
    atomic_long given;  // also by the driver's threads: pieces that the driver holds
    bool recording;     // a command buffer of the library's
} state;

void failing_enter(void) { state.depth++; }
void failing_leave(void) { state.depth--; }

void failing_arm(enum failing_kind kind, long n) {
    state.kind = kind;
    state.countdown = n;
    state.struck = false;
    state.name = "";
    state.recording = false;
}

bool failing_struck(void) { return state.struck; }
const char *failing_name(void) { return state.name; }
long failing_pieces(void) { return state.pieces; }
long failing_given(void) { return state.given; }

static bool strike(enum failing_kind kind, const char *name) {
    if (state.depth == 0 || state.kind != kind || --state.countdown != 0) {
        return false;
    }
    state.struck = true;
    state.name = name;
    return true;
}

// -------------------------------------------------------------------------------------------------
// Allocations (of what is linked into the program; the driver's own are not seen)

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void __wrap_free(void *memory);

void *__wrap_malloc(size_t size) {
    void *memory = strike(FAILING_ALLOCATIONS, "malloc") ? NULL : __real_malloc(size);
    state.pieces += state.depth > 0 && memory != NULL;
    return memory;
}

void *__wrap_calloc(size_t count, size_t size) {
    void *memory = strike(FAILING_ALLOCATIONS, "calloc") ? NULL : __real_calloc(count, size);
    state.pieces += state.depth > 0 && memory != NULL;
    return memory;
}

void *__wrap_realloc(void *memory, size_t size) {
    void *moved = strike(FAILING_ALLOCATIONS, "realloc") ? NULL : __real_realloc(memory, size);
    state.pieces += state.depth > 0 && memory == NULL && moved != NULL;
    return moved;
}

void __wrap_free(void *memory) {
    state.pieces -= state.depth > 0 && memory != NULL;
    __real_free(memory);
}

// -------------------------------------------------------------------------------------------------
// Allocations of the driver, on the application's behalf. Commands have no result to report a
// failure by, and Mesa 22.3 dies of one in vkCmdPushConstants: so none fails between
// vkBeginCommandBuffer and vkEndCommandBuffer.

struct given {
    void *start;
    size_t size;
};

static void *VKAPI_PTR give(void *user, size_t size, size_t alignment,
                            VkSystemAllocationScope scope) {
    (void)user;
    (void)scope;
    if (!state.recording && strike(FAILING_CALLBACKS, "pfnAllocation")) {
        return NULL;
    }
    if (alignment < _Alignof(struct given)) {
        alignment = _Alignof(struct given);
    }
    char *start = __real_malloc(sizeof(struct given) + alignment + size);
    if (start == NULL) {
        return NULL;
    }
    char *address = start + sizeof(struct given) + alignment;
    address -= (uintptr_t)address % alignment;
    ((struct given *)(void *)address)[-1] = (struct given){ start, size };
    state.given++;
    return address;
}

static void VKAPI_PTR take_back(void *user, void *memory) {
    (void)user;
    if (memory != NULL) {
        state.given--;
        __real_free(((struct given *)memory)[-1].start);
    }
}

static void *VKAPI_PTR give_again(void *user, void *memory, size_t size, size_t alignment,
                                  VkSystemAllocationScope scope) {
    void *moved = size == 0 ? NULL : give(user, size, alignment, scope);
    if (memory != NULL && moved != NULL) {
        const size_t had = ((struct given *)memory)[-1].size;
        memcpy(moved, memory, had < size ? had : size);
    }
    if (moved != NULL || size == 0) {
        take_back(user, memory);
    }
    return moved;
}

const VkAllocationCallbacks failing_callbacks = { .pfnAllocation = give,
                                                  .pfnReallocation = give_again,
                                                  .pfnFree = take_back };

// -------------------------------------------------------------------------------------------------
// Vulkan: objects made and destroyed

#define OBJECTS(X)                                                           \
    X(Buffer, Create, VkBufferCreateInfo, Destroy)                           \
    X(BufferView, Create, VkBufferViewCreateInfo, Destroy)                   \
    X(DescriptorSetLayout, Create, VkDescriptorSetLayoutCreateInfo, Destroy) \
    X(PipelineLayout, Create, VkPipelineLayoutCreateInfo, Destroy)           \
    X(ShaderModule, Create, VkShaderModuleCreateInfo, Destroy)               \
    X(DescriptorPool, Create, VkDescriptorPoolCreateInfo, Destroy)           \
    X(CommandPool, Create, VkCommandPoolCreateInfo, Destroy)                 \
    X(Fence, Create, VkFenceCreateInfo, Destroy)                             \
    X(QueryPool, Create, VkQueryPoolCreateInfo, Destroy)                     \
    X(PipelineCache, Create, VkPipelineCacheCreateInfo, Destroy)             \
    X(Semaphore, Create, VkSemaphoreCreateInfo, Destroy)                     \
    X(Event, Create, VkEventCreateInfo, Destroy)

#define X(Type, make, Info, end)                                                    \
    static long live_##Type;                                                        \
    static PFN_vk##make##Type real_##make##Type;                                    \
    static PFN_vk##end##Type real_##end##Type;                                      \
    static VKAPI_ATTR VkResult VKAPI_CALL wrapped_##make##Type(                     \
        VkDevice device, const Info *info, const VkAllocationCallbacks *allocator,  \
        Vk##Type *out) {                                                            \
        if (strike(FAILING_VULKAN, "vk" #make #Type)) {                             \
            *out = (Vk##Type)(uintptr_t)GARBAGE;                                    \
            return VK_ERROR_OUT_OF_DEVICE_MEMORY;                                   \
        }                                                                           \
        const VkResult result = real_##make##Type(device, info, allocator, out);    \
        live_##Type += result == VK_SUCCESS;                                        \
        return result;                                                              \
    }                                                                               \
    static VKAPI_ATTR void VKAPI_CALL wrapped_##end##Type(                          \
        VkDevice device, Vk##Type object, const VkAllocationCallbacks *allocator) { \
        live_##Type -= object != VK_NULL_HANDLE;                                    \
        real_##end##Type(device, object, allocator);                                \
    }
OBJECTS(X)
#undef X

static long live_DeviceMemory, live_Pipeline;
static PFN_vkAllocateMemory real_AllocateMemory;
static PFN_vkFreeMemory real_FreeMemory;
static PFN_vkCreateComputePipelines real_CreateComputePipelines;
static PFN_vkDestroyPipeline real_DestroyPipeline;

static VKAPI_ATTR VkResult VKAPI_CALL wrapped_AllocateMemory(VkDevice device,
                                                             const VkMemoryAllocateInfo *info,
                                                             const VkAllocationCallbacks *allocator,
                                                             VkDeviceMemory *out) {
    if (strike(FAILING_VULKAN, "vkAllocateMemory")) {
        *out = (VkDeviceMemory)(uintptr_t)GARBAGE;
        return VK_ERROR_OUT_OF_DEVICE_MEMORY;
    }
    const VkResult result = real_AllocateMemory(device, info, allocator, out);
    live_DeviceMemory += result == VK_SUCCESS;
    return result;
}

static VKAPI_ATTR void VKAPI_CALL wrapped_FreeMemory(VkDevice device, VkDeviceMemory memory,
                                                     const VkAllocationCallbacks *allocator) {
    live_DeviceMemory -= memory != VK_NULL_HANDLE;
    real_FreeMemory(device, memory, allocator);
}

static VKAPI_ATTR VkResult VKAPI_CALL
wrapped_CreateComputePipelines(VkDevice device, VkPipelineCache cache, uint32_t count,
                               const VkComputePipelineCreateInfo *infos,
                               const VkAllocationCallbacks *allocator, VkPipeline *out) {
    if (strike(FAILING_VULKAN, "vkCreateComputePipelines")) {
        // what failed is VK_NULL_HANDLE, says the specification
        memset(out, 0, count * sizeof *out);
        return VK_ERROR_OUT_OF_DEVICE_MEMORY;
    }
    const VkResult result =
        real_CreateComputePipelines(device, cache, count, infos, allocator, out);
    for (uint32_t n = 0; n < count; n++) {
        live_Pipeline += out[n] != VK_NULL_HANDLE;
    }
    return result;
}

static VKAPI_ATTR void VKAPI_CALL wrapped_DestroyPipeline(VkDevice device, VkPipeline pipeline,
                                                          const VkAllocationCallbacks *allocator) {
    live_Pipeline -= pipeline != VK_NULL_HANDLE;
    real_DestroyPipeline(device, pipeline, allocator);
}

static VKAPI_ATTR VkResult VKAPI_CALL wrapped_AllocateDescriptorSets(
    VkDevice device, const VkDescriptorSetAllocateInfo *info, VkDescriptorSet *out);
static VKAPI_ATTR VkResult VKAPI_CALL wrapped_AllocateCommandBuffers(
    VkDevice device, const VkCommandBufferAllocateInfo *info, VkCommandBuffer *out);

// -------------------------------------------------------------------------------------------------
// Vulkan: calls that only give a result

#define CALLS(X)                                                                                \
    X(BindBufferMemory, VK_ERROR_OUT_OF_DEVICE_MEMORY,                                          \
      (VkDevice a, VkBuffer b, VkDeviceMemory c, VkDeviceSize d), (a, b, c, d))                 \
    X(ResetCommandBuffer, VK_ERROR_OUT_OF_HOST_MEMORY,                                          \
      (VkCommandBuffer a, VkCommandBufferResetFlags b), (a, b))                                 \
    X(ResetCommandPool, VK_ERROR_OUT_OF_HOST_MEMORY,                                            \
      (VkDevice a, VkCommandPool b, VkCommandPoolResetFlags c), (a, b, c))                      \
    X(QueueSubmit, VK_ERROR_DEVICE_LOST,                                                        \
      (VkQueue a, uint32_t b, const VkSubmitInfo *c, VkFence d), (a, b, c, d))                  \
    X(ResetFences, VK_ERROR_OUT_OF_DEVICE_MEMORY, (VkDevice a, uint32_t b, const VkFence *c),   \
      (a, b, c))                                                                                \
    X(GetPipelineCacheData, VK_ERROR_OUT_OF_HOST_MEMORY,                                        \
      (VkDevice a, VkPipelineCache b, size_t *c, void *d), (a, b, c, d))                        \
    X(FlushMappedMemoryRanges, VK_ERROR_OUT_OF_HOST_MEMORY,                                     \
      (VkDevice a, uint32_t b, const VkMappedMemoryRange *c), (a, b, c))                        \
    X(InvalidateMappedMemoryRanges, VK_ERROR_OUT_OF_HOST_MEMORY,                                \
      (VkDevice a, uint32_t b, const VkMappedMemoryRange *c), (a, b, c))                        \
    X(EnumeratePhysicalDevices, VK_ERROR_OUT_OF_HOST_MEMORY,                                    \
      (VkInstance a, uint32_t *b, VkPhysicalDevice *c), (a, b, c))                              \
    X(EnumerateDeviceExtensionProperties, VK_ERROR_OUT_OF_HOST_MEMORY,                          \
      (VkPhysicalDevice a, const char *b, uint32_t *c, VkExtensionProperties *d), (a, b, c, d)) \
    X(MapMemory, VK_ERROR_MEMORY_MAP_FAILED,                                                    \
      (VkDevice a, VkDeviceMemory b, VkDeviceSize c, VkDeviceSize d, VkMemoryMapFlags e,        \
       void **f),                                                                               \
      (a, b, c, d, e, f))

#define X(Name, error, parameters, arguments)                                      \
    static PFN_vk##Name real_##Name;                                               \
    static VKAPI_ATTR VkResult VKAPI_CALL wrapped_##Name parameters {              \
        return strike(FAILING_VULKAN, "vk" #Name) ? error : real_##Name arguments; \
    }
CALLS(X)
#undef X

static PFN_vkBeginCommandBuffer real_BeginCommandBuffer;
static PFN_vkEndCommandBuffer real_EndCommandBuffer;

static VKAPI_ATTR VkResult VKAPI_CALL
wrapped_BeginCommandBuffer(VkCommandBuffer cmd, const VkCommandBufferBeginInfo *info) {
    const VkResult result = strike(FAILING_VULKAN, "vkBeginCommandBuffer")
                                ? VK_ERROR_OUT_OF_HOST_MEMORY
                                : real_BeginCommandBuffer(cmd, info);
    state.recording = result == VK_SUCCESS;
    return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL wrapped_EndCommandBuffer(VkCommandBuffer cmd) {
    state.recording = false;
    return strike(FAILING_VULKAN, "vkEndCommandBuffer") ? VK_ERROR_OUT_OF_HOST_MEMORY
                                                        : real_EndCommandBuffer(cmd);
}

// The device finishes first, so that what is torn down after a failed wait is not in use.
#define WAITS(X)                                                                             \
    X(WaitForFences, (VkDevice a, uint32_t b, const VkFence *c, VkBool32 d, uint64_t e),     \
      (a, b, c, d, e))                                                                       \
    X(QueueWaitIdle, (VkQueue a), (a))                                                       \
    X(DeviceWaitIdle, (VkDevice a), (a))                                                     \
    X(GetQueryPoolResults,                                                                   \
      (VkDevice a, VkQueryPool b, uint32_t c, uint32_t d, size_t e, void *f, VkDeviceSize g, \
       VkQueryResultFlags h),                                                                \
      (a, b, c, d, e, f, g, h))

#define X(Name, parameters, arguments)                                             \
    static PFN_vk##Name real_##Name;                                               \
    static VKAPI_ATTR VkResult VKAPI_CALL wrapped_##Name parameters {              \
        const VkResult result = real_##Name arguments;                             \
        return strike(FAILING_VULKAN, "vk" #Name) ? VK_ERROR_DEVICE_LOST : result; \
    }
WAITS(X)
#undef X

static PFN_vkAllocateDescriptorSets real_AllocateDescriptorSets;
static PFN_vkAllocateCommandBuffers real_AllocateCommandBuffers;

static VKAPI_ATTR VkResult VKAPI_CALL wrapped_AllocateDescriptorSets(
    VkDevice device, const VkDescriptorSetAllocateInfo *info, VkDescriptorSet *out) {
    if (strike(FAILING_VULKAN, "vkAllocateDescriptorSets")) {
        memset(out, 0, info->descriptorSetCount * sizeof *out);
        return VK_ERROR_OUT_OF_POOL_MEMORY;
    }
    return real_AllocateDescriptorSets(device, info, out);
}

static VKAPI_ATTR VkResult VKAPI_CALL wrapped_AllocateCommandBuffers(
    VkDevice device, const VkCommandBufferAllocateInfo *info, VkCommandBuffer *out) {
    if (strike(FAILING_VULKAN, "vkAllocateCommandBuffers")) {
        memset(out, 0, info->commandBufferCount * sizeof *out);
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    }
    return real_AllocateCommandBuffers(device, info, out);
}

// -------------------------------------------------------------------------------------------------
// Handing them out

#define WRAP(Name)                                 \
    if (strcmp(name, "vk" #Name) == 0) {           \
        real_##Name = (PFN_vk##Name)real;          \
        return (PFN_vkVoidFunction)wrapped_##Name; \
    }

static PFN_vkVoidFunction wrap(const char *name, PFN_vkVoidFunction real) {
    if (real == NULL) {
        return NULL;
    }
#define X(Type, make, Info, end) WRAP(make##Type) WRAP(end##Type)
    OBJECTS(X)
#undef X
#define X(Name, error, parameters, arguments) WRAP(Name)
    CALLS(X)
#undef X
#define X(Name, parameters, arguments) WRAP(Name)
    WAITS(X)
#undef X
    WRAP(BeginCommandBuffer)
    WRAP(EndCommandBuffer)
    WRAP(AllocateMemory)
    WRAP(FreeMemory)
    WRAP(CreateComputePipelines)
    WRAP(DestroyPipeline)
    WRAP(AllocateDescriptorSets)
    WRAP(AllocateCommandBuffers)
    return real;
}

static PFN_vkGetDeviceProcAddr real_get_device;

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL failing_get_device(VkDevice device,
                                                                   const char *name) {
    return wrap(name, real_get_device(device, name));
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL failing_get(VkInstance instance, const char *name) {
    PFN_vkVoidFunction real = gpu_loader()(instance, name);
    if (strcmp(name, "vkGetInstanceProcAddr") == 0) {
        return (PFN_vkVoidFunction)failing_get;
    }
    if (strcmp(name, "vkGetDeviceProcAddr") == 0) {
        real_get_device = (PFN_vkGetDeviceProcAddr)real;
        return (PFN_vkVoidFunction)failing_get_device;
    }
    return wrap(name, real);
}

long failing_objects(char *text, size_t size) {
    long all = live_DeviceMemory + live_Pipeline;
    int at = text == NULL ? 0
                          : snprintf(text, size, "%ld VkDeviceMemory, %ld VkPipeline",
                                     live_DeviceMemory, live_Pipeline);
#define X(Type, make, Info, end)                                                     \
    all += live_##Type < 0 ? -live_##Type : live_##Type;                             \
    if (text != NULL && live_##Type != 0 && at > 0 && (size_t)at < size) {           \
        at += snprintf(text + at, size - (size_t)at, ", %ld Vk" #Type, live_##Type); \
    }
    OBJECTS(X)
#undef X
    return all;
}

void failing_reset(void) {
    memset(&state, 0, sizeof state);
    live_DeviceMemory = live_Pipeline = 0;
#define X(Type, make, Info, end) live_##Type = 0;
    OBJECTS(X)
#undef X
}
