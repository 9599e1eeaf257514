// SPDX-License-Identifier: MIT
//
// The most multiply-adds a second that this device does for a shader: twelve chains an invocation,
// enough to hide a multiply-add's latency and few enough to stay in sixteen vector registers beside
// their two operands. Each chain takes from the one before it what that was a step earlier: a
// step's twelve are independent, and no compiler can run one chain to its end before it begins the
// next, to save registers, which leaves a processor waiting for latencies
// (docs/measurements/2026-11-26-cpu.md). Many steps an iteration, because a driver without uniform branches
// selects old or new values of all chains by the execution mask at the end of each. Start values
// and operands differ by lane: Mesa 26.1 turns what is uniform over lanes into scalar code, which
// would measure something else.
#version 450
#extension GL_EXT_control_flow_attributes : require

layout(local_size_x = 64) in;
layout(std430, set = 0, binding = 0) writeonly buffer Sums { float sums[]; };
layout(push_constant) uniform Push {
    uint iterations;  // each of 64 steps of 12 multiply-adds
    uint mask;        // of the buffer's elements
};

void main() {
    const float lane = float(gl_LocalInvocationID.x);
    // 0 < a < 0.6: the chains settle at b / (1 - a) to b / (1 - a)^12, far from zero, infinity and
    // denormals.
    const float a = 0.5 + lane * 0.001, b = 1.0 + lane * 0.01;
    float x[12];
    [[unroll]] for (int i = 0; i < 12; i++)
        x[i] = lane + float(i);
    for (uint n = 0u; n < iterations; n++) {
        [[unroll]] for (int step = 0; step < 64; step++) {
            [[unroll]] for (int i = 11; i > 0; i--)
                x[i] = fma(x[i], a, x[i - 1]);
            x[0] = fma(x[0], a, b);
        }
    }
    float sum = 0.0;
    [[unroll]] for (int i = 0; i < 12; i++)
        sum += x[i];
    sums[gl_GlobalInvocationID.x & mask] = sum;
}
