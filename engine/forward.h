// The forward pass: runs step plans on a back end, for one rank of a group.
//
//   plan --upload--> row arrays (moves, joins, pages) --> ids --> embed --> layers --> final norm
//        --> head --> all-gather --> sample --> last_token[row], tokens --download--> host
//
// Owns the activations, the KV pages and the row arrays. Steps are run through its executor.
//
// Collective over the group (its all-reduces), every rank with the same plans in the same order,
// except where marked Local.
#ifndef WF_ENGINE_FORWARD_H
#define WF_ENGINE_FORWARD_H

#include "engine/comm/comm.h"
#include "engine/executor.h"
#include "engine/model.h"
#include "engine/stepplan.h"

// Runs that `deterministic` cuts the sums over a group into: groups of 1, 2, 4 and 8 ranks agree.
#define WF_K_RUNS 8

typedef struct wf_forward wf_forward;

typedef struct wf_forward_config {
    int32_t max_rows, step_tokens, page_tokens, n_pages;
    int32_t max_pages;    // columns of the page table
    int32_t n_beams;      // as in wf_plan_limits
    int32_t shared_pages; // most shared pages a step may name (stepplan.h)
    int32_t slot_pages;   // > 0: contiguous slots, the page table is the identity and does not move
    int32_t n_top;        // most logprobs any row may ask for; -1: no logprobs at all
    bool processed_logprobs; // of what tokens are drawn from (ops.h); else raw
    bool penalties;          // rows may use penalties: keep token counts
    int32_t row_wishes;      // most words of one row's wishes (stepplan.h)
    bool types;              // rows may have a second segment
    bool pad;                // plans may be padded: one row and one page more (stepplan.h)
    bool deterministic;      // sums over the group are the same bits whatever its size
    int32_t prompt_probs;    // 1 + most logprobs of prompt tokens any row may ask for; 0: none
    bool expert_load;        // steps tell how many tokens each expert was chosen by
    bool capture;            // padded steps are captured and replayed, where the back end can
} wf_forward_config;

// The limits of the plans that a group of tp ranks runs. Pure.
wf_plan_limits wf_forward_plan_limits(const wf_forward_config *config, int32_t tp_size);

// Reserves everything a step needs. be, model and comm are borrowed. Errors: WF_NO_MEMORY with the
// bytes asked for, WF_DEVICE. Local. Caller owns *out.
wf_status wf_forward_create(wf_backend *be, const wf_model *model, wf_comm *comm,
                            const wf_forward_config *config, wf_forward **out);
void wf_forward_destroy(wf_forward *f); // takes NULL. Local

// The executor that it is. Borrowed. Local.
wf_executor *wf_forward_executor(wf_forward *f);

// Steps run through all layers, as they do at first, or, `whole` false, through one layer of each
// shape: for warming up. Local.
void wf_forward_run_whole(wf_forward *f, bool whole);

// Why sums over this model's groups cannot be the same bits for groups of 1, 2, 4 and 8 ranks
// (`deterministic`), of the model: "its feed-forward of ..."; "" where they can. Pure. Returns
// text.
char *wf_forward_size_gap(const wf_arch *arch, int32_t tp_size, char *text, size_t text_bytes);

// Bytes of device memory beside weights and KV pages (activations, logits, row arrays, the page of
// padding rows). Pure.
uint64_t wf_forward_workspace_bytes(const wf_arch *arch, int32_t tp_size,
                                    const wf_forward_config *config, const wf_numerics *num);

// Captured steps so far. Local.
int32_t wf_forward_n_graphs(const wf_forward *f);

// Bytes of one KV page over all layers. Pure.
uint64_t wf_forward_page_bytes(const wf_arch *arch, int32_t tp_size, int32_t page_tokens,
                               wf_dtype kv);

#endif
