// SPDX-License-Identifier: MIT
#include "report/groups.h"

#include <stdlib.h>
#include <string.h>

int by_number(uint64_t a, uint64_t b) { return (a > b) - (a < b); }

int by_name(const struct time *a, const char *x, const struct time *b, const char *y) {
    int order = strcmp(a->shape.model, b->shape.model);
    if (!order) order = !strcmp(y, "dense") - !strcmp(x, "dense");
    if (!order) order = strcmp(x, y);
    if (!order) order = a->shape.causal - b->shape.causal;
    if (!order) order = a->shape.sink_logits - b->shape.sink_logits;
    return order ? order : strcmp(a->shape.asked_kernel, b->shape.asked_kernel);
}

int by_setting(const struct time *a, const struct time *b) {
    const struct shape *x = &a->shape, *y = &b->shape;
    // the widest type first: fp32 before fp16 and bf16
    int order = -strcmp(x->dtype, y->dtype);
    if (!order) order = by_number(x->head_dim, y->head_dim);
    if (!order) order = by_number(x->v_head_dim, y->v_head_dim);
    if (!order) order = by_number(x->heads, y->heads);
    if (!order) order = by_number(x->kv_heads, y->kv_heads);
    return order ? order : by_number(x->batch, y->batch);
}

int by_lengths(const struct time *a, const struct time *b) {
    int order = by_number(a->shape.kv_len, b->shape.kv_len);
    if (!order) order = by_number(a->shape.q_len, b->shape.q_len);
    return order ? order : by_number(a->shape.kv_least, b->shape.kv_least);
}

// qsort has no argument for it; sorts do not nest.
static time_order *order_now;

static int compare_items(const void *a, const void *b) {
    const struct item *x = a, *y = b;
    const int order = order_now(x->time, y->time);
    if (order) return order;
    return x->column != y->column ? by_number(x->column, y->column) : by_number(x->place, y->place);
}

static bool fits_an_axis(double ms) { return ms > 1e-100 && ms < 1e100; }

bool items_collect(const struct columns *columns, bool (*wanted)(const struct time *),
                   time_order *order, struct items *out) {
    size_t all = 0;
    for (size_t i = 0; i < columns->count; i++) all += columns->list[i].count;
    *out = (struct items){ .list = malloc((all + 1) * sizeof *out->list) };
    if (!out->list) return false;
    for (size_t i = 0; i < columns->count; i++) {
        const struct column *c = &columns->list[i];
        for (size_t k = 0; k < c->count; k++) {
            const struct time *t = &c->times[k];
            if (t->missing || !fits_an_axis(t->ms) || !wanted(t)) continue;
            out->list[out->count++] = (struct item){ .time = t, .column = i, .place = k };
        }
    }
    order_now = order;
    qsort(out->list, out->count, sizeof *out->list, compare_items);
    return true;
}

size_t items_end(const struct items *items, size_t from, time_order *order) {
    size_t end = from;
    while (end < items->count && !order(items->list[from].time, items->list[end].time)) end++;
    return end;
}

size_t items_device_end(const struct items *items, size_t from, size_t end) {
    size_t i = from;
    while (i < end && items->list[i].column == items->list[from].column) i++;
    return i;
}

void items_free(struct items *items) {
    free(items->list);
    *items = (struct items){ 0 };
}
