// SPDX-License-Identifier: MIT
//
// The convenience path: what tulle_attention keeps between calls, and running tulle_cmd_prepare on an own device.
#ifndef TULLE_SRC_HOST_H
#define TULLE_SRC_HOST_H

#include "context.h"

struct host_path;

/// Accepts NULL.
void host_path_destroy(tulle_context *context, struct host_path *path);

/// Records and runs tulle_cmd_prepare.
tulle_result host_prepare(tulle_plan *plan, tulle_error *error);

#endif
