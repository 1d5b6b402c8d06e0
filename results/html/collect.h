// What an HTML report draws of one output: its rows and steps on one time line, runs one after the
// other (each has a clock of its own; the pause between two is not drawn).
//
// Memory: 48 bytes per request and 40 per step. All Local.
#ifndef WF_RESULTS_HTML_COLLECT_H
#define WF_RESULTS_HTML_COLLECT_H

#include "results/report.h"

// Gaps between tokens by their logarithm: 100 bins to a decade, from 1 us.
enum { WF_HTML_GAP_BINS = 1000, WF_HTML_GAP_DECADE = 100 };
enum { WF_HTML_BINS = 110 }; // at most
#define WF_HTML_GAP_LEAST_NS 1e3

typedef struct wf_html_row { // ns on the time line, -1 where it did not happen
    int64_t arrival_ns, admitted_ns, first_ns, finish_ns;
    uint32_t n_tokens;
    uint16_t run;
    bool done;
    bool latency; // counts for latency figures
} wf_html_row;

typedef struct wf_html_step {
    int64_t start_ns, duration_ns;
    int32_t n_decode, n_prefill, n_prompt_tokens, kv_pages;
    uint16_t run, group;
} wf_html_step;

typedef struct wf_html_output {
    const char *path; // as it was named; borrow
    wf_report report;
    wf_goodput_limits limits;
    char *job_text, *versions; // own; versions: "Weft 1.0, HDF5 1.10.8"
    wf_html_row *rows;         // [n_rows] by arrival
    wf_html_step *steps;
    size_t n_rows, n_steps, rows_capacity, steps_capacity;
    uint64_t gaps[WF_HTML_GAP_BINS], n_gaps;
    wf_metrics_run *runs; // [n_runs] start_ns on the time line
    size_t n_runs;
    int64_t length_ns;
    size_t n_bins; // of curves over time: fewer where there are few requests
    bool timed;    // arrivals have times of their own
} wf_html_output;

// Reads one output: of a job array, its parts. `options` as for wf_report_make_many.
wf_status wf_html_collect(const char *const *paths, size_t n, const wf_report_options *options,
                          wf_html_output *out);
void wf_html_output_free(wf_html_output *output);

#endif
