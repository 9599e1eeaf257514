// SPDX-License-Identifier: MIT
//
// From the reference's terms to the library's.
#ifndef TESTS_LIBRARY_TERM_H
#define TESTS_LIBRARY_TERM_H

#include "reference.h"
#include "tulle/tulle.h"

// The term as the library takes it, with its factors. Lists and masks are the reference's, but that
// with csr masks become CSR. To be freed by library_term_free.
tulle_term library_term(const struct ref_term *term, bool csr);
void library_term_free(const tulle_term *term);

#endif
