// The job file: what to run, on which requests, how, and where the results go.
//
// A wf_jobspec is the resolved job: defaults < file < environment (WEFT_ENGINE__MAX_ROWS) < --set.
// One option table (wf_jobspec_table) drives parsing, help, the example and the reference.
// It is a plain value for everyone downstream: nobody else reads YAML.
//
//   load -> borrow its fields for as long as the job runs -> destroy
//
// Paths, globs of `requests` included, are relative to the working directory, not to the job file:
// the same line works in a batch script and by hand. All functions are Local.
#ifndef WF_JOBS_SPEC_JOBSPEC_H
#define WF_JOBS_SPEC_JOBSPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/batcher.h"
#include "engine/comm/comm_nccl.h"
#include "engine/encode.h"
#include "engine/graphs.h"
#include "io/base/json_writer.h"
#include "io/base/option.h"
#include "io/base/status.h"
#include "io/shard/request.h"

typedef enum wf_spec_weights { WF_SPEC_WEIGHTS_FILE, WF_SPEC_WEIGHTS_RANDOM } wf_spec_weights;
typedef enum wf_spec_generation {
    WF_SPEC_GENERATION_AUTO,
    WF_SPEC_GENERATION_NONE
} wf_spec_generation;
typedef enum wf_spec_arrivals {
    WF_SPEC_OFFLINE, // all at once
    WF_SPEC_REPLAY,  // the shards' own times / speed
    WF_SPEC_CONSTANT,
    WF_SPEC_POISSON,
    WF_SPEC_GAMMA,
    WF_SPEC_SESSIONS // sessions arrive by one of the above, their turns one after the other
} wf_spec_arrivals;
typedef enum wf_spec_think { // between a session's turns
    WF_SPEC_THINK_LOG,
    WF_SPEC_THINK_FIXED,
    WF_SPEC_THINK_EXPONENTIAL
} wf_spec_think;

// Sets of arrival modes, for the table's column `decides` and for checks.
#define WF_SPEC_MODE(mode)     (1u << (mode))
#define WF_SPEC_TIMED_RANDOMLY (WF_SPEC_MODE(WF_SPEC_POISSON) | WF_SPEC_MODE(WF_SPEC_GAMMA))
#define WF_SPEC_TIMED_BY_RATE  (WF_SPEC_MODE(WF_SPEC_CONSTANT) | WF_SPEC_TIMED_RANDOMLY)
#define WF_SPEC_TIMED                                                                              \
    (WF_SPEC_MODE(WF_SPEC_REPLAY) | WF_SPEC_TIMED_BY_RATE | WF_SPEC_MODE(WF_SPEC_SESSIONS))
#define WF_SPEC_ANY_MODE (WF_SPEC_MODE(WF_SPEC_OFFLINE) | WF_SPEC_TIMED)
// Of a key that is younger than folders which are gone on with: its default is left out.
#define WF_SPEC_UNLESS_DEFAULT (1u << 31)
typedef enum wf_spec_split { // of timed arrivals over groups
    WF_SPEC_SPLIT_ROUND_ROBIN,
    WF_SPEC_SPLIT_KEY,
    WF_SPEC_SPLIT_LEAST_TOKENS
} wf_spec_split;
typedef enum wf_spec_order {
    WF_SPEC_ORDER_ARRIVAL,
    WF_SPEC_ORDER_PREFIX // of those that wait, who shares most with what was computed
} wf_spec_order;
#define WF_SPEC_LOOK_AHEAD 256 // waiting rows that order prefix chooses among

typedef enum wf_spec_backend {
    WF_SPEC_BACKEND_AUTO,
    WF_SPEC_BACKEND_REF,
    WF_SPEC_BACKEND_CPU,
    WF_SPEC_BACKEND_CUDA
} wf_spec_backend;
typedef enum wf_spec_layout {
    WF_SPEC_LAYOUT_AUTO,
    WF_SPEC_LAYOUT_WORLD, // all groups in one MPI world
    WF_SPEC_LAYOUT_GROUPS // one MPI world per group
} wf_spec_layout;
typedef enum wf_spec_logprobs { WF_SPEC_LOGPROBS_RAW, WF_SPEC_LOGPROBS_PROCESSED } wf_spec_logprobs;
typedef enum wf_spec_nvls { WF_SPEC_NVLS_OFF, WF_SPEC_NVLS_AUTO } wf_spec_nvls;

typedef struct wf_jobspec {
    const char *job;
    wf_task task;
    int64_t seed;
    struct {
        const char *path;       // a Hugging Face folder
        int dtype;              // a wf_dtype, or WF_MODEL_DTYPE_AUTO: what the checkpoint says
        int weights_format;     // a scaled wf_dtype; a plain one: dtype's; WF_MODEL_DTYPE_AUTO
        int activations_format; // WF_FP8: wf_numerics.act_fp8; else dtype's
        int kv_dtype;           // of KV memory; WF_MODEL_DTYPE_AUTO: as the weights
        wf_spec_weights weights;
        bool trust_config; // pass over what is not understood in config.json
        wf_spec_generation generation_config;
        wf_option_strings generation_taken; // sampling keys that generation_config.json gave
    } model;
    wf_option_strings requests; // shards and prompts files, globs expanded, no file twice
    wf_option_strings shards;   // [requests.n] what is read of each: itself, or the shard that a
                                // prompts file becomes (jobs/spec/prompts.h)
    struct {
        int pooling;        // a wf_pooling, or WF_ENCODE_AUTO (engine/encode_read.h): the folder's
        int normalise;      // 0, 1 or WF_ENCODE_AUTO
        int truncate;       // 0, 1
        const char *prompt; // before every text; auto, none, or one of the folder's
    } embed;                // task: embed; truncate of all that generate nothing
    struct {
        int activation; // a wf_label_curve, or WF_ENCODE_AUTO: as the folder says
    } score;            // task: classify, score, rerank
    struct {
        int top_k; // tokens for each mask
    } fill_mask;   // task: fill-mask
    struct {
        const char *tokenizer; // "": the model's folder
        const char *prompt;    // name of the column that holds it
        const char *pair;      // of the one that holds a second text; "": of tasks that score, as
                               // weft-text names it
        bool chat;
        int max_new_tokens;
    } text; // how rows of prompts files become requests
    struct {
        wf_spec_arrivals mode;
        wf_spec_arrivals sessions; // sessions: how their first turns arrive
        wf_spec_think think;
        wf_spec_split split;
        const char *split_key; // key: of the rows' meta, or "session"
        int64_t think_time_ns; // sessions: drawn ones' mean, and of turns that say none; -1: none
        double speed;          // replay: times run this much faster
        double rate;           // constant, poisson, gamma: requests per second
        double burstiness;     // gamma: shape of the gaps; 1 is poisson
        int64_t seed;          // `seed` of the job when not given
        int64_t lag_tolerance_ns; // a later submission is reported
        int concurrency;          // offline: requests in flight at most, of the job; 0: no bound
    } arrivals;
    struct {
        int tensor;
        int experts;  // parts of a group that experts are spread over; 0: auto
        int replicas; // 0: auto
        wf_spec_backend backend;
        wf_spec_layout layout;
        int threads;           // per rank; 0: auto
        int64_t heartbeat_ns;  // groups: a rank that is silent for longer is lost
        int64_t load_limit_ns; // groups: the same until the first step, and for any one step
        int64_t peer_limit_ns; // devices of a group: one that keeps the others waiting for longer
        int max_restarts;      // groups: starts in a row without a finished request
    } parallel;
    struct {
        int max_rows;
        int step_tokens;
        int page_tokens;
        wf_option_memory kv_memory; // both 0: auto, as its help says
        wf_reorder reorder;
        wf_fusion fusion;
        int64_t window_ns;
        int instances;
        wf_prefix_cache prefix_cache;
        wf_spec_order order;
        bool deterministic;
        int slot_tokens; // reorder: copy; 0: the context
        wf_spec_nvls nvls;
        int max_context; // 0: the model's
        wf_capture capture;
        wf_comm_sums all_reduce; // of groups of devices
    } engine;
    wf_sampling sampling;           // for the columns a shard does not have
    wf_option_i32s stop_token_ids;  // `sampling.stop_token_ids`
    wf_option_strings stop;         // `sampling.stop`
    wf_spec_logprobs logprobs_mode; // `sampling.logprobs_mode`
    struct {
        const char *dir;
        const char *text; // file for the answers; "": none
        int64_t seal_every_ns;
        int64_t seal_bytes;
        int64_t drain_ns; // most time for requests in flight once the job must leave
        bool token_times;
        bool steps;
        bool expert_load;     // of each step, for each expert
        int64_t max_failures; // stop the job beyond this many failed requests; -1: none
    } output;
    struct {
        const char *partition, *account, *qos, *constraint, *mem, *container; // "" : not given
        const char *stage_weights;                                            // ""
        int nodes, gpus_per_node, tasks_per_node, cpus_per_task;              // 0: not given
        int64_t time_ns;                                                      // 0: not given
        int64_t signal_ns;
        bool requeue;
        bool fail_on_row_errors; // false: exit 0 although some requests failed
        wf_option_strings setup, extra;
    } slurm;
} wf_jobspec;

// A row's `decides` holds the arrival modes under which its key decides what comes out of a job:
// the key is part of the job's identity then, and a folder is not gone on with under another value.
// Keys that say where a job is placed, what it may hold and when it seals decide nothing (0).
extern const wf_option wf_jobspec_table[];
extern const size_t wf_jobspec_n_options;
extern const wf_option_alias wf_jobspec_aliases[]; // vLLM's and transformers' words

// What a job is made from. Borrowed during the call.
typedef struct wf_jobspec_source {
    const char *path;       // the job file
    const char *const *set; // [n_set] "engine.max_rows=64"
    size_t n_set;
    const char *const *environment; // "WEFT_...=..." lines ended by NULL; NULL: the process's own
    bool keep_globs;                // do not expand `requests` and do not ask that files exist
} wf_jobspec_source;

// Reads, resolves and checks a job. WF_NO_INPUT: the file, or a request shard, is not there;
// WF_CONFIG: anything wrong in it. wf_error() is the one-line summary; `problems` gets all errors
// found, each "file:line:col: message" with the line and a caret (NULL when there is none); own,
// give it to free().
wf_status wf_jobspec_load(const wf_jobspec_source *source, wf_jobspec **out, char **problems);
void wf_jobspec_destroy(wf_jobspec **spec);

// Makes `spec` one of the `n_parts` parts of its job, as an array task runs it: the requests i, i +
// n_parts, ... of the list, in the folder a<part> of the output folder. WF_USAGE where no shard is
// left for it.
wf_status wf_jobspec_take_part(wf_jobspec *spec, int part, int n_parts);

// The resolved job as YAML, every key with its value; own, free(). It loads to the same job.
wf_status wf_jobspec_text(const wf_jobspec *spec, char **out);

// How requests arrive, or with arrivals.mode sessions the first of each session; and the bits
// (WF_SPEC_MODE) of both.
wf_spec_arrivals wf_jobspec_process(const wf_jobspec *spec);
unsigned wf_jobspec_modes(const wf_jobspec *spec);

// The back end the job names, as wf_backend_create() takes it; NULL: auto.
const char *wf_jobspec_backend(const wf_jobspec *spec);

// What decides the outputs, as members for the object that is open in `w` (model.dtype, sampling,
// seed, arrivals ...); the model's and the shards' hashes are added by others.
void wf_jobspec_put_identity(const wf_jobspec *spec, wf_json_writer *w);

// Whether the key of this name decides the outputs of this job.
bool wf_jobspec_decides(const wf_jobspec *spec, const char *key);

// Settings that this job does not use ("arrivals.speed is not used by arrivals.mode offline"), one
// line each, "" when there is none; own, free(). They are worth a warning, not a refusal.
wf_status wf_jobspec_remarks(const wf_jobspec *spec, char **out);

#endif
