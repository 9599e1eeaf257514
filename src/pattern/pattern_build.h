// SPDX-License-Identifier: MIT
//
// Making terms and patterns: what pattern.c, pattern_term.c and pattern_parse.c share and the
// planner need not see.
#ifndef TULLE_SRC_PATTERN_PATTERN_BUILD_H
#define TULLE_SRC_PATTERN_PATTERN_BUILD_H

#include "pattern/pattern.h"

// What a number may be, for messages: "it must be " and one of these.
#define RULE_FROM_0 "at least 0 and below 2147483648"
#define RULE_FROM_1 "at least 1 and below 2147483648"
#define RULE_FROM_0_OR_INFINITE "at least 0 and below 2147483648, or inf (TULLE_INFINITE)"
#define RULE_SEED "at least 0 and below 18446744073709551616"

/// The word a spec uses for the kind ("global" for both kinds of global); "unknown" where there is
/// no such kind.
const char *term_kind_name(tulle_term_kind kind);

/// "term 2 (dilated): step is 0; it must be at least 1 …". `value` is the number as text, for it
/// may not fit any type.
tulle_result term_fail_number(tulle_error *error, uint32_t number, tulle_term_kind kind,
                              const char *field, const char *value, const char *rule);

/// Checks `given` and copies it, arrays, factors and all. `number` counts from 1 and goes into
/// messages.
/// wide_mask, where not NULL, stands in for given->mask. On failure *out holds nothing that needs
/// freeing.
tulle_result term_build(struct term *out, const tulle_term *given, const int64_t *wide_mask,
                        uint32_t number, tulle_error *error);

/// One more factor of `out`, which takes `factor` and what it owns, on failure too.
tulle_result term_restrict(struct term *out, struct term *factor, uint32_t number,
                           tulle_error *error);

/// Frees what a term owns.
void term_clear(struct term *term);

/// The canonical order of factors; 0 where they select the same by the same numbers and arrays,
/// whatever the names.
int term_compare(const struct term *a, const struct term *b);

/// The term with all its factors; `factors` has room for as many as it has, itself counted.
struct product product_of(const struct term *term, const struct term **factors);

/// The canonical order of terms; 0 where they select the same.
int product_compare(const struct product *a, const struct product *b);

/// Is a key block among those that a RANDOM term selects for the query block? Draws, but holds
/// nothing.
bool random_selects(const struct term *term, const tulle_pattern_site *site, int64_t query_block,
                    int64_t key_block);

/// A pattern of `count` ≥ 1 terms; takes `terms` (from malloc) and what they own, on failure too.
tulle_result pattern_assemble(struct term *terms, uint32_t count, tulle_pattern **out,
                              tulle_error *error);

#endif
