// SPDX-License-Identifier: MIT
//
// Messages of errors, where a test wants what they must name and not each word.
#ifndef TESTS_MESSAGE_H
#define TESTS_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>

// '*' in the pattern stands for any characters, none too.
bool message_like(const char *message, const char *pattern);
// The first of the parts, of which NULL ends the list, that the message lacks; NULL: it has all.
const char *message_lacks(const char *message, const char *const *parts);

#endif
