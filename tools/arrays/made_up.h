// SPDX-License-Identifier: MIT
//
// Arrays that no file holds: a name says what they are, and the same name is the same array
// everywhere, so that a line of the bench needs no file.
#ifndef TULLE_TOOLS_ARRAYS_MADE_UP_H
#define TULLE_TOOLS_ARRAYS_MADE_UP_H

#include "tulle/tulle.h"

/// Makes the array of a name that begins with '@'; its owner is to be freed. Four forms:
///   @ROWSxCOLSpPERCENT   a mask of blocks, about PERCENT % of them chosen, the diagonal always
///   @HEIGHTxWIDTHkSIZE   a mask of pixels, rows of WIDTH side by side: each sees the SIZE × SIZE
///                        pixels around it, or nearest to it at an edge (NATTEN's)
///   @LENGTHdCOUNT        cumulative lengths of COUNT documents, some up to 16 times as long as
///                        others
///   @FIRST-LAST          these positions
/// On failure returns false after writing a reason.
bool made_up_array(const char *name, tulle_array *out, char *message, size_t message_size);

#endif
