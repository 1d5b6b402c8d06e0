// Who runs step plans, as the engine sees it: three verbs.
//
//   plan_buffer(slot) <- the plan is written or received there;  enqueue(slot);  ...  wait(slot)
//
// Up to WF_EXECUTOR_SLOTS steps may be in flight; a step's tokens are on the host when wait() has
// returned for its slot. The forward pass (forward.h) is the one that computes; tests simulate one.
//
// Collective over the group, every rank with the same plans in the same order, except where marked
// Local.
#ifndef WF_ENGINE_EXECUTOR_H
#define WF_ENGINE_EXECUTOR_H

#include <stdint.h>

#include "io/base/status.h"

#define WF_EXECUTOR_SLOTS 2

typedef struct wf_executor wf_executor;

// What a step produced. Borrowed; valid until the slot is used again.
typedef struct wf_step_output {
    int32_t n_samples, n_top;
    const int32_t *token;     // [n_samples]
    const float *logprob;     // [n_samples] or NULL
    const int32_t *top_id;    // [n_samples][n_top] or NULL
    const float *top_logprob; // [n_samples][n_top]
    int32_t n_score_top;
    const float *score;      // of prompt tokens (prompt_scores.h); NULL: none are told
    const int32_t *score_id; // [][n_score_top]
    const float *score_top;
    int32_t n_vector;
    const float *vector; // [n_samples][n_vector], of tasks that draw no token; else NULL
    int32_t n_expert_layers, n_expert_load;
    const int32_t *expert_load; // [n_expert_load] by layer and expert, on the first rank; else NULL
} wf_step_output;

typedef struct wf_executor_ops {
    // Host buffer of a slot that the next plan is written to or received into, as long as the
    // longest plan (stepplan.h). Borrowed. Local.
    int32_t *(*plan_buffer)(wf_executor *x, int slot);
    // Queues the step in the slot's plan buffer. Returns before it is computed where steps are
    // computed behind the host.
    wf_status (*enqueue)(wf_executor *x, int slot);
    // Blocks until the slot's step is done. Local.
    wf_status (*wait)(wf_executor *x, int slot, wf_step_output *out);
} wf_executor_ops;

// Every executor's own struct begins with this one.
struct wf_executor {
    const wf_executor_ops *ops;
};

#endif
