// SPDX-License-Identifier: MIT
//
// What was measured of the kernels of CPU drivers (measured.def), and which of it counts on a device.
#ifndef TULLE_SRC_KERNEL_MEASURED_H
#define TULLE_SRC_KERNEL_MEASURED_H

#include "kernel/variant.h"

/// A release of Mesa's CPU driver, and the lanes of a subgroup that it was measured with.
struct measured_at {
    uint32_t major, minor, lanes;
};

/// Where the figures come from that count on a CPU driver: its own release, or the nearest that was
/// measured (of a driver that is not Mesa's, or does not tell its release, the newest); of that the
/// nearest subgroup size. Returns whether it is its own, in both.
bool measured_nearest(const struct caps *caps, struct measured_at *at);

/// How many kernels were measured faster there, of any dtype. UINT32_MAX: it was not measured
/// there, or does not serve.
uint32_t measured_place(const struct variant *v, const struct attention *a,
                        const struct caps *caps);

#endif
