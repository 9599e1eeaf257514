// SPDX-License-Identifier: MIT
#include "bench/models.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/spec_template.h"

enum { CAUSAL = 1, DECODES = 2, SINKS = 4, SQUARE = 8 };

struct model {
    const char *name;
    uint32_t heads, kv_heads, head_dim, context;
    int flags;
    const char *pattern;
};

static const struct model models[] = {
#define TULLE_MODEL(name, heads, kv_heads, head_dim, context, flags, pattern) \
    { name, heads, kv_heads, head_dim, context, flags, pattern },
#include "bench/models.def"
#undef TULLE_MODEL
};

// The positions of a model where `length` are asked for.
static uint32_t positions(const struct model *model, uint32_t length, uint32_t *side) {
    const uint32_t n =
        length == PUBLISHED_LENGTH || length > model->context ? model->context : length;
    *side = (uint32_t)sqrt((double)n);
    return model->flags & SQUARE ? *side * *side : n;
}

static struct workload workload_of(const struct model *model, uint32_t n, uint32_t side,
                                   uint32_t q_len, tulle_dtype dtype) {
    struct workload w = { .model = model->name,
                          .causal = model->flags & CAUSAL,
                          .sink_logits = model->flags & SINKS,
                          .batch = 1,
                          .heads = model->heads,
                          .kv_heads = model->kv_heads,
                          .q_len = q_len,
                          .kv_len = n,
                          .head_dim = model->head_dim,
                          .v_head_dim = model->head_dim,
                          .dtype = dtype };
    const struct template_values values = { .n = n, .side = side };
    spec_of_template(model->pattern, &values, w.spec, sizeof w.spec);
    return w;
}

static bool begins_so(const struct model *model, const char *name) {
    return !name || !strncmp(model->name, name, strlen(name));
}

bool model_named(const char *name) {
    for (size_t m = 0; m < sizeof models / sizeof models[0]; m++)
        if (begins_so(&models[m], name)) return true;
    return false;
}

void model_names(char *text, size_t size) {
    size_t used = 0;
    for (size_t m = 0; m < sizeof models / sizeof models[0] && used < size; m++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", m ? ", " : "", models[m].name);
}

size_t workload_models(struct workload *list, size_t most, const char *name,
                       const uint32_t *lengths, size_t length_count, uint32_t q_rows,
                       tulle_dtype dtype) {
    size_t count = 0;
    for (size_t m = 0; m < sizeof models / sizeof models[0]; m++) {
        const size_t first = count;
        if (!begins_so(&models[m], name)) continue;
        for (size_t l = 0; l < length_count; l++) {
            uint32_t side;
            const uint32_t n = positions(&models[m], lengths[l], &side);
            bool there = false;
            for (size_t i = first; i < count; i++) there = there || list[i].kv_len == n;
            for (int decode = 0; decode <= (models[m].flags & DECODES ? 1 : 0) && !there; decode++)
                if (count < most)
                    list[count++] = workload_of(&models[m], n, side, decode ? q_rows : n, dtype);
        }
    }
    return count;
}
