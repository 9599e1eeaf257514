// SPDX-License-Identifier: MIT
//
// From the reference's terms to the library's.
#ifndef TESTS_LIBRARY_TERM_H
#define TESTS_LIBRARY_TERM_H

#include "reference.h"
#include "tulle/tulle.h"

// The term as the library takes it; it points into the reference's. problem.c
tulle_term library_term(const struct ref_term *term);

#endif
