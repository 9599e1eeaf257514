// SPDX-License-Identifier: MIT
//
// One tensor out of a .safetensors file.
#ifndef TULLE_TOOLS_ARRAYS_SAFETENSORS_H
#define TULLE_TOOLS_ARRAYS_SAFETENSORS_H

#include "arrays/array.h"

/// Is this FILE.safetensors or FILE.safetensors:TENSOR?
bool safetensors_named(const char *name);

/// Reads FILE:TENSOR, split at the last colon: F32, F16 or BF16. Only that tensor's bytes are read.
/// A name without a tensor is refused with the list of what the file holds. array_free releases the
/// array.
bool safetensors_read(const char *name, struct array *out, struct message *message);

#endif
