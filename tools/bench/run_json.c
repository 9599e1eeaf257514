// SPDX-License-Identifier: MIT
#include "bench/run_json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench_commit.h"
#include "common/device_json.h"
#include "common/json.h"
#include "common/system.h"

static const char *known(const char *text) { return *text ? text : NULL; }

static cJSON *host_json(void) {
    cJSON *json = cJSON_CreateObject();
    struct host host;
    host_describe(&host);
    json_add_text(json, "name", known(host.name));
    json_add_text(json, "cpu", known(host.cpu));
    json_add_count(json, "cpus", processor_count());
    json_add_count(json, "memory_bytes", host.memory_bytes);
    json_add_text(json, "os", known(host.os));
    json_add_text(json, "kernel", known(host.kernel));
    json_add_number(json, "load", host.load);  // what else ran
    return json;
}

cJSON *run_json(void) {
    cJSON *run = cJSON_CreateObject();
    char date[40] = "";
    const time_t now = time(NULL);
    const struct tm *utc = gmtime(&now);  // no other thread asks for it
    if (utc) strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", utc);
    cJSON_AddStringToObject(run, "kind", "run");
    cJSON_AddStringToObject(run, "format", BENCH_FORMAT);
    json_add_count(run, "format_version", BENCH_FORMAT_VERSION);
    cJSON_AddStringToObject(run, "program", "tulle");
    cJSON_AddStringToObject(run, "version", tulle_version());
    json_add_text(run, "commit", *BENCH_COMMIT ? BENCH_COMMIT : NULL);
    cJSON_AddStringToObject(run, "date", date);
    cJSON_AddItemToObject(run, "host", host_json());
    return run;
}

// Of PCI's list and Khronos's, as far as there are Vulkan drivers of theirs.
static const char *vendor_name(uint32_t id) {
    static const struct {
        uint32_t id;
        const char *name;
    } vendors[] = {
        { 0x1002, "AMD" },      { 0x1010, "Imagination" }, { 0x106b, "Apple" },
        { 0x10de, "NVIDIA" },   { 0x13b5, "Arm" },         { 0x14e4, "Broadcom" },
        { 0x5143, "Qualcomm" }, { 0x8086, "Intel" },       { 0x10005, "Mesa" },
    };
    for (size_t i = 0; i < sizeof vendors / sizeof vendors[0]; i++)
        if (vendors[i].id == id) return vendors[i].name;
    return NULL;
}

static cJSON *clock_json(const tulle_device_info *info, const struct peaks *peaks) {
    cJSON *clock = cJSON_CreateObject();
    cJSON_AddStringToObject(clock, "source", info->timestamps ? "device timestamps" : "wall clock");
    const double ns = info->timestamps ? peaks->timestamp_ns : 1e9 * clock_step_seconds();
    json_add_number(clock, "resolution_ns", ns > 0 ? ns : NAN);
    return clock;
}

cJSON *bench_device_json(uint32_t device_index, const tulle_device_info *info,
                         const struct peaks *peaks) {
    cJSON *device = device_json(info);
    cJSON_AddStringToObject(device, "kind", "device");
    json_add_count(device, "device_index", device_index);
    cJSON_AddStringToObject(device, "device", info->name);
    cJSON_AddStringToObject(device, "implementation", "tulle");
    json_add_text(device, "vendor", vendor_name(info->vendor_id));
    json_add_count(device, "driver_version", peaks->driver_version);
    cJSON_AddItemToObject(device, "clock", clock_json(info, peaks));
    cJSON *heaps = cJSON_AddArrayToObject(device, "memory_heaps");
    for (uint32_t i = 0; i < peaks->memory.memoryHeapCount; i++) {
        const VkMemoryHeap *heap = &peaks->memory.memoryHeaps[i];
        cJSON *entry = cJSON_CreateObject();
        json_add_count(entry, "bytes", heap->size);
        cJSON_AddBoolToObject(entry, "device_local",
                              (heap->flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) != 0);
        cJSON_AddItemToArray(heaps, entry);
    }
    const double gflops = peaks->multiply_add_gflops, copied = peaks->copy_bytes_per_s;
    json_add_number(device, "peak_gflops", gflops > 0 ? gflops : NAN);
    json_add_number(device, "copy_bytes_per_s", copied > 0 ? copied : NAN);
    json_add_count(device, "copy_bytes", peaks->copy_bytes);
    return device;
}
