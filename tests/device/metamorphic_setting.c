// SPDX-License-Identifier: MIT

#include "metamorphic.h"

#include <stdio.h>
#include <string.h>

void for_each_setting(void (*check)(const struct setting *), uint64_t stream) {
    const struct mode_context *import = harness_mode(MODE_IMPORT),
                              *floor = harness_mode(MODE_IMPORT_FLOOR);
    tulle_device_info info;
    tulle_context_info(import->tulle, &info);
    VkBufferUsageFlags usage =
        VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_UNIFORM_TEXEL_BUFFER_BIT;
    if (info.buffer_device_address) {
        usage |= VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT;
    }
    struct variants variants;
    harness_variants(import->tulle, NULL, &variants);
    char tried[8][32] = { "" };
    size_t count = 0;
    for (uint32_t n = 0; n < variants.count; n++) {
        // one variant of a family: what stands before the first underscore and before the last
        char family[32];
        snprintf(family, sizeof family, "%.*s",
                 (int)(strrchr(variants.names[n], '_') - variants.names[n]), variants.names[n]);
        bool known = false;
        for (size_t t = 0; t < count; t++) {
            known = known || strcmp(tried[t], family) == 0;
        }
        if (known || count == 8) {
            continue;
        }
        const tulle_attention_desc plain = { .heads = 1,
                                             .q_len = 64,
                                             .kv_len = 64,
                                             .head_dim = 64,
                                             .buffer_usage = usage,
                                             .kernel = variants.names[n] };
        struct variants named;
        harness_variants(import->tulle, &plain, &named);
        bool serves = false;
        for (uint32_t m = 0; m < named.count; m++) {
            serves = serves || named.serves[m];
        }
        if (serves) {
            memcpy(tried[count++], family, sizeof family);
            check(&(struct setting){ import, variants.names[n], usage,
                                     rng_hash(harness_seed(), stream) });
        }
    }
    check(&(struct setting){ import, NULL, usage, rng_hash(harness_seed(), stream + 1) });
    check(&(struct setting){ floor, NULL, VK_BUFFER_USAGE_STORAGE_BUFFER_BIT,
                             rng_hash(harness_seed(), stream + 2) });
}

void state_problem(struct problem *problem, const struct setting *setting, int64_t batch,
                   int64_t heads, int64_t kv_heads, int64_t q_len, int64_t kv_len,
                   int64_t head_dim) {
    problem_init(problem, setting->seed);
    problem->batch = batch;
    problem->heads = heads;
    problem->kv_heads = kv_heads;
    problem->q_len = q_len;
    problem->kv_len = kv_len;
    problem->head_dim = head_dim;
    problem->kernel = setting->kernel;
    problem->usage = setting->usage;
    problem->data = DATA_RISING;
}

void run_setting(struct problem *problem, const struct setting *setting) {
    problem_must_run(problem, setting->context, WAY_RECORD);
}

void fill_run_check(struct problem *problem, const struct setting *setting, const char *what) {
    problem_fill(problem);
    run_setting(problem, setting);
    problem_check(problem, what);
}

struct ref_term ones(struct problem *problem, int64_t block) {
    const int64_t rows = (problem->kv_len + problem->q_len) / block + 1;
    uint8_t *mask = problem_own(problem, (size_t)(rows * rows), 1);
    memset(mask, 1, (size_t)(rows * rows));
    return (struct ref_term){ .kind = REF_BLOCKS,
                              .block = block,
                              .mask = mask,
                              .layouts = 1,
                              .block_rows = rows,
                              .block_cols = rows };
}
