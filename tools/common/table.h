// SPDX-License-Identifier: MIT
//
// Text in columns that are as wide as they need to be. Headings break at spaces, so that many
// columns fit.
#ifndef TULLE_TOOLS_COMMON_TABLE_H
#define TULLE_TOOLS_COMMON_TABLE_H

#include <stdio.h>

#include "common/message.h"

struct table {
    size_t most_cols, cols, rows, room;
    char **cells;       ///< [rows][most_cols], the headings first; NULL: empty
    bool last_beneath;  ///< the last column is a line of its own under each row, without heading
    bool out_of_memory;
};

/// Starts a table with these headings and room for more columns, most_cols in all; the first column
/// is set to the left, the others to the right.
void table_start(struct table *table, size_t most_cols, size_t cols, const char *const *headings);

/// The column with this heading, added where there is none; most_cols (where table_set does
/// nothing) when it is full.
size_t table_column(struct table *table, const char *heading);

/// Begins a row, whose cells are then set.
void table_row(struct table *table);

/// Sets a cell of the last row.
void table_set(struct table *table, size_t col, const char *format, ...) TOOL_PRINTF(3, 4);

void table_print(FILE *to, const struct table *table);

/// The same as a table of Markdown.
void table_print_markdown(FILE *to, const struct table *table);

/// The same as CSV: a line a row, the headings first.
void table_print_csv(FILE *to, const struct table *table);

/// One cell of CSV, quoted where it must be, and what ends it.
void table_csv_cell(FILE *to, const char *text, bool last);

void table_free(struct table *table);

#endif
