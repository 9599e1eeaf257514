// SPDX-License-Identifier: MIT

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "reference_table.h"

#include <math.h>
#include <string.h>

void table_near(double got, double want, int line) {
    bool same = got == want || fabs(got - want) <= 1e-13 * (1.0 + fabs(want));
    if (!same) {
        fail_msg("line %d: got %.17g, want %.17g", line, got, want);
    }
}

void table_check(struct ref_pattern pattern, int64_t head, int64_t heads, int64_t kv_heads,
                 bool causal, int64_t first_p, const char *const *rows, size_t n_rows, int line) {
    int64_t kv_len = (int64_t)strlen(rows[0]);
    assert_true(kv_len <= TABLE_MOST && n_rows <= TABLE_MOST && heads <= 4 && kv_heads <= heads);
    for (size_t i = 0; i < n_rows; i++) {
        assert_int_equal(strlen(rows[i]), kv_len);
        for (int64_t j = 0; j < kv_len; j++) {
            int64_t p = first_p + (int64_t)i;
            bool got = ref_selects(&pattern, p, j, head, heads, kv_heads, kv_len, causal);
            if (got != (rows[i][j] == '#')) {
                fail_msg("line %d: p = %d, j = %d: got %d", line, (int)p, (int)j, (int)got);
            }
        }
    }

    // The same through ref_attention: with all logits 0 and the values a unit matrix, o_ij = 1 /
    // |A_i| where selected.
    static double zeros[4 * TABLE_MOST], unit[4 * TABLE_MOST * TABLE_MOST],
        o[4 * TABLE_MOST * TABLE_MOST], lse[4 * TABLE_MOST];
    for (int64_t n = 0; n < kv_heads * kv_len * kv_len; n++) {
        unit[n] = n / kv_len % kv_len == n % kv_len ? 1.0 : 0.0;
    }
    uint64_t pairs = 0;
    struct ref_problem problem = { .batch = 1,
                                   .heads = heads,
                                   .kv_heads = kv_heads,
                                   .q_len = (int64_t)n_rows,
                                   .kv_len = kv_len,
                                   .head_dim = 1,
                                   .v_head_dim = kv_len,
                                   .q = zeros,
                                   .k = zeros,
                                   .v = unit,
                                   .causal = causal,
                                   .patterns = &pattern,
                                   .n_patterns = 1,
                                   .q_offset = &first_p,
                                   .n_q_offset = 1,
                                   .o = o,
                                   .lse = lse,
                                   .pairs = &pairs };
    ref_attention(&problem);
    uint64_t total = 0;
    for (size_t i = 0; i < n_rows; i++) {
        int64_t p = first_p + (int64_t)i;
        int selected = 0;
        for (int64_t j = 0; j < kv_len; j++) {
            selected += rows[i][j] == '#' && (!causal || j <= p);
        }
        total += (uint64_t)selected;
        const size_t row = (size_t)head * n_rows + i;
        table_near(lse[row], selected == 0 ? -INFINITY : log(selected), line);
        for (int64_t j = 0; j < kv_len; j++) {
            bool in = rows[i][j] == '#' && (!causal || j <= p);
            table_near(o[row * (size_t)kv_len + (size_t)j], in ? 1.0 / selected : 0.0, line);
        }
    }
    if (heads == 1) {
        assert_true(pairs == total);
    }
}
