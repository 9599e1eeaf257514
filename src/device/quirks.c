// SPDX-License-Identifier: MIT
//
// What drivers get wrong and do not report. Each entry: what, on which releases, and why so.
// docs/drivers.md has what was seen, docs/measurements/ where and when.
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

/// Lavapipe ends every loop of an invocation once all its loops together have run 65,535
/// iterations, and goes on after it without a word (gallivm's LP_MAX_TGSI_LOOP_ITERATIONS). It is
/// there on 22.3 and gone on 26.1. A limit that is not there costs only a few more items: so all
/// before 26.1 have it, and so has a version that cannot be read.
static void lavapipe_loop_limit(struct caps *caps) {
    unsigned major = 0, minor = 0;
    if (!is_lavapipe(caps)) return;
    if (!mesa_version(caps->driver_info, &major, &minor) || major < 26 ||
        (major == 26 && minor < 1))
        caps->max_loop_iterations = 65535;
}

/// Loads through addresses are far slower than texels on 22.3, and faster on 26.1. The releases
/// between were not measured when the bound was set; the loads were reworked in 2024's.
static void lavapipe_slow_addresses(struct caps *caps) {
    unsigned major = 0, minor = 0;
    if (is_lavapipe(caps) && (!mesa_version(caps->driver_info, &major, &minor) || major < 24))
        caps->slow_addresses = true;
}

/// Each time NVIDIA's driver is loaded it takes static thread-local storage, which glibc does not
/// get back when the loader unloads it with the last instance: the 31st loading fails for good. So
/// one instance stays alive (instance.c). By vendor: Mesa's driver for these GPUs, and Windows, do
/// not need it, and are not harmed.
bool quirks_driver_must_stay(uint32_t vendor_id) { return vendor_id == 0x10de; }

void quirks_apply(struct caps *caps) {
    lavapipe_slow_addresses(caps);
    lavapipe_loop_limit(caps);
}
