// What the files of the forward pass share. Private to engine/forward*.c and engine/block*.c.
//
//   forward.c         life cycle; a step from its plan to its tokens: runs the list of layers
//   forward_sizes.c   bytes of buffers and KV pages, from architecture and configuration; pure
//   forward_rows.c    the plan on the device: rows move and enter
//   forward_ends.c    what stands before the first layer and after the last: ids, head, sampling
//   encode.c          in place of the head: what rows become
//   block.c           the kinds of blocks a layer is made of, and the operations they share
#ifndef WF_ENGINE_FORWARD_INTERNAL_H
#define WF_ENGINE_FORWARD_INTERNAL_H

#include "engine/block.h"
#include "engine/forward.h"
#include "engine/graphs.h"

// The step's buffers beside those of blocks: X(name, bytes). T = step_tokens, R = max_rows, N = row
// slots (max_rows and the padding's), act = bytes of an activation.
#define WF_FORWARD_BUFFERS(X)                                                                      \
    X(x, T * hidden * act) /* residual stream */                                                   \
    X(y, T * hidden * sum) /* what is added to it next */                                          \
    X(y2, parallel * T * hidden * act)                                                             \
    X(after, after * T * hidden * act) /* y, normed once more before it is added */                \
    X(n, T * hidden * act)             /* normed */                                                \
    X(n2, parallel * T * hidden * act)                                                             \
    X(ids, T * 4)                                                                                  \
    X(last_x, R * hidden * act) /* rows that are sampled */                                        \
    X(last_y, R * hidden * sum)                                                                    \
    X(last_n, R * hidden * act)                                                                    \
    X(slice, R * slice_cols * 4) /* this rank's logits */                                          \
    X(gathered, split * R * slice_cols * tp * 4)                                                   \
    X(logits, whole * R * slice_cols * tp * 4)                                                     \
    X(best, split * R * sizeof(wf_best)) /* this rank's greatest logits */                         \
    X(bests, split * R * sizeof(wf_best) * tp)                                                     \
    X(last_token, N * 4) /* row arrays from here on */                                             \
    X(page_table, N * table_cols * 4)                                                              \
    X(sampling, N * sizeof(wf_row_sampling))                                                       \
    X(counts, N * counts_cols * 2)                                                                 \
    X(plan, plan_bytes) /* the step's plan */                                                      \
    X(token, R * 4)     /* what the step draws */                                                  \
    X(logprob, probs * 4)                                                                          \
    X(top_id, R * n_top * 4)                                                                       \
    X(top_logprob, R * n_top * 4)                                                                  \
    X(vector, R * vector_cols * 4) /* or what the step's rows become */                            \
    X(choices, T * choices * 4)    /* experts that tokens chose, layer by layer */                 \
    X(loads, loads * 4)            /* where each expert's rows begin, layer by layer */

typedef struct wf_forward_buffers {
#define WF_FORWARD_FIELD(name, bytes) void *name;
    WF_FORWARD_BUFFERS(WF_FORWARD_FIELD)
#undef WF_FORWARD_FIELD
} wf_forward_buffers;

typedef struct wf_forward_shape {
    size_t T, R, N, act, sum, hidden, slice_cols, tp, table_cols, counts_cols, plan_bytes;
    size_t parallel, split;   // 0 or 1: buffers of a second branch, of vocabulary slices
    size_t after;             // 0 or 1: of norms behind blocks
    size_t whole;             // 0 or 1: of all logits beside the slices
    size_t n_top, probs;      // probs: rows that get logprobs, R or 0
    size_t vector_cols;       // numbers of a row's vector, 0: tokens are drawn
    size_t k_runs;            // of sums over the group, 0: none
    size_t scores, score_top; // places of prompts that a step scores at most; best ones of each
    size_t choices, loads;    // of all layers with experts: of a token; words. 0: not told
} wf_forward_shape;

#define WF_N_FORWARD_BUFFERS (sizeof(wf_forward_buffers) / sizeof(void *))

// Bytes of every buffer, 0: none.
typedef struct wf_forward_bytes {
    size_t own[WF_N_FORWARD_BUFFERS];
    size_t scratch[WF_N_BLOCKS][WF_BLOCK_SCRATCH];
    size_t total;
} wf_forward_bytes;

// The host's side of a step in flight, pinned. The device needs one of each only: a step's plan is
// copied in when the step before it has run, its tokens out before the next.
typedef struct wf_forward_slot {
    int32_t *plan; // [plan_bytes]
    int32_t *token;
    float *logprob;  // [R]
    int32_t *top_id; // [R][n_top]
    float *top_logprob;
    float *vector;     // [R][vector_cols]
    int32_t *loads;    // [loads], on the first rank
    float *score;      // [scores] of prompt tokens
    int32_t *score_id; // [scores][n_score_top]
    float *score_top;
    wf_event *done;
    int32_t n_samples, n_top, n_score_top; // -1: none
} wf_forward_slot;

struct wf_forward {
    wf_executor executor; // first: what runs the plans is the forward pass itself
    wf_backend *be;
    const wf_model *m;
    wf_comm *comm;
    wf_forward_config cfg;
    wf_numerics num; // sum: f32 where k_runs > 0
    int32_t k_runs;  // of the GEMMs whose results are summed (ops.h)
    wf_forward_shape s;
    wf_forward_buffers b;
    void *scratch[WF_N_BLOCKS][WF_BLOCK_SCRATCH]; // of blocks
    void *kv;                                     // [layer][page][K|V][kv_head][token][head_dim]
    int64_t *kv_at;                               // [n_layers + 1] where each layer begins, bytes
    wf_stream *stream;
    wf_graphs *graphs; // NULL: none
    bool whole;        // steps run through all layers, not only those of a new shape
    bool *new_shape;   // [n_layers] no layer before it is like it
    wf_forward_slot slots[WF_EXECUTOR_SLOTS];
    int64_t n_waited; // steps that were waited for
};

// A step in the making: the header, where the sections lie on the device, and the packed batch.
struct wf_forward_step {
    const int32_t *h;
    const int32_t *at[WF_PLAN_N_SECTIONS]; // device
    wf_batch batch;
    int64_t n_tokens, n_samples;
    int64_t n_live; // tokens that are no padding
    int32_t n_top;  // -1: no logprobs
};

// ---- forward_sizes.c: pure ----------------------------------------------------------------------

wf_forward_shape wf_forward_shape_of(const wf_arch *arch, int32_t tp_size,
                                     const wf_forward_config *config, size_t act_bytes);
wf_forward_bytes wf_forward_bytes_of(const wf_arch *arch, const wf_forward_shape *shape);

// Some layer's blocks run side by side: their outputs are apart until they are added.
bool wf_forward_two_branches(const wf_arch *arch);

// Into how many runs of K this rank cuts its part of a sum over the group, 0: none (WF_K_RUNS).
int32_t wf_forward_k_runs(const wf_arch *arch, int32_t tp_size, const wf_forward_config *config);

// ---- forward_rows.c -----------------------------------------------------------------------------

wf_status wf_forward_upload_plan(wf_forward *f, wf_forward_slot *slot, wf_forward_step *out);

// Rows move to where the plan wants them; new rows and new pages enter the row arrays.
wf_status wf_forward_move_rows(wf_forward *f, const wf_forward_step *step);
wf_status wf_forward_enter_rows(wf_forward *f, const wf_forward_step *step);

// ---- forward_ends.c -----------------------------------------------------------------------------

// From ids to the residual stream x.
wf_status wf_forward_embed(wf_forward *f, const wf_forward_step *step);

// From x and what is still to be added to it to the tokens of the step's sampled rows.
wf_status wf_forward_sample(wf_forward *f, const wf_forward_step *step, wf_addend added);

// This rank's slice of the sampled rows' logits; and all ranks' slices side by side (*slices: as
// they came, where sampling needs them).
wf_status wf_forward_head(wf_forward *f, const wf_forward_step *step, wf_addend added,
                          wf_matrix *out);
wf_status wf_forward_gather_logits(wf_forward *f, const wf_forward_step *step, wf_matrix *logits,
                                   void **slices);

// ---- forward_scores.c ---------------------------------------------------------------------------

// Scores of the step's prompt places into the slot, behind the layers and before anything is drawn.
wf_status wf_forward_score_prompts(wf_forward *f, const wf_forward_step *step, wf_addend added,
                                   wf_forward_slot *slot);

// ---- block_experts.c ----------------------------------------------------------------------------

// How many tokens of the step each expert was chosen by, behind all layers, into the slot's loads:
// the first rank alone, which knows the choices of all. Counts become whole when the step is done.
wf_status wf_forward_count_experts(wf_forward *f, const wf_forward_step *step, wf_forward_slot *s);
void wf_forward_tell_experts(const wf_forward *f, wf_forward_slot *s, wf_step_output *out);

// ---- encode.c -----------------------------------------------------------------------------------

// From x and what is still to be added to it to the vectors, or scores, of the step's sampled rows.
wf_status wf_forward_encode(wf_forward *f, const wf_forward_step *step, wf_addend added);
// The same to this rank's slice of the logits of the tokens at masks, [n_samples, vocab_slice].
wf_status wf_forward_masks(wf_forward *f, const wf_forward_step *st, wf_addend added,
                           wf_matrix logits);

#endif
