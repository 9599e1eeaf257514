// SPDX-License-Identifier: MIT
//
// A NEIGHBORHOOD's regions: for each line of the raster that the tile has rows of, and each line
// that these select, the last axis's windows.
#include "common/arithmetic.h"
#include "schedule/regions.h"

/// Two lines of the raster: the positions that they begin at, and how long both are. The tile's rows
/// lie at [x0, x1) of the first.
struct lines {
    int64_t query, key, length, x0, x1;
};

/// The same of rows from a list, `step` > 1: key by key. A tile's are mostly of one residue class, and
/// all that they take lies within it: a range would be `step` times as many.
static void add_keys_apart(struct region_target to, const struct lines *on, int64_t x0, int64_t x1,
                           int64_t y0, int64_t y1, int64_t left, int64_t right, int64_t step) {
    const int64_t end = on->query + x1;
    for (int64_t p = next_row_at(to.t, on->query + x0), last, next; p < end; p = next) {
        // rows [p, last] of the tile, `step` apart
        for (last = p; (next = next_row_at(to.t, last + 1)) == last + step && next < end;)
            last = next;
        const int64_t first = p - on->query, x = last - on->query;
        int64_t y = most(first - left, y0);
        y += floor_mod(first - y, step);
        for (const int64_t y_end = least(x + right + 1, y1); y < y_end; y += step)
            add_shape(to, on->query + most(first, y - right), on->query + least(x, y + left) + 1,
                      on->key + y, on->key + y + 1, TILE_FAR, TILE_FAR, 1);
    }
}

/// Rows [x0, x1) of one line, keys [y0, y1) of the other, −right ≤ x − y ≤ left, and x − y a
/// multiple of `step`.
static void add_lattice(struct region_target to, const struct lines *on, int64_t x0, int64_t x1,
                        int64_t y0, int64_t y1, int64_t left, int64_t right, int64_t step) {
    x0 = most(x0, on->x0), x1 = least(x1, on->x1);
    if (x0 >= x1) return;
    const int64_t between = on->query - on->key, p0 = on->query + x0, p1 = on->query + x1,
                  j0 = on->key + y0, j1 = on->key + y1;
    if (to.t->site->rows && step > 1) {
        add_keys_apart(to, on, x0, x1, y0, y1, left, right, step);
        return;
    }
    if (between % step == 0) {
        add_shape(to, p0, p1, j0, j1, between + left, right - between, step);
        return;
    }
    // regions count their period from p = j: so diagonal by diagonal
    left = least(left, x1 - 1 - y0);
    right = least(right, y1 - 1 - x0);
    for (int64_t apart = ceil_div(-right, step) * step; apart <= left; apart += step)
        add_shape(to, p0, p1, j0, j1, between + apart, -between - apart, 1);
}

/// The last axis: windows that shift at both ends.
static void add_line(struct region_target to, const struct lines *on,
                     const struct grid_axis *axis) {
    const int64_t n = on->length, d = axis->dilation, before = axis->kernel / 2 * d,
                  after = (axis->kernel - 1) * d - before, whole = axis->kernel * d;
    if (axis->causal) {
        add_lattice(to, on, 0, n, 0, n, whole - d, 0, d);
        return;
    }
    add_lattice(to, on, 0, before, 0, whole, n, n, d);
    add_lattice(to, on, before, n - after, 0, n, before, after, d);
    add_lattice(to, on, n - after, n, n - whole, n, n, n, d);
}

/// The axes before the last, on one line of queries.
struct slow_axes {
    uint32_t count;
    int64_t length[TULLE_AXES_MOST];
    struct axis_keys keys[TULLE_AXES_MOST];
    int64_t dilation[TULLE_AXES_MOST];
};

/// Calls add_line for every line of keys at [j0, j1) that the line of queries selects.
static void add_lines(struct region_target to, const struct slow_axes *slow,
                      const struct grid_axis *last, struct lines on, int64_t j0, int64_t j1) {
    int64_t lines = 1;
    for (uint32_t i = 0; i < slow->count; i++) lines *= slow->keys[i].count;
    for (int64_t n = 0; n < lines; n++) {
        int64_t line = 0, rest = n, times = 1;
        for (uint32_t i = slow->count; i-- > 0;) {
            const struct axis_keys *keys = &slow->keys[i];
            line += (keys->first + rest % keys->count * slow->dilation[i]) * times;
            rest /= keys->count;
            times *= slow->length[i];
        }
        on.key = line * on.length;
        if (on.key < j1 && on.key + on.length > j0) add_line(to, &on, last);
    }
}

void grid_regions(struct region_target to, const struct term *factor, int64_t p0, int64_t p1,
                  int64_t j0, int64_t j1) {
    const uint32_t last = factor->axes - 1;
    struct slow_axes slow = { .count = last };
    int64_t lines = 1;
    for (uint32_t i = 0; i <= last; i++) {
        const int64_t length = axis_length(&factor->axis[i], to.t->site->at.kv_len);
        if (factor->axis[i].kernel * factor->axis[i].dilation > length) return;
        slow.length[i] = length;
        slow.dilation[i] = factor->axis[i].dilation;
        if (i < last) lines *= length;
    }
    const int64_t length = slow.length[last];
    for (int64_t p = most(p0, next_row_at(to.t, 0)), line; p < p1;
         p = next_row_at(to.t, (line + 1) * length)) {
        line = p / length;
        if (line >= lines) return;
        int64_t rest = line;
        for (uint32_t i = last; i-- > 0; rest /= slow.length[i])
            slow.keys[i] = axis_keys(&factor->axis[i], slow.length[i], rest % slow.length[i]);
        const int64_t begin = line * length;
        const struct lines on = { .query = begin,
                                  .length = length,
                                  .x0 = most(p0 - begin, 0),
                                  .x1 = least(p1 - begin, length) };
        add_lines(to, &slow, &factor->axis[last], on, j0, j1);
    }
}
