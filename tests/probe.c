// SPDX-License-Identifier: MIT
#define _POSIX_C_SOURCE 200809L

#include "probe.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WALL_FACTOR 6.0 // of the CPU seconds allowed: other probes and other programs share the processors

extern char **environ;

// This environment with `added` in place of what it has under those names. Made before the fork: between a fork in a program
// with threads and the exec nothing may allocate.
static char **environment_with(char *const *added, size_t added_count)
{
    size_t count = 0, kept = 0;
    while (environ[count] != NULL) {
        count++;
    }
    char **all = calloc(count + added_count + 1, sizeof *all);
    for (size_t n = 0; n < count && all != NULL; n++) {
        bool replaced = false;
        for (size_t a = 0; a < added_count; a++) {
            replaced = replaced || strncmp(environ[n], added[a], (size_t)(strchr(added[a], '=') - added[a]) + 1) == 0;
        }
        if (!replaced) {
            all[kept++] = environ[n];
        }
    }
    for (size_t a = 0; a < added_count && all != NULL; a++) {
        all[kept++] = added[a];
    }
    return all;
}

static void become_probe(char *const *environment, double seconds)
{
    const struct rlimit limit = {.rlim_cur = (rlim_t)(seconds + 1.0), .rlim_max = RLIM_INFINITY};
    const int nowhere = open("/dev/null", O_WRONLY);
    if (nowhere >= 0) {
        dup2(nowhere, STDOUT_FILENO);
        dup2(nowhere, STDERR_FILENO);
    }
    setrlimit(RLIMIT_CPU, &limit);
    char *const arguments[] = {(char[]){"probe"}, NULL};
    execve("/proc/self/exe", arguments, environment);
    _exit(127);
}

enum probe_end probe_case(const char *spec, double seconds)
{
    char wanted[600], *const added[] = {wanted, (char[]){"TULLE_TEST_VALIDATION=0"}};
    snprintf(wanted, sizeof wanted, "TULLE_TEST_CASE=%s", spec);
    char **environment = environment_with(added, 2);
    const pid_t child = environment == NULL ? -1 : fork();
    if (child == 0) {
        become_probe(environment, seconds);
    }
    free(environment);
    if (child < 0) {
        return PROBE_FAILED;
    }
    const struct timespec tick = {0, 20 * 1000 * 1000};
    for (double waited = 0.0;; waited += 0.02) {
        int status = 0;
        if (waitpid(child, &status, WNOHANG) == child) {
            const bool out_of_time = WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU;
            return out_of_time ? PROBE_TOO_LONG : WIFEXITED(status) && WEXITSTATUS(status) == 0 ? PROBE_PASSED : PROBE_FAILED;
        }
        if (waited > WALL_FACTOR * seconds) {
            kill(child, SIGKILL);
            waitpid(child, &status, 0);
            return PROBE_TOO_LONG;
        }
        nanosleep(&tick, NULL);
    }
}
