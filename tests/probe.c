// SPDX-License-Identifier: MIT
#define _POSIX_C_SOURCE 200809L

#include "probe.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void become_probe(const char *spec)
{
    const int nowhere = open("/dev/null", O_WRONLY);
    if (nowhere >= 0) {
        dup2(nowhere, STDOUT_FILENO);
        dup2(nowhere, STDERR_FILENO);
    }
    setenv("TULLE_TEST_CASE", spec, 1);
    setenv("TULLE_TEST_VALIDATION", "0", 1);
    char *const arguments[] = {(char[]){"probe"}, NULL};
    execv("/proc/self/exe", arguments);
    _exit(127);
}

enum probe_end probe_case(const char *spec, double seconds)
{
    const pid_t child = fork();
    if (child < 0) {
        return PROBE_FAILED;
    }
    if (child == 0) {
        become_probe(spec);
    }
    const struct timespec tick = {0, 20 * 1000 * 1000};
    for (double waited = 0.0;; waited += 0.02) {
        int status = 0;
        if (waitpid(child, &status, WNOHANG) == child) {
            return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? PROBE_PASSED : PROBE_FAILED;
        }
        if (waited > seconds) {
            kill(child, SIGKILL);
            waitpid(child, &status, 0);
            return PROBE_TOO_LONG;
        }
        nanosleep(&tick, NULL);
    }
}
