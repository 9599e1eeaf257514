// SPDX-License-Identifier: MIT
#include "common/cli.h"

#include <errno.h>
#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void say(const char *command, const char *format, va_list arguments) {
    fprintf(stderr, "tulle%s%s: ", *command ? " " : "", command);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
}

int fail(const char *command, int status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    say(command, format, arguments);
    va_end(arguments);
    return status;
}

int fail_usage(const char *command, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    say(command, format, arguments);
    va_end(arguments);
    fprintf(stderr, "Try 'tulle%s%s --help'.\n", *command ? " " : "", command);
    return STATUS_BAD_INPUT;
}

int fail_tulle(const char *command, const tulle_error *error) {
    switch (error->result) {
    case TULLE_ERROR_INVALID_ARGUMENT:
    case TULLE_ERROR_SYNTAX:
    case TULLE_ERROR_CALLBACK: return fail(command, STATUS_BAD_INPUT, "%s", error->message);
    default: return fail(command, STATUS_FAILED, "%s", error->message);
    }
}

int print_out(const char *command, const char *text) {
    if (fputs(text, stdout) < 0 || fflush(stdout))
        return fail(command, STATUS_FAILED, "cannot write to standard output: %s", strerror(errno));
    return STATUS_OK;
}

bool parse_integer(const char *option, const char *text, int64_t low, int64_t high, int64_t *out,
                   struct message *message) {
    char *end;
    errno = 0;
    const long long value = strtoll(text, &end, 10);
    if (end == text || *end || errno || value < low || value > high || strchr(" \t\n\v\f\r", *text))
        return refuse(message, "%s is '%s'; a whole number from %lld to %lld is wanted", option,
                      text, (long long)low, (long long)high);
    *out = value;
    return true;
}

bool parse_real(const char *option, const char *text, bool not_negative, float *out,
                struct message *message) {
    char *end;
    errno = 0;
    const double value = strtod(text, &end);
    const float rounded = (float)value;
    const char *sign = not_negative ? ", not negative," : "";
    if (end == text || *end || (!isfinite(value) && errno != ERANGE) ||
        (not_negative && value < 0) || strchr(" \t\n\v\f\r", *text))
        return refuse(message, "%s is '%s'; a finite number%s is wanted", option, text, sign);
    // Devices may take a subnormal number for 0, which would mean the default; and strtod gives 0
    // with ERANGE for 1e-400.
    const bool small = fabsf(rounded) < FLT_MIN && (value != 0 || errno == ERANGE);
    if (small || !isfinite(rounded))
        return refuse(
            message,
            "%s is '%s': too %s for fp32; a number%s of a size from %.8g to %.8g is wanted, or 0",
            option, text, small ? "small" : "large", sign, (double)FLT_MIN, (double)FLT_MAX);
    *out = rounded;
    return true;
}

bool check_specs(const char *option, uint32_t specs, int64_t heads, struct message *message) {
    if (specs <= heads) return true;
    return refuse(
        message,
        "%s holds %u specs joined by ';', one a head, but there %s %lld head%s; at most one spec a head is wanted",
        option, specs, heads == 1 ? "is" : "are", (long long)heads, heads == 1 ? "" : "s");
}

static void print_warning(void *user, tulle_log_level level, const char *text) {
    // said once, however often the same plan is made
    static char said[400];
    (void)user;
    if (level != TULLE_LOG_WARNING || !strncmp(said, text, sizeof said - 1)) return;
    snprintf(said, sizeof said, "%s", text);
    fail("", STATUS_OK, "%s", text);
}

tulle_result open_device(const char *device, const tulle_cache *cache, tulle_context **out,
                         tulle_error *error) {
    tulle_context_params params = { .cache = cache, .log = print_warning };
    struct message ignored;
    int64_t index = 0;
    const bool by_index =
        device && parse_integer("--device", device, 0, INT32_MAX, &index, &ignored);
    if (by_index) {
        params.device_by = TULLE_DEVICE_BY_INDEX;
        params.device_index = (uint32_t)index;
    } else if (device) {
        params.device_by = TULLE_DEVICE_BY_NAME;
        params.device_name = device;
    }
    const tulle_result result = tulle_context_create(&params, out, error);
    // Where no device is the one that is meant the library names its parameter, which is none of
    // the program's.
    if (result != TULLE_OK && device &&
        !strncmp(error->message, "params.device_", strlen("params.device_")))
        snprintf(error->message, sizeof error->message,
                 "--device is '%s': no Vulkan device here has this %s; 'tulle info' lists them",
                 device, by_index ? "index" : "in its name");
    return result;
}

size_t utf8_length(const char *text) {
    size_t length = 0;
    for (; *text; text++) length += ((unsigned char)*text & 0xc0) != 0x80;
    return length;
}

const char *dtype_name(tulle_dtype dtype) {
    return dtype == TULLE_F32 ? "fp32" : dtype == TULLE_F16 ? "fp16" : "bf16";
}

bool dtype_named(const char *name, tulle_dtype *dtype) {
    for (int i = TULLE_F32; i <= TULLE_BF16; i++) {
        if (strcmp(name, dtype_name((tulle_dtype)i))) continue;
        *dtype = (tulle_dtype)i;
        return true;
    }
    return false;
}
