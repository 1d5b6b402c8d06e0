// Serving: the loop of a rank that leads a group. Requests that are due go from the feed to the
// engine, finished ones to the segment writer, until nothing is left or it is told to drain.
//
//   feed --------> engine --one step--> finished --> segments
//     ^ leases (offline)        progress counters, schedule lag
//   feeder --due--^ (timed)
//
// One request becomes `n` engine requests where its row asks for n samples. A row that cannot run
// becomes a result with its reason. Suspect ranges (jobs/run/returned.h) wait until nothing is in
// flight, and nothing joins them; poisonous rows fail unseen by the engine. Local, but for the
// engine's steps.
#ifndef WF_JOBS_RUN_SERVE_H
#define WF_JOBS_RUN_SERVE_H

#include "engine/engine.h"
#include "io/results/runfile_done.h"
#include "io/results/segment.h"
#include "jobs/run/drain.h"
#include "jobs/run/feed.h"
#include "jobs/run/feeder.h"
#include "jobs/run/flight.h"
#include "jobs/run/lease.h"
#include "jobs/watch/progress.h"

// All borrowed.
typedef struct wf_serve_config {
    wf_engine *engine;
    wf_feed *feed;
    wf_leases *leases;   // offline: where the feed's rows come from
    wf_feeder *feeder;   // timed arrivals: takes the feed's rows as they are due; else NULL
    wf_flights *flights; // record of what is in flight; NULL: none is kept
    wf_segment_writer *writer;
    const wf_done *done; // samples of earlier runs
    wf_progress *progress;
    const char *const *shard_uid; // [n_shards]
    const bool *many_samples;     // [n_shards] rows done for sample 0 may lack others
    const wf_sampling *sampling;  // for the columns a shard does not have
    const int32_t *stop;          // [n_stop] of the job, added to a row's own
    size_t n_stop;
    const uint8_t *stop_string; // likewise, as a shard has a row's
    uint32_t stop_string_bytes;
    const wf_pieces *const *pieces; // [n_shards] what these are looked for in; NULL: in none
    uint64_t seed;
    uint16_t run, group;
    int32_t max_rows;
    int32_t look_ahead;  // rows more that may wait in the engine, for it to choose among
    int32_t concurrency; // offline: rows in flight at most, each arriving as it is handed over; 0:
                         // as many as keep the engine busy
    const wf_clock *clock; // that the engine and the drain live by as well
    int64_t origin_ns;     // of the clock: run time 0
    bool simulated;        // tokens mean nothing, so none ends a request; rows are waited for
    const wf_drain *drain; // may be NULL
    int64_t max_failures;  // -1: no bound
} wf_serve_config;

typedef struct wf_serve_outcome {
    int64_t n_done, n_failed; // by this run
    int64_t n_dropped;        // handed to the engine and given up in a drain
    int64_t n_dropped_tokens; // that those had generated
    int64_t last_token_ns;    // run time of the last token; 0: none
    bool drained;
} wf_serve_outcome;

// WF_OK: nothing is left, or drained. WF_IO when results cannot be written; WF_DATA when more than
// max_failures requests failed; the engine's failures.
wf_status wf_serve(const wf_serve_config *config, wf_serve_outcome *out);

#endif
