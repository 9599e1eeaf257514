// SPDX-License-Identifier: MIT
#include "common/thread.h"

#ifdef _WIN32

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

_Static_assert(sizeof(SRWLOCK) == sizeof(struct mutex), "an SRWLOCK is one pointer");
_Static_assert(sizeof(CONDITION_VARIABLE) == sizeof(struct condition),
               "a CONDITION_VARIABLE is one pointer");

static SRWLOCK process = SRWLOCK_INIT;

void mutex_init(struct mutex *mutex) { InitializeSRWLock((SRWLOCK *)mutex); }
void mutex_destroy(struct mutex *mutex) { (void)mutex; }  // an SRWLOCK owns nothing
void mutex_lock(struct mutex *mutex) { AcquireSRWLockExclusive((SRWLOCK *)mutex); }
void mutex_unlock(struct mutex *mutex) { ReleaseSRWLockExclusive((SRWLOCK *)mutex); }

void condition_init(struct condition *condition) {
    InitializeConditionVariable((CONDITION_VARIABLE *)condition);
}
void condition_destroy(struct condition *condition) { (void)condition; }  // it owns nothing
void condition_wait(struct condition *condition, struct mutex *mutex) {
    (void)SleepConditionVariableSRW((CONDITION_VARIABLE *)condition, (SRWLOCK *)mutex, INFINITE, 0);
}
void condition_wake(struct condition *condition) {
    WakeAllConditionVariable((CONDITION_VARIABLE *)condition);
}

static DWORD WINAPI run_body(LPVOID user) {
    struct thread *thread = user;
    thread->body(thread->user);
    return 0;
}

bool thread_start(struct thread *thread, void (*body)(void *user), void *user) {
    thread->body = body;
    thread->user = user;
    thread->handle = CreateThread(NULL, 0, run_body, thread, 0, NULL);
    return thread->handle != NULL;
}

void thread_join(struct thread *thread) {
    WaitForSingleObject(thread->handle, INFINITE);
    CloseHandle(thread->handle);
}

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
_Static_assert(sizeof(pthread_cond_t) <= sizeof(((struct condition *)0)->waiting) &&
                   _Alignof(pthread_cond_t) <= _Alignof(struct condition),
               "struct condition has room for a pthread_cond_t");
_Static_assert(sizeof(pthread_t) <= sizeof(((struct thread *)0)->handle) &&
                   _Alignof(pthread_t) <= _Alignof(struct thread),
               "struct thread has room for a pthread_t");

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

void condition_init(struct condition *condition) {
    (void)pthread_cond_init((pthread_cond_t *)condition->waiting, NULL);
}
void condition_destroy(struct condition *condition) {
    (void)pthread_cond_destroy((pthread_cond_t *)condition->waiting);
}
void condition_wait(struct condition *condition, struct mutex *mutex) {
    (void)pthread_cond_wait((pthread_cond_t *)condition->waiting, (pthread_mutex_t *)mutex->lock);
}
void condition_wake(struct condition *condition) {
    (void)pthread_cond_broadcast((pthread_cond_t *)condition->waiting);
}

static void *run_body(void *user) {
    struct thread *thread = user;
    thread->body(thread->user);
    return NULL;
}

bool thread_start(struct thread *thread, void (*body)(void *user), void *user) {
    thread->body = body;
    thread->user = user;
    return pthread_create((pthread_t *)thread->handle, NULL, run_body, thread) == 0;
}

void thread_join(struct thread *thread) { (void)pthread_join(*(pthread_t *)thread->handle, NULL); }

void process_lock(void) { (void)pthread_mutex_lock(&process); }
void process_unlock(void) { (void)pthread_mutex_unlock(&process); }

double clock_ms(void) {
    struct timespec now = { 0 };
    clock_gettime(CLOCK_MONOTONIC, &now);
    return 1000.0 * (double)now.tv_sec + (double)now.tv_nsec / 1e6;
}

#endif
