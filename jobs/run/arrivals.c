// Arrival processes.
#include "jobs/run/arrivals.h"

#include "io/base/clock.h"

// Stream numbers keep the draws of one purpose apart from all others of the same seed.
#define STREAM_ARRIVALS 0x61727276u
#define NS_PER_S        ((double)WF_NS_PER_S)

void wf_arrivals_begin(wf_arrivals *a, const wf_arrivals_config *config)
{
    *a = (wf_arrivals){.cfg = *config, .rng = wf_rng_make(config->seed, STREAM_ARRIVALS)};
}

static int64_t to_ns(double ns)
{
    return ns >= 9.2e18 ? INT64_MAX / 2 : (int64_t)(ns + 0.5);
}

int64_t wf_arrivals_next(wf_arrivals *a, int64_t logged_ns)
{
    const wf_arrivals_config *c = &a->cfg;
    uint64_t i = a->i++;
    switch (c->mode) {
    case WF_SPEC_OFFLINE:
        return 0;
    case WF_SPEC_SESSIONS: // no process of its own: its sessions arrive by one of the others
    case WF_SPEC_REPLAY:
        // A double holds nanoseconds exactly for 104 days; a replay at log speed is exact always.
        return c->speed == 1.0 ? logged_ns : to_ns((double)logged_ns / c->speed);
    case WF_SPEC_CONSTANT:
        return to_ns((double)i / c->rate * NS_PER_S);
    case WF_SPEC_POISSON:
        if (i > 0) a->at_s += wf_rng_next_exponential(&a->rng) / c->rate;
        return to_ns(a->at_s * NS_PER_S);
    case WF_SPEC_GAMMA:
        if (i > 0) a->at_s += wf_rng_next_gamma(&a->rng, c->burstiness) / (c->rate * c->burstiness);
        return to_ns(a->at_s * NS_PER_S);
    }
    return 0;
}
