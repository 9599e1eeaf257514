// SPDX-License-Identifier: MIT
//
// What the parts of a plan cost, and its terms alone.
#include <stdlib.h>

#include "run/cost.h"
#include "schedule/row_sets.h"
#include "run/plan.h"
#include "tulle/inspect.h"

struct report {
    tulle_cost_callback each;
    void *user;
    const struct site *site;
    tulle_cost cost;  ///< what is the same for all of a group
    bool out_of_memory;
};

/// Terms as the spec of a union, none of a part that has a tree alone; from malloc. NULL: out of
/// memory.
static char *terms_text(const tulle_pattern *pattern, const struct product *const *terms,
                        uint32_t count) {
    size_t size = 1, used = 0;
    for (uint32_t i = 0; i < count; i++)
        size += term_print(product_term(pattern, terms[i]), NULL, 0) + 1;
    char *text = calloc(size, 1);
    for (uint32_t i = 0; i < count && text; i++) {
        if (i) text[used++] = '+';
        used += term_print(product_term(pattern, terms[i]), text + used, size - used);
    }
    return text;
}

static void tell(struct report *report, const struct product *const *terms, uint32_t count,
                 const struct cost *cost) {
    char *text = terms_text(report->site->pattern, terms, count);
    if (!text) {
        report->out_of_memory = true;
        return;
    }
    report->cost.terms = text;
    report->cost.tiles = (uint64_t)cost->tiles;
    report->cost.runs = (uint64_t)cost->runs;
    report->cost.visited = (uint64_t)cost->visited;
    report->cost.selected = (uint64_t)cost->selected;
    report->each(report->user, &report->cost);
    free(text);
}

static void tell_part(void *user, const struct part *part, uint32_t index, bool listed,
                      const struct cost *cost) {
    struct report *report = user;
    report->cost.part = index;
    report->cost.listed = listed;
    tell(report, part->include, part->include_count, cost);
}

static bool group_costs(struct report *report, const struct counting *counting) {
    const tulle_pattern *pattern = report->site->pattern;
    if (!site_cost(report->site, counting, tell_part, report)) return false;
    report->cost.alone = true;
    report->cost.listed = false;
    report->cost.part = 0;
    for (uint32_t i = 0; i < pattern->canonical_count && pattern->canonical_count > 1; i++) {
        struct cost cost;
        if (!term_cost(report->site, pattern->canonical[i], counting, &cost)) return false;
        tell(report, &pattern->canonical[i], 1, &cost);
    }
    return !report->out_of_memory;
}

tulle_result tulle_plan_costs(const tulle_plan *plan, tulle_cost_callback each, void *user,
                              tulle_error *error) {
    if (!plan || !each)
        return context_fail(plan ? plan->context : NULL, error, TULLE_ERROR_INVALID_ARGUMENT,
                            "%s is NULL", plan ? "each" : "plan");
    const struct attention *a = &plan->attention;
    const struct counting counting = { plan_tiling(plan),
                                       row_sets_may_list(plan->attention.tensors), 1, INT64_MAX };
    for (uint32_t g = 0; g < a->group_count; g++) {
        const struct group *group = &a->groups[g];
        const tulle_cost of_group = { .pattern = plan_pattern(plan, group),
                                      .sequence = group->entries[0].sequence,
                                      .head = group->entries[0].index % a->heads,
                                      .entries = group->entry_count };
        struct report report = { each, user, &group->site, of_group, false };
        if (!group_costs(&report, &counting))
            return context_fail(plan->context, error, TULLE_ERROR_OUT_OF_HOST_MEMORY,
                                "no host memory to count what a plan costs");
    }
    return TULLE_OK;
}
