// SPDX-License-Identifier: MIT
//
// The whole of planning: row sets and parts of every group, how large items may be, then group by group its
// rows.
#include "schedule/schedule.h"

#include <stdlib.h>
#include <string.h>

#include "common/arithmetic.h"
#include "common/error.h"
#include "plan_memory.h"
#include "schedule/join.h"
#include "schedule/ranges.h"
#include "schedule/row_sets.h"

static struct tiling tiling_of(const struct schedule_limits *limits) {
    return (struct tiling){ limits->tile_rows, limits->chunk, limits->segment_texels };
}

/// A group's row sets, and the parts of each.
struct group_sets {
    struct row_sets rows;
    struct group_parts parts[ROW_SETS_MOST];
    struct pm_entry *packed;  ///< entries of several heads each; NULL: the group's
    uint32_t packed_count;
};

/// A group as one of its sets has it.
static struct group group_of_set(const struct group *group, const struct group_sets *sets,
                                 uint32_t n) {
    return (struct group){ .site = sets->rows.set[n].site,
                           .entries = sets->packed ? sets->packed : group->entries,
                           .entry_count = sets->packed ? sets->packed_count : group->entry_count };
}

/// The row sets and parts of every group. False: out of memory.
static bool groups_sets(const struct schedule_input *in, struct group_sets *sets) {
    const struct tiling tiling = tiling_of(&in->limits);
    for (uint32_t g = 0; g < in->group_count; g++) {
        struct group_sets *of = &sets[g];
        const struct group *group = &in->groups[g];
        if (!row_sets_make(&group->site, &tiling, row_sets_may_list(in->tensors), &of->rows) ||
            (row_sets_may_list(in->tensors) &&
             !row_sets_pack(group, in->heads / in->kv_heads, tiling.tile_rows, &of->rows,
                            &of->packed, &of->packed_count)))
            return false;
        for (uint32_t i = 0; i < of->rows.count; i++) {
            const struct site *site = &of->rows.set[i].site;
            struct group_parts *parts = &of->parts[i];
            if (!parts_create(site, &tiling, &parts->parts, &parts->count)) return false;
            parts->listed = site->rows;
            parts->window = windows_extent(in, &in->groups[g]);
            parts->resumes = in->limits.direct && parts->count == 2 && parts->parts[0].step == 1;
            parts->direct = in->limits.direct && (parts->count == 1 || parts->resumes);
        }
    }
    return true;
}

static void groups_sets_free(struct group_sets *sets, uint32_t groups) {
    for (uint32_t g = 0; g < groups && sets; g++) {
        for (uint32_t i = 0; i < ROW_SETS_MOST; i++)
            parts_free(sets[g].parts[i].parts, sets[g].parts[i].count);
        row_sets_free(&sets[g].rows);
        free(sets[g].packed);
    }
    free(sets);
}

/// Adds the chunks and tiles of one part, from a few of its tiles. False: out of memory.
static bool survey_part(const struct site *site, const struct part *part,
                        const struct tiling *tiling, uint32_t entries, double *chunks,
                        double *tiles) {
    struct sample s;
    if (!part_sample(site, part, tiling, site->q_length, 12, &s)) return false;
    if (s.taken) *chunks += (double)s.chunks / (double)s.taken * (double)s.tiles * entries;
    *tiles += (double)s.tiles * entries;
    return true;
}

/// Chunks and tiles of all groups and entries. False: out of memory.
static bool survey(const struct schedule_input *in, const struct group_sets *sets, double *chunks,
                   double *tiles) {
    const struct tiling tiling = tiling_of(&in->limits);
    *chunks = *tiles = 0;
    for (uint32_t g = 0; g < in->group_count; g++)
        for (uint32_t i = 0; i < sets[g].rows.count; i++)
            for (uint32_t k = 0; k < sets[g].parts[i].count; k++)
                if (!survey_part(&sets[g].rows.set[i].site, &sets[g].parts[i].parts[k], &tiling,
                                 group_of_set(&in->groups[g], &sets[g], i).entry_count, chunks,
                                 tiles))
                    return false;
    return true;
}

/// How many chunks an item may take: as many as give every part of the device something to do,
/// never so few that ordinary tiles are split, and no more than a dispatch or the driver's loops
/// allow.
static int64_t item_chunks(const struct schedule_limits *limits, double chunks, double tiles) {
    const double wanted = (double)limits->items_wanted, fewest = (double)limits->item_chunks_least,
                 dispatch = (double)(limits->dispatch_pairs / chunk_pairs(limits)),
                 share = chunks / wanted;
    double limit = tiles >= wanted ? 2 * chunks / (tiles + 1) + 1 : fewest;
    if (share > limit) limit = share;
    if (limit < fewest) limit = fewest;
    if (limit > dispatch) limit = dispatch;
    if (limit > (double)limits->item_chunks_most) limit = (double)limits->item_chunks_most;
    return limit < 1 ? 1 : (int64_t)limit;
}

/// All rows of a group.
static bool group_build(struct planner *p, const struct group *group,
                        const struct group_parts *parts) {
    p->group = group;
    p->parts = parts;
    p->items.window = &parts->window;
    p->tiler.site = &group->site;
    segments_group(&p->segments, group);
    if (segments_preamble(&p->segments) + SEGMENT_LEAST > p->input->limits.segment_texels) {
        tulle_fail(
            p->error, TULLE_ERROR_UNSUPPORTED,
            "the slopes or sink logits of %u heads exceed what a texel buffer of this device holds",
            p->input->heads);
        return false;
    }
    if (parts->count > PM_PARTS_MOST) {
        tulle_fail(p->error, TULLE_ERROR_UNSUPPORTED, "a pattern of more than %d different steps",
                   PM_PARTS_MOST);
        return false;
    }
    return ranges_build(p);
}

/// All entries of a group as one of its row sets has it, as many at a time as take half of what a segment
/// has for them and for items.
static bool entries_build(struct planner *p, const struct group *group,
                          const struct group_parts *parts) {
    const uint64_t all = p->input->limits.segment_texels, head = segments_head(p->input),
                   half = all > head ? (all - head) / 2 / PM_ENTRY_TEXELS : 0,
                   each = half ? half : 1;
    for (uint64_t done = 0; done < group->entry_count; done += each) {
        const struct group some = { .site = group->site,
                                    .entries = group->entries + done,
                                    .entry_count =
                                        (uint32_t)least(group->entry_count - done, each) };
        if (!group_build(p, &some, parts)) return false;
    }
    return true;
}

/// The n-th row sets of all groups that have so many.
static bool nth_sets_build(struct planner *p, const struct group_sets *sets, uint32_t n) {
    for (uint32_t g = 0; g < p->input->group_count; g++) {
        if (n >= sets[g].rows.count) continue;
        const struct group group = group_of_set(&p->input->groups[g], &sets[g], n);
        if (!entries_build(p, &group, &sets[g].parts[n])) return false;
    }
    return true;
}

/// All groups. False: the error says why.
static bool groups_build(struct planner *p, struct group_sets *sets) {
    const struct schedule_input *in = p->input;
    double chunks, tiles;
    if (!groups_sets(in, sets) || !survey(in, sets, &chunks, &tiles))
        return schedule_no_memory(p->error);
    p->items.chunks_most = item_chunks(&in->limits, chunks, tiles);
    if (!windows_suffice(in)) {
        tulle_fail(p->error, TULLE_ERROR_UNSUPPORTED, "a row does not fit a binding of %llu bytes",
                   (unsigned long long)in->limits.window_bytes);
        return false;
    }
    bool again = false;  // are there second sets?
    for (uint32_t g = 0; g < in->group_count; g++) again = again || sets[g].rows.count > 1;
    return nth_sets_build(p, sets, 0) &&
           (!again || (waves_again(&p->waves) && nth_sets_build(p, sets, 1))) &&
           waves_flush(&p->waves) && join_dispatches(in, p->out, p->error);
}

tulle_result schedule_build(const struct schedule_input *input, struct schedule_room *room,
                            struct schedule *out, tulle_error *error) {
    tulle_error local;
    struct schedule_room fresh = { 0 };
    const struct tiling tiling = tiling_of(&input->limits);
    if (!error) error = &local;
    struct planner p = { .input = input,
                         .out = out,
                         .error = error,
                         .segments = { .input = input, .out = out, .error = error },
                         .items = { .input = input, .error = error, .room = room ? room : &fresh },
                         .waves = { .input = input, .out = out, .error = error },
                         .tiler = tiler_of(NULL, NULL, &tiling) };
    p.items.segments = &p.segments;
    error->result = TULLE_OK;
    room_lend(room, out);
    struct group_sets *sets = calloc(input->group_count, sizeof *sets);
    const bool fine = sets ? groups_build(&p, sets) : schedule_no_memory(error);
    groups_sets_free(sets, input->group_count);
    out->items = p.items.written;
    out->host_bytes =
        out->word_count * sizeof *out->words + p.items.waiting_most * sizeof *p.items.room->items;
    items_free(&p.items);
    tables_free(&p.tables);
    waves_free(&p.waves);
    tiler_free(&p.tiler);
    room_empty(&fresh);
    // the plan words it, in bytes
    if (fine && p.refused) return tulle_fail(error, TULLE_ERROR_WORKSPACE_LIMIT, "workspace");
    return error->result;
}

void schedule_free(struct schedule *schedule) {
    room_take_back(schedule);
    free(schedule->segments);
    free(schedule->dispatches);
    memset(schedule, 0, sizeof *schedule);
}
