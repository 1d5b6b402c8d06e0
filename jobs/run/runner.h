// The runner: one job from its spec to sealed results, on every rank of a world.
//
//   folder (owner, resume) -> groups -> model -> engine -> [feed -> engine -> segments]* -> seal
//
// The first rank of each group leads: it feeds requests, plans steps and writes results; the other
// ranks follow its plans. Groups never wait for each other between the common start and the end.
// Merging and reporting come after, when devices are released, and are the launcher's to call.
//
// With `part`, the world is one group of a job that a conductor (launcher/conductor/conductor.h)
// looks after: it has begun the run and ends it; this group takes leases, writes its segments under
// its group and epoch, and its ranks bear the job's numbers.
//
// Collective over `world`. Every rank gets the same status; the rank that knows the cause has it in
// wf_error(), the others have "".
#ifndef WF_JOBS_RUN_RUNNER_H
#define WF_JOBS_RUN_RUNNER_H

#include <stdio.h>

#include "engine/comm/comm.h"
#include "io/results/segment.h"
#include "io/shard/reader.h"
#include "io/weights/hf_folder.h"
#include "jobs/run/drain.h"
#include "jobs/run/folder.h"
#include "jobs/spec/jobspec.h"
#include "jobs/spec/plan.h"
#include "kernels/simulated/sim_backend.h"

typedef struct wf_runner_part {
    int group, n_groups;
    uint32_t run, epoch;
    int first_rank; // the job's number of this world's first rank
    int n_sharing;  // ranks of the job on this host, all groups; they share its memory
} wf_runner_part;

// A run in simulated time, on a device that computes nothing (kernels/simulated/sim_backend.h):
// this process is the first rank of a group whose others do as it does. Weights are not read, no
// token ends a request before its bound, and a step waits for rows that have not been read yet.
typedef struct wf_runner_simulation {
    const wf_costs *costs;
    wf_simtime *time; // the group is member part->group of it, or 0
} wf_runner_simulation;

// What stands for the model's identity in a simulated run, so that no other run goes on in its
// folder.
void wf_simulated_identity(const wf_costs *costs, char out[WF_HF_IDENTITY_MAX]);

// All borrowed.
typedef struct wf_runner_config {
    const wf_jobspec *spec;
    wf_comm *world;
    const wf_plan *plan;        // of this world
    const wf_runner_part *part; // NULL: this world is the whole job
    wf_reader *reader;          // of this rank; used by ranks that lead a group
    wf_drain *drain;            // when to leave: from any stage of the start, or from the step loop
    int64_t deadline_ns;        // of wf_clock_ns(): the drain begins then; INT64_MAX: none known
    int n_threads;              // of the CPU back end on this rank
    wf_folder_start start;
    const char *host;
    const wf_runner_simulation *simulation; // NULL: a real run
    bool profiled; // some rank of the world measures its operations: no rank captures steps
    FILE *profile; // measure every operation of this rank, and print the table there; or NULL
    wf_run_info versions; // only its version_* members are used
} wf_runner_config;

typedef struct wf_runner_outcome {
    uint32_t run;
    int64_t n_total;  // requests of the job, samples counted
    int64_t n_before; // done by earlier runs
    int64_t n_done;   // by this run
    int64_t n_failed; // of those
    int64_t n_left;
    int64_t elapsed_ns; // from t0 to the last token
    wf_folder *folder;  // first rank, nothing left to do: still this job's; the caller's to end
} wf_runner_outcome;

// WF_OK: nothing is left to do; WF_FAILED_ROWS: so, and some requests failed; WF_DRAINED: stopped
// in time, something is left; else the failure. `out` is the same on all ranks.
wf_status wf_runner_run(const wf_runner_config *config, wf_runner_outcome *out);

#endif
