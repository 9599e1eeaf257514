// SPDX-License-Identifier: MIT
#include "schedule/outlines.h"

#include <stdlib.h>
#include <string.h>

#include "schedule/regions.h"

#define OUTLINES_MOST 64  // edges and corners of three axes, some for each
#define OUTLINED_BYTES_MOST (1 << 18)

/// A tile's outline: what its terms are; for each row how far it stands from the first, and for each
/// term how far its first key is from the row. That says all pairs but for where the tile stands:
/// along each axis the first key is less than a length away, so the sum says how far along each,
/// and what causality leaves of a kernel is as many keys as the first is away.
struct outline {
    int64_t *values;
    size_t count, capacity;
    uint64_t hash;
};

/// A tile's runs, as struct tiler has them.
struct kept {
    struct outline outline;
    int64_t position;  ///< of the tile's first row
    struct run *runs;
    size_t run_count, run_capacity;
    uint32_t *bits;
    size_t bit_words, bits_capacity;
    int32_t *gathered;
    size_t gathered_count, gathered_capacity, gathered_full, gathered_bits;
};

struct outlines {
    struct outline outline;           ///< of the tile at hand
    struct kept kept[OUTLINES_MOST];  ///< by the outline's hash
};

/// Are all of the part's terms neighbourhoods, and none cut by where the keys begin or end?
static bool part_has_outlines(const struct tiler *t) {
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

/// Where the outline at hand is kept, or would be.
static struct kept *place_of(struct outlines *outlines) {
    return &outlines->kept[outlines->outline.hash % OUTLINES_MOST];
}

bool outlines_take(struct tiler *t) {
    if (!part_has_outlines(t)) return false;
    if (!t->outlines) t->outlines = calloc(1, sizeof *t->outlines);
    if (!t->outlines || !outline_tile(t, &t->outlines->outline)) {
        t->out_of_memory = true;
        return false;
    }
    const struct kept *kept = place_of(t->outlines);
    if (!is_outline(&kept->outline, &t->outlines->outline)) return false;
    if (!TILER_RESERVE(t, runs, run_capacity, kept->run_count) ||
        !TILER_RESERVE(t, bits, bits_capacity, kept->bit_words) ||
        !TILER_RESERVE(t, gathered, gathered_capacity, kept->gathered_count))
        return false;
    const int64_t by = row_place(t, 0) - kept->position;
    t->run_count = kept->run_count;
    for (size_t i = 0; i < kept->run_count; i++) {
        t->runs[i] = kept->runs[i];
        if (t->runs[i].source == RUN_RANGE) t->runs[i].first += by;
    }
    t->bit_words = kept->bit_words;
    if (kept->bit_words) memcpy(t->bits, kept->bits, kept->bit_words * sizeof *t->bits);
    t->gathered_count = kept->gathered_count;
    t->gathered_full = kept->gathered_full;
    t->gathered_bits = kept->gathered_bits;
    for (size_t i = 0; i < kept->gathered_count; i++)
        t->gathered[i] = (int32_t)(kept->gathered[i] + by);
    return true;
}

bool outlines_keep(struct tiler *t) {
    const size_t bytes = t->run_count * sizeof *t->runs + t->bit_words * sizeof *t->bits +
                         t->gathered_count * sizeof *t->gathered;
    if (bytes > OUTLINED_BYTES_MOST || !part_has_outlines(t)) return true;
    struct kept *kept = place_of(t->outlines);
    const struct outline *outline = &t->outlines->outline;
    kept->outline.count = 0;  // until it is whole
    if (!ARRAY_RESERVE(kept->outline.values, kept->outline.capacity, outline->count) ||
        !ARRAY_RESERVE(kept->runs, kept->run_capacity, t->run_count) ||
        !ARRAY_RESERVE(kept->bits, kept->bits_capacity, t->bit_words) ||
        !ARRAY_RESERVE(kept->gathered, kept->gathered_capacity, t->gathered_count))
        return false;
    memcpy(kept->outline.values, outline->values, outline->count * sizeof *outline->values);
    if (t->run_count) memcpy(kept->runs, t->runs, t->run_count * sizeof *t->runs);
    if (t->bit_words) memcpy(kept->bits, t->bits, t->bit_words * sizeof *t->bits);
    if (t->gathered_count)
        memcpy(kept->gathered, t->gathered, t->gathered_count * sizeof *t->gathered);
    kept->position = row_place(t, 0);
    kept->run_count = t->run_count;
    kept->bit_words = t->bit_words;
    kept->gathered_count = t->gathered_count;
    kept->gathered_full = t->gathered_full;
    kept->gathered_bits = t->gathered_bits;
    kept->outline.hash = outline->hash;
    kept->outline.count = outline->count;
    return true;
}

void outlines_free(struct outlines *outlines) {
    if (!outlines) return;
    for (int i = 0; i < OUTLINES_MOST; i++) {
        struct kept *kept = &outlines->kept[i];
        free(kept->outline.values);
        free(kept->runs);
        free(kept->bits);
        free(kept->gathered);
    }
    free(outlines->outline.values);
    free(outlines);
}
