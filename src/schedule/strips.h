// SPDX-License-Identifier: MIT
//
// Rectangles of a tile → strips, keys side by side. Most patterns that have many regions have
// rectangles, and most of these need no cells: they are runs as they stand (blocks of whole chunks),
// or few keys of some rows (keys drawn one by one), which go on a list.
#ifndef TULLE_SRC_SCHEDULE_STRIPS_H
#define TULLE_SRC_SCHEDULE_STRIPS_H

#include "schedule/regions.h"

/// Sorts t->rectangles out, strip by strip. PLAIN: on each key the same rows side by side for whole
/// chunks; to t->plain, disjoint. THIN: less than a chunk of keys; stays in t->rectangles. All else,
/// and what touches t->include, goes there. Each rises. False: out of memory.
bool sort_out(struct tiler *t);

/// Moves to t->include what is thin and begins in [v0, v1). False: out of memory.
bool return_thin(struct tiler *t, int64_t v0, int64_t v1);

#endif
