// The picture of requests in flight that can be zoomed: their times as data in the page, drawn by a
// small script on a canvas. Without scripts, and on paper, the picture of flight_bars.h stands
// there in its place.
//
//   data: base 64 of numbers of 7 bits a byte, the low ones first, the eighth bit: more follows.
//   For each request, by arrival: 2 x (arrival since the one before) + failed; then for wait,
//   prompt and tokens 1 + its time, or 0 where it did not happen. Times in units of `data-unit` ns.
//
// All Local.
#ifndef WF_RESULTS_HTML_FLIGHT_ZOOM_H
#define WF_RESULTS_HTML_FLIGHT_ZOOM_H

#include "io/base/text.h"
#include "results/html/collect.h"

enum { WF_FLIGHT_ZOOM_MOST = 200000 }; // requests: of more, every k-th is in the page

wf_status wf_flight_zoom_put(const wf_html_output *output, wf_text *out);

// Once in a page, behind all pictures.
void wf_flight_zoom_script(wf_text *out);

#endif
