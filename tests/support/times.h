// SPDX-License-Identifier: MIT
//
// Whether bounds on times hold: what a sanitizer or no optimization costs is no fault of planning's.
#ifndef TESTS_TIMES_H
#define TESTS_TIMES_H

#include <stdbool.h>

#if defined __OPTIMIZE__ && !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
#define TIMES_COUNT true
#else
#define TIMES_COUNT false
#endif

#endif
