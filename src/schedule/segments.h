// SPDX-License-Identifier: MIT
//
// Plan memory as it grows, in segments: what of it is the same whatever the tiles are (header,
// slopes and sink logits, the group's entries, a part's list of keys), and room for all else.
#ifndef TULLE_SRC_SCHEDULE_SEGMENTS_H
#define TULLE_SRC_SCHEDULE_SEGMENTS_H

#include "schedule/input.h"
#include "schedule/output.h"

/// Texels beside what a group needs in any case: fewer are not worth a start.
#define SEGMENT_LEAST 64

struct segments {
    const struct schedule_input *input;
    struct schedule *out;  ///< its words and segments
    tulle_error *error;
    bool open;      ///< the last segment may take more
    uint32_t used;  ///< texels of it
    // of the group at hand, in the open segment
    const struct group *group;
    bool group_placed;
    uint32_t entries;  ///< texel offset, once they are placed
    uint32_t list;     ///< word offset of the part's list of keys; 0: not there
};

/// Says that memory is out. Always false.
bool schedule_no_memory(tulle_error *error);

// What follows is false, or NULL, where memory is out: the error says so.

bool segments_begin(struct segments *s);  ///< a segment
/// Makes a group the one at hand. Ends the open segment where little of the group would fit it.
void segments_group(struct segments *s, const struct group *group);
bool segments_place_group(struct segments *s);  ///< in the open segment, or in a new one
bool segments_place_list(struct segments *s, const int32_t *list, int64_t count);

/// Room for `texels` more in the open segment; the address of the first.
void *segments_texels(struct segments *s, size_t texels);
/// `words` words from there, and zeroes up to a whole texel.
uint32_t *segments_words(struct segments *s, const void *from, size_t words);
/// The capacity for them, without using it.
bool segments_reserve(struct segments *s, size_t texels);

/// Do so many texels more fit the open segment?
static inline bool segments_fit(const struct segments *s, uint64_t texels) {
    return s->used + texels <= s->input->limits.segment_texels;
}

/// The words of the open segment.
static inline const uint32_t *segments_open_words(const struct segments *s) {
    return s->out->words + (size_t)s->out->segments[s->out->segment_count - 1].first_texel * 4;
}

/// Index of the open segment.
static inline uint32_t segments_index(const struct segments *s) {
    return s->out->segment_count - 1;
}

/// Texels that a segment holds before any group's entries: the header, and a number for each head.
uint64_t segments_head(const struct schedule_input *input);
/// Texels that a segment holds before any item of the group.
uint64_t segments_preamble(const struct segments *s);

/// For taking back what was placed since.
struct segments_mark {
    struct segments state;
    size_t words;
    uint32_t segments;
};
struct segments_mark segments_mark(const struct segments *s);
void segments_return(struct segments *s, const struct segments_mark *mark);

#endif
