// SPDX-License-Identifier: MIT
//
// The program `tulle`: exact sparse attention from the command line. Each subcommand is a file of
// its own.
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "common/cli.h"

static const char help[] =
    "tulle - exact sparse attention on any Vulkan device\n"
    "\n"
    "Usage: tulle COMMAND [OPTION ...]\n"
    "\n"
    "  run      attention of Q, K and V from files, to a file\n"
    "  show     a pattern as a picture, in the terminal or as PNG\n"
    "  info     the Vulkan devices and which kernels they run\n"
    "  bench    how fast a device is on sparse and dense attention\n"
    "  compare  what benches found: ratios of times, and whether noise explains them\n"
    "  report   what benches found, as a page with charts for a browser\n"
    "  tune     which kernels are the fastest on a device, measured and kept\n"
    "\n"
    "  --help      this text; 'tulle COMMAND --help' has each command's options\n"
    "  --version   the version\n"
    "\n" HELP_STATUS;

static const struct {
    const char *name, *full_name;
    int (*main)(int argc, char **argv);
} commands[] = {
    { "run", "tulle run", run_main },
    { "show", "tulle show", show_main },
    { "info", "tulle info", info_main },
    { "bench", "tulle bench", bench_main },
    { "compare", "tulle compare", compare_main },
    { "report", "tulle report", report_main },
    { "tune", "tulle tune", tune_main },
};

int main(int argc, char **argv) {
    char version[64];
    setlocale(LC_CTYPE, "");  // numbers stay in the C locale: a decimal point is a point
    if (!system_start(&argc, &argv)) return fail("", STATUS_FAILED, "out of memory");
    if (argc < 2)
        return fail_usage(
            "", "no command given; one of run, show, info, bench, compare, report, tune is wanted");
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
        return print_out("", help);
    if (!strcmp(argv[1], "--version")) {
        snprintf(version, sizeof version, "tulle %s\n", tulle_version());
        return print_out("", version);
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(argv[1], commands[i].name)) continue;
        // getopt_long begins its own messages with argv[0].
        argv[1] = (char *)(size_t)commands[i].full_name;
        return commands[i].main(argc - 1, argv + 1);
    }
    return fail_usage(
        "", "'%s' is not a command; one of run, show, info, bench, compare, report, tune is wanted",
        argv[1]);
}
