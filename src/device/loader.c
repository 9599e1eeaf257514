// SPDX-License-Identifier: MIT
//
// Opens the system's Vulkan loader, at run time: a program with Tulle in it starts where there is
// none.
#include "device/vulkan.h"

#include <string.h>

#include "common/thread.h"

#ifdef _WIN32

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

static const char *const libraries[] = { "vulkan-1.dll" };

static PFN_vkGetInstanceProcAddr open_library(const char *library) {
    HMODULE module = LoadLibraryA(library);
    // by way of void (*)(void), which may become any function without a warning
    void (*found)(void) =
        module ? (void (*)(void))GetProcAddress(module, "vkGetInstanceProcAddr") : NULL;
    return (PFN_vkGetInstanceProcAddr)found;
}

#else

#include <dlfcn.h>

static const char *const libraries[] = {
#ifdef __APPLE__
    "libvulkan.dylib", "libvulkan.1.dylib", "libMoltenVK.dylib"
#else
    "libvulkan.so.1", "libvulkan.so"
#endif
};

static PFN_vkGetInstanceProcAddr open_library(const char *library) {
    void *module = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    void *found = module ? dlsym(module, "vkGetInstanceProcAddr") : NULL;
    PFN_vkGetInstanceProcAddr get;
    memcpy(&get, &found, sizeof get);  // C has no cast from an object's address to a function's
    return get;
}

#endif

PFN_vkGetInstanceProcAddr vulkan_loader(void) {
    static PFN_vkGetInstanceProcAddr loader;  // written once, under process_lock; never closed
    PFN_vkGetInstanceProcAddr found;

    process_lock();
    for (size_t i = 0; i < sizeof libraries / sizeof libraries[0] && !loader; i++)
        loader = open_library(libraries[i]);
    found = loader;
    process_unlock();
    return found;
}
