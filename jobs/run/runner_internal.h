// What the runner's rooms share: the state of one rank, and the stages of its start.
//
//   runner.c          agreements, the order of stages, the step loop's frame, sums, the end
//   runner_model.c    model -> back end -> devices of the group -> engine
//   runner_rows.c     shards -> folder -> what is done -> leases or arrivals
//   runner_clock.c    one time zero for all groups
//   runner_output.c   status file, segment writer, profile
//
// A stage fills its part of the state and returns its rank's own status; runner.c lets the world
// agree on it, so a stage must come to its end on every rank. On ranks that it does not concern
// (beside each) it does nothing. Private to the runner.
#ifndef WF_JOBS_RUN_RUNNER_INTERNAL_H
#define WF_JOBS_RUN_RUNNER_INTERNAL_H

#include "engine/engine.h"
#include "jobs/run/feed.h"
#include "jobs/run/lease.h"
#include "jobs/run/runner.h"
#include "jobs/run/serve.h"
#include "jobs/spec/inputs.h"
#include "jobs/watch/progress.h"
#include "kernels/profile.h"

typedef struct wf_runner {
    const wf_runner_config *c;
    const wf_jobspec *spec;
    wf_comm *group; // NULL on an idle rank
    wf_comm *nccl;  // the same ranks over their devices; NULL: `group` carries the data as well
    bool leads;
    int i_group, i_position;
    wf_inputs in; // filled on ranks that lead
    wf_hf_folder *model_folder;
    char model_identity[WF_HF_IDENTITY_MAX];
    wf_arch arch;
    wf_numerics numerics; // of weights and KV, as the job asks
    wf_backend *be;
    wf_backend_info be_info;
    wf_profile *profile; // NULL: none
    wf_model *model;
    wf_engine *engine;
    wf_folder *folder; // first rank of the world
    uint32_t run;
    wf_done *done;
    wf_feed *feed;   // of rows; or
    wf_turns *turns; // of sessions
    wf_board *board; // groups share them; NULL: each has its own
    wf_leases *leases;
    wf_flights *flights;
    wf_segment_writer *writer;
    wf_progress *progress;
    wf_plan_needs needs;
    int64_t origin_ns, clock_offset_ns, first_ns, last_ns;
    char *job_text, *labels; // labels: of a job that scores (wf_encode_labels)
    bool nothing_left;       // all was done by earlier runs: no model, no engine, no step
    wf_serve_outcome served;
} wf_runner;

// Which life of its group this is; 0 where no conductor counts them.
// Of the whole job.
static inline int wf_runner_n_groups(const wf_runner *r)
{
    return r->c->part ? r->c->part->n_groups : r->c->plan->n_groups;
}

static inline int wf_runner_epoch(const wf_runner *r)
{
    return r->c->part ? (int)r->c->part->epoch : 0;
}

// Of whose time, in a simulated run.
static inline int wf_runner_member(const wf_runner *r)
{
    return r->c->part ? r->c->part->group : 0;
}

// What the group's requests, steps and results live by.
static inline const wf_clock *wf_runner_clock(const wf_runner *r)
{
    const wf_runner_simulation *s = r->c->simulation;
    return s ? wf_simtime_clock(s->time, wf_runner_member(r)) : &wf_clock_real;
}

// Requests are kept back until they arrive.
static inline bool wf_runner_is_timed(const wf_runner *r)
{
    return r->spec->arrivals.mode != WF_SPEC_OFFLINE;
}

// This group's part of the requests, or sessions, in flight: as even as it goes, one at least; 0:
// no bound.
int32_t wf_runner_concurrency(const wf_runner *r);

// ---- stages in their order; Collective where they say so, else Local ----------------------------

wf_status wf_runner_open_shards(wf_runner *r);       // leaders
wf_status wf_runner_share_needs(wf_runner *r);       // Collective over the world
wf_status wf_runner_open_model(wf_runner *r);        // the configuration; its identity: first rank
wf_status wf_runner_begin_folder(wf_runner *r);      // first rank
wf_status wf_runner_read_done(wf_runner *r);         // leaders, once the first rank has begun
wf_status wf_runner_look_what_is_left(wf_runner *r); // Collective over the world
wf_status wf_runner_start_progress(wf_runner *r);
wf_status wf_runner_load_model(wf_runner *r);     // ranks of groups; creates the back end
wf_status wf_runner_join_devices(wf_runner *r);   // Collective over the group
wf_status wf_runner_create_engine(wf_runner *r);  // Collective over the group
wf_status wf_runner_find_rows(wf_runner *r);      // leaders
wf_status wf_runner_share_arrivals(wf_runner *r); // Collective over the world
wf_status wf_runner_start_clock(wf_runner *r);    // Collective over the world
wf_status wf_runner_create_writer(wf_runner *r);  // leaders

// ---- the end ------------------------------------------------------------------------------------

// Prints the profile and writes <out>/profile.csv; what goes wrong is a warning.
void wf_runner_report_profile(const wf_runner *r);

#endif
