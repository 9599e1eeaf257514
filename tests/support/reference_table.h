// SPDX-License-Identifier: MIT
//
// What the reference selects, against tables worked out by hand from docs/semantics.md.
#ifndef TESTS_REFERENCE_TABLE_H
#define TESTS_REFERENCE_TABLE_H

#include "reference.h"

#define TABLE_MOST 20  // the largest q_len and kv_len of a table

// Fails unless they agree to rounding. line: for the message.
void table_near(double got, double want, int line);

// rows[i][j] is '#' where the pattern selects (first_p + i, j), else '.'; so many rows of kv_len
// characters each. ref_selects and ref_attention must both say so.
void table_check(struct ref_pattern pattern, int64_t head, int64_t heads, int64_t kv_heads,
                 bool causal, int64_t first_p, const char *const *rows, size_t n_rows, int line);

#define TABLE_COUNT(array) (sizeof(array) / sizeof(array)[0])

#define TABLE_OF(term, head, heads, kv_heads, causal, first_p, rows)                              \
    table_check((struct ref_pattern){ &(term), 1 }, head, heads, kv_heads, causal, first_p, rows, \
                TABLE_COUNT(rows), __LINE__)

// Either way of calling, since most patterns do not depend on it.
#define TABLE(term, first_p, rows)                     \
    do {                                               \
        TABLE_OF(term, 0, 1, 1, false, first_p, rows); \
        TABLE_OF(term, 0, 1, 1, true, first_p, rows);  \
    } while (0)

#endif
