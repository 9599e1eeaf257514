// SPDX-License-Identifier: MIT
#include "schedule/strips.h"

#include <string.h>

#include "common/arithmetic.h"

#define THIN_LEAST 64  // fewer are dealt with as cells as fast
#define ACTIVE_MOST 8  // rectangles on one key before their strip is left to cells

static inline int64_t end_of(const struct rectangle *rectangle) {
    return rectangle->v + rectangle->keys;
}

static void to_regions(struct tiler *t, const struct rectangle *from, size_t count) {
    struct region_list *to = &t->include;
    if (!TILER_RESERVE(t, include.regions, include.capacity, to->count + count)) return;
    for (const struct rectangle *r = from; r < from + count; r++)
        to->regions[to->count++] =
            (struct region){ r->v, end_of(r), r->r0, r->r1, TILE_FAR, TILE_FAR, 1 };
}

// -------------------------------------------------------------------------------------------------
// Plain strips

static bool is_whole_chunks(const struct tiler *t, const struct rectangle *rectangle) {
    return (rectangle->keys & (t->chunk - 1)) == 0;
}

/// Rows that any of the rectangles has: *rows. False: they do not lie side by side.
static bool join_rows(const struct rectangle *const *active, size_t count, struct rectangle *rows) {
    uint8_t r0 = active[0]->r0, r1 = active[0]->r1;
    size_t within = 1;
    for (size_t before = 0; within < count && within > before;) {
        before = within;
        within = 0;
        for (size_t i = 0; i < count; i++) {
            const struct rectangle *r = active[i];
            if (r->r0 > r1 || r->r1 < r0) continue;
            if (r->r0 < r0) r0 = r->r0;
            if (r->r1 > r1) r1 = r->r1;
            within++;
        }
    }
    rows->r0 = r0, rows->r1 = r1;
    return within == count;
}

/// One more plain rectangle, or more keys of the last of those from `first` on. False: the last one
/// is not whole chunks, or memory is out.
static bool add_plain(struct tiler *t, size_t first, const struct rectangle *rectangle) {
    struct rectangle_list *list = &t->plain;
    struct rectangle *last = list->count > first ? &list->rectangles[list->count - 1] : NULL;
    if (last && last->r0 == rectangle->r0 && last->r1 == rectangle->r1) {
        last->keys += rectangle->keys;
        return true;
    }
    if ((last && !is_whole_chunks(t, last)) ||
        !TILER_RESERVE(t, plain.rectangles, plain.capacity, list->count + 1))
        return false;
    list->rectangles[list->count++] = *rectangle;
    return true;
}

/// The rectangles of a strip [from, end) that lie on key v join those that did on the keys before,
/// of which `count` are left. ACTIVE_MOST + 1: too many.
static size_t take_up(const struct rectangle **from, const struct rectangle *end, int64_t v,
                      const struct rectangle **active, size_t count) {
    for (; *from < end && (*from)->v <= v; ++*from) {
        if (count == ACTIVE_MOST) return ACTIVE_MOST + 1;
        active[count++] = *from;
    }
    return count;
}

/// The strip [from, end) of several rectangles to t->plain; false: it is not plain, or memory is
/// out.
static bool add_all(struct tiler *t, const struct rectangle *from, const struct rectangle *end) {
    const struct rectangle *active[ACTIVE_MOST];
    const size_t first = t->plain.count;
    size_t count = 0;
    for (int64_t v = from->v, next; count || from < end; v = next) {
        count = take_up(&from, end, v, active, count);
        if (count > ACTIVE_MOST) return false;
        next = from < end ? from->v : INT64_MAX;
        for (size_t i = 0; i < count; i++) next = least(next, end_of(active[i]));
        struct rectangle rows = { .v = v, .keys = (int32_t)(next - v) };
        if (!join_rows(active, count, &rows) || !add_plain(t, first, &rows)) return false;
        size_t kept = 0;
        for (size_t i = 0; i < count; i++)
            if (end_of(active[i]) > next) active[kept++] = active[i];
        count = kept;
    }
    return is_whole_chunks(t, &t->plain.rectangles[t->plain.count - 1]);
}

/// The strip [from, end) to t->plain, if it is plain.
static bool take_plain_strip(struct tiler *t, const struct rectangle *from,
                             const struct rectangle *end) {
    struct rectangle_list *list = &t->plain;
    if (end == from + 1) {  // as most are
        if (!is_whole_chunks(t, from) ||
            !TILER_RESERVE(t, plain.rectangles, plain.capacity, list->count + 1))
            return false;
        list->rectangles[list->count++] = *from;
        return true;
    }
    const size_t before = list->count;
    const bool plain = add_all(t, from, end);
    if (!plain) list->count = before;
    return plain;
}

// -------------------------------------------------------------------------------------------------
// Strips

/// Rectangles that touch or overlap one another, from the first on.
struct rectangle_strip {
    size_t count;
    int64_t begin, end;
};

static struct rectangle_strip rectangle_strip_at(const struct rectangle *first,
                                                 const struct rectangle *end) {
    struct rectangle_strip strip = { 1, first->v, end_of(first) };
    for (const struct rectangle *r = first + 1; r < end && r->v <= strip.end; r++) {
        strip.count++;
        strip.end = most(strip.end, end_of(r));
    }
    return strip;
}

/// Counts a thin strip. As ranges, each of a chunk that begins with the first key that none has yet,
/// thin strips take no fewer chunks than these; `covered` is where the last one ends.
static void count_thin(struct tiler *t, const struct rectangle_strip *strip, int64_t *covered) {
    t->thin_keys += strip->end - strip->begin;
    if (strip->end <= *covered) return;
    *covered = most(*covered, strip->begin) + t->chunk;
    t->thin_ranges++;
}

bool sort_out(struct tiler *t) {
    struct rectangle_list *list = &t->rectangles;
    const size_t count = list->count, regions = t->include.count;
    size_t kept = 0, next = 0;                         // next: region
    int64_t reached = INT64_MIN, covered = INT64_MIN;  // reached: the last end of those before it
    t->plain.count = 0;
    t->thin_keys = t->thin_ranges = 0;
    if (!count) return true;
    regions_sort(t, &t->include);
    if (!tiler_sort(t, list->rectangles, count, sizeof *list->rectangles)) return false;
    for (size_t i = 0; i < count;) {
        const struct rectangle *first = &list->rectangles[i];
        const struct rectangle_strip strip = rectangle_strip_at(first, list->rectangles + count);
        for (; next < regions && t->include.regions[next].v0 <= strip.end; next++)
            reached = most(reached, t->include.regions[next].v1);
        i += strip.count;
        if (reached >= strip.begin) {
            to_regions(t, first, strip.count);
        } else if (strip.end - strip.begin < t->chunk) {
            count_thin(t, &strip, &covered);
            for (size_t k = 0; k < strip.count; k++) list->rectangles[kept++] = first[k];
        } else if (!take_plain_strip(t, first, first + strip.count)) {
            to_regions(t, first, strip.count);
        }
    }
    list->count = kept;
    return !t->out_of_memory && (kept >= THIN_LEAST || return_thin(t, INT64_MIN, INT64_MAX));
}

/// The first of the rectangles that begins at key v or after.
static size_t rectangle_at(const struct rectangle_list *list, int64_t v) {
    size_t low = 0, high = list->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (list->rectangles[middle].v < v) low = middle + 1;
        else high = middle;
    }
    return low;
}

bool return_thin(struct tiler *t, int64_t v0, int64_t v1) {
    struct rectangle_list *list = &t->rectangles;
    const size_t first = rectangle_at(list, v0), next = rectangle_at(list, v1);
    int64_t end = INT64_MIN;  // of those so far
    if (first == next) return true;
    to_regions(t, list->rectangles + first, next - first);
    regions_sort(t, &t->include);
    for (size_t i = first; i < next; i++) {
        const struct rectangle *r = &list->rectangles[i];
        t->thin_ranges -= r->v > end;
        t->thin_keys -= most(end_of(r) - most(r->v, end), 0);
        end = most(end, end_of(r));
    }
    memmove(list->rectangles + first, list->rectangles + next,
            (list->count - next) * sizeof *list->rectangles);
    list->count -= next - first;
    return !t->out_of_memory;
}
