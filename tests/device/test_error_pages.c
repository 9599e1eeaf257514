// SPDX-License-Identifier: MIT
//
// Wrong pages, as test_error_descriptors.c has it for descriptors: in the descriptor, in buffers, in
// host arrays.
#include <string.h>

#include "mistakes.h"

enum { BATCH = 2, COLUMNS = 2, SIZE = 16, POOL = 3 };
#define TABLE_BYTES (BATCH * COLUMNS * 4)

static tulle_attention_desc paged_desc(void) {
    tulle_attention_desc desc = mistake_desc();  // 2 entries, 20 keys
    desc.page_size = SIZE;
    desc.pages = POOL;
    desc.table_columns = COLUMNS;
    return desc;
}

// -------------------------------------------------------------------------------------------------
// Descriptors

static const int32_t cu[] = { 0, 10 };

static void size_3(tulle_attention_desc *d) { d->page_size = 3; }
static void size_2048(tulle_attention_desc *d) { d->page_size = 2048; }
static void pages_0(tulle_attention_desc *d) { d->pages = 0; }
static void pages_many(tulle_attention_desc *d) { d->pages = (1u << 28) + 1; }
static void columns_0(tulle_attention_desc *d) { d->table_columns = 0; }
static void columns_1(tulle_attention_desc *d) { d->table_columns = 1; }
static void columns_many(tulle_attention_desc *d) { d->table_columns = 1u << 30; }
static void pages_alone(tulle_attention_desc *d) { d->page_size = d->table_columns = 0; }
static void columns_alone(tulle_attention_desc *d) { d->page_size = d->pages = 0; }
static void packed(tulle_attention_desc *d) {
    d->batch = 1;
    d->kv_len = 10;
    d->sequences = 1;
    d->cu_q = cu;
}
static void stride_odd(tulle_attention_desc *d) { d->k = (tulle_strides){ 258, 128, 8 }; }
static void stride_negative(tulle_attention_desc *d) { d->v = (tulle_strides){ -512, 256, 16 }; }
static void pool_huge(tulle_attention_desc *d) { d->k = (tulle_strides){ INT64_MAX / 64, 128, 8 }; }
static void matrices(tulle_attention_desc *d) {
    d->dtype = TULLE_F16;
    d->kernel = "matrix";
}

static const struct {
    void (*change)(tulle_attention_desc *d);
    tulle_result want;
    const char *words[2];
} wrong[] = {
    { size_3, TULLE_ERROR_INVALID_ARGUMENT, { "page_size is 3", "from 1 to 1024" } },
    { size_2048, TULLE_ERROR_INVALID_ARGUMENT, { "page_size is 2048", "power of two" } },
    { pages_0, TULLE_ERROR_INVALID_ARGUMENT, { "pages is 0", "from 1 to 268435456" } },
    { pages_many, TULLE_ERROR_INVALID_ARGUMENT, { "pages is 268435457", "268435456" } },
    { columns_0, TULLE_ERROR_INVALID_ARGUMENT, { "table_columns is 0", "at least 2" } },
    { columns_1, TULLE_ERROR_INVALID_ARGUMENT, { "table_columns is 1", "20 keys" } },
    { columns_many, TULLE_ERROR_INVALID_ARGUMENT, { "table_columns is 2147483648", "below" } },
    { pages_alone, TULLE_ERROR_INVALID_ARGUMENT, { "page_size is 0 and pages 3", NULL } },
    { columns_alone, TULLE_ERROR_INVALID_ARGUMENT, { "page_size is 0", "table_columns 2" } },
    { packed, TULLE_ERROR_INVALID_ARGUMENT, { "page_size is 16", "cu_q" } },
    { stride_odd, TULLE_ERROR_INVALID_ARGUMENT, { "K's batch stride is 258", NULL } },
    { stride_negative, TULLE_ERROR_INVALID_ARGUMENT, { "V's batch stride is -512", NULL } },
    { pool_huge, TULLE_ERROR_INVALID_ARGUMENT, { "K's batch stride", "2^57" } },
    { matrices, TULLE_ERROR_UNSUPPORTED, { "matrix_", "reads no paged K and V" } },
};

static void test_descriptors(void **state) {
    (void)state;
    for (size_t n = 0; n < COUNT(wrong); n++)
        for (int mode = 0; mode < MODE_COUNT; mode++) {
            tulle_attention_desc desc = paged_desc();
            tulle_plan *plan = (tulle_plan *)(uintptr_t)0x10;
            tulle_error error = { 0 };
            wrong[n].change(&desc);
            mistake_refused(
                tulle_plan_create(harness_mode((enum mode)mode)->tulle, &desc, &plan, &error),
                &error, wrong[n].want, wrong[n].words, wrong[n].words[0]);
            assert_null(plan);
        }
    harness_silent();
}

// On a device that reaches no more than Vulkan 1.1's least; no memory is touched.
static void test_limits(void **state) {
    (void)state;
    tulle_context *context = harness_mode(MODE_OWN_FLOOR)->tulle;
    tulle_attention_desc cells = paged_desc(), pool = paged_desc();
    cells.page_size = 1;
    cells.table_columns = 40000;  // twice; a texel buffer has 65,536 elements
    pool.pages = 1 << 17;  // of 1024 bytes in K's pool; less than 2^27 are reached for certain
    const struct {
        const tulle_attention_desc *desc;
        const char *words[2];
    } over[] = { { &cells, { "page table has 80000 cells", "at most 65536" } },
                 { &pool, { "K spans 134217728 bytes in its pages", "one descriptor reaches" } } };
    for (size_t n = 0; n < COUNT(over); n++) {
        tulle_plan *plan = NULL;
        tulle_error error = { 0 };
        mistake_refused(tulle_plan_create(context, over[n].desc, &plan, &error), &error,
                        TULLE_ERROR_UNSUPPORTED, over[n].words, over[n].words[0]);
        assert_null(plan);
    }
    harness_silent();
}

static void test_tuning(void **state) {
    (void)state;
    const tulle_attention_desc desc = paged_desc();
    const char *const words[2] = { "page_size is 16", "must be 0" };
    tulle_error error = { 0 };
    mistake_refused(tulle_tune(harness_mode(MODE_OWN)->tulle, &desc, NULL, NULL, &error), &error,
                    TULLE_ERROR_INVALID_ARGUMENT, words, "tuning with pages");
}

// -------------------------------------------------------------------------------------------------
// Buffers

struct session {
    const struct mode_context *context;
    tulle_plan *plan;
    struct gpu_buffer buffers[6];
    tulle_buffers good;
};

static void open_session(struct session *session) {
    const tulle_attention_desc desc = paged_desc();
    const VkBufferUsageFlags usage =
        VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT;
    tulle_error error = { 0 };
    memset(session, 0, sizeof *session);
    session->context = harness_mode(MODE_IMPORT);
    harness_ok(tulle_plan_create(session->context->tulle, &desc, &session->plan, &error), &error,
               "tulle_plan_create");
    static const VkDeviceSize sizes[] = { 2 * 4 * 10 * 8 * 4,       POOL * 2 * SIZE * 8 * 4,
                                          POOL * 2 * SIZE * 16 * 4, 2 * 4 * 10 * 16 * 4,
                                          2 * 4 * 10 * 4,           TABLE_BYTES };
    tulle_buffer *slots[] = { &session->good.q, &session->good.k,   &session->good.v,
                              &session->good.o, &session->good.lse, &session->good.page_table };
    for (int n = 0; n < 6; n++) {
        session->buffers[n] = gpu_buffer_create(&session->context->gpu, sizes[n] + 1024, usage);
        *slots[n] = (tulle_buffer){ session->buffers[n].buffer, 256, sizes[n] };
    }
}

static void close_session(struct session *session) {
    for (int n = 0; n < 6; n++) gpu_buffer_destroy(&session->context->gpu, &session->buffers[n]);
    tulle_plan_destroy(session->plan);
    harness_silent();
}

static void refuse(const struct session *session, tulle_buffer table, const char *first,
                   const char *second) {
    tulle_buffers bad = session->good;
    tulle_binding *binding = (tulle_binding *)(uintptr_t)0x10;
    tulle_error error = { 0 };
    const char *const words[2] = { first, second };
    bad.page_table = table;
    mistake_refused(tulle_binding_create(session->plan, &bad, &binding, &error), &error,
                    TULLE_ERROR_INVALID_ARGUMENT, words, first);
    assert_null(binding);
}

static void test_buffers(void **state) {
    (void)state;
    struct session session;
    open_session(&session);
    const VkBuffer own = session.good.page_table.buffer;
    refuse(&session, (tulle_buffer){ VK_NULL_HANDLE, 0, 0 }, "page table's buffer",
           "VK_NULL_HANDLE");
    refuse(&session, (tulle_buffer){ own, 260, 0 }, "page table's offset is 260", "multiple of");
    refuse(&session, (tulle_buffer){ own, 0, TABLE_BYTES - 4 }, "page table's size is 12",
           "at least 16");
    refuse(&session, (tulle_buffer){ own, 1 << 20, 0 }, "page table's buffer has",
           "from offset 1048576 on the plan needs 16");
    refuse(&session, (tulle_buffer){ session.good.o.buffer, 256, 0 },
           "O at offset 256 shares bytes with the page table", "must share none");
    refuse(&session, (tulle_buffer){ session.good.lse.buffer, 512, 0 },
           "LSE at offset 256 shares bytes with the page table at offset 512", NULL);
    tulle_binding *binding = NULL;
    tulle_error error = { 0 };
    harness_ok(tulle_binding_create(session.plan, &session.good, &binding, &error), &error,
               "tulle_binding_create");
    tulle_binding_destroy(binding);
    close_session(&session);
}

// -------------------------------------------------------------------------------------------------
// Host arrays

static void test_arrays(void **state) {
    (void)state;
    static float q[2 * 4 * 10 * 8], k[POOL * 2 * SIZE * 8], v[POOL * 2 * SIZE * 16],
        o[2 * 4 * 10 * 16], lse[2 * 4 * 10];
    static const int32_t table[BATCH * COLUMNS] = { 0, 1, 2, 0 };
    const tulle_host_arrays good = {
        .q = q, .k = k, .v = v, .o = o, .lse = lse, .page_table = table
    };
    const tulle_attention_desc desc = paged_desc();
    tulle_plan *plan = NULL;
    tulle_error error = { 0 };
    harness_ok(tulle_plan_create(harness_mode(MODE_OWN)->tulle, &desc, &plan, &error), &error,
               "tulle_plan_create");
    const struct {
        const void *table;
        const char *words[2];
    } bad[] = { { NULL, { "page_table is NULL", NULL } },
                { o + 5, { "O at", "shares bytes with page_table" } },
                { lse + 30, { "LSE at", "shares bytes with page_table" } } };
    for (size_t n = 0; n < COUNT(bad); n++) {
        tulle_host_arrays arrays = good;
        arrays.page_table = bad[n].table;
        mistake_refused(tulle_attention(plan, &arrays, NULL, &error), &error,
                        TULLE_ERROR_INVALID_ARGUMENT, bad[n].words, bad[n].words[0]);
    }
    harness_ok(tulle_attention(plan, &good, NULL, &error), &error, "tulle_attention");
    tulle_plan_destroy(plan);
    harness_silent();
}

int main(int argc, char **argv) {
    (void)argc;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_descriptors), cmocka_unit_test(test_limits),
        cmocka_unit_test(test_tuning),      cmocka_unit_test(test_buffers),
        cmocka_unit_test(test_arrays),      cmocka_unit_test(mistakes_left_all_right),
    };
    return HARNESS_RUN(argv, "wrong pages", tests);
}
