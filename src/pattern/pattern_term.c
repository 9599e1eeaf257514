// SPDX-License-Identifier: MIT
//
// One term: checked against docs/semantics.md ("Valid") and copied.
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "pattern/pattern_build.h"

// Where a check happens: every message begins with the term's number and kind.
struct check {
    uint32_t number;
    tulle_term_kind kind;
    tulle_error *error;
};

const char *term_kind_name(tulle_term_kind kind) {
    switch (kind) {
    case TULLE_DENSE: return "dense";
    case TULLE_WINDOW: return "window";
    case TULLE_DILATED: return "dilated";
    case TULLE_GLOBAL: return "global";
    case TULLE_GLOBAL_LIST: return "global";
    case TULLE_SINK: return "sink";
    case TULLE_STRIDED: return "strided";
    case TULLE_FIXED: return "fixed";
    case TULLE_BLOCKS: return "blocks";
    case TULLE_RANDOM: return "random";
    case TULLE_DOCUMENTS: return "documents";
    }
    return "unknown";
}

tulle_result term_fail_number(tulle_error *error, uint32_t number, tulle_term_kind kind,
                              const char *field, const char *value, const char *rule) {
    return tulle_fail(error, TULLE_ERROR_INVALID_ARGUMENT,
                      "term %" PRIu32 " (%s): %s is %s; it must be %s", number,
                      term_kind_name(kind), field, value, rule);
}

static tulle_result fail_term(const struct check *check, const char *format, ...)
    TULLE_PRINTF(2, 3);

static tulle_result fail_term(const struct check *check, const char *format, ...) {
    char rest[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(rest, sizeof rest, format, arguments);
    va_end(arguments);
    return tulle_fail(check->error, TULLE_ERROR_INVALID_ARGUMENT, "term %" PRIu32 " (%s): %s",
                      check->number, term_kind_name(check->kind), rest);
}

static tulle_result fail_value(const struct check *check, const char *field, int64_t value,
                               const char *rule) {
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, value);
    return term_fail_number(check->error, check->number, check->kind, field, text, rule);
}

static tulle_result from_0(const struct check *check, const char *field, int64_t value) {
    return value >= 0 && value <= INT32_MAX ? TULLE_OK
                                            : fail_value(check, field, value, RULE_FROM_0);
}

static tulle_result from_1(const struct check *check, const char *field, int64_t value) {
    return value >= 1 && value <= INT32_MAX ? TULLE_OK
                                            : fail_value(check, field, value, RULE_FROM_1);
}

static tulle_result from_0_or_infinite(const struct check *check, const char *field,
                                       int64_t value) {
    return value == TULLE_INFINITE || (value >= 0 && value <= INT32_MAX)
               ? TULLE_OK
               : fail_value(check, field, value, RULE_FROM_0_OR_INFINITE);
}

// Room for `count` elements; NULL only where memory ran out, also where the bytes do not fit a
// size_t.
static void *allocate(uint64_t count, size_t element) {
    if (count > SIZE_MAX / element) return NULL;
    return malloc(count ? (size_t)count * element : 1);
}

static tulle_result fail_memory(const struct check *check, const char *what, uint64_t count) {
    return tulle_fail(check->error, TULLE_ERROR_OUT_OF_HOST_MEMORY,
                      "term %" PRIu32 " (%s): no memory for %" PRIu64 " %s", check->number,
                      term_kind_name(check->kind), count, what);
}

static int compare_positions(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static tulle_result copy_positions(const struct check *check, struct term *out,
                                   const tulle_term *given) {
    if (!given->positions && given->position_count)
        return fail_term(check, "positions is NULL, but position_count is %zu",
                         given->position_count);
    for (size_t i = 0; i < given->position_count; ++i) {
        char field[48];
        snprintf(field, sizeof field, "positions[%zu]", i);
        tulle_result result = from_0(check, field, given->positions[i]);
        if (result) return result;
    }
    out->positions = allocate(given->position_count, sizeof *out->positions);
    if (!out->positions) return fail_memory(check, "positions", given->position_count);
    if (given->position_count)
        memcpy(out->positions, given->positions, given->position_count * sizeof *out->positions);
    out->position_count = given->position_count;
    return TULLE_OK;
}

static tulle_result build_global_list(const struct check *check, struct term *out,
                                      const tulle_term *given) {
    tulle_result result = copy_positions(check, out, given);
    if (result) return result;
    qsort(out->positions, out->position_count, sizeof *out->positions, compare_positions);
    size_t kept = 0;
    for (size_t i = 0; i < out->position_count; ++i)
        if (!kept || out->positions[kept - 1] != out->positions[i])
            out->positions[kept++] = out->positions[i];
    out->position_count = kept;
    return TULLE_OK;
}

static tulle_result build_documents(const struct check *check, struct term *out,
                                    const tulle_term *given) {
    if (given->position_count < 2) {
        char count[24];
        snprintf(count, sizeof count, "%zu", given->position_count);
        return term_fail_number(
            check->error, check->number, check->kind, "position_count", count,
            "at least 2: cumulative lengths are 0 and then each document's end");
    }
    tulle_result result = copy_positions(check, out, given);
    if (result) return result;
    if (out->positions[0])
        return fail_value(check, "positions[0]", out->positions[0],
                          "0: the first cumulative length always is");
    for (size_t i = 1; i < out->position_count; ++i)
        if (out->positions[i] < out->positions[i - 1])
            return fail_term(check,
                             "positions[%zu] is %" PRId64 ", after %" PRId64
                             "; cumulative lengths must not fall",
                             i, out->positions[i], out->positions[i - 1]);
    return TULLE_OK;
}

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

static tulle_result build_blocks(const struct check *check, struct term *out,
                                 const tulle_term *given, const int64_t *wide_mask) {
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

static tulle_result build_fixed(const struct check *check, struct term *out,
                                const tulle_term *given) {
    tulle_result result = from_1(check, "step", given->step);
    if (result) return result;
    if (given->count < 1 || given->count > given->step) {
        char rule[64];
        snprintf(rule, sizeof rule, "at least 1 and at most step, %" PRId64, given->step);
        return fail_value(check, "count", given->count, rule);
    }
    out->step = given->step;
    out->count = given->count;
    return TULLE_OK;
}

static tulle_result build(const struct check *check, struct term *out, const tulle_term *given,
                          const int64_t *wide_mask) {
    tulle_result result = TULLE_OK;
    switch (given->kind) {
    case TULLE_DENSE: return TULLE_OK;
    case TULLE_DILATED:
    case TULLE_WINDOW:
        if ((result = from_0_or_infinite(check, "left", given->left)) ||
            (result = from_0_or_infinite(check, "right", given->right)))
            return result;
        out->left = given->left;
        out->right = given->right;
        if (given->kind == TULLE_WINDOW) return TULLE_OK;
        out->step = given->step;
        return from_1(check, "step", given->step);
    case TULLE_GLOBAL:
    case TULLE_SINK: out->count = given->count; return from_0(check, "count", given->count);
    case TULLE_GLOBAL_LIST: return build_global_list(check, out, given);
    case TULLE_STRIDED: out->step = given->step; return from_1(check, "step", given->step);
    case TULLE_FIXED: return build_fixed(check, out, given);
    case TULLE_BLOCKS: return build_blocks(check, out, given, wide_mask);
    case TULLE_RANDOM:
        if ((result = from_1(check, "block", given->block)) ||
            (result = from_1(check, "count", given->count)))
            return result;
        out->block = given->block;
        out->count = given->count;
        out->seed = given->seed;
        return TULLE_OK;
    case TULLE_DOCUMENTS: return build_documents(check, out, given);
    }
    return fail_term(check, "kind is %d; it must be one of tulle_term_kind, 0 to %d",
                     (int)given->kind, (int)TULLE_DOCUMENTS);
}

tulle_result term_build(struct term *out, const tulle_term *given, const int64_t *wide_mask,
                        uint32_t number, tulle_error *error) {
    struct check check = { number, given->kind, error };
    *out = (struct term){ .kind = given->kind };
    tulle_result result = build(&check, out, given, wide_mask);
    if (result) term_clear(out);
    return result;
}

void term_clear(struct term *term) {
    free(term->positions);
    free(term->row_offsets);
    free(term->columns);
    free(term->name);
    *term = (struct term){ .kind = TULLE_DENSE };
}
