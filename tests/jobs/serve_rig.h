// A group that serves on made-up time: a real shard, reader, feed, writer and results; the engine's
// steps and the clock are simulated. A run takes no time, and always the same.
#ifndef WF_TESTS_JOBS_SERVE_RIG_H
#define WF_TESTS_JOBS_SERVE_RIG_H

#include "io/results/results_file.h"
#include "jobs/run/serve.h"
#include "tests/engine/simulated.h"
#include "tests/jobs/jobs_test.h"

#define MS WF_NS_PER_MS

enum { RIG_ROWS = 60 }; // one read of the shard brings them all

typedef struct serve_rig {
    // Set by the test before serve_rig_make().
    int n_rows;
    int64_t gap_ms;      // between arrivals
    uint32_t max_new;    // of every row
    int n_own_seeds;     // the first rows have seed 5
    int bad_row;         // has a token beyond the vocabulary; -1: none
    int32_t max_rows;    // of the engine
    int32_t concurrency; // 0: no bound
    bool offline;        // leases, no arrivals
    sim_step_ns step_ns; // its context is the rig
    sim_token token;
    int32_t stop;        // ends every row; 0: none
    int64_t drain_at_ns; // of the clock; 0: never
    int64_t grace_ns;    // 0: 100 s

    sim_clock clock; // run time 0 is 1000 s
    sim_executor x;
    wf_drain_signals signals;
    wf_drain *drain;
    wf_serve_outcome outcome;
    wf_counters *counters;     // while it runs
    int64_t n_entered, n_idle; // what they said of steps at its end
    wf_result row[RIG_ROWS];   // as written, by row; n_tokens 0: not there
    wf_step_record step[4096];
    size_t n_steps;
    int64_t max_failures; // -1: no bound

    // Its own.
    const char *folder;
    char out[128], shard[128];
    const char *paths[1];
    wf_shard_info info;
    wf_reader *reader;
    wf_feed *feed;
    wf_feeder *feeder;
    wf_leases *leases;
    wf_done *done;
    wf_segment_writer *writer;
    wf_progress *progress;
    wf_comm *comm;
    wf_engine *engine;
    wf_arch arch;
} serve_rig;

// `folder` is the test's (jobs_test.h). 10 ms a step where step_ns is NULL.
void serve_rig_make(serve_rig *r, const char *folder);

// Serves to the end, reads what was written, and frees all.
wf_status serve_rig_run(serve_rig *r);

// Run time as the clock says it.
#define RUN_MS(ms) ((int64_t)(1000000 + (ms)) * WF_NS_PER_MS)

#endif
