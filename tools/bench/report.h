// SPDX-License-Identifier: MIT
//
// Where the bench's findings go: one JSON document when all is done, or a line each as soon as it
// is there.
#ifndef TULLE_TOOLS_BENCH_REPORT_H
#define TULLE_TOOLS_BENCH_REPORT_H

#include <cjson/cJSON.h>

#include "common/message.h"

enum report_format {
    REPORT_TEXT,      ///< tables, which the bench prints itself: all of these do nothing
    REPORT_MARKDOWN,  ///< the same
    REPORT_JSON,
    REPORT_JSONL,  ///< the run, then devices, results and all else as they come, a line each
    REPORT_CSV,    ///< results alone, under a line of names
};

struct report {
    enum report_format format;
    cJSON *document;  ///< the run; of REPORT_JSON with all of the rest in its three arrays
    cJSON *device;    ///< to be reported before its first result, not where there is none
    bool begun;       ///< a result, a crossover or planning was reported
};

/// Takes the run's object.
void report_start(struct report *report, enum report_format format, cJSON *run);

/// Takes the device that the results to come are of.
void report_device(struct report *report, cJSON *device);

/// Takes an object; an exit status where it could not be printed.
int report_result(struct report *report, cJSON *result);
int report_crossover(struct report *report, cJSON *crossover);
int report_planning(struct report *report, cJSON *planning);

/// Prints what is left to print, unless nothing was reported; frees everything.
int report_end(struct report *report);

#endif
