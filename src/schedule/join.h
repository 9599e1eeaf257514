// SPDX-License-Identifier: MIT
//
// Dispatches that differ in their group alone → one for all of them: a batch of sequences of many
// lengths, each a group, takes as many dispatches as one of equal lengths.
#ifndef TULLE_SRC_SCHEDULE_JOIN_H
#define TULLE_SRC_SCHEDULE_JOIN_H

#include "schedule/input.h"
#include "schedule/output.h"

/// Joins dispatches of a finished schedule, as far as the last segment has room for copies of their
/// items. False: out of memory; the error says so.
bool join_dispatches(const struct schedule_input *input, struct schedule *out, tulle_error *error);

#endif
