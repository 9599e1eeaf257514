// SPDX-License-Identifier: MIT
//
// What tulle_attention (host arrays in, host arrays out) keeps between calls.
#ifndef TULLE_SRC_RUN_HOST_H
#define TULLE_SRC_RUN_HOST_H

#include "common/error.h"

struct host_path;

/// Accepts NULL.
void host_path_destroy(tulle_context *context, struct host_path *path);

#endif
