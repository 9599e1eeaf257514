// SPDX-License-Identifier: MIT

#include "reference.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void ref_die(const char *why) {
    fprintf(stderr, "reference: %s\n", why);
    abort();
}

static void *ref_allocate(size_t count, size_t size) {
    void *memory = calloc(count > 0 ? count : 1, size);
    if (memory == NULL) {
        ref_die("out of memory");
    }
    return memory;
}

// Floor of a / b for b > 0, also below zero.
static int64_t ref_floor_div(int64_t a, int64_t b) {
    int64_t quotient = a / b;
    return a % b < 0 ? quotient - 1 : quotient;
}

// -------------------------------------------------------------------------------------------------
// Random blocks

void ref_philox4x32_10(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t product0 = UINT64_C(0xD2511F53) * c0;
        uint64_t product1 = UINT64_C(0xCD9E8D57) * c2;
        c0 = (uint32_t)(product1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)product1;
        c2 = (uint32_t)(product0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)product0;
        k0 += UINT32_C(0x9E3779B9);
        k1 += UINT32_C(0xBB67AE85);
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

// The blocks drawn for one (term, head, block row, candidates); kept from one pair to the next,
// since all rows of a block and all keys share them.
struct ref_draw {
    const struct ref_term *term;
    int64_t head, block_row, candidates;
    int64_t *blocks;  // n_blocks entries, in the order drawn; NULL: nothing is drawn yet
    int64_t n_blocks;
};

// One for each random term, factors included, that was asked about so far.
struct ref_draws {
    struct ref_draw *of;
    size_t count;
};

static struct ref_draw *ref_draw_of(struct ref_draws *draws, const struct ref_term *term) {
    for (size_t n = 0; n < draws->count; n++) {
        if (draws->of[n].term == term) {
            return &draws->of[n];
        }
    }
    struct ref_draw *more = realloc(draws->of, (draws->count + 1) * sizeof *more);
    if (more == NULL) {
        ref_die("out of memory");
    }
    draws->of = more;
    more[draws->count] = (struct ref_draw){ .term = term };
    return &more[draws->count++];
}

static void ref_free_draws(struct ref_draws *draws) {
    for (size_t n = 0; n < draws->count; n++) {
        free(draws->of[n].blocks);
    }
    free(draws->of);
}

static bool ref_drawn(const struct ref_draw *draw, int64_t block) {
    for (int64_t n = 0; n < draw->n_blocks; n++) {
        if (draw->blocks[n] == block) {
            return true;
        }
    }
    return false;
}

// Floyd's sampling of term->count blocks out of 0 ... candidates - 1, for term->count < candidates.
static void ref_fill_draw(struct ref_draw *draw, const struct ref_term *term, int64_t head,
                          int64_t block_row, int64_t candidates) {
    free(draw->blocks);
    draw->head = head;
    draw->block_row = block_row;
    draw->candidates = candidates;
    draw->blocks = ref_allocate((size_t)term->count, sizeof *draw->blocks);
    draw->n_blocks = 0;

    const uint32_t key[2] = { (uint32_t)term->seed, (uint32_t)(term->seed >> 32) };
    for (int64_t t = candidates - term->count; t < candidates; t++) {
        const uint32_t counter[4] = { (uint32_t)t, (uint32_t)block_row, (uint32_t)head, 0 };
        uint32_t words[4];
        ref_philox4x32_10(counter, key, words);
        int64_t u = (int64_t)(((uint64_t)words[0] * ((uint64_t)t + 1)) >> 32);
        draw->blocks[draw->n_blocks] = ref_drawn(draw, u) ? t : u;
        draw->n_blocks++;
    }
}

static bool ref_random_selects(const struct ref_term *term, int64_t p, int64_t j, int64_t head,
                               int64_t kv_len, bool causal, struct ref_draws *draws) {
    if (p < 0) {
        return false;
    }
    int64_t block_row = ref_floor_div(p, term->block);
    int64_t block_col = ref_floor_div(j, term->block);
    int64_t candidates =
        causal ? block_row + 1 : ref_floor_div(kv_len + term->block - 1, term->block);
    if (term->count >= candidates) {
        return 0 <= block_col && block_col < candidates;
    }
    struct ref_draw *draw = ref_draw_of(draws, term);
    if (draw->blocks == NULL || draw->head != head || draw->block_row != block_row ||
        draw->candidates != candidates) {
        ref_fill_draw(draw, term, head, block_row, candidates);
    }
    return ref_drawn(draw, block_col);
}

// -------------------------------------------------------------------------------------------------
// Selection

static int64_t ref_layout(const struct ref_term *term, int64_t head, int64_t heads,
                          int64_t kv_heads) {
    if (term->layouts == 1) {
        return 0;
    }
    if (term->layouts == heads) {
        return head;
    }
    if (term->layouts != kv_heads) {
        ref_die("a term has neither one layout nor one per kv head nor one per head");
    }
    return head * kv_heads / heads;
}

static bool ref_blocks_selects(const struct ref_term *term, int64_t p, int64_t j, int64_t head,
                               int64_t heads, int64_t kv_heads) {
    if (p < 0) {
        return false;
    }
    int64_t layout = ref_layout(term, head, heads, kv_heads);
    int64_t row = ref_floor_div(p, term->block);
    int64_t col = ref_floor_div(j, term->block);
    if (row >= term->block_rows || col < 0 || col >= term->block_cols) {
        ref_die("a block mask does not cover a position that was asked about");
    }
    return term->mask[(layout * term->block_rows + row) * term->block_cols + col] != 0;
}

static bool ref_listed(const int64_t *list, size_t count, int64_t number) {
    for (size_t n = 0; n < count; n++) {
        if (list[n] == number) {
            return true;
        }
    }
    return false;
}

// -1 in a list is no number of it: no column is -1, and no diagonal either.
static bool ref_vertical_slash_selects(const struct ref_term *term, int64_t p, int64_t j,
                                       int64_t head, int64_t heads, int64_t kv_heads) {
    const size_t layout = (size_t)ref_layout(term, head, heads, kv_heads),
                 columns = term->list_len / (size_t)term->layouts,
                 diagonals = term->diagonals_len / (size_t)term->layouts;
    return (j >= 0 && ref_listed(term->list + layout * columns, columns, j)) ||
           (p - j >= 0 && ref_listed(term->diagonals + layout * diagonals, diagonals, p - j));
}

// The rule of one axis of n positions: is j among the kernel's keys of p?
static bool ref_axis_selects(int64_t p, int64_t j, int64_t n, int64_t kernel, int64_t dilation,
                             bool causal) {
    if (kernel * dilation > n) {
        ref_die("a neighbourhood is larger than its axis");
    }
    if (p < 0 || p >= n || j < 0 || j >= n || j % dilation != p % dilation) {
        return false;
    }
    const int64_t place = p / dilation, m = j / dilation;
    // how many positions of the axis have p's residue
    const int64_t places = (n - p % dilation + dilation - 1) / dilation;
    if (causal) {
        return place - kernel + 1 <= m && m <= place;
    }
    int64_t start = place - kernel / 2;
    if (start > places - kernel) {
        start = places - kernel;
    }
    if (start < 0) {
        start = 0;
    }
    return start <= m && m < start + kernel;
}

static bool ref_neighborhood_selects(const struct ref_term *term, int64_t p, int64_t j,
                                     int64_t kv_len) {
    int64_t positions = 1;
    int64_t grid[REF_AXES];
    for (int axis = 0; axis < term->axes; axis++) {
        grid[axis] = term->axes == 1 && term->grid[0] == 0 ? kv_len : term->grid[axis];
        positions *= grid[axis];
    }
    if (p < 0 || p >= positions || j < 0 || j >= positions) {
        return false;
    }
    bool selected = true;
    for (int axis = term->axes - 1; axis >= 0; axis--) {  // the last one runs fastest
        selected = ref_axis_selects(p % grid[axis], j % grid[axis], grid[axis], term->kernel[axis],
                                    term->dilation[axis], term->causal_axis[axis]) &&
                   selected;
        p /= grid[axis];
        j /= grid[axis];
    }
    return selected;
}

// The document d with c_d <= position < c_{d+1}, or -1.
static int64_t ref_document(const struct ref_term *term, int64_t position) {
    for (size_t d = 0; d + 1 < term->list_len; d++) {
        if (term->list[d] <= position && position < term->list[d + 1]) {
            return (int64_t)d;
        }
    }
    return -1;
}

// The term alone, without its factors.
static bool ref_kind_selects(const struct ref_term *term, int64_t p, int64_t j, int64_t head,
                             int64_t heads, int64_t kv_heads, int64_t kv_len, bool causal,
                             struct ref_draws *draws) {
    const int64_t distance = p - j;
    switch (term->kind) {
    case REF_DENSE: return true;
    case REF_WINDOW:
        return (term->left == -1 || distance <= term->left) &&
               (term->right == -1 || -term->right <= distance);
    case REF_DILATED:
        return (term->left == -1 || distance <= term->left * term->step) &&
               (term->right == -1 || -term->right * term->step <= distance) &&
               distance % term->step == 0;
    case REF_GLOBAL: return j < term->count || (0 <= p && p < term->count);
    case REF_GLOBAL_LIST:
        return ref_listed(term->list, term->list_len, j) ||
               ref_listed(term->list, term->list_len, p);
    case REF_SINK: return j < term->count;
    case REF_STRIDED: return distance % term->step == 0;
    case REF_FIXED:
        return ref_floor_div(p, term->step) == ref_floor_div(j, term->step) ||
               j - term->step * ref_floor_div(j, term->step) >= term->step - term->count;
    case REF_BLOCKS: return ref_blocks_selects(term, p, j, head, heads, kv_heads);
    case REF_RANDOM: return ref_random_selects(term, p, j, head, kv_len, causal, draws);
    case REF_DOCUMENTS: {
        int64_t document = ref_document(term, p);
        return document != -1 && document == ref_document(term, j);
    }
    case REF_PREFIX: return (p < term->count && j < term->count) || j <= p;
    case REF_CHUNKED: return ref_floor_div(p, term->step) == ref_floor_div(j, term->step);
    case REF_A_SHAPE: return j < term->count || (0 <= distance && distance < term->block);
    case REF_VERTICAL_SLASH: return ref_vertical_slash_selects(term, p, j, head, heads, kv_heads);
    case REF_NEIGHBORHOOD: return ref_neighborhood_selects(term, p, j, kv_len);
    }
    ref_die("unknown kind of term");
    return false;
}

static bool ref_term_selects(const struct ref_term *term, int64_t p, int64_t j, int64_t head,
                             int64_t heads, int64_t kv_heads, int64_t kv_len, bool causal,
                             struct ref_draws *draws) {
    if (!ref_kind_selects(term, p, j, head, heads, kv_heads, kv_len, causal, draws)) {
        return false;
    }
    for (size_t n = 0; n < term->n_factors; n++) {
        if (!ref_term_selects(&term->factors[n], p, j, head, heads, kv_heads, kv_len, causal,
                              draws)) {
            return false;
        }
    }
    return true;
}

static bool ref_pattern_selects(const struct ref_pattern *pattern, int64_t p, int64_t j,
                                int64_t head, int64_t heads, int64_t kv_heads, int64_t kv_len,
                                bool causal, struct ref_draws *draws) {
    for (size_t n = 0; n < pattern->n_terms; n++) {
        if (ref_term_selects(&pattern->terms[n], p, j, head, heads, kv_heads, kv_len, causal,
                             draws)) {
            return true;
        }
    }
    return false;
}

bool ref_selects(const struct ref_pattern *pattern, int64_t p, int64_t j, int64_t head,
                 int64_t heads, int64_t kv_heads, int64_t kv_len, bool causal) {
    struct ref_draws draws = { 0 };
    bool selected =
        ref_pattern_selects(pattern, p, j, head, heads, kv_heads, kv_len, causal, &draws);
    ref_free_draws(&draws);
    return selected;
}

// -------------------------------------------------------------------------------------------------
// Attention

// One batch entry and head.
struct ref_slice {
    const struct ref_problem *problem;
    const struct ref_pattern *pattern;
    int64_t head;
    int64_t offset, q_length, kv_length, kv_start;
    int64_t batch_entry, kv_head;
    const double *q;                 // of this batch entry and head
    double *o, *lse;                 // likewise
    double *absolute, *score_bound;  // likewise, or NULL
    const uint8_t *tree;             // [q_len][q_len], or NULL
    struct ref_draws *draws;
    int64_t *keys;   // [kv_len]: the selected keys of the row at hand
    double *logits;  // [kv_len]: their z_ij
};

// Which row of k and of v key j of the slice is, counted from their first.
static int64_t ref_key_row(const struct ref_slice *slice, int64_t j) {
    const struct ref_problem *problem = slice->problem;
    const int64_t size = problem->page_size;
    if (size == 0) {
        return (slice->batch_entry * problem->kv_heads + slice->kv_head) * problem->kv_len + j;
    }
    if (j / size >= problem->table_columns) {
        ref_die("the page table has no column for a key");
    }
    const int64_t page =
        problem->page_table[slice->batch_entry * problem->table_columns + j / size];
    if (page < 0 || page >= problem->pages) {
        ref_die("a cell of the page table that is needed names no page");
    }
    return (page * problem->kv_heads + slice->kv_head) * size + j % size;
}

// Returns how many keys the row selects.
static uint64_t ref_row(const struct ref_slice *slice, int64_t row) {
    const struct ref_problem *problem = slice->problem;
    const int64_t head_dim = problem->head_dim, v_head_dim = problem->v_head_dim;
    const int64_t p = row + slice->offset;
    const double scale = problem->scale == 0.0 ? 1.0 / sqrt((double)head_dim) : problem->scale;
    double *o = slice->o + row * v_head_dim;
    double *absolute = slice->absolute == NULL ? NULL : slice->absolute + row * v_head_dim;

    for (int64_t d = 0; d < v_head_dim; d++) {
        o[d] = 0.0;
        if (absolute != NULL) {
            absolute[d] = 0.0;
        }
    }
    slice->lse[row] = -INFINITY;
    if (slice->score_bound != NULL) {
        slice->score_bound[row] = 0.0;
    }
    if (row >= slice->q_length) {
        return 0;
    }

    // The set A_i and its logits.
    int64_t selected = 0;
    double largest_bound = 0.0;
    for (int64_t j = slice->kv_start; j < slice->kv_length; j++) {
        const int64_t column = j - (slice->kv_length - slice->q_length);
        if (slice->tree != NULL && column >= 0) {
            if (slice->tree[row * problem->q_len + column] == 0) {
                continue;
            }
        } else {
            if (problem->causal && j > p) {
                continue;
            }
            if (!ref_pattern_selects(slice->pattern, p, j, slice->head, problem->heads,
                                     problem->kv_heads, slice->kv_length, problem->causal,
                                     slice->draws)) {
                continue;
            }
        }
        const double *key = problem->k + ref_key_row(slice, j) * head_dim;
        double dot = 0.0, dot_of_absolutes = 0.0;
        for (int64_t d = 0; d < head_dim; d++) {
            double product = slice->q[row * head_dim + d] * key[d];
            dot += product;
            dot_of_absolutes += fabs(product);
        }
        double logit = scale * dot;
        if (problem->softcap != 0.0) {
            logit = problem->softcap * tanh(logit / problem->softcap);
        }
        double bias = 0.0;
        if (problem->slopes != NULL) {
            bias = -problem->slopes[slice->head] * fabs((double)(p - j));
        }
        slice->keys[selected] = j;
        slice->logits[selected] = logit + bias;
        selected++;
        largest_bound = fmax(largest_bound, fabs(scale) * dot_of_absolutes + fabs(bias));
    }
    if (slice->score_bound != NULL) {
        slice->score_bound[row] = largest_bound;
    }

    // First pass: the largest logit.
    double largest = problem->sink_logits == NULL ? -INFINITY : problem->sink_logits[slice->head];
    for (int64_t n = 0; n < selected; n++) {
        largest = fmax(largest, slice->logits[n]);
    }
    if (selected == 0) {
        slice->lse[row] = largest;
        return 0;
    }

    // Second pass: the denominator and the weighted values.
    double denominator = 0.0;
    if (problem->sink_logits != NULL) {
        denominator += exp(problem->sink_logits[slice->head] - largest);
    }
    for (int64_t n = 0; n < selected; n++) {
        double weight = exp(slice->logits[n] - largest);
        denominator += weight;
        const double *value = problem->v + ref_key_row(slice, slice->keys[n]) * v_head_dim;
        for (int64_t d = 0; d < v_head_dim; d++) {
            o[d] += weight * value[d];
            if (absolute != NULL) {
                absolute[d] += weight * fabs(value[d]);
            }
        }
    }
    for (int64_t d = 0; d < v_head_dim; d++) {
        o[d] /= denominator;
        if (absolute != NULL) {
            absolute[d] /= denominator;
        }
    }
    slice->lse[row] = largest + log(denominator);
    return (uint64_t)selected;
}

static void ref_check(const struct ref_problem *problem) {
    if (problem->n_patterns == 0) {
        ref_die("no pattern");
    }
    if (problem->head_pattern != NULL) {
        for (int64_t head = 0; head < problem->heads; head++) {
            if (problem->head_pattern[head] < 0 ||
                (size_t)problem->head_pattern[head] >= problem->n_patterns) {
                ref_die("a head's pattern index is out of range");
            }
        }
    }
    if (problem->trees != NULL && problem->n_q_offset != 0) {
        ref_die("trees with query offsets");
    }
    if (problem->n_q_offset > 1 && problem->n_q_offset != (size_t)problem->batch) {
        ref_die("the number of query offsets is neither 0 nor 1 nor the batch size");
    }
    for (int64_t b = 0; b < problem->batch; b++) {
        if (problem->q_lengths != NULL &&
            (problem->q_lengths[b] < 0 || problem->q_lengths[b] > problem->q_len)) {
            ref_die("a query length is out of range");
        }
        if (problem->kv_lengths != NULL &&
            (problem->kv_lengths[b] < 0 || problem->kv_lengths[b] > problem->kv_len)) {
            ref_die("a key length is out of range");
        }
        if (problem->kv_starts != NULL && problem->kv_starts[b] < 0) {
            ref_die("a key start is negative");
        }
    }
}

void ref_attention(const struct ref_problem *problem) {
    ref_check(problem);
    int64_t *keys = ref_allocate((size_t)problem->kv_len, sizeof *keys);
    double *logits = ref_allocate((size_t)problem->kv_len, sizeof *logits);
    uint64_t pairs = 0;

    for (int64_t b = 0; b < problem->batch; b++) {
        for (int64_t head = 0; head < problem->heads; head++) {
            const int64_t q_row = (b * problem->heads + head) * problem->q_len;
            struct ref_slice slice = { 0 };
            slice.problem = problem;
            slice.pattern =
                &problem->patterns[problem->head_pattern == NULL ? 0 : problem->head_pattern[head]];
            slice.head = head;
            slice.batch_entry = b;
            slice.kv_head = head * problem->kv_heads / problem->heads;
            slice.q_length = problem->q_lengths == NULL ? problem->q_len : problem->q_lengths[b];
            slice.kv_length =
                problem->kv_lengths == NULL ? problem->kv_len : problem->kv_lengths[b];
            slice.kv_start = problem->kv_starts == NULL ? 0 : problem->kv_starts[b];
            if (problem->n_q_offset == 0) {
                slice.offset = slice.kv_length - slice.q_length;
            } else {
                slice.offset = problem->q_offset[problem->n_q_offset == 1 ? 0 : b];
            }
            slice.q = problem->q + q_row * problem->head_dim;
            slice.o = problem->o + q_row * problem->v_head_dim;
            slice.lse = problem->lse + q_row;
            slice.absolute =
                problem->absolute == NULL ? NULL : problem->absolute + q_row * problem->v_head_dim;
            slice.score_bound = problem->score_bound == NULL ? NULL : problem->score_bound + q_row;
            slice.tree = problem->trees == NULL
                             ? NULL
                             : problem->trees + b * problem->q_len * problem->q_len;
            struct ref_draws draws = { 0 };
            slice.draws = &draws;
            slice.keys = keys;
            slice.logits = logits;
            for (int64_t row = 0; row < problem->q_len; row++) {
                pairs += ref_row(&slice, row);
            }
            ref_free_draws(&draws);
        }
    }
    if (problem->pairs != NULL) {
        *problem->pairs = pairs;
    }
    free(logits);
    free(keys);
}

// -------------------------------------------------------------------------------------------------
// 16-bit floats: a sign, then exponent bits, then fraction bits. Normal numbers have exponents from
// lowest on.

static double ref_from_bits(uint16_t bits, int fraction_bits, int lowest) {
    const int fraction = bits & ((1 << fraction_bits) - 1);
    const int exponent = (bits & 0x7fff) >> fraction_bits;
    const int all_ones = 0x7fff >> fraction_bits;
    double magnitude;
    if (exponent == all_ones) {
        magnitude = fraction == 0 ? INFINITY : NAN;
    } else if (exponent == 0) {
        magnitude = ldexp(fraction, lowest - fraction_bits);
    } else {
        magnitude = ldexp((1 << fraction_bits) + fraction, lowest + exponent - 1 - fraction_bits);
    }
    return copysign(magnitude, (bits & 0x8000) != 0 ? -1.0 : 1.0);
}

static uint16_t ref_to_bits(double value, int fraction_bits, int lowest) {
    const int sign = signbit(value) ? 0x8000 : 0;
    const int infinity = (0x7fff >> fraction_bits) << fraction_bits;
    if (isnan(value)) {
        return (uint16_t)(sign | infinity | (1 << (fraction_bits - 1)));
    }
    if (isinf(value)) {
        return (uint16_t)(sign | infinity);
    }
    if (value == 0.0) {
        return (uint16_t)sign;
    }
    const double magnitude = fabs(value);
    int exponent;
    // magnitude < 2^exponent, so its leading bit is worth 2^(exponent - 1)
    frexp(magnitude, &exponent);
    exponent--;
    if (exponent > 1 - lowest) {  // the highest exponent of a finite number is 1 - lowest
        return (uint16_t)(sign | infinity);
    }
    if (exponent < lowest) {
        exponent = lowest;
    }
    // The magnitude in units of the last place, rounded. Scaling by a power of two is exact, and so
    // is the remainder.
    const double units = ldexp(magnitude, fraction_bits - exponent);
    int whole = (int)floor(units);
    const double remainder = units - whole;
    if (remainder > 0.5 || (remainder == 0.5 && whole % 2 == 1)) {
        whole++;
    }
    // A leading bit adds one to the exponent field, a carry to 2^(fraction_bits + 1) adds one more.
    return (uint16_t)(sign | (((exponent - lowest) << fraction_bits) + whole));
}

double ref_half_to_double(uint16_t bits) { return ref_from_bits(bits, 10, -14); }

uint16_t ref_double_to_half(double value) { return ref_to_bits(value, 10, -14); }

double ref_bf16_to_double(uint16_t bits) { return ref_from_bits(bits, 7, -126); }

uint16_t ref_double_to_bf16(double value) { return ref_to_bits(value, 7, -126); }
