// An engine that fits its memory: plans it, looks at what is really free, creates the engine, warms
// it up, and takes less KV memory where the device does not give what was planned.
//
//   free before loading - weights - workspace - libraries - communicator -> share of it for KV
//   free after loading                                                   -> the smaller one counts
//   out of memory all the same                                           -> 0.8 of it, and again
//
// KV memory that was asked for in bytes is never made smaller: that fails with the numbers.
// Collective over the group: all its ranks shrink together.
#ifndef WF_JOBS_SPEC_ENGINE_FIT_H
#define WF_JOBS_SPEC_ENGINE_FIT_H

#include "engine/engine.h"
#include "jobs/spec/plan_model.h"

// All borrowed.
typedef struct wf_engine_fit {
    const wf_jobspec *spec;
    const wf_model *model;
    wf_backend *be;
    const wf_backend_info *before; // what the device had before weights were loaded
    int n_sharing;                 // ranks of the job on this host's memory; 1 on a device
    const wf_plan_needs *needs;
    wf_comm *group, *data; // control and bulk data, maybe the same
    bool speaks;           // says in the log what was planned
} wf_engine_fit;

// `config` without kv_bytes. Errors: WF_CONFIG (does not fit, with numbers), as wf_engine_create.
wf_status wf_engine_fit_create(const wf_engine_fit *fit, const wf_engine_config *config,
                               wf_engine **out);

#endif
