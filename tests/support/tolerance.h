// SPDX-License-Identifier: MIT
//
// How far a right answer may be from the fp64 reference, derived from the arithmetic: see
// tolerance.c.
#ifndef TESTS_TOLERANCE_H
#define TESTS_TOLERANCE_H

#include <stdint.h>

#include "tulle/tulle.h"

// What a row's error depends on.
struct tolerance_row {
    int64_t head_dim;
    int64_t keys;        // how many the row selects, or more
    double score_bound;  // the reference's: the largest |scale| * sum of |q_d * k_d|, plus |bias|
    double softcap;      // 0: none
    double sink_logit;   // its magnitude; 0: none
    // Kernels that multiply by matrix units (9.): O's weights in 16 bits. 0 in the others.
    double unit_roundings;   // of one product or sum in the unit, in half ulps of fp32 beyond one
    double weight_rounding;  // relative, of a weight before it multiplies V
    double weight_lost;      // the most that is lost of a weight, relative to the sum of them
    double value_most;       // the largest |V| of the keys
    double weight_scale;     // the most that weights are divided by while they multiply V
    double flush;  // the most that reading subnormal inputs as 0 changes a logit; 0: there are none
};

// The relative error of the weights as a whole: an element of O is within this times `absolute`
// (the reference's sum of weight times |v|) of its exact value, before it is rounded to O's dtype.
double tolerance_weights(const struct tolerance_row *row);

// The largest |O - exact| where the exact element is o.
double tolerance_o(const struct tolerance_row *row, double weights, double absolute, double o,
                   tulle_dtype o_dtype);

// The largest |LSE - exact| where the exact LSE is lse.
double tolerance_lse(const struct tolerance_row *row, double lse);

#endif
