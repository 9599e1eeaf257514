// SPDX-License-Identifier: MIT
//
// Wrong buffers, bindings and recordings, as test_error_descriptors.c has it for descriptors.
#include <stdio.h>
#include <string.h>

#include "mistakes.h"

struct session {
    const struct mode_context *context;
    tulle_plan *plan, *split;  // one that needs no workspace on most devices; one that needs some
    tulle_plan_info info, split_info;
    struct gpu_buffer buffers[6];
    tulle_buffers good;
};

static void open_session(struct session *session) {
    memset(session, 0, sizeof *session);
    session->context = harness_mode(MODE_IMPORT);
    tulle_attention_desc desc = mistake_desc();
    tulle_error error = { 0 };
    harness_ok(tulle_plan_create(session->context->tulle, &desc, &session->plan, &error), &error,
               "tulle_plan_create");
    tulle_plan_get_info(session->plan, &session->info);
    desc.kv_len = 4000;
    desc.dispatch_pairs = 1000;
    harness_ok(tulle_plan_create(session->context->tulle, &desc, &session->split, &error), &error,
               "tulle_plan_create");
    tulle_plan_get_info(session->split, &session->split_info);
    static const VkDeviceSize sizes[] = { 2 * 4 * 10 * 8 * 4, 2 * 2 * 20 * 8 * 4,
                                          2 * 2 * 20 * 16 * 4, 2 * 4 * 10 * 16 * 4,
                                          2 * 4 * 10 * 4 };
    tulle_buffer *slots[] = { &session->good.q, &session->good.k, &session->good.v,
                              &session->good.o, &session->good.lse };
    for (int n = 0; n < 5; n++) {
        session->buffers[n] = gpu_buffer_create(&session->context->gpu, sizes[n] + 64,
                                                VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
        *slots[n] = (tulle_buffer){ session->buffers[n].buffer, 16, sizes[n] };
    }
}

static void close_session(struct session *session) {
    for (int n = 0; n < 6; n++) {
        if (session->buffers[n].buffer != VK_NULL_HANDLE) {
            gpu_buffer_destroy(&session->context->gpu, &session->buffers[n]);
        }
    }
    tulle_plan_destroy(session->plan);
    tulle_plan_destroy(session->split);
    harness_silent();
}

static void refuse_binding(tulle_plan *plan, const tulle_buffers *buffers, const char *name,
                           const char *value, const char *what) {
    tulle_binding *binding = (tulle_binding *)(uintptr_t)0x10;
    tulle_error error = { 0 };
    const tulle_result result = tulle_binding_create(plan, buffers, &binding, &error);
    const char *const words[2] = { name, value };
    mistake_refused(result, &error, TULLE_ERROR_INVALID_ARGUMENT, words, what);
    if (binding != NULL) {
        harness_fail("%s: the binding is not NULL", what);
    }
}

static void test_bindings(void **state) {
    (void)state;
    struct session session;
    open_session(&session);
    const size_t slots[] = { offsetof(tulle_buffers, q), offsetof(tulle_buffers, k),
                             offsetof(tulle_buffers, v), offsetof(tulle_buffers, o),
                             offsetof(tulle_buffers, lse) };
    static const char *const names[] = { "Q", "K", "V", "O", "LSE" }, *const lower[] = { "q", "k",
                                                                                         "v", "o",
                                                                                         "lse" };
    for (int n = 0; n < 5; n++) {
        tulle_buffers bad = session.good;
        tulle_buffer *slot = (tulle_buffer *)(void *)((char *)&bad + slots[n]);
        // The message may name it as the descriptor's tensor or as the field.
        tulle_binding *probe = NULL;
        tulle_error error = { 0 };
        slot->buffer = VK_NULL_HANDLE;
        tulle_binding_create(session.plan, &bad, &probe, &error);
        const char *name = strstr(error.message, names[n]) != NULL ? names[n] : lower[n];
        refuse_binding(session.plan, &bad, name, NULL, "a buffer that is missing");
        *slot = *(const tulle_buffer *)(const void *)((const char *)&session.good + slots[n]);
        const VkDeviceSize size = slot->size;
        char value[32];
        slot->size = size - 4;
        snprintf(value, sizeof value, "%llu", (unsigned long long)slot->size);
        refuse_binding(session.plan, &bad, name, value, "a buffer that is too small");
        slot->size = size;
        // 6 elements of fp32; the LSE need only be aligned as a float
        slot->offset = n == 4 ? 22 : 24;
        refuse_binding(session.plan, &bad, name, n == 4 ? "22" : "24",
                       "an offset that is no multiple of 4 elements");
    }
    refuse_binding(session.plan, NULL, "buffers", NULL, "no buffers");
    for (int n = 0; n < 2; n++) {  // rows that only tulle_attention pads
        tulle_attention_desc desc = mistake_desc();
        *(n == 0 ? &desc.head_dim : &desc.v_head_dim) = 7;
        tulle_plan *padded = NULL;
        tulle_error error = { 0 };
        harness_ok(tulle_plan_create(session.context->tulle, &desc, &padded, &error), &error,
                   "tulle_plan_create");
        refuse_binding(padded, &session.good, n == 0 ? "'s head_dim is 7" : "'s v_head_dim is 7",
                       "multiple of 4", "rows of 7 elements in buffers");
        tulle_plan_destroy(padded);
    }
    refuse_binding(NULL, &session.good, "plan", NULL, "no plan");
    tulle_error error = { 0 };
    const char *const words[2] = { "out", NULL };
    mistake_refused(tulle_binding_create(session.plan, &session.good, NULL, &error), &error,
                    TULLE_ERROR_INVALID_ARGUMENT, words, "nowhere to put the binding");

    if (session.split_info.workspace_bytes == 0) {
        harness_fail("the long plan needs no workspace: nothing was tried");
    }
    session.buffers[5] =
        gpu_buffer_create(&session.context->gpu, session.split_info.workspace_bytes,
                          VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    tulle_buffers bad = session.good;
    for (int n = 1; n <= 2; n++) {  // of 20 keys, and the plan has 4000
        gpu_buffer_destroy(&session.context->gpu, &session.buffers[n]);
        session.buffers[n] =
            gpu_buffer_create(&session.context->gpu, 2 * 2 * 4000 * (n == 1 ? 8 : 16) * 4,
                              VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    }
    bad.k = (tulle_buffer){ session.buffers[1].buffer, 0, 0 };
    bad.v = (tulle_buffer){ session.buffers[2].buffer, 0, 0 };
    bad.workspace =
        (tulle_buffer){ session.buffers[5].buffer, 0, session.split_info.workspace_bytes - 1 };
    char value[32];
    snprintf(value, sizeof value, "%llu", (unsigned long long)session.split_info.workspace_bytes);
    refuse_binding(session.split, &bad, "workspace", value, "a workspace that is too small");
    bad.workspace.size = 0;
    bad.lse = bad.workspace;
    refuse_binding(session.split, &bad, "workspace", "LSE", "a workspace that is LSE too");
    close_session(&session);
}

// A buffer says its size, rounded up: what lies far beyond is refused although `size` is 0.
static void test_buffer_sizes(void **state) {
    (void)state;
    struct session session;
    open_session(&session);
    const size_t slots[] = { offsetof(tulle_buffers, q), offsetof(tulle_buffers, k),
                             offsetof(tulle_buffers, v), offsetof(tulle_buffers, o),
                             offsetof(tulle_buffers, lse) };
    static const char *const names[] = { "Q", "K", "V", "O", "LSE" };
    for (int n = 0; n < 5; n++) {
        struct gpu_buffer small =
            gpu_buffer_create(&session.context->gpu, 64, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
        tulle_buffers bad = session.good;
        tulle_buffer *slot = (tulle_buffer *)(void *)((char *)&bad + slots[n]);
        *slot = (tulle_buffer){ small.buffer, 0, 0 };
        refuse_binding(session.plan, &bad, names[n], "from offset 0 on",
                       "a buffer that is smaller than its tensor");
        slot->size = 1 << 20;
        refuse_binding(session.plan, &bad, names[n], "from offset 0 on",
                       "a buffer that is smaller than its size");
        slot->buffer = session.buffers[n].buffer;
        slot->size = 0;
        slot->offset = UINT64_MAX / 16 * 16;
        refuse_binding(session.plan, &bad, names[n], "from offset 184",
                       "an offset far beyond the buffer");
        gpu_buffer_destroy(&session.context->gpu, &small);
    }
    close_session(&session);
}

// O and LSE share no byte with another tensor, wherever in one buffer that is.
static void test_shared_buffers(void **state) {
    (void)state;
    struct session session;
    open_session(&session);
    const tulle_buffers *good = &session.good;
    struct gpu_buffer all =
        gpu_buffer_create(&session.context->gpu, 1 << 16, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
    // Q, K, V, O and LSE one after the other, without a gap
    tulle_buffers packed = { .q = { all.buffer, 0, 0 } };
    packed.k = (tulle_buffer){ all.buffer, good->q.size, 0 };
    packed.v = (tulle_buffer){ all.buffer, packed.k.offset + good->k.size, 0 };
    packed.o = (tulle_buffer){ all.buffer, packed.v.offset + good->v.size, 0 };
    packed.lse = (tulle_buffer){ all.buffer, packed.o.offset + good->o.size, 0 };
    tulle_binding *binding = NULL;
    tulle_error error = { 0 };
    harness_ok(tulle_binding_create(session.plan, &packed, &binding, &error), &error,
               "tensors one after the other in one buffer");
    tulle_binding_destroy(binding);
    tulle_buffers same = packed;
    same.v = (tulle_buffer){ all.buffer, 16, 0 };  // what is only read may share
    same.k.offset = 0;
    harness_ok(tulle_binding_create(session.plan, &same, &binding, &error), &error,
               "Q, K and V that overlap");
    tulle_binding_destroy(binding);

    static const char *const names[] = { "Q", "K", "V" };
    const tulle_buffer *inputs[] = { &packed.q, &packed.k, &packed.v };
    for (int n = 0; n < 3; n++) {
        tulle_buffers bad = packed;
        bad.o.offset = inputs[n]->offset;
        refuse_binding(session.plan, &bad, "O at offset", names[n], "O that is an input");
        bad.o = packed.o;
        bad.lse.offset = inputs[n]->offset + 64;
        refuse_binding(session.plan, &bad, "LSE at offset", names[n], "LSE in an input");
    }
    tulle_buffers bad = packed;
    bad.o.offset -= 16;
    refuse_binding(session.plan, &bad, "O at offset", "V", "O that begins in V");
    bad = packed;
    bad.lse.offset -= 4;
    refuse_binding(session.plan, &bad, "LSE at offset", "O", "LSE that begins in O");
    gpu_buffer_destroy(&session.context->gpu, &all);
    close_session(&session);
}

static void test_recording(void **state) {
    (void)state;
    struct session session;
    open_session(&session);
    tulle_error error = { 0 };
    tulle_binding *binding = NULL, *same = NULL;
    harness_ok(tulle_binding_create(session.plan, &session.good, &binding, &error), &error,
               "tulle_binding_create");
    harness_ok(tulle_binding_create(session.plan, &session.good, &same, &error), &error,
               "a second binding of the same buffers");
    VkCommandBuffer cmd = gpu_begin(&session.context->gpu);
    const struct {
        const char *what;
        VkCommandBuffer cmd;
        const tulle_plan *plan;
        const tulle_binding *binding;
        uint32_t first, count;
        const char *words[2];
    } bad[] = {
        { "no command buffer", VK_NULL_HANDLE, session.plan, binding, 0, 0, { "cmd", NULL } },
        { "no plan", cmd, NULL, binding, 0, 0, { "plan", NULL } },
        { "no binding", cmd, session.plan, NULL, 0, 0, { "binding", NULL } },
        { "a binding of another plan", cmd, session.split, binding, 0, 0, { "binding", "plan" } },
        { "dispatches that are not there", cmd, session.plan, binding, 6, 1, { "dispatch", "6" } },
        { "more dispatches than there are", cmd, session.plan, binding, 0, 2, { "dispatch", "2" } },
        { "a range that overflows", cmd, session.plan, binding, 1, UINT32_MAX, { NULL, NULL } },
    };
    for (size_t n = 0; n < COUNT(bad); n++) {
        memset(&error, 0, sizeof error);
        const tulle_result result = tulle_cmd_attention(bad[n].cmd, bad[n].plan, bad[n].binding,
                                                        bad[n].first, bad[n].count, &error);
        mistake_refused(result, &error, TULLE_ERROR_INVALID_ARGUMENT, bad[n].words, bad[n].what);
    }
    const char *const plan_words[2] = { "plan", NULL }, *const cmd_words[2] = { "cmd", NULL };
    memset(&error, 0, sizeof error);
    mistake_refused(tulle_cmd_prepare(cmd, NULL, &error), &error, TULLE_ERROR_INVALID_ARGUMENT,
                    plan_words, "prepare without a plan");
    memset(&error, 0, sizeof error);
    mistake_refused(tulle_cmd_prepare(VK_NULL_HANDLE, session.plan, &error), &error,
                    TULLE_ERROR_INVALID_ARGUMENT, cmd_words, "prepare without a command buffer");
    gpu_finish(&session.context->gpu, cmd);
    tulle_binding_destroy(binding);
    tulle_binding_destroy(same);
    tulle_binding_destroy(NULL);
    close_session(&session);
}

int main(int argc, char **argv) {
    (void)argc;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bindings),           cmocka_unit_test(test_buffer_sizes),
        cmocka_unit_test(test_shared_buffers),     cmocka_unit_test(test_recording),
        cmocka_unit_test(mistakes_left_all_right),
    };
    return HARNESS_RUN(argv, "error_buffers", tests);
}
