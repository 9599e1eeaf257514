// SPDX-License-Identifier: MIT
#include "schedule/windows.h"

#include "common/arithmetic.h"

bool windows_any(const struct schedule_input *in) {
    for (int t = 0; t < TENSOR_COUNT; t++)
        if (in->tensors[t].windowed) return true;
    return false;
}

bool windows_suffice(const struct schedule_input *in) {
    for (int t = 0; t < TENSOR_COUNT; t++)
        if (in->tensors[t].windowed && in->tensors[t].row_bytes > in->limits.window_bytes)
            return false;
    return true;
}

#define NO_BOUND (INT64_MAX / 8)

/// The byte at which an entry's first row or key begins.
static uint64_t entry_begins(const struct schedule_input *in, int t, const struct pm_entry *entry) {
    const struct tensor_shape *shape = &in->tensors[t];
    const bool keys = tensor_has_keys(t);
    const uint64_t batch = entry->index / in->heads,
                   row = keys ? entry->first_key : entry->first_row;
    uint64_t head = entry->index % in->heads;
    if (keys) head = head * in->kv_heads / in->heads;
    return batch * shape->batch + head * shape->head + row * shape->row;
}

// -------------------------------------------------------------------------------------------------
// How far a dispatch may reach

/// How far apart some `together` neighbouring entries begin at most, where the group is cut into
/// such.
static uint64_t entries_apart(const struct schedule_input *in, const struct group *group, int t,
                              uint32_t together) {
    uint64_t apart = 0;
    for (uint32_t first = 0; first < group->entry_count; first += together) {
        uint64_t low = UINT64_MAX, high = 0;
        for (uint32_t i = first; i < group->entry_count && i - first < together; i++) {
            const uint64_t at = entry_begins(in, t, &group->entries[i]);
            low = least_unsigned(low, at);
            if (at > high) high = at;
        }
        if (high - low > apart) apart = high - low;
    }
    return apart;
}

/// What windows hold for so many entries at once. False: not even a row or a key.
static bool extent_of(const struct schedule_input *in, const struct group *group, uint32_t together,
                      struct window_extent *extent) {
    *extent = (struct window_extent){ NO_BOUND, NO_BOUND };
    for (int t = 0; t < TENSOR_COUNT; t++) {
        const struct tensor_shape *shape = &in->tensors[t];
        int64_t *of = tensor_has_keys(t) ? &extent->keys : &extent->rows;
        if (!shape->windowed) continue;
        const uint64_t taken = entries_apart(in, group, t, together) + shape->row_bytes;
        if (taken > in->limits.window_bytes) return false;
        if (shape->row)
            *of = least(*of, (int64_t)((in->limits.window_bytes - taken) / shape->row) + 1);
    }
    return true;
}

/// Dispatches over all rows, keys and entries, `together` at once.
static double dispatches_about(const struct group *group, const struct window_extent *extent,
                               uint32_t together) {
    const struct site *site = &group->site;
    return (double)ceil_div(group->entry_count, together) *
           (double)ceil_div(most(site->q_len, 1), extent->rows) *
           (double)ceil_div(most(site->at.kv_len - site->kv_start, 1), extent->keys);
}

struct window_extent windows_extent(const struct schedule_input *in, const struct group *group) {
    struct window_extent best = { NO_BOUND, NO_BOUND }, some;
    double fewest = 0;
    if (!windows_any(in)) return best;
    // from all entries down to one: of equals the fewest, whose windows reach furthest
    for (uint32_t together = group->entry_count; together; together /= 2) {
        if (!extent_of(in, group, together, &some)) continue;
        const double about = dispatches_about(group, &some, together);
        if (fewest > 0 && about > fewest) continue;
        best = some;
        fewest = about;
    }
    return best;
}

int64_t window_tile_rows(const struct window_extent *extent, int64_t step) {
    return most(extent->rows / step, 1);
}

int64_t window_cell(const struct window_extent *extent, int64_t positions) {
    return positions > extent->keys - window_slack(extent) ? extent->keys : 0;
}

// -------------------------------------------------------------------------------------------------
// What a dispatch touches

/// Lowest and one past the highest byte of tensor t that the rows or keys of `reach` touch, for the
/// group's entries [first, end).
static void touched_bytes(const struct schedule_input *in, const struct group *group, int t,
                          const struct reach *reach, uint32_t first, uint32_t end, uint64_t *low,
                          uint64_t *high) {
    const struct tensor_shape *shape = &in->tensors[t];
    const bool keys = tensor_has_keys(t);
    int64_t from = keys ? reach->key_first : reach->row_first,
            to = keys ? reach->key_last : reach->row_last;
    if (from > to) from = to = 0;
    *low = UINT64_MAX;
    *high = 0;
    for (uint32_t i = first; i < end; i++) {
        const uint64_t base = entry_begins(in, t, &group->entries[i]);
        *low = least_unsigned(*low, base + (uint64_t)from * shape->row);
        uint64_t past = base + (uint64_t)to * shape->row + shape->row_bytes;
        if (past > *high) *high = past;
    }
}

/// Tensors of a kind of dispatch are those from here on: combine touches no other than O and LSE.
static int first_tensor(enum dispatch_kind kind) {
    return kind == DISPATCH_COMBINE ? TENSOR_O : TENSOR_Q;
}

bool windows_hold(const struct schedule_input *in, const struct group *group,
                  enum dispatch_kind kind, const struct reach *reach, uint32_t first,
                  uint32_t end) {
    for (int t = first_tensor(kind); t < TENSOR_COUNT; t++) {
        uint64_t low, high;
        if (!in->tensors[t].windowed) continue;
        touched_bytes(in, group, t, reach, first, end, &low, &high);
        if (high - low > in->limits.window_bytes) return false;
    }
    return true;
}

void windows_place(const struct schedule_input *in, const struct group *group,
                   const struct reach *reach, struct dispatch *dispatch) {
    for (int t = 0; t < TENSOR_COUNT; t++) {
        uint64_t high;
        dispatch->window[t] = 0;
        if (in->tensors[t].windowed && t >= first_tensor(dispatch->kind))
            touched_bytes(in, group, t, reach, dispatch->entry_first,
                          dispatch->entry_first + dispatch->entry_count, &dispatch->window[t],
                          &high);
    }
}
