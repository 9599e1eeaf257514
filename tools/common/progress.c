// SPDX-License-Identifier: MIT
#include "common/progress.h"

#include <stdio.h>
#include <string.h>

#include "common/system.h"

#define WIDTH 30

static struct thread ticker;
static bool running, stopping;  // stopping and bar: under system_lock
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

static void tick(void *unused) {
    (void)unused;
    system_lock();
    while (!stopping) {
        system_wait(0.2);
        if (!stopping) draw();
    }
    system_unlock();
}

bool progress_start(const char *label) {
    if (running || !is_terminal(stderr)) return false;
    memset(&bar, 0, sizeof bar);
    snprintf(bar.label, sizeof bar.label, "%s", label);
    bar.started = bar.step_started = now_seconds();
    stopping = false;
    running = thread_start(&ticker, tick, NULL);
    return running;
}

void progress_step(const char *label, double from, double to, double seconds) {
    if (!running) return;
    system_lock();
    snprintf(bar.label, sizeof bar.label, "%s", label);
    bar.from = from;
    bar.to = to;
    bar.seconds = seconds;
    bar.step_started = now_seconds();
    system_unlock();
}

void progress_follow(void *label, double done) {
    const double spent = now_seconds() - bar.started;  // the ticker does not write this
    progress_step(label, done, 1, done > 0 ? spent * (1 - done) / done : 0);
}

void progress_stop(void) {
    if (!running) return;
    system_lock();
    stopping = true;
    system_wake();
    system_unlock();
    thread_join(&ticker);
    if (now_seconds() - bar.started >= 1) fputs("\r\x1b[K", stderr);
    running = false;
}
