// SPDX-License-Identifier: MIT
//
// One tensor out of a .safetensors file, or of a checkpoint of several such files.
#ifndef TULLE_TOOLS_ARRAYS_SAFETENSORS_H
#define TULLE_TOOLS_ARRAYS_SAFETENSORS_H

#include "arrays/array.h"

/// Is this FILE or FILE:TENSOR, where FILE ends in .safetensors or in .safetensors.index.json? Folders,
/// files and tensors may have colons in their names: FILE is what exists.
bool safetensors_named(const char *name);

/// Reads FILE:TENSOR: F32, F16 or BF16. Only that tensor's bytes are read; from an index
/// (model.safetensors.index.json), out of the file beside it that its weight_map names. A name
/// without a tensor is refused with the list of what there is. array_free releases the array.
bool safetensors_read(const char *name, struct array *out, struct message *message);

#endif
