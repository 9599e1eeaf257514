// SPDX-License-Identifier: MIT
//
// The sections of the page, in its order; each writes itself with its heading. False: out of
// memory.
#ifndef TULLE_TOOLS_REPORT_SECTIONS_H
#define TULLE_TOOLS_REPORT_SECTIONS_H

#include "report/chart.h"

/// A card for each device: what it is, how it was measured, how fast it is beside the first.
bool section_devices(struct chart *chart, const struct columns *columns);

/// Time against length, a chart for each pattern.
bool section_lengths(struct chart *chart, const struct columns *columns);

/// What share of the limit that binds each workload reaches, a chart for each length.
bool section_limits(struct chart *chart, const struct columns *columns);

/// Time per pair against density beside dense's, a chart for each length; where sparse beats dense.
bool section_density(struct chart *chart, const struct columns *columns);

/// A table of the crossovers that were searched for, where a file has any; a part of that.
void put_crossovers(FILE *to, const struct columns *columns);

/// Ratios of times to the first device's, a row for each of its workloads.
bool section_ratios(struct chart *chart, const struct columns *columns);

/// Every result.
bool section_results(struct chart *chart, const struct columns *columns);

#endif
