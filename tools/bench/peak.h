// SPDX-License-Identifier: MIT
//
// What a device could do at most, measured: the yardstick of `tulle bench`.
#ifndef TULLE_TOOLS_BENCH_PEAK_H
#define TULLE_TOOLS_BENCH_PEAK_H

#include <stdint.h>

#include "common/message.h"

/// fp32 multiply-adds of a shader, in GFLOP/s (two operations each): the best of several runs,
/// about a second in all. The device is the index-th of vkEnumeratePhysicalDevices and must have
/// this name.
bool peak_measure(uint32_t index, const char *name, double *gflops, struct message *message);

/// The same by native code on all cores, with vectors of `bits` bits; fused: by fused
/// multiply-adds, else by a multiply and an add, as Mesa's CPU drivers compile a shader's fma(). 0
/// where this processor or build has no such vectors.
double native_peak(int bits, bool fused);

#endif
