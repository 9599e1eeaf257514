// SPDX-License-Identifier: MIT
//
// What drivers get wrong and do not report. Each entry: what, on which releases, and why so.
// docs/drivers.md has what was seen, docs/measurements/ where and when.
#include "device/caps.h"

#include <stdio.h>
#include <string.h>

static bool is_lavapipe(const struct caps *caps) {
    // A Vulkan 1.1 driver that lacks VK_KHR_driver_properties is known by its device's name alone.
    return caps->driver_id == VK_DRIVER_ID_MESA_LLVMPIPE ||
           (caps->driver_id == 0 && strstr(caps->name, "llvmpipe") != NULL);
}

/// Out of "Mesa 22.3.6 (LLVM 15.0.6)"; nothing where the text has another form.
static void lavapipe_release(struct caps *caps) {
    unsigned major = 0, minor = 0;
    if (!is_lavapipe(caps) || sscanf(caps->driver_info, "Mesa %u.%u", &major, &minor) != 2) return;
    caps->lavapipe_major = major;
    caps->lavapipe_minor = minor;
}

/// An older release than this, or one that cannot be read.
static bool lavapipe_before(const struct caps *caps, uint32_t major, uint32_t minor) {
    return is_lavapipe(caps) && (caps->lavapipe_major < major ||
                                 (caps->lavapipe_major == major && caps->lavapipe_minor < minor));
}

/// Lavapipe ends every loop of an invocation once all its loops together have run 65,535
/// iterations, and goes on after it without a word (gallivm's LP_MAX_TGSI_LOOP_ITERATIONS). It is
/// there on 22.3 and gone on 26.1. A limit that is not there costs only a few more items: so all
/// before 26.1 have it, and so has a version that cannot be read.
static void lavapipe_loop_limit(struct caps *caps) {
    if (lavapipe_before(caps, 26, 1)) caps->max_loop_iterations = 65535;
}

/// Pipelines with loads through addresses take minutes to compile on 22.3, and no longer than
/// others on 25.0. Each release between is taken to be as the nearer of these two.
static void lavapipe_slow_addresses(struct caps *caps) {
    if (lavapipe_before(caps, 24, 0)) caps->slow_addresses = true;
}

/// Lavapipe offers matrices of 8 × 8 whatever its vectors are, and compiles them right for subgroups
/// of 8 alone: with 16 its compiler reads past what a lane holds of one, and dies (26.1.6).
static void lavapipe_matrices(struct caps *caps) {
    if (is_lavapipe(caps) && caps->subgroup_size != 8) caps_without_matrices(caps);
}

/// Each time NVIDIA's driver is loaded it takes static thread-local storage, which glibc does not
/// get back when the loader unloads it with the last instance: the 31st loading fails for good. So
/// one instance stays alive (instance.c). By vendor: Mesa's driver for these GPUs, and Windows, do
/// not need it, and are not harmed.
bool quirks_driver_must_stay(uint32_t vendor_id) { return vendor_id == 0x10de; }

void quirks_apply(struct caps *caps) {
    lavapipe_release(caps);
    lavapipe_slow_addresses(caps);
    lavapipe_loop_limit(caps);
    lavapipe_matrices(caps);
}
