// SPDX-License-Identifier: MIT
//
// Which times stand in one chart: all of every device, sorted, and where one group of them ends.
#ifndef TULLE_TOOLS_REPORT_GROUPS_H
#define TULLE_TOOLS_REPORT_GROUPS_H

#include "compare/columns.h"

struct item {
    const struct time *time;
    size_t column, place;  ///< of columns; in its column
};

struct items {
    struct item *list;
    size_t count;
};

/// As strcmp: 0 where two times belong together.
typedef int time_order(const struct time *a, const struct time *b);

/// The times that were measured, no foreign ones that no axis can hold, and that `wanted` takes, those together that `order` calls the
/// same, within them in the order of the columns. False: out of memory.
bool items_collect(const struct columns *columns, bool (*wanted)(const struct time *),
                   time_order *order, struct items *out);

/// The end of the group that begins at `from`.
size_t items_end(const struct items *items, size_t from, time_order *order);

/// The end of the items of one device that begin at `from`, of those up to `end`.
size_t items_device_end(const struct items *items, size_t from, size_t end);

void items_free(struct items *items);

/// The same heads, head sizes, batch and dtype?
int by_setting(const struct time *a, const struct time *b);

/// The same pattern, causality, model and kernel asked for? The patterns are called x and y, and dense
/// comes first.
int by_name(const struct time *a, const char *x, const struct time *b, const char *y);

/// The same keys and queries, ragged alike?
int by_lengths(const struct time *a, const struct time *b);

/// Two numbers in three outcomes.
int by_number(uint64_t a, uint64_t b);

#endif
