// SPDX-License-Identifier: MIT
#include "kernel/measured.h"

#include <string.h>

static const struct line {
    struct measured_at at;
    const char *kernel;
    float gflops[HEAD_CLASSES];
} lines[] = {
#define TULLE_MEASURED(major, minor, lanes, kernel, ...) \
    { { major, minor, lanes }, #kernel, { __VA_ARGS__ } },
#include "kernel/measured.def"
#undef TULLE_MEASURED
};
#define LINES (sizeof lines / sizeof lines[0])

/// Mesa makes four releases a year.
static uint32_t release_distance(const struct measured_at *at, const struct caps *caps) {
    const uint32_t here = 4 * caps->lavapipe_major + caps->lavapipe_minor,
                   there = 4 * at->major + at->minor;
    if (!caps->lavapipe_major) return UINT32_MAX - there;  // the newest
    return here > there ? here - there : there - here;
}

/// Subgroup sizes are powers of two: their ratio.
static uint32_t lanes_distance(const struct measured_at *at, const struct caps *caps) {
    const uint32_t here = caps->subgroup_size ? caps->subgroup_size : 1, there = at->lanes;
    return here > there ? here / there : there / here;
}

bool measured_nearest(const struct caps *caps, struct measured_at *at) {
    *at = lines[0].at;
    for (size_t i = 1; i < LINES; i++) {
        const uint32_t release = release_distance(&lines[i].at, caps),
                       best = release_distance(at, caps);
        if (release < best ||
            (release == best && lanes_distance(&lines[i].at, caps) < lanes_distance(at, caps)))
            *at = lines[i].at;
    }
    return release_distance(at, caps) == 0 && lanes_distance(at, caps) == 1;
}

static float speed_of(const struct measured_at *at, const char *kernel, uint32_t class) {
    for (size_t i = 0; i < LINES; i++)
        if (!memcmp(&lines[i].at, at, sizeof *at) && !strcmp(lines[i].kernel, kernel))
            return lines[i].gflops[class];
    return 0;
}

uint32_t measured_place(const struct variant *v, const struct attention *a,
                        const struct caps *caps) {
    struct measured_at at;
    measured_nearest(caps, &at);
    const uint32_t class = head_class_number(larger_class(a) * 4);
    const float own = speed_of(&at, v->name, class);
    uint32_t faster = 0;
    if (own <= 0) return UINT32_MAX;
    for (size_t i = 0; i < LINES; i++)
        if (!memcmp(&lines[i].at, &at, sizeof at) && lines[i].gflops[class] > own) faster++;
    return faster;
}
