// A job's model in numbers: what one rank keeps, and what is left for KV memory.
//
// The same arithmetic serves the dry run (weft plan) and the runner, so that what the one says the
// other does. Pure. All Local.
#ifndef WF_JOBS_SPEC_PLAN_MODEL_H
#define WF_JOBS_SPEC_PLAN_MODEL_H

#include <stdbool.h>

#include "engine/engine.h"
#include "jobs/spec/jobspec.h"
#include "jobs/spec/plan.h"

typedef struct wf_plan_device {
    uint64_t free_bytes; // before weights are loaded: of the device, or of the host
    int n_sharing;       // ranks of the job that share it
    bool host;           // weights and KV are in host memory
    wf_numerics num;     // as its back end computes
} wf_plan_device;

// What requests may ask for, over the job's defaults and the shards' columns.
typedef struct wf_plan_needs {
    int n_top;        // most logprobs that results hold; -1: none
    int n_top_chosen; // most that outputs are chosen by, which results do not hold; -1: none are
    int prompt_probs; // 1 + most logprobs of prompt tokens; 0: none
    int n_beams;      // most of a request; 0: none is searched for
    bool penalties;
    int32_t row_wishes; // most words of a row's biases, allowed tokens and bad words
} wf_plan_needs;

// What the job's own sampling asks for; a shard's columns may ask for more.
wf_plan_needs wf_plan_needs_of(const wf_sampling *sampling);

// The formats of weights and KV that a job asks for, completed as `backend` computes; NULL: not
// known yet. WF_CONFIG: it cannot compute them together.
wf_status wf_plan_numerics(const wf_jobspec *spec, const wf_arch *arch, const char *backend,
                           wf_numerics *out);

// The engine that a job asks for, but for its KV memory.
wf_engine_config wf_plan_engine_config(const wf_jobspec *spec, const wf_plan_needs *needs);

// What the job asks for and this model cannot give, as one line; "" where there is no such thing.
// Returns text.
char *wf_plan_model_remarks(const wf_jobspec *spec, const wf_arch *arch, char *text,
                            size_t text_bytes);

// Fills in everything wf_plan_kv_capacity() wants to know. engine.kv_memory: auto is 1 GiB per rank
// on the host (less where that does not fit), 0.95 of what is left on a device. WF_CONFIG: the
// engine would refuse its limits.
wf_status wf_plan_model_memory(const wf_jobspec *spec, const wf_arch *arch,
                               const wf_plan_device *device, const wf_plan_needs *needs,
                               wf_plan_memory *out);

#endif
