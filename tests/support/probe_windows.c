// SPDX-License-Identifier: MIT
//
// probe.h for Windows; probe.c is for all others.
#define WIN32_LEAN_AND_MEAN
#define _WIN32_WINNT 0x0601
#include "probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <windows.h>

#define PROBE_OPTION "--probe"

static bool adopted;  // without it the child would run all of the suite, and probe in turn

void probe_adopt(int argc, char **argv) {
    adopted = true;
    if (argc == 3 && strcmp(argv[1], PROBE_OPTION) == 0) {
        _putenv_s("TULLE_TEST_CASE", argv[2]);
        _putenv_s("TULLE_TEST_VALIDATION", "0");
        _putenv_s("TULLE_TEST_DIGEST", "");
    }
}

static double cpu_seconds(HANDLE process) {
    FILETIME created, ended, kernel, user;
    GetProcessTimes(process, &created, &ended, &kernel, &user);
    const uint64_t ticks = ((uint64_t)kernel.dwHighDateTime << 32) + kernel.dwLowDateTime +
                           ((uint64_t)user.dwHighDateTime << 32) + user.dwLowDateTime;
    return (double)ticks * 1e-7;
}

enum probe_end probe_case(const char *spec, double seconds) {
    char program[MAX_PATH], command[MAX_PATH + 700];
    PROCESS_INFORMATION child;
    SECURITY_ATTRIBUTES inherited = { .nLength = sizeof inherited, .bInheritHandle = TRUE };
    DWORD status = 1, waited;
    GetModuleFileNameA(NULL, program, sizeof program);
    if (!adopted || (size_t)snprintf(command, sizeof command, "\"%s\" " PROBE_OPTION " \"%s\"",
                                     program, spec) >= sizeof command) {
        return PROBE_FAILED;
    }
    const HANDLE nowhere = CreateFileA("NUL", GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE,
                                       &inherited, OPEN_EXISTING, 0, NULL);
    STARTUPINFOA start = { .cb = sizeof start,
                           .dwFlags = STARTF_USESTDHANDLES,
                           .hStdOutput = nowhere,
                           .hStdError = nowhere };
    const bool started =
        CreateProcessA(program, command, NULL, NULL, TRUE, 0, NULL, NULL, &start, &child);
    CloseHandle(nowhere);
    if (!started) {
        return PROBE_FAILED;
    }
    do {
        waited = WaitForSingleObject(child.hProcess, 20);
    } while (waited == WAIT_TIMEOUT && cpu_seconds(child.hProcess) < seconds);
    if (waited == WAIT_TIMEOUT) {
        TerminateProcess(child.hProcess, 1);
    } else {
        GetExitCodeProcess(child.hProcess, &status);
    }
    CloseHandle(child.hThread);
    CloseHandle(child.hProcess);
    return waited == WAIT_TIMEOUT ? PROBE_TOO_LONG : status == 0 ? PROBE_PASSED : PROBE_FAILED;
}

uint32_t probe_processors(void) { return GetActiveProcessorCount(ALL_PROCESSOR_GROUPS); }
