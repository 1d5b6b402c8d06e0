// Windows of a workload, of which requests are drawn: ServeGen's description of a client.
//
//   chunk-1-trace.csv      0,0.42,1.31,Gamma,0.58,4.1        start (s), requests/s, CV of the gaps,
//                          600,0.51,1.10,Gamma,0.83,2.4      their distribution, shape and scale
//   chunk-1-dataset.json   {"0": {"input_tokens": H, "output_tokens": H}, "600": ...}
//
// A window lasts until the next one, the last as long as the one before it (600 s where it is
// alone). Gaps are of the window's distribution and shape, with the mean that its rate says; they
// begin anew in each window. Lengths are of the histograms of the latest window at or before it. A
// histogram H is a list of weights by length, an object of them by length, or such an object as
// text; weights need not sum up to 1. The seed decides all. Local.
// Source: Xiang et al., ServeGen, NSDI 2026, and the layout of its data.
#ifndef WF_JOBS_STREAMS_WINDOWS_H
#define WF_JOBS_STREAMS_WINDOWS_H

#include "jobs/streams/import.h"
#include "jobs/streams/lines.h"

// Draws the rows of options->input, whose lines these are, to its end. Histograms come from
// options->lengths, or from the file beside it whose name ends by -dataset.json in place of
// -trace.csv. WF_DATA with `file:line: what`; WF_NO_INPUT, WF_USAGE.
wf_status wf_windows_draw(const wf_import_options *options, wf_lines *lines, wf_line_index *out);

#endif
