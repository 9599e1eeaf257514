// SPDX-License-Identifier: MIT
//
// A program that has a Vulkan device already and hands it to Tulle: it calls libvulkan directly or,
// with OWN_VOLK, through volk, compiled into it. After Tulle is gone it goes on using its device.
#ifdef OWN_VOLK
#define VK_NO_PROTOTYPES
#define VOLK_IMPLEMENTATION
#include <volk.h>
#endif

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vulkan/vulkan.h>

#include <tulle/inspect.h>
#include <tulle/tulle.h>

#define CHECK(what)                                               \
    do {                                                          \
        if (!(what)) {                                            \
            printf("# line %d: %s\nnot ok 1\n", __LINE__, #what); \
            exit(1);                                              \
        }                                                         \
    } while (0)

enum { HEADS = 2, LENGTH = 40, DIM = 8, LEFT = 5 };

static float q[HEADS][LENGTH][DIM], k[HEADS][LENGTH][DIM], v[HEADS][LENGTH][DIM],
    o[HEADS][LENGTH][DIM];
static int locked, unlocked;

static void lock(void *user) { (void)user, locked++; }
static void unlock(void *user) { (void)user, unlocked++; }

static float drawn(void) {
    static unsigned state = 1;
    state = state * 1664525u + 1013904223u;
    return (float)(state >> 8) / (float)(1 << 23) - 1.0f;
}

// a causal window, straight from its definition
static double expected(int head, int i, int d) {
    double sum = 0, weighted = 0;
    for (int j = i < LEFT ? 0 : i - LEFT; j <= i; j++) {
        double dot = 0;
        for (int c = 0; c < DIM; c++) dot += (double)q[head][i][c] * (double)k[head][j][c];
        double weight = exp(dot / sqrt(DIM));
        sum += weight;
        weighted += weight * (double)v[head][j][d];
    }
    return weighted / sum;
}

static void attend(VkInstance instance, VkPhysicalDevice physical_device, VkDevice device,
                   VkQueue queue, uint32_t family, const tulle_features *features) {
    tulle_error error = { 0 };
    tulle_context *context;
    tulle_vulkan_import import = { .instance = instance,
                                   .physical_device = physical_device,
                                   .device = device,
                                   .queue = queue,
                                   .queue_family = family,
                                   .api_version = VK_API_VERSION_1_1,
                                   .features = &features->recommended,
                                   .extensions = features->extensions,
                                   .extension_count = features->extension_count,
                                   .lock_queue = lock,
                                   .unlock_queue = unlock };
    if (tulle_context_create(&(tulle_context_params){ .import = &import }, &context, &error))
        printf("# %s\n", error.message);
    CHECK(!error.result);

    tulle_pattern *window;
    CHECK(!tulle_pattern_create(&(tulle_term){ .kind = TULLE_WINDOW, .left = LEFT, .right = 0 }, 1,
                                &window, &error));
    const tulle_pattern *patterns[] = { window };
    tulle_attention_desc desc = { .heads = HEADS,
                                  .q_len = LENGTH,
                                  .kv_len = LENGTH,
                                  .head_dim = DIM,
                                  .patterns = patterns,
                                  .pattern_count = 1 };
    tulle_plan *plan;
    if (tulle_plan_create(context, &desc, &plan, &error)) printf("# %s\n", error.message);
    CHECK(!error.result);
    if (tulle_attention(plan, &(tulle_host_arrays){ .q = q, .k = k, .v = v, .o = o }, NULL, &error))
        printf("# %s\n", error.message);
    CHECK(!error.result);
    CHECK(locked > 0 && locked == unlocked);
    uint64_t pairs;
    CHECK(!tulle_plan_count_pairs(plan, &pairs, &error));
    CHECK(pairs == HEADS * (LENGTH * (LEFT + 1) - LEFT * (LEFT + 1) / 2));

    tulle_plan_destroy(plan);
    tulle_pattern_destroy(window);
    tulle_context_destroy(context);
}

// the host's own work, through its own functions
static void use_device(VkDevice device, VkQueue queue, uint32_t family) {
    VkBuffer buffer;
    VkCommandPool pool;
    VkCommandBuffer cmd;
    VkMemoryRequirements requirements;
    CHECK(!vkCreateBuffer(device,
                          &(VkBufferCreateInfo){ .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                                                 .size = 1000,
                                                 .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT },
                          NULL, &buffer));
    vkGetBufferMemoryRequirements(device, buffer, &requirements);
    CHECK(requirements.size >= 1000);
    CHECK(!vkCreateCommandPool(
        device,
        &(VkCommandPoolCreateInfo){ .sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                    .queueFamilyIndex = family },
        NULL, &pool));
    CHECK(!vkAllocateCommandBuffers(
        device,
        &(VkCommandBufferAllocateInfo){ .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                        .commandPool = pool,
                                        .commandBufferCount = 1 },
        &cmd));
    CHECK(!vkBeginCommandBuffer(
        cmd, &(VkCommandBufferBeginInfo){ .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO }));
    CHECK(!vkEndCommandBuffer(cmd));
    CHECK(!vkQueueSubmit(queue, 1,
                         &(VkSubmitInfo){ .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                                          .commandBufferCount = 1,
                                          .pCommandBuffers = &cmd },
                         VK_NULL_HANDLE));
    CHECK(!vkQueueWaitIdle(queue));
    vkDestroyCommandPool(device, pool, NULL);
    vkDestroyBuffer(device, buffer, NULL);
}

int main(void) {
#ifdef OWN_VOLK
    if (volkInitialize()) {
        puts("skip: no Vulkan loader");
        return 77;
    }
#endif
    VkApplicationInfo application = { .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                      .apiVersion = VK_API_VERSION_1_1 };
    VkInstance instance;
    if (vkCreateInstance(&(VkInstanceCreateInfo){ .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                                  .pApplicationInfo = &application },
                         NULL, &instance)) {
        puts("skip: no Vulkan driver");
        return 77;
    }
#ifdef OWN_VOLK
    volkLoadInstance(instance);
#endif
    uint32_t count = 1;
    VkPhysicalDevice physical_device;
    vkEnumeratePhysicalDevices(instance, &count, &physical_device);
    if (!count) {
        puts("skip: no Vulkan device");
        return 77;
    }
    uint32_t family = 0;
    VkQueueFamilyProperties families[16];
    count = 16;
    vkGetPhysicalDeviceQueueFamilyProperties(physical_device, &count, families);
    while (family < count && !(families[family].queueFlags & VK_QUEUE_COMPUTE_BIT)) family++;
    CHECK(family < count);

    static tulle_features features;
    CHECK(!tulle_required_features(NULL, instance, physical_device, &features, NULL));
    const float priority = 1;
    VkDeviceQueueCreateInfo queue_info = { .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                           .queueFamilyIndex = family,
                                           .queueCount = 1,
                                           .pQueuePriorities = &priority };
    VkDeviceCreateInfo device_info = { .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                       .pNext = &features.recommended,
                                       .queueCreateInfoCount = 1,
                                       .pQueueCreateInfos = &queue_info,
                                       .enabledExtensionCount = features.extension_count,
                                       .ppEnabledExtensionNames = features.extensions };
    VkDevice device;
    VkQueue queue;
    CHECK(!vkCreateDevice(physical_device, &device_info, NULL, &device));
#ifdef OWN_VOLK
    volkLoadDevice(device);
#endif
    vkGetDeviceQueue(device, family, 0, &queue);

    use_device(device, queue, family);
    for (int n = 0; n < HEADS * LENGTH * DIM; n++)
        (&q[0][0][0])[n] = drawn(), (&k[0][0][0])[n] = drawn(), (&v[0][0][0])[n] = drawn();
    attend(instance, physical_device, device, queue, family, &features);
    use_device(device, queue, family);

    double worst = 0;
    for (int head = 0; head < HEADS; head++)
        for (int i = 0; i < LENGTH; i++)
            for (int d = 0; d < DIM; d++)
                worst = fmax(worst, fabs((double)o[head][i][d] - expected(head, i, d)));
    printf("# worst difference %g\n", worst);
    CHECK(worst < 1e-5);

    vkDestroyDevice(device, NULL);
    vkDestroyInstance(instance, NULL);
    puts("ok 1 - the host's own device served Tulle and lives on");
    return 0;
}
