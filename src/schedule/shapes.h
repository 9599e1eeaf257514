// SPDX-License-Identifier: MIT
//
// Tiles of a plane or of space repeat each other wherever no edge is near: what such a tile takes is
// kept, and moved to the next one like it.
#ifndef TULLE_SRC_SCHEDULE_SHAPES_H
#define TULLE_SRC_SCHEDULE_SHAPES_H

#include "schedule/tiler.h"

/// Fills t's result from a tile of the same shape. False: none is kept, or t->out_of_memory.
bool shapes_take(struct tiler *t);

/// Keeps t's result, where its shape may come again. False: out of memory.
bool shapes_keep(struct tiler *t);

void shapes_free(struct shapes *shapes);  ///< accepts NULL

#endif
