// SPDX-License-Identifier: MIT
//
// Elements are read and written in PIECES of 4: as fp32 numbers in a vec4 inside, as a PIECE_T in a
// storage buffer (vec4 for fp32, uvec2 for 16 bits). No 16-bit storage or arithmetic feature is
// needed: 16-bit elements travel as 32-bit words, little-endian (element 0 in the low half of word
// 0).
//
// The including shader defines one of DTYPE_F32, DTYPE_F16, DTYPE_BF16 (Q, K, V), and OUT_F32 where
// O is fp32 although the inputs are not; and F16_BY_INTEGERS to have fp32 turned into fp16 by
// integers, to nearest, ties to even. packHalf2x16 does it in one word, but Mesa's CPU driver
// expands that into so much code that a large head takes long to compile
// (docs/measurements/2026-11-26-cpu.md).
#ifndef TULLE_DTYPE_GLSL
#define TULLE_DTYPE_GLSL

#if defined(DTYPE_F32)
#define PIECE_T vec4
#define PIECE_BYTES 16
#elif defined(DTYPE_F16) || defined(DTYPE_BF16)
#define PIECE_T uvec2
#define PIECE_BYTES 8
#else
#error "define DTYPE_F32, DTYPE_F16 or DTYPE_BF16"
#endif

#if defined(DTYPE_F32) || defined(OUT_F32)
#define OUT_PIECE_T vec4
#define OUT_PIECE_BYTES 16
#else
#define OUT_PIECE_T uvec2
#define OUT_PIECE_BYTES 8
#endif

// Pieces in a cache line of 64 bytes.
#define LINE_PIECES (64u / PIECE_BYTES)
#define OUT_LINE_PIECES (64u / OUT_PIECE_BYTES)

// The n-th of `count` pieces (whole lines of them) in an order that begins with the first piece of
// each line: a processor that has them one by one then waits for all lines at once.
uint line_order(uint n, const uint count, const uint line) {
    return n % (count / line) * line + n / (count / line);
}

// fp32 to the 16 bits of bf16, to nearest, ties to even; a NaN stays one (made quiet), in integers
// throughout.
uint bf16_bits(float x) {
    const uint bits = floatBitsToUint(x);
    const uint rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    return (bits & 0x7fffffffu) > 0x7f800000u ? (bits >> 16) | 0x40u : rounded;
}

#ifdef F16_BY_INTEGERS
uint f16_bits(float x) {
    const uint bits = floatBitsToUint(x), size = bits & 0x7fffffffu;
    // 112 off the exponent, rounded
    const uint normal = (size + 0xc8000fffu + ((size >> 13) & 1u)) >> 13;
    // an ulp of the sum is 2^-24
    const uint small = floatBitsToUint(uintBitsToFloat(size) + 0.5) - floatBitsToUint(0.5);
    uint h = size < 0x38800000u ? small : normal;
    if (size >= 0x47800000u) h = size > 0x7f800000u ? 0x7e00u : 0x7c00u;  // NaN; 65536 and up: Inf
    return h | ((bits >> 16) & 0x8000u);
}
#endif

vec4 piece_to_float(PIECE_T piece) {
#if defined(DTYPE_F32)
    return piece;
#elif defined(DTYPE_F16)
    return vec4(unpackHalf2x16(piece.x), unpackHalf2x16(piece.y));
#else  // a bf16 is the upper half of an fp32
    return vec4(uintBitsToFloat(piece.x << 16), uintBitsToFloat(piece.x & 0xffff0000u),
                uintBitsToFloat(piece.y << 16), uintBitsToFloat(piece.y & 0xffff0000u));
#endif
}

OUT_PIECE_T piece_from_float(vec4 x) {
#if defined(DTYPE_F32) || defined(OUT_F32)
    return x;
#elif defined(DTYPE_F16) && defined(F16_BY_INTEGERS)
    return uvec2(f16_bits(x.x) | (f16_bits(x.y) << 16), f16_bits(x.z) | (f16_bits(x.w) << 16));
// packHalf2x16 rounds to nearest or to zero as the driver likes: 1 ulp is allowed for
#elif defined(DTYPE_F16)
    return uvec2(packHalf2x16(x.xy), packHalf2x16(x.zw));
#else
    return uvec2(bf16_bits(x.x) | (bf16_bits(x.y) << 16), bf16_bits(x.z) | (bf16_bits(x.w) << 16));
#endif
}

#if PIECE_BYTES == 8
// Four weights as elements of Q's, K's and V's type: 0 … 2^15, so packHalf2x16's direction of
// rounding is all that a driver may choose.
uvec2 piece_from_weight(vec4 p) {
#if defined(DTYPE_F16)
    return uvec2(packHalf2x16(p.xy), packHalf2x16(p.zw));
#else
    return uvec2(bf16_bits(p.x) | (bf16_bits(p.y) << 16), bf16_bits(p.z) | (bf16_bits(p.w) << 16));
#endif
}

// Replaces Inf and NaN by 0 (softmax_finite), two elements a word.
uint pair_finite(uint pair) {
#if defined(DTYPE_F16)
    const uint low = 0x7c00u;
#else
    const uint low = 0x7f80u;
#endif
    const uint high = low << 16;
    return ((pair & low) == low ? 0u : pair & 0xffffu) |
           ((pair & high) == high ? 0u : pair & 0xffff0000u);
}
uvec2 piece_finite(uvec2 piece) { return uvec2(pair_finite(piece.x), pair_finite(piece.y)); }
#endif

#endif
