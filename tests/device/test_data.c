// SPDX-License-Identifier: MIT
//
// Real data: the excerpt in tests/data (its README says what it is), whose O and LSE come from an
// fp64 computation that shares no code with this project; and the complete data where
// TULLE_REAL_DATA names its folder. TULLE_TEST_DATA names the excerpt's folder where the test is
// not started from the repository's root.

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "problem.h"

// -------------------------------------------------------------------------------------------------
// Files

struct array {
    int64_t shape[3];  // [heads, rows, dim], or dim 1
    tulle_dtype dtype;
    size_t count;
    uint8_t *bytes;
};

static bool read_file(const char *path, uint8_t **bytes, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return false;
    }
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    *bytes = malloc(*size + 1);
    const bool whole = fread(*bytes, 1, *size, file) == *size;
    fclose(file);
    (*bytes)[*size] = '\0';
    return whole;
}

// Just enough of .npy for these files: version 1, little-endian fp16 or fp32, C order, two or three
// axes.
static struct array read_npy(const char *folder, const char *name) {
    char path[1024];
    uint8_t *bytes = NULL;
    size_t size = 0;
    struct array array = { { 1, 1, 1 }, TULLE_F32, 0, NULL };
    snprintf(path, sizeof path, "%s/%s.npy", folder, name);
    if (!read_file(path, &bytes, &size) || size < 10 || memcmp(bytes, "\x93NUMPY\x01", 7) != 0) {
        fail_msg("%s cannot be read", path);
    }
    const size_t header = 10 + bytes[8] + 256u * bytes[9];
    const char *text = (const char *)bytes + 10, *shape = strstr(text, "'shape': (");
    if (strstr(text, "'<f2'") != NULL) {
        array.dtype = TULLE_F16;
    }
    int64_t axes[3] = { 0, 0, 1 };
    if (shape == NULL || sscanf(shape, "'shape': (%" SCNd64 ", %" SCNd64 ", %" SCNd64, &axes[0],
                                &axes[1], &axes[2]) < 2) {
        fail_msg("%s has no shape that this test reads", path);
    }
    memcpy(array.shape, axes, sizeof axes);
    array.count = (size_t)(axes[0] * axes[1] * axes[2]);
    if (size != header + array.count * tulle_dtype_size(array.dtype)) {
        fail_msg("%s has %zu bytes, which is not what its header says", path, size);
    }
    array.bytes = malloc(size - header);
    memcpy(array.bytes, bytes + header, size - header);
    free(bytes);
    return array;
}

static double array_at(const struct array *array, size_t n) {
    return dtype_decode(array->dtype, array->bytes + n * tulle_dtype_size(array->dtype));
}

// -------------------------------------------------------------------------------------------------
// As a problem

// How many subnormal fp16 numbers a row holds at most, and the largest magnitude.
static void look_at(const struct array *array, double *subnormal, double *largest) {
    *subnormal = *largest = 0.0;
    double here = 0.0;
    for (size_t n = 0; n < array->count; n++) {
        const double value = fabs(array_at(array, n));
        here = n % (size_t)array->shape[2] == 0 ? 0.0 : here;
        here += array->dtype == TULLE_F16 && value != 0.0 && value < 0x1p-14;
        *subnormal = fmax(*subnormal, here);
        *largest = fmax(*largest, value);
    }
}

static void put(const struct array *from, double *to) {
    for (size_t n = 0; n < from->count; n++) {
        to[n] = array_at(from, n);
    }
}

// The library's answer and the reference's, both against the stored O and LSE.
static void reproduce(const char *folder, bool longformer, tulle_dtype dtype, enum mode mode,
                      enum problem_way way, const char *kernel) {
    struct array q = read_npy(folder, "q"), k = read_npy(folder, "k"), v = read_npy(folder, "v"),
                 o = read_npy(folder, "o"), lse = read_npy(folder, "lse");
    struct problem problem;
    problem_init(&problem, 1);
    problem.heads = problem.kv_heads = q.shape[0];
    problem.q_len = problem.kv_len = q.shape[1];
    problem.head_dim = q.shape[2];
    problem.dtype = dtype;
    problem.o_dtype = TULLE_O_F32;
    problem.kernel = kernel;
    if (longformer) {
        problem_term(&problem, 0,
                     (struct ref_term){ .kind = REF_WINDOW, .left = 256, .right = 256 });
        problem_term(&problem, 0, (struct ref_term){ .kind = REF_GLOBAL, .count = 1 });
    }
    double subnormal[3], largest[3];
    look_at(&q, &subnormal[0], &largest[0]);
    look_at(&k, &subnormal[1], &largest[1]);
    look_at(&v, &subnormal[2], &largest[2]);
    problem.logit_flush = 0x1p-14 * (subnormal[0] * largest[1] + subnormal[1] * largest[0]) /
                          sqrt((double)problem.head_dim);
    problem.value_flush = subnormal[2] > 0.0 ? 0x1p-14 : 0.0;
    problem_fill(&problem);  // shapes, bounds, poison; the numbers are replaced:
    put(&q, problem.q64);
    put(&k, problem.k64);
    put(&v, problem.v64);
    problem_store(&problem);
    problem_reference(&problem);
    for (size_t n = 0; n < o.count; n++) {  // two computations in fp64, one rounded once
        if (!(fabs(problem.want_o[n] - array_at(&o, n)) <=
              0x1p-23 * fabs(array_at(&o, n)) + 1e-9)) {
            harness_fail("%s: the reference's O[%zu] is %.9g, the stored one %.9g", folder, n,
                         problem.want_o[n], array_at(&o, n));
        }
        problem.want_o[n] = array_at(&o, n);
    }
    for (size_t n = 0; n < lse.count; n++) {
        if (!(fabs(problem.want_lse[n] - array_at(&lse, n)) <=
              0x1p-23 * fabs(array_at(&lse, n)) + 1e-9)) {
            harness_fail("%s: the reference's LSE[%zu] is %.9g, the stored one %.9g", folder, n,
                         problem.want_lse[n], array_at(&lse, n));
        }
        problem.want_lse[n] = array_at(&lse, n);
    }
    problem_must_run(&problem, harness_mode(mode), way);
    problem_check(&problem, folder);
    problem_free(&problem);
    free(q.bytes);
    free(k.bytes);
    free(v.bytes);
    free(o.bytes);
    free(lse.bytes);
}

static void test_excerpt(void **state) {
    (void)state;
    const char *folder = getenv("TULLE_TEST_DATA");
    folder = folder == NULL ? "tests/data" : folder;
    reproduce(folder, true, TULLE_F16, MODE_OWN, WAY_HOST, NULL);
    reproduce(folder, true, TULLE_F16, MODE_IMPORT, WAY_RECORD, "base");
    reproduce(folder, true, TULLE_F16, MODE_IMPORT_FLOOR, WAY_RECORD, NULL);
    reproduce(folder, true, TULLE_F32, MODE_OWN, WAY_HOST, NULL);  // fp16 numbers are fp32 numbers
}

static void complete(const char *part, bool longformer, tulle_dtype dtype) {
    const char *folder = getenv("TULLE_REAL_DATA");
    if (folder == NULL) {
        printf("skip: TULLE_REAL_DATA does not name the complete data\n");
        fflush(stdout);
        skip();
    }
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, part);
    reproduce(path, longformer, dtype, MODE_OWN, WAY_HOST, NULL);
}

static void test_complete_short(void **state) {
    (void)state;
    complete("short", false, TULLE_F32);
}

static void test_complete_long(void **state) {
    (void)state;
    complete("long", true, TULLE_F16);
}

int main(int argc, char **argv) {
    (void)argc;
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_excerpt),
                                        cmocka_unit_test(test_complete_short),
                                        cmocka_unit_test(test_complete_long) };
    return HARNESS_RUN(argv, "data", tests);
}
