// The tables of a page. All Local.
#ifndef WF_RESULTS_HTML_TABLES_H
#define WF_RESULTS_HTML_TABLES_H

#include "io/base/text.h"
#include "results/html/collect.h"

void wf_table_limits(const wf_html_output *output, wf_text *out); // each limit, and who kept it
void wf_table_latency(const wf_html_output *output, wf_text *out);
void wf_table_intervals(const wf_html_output *output, wf_text *out); // by blocks of time
void wf_table_parts(const wf_html_output *output, wf_text *out);
wf_status wf_table_steps(const wf_html_output *output, wf_text *out); // by kind
void wf_table_experts(const wf_html_output *output, wf_text *out);    // by layer
void wf_table_failures(const wf_html_output *output, wf_text *out);

// Every figure there is, or the ones of the CSV form alone; of several outputs, with the ratio to
// the first one's.
void wf_table_figures(const wf_html_output *outputs, size_t n, bool brief, wf_text *out);

#endif
