// SPDX-License-Identifier: MIT
//
// Who holds a context: its creator until tulle_context_destroy, and each of its plans and mergers.
// It ends with the last of them.
#ifndef TULLE_SRC_RUN_CONTEXT_H
#define TULLE_SRC_RUN_CONTEXT_H

#include "device/context.h"

/// One holder more. Any thread.
tulle_context *context_retain(tulle_context *context);
/// One less. Any thread. NULL is accepted.
void context_release(tulle_context *context);

#endif
