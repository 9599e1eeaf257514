// SPDX-License-Identifier: MIT
//
// Text of the page: whatever a file holds made harmless, and numbers, times and shapes as they are
// read.
#ifndef TULLE_TOOLS_REPORT_TEXT_H
#define TULLE_TOOLS_REPORT_TEXT_H

#include <stdio.h>

#include "compare/columns.h"

/// Text as HTML, in an element or in a quoted attribute: marked-up characters are escaped, and what
/// is not UTF-8 is replaced.
void put_text(FILE *to, const char *text);

/// The same, of at most `most` columns (a character of Asia or a pictogram takes two); what is
/// left out is an ellipsis.
void put_text_within(FILE *to, const char *text, size_t most);

/// Room for any of the texts below.
#define MOST_LABEL 64

/// Three digits that count: "0.00123", "12.3", "1,234"; "" of NaN. Returns out.
const char *number_text(double value, char out[MOST_LABEL]);

/// A whole number: "1,234,567".
const char *count_text(uint64_t count, char out[MOST_LABEL]);

/// As number_text with a unit that fits: "12.3 µs", "4.56 s".
const char *ms_text(double ms, char out[MOST_LABEL]);

/// The same without zeros that say nothing, beside an axis: "10 ms".
const char *ms_tick_text(double ms, char out[MOST_LABEL]);

/// "12.5 %" of 0.125.
const char *percent_text(double share, char out[MOST_LABEL]);

/// "16 GiB" and so on; "" of NaN.
const char *bytes_text(double bytes, char out[MOST_LABEL]);

/// "4,096", "1 × 4,096" where there are not as many queries as keys, or "1 × 64–1,024" of a ragged
/// batch.
const char *lengths_text(const struct shape *shape, char out[MOST_LABEL]);

/// "2 × 8 / 2": of two batch entries eight heads on two of K and V.
const char *heads_text(const struct shape *shape, char out[MOST_LABEL]);

/// "64 / 128": V's beside it where it is another.
const char *head_sizes_text(const struct shape *shape, char out[MOST_LABEL]);

/// What of a shape is neither pattern nor length: "8 heads on 2, head size 64, fp32".
void put_setting(FILE *to, const struct shape *shape);

/// A workload's name: the model that it is of, the pattern, "causal", "sink logits", the kernel that
/// was asked for. As HTML, where a long pattern breaks between its terms; and as plain text.
void put_name(FILE *to, const struct shape *shape);
void name_text(const struct shape *shape, char *out, size_t size);

#endif
