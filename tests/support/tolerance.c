// SPDX-License-Identifier: MIT
//
// The derivation. u = 2^-24 is half an ulp of fp32 relative to 1; gamma(n) = n·u / (1 − n·u) bounds
// the relative error of n roundings in a row (Higham, Accuracy and Stability of Numerical
// Algorithms, 2nd ed., lemma 3.1). "ULP" below is as in the Vulkan specification, "Precision and
// Operation of SPIR-V Instructions": one ULP is at most 2u relative. What that table allows for
// fp32: + − × correctly rounded; division 2.5 ULP; exp2 3 + 2·|x| ULP; log2 3 ULP, 2^-21 absolute
// in [0.5, 2]; tanh inherited from sinh / cosh, these from exp.
//
// 1. A logit. s = Σ q_d·k_d over head_dim products in any order: |error| ≤
// gamma(head_dim)·Σ|q_d·k_d| (Higham, (3.5)).
//    The factor scale·log2 e costs 4 roundings (1/√d or the given scale, log2 e, their product, the
//    multiplication). A bias −slope·|p − j| costs as many (slope·log2 e: 2; |p − j|: 1; the
//    product: 1), adding it one more, subtracting the maximum one of a number of at most twice the
//    bound. So, with S the reference's score_bound (it holds the bias):
//         dz ≤ gamma(head_dim + 8)·S.
// 2. Softcap: c·tanh(s/c) has a slope of at most 1, so dz passes through. tanh itself: with t =
// |s|/c, sinh and cosh are
//    (exp(t) ∓ exp(−t))/2, each off by at most cosh(t)·((3 + 2t)·2u + u), so their quotient, which
//    is at most 1, by 2·((3 + 2t)·2u + u) + 2.5·2u = (19 + 8t)·u; two further roundings for the
//    factors: c·(21 + 8t)·u = (21·c + 8·S)·u.
// 3. A weight 2^x, x = (z − m)·log2 e ≤ 0, |x| ≤ X = 2·max(S, |σ|)·log2 e: the error dz of its
// exponent gives
//    exp(dz) − 1, exp2 itself (3 + 2X)·2u. (That m is itself rounded does not matter: numerator and
//    denominator share it.)
// 4. Rescaling as the maximum grows: a factor 2^(m − m') costs (3 + 2·|m − m'|·log2 e)·2u + u. It
// changes the maximum at
//    most once per selected key (where it does not, it is 2^0, which is 1 on the drivers we know
//    of), and the changes add up to X: at most keys·7u + 4X·u.
// 5. Sums. The numerator: keys products and additions: gamma(keys + 1) relative to Σ w·|v|. The
// denominator: gamma(keys). 6. Partial results merged once (splits, parts, key windows): each comes
// with a factor like in 3 and 4, its exponent the
//    difference of two maxima or LSEs. An LSE carries a log2 (2^-21 = 8u absolute, or 3 ULP of at
//    most X + log2 keys) and a rounding: (3 + 2X)·2u + (8 + 8·(X + log2 keys))·u. The sums over
//    partials are within 5's.
// 7. O = numerator / denominator: 2.5 ULP.
//
// With eta = 3 + 4 + 6 for one weight, the quotient of two sums of weights, each off by at most
// eta, is off by at most 2·eta/(1 − eta) relative to Σ w·|v|/Σ w, which the reference returns as
// `absolute`.
//
// 8. Rounding to O's dtype: fp32 ½ ulp is within 7. bf16 is rounded by integer arithmetic, to
// nearest: 2^-8 relative. fp16
//    through packHalf2x16, whose direction of rounding the specification leaves open: one ulp,
//    2^-10 relative; below 2^-14 it may give 0.
// 9. Matrix units (the kernels matrix_*). Vulkan leaves the precision inside a product of matrices
//    open; units align the terms of a step to the largest and cut what falls off, which is an ulp
//    instead of half of one: unit_roundings is 1. The weights that multiply V are rounded to 16
//    bits: fp16 by packHalf2x16, one ulp, 2^-10; bf16 to nearest, 2^-8; the sum in the denominator
//    has them in fp32. fp16 weights stand between 2^11 and 2^15 times their share of the largest,
//    so what is below 2^-14 there, and may be read as 0, is below 2^-25 of the sum of weights.
// 10. Weights that underflow: while they multiply V they stand at 2^-k of what they are, 2^k > kv_len
// (docs/semantics.md; bf16: 2^4 more), so those below 2^(k-126) relative to the largest may be 0: each
// key's |V| that much. LSE has them unscaled: 1e-36 absolute covers keys < 10^6 of them.

#include "tolerance.h"

#include <math.h>

#define U 0x1p-24
#define LOG2_E 1.4426950408889634

static double gamma_of(double n) { return n * U / (1.0 - n * U); }

static double log2_keys(const struct tolerance_row *row) { return log2((double)row->keys + 1.0); }

// The largest distance of an exponent (in log2 units) from the maximum.
static double exponent_range(const struct tolerance_row *row) {
    return 2.0 * fmax(row->score_bound, row->sink_logit) * LOG2_E;
}

// 1 and 2.
static double logit_error(const struct tolerance_row *row) {
    const double roundings = (1.0 + row->unit_roundings) * (double)row->head_dim + 8.0;
    double error = gamma_of(roundings) * row->score_bound + row->flush;
    if (row->softcap != 0.0) {
        error += (21.0 * row->softcap + 8.0 * row->score_bound) * U;
    }
    return error + gamma_of(8.0) * row->sink_logit;
}

// 3, 4 and 6.
static double weight_error(const struct tolerance_row *row) {
    const double range = exponent_range(row), keys = (double)row->keys;
    const double exponentials = expm1(logit_error(row)) + (3.0 + 2.0 * range) * 2.0 * U;
    const double rescaling = (keys * 7.0 + 4.0 * range) * U;
    const double merging = ((3.0 + 2.0 * range) * 2.0 + 8.0 + 8.0 * (range + log2_keys(row))) * U;
    return exponentials + rescaling + merging;
}

double tolerance_weights(const struct tolerance_row *row) {
    const double eta = weight_error(row), keys = (double)row->keys;
    return 2.0 * eta / (1.0 - eta) + gamma_of((1.0 + row->unit_roundings) * keys + 1.0) +
           gamma_of(keys) + 5.0 * U + row->weight_rounding;
}

double tolerance_o(const struct tolerance_row *row, double weights, double absolute, double o,
                   tulle_dtype o_dtype) {
    const double lost = row->weight_lost * (double)row->keys * row->value_most;
    const double underflow = row->weight_scale * 0x1p-126 * (double)row->keys * row->value_most;
    const double computed = weights * absolute + lost + underflow + 1e-36;
    const double largest = fabs(o) + computed;
    switch (o_dtype) {
    case TULLE_F32: return computed + largest * U;
    case TULLE_F16:
        return computed + fmax(largest * 0x1p-10, largest < 0x1p-14 ? largest : 0x1p-24);
    case TULLE_BF16: return computed + largest * 0x1p-8;
    }
    return 0.0;
}

// log Σ 2^x: a relative error of the sum is an absolute one of its logarithm; then the logarithm's
// own (6), and three roundings: m + log2(l), times ln 2, and to storage.
double tolerance_lse(const struct tolerance_row *row, double lse) {
    const double keys = (double)row->keys;
    const double sum = weight_error(row) + gamma_of(keys);
    const double logarithm = (8.0 + 6.0 * log2_keys(row)) * U;
    const double rounding = 4.0 * U * (exponent_range(row) + fabs(lse));
    return sum / (1.0 - sum) + logarithm + rounding;
}
