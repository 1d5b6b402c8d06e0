// The request shards of a job, opened: what the runner and a conductor both must know of them.
//
// Every shard is opened and checked by the reader process; two shards of one content are refused,
// because a result's key is (content, row, sample). Local.
#ifndef WF_JOBS_SPEC_INPUTS_H
#define WF_JOBS_SPEC_INPUTS_H

#include "engine/model_arch.h"
#include "io/results/segment.h"
#include "io/shard/reader.h"
#include "io/weights/hf_folder.h"
#include "jobs/spec/jobspec.h"
#include "jobs/spec/plan_model.h"

typedef struct wf_inputs {
    size_t n;             // shards
    wf_shard_info *info;  // [n]
    bool *many_samples;   // [n] rows may ask for several samples
    bool has_sessions;    // rows of some shard are turns of sessions
    uint8_t *stop_string; // the job's, as a shard has a row's
    uint32_t stop_string_bytes;
    bool stop_strings;      // rows of some shard, or all, may end at texts
    bool keeps_stops;       // and some keep what ended them
    wf_pieces **pieces;     // [n] what such a shard's tokens are, else NULL; equal ones are one
    const char **uids;      // [n] borrowed from info
    wf_result_shard *shard; // [n] as results name them; borrows from info and the spec
    wf_plan_needs needs;    // of the job's sampling and all shards' columns
} wf_inputs;

// `reader` NULL: for a rank that reads no requests; arrays are there and empty. WF_SHARD,
// WF_NO_INPUT, WF_DATA for twins, WF_NO_MEMORY; *out is for wf_inputs_close either way.
wf_status wf_inputs_open(const wf_jobspec *spec, wf_reader *reader, wf_inputs *out);
void wf_inputs_close(wf_inputs *inputs);

// What of the model decides the outputs, without its weights being read.
typedef struct wf_inputs_model {
    wf_arch arch;
    wf_numerics numerics; // of weights and KV
    char identity[WF_HF_IDENTITY_MAX];
} wf_inputs_model;

// The architecture that a folder's configuration says, split as the job asks. As wf_arch_read,
// wf_arch_spread_experts, wf_arch_check_tp.
wf_status wf_inputs_arch_read(const wf_jobspec *spec, const wf_hf_folder *folder, wf_arch *out);

// Opens the model's folder, with its weights unless they are random, and checks what can be checked
// without reading weights: configuration, split over ranks, tensors there with type and shape, and
// what the job says of tokens. Fills `out` but for the identity. The folder is the caller's. As
// wf_hf_folder_open, wf_arch_read, wf_arch_check_tp, wf_model_check and, where the job
// names its back end, wf_backend_numerics; WF_CONFIG.
wf_status wf_inputs_model_open(const wf_jobspec *spec, wf_hf_folder **folder, wf_inputs_model *out);

// The same with the identity, and the folder closed.
wf_status wf_inputs_model_look(const wf_jobspec *spec, wf_inputs_model *out);

// The same for the answer alone.
wf_status wf_inputs_model_check(const wf_jobspec *spec);

// What the job says of tokens, held against the model: stop tokens inside the vocabulary, no more
// of them than min_tokens can hold back, a context that the model has. WF_CONFIG.
wf_status wf_inputs_check_tokens(const wf_jobspec *spec, const wf_arch *arch);

// A replay of rows that say no times would be an offline job under another name: WF_CONFIG.
wf_status wf_inputs_check_arrivals(const wf_jobspec *spec, const char *path,
                                   const wf_shard_info *info);

// Cut into parts (shards I, I + n_parts ... are part I), no session may have turns in two of them:
// parts are jobs that do not wait for each other. Reads the sessions of all shards. WF_CONFIG.
wf_status wf_inputs_check_parts(const wf_inputs *inputs, const wf_jobspec *spec, wf_reader *reader,
                                int n_parts);

// Rows of all shards.
int64_t wf_inputs_rows(const wf_inputs *inputs);

// Results of the whole job, all samples counted. Rows of a shard that turns out to be damaged may
// have fewer, where they had numbers of their own.
int64_t wf_inputs_results(const wf_inputs *inputs, const wf_jobspec *spec);

#endif
