// SPDX-License-Identifier: MIT
//
// Tensors by address, for kernels of CPU drivers (rows_address.comp says what such addresses must look like). After dtype.glsl;
// the including shader enables GL_EXT_buffer_reference and GL_EXT_buffer_reference_uvec2.
#ifndef TULLE_ADDRESS_GLSL
#define TULLE_ADDRESS_GLSL

#define PIECE_SHIFT (PIECE_BYTES == 16 ? 4u : 3u)
#define OUT_PIECE_SHIFT (OUT_PIECE_BYTES == 16 ? 4u : 3u)

layout(buffer_reference, std430, buffer_reference_align = 8) readonly buffer Pieces { PIECE_T piece[]; };
layout(buffer_reference, std430, buffer_reference_align = 8) writeonly buffer OutPieces { OUT_PIECE_T piece[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer Words { uint word[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) writeonly buffer OutWords { uint word[]; };

// The uniform address `units` (signed, of 2^shift bytes) beyond `base`.
uvec2 advance(uvec2 base, uint units, uint shift) {
    const uint bytes = units << shift;
    const uint low = base.x + bytes;
    const uint carry = ((base.x & bytes) | ((base.x | bytes) & ~low)) >> 31;
    return uvec2(low, base.y + uint(int(units) >> (32u - shift)) + carry);
}

#endif
