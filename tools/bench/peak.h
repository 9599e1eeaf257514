// SPDX-License-Identifier: MIT
//
// What a device could do at most, measured: the yardsticks of `tulle bench`.
#ifndef TULLE_TOOLS_BENCH_PEAK_H
#define TULLE_TOOLS_BENCH_PEAK_H

#include <stdint.h>
#include <vulkan/vulkan_core.h>

#include "common/message.h"

struct peaks {
    double multiply_add_gflops;  ///< of fp32, two operations each; 0: could not be measured
    /// read and written, both counted, by a shader or by the driver, whichever is faster; 0: could
    /// not be measured
    double copy_bytes_per_s;
    uint64_t copy_bytes;  ///< of the buffer that was copied
    // What Vulkan tells and the library's device info does not.
    uint32_t driver_version;  ///< as the driver packs it
    double timestamp_ns;      ///< the step of a device timestamp
    VkPhysicalDeviceMemoryProperties memory;
};

/// Measures them, each the best of several runs, a few seconds in all. The device is
/// the index-th of vkEnumeratePhysicalDevices and must have this name. On failure what was measured
/// before it stays in *peaks.
bool peaks_measure(uint32_t index, const char *name, struct peaks *peaks, struct message *message);

/// The multiply-adds by native code on all cores, with vectors of `bits` bits; fused: by fused
/// multiply-adds, else by a multiply and an add, as Mesa's CPU drivers compile a shader's fma(). 0
/// where this processor or build has no such vectors.
double native_peak(int bits, bool fused);

#endif
