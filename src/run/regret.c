// SPDX-License-Identifier: MIT
//
// Visited is known when a plan is made, selected is not: counting it takes as long as planning. It
// is estimated from few tiles first, and from more only where those cannot tell.
#include "run/regret.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/arithmetic.h"
#include "run/cost.h"
#include "schedule/row_sets.h"

#define REGRET_TIMES 4
#define REGRET_PAIRS_LEAST (1ull << 20)  // less is over in a millisecond

/// How much is looked at: few tiles of few groups, a hundredth of planning or so; then an eighth of
/// all; then all.
static const struct look {
    int64_t every, most;  ///< of tiles, as in struct counting
    int64_t groups;       ///< at most
} looks[] = { { 32, 8, 4 }, { 8, INT64_MAX, INT64_MAX }, { 1, INT64_MAX, INT64_MAX } };
#define LOOKS (sizeof looks / sizeof looks[0])

static struct counting counting_of(const tulle_plan *plan, const struct look *look) {
    return (struct counting){ plan_tiling(plan), row_sets_may_list(plan->attention.tensors),
                              look->every, look->most };
}

// -------------------------------------------------------------------------------------------------
// How many times

/// A pattern's cost, of groups that each stand for several.
struct sum {
    struct cost *cost;
    double weight;
};

static void weigh_part(void *user, const struct part *part, uint32_t index, bool listed,
                       const struct cost *cost) {
    const struct sum *sum = user;
    (void)part;
    (void)index;
    (void)listed;
    sum->cost->visited += sum->weight * cost->visited;
    sum->cost->existing += sum->weight * cost->existing;
    sum->cost->selected += sum->weight * cost->selected;
}

/// The cost of each pattern, by one look. False: out of memory.
static bool survey_patterns(const tulle_plan *plan, const struct look *look, struct cost *costs) {
    const struct attention *a = &plan->attention;
    const struct counting counting = counting_of(plan, look);
    const int64_t every = ceil_div(a->group_count, look->groups);
    for (uint32_t i = 0; i < a->pattern_count; i++) costs[i] = (struct cost){ 0 };
    for (int64_t first = 0; first < a->group_count; first += every) {
        const int64_t those = least(every, a->group_count - first);
        const struct group *group = &a->groups[first + spread_choice(first / every, those)];
        struct sum sum = { &costs[plan_pattern(plan, group)], (double)those * group->entry_count };
        if (!site_cost(&group->site, &counting, weigh_part, &sum)) return false;
    }
    return true;
}

/// May heads share tiles (row_sets_pack)? Then the plan visits fewer pairs than head by head.
static bool may_pack(const tulle_plan *plan) {
    const struct attention *a = &plan->attention;
    for (uint32_t g = 0; g < a->group_count && a->heads > a->kv_heads; g++)
        if (a->groups[g].site.q_length < plan->tile_rows) return true;
    return false;
}

static double times_selected(const struct cost *cost) {
    return cost->existing / (cost->selected > 1 ? cost->selected : 1);
}

/// The pattern that visits the most times what it selects, and how many times; at most REGRET_TIMES:
/// there is none. False: out of memory.
static bool find_regret(const tulle_plan *plan, struct cost *costs, uint32_t *pattern,
                        double *times) {
    const uint32_t count = plan->attention.pattern_count;
    for (size_t n = 0; n < LOOKS; n++) {
        double visited = 0;
        if (!survey_patterns(plan, &looks[n], costs)) return false;
        *pattern = 0;
        for (uint32_t i = 0; i < count; i++) {
            visited += costs[i].visited;
            if (times_selected(&costs[i]) > times_selected(&costs[*pattern])) *pattern = i;
        }
        // The plan visits so many times what these tiles say: where they say about that, they stand
        // for the others. Else few tiles have most of the work, seen or unseen, and a regret is not
        // sure yet.
        const bool compares = visited > 0 && !may_pack(plan);
        const double unseen = compares ? (double)plan->info.visited / visited : 1,
                     here = times_selected(&costs[*pattern]);
        *times = here * unseen;
        if (n + 1 == LOOKS || (unseen > 0.8 && unseen < 1.25) ||
            (here <= REGRET_TIMES && *times <= REGRET_TIMES))
            return true;
    }
    return true;
}

// -------------------------------------------------------------------------------------------------
// Why, and what would help

/// The term that alone visits the most beyond what it selects. NULL: out of memory.
static const struct product *find_cause(const tulle_plan *plan, const struct site *site) {
    const struct counting counting = counting_of(plan, &looks[0]);
    const struct product *cause = NULL;
    double most = -1;
    for (uint32_t i = 0; i < site->pattern->canonical_count; i++) {
        const struct product *term = site->pattern->canonical[i];
        struct cost cost;
        if (!term_cost(site, term, &counting, &cost)) return NULL;
        if (cost.existing - cost.selected <= most) continue;
        most = cost.existing - cost.selected;
        cause = term;
    }
    return cause;
}

/// Whether a factor of the term has blocks of fewer positions than a tile has rows.
static bool has_small_blocks(const struct product *term, uint32_t rows) {
    for (uint32_t i = 0; i < term->count; i++) {
        const struct term *factor = term->factors[i];
        if ((factor->kind == TULLE_RANDOM || factor->kind == TULLE_BLOCKS) && factor->block < rows)
            return true;
    }
    return false;
}

/// The best kernel that serves and has tiles of fewer rows. NULL: none.
static const struct variant *smaller_tiles(const tulle_plan *plan) {
    const struct caps *caps = &plan->context->caps;
    struct attention any = plan->attention;  // whose arrays it shares
    uint32_t *order = malloc(variant_count * sizeof *order);
    const struct variant *found = NULL;
    any.kernel[0] = '\0';
    const uint32_t count = order ? variant_order(&any, caps, order) : 0;
    for (uint32_t i = 0; i < count && !found; i++) {
        const struct variant *v = &variants[order[i]];
        char reason[160];
        if (variant_tile_rows(v, caps) < plan->tile_rows &&
            variant_serves(v, &any, caps, false, reason, sizeof reason))
            found = v;
    }
    free(order);
    return found;
}

static void advise(const tulle_plan *plan, const struct product *cause, char *text, size_t size) {
    const struct variant *smaller = smaller_tiles(plan);
    const bool blocks = has_small_blocks(cause, plan->tile_rows);
    int used = 0;
    text[0] = '\0';
    if (blocks)
        used = snprintf(text, size, "; larger blocks would visit less (of %u rows or more)",
                        plan->tile_rows);
    if (smaller)
        snprintf(text + used, size - (size_t)used, "; kernel %s has tiles of %u", smaller->name,
                 variant_tile_rows(smaller, &plan->context->caps));
}

static void warn(const tulle_plan *plan, uint32_t pattern, double times) {
    const struct attention *a = &plan->attention;
    const struct group *group = a->groups;
    while (group->site.pattern != a->patterns[pattern]) group++;
    const struct product *cause = find_cause(plan, &group->site);
    char name[240], number[32] = "", advice[240];
    if (!cause) return;
    const size_t length = term_print(product_term(group->site.pattern, cause), name, sizeof name);
    if (a->pattern_count > 1) snprintf(number, sizeof number, "pattern %u ", pattern + 1);
    advise(plan, cause, advice, sizeof advice);
    context_log(
        plan->context, TULLE_LOG_WARNING,
        "plan: %svisits about %.1f times the pairs that it selects (estimated), mostly for %s%s, because kernel %s takes %u rows at a time%s",
        number, times, name, length < sizeof name ? "" : "...", plan->variant->name,
        plan->tile_rows, advice);
}

void regret_warn(const tulle_plan *plan) {
    const struct attention *a = &plan->attention;
    // of trees no term is to blame
    if (!plan->context->log || a->trees || plan->info.visited < REGRET_PAIRS_LEAST) return;
    struct cost *costs = calloc(a->pattern_count, sizeof *costs);
    uint32_t pattern;
    double times;
    if (costs && find_regret(plan, costs, &pattern, &times) && times > REGRET_TIMES &&
        costs[pattern].existing >= REGRET_PAIRS_LEAST)
        warn(plan, pattern, times);
    free(costs);
}
