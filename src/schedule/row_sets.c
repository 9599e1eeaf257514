// SPDX-License-Identifier: MIT
#include "schedule/row_sets.h"

#include <stdlib.h>
#include <string.h>

#include "common/arithmetic.h"
#include "common/search.h"

static int by_row(const void *a, const void *b) {
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

bool row_is_apart(const struct site *site, int64_t row) {
    const size_t at = count_below_unsigned(site->apart, site->apart_count, row);
    return at < site->apart_count && site->apart[at] == row;
}

// -------------------------------------------------------------------------------------------------
// Rows chosen one by one

/// Calls for every factor of the site's pattern.
#define EACH_FACTOR(site, factor)                                                      \
    for (uint32_t of_ = 0; of_ < (site)->pattern->canonical_count; of_++)              \
        for (uint32_t nth_ = 0; nth_ < (site)->pattern->canonical[of_]->count; nth_++) \
            if ((factor = (site)->pattern->canonical[of_]->factors[nth_]) != NULL)

/// The positions of a list that are rows of the site: from *first on. Returns how many.
static size_t listed_rows_of(const struct site *site, const struct term *factor, size_t *first) {
    *first = count_below(factor->positions, factor->position_count, site->q_offset);
    return count_below(factor->positions, factor->position_count, site->q_offset + site->q_length) -
           *first;
}

/// Rising, each once.
static size_t each_once(uint32_t *rows, size_t count) {
    size_t kept = 0;
    qsort(rows, count, sizeof *rows, by_row);
    for (size_t i = 0; i < count; i++)
        if (!kept || rows[kept - 1] != rows[i]) rows[kept++] = rows[i];
    return kept;
}

/// Leaves out the rows of tiles that are listed whole. *tiles: of those that are not.
static size_t leave_whole_tiles(const struct site *site, uint32_t *rows, size_t count,
                                int32_t tile_rows, size_t *tiles) {
    size_t kept = 0;
    *tiles = 0;
    for (size_t i = 0, end; i < count; i = end) {
        const uint32_t tile = rows[i] / (uint32_t)tile_rows;
        const int64_t height = least(tile_rows, site->q_length - (int64_t)tile * tile_rows);
        for (end = i + 1; end < count && rows[end] / (uint32_t)tile_rows == tile;) end++;
        if ((int64_t)(end - i) == height) continue;
        memmove(rows + kept, rows + i, (end - i) * sizeof *rows);
        kept += end - i;
        ++*tiles;
    }
    return kept;
}

/// The rows that GLOBAL_LISTs select all keys for, where tiles of their own are fewer than the
/// tiles of neighbours that they are strewn over. *rows: NULL: none. False: out of memory.
static bool find_apart(const struct site *site, int32_t tile_rows, uint32_t **rows, size_t *count) {
    const struct term *factor;
    size_t most_rows = 0, first, tiles;
    *rows = NULL;
    *count = 0;
    EACH_FACTOR(site, factor)
    if (factor->kind == TULLE_GLOBAL_LIST) most_rows += listed_rows_of(site, factor, &first);
    if (most_rows < 2) return true;
    uint32_t *listed = malloc(most_rows * sizeof *listed);
    if (!listed) return false;
    size_t n = 0;
    EACH_FACTOR(site, factor) {
        if (factor->kind != TULLE_GLOBAL_LIST) continue;
        const size_t of_factor = listed_rows_of(site, factor, &first);
        for (size_t i = 0; i < of_factor; i++)
            listed[n++] = (uint32_t)(factor->positions[first + i] - site->q_offset);
    }
    n = leave_whole_tiles(site, listed, each_once(listed, n), tile_rows, &tiles);
    if (tiles <= (size_t)ceil_div((int64_t)n, tile_rows)) {
        free(listed);
        return true;
    }
    *rows = listed;
    *count = n;
    return true;
}

// -------------------------------------------------------------------------------------------------
// Rows that are near in a plane or in space

/// Axes of a raster, of which the last is the fastest; fewer than three: the first are 1 long.
#define SPACE_AXES 3

struct space {
    int64_t length[SPACE_AXES], kernel[SPACE_AXES], dilation[SPACE_AXES];
    int64_t tile[SPACE_AXES];  ///< tokens of a tile along each axis, within a residue class
};

static int64_t raster_volume(const struct space *space) {
    return space->length[0] * space->length[1] * space->length[2];
}

/// Keys that a tile of so many tokens along each axis selects.
static int64_t keys_of_tile(const struct space *space, const int64_t *tile) {
    int64_t keys = 1;
    for (int i = 0; i < SPACE_AXES; i++) keys *= space->kernel[i] + tile[i] - 1;
    return keys;
}

/// The shape of tile_rows tokens or fewer that selects the fewest keys.
static void choose_tile(struct space *space, int32_t tile_rows) {
    int64_t fewest = INT64_MAX, whole = 1;
    for (int i = 0; i < SPACE_AXES; i++) space->tile[i] = 1;
    while (whole * 2 <= tile_rows) whole *= 2;
    for (int64_t a = 1; a <= whole; a *= 2)
        for (int64_t b = 1; a * b <= whole; b *= 2) {
            const int64_t tile[SPACE_AXES] = { a, b, whole / a / b };
            const int64_t keys = keys_of_tile(space, tile);
            if (keys >= fewest || a > space->length[0] || b > space->length[1]) continue;
            fewest = keys;
            memcpy(space->tile, tile, sizeof tile);
        }
}

/// The first neighbourhood of several axes of the site's pattern, where it has one.
static bool find_space(const struct site *site, int32_t tile_rows, struct space *space) {
    const struct term *factor;
    EACH_FACTOR(site, factor) {
        if (factor->kind != TULLE_NEIGHBORHOOD || factor->axes < 2) continue;
        const uint32_t missing = SPACE_AXES - factor->axes;
        for (uint32_t i = 0; i < SPACE_AXES; i++) {
            const struct grid_axis *axis = i < missing ? NULL : &factor->axis[i - missing];
            space->length[i] = axis ? axis_length(axis, site->at.kv_len) : 1;
            space->kernel[i] = axis ? axis->kernel : 1;
            space->dilation[i] = axis ? axis->dilation : 1;
        }
        choose_tile(space, tile_rows);
        return true;
    }
    return false;
}

/// Rows as they are added, of those that exist.
struct row_order {
    const struct site *site;
    uint32_t *rows;
    int64_t count;
};

static void add_position(struct row_order *order, int64_t p) {
    const int64_t row = p - order->site->q_offset;
    if (row >= 0 && row < order->site->q_length) order->rows[order->count++] = (uint32_t)row;
}

/// Coordinates of one residue class modulo the dilation, of an axis.
static int64_t class_length(const struct space *space, int axis, int64_t residue) {
    return ceil_div(space->length[axis] - residue, space->dilation[axis]);
}

static int64_t position_at(const struct space *space, const int64_t *residue, int64_t x, int64_t y,
                           int64_t z) {
    const int64_t at[SPACE_AXES] = { x, y, z };
    int64_t p = 0;
    for (int i = 0; i < SPACE_AXES; i++)
        p = p * space->length[i] + at[i] * space->dilation[i] + residue[i];
    return p;
}

/// The tokens of a residue class, bar by bar: a bar is as thick as a tile along the first axes, and
/// is passed along the last, so that tiles follow each other in it whatever its length. Every other
/// bar is passed backwards: a tile that lies in two has their neighbouring ends.
static void add_class(struct row_order *order, const struct space *space, const int64_t *residue) {
    const int64_t nx = class_length(space, 0, residue[0]), ny = class_length(space, 1, residue[1]),
                  nz = class_length(space, 2, residue[2]), a = space->tile[0], b = space->tile[1];
    bool backwards = false;
    for (int64_t x0 = 0; x0 < nx; x0 += a)
        for (int64_t y0 = 0; y0 < ny; y0 += b, backwards = !backwards)
            for (int64_t n = 0; n < nz; n++)
                for (int64_t x = x0; x < least(x0 + a, nx); x++)
                    for (int64_t y = y0; y < least(y0 + b, ny); y++)
                        add_position(order,
                                     position_at(space, residue, x, y, backwards ? nz - 1 - n : n));
}

/// All rows of the site in the order of their tiles in space, rising within each; behind them those
/// that lie outside of it, or do not exist. NULL: out of memory.
static uint32_t *rows_in_space(const struct site *site, const struct space *space,
                               int32_t tile_rows) {
    const int64_t volume = raster_volume(space);
    struct row_order order = { site, malloc((size_t)site->q_len * sizeof *order.rows), 0 };
    if (!order.rows) return NULL;
    int64_t residue[SPACE_AXES];
    for (residue[0] = 0; residue[0] < space->dilation[0]; residue[0]++)
        for (residue[1] = 0; residue[1] < space->dilation[1]; residue[1]++)
            for (residue[2] = 0; residue[2] < space->dilation[2]; residue[2]++)
                add_class(&order, space, residue);
    for (int64_t row = 0; row < site->q_length; row++)
        if (row + site->q_offset < 0 || row + site->q_offset >= volume)
            order.rows[order.count++] = (uint32_t)row;
    for (int64_t n = 0; n < order.count; n += tile_rows)
        qsort(order.rows + n, (size_t)least(tile_rows, order.count - n), sizeof *order.rows,
              by_row);
    for (int64_t row = site->q_length; row < site->q_len; row++)
        order.rows[order.count++] = (uint32_t)row;
    return order.rows;
}

/// So many that few of them fall on what tiles have in common from bar to bar.
#define SAMPLED_TILES 401

/// Chunks of all of a site's tiles, from some of them. False: out of memory.
static bool site_chunks(const struct site *site, const struct tiling *tiling, int64_t *chunks) {
    struct part *parts;
    uint32_t count;
    *chunks = 0;
    if (!parts_create(site, tiling, &parts, &count)) return false;
    bool fine = true;
    for (uint32_t k = 0; k < count && fine; k++) {
        struct sample s;
        fine = part_sample(site, &parts[k], tiling, site->q_length, SAMPLED_TILES, &s);
        if (fine && s.taken) *chunks += s.chunks * s.tiles / s.taken;
    }
    parts_free(parts, count);
    return fine;
}

/// Of a raster the order goes over all positions: it may have so many times as many as there are
/// rows.
#define RASTER_TIMES_MOST 16

/// Puts a set's rows in the order of space, where that costs less. False: out of memory.
static bool order_in_space(struct row_set *set, const struct tiling *tiling) {
    struct space space;
    int64_t by_raster, by_space;
    const int64_t count = set->site.q_length;
    if (count <= tiling->tile_rows || !find_space(&set->site, tiling->tile_rows, &space) ||
        raster_volume(&space) > RASTER_TIMES_MOST * count)
        return true;
    uint32_t *rows = rows_in_space(&set->site, &space, tiling->tile_rows);
    if (!rows) return false;
    struct site listed = set->site;
    listed.rows = rows;
    const bool fine =
        site_chunks(&set->site, tiling, &by_raster) && site_chunks(&listed, tiling, &by_space);
    if (fine && by_space < by_raster) {
        set->site = listed;
        set->rows = rows;
    } else {
        free(rows);
    }
    return fine;
}

// -------------------------------------------------------------------------------------------------

bool row_sets_make(const struct site *site, const struct tiling *tiling, bool may_list,
                   struct row_sets *out) {
    struct row_set *first = &out->set[0], *second = &out->set[1];
    *out = (struct row_sets){ .set = { { .site = *site } }, .count = 1 };
    if (!may_list || site->q_length <= 0 || site->q_len > PM_ROW_MASK) return true;
    size_t count;
    if (!find_apart(site, tiling->tile_rows, &second->rows, &count)) return false;
    if (second->rows) {
        second->site = *site;
        second->site.rows = second->rows;
        second->site.q_len = second->site.q_length = (int64_t)count;
        first->site.apart = second->rows;
        first->site.apart_count = count;
        out->count = 2;
    }
    if (order_in_space(first, tiling)) return true;
    row_sets_free(out);
    return false;
}

/// Are the group's entries all heads of some kv heads, side by side?
static bool is_whole(const struct group *group, uint32_t heads_of_kv) {
    const struct pm_entry *entries = group->entries;
    if (group->entry_count % heads_of_kv) return false;
    for (uint32_t i = 0; i < group->entry_count; i++) {
        const struct pm_entry *first = &entries[i - i % heads_of_kv];
        if (entries[i].index != first->index + i % heads_of_kv ||
            entries[i].sequence != first->sequence || first->index % heads_of_kv)
            return false;
    }
    return true;
}

/// Are all terms tiled at step 1? At another, rows of one residue class pay less apart.
static bool is_unstepped(const struct site *site) {
    for (uint32_t i = 0; i < site->pattern->canonical_count; i++)
        if (product_step(site->pattern->canonical[i]) > 1) return false;
    return true;
}

bool row_sets_pack(const struct group *group, uint32_t heads_of_kv, int32_t tile_rows,
                   struct row_sets *sets, struct pm_entry **entries, uint32_t *entry_count) {
    struct row_set *set = &sets->set[0];
    const int64_t rows = set->site.q_length, all = set->site.q_len, heads = heads_of_kv;
    *entries = NULL;
    if (sets->count > 1 || set->rows || rows <= 0 || rows >= tile_rows || all > PM_ROW_MASK ||
        heads > (UINT32_MAX >> PM_ROW_HEAD_SHIFT) ||
        ceil_div(rows * heads, tile_rows) >= heads * ceil_div(rows, tile_rows) ||
        !is_unstepped(&set->site) || !is_whole(group, heads_of_kv))
        return true;
    *entry_count = group->entry_count / heads_of_kv;
    *entries = malloc(*entry_count * sizeof **entries);
    set->rows = malloc((size_t)(all * heads) * sizeof *set->rows);
    if (!*entries || !set->rows) return false;
    for (uint32_t i = 0; i < *entry_count; i++) (*entries)[i] = group->entries[i * heads_of_kv];
    for (int64_t n = 0; n < all * heads; n++)  // those that exist come first
        set->rows[n] = (uint32_t)(n / heads) | (uint32_t)(n % heads) << PM_ROW_HEAD_SHIFT;
    set->site.rows = set->rows;
    set->site.q_len = all * heads;
    set->site.q_length = rows * heads;
    return true;
}

void row_sets_free(struct row_sets *sets) {
    for (uint32_t i = 0; i < ROW_SETS_MOST; i++) free(sets->set[i].rows);
    *sets = (struct row_sets){ .count = 0 };
}

bool site_runs(const struct site *site, const struct tiling *tiling, runs_callback each,
               void *user) {
    struct row_sets sets;
    if (!row_sets_make(site, tiling, true, &sets)) return false;
    bool fine = true;
    for (uint32_t i = 0; i < sets.count && fine; i++)
        fine = set_runs(&sets.set[i].site, tiling, each, user);
    row_sets_free(&sets);
    return fine;
}
