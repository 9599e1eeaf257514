// SPDX-License-Identifier: MIT
//
// What a schedule is: plan memory, its segments, and the dispatches over them.
#ifndef TULLE_SRC_SCHEDULE_OUTPUT_H
#define TULLE_SRC_SCHEDULE_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "problem/tensor.h"

enum dispatch_kind { DISPATCH_ATTENTION, DISPATCH_COMBINE };

struct dispatch {
    enum dispatch_kind kind;
    bool barrier_before;  ///< its inputs or its workspace rows were touched by dispatches before it
    uint32_t segment;
    uint32_t items, item_count;  ///< texel offset in the segment; workgroups in x
    uint32_t step;
    /// PM_FLAG_DIRECT, _PARTIAL, _RESUME: what some of its items do (attention); RESUME and PARTIAL
    /// exclude each other. PM_FLAG_LISTED_ROWS: where rows come from. PM_FLAG_JOINED: of several
    /// groups; what differs between these stands with each item, and is 0 here
    uint32_t does;
    uint32_t entries, entry_first, entry_count;  ///< texel offset in the segment; workgroups in y
    uint32_t ws_row_base, ws_rows;
    uint32_t parts, part_count, range_first, range_rows;  ///< combine
    uint64_t window[TENSOR_COUNT];  ///< lowest byte that it touches of a windowed tensor
    uint64_t visited;
};

struct segment {
    uint32_t first_texel, texels;
};

struct schedule_room;

struct schedule {
    uint32_t *words;             ///< plan memory
    struct schedule_room *room;  ///< that the words go back to; NULL: none
    size_t word_count, word_capacity;
    struct segment *segments;
    uint32_t segment_count;
    size_t segment_capacity;
    struct dispatch *dispatches;
    uint32_t dispatch_count;
    size_t dispatch_capacity;
    uint64_t workspace_rows;        ///< that it uses
    uint64_t workspace_rows_least;  ///< the smallest limit that will do
    uint64_t visited;
    uint64_t items;
    /// of the words, and of the most items that ever waited to be among them; smaller arrays are
    /// not counted
    uint64_t host_bytes;
};

/// The large arrays of planning, kept from one plan to the next: for a window over a million tokens
/// the operating system takes twice as long to hand out fresh pages as planning takes to fill them.
/// One schedule at a time has it, from schedule_build to schedule_free.
struct schedule_room *schedule_room_create(void);        ///< empty; NULL: out of memory
void schedule_room_destroy(struct schedule_room *room);  ///< accepts NULL
size_t schedule_room_bytes(const struct schedule_room *room);

#endif
