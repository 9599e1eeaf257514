// SPDX-License-Identifier: MIT

#include "library_term.h"

#include <stdio.h>
#include <stdlib.h>

static void *allocate(size_t count, size_t size) {
    void *memory = calloc(count > 0 ? count : 1, size);
    if (memory == NULL) {
        fprintf(stderr, "tests: out of memory\n");
        abort();
    }
    return memory;
}

static void mask_to_csr(const struct ref_term *term, tulle_term *out) {
    const int64_t rows = term->layouts * term->block_rows;
    int64_t *offsets = allocate((size_t)rows + 1, sizeof *offsets);
    int64_t *columns = allocate((size_t)(rows * term->block_cols), sizeof *columns);
    int64_t count = 0;
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t col = 0; col < term->block_cols; col++) {
            if (term->mask[row * term->block_cols + col] != 0) {
                columns[count++] = col;
            }
        }
        offsets[row + 1] = count;
    }
    out->row_offsets = offsets;
    out->columns = columns;
    out->mask = NULL;
}

tulle_term library_term(const struct ref_term *term, bool csr) {
    static const tulle_term_kind kinds[] = {
        [REF_DENSE] = TULLE_DENSE,
        [REF_WINDOW] = TULLE_WINDOW,
        [REF_DILATED] = TULLE_DILATED,
        [REF_GLOBAL] = TULLE_GLOBAL,
        [REF_GLOBAL_LIST] = TULLE_GLOBAL_LIST,
        [REF_SINK] = TULLE_SINK,
        [REF_STRIDED] = TULLE_STRIDED,
        [REF_FIXED] = TULLE_FIXED,
        [REF_BLOCKS] = TULLE_BLOCKS,
        [REF_RANDOM] = TULLE_RANDOM,
        [REF_DOCUMENTS] = TULLE_DOCUMENTS,
        [REF_PREFIX] = TULLE_PREFIX,
        [REF_CHUNKED] = TULLE_CHUNKED,
        [REF_A_SHAPE] = TULLE_A_SHAPE,
        [REF_VERTICAL_SLASH] = TULLE_VERTICAL_SLASH,
        [REF_NEIGHBORHOOD] = TULLE_NEIGHBORHOOD,
    };
    _Static_assert(sizeof kinds / sizeof *kinds == REF_KINDS,
                   "a kind of the reference's is missing");
    _Static_assert(REF_AXES == TULLE_AXES_MOST, "as many axes on both sides");
    tulle_term out = { .kind = kinds[term->kind],
                       .left = term->left,
                       .right = term->right,
                       .step = term->step,
                       .count = term->count,
                       .block = term->block,
                       .seed = term->seed,
                       .positions = term->list,
                       .position_count = term->list_len,
                       .diagonals = term->diagonals,
                       .diagonal_count = term->diagonals_len,
                       .mask = term->mask,
                       .layouts = term->layouts,
                       .block_rows = term->block_rows,
                       .block_cols = term->block_cols,
                       .axes = (uint32_t)term->axes,
                       .factor_count = (uint32_t)term->n_factors };
    for (int axis = 0; axis < term->axes; axis++) {
        out.grid[axis] = term->grid[axis];
        out.kernel[axis] = term->kernel[axis];
        out.dilation[axis] = term->dilation[axis];
        out.causal_axis[axis] = term->causal_axis[axis];
    }
    if (csr && term->kind == REF_BLOCKS) {
        mask_to_csr(term, &out);
    }
    if (term->n_factors > 0) {
        tulle_term *factors = allocate(term->n_factors, sizeof *factors);
        for (size_t n = 0; n < term->n_factors; n++) {
            factors[n] = library_term(&term->factors[n], csr);
        }
        out.factors = factors;
    }
    return out;
}

// What library_term allocated is const in a tulle_term.
static void give_back(const void *memory) { free((void *)(uintptr_t)memory); }

void library_term_free(const tulle_term *term) {
    for (uint32_t n = 0; n < term->factor_count; n++) {
        library_term_free(&term->factors[n]);
    }
    give_back(term->factors);
    give_back(term->row_offsets);
    give_back(term->columns);
}
