// SPDX-License-Identifier: MIT
//
// tulle report: what benches found, as a page to look at.
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "arrays/output.h"
#include "common/cli.h"
#include "common/system.h"
#include "report/page.h"

static const char help[] =
    "Usage: tulle report A.json [B.json ...] -o REPORT.html\n"
    "\n"
    "Writes what 'tulle bench' (or tools/peers/pytorch.py) found, in its JSON or JSON lines, as one page for a browser that\n"
    "needs nothing beside it, no network either: the devices of the files, named A, B, C ... in their order; time against\n"
    "length; each workload's share of the peak; time per pair against density, and from which density on dense is faster;\n"
    "ratios of times to the first device's, and whether noise explains them; all results, to be sorted and filtered.\n"
    "\n"
    "  -o, --output FILE   the page; a file of that name is replaced when all of the page is written\n"
    "\n" HELP_STATUS;

static const struct option options[] = {
    { "output", required_argument, NULL, 'o' },
    { "help", no_argument, NULL, 'h' },
    { 0 },
};

// Returns -1 to go on, else an exit status.
static int read_options(int argc, char **argv, const char **output) {
    int option;
    *output = NULL;
    while ((option = getopt_long(argc, argv, "ho:", options, NULL)) != -1) {
        switch (option) {
        case 'o':
            if (*output) return fail_usage("report", "-o is given twice");
            *output = optarg;
            break;
        case 'h': return print_out("report", help);
        default: fputs("Try 'tulle report --help'.\n", stderr); return STATUS_BAD_INPUT;
        }
    }
    if (optind == argc) return fail_usage("report", "no file is given");
    if (!*output)
        return fail_usage("report", "-o FILE is missing: where the page is to be written");
    return -1;
}

// A page in the place of the figures that it was made of would lose them.
static bool is_same_file(const char *a, const char *b) {
    struct file_state x, y;
    return path_inspect(a, &x) && path_inspect(b, &y) && x.volume == y.volume &&
           x.number == y.number;
}

static int write_page(const struct columns *columns, const char *path) {
    struct outputs outputs = { 0 };
    struct message message;
    FILE *to = outputs_add(&outputs, path, &message);
    if (!to) return fail("report", STATUS_BAD_INPUT, "-o: %s", message.text);
    int status = STATUS_OK;
    if (!page_write(to, columns)) status = fail("report", STATUS_FAILED, "out of memory");
    else if (fflush(to) || ferror(to))
        status = fail("report", STATUS_FAILED, "cannot write '%s': %s", path, strerror(errno));
    else if (!outputs_commit(&outputs, &message))
        status = fail("report", STATUS_FAILED, "%s", message.text);
    outputs_discard(&outputs);
    return status;
}

int report_main(int argc, char **argv) {
    const char *output;
    struct message message;
    int status = read_options(argc, argv, &output);
    if (status >= 0) return status;
    struct columns *columns = calloc(1, sizeof *columns);
    if (!columns) return fail("report", STATUS_FAILED, "out of memory");
    status = STATUS_OK;
    columns->crossovers_do = true;
    for (int i = optind; i < argc && !status; i++) {
        if (is_same_file(argv[i], output))
            status = fail("report", STATUS_BAD_INPUT, "'%s' is an input and the output", argv[i]);
        else if (!columns_read(columns, argv[i], &message))
            status = fail("report", STATUS_BAD_INPUT, "%s", message.text);
    }
    if (!status) status = write_page(columns, output);
    columns_free(columns);
    free(columns);
    return status;
}
