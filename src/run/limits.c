// SPDX-License-Identifier: MIT
#include "run/limits.h"

#define DEFAULT_WORKSPACE (256ull << 20)
// 256 MiB: no segment needs more, and offsets stay far from 32 bits
#define SEGMENT_TEXELS_MOST (1u << 24)

uint64_t limits_asked_workspace(const struct attention *a) {
    return a->workspace_limit ? a->workspace_limit : DEFAULT_WORKSPACE;
}

uint64_t limits_workspace(const struct attention *a, const struct variant *v,
                          const struct caps *caps) {
    uint64_t most = limits_asked_workspace(a);
    if (most > caps->max_storage_range) most = caps->max_storage_range;
    // seen from the aligned place before it
    if (variant_reaches(v, caps, BOUND_WORKSPACE, REACH_TEXELS)) {
        uint64_t bytes = (uint64_t)(caps->max_texel_elements - caps_texel_unit(caps) / 16) * 16;
        if (most > bytes) most = bytes;
    }
    return most;
}

void limits_of(const struct attention *a, const struct variant *v, const struct caps *caps,
               struct schedule_limits *limits) {
    bool cpu = caps->type == VK_PHYSICAL_DEVICE_TYPE_CPU,
         discrete = caps->type == VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU,
         counted = caps->max_loop_iterations != UINT32_MAX;
    uint32_t rounds =
        v->family->combine.rounds(head_class(a->v_head_dim), variant_workgroup(v, caps));
    uint32_t segment = caps->max_texel_elements < SEGMENT_TEXELS_MOST ? caps->max_texel_elements
                                                                      : SEGMENT_TEXELS_MOST;
    *limits = (struct schedule_limits){
        .tile_rows = (int32_t)variant_tile_rows(v, caps),
        .chunk = (int32_t)v->keys,
        .direct = variant_direct(v, caps),
        .segment_texels = segment,
        .segment_alignment = (uint32_t)(caps_texel_unit(caps) / 16),
        .max_workgroups_x = caps->max_workgroups[0] < 65535 ? caps->max_workgroups[0] : 65535,
        .max_workgroups_y = caps->max_workgroups[1] < 65535 ? caps->max_workgroups[1] : 65535,
        // A driver that counts loop iterations counts all of an invocation's: runs, chunks, and the
        // loops inside a chunk.
        .item_chunks_most =
            counted ? caps->max_loop_iterations / variant_chunk_loops(v, a) : 1 << 20,
        .splits_most = counted ? caps->max_loop_iterations / (2 * (rounds + 1)) : 0,
        .item_chunks_least = 512 / v->keys > 8 ? 512 / v->keys : 8,
        .items_wanted = cpu        ? 64
                        : discrete ? 2048
                                   : 512,
        // Under 100 ms at 128 flops a pair: on a 2 TFLOP/s part 1.5e9, on a phone's 0.3 TFLOP/s
        // 2.3e8. A CPU has no watchdog: about a second, so that progress can be told.
        .dispatch_pairs = a->dispatch_pairs ? a->dispatch_pairs
                          : cpu             ? 1ull << 28
                          : discrete        ? 1500000000
                                            : 230000000,
        .workspace_rows = limits_workspace(a, v, caps) / attention_partial_bytes(a),
        .window_bytes = caps_window_bytes(caps),
    };
}

void limits_find_windowed(struct attention *a, const struct variant *v, const struct caps *caps) {
    for (int t = 0; t < TENSOR_COUNT; t++)
        a->tensors[t].windowed =
            variant_reaches(v, caps, t, REACH_STORAGE) && a->span[t] > caps_window_bytes(caps);
}
