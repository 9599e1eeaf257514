// SPDX-License-Identifier: MIT

#include "schedule_machine.h"

#include <stdlib.h>
#include <string.h>

#include "plan_memory.h"

/// One workspace row.
// written, read: in which epoch last, from 1
struct slot {
    int64_t bh, row;
    uint32_t written, read;
    bool full;
};

struct machine {
    const struct trial *t;
    const struct schedule *s;
    const struct dispatch *d;
    const uint32_t *words;  // of the segment
    uint64_t texels;
    uint32_t epoch;  // dispatches between two barriers run in any order
    struct slot *slots;
    uint8_t *taken;     // [bh][q_len][kv_len]
    uint8_t *finished;  // [bh][q_len]
    uint8_t *again;     // [bh][q_len]: it was begun anew, from a list
    uint32_t *ended;    // [bh][q_len]: in which epoch they were finished
    uint32_t does;      // PM_FLAG_…: what the dispatch's items do
    struct machine_counts counts;
};

static const uint32_t *texel(const struct machine *m, uint64_t at) {
    CHECK(at < m->texels, "texel %llu of a segment of %llu", (unsigned long long)at,
          (unsigned long long)m->texels);
    return m->words + at * 4;
}

static uint32_t word(const struct machine *m, uint64_t at) { return texel(m, at / 4)[at % 4]; }

static void touch(const struct machine *m, int tensor, int64_t bh, int64_t at) {
    const struct tensor_shape *shape = &m->t->input.tensors[tensor];
    if (!shape->windowed) return;
    uint64_t batch = (uint64_t)(bh / m->t->heads), head = (uint64_t)(bh % m->t->heads);
    if (tensor == TENSOR_K || tensor == TENSOR_V)
        head = head * (uint64_t)m->t->kv_heads / (uint64_t)m->t->heads;
    uint64_t low = batch * shape->batch + head * shape->head + (uint64_t)at * shape->row,
             high = low + shape->row_bytes;
    CHECK(low >= m->d->window[tensor] &&
              high <= m->d->window[tensor] + m->t->input.limits.window_bytes,
          "tensor %d: bytes [%llu, %llu) outside of the window at %llu", tensor,
          (unsigned long long)low, (unsigned long long)high,
          (unsigned long long)m->d->window[tensor]);
}

static void finish(struct machine *m, int64_t bh, int64_t row) {
    touch(m, TENSOR_O, bh, row);
    touch(m, TENSOR_LSE, bh, row);
    CHECK(!m->finished[bh * m->t->q_len + row], "bh %lld row %lld is finished twice", (long long)bh,
          (long long)row);
    m->finished[bh * m->t->q_len + row] = 1;
    m->ended[bh * m->t->q_len + row] = m->epoch;
}

/// A row of a head that shares its kv head with the entry's.
struct place {
    int64_t bh, row;
};

static struct place listed_place(const struct machine *m, int64_t bh, uint32_t first, int64_t n) {
    const uint32_t listed = word(m, (uint64_t)first + (uint64_t)n);
    const struct place at = { bh + (listed >> PM_ROW_HEAD_SHIFT), listed & PM_ROW_MASK };
    const int64_t of_kv = m->t->heads / m->t->kv_heads;
    CHECK(at.row < m->t->q_len, "listed row %lld of %lld", (long long)at.row,
          (long long)m->t->q_len);
    CHECK(at.bh / of_kv == bh / of_kv, "a listed row of head %lld, the entry's is %lld",
          (long long)at.bh, (long long)bh);
    return at;
}

/// Row n of what the words list from `first` on. A row that was finished before, among its
/// neighbours, begins anew.
static struct place listed_row(struct machine *m, int64_t bh, uint32_t first, int64_t n) {
    const struct place place = listed_place(m, bh, first, n);
    const int64_t row = place.row, at = place.bh * m->t->q_len + row;
    CHECK(n == 0 || m->d->kind == DISPATCH_COMBINE || listed_place(m, bh, first, n - 1).row <= row,
          "listed rows that do not rise");
    m->counts.packed += place.bh != bh;
    if (!m->finished[at]) return place;
    CHECK(m->ended[at] < m->epoch, "row %lld is written again without a barrier", (long long)row);
    CHECK(!m->again[at], "row %lld is written a third time", (long long)row);
    m->again[at] = 1;
    m->finished[at] = 0;
    memset(m->taken + at * m->t->kv_len, 0, (size_t)m->t->kv_len);
    m->counts.again++;
    return place;
}

static struct slot *slot_at(struct machine *m, uint32_t index) {
    CHECK(index < m->s->workspace_rows, "workspace row %u of %llu", index,
          (unsigned long long)m->s->workspace_rows);
    return &m->slots[index];
}

static void take(struct machine *m, const struct group *group, int64_t bh, int64_t row,
                 int64_t key) {
    CHECK(row < group->site.q_length, "row %lld of %lld takes a key", (long long)row,
          (long long)group->site.q_length);
    uint8_t *count = &m->taken[(bh * m->t->q_len + row) * m->t->kv_len + key];
    CHECK(*count == 0, "bh %lld row %lld key %lld is taken twice", (long long)bh, (long long)row,
          (long long)key);
    *count = 1;
}

/// The row takes up the partial result that lies there.
static void merge(struct machine *m, uint32_t index, int64_t bh, int64_t row) {
    struct slot *slot = slot_at(m, index);
    CHECK(slot->written, "a partial result that was never written is merged");
    CHECK(slot->written != m->epoch, "a partial result is merged without a barrier");
    CHECK(slot->bh == bh && slot->row == row, "bh %lld row %lld merges bh %lld row %lld",
          (long long)bh, (long long)row, (long long)slot->bh, (long long)slot->row);
    CHECK(slot->full, "a partial result is merged twice");
    slot->full = false;
    slot->read = m->epoch;
}

/// Whose an item is: what stands with it, or in the dispatch.
struct owner {
    uint32_t entries;  // texel of the entry of y = 0
    uint32_t ws_row_base, ws_rows, parts, part_count, range_first, range_rows;
};

static struct owner owner_of(const struct machine *m, uint64_t item) {
    const struct dispatch *d = m->d;
    struct owner of = { d->entries + d->entry_first * PM_ENTRY_TEXELS,
                        d->ws_row_base + d->entry_first * d->ws_rows,
                        d->ws_rows,
                        d->parts,
                        d->part_count,
                        d->range_first,
                        d->range_rows };
    if (!(d->does & PM_FLAG_JOINED)) return of;
    CHECK(!d->entries && !d->entry_first && !d->ws_rows && !d->parts && !d->range_rows,
          "a dispatch of several groups names one");
    memcpy(&of, texel(m, item + 1), 16);
    if (d->kind == DISPATCH_COMBINE) memcpy(&of.part_count, texel(m, item + 2), 12);
    return of;
}

static uint64_t item_run(struct machine *m, const struct group *group, uint32_t y, int64_t entry_bh,
                         const struct owner *of, const uint32_t *item) {
    const struct dispatch *d = m->d;
    const struct schedule_limits *l = &m->t->input.limits;
    int64_t rows = item[2] >> PM_ITEM_ROWS_SHIFT & PM_ITEM_ROWS_MASK,
            run_count = item[2] & PM_ITEM_RUNS_MASK;
    bool direct = item[2] & PM_ITEM_DIRECT, dead = item[2] & PM_ITEM_DEAD,
         resumes = item[2] & PM_ITEM_RESUMES;
    const bool listed = d->does & PM_FLAG_LISTED_ROWS;
    uint32_t resumed = 0;
    uint64_t chunks = 0;
    if (y + d->entry_first == 0) {  // every item runs for its group's first entry
        m->counts.items++;
        m->counts.resuming += resumes;
        m->counts.listed += listed;
    }
    m->does |= (direct ? PM_FLAG_DIRECT : PM_FLAG_PARTIAL) | (resumes ? PM_FLAG_RESUME : 0) |
               (listed ? PM_FLAG_LISTED_ROWS : 0) | (d->does & PM_FLAG_JOINED);
    CHECK(!listed || d->step == 1, "listed rows at step %u", d->step);
    CHECK(rows >= 1 && rows <= l->tile_rows, "item of %lld rows", (long long)rows);
    CHECK(!(item[2] & ~(PM_ITEM_RUNS_MASK | PM_ITEM_ROWS_MASK << PM_ITEM_ROWS_SHIFT |
                        PM_ITEM_DIRECT | PM_ITEM_DEAD | PM_ITEM_RESUMES)),
          "item flags %x", item[2]);
    CHECK(!direct || l->direct, "a direct item where the kernel has none");
    CHECK(!dead || (direct && run_count == 0 && !resumes), "a dead item with runs or partials");
    CHECK(!resumes || direct, "an item that resumes and is not direct");
    for (int64_t r = 0; r < rows; r++) {
        const struct place place = listed ? listed_row(m, entry_bh, item[0], r)
                                          : (struct place){ entry_bh, item[0] + r * d->step };
        const int64_t row = place.row, bh = place.bh;
        CHECK(row < m->t->q_len, "item row %lld of %lld", (long long)row, (long long)m->t->q_len);
        CHECK(dead == (row >= group->site.q_length), "row %lld of %lld is %sdead", (long long)row,
              (long long)group->site.q_length, dead ? "" : "not ");
        touch(m, TENSOR_Q, bh, row);
        if (resumes) {
            uint32_t slot = word(m, (uint64_t)item[3] + (uint64_t)r);
            if (slot != PM_SLOT_NONE) merge(m, of->ws_row_base + y * of->ws_rows + slot, bh, row);
            resumed += slot != PM_SLOT_NONE;
        }
        if (direct) {
            finish(m, bh, row);
            continue;
        }
        struct slot *slot = slot_at(m, of->ws_row_base + y * of->ws_rows + item[3] + (uint32_t)r);
        CHECK(!slot->full,
              "a partial result of bh %lld row %lld is overwritten before it is merged",
              (long long)slot->bh, (long long)slot->row);
        CHECK(slot->written != m->epoch && slot->read != m->epoch,
              "workspace row %u is reused without a barrier", item[3]);
        *slot = (struct slot){ bh, row, m->epoch, slot->read, true };
        m->counts.partials++;
    }
    // the rows family reads slot 0 where a row has none: there must be one
    CHECK(!resumes || resumed, "an item resumes nothing");
    for (int64_t n = 0; n < run_count; n++) {
        const uint32_t *run = texel(m, (uint64_t)item[1] + (uint64_t)n);
        uint32_t kind = run[1] >> PM_RUN_KIND_SHIFT;
        bool list = run[1] & PM_RUN_LIST;
        int64_t count = run[1] & (kind == PM_RUN_FULL ? PM_RUN_FULL_COUNT_MASK : PM_RUN_COUNT_MASK);
        int64_t first_row = run[1] >> PM_RUN_ROW_FIRST_SHIFT & PM_RUN_ROW_MASK,
                last_row = run[1] >> PM_RUN_ROW_LAST_SHIFT & PM_RUN_ROW_MASK;
        int32_t lo = (int32_t)run[2], hi = (int32_t)run[3];
        CHECK(kind <= PM_RUN_BITS, "run of kind %u", kind);
        CHECK(count > 0, "an empty run");
        CHECK(kind != PM_RUN_FULL || count % l->chunk == 0, "a full run of %lld keys",
              (long long)count);
        CHECK(kind != PM_RUN_BAND || (!list && last_row < rows && first_row <= last_row),
              "a band of rows %lld … %lld", (long long)first_row, (long long)last_row);
        chunks += (uint64_t)((count + l->chunk - 1) / l->chunk);
        int64_t before = -1;
        m->counts.runs++;
        m->counts.full += kind == PM_RUN_FULL, m->counts.band += kind == PM_RUN_BAND,
            m->counts.bits += kind == PM_RUN_BITS, m->counts.lists += list;
        for (int64_t c = 0; c < count; c++) {
            int64_t key = list ? (int64_t)word(m, (uint64_t)run[0] + (uint64_t)c)
                               : (int64_t)(uint32_t)(run[0] + (uint32_t)c * d->step);
            CHECK(key >= group->site.kv_start && key < group->site.at.kv_len,
                  "key %lld, and there are %lld", (long long)key, (long long)group->site.at.kv_len);
            CHECK(!list || key > before, "a list that does not rise");
            before = key;
            touch(m, TENSOR_K, entry_bh, key);
            touch(m, TENSOR_V, entry_bh, key);
            for (int64_t r = 0; r < rows; r++) {
                bool selected = true;
                if (kind == PM_RUN_BAND)
                    selected = r >= first_row && r <= last_row && r + lo <= c && c <= r + hi;
                if (kind == PM_RUN_BITS)
                    selected = word(m, (uint64_t)run[2] + (uint64_t)(c / 32 * l->tile_rows + r)) >>
                                   (c % 32) &
                               1;
                if (!selected) continue;
                const struct place place = listed
                                               ? listed_place(m, entry_bh, item[0], r)
                                               : (struct place){ entry_bh, item[0] + r * d->step };
                take(m, group, place.bh, place.row, key);
            }
        }
    }
    // a cut falls on whole words of bits, so an item may exceed its share by less than that
    CHECK(chunks <= (uint64_t)l->item_chunks_most + (uint64_t)(32 / l->chunk),
          "an item of %llu chunks", (unsigned long long)chunks);
    return chunks * (uint64_t)(l->tile_rows * l->chunk);
}

static void combine_run(struct machine *m, const struct group *group, uint32_t y, int64_t entry_bh,
                        const struct owner *of, const uint32_t *item) {
    const struct dispatch *d = m->d;
    const bool listed = d->does & PM_FLAG_LISTED_ROWS;
    CHECK(item[2] <= 1 && (listed || item[3] == 0) && item[1] > 0,
          "a combine item of %u rows, z %u, w %u", item[1], item[2], item[3]);
    for (int64_t n = item[0]; n < (int64_t)item[0] + item[1]; n++) {
        const struct place place =
            listed ? listed_row(m, entry_bh, item[3], n - item[0]) : (struct place){ entry_bh, n };
        const int64_t row = place.row, bh = place.bh;
        CHECK(row < m->t->q_len, "combine row %lld", (long long)row);
        CHECK((item[2] == 1) == (row >= group->site.q_length), "combine row %lld: z %u",
              (long long)row, item[2]);
        CHECK(n >= of->range_first && n < (int64_t)of->range_first + of->range_rows,
              "combine row %lld outside of its range", (long long)n);
        if (!item[2]) {
            uint32_t u = (uint32_t)n - of->range_first;
            for (uint32_t k = 0; k < of->part_count; k++) {
                const uint32_t *part = texel(m, (uint64_t)of->parts + k);
                uint32_t step = part[0], tile = part[1], a = u % step, q = of->range_rows / step,
                         rem = of->range_rows % step;
                uint32_t t1 = (q + 1 + tile - 1) / tile, t0 = (q + tile - 1) / tile;
                uint32_t index = (a < rem ? a * t1 : rem * t1 + (a - rem) * t0) + u / step / tile;
                uint32_t first = word(m, (uint64_t)part[2] + 2 * index),
                         count = word(m, (uint64_t)part[2] + 2 * index + 1);
                for (uint32_t split = 0; split < count; split++)
                    merge(m,
                          of->ws_row_base + y * of->ws_rows + first + split * tile +
                              u / step % tile,
                          bh, row);
            }
        }
        finish(m, bh, row);
    }
}

/// Words of the header that differ by segment.
enum {
    SLOPES = offsetof(struct pm_header, v.with) / 4,
    SINKS = offsetof(struct pm_header, o.with) / 4
};

struct machine_counts machine_run(const struct trial *t, const struct schedule *s) {
    const struct schedule_limits *l = &t->input.limits;
    int64_t bh_count = t->batch * t->heads;
    struct machine m = { .t = t, .s = s, .epoch = 1 };
    uint64_t visited = 0;
    CHECK(s->workspace_rows <= l->workspace_rows, "workspace of %llu rows",
          (unsigned long long)s->workspace_rows);
    CHECK(s->workspace_rows_least <= l->workspace_rows, "the least workspace is %llu rows",
          (unsigned long long)s->workspace_rows_least);
    CHECK(s->word_count % 4 == 0, "%zu words", s->word_count);
    m.slots = calloc(s->workspace_rows + 1, sizeof *m.slots);
    m.taken = calloc((size_t)(bh_count * t->q_len * t->kv_len) + 1, 1);
    m.finished = calloc((size_t)(bh_count * t->q_len) + 1, 1);
    m.again = calloc((size_t)(bh_count * t->q_len) + 1, 1);
    m.ended = calloc((size_t)(bh_count * t->q_len) + 1, sizeof *m.ended);
    assert_true(m.slots && m.taken && m.finished && m.again && m.ended);
    uint64_t end = 0;
    for (uint32_t i = 0; i < s->segment_count; i++) {
        const struct segment *segment = &s->segments[i];
        CHECK(segment->texels <= l->segment_texels, "a segment of %u texels", segment->texels);
        CHECK(segment->first_texel % l->segment_alignment == 0, "a segment at texel %u",
              segment->first_texel);
        CHECK(segment->first_texel >= end, "segments overlap");
        end = (uint64_t)segment->first_texel + segment->texels;
        CHECK(end * 4 <= s->word_count, "a segment beyond the words");
        const uint32_t *w = s->words + (uint64_t)segment->first_texel * 4;
        for (uint32_t k = 0; k < PM_HEADER_TEXELS * 4; k++) {
            const float *from = k == SLOPES ? t->input.slopes : k == SINKS ? t->input.sinks : NULL;
            if (k == SLOPES || k == SINKS) {
                if (from)
                    CHECK(w[k] + (uint64_t)t->heads <= (uint64_t)segment->texels * 4 &&
                              !memcmp(w + w[k], from, (size_t)t->heads * 4),
                          "slopes or sink logits");
            } else {
                CHECK(w[k] == ((const uint32_t *)&t->header)[k], "header word %u", k);
            }
        }
    }
    for (uint32_t n = 0; n < s->dispatch_count; n++) {
        const struct dispatch *d = m.d = &s->dispatches[n];
        CHECK(d->segment < s->segment_count, "segment %u of %u", d->segment, s->segment_count);
        m.words = s->words + (uint64_t)s->segments[d->segment].first_texel * 4;
        m.texels = s->segments[d->segment].texels;
        if (d->barrier_before) m.epoch++;
        CHECK(d->item_count >= 1 && d->item_count <= l->max_workgroups_x, "%u workgroups in x",
              d->item_count);
        CHECK(d->entry_count >= 1 && d->entry_count <= l->max_workgroups_y, "%u workgroups in y",
              d->entry_count);
        uint64_t pairs = 0;
        m.does = 0;
        const uint32_t apart = !(d->does & PM_FLAG_JOINED)   ? 1
                               : d->kind == DISPATCH_COMBINE ? PM_JOINED_COMBINE_TEXELS
                                                             : PM_JOINED_ITEM_TEXELS;
        m.counts.joined += apart > 1;
        for (uint32_t x = 0; x < d->item_count; x++) {
            const uint64_t at = (uint64_t)d->items + (uint64_t)x * apart;
            const uint32_t *item = texel(&m, at);
            const struct owner of = owner_of(&m, at);
            for (uint32_t y = 0; y < d->entry_count; y++) {
                struct pm_entry entry;
                for (uint32_t k = 0; k < PM_ENTRY_TEXELS; k++)
                    memcpy((char *)&entry + 16 * k,
                           texel(&m, (uint64_t)of.entries + (uint64_t)y * PM_ENTRY_TEXELS + k), 16);
                uint32_t bh = entry.index;
                CHECK(bh < bh_count, "bh %u", bh);
                const struct group *group = &t->groups[t->group_of[bh]];
                CHECK(!memcmp(&entry, &t->entries[bh], sizeof entry), "entry of bh %u: q_offset %d",
                      bh, entry.q_offset);
                if (d->kind == DISPATCH_ATTENTION) pairs += item_run(&m, group, y, bh, &of, item);
                else combine_run(&m, group, y, bh, &of, item);
            }
        }
        CHECK(!(m.does & PM_FLAG_PARTIAL && m.does & PM_FLAG_RESUME),
              "a dispatch resumes and writes partial results");
        if (d->kind == DISPATCH_COMBINE) m.does |= d->does & (PM_FLAG_LISTED_ROWS | PM_FLAG_JOINED);
        CHECK(m.does == d->does, "a dispatch whose items do %x says %x", m.does, d->does);
        CHECK(pairs == d->visited, "a dispatch of %llu pairs says %llu", (unsigned long long)pairs,
              (unsigned long long)d->visited);
        CHECK(pairs <= l->dispatch_pairs || (d->item_count == 1 && d->entry_count == 1),
              "a dispatch of %llu pairs, %u × %u workgroups", (unsigned long long)pairs,
              d->item_count, d->entry_count);
        visited += pairs;
    }
    CHECK(visited == s->visited, "%llu pairs, the schedule says %llu", (unsigned long long)visited,
          (unsigned long long)s->visited);
    for (uint64_t i = 0; i < s->workspace_rows; i++)
        CHECK(!m.slots[i].full, "a partial result of bh %lld row %lld is never merged",
              (long long)m.slots[i].bh, (long long)m.slots[i].row);
    for (int64_t bh = 0; bh < bh_count; bh++)
        for (int64_t i = 0; i < t->q_len; i++) {
            CHECK(m.finished[bh * t->q_len + i], "bh %lld row %lld is never finished",
                  (long long)bh, (long long)i);
            const uint8_t *want = t->want[t->group_of[bh]] + i * t->kv_len,
                          *taken = m.taken + (bh * t->q_len + i) * t->kv_len;
            for (int64_t j = 0; j < t->kv_len; j++)
                CHECK(want[j] == taken[j], "bh %lld row %lld key %lld: taken %d, should be %d",
                      (long long)bh, (long long)i, (long long)j, taken[j], want[j]);
        }
    free(m.slots);
    free(m.taken);
    free(m.finished);
    free(m.again);
    free(m.ended);
    m.counts.epochs = m.epoch;
    return m.counts;
}

bool same_schedule(const struct schedule *a, const struct schedule *b) {
    if (a->word_count != b->word_count || memcmp(a->words, b->words, a->word_count * 4))
        return false;
    if (a->dispatch_count != b->dispatch_count || a->segment_count != b->segment_count ||
        a->visited != b->visited || a->items != b->items ||
        a->workspace_rows != b->workspace_rows ||
        a->workspace_rows_least != b->workspace_rows_least)
        return false;
    if (memcmp(a->segments, b->segments, a->segment_count * sizeof *a->segments)) return false;
    for (uint32_t i = 0; i < a->dispatch_count; i++) {
        const struct dispatch *x = &a->dispatches[i], *y = &b->dispatches[i];
        if (x->kind != y->kind || x->barrier_before != y->barrier_before ||
            x->segment != y->segment || x->items != y->items || x->item_count != y->item_count ||
            x->step != y->step || x->does != y->does || x->entries != y->entries ||
            x->entry_first != y->entry_first || x->entry_count != y->entry_count ||
            x->ws_row_base != y->ws_row_base || x->ws_rows != y->ws_rows || x->parts != y->parts ||
            x->part_count != y->part_count || x->range_first != y->range_first ||
            x->range_rows != y->range_rows || memcmp(x->window, y->window, sizeof x->window) ||
            x->visited != y->visited)
            return false;
    }
    return true;
}
