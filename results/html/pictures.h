// The pictures of a report, each a row of a table: where it makes sense, and how it is drawn.
//
// Each draws as many outputs as it is given, a colour for each, or one.
// All Local.
#ifndef WF_RESULTS_HTML_PICTURES_H
#define WF_RESULTS_HTML_PICTURES_H

#include "io/base/text.h"
#include "results/html/collect.h"

#define WF_HTML_COLOURS 6 // c1 ... c6 of the style

// Of one output: load, tokens, batch, memory, latency by load, requests in flight.
wf_status wf_pictures_draw(const wf_html_output *output, wf_text *out);

// Of all: the distributions of TTFT, TPOT, ITL and E2E.
wf_status wf_pictures_distributions(const wf_html_output *outputs, size_t n, wf_text *out);

#endif
