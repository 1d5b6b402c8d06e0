// Streams that nobody logged: arrivals of a process, lengths of a law, and Flover's published
// workloads as presets of the two. Drawn by seed: the same options are the same stream.
//
//   constant  one every interval                     poisson  exponential gaps
//   gamma     gamma gaps, CV 1 / sqrt(shape)          weibull  Weibull gaps, burstier below shape 1
//   diurnal   Poisson whose rate goes up and down as 1 + depth * sin(2 pi t / period)
//
// Every process has the mean gap `interval`, and its first arrival at 0. A law of lengths is a
// text: "512" or "fixed:512", "uniform:128:512" (both ends are drawn), "lognormal:1000:0.8"
// (median, and standard deviation of the logarithm). Not for use elsewhere but by the options'
// reader.
#ifndef WF_JOBS_STREAMS_SYNTH_H
#define WF_JOBS_STREAMS_SYNTH_H

#include <stdbool.h>
#include <stdint.h>

#include "io/base/status.h"
#include "jobs/streams/line_index.h"

// 0 and NULL: the preset's, or what the process does without; a stream must know the others.
typedef struct wf_synth_options {
    bool has_interval;
    double interval_s;                        // mean gap; 0: all at once
    double shape;                             // gamma, weibull
    double depth;                             // diurnal, up to 1 (0.5)
    double period_s;                          // diurnal (a day)
    uint32_t batch;                           // rows that arrive together (1)
    const char *input_tokens, *output_tokens; // laws
} wf_synth_options;

// The processes, then the presets, by name; what one is, as a phrase.
size_t wf_synth_n_names(void);
const char *wf_synth_name(size_t i);
const char *wf_synth_help(size_t i);
bool wf_synth_is(const char *name);

// Rows in order of arrival; n_rows 0: the preset's. WF_USAGE with the option that is missing.
wf_status wf_synth_draw(const char *name, const wf_synth_options *options, uint64_t n_rows,
                        uint64_t seed, wf_line_index *out);

#endif
