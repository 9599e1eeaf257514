// SPDX-License-Identifier: MIT
#include "schedule/combine.h"

#include "common/arithmetic.h"
#include "plan_memory.h"

int32_t rows_within(const struct schedule_input *in, const struct group_parts *parts, int64_t step,
                    int64_t range_rows) {
    const int64_t rows = least(in->limits.tile_rows, ceil_div(range_rows, step));
    return (int32_t)least(rows, window_tile_rows(&parts->window, step));
}

/// Rows of a combine item.
static int64_t item_rows(const struct group_parts *parts) {
    return least(PM_COMBINE_ROWS, window_tile_rows(&parts->window, 1));
}

uint64_t combine_texels(const struct schedule_input *in, const struct group_parts *parts,
                        uint64_t preamble, int64_t rows, bool dead) {
    const int64_t each = item_rows(parts);
    const uint64_t list = parts->listed ? (uint64_t)rows / 4 + 1 : 0;
    uint64_t tiles = 0, items = (uint64_t)(rows / each + 1);
    for (uint32_t k = 0; k < parts->count && !dead; k++) {
        const int64_t step = parts->parts[k].step;
        const int32_t height = rows_within(in, parts, step, rows);
        tiles += (uint64_t)tiles_count(step, rows, height);
        if (k == 0 && parts->direct)
            items = step == 1 ? tiles * (uint64_t)ceil_div(height, each) : (uint64_t)rows;
    }
    return preamble + list + tiles / 2 + 1 + parts->count + items + 2;
}

/// Rows from one on that combine takes together, or leaves together; where a group's rows may be
/// direct.
static int64_t rows_together(const struct combine_range *r) {
    return r->parts->parts[0].step == 1 ? r->tables->of_part[0].tile_rows : 1;
}

/// Has no direct item written rows [row, row + rows) of the range?
static bool takes(const struct combine_range *r, int64_t row, int64_t rows) {
    uint32_t slots[PM_ITEM_ROWS_MASK];
    int64_t in_tile;
    if (tables_tile(r->tables, &r->tables->of_part[0], row, &in_tile)->splits > 0) return true;
    return r->parts->resumes &&
           tables_resumed(r->tables, &r->tables->of_part[1], row, rows, slots) < 0;
}

bool combine_needed(const struct combine_range *r) {
    if (r->dead) return !r->input->limits.direct;
    if (!r->parts->direct) return true;
    if (!r->tables->slots) return false;  // and there may be no tables
    const int64_t each = rows_together(r);
    for (int64_t row = r->first; row < r->end; row += each)
        if (takes(r, row, least(r->end - row, each))) return true;
    return false;
}

/// Combine items of rows [first, end). list: word offset of the range's, of listed rows.
static bool place_items(const struct combine_range *r, struct segments *segments, int64_t first,
                        int64_t end, uint32_t list, struct dispatch *dispatch) {
    const int64_t each = item_rows(r->parts);
    for (; first < end; first += each) {
        struct pm_combine_item *item = segments_texels(segments, 1);
        if (!item) return false;
        *item =
            (struct pm_combine_item){ .first_row = (uint32_t)first,
                                      .rows = (uint32_t)least(end - first, each),
                                      .dead = r->dead,
                                      .list = r->rows ? list + (uint32_t)(first - r->first) : 0 };
        dispatch->item_count++;
    }
    return true;
}

/// The tile tables, and a texel a part that says where its own is.
static bool place_tables(const struct combine_range *r, struct segments *segments,
                         struct dispatch *dispatch) {
    const uint32_t at = segments->used * 4;
    if (!segments_words(segments, r->tables->tiles, r->tables->count * TILE_WORDS)) return false;
    dispatch->parts = segments->used;
    dispatch->part_count = r->dead ? 0 : r->parts->count;
    struct pm_part *to = segments_texels(segments, dispatch->part_count);
    if (!to) return false;
    for (uint32_t k = 0; k < dispatch->part_count; k++) {
        const struct tile_table *table = &r->tables->of_part[k];
        to[k] = (struct pm_part){ .step = (uint32_t)table->step,
                                  .tile_rows = (uint32_t)table->tile_rows,
                                  .tiles = at + (uint32_t)(table->first * TILE_WORDS) };
    }
    return true;
}

bool combine_place(const struct combine_range *r, struct segments *segments,
                   struct dispatch *dispatch) {
    const uint64_t needed =
        combine_texels(r->input, r->parts, segments_preamble(segments), r->end - r->first, r->dead);
    if (!segments_place_group(segments)) return false;
    if (!segments_fit(segments, needed) &&
        (!segments_begin(segments) || !segments_place_group(segments)))
        return false;
    *dispatch = (struct dispatch){ .kind = DISPATCH_COMBINE,
                                   .step = 1,
                                   .segment = segments_index(segments),
                                   .entries = segments->entries,
                                   .range_first = (uint32_t)r->first,
                                   .range_rows = (uint32_t)(r->end - r->first) };
    if (!place_tables(r, segments, dispatch)) return false;
    const uint32_t list = segments->used * 4;
    if (r->rows) {
        dispatch->does = PM_FLAG_LISTED_ROWS;
        if (!segments_words(segments, r->rows + r->first, (size_t)(r->end - r->first)))
            return false;
    }
    dispatch->items = segments->used;
    if (r->dead || !r->parts->direct)
        return place_items(r, segments, r->first, r->end, list, dispatch);
    // rows that were written at once are passed by
    const int64_t each = rows_together(r);
    for (int64_t row = r->first; row < r->end; row += each) {
        const int64_t rows = least(r->end - row, each);
        if (takes(r, row, rows) && !place_items(r, segments, row, row + rows, list, dispatch))
            return false;
    }
    return true;
}
