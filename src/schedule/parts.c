// SPDX-License-Identifier: MIT
//
// A union → parts: terms that want the same step are tiled together; a pair belongs to the first
// part that takes it.
#include <stdlib.h>
#include <string.h>

#include "common/arithmetic.h"
#include "plan_memory.h"
#include "schedule/schedule.h"

int64_t tiles_count(int64_t step, int64_t rows, int32_t tile_rows) {
    int64_t each = rows / step, longer = rows % step;
    return longer * ceil_div(each + 1, tile_rows) + (step - longer) * ceil_div(each, tile_rows);
}

bool tiles_each(int64_t step, int64_t first, int64_t end, int32_t tile_rows, tile_callback each,
                void *user) {
    int64_t index = 0;
    for (int64_t a = 0; a < step && first + a < end; a++)
        for (int64_t row = first + a; row < end; row += step * tile_rows) {
            int64_t left =
                end - row > step * (tile_rows - 1) ? tile_rows : ceil_div(end - row, step);
            if (!each(user, row, (int32_t)left, index++)) return false;
        }
    return true;
}

/// The keys that every row takes one by one, of all terms of the part.
static bool make_list(const struct site *site, int64_t list_most, struct part *part) {
    int64_t begin = site->kv_start, end = site->at.kv_len, most = 0, count = 0;
    for (uint32_t i = 0; i < part->include_count; i++) {
        const struct term *term = part->include[i];
        if (term->kind == TULLE_FIXED) most += ((end - begin) / term->step + 2) * term->count;
        if (term->kind == TULLE_GLOBAL_LIST) most += (int64_t)term->position_count;
    }
    if (most == 0 || begin >= end) return true;
    if (most > end - begin) most = end - begin;
    if (most > list_most) return true;
    // Merge by marking: at most one entry a key, rising, whatever terms there are.
    part->list = malloc((size_t)most * sizeof *part->list);
    if (!part->list) return false;
    int64_t next = begin;
    while (next < end) {
        int64_t low = end;  // the lowest listed key ≥ next
        for (uint32_t i = 0; i < part->include_count; i++) {
            const struct term *term = part->include[i];
            if (term->kind == TULLE_FIXED) {
                int64_t in = next % term->step, key = in >= term->step - term->count
                                                          ? next
                                                          : next - in + term->step - term->count;
                if (key < low) low = key;
            } else if (term->kind == TULLE_GLOBAL_LIST) {
                size_t a = 0, b = term->position_count;
                while (a < b) {
                    size_t m = (a + b) / 2;
                    if (term->positions[m] < next) a = m + 1;
                    else b = m;
                }
                if (a < term->position_count && term->positions[a] < low) low = term->positions[a];
            }
        }
        if (low >= end) break;
        part->list[count++] = (int32_t)low;
        next = low + 1;
    }
    part->list_count = count;
    return true;
}

struct sample {
    struct tiler *tiler;
    int64_t every, next, chunks, taken;
    bool failed;
};

static bool sample_tile(void *user, int64_t row, int32_t rows, int64_t index) {
    struct sample *s = user;
    if (index < s->next) return true;
    s->next += s->every;
    if (!tile_runs(s->tiler, row, rows)) {
        s->failed = true;
        return false;
    }
    s->chunks += tile_chunks(s->tiler);
    s->taken++;
    return true;
}

/// Chunks that a part of these terms would take, from 9 tiles or so; −1: out of memory.
static int64_t cost(const struct site *site, const struct term *const *terms, uint32_t count,
                    int64_t step, int32_t tile_rows, int32_t chunk, int64_t list_most) {
    struct part part = { .step = step, .include = terms, .include_count = count };
    struct tiler tiler = { .site = site, .part = &part, .tile_rows = tile_rows, .chunk = chunk };
    int64_t tiles = tiles_count(step, site->q_len, tile_rows);
    struct sample s = { .tiler = &tiler, .every = tiles / 9 + 1 };
    if (step == 1 && !make_list(site, list_most, &part)) return -1;
    tiles_each(step, 0, site->q_len, tile_rows, sample_tile, &s);
    free(part.list);
    tiler_free(&tiler);
    return s.failed ? -1 : s.taken ? s.chunks * tiles / s.taken : 0;
}

void parts_free(struct part *parts, uint32_t count) {
    for (uint32_t i = 0; parts && i < count; i++) {
        free(parts[i].list);
        free((void *)parts[i].include);
    }
    free(parts);
}

bool parts_create(const struct site *site, int32_t tile_rows, int32_t chunk, int64_t list_most,
                  struct part **out, uint32_t *out_count) {
    const tulle_pattern *pattern = site->pattern;
    uint32_t n = pattern->canonical_count, count = 0;
    struct part *parts = calloc(n, sizeof *parts);
    // one array of terms in the parts' order; part k excludes all before its own
    const struct term **order = malloc(2 * (size_t)n * sizeof *order);
    bool *plain = calloc(n, sizeof *plain);
    if (!parts || !order || !plain) goto failed;
    const struct term **some = order + n;
    uint32_t plain_count = 0, stepped = 0;
    // Terms of step 1, and those that cost less there: where a class has fewer rows than a tile, or
    // little reach.
    for (uint32_t i = 0; i < n; i++)
        if (term_step(pattern->canonical[i]) == 1) {
            plain[i] = true;
            some[plain_count++] = pattern->canonical[i];
        }
    for (uint32_t i = 0; i < n;) {
        const struct term *term = pattern->canonical[i];
        int64_t step = term_step(term);
        uint32_t end = i;
        while (end < n && term_step(pattern->canonical[end]) == step) end++;
        int64_t reach = term->kind == TULLE_DILATED && term->left >= 0 && term->right >= 0
                            ? (term->left + term->right) * term->step
                            : INT64_MAX;
        // combine takes no more parts, and one is for step 1
        bool crowded = step > 1 && stepped + 1 == PM_PARTS_MOST;
        if (step > 1 && !crowded && (site->q_len < step * tile_rows || reach <= 8 * tile_rows)) {
            int64_t apart =
                cost(site, pattern->canonical + i, end - i, step, tile_rows, chunk, list_most);
            int64_t without =
                plain_count ? cost(site, some, plain_count, 1, tile_rows, chunk, list_most) : 0;
            for (uint32_t k = i; k < end; k++) some[plain_count + k - i] = pattern->canonical[k];
            int64_t with = cost(site, some, plain_count + end - i, 1, tile_rows, chunk, list_most);
            if (apart < 0 || without < 0 || with < 0) goto failed;
            // a second part also writes and merges partial results: about two chunks a tile, as
            // combine does it; less where the other part resumes them
            if (plain_count) apart += 2 * tiles_count(step, site->q_len, tile_rows);
            crowded = with - without <= apart;
        }
        for (uint32_t k = i; k < end && crowded; k++) {
            plain[k] = true;
            some[plain_count++] = pattern->canonical[k];
        }
        if (step > 1 && !crowded) stepped++;
        i = end;
    }
    uint32_t used = 0;
    for (uint32_t i = 0; i < n; i++)
        if (plain[i]) order[used++] = pattern->canonical[i];
    if (used) parts[count++] = (struct part){ .step = 1, .include_count = used };
    for (uint32_t i = 0; i < n; i++) {
        if (plain[i]) continue;
        int64_t step = term_step(pattern->canonical[i]);
        if (!count || parts[count - 1].step != step || parts[count - 1].step == 1)
            parts[count++] = (struct part){ .step = step };
        parts[count - 1].include_count++;
        order[used++] = pattern->canonical[i];
    }
    free(plain);
    plain = NULL;
    uint32_t before = 0;
    for (uint32_t k = 0; k < count; k++) {
        // each part owns a copy of its terms, followed by nothing: its excludes are a copy of those
        // before it
        uint32_t own = parts[k].include_count;
        const struct term **terms = malloc((own + before + 1) * sizeof *terms);
        if (!terms) goto failed;
        memcpy(terms, order + before, own * sizeof *terms);
        memcpy(terms + own, order, before * sizeof *terms);
        parts[k].include = terms;
        parts[k].exclude = terms + own;
        parts[k].exclude_count = before;
        before += own;
        if (parts[k].step == 1 && !make_list(site, list_most, &parts[k])) goto failed;
    }
    free(order);
    *out = parts;
    *out_count = count;
    return true;
failed:
    free(order);
    free(plain);
    if (parts) parts_free(parts, count);
    return false;
}
