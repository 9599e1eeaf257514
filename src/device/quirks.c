// SPDX-License-Identifier: MIT
//
// What drivers get wrong and do not report. Each entry: what, where it was seen, when, and what
// ends it.
#include "device/caps.h"

#include <stdio.h>
#include <string.h>

/// Mesa's version out of "Mesa 22.3.6 (LLVM 15.0.6)"; false where the text has another form.
static bool mesa_version(const char *driver_info, unsigned *major, unsigned *minor) {
    return sscanf(driver_info, "Mesa %u.%u", major, minor) == 2;
}

static bool is_lavapipe(const struct caps *caps) {
    // A Vulkan 1.1 driver that lacks VK_KHR_driver_properties is known by its device's name alone.
    return caps->driver_id == VK_DRIVER_ID_MESA_LLVMPIPE ||
           (caps->driver_id == 0 && strstr(caps->name, "llvmpipe") != NULL);
}

/// 2026-11-24. Lavapipe ends every loop of an invocation once all its loops together have run
/// 65,535 iterations, and goes on after it without a word (gallivm's LP_MAX_TGSI_LOOP_ITERATIONS).
/// Measured on Mesa 22.3.6: asked for 102,400 it ran 65,535. Others met it in May 2025:
/// https://github.com/ggml-org/llama.cpp/pull/13813, and the limit stands in the source of January
/// 2025 (25.0-rc1). Measured to be gone on 26.1.6. The releases between are not measured, and a
/// limit that is not there costs only a few more work items: so all before 26.1 have it, and so has
/// a version that cannot be read.
static void lavapipe_loop_limit(struct caps *caps) {
    unsigned major = 0, minor = 0;
    if (!is_lavapipe(caps)) return;
    if (!mesa_version(caps->driver_info, &major, &minor) || major < 26 ||
        (major == 26 && minor < 1))
        caps->max_loop_iterations = 65535;
}

/// 2026-11-24. Attention in fp32 at head_dim 64 on Mesa 22.3.6's lavapipe: 5 GFLOP/s through
/// addresses, 86 through texels; on 26.1.6 it is 116 and 70. The releases between are not measured;
/// the loads were reworked in 2024's.
static void lavapipe_slow_addresses(struct caps *caps) {
    unsigned major = 0, minor = 0;
    if (is_lavapipe(caps) && (!mesa_version(caps->driver_info, &major, &minor) || major < 24))
        caps->slow_addresses = true;
}

/// 2026-11-26. Each time NVIDIA's driver is loaded it takes static thread-local storage, which
/// glibc does not get back when the loader unloads it with the last instance: a program on an H200
/// (580.159.04) made and destroyed 30 instances, and then the loader said
/// "libnvidia-tls.so.580.159.04: cannot allocate memory in static TLS block" for good. With one
/// more instance kept alive it made 150; so one is (instance.c). By vendor: Mesa's driver for these
/// GPUs, and Windows, do not need it, and are not harmed.
bool quirks_driver_must_stay(uint32_t vendor_id) { return vendor_id == 0x10de; }

void quirks_apply(struct caps *caps) {
    lavapipe_slow_addresses(caps);
    lavapipe_loop_limit(caps);
}
