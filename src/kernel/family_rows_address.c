// SPDX-License-Identifier: MIT
//
// rows_address: for CPU drivers with fast loads through addresses (rows_address.comp).
#include <stdio.h>

#include "kernel/family_rows.h"

static const struct layout address_attention_layout = {
    .by_address = true,
    .push_bytes = sizeof(struct pm_attention_push) + sizeof(struct pm_attention_addresses),
};

static const struct layout address_combine_layout = {
    .by_address = true,
    .push_bytes = sizeof(struct pm_combine_push) + sizeof(struct pm_combine_addresses),
};

static const struct layout *address_layout(const struct caps *caps) {
    (void)caps;
    return &address_attention_layout;
}

static bool address_serves(const struct variant *v, const struct attention *a,
                           const struct caps *caps, bool named, char *reason, size_t size) {
    // What is taken by default compiles in 1.4 CPU seconds (docs/measurements/2026-11-26-cpu.md).
    uint32_t body_most = v->rows_per_lane > 1 ? 128 : v->dtype != TULLE_F32 ? 192 : 256;
    if (!rows_serves(v, a, caps, named, body_most, reason, size)) return false;
    // Not even by name: one pipeline may take minutes (docs/measurements/2026-11-24-cpu.md).
    if (caps->slow_addresses)
        REFUSE(
            "this driver takes minutes to compile loads through addresses, and runs them 10 times slower than texels");
    if (!caps->buffer_device_address) REFUSE("needs bufferDeviceAddress, which is not enabled");
    if (!(a->buffer_usage & VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT))
        REFUSE("needs VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT in buffer_usage");
    for (int t = 0; t < TENSOR_COUNT; t++) {
        // O's indices count 8 bytes, with a sign (address.glsl)
        int bits = t == TENSOR_O ? 30 : 31;
        if (a->span[t] / (4 * attention_element(a, t)) >= 1u << bits)
            REFUSE("%s spans 2^%d pieces of 4 elements or more", tensor_names[t], bits);
    }
    if (caps->subgroup_size > 32)
        REFUSE("needs a subgroup of at most 32 lanes; the device has %u", caps->subgroup_size);
    return true;
}

const struct family family_rows_address = {
    .workgroup = rows_workgroup,
    .tile_rows = rows_tile_rows,
    .shared_memory = rows_shared_memory,
    .layout = address_layout,
    .serves = address_serves,
    .rank = rows_rank,
    .chunk_loops = ROWS_CHUNK_LOOPS,
    .reads_pages = true,
    .direct_suffix = "",
    .combine = { "combine_address", &address_combine_layout, rows_combine_rounds },
};
