// SPDX-License-Identifier: MIT
//
// A copy from one buffer to another: how many bytes a second this device moves for a shader. Lanes
// take 16 bytes each, side by side, eight times: a workgroup moves 8 KiB.
#version 450
#extension GL_EXT_control_flow_attributes : require

layout(local_size_x = 64) in;
layout(std430, set = 0, binding = 0) readonly buffer From { uvec4 from[]; };
layout(std430, set = 0, binding = 1) writeonly buffer To { uvec4 to[]; };

void main() {
    const uint first = gl_WorkGroupID.x * 512u + gl_LocalInvocationID.x;
    [[unroll]] for (uint i = 0u; i < 8u; i++)
        to[first + i * 64u] = from[first + i * 64u];
}
