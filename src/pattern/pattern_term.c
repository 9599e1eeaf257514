// SPDX-License-Identifier: MIT
//
// One term: checked against docs/semantics.md ("Valid") and copied.
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/error.h"
#include "pattern/pattern_check.h"

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
    case TULLE_PREFIX: return "prefix";
    case TULLE_CHUNKED: return "chunked";
    case TULLE_A_SHAPE: return "a_shape";
    case TULLE_VERTICAL_SLASH: return "vertical_slash";
    case TULLE_NEIGHBORHOOD: return "neighborhood";
    }
    return "unknown";
}

tulle_result term_fail_number(tulle_error *error, uint32_t number, tulle_term_kind kind,
                              const char *field, const char *value, const char *rule) {
    return tulle_fail(error, TULLE_ERROR_INVALID_ARGUMENT,
                      "term %" PRIu32 " (%s): %s is %s; it must be %s", number,
                      term_kind_name(kind), field, value, rule);
}

tulle_result fail_term(const struct check *check, const char *format, ...) {
    char rest[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(rest, sizeof rest, format, arguments);
    va_end(arguments);
    return tulle_fail(check->error, TULLE_ERROR_INVALID_ARGUMENT, "term %" PRIu32 " (%s): %s",
                      check->number, term_kind_name(check->kind), rest);
}

tulle_result fail_value(const struct check *check, const char *field, int64_t value,
                        const char *rule) {
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, value);
    return term_fail_number(check->error, check->number, check->kind, field, text, rule);
}

tulle_result from_0(const struct check *check, const char *field, int64_t value) {
    return value >= 0 && value <= INT32_MAX ? TULLE_OK
                                            : fail_value(check, field, value, RULE_FROM_0);
}

tulle_result from_1(const struct check *check, const char *field, int64_t value) {
    return value >= 1 && value <= INT32_MAX ? TULLE_OK
                                            : fail_value(check, field, value, RULE_FROM_1);
}

static tulle_result from_0_or_infinite(const struct check *check, const char *field,
                                       int64_t value) {
    return value == TULLE_INFINITE || (value >= 0 && value <= INT32_MAX)
               ? TULLE_OK
               : fail_value(check, field, value, RULE_FROM_0_OR_INFINITE);
}

void *allocate(uint64_t count, size_t element) {
    if (count > SIZE_MAX / element) return NULL;
    return malloc(count ? (size_t)count * element : 1);
}

tulle_result fail_memory(const struct check *check, const char *what, uint64_t count) {
    return tulle_fail(check->error, TULLE_ERROR_OUT_OF_HOST_MEMORY,
                      "term %" PRIu32 " (%s): no memory for %" PRIu64 " %s", check->number,
                      term_kind_name(check->kind), count, what);
}

int compare_rising(const void *a, const void *b) {
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
    qsort(out->positions, out->position_count, sizeof *out->positions, compare_rising);
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
    case TULLE_PREFIX:
    case TULLE_SINK: out->count = given->count; return from_0(check, "count", given->count);
    case TULLE_GLOBAL_LIST: return build_global_list(check, out, given);
    case TULLE_CHUNKED:
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
    case TULLE_A_SHAPE:
        if ((result = from_0(check, "count", given->count)) ||
            (result = from_1(check, "block", given->block)))
            return result;
        out->count = given->count;
        out->block = given->block;
        return TULLE_OK;
    case TULLE_VERTICAL_SLASH: return build_vertical_slash(check, out, given);
    case TULLE_NEIGHBORHOOD: return build_neighborhood(check, out, given);
    }
    return fail_term(check, "kind is %d; it must be one of tulle_term_kind, 0 to %d",
                     (int)given->kind, (int)TULLE_NEIGHBORHOOD);
}

tulle_result term_restrict(struct term *out, struct term *factor, uint32_t number,
                           tulle_error *error) {
    struct term *factors = NULL;
    if (out->factor_count < UINT32_MAX)
        factors = realloc(out->factors, ((size_t)out->factor_count + 1) * sizeof *factors);
    if (!factors) {
        term_clear(factor);
        return fail_memory(&(struct check){ number, out->kind, error }, "factors",
                           (uint64_t)out->factor_count + 1);
    }
    factors[out->factor_count++] = *factor;
    out->factors = factors;
    return TULLE_OK;
}

/// The factors of `given`, and theirs, into `out`.
static tulle_result build_factors(struct term *out, const tulle_term *given, uint32_t number,
                                  tulle_error *error) {
    const struct check check = { number, given->kind, error };
    if (!given->factors && given->factor_count)
        return fail_term(&check, "factors is NULL, but factor_count is %" PRIu32,
                         given->factor_count);
    for (uint32_t i = 0; i < given->factor_count; ++i) {
        const struct check own = { number, given->factors[i].kind, error };
        struct term factor = { .kind = own.kind };
        tulle_result result = build(&own, &factor, &given->factors[i], NULL);
        if (result) term_clear(&factor);
        if (!result) result = term_restrict(out, &factor, number, error);
        if (!result) result = build_factors(out, &given->factors[i], number, error);
        if (result) return result;
    }
    return TULLE_OK;
}

tulle_result term_build(struct term *out, const tulle_term *given, const int64_t *wide_mask,
                        uint32_t number, tulle_error *error) {
    struct check check = { number, given->kind, error };
    *out = (struct term){ .kind = given->kind };
    tulle_result result = build(&check, out, given, wide_mask);
    if (!result) result = build_factors(out, given, number, error);
    if (result) term_clear(out);
    return result;
}

void term_clear(struct term *term) {
    for (uint32_t i = 0; i < term->factor_count; ++i) term_clear(&term->factors[i]);
    free(term->factors);
    free(term->positions);
    free(term->diagonals);
    free(term->diagonal_offsets);
    free(term->row_offsets);
    free(term->columns);
    free(term->names[0]);
    free(term->names[1]);
    *term = (struct term){ .kind = TULLE_DENSE };
}
