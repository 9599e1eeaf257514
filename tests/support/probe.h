// SPDX-License-Identifier: MIT
//
// Trying something in a process of its own that can be given up: a driver may take minutes to
// compile a kernel.
#ifndef TESTS_PROBE_H
#define TESTS_PROBE_H

#include <stdbool.h>
#include <stdint.h>

enum probe_end { PROBE_PASSED, PROBE_FAILED, PROBE_TOO_LONG };

// First in the main of a program that probes: where probe_case has started this process, its case
// becomes TULLE_TEST_CASE, without validation.
void probe_adopt(int argc, char **argv);

// Runs this program again with that case alone, its output dropped, for at most that many CPU
// seconds. Any thread may.
enum probe_end probe_case(const char *spec, double seconds);

// As many may run beside each other.
uint32_t probe_processors(void);

#endif
