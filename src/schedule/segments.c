// SPDX-License-Identifier: MIT
#include "schedule/segments.h"

#include <string.h>

#include "common/array.h"
#include "plan_memory.h"

bool schedule_no_memory(tulle_error *error) {
    tulle_fail(error, TULLE_ERROR_OUT_OF_HOST_MEMORY, "no host memory for the schedule");
    return false;
}

static bool reserve_words(struct segments *s, size_t more) {
    struct schedule *out = s->out;
    return ARRAY_RESERVE(out->words, out->word_capacity, out->word_count + more) ||
           schedule_no_memory(s->error);
}

bool segments_reserve(struct segments *s, size_t texels) { return reserve_words(s, texels * 4); }

void *segments_texels(struct segments *s, size_t texels) {
    struct schedule *out = s->out;
    if (!reserve_words(s, texels * 4)) return NULL;
    uint32_t *words = out->words + out->word_count;
    out->word_count += texels * 4;
    s->used += (uint32_t)texels;
    out->segments[out->segment_count - 1].texels = s->used;
    return words;
}

uint32_t *segments_words(struct segments *s, const void *from, size_t words) {
    const size_t texels = (words + 3) / 4;
    uint32_t *to = segments_texels(s, texels);
    if (!to) return NULL;
    if (words) memcpy(to, from, words * 4);
    memset(to + words, 0, (texels * 4 - words) * 4);
    return to;
}

/// Zeroes up to where a segment may begin.
static bool align(struct segments *s) {
    struct schedule *out = s->out;
    const size_t unit = (size_t)s->input->limits.segment_alignment * 4,
                 padding = (unit - out->word_count % unit) % unit;
    if (!padding) return true;
    if (!reserve_words(s, padding)) return false;
    memset(out->words + out->word_count, 0, padding * 4);
    out->word_count += padding;
    return true;
}

/// A value a head; 0: none. *at: word offset.
static bool place_heads(struct segments *s, const float *values, uint32_t *at) {
    *at = values ? s->used * 4 : 0;
    return !values || segments_words(s, values, s->input->heads);
}

bool segments_begin(struct segments *s) {
    struct schedule *out = s->out;
    uint32_t slopes, sinks;
    if (!align(s)) return false;
    if (!ARRAY_RESERVE(out->segments, out->segment_capacity, (size_t)out->segment_count + 1))
        return schedule_no_memory(s->error);
    const size_t start = out->word_count;
    out->segments[out->segment_count++] = (struct segment){ (uint32_t)(start / 4), 0 };
    s->used = 0;
    s->open = true;
    s->group_placed = false;
    s->list = 0;
    if (!segments_words(s, s->input->header, sizeof *s->input->header / 4) ||
        !place_heads(s, s->input->slopes, &slopes) || !place_heads(s, s->input->sinks, &sinks))
        return false;
    struct pm_header header = *s->input->header;
    header.v.with = slopes;
    header.o.with = sinks;
    memcpy(out->words + start, &header, sizeof header);
    return true;
}

static uint64_t entry_texels(const struct group *group) {
    return (uint64_t)group->entry_count * PM_ENTRY_TEXELS;
}

uint64_t segments_head(const struct schedule_input *input) {
    const uint64_t per_head = ((uint64_t)input->heads + 3) / 4;
    return PM_HEADER_TEXELS + (input->slopes ? per_head : 0) + (input->sinks ? per_head : 0);
}

uint64_t segments_preamble(const struct segments *s) {
    return segments_head(s->input) + entry_texels(s->group);
}

void segments_group(struct segments *s, const struct group *group) {
    s->group = group;
    s->group_placed = false;
    s->open = s->open && segments_fit(s, entry_texels(group) + SEGMENT_LEAST);
}

bool segments_place_group(struct segments *s) {
    if (!s->open && !segments_begin(s)) return false;
    if (s->group_placed) return true;
    s->entries = s->used;
    s->group_placed =
        segments_words(s, s->group->entries, (size_t)entry_texels(s->group) * 4) != NULL;
    return s->group_placed;
}

bool segments_place_list(struct segments *s, const int32_t *list, int64_t count) {
    const uint32_t at = s->used * 4;
    if (s->list) return true;
    if (!segments_words(s, list, (size_t)count)) return false;
    s->list = at;
    return true;
}

struct segments_mark segments_mark(const struct segments *s) {
    return (struct segments_mark){ *s, s->out->word_count, s->out->segment_count };
}

void segments_return(struct segments *s, const struct segments_mark *mark) {
    *s = mark->state;
    s->out->word_count = mark->words;
    s->out->segment_count = mark->segments;
    if (s->open) s->out->segments[mark->segments - 1].texels = s->used;
}
