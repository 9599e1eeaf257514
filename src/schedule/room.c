// SPDX-License-Identifier: MIT
#include "schedule/room.h"

#include <stdlib.h>

struct schedule_room *schedule_room_create(void) { return calloc(1, sizeof(struct schedule_room)); }

void room_empty(struct schedule_room *room) {
    free(room->words);
    free(room->items);
}

void schedule_room_destroy(struct schedule_room *room) {
    if (room) room_empty(room);
    free(room);
}

size_t schedule_room_bytes(const struct schedule_room *room) {
    return room->word_capacity * sizeof *room->words + room->item_capacity * sizeof *room->items;
}

void room_lend(struct schedule_room *room, struct schedule *to) {
    to->room = room;
    if (!room) return;
    to->words = room->words;
    to->word_capacity = room->word_capacity;
    room->words = NULL;
    room->word_capacity = 0;
}

void room_take_back(struct schedule *from) {
    if (from->room) {
        from->room->words = from->words;
        from->room->word_capacity = from->word_capacity;
    } else {
        free(from->words);
    }
}
