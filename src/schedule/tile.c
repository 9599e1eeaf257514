// SPDX-License-Identifier: MIT
#include "schedule/tile.h"

#include <stdlib.h>
#include <string.h>

#include "common/arithmetic.h"
enum cell_kind { CELL_EXCLUDED, CELL_FULL, CELL_BAND, CELL_BITS };

/// Keys [v0, v1) in which the same pieces apply to the tile's rows.
struct cell {
    enum cell_kind kind;
    int64_t v0, v1;
    int32_t r0, r1;
    int64_t left, right;
};

/// Room for `needed` elements in the array whose pointer lies at `array`.
static bool grow(void *array, size_t *capacity, size_t needed, size_t element) {
    if (needed <= *capacity) return true;
    size_t more = *capacity ? *capacity * 2 : 16;
    while (more < needed) more *= 2;
    void *old;
    memcpy(&old, array, sizeof old);  // of any pointer type
    void *grown = realloc(old, more * element);
    if (!grown) return false;
    memcpy(array, &grown, sizeof grown);
    *capacity = more;
    return true;
}

#define GROW(t, array, capacity, needed)                                \
    (grow(&(t)->array, &(t)->capacity, (needed), sizeof *(t)->array) || \
     ((t)->out_of_memory = true, false))

void tiler_free(struct tiler *t) {
    free(t->runs);
    free(t->bits);
    free(t->include);
    free(t->exclude);
    free(t->edges);
    free(t->cells);
    free(t->ready);
    free(t->blocks);
    memset(t, 0, sizeof *t);
}

// -------------------------------------------------------------------------------------------------
// Terms → pieces

struct piece_list {
    struct tiler *t;
    bool exclude;
};

/// Adds a piece clipped to the tile: to its rows, to the keys that exist, and to what its diagonals
/// leave.
static void add_piece(struct piece_list to, int64_t v0, int64_t v1, int64_t r0, int64_t r1,
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
    struct piece piece = { v0, v1, (int32_t)r0, (int32_t)r1, left, right, period };
    if (to.exclude) {
        if (GROW(t, exclude, exclude_capacity, t->exclude_count + 1))
            t->exclude[t->exclude_count++] = piece;
    } else {
        if (GROW(t, include, include_capacity, t->include_count + 1))
            t->include[t->include_count++] = piece;
    }
}

/// First class coordinate at or after position x.
static int64_t first_at(const struct tiler *t, int64_t x) {
    return ceil_div(x - t->residue, t->part->step);
}

/// Rows of the tile at positions [p0, p1), all keys of [j0, j1) (positions).
static void add_rectangle(struct piece_list to, int64_t p0, int64_t p1, int64_t j0, int64_t j1) {
    struct tiler *t = to.t;
    add_piece(to, j0 <= -TILE_FAR ? -TILE_FAR : first_at(t, j0),
              j1 >= TILE_FAR ? TILE_FAR : first_at(t, j1),
              p0 <= -TILE_FAR ? 0 : first_at(t, p0) - t->u0,
              p1 >= TILE_FAR ? t->rows : first_at(t, p1) - t->u0, TILE_FAR, TILE_FAR, 1);
}

static void add_columns(struct piece_list to, int64_t j0, int64_t j1) {
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

/// Keys [j0, j1) that lie in the columns that every row takes one by one.
static void column_pieces(struct piece_list to, const struct term *term, int64_t j0, int64_t j1) {
    if (term->kind == TULLE_FIXED) {
        for (int64_t block = floor_div(j0, term->step); block * term->step < j1; block++)
            add_columns(to, most(j0, (block + 1) * term->step - term->count),
                        least(j1, (block + 1) * term->step));
    } else if (term->kind == TULLE_GLOBAL_LIST) {
        size_t low = 0, high = term->position_count;
        while (low < high) {
            size_t middle = (low + high) / 2;
            if (term->positions[middle] < j0) low = middle + 1;
            else high = middle;
        }
        for (size_t i = low; i < term->position_count && term->positions[i] < j1; i++)
            add_columns(to, term->positions[i], term->positions[i] + 1);
    }
}

/// The pieces of a term on the tile; columns chosen one by one are left out where the part's list
/// has them.
static void term_pieces(struct piece_list to, const struct term *term) {
    struct tiler *t = to.t;
    int64_t step = t->part->step, p0 = t->row + t->site->q_offset,
            p1 = p0 + (t->rows - 1) * step + 1;
    int64_t key_begin = t->site->kv_start, key_end = t->site->at.kv_len;
    switch (term->kind) {
    case TULLE_DENSE: add_columns(to, -TILE_FAR, TILE_FAR); break;
    case TULLE_WINDOW:
        add_piece(to, -TILE_FAR, TILE_FAR, 0, t->rows, steps_within(term->left, 1, step),
                  steps_within(term->right, 1, step), 1);
        break;
    case TULLE_DILATED:
        add_piece(to, -TILE_FAR, TILE_FAR, 0, t->rows, steps_within(term->left, term->step, step),
                  steps_within(term->right, term->step, step), term->step / gcd(term->step, step));
        break;
    case TULLE_STRIDED:
        add_piece(to, -TILE_FAR, TILE_FAR, 0, t->rows, TILE_FAR, TILE_FAR,
                  term->step / gcd(term->step, step));
        break;
    case TULLE_GLOBAL:
        add_columns(to, -TILE_FAR, term->count);
        add_rectangle(to, 0, term->count, -TILE_FAR, TILE_FAR);
        break;
    case TULLE_SINK: add_columns(to, -TILE_FAR, term->count); break;
    case TULLE_GLOBAL_LIST: {
        size_t low = 0, high = term->position_count;
        while (low < high) {
            size_t middle = (low + high) / 2;
            if (term->positions[middle] < p0) low = middle + 1;
            else high = middle;
        }
        for (size_t i = low; i < term->position_count && term->positions[i] < p1; i++)
            add_rectangle(to, term->positions[i], term->positions[i] + 1, -TILE_FAR, TILE_FAR);
        if (to.exclude || !t->part->list) column_pieces(to, term, key_begin, key_end);
        break;
    }
    case TULLE_FIXED:
        for (int64_t block = floor_div(p0, term->step); block * term->step < p1; block++)
            add_rectangle(to, block * term->step, (block + 1) * term->step, block * term->step,
                          (block + 1) * term->step);
        if (to.exclude || !t->part->list) column_pieces(to, term, key_begin, key_end);
        break;
    case TULLE_BLOCKS: {
        int64_t layout =
                    blocks_layout(term, t->site->at.head, t->site->at.heads, t->site->at.kv_heads),
                B = term->block;
        for (int64_t block = most(0, floor_div(p0, B)); block * B < p1 && block < term->block_rows;
             block++) {
            const int64_t *offset = term->row_offsets + layout * term->block_rows + block;
            for (int64_t i = offset[0]; i < offset[1];) {
                int64_t first = term->columns[i], last = first;  // neighbours make one piece
                while (++i < offset[1] && term->columns[i] == last + 1) last++;
                add_rectangle(to, block * B, (block + 1) * B, first * B, (last + 1) * B);
            }
        }
        break;
    }
    case TULLE_RANDOM: {
        int64_t B = term->block, last_block = floor_div(p1 - 1, B);
        if (last_block < 0) break;
        size_t room = random_most(term, &t->site->at, last_block);
        if (!GROW(t, blocks, blocks_capacity, room)) return;
        for (int64_t block = most(0, floor_div(p0, B)); block <= last_block; block++) {
            size_t count = random_blocks(term, &t->site->at, block, t->blocks);
            for (size_t i = 0; i < count;) {
                int64_t first = t->blocks[i], last = first;
                while (++i < count && t->blocks[i] == last + 1) last++;
                add_rectangle(to, block * B, (block + 1) * B, first * B, (last + 1) * B);
            }
        }
        break;
    }
    case TULLE_DOCUMENTS: {
        // the last document that begins at or before p0
        size_t low = 0, high = term->position_count - 1;
        while (low + 1 < high) {
            size_t middle = (low + high) / 2;
            if (term->positions[middle] <= p0) low = middle;
            else high = middle;
        }
        for (size_t i = low; i + 1 < term->position_count && term->positions[i] < p1; i++)
            if (term->positions[i + 1] > p0)
                add_rectangle(to, term->positions[i], term->positions[i + 1], term->positions[i],
                              term->positions[i + 1]);
        break;
    }
    }
}

// -------------------------------------------------------------------------------------------------
// Pieces → cells

static int by_key(const void *a, const void *b) {
    const struct piece *x = a, *y = b;
    return (x->v0 > y->v0) - (x->v0 < y->v0);
}

static int by_value(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/// Where the piece begins and ends, and where each of its diagonals stops to bind or begins to.
static bool add_edges(struct tiler *t, const struct piece *piece) {
    int64_t loose = piece->left >= TILE_FAR ? piece->v0 : t->u0 + piece->r1 - 1 - piece->left;
    int64_t tight = piece->right >= TILE_FAR ? piece->v1 : t->u0 + piece->r0 + piece->right + 1;
    if (!GROW(t, edges, edge_capacity, t->edge_count + 4)) return false;
    t->edges[t->edge_count++] = piece->v0;
    t->edges[t->edge_count++] = piece->v1;
    if (loose > piece->v0 && loose < piece->v1) t->edges[t->edge_count++] = loose;
    if (tight > piece->v0 && tight < piece->v1) t->edges[t->edge_count++] = tight;
    return true;
}

/// The piece on keys [v0, v1) between two edges, with bounds that do not bind there dropped.
static struct piece loosened(const struct tiler *t, const struct piece *piece, int64_t v0,
                             int64_t v1) {
    struct piece on = *piece;
    on.v0 = v0;
    on.v1 = v1;
    if (on.left < TILE_FAR && v0 >= t->u0 + on.r1 - 1 - on.left) on.left = TILE_FAR;
    if (on.right < TILE_FAR && v1 - 1 <= t->u0 + on.r0 + on.right) on.right = TILE_FAR;
    return on;
}

static bool is_rectangle(const struct piece *p) {
    return p->left >= TILE_FAR && p->right >= TILE_FAR && p->period == 1;
}

/// Does a take every pair that b takes (both on the same keys)?
static bool covers(const struct piece *a, const struct piece *b) {
    return a->r0 <= b->r0 && a->r1 >= b->r1 && a->left >= b->left && a->right >= b->right &&
           b->period % a->period == 0;
}

/// Joins to `into` a rectangle that touches or overlaps it in rows.
static bool join(struct piece *into, const struct piece *other) {
    if (!is_rectangle(into) || !is_rectangle(other) || other->r0 > into->r1 || other->r1 < into->r0)
        return false;
    into->r0 = (int32_t)least(into->r0, other->r0);
    into->r1 = (int32_t)most(into->r1, other->r1);
    return true;
}

#define ACTIVE_MOST 8  // distinct pieces on one cell before it is bits without further thought

/// Reduces the pieces that lie on [v0, v1) to few that mean the same; returns how many, ACTIVE_MOST
/// + 1: too many.
static size_t reduce(const struct tiler *t, const struct piece *pieces, const size_t *active,
                     size_t active_count, int64_t v0, int64_t v1, struct piece *kept) {
    size_t count = 0;
    for (size_t i = 0; i < active_count; i++) {
        struct piece on = loosened(t, &pieces[active[i]], v0, v1);
        bool done = false;
        for (size_t k = 0; k < count && !done; k++)
            done = covers(&kept[k], &on) || join(&kept[k], &on);
        if (done) {  // what was kept may have grown over another
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

static bool is_full(const struct tiler *t, const struct piece *p) {
    return is_rectangle(p) && p->r0 == 0 && p->r1 == t->rows;
}

/// What the pieces make of keys [v0, v1).
static struct cell classify(const struct tiler *t, const size_t *in, size_t in_count,
                            const size_t *out, size_t out_count, int64_t v0, int64_t v1) {
    struct piece a[ACTIVE_MOST], b[ACTIVE_MOST];
    struct cell cell = { CELL_BITS, v0, v1, 0, t->rows, TILE_FAR, TILE_FAR };
    size_t excludes = reduce(t, t->exclude, out, out_count, v0, v1, b);
    if (excludes == 1 && is_full(t, &b[0])) {
        cell.kind = CELL_EXCLUDED;
        return cell;
    }
    // nothing selects here; only list keys could be asked for
    if (in_count == 0) {
        cell.kind = CELL_EXCLUDED;
        return cell;
    }
    size_t includes = reduce(t, t->include, in, in_count, v0, v1, a);
    if (includes != 1 || a[0].period != 1 || excludes > 1) return cell;
    if (excludes == 0) {
        cell.kind = is_full(t, &a[0]) ? CELL_FULL : CELL_BAND;
        cell.r0 = a[0].r0, cell.r1 = a[0].r1, cell.left = a[0].left, cell.right = a[0].right;
        return cell;
    }
    // a less b, where b covers all of a's rows and only one of its diagonals binds: its complement
    // is a diagonal
    if (b[0].period != 1 || b[0].r0 > a[0].r0 || b[0].r1 < a[0].r1) return cell;
    // v < u − left, that is v − u ≤ −left − 1
    if (b[0].left < TILE_FAR && b[0].right >= TILE_FAR) {
        cell.kind = CELL_BAND;
        cell.r0 = a[0].r0, cell.r1 = a[0].r1, cell.left = a[0].left,
        cell.right = least(a[0].right, -b[0].left - 1);
        // v > u + right, that is u − v ≤ −right − 1
    } else if (b[0].right < TILE_FAR && b[0].left >= TILE_FAR) {
        cell.kind = CELL_BAND;
        cell.r0 = a[0].r0, cell.r1 = a[0].r1, cell.left = least(a[0].left, -b[0].right - 1),
        cell.right = a[0].right;
    } else if (is_rectangle(&b[0])) {  // b covers a
        cell.kind = CELL_EXCLUDED;
    }
    return cell;
}

static bool same_predicate(const struct cell *a, const struct cell *b) {
    if (a->kind != b->kind) return false;
    if (a->kind != CELL_BAND) return true;
    return a->r0 == b->r0 && a->r1 == b->r1 && a->left == b->left && a->right == b->right;
}

static bool add_cell(struct tiler *t, const struct cell *cell) {
    struct cell *last = t->cell_count ? &t->cells[t->cell_count - 1] : NULL;
    if (last && last->v1 == cell->v0 && same_predicate(last, cell)) {
        last->v1 = cell->v1;
        return true;
    }
    if (!GROW(t, cells, cell_capacity, t->cell_count + 1)) return false;
    t->cells[t->cell_count++] = *cell;
    return true;
}

struct sweep {
    size_t *active;
    size_t count, next;
};

static void advance(struct sweep *s, const struct piece *pieces, size_t piece_count, int64_t v) {
    size_t kept = 0;
    for (size_t i = 0; i < s->count; i++)
        if (pieces[s->active[i]].v1 > v) s->active[kept++] = s->active[i];
    s->count = kept;
    for (; s->next < piece_count && pieces[s->next].v0 <= v; s->next++)
        if (pieces[s->next].v1 > v) s->active[s->count++] = s->next;
}

/// Pieces → cells, rising in v, disjoint; keys in no cell are in no piece.
static bool make_cells(struct tiler *t) {
    size_t few[64];
    size_t total = t->include_count + t->exclude_count;
    t->cell_count = t->edge_count = 0;
    for (size_t i = 0; i < t->include_count; i++)
        if (!add_edges(t, &t->include[i])) return false;
    for (size_t i = 0; i < t->exclude_count; i++)
        if (!add_edges(t, &t->exclude[i])) return false;
    if (t->edge_count == 0) return true;
    if (t->include_count > 1) qsort(t->include, t->include_count, sizeof *t->include, by_key);
    if (t->exclude_count > 1) qsort(t->exclude, t->exclude_count, sizeof *t->exclude, by_key);
    if (t->edge_count <= 16) {
        for (size_t i = 1; i < t->edge_count; i++) {
            int64_t x = t->edges[i];
            size_t k = i;
            for (; k && t->edges[k - 1] > x; k--) t->edges[k] = t->edges[k - 1];
            t->edges[k] = x;
        }
    } else {
        qsort(t->edges, t->edge_count, sizeof *t->edges, by_value);
    }
    size_t *active = total <= 64 ? few : malloc(total * sizeof *active);
    if (!active) {
        t->out_of_memory = true;
        return false;
    }
    struct sweep in = { active, 0, 0 }, out = { active + t->include_count, 0, 0 };
    bool fine = true;
    for (size_t i = 0; i + 1 < t->edge_count && fine; i++) {
        int64_t v0 = t->edges[i], v1 = t->edges[i + 1];
        if (v0 == v1) continue;
        advance(&in, t->include, t->include_count, v0);
        advance(&out, t->exclude, t->exclude_count, v0);
        if (in.count == 0 && out.count == 0) continue;
        struct cell cell = classify(t, in.active, in.count, out.active, out.count, v0, v1);
        fine = add_cell(t, &cell);
    }
    if (active != few) free(active);
    return fine;
}

// -------------------------------------------------------------------------------------------------
// Cells → runs

#define PARTIAL_KEYS_MOST 32736  // of one band or bits run: 15 bits, and a multiple of 32

static void set_bits(struct tiler *t, uint32_t *words, int64_t first, int64_t count,
                     const struct piece *piece, bool on) {
    for (int64_t r = piece->r0; r < piece->r1; r++) {
        int64_t u = t->u0 + r;
        int64_t v0 = most(first, piece->v0), v1 = least(first + count, piece->v1);
        if (piece->left < TILE_FAR) v0 = most(v0, u - piece->left);
        if (piece->right < TILE_FAR) v1 = least(v1, u + piece->right + 1);
        if (piece->period > 1 && v0 < v1) v0 += floor_mod(u - v0, piece->period);
        for (int64_t v = v0; v < v1;) {
            int64_t c = v - first;
            uint32_t *word = &words[(c / 32) * t->tile_rows + r];
            uint32_t mask = 1u << (c % 32);
            int64_t taken = piece->period;
            if (piece->period == 1) {
                taken = least(32 - c % 32, v1 - v);
                mask = (taken == 32 ? 0xffffffffu : ((1u << taken) - 1)) << (c % 32);
            }
            *word = on ? *word | mask : *word & ~mask;
            v += taken;
        }
    }
}

static struct run *new_run(struct tiler *t) {
    if (!GROW(t, runs, run_capacity, t->run_count + 1)) return NULL;
    struct run *run = &t->runs[t->run_count++];
    memset(run, 0, sizeof *run);
    return run;
}

static uint32_t *new_bits(struct tiler *t, struct run *run) {
    size_t words = (size_t)((run->count + 31) / 32 * t->tile_rows);
    if (!GROW(t, bits, bits_capacity, t->bit_words + words)) return NULL;
    run->bits = t->bit_words;
    t->bit_words += words;
    memset(t->bits + run->bits, 0, words * sizeof *t->bits);
    return t->bits + run->bits;
}

void tile_all_bits(const struct tiler *t, uint32_t *words, int64_t keys) {
    for (int64_t c = 0; c < keys; c += 32)
        for (int32_t r = 0; r < t->rows; r++)
            words[c / 32 * t->tile_rows + r] =
                keys - c >= 32 ? UINT32_MAX : (UINT32_C(1) << (keys - c)) - 1;
}

static bool emit_full(struct tiler *t, int64_t v, int64_t count) {
    if (count <= 0) return true;
    struct run *run = new_run(t);
    if (!run) return false;
    run->kind = TULLE_RUN_FULL;
    run->first = t->residue + v * t->part->step;
    run->count = count;
    return true;
}

/// A band or bits run over keys [v, v + count).
static bool emit_partial(struct tiler *t, const struct cell *cell, int64_t v, int64_t count) {
    for (; count > 0; v += PARTIAL_KEYS_MOST, count -= PARTIAL_KEYS_MOST) {
        struct run *run = new_run(t);
        if (!run) return false;
        run->first = t->residue + v * t->part->step;
        run->count = least(count, PARTIAL_KEYS_MOST);
        if (cell->kind == CELL_BITS) {
            run->kind = TULLE_RUN_BITS;
            uint32_t *words = new_bits(t, run);
            if (!words) return false;
            for (size_t i = 0; i < t->include_count; i++)
                set_bits(t, words, v, run->count, &t->include[i], true);
            for (size_t i = 0; i < t->exclude_count; i++)
                set_bits(t, words, v, run->count, &t->exclude[i], false);
        } else {
            // c = key − v: u − left ≤ v + c ≤ u + right, and u = u0 + r. Clamped to what 32 bits
            // and the rows can tell apart.
            run->kind = TULLE_RUN_BAND;
            run->row_first = cell->r0;
            run->row_last = cell->r1 - 1;
            run->lo = cell->left >= TILE_FAR ? -INT32_MAX / 2
                                             : most(t->u0 - cell->left - v, -INT32_MAX / 2);
            run->hi = cell->right >= TILE_FAR ? INT32_MAX / 2
                                              : least(t->u0 + cell->right - v, INT32_MAX / 2);
        }
    }
    return true;
}

/// May the cell's own predicate stand in for `full` on keys [v0, v1)?
static bool reaches(const struct tiler *t, const struct cell *cell, int64_t v0, int64_t v1) {
    if (cell->kind == CELL_BITS) return true;
    if (cell->r0 > 0 || cell->r1 < t->rows) return false;
    return (cell->left >= TILE_FAR || v0 >= t->u0 + t->rows - 1 - cell->left) &&
           (cell->right >= TILE_FAR || v1 - 1 <= t->u0 + cell->right);
}

static int64_t chunks_of(const struct tiler *t, int64_t keys) {
    return (keys + t->chunk - 1) / t->chunk;
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

#define MERGED_KEYS_MOST 512  // of bits that stand in for several partial cells

/// Makes one of partial cells that lie side by side: a band where one says it all, else bits where
/// that saves a chunk.
static size_t merge_cells(const struct tiler *t, struct cell *cells, size_t count) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        struct cell *last = kept ? &cells[kept - 1] : NULL, cell = cells[i];
        if (cell.kind == CELL_EXCLUDED) continue;
        if (last && last->kind != CELL_FULL && cell.kind != CELL_FULL) {
            if (join_bands(t, last, &cell)) continue;
            // keys in between may be listed ones, that a run of their own takes
            bool touches = last->v1 == cell.v0;
            int64_t keys = cell.v1 - last->v0;
            if ((touches || !t->part->list_count) && keys <= MERGED_KEYS_MOST &&
                chunks_of(t, keys) <
                    chunks_of(t, last->v1 - last->v0) + chunks_of(t, cell.v1 - cell.v0)) {
                last->kind = CELL_BITS;
                last->v1 = cell.v1;
                continue;
            }
        }
        cells[kept++] = cell;
    }
    return kept;
}

/// Runs of full keys are whole chunks: what is left over goes to a partial neighbour that selects
/// it too, else it becomes a band without bounds. So a stretch of keys without a gap pads at most
/// one chunk where its edges are bands.
static bool round_cells(struct tiler *t) {
    const int64_t chunk = t->chunk;
    int64_t carried = 0;  // keys at the end of the last full cell that wait for the next
    t->cell_count = merge_cells(t, t->cells, t->cell_count);
    if (!GROW(t, ready, ready_capacity, 2 * t->cell_count)) return false;
    t->ready_count = 0;
    for (size_t i = 0; i < t->cell_count; i++) {
        struct cell cell = t->cells[i];
        struct cell *next =
            i + 1 < t->cell_count && t->cells[i + 1].v0 == cell.v1 ? &t->cells[i + 1] : NULL;
        if (cell.kind == CELL_FULL) {
            int64_t rest = (cell.v1 - cell.v0) % chunk, end = cell.v1;
            cell.v1 -= rest;
            if (cell.v1 > cell.v0) t->ready[t->ready_count++] = cell;
            if (!rest) continue;
            if (next && reaches(t, next, end - rest, end)) {
                carried = rest;
                continue;
            }
            t->ready[t->ready_count++] =
                (struct cell){ CELL_BAND, end - rest, end, 0, t->rows, TILE_FAR, TILE_FAR };
            continue;
        }
        cell.v0 -= carried;
        carried = 0;
        int64_t missing = (chunk - (cell.v1 - cell.v0) % chunk) % chunk;
        if (missing && next && next->kind == CELL_FULL) {
            int64_t taken = least(missing, next->v1 - next->v0);
            if (reaches(t, &cell, cell.v1, cell.v1 + taken)) {
                cell.v1 += taken;
                next->v0 += taken;
            }
        }
        t->ready[t->ready_count++] = cell;
    }
    t->ready_count = merge_cells(t, t->ready, t->ready_count);
    return true;
}

static bool emit_cells(struct tiler *t) {
    if (!round_cells(t)) return false;
    for (size_t i = 0; i < t->ready_count; i++) {
        const struct cell *cell = &t->ready[i];
        bool fine = cell->kind == CELL_FULL ? emit_full(t, cell->v0, cell->v1 - cell->v0)
                                            : emit_partial(t, cell, cell->v0, cell->v1 - cell->v0);
        if (!fine) return false;
    }
    return true;
}

/// Keys of the part's list at positions [j0, j1).
static bool emit_list(struct tiler *t, int64_t j0, int64_t j1) {
    const int32_t *list = t->part->list;
    int64_t low = 0, high = t->part->list_count, begin;
    while (low < high) {
        int64_t m = (low + high) / 2;
        if (list[m] < j0) low = m + 1;
        else high = m;
    }
    begin = low;
    high = t->part->list_count;
    while (low < high) {
        int64_t m = (low + high) / 2;
        if (list[m] < j1) low = m + 1;
        else high = m;
    }
    int64_t count = low - begin, whole = count / t->chunk * t->chunk;
    for (int part = 0; part < 2; part++) {
        int64_t keys = part ? count - whole : whole;
        if (!keys) continue;
        struct run *run = new_run(t);
        if (!run) return false;
        run->kind = part ? TULLE_RUN_BITS : TULLE_RUN_FULL;
        run->source = RUN_LIST;
        run->first = begin + (part ? whole : 0);
        run->count = keys;
        if (!part) continue;
        uint32_t *words = new_bits(t, run);
        if (!words) return false;
        tile_all_bits(t, words, keys);
    }
    return true;
}

static bool list_has(const struct tiler *t, int64_t j0, int64_t j1) {
    const int32_t *list = t->part->list;
    int64_t low = 0, high = t->part->list_count;
    while (low < high) {
        int64_t m = (low + high) / 2;
        if (list[m] < j0) low = m + 1;
        else high = m;
    }
    return low < t->part->list_count && list[low] < j1;
}

bool tile_runs(struct tiler *t, int64_t row, int32_t rows) {
    const struct part *part = t->part;
    int64_t p = row + t->site->q_offset;
    struct piece_list in = { t, false }, out = { t, true };
    t->row = row;
    t->rows = rows;
    t->residue = floor_mod(p, part->step);
    t->u0 = floor_div(p, part->step);
    t->v_begin = ceil_div(t->site->kv_start - t->residue, part->step);
    t->v_end = ceil_div(t->site->at.kv_len - t->residue, part->step);
    t->run_count = t->bit_words = t->include_count = t->exclude_count = 0;
    t->clipped = t->out_of_memory = false;
    bool moves = part->list_count == 0;
    for (uint32_t i = 0; i < part->include_count; i++) {
        tulle_term_kind kind = part->include[i]->kind;
        moves = moves && (kind == TULLE_WINDOW || kind == TULLE_DILATED || kind == TULLE_STRIDED ||
                          kind == TULLE_DENSE);
        term_pieces(in, part->include[i]);
    }
    for (uint32_t i = 0; i < part->exclude_count && t->include_count; i++) {
        tulle_term_kind kind = part->exclude[i]->kind;
        moves = moves && (kind == TULLE_WINDOW || kind == TULLE_DILATED || kind == TULLE_STRIDED ||
                          kind == TULLE_DENSE);
        term_pieces(out, part->exclude[i]);
    }
    // List keys that every row may take come from the list; where causality cuts them by row they
    // are pieces.
    int64_t list_end = t->site->at.kv_len;
    if (part->list_count && t->site->at.causal && p + 1 < list_end) {
        list_end = p + 1;
        for (uint32_t i = 0; i < part->include_count; i++)
            column_pieces(in, part->include[i], most(p + 1, t->site->kv_start),
                          least(p + rows, t->site->at.kv_len));
    }
    if (t->out_of_memory || !make_cells(t)) return false;
    if (part->list_count) {
        // a list key inside a partial cell: all rows take it, so it is a piece of that cell
        bool again = false;
        for (size_t i = 0; i < t->cell_count; i++) {
            const struct cell *cell = &t->cells[i];
            if (cell->kind == CELL_FULL || cell->v0 >= list_end) continue;
            if (cell->kind == CELL_EXCLUDED && t->exclude_count == 0) continue;
            if (cell->kind == CELL_EXCLUDED || !list_has(t, cell->v0, least(cell->v1, list_end)))
                continue;
            for (uint32_t k = 0; k < part->include_count; k++)
                column_pieces(in, part->include[k], cell->v0, least(cell->v1, list_end));
            again = true;
        }
        if (t->out_of_memory || (again && !make_cells(t))) return false;
    }
    if (!emit_cells(t)) return false;
    if (part->list_count) {  // what the runs do not cover
        int64_t from = t->site->kv_start;
        for (size_t i = 0; i < t->ready_count; i++) {
            if (t->ready[i].v0 > from && !emit_list(t, from, least(t->ready[i].v0, list_end)))
                return false;
            from = most(from, t->ready[i].v1);
        }
        if (from < list_end && !emit_list(t, from, list_end)) return false;
    }
    t->shiftable = moves && !t->clipped;
    return !t->out_of_memory;
}

int64_t tile_chunks(const struct tiler *t) {
    int64_t chunks = 0;
    for (size_t i = 0; i < t->run_count; i++)
        chunks += (t->runs[i].count + t->chunk - 1) / t->chunk;
    return chunks;
}

static unsigned count_ones(uint32_t x) {
    unsigned n = 0;
    for (; x; x &= x - 1) n++;
    return n;
}

uint64_t tile_pairs(const struct tiler *t) {
    uint64_t pairs = 0;
    for (size_t i = 0; i < t->run_count; i++) {
        const struct run *run = &t->runs[i];
        if (run->kind == TULLE_RUN_FULL) {
            pairs += (uint64_t)run->count * (uint64_t)t->rows;
        } else if (run->kind == TULLE_RUN_BAND) {
            for (int64_t r = run->row_first; r <= run->row_last; r++) {
                int64_t first = most(0, r + run->lo), last = least(run->count - 1, r + run->hi);
                if (first <= last) pairs += (uint64_t)(last - first + 1);
            }
        } else {
            size_t words = (size_t)((run->count + 31) / 32 * t->tile_rows);
            for (size_t w = 0; w < words; w++) pairs += count_ones(t->bits[run->bits + w]);
        }
    }
    return pairs;
}
