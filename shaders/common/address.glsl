// SPDX-License-Identifier: MIT
//
// Tensors by address, for kernels of CPU drivers (rows_address.comp says what such addresses must
// look like). After plan.glsl and dtype.glsl; the including shader enables GL_EXT_buffer_reference
// and GL_EXT_buffer_reference_uvec2.
#ifndef TULLE_ADDRESS_GLSL
#define TULLE_ADDRESS_GLSL

#define PIECE_SHIFT (PIECE_BYTES == 16 ? 4u : 3u)
#define OUT_PIECE_SHIFT (OUT_PIECE_BYTES == 16 ? 4u : 3u)

layout(buffer_reference, std430, buffer_reference_align = 8) readonly buffer Pieces {
    PIECE_T piece[];
};
layout(buffer_reference, std430, buffer_reference_align = 8) writeonly buffer OutPieces {
    OUT_PIECE_T piece[];
};
layout(buffer_reference, std430, buffer_reference_align = 16) buffer Vectors { vec4 vector[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer Words { uint word[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) writeonly buffer OutWords {
    uint word[];
};

// 8 bytes that one access moves: as a pointer, the only value of that size that needs no feature;
// in a struct, since glslang takes an array of pointers for one of descriptors, which does need
// one.
layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer Pointer {
    uint unused;
};
struct Word64 {
    Pointer value;
};
layout(buffer_reference, std430, buffer_reference_align = 8) buffer Words64 { Word64 word[]; };

// The uniform address `units` (signed, of 2^shift bytes) beyond `base`.
uvec2 advance(uvec2 base, uint units, uint shift) {
    const uint bytes = units << shift;
    const uint low = base.x + bytes;
    const uint carry = ((base.x & bytes) | ((base.x | bytes) & ~low)) >> 31;
    return uvec2(low, base.y + uint(int(units) >> (32u - shift)) + carry);
}

// An access whose place differs by lane is made element by element of each lane, whatever an
// element's size: so by 8 bytes. Not with 16 lanes, where the driver cannot (rows_address.comp).
const bool BY_8_BYTES = WORKGROUP <= 8u;

// Vector `at` from the uniform address `base` on, where `at` differs by lane: at < 2^30.
vec4 load_vector(uvec2 base, uint at) {
    if (BY_8_BYTES) {
        const uvec2 low = uvec2(Words64(base).word[int(at * 2u)].value),
                    high = uvec2(Words64(base).word[int(at * 2u + 1u)].value);
        return uintBitsToFloat(uvec4(low, high));
    } else {
        return Vectors(base).vector[int(at)];
    }
}

void store_vector(uvec2 base, uint at, vec4 x) {
    if (BY_8_BYTES) {
        Words64(base).word[int(at * 2u)].value = Pointer(floatBitsToUint(x.xy));
        Words64(base).word[int(at * 2u + 1u)].value = Pointer(floatBitsToUint(x.zw));
    } else {
        Vectors(base).vector[int(at)] = x;
    }
}

// The same for a piece of O.
void store_piece(uvec2 base, uint at, vec4 x) {
#if OUT_PIECE_BYTES == 16
    store_vector(base, at, x);
#else
    if (BY_8_BYTES) Words64(base).word[int(at)].value = Pointer(piece_from_float(x));
    else OutPieces(base).piece[int(at)] = piece_from_float(x);
#endif
}

#endif
