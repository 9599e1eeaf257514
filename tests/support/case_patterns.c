// SPDX-License-Identifier: MIT
//
// The pattern levels: every kind of term, unions of them, several patterns dealt to heads. Numbers
// are drawn so that edges fall inside, on and outside the small shapes of the suite.

#include "cases.h"
#include "random_term.h"

static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

static int64_t width(const struct problem *problem, struct rng *rng) {
    const int64_t longest = most(problem->kv_len, 4);
    switch (rng_between(rng, 0, 3)) {
    case 0: return rng_between(rng, 0, 3);
    case 1: return rng_between(rng, 0, longest / 3);
    case 2: return rng_between(rng, 0, 2 * longest);
    default: return 31 + rng_between(rng, 0, 2);  // beside a tile's edge
    }
}

static struct ref_term window(const struct problem *problem, struct rng *rng) {
    return (struct ref_term){ .kind = REF_WINDOW,
                              .left = width(problem, rng),
                              .right = width(problem, rng) };
}

static struct ref_term dilated(const struct problem *problem, struct rng *rng) {
    (void)problem;
    return (struct ref_term){ .kind = REF_DILATED,
                              .left = rng_between(rng, 0, 9),
                              .right = rng_between(rng, 0, 9),
                              .step = rng_between(rng, 1, 9) };
}

static struct ref_term global(const struct problem *problem, struct rng *rng) {
    return (struct ref_term){ .kind = REF_GLOBAL,
                              .count = rng_between(rng, 0,
                                                   rng_chance(rng, 80) ? 4 : problem->kv_len + 5) };
}

static struct ref_term global_list(struct problem *problem, struct rng *rng) {
    const int64_t count = rng_between(rng, 1, 6);
    int64_t *list = problem_own(problem, (size_t)count, sizeof *list);
    for (int64_t n = 0; n < count; n++) {
        // in any order, perhaps twice, perhaps past the end
        list[n] = rng_between(rng, 0, problem->kv_len + 3);
    }
    return (struct ref_term){ .kind = REF_GLOBAL_LIST, .list = list, .list_len = (size_t)count };
}

static struct ref_term sink(const struct problem *problem, struct rng *rng) {
    return (struct ref_term){ .kind = REF_SINK,
                              .count = rng_between(rng, 0,
                                                   rng_chance(rng, 80) ? 5 : problem->kv_len + 5) };
}

static struct ref_term strided(const struct problem *problem, struct rng *rng) {
    return (struct ref_term){ .kind = REF_STRIDED,
                              .step = rng_chance(rng, 70)
                                          ? rng_between(rng, 1, 12)
                                          : rng_between(rng, 1, problem->kv_len + 3) };
}

static struct ref_term fixed(const struct problem *problem, struct rng *rng) {
    (void)problem;
    const int64_t step = rng_between(rng, 1, 40);
    return (struct ref_term){ .kind = REF_FIXED, .step = step, .count = rng_between(rng, 1, step) };
}

// The largest position that is asked about.
static int64_t last_position(const struct problem *problem) {
    int64_t last = problem->kv_len - 1;
    for (int64_t b = 0; b < problem->batch; b++) {
        last = most(last, problem_offset(problem, b) + problem->q_len - 1);
    }
    return last;
}

// layouts: 1, kv_heads or heads. percent of the blocks are set.
static struct ref_term blocks(struct problem *problem, struct rng *rng, int64_t layouts,
                              int percent) {
    static const int64_t sizes[] = { 1, 3, 8, 16, 29, 32, 64, 100 };
    const int64_t block = sizes[rng_between(rng, problem->kv_len > 100 ? 1 : 0, 7)];
    const int64_t last = last_position(problem);
    const int64_t rows = last / block + 1 + rng_between(rng, 0, 1),
                  cols = (problem->kv_len - 1) / block + 1 + rng_between(rng, 0, 1);
    uint8_t *mask = problem_own(problem, (size_t)(layouts * rows * cols), 1);
    for (int64_t n = 0; n < layouts * rows * cols; n++) {
        mask[n] = rng_chance(rng, percent);
    }
    return (struct ref_term){ .kind = REF_BLOCKS,
                              .block = block,
                              .mask = mask,
                              .layouts = layouts,
                              .block_rows = rows,
                              .block_cols = cols };
}

static struct ref_term random_blocks(const struct problem *problem, struct rng *rng) {
    (void)problem;
    static const int64_t sizes[] = { 1, 5, 16, 32, 33, 64 };
    return (struct ref_term){ .kind = REF_RANDOM,
                              .block = sizes[rng_between(rng, 0, 5)],
                              .count = rng_between(rng, 1, 4),
                              .seed = rng_next(rng) };
}

static struct ref_term documents(struct problem *problem, struct rng *rng) {
    const int64_t count = rng_between(rng, 2, 6);
    int64_t *ends = problem_own(problem, (size_t)count, sizeof *ends);
    for (int64_t n = 1; n < count; n++) {
        ends[n] =
            ends[n - 1] + (rng_chance(rng, 15) ? 0 : rng_between(rng, 1, problem->kv_len / 2 + 2));
    }
    return (struct ref_term){ .kind = REF_DOCUMENTS, .list = ends, .list_len = (size_t)count };
}

static void *own(void *user, size_t count, size_t size) { return problem_own(user, count, size); }

static struct random_site site_of(struct problem *problem) {
    struct random_site site = { .heads = problem->heads,
                                .kv_heads = problem->kv_heads,
                                .q_len = problem->q_len,
                                .kv_len = problem->kv_len,
                                .keys_least = problem->kv_len,
                                .furthest = last_position(problem),
                                .own = own,
                                .user = problem };
    for (int64_t b = 0; b < problem->batch && problem->kv_lengths != NULL; b++) {
        const bool rows = problem->q_lengths == NULL || problem->q_lengths[b] > 0;
        if (rows && problem->kv_lengths[b] > 0 && problem->kv_lengths[b] < site.keys_least) {
            site.keys_least = problem->kv_lengths[b];
        }
    }
    return site;
}

static struct ref_term of_kind(struct problem *problem, enum ref_kind kind, struct rng *rng) {
    const struct random_site site = site_of(problem);
    return random_term(&site, kind, rng);
}

static struct ref_term intersection(struct problem *problem, struct rng *rng) {
    const struct random_site site = site_of(problem);
    return random_intersection(&site, rng);
}

static void add(struct problem *problem, size_t pattern, struct ref_term term) {
    problem_term(problem, pattern, term);
}

enum pattern_level {
    P_NONE,
    P_DENSE,
    P_WINDOW,
    P_WINDOW_LEFT,
    P_WINDOW_INF,
    P_DILATED,
    P_DILATED_INF,
    P_GLOBAL,
    P_GLOBAL_LIST,
    P_SINK,
    P_STRIDED,
    P_FIXED,
    P_BLOCKS,
    P_BLOCKS_BY_HEAD,
    P_BLOCKS_CSR,
    P_NOTHING,
    P_RANDOM,
    P_DOCUMENTS,
    P_LONGFORMER,
    P_SPARSE_TRANSFORMER,
    P_A_SHAPE,
    P_BIGBIRD,
    P_STEPS,
    P_MIXED,
    P_DOCUMENTS_STRIDED,
    P_CHUNKED,
    P_VERTICAL_SLASH,
    P_NEIGHBORHOOD,
    P_INTERSECTION,
    P_INTERSECTIONS,
    P_DEALT,
    P_GIVEN,
    P_COUNT
};

static const char *const names[P_COUNT] = {
    "none",
    "dense",
    "window",
    "window-left",
    "window-inf",
    "dilated",
    "dilated-inf",
    "global",
    "global-list",
    "sink",
    "strided",
    "fixed",
    "blocks",
    "blocks-by-head",
    "blocks-csr",
    "nothing",
    "random",
    "documents",
    "window+global",
    "window+strided",
    "a-shape",
    "window+global+random",
    "dilated+strided+strided",
    "fixed+blocks+list",
    "documents+strided",
    "chunked",
    "vertical-slash",
    "neighborhood",
    "intersection",
    "intersections",
    "dealt",
    "given",
};

size_t case_pattern_count(void) { return P_COUNT; }
const char *case_pattern_name(size_t level) { return names[level]; }

// One of the plain kinds, for patterns dealt to heads.
static struct ref_term any(struct problem *problem, struct rng *rng) {
    switch (rng_between(rng, 0, 14)) {
    case 0: return (struct ref_term){ .kind = REF_DENSE };
    case 1: return dilated(problem, rng);
    case 2: return global(problem, rng);
    case 3: return sink(problem, rng);
    case 4: return strided(problem, rng);
    case 5: return fixed(problem, rng);
    case 6: return random_blocks(problem, rng);
    case 7: return documents(problem, rng);
    case 8: return of_kind(problem, REF_PREFIX, rng);
    case 9: return of_kind(problem, REF_CHUNKED, rng);
    case 10: return of_kind(problem, REF_A_SHAPE, rng);
    case 11: return of_kind(problem, REF_VERTICAL_SLASH, rng);
    case 12: return of_kind(problem, REF_NEIGHBORHOOD, rng);
    case 13: return intersection(problem, rng);
    default: return window(problem, rng);
    }
}

void case_pattern(size_t level, struct problem *problem, struct rng *rng) {
    struct ref_term term;
    const bool shared_by_group = rng_chance(rng, 50);
    switch ((enum pattern_level)level) {
    case P_NONE: break;
    case P_DENSE: add(problem, 0, (struct ref_term){ .kind = REF_DENSE }); break;
    case P_WINDOW: add(problem, 0, window(problem, rng)); break;
    case P_WINDOW_LEFT:
        term = window(problem, rng);
        term.right = 0;
        add(problem, 0, term);
        break;
    case P_WINDOW_INF:
        term = window(problem, rng);
        *(rng_chance(rng, 50) ? &term.left : &term.right) = TULLE_INFINITE;
        add(problem, 0, term);
        break;
    case P_DILATED: add(problem, 0, dilated(problem, rng)); break;
    case P_DILATED_INF:
        term = dilated(problem, rng);
        *(rng_chance(rng, 50) ? &term.left : &term.right) = TULLE_INFINITE;
        add(problem, 0, term);
        break;
    case P_GLOBAL: add(problem, 0, global(problem, rng)); break;
    case P_GLOBAL_LIST: add(problem, 0, global_list(problem, rng)); break;
    case P_SINK: add(problem, 0, sink(problem, rng)); break;
    case P_STRIDED: add(problem, 0, strided(problem, rng)); break;
    case P_FIXED: add(problem, 0, fixed(problem, rng)); break;
    case P_BLOCKS_CSR:
        problem->csr = true;
        add(problem, 0, blocks(problem, rng, shared_by_group ? 1 : problem->heads, 40));
        break;
    case P_BLOCKS: add(problem, 0, blocks(problem, rng, 1, 50)); break;
    case P_BLOCKS_BY_HEAD:
        add(problem, 0,
            blocks(problem, rng, shared_by_group ? problem->kv_heads : problem->heads, 50));
        break;
    case P_NOTHING: add(problem, 0, blocks(problem, rng, 1, 0)); break;
    case P_RANDOM: add(problem, 0, random_blocks(problem, rng)); break;
    case P_DOCUMENTS: add(problem, 0, documents(problem, rng)); break;
    case P_LONGFORMER:
        add(problem, 0, window(problem, rng));
        add(problem, 0, global(problem, rng));
        break;
    case P_SPARSE_TRANSFORMER:
        term = strided(problem, rng);
        add(problem, 0, (struct ref_term){ .kind = REF_WINDOW, .left = term.step - 1 });
        add(problem, 0, term);
        break;
    case P_A_SHAPE:  // as one term or as two
        if (rng_chance(rng, 50)) {
            add(problem, 0, of_kind(problem, REF_A_SHAPE, rng));
            break;
        }
        add(problem, 0, sink(problem, rng));
        term = window(problem, rng);
        term.right = 0;
        add(problem, 0, term);
        break;
    case P_BIGBIRD:
        add(problem, 0, window(problem, rng));
        add(problem, 0, global(problem, rng));
        add(problem, 0, random_blocks(problem, rng));
        break;
    case P_STEPS:  // up to three parts
        add(problem, 0, dilated(problem, rng));
        add(problem, 0, strided(problem, rng));
        add(problem, 0, strided(problem, rng));
        add(problem, 0, global_list(problem, rng));
        break;
    case P_MIXED:
        add(problem, 0, fixed(problem, rng));
        add(problem, 0, blocks(problem, rng, 1, 20));
        add(problem, 0, global_list(problem, rng));
        break;
    case P_DOCUMENTS_STRIDED:
        add(problem, 0, documents(problem, rng));
        add(problem, 0, strided(problem, rng));
        add(problem, 0, random_blocks(problem, rng));
        break;
    case P_CHUNKED:  // as it is, axial with what is strided, behind a prefix
        term = of_kind(problem, REF_CHUNKED, rng);
        add(problem, 0, term);
        if (rng_chance(rng, 40)) {
            add(problem, 0, (struct ref_term){ .kind = REF_STRIDED, .step = term.step });
        } else if (rng_chance(rng, 60)) {
            add(problem, 0, of_kind(problem, REF_PREFIX, rng));
        }
        break;
    case P_VERTICAL_SLASH: add(problem, 0, of_kind(problem, REF_VERTICAL_SLASH, rng)); break;
    case P_NEIGHBORHOOD: add(problem, 0, of_kind(problem, REF_NEIGHBORHOOD, rng)); break;
    case P_INTERSECTION: add(problem, 0, intersection(problem, rng)); break;
    case P_INTERSECTIONS:
        add(problem, 0, intersection(problem, rng));
        add(problem, 0, any(problem, rng));
        add(problem, 0, intersection(problem, rng));
        break;
    case P_DEALT:
    case P_GIVEN:
        // dealt: at most one a head
        for (size_t n = 0; n < 3 && (level == P_GIVEN || (int64_t)n < problem->heads); n++) {
            add(problem, n, any(problem, rng));
            if (rng_chance(rng, 60)) {
                add(problem, n, any(problem, rng));
            }
        }
        if (level == P_GIVEN) {
            uint32_t *head_pattern =
                problem_own(problem, (size_t)problem->heads, sizeof *head_pattern);
            for (int64_t head = 0; head < problem->heads; head++) {
                head_pattern[head] = (uint32_t)rng_between(rng, 0, 2);
            }
            problem->head_pattern = head_pattern;
        }
        break;
    case P_COUNT: break;
    }
}
