// SPDX-License-Identifier: MIT
//
// Failures that reach the context's log as well as the caller.
#include "device/context.h"

#include <stdarg.h>
#include <stdio.h>

void context_log(const tulle_context *context, tulle_log_level level, const char *format, ...) {
    char message[2000];  // the validation layer is wordier than a tulle_error may be
    va_list arguments;
    if (!context || !context->log) return;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    context->log(context->log_user, level, message);
}

tulle_result context_fail(const tulle_context *context, tulle_error *error, tulle_result result,
                          const char *format, ...) {
    tulle_error ours;
    va_list arguments;
    if (!error) error = &ours;
    error->result = result;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    context_log(context, TULLE_LOG_ERROR, "%s", error->message);
    return result;
}

tulle_result context_pass(const tulle_context *context, tulle_error *error,
                          const tulle_error *from) {
    return context_fail(context, error, from->result, "%s", from->message);
}

tulle_result context_fail_vk(const tulle_context *context, tulle_error *error, VkResult result,
                             const char *call) {
    tulle_error from;
    tulle_fail_vk(&from, result, call);
    return context_pass(context, error, &from);
}
