// SPDX-License-Identifier: MIT
//
// A host in C++17 whose Vulkan is a volk of its own, before tulle.h or, with TULLE_FIRST, after it (which volk allows where
// VK_NO_PROTOTYPES is defined before all). Its device serves Tulle.
#define VOLK_IMPLEMENTATION
#ifdef TULLE_FIRST
#include <tulle/tulle.h>

#include <volk.h>
#else
#include <volk.h>

#include <tulle/tulle.h>
#endif

#include <cmath>
#include <cstdio>
#include <optional>
#include <string_view>
#include <vector>

namespace {

constexpr uint32_t length = 32, dim = 8, left = 3;

struct device {
    VkInstance instance;
    VkPhysicalDevice physical_device;
    VkDevice handle;
    VkQueue queue;
    uint32_t family;
    tulle_features features;
};

// the first device with a queue that computes
bool open(device &d) {
    if (volkInitialize()) return false;
    VkApplicationInfo application{};
    application.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO;
    application.apiVersion = VK_API_VERSION_1_1;
    VkInstanceCreateInfo instance_info{};
    instance_info.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO;
    instance_info.pApplicationInfo = &application;
    if (vkCreateInstance(&instance_info, nullptr, &d.instance)) return false;
    volkLoadInstance(d.instance);

    uint32_t count = 1;
    vkEnumeratePhysicalDevices(d.instance, &count, &d.physical_device);
    if (!count) return false;
    vkGetPhysicalDeviceQueueFamilyProperties(d.physical_device, &count, nullptr);
    std::vector<VkQueueFamilyProperties> families(count);
    vkGetPhysicalDeviceQueueFamilyProperties(d.physical_device, &count, families.data());
    while (d.family < count && !(families[d.family].queueFlags & VK_QUEUE_COMPUTE_BIT)) d.family++;
    if (d.family == count) return false;

    if (tulle_required_features(vkGetInstanceProcAddr, d.instance, d.physical_device, &d.features,
                                nullptr))
        return false;
    const float priority = 1;
    VkDeviceQueueCreateInfo queue_info{};
    queue_info.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO;
    queue_info.queueFamilyIndex = d.family;
    queue_info.queueCount = 1;
    queue_info.pQueuePriorities = &priority;
    VkDeviceCreateInfo device_info{};
    device_info.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO;
    device_info.pNext = &d.features.recommended;
    device_info.queueCreateInfoCount = 1;
    device_info.pQueueCreateInfos = &queue_info;
    device_info.enabledExtensionCount = d.features.extension_count;
    device_info.ppEnabledExtensionNames = d.features.extensions;
    if (vkCreateDevice(d.physical_device, &device_info, nullptr, &d.handle)) return false;
    volkLoadDevice(d.handle);
    vkGetDeviceQueue(d.handle, d.family, 0, &d.queue);
    return true;
}

// Q is 0: each row's weights are even, and O is the mean of V over its window. Nothing: an error, in `error`.
std::optional<float> worst_difference(const device &d, tulle_error *error) {
    tulle_vulkan_import import{};
    import.get_instance_proc_addr = vkGetInstanceProcAddr;
    import.instance = d.instance;
    import.physical_device = d.physical_device;
    import.device = d.handle;
    import.queue = d.queue;
    import.queue_family = d.family;
    import.features = &d.features.recommended;
    import.extensions = d.features.extensions;
    import.extension_count = d.features.extension_count;
    tulle_context_params params{};
    params.import = &import;
    tulle_term term{};
    term.kind = TULLE_WINDOW;
    term.left = left;

    tulle_context *context = nullptr;
    tulle_pattern *window = nullptr;
    tulle_plan *plan = nullptr;
    std::vector<float> q(length * dim), v(length * dim), o(length * dim);
    for (uint32_t i = 0; i < length * dim; i++) v[i] = static_cast<float>(i / dim);
    tulle_attention_desc desc{};
    desc.heads = 1;
    desc.q_len = desc.kv_len = length;
    desc.head_dim = dim;
    desc.patterns = &window;
    desc.pattern_count = 1;
    tulle_host_arrays arrays{};
    arrays.q = arrays.k = q.data();
    arrays.v = v.data();
    arrays.o = o.data();
    const bool fine = !tulle_context_create(&params, &context, error) &&
                      !tulle_pattern_create(&term, 1, &window, error) &&
                      !tulle_plan_create(context, &desc, &plan, error) &&
                      !tulle_attention(plan, &arrays, nullptr, error);
    tulle_plan_destroy(plan);
    tulle_pattern_destroy(window);
    tulle_context_destroy(context);
    if (!fine) return std::nullopt;

    float worst = 0;
    for (uint32_t i = 0; i < length * dim; i++) {
        const uint32_t row = i / dim, first = row < left ? 0 : row - left;
        worst = std::fmax(worst, std::fabs(o[i] - static_cast<float>(first + row) / 2));
    }
    return worst;
}

}  // namespace

int main() {
    static device d;
    if (!open(d)) {
        std::puts("skip: no Vulkan device");
        return 77;
    }
    tulle_error error{};
    const std::optional<float> worst = worst_difference(d, &error);
    if (!worst) std::printf("# %s\n", error.message);
    vkDestroyDevice(d.handle, nullptr);
    vkDestroyInstance(d.instance, nullptr);
    const bool fine = worst && *worst < 1e-4f;
    constexpr std::string_view said = "ok 1 - a host in C++17 with its own volk";
    std::printf("%s%s\n", fine ? "" : "not ", said.data());
    return !fine;
}
