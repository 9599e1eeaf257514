// SPDX-License-Identifier: MIT
//
// BLOCKS: a mask or CSR arrays, checked and kept as CSR.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "pattern/pattern_check.h"

// A mask of bytes (from tulle_term) or of int64 (from a loader): one of the two is NULL.
struct cells {
    const uint8_t *bytes;
    const int64_t *wide;
};

static int64_t mask_cell(struct cells cells, size_t index) {
    return cells.bytes ? cells.bytes[index] : cells.wide[index];
}

static tulle_result blocks_from_mask(const struct check *check, struct term *out,
                                     struct cells cells) {
    size_t cols = (size_t)out->block_cols, rows = (size_t)(out->layouts * out->block_rows);
    if ((uint64_t)(out->layouts * out->block_rows) > SIZE_MAX / cols)
        return fail_term(check,
                         "no memory holds a mask of %" PRId64 " x %" PRId64 " x %" PRId64 " cells",
                         out->layouts, out->block_rows, out->block_cols);
    out->row_offsets = allocate((uint64_t)rows + 1, sizeof *out->row_offsets);
    if (!out->row_offsets) return fail_memory(check, "row offsets", (uint64_t)rows + 1);

    int64_t total = 0;
    for (size_t row = 0; row < rows; ++row) {
        out->row_offsets[row] = total;
        for (size_t col = 0; col < cols; ++col) {
            int64_t value = mask_cell(cells, row * cols + col);
            if (value != 0 && value != 1) {
                char field[96];
                size_t layout = row / (size_t)out->block_rows;
                snprintf(field, sizeof field, "mask[%zu][%zu][%zu]", layout,
                         row % (size_t)out->block_rows, col);
                return fail_value(check, field, value, "0 or 1");
            }
            total += value;
        }
    }
    out->row_offsets[rows] = total;

    out->columns = allocate((uint64_t)total, sizeof *out->columns);
    if (!out->columns) return fail_memory(check, "columns", (uint64_t)total);
    size_t next = 0;
    for (size_t row = 0; row < rows; ++row)
        for (size_t col = 0; col < cols; ++col)
            if (mask_cell(cells, row * cols + col)) out->columns[next++] = (int32_t)col;
    return TULLE_OK;
}

// Reads no further into the caller's arrays than what it has checked before allows.
static tulle_result check_csr(const struct check *check, const struct term *out,
                              const tulle_term *given) {
    int64_t rows = out->layouts * out->block_rows;
    if (given->row_offsets[0])
        return fail_value(check, "row_offsets[0]", given->row_offsets[0], "0");
    for (int64_t row = 0; row < rows; ++row) {
        int64_t first = given->row_offsets[row], last = given->row_offsets[row + 1];
        if (last < first)
            return fail_term(check,
                             "row_offsets[%" PRId64 "] is %" PRId64 ", after %" PRId64
                             "; row offsets must not fall",
                             row + 1, last, first);
        if (last - first > out->block_cols)
            return fail_term(check,
                             "row_offsets[%" PRId64 "] is %" PRId64 ", after %" PRId64
                             "; a row holds at most block_cols, %" PRId64 ", columns",
                             row + 1, last, first, out->block_cols);
        if (last > first && !given->columns)
            return fail_term(check, "columns is NULL, but row_offsets[%" PRId64 "] is %" PRId64,
                             row + 1, last);
        for (int64_t i = first; i < last; ++i) {
            int64_t column = given->columns[i];
            if (column < 0 || column >= out->block_cols) {
                char field[48], rule[80];
                snprintf(field, sizeof field, "columns[%" PRId64 "]", i);
                snprintf(rule, sizeof rule, "at least 0 and below block_cols, %" PRId64,
                         out->block_cols);
                return fail_value(check, field, column, rule);
            }
            if (i > first && column <= given->columns[i - 1])
                return fail_term(check,
                                 "columns[%" PRId64 "] is %" PRId64 ", after %" PRId64
                                 "; columns must rise within a row",
                                 i, column, given->columns[i - 1]);
        }
    }
    return TULLE_OK;
}

static tulle_result blocks_from_csr(const struct check *check, struct term *out,
                                    const tulle_term *given) {
    if (!given->row_offsets)
        return fail_term(check, "mask and row_offsets are both NULL; one is needed");
    tulle_result result = check_csr(check, out, given);
    if (result) return result;

    uint64_t entries = (uint64_t)(out->layouts * out->block_rows) + 1;
    int64_t total = given->row_offsets[entries - 1];
    out->row_offsets = allocate(entries, sizeof *out->row_offsets);
    if (!out->row_offsets) return fail_memory(check, "row offsets", entries);
    memcpy(out->row_offsets, given->row_offsets, (size_t)entries * sizeof *out->row_offsets);
    out->columns = allocate((uint64_t)total, sizeof *out->columns);
    if (!out->columns) return fail_memory(check, "columns", (uint64_t)total);
    for (int64_t i = 0; i < total; ++i) out->columns[i] = (int32_t)given->columns[i];
    return TULLE_OK;
}

tulle_result build_blocks(const struct check *check, struct term *out, const tulle_term *given,
                          const int64_t *wide_mask) {
    tulle_result result;
    if ((result = from_1(check, "block", given->block)) ||
        (result = from_0(check, "layouts", given->layouts)) ||
        (result = from_1(check, "block_rows", given->block_rows)) ||
        (result = from_1(check, "block_cols", given->block_cols)))
        return result;
    out->block = given->block;
    out->layouts = given->layouts ? given->layouts : 1;
    out->block_rows = given->block_rows;
    out->block_cols = given->block_cols;
    if (wide_mask) return blocks_from_mask(check, out, (struct cells){ NULL, wide_mask });
    if (given->mask && (given->row_offsets || given->columns))
        return fail_term(check, "a mask and CSR arrays are given; it must be one of them");
    return given->mask ? blocks_from_mask(check, out, (struct cells){ given->mask, NULL })
                       : blocks_from_csr(check, out, given);
}
