// The report as one HTML file that needs no other: SVG inline, no network, one small script that
// zooms the picture of requests in flight (flight_zoom.h) and is not missed; light and dark as the
// reader's system, narrow screens and paper. It is well-formed XML too.
//
// Of one output: what was run, the verdict, figures, pictures, failures, machine, how to do it
// again. Of several: their figures side by side with ratios to the first, their distributions in
// one picture, then each as above. Everything from files is escaped. Pictures are binned and
// sampled: the page's size does not grow with the requests. Local.
#ifndef WF_RESULTS_HTML_PAGE_H
#define WF_RESULTS_HTML_PAGE_H

#include "io/base/text.h"
#include "results/html/collect.h"

// What every page begins with, up to its first heading, and ends with.
void wf_html_page_begin(const char *title, wf_text *out);
void wf_html_page_end(wf_text *out);

wf_status wf_html_page(const wf_html_output *outputs, size_t n, wf_text *out);

#endif
