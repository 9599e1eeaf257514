// SPDX-License-Identifier: MIT
//
// Two attentions of the same queries over disjoint keys become one: on the host (merge.c), and on
// the device (merger.c, merge.comp).
#ifndef TULLE_SRC_RUN_MERGE_H
#define TULLE_SRC_RUN_MERGE_H

#include "kernel/pipeline.h"

/// What both may be asked for.
tulle_result merge_check(uint64_t rows, uint32_t v_head_dim, tulle_dtype dtype, tulle_error *error);

/// What the pipeline of merge.comp is made of.
void merge_pipeline_key(tulle_dtype dtype, struct pipeline_key *key);

#endif
