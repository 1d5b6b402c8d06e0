// The figures of a report as one table: name, unit, definition, and how text says them. The three
// forms (report_print.c) and `weft help figures` walk it; how they are computed is in metrics.c.
//
// Names and definitions are those of vLLM's serving benchmark where it has them.
#ifndef WF_RESULTS_FIGURES_H
#define WF_RESULTS_FIGURES_H

#include <stdio.h>

#include "results/metrics.h"

typedef enum wf_figure_kind {
    WF_FIGURE_COUNT,   // uint64_t
    WF_FIGURE_MOST,    // int32_t
    WF_FIGURE_MOST64,  // int64_t
    WF_FIGURE_SECONDS, // int64_t, ns
    WF_FIGURE_RATE,    // double, per second
    WF_FIGURE_MEAN,    // double
    WF_FIGURE_SHARE,   // double, 1 is all
    WF_FIGURE_FLAG,    // bool
    WF_FIGURE_TIMES    // wf_distribution: a row of the table, a column for each statistic
} wf_figure_kind;

typedef enum wf_figure_part {
    WF_FIGURES_REQUESTS,
    WF_FIGURES_AMOUNTS,
    WF_FIGURES_STEPS
} wf_figure_part;

typedef enum wf_figure_when {
    WF_FIGURE_ALWAYS,
    WF_FIGURE_WITH_LIMITS, // of goodput
    WF_FIGURE_OF_GROUPS,   // text: where a run had several
    WF_FIGURE_OF_CACHE,    // text: where prompts shared pages
    WF_FIGURE_OF_CHOICE,   // text: where results are the best of more samples
    WF_FIGURE_OF_SESSIONS  // where requests are turns of sessions
} wf_figure_when;

typedef struct wf_figure {
    const char *name; // in JSON and CSV; of times: mean_<name>_ms and so on
    wf_figure_kind kind;
    wf_figure_part part;
    size_t at; // in wf_figures
    wf_figure_when when;
    bool csv;
    const char *line; // of text; NULL: none. Figures of one line follow each other
    const char *text; // what it adds to its line: @ is the value, ~ an s where it is not 1
    const char *unit, *definition;
} wf_figure;

extern const wf_figure wf_figure_table[];
extern const size_t wf_n_figures;

// Whether these figures have one of that row.
bool wf_figure_is_there(const wf_figure *figure, const wf_figures *figures);

// The value of a figure that is one number, in its unit; a flag as 0 or 1. Not of times.
double wf_figure_value(const wf_figure *figure, const wf_figures *figures);

// Name, unit and definition of all of them, for people.
void wf_figures_explain(FILE *out);

#endif
