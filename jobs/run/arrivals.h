// Arrival processes: when each request of a job is meant to arrive.
//
//   replay    logged arrival / speed; at speed 1 the very nanosecond
//   offline   all at time 0
//   constant  one every 1 / rate seconds
//   poisson   exponential gaps of mean 1 / rate
//   gamma     gamma gaps of mean 1 / rate and shape `burstiness`: 1 is poisson, below 1 is burstier
//
// Requests are numbered in the order of their logged arrival; drawn processes have the first at 0.
// Gaps come from a counter-based generator keyed by the seed, so every rank and every restart sees
// the same times. The parameters are those of vLLM's benchmarks (shape = burstiness, scale = 1 /
// (rate * burstiness)). Pure. Local.
#ifndef WF_JOBS_RUN_ARRIVALS_H
#define WF_JOBS_RUN_ARRIVALS_H

#include <stdint.h>

#include "io/base/rng.h"
#include "jobs/spec/jobspec.h"

typedef struct wf_arrivals_config {
    wf_spec_arrivals mode;
    double speed;      // replay, > 0
    double rate;       // requests per second, > 0
    double burstiness; // gamma, > 0
    uint64_t seed;
} wf_arrivals_config;

// A walk over the requests in order. Plain value.
typedef struct wf_arrivals {
    wf_arrivals_config cfg;
    wf_rng rng;
    uint64_t i;  // requests so far
    double at_s; // poisson, gamma: arrival of the one before
} wf_arrivals;

void wf_arrivals_begin(wf_arrivals *a, const wf_arrivals_config *config);

// Intended arrival of the next request, in nanoseconds; never less than the one before if the
// logged ones are not.
int64_t wf_arrivals_next(wf_arrivals *a, int64_t logged_ns);

#endif
