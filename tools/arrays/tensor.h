// SPDX-License-Identifier: MIT
//
// Q, K and V as a file gives them: element type, shape, and the strides that the library wants.
#ifndef TULLE_TOOLS_ARRAYS_TENSOR_H
#define TULLE_TOOLS_ARRAYS_TENSOR_H

#include "arrays/array.h"
#include "tulle/tulle.h"

struct tensor {
    struct array array;
    tulle_dtype dtype;
    bool has_batch, has_heads;           ///< does its shape have those axes?
    uint32_t batch, heads, length, dim;  ///< 1 where the axis is missing
    tulle_strides strides;
};

/// Reads NAME (a .npy file, or FILE.safetensors:TENSOR) of shape [n,d], [h,n,d] or [b,h,n,d]; with
/// bshd [n,d], [n,h,d] or [b,n,h,d]. `option` ("--q") is named in messages.
bool tensor_read(struct tensor *tensor, const char *option, const char *name, bool bshd,
                 struct message *message);

/// The strides of a C-order array of these sizes.
tulle_strides tensor_strides(uint32_t heads, uint32_t length, uint32_t dim, bool bshd);

/// Shape of an array like `like` (its axes and layout) with another last axis; returns the number
/// of axes.
uint32_t tensor_shape(const struct tensor *like, uint32_t dim, bool bshd, int64_t shape[4]);

void tensor_free(struct tensor *tensor);

/// Reads a .npy file of exactly `count` numbers: of any integer type, or fp32 or fp16. Freed by the
/// caller; NULL on failure.
int32_t *read_integers(const char *option, const char *path, uint32_t count, const char *what,
                       struct message *message);
float *read_reals(const char *option, const char *path, uint32_t count, const char *what,
                  struct message *message);

/// Reads a .npy file of whole numbers [rows, n]; *columns receives n. Freed by the caller; NULL on
/// failure.
int32_t *read_integer_rows(const char *option, const char *path, uint32_t rows, const char *what,
                           uint32_t *columns, struct message *message);

/// Cumulative lengths of packed sequences, 0 and each one's end; *sequences: how many there must be,
/// or 0, and receives how many there are. Freed by the caller; NULL on failure.
int32_t *read_cumulative(const char *option, const char *path, uint32_t *sequences,
                         struct message *message);

/// Trees of [rows, rows] or [entries, rows, rows], bool or whole numbers, 0 and 1 alone, as the
/// descriptor has them; one is for all entries. *rows receives their side. Freed by the caller; NULL
/// on failure.
uint32_t *read_trees(const char *option, const char *path, uint32_t entries, uint32_t *rows,
                     struct message *message);

#endif
