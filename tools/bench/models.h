// SPDX-License-Identifier: MIT
//
// Workloads of published models (models.def): the suite `models`.
#ifndef TULLE_TOOLS_BENCH_MODELS_H
#define TULLE_TOOLS_BENCH_MODELS_H

#include <stdbool.h>

#include "bench/workload.h"

/// In place of a length: each model's own, the most it is published for.
#define PUBLISHED_LENGTH 0

/// The workloads of the models whose names begin so (NULL: of all) at these lengths, each at no more
/// than its model is published for, and not twice at one; prefill, and for those that decode a step
/// of it, of q_rows queries. Returns how many, at most `most`.
size_t workload_models(struct workload *list, size_t most, const char *name,
                       const uint32_t *lengths, size_t length_count, uint32_t q_rows,
                       tulle_dtype dtype);

/// Does a model's name begin so?
bool model_named(const char *name);

/// All names, for messages.
void model_names(char *text, size_t size);

#endif
