// SPDX-License-Identifier: MIT
//
// Patterns that say the same: unions and intersections in another order, terms that others spell
// out, neighbourhoods of one axis and of several.

#include <string.h>

#include "metamorphic.h"

// -------------------------------------------------------------------------------------------------
// Patterns that say the same

static void check_equal_to_dense(const struct setting *setting) {
    for (int variant = 0; variant < 6; variant++) {
        struct problem dense, other;
        struct problem *both[] = { &dense, &other };
        for (int n = 0; n < 2; n++) {
            state_problem(both[n], setting, 2, 2, 1, 70, 151, 40);
            both[n]->causal = variant % 2 == 1;
        }
        switch (variant / 2) {
        case 0: problem_term(&other, 0, ones(&other, 32)); break;
        case 1: problem_term(&other, 0, ones(&other, 7)); break;
        default:
            problem_term(&other, 0,
                         (struct ref_term){
                             .kind = REF_WINDOW, .left = TULLE_INFINITE, .right = TULLE_INFINITE });
            break;
        }
        fill_run_check(&dense, setting, "dense");
        fill_run_check(&other, setting, "as good as dense");
        problem_check_same(&dense, &other,
                           variant / 2 < 2 ? "blocks of ones and dense"
                                           : "an infinite window and dense");
        problem_free(&dense);
        problem_free(&other);
    }
}

void test_equal_to_dense(void **state) {
    (void)state;
    for_each_setting(check_equal_to_dense, 100);
}

// Terms in any order, and twice: the same bits.
static void check_union_order(const struct setting *setting) {
    struct rng rng = { setting->seed };
    struct problem first;
    for (int attempt = 0; attempt < 5; attempt++) {
        struct problem problem;
        state_problem(&problem, setting, 1, 3, 1, 90, 140, 32);
        problem.causal = true;
        int64_t *ends = problem_own(&problem, 3, sizeof *ends),
                *list = problem_own(&problem, 2, sizeof *list);
        ends[1] = 50;
        ends[2] = 140;
        list[0] = 33;
        list[1] = 7;
        struct ref_term terms[] = {
            { .kind = REF_WINDOW, .left = 9, .right = 3 },
            { .kind = REF_DILATED, .left = 6, .right = 2, .step = 4 },
            { .kind = REF_STRIDED, .step = 6 },
            { .kind = REF_GLOBAL, .count = 2 },
            { .kind = REF_GLOBAL_LIST, .list = list, .list_len = 2 },
            { .kind = REF_RANDOM, .block = 16, .count = 2, .seed = 5 },
            { .kind = REF_FIXED, .step = 20, .count = 3 },
            { .kind = REF_CHUNKED, .step = 35 },
            { .kind = REF_VERTICAL_SLASH, .list = list, .list_len = 2, .layouts = 1 },
        };
        const size_t count = sizeof terms / sizeof terms[0];
        for (size_t n = 0; n < count && attempt > 0; n++) {
            const size_t other = (size_t)rng_between(&rng, (int64_t)n, (int64_t)count - 1);
            const struct ref_term swapped = terms[n];
            terms[n] = terms[other];
            terms[other] = swapped;
        }
        for (size_t n = 0; n < count; n++) {
            problem_term(&problem, 0, terms[n]);
        }
        if (attempt == 4) {
            problem_term(&problem, 0, terms[2]);  // once more
        }
        fill_run_check(&problem, setting, "a union");
        if (attempt == 0) {
            first = problem;
        } else {
            problem_check_identical(&first, &problem,
                                    attempt == 4 ? "a term given twice" : "terms in another order");
            problem_free(&problem);
        }
    }
    problem_free(&first);
}

void test_union_order(void **state) {
    (void)state;
    for_each_setting(check_union_order, 200);
}

// -------------------------------------------------------------------------------------------------
// Intersections

static struct ref_term intersect(struct problem *problem, const struct ref_term *factors,
                                 size_t count) {
    struct ref_term *others = problem_own(problem, count - 1, sizeof *others);
    memcpy(others, factors + 1, (count - 1) * sizeof *others);
    struct ref_term term = factors[0];
    term.factors = others;
    term.n_factors = count - 1;
    return term;
}

static struct ref_term both(struct problem *problem, struct ref_term a, struct ref_term b) {
    const struct ref_term factors[] = { a, b };
    return intersect(problem, factors, 2);
}

// layouts: 1 or heads. seed: which blocks are set; the complement of these with `unset`.
static struct ref_term mask_of(struct problem *problem, int64_t block, int64_t layouts,
                               uint64_t seed, bool unset) {
    struct ref_term term = ones(problem, block);
    struct rng rng = { seed };
    const int64_t cells = layouts * term.block_rows * term.block_cols;
    uint8_t *mask = problem_own(problem, (size_t)cells, 1);
    for (int64_t n = 0; n < cells; n++) {
        mask[n] = rng_chance(&rng, 40) != unset;
    }
    term.mask = mask;
    term.layouts = layouts;
    return term;
}

static struct ref_term documents(struct problem *problem, const int64_t *ends, size_t count) {
    int64_t *list = problem_own(problem, count, sizeof *list);
    memcpy(list, ends, count * sizeof *list);
    return (struct ref_term){ .kind = REF_DOCUMENTS, .list = list, .list_len = count };
}

// Factors in any order, one of another's, twice, and the term twice: the same bits.
static void check_factor_order(const struct setting *setting) {
    static const size_t orders[][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
                                        { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
    enum { ORDERS = 6, NESTED = ORDERS, REPEATED, TWICE, VARIANTS };
    struct problem problems[VARIANTS];
    for (int variant = 0; variant < VARIANTS; variant++) {
        struct problem *problem = &problems[variant];
        state_problem(problem, setting, 1, 3, 1, 90, 140, 32);
        const struct ref_term given[] = {
            { .kind = REF_WINDOW, .left = 60, .right = 9 },
            { .kind = REF_STRIDED, .step = 3 },
            mask_of(problem, 16, 3, 11, false),
        };
        const size_t *order = orders[variant < ORDERS ? variant : 3];
        struct ref_term factors[4] = { given[order[0]], given[order[1]], given[order[2]] };
        if (variant == NESTED) {
            factors[1] = both(problem, factors[1], factors[2]);
        }
        if (variant == REPEATED) {
            factors[3] = factors[0];
        }
        const struct ref_term term = intersect(problem, factors,
                                               variant == NESTED     ? 2
                                               : variant == REPEATED ? 4
                                                                     : 3);
        problem_term(problem, 0, term);
        if (variant == TWICE) {
            problem_term(problem, 0, intersect(problem, given, 3));
        }
        problem_term(problem, 0, (struct ref_term){ .kind = REF_SINK, .count = 2 });
        fill_run_check(problem, setting, "an intersection");
        problem_check_identical(&problems[0], problem, "factors in another order");
    }
    for (int variant = 0; variant < VARIANTS; variant++) {
        problem_free(&problems[variant]);
    }
}

void test_factor_order(void **state) {
    (void)state;
    for_each_setting(check_factor_order, 1300);
}

// A term of each kind.
static struct ref_term of_kind(struct problem *problem, enum ref_kind kind) {
    static const int64_t list[] = { 40, 3, 77, -1 }, diagonals[] = { 0, 1, -1, 33 },
                         ends[] = { 0, 30, 31, 90 };
    struct ref_term term = { .kind = kind };
    switch (kind) {
    case REF_DENSE: break;
    case REF_WINDOW:
    case REF_DILATED: term.left = 11, term.right = 4, term.step = 3; break;
    case REF_GLOBAL:
    case REF_SINK:
    case REF_PREFIX: term.count = 61; break;
    case REF_STRIDED:
    case REF_CHUNKED: term.step = 20; break;
    case REF_FIXED: term.step = 20, term.count = 2; break;
    case REF_A_SHAPE: term.count = 5, term.block = 17; break;
    case REF_GLOBAL_LIST: term.list = list, term.list_len = 3; break;
    case REF_BLOCKS: return mask_of(problem, 8, problem->heads, 5, false);
    case REF_RANDOM: term.block = 8, term.count = 3, term.seed = 9; break;
    case REF_DOCUMENTS: return documents(problem, ends, 4);
    case REF_VERTICAL_SLASH:
        term.list = list, term.list_len = 4;
        term.diagonals = diagonals, term.diagonals_len = 4;
        term.layouts = 2;
        break;
    case REF_NEIGHBORHOOD:
        term.axes = 2;
        term.grid[0] = 9, term.grid[1] = 10;
        term.kernel[0] = 2, term.kernel[1] = 5;
        term.dilation[0] = 3, term.dilation[1] = 1;
        break;
    }
    return term;
}

// a & a and a & dense are a.
static void check_neutral_factors(const struct setting *setting) {
    for (int kind = 0; kind < REF_KINDS; kind++) {
        struct problem problems[4];
        for (int variant = 0; variant < 4; variant++) {
            struct problem *problem = &problems[variant];
            state_problem(problem, setting, 1, 2, 1, 70, 90, 16);
            problem->causal = kind % 2 == 1;
            const struct ref_term term = of_kind(problem, (enum ref_kind)kind),
                                  dense = { .kind = REF_DENSE };
            problem_term(problem, 0,
                         variant == 0   ? term
                         : variant == 1 ? both(problem, term, term)
                         : variant == 2 ? both(problem, term, dense)
                                        : both(problem, dense, term));
            fill_run_check(problem, setting, "a & a, or a & dense");
            problem_check_same(&problems[0], problem, "a, a & a, a & dense");
        }
        for (int variant = 0; variant < 4; variant++) {
            problem_free(&problems[variant]);
        }
    }
}

void test_neutral_factors(void **state) {
    (void)state;
    for_each_setting(check_neutral_factors, 1400);
}

// -------------------------------------------------------------------------------------------------
// Patterns that are the same pairs, said in two ways. All of them are of LENGTH keys, and the
// queries stand at the last of them.

enum { LENGTH = 144, SIDE = 12 };  // as a grid: SIDE rows of as many

static struct ref_term strided(int64_t step) {
    return (struct ref_term){ .kind = REF_STRIDED, .step = step };
}

static struct ref_term window(int64_t left, int64_t right) {
    return (struct ref_term){ .kind = REF_WINDOW, .left = left, .right = right };
}

static void multiples_apart(struct problem *problem, bool other) {
    if (other) {
        problem_term(problem, 0, strided(12));
    } else {
        problem_term(problem, 0, both(problem, strided(4), strided(6)));
    }
}

// The least common multiple is beyond 31 bits.
static void multiples_far_apart(struct problem *problem, bool other) {
    problem_term(problem, 0,
                 other ? window(0, 0) : both(problem, strided(2147483647), strided(2147483646)));
}

static void mask_and_complement(struct problem *problem, bool other) {
    if (other) {
        problem_term(problem, 0, window(50, 7));
        return;
    }
    for (int unset = 0; unset < 2; unset++) {
        problem_term(problem, 0,
                     both(problem, window(50, 7),
                          mask_of(problem, 8, problem->heads, problem->seed, unset == 1)));
    }
}

static void documents_cut(struct problem *problem, bool other) {
    static const int64_t some[] = { 0, 37, 100, 130 }, more[] = { 0, 50, 100, LENGTH },
                         cut[] = { 0, 37, 50, 100, 130 };
    if (other) {
        problem_term(problem, 0, documents(problem, cut, 5));
    } else {
        problem_term(problem, 0,
                     both(problem, documents(problem, some, 4), documents(problem, more, 4)));
    }
}

static void windows_apart(struct problem *problem, bool other) {
    problem_term(problem, 0, (struct ref_term){ .kind = REF_SINK, .count = 5 });
    if (!other) {  // selects no pair of these queries
        problem_term(
            problem, 0,
            both(problem, window(20, 3), (struct ref_term){ .kind = REF_SINK, .count = 9 }));
    }
}

static struct ref_term neighborhood(int64_t height, int64_t width, int64_t kernel_y,
                                    int64_t kernel_x) {
    return (struct ref_term){ .kind = REF_NEIGHBORHOOD,
                              .axes = 2,
                              .grid = { height, width },
                              .kernel = { kernel_y, kernel_x },
                              .dilation = { 1, 1 } };
}

static void neighborhood_of_one_row(struct problem *problem, bool other) {
    struct ref_term term = neighborhood(1, LENGTH, 1, 14);
    term.dilation[1] = 3;
    if (other) {
        term = (struct ref_term){
            .kind = REF_NEIGHBORHOOD, .axes = 1, .kernel = { 14 }, .dilation = { 3 }
        };
    }
    problem_term(problem, 0, term);
}

static void neighborhood_causal_in_one_row(struct problem *problem, bool other) {
    struct ref_term term = neighborhood(1, LENGTH, 1, 14);
    term.causal_axis[1] = true;
    problem_term(problem, 0, other ? window(13, 0) : term);
}

// Rows near by, and columns near by.
static void neighborhood_by_axes(struct problem *problem, bool other) {
    if (other) {
        problem_term(problem, 0, neighborhood(SIDE, SIDE, 4, 5));
    } else {
        problem_term(
            problem, 0,
            both(problem, neighborhood(SIDE, SIDE, 4, SIDE), neighborhood(SIDE, SIDE, SIDE, 5)));
    }
}

static void neighborhood_in_a_box(struct problem *problem, bool other) {
    struct ref_term term = neighborhood(SIDE, SIDE, 3, 4);
    if (other) {  // three axes, of which one has a single position
        term = (struct ref_term){ .kind = REF_NEIGHBORHOOD,
                                  .axes = 3,
                                  .grid = { SIDE, 1, SIDE },
                                  .kernel = { 3, 1, 4 },
                                  .dilation = { 1, 1, 1 } };
    }
    problem_term(problem, 0, term);
}

// Axial attention: the query's row of the grid and its column.
static void axial(struct problem *problem, bool other) {
    if (!other) {
        problem_term(problem, 0, (struct ref_term){ .kind = REF_CHUNKED, .step = SIDE });
        problem_term(problem, 0, strided(SIDE));
        return;
    }
    struct ref_term term = ones(problem, 1);
    uint8_t *mask = problem_own(problem, (size_t)(term.block_rows * term.block_cols), 1);
    for (int64_t n = 0; n < term.block_rows * term.block_cols; n++) {
        const int64_t p = n / term.block_cols, j = n % term.block_cols;
        mask[n] = p / SIDE == j / SIDE || p % SIDE == j % SIDE;
    }
    term.mask = mask;
    problem_term(problem, 0, term);
}

static void chunked_as_documents(struct problem *problem, bool other) {
    static const int64_t ends[] = { 0, 50, 100, 150 };
    problem_term(problem, 0,
                 other ? documents(problem, ends, 4)
                       : (struct ref_term){ .kind = REF_CHUNKED, .step = 50 });
}

static void a_shape(struct problem *problem, bool other) {
    if (!other) {
        problem_term(problem, 0, (struct ref_term){ .kind = REF_A_SHAPE, .count = 4, .block = 23 });
        return;
    }
    problem_term(problem, 0, (struct ref_term){ .kind = REF_SINK, .count = 4 });
    problem_term(problem, 0, window(22, 0));
}

static void prefix_of(struct problem *problem, int64_t count) {
    problem_term(problem, 0, (struct ref_term){ .kind = REF_PREFIX, .count = count });
}

static void prefix_of_none(struct problem *problem, bool other) {
    if (other) {
        problem_term(problem, 0, window(TULLE_INFINITE, 0));
    } else {
        prefix_of(problem, 0);
    }
}

static void prefix_of_some(struct problem *problem, bool other) {
    static const int64_t ends[] = { 0, 101 };
    if (!other) {
        prefix_of(problem, 101);
        return;
    }
    problem_term(problem, 0, window(TULLE_INFINITE, 0));
    problem_term(problem, 0, documents(problem, ends, 2));
}

static void prefix_of_all(struct problem *problem, bool other) {
    if (other) {
        problem_term(problem, 0, (struct ref_term){ .kind = REF_DENSE });
    } else {
        prefix_of(problem, LENGTH);
    }
}

// Columns before the first query, which as global positions are columns alone; three diagonals side
// by side, and one that stands alone.
static void vertical_slash(struct problem *problem, bool other) {
    static const int64_t columns[] = { 61, 3, -1, 4 }, diagonals[] = { 0, 9, 2, 1 };
    if (!other) {
        problem_term(problem, 0,
                     (struct ref_term){ .kind = REF_VERTICAL_SLASH,
                                        .list = columns,
                                        .list_len = 4,
                                        .diagonals = diagonals,
                                        .diagonals_len = 4,
                                        .layouts = 1 });
        return;
    }
    static const int64_t list[] = { 3, 4, 61 };
    problem_term(problem, 0,
                 (struct ref_term){ .kind = REF_GLOBAL_LIST, .list = list, .list_len = 3 });
    problem_term(problem, 0, window(2, 0));
    problem_term(problem, 0,
                 (struct ref_term){ .kind = REF_DILATED, .left = 1, .right = 0, .step = 9 });
}

static void check_equal_patterns(const struct setting *setting) {
    static const struct {
        const char *what;
        void (*state)(struct problem *problem, bool other);
    } pairs[] = {
        { "strided:4&strided:6 and strided:12", multiples_apart },
        { "steps with a large common multiple and window:0,0", multiples_far_apart },
        { "a window, and it cut by a mask and its complement", mask_and_complement },
        { "documents cut by documents", documents_cut },
        { "factors that share nothing, and no term", windows_apart },
        { "a neighbourhood on one axis and in a grid of one row", neighborhood_of_one_row },
        { "a causal neighbourhood and a window", neighborhood_causal_in_one_row },
        { "a neighbourhood and the intersection of its axes", neighborhood_by_axes },
        { "a neighbourhood of two axes and of three", neighborhood_in_a_box },
        { "chunked:W+strided:W and axial attention as a mask", axial },
        { "chunked:C and documents of C", chunked_as_documents },
        { "a_shape:S,W and sink:S+window:W-1,0", a_shape },
        { "prefix:0 and all that is past", prefix_of_none },
        { "prefix:N and a document of N beside all that is past", prefix_of_some },
        { "prefix:kv_len and dense", prefix_of_all },
        { "vertical_slash and global positions with windows", vertical_slash },
    };
    for (size_t n = 0; n < sizeof pairs / sizeof pairs[0]; n++) {
        struct problem one, other;
        struct problem *both_ways[] = { &one, &other };
        for (int way = 0; way < 2; way++) {
            state_problem(both_ways[way], setting, 1, 2, 2, 80, LENGTH, 24);
            both_ways[way]->causal = (setting->kernel == NULL) == (n % 2 == 0);
            pairs[n].state(both_ways[way], way == 1);
            fill_run_check(both_ways[way], setting, pairs[n].what);
        }
        if (one.pairs != other.pairs) {
            harness_fail("%s: %llu pairs and %llu", pairs[n].what, (unsigned long long)one.pairs,
                         (unsigned long long)other.pairs);
        }
        problem_check_same(&one, &other, pairs[n].what);
        problem_free(&one);
        problem_free(&other);
    }
}

void test_equal_patterns(void **state) {
    (void)state;
    for_each_setting(check_equal_patterns, 1500);
}

// -------------------------------------------------------------------------------------------------
// A dilated neighbourhood is one of each residue class by itself

// Row n of `to` is row first + step · n of `from`.
static void take_class(struct problem *to, const struct problem *from, int64_t first,
                       int64_t step) {
    const size_t row = (size_t)from->head_dim * sizeof(double);
    for (int64_t head = 0; head < to->heads; head++) {
        for (int64_t n = 0; n < to->q_len; n++) {
            const int64_t into = (head * to->q_len + n) * to->head_dim,
                          out = (head * from->q_len + first + step * n) * from->head_dim;
            memcpy(to->q64 + into, from->q64 + out, row);
            memcpy(to->k64 + into, from->k64 + out, row);
            memcpy(to->v64 + into, from->v64 + out, row);
        }
    }
    problem_store(to);
    problem_reference(to);
}

static void check_dilated_neighborhood(const struct setting *setting) {
    enum { ROWS = 131, STEP = 4, KEYS = 9 };
    for (int causal = 0; causal < 2; causal++) {
        struct ref_term term = { .kind = REF_NEIGHBORHOOD,
                                 .axes = 1,
                                 .kernel = { KEYS },
                                 .dilation = { STEP },
                                 .causal_axis = { causal == 1 } };
        struct problem whole, pieced;
        state_problem(&whole, setting, 1, 2, 2, ROWS, ROWS, 32);
        problem_term(&whole, 0, term);
        fill_run_check(&whole, setting, "a dilated neighbourhood");
        state_problem(&pieced, setting, 1, 2, 2, ROWS, ROWS, 32);
        problem_term(&pieced, 0, term);
        problem_fill(&pieced);
        term.dilation[0] = 1;
        for (int64_t first = 0; first < STEP; first++) {
            const int64_t rows = (ROWS - first + STEP - 1) / STEP;
            struct problem class;
            state_problem(&class, setting, 1, 2, 2, rows, rows, 32);
            problem_term(&class, 0, term);
            problem_fill(&class);
            take_class(&class, &whole, first, STEP);
            run_setting(&class, setting);
            problem_check(&class, "one class of a dilated neighbourhood");
            for (int64_t n = 0; n < 2 * rows; n++) {
                const int64_t head = n / rows, row = n % rows;
                memcpy(tensor_at(&pieced.o, 0, head, first + STEP * row, 0),
                       tensor_at(&class.o, 0, head, row, 0), 32 * sizeof(float));
                memcpy(tensor_at(&pieced.l, 0, head, first + STEP * row, 0),
                       tensor_at(&class.l, 0, head, row, 0), sizeof(float));
            }
            problem_free(&class);
        }
        problem_check_same(&whole, &pieced, "a dilated neighbourhood, whole and by classes");
        problem_free(&whole);
        problem_free(&pieced);
    }
}

void test_dilated_neighborhood(void **state) {
    (void)state;
    for_each_setting(check_dilated_neighborhood, 1600);
}
