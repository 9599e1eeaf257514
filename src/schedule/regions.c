// SPDX-License-Identifier: MIT
#include "schedule/regions.h"

#include "common/arithmetic.h"
#include "common/search.h"

/// Adds a region clipped to the tile: to its rows, to the keys that exist, and to what its
/// diagonals leave.
static void add_region(struct region_target to, int64_t v0, int64_t v1, int64_t r0, int64_t r1,
                       int64_t left, int64_t right, int64_t period) {
    struct tiler *t = to.t;
    if (!to.exclude && t->site->at.causal) right = least(right, 0);
    r0 = most(r0, 0);
    r1 = least(r1, t->rows);
    if (r0 >= r1) return;
    int64_t lowest = left >= TILE_FAR ? -TILE_FAR : t->u0 + r0 - left;
    int64_t highest = right >= TILE_FAR ? TILE_FAR : t->u0 + r1 - 1 + right + 1;
    if (most(v0, lowest) < t->v_begin || least(v1, highest) > t->v_end) t->clipped = true;
    v0 = most(most(v0, lowest), t->v_begin);
    v1 = least(least(v1, highest), t->v_end);
    if (v0 >= v1) return;
    struct region_list *list = to.exclude ? &t->exclude : &t->include;
    if (ARRAY_RESERVE(list->regions, list->capacity, list->count + 1))
        list->regions[list->count++] =
            (struct region){ v0, v1, (int32_t)r0, (int32_t)r1, left, right, period };
    else t->out_of_memory = true;
}

/// First class coordinate at or after position x.
static int64_t first_at(const struct tiler *t, int64_t x) {
    return ceil_div(x - t->residue, t->part->step);
}

/// Rows of the tile at positions [p0, p1), all keys of [j0, j1) (positions).
static void add_rectangle(struct region_target to, int64_t p0, int64_t p1, int64_t j0, int64_t j1) {
    struct tiler *t = to.t;
    add_region(to, j0 <= -TILE_FAR ? -TILE_FAR : first_at(t, j0),
               j1 >= TILE_FAR ? TILE_FAR : first_at(t, j1),
               p0 <= -TILE_FAR ? 0 : first_at(t, p0) - t->u0,
               p1 >= TILE_FAR ? t->rows : first_at(t, p1) - t->u0, TILE_FAR, TILE_FAR, 1);
}

static void add_columns(struct region_target to, int64_t j0, int64_t j1) {
    add_rectangle(to, -TILE_FAR, TILE_FAR, j0, j1);
}

static int64_t gcd(int64_t a, int64_t b) {
    while (b) {
        int64_t r = a % b;
        a = b;
        b = r;
    }
    return a;
}

static int64_t steps_within(int64_t reach, int64_t times, int64_t step) {
    return reach == TULLE_INFINITE ? TILE_FAR : least(reach * times / step, TILE_FAR);
}

void column_regions(struct region_target to, const struct term *term, int64_t j0, int64_t j1) {
    if (term->kind == TULLE_FIXED) {
        for (int64_t block = floor_div(j0, term->step); block * term->step < j1; block++)
            add_columns(to, most(j0, (block + 1) * term->step - term->count),
                        least(j1, (block + 1) * term->step));
    } else if (term->kind == TULLE_GLOBAL_LIST) {
        const int64_t *positions = term->positions;
        for (size_t i = count_below(positions, term->position_count, j0);
             i < term->position_count && positions[i] < j1; i++)
            add_columns(to, positions[i], positions[i] + 1);
    }
}

/// Listed queries at positions [p0, p1): every key.
static void listed_rows(struct region_target to, const struct term *term, int64_t p0, int64_t p1) {
    const int64_t *positions = term->positions;
    for (size_t i = count_below(positions, term->position_count, p0);
         i < term->position_count && positions[i] < p1; i++)
        add_rectangle(to, positions[i], positions[i] + 1, -TILE_FAR, TILE_FAR);
}

/// Blocks of FIXED's step on the diagonal.
static void fixed_blocks(struct region_target to, const struct term *term, int64_t p0, int64_t p1) {
    const int64_t step = term->step;
    for (int64_t block = floor_div(p0, step); block * step < p1; block++)
        add_rectangle(to, block * step, (block + 1) * step, block * step, (block + 1) * step);
}

/// Queries [block · size, …) of one block: key blocks first … last.
static void add_blocks(struct region_target to, int64_t size, int64_t block, int64_t first,
                       int64_t last) {
    add_rectangle(to, block * size, (block + 1) * size, first * size, (last + 1) * size);
}

static void mask_blocks(struct region_target to, const struct term *term, int64_t p0, int64_t p1) {
    const tulle_pattern_site *at = &to.t->site->at;
    const int64_t layout = blocks_layout(term, at->head, at->heads, at->kv_heads),
                  size = term->block;
    for (int64_t block = most(0, floor_div(p0, size));
         block * size < p1 && block < term->block_rows; block++) {
        const int64_t *offset = term->row_offsets + layout * term->block_rows + block;
        for (int64_t i = offset[0]; i < offset[1];) {
            int64_t first = term->columns[i], last = first;  // neighbours make one region
            while (++i < offset[1] && term->columns[i] == last + 1) last++;
            add_blocks(to, size, block, first, last);
        }
    }
}

static void drawn_blocks(struct region_target to, const struct term *term, int64_t p0, int64_t p1) {
    struct tiler *t = to.t;
    const int64_t size = term->block, last_block = floor_div(p1 - 1, size);
    if (last_block < 0) return;
    const size_t room = random_most(term, &t->site->at, last_block);
    if (!TILER_RESERVE(t, blocks, blocks_capacity, room)) return;
    for (int64_t block = most(0, floor_div(p0, size)); block <= last_block; block++) {
        const size_t count = random_blocks(term, &t->site->at, block, t->blocks);
        for (size_t i = 0; i < count;) {
            int64_t first = t->blocks[i], last = first;
            while (++i < count && t->blocks[i] == last + 1) last++;
            add_blocks(to, size, block, first, last);
        }
    }
}

static void documents(struct region_target to, const struct term *term, int64_t p0, int64_t p1) {
    const int64_t *ends = term->positions;
    // from the last document that begins at or before p0
    const size_t begun = count_below(ends, term->position_count - 1, p0 + 1);
    for (size_t i = begun ? begun - 1 : 0; i + 1 < term->position_count && ends[i] < p1; i++)
        if (ends[i + 1] > p0) add_rectangle(to, ends[i], ends[i + 1], ends[i], ends[i + 1]);
}

void term_regions(struct region_target to, const struct term *term) {
    const struct tiler *t = to.t;
    const int64_t step = t->part->step, p0 = t->row + t->site->q_offset,
                  p1 = p0 + (t->rows - 1) * step + 1;
    const bool columns = to.exclude || !t->part->list;
    switch (term->kind) {
    case TULLE_DENSE: add_columns(to, -TILE_FAR, TILE_FAR); break;
    case TULLE_WINDOW:
        add_region(to, -TILE_FAR, TILE_FAR, 0, t->rows, steps_within(term->left, 1, step),
                   steps_within(term->right, 1, step), 1);
        break;
    case TULLE_DILATED:
        add_region(to, -TILE_FAR, TILE_FAR, 0, t->rows, steps_within(term->left, term->step, step),
                   steps_within(term->right, term->step, step), term->step / gcd(term->step, step));
        break;
    case TULLE_STRIDED:
        add_region(to, -TILE_FAR, TILE_FAR, 0, t->rows, TILE_FAR, TILE_FAR,
                   term->step / gcd(term->step, step));
        break;
    case TULLE_GLOBAL:
        add_columns(to, -TILE_FAR, term->count);
        add_rectangle(to, 0, term->count, -TILE_FAR, TILE_FAR);
        break;
    case TULLE_SINK: add_columns(to, -TILE_FAR, term->count); break;
    case TULLE_GLOBAL_LIST:
        listed_rows(to, term, p0, p1);
        if (columns) column_regions(to, term, t->site->kv_start, t->site->at.kv_len);
        break;
    case TULLE_FIXED:
        fixed_blocks(to, term, p0, p1);
        if (columns) column_regions(to, term, t->site->kv_start, t->site->at.kv_len);
        break;
    case TULLE_BLOCKS: mask_blocks(to, term, p0, p1); break;
    case TULLE_RANDOM: drawn_blocks(to, term, p0, p1); break;
    case TULLE_DOCUMENTS: documents(to, term, p0, p1); break;
    }
}

bool term_moves(const struct term *term) {
    return term->kind == TULLE_WINDOW || term->kind == TULLE_DILATED ||
           term->kind == TULLE_STRIDED || term->kind == TULLE_DENSE;
}
