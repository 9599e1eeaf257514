// SPDX-License-Identifier: MIT
//
// Attention in a native app for Android, on the app's own Vulkan device; it runs on Linux as it is.
// Three things that phones ask for:
//   the floor      Tulle's base kernel runs on any device of Vulkan 1.1: 128 invocations and 16 KiB
//                  of shared memory a workgroup, 4 storage buffers, no optional feature
//   lost devices   when the screen goes off, another app takes the GPU or a watchdog ends a
//                  dispatch, calls return VK_ERROR_DEVICE_LOST: all that was made of the VkDevice is
//                  destroyed, and made anew
//   small steps    dispatch_pairs keeps each dispatch short, so that the screen stays fluid
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tulle/tulle.h>

enum { HEADS = 2, LENGTH = 96, DIM = 32, COUNT = HEADS * LENGTH * DIM, LEFT = 15, FRAMES = 3 };

static float q[COUNT], k[COUNT], v[COUNT], o[COUNT];

// What the app has of Vulkan, and what Tulle has of the app's device.
struct app {
    VkInstance instance;
    VkPhysicalDevice physical_device;
    VkDevice device;
    tulle_context *context;
    tulle_plan *plan;
};

// On Android the app links libvulkan.so, whose vkGetInstanceProcAddr finds all the rest.
#define GET(app, name) ((PFN_##name)vkGetInstanceProcAddr((app)->instance, #name))

// Everything that a lost device takes with it, plans before their context. Destroying is always
// allowed: nothing here waits for the GPU.
static void close_device(struct app *app) {
    tulle_plan_destroy(app->plan);
    tulle_context_destroy(app->context);
    if (app->device) GET(app, vkDestroyDevice)(app->device, NULL);
    app->plan = NULL, app->context = NULL, app->device = NULL;
}

static tulle_result open_plan(struct app *app, const tulle_pattern *pattern, tulle_error *error) {
    const tulle_attention_desc desc = {
        .heads = HEADS,
        .q_len = LENGTH,
        .kv_len = LENGTH,
        .head_dim = DIM,
        .causal = true,
        .patterns = &pattern,
        .pattern_count = 1,
        .dispatch_pairs = 1 << 20,  // some milliseconds on a phone; 0: up to 0.1 s
        .buffer_usage = TULLE_USAGE_HOST,
    };
    return tulle_plan_create(app->context, &desc, &app->plan, error);
}

// The app's device, with what Tulle's faster kernels use where the device has it, handed to Tulle.
static tulle_result open_device(struct app *app, bool at_floor, const tulle_pattern *pattern,
                                tulle_error *error) {
    static tulle_features features;
    uint32_t family = 0, count = 16;
    VkQueueFamilyProperties families[16];
    GET(app, vkGetPhysicalDeviceQueueFamilyProperties)(app->physical_device, &count, families);
    while (family < count && !(families[family].queueFlags & VK_QUEUE_COMPUTE_BIT)) family++;
    tulle_result result = tulle_required_features(vkGetInstanceProcAddr, app->instance,
                                                  app->physical_device, &features, error);
    if (result) return result;
    const VkDeviceQueueCreateInfo queue = { .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                            .queueFamilyIndex = family,
                                            .queueCount = 1,
                                            .pQueuePriorities = &(float){ 1 } };
    const VkDeviceCreateInfo info = { .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                      .pNext = &features.recommended,
                                      .queueCreateInfoCount = 1,
                                      .pQueueCreateInfos = &queue,
                                      .enabledExtensionCount = features.extension_count,
                                      .ppEnabledExtensionNames = features.extensions };
    if (GET(app, vkCreateDevice)(app->physical_device, &info, NULL, &app->device)) {
        app->device = NULL;
        snprintf(error->message, sizeof error->message, "the app's own device could not be made");
        return error->result = TULLE_ERROR_VULKAN;
    }
    tulle_vulkan_import import = { .get_instance_proc_addr = vkGetInstanceProcAddr,
                                   .instance = app->instance,
                                   .physical_device = app->physical_device,
                                   .device = app->device,
                                   .queue_family = family,
                                   .features = &features.recommended,
                                   .extensions = features.extensions,
                                   .extension_count = features.extension_count };
    GET(app, vkGetDeviceQueue)(app->device, family, 0, &import.queue);
    // An app that submits to this queue from other threads sets import.lock_queue, unlock_queue.
    const tulle_context_params params = {
        .import = &import,
        // how it would be on the least of phones; an app leaves this out
        .clamp = at_floor ? TULLE_CLAMP_VULKAN_1_1 : TULLE_CLAMP_NONE,
    };
    result = tulle_context_create(&params, &app->context, error);
    return result ? result : open_plan(app, pattern, error);
}

// One layer of one frame. A device that was lost is closed, opened again and tried once more; what
// the GPU had in its memory is gone, so the app keeps Q, K and V where it can upload them again.
static tulle_result frame(struct app *app, bool at_floor, const tulle_pattern *pattern,
                          tulle_error *error) {
    const tulle_host_arrays arrays = { .q = q, .k = k, .v = v, .o = o };
    tulle_result result = TULLE_ERROR_DEVICE_LOST;
    for (int attempt = 0; attempt < 2 && result == TULLE_ERROR_DEVICE_LOST; attempt++) {
        if (attempt > 0) printf("the device was lost (%s): opening it again\n", error->message);
        if (attempt > 0) close_device(app);
        result = app->plan ? TULLE_OK : open_device(app, at_floor, pattern, error);
        if (!result) result = tulle_attention(app->plan, &arrays, NULL, error);
    }
    return result;
}

// The largest difference from the definition, in double.
static double worst_difference(void) {
    double worst = 0;
    for (int at = 0; at < COUNT; at++) {
        const int head = at / (LENGTH * DIM) * LENGTH * DIM, i = at / DIM % LENGTH, d = at % DIM;
        double sum = 0, weighted = 0;
        for (int j = i < LEFT ? 0 : i - LEFT; j <= i; j++) {
            double dot = 0;
            for (int c = 0; c < DIM; c++)
                dot += (double)q[head + i * DIM + c] * (double)k[head + j * DIM + c];
            sum += exp(dot / sqrt(DIM));
            weighted += exp(dot / sqrt(DIM)) * (double)v[head + j * DIM + d];
        }
        worst = fmax(worst, fabs(weighted / sum - (double)o[at]));
    }
    return worst;
}

int main(int argc, char **argv) {
    const bool at_floor = argc > 1 && strcmp(argv[1], "--floor") == 0;
    struct app app = { 0 };
    tulle_error error = { 0 };
    tulle_pattern *pattern = NULL;
    uint32_t count = 1;
    const VkInstanceCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
        .pApplicationInfo = &(VkApplicationInfo){ .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                                  .apiVersion = VK_API_VERSION_1_1 },
    };
    if (GET(&app, vkCreateInstance)(&info, NULL, &app.instance))
        return puts("skip: no Vulkan driver"), 77;
    int status = 1;
    if (GET(&app, vkEnumeratePhysicalDevices)(app.instance, &count, &app.physical_device) < 0 ||
        count == 0) {
        puts("skip: no Vulkan device");
        status = 77;
        goto done;
    }
    for (int n = 0; n < COUNT; n++)
        q[n] = sinf((float)n), k[n] = cosf(0.7f * (float)n), v[n] = sinf(1.3f * (float)n);
    const tulle_term window = { .kind = TULLE_WINDOW, .left = LEFT };
    if (tulle_pattern_create(&window, 1, &pattern, &error)) goto done;
    for (int n = 0; n < FRAMES; n++) {
        if (frame(&app, at_floor, pattern, &error)) goto done;
        tulle_plan_info plan;
        tulle_plan_get_info(app.plan, &plan);
        printf("frame %d by %s: worst difference %.1e\n", n, plan.kernel, worst_difference());
        if (!(worst_difference() < 1e-5)) goto done;
    }
    status = 0;
done:
    if (status == 1) fprintf(stderr, "failed: %s\n", error.message);
    close_device(&app);
    tulle_pattern_destroy(pattern);
    GET(&app, vkDestroyInstance)(app.instance, NULL);
    return status;
}
