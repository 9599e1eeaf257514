// SPDX-License-Identifier: MIT
//
// What differs between systems: a mutex, a condition, threads, a lock of the whole process, a clock. With thread.c the
// only file that calls a system.
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

/// Something that threads wait for under a mutex.
struct condition {
#ifdef _WIN32
    void *waiting;  ///< CONDITION_VARIABLE, which is one pointer
#else
    _Alignas(16) unsigned char waiting[64];  ///< pthread_cond_t; thread.c asserts that it fits
#endif
};

void condition_init(struct condition *condition);
void condition_destroy(struct condition *condition);
/// Lets go of the mutex while it waits. May return with nothing changed: ask again.
void condition_wait(struct condition *condition, struct mutex *mutex);
/// Wakes all that wait.
void condition_wake(struct condition *condition);

struct thread {
    void (*body)(void *user);
    void *user;
#ifdef _WIN32
    void *handle;
#else
    _Alignas(16) unsigned char handle[16];  ///< pthread_t
#endif
};

/// Runs body(user) on a new thread; false where the system has none left. *thread stays where it is
/// until it is joined.
bool thread_start(struct thread *thread, void (*body)(void *user), void *user);
/// Waits for its end.
void thread_join(struct thread *thread);

/// The process-wide lock under which volk's globals are touched. Needs no initialisation.
void process_lock(void);
void process_unlock(void);

/// Monotonic, milliseconds.
double clock_ms(void);

#endif
