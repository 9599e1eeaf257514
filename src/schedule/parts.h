// SPDX-License-Identifier: MIT
//
// A union → parts, and the tiles of each.
#ifndef TULLE_SRC_SCHEDULE_PARTS_H
#define TULLE_SRC_SCHEDULE_PARTS_H

#include "problem/group.h"
#include "schedule/windows.h"

/// A union's terms of one step, tiled together, less every term of the parts before it.
struct part {
    int64_t step;
    const struct product *const *include;
    uint32_t include_count;
    const struct product *const *exclude;
    uint32_t exclude_count;
    // Keys that every row takes, chosen one by one (term_lists): positions,
    // rising, each once, all within [kv_start, kv_len). Only where step is 1.
    int32_t *list;
    int64_t list_count;
};

/// How tiles are made, as the variant and the device ask.
struct tiling {
    int32_t tile_rows;  ///< rows of a full tile
    int32_t chunk;      ///< keys per chunk, a power of 2 up to 64
    /// a list of keys of more entries is not made: its keys then are runs of their own
    int64_t list_most;
};

/// The parts of a site's pattern, in order. False: out of memory. *parts is freed by parts_free.
bool parts_create(const struct site *site, const struct tiling *tiling, struct part **parts,
                  uint32_t *count);
void parts_free(struct part *parts, uint32_t count);  ///< accepts NULL

/// Calls `each` for every tile of rows [first, end) at a step, in the order in which items are
/// made: class by class. False: `each` returned false.
typedef bool (*tile_callback)(void *user, int64_t row, int32_t rows, int64_t index);
bool tiles_each(int64_t step, int64_t first, int64_t end, int32_t tile_rows, tile_callback each,
                void *user);
/// How many there are.
int64_t tiles_count(int64_t step, int64_t rows, int32_t tile_rows);

/// A row set's parts, and who writes its rows.
struct group_parts {
    struct part *parts;
    uint32_t count;
    bool direct;   ///< rows that are not split are written at once: by the only part's items,
    bool resumes;  ///< or by the first's of two, which take up what the second's left
    bool listed;   ///< rows come from a list
    struct window_extent window;
};

struct tiler;

/// Calls `each` with the runs of every tile of a row set (row_sets.h), part after part. False: out
/// of memory.
typedef void (*runs_callback)(void *user, const struct tiler *tile, uint32_t part);
bool set_runs(const struct site *site, const struct tiling *tiling, runs_callback each, void *user);

/// Some tiles of a part, and what they stand for.
struct sample {
    int64_t tiles;   ///< of the part
    int64_t taken;   ///< of these
    int64_t chunks;  ///< that those take
};

/// Samples a part over the first `rows` rows: `about` so many tiles. False: out of memory.
bool part_sample(const struct site *site, const struct part *part, const struct tiling *tiling,
                 int64_t rows, int64_t about, struct sample *out);

#endif
