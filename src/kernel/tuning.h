// SPDX-License-Identifier: MIT
//
// Which variant was measured fastest on this device, by workload class. Selection takes it wherever
// it serves and no kernel was named. Any thread.
#ifndef TULLE_SRC_KERNEL_TUNING_H
#define TULLE_SRC_KERNEL_TUNING_H

#include "kernel/variant.h"

/// Workloads that the same variant is best for.
struct tuning_class {
    tulle_dtype dtype;
    uint32_t pieces;  ///< larger_class
    tulle_phase phase;
    // Which variants serve: a tuning without one of these says nothing of a device with it.
    bool addresses;     ///< the buffers have addresses
    uint32_t matrices;  ///< of dtype: 0 none, 1 multiplied, 2 reduced and converted too
};

struct tuning_class tuning_class_of(const struct attention *a, const struct caps *caps);

#define TUNING_MOST (3 * HEAD_CLASSES * 2 * 2 * 3)  ///< classes that there are

struct tuned {
    struct tuning_class of;
    const struct variant *variant;
};

struct tuning;

/// NULL: out of memory.
struct tuning *tuning_create(void);
/// NULL is accepted.
void tuning_destroy(struct tuning *tuning);

/// Does a time of ms take the place of the default's? What is closer than 3 % may be noise.
static inline bool tuning_better(double ms, double default_ms) { return ms < 0.97 * default_ms; }

/// Remembers the answer, in place of an earlier one.
void tuning_set(struct tuning *tuning, const struct tuning_class *of, const struct variant *v);

/// Writes its name into a->tuned, or "".
void tuning_apply(struct tuning *tuning, const struct caps *caps, struct attention *a);

/// A copy of the i-th answer; false: there are no more.
bool tuning_get(struct tuning *tuning, uint32_t i, struct tuned *out);

#define TUNING_BYTES (TUNING_MOST * 32)
/// As bytes for the cache blob, and back; what cannot be understood is passed over.
size_t tuning_write(struct tuning *tuning, uint8_t bytes[TUNING_BYTES]);
void tuning_read(struct tuning *tuning, const void *bytes, size_t size);

#endif
