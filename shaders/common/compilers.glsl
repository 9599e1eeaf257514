// SPDX-License-Identifier: MIT
//
// What stands in the kernels for a compiler's sake, and why, in one place. Kernels name it; they do
// not explain it again. Measured with Mesa 22.3.6 and 26.1.6 and the compilers of 42 GPUs:
// docs/measurements/.
//
// Opaque zero. push.zero is always 0, which no compiler knows.
//     - A shuffle by opaque_zero() + n becomes one permutation; by a literal, a slower broadcast
//       (lavapipe 22.3).
//     - What a kernel reads only to have it in the cache is "used" where opaque_zero() is not 0, so
//       that the read stays (lavapipe).
//     - A lane's number plus it cannot be hoisted: some GPUs' compilers take all that depends on
//       the lane alone out of the loops, where dozens of addresses wait in registers for their
//       turn; they are cheaper to form again (base, where registers are few).
// Selects instead of branches (NO_BRANCHES). lavapipe 22.3 runs both sides of every `if` under a
//     mask, loads included, so a branch saves nothing and its tests cost: there a place to read
//     from is selected, and 0 is always a place that is there. An expression with a call, a load or
//     a member in ?: becomes a branch in glslang too: what is selected is a variable, read before.
//     Constants are combined with ?: or arithmetic, never with ||, for the same reason.
// Loops test at their end (lavapipe): one that tests at its start runs its body once more, under an
//     empty mask.
// Loops that index a private array are unrolled with no runtime loop inside, or the array goes to
//     memory; all others are kept rolled, or loads are hoisted by the dozen (all GPUs).
// Even and odd rows (base). One compiler (v3dv's) keeps arrays of more than two elements in memory,
//     whatever they hold, if their index is a row: so what a lane holds for its rows is two arrays.
#ifndef TULLE_COMPILERS_GLSL
#define TULLE_COMPILERS_GLSL

uint opaque_zero() { return push.zero; }

#endif
