// SPDX-License-Identifier: MIT
//
// What all subcommands share: exit statuses, errors in one form, numbers from text, the device.
#ifndef TULLE_TOOLS_COMMON_CLI_H
#define TULLE_TOOLS_COMMON_CLI_H

#include <stdint.h>

#include "common/message.h"
#include "common/system.h"
#include "tulle/tulle.h"

enum {
    STATUS_OK = 0,
    STATUS_FAILED = 1,     ///< the device or the system could not do it
    STATUS_BAD_INPUT = 2,  ///< bad usage, or an input that was refused
};

/// The end of every --help.
#define HELP_STATUS \
    "Exit status: 0 done; 1 the device or the system could not do it; 2 bad usage or bad input.\n"

int run_main(int argc, char **argv);
int show_main(int argc, char **argv);
int info_main(int argc, char **argv);
int bench_main(int argc, char **argv);
int compare_main(int argc, char **argv);
int report_main(int argc, char **argv);
int tune_main(int argc, char **argv);

/// Prints "tulle COMMAND: …" on standard error and returns status.
int fail(const char *command, int status, const char *format, ...) TOOL_PRINTF(3, 4);

/// The same for bad usage, with a hint at --help; returns STATUS_BAD_INPUT.
int fail_usage(const char *command, const char *format, ...) TOOL_PRINTF(2, 3);

/// The same for the library's errors: the status that fits the result.
int fail_tulle(const char *command, const tulle_error *error);

/// Prints text on standard output; STATUS_FAILED with a message where it cannot be written.
int print_out(const char *command, const char *text);

/// A whole number in low … high and nothing else; refuses with a message that names `option`.
bool parse_integer(const char *option, const char *text, int64_t low, int64_t high, int64_t *out,
                   struct message *message);

/// A finite number and nothing else; one that fp32 would make 0, subnormal or infinite is refused.
bool parse_real(const char *option, const char *text, bool not_negative, float *out,
                struct message *message);

/// Refuses more specs than heads: those past the last head would be used by none.
bool check_specs(const char *option, uint32_t specs, int64_t heads, struct message *message);

/// Makes a context on a device named by its index or a part of its name; NULL: the best. cache: of
/// cache/cache_file.h, or NULL. The library's warnings go to standard error.
tulle_result open_device(const char *device, const tulle_cache *cache, tulle_context **out,
                         tulle_error *error);

/// "fp32", "fp16", "bf16"; and back, false where it is none of them.
const char *dtype_name(tulle_dtype dtype);
bool dtype_named(const char *name, tulle_dtype *dtype);

/// Characters of UTF-8 text.
size_t utf8_length(const char *text);

#endif
