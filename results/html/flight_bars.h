// Every request as a bar over time, in the order of arrival: waiting, its prompt, its tokens; as in
// Flover (arXiv:2305.13484), where the bars show how requests of different ages share steps. All
// Local.
#ifndef WF_RESULTS_HTML_FLIGHT_BARS_H
#define WF_RESULTS_HTML_FLIGHT_BARS_H

#include "io/base/text.h"
#include "results/html/collect.h"
#include "results/html/svg.h"

enum { WF_FLIGHT_BARS = 260, WF_FLIGHT_CLOSER = 120 };

// The whole time, every k-th request where there are more than WF_FLIGHT_BARS; then also
// WF_FLIGHT_CLOSER consecutive ones of the busiest time.
wf_status wf_flight_draw(const wf_html_output *output, wf_text *out);

// Where a run ended and another took over, over a time axis in seconds.
void wf_flight_mark_runs(const wf_plot *plot, const wf_html_output *output);

#endif
