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

int64_t window_rows_most(const struct schedule_input *in, int64_t step) {
    int64_t rows = INT64_MAX / 8;
    for (int t = 0; t < TENSOR_COUNT; t++) {
        const struct tensor_shape *shape = &in->tensors[t];
        if (tensor_has_keys(t) || !shape->windowed || !shape->row) continue;
        rows = least(rows, (int64_t)((in->limits.window_bytes - shape->row_bytes) /
                                     ((uint64_t)step * shape->row)) +
                               1);
    }
    return rows;
}

int64_t window_keys_apart(const struct schedule_input *in) {
    int64_t apart = INT64_MAX / 8;
    for (int t = TENSOR_K; t <= TENSOR_V; t++) {
        const struct tensor_shape *shape = &in->tensors[t];
        if (shape->windowed && shape->row)
            apart =
                least(apart, (int64_t)((in->limits.window_bytes - shape->row_bytes) / shape->row));
    }
    return apart;
}

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
        const struct pm_entry *entry = &group->entries[i];
        const uint64_t batch = entry->index / in->heads,
                       row = keys ? entry->first_key : entry->first_row;
        uint64_t head = entry->index % in->heads;
        if (keys) head = head * in->kv_heads / in->heads;
        uint64_t base = batch * shape->batch + head * shape->head + row * shape->row;
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
