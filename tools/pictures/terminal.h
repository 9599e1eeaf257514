// SPDX-License-Identifier: MIT
//
// A grid as characters.
#ifndef TULLE_TOOLS_PICTURES_TERMINAL_H
#define TULLE_TOOLS_PICTURES_TERMINAL_H

#include <stdio.h>

#include "pictures/grid.h"
#include "pictures/labels.h"

struct terminal_style {
    bool unicode, color;
    const struct labels *labels;  ///< for the rows; NULL: positions
    bool wide;                    ///< two characters a cell: a pair is then about square
};

/// Pattern, and weights beside it where the grid has them.
void terminal_draw(FILE *to, const struct grid *grid, const struct terminal_style *style);

#endif
