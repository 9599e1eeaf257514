// SPDX-License-Identifier: MIT
//
// On the host. Arithmetic as in merge.comp.
#include "run/merge.h"

#include <math.h>
#include <string.h>

static float half_to_float(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = h >> 10 & 31, mantissa = h & 1023,
             bits;
    if (exponent == 31) bits = sign | 0x7f800000u | mantissa << 13;
    else if (exponent) bits = sign | (exponent + 112) << 23 | mantissa << 13;
    else {
        float value = ldexpf((float)mantissa, -24);
        return sign ? -value : value;
    }
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

/// To nearest, ties to even.
static uint16_t float_to_half(float f) {
    uint32_t bits;
    memcpy(&bits, &f, 4);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
    bits &= 0x7fffffffu;
    if (bits > 0x7f800000u) return sign | 0x7e00u;
    if (bits >= 0x477ff000u) return sign | 0x7c00u;  // 65520 and more round to infinity
    if (bits < 0x38800000u) {                        // subnormal: units of 2^-24
        return sign | (uint16_t)nearbyintf(ldexpf(fabsf(f), 24));
    }
    return sign | (uint16_t)((bits + 0xfffu + (bits >> 13 & 1) - 0x38000000u) >> 13);
}

static float load(const void *array, tulle_dtype dtype, size_t i) {
    if (dtype == TULLE_F32) return ((const float *)array)[i];
    uint16_t word = ((const uint16_t *)array)[i];
    if (dtype == TULLE_F16) return half_to_float(word);
    uint32_t bits = (uint32_t)word << 16;
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

static void store(void *array, tulle_dtype dtype, size_t i, float value) {
    if (dtype == TULLE_F32) {
        ((float *)array)[i] = value;
    } else if (dtype == TULLE_F16) {
        ((uint16_t *)array)[i] = float_to_half(value);
    } else {
        uint32_t bits;
        memcpy(&bits, &value, 4);
        bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
        ((uint16_t *)array)[i] = nan ? (uint16_t)(bits >> 16 | 0x40)
                                     : (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
    }
}

/// Either infinity marks an empty row: FlashAttention-2 writes +∞.
static float lse_of(float given) { return given == INFINITY ? -INFINITY : given; }

tulle_result merge_check(uint64_t rows, uint32_t v_head_dim, tulle_dtype dtype,
                         tulle_error *error) {
    if (rows < 1)
        return tulle_fail(error, TULLE_ERROR_INVALID_ARGUMENT, "rows is 0; it must be at least 1");
    if (v_head_dim < 1 || v_head_dim > V_HEAD_DIM_MOST)
        return tulle_fail(error, TULLE_ERROR_INVALID_ARGUMENT,
                          "v_head_dim is %u; it must be from 1 to %u", v_head_dim, V_HEAD_DIM_MOST);
    if ((unsigned)dtype > TULLE_BF16)
        return tulle_fail(error, TULLE_ERROR_INVALID_ARGUMENT,
                          "dtype is %d; it must be TULLE_F32, TULLE_F16 or TULLE_BF16", (int)dtype);
    return TULLE_OK;
}

tulle_result tulle_merge(size_t rows, uint32_t v_head_dim, tulle_dtype dtype, void *into_o,
                         float *into_lse, const void *from_o, const float *from_lse,
                         tulle_error *error) {
    tulle_result result = merge_check(rows, v_head_dim, dtype, error);
    if (result) return result;
    if (!into_o || !into_lse || !from_o || !from_lse)
        return tulle_fail(error, TULLE_ERROR_INVALID_ARGUMENT, "%s is NULL",
                          !into_o     ? "into_o"
                          : !into_lse ? "into_lse"
                          : !from_o   ? "from_o"
                                      : "from_lse");
    for (size_t r = 0; r < rows; r++) {
        float a = lse_of(into_lse[r]), b = lse_of(from_lse[r]), m = a > b ? a : b;
        if (m == -INFINITY) {  // empty: O is 0, whatever stood there
            for (size_t c = 0; c < v_head_dim; c++) store(into_o, dtype, r * v_head_dim + c, 0);
            into_lse[r] = m;
        }
        if (b == -INFINITY) continue;  // nothing to add
        float wa = a == -INFINITY ? 0 : expf(a - m), wb = expf(b - m), sum = wa + wb;
        for (size_t c = 0; c < v_head_dim; c++) {
            size_t i = r * v_head_dim + c;
            // an empty row's O does not count
            float mine = wa > 0 ? load(into_o, dtype, i) * (wa / sum) : 0;
            store(into_o, dtype, i, mine + load(from_o, dtype, i) * (wb / sum));
        }
        into_lse[r] = m + logf(sum);
    }
    return TULLE_OK;
}
