// SPDX-License-Identifier: MIT
//
// A progress bar on standard error: only on a terminal, and only once the work has taken a second.
#ifndef TULLE_TOOLS_COMMON_PROGRESS_H
#define TULLE_TOOLS_COMMON_PROGRESS_H

#include <stdbool.h>

/// Starts it; one at a time. False: standard error is no terminal, and all of these do nothing.
bool progress_start(const char *label);

/// Where the work stands: `from` … `to` (0 … 1) is the part that runs now and is expected to take
/// `seconds`; the bar moves on through it by the clock, so that one long call shows life. seconds
/// 0: not known.
void progress_step(const char *label, double from, double to, double seconds);

/// The work stands at `done` (0 … 1) and goes on as it went so far. A tulle_timing.progress;
/// user: the label.
void progress_follow(void *label, double done);

/// Wipes it.
void progress_stop(void);

#endif
