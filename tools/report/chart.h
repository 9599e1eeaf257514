// SPDX-License-Identifier: MIT
//
// What all charts are made of: a caption, axes, marks that tell devices apart by letter, shape and
// colour, and a description for who does not see them.
#ifndef TULLE_TOOLS_REPORT_CHART_H
#define TULLE_TOOLS_REPORT_CHART_H

#include <stdio.h>

#include "compare/columns.h"
#include "report/axis.h"
#include "report/text.h"

/// Of a drawing, and the part of it that is between the axes.
#define CHART_WIDTH 360.0
#define CHART_HEIGHT 236.0
#define CHART_LEFT 50.0
#define CHART_RIGHT 334.0
#define CHART_TOP 26.0
#define CHART_BOTTOM 196.0

/// Devices past these share a colour or a dash with another, and differ by shape and letter.
#define COLOURS 8  // of page.css, c0 to c7
#define DASHES 4   // d0 to d3

struct chart {
    FILE *to;
    size_t number;  ///< of the page; ids are made of it
    struct axis x, y;
};

/// The shapes that marks are made of, once a page.
void put_mark_shapes(FILE *to);

/// A device's mark, at a place of the drawing; where `what` is not NULL with that class too.
void put_mark(FILE *to, size_t column, double x, double y, const char *what);

/// 'A' to 'Z'; and as HTML in the device's colour.
char letter_of(size_t column);
void put_letter(FILE *to, size_t column);

/// The mark, letter and name of each device; lines: with the dashes that its lines have.
void put_legend(FILE *to, const struct columns *columns, bool lines);

/// A section with its heading; and its end, which says so where more charts than MOST_CHARTS were
/// due.
void section_begin(FILE *to, const char *id, const char *title);
void section_end(FILE *to, size_t charts);

/// A group of charts of one setting; `more` is written behind it in the heading.
void group_begin(FILE *to, const struct shape *shape, const char *more);
void group_end(FILE *to);

/// A chart more would help nobody; what is left out stands in the table of all results.
#define MOST_CHARTS 48

/// Begins a chart and its caption, which is written next.
void chart_caption(struct chart *chart);

/// Ends the caption; begins a drawing of this height.
void chart_drawing(const struct chart *chart, double height);

/// Grid, ticks (x and y: what they are, as text) and titles of both axes.
typedef const char *tick_text(double value, char *out);
void chart_axes(const struct chart *chart, const char *x_title, tick_text *x, const char *y_title,
                tick_text *y);

/// Ends the drawing and begins its description, text that is written next.
void chart_description(const struct chart *chart);

/// Ends that.
void chart_end(struct chart *chart);

/// A letter at a place that is wanted for it.
struct letter {
    size_t column;
    double at;
};

/// Moves letters apart to `room` each between `low` and `high`; sorted by place then. False: there
/// is not room for all of them.
bool letters_apart(struct letter *letters, size_t count, double room, double low, double high);

#endif
