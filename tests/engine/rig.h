// A rig for engine tests: a golden model on a back end, requests in, tokens out.
#ifndef WF_TESTS_ENGINE_RIG_H
#define WF_TESTS_ENGINE_RIG_H

#include "engine/engine.h"
#include "io/base/json.h"

// Every golden model that engines are held against (tests/golden).
typedef struct rig_golden {
    const char *name;
    int most_ranks; // of a group
    bool size_free; // `deterministic` gives the same bits whatever the group's size
} rig_golden;
extern const rig_golden rig_goldens[];
extern const size_t rig_n_goldens;

// One case of a golden fixture.
typedef struct golden_case {
    int32_t n_prompt, n_greedy, n_logits;
    int32_t *prompt, *greedy;
    double *logits; // of the last prompt position; NULL when not recorded
} golden_case;

typedef struct golden {
    char name[64];
    int32_t n_cases;
    golden_case *cases;
} golden;

// A model on a back end, for one rank of `comm`.
typedef struct rig {
    wf_backend *be;
    wf_model *model;
    wf_comm *comm; // borrowed, or own self communicator
    wf_comm *own_comm;
} rig;

void golden_load(const char *name, golden *out);
void golden_free(golden *g);

// For main: -1 where there is such a back end, else what to exit with, having said why: 77 skips
// the test.
int rig_absent(const char *backend);

// comm NULL: a group of one. rig_create computes in f32.
void rig_create(const char *backend, const char *golden_name, wf_comm *comm, rig *out);
// Experts in so many parts of the group (wf_arch_spread_experts); rig_create: in one.
void rig_create_spread(const char *backend, const char *golden_name, wf_comm *comm,
                       int32_t expert_parts, rig *out);
void rig_create_dtype(const char *backend, const char *golden_name, wf_comm *comm, wf_dtype dtype,
                      rig *out);
// A group of one, KV memory in a format of its own.
void rig_create_kv(const char *backend, const char *golden_name, wf_dtype dtype, wf_dtype kv_dtype,
                   rig *out);
void rig_create_deterministic(const char *backend, const char *golden_name, wf_comm *comm,
                              wf_dtype dtype, rig *out);
void rig_destroy(rig *r);

// What rig_run found for one request.
typedef struct rig_output {
    wf_finish finish;
    uint32_t n_tokens, n_top;
    int32_t token[512];
    float logprob[512];
    int32_t top_id[32]; // of the first token
    float top_logprob[32];
    uint32_t n_prompt_scored, n_prompt_top;
    float prompt_logprob[256];
    int32_t prompt_top_id[256][4];
    float prompt_top_logprob[256][4];
    uint16_t preempted;
    uint32_t n_cached;
    char stop_string[16]; // that ended it, "": none
} rig_output;

typedef struct rig_request {
    const int32_t *prompt;
    uint32_t n_prompt, max_new;
    const wf_sampling *sampling; // NULL: greedy, EOS ignored
    const int32_t *stop;
    uint32_t n_stop, stop_string_bytes;
    const uint8_t *stop_string;
    const wf_pieces *pieces;
    wf_wishes wishes;
    int32_t at_step;  // submitted before this step of the engine
    int32_t leave_at; // let go from this step on, if it still runs; 0: never
} rig_request;

// Totals of a run.
typedef struct rig_totals {
    int64_t n_steps, n_put_back, n_discarded, n_moved, most_decode, n_graphs, n_prompt_tokens;
    int32_t n_expert_layers, n_expert_load;
    int64_t expert_load[256]; // by layer and expert, of all steps
} rig_totals;

wf_engine_config rig_config(void);

// Runs all requests through one engine; on ranks other than 0 it follows. Any failure ends the
// test.
void rig_run(rig *r, const wf_engine_config *config, const rig_request *requests, int n,
             rig_output *outputs, rig_totals *totals);

#endif
