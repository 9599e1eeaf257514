// SPDX-License-Identifier: MIT
//
// Submitting to the queue and waiting; and the submitter, the context's own command buffer.
#ifndef TULLE_SRC_DEVICE_SUBMIT_H
#define TULLE_SRC_DEVICE_SUBMIT_H

#include "device/context.h"

/// Submits one command buffer on the context's queue under the lock and waits for it. fence is
/// reset first.
tulle_result submit_and_wait(tulle_context *context, VkCommandBuffer cmd, VkFence fence,
                             tulle_error *error);

// The context's own command buffer, all under its submitter_mutex.

/// Begins it; *cmd is it.
tulle_result submitter_begin(tulle_context *context, VkCommandBuffer *cmd, tulle_error *error);
/// Ends it, submits it and waits.
tulle_result submitter_end(tulle_context *context, tulle_error *error);
/// Also of one that was never used.
void submitter_destroy(tulle_context *context);

#endif
