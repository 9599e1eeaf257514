// SPDX-License-Identifier: MIT
//
// Whether bounds on times hold: what a sanitizer, no optimization or an emulator costs is no fault of
// planning's, nor what others cost that use the machine (clock() on Windows is the wall's).
//
// TULLE_TEST_TIMES=0: they do not (tools/check says so of what qemu and Wine run).
#ifndef TESTS_TIMES_H
#define TESTS_TIMES_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static inline bool times_count(void) {
#if defined __OPTIMIZE__ && !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
    const char *asked = getenv("TULLE_TEST_TIMES");
    return !asked || strcmp(asked, "0") != 0;
#else
    return false;
#endif
}

#endif
