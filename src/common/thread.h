// SPDX-License-Identifier: MIT
//
// What differs between systems: a mutex, a lock of the whole process, a clock. Besides thread.c
// only device/loader.c calls a system.
#ifndef TULLE_SRC_COMMON_THREAD_H
#define TULLE_SRC_COMMON_THREAD_H

#include <stdbool.h>

struct mutex {
#ifdef _WIN32
    void *lock;  ///< SRWLOCK, which is one pointer; all zero is unlocked
#else
    _Alignas(16) unsigned char lock[64];  ///< pthread_mutex_t; thread.c asserts that it fits
#endif
};

void mutex_init(struct mutex *mutex);
void mutex_destroy(struct mutex *mutex);
void mutex_lock(struct mutex *mutex);
void mutex_unlock(struct mutex *mutex);

/// The process-wide lock, for what the Vulkan loader keeps that is of no context. Needs no
/// initialisation.
void process_lock(void);
void process_unlock(void);

/// Monotonic, milliseconds.
double clock_ms(void);

#endif
