// SPDX-License-Identifier: MIT
#define _POSIX_C_SOURCE 200809L
#include "common/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/cli.h"

void table_row(struct table *table) {
    if (table->rows == table->room) {
        const size_t room = table->room ? 2 * table->room : 16;
        char **cells = realloc(table->cells, room * table->most_cols * sizeof *cells);
        if (!cells) {
            table->out_of_memory = true;
            return;
        }
        table->cells = cells;
        table->room = room;
    }
    memset(table->cells + table->rows * table->most_cols, 0,
           table->most_cols * sizeof *table->cells);
    table->rows++;
}

size_t table_column(struct table *table, const char *heading) {
    for (size_t col = 0; col < table->cols && table->rows; col++)
        if (table->cells[col] && !strcmp(table->cells[col], heading)) return col;
    if (table->cols == table->most_cols || !table->rows) return table->most_cols;
    table->cells[table->cols] = strdup(heading);
    if (!table->cells[table->cols]) table->out_of_memory = true;
    return table->cols++;
}

void table_start(struct table *table, size_t most_cols, size_t cols, const char *const *headings) {
    *table = (struct table){ .most_cols = most_cols };
    table_row(table);
    for (size_t col = 0; col < cols; col++) table_column(table, headings[col]);
}

void table_set(struct table *table, size_t col, const char *format, ...) {
    va_list arguments;
    if (!table->rows || col >= table->cols) return;
    va_start(arguments, format);
    const int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char **cell = &table->cells[(table->rows - 1) * table->most_cols + col];
    free(*cell);
    *cell = malloc((size_t)length + 1);
    if (!*cell) {
        table->out_of_memory = true;
        return;
    }
    va_start(arguments, format);
    vsnprintf(*cell, (size_t)length + 1, format, arguments);
    va_end(arguments);
}

// The line-th word of a heading, its length through *length; NULL past the last.
static const char *word(const char *heading, size_t line, size_t *length) {
    for (; heading; line--) {
        *length = strcspn(heading, " ");
        if (!line) return *length ? heading : NULL;
        heading = heading[*length] ? heading + *length + 1 : NULL;
    }
    return NULL;
}

static void put(FILE *to, const char *text, size_t bytes, size_t width, bool left, bool last) {
    char copy[400];
    snprintf(copy, sizeof copy, "%.*s", (int)bytes, text);
    const size_t length = utf8_length(copy);
    for (size_t i = length; !left && i < width; i++) fputc(' ', to);
    fputs(copy, to);
    for (size_t i = length; left && !last && i < width; i++) fputc(' ', to);
    if (!last) fputs("  ", to);
}

void table_print(FILE *to, const struct table *table) {
    size_t lines = 1, length, *width = calloc(table->cols, sizeof *width);
    if (!width || table->out_of_memory || !table->rows) {
        fputs("(out of memory for the table)\n", to);
        free(width);
        return;
    }
    for (size_t col = 0; col < table->cols; col++) {
        if (col + 1 == table->cols && table->last_beneath) break;
        for (size_t line = 0; word(table->cells[col], line, &length); line++) {
            if (length > width[col]) width[col] = length;
            if (line + 1 > lines) lines = line + 1;
        }
        for (size_t row = 1; row < table->rows; row++) {
            const char *cell = table->cells[row * table->most_cols + col];
            if (cell && utf8_length(cell) > width[col]) width[col] = utf8_length(cell);
        }
    }
    const size_t cols = table->cols - table->last_beneath;
    // Headings stand on the line above the figures, however many words they have.
    for (size_t line = 0; line < lines; line++) {
        for (size_t col = 0; col < cols; col++) {
            size_t own = 0;
            while (word(table->cells[col], own, &length)) own++;
            const char *text =
                line + own >= lines ? word(table->cells[col], line + own - lines, &length) : NULL;
            put(to, text ? text : "", text ? length : 0, width[col], col == 0, col + 1 == cols);
        }
        fputc('\n', to);
    }
    for (size_t row = 1; row < table->rows; row++) {
        for (size_t col = 0; col < cols; col++) {
            const char *cell = table->cells[row * table->most_cols + col];
            put(to, cell ? cell : "", cell ? strlen(cell) : 0, width[col], col == 0,
                col + 1 == cols);
        }
        fputc('\n', to);
        const char *beneath =
            table->last_beneath ? table->cells[row * table->most_cols + cols] : NULL;
        if (beneath) fprintf(to, "    %s\n", beneath);
    }
    free(width);
}

// A bar would end the cell.
static void put_markdown(FILE *to, const char *text) {
    fputs(" ", to);
    for (; text && *text; text++) fprintf(to, *text == '|' ? "\\|" : "%c", *text);
    fputs(" |", to);
}

void table_print_markdown(FILE *to, const struct table *table) {
    if (table->out_of_memory) fputs("(out of memory for the table)\n", to);
    for (size_t row = 0; row < table->rows && !table->out_of_memory; row++) {
        fputc('|', to);
        for (size_t col = 0; col < table->cols; col++)
            put_markdown(to, table->cells[row * table->most_cols + col]);
        fputs(row ? "\n" : "\n|-|", to);
        for (size_t col = 1; col < table->cols && !row; col++) fputs("-:|", to);
        if (!row) fputc('\n', to);
    }
}

void table_csv_cell(FILE *to, const char *text, bool last) {
    const bool quoted = strpbrk(text, ",\"\n\r") != NULL;
    if (quoted) fputc('"', to);
    for (; *text; text++) fputs(*text == '"' ? "\"\"" : (const char[]){ *text, 0 }, to);
    if (quoted) fputc('"', to);
    fputc(last ? '\n' : ',', to);
}

void table_print_csv(FILE *to, const struct table *table) {
    if (table->out_of_memory) fputs("(out of memory for the table)\n", to);
    for (size_t row = 0; row < table->rows && !table->out_of_memory; row++)
        for (size_t col = 0; col < table->cols; col++) {
            const char *cell = table->cells[row * table->most_cols + col];
            table_csv_cell(to, cell ? cell : "", col + 1 == table->cols);
        }
}

void table_free(struct table *table) {
    for (size_t i = 0; i < table->rows * table->most_cols; i++) free(table->cells[i]);
    free(table->cells);
    *table = (struct table){ 0 };
}
