// SPDX-License-Identifier: MIT
//
// Device memory: what each use gives, the pool's places and blocks, the caller's callbacks, and
// each call that can fail.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/context.h"
#include "device/memory.h"

#define KIB ((VkDeviceSize)1024)
#define MIB (1024 * KIB)
#define STORAGE ((VkBufferUsageFlags)VK_BUFFER_USAGE_STORAGE_BUFFER_BIT)

// -------------------------------------------------------------------------------------------------
// Between the library and the driver: counts what lives, fails the call it is told to, and may
// pretend to have other memory types.

static struct {
    struct VolkDeviceTable real;
    pthread_mutex_t mutex;
    int allocations;        // calls of vkAllocateMemory that succeeded
    int memories, buffers;  // alive
    uint32_t last_type;
    VkDeviceSize last_size;
    int fail_in;  // the how-manieth call from now on fails; 0: none
    VkResult fail_with;
    VkDeviceSize budget;  // bytes that may be allocated at once; 0: any
    VkDeviceSize spent;
    struct {
        VkDeviceMemory memory;
        VkDeviceSize size;
    } sizes[256];
    bool pretend;  // the context's memory types are made up: all are the device's first visible one
    uint32_t real_type;
    uint32_t allowed;  // memoryTypeBits
} spy = { .mutex = PTHREAD_MUTEX_INITIALIZER };

static bool spy_fails(void) { return spy.fail_in > 0 && --spy.fail_in == 0; }

static VKAPI_ATTR VkResult VKAPI_CALL spy_allocate(VkDevice device,
                                                   const VkMemoryAllocateInfo *info,
                                                   const VkAllocationCallbacks *allocator,
                                                   VkDeviceMemory *memory) {
    VkMemoryAllocateInfo changed = *info;
    VkResult result = VK_ERROR_OUT_OF_DEVICE_MEMORY;
    pthread_mutex_lock(&spy.mutex);
    spy.last_type = info->memoryTypeIndex;
    spy.last_size = info->allocationSize;
    if (spy.pretend) changed.memoryTypeIndex = spy.real_type;
    if (spy_fails()) result = spy.fail_with;
    else if (!spy.budget || spy.spent + info->allocationSize <= spy.budget)
        result = spy.real.vkAllocateMemory(device, &changed, allocator, memory);
    if (result == VK_SUCCESS) {
        spy.allocations++;
        spy.memories++;
        spy.spent += info->allocationSize;
        for (int i = 0; i < 256; i++)
            if (!spy.sizes[i].memory) {
                spy.sizes[i].memory = *memory;
                spy.sizes[i].size = info->allocationSize;
                break;
            }
    }
    pthread_mutex_unlock(&spy.mutex);
    return result;
}

static VKAPI_ATTR void VKAPI_CALL spy_free(VkDevice device, VkDeviceMemory memory,
                                           const VkAllocationCallbacks *allocator) {
    pthread_mutex_lock(&spy.mutex);
    spy.memories--;
    for (int i = 0; i < 256; i++)
        if (spy.sizes[i].memory == memory) {
            spy.spent -= spy.sizes[i].size;
            spy.sizes[i].memory = VK_NULL_HANDLE;
        }
    pthread_mutex_unlock(&spy.mutex);
    spy.real.vkFreeMemory(device, memory, allocator);
}

static VKAPI_ATTR VkResult VKAPI_CALL spy_map(VkDevice device, VkDeviceMemory memory,
                                              VkDeviceSize offset, VkDeviceSize size,
                                              VkMemoryMapFlags flags, void **data) {
    return spy_fails() ? spy.fail_with
                       : spy.real.vkMapMemory(device, memory, offset, size, flags, data);
}

static VKAPI_ATTR VkResult VKAPI_CALL spy_create_buffer(VkDevice device,
                                                        const VkBufferCreateInfo *info,
                                                        const VkAllocationCallbacks *allocator,
                                                        VkBuffer *buffer) {
    VkResult result =
        spy_fails() ? spy.fail_with : spy.real.vkCreateBuffer(device, info, allocator, buffer);
    pthread_mutex_lock(&spy.mutex);
    spy.buffers += result == VK_SUCCESS;
    pthread_mutex_unlock(&spy.mutex);
    return result;
}

static VKAPI_ATTR void VKAPI_CALL spy_destroy_buffer(VkDevice device, VkBuffer buffer,
                                                     const VkAllocationCallbacks *allocator) {
    pthread_mutex_lock(&spy.mutex);
    spy.buffers--;
    pthread_mutex_unlock(&spy.mutex);
    spy.real.vkDestroyBuffer(device, buffer, allocator);
}

static VKAPI_ATTR VkResult VKAPI_CALL spy_bind(VkDevice device, VkBuffer buffer,
                                               VkDeviceMemory memory, VkDeviceSize offset) {
    return spy_fails() ? spy.fail_with
                       : spy.real.vkBindBufferMemory(device, buffer, memory, offset);
}

static VKAPI_ATTR void VKAPI_CALL spy_requirements(VkDevice device, VkBuffer buffer,
                                                   VkMemoryRequirements *needs) {
    spy.real.vkGetBufferMemoryRequirements(device, buffer, needs);
    if (spy.pretend) needs->memoryTypeBits = spy.allowed;
}

/// A context of its own whose device functions lead through the spy.
static tulle_context *spied(const tulle_context_params *params) {
    tulle_context *context = NULL;
    tulle_error error = { 0 };
    if (tulle_context_create(params, &context, &error) != TULLE_OK)
        fail_msg("tulle_context_create: %s", error.message);
    spy.real = context->vk.device;
    spy.allocations = spy.memories = spy.buffers = spy.fail_in = 0;
    spy.budget = spy.spent = 0;
    spy.pretend = false;
    memset(spy.sizes, 0, sizeof spy.sizes);
    context->vk.device.vkAllocateMemory = spy_allocate;
    context->vk.device.vkFreeMemory = spy_free;
    context->vk.device.vkMapMemory = spy_map;
    context->vk.device.vkCreateBuffer = spy_create_buffer;
    context->vk.device.vkDestroyBuffer = spy_destroy_buffer;
    context->vk.device.vkBindBufferMemory = spy_bind;
    context->vk.device.vkGetBufferMemoryRequirements = spy_requirements;
    return context;
}

/// Destroys it; nothing may be left.
static void done(tulle_context *context) {
    assert_int_equal(spy.buffers, 0);
    tulle_context_destroy(context);
    assert_int_equal(spy.memories, 0);
}

static struct device_buffer take(tulle_context *context, VkDeviceSize size, enum memory_use use) {
    struct device_buffer buffer;
    tulle_error error = { 0 };
    if (device_buffer_create(context, size, STORAGE, use, &buffer, &error) != TULLE_OK)
        fail_msg("%llu bytes: %s", (unsigned long long)size, error.message);
    return buffer;
}

static void assert_zeroed(const struct device_buffer *buffer) {
    static const struct device_buffer zero;
    assert_memory_equal(buffer, &zero, sizeof zero);
}

static uint64_t random_state;
static uint64_t random_number(void) {  // splitmix64
    uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

// -------------------------------------------------------------------------------------------------
// Uses

static void test_uses(void **state) {
    tulle_context *context = spied(NULL);
    (void)state;
    for (int use = MEMORY_POOLED; use <= MEMORY_DOWNLOAD; use++) {
        struct device_buffer buffer = take(context, 12345, (enum memory_use)use);
        assert_int_equal(buffer.size, 12345);
        assert_int_equal(buffer.address, 0);
        assert_true((buffer.block != NULL) ==
                    (use == MEMORY_POOLED || use == MEMORY_POOLED_UPLOAD));
        if (use == MEMORY_POOLED_UPLOAD || use == MEMORY_UPLOAD || use == MEMORY_DOWNLOAD)
            assert_non_null(buffer.mapped);
        if (use == MEMORY_DEVICE)
            assert_true((buffer.mapped != NULL) == context->caps.unified_memory);
        if (buffer.mapped) memset(buffer.mapped, 0x5a, 12345);
        device_buffer_destroy(context, &buffer);
        assert_zeroed(&buffer);
        device_buffer_destroy(context, &buffer);  // accepts a zeroed one
    }
    if (context->caps.buffer_device_address) {
        struct device_buffer a, b;
        VkBufferUsageFlags usage = STORAGE | VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT;
        assert_int_equal(device_buffer_create(context, 64, usage, MEMORY_POOLED, &a, NULL),
                         TULLE_OK);
        assert_int_equal(device_buffer_create(context, 64, usage, MEMORY_POOLED, &b, NULL),
                         TULLE_OK);
        assert_true(a.address != 0 && b.address != 0 && a.address != b.address);
        device_buffer_destroy(context, &a);
        device_buffer_destroy(context, &b);
    }
    done(context);
}

static void test_refusals(void **state) {
    tulle_context_params floor = { .clamp = TULLE_CLAMP_VULKAN_1_1 };
    tulle_context *context = spied(&floor);
    struct device_buffer buffer;
    tulle_error error = { 0 };
    (void)state;
    memset(&buffer, 0xff, sizeof buffer);
    assert_int_equal(device_buffer_create(context, 0, STORAGE, MEMORY_POOLED, &buffer, &error),
                     TULLE_ERROR_INVALID_ARGUMENT);
    assert_zeroed(&buffer);
    assert_int_equal(device_buffer_create(context, 64,
                                          STORAGE | VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT,
                                          MEMORY_POOLED, &buffer, &error),
                     TULLE_ERROR_UNSUPPORTED);
    assert_non_null(strstr(error.message, "bufferDeviceAddress"));
    done(context);

    context = spied(NULL);
    for (int use = MEMORY_POOLED; use <= MEMORY_DOWNLOAD; use++) {
        VkDeviceSize size = (VkDeviceSize)1 << 50;
        assert_int_equal(
            device_buffer_create(context, size, STORAGE, (enum memory_use)use, &buffer, &error),
            TULLE_ERROR_OUT_OF_DEVICE_MEMORY);
        assert_non_null(strstr(error.message, "1125899906842624"));
        assert_zeroed(&buffer);
    }
    done(context);
}

// -------------------------------------------------------------------------------------------------
// The pool's places

static void test_pool_coalesces(void **state) {
    tulle_context *context = spied(NULL);
    struct device_buffer parts[4];
    (void)state;
    // each order of giving four back, from the digits of `order`
    for (int order = 0; order < 256; order++) {
        int turn[4] = { order & 3, order >> 2 & 3, order >> 4 & 3, order >> 6 };
        struct device_buffer whole;
        if ((1 << turn[0] | 1 << turn[1] | 1 << turn[2] | 1 << turn[3]) != 15) continue;
        for (int i = 0; i < 4; i++) parts[i] = take(context, 256 * KIB, MEMORY_POOLED);
        for (int i = 1; i < 4; i++) {
            assert_ptr_equal(parts[i].block, parts[0].block);
            assert_int_equal(parts[i].block_offset, i * 256 * KIB);
        }
        for (int i = 0; i < 4; i++) device_buffer_destroy(context, &parts[turn[i]]);
        // the first block is 1 MiB: it fits only where the pieces are one again
        whole = take(context, MIB, MEMORY_POOLED);
        assert_int_equal(whole.block_offset, 0);
        device_buffer_destroy(context, &whole);
        assert_int_equal(spy.allocations, 1);
    }
    // A hole is taken by the first that fits it.
    for (int i = 0; i < 4; i++) parts[i] = take(context, 256 * KIB, MEMORY_POOLED);
    device_buffer_destroy(context, &parts[1]);
    parts[1] = take(context, 200 * KIB, MEMORY_POOLED);
    assert_int_equal(parts[1].block_offset, 256 * KIB);
    assert_int_equal(spy.allocations, 1);
    for (int i = 0; i < 4; i++) device_buffer_destroy(context, &parts[i]);
    done(context);
}

static void test_pool_loop(void **state) {
    tulle_context *context = spied(NULL);
    int first = 0;
    (void)state;
    // what planning does: a few buffers of its sizes, again and again
    for (int round = 0; round < 20; round++) {
        struct device_buffer buffers[40];
        random_state = 42;
        for (int i = 0; i < 40; i++) {
            buffers[i] = take(context, 1 + random_number() % (i == 20 ? 80 * MIB : 300 * KIB),
                              MEMORY_POOLED);
            if (i % 7 == 6)  // some do not last
                device_buffer_destroy(context, &buffers[i - 3]);
        }
        for (int i = 0; i < 40; i++) device_buffer_destroy(context, &buffers[(i * 13) % 40]);
        if (round == 0) first = spy.allocations;
        assert_int_equal(spy.allocations, first);
    }
    done(context);
}

static void test_pool_grows(void **state) {
    tulle_context *context = spied(NULL);
    struct device_buffer buffers[80], large;
    (void)state;
    for (int i = 0; i < 80; i++)
        // 40 MiB in blocks of 1, 2, 4, 8, 16, 32
        buffers[i] = take(context, 512 * KIB, MEMORY_POOLED);
    assert_int_equal(spy.allocations, 6);
    for (int i = 0; i < 80; i++) device_buffer_destroy(context, &buffers[i]);
    assert_int_equal(spy.memories, 6);  // empty blocks are kept
    // Above 64 MiB: a block of the request's own size, kept too, and given up only for a larger
    // one.
    large = take(context, 65 * MIB, MEMORY_POOLED);
    assert_int_equal(spy.last_size, 65 * MIB);
    device_buffer_destroy(context, &large);
    assert_int_equal(spy.memories, 7);
    large = take(context, 65 * MIB, MEMORY_POOLED);
    device_buffer_destroy(context, &large);
    assert_int_equal(spy.allocations, 7);
    for (int i = 0; i < 5; i++) {
        large = take(context, (VkDeviceSize)(66 + i) * MIB, MEMORY_POOLED);
        device_buffer_destroy(context, &large);
        assert_int_equal(spy.memories, 7);
    }
    done(context);
}

static void test_pool_under_pressure(void **state) {
    tulle_context *context = spied(NULL);
    struct device_buffer small = take(context, KIB, MEMORY_POOLED), buffer;
    (void)state;
    buffer = take(context, 30 * MIB, MEMORY_POOLED);
    device_buffer_destroy(context, &buffer);
    // room for 70 MiB only once the empty block is given up
    spy.budget = spy.spent + 70 * MIB - 32 * MIB;
    buffer = take(context, 70 * MIB, MEMORY_POOLED);
    device_buffer_destroy(context, &buffer);
    // no room for the next block of 64 MiB: one as large as needed
    spy.budget = spy.spent + 3 * MIB;
    buffer = take(context, 70 * MIB, MEMORY_POOLED);
    {
        struct device_buffer other = take(context, 2 * MIB, MEMORY_POOLED);
        assert_int_equal(spy.last_size, 2 * MIB);
        device_buffer_destroy(context, &other);
    }
    device_buffer_destroy(context, &buffer);
    device_buffer_destroy(context, &small);
    done(context);
}

struct tagged {
    struct device_buffer buffer;
    uint64_t tag;
};

static void write_tag(struct tagged *t, uint64_t tag) {
    unsigned char *bytes = t->buffer.mapped;
    t->tag = tag;
    memcpy(bytes, &tag, 8);
    memcpy(bytes + t->buffer.size - 8, &tag, 8);
}

static bool tag_is_intact(const struct tagged *t) {
    const unsigned char *bytes = t->buffer.mapped;
    return memcmp(bytes, &t->tag, 8) == 0 && memcmp(bytes + t->buffer.size - 8, &t->tag, 8) == 0;
}

static void test_pool_random(void **state) {
    tulle_context *context = spied(NULL);
    struct tagged live[120] = { 0 };
    (void)state;
    random_state = 20261124;
    for (int step = 0; step < 4000; step++) {
        struct tagged *t = &live[random_number() % 120];
        if (t->buffer.buffer) {
            if (t->buffer.mapped) assert_true(tag_is_intact(t));
            device_buffer_destroy(context, &t->buffer);
            continue;
        }
        t->buffer = take(context, 16 + random_number() % (step % 50 == 0 ? 6 * MIB : 40 * KIB),
                         MEMORY_POOLED);
        for (int i = 0; i < 120; i++) {  // it shares no byte with another
            const struct device_buffer *other = &live[i].buffer;
            if (&live[i] != t && other->buffer && other->block == t->buffer.block)
                assert_true(other->block_offset + other->block_size <= t->buffer.block_offset ||
                            t->buffer.block_offset + t->buffer.block_size <= other->block_offset);
        }
        if (t->buffer.mapped) write_tag(t, random_number());
    }
    for (int i = 0; i < 120; i++) device_buffer_destroy(context, &live[i].buffer);
    {  // and with all given back the blocks are whole: the same again needs no more of them
        int before = spy.allocations;
        struct device_buffer buffer = take(context, MIB, MEMORY_POOLED);
        assert_int_equal(buffer.block_offset, 0);
        assert_int_equal(spy.allocations, before);
        device_buffer_destroy(context, &buffer);
    }
    done(context);
}

struct worker {
    pthread_t thread;
    tulle_context *context;
    uint64_t seed;
    bool good;
};

static void *work(void *user) {
    struct worker *worker = user;
    struct tagged live[8] = { 0 };
    uint64_t x = worker->seed;
    worker->good = true;
    for (int step = 0; step < 1500 && worker->good; step++) {
        struct tagged *t =
            &live[(x = x * UINT64_C(6364136223846793005) + 1442695040888963407u) >> 33 & 7];
        if (t->buffer.buffer) {
            worker->good = !t->buffer.mapped || tag_is_intact(t);
            device_buffer_destroy(worker->context, &t->buffer);
        } else {
            worker->good =
                device_buffer_create(worker->context, 16 + (x >> 40) % (30 * KIB), STORAGE,
                                     MEMORY_POOLED, &t->buffer, NULL) == TULLE_OK;
            if (worker->good && t->buffer.mapped) write_tag(t, x);
        }
    }
    for (int i = 0; i < 8; i++) device_buffer_destroy(worker->context, &live[i].buffer);
    return NULL;
}

static void test_pool_threads(void **state) {
    tulle_context *context = spied(NULL);
    struct worker workers[4];
    (void)state;
    for (int i = 0; i < 4; i++) {
        workers[i] = (struct worker){ .context = context, .seed = (uint64_t)i + 1 };
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < 4; i++) pthread_join(workers[i].thread, NULL);
    for (int i = 0; i < 4; i++) assert_true(workers[i].good);
    done(context);
}

// -------------------------------------------------------------------------------------------------
// Memory types

static void test_types(void **state) {
    const VkMemoryPropertyFlags local = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
    const VkMemoryPropertyFlags visible =
        VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    tulle_context *context = spied(NULL);
    VkPhysicalDeviceMemoryProperties *memory = &context->memory_properties;
    struct device_buffer buffer, second;
    (void)state;

    while ((memory->memoryTypes[spy.real_type].propertyFlags & visible) != visible) spy.real_type++;
    // A discrete card: its memory, a small window into it, and the host's.
    *memory = (VkPhysicalDeviceMemoryProperties){ .memoryTypeCount = 5, .memoryHeapCount = 3 };
    memory->memoryTypes[0] =
        (VkMemoryType){ local | VK_MEMORY_PROPERTY_DEVICE_COHERENT_BIT_AMD, 0 };
    memory->memoryTypes[1] = (VkMemoryType){ local, 0 };
    memory->memoryTypes[2] = (VkMemoryType){ visible, 1 };
    memory->memoryTypes[3] = (VkMemoryType){ local | visible, 2 };
    memory->memoryTypes[4] = (VkMemoryType){ visible | VK_MEMORY_PROPERTY_HOST_CACHED_BIT, 1 };
    memory->memoryHeaps[0] = (VkMemoryHeap){ 1024 * MIB, VK_MEMORY_HEAP_DEVICE_LOCAL_BIT };
    memory->memoryHeaps[1] = (VkMemoryHeap){ 1024 * MIB, 0 };
    memory->memoryHeaps[2] = (VkMemoryHeap){ 2 * MIB, VK_MEMORY_HEAP_DEVICE_LOCAL_BIT };
    context->caps.unified_memory = false;
    spy.pretend = true;
    spy.allowed = 31;

    buffer = take(context, KIB, MEMORY_DEVICE);
    assert_int_equal(spy.last_type, 1);
    assert_null(buffer.mapped);
    device_buffer_destroy(context, &buffer);
    buffer = take(context, KIB, MEMORY_UPLOAD);
    assert_int_equal(spy.last_type, 2);
    assert_non_null(buffer.mapped);
    device_buffer_destroy(context, &buffer);
    buffer = take(context, KIB, MEMORY_DOWNLOAD);
    assert_int_equal(spy.last_type, 4);
    assert_non_null(buffer.mapped);
    device_buffer_destroy(context, &buffer);
    buffer = take(context, KIB, MEMORY_POOLED);
    assert_int_equal(spy.last_type, 3);
    assert_non_null(buffer.mapped);
    // more than the window has: the card's own memory, not mapped
    second = take(context, 3 * MIB, MEMORY_POOLED);
    assert_int_equal(spy.last_type, 1);
    assert_null(second.mapped);
    device_buffer_destroy(context, &second);
    device_buffer_destroy(context, &buffer);
    spy.allowed = 1 << 2 | 1 << 3;
    // the window alone is allowed: taken, and not mapped
    buffer = take(context, KIB, MEMORY_DEVICE);
    assert_int_equal(spy.last_type, 3);
    assert_null(buffer.mapped);
    device_buffer_destroy(context, &buffer);
    buffer = take(context, KIB, MEMORY_DOWNLOAD);
    assert_int_equal(spy.last_type, 2);
    device_buffer_destroy(context, &buffer);
    spy.allowed = 1 << 0;  // nothing that we may take
    assert_int_equal(device_buffer_create(context, KIB, STORAGE, MEMORY_POOLED, &buffer, NULL),
                     TULLE_ERROR_UNSUPPORTED);
    assert_zeroed(&buffer);

    // An integrated one: all memory is the host's, and reading it wants the cache.
    context->caps.unified_memory = true;
    memory->memoryTypes[4].propertyFlags |= local;
    spy.allowed = 31;
    buffer = take(context, KIB, MEMORY_DEVICE);
    assert_int_equal(spy.last_type, 4);
    assert_non_null(buffer.mapped);
    device_buffer_destroy(context, &buffer);
    done(context);
}

// -------------------------------------------------------------------------------------------------
// Failures

static void test_failures(void **state) {
    static const VkResult results[] = { VK_ERROR_OUT_OF_HOST_MEMORY, VK_ERROR_OUT_OF_DEVICE_MEMORY,
                                        VK_ERROR_DEVICE_LOST, VK_ERROR_TOO_MANY_OBJECTS };
    static const tulle_result expected[] = { TULLE_ERROR_OUT_OF_HOST_MEMORY,
                                             TULLE_ERROR_OUT_OF_DEVICE_MEMORY,
                                             TULLE_ERROR_DEVICE_LOST, TULLE_ERROR_VULKAN };
    (void)state;
    for (int use = MEMORY_POOLED; use <= MEMORY_DOWNLOAD; use++) {
        for (size_t kind = 0; kind < 4; kind++) {
            // the first call fails, the second, ... until there are no more to fail
            for (int call = 1;; call++) {
                tulle_context *context = spied(NULL);
                struct device_buffer buffer;
                tulle_error error = { 0 };
                tulle_result result;
                bool reached;
                spy.fail_in = call;
                spy.fail_with = results[kind];
                result = device_buffer_create(context, 100 * KIB, STORAGE, (enum memory_use)use,
                                              &buffer, &error);
                reached = spy.fail_in == 0;
                spy.fail_in = 0;
                if (result == TULLE_OK) {  // not reached, or the pool found another way
                    device_buffer_destroy(context, &buffer);
                } else {
                    assert_true(reached);
                    assert_int_equal(result, expected[kind]);
                    assert_non_null(strstr(error.message, "vk"));
                    assert_zeroed(&buffer);
                    assert_int_equal(spy.buffers, 0);
                    // and afterwards all works
                    buffer = take(context, 100 * KIB, (enum memory_use)use);
                    device_buffer_destroy(context, &buffer);
                }
                done(context);
                if (!reached) break;
            }
        }
    }
}

// -------------------------------------------------------------------------------------------------
// The caller's memory

static struct {
    tulle_context *context;
    VkDeviceMemory memory;
    void *mapped;
    int given, taken;
    bool refuse, misalign;
} host;

static void *host_allocate(void *user, const VkMemoryRequirements *needs, VkDeviceMemory *memory,
                           VkDeviceSize *offset, void **mapped) {
    assert_ptr_equal(user, &host);
    assert_true(needs->size <= 256 * KIB);
    if (host.refuse) return NULL;
    host.given++;
    *memory = host.memory;
    *offset = host.misalign ? 1 : (VkDeviceSize)host.given * 256 * KIB;
    *mapped = (unsigned char *)host.mapped + *offset;
    return (void *)(uintptr_t)(1000 + host.given);
}

static void host_free(void *user, void *id) {
    assert_ptr_equal(user, &host);
    assert_true((uintptr_t)id > 1000 && (uintptr_t)id <= 1000 + (uintptr_t)host.given);
    host.taken++;
}

static void test_callbacks(void **state) {
    tulle_memory_callbacks callbacks = { .allocate = host_allocate,
                                         .free = host_free,
                                         .user = &host };
    tulle_context_params params = { .memory = &callbacks };
    tulle_context *context = spied(&params);
    struct device_buffer backing = take(context, 4 * MIB, MEMORY_UPLOAD), a, b, other;
    tulle_error error = { 0 };
    int before = spy.allocations;
    (void)state;

    memset(&callbacks, 0, sizeof callbacks);  // they were copied
    memset(&host, 0, sizeof host);
    host.memory = backing.memory;
    host.mapped = backing.mapped;
    a = take(context, 100, MEMORY_POOLED);
    b = take(context, 200 * KIB, MEMORY_POOLED);
    assert_int_equal(host.given, 2);
    assert_int_equal(spy.allocations, before);
    assert_ptr_equal(b.mapped, (unsigned char *)host.mapped + 512 * KIB);
    memset(a.mapped, 1, 100);
    other = take(context, KIB, MEMORY_DEVICE);  // only plans ask the caller
    assert_int_equal(host.given, 2);
    device_buffer_destroy(context, &other);
    device_buffer_destroy(context, &b);
    device_buffer_destroy(context, &a);
    assert_int_equal(host.taken, 2);

    // Nor does the copy of a plan whose memory they did not map; it comes from the pool.
    before = spy.allocations;
    a = take(context, 100, MEMORY_POOLED_UPLOAD);
    b = take(context, 200 * KIB, MEMORY_POOLED_UPLOAD);
    assert_int_equal(host.given, 2);
    assert_int_equal(spy.allocations, before + 1);
    assert_non_null(a.mapped);
    assert_ptr_equal(a.block, b.block);
    device_buffer_destroy(context, &b);
    device_buffer_destroy(context, &a);
    assert_int_equal(host.taken, 2);

    host.refuse = true;
    assert_int_equal(device_buffer_create(context, 100, STORAGE, MEMORY_POOLED, &a, &error),
                     TULLE_ERROR_CALLBACK);
    assert_non_null(strstr(error.message, "memory.allocate"));
    assert_zeroed(&a);
    assert_int_equal(host.taken, 2);
    host.refuse = false;
    host.misalign = true;
    assert_int_equal(device_buffer_create(context, 100, STORAGE, MEMORY_POOLED, &a, &error),
                     TULLE_ERROR_CALLBACK);
    assert_non_null(strstr(error.message, "offset 1,"));
    assert_zeroed(&a);
    assert_int_equal(host.taken, 3);  // what it gave goes back
    host.misalign = false;
    spy.fail_in = 2;  // vkCreateBuffer succeeds, vkBindBufferMemory does not
    spy.fail_with = VK_ERROR_OUT_OF_DEVICE_MEMORY;
    assert_int_equal(device_buffer_create(context, 100, STORAGE, MEMORY_POOLED, &a, &error),
                     TULLE_ERROR_OUT_OF_DEVICE_MEMORY);
    assert_zeroed(&a);
    assert_int_equal(host.taken, host.given);
    device_buffer_destroy(context, &backing);
    done(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uses),           cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_pool_coalesces), cmocka_unit_test(test_pool_loop),
        cmocka_unit_test(test_pool_grows),     cmocka_unit_test(test_pool_under_pressure),
        cmocka_unit_test(test_pool_random),    cmocka_unit_test(test_pool_threads),
        cmocka_unit_test(test_types),          cmocka_unit_test(test_failures),
        cmocka_unit_test(test_callbacks),
    };
    return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
