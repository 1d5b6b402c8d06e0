// A job in simulated time: its groups as they would run, each a process of its own, on devices
// that take time and compute nothing.
//
//   folder -> [ group: reader, feed, engine, batcher, forward pass, results ] x n_groups -> seal
//                 |________________ simulated clock, costs of operations
//
// Batcher, feeder, leases, step plans and results are those of a real run; what differs is the
// table of operations and the clock. Groups of a replay live apart; groups of an offline job meet
// where they take leases, in the order of simulated time, so that the same job always gives the
// same results. The results say that they are simulated, and no real run goes on in their folder.
// Local; no device is used.
#ifndef WF_JOBS_RUN_SIMULATE_H
#define WF_JOBS_RUN_SIMULATE_H

#include "jobs/run/runner.h"

#define WF_SIMULATE_MOST_GROUPS 4096

// All borrowed.
typedef struct wf_simulate_config {
    const wf_jobspec *spec;
    const wf_costs *costs;
    int n_groups; // of spec->parallel.tensor devices each
    wf_reader *reader;
    wf_drain *drain;                 // of this process; the groups have their own
    const wf_drain_signals *signals; // that reach all of them
    wf_folder_start start;
    const char *host;
    wf_run_info versions; // only its version_* members are used
} wf_simulate_config;

// As wf_runner_run. Also WF_CONFIG: groups of several devices on costs without links.
wf_status wf_simulate(const wf_simulate_config *config, wf_runner_outcome *out);

#endif
