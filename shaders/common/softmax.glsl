// SPDX-License-Identifier: MIT
//
// Online softmax in base 2. Scores are in log2 units (the host folded log2 e into scale, softcap,
// slopes and sink logits), so that one exp2 an element is all there is.
//
// A row's state is (m, l, o): the largest score so far, Σ exp2(z − m), and weight_unit · Σ exp2(z − m)·v
// (plan_memory.h): with a V near fp32's largest the sum may be infinite where the mean is not. Nothing
// in here is ever infinite or NaN for finite inputs: Vulkan 1.1 does not promise that such values
// survive arithmetic. An empty row has m = PM_EMPTY, l = 0; −∞ appears only as bits, in the LSE
// that is written.
#ifndef TULLE_SOFTMAX_GLSL
#define TULLE_SOFTMAX_GLSL

#include "plan_memory.h"

const float SOFTMAX_EMPTY = PM_EMPTY;  // finite: no −∞ inside
// scores are kept within ±this, so that differences of two are finite
const float SOFTMAX_LIMIT = 1.0e30;
const uint LSE_EMPTY_BITS = 0xff800000u;  // −∞

// exp2 of x ≤ 0. Below −160 the fp32 result is 0 anyway; drivers that form it in fixed point
// overflow far below.
float softmax_exp2(float x) { return exp2(max(x, -160.0)); }

// No product of finite inputs may make a score infinite.
float softmax_limit(float z) { return clamp(z, -SOFTMAX_LIMIT, SOFTMAX_LIMIT); }

// tanh, by hand: drivers' own gives NaN at large arguments on some. Absolute error below 2e-7,
// relative below 1e-6: a series near 0, where 1 − exp2 would cancel.
float softmax_tanh(float x) {
    const float a = min(abs(x), 10.0);       // tanh(10) rounds to 1
    const float t = exp2(-2.885390082 * a);  // exp(−2a)
    const float s = a * a;
    const float series =
        a *
        (1.0 + s * (-0.3333333333 + s * (0.1333333333 + s * (-0.05396825397 + s * 0.02186948854))));
    const float r = a < 0.3 ? series : (1.0 - t) / (1.0 + t);
    return x < 0.0 ? -r : r;
}

// The factor of q·k that comes before softcap, or alone; scale: of plan_scale().
float softmax_factor(vec3 scale, const bool softcap) { return softcap ? scale.y : scale.x; }

// The score of a dot product that has its factor already. distance: p − j; slope 0: no ALiBi.
float softmax_score(float z, vec3 scale, const bool softcap, const bool alibi, float slope,
                    int distance) {
    if (softcap) z = scale.z * softmax_tanh(z);
    if (alibi) z -= slope * float(abs(distance));
    return softmax_limit(z);
}

// The score of a pair that is not selected has no say in the maximum, and its weight is 0 by
// selection: a row without any key yet has top = z = SOFTMAX_EMPTY, and exp2 of their difference
// is 1.
float softmax_masked(float z, const bool partial, bool taken) {
    return partial ? (taken ? z : SOFTMAX_EMPTY) : z;
}
float softmax_weight(float z, float top, const bool partial, bool taken) {
    const float p = softmax_exp2(z - top);
    return partial ? (taken ? p : 0.0) : p;
}

// Natural-log LSE of a finished row, as bits.
uint softmax_lse_bits(float m, float l) {
    return l > 0.0 ? floatBitsToUint(0.6931471805599453 * (m + log2(l))) : LSE_EMPTY_BITS;
}

// Takes the sink logit z2 (log2 units) into (m, l); the accumulator is to be multiplied by the
// result.
float softmax_sink(inout float m, inout float l, float sink) {
    const float z = softmax_limit(sink);
    const float top = max(m, z);
    const float shrink = softmax_exp2(m - top);
    l = l * shrink + softmax_exp2(z - top);
    m = top;
    return shrink;
}

// 1/l, or 0 for an empty row.
float softmax_inverse(float l) { return l > 0.0 ? 1.0 / l : 0.0; }

// Replaces Inf and NaN by 0, by their bits: 0 · NaN in P·V must not leak from a key that a row does
// not select.
vec4 softmax_finite(vec4 x) {
    const uvec4 e = floatBitsToUint(x) & 0x7f800000u;
    return vec4(e.x == 0x7f800000u ? 0.0 : x.x, e.y == 0x7f800000u ? 0.0 : x.y,
                e.z == 0x7f800000u ? 0.0 : x.z, e.w == 0x7f800000u ? 0.0 : x.w);
}

#endif
