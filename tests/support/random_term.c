// SPDX-License-Identifier: MIT

#include "random_term.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define TOP INT64_C(2147483647)  // the largest number that a term may have

int64_t random_skewed(struct rng *rng, int64_t low, int64_t high) {
    const int64_t most = rng_chance(rng, 40) ? 4 : rng_chance(rng, 50) ? 40 : high;
    return rng_between(rng, low, low + most < high ? low + most : high);
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

static int64_t longest(const struct random_site *site) { return most(site->q_len, site->kv_len); }

static int64_t *own_list(const struct random_site *site, size_t count) {
    return site->own(site->user, count, sizeof(int64_t));
}

// -------------------------------------------------------------------------------------------------
// Terms with lists and masks

static void draw_positions(struct ref_term *term, const struct random_site *site, struct rng *rng) {
    const int64_t size = longest(site);
    term->list_len = (size_t)random_skewed(rng, 0, rng_chance(rng, 30) ? 60 : 12);
    int64_t *list = own_list(site, term->list_len);
    for (size_t n = 0; n < term->list_len; n++) {
        // in any order, perhaps twice, perhaps past the end
        list[n] = rng_between(rng, 0, rng_chance(rng, 10) ? 2 * size : size);
    }
    term->list = list;
}

static void draw_documents(struct ref_term *term, const struct random_site *site, struct rng *rng) {
    term->list_len = (size_t)random_skewed(rng, 2, 12);
    const int64_t length = 1 + 3 * longest(site) / (int64_t)term->list_len;
    int64_t *ends = own_list(site, term->list_len);
    for (size_t n = 1; n < term->list_len; n++) {
        ends[n] = ends[n - 1] + (rng_chance(rng, 15) ? 0 : random_skewed(rng, 0, length));
    }
    term->list = ends;
}

static int64_t draw_layouts(const struct random_site *site, struct rng *rng) {
    return rng_chance(rng, 60) ? 1 : rng_chance(rng, 50) ? site->kv_heads : site->heads;
}

static void draw_mask(struct ref_term *term, const struct random_site *site, struct rng *rng) {
    static const int64_t sizes[] = { 1, 3, 8, 16, 32, 64, 100 };
    term->block = sizes[rng_between(rng, 0, COUNT(sizes) - 1)];
    if (most(site->furthest, site->kv_len) / term->block > 400) {
        term->block = 64;
    }
    term->layouts = draw_layouts(site, rng);
    term->block_rows = site->furthest / term->block + 1 + rng_between(rng, 0, 1);
    term->block_cols = most(site->kv_len - 1, 0) / term->block + 1 + rng_between(rng, 0, 1);
    const size_t cells = (size_t)(term->layouts * term->block_rows * term->block_cols);
    uint8_t *mask = site->own(site->user, cells, 1);
    const int percent = rng_chance(rng, 25) ? 4 : (int)rng_between(rng, 0, 100);
    for (size_t n = 0; n < cells; n++) {
        mask[n] = rng_chance(rng, percent);
    }
    term->mask = mask;
}

// layouts lists of equal length: numbers up to `high`, some of them side by side, −1 among them.
static int64_t *draw_lists(const struct random_site *site, int64_t layouts, int64_t high,
                           size_t *len, struct rng *rng) {
    const int64_t count = rng_chance(rng, 10) ? 0 : random_skewed(rng, 1, 30);
    *len = (size_t)(layouts * count);
    int64_t *list = own_list(site, *len);
    for (size_t n = 0; n < *len; n++) {
        list[n] = rng_chance(rng, 15) ? -1
                  : n > 0 && list[n - 1] >= 0 && list[n - 1] < TOP && rng_chance(rng, 30)
                      ? list[n - 1] + 1
                  : rng_chance(rng, 2) ? TOP
                                       : rng_between(rng, 0, high);
    }
    return list;
}

static void draw_vertical_slash(struct ref_term *term, const struct random_site *site,
                                struct rng *rng) {
    term->layouts = draw_layouts(site, rng);
    term->list = draw_lists(site, term->layouts, site->kv_len + 3, &term->list_len, rng);
    term->diagonals = draw_lists(site, term->layouts, rng_chance(rng, 50) ? 40 : longest(site) + 3,
                                 &term->diagonals_len, rng);
}

// -------------------------------------------------------------------------------------------------
// Neighbourhoods

// Keys and dilation that fit an axis of n positions: one key, all that there is room for, any.
static void draw_axis(struct ref_term *term, int axis, int64_t n, struct rng *rng) {
    const int64_t dilation = rng_chance(rng, 50) ? 1 : rng_between(rng, 1, least(n, 7)),
                  room = n / dilation;
    term->dilation[axis] = dilation;
    term->kernel[axis] = rng_chance(rng, 15)   ? 1
                         : rng_chance(rng, 25) ? room
                         : rng_chance(rng, 50) ? rng_between(rng, 1, room)
                                               : random_skewed(rng, 1, room);
    term->causal_axis[axis] = rng_chance(rng, 30);
}

static void draw_neighborhood(struct ref_term *term, const struct random_site *site,
                              struct rng *rng) {
    term->axes = (int)rng_between(rng, 1, REF_AXES);
    if (term->axes == 1) {
        if (rng_chance(rng, 25)) {
            term->grid[0] = rng_between(rng, 1, 2 * longest(site) + 1);
        }
        draw_axis(term, 0, term->grid[0] == 0 ? site->keys_least : term->grid[0], rng);
        return;
    }
    // About as many positions as there are keys, half as many, or twice; one row or one column too.
    int64_t left = most(site->kv_len, 1);
    left = rng_chance(rng, 60) ? left : rng_chance(rng, 50) ? left / 2 + 1 : 2 * left;
    for (int axis = term->axes - 1; axis >= 0; axis--) {
        const int64_t side = rng_chance(rng, 15) ? 1
                             : axis == 0         ? left + rng_between(rng, 0, 1)
                                                 : rng_between(rng, 1, least(left, 40));
        term->grid[axis] = side;
        left = most(left / side, 1);
        draw_axis(term, axis, side, rng);
    }
}

// -------------------------------------------------------------------------------------------------
// One of a kind

struct ref_term random_term(const struct random_site *site, enum ref_kind kind, struct rng *rng) {
    struct ref_term term = { .kind = kind };
    const int64_t size = longest(site);
    switch (kind) {
    case REF_DENSE: break;
    case REF_WINDOW:
    case REF_DILATED:
        term.left = rng_chance(rng, 10) ? -1 : random_skewed(rng, 0, size);
        term.right = rng_chance(rng, 10)   ? -1
                     : rng_chance(rng, 40) ? 0
                                           : random_skewed(rng, 0, size);
        term.step = random_skewed(rng, 1, rng_chance(rng, 10) ? size + 5 : 20);
        break;
    case REF_GLOBAL:
    case REF_SINK:
    case REF_PREFIX: term.count = random_skewed(rng, 0, rng_chance(rng, 20) ? size + 3 : 30); break;
    case REF_STRIDED:
    case REF_CHUNKED: term.step = random_skewed(rng, 1, rng_chance(rng, 20) ? size + 5 : 20); break;
    case REF_FIXED:
        term.step = random_skewed(rng, 1, rng_chance(rng, 10) ? size + 5 : 60);
        term.count = rng_between(rng, 1, rng_chance(rng, 70) && term.step > 3 ? 3 : term.step);
        break;
    case REF_A_SHAPE:
        term.count = random_skewed(rng, 0, rng_chance(rng, 20) ? size + 3 : 30);
        term.block = random_skewed(rng, 1, rng_chance(rng, 20) ? size + 3 : 60);
        break;
    case REF_GLOBAL_LIST: draw_positions(&term, site, rng); break;
    case REF_BLOCKS: draw_mask(&term, site, rng); break;
    case REF_RANDOM: {
        static const int64_t sizes[] = { 1, 5, 16, 32, 64 };
        term.block = sizes[rng_between(rng, 0, COUNT(sizes) - 1)];
        term.count = rng_between(rng, 1, 6);
        term.seed = rng_next(rng);
        break;
    }
    case REF_DOCUMENTS: draw_documents(&term, site, rng); break;
    case REF_VERTICAL_SLASH: draw_vertical_slash(&term, site, rng); break;
    case REF_NEIGHBORHOOD: draw_neighborhood(&term, site, rng); break;
    }
    return term;
}

// -------------------------------------------------------------------------------------------------
// Intersections

// Steps that have no factor in common. Of two or three large ones the least common multiple exceeds
// 31 bits, or 64: then nothing but p = j is left.
static void draw_coprime(struct ref_term *factors, size_t count, struct rng *rng) {
    static const int64_t steps[][RANDOM_FACTORS_MOST] = {
        { 2, 3, 5 },
        { 7, 12, 25 },
        { 31, 32, 33 },
        { 64, 81, 1 },
        { 1, 97, 9 },
        { 46341, 46342, 46343 },
        { TOP, TOP - 1, TOP - 2 },
    };
    const size_t row = (size_t)rng_between(rng, 0, COUNT(steps) - 1);
    for (size_t n = 0; n < count; n++) {
        factors[n] = (struct ref_term){ .kind = REF_STRIDED, .step = steps[row][n] };
        if (rng_chance(rng, 30)) {
            factors[n].kind = REF_DILATED;
            factors[n].left = random_skewed(rng, 0, 60);
            factors[n].right = rng_chance(rng, 50) ? -1 : random_skewed(rng, 0, 60);
        }
    }
}

// A short window, and diagonals or columns that it does not reach.
static void draw_apart(struct ref_term *factors, const struct random_site *site, struct rng *rng) {
    const int64_t left = random_skewed(rng, 0, 20);
    factors[0] = (struct ref_term){ .kind = REF_WINDOW, .left = left, .right = 0 };
    if (rng_chance(rng, 50)) {
        factors[1] = (struct ref_term){ .kind = REF_SINK, .count = rng_between(rng, 1, 3) };
        return;
    }
    int64_t *diagonals = own_list(site, 2);
    diagonals[0] = left + 1;
    diagonals[1] = left + rng_between(rng, 1, 60);
    factors[1] = (struct ref_term){
        .kind = REF_VERTICAL_SLASH, .diagonals = diagonals, .diagonals_len = 2, .layouts = 1
    };
}

struct ref_term random_intersection(const struct random_site *site, struct rng *rng) {
    const size_t count = rng_chance(rng, 65) ? 2 : RANDOM_FACTORS_MOST;
    struct ref_term *factors = site->own(site->user, RANDOM_FACTORS_MOST, sizeof *factors);
    for (size_t n = 0; n < count; n++) {
        factors[n] = random_term(site, (enum ref_kind)rng_between(rng, 0, REF_KINDS - 1), rng);
    }
    const int64_t way = rng_between(rng, 0, 9);
    if (way == 0) {
        draw_coprime(factors, count, rng);
    } else if (way == 1) {
        draw_apart(factors, site, rng);
    } else if (way == 2) {
        factors[1] = factors[0];
    }
    struct ref_term first = factors[0];
    if (count == RANDOM_FACTORS_MOST && rng_chance(rng, 30)) {  // a & (b & c)
        factors[1].factors = &factors[2];
        factors[1].n_factors = 1;
        first.n_factors = 1;
    } else {
        first.n_factors = count - 1;
    }
    first.factors = &factors[1];
    return first;
}

// -------------------------------------------------------------------------------------------------
// Small pieces

static void draw_specks(const struct ref_term *term, uint8_t *mask, struct rng *rng) {
    const size_t cells = (size_t)(term->block_rows * term->block_cols);
    const int percent = (int)rng_between(rng, 1, 30);
    for (size_t n = 0; n < cells; n++) {
        mask[n] = rng_chance(rng, percent);
    }
}

// Narrow and wide ones in turn, of none, all or some of 8 rows.
static void draw_rectangles(const struct ref_term *term, uint8_t *mask, struct rng *rng) {
    for (int64_t row = 0; row < term->block_rows; row += 8) {
        for (int64_t key = 0, end; key < term->block_cols; key = end) {
            end = least(key + rng_between(rng, 1, rng_chance(rng, 60) ? 8 : 70), term->block_cols);
            const int64_t way = rng_between(rng, 0, 2);
            const int64_t first = way < 2 ? row : row + rng_between(rng, 0, 7),
                          past = way == 0   ? row
                                 : way == 1 ? row + 8
                                            : rng_between(rng, first + 1, row + 8);
            for (int64_t r = first; r < least(past, term->block_rows); r++) {
                for (int64_t j = key; j < end; j++) {
                    mask[r * term->block_cols + j] = 1;
                }
            }
        }
    }
}

static void draw_small_blocks(struct ref_term *term, const struct random_site *site, bool specks,
                              struct rng *rng) {
    term->block = specks ? rng_between(rng, 1, 12) : 1;
    term->layouts = 1;
    term->block_rows = site->furthest / term->block + 1;
    term->block_cols = most(site->kv_len - 1, 0) / term->block + 1;
    uint8_t *mask = site->own(site->user, (size_t)(term->block_rows * term->block_cols), 1);
    if (specks) {
        draw_specks(term, mask, rng);
    } else {
        draw_rectangles(term, mask, rng);
    }
    term->mask = mask;
}

struct ref_term random_scattered(const struct random_site *site, struct rng *rng) {
    struct ref_term term = { .kind = REF_VERTICAL_SLASH };
    const int64_t way = rng_between(rng, 0, 7);
    if (way < 2) {
        term = (struct ref_term){ .kind = REF_RANDOM,
                                  .block = rng_between(rng, 1, 5),
                                  .count = rng_between(rng, 1, 40),
                                  .seed = rng_next(rng) };
    } else if (way < 6) {
        term = (struct ref_term){ .kind = REF_BLOCKS };
        draw_small_blocks(&term, site, way < 4, rng);
    } else if (way == 6) {
        draw_vertical_slash(&term, site, rng);
    } else {
        term = (struct ref_term){ .kind = REF_GLOBAL_LIST };
        draw_positions(&term, site, rng);
    }
    if (rng_chance(rng, 40)) {
        struct ref_term *factor = site->own(site->user, 1, sizeof *factor);
        *factor = rng_chance(rng, 50)
                      ? (struct ref_term){ .kind = REF_WINDOW,
                                           .left = rng_between(rng, 0, longest(site)),
                                           .right = rng_between(rng, 0, longest(site)) }
                      : (struct ref_term){ .kind = REF_STRIDED, .step = rng_between(rng, 2, 9) };
        term.factors = factor;
        term.n_factors = 1;
    }
    return term;
}
