// SPDX-License-Identifier: MIT
#include "pictures/terminal.h"

#include <math.h>
#include <string.h>

#include "common/cli.h"

#define LABEL_WIDTH 12

// From nothing to all, five steps; what is computed without being selected has a mark of its own.
static const char *const blocks[] = { " ", "░", "▒", "▓", "█" };
static const char *const ascii[] = { " ", ":", "+", "x", "#" };

static const char *shade(const struct terminal_style *style, float share) {
    const int step = share <= 0 ? 0 : share >= 1 ? 4 : 1 + (int)(share * 3);
    return (style->unicode ? blocks : ascii)[step > 4 ? 4 : step];
}

// The kind that a cell is drawn as: the one that says most about it.
static int cell_color(unsigned char runs) {
    if (runs & 1u << TULLE_RUN_BITS) return 32;  // green
    if (runs & 1u << TULLE_RUN_BAND) return 33;  // yellow
    return 34;                                   // blue
}

static void put(FILE *to, const struct terminal_style *style, const char *mark, int color) {
    if (style->color && color && strcmp(mark, " "))
        fprintf(to, "\x1b[%dm%s%s\x1b[0m", color, mark, style->wide ? mark : "");
    else fprintf(to, "%s%s", mark, style->wide ? mark : "");
}

static void rule(FILE *to, const struct terminal_style *style, uint32_t cells, bool top) {
    static const char *const corner[2][2] = { { "└", "┘" }, { "┌", "┐" } };
    fputs(style->unicode ? corner[top][0] : "+", to);
    for (uint32_t i = 0; i < cells * (style->wide ? 2 : 1); i++)
        fputs(style->unicode ? "─" : "-", to);
    fputs(style->unicode ? corner[top][1] : "+", to);
}

// The label of a cell's first row: always where there are tokens and a cell is one row, else now
// and then.
static void put_label(FILE *to, const struct grid *grid, const struct terminal_style *style,
                      uint32_t row) {
    char number[24], text[LABEL_WIDTH * 4 + 8];
    const int64_t first = cell_begin(row, grid->rows, grid->q_len) + grid->q_offset;
    const bool each = grid->rows == grid->q_len && style->labels;
    const char *label = "";
    if (each || row % 8 == 0) {
        if (style->labels) label = labels_at(style->labels, first, number, sizeof number);
        else label = (snprintf(number, sizeof number, "%lld", (long long)first), number);
    }
    label_short(label, LABEL_WIDTH, !style->unicode, text, sizeof text);
    for (size_t i = utf8_length(text); i < LABEL_WIDTH; i++) fputc(' ', to);
    fputs(text, to);
}

void terminal_draw(FILE *to, const struct grid *grid, const struct terminal_style *style) {
    const char *side = style->unicode ? "│" : "|", *computed = style->unicode ? "·" : ".";
    const bool weights = grid->weight && grid->weight_max > 0;
    for (int i = 0; i < LABEL_WIDTH; i++) fputc(' ', to);
    rule(to, style, grid->cols, true);
    if (weights) rule(to, style, grid->cols, true);
    fputc('\n', to);
    for (uint32_t r = 0; r < grid->rows; r++) {
        put_label(to, grid, style, r);
        fputs(side, to);
        for (uint32_t c = 0; c < grid->cols; c++) {
            const size_t cell = (size_t)r * grid->cols + c;
            const bool only_computed = grid->runs[cell] && grid->selected[cell] <= 0;
            put(to, style, only_computed ? computed : shade(style, grid->selected[cell]),
                cell_color(grid->runs[cell]));
        }
        fputs(side, to);
        if (weights) fputs(side, to);
        for (uint32_t c = 0; weights && c < grid->cols; c++)
            put(to, style,
                shade(style, sqrtf(grid->weight[(size_t)r * grid->cols + c] / grid->weight_dark)),
                35);
        if (weights) fputs(side, to);
        fputc('\n', to);
    }
    for (int i = 0; i < LABEL_WIDTH; i++) fputc(' ', to);
    rule(to, style, grid->cols, false);
    if (weights) rule(to, style, grid->cols, false);
    fputc('\n', to);
}
