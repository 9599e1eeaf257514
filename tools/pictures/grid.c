// SPDX-License-Identifier: MIT
#include "pictures/grid.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/progress.h"

// Pairs that are asked about for one picture: about a second.
#define MOST_PAIRS 32e6

int64_t cell_begin(uint32_t cell, uint32_t cells, int64_t length) {
    return (int64_t)cell * length / cells;
}

static uint32_t cell_of(int64_t at, uint32_t cells, int64_t length) {
    return (uint32_t)(((at + 1) * cells - 1) / length);
}

static tulle_result no_memory(tulle_error *error) {
    error->result = TULLE_ERROR_OUT_OF_HOST_MEMORY;
    snprintf(error->message, sizeof error->message, "out of memory for the picture");
    return error->result;
}

// Adds a run to the cells that it touches. Rows and keys go by steps: those of one cell are passed
// over together.
static void add_run(void *user, const tulle_run *run) {
    struct grid *grid = user;
    const int64_t step = run->step > 0 ? run->step : 1;
    grid->computed[run->kind] += (double)run->rows * (double)run->keys;
    for (int64_t i = 0; i < run->rows;) {
        const int64_t row = run->row + i * step;
        if (row < 0 || row >= grid->q_len) break;
        const uint32_t r = cell_of(row, grid->rows, grid->q_len);
        for (int64_t c = 0; c < run->keys;) {
            const int64_t key = run->key + c * step;
            if (key < 0 || key >= grid->kv_len) break;
            const uint32_t col = cell_of(key, grid->cols, grid->kv_len);
            grid->runs[(size_t)r * grid->cols + col] |= (unsigned char)(1u << run->kind);
            c += (cell_begin(col + 1, grid->cols, grid->kv_len) - key + step - 1) / step;
        }
        i += (cell_begin(r + 1, grid->rows, grid->q_len) - row + step - 1) / step;
    }
}

// What a pattern is asked with: one head of the request.
struct asked {
    const tulle_pattern *pattern;
    tulle_pattern_site site;
    int64_t q_offset;
};

static struct asked ask(const struct grid_request *request, const struct grid *grid) {
    const tulle_attention_desc *desc = request->desc;
    return (struct asked){
        .pattern = desc->patterns[request->head % desc->pattern_count],
        .site = { .head = request->head,
                  .heads = desc->heads,
                  .kv_heads = desc->kv_heads ? desc->kv_heads : desc->heads,
                  .kv_len = desc->kv_len,
                  .causal = desc->causal },
        .q_offset = grid->q_offset,
    };
}

static bool selects(const struct asked *asked, int64_t row, int64_t key) {
    return tulle_pattern_selects(asked->pattern, &asked->site, row + asked->q_offset, key);
}

// A reproducible stand-in for chance: a number in 0 … below-1.
static int64_t draw(uint64_t *state, int64_t below) {
    uint64_t x = (*state += UINT64_C(0x9e3779b97f4a7c15));
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return (int64_t)((x ^ x >> 31) % (uint64_t)below);
}

// The share of a cell's pairs that are selected: all of them asked about, or one of each of up ×
// across equal parts.
static double cell_share(const struct asked *asked, int64_t row, int64_t rows, int64_t key,
                         int64_t keys, double most, uint64_t *state, bool *exact) {
    int64_t count = 0, up = rows, across = keys;
    if ((double)rows * (double)keys > most) {
        *exact = false;
        up = (int64_t)ceil(fmin((double)rows, sqrt(most)));
        across = (int64_t)ceil(fmin((double)keys, most / (double)up));
    }
    for (int64_t i = 0; i < up; i++) {
        const int64_t row0 = row + i * rows / up, row1 = row + (i + 1) * rows / up;
        for (int64_t j = 0; j < across; j++) {
            const int64_t key0 = key + j * keys / across, key1 = key + (j + 1) * keys / across;
            const int64_t r = row1 - row0 > 1 ? row0 + draw(state, row1 - row0) : row0;
            const int64_t k = key1 - key0 > 1 ? key0 + draw(state, key1 - key0) : key0;
            count += selects(asked, r, k);
        }
    }
    return (double)count / ((double)up * (double)across);
}

static void fill(struct grid *grid, const struct asked *asked) {
    const size_t cells = (size_t)grid->rows * grid->cols;
    size_t touched = 0;
    double pairs = 0;
    uint64_t state = 0;
    for (size_t i = 0; i < cells; i++) touched += grid->runs[i] != 0;
    const double most = fmax(MOST_PAIRS / (double)(touched ? touched : 1), 16);
    grid->exact = true;
    for (uint32_t r = 0; r < grid->rows; r++) {
        const int64_t row = cell_begin(r, grid->rows, grid->q_len),
                      rows = cell_begin(r + 1, grid->rows, grid->q_len) - row;
        progress_step("asking the pattern", (double)r / grid->rows, (double)(r + 1) / grid->rows,
                      0);
        for (uint32_t c = 0; c < grid->cols; c++) {
            const size_t cell = (size_t)r * grid->cols + c;
            if (!grid->runs[cell]) continue;  // nothing is computed here, so nothing is selected
            const int64_t key = cell_begin(c, grid->cols, grid->kv_len),
                          keys = cell_begin(c + 1, grid->cols, grid->kv_len) - key;
            grid->selected[cell] =
                (float)cell_share(asked, row, rows, key, keys, most, &state, &grid->exact);
            pairs += (double)grid->selected[cell] * (double)rows * (double)keys;
        }
    }
    grid->share = pairs / ((double)grid->q_len * (double)grid->kv_len);
}

tulle_result grid_make(struct grid *grid, const struct grid_request *request, tulle_error *error) {
    const tulle_attention_desc desc = *request->desc;
    const double keys_per_cell =
        fmax(1, fmax((double)desc.kv_len / request->most_cols,
                     (double)desc.q_len / request->most_rows / request->row_scale));
    const double rows_per_cell = fmax(1, keys_per_cell * request->row_scale);
    const int64_t offset =
        desc.q_align == TULLE_ALIGN_GIVEN ? desc.q_offsets[0] : (int64_t)desc.kv_len - desc.q_len;
    *grid =
        (struct grid){ .rows = (uint32_t)fmin(ceil(desc.q_len / rows_per_cell), request->most_rows),
                       .cols =
                           (uint32_t)fmin(ceil(desc.kv_len / keys_per_cell), request->most_cols),
                       .q_len = desc.q_len,
                       .kv_len = desc.kv_len,
                       .q_offset = offset };
    const size_t cells = (size_t)grid->rows * grid->cols;
    grid->selected = calloc(cells, sizeof *grid->selected);
    grid->runs = calloc(cells, 1);
    if (!grid->selected || !grid->runs) return no_memory(error);

    // Scheduling also checks the descriptor, before the pattern is asked.
    const tulle_result result =
        tulle_schedule_walk(request->context, &desc, 0, request->head, add_run, grid, error);
    if (result) return result;
    const struct asked asked = ask(request, grid);
    fill(grid, &asked);
    return TULLE_OK;
}

// Softmax of one row over its selected keys, into weights; returns whether there are any.
static bool row_weights(const struct asked *asked, const tulle_attention_desc *desc,
                        const double *q_row, const double *keys, int64_t row, double *weights) {
    const double scale = desc->scale != 0 ? desc->scale : 1 / sqrt(desc->head_dim);
    double most = -HUGE_VAL, sum = 0;
    for (int64_t j = 0; j < desc->kv_len; j++) {
        double score = 0;
        if (!selects(asked, row, j)) {
            weights[j] = -HUGE_VAL;
            continue;
        }
        const double *key = keys + (size_t)j * desc->head_dim;
        for (uint32_t i = 0; i < desc->head_dim; i++) score += q_row[i] * key[i];
        score *= scale;
        if (desc->softcap > 0) score = desc->softcap * tanh(score / desc->softcap);
        weights[j] = score;
        most = fmax(most, score);
    }
    if (!(most > -HUGE_VAL)) return false;
    for (int64_t j = 0; j < desc->kv_len; j++) sum += weights[j] = exp(weights[j] - most);
    for (int64_t j = 0; j < desc->kv_len; j++) weights[j] /= sum;
    return true;
}

// One head of a tensor as doubles, [length][dim].
static double *head_as_double(const struct tensor *tensor, size_t head) {
    double *out = malloc((size_t)tensor->length * tensor->dim * sizeof *out);
    for (size_t row = 0; out && row < tensor->length; row++)
        for (size_t i = 0; i < tensor->dim; i++)
            out[row * tensor->dim + i] =
                (double)array_real(&tensor->array, head * (size_t)tensor->strides.head +
                                                       row * (size_t)tensor->strides.row + i);
    return out;
}

static int compare_floats(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

// Few cells have most of the weight: if the largest of all were darkest, the rest would all look
// white.
static bool choose_dark(struct grid *grid) {
    const size_t cells = (size_t)grid->rows * grid->cols;
    size_t count = 0;
    float *sorted = malloc(cells * sizeof *sorted);
    if (!sorted) return false;
    for (size_t i = 0; i < cells; i++)
        if (grid->weight[i] > 0) sorted[count++] = grid->weight[i];
    qsort(sorted, count, sizeof *sorted, compare_floats);
    if (count) {
        grid->weight_dark = sorted[count - 1 - count / 100];
        grid->weight_max = sorted[count - 1];
    }
    free(sorted);
    return true;
}

tulle_result grid_add_weights(struct grid *grid, const struct grid_request *request,
                              const struct tensor *q, const struct tensor *k, tulle_error *error) {
    const tulle_attention_desc *desc = request->desc;
    const struct asked asked = ask(request, grid);
    double *queries = head_as_double(q, request->head),
           *keys = head_as_double(k, (size_t)request->head * k->heads / q->heads);
    double *weights = malloc((size_t)grid->kv_len * sizeof *weights);
    grid->weight = calloc((size_t)grid->rows * grid->cols, sizeof *grid->weight);
    bool good = queries && keys && weights && grid->weight;
    for (uint32_t r = 0; good && r < grid->rows; r++) {
        const int64_t row0 = cell_begin(r, grid->rows, grid->q_len),
                      row1 = cell_begin(r + 1, grid->rows, grid->q_len);
        float *cells = grid->weight + (size_t)r * grid->cols;
        progress_step("attention weights", (double)r / grid->rows, (double)(r + 1) / grid->rows, 0);
        for (int64_t row = row0; row < row1; row++) {
            if (!row_weights(&asked, desc, queries + (size_t)row * desc->head_dim, keys, row,
                             weights))
                continue;
            for (uint32_t c = 0; c < grid->cols; c++) {
                const int64_t key1 = cell_begin(c + 1, grid->cols, grid->kv_len);
                double sum = 0;
                for (int64_t key = cell_begin(c, grid->cols, grid->kv_len); key < key1; key++)
                    sum += weights[key];
                cells[c] += (float)(sum / (double)(row1 - row0));
            }
        }
    }
    good = good && choose_dark(grid);
    free(queries);
    free(keys);
    free(weights);
    return good ? TULLE_OK : no_memory(error);
}

void grid_free(struct grid *grid) {
    free(grid->selected);
    free(grid->runs);
    free(grid->weight);
    memset(grid, 0, sizeof *grid);
}
