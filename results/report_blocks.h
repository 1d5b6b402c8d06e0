// A report's confidence intervals by blocks of time, in text and JSON. Local.
#ifndef WF_RESULTS_REPORT_BLOCKS_H
#define WF_RESULTS_REPORT_BLOCKS_H

#include <stdio.h>

#include "io/base/json_writer.h"
#include "results/blocks.h"

// A line or two, after the figures; nothing where blocks are thin.
void wf_intervals_print(const wf_intervals *intervals, FILE *out);

// The member "intervals" of the open object; nothing where there are none.
void wf_intervals_put(wf_json_writer *w, const wf_intervals *intervals);

// How far the ratio of two independent figures may be off: half of its interval, by the delta
// method; below 0 where one of them has none.
double wf_interval_ratio_half(const wf_interval *of, const wf_interval *first);

// What they are, for `weft help figures`.
void wf_intervals_explain(FILE *out);

#endif
