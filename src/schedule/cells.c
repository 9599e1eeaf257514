// SPDX-License-Identifier: MIT
#include "schedule/cells.h"

#include "common/arithmetic.h"

/// The first key after v, which lies in the region, at which that ends or one of its diagonals stops
/// to bind or begins to.
static inline int64_t next_edge(const struct tiler *t, const struct region *region, int64_t v) {
    int64_t edge = region->v1;
    if (region->left < TILE_FAR) {
        const int64_t loose = t->u0 + region->r1 - 1 - region->left;
        if (loose > v) edge = least(edge, loose);
    }
    if (region->right < TILE_FAR) {
        const int64_t tight = t->u0 + region->r0 + region->right + 1;
        if (tight > v) edge = least(edge, tight);
    }
    return edge;
}

/// What sweep_to does for key v. Returns up to where the same regions apply as they do there, at
/// most `end`.
static int64_t sweep_cell(const struct tiler *t, struct sweep *sweep,
                          const struct region_list *list, int64_t v, int64_t end) {
    size_t kept = 0;
    for (size_t i = 0; i < sweep->count; i++) {
        const struct region *region = &list->regions[sweep->active[i]];
        if (region->v1 <= v) continue;
        sweep->active[kept++] = sweep->active[i];
        end = least(end, next_edge(t, region, v));
    }
    sweep->count = kept;
    for (; sweep->next < list->count; sweep->next++) {
        const struct region *region = &list->regions[sweep->next];
        if (region->v0 > v) return least(end, region->v0);
        sweep->active[sweep->count++] = sweep->next;
        end = least(end, next_edge(t, region, v));
    }
    return end;
}

struct region loosened(const struct tiler *t, const struct region *region, int64_t v0, int64_t v1) {
    struct region on = *region;
    on.v0 = v0;
    on.v1 = v1;
    if (on.left < TILE_FAR && v0 >= t->u0 + on.r1 - 1 - on.left) on.left = TILE_FAR;
    if (on.right < TILE_FAR && v1 - 1 <= t->u0 + on.r0 + on.right) on.right = TILE_FAR;
    return on;
}

static bool is_rectangle(const struct region *p) {
    return p->left >= TILE_FAR && p->right >= TILE_FAR && p->period == 1;
}

/// Does a take every pair that b takes (both on the same keys)?
static bool covers(const struct region *a, const struct region *b) {
    return a->r0 <= b->r0 && a->r1 >= b->r1 && a->left >= b->left && a->right >= b->right &&
           b->period % a->period == 0;
}

/// Joins to `into` a rectangle that touches or overlaps it in rows.
static bool join(struct region *into, const struct region *other) {
    if (!is_rectangle(into) || !is_rectangle(other) || other->r0 > into->r1 || other->r1 < into->r0)
        return false;
    into->r0 = (int32_t)least(into->r0, other->r0);
    into->r1 = (int32_t)most(into->r1, other->r1);
    return true;
}

#define ACTIVE_MOST 8  // distinct regions on one cell before it is bits without further thought

/// Reduces the regions that lie on [v0, v1) to few that mean the same; returns how many,
/// ACTIVE_MOST + 1: too many.
static size_t reduce(const struct tiler *t, const struct region *regions, const size_t *active,
                     size_t active_count, int64_t v0, int64_t v1, struct region *kept) {
    size_t count = 0;
    for (size_t i = 0; i < active_count; i++) {
        struct region on = loosened(t, &regions[active[i]], v0, v1);
        bool covered = false, joined = false;
        for (size_t k = 0; k < count && !covered && !joined; k++) {
            covered = covers(&kept[k], &on);
            joined = !covered && join(&kept[k], &on);
        }
        if (covered) continue;
        if (joined) {  // what was kept may have grown over another
            for (size_t a = 0; a < count; a++)
                for (size_t b = 0; b < count; b++)
                    if (a != b && (covers(&kept[a], &kept[b]) || join(&kept[a], &kept[b]))) {
                        kept[b] = kept[--count];
                        a = 0;
                        b = (size_t)-1;
                    }
            continue;
        }
        for (size_t k = 0; k < count;)
            if (covers(&on, &kept[k])) kept[k] = kept[--count];
            else k++;
        if (count == ACTIVE_MOST) return ACTIVE_MOST + 1;
        kept[count++] = on;
    }
    return count;
}

static bool is_full(const struct tiler *t, const struct region *p) {
    return is_rectangle(p) && p->r0 == 0 && p->r1 == t->rows;
}

/// What the regions make of keys [v0, v1).
static struct cell classify(const struct tiler *t, const size_t *in, size_t in_count,
                            const size_t *out, size_t out_count, int64_t v0, int64_t v1) {
    struct region a[ACTIVE_MOST], b[ACTIVE_MOST];
    struct cell cell = { CELL_BITS, v0, v1, 0, t->rows, TILE_FAR, TILE_FAR };
    size_t excludes = reduce(t, t->exclude.regions, out, out_count, v0, v1, b);
    if (excludes == 1 && is_full(t, &b[0])) {
        cell.kind = CELL_EXCLUDED;
        return cell;
    }
    // nothing selects here; only list keys could be asked for
    if (in_count == 0) {
        cell.kind = CELL_EXCLUDED;
        return cell;
    }
    size_t includes = reduce(t, t->include.regions, in, in_count, v0, v1, a);
    if (includes != 1 || a[0].period != 1 || excludes > 1) return cell;
    cell.r0 = a[0].r0, cell.r1 = a[0].r1, cell.left = a[0].left, cell.right = a[0].right;
    if (excludes == 0) {
        cell.kind = is_full(t, &a[0]) ? CELL_FULL : CELL_BAND;
        return cell;
    }
    // a less b, where b covers all of a's rows and only one of its diagonals binds: its complement
    // is a diagonal
    if (b[0].period == 1 && b[0].r0 <= a[0].r0 && b[0].r1 >= a[0].r1) {
        const bool left = b[0].left < TILE_FAR, right = b[0].right < TILE_FAR;
        if (!left && !right) cell.kind = CELL_EXCLUDED;  // b covers a
        else if (!left || !right) cell.kind = CELL_BAND;
        // v < u − left, that is v − u ≤ −left − 1; or v > u + right, that is u − v ≤ −right − 1
        if (left && !right) cell.right = least(cell.right, -b[0].left - 1);
        if (right && !left) cell.left = least(cell.left, -b[0].right - 1);
    }
    return cell;
}

static bool same_predicate(const struct cell *a, const struct cell *b) {
    if (a->kind != b->kind) return false;
    if (a->kind != CELL_BAND) return true;
    return a->r0 == b->r0 && a->r1 == b->r1 && a->left == b->left && a->right == b->right;
}

static bool add_cell(struct tiler *t, const struct cell *cell) {
    struct cell *last = t->cells.count ? &t->cells.cells[t->cells.count - 1] : NULL;
    if (last && last->v1 == cell->v0 && same_predicate(last, cell)) {
        last->v1 = cell->v1;
        return true;
    }
    if (!TILER_RESERVE(t, cells.cells, cells.capacity, t->cells.count + 1)) return false;
    t->cells.cells[t->cells.count++] = *cell;
    return true;
}

bool sweeps_begin(struct tiler *t) {
    if (!TILER_RESERVE(t, active, active_capacity, t->include.count + t->exclude.count + 1))
        return false;
    t->in = (struct sweep){ .active = t->active };
    t->out = (struct sweep){ .active = t->active + t->include.count };
    return true;
}

void sweep_to(struct sweep *sweep, const struct region_list *list, int64_t v0, int64_t v1) {
    size_t kept = 0;
    for (size_t i = 0; i < sweep->count; i++)
        if (list->regions[sweep->active[i]].v1 > v0) sweep->active[kept++] = sweep->active[i];
    sweep->count = kept;
    for (; sweep->next < list->count && list->regions[sweep->next].v0 < v1; sweep->next++)
        if (list->regions[sweep->next].v1 > v0) sweep->active[sweep->count++] = sweep->next;
}

bool make_cells(struct tiler *t) {
    t->cells.count = 0;
    regions_sort(t, &t->include);
    regions_sort(t, &t->exclude);
    if (t->out_of_memory || !sweeps_begin(t)) return false;
    for (int64_t v = t->v_begin, end;; v = end) {
        end = sweep_cell(t, &t->out, &t->exclude, v, INT64_MAX);
        end = sweep_cell(t, &t->in, &t->include, v, end);
        if (end == INT64_MAX) return true;  // no region is left
        if (t->in.count == 0 && t->out.count == 0) continue;
        const struct cell cell =
            classify(t, t->in.active, t->in.count, t->out.active, t->out.count, v, end);
        if (!add_cell(t, &cell)) return false;
    }
}

// -------------------------------------------------------------------------------------------------
// Cells that runs can say

/// May the cell's own predicate stand in for `full` on keys [v0, v1)?
static bool reaches(const struct tiler *t, const struct cell *cell, int64_t v0, int64_t v1) {
    if (cell->kind == CELL_BITS) return true;
    if (cell->r0 > 0 || cell->r1 < t->rows) return false;
    return (cell->left >= TILE_FAR || v0 >= t->u0 + t->rows - 1 - cell->left) &&
           (cell->right >= TILE_FAR || v1 - 1 <= t->u0 + cell->right);
}

/// One bound of two touching bands, as far as one will do for both: where one has none, the other's
/// must not bind there.
static bool same_bound(int64_t a, int64_t b, bool b_loose_on_a, bool a_loose_on_b, int64_t *both) {
    *both = least(a, b);
    return a == b || (a >= TILE_FAR && b_loose_on_a) || (b >= TILE_FAR && a_loose_on_b);
}

/// Makes one band of two that touch, where one predicate says what both say.
static bool join_bands(const struct tiler *t, struct cell *a, const struct cell *b) {
    if (a->kind != CELL_BAND || b->kind != CELL_BAND || a->v1 != b->v0 || a->r0 != b->r0 ||
        a->r1 != b->r1)
        return false;
    int64_t first = t->u0 + a->r0, last = t->u0 + a->r1 - 1, left, right;
    if (!same_bound(a->left, b->left, a->v0 >= last - b->left, b->v0 >= last - a->left, &left))
        return false;
    if (!same_bound(a->right, b->right, a->v1 - 1 <= first + b->right,
                    b->v1 - 1 <= first + a->right, &right))
        return false;
    a->left = left, a->right = right, a->v1 = b->v1;
    return true;
}

/// How many of the cells from the first on best become one with `last`, as bits: 0: none saves a
/// chunk. Of those that lie side by side two may save none where more do; beyond a gap it is the
/// first, for those behind it may do better by themselves.
static size_t cells_to_merge(const struct tiler *t, const struct cell *last,
                             const struct cell *cells, size_t count) {
    int64_t apart = chunks_of(t, last->v1 - last->v0), end = last->v1, most_saved = 0;
    size_t best = 0;
    bool touches = true;
    for (size_t i = 0; i < count && touches; i++) {
        const struct cell *cell = &cells[i];
        const int64_t keys = cell->v1 - last->v0;
        touches = cell->v0 == end;
        // keys in between may be listed ones, that a run of their own takes
        if (cell->kind == CELL_FULL || cell->kind == CELL_EXCLUDED || keys > MERGED_KEYS_MOST ||
            (!touches && (i || t->part->list_count)))
            break;
        end = cell->v1;
        apart += chunks_of(t, cell->v1 - cell->v0);
        const int64_t saved = apart - chunks_of(t, keys);
        if (saved <= most_saved) continue;
        most_saved = saved;
        best = i + 1;
    }
    return best;
}

/// Makes one of partial cells that lie side by side: a band where one says it all, else bits where
/// that saves a chunk.
static size_t merge_cells(const struct tiler *t, struct cell *cells, size_t count) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        struct cell *last = kept ? &cells[kept - 1] : NULL, cell = cells[i];
        if (cell.kind == CELL_EXCLUDED) continue;
        if (last && last->kind != CELL_FULL && cell.kind != CELL_FULL) {
            if (join_bands(t, last, &cell)) continue;
            const size_t merged = cells_to_merge(t, last, &cells[i], count - i);
            if (merged) {
                i += merged - 1;
                last->kind = CELL_BITS;
                last->v1 = cells[i].v1;
                continue;
            }
        }
        cells[kept++] = cell;
    }
    return kept;
}

/// Runs of full keys are whole chunks: what is left over goes to a partial neighbour that selects
/// it too, else it becomes a band without bounds. So keys side by side without a gap pad at most
/// one chunk where its edges are bands.
bool round_cells(struct tiler *t) {
    const int64_t chunk = t->chunk;
    int64_t carried = 0;  // keys at the end of the last full cell that wait for the next
    t->cells.count = merge_cells(t, t->cells.cells, t->cells.count);
    if (!TILER_RESERVE(t, rounded.cells, rounded.capacity, 2 * t->cells.count)) return false;
    t->rounded.count = 0;
    for (size_t i = 0; i < t->cells.count; i++) {
        struct cell cell = t->cells.cells[i];
        struct cell *next = i + 1 < t->cells.count && t->cells.cells[i + 1].v0 == cell.v1
                                ? &t->cells.cells[i + 1]
                                : NULL;
        if (cell.kind == CELL_FULL) {
            int64_t rest = (cell.v1 - cell.v0) & (chunk - 1), end = cell.v1;
            cell.v1 -= rest;
            if (cell.v1 > cell.v0) t->rounded.cells[t->rounded.count++] = cell;
            if (!rest) continue;
            if (next && reaches(t, next, end - rest, end)) {
                carried = rest;
                continue;
            }
            t->rounded.cells[t->rounded.count++] =
                (struct cell){ CELL_BAND, end - rest, end, 0, t->rows, TILE_FAR, TILE_FAR };
            continue;
        }
        cell.v0 -= carried;
        carried = 0;
        int64_t missing = -(cell.v1 - cell.v0) & (chunk - 1);
        if (missing && next && next->kind == CELL_FULL) {
            int64_t taken = least(missing, next->v1 - next->v0);
            if (reaches(t, &cell, cell.v1, cell.v1 + taken)) {
                cell.v1 += taken;
                next->v0 += taken;
            }
        }
        t->rounded.cells[t->rounded.count++] = cell;
    }
    t->rounded.count = merge_cells(t, t->rounded.cells, t->rounded.count);
    return true;
}
