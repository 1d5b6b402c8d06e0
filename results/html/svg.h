// One picture with axes, as inline SVG inside a <figure>.
//
//   wf_plot plot = {.out = &page, .title = "Requests per second", .x = {0, 60}, .y = {0, 12}};
//   wf_plot_begin(&plot);
//   wf_plot_stairs(&plot, "c1", bins, n);
//   wf_plot_end(&plot);
//
//   +--------------------------+  width x height units of the view box; colours are classes of the
//   | y                        |  page's style (c1 c2 c3 ...: a line, with "area" filled)
//   |   |______________________|
//   +-------------- x words ---+
//
// All Local.
#ifndef WF_RESULTS_HTML_SVG_H
#define WF_RESULTS_HTML_SVG_H

#include <stdbool.h>
#include <stddef.h>

#include "io/base/text.h"

typedef enum wf_plot_numbers { WF_PLOT_PLAIN, WF_PLOT_TIMES, WF_PLOT_SHARES } wf_plot_numbers;

typedef struct wf_plot_key {
    const char *words, *style; // of a line, said beside the title
} wf_plot_key;

enum { WF_PLOT_KEYS = 8 };

typedef struct wf_plot {
    wf_text *out;
    const char *title, *x_words;
    const char *said, *note;  // beside the title, and a sentence below; may be NULL
    double width, height;     // 0: 440 x 220
    double x[2], y[2];        // what the axes span
    bool log_x, wide, bare_y; // wide: over the whole page; bare_y: no numbers at y
    wf_plot_numbers x_numbers, y_numbers;
    wf_plot_key keys[WF_PLOT_KEYS];
} wf_plot;

void wf_plot_begin(wf_plot *plot); // fills in width and height
void wf_plot_end(const wf_plot *plot);

double wf_plot_x(const wf_plot *plot, double value); // in units of the view box, kept inside
double wf_plot_y(const wf_plot *plot, double value);

// Values over n equal parts of the x axis.
void wf_plot_stairs(const wf_plot *plot, const char *style, const double *values, size_t n);
void wf_plot_line(const wf_plot *plot, const char *style, const double (*points)[2], size_t n);
void wf_plot_dot(const wf_plot *plot, const char *style, double x, double y);
// A dashed line up; style: "bad", or "soft".
void wf_plot_mark(const wf_plot *plot, const char *style, double x, const char *words);

#endif
