// SPDX-License-Identifier: MIT
#define _POSIX_C_SOURCE 200809L
#include "common/progress.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/cli.h"

#define WIDTH 30

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake;
static pthread_t ticker;
static bool running, stopping;
static struct {
    char label[48];
    double started, step_started;
    double from, to, seconds;
} bar;

// Called with the lock held.
static void draw(void) {
    char line[WIDTH + 1];
    const double now = now_seconds(), spent = now - bar.started;
    if (spent < 1) return;
    double part = bar.seconds > 0 ? (now - bar.step_started) / bar.seconds : 0;
    if (part > 0.99) part = 0.99;  // it is done when the caller says so
    const double share = bar.from + (bar.to - bar.from) * part;
    const bool known = bar.seconds > 0 || bar.from > 0;
    const int full = (int)(share * WIDTH);
    for (int i = 0; i < WIDTH; i++) line[i] = i < full ? '#' : '.';
    if (!known) line[(int)(spent * 5) % WIDTH] = '#';  // a dot that wanders: alive, end unknown
    line[WIDTH] = 0;
    if (known)
        fprintf(stderr, "\r[%s] %3d %%  %s  %.0f s \x1b[K", line, (int)(share * 100), bar.label,
                spent);
    else fprintf(stderr, "\r[%s]        %s  %.0f s \x1b[K", line, bar.label, spent);
    fflush(stderr);
}

static void *tick(void *unused) {
    (void)unused;
    pthread_mutex_lock(&lock);
    while (!stopping) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += 200000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&wake, &lock, &until);
        if (!stopping) draw();
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

bool progress_start(const char *label) {
    pthread_condattr_t monotonic;
    if (running || !isatty(STDERR_FILENO)) return false;
    memset(&bar, 0, sizeof bar);
    snprintf(bar.label, sizeof bar.label, "%s", label);
    bar.started = bar.step_started = now_seconds();
    stopping = false;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    running = !pthread_create(&ticker, NULL, tick, NULL);
    if (!running) pthread_cond_destroy(&wake);
    return running;
}

void progress_step(const char *label, double from, double to, double seconds) {
    if (!running) return;
    pthread_mutex_lock(&lock);
    snprintf(bar.label, sizeof bar.label, "%s", label);
    bar.from = from;
    bar.to = to;
    bar.seconds = seconds;
    bar.step_started = now_seconds();
    pthread_mutex_unlock(&lock);
}

void progress_follow(void *label, double done) {
    const double spent = now_seconds() - bar.started;  // the ticker does not write this
    progress_step(label, done, 1, done > 0 ? spent * (1 - done) / done : 0);
}

void progress_stop(void) {
    if (!running) return;
    pthread_mutex_lock(&lock);
    stopping = true;
    pthread_cond_signal(&wake);
    pthread_mutex_unlock(&lock);
    pthread_join(ticker, NULL);
    pthread_cond_destroy(&wake);
    if (now_seconds() - bar.started >= 1) fputs("\r\x1b[K", stderr);
    running = false;
}
