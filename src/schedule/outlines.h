// SPDX-License-Identifier: MIT
//
// Tiles of a plane or of space repeat each other wherever no edge is near: what such a tile takes is
// kept, and moved to the next one like it.
#ifndef TULLE_SRC_SCHEDULE_OUTLINES_H
#define TULLE_SRC_SCHEDULE_OUTLINES_H

#include "schedule/tiler.h"

/// Fills t's result from a tile of the same outline. False: none is kept, or t->out_of_memory.
bool outlines_take(struct tiler *t);

/// Keeps t's result, where its outline may come again. False: out of memory.
bool outlines_keep(struct tiler *t);

void outlines_free(struct outlines *outlines);  ///< accepts NULL

#endif
