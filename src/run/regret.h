// SPDX-License-Identifier: MIT
//
// Patterns that a user will regret: the kernels visit several times the pairs that they select.
#ifndef TULLE_SRC_RUN_REGRET_H
#define TULLE_SRC_RUN_REGRET_H

#include "run/plan.h"

/// Warns of such a pattern in the context's log, at most once a call: how many times, as far as some
/// of the tiles tell, which term, and what would help. Says nothing where memory does not suffice.
void regret_warn(const tulle_plan *plan);

#endif
