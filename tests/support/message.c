// SPDX-License-Identifier: MIT

#include "message.h"

#include <string.h>

bool message_like(const char *message, const char *pattern) {
    if (*pattern == '*') {
        return message_like(message, pattern + 1) ||
               (*message != '\0' && message_like(message + 1, pattern));
    }
    if (*pattern == '\0') {
        return *message == '\0';
    }
    return *pattern == *message && message_like(message + 1, pattern + 1);
}

const char *message_lacks(const char *message, const char *const *parts) {
    for (; *parts != NULL; parts++) {
        if (strstr(message, *parts) == NULL) {
            return *parts;
        }
    }
    return NULL;
}
