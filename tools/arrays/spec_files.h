// SPDX-License-Identifier: MIT
//
// The FILEs that a pattern spec names, for tulle_pattern_parse.
#ifndef TULLE_TOOLS_ARRAYS_SPEC_FILES_H
#define TULLE_TOOLS_ARRAYS_SPEC_FILES_H

#include "tulle/tulle.h"

/// Loads .npy files; what a name that begins with '@' says is made up instead (arrays/made_up.h).
extern const tulle_array_loader spec_files;

/// For --help texts.
#define HELP_SPEC                                                                                                       \
    "SPEC: terms joined by '+' are a union, and by '&', which binds tighter, an intersection; specs joined by\n"        \
    "';' are dealt to heads in turn, at most one a head, and those joined by '|' to batch entries.\n"                   \
    "  dense              every pair                     strided:S           every S-th key before and after\n"         \
    "  window:L,R         L keys left, R right, own key  fixed:S,C           own block of S, last C of each block\n"    \
    "  dilated:L,R,S      the same, S apart              blocks:B,FILE.npy   0/1 mask of blocks of B x B\n"             \
    "  global:G           first G see and are seen       random:B,R,SEED     R blocks of B keys per block of queries\n" \
    "  global:FILE.npy    the same, listed positions     documents:FILE.npy  cumulative lengths 0, ..., n\n"            \
    "  sink:S             first S keys seen by all       chunked:C           own chunk of C\n"                          \
    "  prefix:N           first N see each other, the rest the keys before   a_shape:S,W   sink:S+window:W-1,0\n"       \
    "  vertical_slash:V.npy,D.npy   listed columns and diagonals, [n] or [heads,n], filled up with -1\n"                \
    "  neighborhood:K[,D][,cX]   the nearest K keys, D apart; HxW,KHxKW[,DHxDW][,cXY] on a grid of tokens, or THW;\n"   \
    "                     cXY: which axes are causal, as in c10\n"                                                      \
    "  L, R may be inf; a FILE may stand in double quotes. In place of one, @RxCpP makes a mask up: R x C blocks,\n"    \
    "  P % of them chosen, the diagonal always; @HxWkK one for blocks:1, of H rows of W pixels: the K x K around\n"     \
    "  each (at an edge the nearest); @NdD the bounds of D documents that are N long together.\n"

#endif
