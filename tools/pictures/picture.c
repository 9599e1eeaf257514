// SPDX-License-Identifier: MIT
#include "pictures/picture.h"

#if !defined(HAVE_CAIRO) || !HAVE_CAIRO

bool picture_available(void) { return false; }

bool picture_write(FILE *to, const struct picture *picture, struct message *message) {
    (void)to;
    (void)picture;
    return refuse(message, "this tulle was built without cairo: it draws no PNG");
}

#else

#include <cairo.h>
#include <math.h>
#include <string.h>

#define FONT "DejaVu Sans"
#define FONT_SIZE 11.0
#define LABEL_STEP 12  // pixels between two labels that can both be read
#define LABEL_CHARACTERS 16
#define MARGIN 16

// A colour-blind reader tells these apart (Okabe and Ito's blue, orange and green): kind by hue,
// selected by depth.
struct color {
    double red, green, blue;
};
static const struct color kinds[3] = { { 0.00, 0.45, 0.70 },
                                       { 0.90, 0.55, 0.00 },
                                       { 0.00, 0.55, 0.40 } };
static const struct color ink = { 0.45, 0.05, 0.40 };  // of weights
static const char *const kind_names[3] = { "full run", "band", "bits" };

static struct color mix(struct color color, double share) {
    return (struct color){ 1 + (color.red - 1) * share, 1 + (color.green - 1) * share,
                           1 + (color.blue - 1) * share };
}

static uint32_t pixel_of(struct color c) {
    return (uint32_t)lrint(c.red * 255) << 16 | (uint32_t)lrint(c.green * 255) << 8 |
           (uint32_t)lrint(c.blue * 255);
}

static void set_color(cairo_t *cr, struct color color) {
    cairo_set_source_rgb(cr, color.red, color.green, color.blue);
}

// The cell's kind is the most special of the runs that touch it.
static int kind_of(unsigned char runs) {
    return runs & 1u << TULLE_RUN_BITS   ? TULLE_RUN_BITS
           : runs & 1u << TULLE_RUN_BAND ? TULLE_RUN_BAND
                                         : TULLE_RUN_FULL;
}

static struct color pattern_color(const struct grid *grid, size_t cell) {
    const float selected = grid->selected[cell];
    if (!grid->runs[cell]) return (struct color){ 1, 1, 1 };
    // A cell of many pairs of which few are selected must still be seen.
    return mix(kinds[kind_of(grid->runs[cell])],
               selected > 0 ? 0.45 + 0.55 * (double)selected : 0.16);
}

static struct color weight_color(const struct grid *grid, size_t cell) {
    if (grid->selected[cell] <= 0) return (struct color){ 0.93, 0.93, 0.93 };
    // The square root brings out the small weights, which are most of them.
    return mix(ink, grid->weight_dark > 0
                        ? fmin(1, sqrt((double)(grid->weight[cell] / grid->weight_dark)))
                        : 0);
}

struct layout {
    int row_pixels, col_pixels;  // of a cell
    int panel_width, panel_height;
    int left, top;  // of the first panel
    int panels, width, height;
};

static struct layout lay_out(const struct grid *grid) {
    struct layout l = { .panels = grid->weight ? 2 : 1 };
    const uint32_t longest = grid->rows > grid->cols ? grid->rows : grid->cols;
    l.col_pixels = l.row_pixels =
        (int)fmax(1, fmin(20, floor((double)PICTURE_MOST_CELLS / longest)));
    // A single row over many keys would be a hair's breadth.
    if ((int)grid->rows * l.row_pixels < 32)
        l.row_pixels = (32 + (int)grid->rows - 1) / (int)grid->rows;
    if ((int)grid->cols * l.col_pixels < 32)
        l.col_pixels = (32 + (int)grid->cols - 1) / (int)grid->cols;
    l.panel_width = (int)grid->cols * l.col_pixels;
    l.panel_height = (int)grid->rows * l.row_pixels;
    l.left = MARGIN + 110;
    l.top = MARGIN + 50 + 110;
    l.width = l.left + l.panels * (l.panel_width + MARGIN);
    if (l.width < 700) l.width = 700;
    l.height = l.top + l.panel_height + MARGIN + 44;
    return l;
}

// Writes the cells of one panel straight into the surface: a fill each would take seconds.
static void draw_cells(cairo_surface_t *surface, const struct grid *grid, const struct layout *l,
                       int left, bool weights) {
    cairo_surface_flush(surface);
    unsigned char *data = cairo_image_surface_get_data(surface);
    const int stride = cairo_image_surface_get_stride(surface);
    for (int y = 0; y < l->panel_height; y++) {
        for (int x = 0; x < l->panel_width; x++) {
            const size_t cell =
                (size_t)(y / l->row_pixels) * grid->cols + (size_t)(x / l->col_pixels);
            uint32_t pixel =
                pixel_of(weights ? weight_color(grid, cell) : pattern_color(grid, cell));
            // A fine line between cells that are large enough to be counted.
            if ((l->col_pixels >= 8 && x % l->col_pixels == 0) ||
                (l->row_pixels >= 8 && y % l->row_pixels == 0))
                pixel = pixel - (pixel >> 4 & 0x0f0f0fu);
            memcpy(data + (size_t)(l->top + y) * (size_t)stride + (size_t)(left + x) * 4, &pixel,
                   4);
        }
    }
    cairo_surface_mark_dirty(surface);
}

// Labels every so many cells that there is room between them.
static uint32_t label_every(int pixels) { return (uint32_t)((LABEL_STEP + pixels - 1) / pixels); }

static void draw_row_labels(cairo_t *cr, const struct picture *picture, const struct layout *l) {
    const struct grid *grid = picture->grid;
    char number[24], text[LABEL_CHARACTERS * 4 + 8];
    cairo_text_extents_t extents;
    for (uint32_t r = 0; r < grid->rows; r += label_every(l->row_pixels)) {
        const int64_t position = cell_begin(r, grid->rows, grid->q_len) + grid->q_offset;
        const char *label = labels_at(picture->labels, position, number, sizeof number);
        label_short(label, LABEL_CHARACTERS, false, text, sizeof text);
        cairo_text_extents(cr, text, &extents);
        cairo_move_to(cr, l->left - 6 - extents.x_advance,
                      l->top + (r + 0.5) * l->row_pixels + FONT_SIZE * 0.35);
        cairo_show_text(cr, text);
    }
}

static void draw_key_labels(cairo_t *cr, const struct picture *picture, const struct layout *l,
                            int left) {
    const struct grid *grid = picture->grid;
    char number[24], text[LABEL_CHARACTERS * 4 + 8];
    for (uint32_t c = 0; c < grid->cols; c += label_every(l->col_pixels)) {
        const char *label = labels_at(picture->labels, cell_begin(c, grid->cols, grid->kv_len),
                                      number, sizeof number);
        label_short(label, LABEL_CHARACTERS, false, text, sizeof text);
        cairo_save(cr);
        cairo_translate(cr, left + (c + 0.5) * l->col_pixels + FONT_SIZE * 0.35, l->top - 6);
        cairo_rotate(cr, -1.5707963267948966);
        cairo_move_to(cr, 0, 0);
        cairo_show_text(cr, text);
        cairo_restore(cr);
    }
}

static void draw_frame(cairo_t *cr, const struct layout *l, int left) {
    cairo_set_source_rgb(cr, 0.4, 0.4, 0.4);
    cairo_set_line_width(cr, 1);
    cairo_rectangle(cr, left - 0.5, l->top - 0.5, l->panel_width + 1, l->panel_height + 1);
    cairo_stroke(cr);
}

static void draw_legend(cairo_t *cr, const struct grid *grid, const struct layout *l) {
    double x = l->left;
    const double y = l->top + l->panel_height + MARGIN;
    cairo_text_extents_t extents;
    char text[160];
    for (int kind = 0; kind < 3; kind++) {
        if (grid->computed[kind] <= 0) continue;
        for (int depth = 0; depth < 2; depth++) {
            set_color(cr, mix(kinds[kind], depth ? 1 : 0.16));
            cairo_rectangle(cr, x + depth * 14, y, 14, 14);
            cairo_fill(cr);
        }
        snprintf(text, sizeof text, "%s: computed, selected", kind_names[kind]);
        cairo_set_source_rgb(cr, 0, 0, 0);
        cairo_move_to(cr, x + 34, y + 11);
        cairo_show_text(cr, text);
        cairo_text_extents(cr, text, &extents);
        x += 34 + extents.x_advance + 20;
    }
    if (!grid->weight) return;
    snprintf(
        text, sizeof text,
        "weights: white 0 to dark %.3g and above (square root; largest %.3g); grey: not selected",
        (double)grid->weight_dark, (double)grid->weight_max);
    cairo_set_source_rgb(cr, 0, 0, 0);
    cairo_move_to(cr, l->left + l->panel_width + MARGIN, y + 30);
    cairo_show_text(cr, text);
}

static cairo_status_t write_some(void *to, const unsigned char *data, unsigned length) {
    return fwrite(data, 1, length, to) == length ? CAIRO_STATUS_SUCCESS : CAIRO_STATUS_WRITE_ERROR;
}

bool picture_available(void) { return true; }

bool picture_write(FILE *to, const struct picture *picture, struct message *message) {
    const struct grid *grid = picture->grid;
    const struct layout l = lay_out(grid);
    cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, l.width, l.height);
    cairo_t *cr = cairo_create(surface);
    if (cairo_status(cr) == CAIRO_STATUS_SUCCESS) {
        cairo_set_source_rgb(cr, 1, 1, 1);
        cairo_paint(cr);
        for (int panel = 0; panel < l.panels; panel++)
            draw_cells(surface, grid, &l, l.left + panel * (l.panel_width + MARGIN), panel == 1);
        cairo_select_font_face(cr, FONT, CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
        cairo_set_source_rgb(cr, 0, 0, 0);
        cairo_set_font_size(cr, 16);
        cairo_move_to(cr, MARGIN, MARGIN + 14);
        cairo_show_text(cr, picture->title);
        cairo_set_font_size(cr, FONT_SIZE);
        cairo_move_to(cr, MARGIN, MARGIN + 34);
        cairo_show_text(cr, picture->subtitle);
        draw_row_labels(cr, picture, &l);
        for (int panel = 0; panel < l.panels; panel++) {
            const int left = l.left + panel * (l.panel_width + MARGIN);
            cairo_set_source_rgb(cr, 0, 0, 0);
            draw_key_labels(cr, picture, &l, left);
            draw_frame(cr, &l, left);
        }
        draw_legend(cr, grid, &l);
    }
    cairo_status_t status = cairo_status(cr);
    cairo_destroy(cr);
    if (!status) status = cairo_surface_write_to_png_stream(surface, write_some, to);
    cairo_surface_destroy(surface);
    return status ? refuse(message, "the picture could not be drawn: %s",
                           cairo_status_to_string(status))
                  : true;
}

#endif
