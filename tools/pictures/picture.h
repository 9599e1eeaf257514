// SPDX-License-Identifier: MIT
//
// A grid as a PNG, by cairo. Without HAVE_CAIRO there is none, and picture_available says so.
#ifndef TULLE_TOOLS_PICTURES_PICTURE_H
#define TULLE_TOOLS_PICTURES_PICTURE_H

#include <stdio.h>

#include "pictures/grid.h"
#include "pictures/labels.h"

#define PICTURE_MOST_CELLS 768  ///< of a panel, along its longer side

struct picture {
    const struct grid *grid;
    const struct labels *labels;   ///< NULL: positions
    const char *title, *subtitle;  ///< UTF-8
};

bool picture_available(void);

/// Draws the pattern, and the weights beside it where the grid has them.
bool picture_write(FILE *to, const struct picture *picture, struct message *message);

#endif
