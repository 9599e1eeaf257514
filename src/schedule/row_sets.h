// SPDX-License-Identifier: MIT
//
// Which rows of a group are tiled together: neighbours, or rows from a list.
//
// Neighbouring rows select much the same keys, as a rule. Two kinds of patterns are otherwise: where
// single rows select all keys (GLOBAL_LIST), a tile of neighbours would take all keys for the few
// of its rows that are listed; and where tokens lie in a plane or in space (NEIGHBORHOOD), what is
// near is not what comes next. And where rows are few, as in decoding, those of all heads that share
// a kv head make one tile.
#ifndef TULLE_SRC_SCHEDULE_ROW_SETS_H
#define TULLE_SRC_SCHEDULE_ROW_SETS_H

#include "plan_memory.h"
#include "problem/tensor.h"
#include "schedule/parts.h"

#define ROW_SETS_MOST 2

/// Rows with a schedule of their own, after what comes before it: rows that the second set has are
/// computed by the first too, among their neighbours and without what is theirs alone, and are then
/// written again. So no kernel leaves a row out.
struct row_set {
    struct site site;  ///< the group's, with its `rows` and `apart`
    uint32_t *rows;    ///< its own; NULL: neighbours
};

struct row_sets {
    struct row_set set[ROW_SETS_MOST];
    uint32_t count;
};

/// The sets of a site's rows, whichever way costs fewer chunks. may_list: kernels can reach any rows
/// of Q, O and LSE at once. False: out of memory. Freed by row_sets_free.
bool row_sets_make(const struct site *site, const struct tiling *tiling, bool may_list,
                   struct row_sets *out);
void row_sets_free(struct row_sets *sets);

/// Where rows are too few to fill tiles: packs the rows of heads that share a kv head into the tiles
/// of one entry. *entries receives an entry for each of these, to be freed by the caller; NULL: the
/// group is left as it is. False: out of memory.
bool row_sets_pack(const struct group *group, uint32_t heads_of_kv, int32_t tile_rows,
                   struct row_sets *sets, struct pm_entry **entries, uint32_t *entry_count);

/// Calls `each` with the runs of every tile of a site's pattern, set after set. False: out of
/// memory.
bool site_runs(const struct site *site, const struct tiling *tiling, runs_callback each,
               void *user);

/// May rows come from lists: are Q, O and LSE bound whole? Listed ones lie anywhere in them.
static inline bool row_sets_may_list(const struct tensor_shape *tensors) {
    return !tensors[TENSOR_Q].windowed && !tensors[TENSOR_O].windowed &&
           !tensors[TENSOR_LSE].windowed;
}

/// Is the query row another set's?
bool row_is_apart(const struct site *site, int64_t row);

/// The query row that row n of a site is.
static inline int64_t site_row(const struct site *site, int64_t n) {
    return site->rows ? site->rows[n] & PM_ROW_MASK : n;
}

#endif
