// SPDX-License-Identifier: MIT
//
// A pattern cut into cells, small enough to look at: how much of each cell is selected, which runs
// compute it, and what weight attention gives it. The terminal and the PNG draw grids and know
// nothing of patterns.
#ifndef TULLE_TOOLS_PICTURES_GRID_H
#define TULLE_TOOLS_PICTURES_GRID_H

#include "common/message.h"
#include "arrays/tensor.h"
#include "tulle/inspect.h"

struct grid {
    uint32_t rows, cols;  // cells
    int64_t q_len, kv_len, q_offset;
    float *selected;      ///< [rows][cols]: share of the cell's pairs that are selected
    unsigned char *runs;  ///< [rows][cols]: 1 << tulle_run_kind of every run that touches the cell
    /// [rows][cols]: mean over the cell's rows of its weights' sum; NULL: not asked for
    float *weight;
    float weight_max;
    /// one in a hundred of the cells that have weight has as much: what is drawn darkest
    float weight_dark;
    double share;        ///< selected pairs of all pairs
    double computed[3];  ///< pairs in runs of each kind
    bool exact;          ///< `selected` and `share` were counted, not sampled
};

/// What is looked at: one head of desc (its batch entry 0).
struct grid_request {
    tulle_context *context;  ///< NULL: base's default tile
    const tulle_attention_desc *desc;
    uint32_t head;
    uint32_t most_rows, most_cols;  ///< of cells
    /// rows of pairs to a cell for each key to a cell: 2 where cells are twice as high as wide
    double row_scale;
};

/// Schedules, then counts or samples; result and error as the library's, OUT_OF_HOST_MEMORY
/// included.
tulle_result grid_make(struct grid *grid, const struct grid_request *request, tulle_error *error);

/// Adds the weights softmax(scale · q·k) over the selected pairs, in double.
tulle_result grid_add_weights(struct grid *grid, const struct grid_request *request,
                              const struct tensor *q, const struct tensor *k, tulle_error *error);

void grid_free(struct grid *grid);

/// First row (of length) that belongs to a cell; of cell `cells` it is length.
int64_t cell_begin(uint32_t cell, uint32_t cells, int64_t length);

#endif
