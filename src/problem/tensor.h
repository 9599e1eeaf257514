// SPDX-License-Identifier: MIT
//
// The tensors of an attention, and how each lies in memory.
#ifndef TULLE_SRC_PROBLEM_TENSOR_H
#define TULLE_SRC_PROBLEM_TENSOR_H

#include <stdbool.h>
#include <stdint.h>

enum tensor { TENSOR_Q, TENSOR_K, TENSOR_V, TENSOR_O, TENSOR_LSE, TENSOR_COUNT };

/// "Q", "K", "V", "O", "LSE".
extern const char *const tensor_names[TENSOR_COUNT];

/// Is it addressed by keys and kv heads? The others are by rows and heads.
static inline bool tensor_has_keys(int t) { return t == TENSOR_K || t == TENSOR_V; }

/// In bytes; strides of K and V are per kv head.
struct tensor_shape {
    uint64_t batch, head, row, row_bytes;
    bool windowed;  ///< too large for one descriptor: what a dispatch sees of it is a window
};

#endif
