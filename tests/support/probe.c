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

// of the CPU seconds allowed: other probes and other programs share the processors
#define WALL_FACTOR 6.0
#define PROBE_OPTION "--probe"

static bool adopted;  // without it the child would run all of the suite, and probe in turn

void probe_adopt(int argc, char **argv) {
    adopted = true;
    if (argc == 3 && strcmp(argv[1], PROBE_OPTION) == 0) {
        setenv("TULLE_TEST_CASE", argv[2], 1);
        setenv("TULLE_TEST_VALIDATION", "0", 1);
        unsetenv("TULLE_TEST_DIGEST");  // as its other output
    }
}

static void become_probe(char *const *arguments, double seconds) {
    const struct rlimit limit = { .rlim_cur = (rlim_t)(seconds + 1.0), .rlim_max = RLIM_INFINITY };
    const int nowhere = open("/dev/null", O_WRONLY);
    if (nowhere >= 0) {
        dup2(nowhere, STDOUT_FILENO);
        dup2(nowhere, STDERR_FILENO);
    }
    setrlimit(RLIMIT_CPU, &limit);
    execv("/proc/self/exe", arguments);
    _exit(127);
}

enum probe_end probe_case(const char *spec, double seconds) {
    char wanted[600];
    if (!adopted || (size_t)snprintf(wanted, sizeof wanted, "%s", spec) >= sizeof wanted) {
        return PROBE_FAILED;
    }
    // made here: after a fork nothing may allocate
    char *const arguments[] = { (char[]){ "probe" }, (char[]){ PROBE_OPTION }, wanted, NULL };
    const pid_t child = fork();
    if (child == 0) {
        become_probe(arguments, seconds);
    }
    if (child < 0) {
        return PROBE_FAILED;
    }
    const struct timespec tick = { 0, 20 * 1000 * 1000 };
    for (double waited = 0.0;; waited += 0.02) {
        int status = 0;
        if (waitpid(child, &status, WNOHANG) == child) {
            const bool out_of_time = WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU;
            return out_of_time                                     ? PROBE_TOO_LONG
                   : WIFEXITED(status) && WEXITSTATUS(status) == 0 ? PROBE_PASSED
                                                                   : PROBE_FAILED;
        }
        if (waited > WALL_FACTOR * seconds) {
            kill(child, SIGKILL);
            waitpid(child, &status, 0);
            return PROBE_TOO_LONG;
        }
        nanosleep(&tick, NULL);
    }
}

uint32_t probe_processors(void) {
    const long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : (uint32_t)count;
}
