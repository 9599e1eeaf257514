// SPDX-License-Identifier: MIT
#include "common/thread.h"

#ifdef _WIN32

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

_Static_assert(sizeof(SRWLOCK) == sizeof(struct mutex), "an SRWLOCK is one pointer");

static SRWLOCK process = SRWLOCK_INIT;

void mutex_init(struct mutex *mutex) { InitializeSRWLock((SRWLOCK *)mutex); }
void mutex_destroy(struct mutex *mutex) { (void)mutex; }  // an SRWLOCK owns nothing
void mutex_lock(struct mutex *mutex) { AcquireSRWLockExclusive((SRWLOCK *)mutex); }
void mutex_unlock(struct mutex *mutex) { ReleaseSRWLockExclusive((SRWLOCK *)mutex); }

void process_lock(void) { AcquireSRWLockExclusive(&process); }
void process_unlock(void) { ReleaseSRWLockExclusive(&process); }

double clock_ms(void) {
    LARGE_INTEGER ticks, per_second;  // neither call fails since Windows XP
    QueryPerformanceFrequency(&per_second);
    QueryPerformanceCounter(&ticks);
    return 1000.0 * (double)ticks.QuadPart / (double)per_second.QuadPart;
}

#else

#include <pthread.h>
#include <time.h>

_Static_assert(sizeof(pthread_mutex_t) <= sizeof(((struct mutex *)0)->lock),
               "struct mutex has room for a pthread_mutex_t");
_Static_assert(_Alignof(pthread_mutex_t) <= _Alignof(struct mutex),
               "struct mutex is aligned for a pthread_mutex_t");

static pthread_mutex_t process = PTHREAD_MUTEX_INITIALIZER;

// With default attributes none of these fails on a mutex that is used as thread.h says.
void mutex_init(struct mutex *mutex) {
    (void)pthread_mutex_init((pthread_mutex_t *)mutex->lock, NULL);
}
void mutex_destroy(struct mutex *mutex) {
    (void)pthread_mutex_destroy((pthread_mutex_t *)mutex->lock);
}
void mutex_lock(struct mutex *mutex) { (void)pthread_mutex_lock((pthread_mutex_t *)mutex->lock); }
void mutex_unlock(struct mutex *mutex) {
    (void)pthread_mutex_unlock((pthread_mutex_t *)mutex->lock);
}

void process_lock(void) { (void)pthread_mutex_lock(&process); }
void process_unlock(void) { (void)pthread_mutex_unlock(&process); }

double clock_ms(void) {
    struct timespec now = { 0 };
    clock_gettime(CLOCK_MONOTONIC, &now);
    return 1000.0 * (double)now.tv_sec + (double)now.tv_nsec / 1e6;
}

#endif
