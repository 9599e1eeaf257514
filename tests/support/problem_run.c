// SPDX-License-Identifier: MIT
//
// A problem through the library: for host arrays, or recorded on a device of the tests' own.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "problem.h"
#include "tulle/inspect.h"

// bytes behind a workspace of the tests' own, and before it where the problem does not say
#define WORKSPACE_GUARD 256
// bytes of its buffer before the page table: no device asks for more
#define PAGE_TABLE_AT 256

// -------------------------------------------------------------------------------------------------
// What must be as it was

static void check_poison(const uint8_t *memory, size_t size, const char *what) {
    const uint8_t poison[2] = { POISON & 0xff, POISON >> 8 };
    for (size_t n = 0; n < size; n++) {
        if (memory[n] != poison[n % 2]) {
            harness_fail("%s: byte %zu was overwritten", what, n);
        }
    }
}

// All but the tensor's own elements.
static void check_gaps(const struct tensor *tensor, const uint8_t *memory, const char *name) {
    uint8_t *own = calloc(tensor->size, 1);
    const size_t element = tulle_dtype_size(tensor->dtype);
    for (int64_t b = 0; b < tensor->batch; b++) {
        for (int64_t head = 0; head < tensor->heads; head++) {
            for (int64_t row = 0; row < tensor->rows; row++) {
                memset(own + (tensor_at(tensor, b, head, row, 0) - tensor->memory), 1,
                       (size_t)tensor->dim * element);
            }
        }
    }
    const uint8_t poison[2] = { POISON & 0xff, POISON >> 8 };
    for (size_t n = 0; n < tensor->size; n++) {
        if (!own[n] && memory[n] != poison[n % 2]) {
            free(own);
            harness_fail(
                "%s: byte %zu, which is none of its elements' (%zu before the first, %zu up to the last), was overwritten",
                name, n, tensor->lead, tensor->bytes);
        }
    }
    free(own);
}

static uint64_t checksum(const struct tensor *tensor) {
    uint64_t sum = 0;
    for (size_t n = 0; n + 4 <= tensor->size; n += 4) {
        uint32_t word;
        memcpy(&word, tensor->memory + n, sizeof word);
        sum = sum * UINT64_C(0x9E3779B97F4A7C15) + word + 1;
    }
    return sum;
}

// -------------------------------------------------------------------------------------------------
// The plan

static void check_info(const struct problem *problem, const tulle_plan *plan) {
    const tulle_plan_info *info = &problem->info;
    const uint64_t limit = problem->workspace_limit == 0 || problem->workspace_limit == UINT64_MAX
                               ? UINT64_C(1) << 28
                               : problem->workspace_limit;
    if (info->workspace_bytes > limit || info->workspace_minimum > limit) {
        harness_fail("the workspace (%llu bytes, %llu at least) is over its limit of %llu",
                     (unsigned long long)info->workspace_bytes,
                     (unsigned long long)info->workspace_minimum, (unsigned long long)limit);
    }
    if (problem->kernel != NULL &&
        strncmp(info->kernel, problem->kernel, strlen(problem->kernel)) != 0) {
        harness_fail("kernel %s was asked for, and %s taken", problem->kernel, info->kernel);
    }
    if (info->dispatches == 0) {
        harness_fail("the plan has no dispatch");
    }
    if (problem->keys == NULL) {
        return;
    }
    uint64_t pairs = 0;
    tulle_error error = { 0 };
    harness_ok(tulle_plan_count_pairs(plan, &pairs, &error), &error, "tulle_plan_count_pairs");
    if (pairs != problem->pairs) {
        harness_fail("the plan counts %llu pairs, the reference %llu", (unsigned long long)pairs,
                     (unsigned long long)problem->pairs);
    }
    if (info->visited < pairs) {
        harness_fail("the plan visits %llu pairs of the %llu that are selected",
                     (unsigned long long)info->visited, (unsigned long long)pairs);
    }
}

// -------------------------------------------------------------------------------------------------
// Host arrays

tulle_host_arrays problem_arrays(const struct problem *problem, uint8_t *o, uint8_t *l) {
    return (tulle_host_arrays){
        .q = problem->q.memory + problem->q.lead,
        .k = problem->k.memory + problem->k.lead,
        .v = problem->v.memory + problem->v.lead,
        .o = o + problem->o.lead,
        .lse = problem->lse ? (float *)(void *)(l + problem->l.lead) : NULL,
        .page_table = problem->page_table,
    };
}

static tulle_result run_host(struct problem *problem, tulle_plan *plan, tulle_error *error) {
    const uint64_t before[] = { checksum(&problem->q), checksum(&problem->k),
                                checksum(&problem->v) };
    tulle_host_arrays arrays = problem_arrays(problem, problem->o.memory, problem->l.memory);
    if (problem->strides_in_arrays) {
        arrays.q_strides = problem->q.strides;
        arrays.k_strides = problem->k.strides;
        arrays.v_strides = problem->v.strides;
        arrays.o_strides = problem->o.strides;
        arrays.q_broadcast = problem->q_broadcast;
        arrays.k_broadcast = problem->k_broadcast;
        arrays.v_broadcast = problem->v_broadcast;
    }
    const tulle_result result = tulle_attention(plan, &arrays, NULL, error);
    if (checksum(&problem->q) != before[0] || checksum(&problem->k) != before[1] ||
        checksum(&problem->v) != before[2]) {
        harness_fail("tulle_attention changed its inputs");
    }
    return result;
}

// -------------------------------------------------------------------------------------------------
// Recording

static struct gpu_buffer upload(const struct gpu *gpu, const struct tensor *tensor,
                                VkBufferUsageFlags usage) {
    struct gpu_buffer buffer = gpu_buffer_create(gpu, tensor->size, usage);
    memcpy(buffer.mapped, tensor->memory, tensor->size);
    return buffer;
}

static tulle_buffer bound(const struct problem *problem, const struct gpu_buffer *buffer,
                          const struct tensor *tensor) {
    return (tulle_buffer){ buffer->buffer, tensor->lead,
                           problem->sized_buffers ? tensor->bytes : 0 };
}

static void check_unchanged(const struct gpu_buffer *buffer, const struct tensor *tensor,
                            const char *name) {
    if (memcmp(buffer->mapped, tensor->memory, tensor->size) != 0) {
        harness_fail("recording: the buffer of %s was changed", name);
    }
}

static tulle_result record(const struct problem *problem, const struct gpu *gpu,
                           const tulle_plan *plan, const tulle_binding *binding,
                           tulle_error *error) {
    VkCommandBuffer cmd = gpu_begin(gpu);
    tulle_result result = TULLE_OK;
    if (!problem->ranges) {
        result = tulle_cmd_attention(cmd, plan, binding, 0, 0, error);
    }
    for (uint32_t n = 0; problem->ranges && n < problem->info.dispatches && result == TULLE_OK;
         n++) {
        if (n > 0 && problem->seed % 2 == 0) {  // half of the problems: one submission each
            gpu_finish(gpu, cmd);
            cmd = gpu_begin(gpu);
        }
        result = tulle_cmd_attention(cmd, plan, binding, n, 1, error);
    }
    gpu_barrier(gpu, cmd);
    gpu_finish(gpu, cmd);
    return result;
}

static VkDeviceSize workspace_at(const struct problem *problem) {
    return problem->workspace_at > 0 ? problem->workspace_at : WORKSPACE_GUARD;
}

static void poison_buffer(const struct gpu_buffer *buffer) {
    const uint16_t word = POISON;
    for (size_t n = 0; n + 2 <= buffer->size; n += 2) {
        memcpy(buffer->mapped + n, &word, 2);
    }
}

tulle_result problem_bind(struct problem *problem, const struct gpu *gpu, tulle_plan *plan,
                          const tulle_buffer *workspace, struct problem_session *session,
                          tulle_error *error) {
    const VkBufferUsageFlags usage = problem->usage;
    memset(session, 0, sizeof *session);
    session->gpu = gpu;
    if (problem->info.prepare && !problem->info.prepared) {
        VkCommandBuffer cmd = gpu_begin(gpu);
        const tulle_result result = tulle_cmd_prepare(cmd, plan, error);
        gpu_finish(gpu, cmd);
        if (result != TULLE_OK) {
            return result;
        }
    }
    session->q = upload(gpu, &problem->q, usage);
    session->k = upload(gpu, &problem->k, usage);
    session->v = upload(gpu, &problem->v, usage);
    session->o = upload(gpu, &problem->o, usage);
    session->l = upload(gpu, &problem->l, usage);
    tulle_buffers buffers = { .q = bound(problem, &session->q, &problem->q),
                              .k = bound(problem, &session->k, &problem->k),
                              .v = bound(problem, &session->v, &problem->v),
                              .o = bound(problem, &session->o, &problem->o) };
    if (problem->lse) {
        buffers.lse = bound(problem, &session->l, &problem->l);
    }
    if (problem->page_size != 0) {
        const size_t bytes = (size_t)(problem->batch * problem->table_columns) * 4;
        session->page_table = gpu_buffer_create(gpu, PAGE_TABLE_AT + bytes,
                                                usage | VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT);
        memcpy(session->page_table.mapped + PAGE_TABLE_AT, problem->page_table, bytes);
        buffers.page_table = (tulle_buffer){ session->page_table.buffer, PAGE_TABLE_AT,
                                             problem->sized_buffers ? bytes : 0 };
    }
    if (workspace != NULL) {
        buffers.workspace = *workspace;
        // half of the problems: of the tests' own
    } else if (problem->info.workspace_bytes > 0 &&
               (problem->workspace_at > 0 || problem->seed / 2 % 2 == 0)) {
        const VkDeviceSize at = workspace_at(problem);
        session->workspace =
            gpu_buffer_create(gpu, at + problem->info.workspace_bytes + WORKSPACE_GUARD, usage);
        poison_buffer(&session->workspace);
        buffers.workspace =
            (tulle_buffer){ session->workspace.buffer, at, problem->info.workspace_bytes };
    }
    return tulle_binding_create(plan, &buffers, &session->binding, error);
}

void problem_read(struct problem *problem, struct problem_session *session) {
    check_unchanged(&session->q, &problem->q, "Q");
    check_unchanged(&session->k, &problem->k, "K");
    check_unchanged(&session->v, &problem->v, "V");
    memcpy(problem->o.memory, session->o.mapped, problem->o.size);
    memcpy(problem->l.memory, session->l.mapped, problem->l.size);
    if (session->workspace.mapped != NULL) {
        check_poison(session->workspace.mapped, workspace_at(problem), "before the workspace");
        check_poison(session->workspace.mapped + session->workspace.size - WORKSPACE_GUARD,
                     WORKSPACE_GUARD, "behind the workspace");
    }
}

void problem_unbind(struct problem_session *session) {
    tulle_binding_destroy(session->binding);
    struct gpu_buffer *all[] = { &session->q, &session->k,         &session->v,         &session->o,
                                 &session->l, &session->workspace, &session->page_table };
    for (size_t n = 0; n < sizeof all / sizeof all[0]; n++) {
        if (all[n]->buffer != VK_NULL_HANDLE) {
            gpu_buffer_destroy(session->gpu, all[n]);
        }
    }
    session->binding = NULL;
}

static tulle_result run_recorded(struct problem *problem, const struct gpu *gpu, tulle_plan *plan,
                                 tulle_error *error) {
    struct problem_session session;
    tulle_result result = problem_bind(problem, gpu, plan, NULL, &session, error);
    if (result == TULLE_OK) {
        result = record(problem, gpu, plan, session.binding, error);
    }
    if (result == TULLE_OK) {
        problem_read(problem, &session);
    }
    problem_unbind(&session);
    return result;
}

// -------------------------------------------------------------------------------------------------

tulle_result problem_plan(struct problem *problem, tulle_context *context, tulle_plan **plan,
                          tulle_error *error) {
    struct problem_build build;
    problem_build(problem, &build);
    const bool least = problem->workspace_limit == UINT64_MAX;
    if (least) {
        build.desc.workspace_limit = 0;
    }
    tulle_result result = tulle_plan_create(context, &build.desc, plan, error);
    if (result == TULLE_OK) {
        tulle_plan_get_info(*plan, &problem->info);
    }
    // The least workspace that will do: with that it must do, with less it is refused by that
    // number.
    if (result == TULLE_OK && least && problem->info.workspace_minimum > 1) {
        const uint64_t minimum = problem->info.workspace_minimum;
        tulle_plan_destroy(*plan);
        *plan = NULL;
        build.desc.workspace_limit = minimum - 1;
        tulle_error refused = { 0 };
        const tulle_result below = tulle_plan_create(context, &build.desc, plan, &refused);
        char number[32];
        snprintf(number, sizeof number, "%llu", (unsigned long long)minimum);
        if (below != TULLE_ERROR_WORKSPACE_LIMIT || strstr(refused.message, number) == NULL) {
            harness_fail("one byte below the least workspace of %s gave %s: %s", number,
                         tulle_result_name(below), refused.message);
        }
        build.desc.workspace_limit = minimum;
        result = tulle_plan_create(context, &build.desc, plan, error);
        if (result == TULLE_OK) {
            tulle_plan_get_info(*plan, &problem->info);
            if (problem->info.workspace_bytes > minimum) {
                harness_fail("a limit of %s bytes gave a workspace of %llu", number,
                             (unsigned long long)problem->info.workspace_bytes);
            }
        }
    }
    problem_unbuild(&build);  // before the plan is used: it holds what it needs
    return result;
}

// TULLE_TEST_DIGEST: what came out as two numbers, and what it came out of, for tools/compare_builds.
static void append_digest(const struct problem *problem) {
    const char *path = getenv("TULLE_TEST_DIGEST");
    if (path == NULL) {
        return;
    }
    FILE *file = fopen(path, "a");
    if (file == NULL) {
        harness_fail("TULLE_TEST_DIGEST: %s cannot be opened", path);
    }
    const tulle_plan_info *info = &problem->info;
    fprintf(file,
            "o=%016llx lse=%016llx kernel=%s visited=%llu dispatches=%u workspace=%llu seed=%llu "
            "shape=%lldx%lldx%lldx%lldx%lldx%lldx%lld\n",
            (unsigned long long)checksum(&problem->o), (unsigned long long)checksum(&problem->l),
            info->kernel, (unsigned long long)info->visited, (unsigned)info->dispatches,
            (unsigned long long)info->workspace_bytes, (unsigned long long)problem->seed,
            (long long)problem->batch, (long long)problem->heads, (long long)problem->kv_heads,
            (long long)problem->q_len, (long long)problem->kv_len, (long long)problem->head_dim,
            (long long)problem->v_head_dim);
    fclose(file);
}

tulle_result problem_run(struct problem *problem, const struct mode_context *context,
                         enum problem_way way, tulle_error *error) {
    tensor_poison(&problem->o);
    tensor_poison(&problem->l);
    tulle_plan *plan = NULL;
    tulle_result result = problem_plan(problem, context->tulle, &plan, error);
    if (result == TULLE_OK) {
        check_info(problem, plan);
        if (way == WAY_RECORD && context->has_gpu) {
            result = run_recorded(problem, &context->gpu, plan, error);
        } else {
            result = run_host(problem, plan, error);
        }
    } else if (plan != NULL) {
        harness_fail("tulle_plan_create failed and left a plan");
    }
    tulle_plan_destroy(plan);
    if (result == TULLE_OK) {
        check_gaps(&problem->o, problem->o.memory, "O");
        if (problem->lse) {
            check_gaps(&problem->l, problem->l.memory, "LSE");
        } else {
            check_poison(problem->l.memory, problem->l.size, "LSE, which was not asked for");
        }
        append_digest(problem);
    }
    harness_silent();
    return result;
}

bool problem_serves(const struct problem *problem, const struct mode_context *context) {
    struct problem_build build;
    struct variants all;
    problem_build(problem, &build);
    harness_variants(context->tulle, &build.desc, &all);
    problem_unbuild(&build);
    return harness_serves(&all, problem->kernel);
}

void problem_must_run(struct problem *problem, const struct mode_context *context,
                      enum problem_way way) {
    tulle_error error = { 0 };
    harness_ok(problem_run(problem, context, way, &error), &error, "the attention");
}
