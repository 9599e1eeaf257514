// SPDX-License-Identifier: MIT
#include "common/device_json.h"

#include <stdio.h>

#include "common/json.h"

const char *device_type_name(VkPhysicalDeviceType type) {
    switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU: return "discrete GPU";
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU: return "integrated GPU";
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU: return "virtual GPU";
    case VK_PHYSICAL_DEVICE_TYPE_CPU: return "CPU";
    default: return "other";
    }
}

static void uuid_text(const uint8_t *uuid, char text[2 * VK_UUID_SIZE + 1]) {
    for (size_t i = 0; i < VK_UUID_SIZE; i++) snprintf(text + 2 * i, 3, "%02x", uuid[i]);
}

// [M, N, K]; [0, 0, 0]: none.
static void add_matrices(cJSON *object, const char *name, const tulle_matrix_shape *shape) {
    cJSON *array = cJSON_AddArrayToObject(object, name);
    cJSON_AddItemToArray(array, cJSON_CreateNumber(shape->m));
    cJSON_AddItemToArray(array, cJSON_CreateNumber(shape->n));
    cJSON_AddItemToArray(array, cJSON_CreateNumber(shape->k));
}

cJSON *device_json(const tulle_device_info *d) {
    char uuid[2 * VK_UUID_SIZE + 1], version[40];
    cJSON *object = cJSON_CreateObject();
    uuid_text(d->uuid, uuid);
    snprintf(version, sizeof version, "%u.%u.%u", VK_API_VERSION_MAJOR(d->api_version),
             VK_API_VERSION_MINOR(d->api_version), VK_API_VERSION_PATCH(d->api_version));
    json_add_count(object, "index", d->index);
    cJSON_AddStringToObject(object, "name", d->name);
    cJSON_AddStringToObject(object, "type", device_type_name(d->type));
    cJSON_AddStringToObject(object, "driver", d->driver);
    cJSON_AddStringToObject(object, "driver_info", d->driver_info);
    cJSON_AddStringToObject(object, "uuid", uuid);
    cJSON_AddStringToObject(object, "api_version", version);
    json_add_count(object, "vendor_id", d->vendor_id);
    json_add_count(object, "device_id", d->device_id);
    json_add_count(object, "subgroup_size", d->subgroup_size);
    json_add_count(object, "max_workgroup_invocations", d->max_workgroup_invocations);
    json_add_count(object, "max_shared_memory", d->max_shared_memory);
    json_add_count(object, "max_storage_buffers", d->max_storage_buffers);
    json_add_count(object, "max_storage_range", d->max_storage_range);
    json_add_count(object, "max_texel_elements", d->max_texel_elements);
    cJSON_AddBoolToObject(object, "unified_memory", d->unified_memory);
    cJSON_AddBoolToObject(object, "buffer_device_address", d->buffer_device_address);
    cJSON_AddBoolToObject(object, "subgroup_shuffle", d->subgroup_shuffle);
    cJSON_AddBoolToObject(object, "subgroup_size_control", d->subgroup_size_control);
    cJSON_AddBoolToObject(object, "timestamps", d->timestamps);
    cJSON_AddBoolToObject(object, "executable_properties", d->executable_properties);
    add_matrices(object, "matrix_f16", &d->matrix_f16);
    add_matrices(object, "matrix_bf16", &d->matrix_bf16);
    return object;
}
