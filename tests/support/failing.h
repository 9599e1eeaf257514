// SPDX-License-Identifier: MIT
//
// Vulkan calls and allocations that fail at will, and a count of what is still held. For a library
// that is linked into the program with --wrap=malloc and so on, and works on an imported device
// whose get_instance_proc_addr is failing_get.
#ifndef TESTS_FAILING_H
#define TESTS_FAILING_H

#include "gpu.h"

enum failing_kind {
    FAILING_NOTHING,
    FAILING_ALLOCATIONS,
    FAILING_VULKAN,
    FAILING_CALLBACKS,
    FAILING_KINDS
};

// Whatever happens between enter and leave is the library's doing: only there does anything fail or
// count.
void failing_enter(void);
void failing_leave(void);

// From now on the n-th (from 1) allocation, Vulkan call or allocation of the driver's through
// failing_callbacks fails, once.
void failing_arm(enum failing_kind kind, long n);
// Forgets all of it, and what was held: after a test that failed.
void failing_reset(void);
// Whether it came to that, and the failed call's name ("malloc", "vkCreateBuffer").
bool failing_struck(void);
const char *failing_name(void);

// What the library holds: Vulkan objects (by kind in text, where not NULL) and pieces of memory.
long failing_objects(char *text, size_t size);
long failing_pieces(void);

// For the library to hand to the driver: what the driver asks of them may fail too, and is counted.
extern const VkAllocationCallbacks failing_callbacks;
long failing_given(void);

// The loader's, with wrappers around what returns a VkResult or makes and destroys objects.
VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL failing_get(VkInstance instance, const char *name);

#endif
