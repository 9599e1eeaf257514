// SPDX-License-Identifier: MIT
#include "report/page.h"

#include "report/sections.h"
#include "report/text.h"
#include "report_assets.h"
#include "tulle/tulle.h"

// Nothing is loaded, and no script or style runs but the page's own, whatever a file's text holds.
static void put_head(FILE *to, const struct columns *columns) {
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n", to);
    fprintf(
        to,
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
        "style-src '%s'; script-src '%s'; base-uri 'none'; form-action 'none'\">\n",
        report_css_hash, report_js_hash);
    fprintf(to,
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
            "<meta name=\"color-scheme\" content=\"light dark\">\n"
            "<meta name=\"generator\" content=\"tulle %s\">\n<link rel=\"icon\" href=\"data:,\">\n",
            tulle_version());
    fputs("<title>Tulle bench: ", to);
    for (size_t i = 0; i < columns->count && i < 3; i++) {
        if (i) fputs(", ", to);
        put_text_within(to, columns->list[i].device, 60);
    }
    if (columns->count > 3) fprintf(to, " and %zu more", columns->count - 3);
    fprintf(to, "</title>\n<style>%s</style>\n</head>\n", report_css);
}

static void put_header(FILE *to, const struct columns *columns) {
    static const struct {
        const char *id, *name;
    } links[] = { { "devices", "Devices" }, { "lengths", "Length" }, { "limits", "Share of peak" },
                  { "density", "Density" }, { "ratios", "Ratios" },  { "results", "All results" } };
    size_t count = 0;
    char text[MOST_LABEL];
    for (size_t i = 0; i < columns->count; i++) count += columns->list[i].count;
    fputs("<body>\n<a class=\"skip\" href=\"#main\">Skip to the report</a>\n<header>\n<h1>Sparse "
          "attention, measured</h1>\n",
          to);
    fprintf(
        to,
        "<p class=\"lead\">%zu device%s, %s result%s of <span class=\"pattern\">tulle bench</span></p>\n",
        columns->count, columns->count == 1 ? "" : "s", count_text(count, text),
        count == 1 ? "" : "s");
    fputs("<nav aria-label=\"Sections\"><ul>", to);
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++)
        fprintf(to, "<li><a href=\"#%s\">%s</a></li>", links[i].id, links[i].name);
    fputs("</ul></nav>\n</header>\n", to);
}

bool page_write(FILE *to, const struct columns *columns) {
    struct chart chart = { .to = to };
    put_head(to, columns);
    put_header(to, columns);
    put_mark_shapes(to);
    fputs("<main id=\"main\" tabindex=\"-1\">\n", to);
    const bool good = section_devices(&chart, columns) && section_lengths(&chart, columns) &&
                      section_limits(&chart, columns) && section_density(&chart, columns) &&
                      section_ratios(&chart, columns) && section_results(&chart, columns);
    fprintf(
        to,
        "</main>\n<footer><p>Written by <span class=\"pattern\">tulle report</span> %s. What the "
        "figures mean and how they are measured: docs/bench.md of Tulle.</p></footer>\n"
        "<script>%s</script>\n</body>\n</html>\n",
        tulle_version(), report_js);
    return good;
}
