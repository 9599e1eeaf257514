// SPDX-License-Identifier: MIT
//
// A group's rows, range by range: as many at once as workspace and segments hold.
#ifndef TULLE_SRC_SCHEDULE_RANGES_H
#define TULLE_SRC_SCHEDULE_RANGES_H

#include "schedule/combine.h"
#include "schedule/items.h"
#include "schedule/waves.h"

struct planner {
    const struct schedule_input *input;
    struct schedule *out;
    tulle_error *error;
    struct segments segments;
    struct items items;
    struct tables tables;  ///< of the range at hand
    struct waves waves;
    // the group at hand
    const struct group *group;
    const struct group_parts *parts;
    struct tiler tiler;  ///< of one part at a time
    int64_t unit;  ///< ranges are whole units: tiles of a stepped part keep their height in one
    /// a group needs more workspace than there is: the others are only asked what they need
    bool refused;
};

/// All rows of the group at hand, those too that do not exist. False: the error says why.
bool ranges_build(struct planner *p);

#endif
