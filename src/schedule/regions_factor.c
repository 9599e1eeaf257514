// SPDX-License-Identifier: MIT
//
// One factor's regions, kind by kind.
#include "common/arithmetic.h"
#include "common/search.h"
#include "schedule/regions.h"
#include "schedule/row_sets.h"

/// Rows of the tile at positions [p0, p1), all keys of [j0, j1) (positions).
static void add_rectangle(struct region_target to, int64_t p0, int64_t p1, int64_t j0, int64_t j1) {
    int32_t r0, r1;
    if (rows_at(to.t, p0, p1, &r0, &r1)) add_rows(to, r0, r1, j0, j1);
}

static void add_columns(struct region_target to, int64_t j0, int64_t j1) {
    to.fixed = j1 < TILE_FAR;
    add_rectangle(to, -TILE_FAR, TILE_FAR, j0, j1);
}

/// p − j ≤ left, j − p ≤ right, (p − j) mod period = 0.
static void add_diagonal(struct region_target to, int64_t left, int64_t right, int64_t period) {
    add_shape(to, -TILE_FAR, TILE_FAR, -TILE_FAR, TILE_FAR, left, right, period);
}

static int64_t reach(int64_t given, int64_t times) {
    return given == TULLE_INFINITE ? TILE_FAR : given * times;
}

// -------------------------------------------------------------------------------------------------
// Columns that every row takes one by one

bool term_lists(const struct product *term) {
    const tulle_term_kind kind = term->factors[0]->kind;
    return term->count == 1 &&
           (kind == TULLE_FIXED || kind == TULLE_GLOBAL_LIST || kind == TULLE_VERTICAL_SLASH);
}

static void listed_columns(struct region_target to, struct rising list, int64_t j0, int64_t j1) {
    for (size_t i = count_below(list.values, list.count, j0);
         i < list.count && list.values[i] < j1;) {
        const int64_t first = list.values[i];
        int64_t end = first;
        while (i < list.count && list.values[i] == end && end < j1) end++, i++;
        add_columns(to, first, end);  // neighbours make one region
    }
}

void column_regions(struct region_target to, const struct term *factor, int64_t j0, int64_t j1) {
    if (factor->kind == TULLE_FIXED) {
        for (int64_t block = floor_div(j0, factor->step); block * factor->step < j1; block++)
            add_columns(to, most(j0, (block + 1) * factor->step - factor->count),
                        least(j1, (block + 1) * factor->step));
    } else {
        listed_columns(to, columns_of(factor, &to.t->site->at), j0, j1);
    }
}

/// Listed queries at positions [p0, p1): every key. Those that another set has pay for it there.
static void listed_rows(struct region_target to, const struct term *factor, int64_t p0,
                        int64_t p1) {
    const int64_t *positions = factor->positions;
    for (size_t i = count_below(positions, factor->position_count, p0);
         i < factor->position_count && positions[i] < p1; i++)
        if (!row_is_apart(to.t->site, positions[i] - to.t->site->q_offset))
            add_rectangle(to, positions[i], positions[i] + 1, -TILE_FAR, TILE_FAR);
}

// -------------------------------------------------------------------------------------------------
// Blocks: the tile's rows block by block

/// Blocks of FIXED's and CHUNKED's step on the diagonal.
static void fixed_blocks(struct region_target to, const struct term *factor, int64_t p0,
                         int64_t p1) {
    const int64_t step = factor->step;
    for (int64_t p = p0, block; p < p1; p = next_row_at(to.t, (block + 1) * step)) {
        block = floor_div(p, step);
        add_rectangle(to, block * step, (block + 1) * step, block * step, (block + 1) * step);
    }
}

static void mask_blocks(struct region_target to, const struct term *factor, int64_t p0, int64_t p1,
                        int64_t j0, int64_t j1) {
    const tulle_pattern_site *at = &to.t->site->at;
    const int64_t layout = term_layout(factor, at->head, at->heads, at->kv_heads),
                  size = factor->block, first_block = floor_div(j0, size);
    if (at->causal && !to.exclude) j1 = least(j1, p1);  // later keys are nobody's here
    for (int64_t p = most(p0, next_row_at(to.t, 0)), block; p < p1;
         p = next_row_at(to.t, (block + 1) * size)) {
        block = floor_div(p, size);
        if (block >= factor->block_rows) return;
        const int64_t *offset = factor->row_offsets + layout * factor->block_rows + block;
        const size_t count = (size_t)(offset[1] - offset[0]);
        const int32_t *columns = factor->columns + offset[0];
        struct block_rows rows;
        if (!block_rows_at(to, size, block, &rows)) continue;
        for (size_t i = count_below32(columns, count, first_block);
             i < count && columns[i] * size < j1;) {
            const int64_t first = columns[i];
            int64_t end = first + 1;  // neighbours make one region
            while (++i < count && columns[i] == end) end++;
            add_blocks(&rows, first, end);
        }
    }
}

static void drawn_blocks(struct region_target to, const struct term *factor, int64_t p0, int64_t p1,
                         int64_t j0, int64_t j1) {
    struct tiler *t = to.t;
    const int64_t size = factor->block, last_block = floor_div(p1 - 1, size);
    if (last_block < 0) return;
    const size_t room = 2 * random_most(factor, &t->site->at, last_block);
    if (!TILER_RESERVE(t, blocks, blocks_capacity, room)) return;
    for (int64_t p = most(p0, next_row_at(t, 0)), block; p < p1;
         p = next_row_at(t, (block + 1) * size)) {
        struct block_rows rows;
        block = floor_div(p, size);
        if (!block_rows_at(to, size, block, &rows)) continue;
        const size_t count = random_blocks(factor, &t->site->at, block, floor_div(j0, size),
                                           ceil_div(j1, size), t->blocks);
        for (size_t i = 0; i < count;) {
            const int64_t first = t->blocks[i];
            int64_t end = first + 1;
            while (++i < count && t->blocks[i] == end) end++;
            add_blocks(&rows, first, end);
        }
    }
}

static void documents(struct region_target to, const struct term *factor, int64_t p0, int64_t p1) {
    const int64_t *ends = factor->positions;
    for (int64_t p = most(p0, next_row_at(to.t, 0)); p < p1;) {
        // the last document that begins at or before p; those of no length end there
        const size_t begun = count_below(ends, factor->position_count, p + 1);
        if (begun == factor->position_count) return;
        add_rectangle(to, ends[begun - 1], ends[begun], ends[begun - 1], ends[begun]);
        p = next_row_at(to.t, ends[begun]);
    }
}

// -------------------------------------------------------------------------------------------------

/// Diagonals that lie side by side make one region.
static void slashes(struct region_target to, const struct term *factor) {
    const struct rising list = diagonals_of(factor, &to.t->site->at);
    for (size_t i = 0; i < list.count;) {
        const int64_t first = list.values[i];
        int64_t last = first;
        while (++i < list.count && list.values[i] == last + 1) last++;
        add_diagonal(to, last, -first, 1);
    }
}

void factor_regions(struct region_target to, const struct term *factor, int64_t j0, int64_t j1) {
    const struct tiler *t = to.t;
    const int64_t p0 = row_place(t, 0) * t->part->step + t->residue,
                  p1 = row_place(t, t->rows - 1) * t->part->step + t->residue + 1;
    switch (factor->kind) {
    case TULLE_DENSE: add_columns(to, -TILE_FAR, TILE_FAR); break;
    case TULLE_WINDOW: add_diagonal(to, reach(factor->left, 1), reach(factor->right, 1), 1); break;
    case TULLE_DILATED:
        add_diagonal(to, reach(factor->left, factor->step), reach(factor->right, factor->step),
                     factor->step);
        break;
    case TULLE_STRIDED: add_diagonal(to, TILE_FAR, TILE_FAR, factor->step); break;
    case TULLE_GLOBAL:
        add_columns(to, -TILE_FAR, factor->count);
        add_rectangle(to, 0, factor->count, -TILE_FAR, TILE_FAR);
        break;
    case TULLE_SINK: add_columns(to, -TILE_FAR, factor->count); break;
    case TULLE_GLOBAL_LIST:
        listed_rows(to, factor, p0, p1);
        if (!to.listed) column_regions(to, factor, j0, j1);
        break;
    case TULLE_FIXED:
        fixed_blocks(to, factor, p0, p1);
        if (!to.listed) column_regions(to, factor, j0, j1);
        break;
    case TULLE_BLOCKS: mask_blocks(to, factor, p0, p1, j0, j1); break;
    case TULLE_RANDOM: drawn_blocks(to, factor, p0, p1, j0, j1); break;
    case TULLE_DOCUMENTS: documents(to, factor, p0, p1); break;
    case TULLE_PREFIX:
        add_rectangle(to, -TILE_FAR, factor->count, -TILE_FAR, factor->count);
        add_diagonal(to, TILE_FAR, 0, 1);
        break;
    case TULLE_CHUNKED: fixed_blocks(to, factor, p0, p1); break;
    case TULLE_A_SHAPE:
        add_columns(to, -TILE_FAR, factor->count);
        add_diagonal(to, factor->block - 1, 0, 1);
        break;
    case TULLE_VERTICAL_SLASH:
        slashes(to, factor);
        if (!to.listed) column_regions(to, factor, j0, j1);
        break;
    case TULLE_NEIGHBORHOOD: grid_regions(to, factor, p0, p1, j0, j1); break;
    }
}
