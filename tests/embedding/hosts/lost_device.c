// SPDX-License-Identifier: MIT
//
// examples/android where Vulkan calls fail, one a run: a lost device is opened again and the app
// goes on; any other failure ends it with a message; and nothing is held afterwards.
#include "failing.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int devices;  // that the app has made
static PFN_vkCreateDevice real_create_device;

static VKAPI_ATTR VkResult VKAPI_CALL create_device(VkPhysicalDevice physical_device,
                                                    const VkDeviceCreateInfo *info,
                                                    const VkAllocationCallbacks *allocator,
                                                    VkDevice *out) {
    devices++;
    return real_create_device(physical_device, info, allocator, out);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_counting(VkInstance instance,
                                                             const char *name) {
    const PFN_vkVoidFunction found = failing_get(instance, name);
    if (strcmp(name, "vkCreateDevice") != 0) return found;
    real_create_device = (PFN_vkCreateDevice)found;
    return (PFN_vkVoidFunction)create_device;
}

int example_main(int argc, char **argv);
#define main example_main
#define vkGetInstanceProcAddr get_counting
#include "../../../examples/android/attention.c"
#undef vkGetInstanceProcAddr
#undef main

static bool loses_device(const char *name) {
    static const char *const names[] = { "vkQueueSubmit", "vkWaitForFences", "vkQueueWaitIdle",
                                         "vkGetQueryPoolResults" };
    for (size_t n = 0; n < sizeof names / sizeof *names; n++)
        if (strcmp(name, names[n]) == 0) return true;
    return false;
}

static bool run(long n, int *status) {
    char held[1000];
    char *arguments[] = { (char[]){ "attention" }, NULL };
    devices = 0;
    failing_arm(FAILING_VULKAN, n);
    failing_enter();
    *status = example_main(1, arguments);
    failing_leave();
    if (failing_objects(held, sizeof held) == 0 && failing_pieces() == 0) return true;
    printf("# after call %ld (%s) failed: %s, %ld pieces of memory are still held\n", n,
           failing_name(), held, failing_pieces());
    return false;
}

int main(void) {
    int status = 0, lost = 0;
    bool good = true;
    if (gpu_loader() == NULL) return puts("skip: no Vulkan loader"), 77;
    for (long n = 1; good; n++) {
        good = run(n, &status);
        if (status == 77 && !failing_struck()) return 77;
        if (!failing_struck()) break;
        const bool loses = loses_device(failing_name());
        lost += loses;
        if (loses ? status != 0 || devices != 2 : status != 0 && status != 1 && status != 77) {
            printf("# call %ld (%s) failed: status %d, %d devices were made\n", n, failing_name(),
                   status, devices);
            good = false;
        }
    }
    // a frame submits and waits; and so does planning, on an own device alone
    if (good && (status != 0 || devices != 1 || lost < 2 * FRAMES)) {
        printf("# at the end: status %d, %d devices, lost %d times\n", status, devices, lost);
        good = false;
    }
    printf("%sok 1 - the app survives %d lost devices, and holds nothing where a call fails\n",
           good ? "" : "not ", lost);
    return good ? 0 : 1;
}
