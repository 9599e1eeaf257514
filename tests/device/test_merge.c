// SPDX-License-Identifier: MIT
//
// Merging partial results: two disjoint halves of the keys are the whole, on the host (tulle_merge)
// and on the device (tulle_merger); and the merge itself against fp64, with rows that are empty on
// one side or both.

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "problem.h"
#include "tolerance.h"

#define U 0x1p-24
// bytes before and behind each buffer of the device merge; a multiple of 4 elements
#define GUARD 64

static double rounding_of(tulle_dtype dtype) {
    return dtype == TULLE_F32 ? U : dtype == TULLE_F16 ? 0x1p-10 : 0x1p-8;
}
// subnormal O may become 0
static double flush_of(tulle_dtype dtype) { return dtype == TULLE_F16 ? 0x1p-14 : 1e-37; }

static void poison(uint8_t *memory, size_t size) {
    const uint16_t word = POISON;
    for (size_t n = 0; n + 2 <= size; n += 2) {
        memcpy(memory + n, &word, 2);
    }
}

// -------------------------------------------------------------------------------------------------
// On the device: the same arguments as tulle_merge

static void merge_on_device(const struct mode_context *context, size_t rows, uint32_t dim,
                            tulle_dtype dtype, void *into_o, float *into_lse, const void *from_o,
                            const float *from_lse) {
    const struct gpu *gpu = &context->gpu;
    const size_t o_size = rows * dim * tulle_dtype_size(dtype), lse_size = rows * sizeof(float);
    const void *sources[] = { into_o, into_lse, from_o, from_lse };
    const size_t sizes[] = { o_size, lse_size, o_size, lse_size };
    struct gpu_buffer buffers[4];
    tulle_buffer bound[4];
    for (int n = 0; n < 4; n++) {
        buffers[n] = gpu_buffer_create(gpu, (sizes[n] + 2 * GUARD + 3) / 4 * 4,
                                       VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
        poison(buffers[n].mapped, buffers[n].size);
        memcpy(buffers[n].mapped + GUARD, sources[n], sizes[n]);
        bound[n] = (tulle_buffer){ buffers[n].buffer, GUARD, sizes[n] };
    }
    tulle_error error = { 0 };
    tulle_merger *merger = NULL;
    harness_ok(tulle_merger_create(context->tulle, (uint32_t)rows, dim, dtype, &bound[0], &bound[1],
                                   &bound[2], &bound[3], &merger, &error),
               &error, "tulle_merger_create");
    VkCommandBuffer cmd = gpu_begin(gpu);
    harness_ok(tulle_cmd_merge(cmd, merger, &error), &error, "tulle_cmd_merge");
    gpu_barrier(gpu, cmd);
    gpu_finish(gpu, cmd);
    tulle_merger_destroy(merger);
    for (int n = 0; n < 4; n++) {
        uint8_t *guard = malloc(buffers[n].size);
        poison(guard, buffers[n].size);
        const bool intact = memcmp(guard, buffers[n].mapped, GUARD) == 0 &&
                            memcmp(guard + GUARD + sizes[n], buffers[n].mapped + GUARD + sizes[n],
                                   buffers[n].size - GUARD - sizes[n]) == 0;
        free(guard);
        if (!intact) {
            harness_fail("the merge wrote outside buffer %d", n);
        }
        if (n >= 2 && memcmp(buffers[n].mapped + GUARD, sources[n], sizes[n]) != 0) {
            harness_fail("the merge changed what it merges from");
        }
    }
    memcpy(into_o, buffers[0].mapped + GUARD, o_size);
    memcpy(into_lse, buffers[1].mapped + GUARD, lse_size);
    for (int n = 0; n < 4; n++) {
        gpu_buffer_destroy(gpu, &buffers[n]);
    }
    harness_silent();
}

static void merge(const struct mode_context *context, size_t rows, uint32_t dim, tulle_dtype dtype,
                  void *into_o, float *into_lse, const void *from_o, const float *from_lse) {
    if (context != NULL) {
        merge_on_device(context, rows, dim, dtype, into_o, into_lse, from_o, from_lse);
        return;
    }
    tulle_error error = { 0 };
    harness_ok(tulle_merge(rows, dim, dtype, into_o, into_lse, from_o, from_lse, &error), &error,
               "tulle_merge");
}

// -------------------------------------------------------------------------------------------------
// Halves

// What is compared says what differs instead of failing, so that wrong results can be shown to it.
struct verdict {
    bool differs;
    char text[200];  // the first difference
};

static void compare(struct verdict *verdict, double got, double want, double tolerance,
                    const char *what, size_t at) {
    if (!verdict->differs && got != want && !(fabs(got - want) <= tolerance)) {
        verdict->differs = true;
        snprintf(verdict->text, sizeof verdict->text,
                 "%s, element %zu: %.9g, should be %.9g within %.3g", what, at, got, want,
                 tolerance);
    }
}

static void accept(const struct verdict *verdict) {
    if (verdict->differs) {
        harness_fail("%s", verdict->text);
    }
}

static void state_part(struct problem *problem, tulle_dtype dtype, enum problem_data data,
                       uint64_t seed) {
    problem_init(problem, seed);
    problem->data = data;
    problem->batch = 2;
    problem->heads = 2;
    problem->q_len = 61;
    problem->kv_len = 190;
    problem->head_dim = 40;
    problem->v_head_dim = 52;
    problem->dtype = dtype;
    problem->causal = true;
    problem_term(problem, 0, (struct ref_term){ .kind = REF_WINDOW, .left = 60, .right = 0 });
    problem_term(problem, 0, (struct ref_term){ .kind = REF_SINK, .count = 3 });
    int32_t *offset = problem_own(problem, 1, sizeof *offset);
    *offset = 190 - 61;
    problem->align = TULLE_ALIGN_GIVEN;  // the halves keep the whole's positions
    problem->q_offsets = offset;
    problem->q_offset_count = 1;
}

// Is this the whole's O and LSE?
static struct verdict compare_halves(const struct problem *whole, const uint8_t *o,
                                     const float *lse) {
    const tulle_dtype dtype = whole->dtype;
    const size_t rows = 2 * 2 * 61, dim = 52, element = tulle_dtype_size(dtype);
    struct verdict verdict = { 0 };
    // Each half is off by `weights` relative to its own sum of weight times |v| and rounded to
    // dtype; these sums, weighted, are the whole's. The merge's weights come from two LSEs, each
    // off by tolerance_lse, and a few roundings.
    for (size_t row = 0; row < rows; row++) {
        const struct tolerance_row bounds = { .head_dim = 40,
                                              .keys = whole->keys[row],
                                              .score_bound = whole->score_bound[row] };
        const double lse_error = tolerance_lse(&bounds, whole->want_lse[row]);
        const double relative =
            tolerance_weights(&bounds) + rounding_of(dtype) + 4.0 * expm1(lse_error) + 32.0 * U;
        for (size_t d = 0; d < dim; d++) {
            const double want = whole->want_o[row * dim + d];
            const double tolerance =
                tolerance_o(&bounds, relative, whole->absolute[row * dim + d], want, dtype) +
                2.0 * flush_of(dtype);
            compare(&verdict, dtype_decode(dtype, o + (row * dim + d) * element), want, tolerance,
                    "O of two halves", row * dim + d);
        }
        compare(&verdict, lse[row], whole->want_lse[row],
                2.0 * lse_error + 8.0 * U * (1.0 + fabs(whole->want_lse[row])), "LSE of two halves",
                row);
    }
    return verdict;
}

// Keys below `cut` and keys from it on. With a cut of 100 the first rows' windows lie on both
// sides; with 2 the first half is nearly empty, with 180 the second is, for all rows but the last
// ones (causal).
static void check_halves(const struct mode_context *device, tulle_dtype dtype,
                         enum problem_data data, int32_t cut) {
    const struct mode_context *context = harness_mode(MODE_IMPORT);
    const uint64_t seed = rng_hash(harness_seed(), (uint64_t)cut);
    struct problem whole, low, high;
    state_part(&whole, dtype, data, seed);
    state_part(&low, dtype, data, seed);
    state_part(&high, dtype, data, seed);
    int32_t *lengths = problem_own(&low, 2, sizeof *lengths),
            *starts = problem_own(&high, 2, sizeof *starts);
    lengths[0] = lengths[1] = starts[0] = starts[1] = cut;
    low.kv_lengths = lengths;
    high.kv_starts = starts;
    struct problem *all[] = { &whole, &low, &high };
    for (int n = 0; n < 3; n++) {
        problem_fill(all[n]);
        problem_must_run(all[n], context, WAY_HOST);
        problem_check(all[n], "a part");
    }
    uint8_t *o = low.o.memory + low.o.lead;
    const uint8_t *high_o = high.o.memory + high.o.lead;
    float *lse = (float *)(void *)(low.l.memory + low.l.lead);
    const float *high_lse = (const float *)(const void *)(high.l.memory + high.l.lead);
    if (!compare_halves(&whole, o, lse).differs ||
        !compare_halves(&whole, high_o, high_lse).differs) {
        harness_fail("cut at %d one half alone passes for the whole: the comparison shows nothing",
                     (int)cut);
    }
    merge(device, 2 * 2 * 61, 52, dtype, o, lse, high_o, high_lse);

    const struct verdict merged = compare_halves(&whole, o, lse);
    accept(&merged);
    for (int n = 0; n < 3; n++) {
        problem_free(all[n]);
    }
}

static void check_all_halves(const struct mode_context *device) {
    static const int32_t cuts[] = { 100, 2, 180 };
    for (int dtype = 0; dtype < 3; dtype++) {
        for (int n = 0; n < 3; n++) {
            check_halves(device, (tulle_dtype)dtype, DATA_NORMAL, cuts[n]);
        }
        check_halves(device, (tulle_dtype)dtype, DATA_HUGE, cuts[0]);
    }
}

static void test_halves_on_the_host(void **state) {
    (void)state;
    check_all_halves(NULL);
}

static void test_halves_on_the_device(void **state) {
    (void)state;
    check_all_halves(harness_mode(MODE_IMPORT));
    check_all_halves(harness_mode(MODE_IMPORT_FLOOR));
}

// -------------------------------------------------------------------------------------------------
// The merge against its definition

struct sides {
    size_t rows, dim, element;
    tulle_dtype dtype;
    uint8_t *o[2];  // 0: merged into
    float *lse[2];
    double *o64[2], *lse64[2];  // what was merged
};

static struct sides make_sides(tulle_dtype dtype, size_t rows, size_t dim) {
    struct rng rng = { rng_hash(harness_seed(), rows * 1000 + dim) };
    const size_t element = tulle_dtype_size(dtype), count = rows * dim;
    struct sides s = { .rows = rows, .dim = dim, .element = element, .dtype = dtype };
    for (int side = 0; side < 2; side++) {
        s.o[side] = malloc(count * element);
        s.lse[side] = malloc(rows * sizeof(float));
        s.o64[side] = malloc(count * sizeof(double));
        s.lse64[side] = malloc(rows * sizeof(double));
    }
    for (size_t row = 0; row < rows; row++) {
        for (int side = 0; side < 2; side++) {
            // Empty on one side or both; else apart by little, or by so much that one side's weight
            // vanishes.
            const bool empty = rng_chance(&rng, 20);
            const float value = (float)(rng_normal(&rng) * (row % 3 == 0 ? 1.0 : 40.0));
            // +∞ is how FlashAttention-2 marks an empty row
            s.lse[side][row] = !empty ? value : rng_chance(&rng, 50) ? INFINITY : -INFINITY;
            s.lse64[side][row] = empty ? -INFINITY : (double)value;
            for (size_t d = 0; d < dim; d++) {
                const double drawn = rng_normal(&rng);
                const size_t at = row * dim + d;
                dtype_encode(dtype, empty || fabs(drawn) < 0x1p-14 ? 0.0 : drawn,
                             s.o[side] + at * element);
                s.o64[side][at] = dtype_decode(dtype, s.o[side] + at * element);
            }
        }
        // An empty row's O does not count, whatever it holds; where both are empty O comes out as
        // 0.
        for (int side = 0; side < 2; side++) {
            if (isinf(s.lse[side][row])) {
                poison(s.o[side] + row * dim * element, dim * element);
            }
        }
    }
    return s;
}

static void free_sides(struct sides *s) {
    for (int side = 0; side < 2; side++) {
        free(s->o[side]);
        free(s->lse[side]);
        free(s->o64[side]);
        free(s->lse64[side]);
    }
}

// The weights of a row's two sides and its LSE.
struct merged_row {
    double weight[2], lse;
    bool empty;
};

static struct merged_row define_row(const struct sides *s, size_t row) {
    const double a = s->lse64[0][row], b = s->lse64[1][row], larger = fmax(a, b);
    if (isinf(larger)) {
        return (struct merged_row){ .lse = -INFINITY, .empty = true };
    }
    const double total = exp(a - larger) + exp(b - larger);
    return (struct merged_row){ .weight = { exp(a - larger) / total, exp(b - larger) / total },
                                .lse = larger + log(total) };
}

static struct verdict compare_sides(const struct sides *s) {
    struct verdict verdict = { 0 };
    for (size_t row = 0; row < s->rows; row++) {
        const struct merged_row want = define_row(s, row);
        const double a = s->lse64[0][row], b = s->lse64[1][row];
        compare(&verdict, s->lse[0][row], want.lse,
                want.empty ? 0.0 : 8.0 * U * (4.0 + fabs(fmax(a, b))), "merged LSE", row);
        // A weight's exponent: the difference and its factor log2 e, 3u of at most |a − b|; exp2 (3
        // + 2x) ULP. Past a distance of 60 the smaller weight is below 1e-26 and its error does not
        // matter.
        const double apart = want.empty || isinf(a) || isinf(b) ? 0.0 : fmin(fabs(a - b), 60.0);
        const double relative = 2.0 * (3.0 * apart + (3.0 + 2.0 * apart * 1.443) * 2.0 + 8.0) * U;
        for (size_t d = 0; d < s->dim; d++) {
            const size_t at = row * s->dim + d;
            const double value = want.weight[0] * s->o64[0][at] + want.weight[1] * s->o64[1][at];
            const double absolute =
                want.weight[0] * fabs(s->o64[0][at]) + want.weight[1] * fabs(s->o64[1][at]);
            const double tolerance = want.empty ? 0.0
                                                : relative * absolute + 1e-25 +
                                                      rounding_of(s->dtype) * fabs(value) +
                                                      flush_of(s->dtype);
            compare(&verdict, dtype_decode(s->dtype, s->o[0] + at * s->element), value, tolerance,
                    "merged O", at);
        }
    }
    return verdict;
}

static void check_definition(const struct mode_context *device, tulle_dtype dtype, size_t rows,
                             uint32_t dim) {
    struct sides s = make_sides(dtype, rows, dim);
    merge(device, rows, dim, dtype, s.o[0], s.lse[0], s.o[1], s.lse[1]);
    const struct verdict verdict = compare_sides(&s);
    free_sides(&s);
    accept(&verdict);
}

// Merges that are wrong in one row alone, as a merge could be. The comparison above must notice
// each of them, and must not mind the right one, in every dtype.
enum wrong {
    RIGHT,
    WEIGHTS_SWAPPED,
    SIDE_LEFT_OUT,
    NOT_NORMALISED,
    COLUMNS_SHIFTED,
    LSE_OF_ONE_SIDE,
    LSE_IN_BASE_2,
    EMPTY_ROW_COUNTS,
    WRONG_COUNT
};

static void merge_wrongly(struct sides *s, enum wrong wrong, size_t wrong_row) {
    for (size_t row = 0; row < s->rows; row++) {
        const enum wrong now = row == wrong_row ? wrong : RIGHT;
        const struct merged_row right = define_row(s, row);
        double wa = right.weight[0], wb = right.weight[1], lse = right.lse;
        if (now == WEIGHTS_SWAPPED) {
            wa = right.weight[1];
            wb = right.weight[0];
        } else if (now == SIDE_LEFT_OUT) {
            wb = 0.0;
        } else if (now == NOT_NORMALISED) {
            wa = wa / fmax(right.weight[0], right.weight[1]);
            wb = wb / fmax(right.weight[0], right.weight[1]);
        } else if (now == LSE_OF_ONE_SIDE) {
            lse = fmax(s->lse64[0][row], s->lse64[1][row]);
        } else if (now == LSE_IN_BASE_2) {
            lse *= 1.4426950408889634;
        } else if (now == EMPTY_ROW_COUNTS) {
            wa = NAN;  // 0 times what stood there
        }
        for (size_t d = 0; d < s->dim; d++) {
            const size_t at = row * s->dim + d,
                         from = now == COLUMNS_SHIFTED ? row * s->dim + (d + 1) % s->dim : at;
            dtype_encode(s->dtype, wa * s->o64[0][from] + wb * s->o64[1][from],
                         s->o[0] + at * s->element);
        }
        s->lse[0][row] = (float)lse;
    }
}

static void test_a_wrong_merge_is_noticed(void **state) {
    (void)state;
    for (int dtype = 0; dtype < 3; dtype++) {
        struct sides s = make_sides((tulle_dtype)dtype, 100, 36);
        // A row that leans to one side by so much that every one of these matters, by little enough
        // that both sides count.
        const size_t row = 40;
        s.lse64[0][row] = 2.0;
        s.lse64[1][row] = 3.5;
        for (size_t d = 0; d < s.dim; d++) {
            s.o64[0][row * s.dim + d] = (double)d / 8.0 - 2.0;
            s.o64[1][row * s.dim + d] = 1.0 - (double)d / 16.0;
        }
        for (int wrong = RIGHT; wrong < WRONG_COUNT; wrong++) {
            merge_wrongly(&s, (enum wrong)wrong, row);
            const struct verdict verdict = compare_sides(&s);
            if (verdict.differs != (wrong != RIGHT)) {
                harness_fail("dtype %d, wrong merge %d: the comparison says %s", dtype, wrong,
                             verdict.differs ? verdict.text : "nothing");
            }
        }
        free_sides(&s);
    }
}

static void check_definitions(const struct mode_context *device) {
    static const size_t rows[] = { 1, 7, 100, 300 };
    static const uint32_t dims[] = { 4, 36, 512, 256 };
    for (int dtype = 0; dtype < 3; dtype++) {
        for (int n = 0; n < 4; n++) {
            check_definition(device, (tulle_dtype)dtype, rows[n], dims[(n + dtype) % 4]);
        }
    }
}

static void test_definition_on_the_host(void **state) {
    (void)state;
    check_definitions(NULL);
    // rows that are no whole pieces of 4 elements
    check_definition(NULL, TULLE_F16, 50, 1);
    check_definition(NULL, TULLE_F32, 50, 7);
}

static void test_definition_on_the_device(void **state) {
    (void)state;
    check_definitions(harness_mode(MODE_IMPORT));
    check_definitions(harness_mode(MODE_IMPORT_FLOOR));
    // more rows than 65,535
    check_definition(harness_mode(MODE_IMPORT_FLOOR), TULLE_F32, 70000, 4);
}

int main(int argc, char **argv) {
    (void)argc;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_wrong_merge_is_noticed),
        cmocka_unit_test(test_definition_on_the_host),
        cmocka_unit_test(test_definition_on_the_device),
        cmocka_unit_test(test_halves_on_the_host),
        cmocka_unit_test(test_halves_on_the_device),
    };
    return HARNESS_RUN(argv, "merge", tests);
}
