// SPDX-License-Identifier: MIT
#include "bench/vulkan.h"

#include "bench/peak.h"

static const uint32_t peak_spv[] =
#include "peak.spv.inc"
    ;
static const uint32_t copy_spv[] =
#include "copy.spv.inc"
    ;

// a virtual machine may take tens of milliseconds to give threads that slept a core each
#define WANTED_SECONDS 0.1
#define RUNS 8
#define MOST_SECONDS 1  // of all runs

// As shaders/bench/peak.comp has them.
#define LANES 64
#define FLOPS_PER_ITERATION (64.0 * 12 * 2)
#define ITERATIONS 512  // Mesa 22.3 stops an invocation after 65,535
#define ELEMENTS 65536

// As shaders/bench/copy.comp has it.
#define WORKGROUP_BYTES 8192
// Past every cache: the largest are some hundred MiB of a server's CPU.
#define MOST_COPY_BYTES ((VkDeviceSize)256 << 20)
#define MOST_COPIES 4096

// What is timed: dispatches of the kernel, or copies by the driver.
struct work {
    uint32_t workgroups, times;
    VkDeviceSize copied;  // bytes; 0: the kernel is dispatched
};

static bool run(struct bench_device *b, const struct work *work, double *seconds,
                struct message *message) {
    const uint32_t push[2] = { ITERATIONS, ELEMENTS - 1 };
    return work->copied ? bench_copy(b, work->copied, work->times, seconds, message)
                        : bench_dispatch(b, work->workgroups, work->times, push, seconds, message);
}

// The best of several runs, each of twice as many workgroups or dispatches as it takes to last long
// enough for the submission not to count; *best: its seconds.
static bool best_of(struct bench_device *b, struct work *work, uint32_t most_workgroups,
                    uint32_t most_times, double *best, struct message *message) {
    double seconds, spent = 0;
    if (!run(b, work, best, message) || !run(b, work, best, message)) return false;  // compiles
    while (*best < WANTED_SECONDS &&
           (work->workgroups < most_workgroups || work->times < most_times)) {
        if (work->workgroups < most_workgroups) work->workgroups *= 2;
        else work->times *= 2;
        if (!run(b, work, best, message)) return false;
    }
    for (int i = 0; i < RUNS && spent < MOST_SECONDS; i++, spent += seconds) {
        if (!run(b, work, &seconds, message)) return false;
        if (seconds < *best) *best = seconds;
    }
    return true;
}

static bool measure_multiply_adds(struct bench_device *b, double *gflops, struct message *message) {
    struct work work = { .workgroups = 32, .times = 1 };
    double seconds;
    if (!bench_kernel_make(b, peak_spv, sizeof peak_spv, 1, ELEMENTS * sizeof(float), message) ||
        !best_of(b, &work, 32768, 1, &seconds, message))
        return false;
    *gflops = FLOPS_PER_ITERATION * ITERATIONS * LANES * work.workgroups / seconds * 1e-9;
    return true;
}

// By a shader and by the driver's own copy: Mesa's CPU drivers load lane by lane for a shader, and
// copy with one thread otherwise.
static bool measure_copy(struct bench_device *b, struct peaks *peaks, struct message *message) {
    const VkPhysicalDeviceLimits *limits = &b->properties.limits;
    const uint32_t type = bench_memory_type(b, UINT32_MAX);
    VkDeviceSize size = MOST_COPY_BYTES;
    // Two of them, and room beside: the device may be small, or the display's.
    const VkDeviceSize heap = b->memory.memoryHeaps[b->memory.memoryTypes[type].heapIndex].size / 8;
    if (size > limits->maxStorageBufferRange) size = limits->maxStorageBufferRange;
    if (size > heap) size = heap;
    uint32_t workgroups = (uint32_t)(size / WORKGROUP_BYTES);
    if (workgroups > limits->maxComputeWorkGroupCount[0])
        workgroups = limits->maxComputeWorkGroupCount[0];
    size = (VkDeviceSize)workgroups * WORKGROUP_BYTES;
    if (!bench_kernel_make(b, copy_spv, sizeof copy_spv, 2, size, message)) return false;
    for (int way = 0; way < 2; way++) {
        struct work work = { .workgroups = workgroups, .times = 1, .copied = way ? size : 0 };
        double seconds;
        if (!best_of(b, &work, workgroups, MOST_COPIES, &seconds, message)) return false;
        const double rate = 2.0 * (double)size * work.times / seconds;
        if (rate > peaks->copy_bytes_per_s) peaks->copy_bytes_per_s = rate;
    }
    peaks->copy_bytes = size;
    return true;
}

bool peaks_measure(uint32_t index, const char *name, struct peaks *peaks, struct message *message) {
    struct bench_device b;
    *peaks = (struct peaks){ 0 };
    bool good = bench_device_open(&b, index, name, message);
    if (good) {
        peaks->driver_version = b.properties.driverVersion;
        peaks->timestamp_ns = (double)b.properties.limits.timestampPeriod;
        peaks->memory = b.memory;
        good = measure_multiply_adds(&b, &peaks->multiply_add_gflops, message) &&
               measure_copy(&b, peaks, message);
    }
    bench_device_close(&b);
    return good;
}
