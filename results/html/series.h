// Curves over the time of an output, and over load: what pictures.c draws. All Local.
#ifndef WF_RESULTS_HTML_SERIES_H
#define WF_RESULTS_HTML_SERIES_H

#include "results/html/collect.h"

enum { WF_HTML_LOADS = 14 };

// Events per second in each of n_bins equal parts of the output's time.
void wf_series_arrivals(const wf_html_output *output, double *bins);
void wf_series_finishes(const wf_html_output *output, double *bins);

// Mean number of requests over each part: from admission to the end, from arrival to admission.
void wf_series_in_batch(const wf_html_output *output, double *bins);
void wf_series_waiting(const wf_html_output *output, double *bins);

// Of steps: prompt tokens and decoded rows per second; most KV pages, summed over groups.
void wf_series_prompt_tokens(const wf_html_output *output, double *bins);
void wf_series_decoded(const wf_html_output *output, double *bins);
void wf_series_step_time(const wf_html_output *output, double *bins); // mean, ns
wf_status wf_series_kv_pages(const wf_html_output *output, double *bins);

double wf_series_most(const double *bins, size_t n);

// Times in ns whose latency counts, sorted; own.
typedef enum wf_html_latency { WF_HTML_TTFT, WF_HTML_TPOT, WF_HTML_E2EL } wf_html_latency;
wf_status wf_series_latency(const wf_html_output *output, wf_html_latency which, double **out,
                            size_t *n);

// E2E by how many requests were in the system as one arrived, in parts of equal width; parts with
// fewer than 5 requests are left out.
typedef struct wf_html_load {
    double load, p50_ns, p90_ns;
    size_t n;
} wf_html_load;
wf_status wf_series_loads(const wf_html_output *output, wf_html_load loads[WF_HTML_LOADS],
                          size_t *n);

#endif
