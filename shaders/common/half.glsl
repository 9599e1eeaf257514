// SPDX-License-Identifier: MIT
//
// What piece_from_float does (dtype.glsl), for CPU drivers: fp32 to the 16 bits of fp16, to nearest, ties to even, in integers.
// packHalf2x16 does it in one word, but Mesa's CPU driver expands that into so much code that a kernel with a head of 256
// elements took 2.5 s to compile instead of 0.4. After dtype.glsl.
#ifndef TULLE_HALF_GLSL
#define TULLE_HALF_GLSL

uint f16_bits(float x) {
    const uint bits = floatBitsToUint(x), size = bits & 0x7fffffffu;
    const uint normal = (size + 0xc8000fffu + ((size >> 13) & 1u)) >> 13;                     // 112 off the exponent, rounded
    const uint small = floatBitsToUint(uintBitsToFloat(size) + 0.5) - floatBitsToUint(0.5);   // an ulp of the sum is 2^-24
    uint h = size < 0x38800000u ? small : normal;
    if (size >= 0x47800000u) h = size > 0x7f800000u ? 0x7e00u : 0x7c00u;                      // NaN; 65536 and up: Inf
    return h | ((bits >> 16) & 0x8000u);
}

OUT_PIECE_T out_piece(vec4 x) {
#if defined(DTYPE_F16) && !defined(OUT_F32)
    return uvec2(f16_bits(x.x) | (f16_bits(x.y) << 16), f16_bits(x.z) | (f16_bits(x.w) << 16));
#else
    return piece_from_float(x);
#endif
}

#endif
