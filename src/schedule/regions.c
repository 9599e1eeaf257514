// SPDX-License-Identifier: MIT
//
// A term's regions: its only factor's, or what all of its factors have in common.
#include "schedule/regions.h"

#include "common/arithmetic.h"
#include "common/search.h"

static void push(struct tiler *t, struct region_list *list, const struct region *region) {
    if (ARRAY_RESERVE(list->regions, list->capacity, list->count + 1))
        list->regions[list->count++] = *region;
    else t->out_of_memory = true;
}

/// The first and the last key that the region's diagonals leave.
static int64_t lowest_key(const struct tiler *t, const struct region *region) {
    return region->left >= TILE_FAR ? -TILE_FAR : row_place(t, region->r0) - region->left;
}

static int64_t highest_key(const struct tiler *t, const struct region *region) {
    return region->right >= TILE_FAR ? TILE_FAR - 1 : row_place(t, region->r1 - 1) + region->right;
}

/// Strips of rectangles are sought where nothing else is to be taken from or laid beside them. All
/// rows of less than whole chunks never make one.
static bool goes_apart(const struct tiler *t, int32_t r0, int32_t r1, int64_t keys) {
    return !t->part->list_count && !t->part->exclude_count &&
           (r1 - r0 < t->rows || (keys & (t->chunk - 1)) == 0);
}

/// Of what the tile takes: rectangles go apart where that may be. A diagonal that does not bind is
/// none.
static void take_region(struct tiler *t, const struct region *region) {
    const bool left = region->left < TILE_FAR &&
                      region->v0 < row_place(t, region->r1 - 1) - region->left,
               right = region->right < TILE_FAR &&
                       region->v1 - 1 > row_place(t, region->r0) + region->right;
    if (left || right || region->period > 1 ||
        !goes_apart(t, region->r0, region->r1, region->v1 - region->v0))
        push(t, &t->include, region);
    else push_rectangle(t, region->v0, region->v1, region->r0, region->r1);
}

/// Of one factor of several: clipped to the tile's rows and its own diagonals, not to the keys that
/// exist.
static void add_to_list(struct region_target to, struct region region) {
    region.v0 = most(region.v0, lowest_key(to.t, &region));
    region.v1 = least(region.v1, highest_key(to.t, &region) + 1);
    if (region.v0 < region.v1) push(to.t, to.list, &region);
}

/// Columns are the next tile's too, where causality leaves them whole and no row is to come that
/// sees all keys (that of position 0).
static void note_fixed(struct tiler *t, const struct region *region) {
    const int64_t first = row_place(t, 0);
    if (first < 0 || (region->right < TILE_FAR && region->v1 - 1 > first + region->right))
        t->clipped = true;
    t->fixed_end = most(t->fixed_end, region->v1);
}

static void add_clipped(struct region_target to, struct region region) {
    struct tiler *t = to.t;
    if (to.list) {
        add_to_list(to, region);
        return;
    }
    const int64_t lowest = lowest_key(t, &region), highest = highest_key(t, &region) + 1;
    if (to.fixed) note_fixed(t, &region);
    else {
        if (most(region.v0, lowest) < t->v_begin || least(region.v1, highest) > t->v_end)
            t->clipped = true;
        t->moving_begin = least(t->moving_begin, most(region.v0, lowest));
    }
    region.v0 = most(most(region.v0, lowest), t->v_begin);
    region.v1 = least(least(region.v1, highest), t->v_end);
    if (region.v0 >= region.v1) return;
    if (to.exclude) push(t, &t->exclude, &region);
    else take_region(t, &region);
}

/// The keys of one row of a region.
static struct region row_of(const struct tiler *t, const struct region *region, int32_t r) {
    struct region row = *region;
    row.r0 = r;
    row.r1 = r + 1;
    row.left = row.right = TILE_FAR;
    if (region->left < TILE_FAR) row.v0 = most(row.v0, row_place(t, r) - region->left);
    if (region->right < TILE_FAR) row.v1 = least(row.v1, row_place(t, r) + region->right + 1);
    return row;
}

/// A region with diagonals, of rows from a list: rectangles that mean the same and share no key.
/// Where all rows have keys in common these are one of them, between two flights of stairs; else
/// one half of the rows and then the other.
static void add_rectangles(struct region_target to, const struct region *region) {
    const struct tiler *t = to.t;
    const int32_t r0 = region->r0, r1 = region->r1;
    const struct region first = row_of(t, region, r0), last = row_of(t, region, r1 - 1);
    if (r1 - r0 > 1 && (region->period > 1 || last.v0 >= first.v1)) {
        struct region half = *region;
        half.r1 = r0 + (r1 - r0) / 2;
        add_rectangles(to, &half);
        half.r0 = half.r1;
        half.r1 = r1;
        add_rectangles(to, &half);
        return;
    }
    struct region all = first;
    all.r1 = r1;
    all.v0 = last.v0;
    if (all.v0 < all.v1) add_clipped(to, all);
    for (int32_t r = r0; r + 1 < r1; r++) {
        const struct region here = row_of(t, region, r), next = row_of(t, region, r + 1);
        struct region stair = { here.v0, next.v0, r0, r + 1, TILE_FAR, TILE_FAR, 1 };
        if (stair.v0 < stair.v1) add_clipped(to, stair);
        stair = (struct region){ here.v1, next.v1, r + 1, r1, TILE_FAR, TILE_FAR, 1 };
        if (stair.v0 < stair.v1) add_clipped(to, stair);
    }
}

/// Adds a region clipped to the tile: to its rows, to the keys that exist, and to what its
/// diagonals leave.
static void add_region(struct region_target to, struct region region) {
    const struct tiler *t = to.t;
    region.r0 = (int32_t)most(region.r0, 0);
    region.r1 = (int32_t)least(region.r1, t->rows);
    if (region.r0 >= region.r1) return;
    if (!to.list && !to.exclude && t->site->at.causal) region.right = least(region.right, 0);
    if (region.left + region.right < 0) return;  // between its diagonals lies no pair
    if (t->site->rows && (region.left < TILE_FAR || region.right < TILE_FAR))
        add_rectangles(to, &region);
    else add_clipped(to, region);
}

/// First class coordinate at or after position x.
static int64_t first_at(const struct tiler *t, int64_t x) {
    // thousands of times a tile where keys are drawn one by one: no division without need
    return t->part->step == 1 ? x : ceil_div(x - t->residue, t->part->step);
}

/// First row of the tile at or after position x; below 0 or past the last where none is there.
static int64_t row_at(const struct tiler *t, int64_t x) {
    return t->site->rows ? (int64_t)count_below(t->listed, (size_t)t->rows, x)
                         : first_at(t, x) - t->u0;
}

int64_t next_row_at(const struct tiler *t, int64_t x) {
    const int64_t r = most(row_at(t, x), 0);
    if (t->site->rows && r >= t->rows) return most(x, t->listed[t->rows - 1] + 1);
    return t->residue + row_place(t, r) * t->part->step;
}

static int64_t steps_within(const struct tiler *t, int64_t reach) {
    return reach >= TILE_FAR ? TILE_FAR : floor_div(reach, t->part->step);
}

bool rows_at(const struct tiler *t, int64_t p0, int64_t p1, int32_t *r0, int32_t *r1) {
    *r0 = p0 <= -TILE_FAR ? 0 : (int32_t)least(most(row_at(t, p0), 0), t->rows);
    *r1 = p1 >= TILE_FAR ? t->rows : (int32_t)most(least(row_at(t, p1), t->rows), 0);
    return *r0 < *r1;
}

/// First class coordinate at or after position j, where the keys have an end there.
static int64_t key_at(const struct tiler *t, int64_t j) {
    return j <= -TILE_FAR ? -TILE_FAR : j >= TILE_FAR ? TILE_FAR : first_at(t, j);
}

void add_rows(struct region_target to, int32_t r0, int32_t r1, int64_t j0, int64_t j1) {
    add_region(
        to, (struct region){ key_at(to.t, j0), key_at(to.t, j1), r0, r1, TILE_FAR, TILE_FAR, 1 });
}

bool block_rows_at(struct region_target to, int64_t size, int64_t block, struct block_rows *out) {
    const struct tiler *t = to.t;
    const int64_t step = t->part->step;
    *out = (struct block_rows){ .to = to, .size = size, .keys = size / step };
    if (!rows_at(t, block * size, (block + 1) * size, &out->r0, &out->r1)) return false;
    if (to.list || to.exclude || size % step || !goes_apart(t, out->r0, out->r1, out->keys))
        return true;
    // Each class has its block'th keys of a block there. What causality takes from some of the rows
    // is cut.
    int64_t end = site_pattern_end(t->site);
    if (t->site->at.causal) end = least(end, row_place(t, out->r0) * step + t->residue + 1);
    out->begin = ceil_div(t->site->kv_start, size);
    out->end = floor_div(end, size);
    return true;
}

void add_shape(struct region_target to, int64_t p0, int64_t p1, int64_t j0, int64_t j1,
               int64_t left, int64_t right, int64_t period) {
    const struct tiler *t = to.t;
    int32_t r0, r1;
    if (!rows_at(t, p0, p1, &r0, &r1)) return;
    add_region(to,
               (struct region){ key_at(t, j0), key_at(t, j1), r0, r1, steps_within(t, left),
                                steps_within(t, right),
                                period == 1 ? 1 : period / common_divisor(period, t->part->step) });
}

// -------------------------------------------------------------------------------------------------
// Several factors

void regions_sort(struct tiler *t, struct region_list *list) {
    tiler_sort(t, list->regions, list->count, sizeof *list->regions);
}

/// What both take; with no pair in it where they have none in common.
static struct region common(const struct region *a, const struct region *b) {
    const struct region both = { most(a->v0, b->v0),
                                 least(a->v1, b->v1),
                                 (int32_t)most(a->r0, b->r0),
                                 (int32_t)least(a->r1, b->r1),
                                 least(a->left, b->left),
                                 least(a->right, b->right),
                                 common_multiple(a->period, b->period, TILE_FAR) };
    return both;
}

static bool is_empty(const struct region *region) {
    return region->v0 >= region->v1 || region->r0 >= region->r1 || region->left + region->right < 0;
}

/// Every pair of a region of a and one of b that overlap, into `to`.
static void intersect(struct region_target to, struct region_list *a, struct region_list *b) {
    size_t first = 0;          // regions of b before it end before those of a begin
    int64_t ends = INT64_MIN;  // of the regions of b up to `first`, the last end
    regions_sort(to.t, a);
    regions_sort(to.t, b);
    for (size_t i = 0; i < a->count; i++) {
        const struct region *x = &a->regions[i];
        while (first < b->count && (ends = most(ends, b->regions[first].v1)) <= x->v0) first++;
        for (size_t k = first; k < b->count && b->regions[k].v0 < x->v1; k++) {
            const struct region both = common(x, &b->regions[k]);
            if (!is_empty(&both)) add_region(to, both);
        }
    }
}

/// The positions of the keys of some regions.
static void key_positions(const struct tiler *t, const struct region_list *list, int64_t *j0,
                          int64_t *j1) {
    int64_t v0 = TILE_FAR, v1 = -TILE_FAR;
    for (size_t i = 0; i < list->count; i++) {
        v0 = least(v0, list->regions[i].v0);
        v1 = most(v1, list->regions[i].v1);
    }
    *j0 = t->residue + most(v0, t->v_begin) * t->part->step;
    *j1 = t->residue + (least(v1, t->v_end) - 1) * t->part->step + 1;
}

/// Does the factor have regions of every key of the sequence, that others had better restrict first?
static bool is_scattered(const struct term *factor) {
    return factor->kind == TULLE_GLOBAL_LIST || factor->kind == TULLE_FIXED ||
           factor->kind == TULLE_VERTICAL_SLASH || factor->kind == TULLE_BLOCKS ||
           factor->kind == TULLE_RANDOM;
}

/// Does it take nothing away, as the strides of a part's own step?
static bool is_everything(const struct tiler *t, const struct region_list *list) {
    const struct region *all = list->regions;
    return list->count == 1 && all->v0 <= t->v_begin && all->v1 >= t->v_end && all->r0 == 0 &&
           all->r1 == t->rows && all->left >= TILE_FAR && all->right >= TILE_FAR &&
           all->period == 1;
}

static void product_regions(struct region_target to, const struct product *term) {
    struct tiler *t = to.t;
    struct region_list *had = &t->factors[0], *next = &t->factors[1], *both = &t->factors[2];
    struct region_target among = { .t = t, .exclude = to.exclude };
    int64_t j0 = t->site->kv_start, j1 = site_pattern_end(t->site);
    uint32_t done = 0;
    bool restricted = false;  // by what is in `had`
    for (int scattered = 0; scattered < 2; scattered++) {
        for (uint32_t i = 0; i < term->count; i++) {
            const struct term *factor = term->factors[i];
            if (is_scattered(factor) != scattered) continue;
            const bool last = ++done == term->count;
            if (last && !restricted) {
                factor_regions(to, factor, j0, j1);
                return;
            }
            among.list = restricted ? next : had;
            among.list->count = both->count = 0;
            factor_regions(among, factor, j0, j1);
            if (!last && is_everything(t, among.list)) continue;
            if (last) {
                intersect(to, had, next);
                return;
            }
            if (restricted) {
                among.list = both;
                intersect(among, had, next);
                struct region_list *const before = had;
                had = both;
                both = before;
            }
            restricted = true;
            if (!had->count) return;
            key_positions(t, had, &j0, &j1);
            if (j0 >= j1) return;
        }
    }
}

void term_regions(struct region_target to, const struct product *term) {
    const struct site *site = to.t->site;
    if (term->count > 1) {
        product_regions(to, term);
        return;
    }
    to.listed = !to.exclude && to.t->part->list;
    factor_regions(to, term->factors[0], site->kv_start, site_pattern_end(site));
}

void tree_regions(struct tiler *t) {
    const struct site *site = t->site;
    for (int32_t r = 0; r < t->rows && tile_row(t, r) < site->tree_rows; r++) {
        const uint32_t *words = site->tree + (size_t)tile_row(t, r) * site->tree_words;
        const int64_t columns =
            least((int64_t)site->tree_words * 32, site->at.kv_len - site->q_offset);
        for (int64_t c = most(site->kv_start - site->q_offset, 0), begin; c < columns; c++) {
            for (begin = c; c < columns && words[c / 32] >> c % 32 & 1;) c++;
            if (c > begin)
                push(t, &t->include,
                     &(struct region){ site->q_offset + begin, site->q_offset + c, r, r + 1,
                                       TILE_FAR, TILE_FAR, 1 });
        }
    }
}

bool term_moves(const struct product *term) {
    for (uint32_t i = 0; i < term->count; i++) {
        const tulle_term_kind kind = term->factors[i]->kind;
        const bool moves = kind == TULLE_WINDOW || kind == TULLE_DILATED || kind == TULLE_STRIDED ||
                           kind == TULLE_DENSE,
                   fixed = kind == TULLE_GLOBAL || kind == TULLE_SINK || kind == TULLE_A_SHAPE;
        // of several factors keys that stay and keys that move have others in common for each tile
        if (!moves && !(fixed && term->count == 1)) return false;
    }
    return true;
}
