// SPDX-License-Identifier: MIT
//
// VERTICAL_SLASH: lists of columns and diagonals, checked and sorted.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "pattern/pattern_check.h"

// A list of columns or diagonals.
struct slashes {
    const char *name, *count_name;
    const int64_t *given;
    size_t given_count;
    int64_t **out, **out_offsets;
    size_t *out_count;
};

/// A layout's values of `from`: −1 left out, rising, each once. Returns how many.
static size_t copy_rising(int64_t *to, const int64_t *from, size_t count) {
    size_t filled = 0, kept = 0;
    for (size_t i = 0; i < count; ++i)
        if (from[i] >= 0) to[filled++] = from[i];
    qsort(to, filled, sizeof *to, compare_rising);
    for (size_t i = 0; i < filled; ++i)
        if (!kept || to[kept - 1] != to[i]) to[kept++] = to[i];
    return kept;
}

static tulle_result build_slashes(const struct check *check, int64_t layouts,
                                  const struct slashes *list) {
    const size_t count = list->given_count;
    if (!list->given && count)
        return fail_term(check, "%s is NULL, but %s is %zu", list->name, list->count_name, count);
    if (count % (size_t)layouts)
        return fail_term(check, "%s is %zu; it must be a multiple of layouts, %" PRId64,
                         list->count_name, count, layouts);
    for (size_t i = 0; i < count; ++i) {
        char field[48];
        snprintf(field, sizeof field, "%s[%zu]", list->name, i);
        if (list->given[i] < -1 || list->given[i] > INT32_MAX)
            return fail_value(check, field, list->given[i],
                              "at least 0 and below 2147483648, or -1 for none");
    }
    *list->out = allocate(count, sizeof **list->out);
    *list->out_offsets = allocate((uint64_t)layouts + 1, sizeof **list->out_offsets);
    if (!*list->out || !*list->out_offsets) return fail_memory(check, list->name, count);
    const size_t each = count / (size_t)layouts;
    size_t filled = 0;
    for (int64_t layout = 0; layout < layouts; ++layout) {
        (*list->out_offsets)[layout] = (int64_t)filled;
        if (each)
            filled += copy_rising(*list->out + filled, list->given + (size_t)layout * each, each);
    }
    (*list->out_offsets)[layouts] = (int64_t)filled;
    *list->out_count = filled;
    return TULLE_OK;
}

tulle_result build_vertical_slash(const struct check *check, struct term *out,
                                  const tulle_term *given) {
    tulle_result result = from_0(check, "layouts", given->layouts);
    if (result) return result;
    out->layouts = given->layouts ? given->layouts : 1;
    const struct slashes columns = { "positions",           "position_count", given->positions,
                                     given->position_count, &out->positions,  &out->row_offsets,
                                     &out->position_count },
                         diagonals = { "diagonals",         "diagonal_count",
                                       given->diagonals,    given->diagonal_count,
                                       &out->diagonals,     &out->diagonal_offsets,
                                       &out->diagonal_count };
    result = build_slashes(check, out->layouts, &columns);
    return result ? result : build_slashes(check, out->layouts, &diagonals);
}
