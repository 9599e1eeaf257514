// SPDX-License-Identifier: MIT
//
// How long planning takes where the kernel is compiled already, and planning has its memory from
// the plan before.
#ifndef TULLE_TOOLS_COMMON_PLAN_TIME_H
#define TULLE_TOOLS_COMMON_PLAN_TIME_H

#include "tulle/tulle.h"

struct plan_time {
    double create_ms;  ///< median of whole tulle_plan_create calls
    double plan_ms;    ///< median of what plan info calls planning alone
    uint32_t repeats;
};

/// Makes a plan, and then others like it for half a second, but `least` at least. *first: the
/// caller's, on success.
tulle_result plan_time(tulle_context *context, const tulle_attention_desc *desc, uint32_t least,
                       struct plan_time *out, tulle_plan **first, tulle_error *error);

#endif
