// Blocks: the kinds of mixers and feed-forwards that layers are made of, one row and one file each.
//
//     x ── norm ──> n ── mixer ──> y          x += y ── norm ──> n ── feed-forward ──> y
//
// A block reads n, normed and whole on every rank, and leaves in y this rank's part of what is
// added to x next: the group sums it where it is added (wf_block_norm). forward.c runs the layers
// and knows no kind. Private to engine/forward*.c and engine/block*.c.
#ifndef WF_ENGINE_BLOCK_H
#define WF_ENGINE_BLOCK_H

#include "engine/forward.h"

typedef struct wf_forward_step wf_forward_step; // forward_internal.h

#define WF_BLOCK_SCRATCH 5 // buffers a block may have for its own; its layers share them

// One rank's share of a layer, for sizes.
typedef struct wf_block_shape {
    const wf_arch *arch;
    wf_arch_layer layer;
    size_t n_tokens, act_bytes; // of a step, at most; of an activation
    size_t sum_bytes, k_runs;   // of what the group adds up; its runs of K, 0: none
    size_t tp;                  // ranks of the group
} wf_block_shape;

typedef struct wf_block {
    const char *name;
    // Bytes of its scratch buffers for a step through this layer; the rest stay 0.
    void (*scratch)(const wf_block_shape *shape, size_t bytes[WF_BLOCK_SCRATCH]);
    // Bytes that one token leaves in the KV cache, in format `kv`, of a rank with this share; NULL:
    // none.
    int64_t (*kv_bytes)(const wf_arch *arch, const wf_arch_layer *share, wf_dtype kv);
    wf_status (*run)(wf_forward *f, const wf_forward_step *step, int32_t i_layer, void *n, void *y);
} wf_block;

#define WF_BLOCK_ROW(NAME, name) extern const wf_block wf_block_##name;
WF_BLOCK_TABLE(WF_BLOCK_ROW)
#undef WF_BLOCK_ROW

const wf_block *wf_block_of(wf_block_kind kind);

// Bytes that one token leaves in the KV cache of layer i, on each of tp_size ranks. Pure.
int64_t wf_block_kv_bytes(const wf_arch *arch, int32_t i_layer, int32_t tp_size, wf_dtype kv);

// ---- what blocks and ends share -----------------------------------------------------------------

// m becomes the sum of all ranks' m.
wf_status wf_block_sum(wf_forward *f, wf_matrix m);

// What is still to be added to x: this rank's part of a sum over the group, in the format of sums,
// or, `whole`, all of it, as activations. data NULL: nothing.
typedef struct wf_addend {
    void *data;
    bool whole;
} wf_addend;

// Of a matrix like x.
wf_matrix wf_block_addend(const wf_forward *f, wf_addend added, wf_matrix x);

// y = norm(x), x += added first, times the model's residual_scale.
wf_status wf_block_norm(wf_forward *f, const wf_param *w, wf_matrix x, wf_addend added, void *y);

// y = norm of the group's sum of `part`, a matrix like x.
wf_status wf_block_norm_sum(wf_forward *f, const wf_param *w, wf_matrix x, void *part, void *y);

// x += added, which is whole, where no norm follows.
wf_status wf_block_add(wf_forward *f, wf_matrix x, wf_addend added);

// y = x W^T (+ bias).
wf_status wf_block_gemm(wf_forward *f, wf_matrix x, const wf_param *w, wf_matrix y);

// y = x W^T, this rank's part of a sum over the group.
wf_status wf_block_gemm_part(wf_forward *f, wf_matrix x, const wf_param *w, void *y);

// A matrix of activations.
wf_matrix wf_block_matrix(const wf_forward *f, void *data, int64_t n_rows, size_t n_cols);

#endif
