// SPDX-License-Identifier: MIT
//
// What somebody new does wrong with the header open beside them. What the library can see is
// refused, with one message that names what is wrong and what is allowed, in the tulle_error and in
// the log, and nothing is lost by it; or it is warned of, or right after all (test_warnings.c).
// Each field of a descriptor: test_error_descriptors.c. A struct that is not initialised is the one
// thing that may crash.
#include <string.h>

#include "mistakes.h"
#include "world.h"

static tulle_result plan_of(tulle_context *context, tulle_attention_desc desc, tulle_error *error) {
    tulle_plan *plan = NULL;
    const tulle_result result = tulle_plan_create(context, &desc, &plan, error);
    tulle_plan_destroy(plan);
    return result;
}

static tulle_result binding_of(tulle_plan *plan, tulle_buffers buffers, tulle_error *error) {
    tulle_binding *binding = NULL;
    const tulle_result result = tulle_binding_create(plan, &buffers, &binding, error);
    tulle_binding_destroy(binding);
    return result;
}

static tulle_result recording_of(const struct world *world, const tulle_plan *plan,
                                 const tulle_binding *binding, uint32_t first, uint32_t count,
                                 tulle_error *error) {
    VkCommandBuffer cmd = gpu_begin(world->gpu);
    const tulle_result result = tulle_cmd_attention(cmd, plan, binding, first, count, error);
    gpu_finish(world->gpu, cmd);
    return result;
}

static tulle_result attention_of(const struct world *world, tulle_host_arrays arrays,
                                 tulle_error *error) {
    return tulle_attention(world->plan, &arrays, NULL, error);
}

static tulle_result no_usage(struct world *w, tulle_error *error) {
    tulle_attention_desc desc = mistake_desc();
    desc.buffer_usage = 0;
    tulle_plan *plan = world_plan(w->imported, &desc);
    const tulle_result result = binding_of(plan, w->buffers, error);
    tulle_plan_destroy(plan);
    return result;
}
static tulle_result usage_without_storage(struct world *w, tulle_error *error) {
    tulle_attention_desc desc = mistake_desc();
    desc.buffer_usage = VK_BUFFER_USAGE_VERTEX_BUFFER_BIT;
    return plan_of(w->imported, desc, error);
}
static tulle_result not_prepared(struct world *w, tulle_error *error) {
    tulle_attention_desc desc = mistake_desc();
    desc.kernel = "base";
    tulle_plan *plan = world_plan(w->imported, &desc);
    tulle_binding *binding = world_bind(plan, &w->buffers);
    const tulle_result result = recording_of(w, plan, binding, 0, 0, error);
    world_prepare(w, plan);
    tulle_error after = { 0 };
    harness_ok(recording_of(w, plan, binding, 0, 0, &after), &after, "prepared after all");
    tulle_binding_destroy(binding);
    tulle_plan_destroy(plan);
    return result;
}
static tulle_result small_buffer(struct world *w, tulle_error *error) {
    tulle_buffers buffers = w->buffers;
    buffers.v = w->buffers.k;  // half of it
    return binding_of(w->plan, buffers, error);
}
static tulle_result small_size(struct world *w, tulle_error *error) {
    tulle_buffers buffers = w->buffers;
    buffers.k.size = K_BYTES / 2;  // fp16, and the plan is of fp32
    return binding_of(w->plan, buffers, error);
}
static tulle_result odd_offset(struct world *w, tulle_error *error) {
    tulle_buffers buffers = w->buffers;
    buffers.q.offset = 8;
    return binding_of(w->plan, buffers, error);
}
static tulle_result o_is_q(struct world *w, tulle_error *error) {
    tulle_buffers buffers = w->buffers;
    buffers.q = w->buffers.o;
    return binding_of(w->plan, buffers, error);
}
static tulle_result no_lse(struct world *w, tulle_error *error) {
    tulle_buffers buffers = w->buffers;
    buffers.lse.buffer = VK_NULL_HANDLE;
    return binding_of(w->plan, buffers, error);
}
static tulle_result small_workspace(struct world *w, tulle_error *error) {
    tulle_attention_desc desc = mistake_desc();
    desc.kernel = "base";
    desc.dispatch_pairs = 1;  // in pieces, which leave partial results
    desc.kv_len = 2000;
    desc.k.row = desc.v.row = 0;
    desc.k_broadcast = desc.v_broadcast = true;  // one row of keys for all
    tulle_plan *plan = world_plan(w->imported, &desc);
    tulle_buffers buffers = w->buffers;
    struct gpu_buffer workspace = gpu_buffer_create(w->gpu, 64, STORAGE);
    buffers.workspace.buffer = workspace.buffer;
    const tulle_result result = binding_of(plan, buffers, error);
    gpu_buffer_destroy(w->gpu, &workspace);
    tulle_plan_destroy(plan);
    return result;
}
static tulle_result other_context(struct world *w, tulle_error *error) {
    tulle_attention_desc desc = mistake_desc();
    desc.kernel = "base";
    tulle_plan *plan = world_plan(w->own, &desc);
    tulle_binding *binding = world_bind(w->plan, &w->buffers);
    const tulle_result result = recording_of(w, plan, binding, 0, 0, error);
    tulle_binding_destroy(binding);
    tulle_plan_destroy(plan);
    return result;
}
static tulle_result many_dispatches(struct world *w, tulle_error *error) {
    tulle_binding *binding = world_bind(w->plan, &w->buffers);
    const tulle_result result = recording_of(w, w->plan, binding, 0, 99, error);
    tulle_binding_destroy(binding);
    return result;
}
static tulle_result no_binding(struct world *w, tulle_error *error) {
    return recording_of(w, w->plan, NULL, 0, 0, error);
}
static tulle_result no_command_buffer(struct world *w, tulle_error *error) {
    return tulle_cmd_prepare(VK_NULL_HANDLE, w->plan, error);
}
static tulle_result no_array(struct world *w, tulle_error *error) {
    tulle_host_arrays arrays = world_arrays();
    arrays.v = NULL;
    return attention_of(w, arrays, error);
}
static tulle_result o_in_v(struct world *w, tulle_error *error) {
    tulle_host_arrays arrays = world_arrays();
    arrays.o = world_memory[2] + V_DIM;
    return attention_of(w, arrays, error);
}
static tulle_result o_on_itself(struct world *w, tulle_error *error) {
    tulle_host_arrays arrays = world_arrays();
    arrays.o_strides = (tulle_strides){ Q_LEN * V_DIM, Q_LEN * V_DIM, V_DIM };
    return attention_of(w, arrays, error);
}
static tulle_result odd_heads(struct world *w, tulle_error *error) {
    tulle_attention_desc desc = mistake_desc();
    desc.kv_heads = 3;
    return plan_of(w->own, desc, error);
}
static tulle_result odd_stride(struct world *w, tulle_error *error) {
    tulle_attention_desc desc = mistake_desc();
    desc.k = (tulle_strides){ KV_HEADS * KV_LEN * 9, KV_LEN * 9, 9 };
    return plan_of(w->own, desc, error);
}
static tulle_result far_offset(struct world *w, tulle_error *error) {
    const int32_t offset = INT32_MAX;
    tulle_attention_desc desc = mistake_desc();
    desc.q_align = TULLE_ALIGN_GIVEN;
    desc.q_offsets = &offset;
    desc.q_offset_count = 1;
    return plan_of(w->own, desc, error);
}
static tulle_result long_lengths(struct world *w, tulle_error *error) {
    const int32_t lengths[BATCH] = { KV_LEN, KV_LEN + 1 };
    tulle_attention_desc desc = mistake_desc();
    desc.kv_lengths = lengths;
    return plan_of(w->own, desc, error);
}
static tulle_result unknown_kernel(struct world *w, tulle_error *error) {
    tulle_attention_desc desc = mistake_desc();
    desc.kernel = "flash";
    return plan_of(w->own, desc, error);
}
static tulle_attention_desc workspace_desc(void) {
    tulle_attention_desc desc = mistake_desc();
    desc.kv_len = 4000;
    desc.dispatch_pairs = 1000;
    desc.workspace_limit = 16;
    return desc;
}
static tulle_result little_workspace(struct world *w, tulle_error *error) {
    return plan_of(w->own, workspace_desc(), error);
}
static tulle_result tuned_in_little(struct world *w, tulle_error *error) {
    const tulle_attention_desc desc = workspace_desc();
    return tulle_tune(w->own, &desc, NULL, NULL, error);
}
static tulle_result few_pattern_heads(struct world *w, tulle_error *error) {
    static const uint8_t mask[3] = { 1, 1, 1 };  // for three heads, of four
    tulle_pattern *pattern = NULL;
    harness_ok(tulle_pattern_create(&(tulle_term){ .kind = TULLE_BLOCKS,
                                                   .block = KV_LEN,
                                                   .mask = mask,
                                                   .layouts = 3,
                                                   .block_rows = 1,
                                                   .block_cols = 1 },
                                    1, &pattern, error),
               error, "tulle_pattern_create");
    tulle_attention_desc desc = mistake_desc();
    desc.patterns = (const tulle_pattern *const[]){ pattern };
    desc.pattern_count = 1;
    const tulle_result result = plan_of(w->own, desc, error);
    tulle_pattern_destroy(pattern);
    return result;
}
static tulle_result failed_pattern(struct world *w, tulle_error *error) {
    tulle_pattern *pattern = NULL;  // what it said is not looked at
    tulle_pattern_create(&(tulle_term){ .kind = TULLE_STRIDED }, 1, &pattern, NULL);
    tulle_attention_desc desc = mistake_desc();
    desc.patterns = (const tulle_pattern *const[]){ pattern };
    desc.pattern_count = 1;
    return plan_of(w->own, desc, error);
}
static tulle_result merge_of(const struct world *w, const tulle_buffer *from_o,
                             tulle_error *error) {
    tulle_merger *merger = NULL;
    const tulle_result result =
        tulle_merger_create(w->imported, BATCH * HEADS * Q_LEN, V_DIM, TULLE_F32, &w->buffers.o,
                            &w->buffers.lse, from_o, &w->buffers.k, &merger, error);
    tulle_merger_destroy(merger);
    return result;
}
static tulle_result merge_small(struct world *w, tulle_error *error) {
    return merge_of(w, &w->buffers.q, error);
}
static tulle_result merge_itself(struct world *w, tulle_error *error) {
    return merge_of(w, &w->buffers.o, error);
}
static tulle_result nothing_saved(struct world *w, tulle_error *error) {
    return tulle_cache_save(w->own, error);
}

#define INVALID TULLE_ERROR_INVALID_ARGUMENT
static const struct {
    const char *what;
    tulle_result (*make)(struct world *world, tulle_error *error);
    tulle_result result;
    const char *words[2];  // of the message: what is wrong, what is allowed
} refused[] = {
    { "buffer_usage 0, and buffers",
      no_usage,
      INVALID,
      { "buffer_usage was 0", "tulle_buffer_usage" } },
    { "buffers that are no storage buffers",
      usage_without_storage,
      INVALID,
      { "buffer_usage is 0x80", "VK_BUFFER_USAGE_STORAGE_BUFFER_BIT" } },
    { "tulle_cmd_prepare forgotten",
      not_prepared,
      INVALID,
      { "not prepared", "record tulle_cmd_prepare" } },
    { "a buffer that is too small",
      small_buffer,
      INVALID,
      { "V's buffer has 2560 bytes", "the plan needs 5120" } },
    { "a buffer of another dtype", small_size, INVALID, { "K's size is 1280", "at least 2560" } },
    { "an offset that is not aligned",
      odd_offset,
      INVALID,
      { "Q's offset is 8", "a multiple of 16" } },
    { "O that is Q, on the device",
      o_is_q,
      INVALID,
      { "O at offset 0 shares bytes with Q", "share none" } },
    { "LSE asked for, and no buffer", no_lse, INVALID, { "LSE's buffer is VK_NULL_HANDLE", NULL } },
    { "a workspace that is too small",
      small_workspace,
      INVALID,
      { "workspace's buffer has 64", "the plan needs" } },
    { "a plan of another context",
      other_context,
      INVALID,
      { "binding was made for another plan", NULL } },
    { "more dispatches than there are",
      many_dispatches,
      INVALID,
      { "count 99", "the plan has 1 dispatches" } },
    { "no binding", no_binding, INVALID, { "binding is NULL", NULL } },
    { "no command buffer", no_command_buffer, INVALID, { "cmd is NULL", NULL } },
    { "an array that is NULL", no_array, INVALID, { "v is NULL", NULL } },
    { "O that begins in V", o_in_v, INVALID, { "O at", "share none with another array" } },
    { "heads of O at one address",
      o_on_itself,
      INVALID,
      { "o_strides are 160 (batch), 160 (head)", "would overlap" } },
    { "kv_heads that do not divide heads",
      odd_heads,
      INVALID,
      { "kv_heads is 3", "must divide heads, which is 4" } },
    { "a stride that is no multiple of 4",
      odd_stride,
      INVALID,
      { "K's row stride is 9 elements", "a multiple of 4" } },
    { "a q_offset out of range", far_offset, INVALID, { "2147483647", "2147483648" } },
    { "a length beyond the keys", long_lengths, INVALID, { "kv_lengths[1] is 21", "20" } },
    { "a kernel that is not there", unknown_kernel, INVALID, { "kernel is \"flash\"", "base" } },
    { "a workspace_limit that is too little",
      little_workspace,
      TULLE_ERROR_WORKSPACE_LIMIT,
      { "workspace_limit is 16 bytes", "needs at least" } },
    { "tuning in a workspace_limit that is too little",
      tuned_in_little,
      TULLE_ERROR_WORKSPACE_LIMIT,
      { "too little for every kernel that serves", NULL } },
    { "a pattern for fewer heads", few_pattern_heads, INVALID, { "3 layouts", "4" } },
    { "a pattern that failed", failed_pattern, INVALID, { "patterns[0] is NULL", NULL } },
    { "merging from too small a buffer",
      merge_small,
      INVALID,
      { "from_o's buffer has 2560", "needs 5120" } },
    { "merging with itself",
      merge_itself,
      INVALID,
      { "into_o at offset 0 shares bytes with from_o", "share none" } },
    { "a cache that nobody takes", nothing_saved, INVALID, { "params.cache->write", NULL } },
};
#undef INVALID

static void test_refused(void **state) {
    (void)state;
    struct world world;
    world_open(&world);
    world_prepare(&world, world.plan);
    for (size_t n = 0; n < COUNT(refused); n++) {
        tulle_error error = { 0 };
        world.said = (struct said){ 0 };
        const tulle_result result = refused[n].make(&world, &error);
        mistake_refused(result, &error, refused[n].result, refused[n].words, refused[n].what);
        if (world.said.errors != 1 || strcmp(world.said.error, error.message) != 0) {
            harness_fail(
                "%s: %d errors are in the log, the last \"%s\"; it should have \"%s\" once",
                refused[n].what, world.said.errors, world.said.error, error.message);
        }
    }
    world_close(&world);
}

int main(int argc, char **argv) {
    (void)argc;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(mistakes_left_all_right),
    };
    return HARNESS_RUN(argv, "mistakes", tests);
}
