// SPDX-License-Identifier: MIT
//
// What a variant and a device ask of a schedule: how much of it one item, one dispatch, one segment
// and the workspace may take.
#ifndef TULLE_SRC_RUN_LIMITS_H
#define TULLE_SRC_RUN_LIMITS_H

#include "kernel/variant.h"
#include "schedule/schedule.h"

void limits_of(const struct attention *a, const struct variant *v, const struct caps *caps,
               struct schedule_limits *limits);

/// Bytes of workspace: what was asked for, as far as the device can bind it.
uint64_t limits_workspace(const struct attention *a, const struct variant *v,
                          const struct caps *caps);
/// What was asked for.
uint64_t limits_asked_workspace(const struct attention *a);

/// Sets `windowed` of the tensors that one descriptor cannot reach whole.
void limits_find_windowed(struct attention *a, const struct variant *v, const struct caps *caps);

#endif
