// SPDX-License-Identifier: MIT
//
// The page: one file that asks for no other, with its style and script inside.
#ifndef TULLE_TOOLS_REPORT_PAGE_H
#define TULLE_TOOLS_REPORT_PAGE_H

#include <stdio.h>

#include "compare/columns.h"

/// Writes all of it; false: out of memory. What cannot be written is for the caller to ask the
/// stream.
bool page_write(FILE *to, const struct columns *columns);

#endif
