// SPDX-License-Identifier: MIT
//
// The arrays of planning that grow large (schedule.h, schedule_room): plan memory, and the items
// that wait to be written to it.
#ifndef TULLE_SRC_SCHEDULE_ROOM_H
#define TULLE_SRC_SCHEDULE_ROOM_H

#include "plan_memory.h"
#include "schedule/output.h"

/// An item that waits to be written behind the runs of its segment. Positions are below 2³¹. A
/// million tokens in tiles of 8 rows have 131,072 of these, 28 bytes each.
struct waiting_item {
    struct pm_item item;
    uint32_t chunks;
    int32_t key_first, key_last;  ///< as in struct reach; its rows are in the item
};

struct schedule_room {
    uint32_t *words;  ///< while a schedule has them, NULL here
    size_t word_capacity;
    struct waiting_item *items;
    size_t item_capacity;
};

/// Lends the words to a schedule, which gives them back. room may be NULL: it gets none.
void room_lend(struct schedule_room *room, struct schedule *to);
void room_take_back(struct schedule *from);

void room_empty(struct schedule_room *room);  ///< frees what it holds

#endif
