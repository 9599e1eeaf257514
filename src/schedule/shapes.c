// SPDX-License-Identifier: MIT
#include "schedule/shapes.h"

#include <stdlib.h>
#include <string.h>

#include "schedule/regions.h"

#define SHAPES_MOST 64  // edges and corners of three axes, some for each
#define SHAPE_BYTES_MOST (1 << 18)

/// A tile's outline: what its terms are; for each row how far it stands from the first, and for each
/// term how far its first key is from the row. That says all pairs but for where the tile stands:
/// along each axis the first key is less than a length away, so the sum says how far along each,
/// and what causality leaves of a kernel is as many keys as the first is away.
struct outline {
    int64_t *values;
    size_t count, capacity;
    uint64_t hash;
};

struct shape {
    struct outline outline;
    int64_t position;  ///< of the tile's first row
    struct run *runs;
    size_t run_count, run_capacity;
    uint32_t *bits;
    size_t bit_words, bits_capacity;
    int32_t *gathered;
    size_t gathered_count, gathered_capacity, gathered_full, gathered_bits;
};

struct shapes {
    struct outline outline;           ///< of the tile at hand
    struct shape shape[SHAPES_MOST];  ///< by the outline's hash
};

/// Are all of the part's terms neighbourhoods, and none cut by where the keys begin or end?
static bool part_has_shapes(const struct tiler *t) {
    const struct part *part = t->part;
    const struct site *site = t->site;
    if (part->step > 1 || part->exclude_count || site->kv_start > 0 || site->tree) return false;
    for (uint32_t i = 0; i < part->include_count; i++) {
        const struct term *factor = part->include[i]->factors[0];
        if (part->include[i]->count > 1 || factor->kind != TULLE_NEIGHBORHOOD) return false;
        int64_t volume = 1;
        for (uint32_t a = 0; a < factor->axes && volume <= site->at.kv_len; a++)
            volume *= axis_length(&factor->axis[a], site->at.kv_len);
        if (volume > site->at.kv_len) return false;
    }
    return true;
}

static void add_value(struct outline *outline, int64_t value) {
    outline->values[outline->count++] = value;
    outline->hash = (outline->hash ^ (uint64_t)value) * UINT64_C(0x9e3779b97f4a7c15);
    outline->hash ^= outline->hash >> 32;
}

static void add_term(struct outline *outline, const struct term *factor, int64_t kv_len) {
    for (uint32_t i = 0; i < factor->axes; i++) {
        const struct grid_axis *axis = &factor->axis[i];
        add_value(outline, axis_length(axis, kv_len));
        add_value(outline, axis->kernel);
        add_value(outline, axis->dilation);
        add_value(outline, axis->causal);
    }
}

/// What the row at position p selects of a neighbourhood, seen from p.
static void add_neighborhood(struct outline *outline, const struct term *factor, int64_t kv_len,
                             int64_t p) {
    int64_t rest = p, times = 1, first = 0;
    bool exists = p >= 0;
    for (uint32_t i = factor->axes; i-- > 0 && exists;) {
        const struct grid_axis *axis = &factor->axis[i];
        const int64_t length = axis_length(axis, kv_len);
        exists = axis->kernel * axis->dilation <= length && (i > 0 || rest < length);
        if (!exists) break;
        first += axis_keys(axis, length, rest % length).first * times;
        times *= length;
        rest /= length;
    }
    add_value(outline, exists ? first - p : INT64_MAX);
}

/// The outline of the tile at hand. False: out of memory.
static bool outline_tile(const struct tiler *t, struct outline *outline) {
    const int64_t first = row_place(t, 0);
    const size_t terms = t->part->include_count, rows = (size_t)t->rows;
    outline->count = 0;
    outline->hash = 0;
    if (!ARRAY_RESERVE(outline->values, outline->capacity,
                       2 + terms * (1 + 4 * TULLE_AXES_MOST) + rows * (1 + terms)))
        return false;
    add_value(outline, t->site->at.causal);
    add_value(outline, t->rows);
    for (size_t i = 0; i < terms; i++) {
        const struct term *factor = t->part->include[i]->factors[0];
        add_value(outline, factor->axes);
        add_term(outline, factor, t->site->at.kv_len);
    }
    for (int64_t r = 0; r < t->rows; r++) {
        const int64_t p = row_place(t, r);
        add_value(outline, p - first);
        for (size_t i = 0; i < terms; i++)
            add_neighborhood(outline, t->part->include[i]->factors[0], t->site->at.kv_len, p);
    }
    return true;
}

static bool is_outline(const struct outline *a, const struct outline *b) {
    return a->hash == b->hash && a->count == b->count && a->count > 0 &&
           !memcmp(a->values, b->values, a->count * sizeof *a->values);
}

/// Where the shape at hand is kept, or would be.
static struct shape *place_of(struct shapes *shapes) {
    return &shapes->shape[shapes->outline.hash % SHAPES_MOST];
}

bool shapes_take(struct tiler *t) {
    if (!part_has_shapes(t)) return false;
    if (!t->shapes) t->shapes = calloc(1, sizeof *t->shapes);
    if (!t->shapes || !outline_tile(t, &t->shapes->outline)) {
        t->out_of_memory = true;
        return false;
    }
    const struct shape *shape = place_of(t->shapes);
    if (!is_outline(&shape->outline, &t->shapes->outline)) return false;
    if (!TILER_RESERVE(t, runs, run_capacity, shape->run_count) ||
        !TILER_RESERVE(t, bits, bits_capacity, shape->bit_words) ||
        !TILER_RESERVE(t, gathered, gathered_capacity, shape->gathered_count))
        return false;
    const int64_t by = row_place(t, 0) - shape->position;
    t->run_count = shape->run_count;
    for (size_t i = 0; i < shape->run_count; i++) {
        t->runs[i] = shape->runs[i];
        if (t->runs[i].source == RUN_RANGE) t->runs[i].first += by;
    }
    t->bit_words = shape->bit_words;
    if (shape->bit_words) memcpy(t->bits, shape->bits, shape->bit_words * sizeof *t->bits);
    t->gathered_count = shape->gathered_count;
    t->gathered_full = shape->gathered_full;
    t->gathered_bits = shape->gathered_bits;
    for (size_t i = 0; i < shape->gathered_count; i++)
        t->gathered[i] = (int32_t)(shape->gathered[i] + by);
    return true;
}

bool shapes_keep(struct tiler *t) {
    const size_t bytes = t->run_count * sizeof *t->runs + t->bit_words * sizeof *t->bits +
                         t->gathered_count * sizeof *t->gathered;
    if (bytes > SHAPE_BYTES_MOST || !part_has_shapes(t)) return true;
    struct shape *shape = place_of(t->shapes);
    const struct outline *outline = &t->shapes->outline;
    shape->outline.count = 0;  // until it is whole
    if (!ARRAY_RESERVE(shape->outline.values, shape->outline.capacity, outline->count) ||
        !ARRAY_RESERVE(shape->runs, shape->run_capacity, t->run_count) ||
        !ARRAY_RESERVE(shape->bits, shape->bits_capacity, t->bit_words) ||
        !ARRAY_RESERVE(shape->gathered, shape->gathered_capacity, t->gathered_count))
        return false;
    memcpy(shape->outline.values, outline->values, outline->count * sizeof *outline->values);
    if (t->run_count) memcpy(shape->runs, t->runs, t->run_count * sizeof *t->runs);
    if (t->bit_words) memcpy(shape->bits, t->bits, t->bit_words * sizeof *t->bits);
    if (t->gathered_count)
        memcpy(shape->gathered, t->gathered, t->gathered_count * sizeof *t->gathered);
    shape->position = row_place(t, 0);
    shape->run_count = t->run_count;
    shape->bit_words = t->bit_words;
    shape->gathered_count = t->gathered_count;
    shape->gathered_full = t->gathered_full;
    shape->gathered_bits = t->gathered_bits;
    shape->outline.hash = outline->hash;
    shape->outline.count = outline->count;
    return true;
}

void shapes_free(struct shapes *shapes) {
    if (!shapes) return;
    for (int i = 0; i < SHAPES_MOST; i++) {
        struct shape *shape = &shapes->shape[i];
        free(shape->outline.values);
        free(shape->runs);
        free(shape->bits);
        free(shape->gathered);
    }
    free(shapes->outline.values);
    free(shapes);
}
