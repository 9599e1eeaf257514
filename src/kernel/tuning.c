// SPDX-License-Identifier: MIT
#include "kernel/tuning.h"

#include <stdlib.h>
#include <string.h>

#include "common/thread.h"

#define FEW_ROWS 16u  // one tile of any variant, or two of the smallest

struct tuning {
    struct mutex mutex;
    uint32_t count;
    struct tuned entries[TUNING_MOST];
};

static uint32_t matrices(tulle_dtype dtype, const struct caps *caps) {
    const struct matrix_shape *shape = dtype == TULLE_BF16 ? &caps->matrix_bf16 : &caps->matrix_f16;
    return dtype == TULLE_F32 || !shape->m ? 0 : caps->matrix_reduce ? 2 : 1;
}

struct tuning_class tuning_class_of(const struct attention *a, const struct caps *caps) {
    return (struct tuning_class){
        .dtype = a->dtype,
        .pieces = larger_class(a),
        .phase = a->q_len <= FEW_ROWS ? TULLE_PHASE_FEW_ROWS : TULLE_PHASE_PREFILL,
        .addresses = caps->buffer_device_address &&
                     a->buffer_usage & VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT,
        .matrices = matrices(a->dtype, caps),
    };
}

struct tuning *tuning_create(void) {
    struct tuning *tuning = calloc(1, sizeof *tuning);
    if (tuning) mutex_init(&tuning->mutex);
    return tuning;
}

void tuning_destroy(struct tuning *tuning) {
    if (!tuning) return;
    mutex_destroy(&tuning->mutex);
    free(tuning);
}

/// Under the mutex. count: it has no answer yet.
static uint32_t find(const struct tuning *tuning, const struct tuning_class *of) {
    uint32_t i = 0;
    for (; i < tuning->count; i++) {
        const struct tuning_class *at = &tuning->entries[i].of;
        if (at->dtype == of->dtype && at->pieces == of->pieces && at->phase == of->phase &&
            at->addresses == of->addresses && at->matrices == of->matrices)
            break;
    }
    return i;
}

void tuning_set(struct tuning *tuning, const struct tuning_class *of, const struct variant *v) {
    mutex_lock(&tuning->mutex);
    const uint32_t at = find(tuning, of);
    tuning->entries[at] = (struct tuned){ *of, v };
    if (at == tuning->count) tuning->count++;
    mutex_unlock(&tuning->mutex);
}

void tuning_apply(struct tuning *tuning, const struct caps *caps, struct attention *a) {
    const struct tuning_class of = tuning_class_of(a, caps);
    mutex_lock(&tuning->mutex);
    const uint32_t at = find(tuning, &of);
    const struct variant *v = at < tuning->count ? tuning->entries[at].variant : NULL;
    mutex_unlock(&tuning->mutex);
    a->tuned[0] = '\0';
    if (v) strncat(a->tuned, v->name, sizeof a->tuned - 1);
}

bool tuning_get(struct tuning *tuning, uint32_t i, struct tuned *out) {
    mutex_lock(&tuning->mutex);
    const bool there = i < tuning->count;
    if (there) *out = tuning->entries[i];
    mutex_unlock(&tuning->mutex);
    return there;
}

// -------------------------------------------------------------------------------------------------
// Bytes: for each answer a record of four bytes (dtype, pieces, phase, addresses + 2 · matrices) and
// the name

enum { RECORD = 32, NAME_AT = 4, NAME_SIZE = RECORD - NAME_AT };

size_t tuning_write(struct tuning *tuning, uint8_t bytes[TUNING_BYTES]) {
    struct tuned t;
    uint32_t i = 0;
    for (; tuning_get(tuning, i, &t); i++) {
        uint8_t *to = bytes + (size_t)i * RECORD;
        memset(to, 0, RECORD);
        to[0] = (uint8_t)t.of.dtype;
        to[1] = (uint8_t)t.of.pieces;
        to[2] = (uint8_t)t.of.phase;
        to[3] = (uint8_t)(t.of.addresses + 2 * t.of.matrices);
        memcpy(to + NAME_AT, t.variant->name, strlen(t.variant->name));
    }
    return (size_t)i * RECORD;
}

static const struct variant *by_name(const uint8_t name[NAME_SIZE]) {
    for (uint32_t i = 0; i < variant_count; i++) {
        const size_t length = strlen(variants[i].name);
        if (length < NAME_SIZE && !memcmp(variants[i].name, name, length + 1)) return &variants[i];
    }
    return NULL;
}

void tuning_read(struct tuning *tuning, const void *bytes, size_t size) {
    const uint8_t *from = bytes;
    for (; size >= RECORD; size -= RECORD, from += RECORD) {
        const struct tuning_class of = { (tulle_dtype)from[0], from[1], (tulle_phase)from[2],
                                         from[3] % 2 != 0, from[3] / 2u };
        const struct variant *v = by_name(from + NAME_AT);
        if (v && v->dtype == of.dtype && is_head_class(of.pieces) &&
            from[2] <= TULLE_PHASE_FEW_ROWS && of.matrices <= 2)
            tuning_set(tuning, &of, v);
    }
}
